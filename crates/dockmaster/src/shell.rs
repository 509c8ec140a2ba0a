//! The shell server in this house: where its commands run, as `[shell]` says, and this executable as the keeper of commands
//! on this host; see [`shell_server::run_keeper`].

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use base::names::ServerName;
use catalog::plan::{Limits, Network, Root};
use engine::Engine;
use engine::guard::{Guard, Mode};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gateway::{Describe, Server, Sharing};
use hosts::Hosts;
use instances::{Instances, SignatureCheck, Terms};
use policy::Effect;
use serde_json::Value;
use server_kit::Service;
use shell_server::rules::{Program, Rules, Scripts};
use shell_server::runner::{Command, Fault, Runner, Started};
use shell_server::{Containers, Far, Options, Place as At, ShellServer};
use store::Store;

use crate::assemble::within;
use crate::exit::{Exit, Failure};
use crate::fleet::Fleet;
use crate::settings::{LOCAL, Place, Reach, Settings, Sharers, Shell};
use crate::signatures;

/// Its name, by where its commands run: permissions and every row of the audit say which it was.
const IN_CONTAINERS: &str = "shell";
const ON_HOST: &str = "host-shell";
pub(crate) const NAMES: [&str; 2] = [IN_CONTAINERS, ON_HOST];

/// How it ended, if this process was started to keep a command.
pub(crate) fn asked_for() -> Option<ExitCode> {
    #[cfg(target_os = "linux")]
    {
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next()? != shell_server::KEEPER {
            return None;
        }
        Some(match shell_server::run_keeper(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // It is the standard error of the command, which did not begin.
                drop(crate::output::note(&format!("error: {error}")));
                ExitCode::FAILURE
            }
        })
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Whether containers are made for it, here or on other hosts.
pub(crate) fn in_containers(settings: &Settings) -> bool {
    names(settings).any(|name| name == IN_CONTAINERS)
}

/// The names of the servers that are switched on.
pub(crate) fn names(settings: &Settings) -> impl Iterator<Item = &'static str> {
    let shell = &settings.config.shell;
    let names = [(IN_CONTAINERS, Place::Container), (ON_HOST, Place::Host)];
    names.into_iter().filter_map(move |(name, place)| {
        let is_on = shell.runner == place || away(settings, place).next().is_some();
        (shell.enabled && is_on).then_some(name)
    })
}

/// The other hosts on which commands run in such a place.
fn away(settings: &Settings, place: Place) -> impl Iterator<Item = (&str, &crate::settings::Host)> {
    let all = settings.config.hosts.all();
    all.filter(move |(name, host)| *name != LOCAL && host.shell.runner == Some(place))
}

/// The servers that are switched on: one for containers, one for what runs on hosts themselves. The `fleet` makes the
/// containers.
pub(crate) fn servers(
    settings: &Settings,
    engine: Option<&Engine>,
    (fleet, hosts): (Option<&Arc<Fleet>>, &Hosts),
    store: &Store,
) -> Result<Vec<Server>> {
    for name in names(settings) {
        let mut profiles = settings.config.profiles.values();
        if profiles.any(|profile| profile.servers.keys().any(|other| other.as_str() == name)) {
            let fault = format!(
                "shell.enabled: a server of a profile is called {name}, too; define that one under another name"
            );
            return Err(Failure::new(Exit::Faulty, fault).into());
        }
    }
    let all = Sharers::all(&settings.config).into_iter().map(|sharers| {
        let own = sharers.settings(settings);
        let shell = &own.config.shell;
        if let Some(table) = sharers.table()
            && shell.enabled
            && shell.runner == Place::Host
            && shell.roots.is_empty()
        {
            let fault = format!(
                "{table}.roots: it names no folder of this machine, and by shell.runner commands run on this machine itself, \
                 where nothing else would confine them; name one, or write runner = \"container\""
            );
            return Err(Failure::new(Exit::Faulty, fault).into());
        }
        let servers = of_sharers(&own, engine, (fleet, hosts), store)?;
        let for_them = |server| Server {
            profiles: sharers.profiles.clone(),
            ..server
        };
        Ok(servers.into_iter().map(for_them).collect::<Vec<_>>())
    });
    all.collect::<Result<Vec<_>>>()
        .map(|all| all.into_iter().flatten().collect())
}

/// Those of profiles that have the same roots, which `settings` name.
fn of_sharers(
    settings: &Settings,
    engine: Option<&Engine>,
    (fleet, hosts): (Option<&Arc<Fleet>>, &Hosts),
    store: &Store,
) -> Result<Vec<Server>> {
    let shell = &settings.config.shell;
    let servers = names(settings).map(|name| {
        let roots = roots(&shell.roots);
        let (here, elsewhere) = if name == IN_CONTAINERS {
            let needs = "the shell server needs a Docker Engine";
            let fleet = fleet.context(needs)?;
            let signature = signatures::check(settings, store)?;
            let here = (shell.runner == Place::Container).then(|| {
                let instances = fleet.runner().context(needs)?;
                let engine = guarded(engine.context(needs)?, &shell.roots);
                let instances = instances.on(Terms {
                    engine,
                    signature: signature.clone(),
                });
                let runner: Arc<dyn Runner> = Arc::new(containers(shell, instances, roots.clone())?);
                Ok::<_, anyhow::Error>(At { runner, roots })
            });
            (
                here.transpose()?,
                in_containers_away(settings, fleet, signature.as_ref()),
            )
        } else {
            let here = (shell.runner == Place::Host).then(|| {
                let runner = permitted(LOCAL, settings.config.hosts.local.mode, on_host(settings)?);
                Ok::<_, anyhow::Error>(At { runner, roots })
            });
            (here.transpose()?, on_hosts_away(settings, hosts))
        };
        server(settings, name, here, elsewhere)
    });
    servers.collect()
}

fn server(
    settings: &Settings,
    name: &'static str,
    here: Option<At>,
    elsewhere: Vec<(String, At)>,
) -> Result<Server> {
    let shell = &settings.config.shell;
    let places = here.iter().chain(elsewhere.iter().map(|(_, there)| there));
    let writes = places.flat_map(|place| &place.roots).any(|root| root.write);
    let tools = Tools {
        place: here.as_ref().map(|here| here.runner.place()),
        worst: if name == ON_HOST || writes {
            Effect::Destroy
        } else {
            Effect::Change
        },
    };
    let options = Options {
        here,
        elsewhere,
        rules: Rules {
            allow: shell.allow.clone(),
            deny: shell.deny.clone(),
            scripts: if shell.scripts {
                Scripts::Free
            } else {
                Scripts::Refused
            },
        },
        variables: shell.allow.as_ref().map(|_| shell.variables.clone()),
        timeout: shell.timeout.duration(),
        answer_tokens: settings.config.docker.answer_tokens as usize,
    };
    let instructions = shell_server::instructions(&options);
    let server = within(name, instructions, move || {
        ShellServer::new(options.clone()).over_mcp(name)
    })?;
    Ok(Server {
        // Commands of one are none of another's business.
        sharing: Sharing::Principal,
        describe: Arc::new(tools),
        ..server
    })
}

fn roots(roots: &[engine::guard::Root]) -> Vec<Root> {
    let fit = |root: &engine::guard::Root| Root {
        path: root.path.clone(),
        write: root.write,
    };
    roots.iter().map(fit).collect()
}

/// The hosts on which containers are made for commands, each with what does so.
fn in_containers_away(
    settings: &Settings,
    fleet: &Arc<Fleet>,
    signature: Option<&SignatureCheck>,
) -> Vec<(String, At)> {
    let there = away(settings, Place::Container).map(|(name, host)| {
        let runner: Arc<dyn Runner> = Arc::new(Away {
            fleet: Arc::clone(fleet),
            host: name.to_owned(),
            shell: settings.config.shell.clone(),
            roots: host.shell.roots.clone(),
            signature: signature.cloned(),
        });
        let roots = roots(&host.shell.roots);
        (name.to_owned(), At { runner, roots })
    });
    there.collect()
}

/// Containers on another host, whose engine is reached by the first command there.
struct Away {
    fleet: Arc<Fleet>,
    host: String,
    shell: Shell,
    roots: Vec<engine::guard::Root>,
    signature: Option<SignatureCheck>,
}

impl Away {
    /// What makes them, by what the configuration says of the host now.
    async fn containers(&self) -> Result<Containers> {
        let (engine, instances) = self.fleet.on(&self.host).await?;
        let instances = instances.on(Terms {
            engine: guarded(&engine, &self.roots),
            signature: self.signature.clone(),
        });
        containers(&self.shell, instances, roots(&self.roots))
    }
}

impl Runner for Away {
    fn place(&self) -> String {
        format!("in a container of {} on {}", self.shell.image, self.host)
    }

    fn program(&self, command: &Command) -> Program {
        Program::unseen(command.argv.first().map(String::as_str).unwrap_or_default())
    }

    fn start<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Started, Fault>> {
        async {
            let on = |what: &dyn std::fmt::Display| format!("on {}: {what}", self.host);
            let containers = self.containers().await.map_err(|error| Fault {
                what: on(&format_args!("{error:#}")),
                fix: Some(format!(
                    "have a person look at it: dockmaster host test {}",
                    self.host
                )),
            })?;
            let started = containers.start(command).await;
            started.map_err(|fault| Fault {
                what: on(&fault),
                ..fault
            })
        }
        .boxed()
    }
}

/// Whether commands on that other host itself are switched on, and it is one that may be changed.
pub(crate) fn runs_on(settings: &Settings, host: &str) -> bool {
    let mut hosts = away(settings, Place::Host).filter(|(_, there)| there.mode != Mode::ReadOnly);
    settings.config.shell.enabled && hosts.any(|(name, _)| name == host)
}

/// Nobody knows beforehand what a command changes, so none runs on a host itself of which nothing may be changed. In
/// containers none does either, as its guard lets none be made.
fn permitted(host: &str, mode: Mode, runner: Arc<dyn Runner>) -> Arc<dyn Runner> {
    if mode == Mode::ReadOnly {
        let host = host.to_owned();
        Arc::new(Shut { host, runner })
    } else {
        runner
    }
}

/// A host on which nothing may be changed.
struct Shut {
    host: String,
    runner: Arc<dyn Runner>,
}

impl Runner for Shut {
    fn place(&self) -> String {
        self.runner.place()
    }

    fn program(&self, command: &Command) -> Program {
        self.runner.program(command)
    }

    fn start<'a>(&'a self, _: &'a Command) -> BoxFuture<'a, Result<Started, Fault>> {
        let fault = Fault {
            what: format!(
                "the mode of the host {} is read-only, so no command runs on it",
                self.host
            ),
            fix: Some(format!(
                "only the owner of the configuration can allow it: hosts.{}.mode, and `gateway run --mode`",
                self.host
            )),
        };
        async { Err(fault) }.boxed()
    }
}

/// The hosts themselves on which commands run, each with what does so. Nothing is connected before somebody wants one.
fn on_hosts_away(settings: &Settings, hosts: &Hosts) -> Vec<(String, At)> {
    let shell = &settings.config.shell;
    let there = away(settings, Place::Host).map(|(name, host)| {
        let mut env = shell.environment.clone();
        env.entry("TERM".to_owned()).or_insert_with(|| "dumb".to_owned());
        let roots = roots(&host.shell.roots);
        let dir = roots.first().map(|root| root.path.to_string_lossy().into_owned());
        let runner = permitted(name, host.mode, Arc::new(far(settings, hosts, name, env, dir)));
        (name.to_owned(), At { runner, roots })
    });
    there.collect()
}

/// The hosts themselves on which commands of declared tools run, each with what does so: in the home folder over there, and
/// with nothing of what `[shell]` gives commands but the path.
pub(crate) fn for_tools(settings: &Settings, hosts: &Hosts) -> BTreeMap<String, Arc<Far>> {
    let on = away(settings, Place::Host).filter(|(name, _)| runs_on(settings, name));
    on.map(|(name, _)| {
        let far = far(settings, hosts, name, BTreeMap::new(), None);
        (name.to_owned(), Arc::new(far))
    })
    .collect()
}

fn far(
    settings: &Settings,
    hosts: &Hosts,
    name: &str,
    mut env: BTreeMap<String, String>,
    dir: Option<String>,
) -> Far {
    let (hosts, of) = (hosts.clone(), name.to_owned());
    let find = move || {
        let host = hosts.get(&of).map_err(|error| error.to_string())?;
        let client = host.ssh()?;
        client.ok_or_else(|| format!("its endpoint is not ssh://, and commands on {of} need that"))
    };
    env.entry("LANG".to_owned())
        .or_insert_with(|| "C.UTF-8".to_owned());
    Far {
        name: name.to_owned(),
        client: Arc::new(find),
        path: settings.config.shell.path.clone(),
        env,
        dir,
        keeping: shell_server::Keeping::default(),
    }
}

/// An engine that lets these roots be mounted: they are the user's word as those of its guard are, for these containers
/// alone. What the guard calls sensitive stays refused.
fn guarded(engine: &Engine, roots: &[engine::guard::Root]) -> Engine {
    let guard = &engine.options().guard;
    let mut policy = guard.policy().clone();
    policy.roots = roots.to_vec();
    engine.behind(Guard::new(policy, guard.surroundings().clone()))
}

fn containers(shell: &Shell, instances: Instances, roots: Vec<Root>) -> Result<Containers> {
    Ok(Containers {
        instances,
        server: ServerName::parse(IN_CONTAINERS)?,
        share: String::new(),
        image: shell.image.clone(),
        roots,
        network: match (shell.network, shell.hosts.as_slice()) {
            (Reach::Open, _) => Network::Open,
            (Reach::None, []) => Network::None,
            (Reach::None, hosts) => Network::Hosts(hosts.iter().map(|host| host.0.clone()).collect()),
        },
        limits: Limits {
            memory: shell.memory.0,
            cpus: shell.cpus,
            pids: shell.pids,
        },
        user: shell.user.clone(),
        env: shell.environment.clone().into_iter().collect(),
    })
}

#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn on_host(settings: &Settings) -> Result<Arc<dyn Runner>> {
    let Shell {
        roots,
        path,
        environment,
        ..
    } = &settings.config.shell;
    let home = settings.folders.home.clone().unwrap_or_else(|| "/".into());
    let mut env = environment.clone();
    for (name, value) in [
        ("HOME", home.to_string_lossy().as_ref()),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
    ] {
        env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    Ok(Arc::new(shell_server::Host {
        // It is this very file, whatever an upgrade puts in its place.
        keeper: "/proc/self/exe".into(),
        path: path.clone(),
        env,
        dir: roots.first().map_or(home, |root| root.path.clone()),
    }))
}

#[cfg(not(target_os = "linux"))]
fn on_host(_: &Settings) -> Result<Arc<dyn Runner>> {
    let fault = "shell.runner: commands run on the host itself on Linux only; write runner = \"container\"";
    Err(Failure::new(Exit::Faulty, fault).into())
}

/// What the tools do, which depends on where commands run.
struct Tools {
    /// Where a command runs that names no host.
    place: Option<String>,
    /// The worst that a command does.
    worst: Effect,
}

impl Describe for Tools {
    fn canonical(&self, tool: &str) -> Option<String> {
        ShellServer::table().canonical(tool)
    }

    fn effect(&self, tool: &str, arguments: &Value) -> Effect {
        match ShellServer::effect(tool, arguments) {
            // A name that nobody knows is judged by nobody.
            Effect::Destroy if ShellServer::table().find(tool).is_some() => self.worst,
            effect => effect,
        }
    }

    fn about(&self, tool: &str, arguments: &Value) -> String {
        let about = ShellServer::about(tool, arguments);
        match &self.place {
            Some(place) if !ShellServer::names_host(tool, arguments) => format!("do this {place}: {about}"),
            // It names the host itself.
            _ => about,
        }
    }

    fn data_loss(&self, _tool: &str, _arguments: &Value) -> Option<String> {
        None
    }

    fn unfit(&self, tool: &str, arguments: &Value) -> Option<String> {
        ShellServer::unfit(tool, arguments)
    }
}
