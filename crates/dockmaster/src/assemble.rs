//! The house, put together from settings: engine, guard, Docker server, store, gateway.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use base::names::ServerName;
use base::{KnownSecrets, Secret};
use docker_server::{DockerServer, Toolset};
use engine::Engine;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gateway::{
    Calls, Connect, Definition, Describe, Gateway, Journal, Limits, Link, Memory, Parts, Principal, Server,
    Wire,
};
use hosts::Hosts;
use policy::Effect;
use serde_json::Value;
use server_kit::Service;
use server_kit::rmcp::ServerHandler;
use store::Store;

use crate::bridges::parcel::Parcel;
use crate::engines::{self, Others};
use crate::env::Var;
use crate::files;
use crate::fleet::{self, Fleet};
use crate::settings::{Config, LOCAL, Settings, Sharers};
use crate::shell;
use crate::user;

/// Bytes on their way between the gateway and a server in the same process, in each direction.
const PIPE: usize = 64 << 10;
/// Tokens by which the gateway's own bound on answers is above that of the servers: it is a backstop.
const SLACK: usize = 2_000;

/// What commands use.
pub(crate) struct House {
    pub(crate) gateway: Gateway,
    pub(crate) store: Store,
    pub(crate) witness: Arc<Witness>,
    /// Set once there are servers beside the built-in one.
    pub(crate) fleet: OnceLock<Arc<Fleet>>,
    known: KnownSecrets,
    hosts: RwLock<Hosts>,
    /// Other gateways that are let in, where this is a bridge.
    pub(crate) links: gateway::Links,
    /// As it was at the start, which some of it is for good.
    began: Config,
    /// As it holds now.
    holds: tokio::sync::Mutex<Config>,
}

/// Remembers the last decision that was written down, since a command's exit code depends on it and the answer of a
/// call does not tell who refused it.
pub(crate) struct Witness {
    store: Store,
    decision: Mutex<String>,
}

/// Why a call was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The rules deny it.
    Denied,
    /// The person said no, or nothing.
    Declined,
    /// There was nobody to ask.
    NobodyToAsk,
}

impl Witness {
    /// What kept the last call from being made, if anything did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self
            .decision
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_str()
        {
            "deny" => Some(Refusal::Denied),
            "declined" | "unanswered" => Some(Refusal::Declined),
            "unable to ask" => Some(Refusal::NobodyToAsk),
            _ => None,
        }
    }
}

impl Journal for Witness {
    fn append(&self, entry: store::Entry) -> BoxFuture<'_, Result<(), store::Error>> {
        self.decision
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&entry.decision);
        async move { self.store.audit().append(entry).await }.boxed()
    }
}

/// Puts the house together; no engine is reached and no file opened on the way, except small ones of configuration.
/// Secrets that servers can do without are looked for, for a short time.
pub(crate) async fn house(settings: &Settings, toolset: Toolset, secrets: Vec<Secret>) -> Result<House> {
    let store = Store::open(settings.database());
    let known: KnownSecrets = secrets.into_iter().collect();
    let runs = runs(settings);
    let engine = (settings.config.docker.enabled || runs)
        .then(|| engines::local(settings).map(|(engine, _)| engine))
        .transpose()?;
    let hosts = engines::hosts(settings, engine.as_ref(), &Hosts::default(), &|_| false);
    let fleet = runs
        .then(|| Fleet::open(settings, engine.as_ref(), hosts.clone(), &store, known.clone()).map(Arc::new))
        .transpose()?;
    let mut servers = ours(
        settings,
        (engine.as_ref(), &hosts),
        fleet.as_ref(),
        &store,
        toolset,
    )?;
    if let Some(fleet) = &fleet {
        servers.extend(fleet.servers(settings, &store).await?);
    }
    let memory = Arc::new(store.clone());
    with(settings, store, memory, servers, (known, hosts), fleet)
}

/// Whether anything runs in containers, or elsewhere, by the fleet.
fn runs(settings: &Settings) -> bool {
    settings.is_bridge() || fleet::enabled(settings).next().is_some() || shell::in_containers(settings)
}

/// The servers of our own that are switched on.
fn ours(
    settings: &Settings,
    (engine, hosts): (Option<&Engine>, &Hosts),
    fleet: Option<&Arc<Fleet>>,
    store: &Store,
    toolset: Toolset,
) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    if settings.config.docker.enabled
        && let Some(engine) = engine
    {
        servers.push(docker(settings, engine.clone(), toolset, hosts)?);
    }
    servers.extend(files::servers(settings, hosts)?);
    servers.extend(shell::servers(settings, engine, (fleet, hosts), store)?);
    Ok(servers)
}

/// A house with these servers instead of the configured ones.
pub(crate) fn of_servers(
    settings: &Settings,
    servers: Vec<Server>,
    known: KnownSecrets,
    fleet: Option<Arc<Fleet>>,
) -> Result<House> {
    let store = Store::open(settings.database());
    let memory = Arc::new(AtFirstHand(store.clone()));
    with(settings, store, memory, servers, (known, Hosts::default()), fleet)
}

/// Remembers what servers list for others, and takes nothing from what was remembered: who tries a server out wants to
/// know what it says now.
struct AtFirstHand(Store);

impl Memory for AtFirstHand {
    fn lists(&self, _fingerprint: String) -> BoxFuture<'_, Result<Option<String>, store::Error>> {
        async { Ok(None) }.boxed()
    }

    fn keep_lists(
        &self,
        server: String,
        fingerprint: String,
        text: String,
    ) -> BoxFuture<'_, Result<(), store::Error>> {
        self.0.keep_lists(server, fingerprint, text)
    }

    fn approved(&self, server: String) -> BoxFuture<'_, Result<Option<Vec<Definition>>, store::Error>> {
        Memory::approved(&self.0, server)
    }

    fn approve(
        &self,
        server: String,
        definitions: Vec<Definition>,
    ) -> BoxFuture<'_, Result<(), store::Error>> {
        Memory::approve(&self.0, server, definitions)
    }
}

fn with(
    settings: &Settings,
    store: Store,
    memory: Arc<dyn Memory>,
    servers: Vec<Server>,
    (known, hosts): (KnownSecrets, Hosts),
    fleet: Option<Arc<Fleet>>,
) -> Result<House> {
    let config = &settings.config;
    let witness = Arc::new(Witness {
        store: store.clone(),
        decision: Mutex::default(),
    });
    known.learn(given_secrets(settings));
    let answer_tokens = config.docker.answer_tokens as usize;
    let bounds = &config.instances;
    let journal = Arc::<Witness>::clone(&witness);
    let gateway = Gateway::new(Parts {
        servers,
        profile: config.gateway.profile.clone(),
        rules: config.policy.clone(),
        limits: Limits {
            answer_tokens: answer_tokens + SLACK,
            call: config.gateway.call_timeout.duration(),
            confirm: config.gateway.confirm_timeout.duration(),
            message_bytes: bytes(config.gateway.message_size),
            answer_bytes: bytes(config.gateway.answer_size),
            sessions: config.gateway.sessions.get(),
            session_idle: config.gateway.session_idle.duration(),
            replay_events: config.gateway.events.get(),
            start: bounds.start_timeout.duration(),
            list: bounds.list_timeout.duration(),
            instances: bounds.most,
            instance_bytes: bounds.memory.0,
            ..Limits::default()
        },
        secrets: known.clone(),
        memory: Some(memory),
        ..Parts::new(journal, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    });
    let gateway = gateway.context("can't set up the gateway")?;
    let links = gateway::Links::default();
    links.set(
        Parcel::last(settings)?
            .map(|parcel| parcel.links())
            .unwrap_or_default(),
    );
    Ok(House {
        links,
        gateway,
        store,
        witness,
        fleet: fleet.map(OnceLock::from).unwrap_or_default(),
        known,
        hosts: RwLock::new(hosts),
        began: settings.config.clone(),
        holds: tokio::sync::Mutex::new(settings.config.clone()),
    })
}

/// A bound on messages.
pub(crate) fn bytes(size: base::Size) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

/// Who calls from this machine without a token.
pub(crate) fn local_principal(settings: &Settings) -> Principal {
    let user = user::name(&settings.environment);
    let user = base::text::clean(base::text::cut(&user, 64)).replace(['\n', '\t'], " ");
    Principal::new(&format!("local:{user}"))
}

/// Secrets that came through the environment and must not come out of any tool.
fn given_secrets(settings: &Settings) -> impl Iterator<Item = Secret> {
    [Var::RegistryPassword, Var::RegistryAuthConfig]
        .into_iter()
        .filter_map(|var| settings.environment.text(var))
        .map(Secret::new)
}

/// The Docker server as the gateway knows servers: a stream, and what its tools do.
fn docker(settings: &Settings, engine: Engine, toolset: Toolset, hosts: &Hosts) -> Result<Server> {
    let elsewhere = Others::of(hosts);
    let options = docker_server::Options {
        engine,
        toolset,
        answer_tokens: settings.config.docker.answer_tokens as usize,
        elsewhere: elsewhere.clone(),
        scope_label: settings
            .config
            .hosts
            .local
            .guard
            .label
            .as_ref()
            .map(engines::label),
    };
    let instructions = docker_server::instructions(toolset, elsewhere.as_ref());
    within("docker", instructions, move || DockerServer::new(options.clone()))
}

/// A server of our own as the gateway knows servers: a stream, a way beside it, and what its tools do. It is made when
/// the first call needs it.
pub(crate) fn within<S: Service + ServerHandler>(
    name: &'static str,
    instructions: String,
    make: impl Fn() -> S + Send + Sync + 'static,
) -> Result<Server> {
    let connect: Connect = Box::new(move |_| {
        let server = make();
        async move {
            let (near, far) = tokio::io::duplex(PIPE);
            let answering = server.clone();
            let serving = async move {
                if let Err(error) = Box::pin(server_kit::serve(server, far)).await {
                    tracing::error!("the server {name} ended: {error}");
                }
            };
            let calls: Calls = Arc::new(move |params| {
                let server = answering.clone();
                async move { server.answer(&params).await }.boxed()
            });
            Ok(Link {
                wire: Wire::Within {
                    stream: Box::new(near),
                    calls,
                },
                driver: Some(serving.map(|()| None).boxed()),
            })
        }
        .boxed()
    });
    Ok(Server {
        instructions: Some(instructions),
        ..Server::new(
            ServerName::parse(name)?,
            connect,
            Arc::new(Tools::<S>(PhantomData)),
        )
    })
}

/// What the tools of one of our servers do.
struct Tools<S>(PhantomData<fn() -> S>);

impl<S: Service> Describe for Tools<S> {
    fn canonical(&self, tool: &str) -> Option<String> {
        S::table().canonical(tool)
    }

    fn effect(&self, tool: &str, arguments: &Value) -> Effect {
        S::effect(tool, arguments)
    }

    fn about(&self, tool: &str, arguments: &Value) -> String {
        S::about(tool, arguments)
    }

    fn data_loss(&self, tool: &str, arguments: &Value) -> Option<String> {
        S::data_loss(tool, arguments)
    }

    fn unfit(&self, tool: &str, arguments: &Value) -> Option<String> {
        S::unfit(tool, arguments)
    }
}

/// How long everything may take to end.
pub(crate) const SHUTDOWN: Duration = Duration::from_secs(10);

impl House {
    /// The hosts as the configuration says now.
    pub(crate) fn hosts(&self) -> Hosts {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the gateway go on as the configuration says now: its servers, its rules, where secrets come from, whose
    /// signatures are wanted, what the guard lets pass. Gives the settings that have changed and hold from the next start.
    ///
    /// What can fail comes first; after an error all is as it was.
    pub(crate) async fn renew(&self, settings: &Settings) -> Result<Vec<&'static str>> {
        let mut holds = self.holds.lock().await;
        let mut settings = settings.clone();
        let later = settings.config.keep_what_holds_for_good(&self.began);
        let (config, before) = (&settings.config, &*holds);
        // What no tool may come near is known to every guard and to the files server from when they were made.
        let same_own = {
            let mut previous = settings.clone();
            previous.config = before.clone();
            engines::own_files(&settings) == engines::own_files(&previous)
        };
        let runs = runs(&settings);
        let engine = (config.docker.enabled || runs || self.fleet.get().is_some())
            .then(|| engines::local(&settings).map(|(engine, _)| engine))
            .transpose()?;
        let hosts = engines::hosts(&settings, engine.as_ref(), &self.hosts(), &|name| {
            let host = |config: &Config| config.hosts.get(name.as_str()).cloned();
            let others = |config: &Config| (config.secrets.clone(), config.docker.credentials_for.clone());
            same_own
                && host(config) == host(before)
                && others(config) == others(before)
                && name.as_str() != LOCAL
        });
        // A new built-in server ends the streams of the old one, so it stays as long as nothing of it changes.
        let same_docker = (&config.docker, &config.hosts) == (&before.docker, &before.hosts);
        let same_signers = !config.shell.enabled || config.signers == before.signers;
        let same_roots = Sharers::all(config) == Sharers::all(before);
        let same_others = same_roots && (&config.shell, &config.files) == (&before.shell, &before.files);
        let same = same_own && same_docker && same_signers && same_others;
        let opened = match (self.fleet.get(), &engine) {
            (None, Some(engine)) if runs => {
                let opened = Fleet::open(
                    &settings,
                    Some(engine),
                    hosts.clone(),
                    &self.store,
                    self.known.clone(),
                )?;
                Some(Arc::new(opened))
            }
            _ => None,
        };
        let servers = match self.fleet.get().or(opened.as_ref()) {
            Some(fleet) => fleet.servers(&settings, &self.store).await?,
            None => Vec::new(),
        };
        let ours = if same {
            Vec::new()
        } else {
            let fleet = self.fleet.get().or(opened.as_ref());
            ours(
                &settings,
                (engine.as_ref(), &hosts),
                fleet,
                &self.store,
                config.docker.toolset,
            )?
        };
        let parcel = Parcel::last(&settings)?;
        // The last that can fail, and it changes nothing then.
        if let (Some(fleet), Some(engine)) = (self.fleet.get(), &engine) {
            fleet.renew(&settings, engine, hosts.clone(), &self.store)?;
        }
        if let Some(opened) = opened {
            // Nobody else renews meanwhile.
            drop(self.fleet.set(opened));
        }
        *self.hosts.write().unwrap_or_else(PoisonError::into_inner) = hosts;
        self.gateway.set_rules(config.policy.clone());
        // Before anything is waited for: whoever gives up waiting finds what holds.
        *holds = settings.config;
        let is_bridge = parcel.is_some();
        self.links
            .set(parcel.map(|parcel| parcel.links()).unwrap_or_default());
        if same && !is_bridge {
            self.gateway.set_servers_from_outside(servers).await;
        } else {
            self.gateway
                .set_servers(ours.into_iter().chain(servers).collect())
                .await;
        }
        if let Some(fleet) = self.fleet.get() {
            fleet.tell_bridges().await;
        }
        Ok(later)
    }

    /// Ends what runs, and waits for it.
    pub(crate) async fn close(self) {
        if !self.gateway.shutdown(SHUTDOWN).await {
            tracing::warn!("something was still running after {SHUTDOWN:?}");
        }
        if let Some(fleet) = self.fleet.get()
            && !fleet.close(SHUTDOWN).await
        {
            tracing::warn!("a server could not be removed; the next start tries again");
        }
        self.store.close().await;
    }
}
