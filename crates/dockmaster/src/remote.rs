//! Engines behind `ssh://`: a stream for each connection of the engine's pool, over the one SSH connection to the host.
//! The daemon's socket is forwarded to; where that does not go, `docker system dial-stdio` speaks for it.
//!
//! A gateway asks nobody: unknown hosts are refused with their fingerprint. Other commands ask whoever sits at the
//! terminal. Encrypted keys come from the agent, or their passphrases from the secrets.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use base::redact::Secret;
use engine::{Connect, Duplex};
use futures_util::future::BoxFuture;
use hosts::{Look, Machine};
use secrets::{SecretName, Sources};
use ssh::{Ask, LockedKey, Stranger, Trust};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::env::{Environment, Var};
use crate::settings::{Settings, SshClient};
use crate::user;
use crate::{keep, output};

/// Where a daemon listens unless it was told otherwise.
const SOCKET: &str = "/var/run/docker.sock";
/// What the docker CLI runs over there for the same purpose.
const DIAL: &str = "docker system dial-stdio";

/// How long a stream may take to open: hosts to jump over, each with limits of its own, and a person at a terminal who
/// compares a fingerprint. Requests have their deadlines all the same.
const OPENING: Duration = Duration::from_mins(10);
/// How long looking at a machine may take.
const LOOKING: Duration = Duration::from_secs(10);

/// A way to another machine.
#[derive(Clone)]
pub(crate) struct Way {
    /// Opens streams to its engine.
    pub(crate) connect: Arc<dyn Connect>,
    /// Looks at the machine itself.
    pub(crate) look: Arc<dyn Look>,
    /// Reaches its files, and runs commands there.
    pub(crate) client: ssh::Client,
}

/// The way to the engine behind an address; nothing is connected yet.
pub(crate) fn way(settings: &Settings, address: &engine::Ssh, client: SshClient) -> Result<Way> {
    Ok(match client {
        SshClient::Own => {
            let remote = Arc::new(Remote::new(settings, address)?);
            Way {
                connect: Arc::<Remote>::clone(&remote),
                client: ssh::Client::Own(Arc::clone(&remote.host)),
                look: remote,
            }
        }
        SshClient::System => {
            let system = Arc::new(BySystem::new(address));
            Way {
                connect: Arc::<BySystem>::clone(&system),
                client: ssh::Client::System(system.ssh.clone()),
                look: system,
            }
        }
    })
}

/// The system's `ssh`, started for each stream.
struct BySystem {
    ssh: ssh::System,
    dial: String,
}

impl BySystem {
    fn new(address: &engine::Ssh) -> Self {
        let dial = match &address.socket {
            None => DIAL.to_owned(),
            Some(path) => format!(
                "docker -H {} system dial-stdio",
                quoted(&format!("unix://{}", path.display()))
            ),
        };
        Self {
            ssh: ssh::System::new(target(address)),
            dial,
        }
    }
}

impl Connect for BySystem {
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        let stream = self.ssh.exec(&self.dial);
        Box::pin(async move { Ok(Box::new(stream?) as Box<dyn Duplex>) })
    }
}

impl Look for BySystem {
    fn look(&self, folder: String) -> BoxFuture<'_, Option<Machine>> {
        let stream = self.ssh.exec(&Machine::script(&folder));
        Box::pin(async move {
            let mut stream = stream.ok()?.take(Machine::ANSWER as u64);
            let mut answer = Vec::new();
            timeout(LOOKING, stream.read_to_end(&mut answer))
                .await
                .ok()?
                .ok()?;
            Machine::parse(&String::from_utf8_lossy(&answer))
        })
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
    fn new(settings: &Settings, address: &engine::Ssh) -> Result<Self> {
        let socket = address.socket.as_ref();
        Ok(Self {
            host: Arc::new(ssh::Host::new(target(address), options(settings)?)),
            socket: socket.map(|path| path.to_string_lossy().into_owned()),
        })
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

    fn limit(&self) -> Duration {
        OPENING
    }
}

impl Look for Remote {
    fn look(&self, folder: String) -> BoxFuture<'_, Option<Machine>> {
        Box::pin(async move {
            let script = Machine::script(&folder);
            let output = self.host.run(&script, &[], Machine::ANSWER, LOOKING).await.ok()?;
            Machine::parse(&String::from_utf8_lossy(&output.stdout))
        })
    }
}

/// This machine, where its engine listens at a Unix socket.
pub(crate) struct Here;

impl Look for Here {
    fn look(&self, folder: String) -> BoxFuture<'_, Option<Machine>> {
        Box::pin(async move {
            let mut sh = tokio::process::Command::new("sh");
            sh.args(["-c", &Machine::script(&folder)])
                .stdin(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .kill_on_drop(true);
            let output = timeout(LOOKING, sh.output()).await.ok()?.ok()?;
            Machine::parse(&String::from_utf8_lossy(&output.stdout))
        })
    }
}

/// Whether `ssh_config` says more of a host than of one that nobody has heard of.
pub(crate) fn ssh_config_knows(settings: &Settings, name: &str) -> Result<bool> {
    let resolve = |name: &str| -> Result<ssh::config::Resolved> {
        let target = ssh::Target {
            user: None,
            host: name.to_owned(),
            port: None,
        };
        let mut resolved = ssh::config::resolve(&files(settings), &target)?;
        // What a name means without any configuration.
        if resolved.host_name == name {
            resolved.host_name.clear();
        }
        resolved.alias.clear();
        resolved.notes.clear();
        Ok(resolved)
    };
    // As no host is called.
    Ok(resolve(name)? != resolve("nobody-has-heard-of-it.invalid")?)
}

fn files(settings: &Settings) -> ssh::Files {
    let home = settings.folders.home.clone().unwrap_or_default();
    ssh::Files {
        user: Some(home.join(".ssh").join("config")),
        system: cfg!(unix).then(|| PathBuf::from("/etc/ssh/ssh_config")),
        home,
        user_name: user::name(&settings.environment),
        variables: ssh::Variables::new(Environment::named),
    }
}

fn options(settings: &Settings) -> Result<ssh::Options> {
    let environment = &settings.environment;
    Ok(ssh::Options {
        files: files(settings),
        agent: environment.absolute(Var::SshAuthSock).or_else(agent),
        ask: Arc::new(Answers {
            secrets: keep::sources(settings)?,
            is_attended: settings.is_attended,
        }),
        limits: ssh::Limits::default(),
    })
}

/// Answers from the secrets (`ssh.id_ed25519` is the passphrase of the key in the file of that name), and by the person
/// where there is one.
struct Answers {
    secrets: Sources,
    is_attended: bool,
}

impl Ask for Answers {
    fn trust(&self, stranger: Stranger) -> BoxFuture<'_, Trust> {
        if !self.is_attended {
            return Box::pin(async { Trust::Refuse });
        }
        let Stranger {
            host,
            algorithm,
            fingerprint,
        } = stranger;
        let question = format!(
            "The host {host} is not known. It shows {algorithm} {fingerprint}; compare that with what its owner says. \
             Trust it from now on?"
        );
        // Reading a terminal can't be cancelled; a thread that still waits for it dies with the process.
        let answer = tokio::task::spawn_blocking(move || output::agree(&question));
        Box::pin(async move {
            match answer.await {
                Ok(Ok(Some(true))) => Trust::Remember,
                _ => Trust::Refuse,
            }
        })
    }

    fn passphrase(&self, key: LockedKey) -> BoxFuture<'_, Option<Secret>> {
        Box::pin(async move {
            if key.attempt == 1
                && let Some(kept) = self.kept(&key).await
            {
                return Some(kept);
            }
            if !self.is_attended {
                return None;
            }
            let question = format!("Passphrase of {} (not shown): ", key.file.display());
            let answer = tokio::task::spawn_blocking(move || output::unseen(&question));
            let answer = answer.await.ok()?.ok()?;
            (!answer.is_empty()).then(|| Secret::new(answer))
        })
    }
}

impl Answers {
    /// The passphrase of a key, as the secrets have it.
    async fn kept(&self, key: &LockedKey) -> Option<Secret> {
        let name = SecretName::parse(&format!("ssh.{}", key.file.file_name()?.to_str()?)).ok()?;
        let kept = self.secrets.get(&name).await;
        let kept = kept.inspect_err(|error| {
            tracing::warn!("the passphrase of {} can't be read: {error}", key.file.display());
        });
        kept.ok().flatten()
    }
}

/// Where the agent is when nothing says so.
fn agent() -> Option<PathBuf> {
    cfg!(windows).then(|| PathBuf::from(r"\\.\pipe\openssh-ssh-agent"))
}
