//! The servers beside the built-in one: from what the configuration switches on to what the gateway runs.
//!
//! A server that can't be run is a server that says why at each use; it never keeps the others, or the gateway, from
//! starting.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, Result};
use base::names::ServerName;
use base::{KnownSecrets, Secret};
use catalog::plan::{self, Plan, Target};
use catalog::tools::Tool;
use catalog::{Around, Entry, Known, Lack, Processes, Setup};
use custom_server::{Containers, Declared};
use engine::Engine;
use fetch::{Addresses, Plain};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gateway::{Describe, Life, Link, Origin, Server, Share, Wire};
use hosts::Hosts;
use instances::{Instances, Start, Terms};
use policy::Effect;
use secrets::{SecretName, Sources};
use serde_json::Value;
use store::Store;

use crate::contained::Contained;
use crate::env::Var;
use crate::logs::Logs;
use crate::placed::{self, Elsewhere, Placed};
use crate::refusals::Refusals;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::{keep, percall, signatures};

/// The kind of document that remembers which image a server was enabled with: name of the image → digest.
pub(crate) const PIN: &str = "image-pin";

/// The kind of document that remembers which version of a package a server was enabled with: name of the package →
/// version.
pub(crate) const VERSION: &str = "package-pin";

/// Most bytes that are told of how a server ended.
const TOLD: usize = 600;

/// What servers are run with.
pub(crate) struct Fleet {
    given: RwLock<Arc<Given>>,
    /// What must not come out of any tool; grows with each secret that a server is given.
    known: KnownSecrets,
    logs: Logs,
    client: fetch::Client,
    refusals: Refusals,
}

/// What the configuration says, as it was when it was read last. Each start takes what is given then.
struct Given {
    /// On the engine at hand.
    instances: Option<Instances>,
    elsewhere: Elsewhere,
    sources: Sources,
    /// What every process on this machine gets of our own environment.
    environment: Vec<(String, Secret)>,
}

/// What every process on this machine gets of our own environment: where programs are, the home folder, the language.
pub(crate) fn environment(settings: &Settings) -> Vec<(String, Secret)> {
    let environment = &settings.environment;
    let home = settings
        .folders
        .home
        .as_ref()
        .map(|home| home.display().to_string());
    let path = environment.text(Var::Path);
    [
        ("PATH", path),
        ("HOME", home),
        ("LANG", environment.text(Var::Lang)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), Secret::new(value?))))
    .collect()
}

/// A server as it is switched on in a profile.
pub(crate) struct Enabled<'a> {
    pub(crate) profile: &'a str,
    pub(crate) name: &'a ServerName,
    pub(crate) setup: &'a Setup,
}

/// All that is switched on, by profile.
pub(crate) fn enabled(settings: &Settings) -> impl Iterator<Item = Enabled<'_>> {
    settings.config.profiles.iter().flat_map(|(profile, it)| {
        it.servers
            .iter()
            .map(move |(name, setup)| Enabled { profile, name, setup })
    })
}

/// What plans depend on. It reads the state file, which takes most of a millisecond: who makes several plans asks once, and
/// sets the profile for each.
pub(crate) fn around(settings: &Settings, store: &Store, profile: &str) -> Result<Around> {
    let guard = &settings.config.hosts.local.guard;
    let pins = |kind| -> Result<BTreeMap<String, String>> {
        let pins = store.documents().list(kind)?;
        Ok(pins.into_iter().map(|pin| (pin.name, pin.text)).collect())
    };
    Ok(Around {
        profile: profile.to_owned(),
        roots: placed::roots(guard),
        labels: settings.config.hosts.local.labels.clone(),
        others: placed::others(settings),
        home: settings.folders.home.clone(),
        secrets: Known::Unasked,
        processes: if settings.config.instances.commands {
            Processes::Permitted
        } else {
            Processes::Refused {
                line: "[instances] commands = true".to_owned(),
            }
        },
        digests: pins(PIN)?,
        versions: pins(VERSION)?,
        bases: catalog::Bases {
            node: settings.config.instances.node_image.clone(),
            python: settings.config.instances.python_image.clone(),
        },
        ..Around::default()
    })
}

/// Which secrets have a value.
pub(crate) async fn known_secrets(sources: &Sources, entry: &Entry, setup: &Setup) -> Known {
    let mut known = BTreeSet::new();
    let names = entry
        .secrets
        .iter()
        .map(|need| setup.secrets.get(&need.name).unwrap_or(&need.name));
    for name in names {
        let Ok(parsed) = SecretName::parse(name) else {
            continue;
        };
        // A source that fails is told when the server starts; here it counts as lacking.
        if let Ok(Some(_)) = sources.get(&parsed).await {
            known.insert(name.clone());
        }
    }
    Known::These(known)
}

/// What is missing, one to a line.
pub(crate) fn list(lacks: &[Lack]) -> String {
    lacks
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

impl Fleet {
    /// Prepares; nothing is started or asked. `engine` makes the engine if a server needs one.
    pub(crate) fn open(
        settings: &Settings,
        engine: Option<&Engine>,
        hosts: Hosts,
        store: &Store,
        known: KnownSecrets,
    ) -> Result<Self> {
        let (reached, refusals) = Refusals::record(store.clone());
        let signature = signatures::check(settings, store)?;
        #[cfg(unix)]
        let relay = crate::relay::own()
            .inspect_err(|error| tracing::debug!("there is no relay: {error}"))
            .ok();
        let (state, run, checked) = (
            settings.folders.state.clone(),
            run_folder(settings),
            signature.clone(),
        );
        let options = move |engine: Engine| instances::Options {
            engine,
            state: state.clone(),
            run: run.clone(),
            grace: instances::Grace::default(),
            reached: Some(reached.clone()),
            #[cfg(unix)]
            relay: relay.clone(),
            signature: checked.clone(),
            labels: BTreeMap::new(),
        };
        let instances = engine
            .map(|engine| Instances::open(options(engine.clone())))
            .transpose()
            .context("can't prepare to run servers")?;
        let given = Given {
            instances,
            elsewhere: Elsewhere::new(hosts, signature, options),
            sources: keep::sources(settings)?,
            environment: environment(settings),
        };
        Ok(Self {
            given: RwLock::new(Arc::new(given)),
            logs: Logs::new(settings.folders.state.join("logs"), known.clone()),
            known,
            client: fetch::Client::new(fetch::Options {
                user_agent: concat!("dockmaster/", env!("CARGO_PKG_VERSION")).to_owned(),
                ..fetch::Options::default()
            }),
            refusals,
        })
    }

    /// Takes over where secrets come from, whose signatures are wanted, and what the guard of `engine` lets servers be
    /// given; it holds from the next start of each on.
    pub(crate) fn renew(
        &self,
        settings: &Settings,
        engine: &Engine,
        hosts: Hosts,
        store: &Store,
    ) -> Result<()> {
        let terms = Terms {
            engine: engine.clone(),
            signature: signatures::check(settings, store)?,
        };
        let before = self.given();
        let given = Given {
            elsewhere: before.elsewhere.renewed(hosts, terms.signature.clone()),
            instances: before.instances.as_ref().map(|instances| instances.on(terms)),
            sources: keep::sources(settings)?,
            environment: environment(settings),
        };
        *self.given.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(given);
        Ok(())
    }

    fn given(&self) -> Arc<Given> {
        Arc::clone(&self.given.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The servers that are switched on, in all profiles.
    pub(crate) fn servers(self: &Arc<Self>, settings: &Settings, store: &Store) -> Result<Vec<Server>> {
        let mut enabled = enabled(settings).peekable();
        if enabled.peek().is_none() {
            return Ok(Vec::new());
        }
        let catalogs = Shelf::open(settings, store)?;
        let mut servers = Vec::new();
        let mut around = around(settings, store, "")?;
        for enabled in enabled {
            enabled.profile.clone_into(&mut around.profile);
            let planned = match catalogs.meant(enabled.name, enabled.setup) {
                Err(error) => Err(error.to_string()),
                Ok(found) => found
                    .plan(enabled.setup, &around)
                    .map(|plan| (plan, Notes::of(found.entry)))
                    .map_err(|lacks| list(&lacks).replace('\n', "; ")),
            };
            let mut server = match planned {
                Ok((plan, notes)) if matches!(plan.target, Target::BuiltIn) => {
                    tracing::debug!(server = %plan.server, tools = notes.effects.len(), "is built in");
                    continue;
                }
                Ok((plan, notes)) => self.server(settings, plan, notes),
                Err(why) => broken(enabled.name, &why),
            };
            server.profiles = vec![enabled.profile.to_owned()];
            servers.push(server);
        }
        Ok(servers)
    }

    /// One server, from its plan.
    pub(crate) fn server(self: &Arc<Self>, settings: &Settings, plan: Plan, notes: Notes) -> Server {
        let plan = Arc::new(Placed::new(plan));
        let bounds = &settings.config.instances;
        let bytes = match &plan.target {
            Target::Container(container) => container.limits.memory,
            _ => 0,
        };
        let fingerprint = serde_json::to_string(&plan.plan).ok();
        let fleet = Arc::clone(self);
        let connecting = Arc::clone(&plan);
        let preparing = (Arc::clone(self), Arc::clone(&plan));
        Server {
            sharing: match plan.sharing {
                plan::Sharing::Everyone => gateway::Sharing::Everyone,
                plan::Sharing::Principal => gateway::Sharing::Principal,
                plan::Sharing::Session => gateway::Sharing::Session,
                plan::Sharing::Call => gateway::Sharing::Call,
            },
            prefix: plan.prefix.clone(),
            tools: plan.tools.clone(),
            life: Life {
                idle_stop: Some(bounds.idle_stop.duration()),
                start: Some(bounds.start_timeout.duration()),
                bytes,
                ..Life::default()
            },
            fingerprint,
            prepare: Some(Box::new(move || {
                let (fleet, plan) = preparing.clone();
                async move {
                    fleet
                        .prepare(&plan)
                        .await
                        .map_err(|error| io::Error::other(format!("{error:#}")))
                }
                .boxed()
            })),
            origin: Origin::Catalog,
            ..Server::new(
                plan.server.clone(),
                Box::new(move |share| {
                    let (fleet, plan) = (Arc::clone(&fleet), Arc::clone(&connecting));
                    async move {
                        fleet
                            .connect(&plan, &share)
                            .await
                            .map_err(|error| io::Error::other(format!("{error:#}")))
                    }
                    .boxed()
                }),
                Arc::new(notes),
            )
        }
    }

    /// Fetches or makes the image, which takes as long as it takes and is no part of a start.
    async fn prepare(&self, plan: &Placed) -> Result<()> {
        if let Target::Container(container) = &plan.target {
            let instances = self.given().instances(plan).await?;
            instances.image(&plan.server, container, None).await?;
        }
        Ok(())
    }

    async fn connect(&self, plan: &Placed, share: &Share) -> Result<Link> {
        let given = self.given();
        let secrets = self.secrets(&given, plan).await?;
        let secret = |name: &str| secrets.get(name).cloned();
        let server = plan.server.as_str();
        match &plan.target {
            Target::Container(container) => {
                let (lines, stderr) = self.logs.sink(server);
                let start = Start {
                    server: &plan.server,
                    container,
                    share: &share.key,
                    secrets: &secret,
                    stderr: Some(lines),
                    progress: None,
                };
                let started = given.instances(plan).await?.start(start).await;
                // The next start may find another host that fits.
                let mut running = started.inspect_err(|_| plan.forget())?;
                let stdio = running.take_stdio().context("the server has no pipes")?;
                let known = self.known.clone();
                let driver = async move {
                    tokio::pin!(stderr);
                    let ended = tokio::select! {
                        ended = running.exited() => Some(ended),
                        () = &mut stderr => None,
                    };
                    // It holds the other end of the log, whose last lines are written when it has gone.
                    drop(running);
                    stderr.await;
                    let ended = ended.filter(|ended| !ended.was_told_to());
                    ended.map(|ended| fit_to_tell(&known, &ended.to_string()))
                };
                Ok(Link {
                    wire: Wire::Pipe(Box::new(stdio)),
                    driver: Some(driver.boxed()),
                })
            }
            Target::PerCall(tools) => Ok(percall::link(percall::Calls {
                server: plan.server.clone(),
                tools: tools.clone(),
                instances: given.instances(plan).await?,
                secrets,
            })),
            Target::Tools(tools) => Ok(percall::link(self.declared(&given, plan, tools, secrets))),
            Target::Remote(remote) => {
                let lacking = || anyhow::anyhow!("a secret of {server} has no value");
                let header = |(name, value): (&String, &plan::Value)| -> Result<_> {
                    Ok(gateway::RemoteHeader {
                        name: name.clone(),
                        value: value.fill(secret).ok_or_else(lacking)?,
                        secret: None,
                    })
                };
                let remote = gateway::Remote {
                    server: server.to_owned(),
                    url: remote.address(secret).ok_or_else(lacking)?.expose().to_owned(),
                    transport: match remote.transport {
                        plan::RemoteTransport::StreamableHttp => gateway::RemoteTransport::StreamableHttp,
                        plan::RemoteTransport::Sse => gateway::RemoteTransport::Sse,
                    },
                    headers: remote.headers.iter().map(header).collect::<Result<_>>()?,
                    client: if remote.of_the_user {
                        // Who wrote the address means that host, wherever it is.
                        self.client.with_rules(Addresses::Private, Plain::Permitted)
                    } else {
                        self.client.clone()
                    },
                    limits: gateway::RemoteLimits::default(),
                };
                Ok(remote.link()?)
            }
            Target::Process(process) => {
                let env = process.env.iter().map(|(name, value)| {
                    let value = value
                        .fill(secret)
                        .with_context(|| format!("a secret of {server} has no value"))?;
                    Ok((name.clone(), value))
                });
                let own: Vec<(String, Secret)> = env.collect::<Result<_>>()?;
                let mut env = given.environment.clone();
                env.retain(|(name, _)| !own.iter().any(|(other, _)| other == name));
                env.extend(own);
                let process = gateway::Process {
                    command: process.command.clone(),
                    env,
                    working_dir: process.working_dir.clone(),
                    grace: std::time::Duration::from_secs(3),
                    stderr: self.logs.lines(server),
                };
                let mut link = process.start()?;
                let known = self.known.clone();
                link.driver = link.driver.map(|driver| {
                    driver
                        .map(move |why| why.map(|why| fit_to_tell(&known, &why)))
                        .boxed()
                });
                Ok(link)
            }
            Target::BuiltIn => anyhow::bail!("{server} is built in"),
        }
    }

    /// The toolbox of tools that the user declared.
    fn declared(
        &self,
        given: &Given,
        plan: &Plan,
        tools: &[Tool],
        secrets: BTreeMap<String, Secret>,
    ) -> Declared {
        let contained = given.instances.clone().map(|instances| Contained {
            server: plan.server.clone(),
            instances,
            secrets: secrets.clone(),
        });
        Declared {
            name: plan.server.to_string(),
            tools: tools.to_vec(),
            secrets,
            known: self.known.clone(),
            environment: given.environment.clone(),
            client: self.client.clone(),
            containers: contained.map(|contained| Arc::new(contained) as Arc<dyn Containers>),
        }
    }

    /// Of tools that the user declared, each with whether it could be called, which is found out without calling it.
    pub(crate) async fn check(&self, plan: &Plan) -> Result<Vec<(Tool, Result<String, String>)>> {
        let Target::Tools(tools) = &plan.target else {
            return Ok(Vec::new());
        };
        let given = self.given();
        let secrets = self.secrets(&given, plan).await?;
        let declared = self.declared(&given, plan, tools, secrets);
        let mut checked = Vec::new();
        for tool in tools {
            checked.push((tool.clone(), declared.check(tool).await));
        }
        Ok(checked)
    }

    /// The values of a plan's secrets; a missing one is an error that says which command sets it.
    async fn secrets(&self, given: &Given, plan: &Plan) -> Result<BTreeMap<String, Secret>> {
        let mut values = BTreeMap::new();
        for name in &plan.secrets {
            let value = given.sources.require(&SecretName::parse(name)?).await?;
            self.known.learn([value.clone()]);
            values.insert(name.clone(), value);
        }
        Ok(values)
    }

    /// What earlier gateways that were killed left behind is removed.
    pub(crate) async fn reap(&self) {
        let given = self.given();
        let Some(instances) = &given.instances else {
            return;
        };
        match instances.reap().await {
            Ok(reaped) => tracing::debug!("{reaped:?}"),
            Err(error) => {
                tracing::warn!("what an earlier gateway may have left behind was not removed: {error}");
            }
        }
    }

    /// Ends what runs, and waits for it.
    pub(crate) async fn close(&self, within: std::time::Duration) -> bool {
        let given = self.given();
        let here = async {
            match &given.instances {
                Some(instances) => instances.close(within).await,
                None => true,
            }
        };
        let (here, elsewhere) = tokio::join!(here, given.elsewhere.close(within));
        let all_gone = here && elsewhere;
        // Whoever could be refused is gone.
        self.refusals.close().await;
        all_gone
    }

    /// The instances on the engine at hand, for commands that start one by themselves.
    pub(crate) fn runner(&self) -> Option<Instances> {
        self.given().instances.clone()
    }

    /// The instances where a plan has its containers run.
    pub(crate) async fn runner_of(&self, plan: &Plan) -> Result<Instances> {
        self.given().instances(&Placed::new(plan.clone())).await
    }
}

impl Given {
    /// The instances on the host that a plan is placed on.
    async fn instances(&self, plan: &Placed) -> Result<Instances> {
        if let Some(host) = self.elsewhere.host_of(plan).await? {
            return self.elsewhere.instances(&host).await;
        }
        let here = self.instances.clone();
        here.context("no Docker Engine is configured to run it on")
    }
}

/// A server's words without secrets, for clients and the status. They are cut last: half a secret would not be known as
/// one.
fn fit_to_tell(known: &KnownSecrets, text: &str) -> String {
    let text = base::redact::text(&base::text::clean(text)).replace('\n', " ");
    let text = known.spotter().replace(&text).unwrap_or(text);
    base::text::cut(&text, TOLD).to_owned()
}

/// Where sockets and secrets for containers lie: in memory if the system has a place for that.
fn run_folder(settings: &Settings) -> std::path::PathBuf {
    let own = settings.environment.absolute(crate::env::Var::XdgRuntimeDir);
    let name = format!("dockmaster-{}", crate::user::id().unwrap_or_default());
    own.unwrap_or_else(|| std::path::PathBuf::from("/dev/shm"))
        .join(name)
}

/// A server that can't be run, and says why.
fn broken(name: &ServerName, why: &str) -> Server {
    let why: Arc<str> = why.into();
    Server {
        origin: Origin::Catalog,
        ..Server::new(
            name.clone(),
            Box::new(move |_share| {
                let why = Arc::clone(&why);
                async move { Err(io::Error::other(why.to_string())) }.boxed()
            }),
            Arc::new(Notes::default()),
        )
    }
}

/// What a catalog knows of a server's tools. A server's own hints are not believed; a catalog's are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    effects: BTreeMap<String, Effect>,
}

impl Notes {
    pub(crate) fn of(entry: &Entry) -> Self {
        let effect = |more: &serde_json::Map<String, Value>| {
            let hints = more.get("annotations")?;
            match (hints.get("readOnlyHint"), hints.get("destructiveHint")) {
                (Some(Value::Bool(true)), _) => Some(Effect::Read),
                (_, Some(Value::Bool(true))) => Some(Effect::Destroy),
                _ => None,
            }
        };
        let effects = entry
            .tools
            .iter()
            .filter_map(|tool| Some((tool.name.clone(), effect(&tool.more)?)));
        Self {
            effects: effects.collect(),
        }
    }
}

impl Describe for Notes {
    fn canonical(&self, _tool: &str) -> Option<String> {
        None
    }

    fn effect(&self, tool: &str, _arguments: &Value) -> Effect {
        self.effects.get(tool).copied().unwrap_or(Effect::Change)
    }

    fn about(&self, tool: &str, _arguments: &Value) -> String {
        format!("call {tool}")
    }

    fn data_loss(&self, _tool: &str, _arguments: &Value) -> Option<String> {
        None
    }
}

/// A future that is owned by the connection it belongs to.
pub(crate) type Driver = BoxFuture<'static, ()>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_the_cut_would_divide_is_not_told() {
        let secret = "k".repeat(40);
        let known: KnownSecrets = [Secret::new(secret.clone())].into_iter().collect();
        for before in [TOLD - 41, TOLD - 20, TOLD - 9, TOLD] {
            let told = fit_to_tell(&known, &format!("{}{secret} and more", " ".repeat(before)));
            assert!(told.len() <= TOLD && !told.contains("kkk"), "{told}");
        }
    }
}
