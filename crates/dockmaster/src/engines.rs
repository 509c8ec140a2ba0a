//! The engines of the configuration: `local`, which is found where nothing says where it is, and the other hosts, each
//! behind a guard of its own. Nothing is connected to here.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use base::Secret;
use base::names::HostName;
use docker_server::{Elsewhere, Far};
use engine::credentials::{Credentials, Explicit, Given, RegistryHost, Scope};
use engine::discover::{self, Found, Named};
use engine::guard::{DaemonPlace, Guard, Surroundings};
use engine::{Endpoint, Engine};
use hosts::{Hosts, Look, Opened, Spec};

use crate::env::Var;
use crate::exit::{Exit, Failure};
use crate::remote;
use crate::settings::{Host, LOCAL, Settings};
use crate::toolfile;
use crate::user;

/// The engine of `local`, behind its guard.
pub(crate) fn local(settings: &Settings) -> Result<(Engine, Found)> {
    of(settings, LOCAL)
}

/// The engine of a host, behind its guard.
pub(crate) fn of(settings: &Settings, name: &str) -> Result<(Engine, Found)> {
    open(settings, name).map(|(opened, found)| (opened.engine, found))
}

/// All hosts, each of which is opened by its first use. Those of `before` that are the same by `is_same` go on; `local` is
/// the engine at hand, if it was opened already.
pub(crate) fn hosts(
    settings: &Settings,
    local: Option<&Engine>,
    before: &Hosts,
    is_same: &dyn Fn(&HostName) -> bool,
) -> Hosts {
    let shared = Arc::new(settings.clone());
    let specs = settings.config.hosts.all().filter_map(|(name, host)| {
        let parsed = HostName::parse(name).ok()?;
        let place = match find(settings, name) {
            Ok(found) => found.endpoint.to_string(),
            // Whoever uses it is told what is wrong.
            Err(_) => host.endpoint.clone().unwrap_or_default(),
        };
        let (settings, of) = (Arc::clone(&shared), parsed.clone());
        let ready = local.filter(|_| name == LOCAL).cloned();
        Some(Spec {
            name: parsed,
            place: base::redact::text(&place).into_owned(),
            mode: host.mode,
            labels: host.labels.clone(),
            open: Box::new(move || {
                let (opened, _) = open(&settings, of.as_str()).map_err(|error| format!("{error:#}"))?;
                Ok(match &ready {
                    Some(engine) => Opened {
                        engine: engine.clone(),
                        ..opened
                    },
                    None => opened,
                })
            }),
        })
    });
    Hosts::new(specs.collect(), before, is_same)
}

fn open(settings: &Settings, name: &str) -> Result<(Opened, Found)> {
    let host = known(settings, name)?;
    let found = find(settings, name)?;
    let api_version = match &host.api_version {
        Some(text) => text
            .parse()
            .map_err(|error| faulty(&format!("hosts.{name}.api_version"), &error))?,
        None => found.api_version,
    };
    let options = engine::Options {
        endpoint: found.endpoint.clone(),
        api_version,
        timeout: host.timeout.map_or(found.timeout, base::Span::duration),
        guard: Guard::new(
            host.guard.clone(),
            surroundings(settings, name, host, &found.endpoint),
        ),
        credentials: credentials(settings)?,
    };
    let opened = match &found.endpoint {
        Endpoint::Ssh(address) => {
            let way = remote::way(settings, address, host.ssh)?;
            Opened {
                engine: Engine::open_over(options, way.connect),
                look: Some(way.look),
                ssh: Some(way.client),
            }
        }
        endpoint => Opened {
            ssh: None,
            look: matches!(endpoint, Endpoint::Unix(_)).then(|| Arc::new(remote::Here) as Arc<dyn Look>),
            engine: Engine::open(options).map_err(|error| Failure::new(Exit::Faulty, error))?,
        },
    };
    Ok((opened, found))
}

/// The host of this name; an error says which there are.
pub(crate) fn known<'a>(settings: &'a Settings, name: &str) -> Result<&'a Host> {
    settings.config.hosts.get(name).ok_or_else(|| {
        let shown = base::text::clean(base::text::cut(name, 80)).replace('\n', " ");
        let names = settings.config.hosts.names();
        let message = format!(
            "there is no host {shown:?}; there are: {names}. `dockmaster host add` makes another one known"
        );
        Failure::new(Exit::Failed, message).into()
    })
}

/// Where the engine of a host is, and who says so.
pub(crate) fn find(settings: &Settings, name: &str) -> Result<Found> {
    let host = known(settings, name)?;
    let around = around(settings);
    let key = format!("hosts.{name}");
    let named = match (&host.endpoint, &host.context) {
        (_, Some(context)) => Some(Named::Context(context)),
        (Some(text), None) if name != LOCAL || host.certificates.is_some() => Some(Named::Endpoint {
            text,
            certificates: host.certificates.as_deref(),
        }),
        _ => None,
    };
    let found = match named {
        Some(named) => discover::named(&around, &key, named),
        None => discover::discover(&around),
    };
    found.map_err(|error| Failure::new(Exit::Faulty, error).into())
}

fn around(settings: &Settings) -> discover::Surroundings {
    let environment = &settings.environment;
    discover::Surroundings {
        endpoint: settings.config.hosts.local.endpoint.clone(),
        docker_host: environment.text(Var::DockerHost),
        docker_context: environment.text(Var::DockerContext),
        docker_config: environment.path(Var::DockerConfig),
        docker_cert_path: environment.path(Var::DockerCertPath),
        docker_tls: environment.text(Var::DockerTls),
        docker_tls_verify: environment.text(Var::DockerTlsVerify),
        docker_api_version: environment.text(Var::DockerApiVersion),
        docker_timeout: environment.text(Var::DockerTimeout),
        xdg_runtime_dir: environment.absolute(Var::XdgRuntimeDir),
        home: settings.folders.home.clone(),
        uid: user::id(),
    }
}

/// Folders and files of our own, which decide what may be done and what runs: no tool may come near them.
pub(crate) fn own_files(settings: &Settings) -> Vec<PathBuf> {
    let config = &settings.config;
    let guard_files = config.hosts.all().filter_map(|(_, host)| host.guard_file.clone());
    let tools = config.servers.values().filter_map(|own| own.tools.as_deref());
    let tools = tools.map(|file| toolfile::path(settings, file));
    let (run, memory) = own_folders(settings);
    [
        run,
        memory,
        settings.folders.config.clone(),
        settings.folders.state.clone(),
        settings.file.clone(),
        settings.database(),
    ]
    .into_iter()
    .chain(guard_files)
    .chain(tools)
    .collect()
}

/// Where sockets for containers lie, and where secrets do: in memory if the system has a place for that.
pub(crate) fn own_folders(settings: &Settings) -> (PathBuf, PathBuf) {
    let folder = |var| settings.environment.absolute(var);
    let run = folder(Var::XdgRuntimeDir).unwrap_or_else(|| PathBuf::from("/dev/shm"));
    let memory = folder(Var::Memory).unwrap_or_else(|| run.clone());
    let name = format!("dockmaster-{}", crate::user::id().unwrap_or_default());
    (run.join(&name), memory.join(&name))
}

fn surroundings(settings: &Settings, name: &str, host: &Host, endpoint: &Endpoint) -> Surroundings {
    let mut protected = own_files(settings);
    if let Endpoint::Unix(socket) = endpoint {
        protected.push(socket.clone());
    }
    Surroundings {
        host: name.to_owned(),
        file: Some(settings.file.clone()),
        policy_file: host.guard_file.clone(),
        home: settings.folders.home.clone(),
        protected,
        given: Vec::new(),
        // A TCP port of this machine may be the end of a tunnel.
        daemon: match endpoint {
            Endpoint::Unix(_) if !settings.is_bridge() => DaemonPlace::Local,
            _ => DaemonPlace::Remote,
        },
        shared: [Var::XdgRuntimeDir, Var::Memory]
            .into_iter()
            .filter(|_| settings.is_bridge())
            .filter_map(|folder| settings.environment.absolute(folder))
            .collect(),
    }
}

/// The logins of registries.
pub(crate) fn credentials(settings: &Settings) -> Result<Credentials> {
    let environment = &settings.environment;
    let explicit = Explicit::parse(Given {
        username: environment.text(Var::RegistryUsername),
        password: environment.text(Var::RegistryPassword).map(Secret::new),
        auth_config: environment.text(Var::RegistryAuthConfig).map(Secret::new),
        scope: scope(settings.config.docker.credentials_for.as_deref())?,
    });
    Ok(Credentials::new(engine::credentials::Options {
        config_dir: around(settings).config_dir(),
        path: environment.raw(Var::Path),
        explicit: explicit.map_err(|error| Failure::new(Exit::Faulty, error))?,
        ..engine::credentials::Options::default()
    }))
}

fn scope(registries: Option<&[String]>) -> Result<Scope> {
    let Some(registries) = registries else {
        return Ok(Scope::Hub);
    };
    if registries.iter().any(|registry| registry == "*") {
        return Ok(Scope::Every);
    }
    let parse = |text: &String| {
        RegistryHost::parse(text).ok_or_else(|| {
            faulty(
                "docker.credentials_for",
                &format!("{text:?} is not a registry's host"),
            )
        })
    };
    Ok(Scope::Registries(
        registries.iter().map(parse).collect::<Result<_>>()?,
    ))
}

pub(crate) fn faulty(key: &str, fault: &dyn std::fmt::Display) -> anyhow::Error {
    Failure::new(Exit::Faulty, format!("{key}: {fault}")).into()
}

/// The hosts beside `local`, as the Docker server's tools use them.
pub(crate) struct Others(Hosts);

impl Others {
    /// `None`: there are none, and nobody is to hear of them.
    pub(crate) fn of(hosts: &Hosts) -> Option<Arc<dyn Elsewhere>> {
        let has_others = hosts.names().any(|name| name.as_str() != LOCAL);
        has_others.then(|| Arc::new(Self(hosts.clone())) as Arc<dyn Elsewhere>)
    }
}

impl Elsewhere for Others {
    fn names(&self) -> Vec<String> {
        let names = self.0.names().map(ToString::to_string);
        names.filter(|name| name != LOCAL).collect()
    }

    fn host(&self, name: &str) -> Result<Far, String> {
        let host = self.0.get(name).map_err(|error| error.to_string())?;
        let engine = host.engine()?;
        let scope_label = engine.options().guard.label().map(label);
        Ok(Far { engine, scope_label })
    }
}

/// The label that confines an engine, as one to put on what is created.
pub(crate) fn label(label: &engine::guard::Label) -> String {
    let text = label.to_string();
    if text.contains('=') {
        text
    } else {
        format!("{text}=")
    }
}
