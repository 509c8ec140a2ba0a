//! The servers beside the built-in one: from what the configuration switches on to what the gateway runs.
//!
//! A server that can't be run is a server that says why at each use; it never keeps the others, or the gateway, from
//! starting.

mod commanded;
mod connect;
mod contained;
mod notes;
mod plans;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, Result};
use base::names::ServerName;
use base::{KnownSecrets, Secret, Span};
use catalog::Around;
use catalog::plan::{Plan, Target};
use catalog::tools::Does;
use engine::Engine;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gateway::{Life, Origin, Server};
use hosts::Hosts;
use instances::{Instances, Terms};
use secrets::Sources;
use shell_server::Far;
use store::Store;

pub(crate) use self::contained::Somewhere;
pub(crate) use self::notes::Notes;
use self::plans::known_optional;
pub(crate) use self::plans::{Enabled, PIN, VERSION, around, enabled, known_secrets, list};
use crate::assemble;
use crate::bridges::parcel::Parcel;
use crate::bridges::ways::Ways;
use crate::env::Var;
use crate::logs::Logs;
use crate::placed::{Elsewhere, Placed};
use crate::refusals::Refusals;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::{engines, keep, shell, signatures};

/// What servers are run with.
pub(crate) struct Fleet {
    given: Current,
    /// What must not come out of any tool; grows with each secret that a server is given.
    known: KnownSecrets,
    logs: Logs,
    client: fetch::Client,
    refusals: Refusals,
    /// Most bytes of one message from a server.
    answer_size: usize,
    /// What is switched on and placed on other hosts, as bridges have to know it.
    placed: RwLock<Vec<(Plan, Notes)>>,
}

/// What the configuration says, as it was when it was read last. Each start takes what is given then.
struct Given {
    /// On the engine at hand.
    instances: Option<Instances>,
    elsewhere: Elsewhere,
    /// Run commands of declared tools on other hosts, by name.
    commands: BTreeMap<String, Arc<Far>>,
    sources: Sources,
    /// Values that came with the parcel, where this is a bridge.
    parcel: BTreeMap<String, Secret>,
    ways: Ways,
    /// What every process on this machine gets of our own environment.
    environment: Vec<(String, Secret)>,
}

/// What is given now; its clones see each change.
#[derive(Clone)]
struct Current(Arc<RwLock<Arc<Given>>>);

impl Current {
    fn new(given: Given) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(given))))
    }

    fn get(&self) -> Arc<Given> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, given: Given) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(given);
    }
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
        let (state, checked) = (settings.folders.state.clone(), signature.clone());
        let (run, memory) = engines::own_folders(settings);
        let parcel = Parcel::last(settings)?;
        let labels: BTreeMap<_, _> = parcel
            .iter()
            .map(|parcel| (bridge::MADE_BY.to_owned(), parcel.id.clone()))
            .collect();
        let options = move |engine: Engine| instances::Options {
            engine,
            state: state.clone(),
            run: run.clone(),
            memory: memory.clone(),
            grace: instances::Grace::default(),
            reached: Some(reached.clone()),
            #[cfg(unix)]
            relay: relay.clone(),
            signature: checked.clone(),
            labels: labels.clone(),
        };
        let instances = engine
            .map(|engine| Instances::open(options(engine.clone())))
            .transpose()
            .context("can't prepare to run servers")?;
        let given = Given {
            instances,
            commands: shell::for_tools(settings, &hosts),
            elsewhere: Elsewhere::new(hosts, signature, options),
            sources: keep::sources(settings)?,
            parcel: parcel.map(|parcel| parcel.secrets()).unwrap_or_default(),
            ways: Ways::new(settings)?,
            environment: environment(settings),
        };
        Ok(Self {
            placed: RwLock::default(),
            given: Current::new(given),
            logs: Logs::new(settings.folders.state.join("logs"), known.clone()),
            known,
            client: fetch::Client::new(fetch::Options {
                user_agent: concat!("dockmaster/", env!("CARGO_PKG_VERSION")).to_owned(),
                ..fetch::Options::default()
            }),
            refusals,
            answer_size: assemble::bytes(settings.config.gateway.answer_size),
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
            commands: shell::for_tools(settings, &hosts),
            elsewhere: before.elsewhere.renewed(hosts, terms.signature.clone()),
            instances: before.instances.as_ref().map(|instances| instances.on(terms)),
            sources: keep::sources(settings)?,
            parcel: Parcel::last(settings)?
                .map(|parcel| parcel.secrets())
                .unwrap_or_default(),
            ways: Ways::new(settings)?,
            environment: environment(settings),
        };
        self.given.set(given);
        Ok(())
    }

    fn given(&self) -> Arc<Given> {
        self.given.get()
    }

    /// The servers that are switched on, in all profiles.
    pub(crate) async fn servers(self: &Arc<Self>, settings: &Settings, store: &Store) -> Result<Vec<Server>> {
        if settings.is_bridge() {
            return self.served(settings);
        }
        let mut enabled = enabled(settings).peekable();
        if enabled.peek().is_none() {
            return Ok(Vec::new());
        }
        let catalogs = Shelf::open(settings, store)?;
        let enabled: Vec<_> = enabled
            .map(|enabled| {
                let found = catalogs.meant(enabled.name, enabled.setup);
                (enabled, found)
            })
            .collect();
        let found = enabled
            .iter()
            .filter_map(|(enabled, found)| Some((enabled.setup, found.as_ref().ok()?)));
        let optional = found.flat_map(|(setup, found)| setup.optional_secrets(found.entry));
        let mut around = Around {
            secrets: known_optional(&keep::sources(settings)?, optional.collect()).await,
            ..around(settings, store, "")?
        };
        let mut servers = Vec::new();
        let mut placed = Vec::new();
        for (enabled, found) in enabled {
            enabled.profile.clone_into(&mut around.profile);
            let planned = match found {
                Err(error) => Err(error.to_string()),
                Ok(found) => found
                    .plan(enabled.setup, &around)
                    .map(|plan| (plan, Notes::of(found.entry)))
                    .map_err(|lacks| list(&lacks).replace('\n', "; ")),
            };
            let mut server = match planned {
                Ok((plan, _)) if matches!(plan.target, Target::BuiltIn) => {
                    tracing::debug!(server = %plan.server, "is built in");
                    continue;
                }
                Ok((plan, notes)) => {
                    // A bridge can run no commands on its machine.
                    if plan.host.is_some() && !runs_commands(&plan) {
                        placed.push((plan.clone(), notes.clone()));
                    }
                    self.server(settings, plan, notes)
                }
                Err(why) => broken(enabled.name, &why),
            };
            server.profiles = vec![enabled.profile.to_owned()];
            servers.push(server);
        }
        *self.placed.write().unwrap_or_else(PoisonError::into_inner) = placed;
        Ok(servers)
    }

    /// The servers of a bridge, each in a profile of its own. They are named, pinned, screened and cut to size on the other
    /// side, so what they say is passed on as it is.
    fn served(self: &Arc<Self>, settings: &Settings) -> Result<Vec<Server>> {
        let servers = Parcel::last(settings)?
            .map(|parcel| parcel.servers)
            .unwrap_or_default()
            .into_iter()
            .map(|served| {
                let (id, notes) = (served.id.clone(), Notes::given(served.effects.clone()));
                let server = self.server(settings, served.plan(), notes);
                Server {
                    // A session over there is somebody who speaks for it here.
                    sharing: match server.sharing {
                        gateway::Sharing::Session => gateway::Sharing::Principal,
                        other => other,
                    },
                    life: match server.sharing {
                        // The spares are sessions, kept on the other side.
                        gateway::Sharing::Session => Life {
                            warm: 0,
                            ..server.life
                        },
                        _ => server.life,
                    },
                    profiles: vec![id],
                    origin: Origin::BuiltIn,
                    ..server
                }
            });
        Ok(servers.collect())
    }

    /// One server, from its plan.
    pub(crate) fn server(self: &Arc<Self>, settings: &Settings, plan: Plan, notes: Notes) -> Server {
        let plan = Arc::new(Placed::new(plan));
        let (bounds, life) = (&settings.config.instances, plan.life);
        let (screening, first_sight) = settings.config.screening.parts();
        let bytes = match &plan.target {
            Target::Container(container) => container.limits.memory,
            _ => 0,
        };
        let fingerprint = serde_json::to_string(&plan.plan).ok();
        let fleet = Arc::clone(self);
        let connecting = Arc::clone(&plan);
        let preparing = (Arc::clone(self), Arc::clone(&plan));
        Server {
            sharing: connect::sharing(plan.sharing),
            prefix: plan.prefix.clone(),
            tools: plan.tools.clone(),
            life: Life {
                idle_stop: Some(life.idle_stop.unwrap_or(bounds.idle_stop).duration()),
                warm: life.warm.map_or(0, |warm| warm.get().into()),
                start: Some(life.start_timeout.unwrap_or(bounds.start_timeout).duration()),
                list: Some(life.list_timeout.unwrap_or(bounds.list_timeout).duration()),
                call: life.call_timeout.map(Span::duration),
                bytes,
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
            screening,
            first_sight,
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
            let image = instances.image(&plan.server, container, None).await;
            image.map_err(|error| plan.failed(error))?;
        }
        Ok(())
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

    /// The engine of another host, and the instances there, as the configuration says now.
    pub(crate) async fn on(&self, host: &str) -> Result<(Engine, Instances)> {
        self.given().elsewhere.on(host).await
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

/// Whether it is commands, also.
fn runs_commands(plan: &Plan) -> bool {
    let Target::Tools(tools) = &plan.target else {
        return false;
    };
    tools.iter().any(|tool| matches!(tool.does, Does::Command(_)))
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

/// A future that is owned by the connection it belongs to.
pub(crate) type Driver = BoxFuture<'static, ()>;
