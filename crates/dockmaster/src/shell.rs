//! The shell server in this house: where its commands run, as `[shell]` says, and this executable as the keeper of commands
//! on this host; see [`shell_server::run_keeper`].

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use base::names::ServerName;
use catalog::plan::{Limits, Network, Root};
use engine::Engine;
use engine::guard::Guard;
use gateway::{Describe, Server, Sharing};
use instances::{Instances, Terms};
use policy::Effect;
use serde_json::Value;
use server_kit::Service;
use shell_server::rules::{Rules, Scripts};
use shell_server::runner::Runner;
use shell_server::{Containers, Options, ShellServer};
use store::Store;

use crate::assemble::within;
use crate::exit::{Exit, Failure};
use crate::settings::{Place, Reach, Settings, Shell};
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

/// Whether containers are made for it.
pub(crate) fn needs_engine(settings: &Settings) -> bool {
    let shell = &settings.config.shell;
    shell.enabled && shell.runner == Place::Container
}

/// The name of the server, if it is switched on.
pub(crate) fn name(settings: &Settings) -> Option<&'static str> {
    let shell = &settings.config.shell;
    shell.enabled.then_some(match shell.runner {
        Place::Container => IN_CONTAINERS,
        Place::Host => ON_HOST,
    })
}

/// The server, if it is switched on. `instances` make its containers.
pub(crate) fn server(
    settings: &Settings,
    engine: Option<&Engine>,
    instances: Option<Instances>,
    store: &Store,
) -> Result<Option<Server>> {
    let shell = &settings.config.shell;
    if !shell.enabled {
        return Ok(None);
    }
    let mut profiles = settings.config.profiles.values();
    if let Some(name) = name(settings)
        && profiles.any(|profile| profile.servers.keys().any(|other| other.as_str() == name))
    {
        let fault = format!(
            "shell.enabled: a server of a profile is called {name}, too; define that one under another name"
        );
        return Err(Failure::new(Exit::Faulty, fault).into());
    }
    let roots: Vec<Root> = shell
        .roots
        .iter()
        .map(|root| Root {
            path: root.path.clone(),
            write: root.write,
        })
        .collect();
    let (name, runner) = match shell.runner {
        Place::Container => {
            let needs = "the shell server needs a Docker Engine";
            let (engine, instances) = (engine.context(needs)?, instances.context(needs)?);
            let runner: Arc<dyn Runner> =
                Arc::new(containers(settings, engine, &instances, store, roots.clone())?);
            (IN_CONTAINERS, runner)
        }
        Place::Host => (ON_HOST, on_host(settings)?),
    };
    let destroys = shell.runner == Place::Host || roots.iter().any(|root| root.write);
    let tools = Tools {
        place: runner.place(),
        worst: if destroys { Effect::Destroy } else { Effect::Change },
    };
    let options = Options {
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
        roots: roots.clone(),
        timeout: shell.timeout.duration(),
        answer_tokens: settings.config.docker.answer_tokens as usize,
        runner,
    };
    let instructions = shell_server::instructions(&*options.runner, &roots);
    let server = within(name, instructions, move || {
        ShellServer::new(options.clone()).over_mcp(name)
    })?;
    Ok(Some(Server {
        // Commands of one are none of another's business.
        sharing: Sharing::Principal,
        describe: Arc::new(tools),
        ..server
    }))
}

/// The roots are the user's word as those of the guard are, for these containers alone. What the guard calls sensitive
/// stays refused.
fn containers(
    settings: &Settings,
    engine: &Engine,
    instances: &Instances,
    store: &Store,
    roots: Vec<Root>,
) -> Result<Containers> {
    let shell = &settings.config.shell;
    let guard = &engine.options().guard;
    let mut policy = guard.policy().clone();
    policy.roots.clone_from(&shell.roots);
    let engine = engine.behind(Guard::new(policy, guard.surroundings().clone()));
    let instances = instances.on(Terms {
        engine,
        signature: signatures::check(settings, store)?,
    });
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
    place: String,
    /// The worst that a command does.
    worst: Effect,
}

impl Describe for Tools {
    fn canonical(&self, tool: &str) -> Option<String> {
        ShellServer::table().canonical(tool)
    }

    fn effect(&self, tool: &str, arguments: &Value) -> Effect {
        match ShellServer::table().effect(tool, arguments) {
            // A name that nobody knows is judged by nobody.
            Effect::Destroy if ShellServer::table().find(tool).is_some() => self.worst,
            effect => effect,
        }
    }

    fn about(&self, tool: &str, arguments: &Value) -> String {
        let about = ShellServer::table().about(tool, arguments);
        format!("{}: {about}", self.place)
    }

    fn data_loss(&self, _tool: &str, _arguments: &Value) -> Option<String> {
        None
    }
}
