//! One connection to one host, logged in: opening streams over it, as many at a time as the host takes.

use crate::Error;
use crate::guard::Guard;
use crate::stream::{Opened, Stream};
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Disconnect};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Streams to sockets and ports at a time. sshd has no limit of its own; more than this is a fault of ours.
const STREAMS: usize = 128;

/// A connection that is logged in. It ends when the last handle and the last stream are gone.
pub(crate) struct Session {
    pub(crate) host: String,
    pub(crate) tasks: TaskTracker,
    handle: Handle<Guard>,
    limits: Limits,
    streams: Arc<Semaphore>,
    commands: Arc<Semaphore>,
    taken: Mutex<Taken>,
    retired: AtomicBool,
    /// Cuts what the connection runs over.
    _cut: DropGuard,
    /// The session that this one runs through.
    _via: Option<Arc<Session>>,
}

/// How long a slot is left alone after the host has taken no more. It may have had fewer only then: over there a command
/// counts until it has ended, which can be after its stream.
const LEFT_ALONE: Duration = Duration::from_secs(2);

/// What is known of how many commands a host takes.
#[derive(Debug, Default)]
struct Taken {
    /// Whether it has taken any.
    any: bool,
    /// When the slots that are left alone come back.
    back: Vec<Instant>,
}

/// Bounds of sessions.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a TCP connection may take, where the configuration has no `ConnectTimeout`.
    pub connect: Duration,
    /// How long each step after that may take: the key exchange, a key, a stream.
    pub step: Duration,
    /// How long a stream may wait for others to end.
    pub queue: Duration,
    /// How long a command may wait so before a further connection is made for it.
    pub crowd: Duration,
    /// How long a person may think about an unknown host.
    pub ask: Duration,
    /// Commands at a time; sshd takes ten (`MaxSessions`). Where a host takes fewer, that is found out.
    pub commands: usize,
    /// How long a host is left alone after a failure, doubled by each further one.
    pub rest: Duration,
    /// The longest such time.
    pub longest_rest: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            step: Duration::from_secs(10),
            queue: Duration::from_mins(1),
            crowd: Duration::from_secs(2),
            ask: Duration::from_mins(5),
            commands: 8,
            rest: Duration::from_millis(500),
            longest_rest: Duration::from_secs(30),
        }
    }
}

/// What a stream leads to.
#[derive(Debug, Clone)]
pub(crate) enum Goal {
    Unix(String),
    Tcp(String, u16),
    Command(String),
    Subsystem(&'static str),
}

impl Goal {
    /// Whether it is a session of its own, of which sshd counts how many there are (`MaxSessions`).
    pub(crate) fn is_session(&self) -> bool {
        matches!(self, Self::Command(_) | Self::Subsystem(_))
    }
}

impl Session {
    pub(crate) fn new(
        host: String,
        handle: Handle<Guard>,
        cut: CancellationToken,
        via: Option<Arc<Self>>,
        limits: Limits,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            host,
            tasks,
            handle,
            streams: Arc::new(Semaphore::new(STREAMS)),
            commands: Arc::new(Semaphore::new(limits.commands)),
            taken: Mutex::default(),
            limits,
            retired: AtomicBool::new(false),
            _cut: cut.drop_guard(),
            _via: via,
        }
    }

    /// Whether new streams may be opened on it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.handle.is_closed()
    }

    /// Nothing new is opened on it; what is open goes on.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Says goodbye; every stream ends.
    pub(crate) async fn close(&self) {
        self.retire();
        let goodbye = self.handle.disconnect(Disconnect::ByApplication, "", "");
        let _ = timeout(self.limits.step, goodbye).await;
    }

    /// Opens a stream, within this time where others have to end first. Nothing was begun over there when this fails,
    /// unless the error says that it may have been.
    pub(crate) async fn open(self: Arc<Self>, goal: Goal, within: Duration) -> Result<Stream, Unopened> {
        let is_session = goal.is_session();
        let slots = if is_session { &self.commands } else { &self.streams };
        let give_up = Instant::now() + within;
        let mut first_refusal = None;
        loop {
            self.bring_back();
            let left = give_up.saturating_duration_since(Instant::now());
            let wait = timeout(left.min(LEFT_ALONE), Arc::clone(slots).acquire_owned());
            let Ok(Ok(permit)) = wait.await else {
                if left > LEFT_ALONE {
                    continue;
                }
                return Err(Unopened::Crowded(first_refusal.unwrap_or(Error::Late {
                    host: self.host.clone(),
                    step: "waiting for other streams to end",
                    limit: within,
                })));
            };
            // In a task, so that a channel that is opened although nobody waits any more is closed again.
            let (answer, opened) = oneshot::channel();
            let (session, goal_there) = (Arc::clone(&self), goal.clone());
            self.tasks.spawn(async move {
                let result = session.open_now(goal_there, permit).await;
                // A stream that nobody takes closes itself.
                let _ = answer.send(result);
            });
            match opened.await {
                Ok(Ok(stream)) => {
                    self.taken().any |= is_session;
                    return Ok(stream);
                }
                Ok(Err(Failed { error, permit })) => {
                    let waits = is_session && permit.is_some_and(|permit| self.gives_up(permit));
                    if !waits {
                        return Err(Unopened::Failed(error));
                    }
                    first_refusal = Some(error);
                }
                Err(_) => return Err(Unopened::Failed(self.lost("a stream was opened", false))),
            }
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a refusal by a host that has taken others, or may be about to: it takes no more at a time than these. The slot
    /// is left alone, and the caller waits for its turn.
    fn gives_up(&self, permit: OwnedSemaphorePermit) -> bool {
        let mut taken = self.taken();
        let free = self.commands.available_permits() + taken.back.len();
        let is_alone = self.limits.commands.saturating_sub(free) <= 1;
        if is_alone && !taken.any {
            return false;
        }
        taken.back.push(Instant::now() + LEFT_ALONE);
        permit.forget();
        true
    }

    /// The slots that were left alone for long enough.
    fn bring_back(&self) {
        let now = Instant::now();
        let mut taken = self.taken();
        let before = taken.back.len();
        taken.back.retain(|back| *back > now);
        self.commands.add_permits(before - taken.back.len());
    }

    async fn open_now(self: Arc<Self>, goal: Goal, permit: OwnedSemaphorePermit) -> Result<Stream, Failed> {
        let limit = self.limits.step;
        let late = |step| Error::Late {
            host: self.host.clone(),
            step,
            limit,
        };
        let channel = match timeout(limit, self.channel(&goal)).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                let error = self.refused(&goal, &reason);
                return Err(Failed {
                    error,
                    permit: Some(permit),
                });
            }
            Ok(Err(_)) => return Err(self.lost("a stream was opened", false).into()),
            Err(_) => {
                // A connection that does not answer is not given more to do.
                self.retire();
                return Err(late("opening a stream").into());
            }
        };
        let (mut read, write) = channel.split();
        let mut early = Vec::new();
        if goal.is_session() {
            let begin = async {
                let asked = match &goal {
                    Goal::Command(command) => write.exec(true, command.as_bytes()).await,
                    Goal::Subsystem(name) => write.request_subsystem(true, *name).await,
                    Goal::Unix(_) | Goal::Tcp(..) => Ok(()),
                };
                asked.map_err(|_| false)?;
                loop {
                    match read.wait().await {
                        Some(ChannelMsg::Success) => return Ok(true),
                        Some(ChannelMsg::Failure) => return Ok(false),
                        Some(ChannelMsg::Close) | None => return Err(true),
                        Some(other) => early.push(other),
                    }
                }
            };
            match timeout(limit, begin).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    let _ = timeout(limit, write.close()).await;
                    let error = Error::Refused {
                        host: self.host.clone(),
                        what: goal.to_string(),
                        reason: match &goal {
                            Goal::Subsystem(_) => {
                                "its sshd_config has no such Subsystem, or not for this user"
                            }
                            _ => "it runs no commands for this user",
                        }
                        .into(),
                    };
                    return Err(error.into());
                }
                Ok(Err(may_have_happened)) => {
                    return Err(self.lost("a command was begun", may_have_happened).into());
                }
                Err(_) => {
                    self.retire();
                    return Err(self
                        .lost("a command was begun, without an answer in time", true)
                        .into());
                }
            }
        }
        Ok(Stream::new(Opened {
            read,
            write,
            early,
            what: format!("{goal} on {}", self.host),
            is_command: matches!(goal, Goal::Command(_)),
            session: self,
            permit,
        }))
    }

    async fn channel(&self, goal: &Goal) -> Result<Channel<Msg>, russh::Error> {
        match goal {
            Goal::Unix(path) => self.handle.channel_open_direct_streamlocal(path).await,
            Goal::Tcp(host, port) => {
                self.handle
                    .channel_open_direct_tcpip(host, u32::from(*port), "127.0.0.1", 0)
                    .await
            }
            Goal::Command(_) | Goal::Subsystem(_) => self.handle.channel_open_session().await,
        }
    }

    fn refused(&self, goal: &Goal, reason: &ChannelOpenFailure) -> Error {
        let reason = match (reason, goal) {
            (ChannelOpenFailure::AdministrativelyProhibited, Goal::Command(_) | Goal::Subsystem(_)) => "its sshd forbids it".to_owned(),
            (ChannelOpenFailure::AdministrativelyProhibited, _) => {
                "its sshd forbids forwarding (AllowStreamLocalForwarding and AllowTcpForwarding in sshd_config, or                  'restrict' in authorized_keys)"
                    .to_owned()
            }
            (ChannelOpenFailure::ConnectFailed, Goal::Unix(_)) => {
                "nothing listens there, this user may not use it (is the user in the group that owns the socket?), or \
                 sshd forbids it (AllowStreamLocalForwarding)"
                    .to_owned()
            }
            (ChannelOpenFailure::ConnectFailed, Goal::Tcp(..)) => "nothing answers there".to_owned(),
            (ChannelOpenFailure::ConnectFailed | ChannelOpenFailure::ResourceShortage, _) => {
                "it takes no more at a time (MaxSessions in sshd_config)".to_owned()
            }
            (ChannelOpenFailure::UnknownChannelType, _) => "its SSH server does not know how".to_owned(),
            (ChannelOpenFailure::Other { reason, .. }, _) => {
                base::text::cut(&base::text::clean(reason), 200).to_owned()
            }
        };
        Error::Refused {
            host: self.host.clone(),
            what: goal.to_string(),
            reason,
        }
    }

    fn lost(&self, step: &'static str, may_have_happened: bool) -> Error {
        Error::Lost {
            host: self.host.clone(),
            step,
            may_have_happened,
        }
    }
}

/// Why a stream was not opened.
pub(crate) enum Unopened {
    /// It can't be, on any connection.
    Failed(Error),
    /// Others have not ended in time.
    Crowded(Error),
}

impl From<Unopened> for Error {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Failed(error) | Unopened::Crowded(error) => error,
        }
    }
}

struct Failed {
    error: Error,
    /// The slot, where the host itself said no.
    permit: Option<OwnedSemaphorePermit>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, permit: None }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "the socket {path}"),
            Self::Tcp(host, port) => write!(f, "{host} port {port}"),
            Self::Command(command) => write!(f, "'{}'", base::text::cut(command, 100)),
            Self::Subsystem(name) => write!(f, "the subsystem {name}"),
        }
    }
}
