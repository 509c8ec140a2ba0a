//! Engines behind `ssh://`: a stream for each connection of the engine's pool, over the one SSH connection to the host.
//! The daemon's socket is forwarded to; where that does not go, `docker system dial-stdio` speaks for it.
//!
//! Nobody is asked anything here: a gateway has no terminal. Unknown hosts are refused with their fingerprint, and
//! encrypted keys come from the agent.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use engine::{Connect, Duplex};
use futures_util::future::BoxFuture;

use crate::env::Var;
use crate::settings::{Settings, SshClient};
use crate::user;

/// Where a daemon listens unless it was told otherwise.
const SOCKET: &str = "/var/run/docker.sock";
/// What the docker CLI runs over there for the same purpose.
const DIAL: &str = "docker system dial-stdio";

/// What opens streams to the engine behind an address; nothing is connected yet.
pub(crate) fn connect(settings: &Settings, address: &engine::Ssh) -> Arc<dyn Connect> {
    match settings.config.hosts.local.ssh {
        SshClient::Own => Arc::new(Remote::new(settings, address)),
        SshClient::System => {
            let system = ssh::System::new(target(address));
            let dial = match &address.socket {
                None => DIAL.to_owned(),
                Some(path) => format!(
                    "docker -H {} system dial-stdio",
                    quoted(&format!("unix://{}", path.display()))
                ),
            };
            Arc::new(move || {
                let stream = system.exec(&dial);
                let stream: BoxFuture<'static, io::Result<Box<dyn Duplex>>> =
                    Box::pin(async move { Ok(Box::new(stream?) as Box<dyn Duplex>) });
                stream
            })
        }
    }
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn target(address: &engine::Ssh) -> ssh::Target {
    ssh::Target {
        user: address.user.clone(),
        host: address.host.clone(),
        port: address.port,
    }
}

/// Opens streams to an engine on another host.
struct Remote {
    host: Arc<ssh::Host>,
    /// The socket, if the address names one.
    socket: Option<String>,
}

impl Remote {
    fn new(settings: &Settings, address: &engine::Ssh) -> Self {
        let socket = address.socket.as_ref();
        Self {
            host: Arc::new(ssh::Host::new(target(address), options(settings))),
            socket: socket.map(|path| path.to_string_lossy().into_owned()),
        }
    }
}

impl Connect for Remote {
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        let (host, socket) = (Arc::clone(&self.host), self.socket.clone());
        Box::pin(async move {
            let refused = match host.unix(socket.as_deref().unwrap_or(SOCKET)).await {
                Ok(stream) => return Ok(Box::new(stream) as Box<dyn Duplex>),
                // A socket that was named is meant, and no other.
                Err(refused @ ssh::Error::Refused { .. }) if socket.is_none() => refused,
                Err(error) => return Err(error.into()),
            };
            let stream = host.exec(DIAL).await?;
            Ok(Box::new(stream.with_note(format!("{refused}; and "))) as Box<dyn Duplex>)
        })
    }
}

fn options(settings: &Settings) -> ssh::Options {
    let home = settings.folders.home.clone().unwrap_or_default();
    let environment = &settings.environment;
    ssh::Options {
        files: ssh::Files {
            user: Some(home.join(".ssh").join("config")),
            system: cfg!(unix).then(|| PathBuf::from("/etc/ssh/ssh_config")),
            home,
            user_name: user::name(environment),
        },
        agent: environment.absolute(Var::SshAuthSock).or_else(agent),
        ask: Arc::new(ssh::Nobody),
        limits: ssh::Limits::default(),
    }
}

/// Where the agent is when nothing says so.
fn agent() -> Option<PathBuf> {
    cfg!(windows).then(|| PathBuf::from(r"\\.\pipe\openssh-ssh-agent"))
}
