//! One host: its connection, made when it is needed, kept, and made anew after a break by the next who needs it.
//!
//! A stream is asked for again only where nothing can have begun over there. After a failure the host is left alone for
//! a little; who asks in that time hears at once what went wrong.

use crate::config::Target;
use crate::open::{Opener, Options};
use crate::process::Running;
use crate::session::{Goal, Session, Unopened};
use crate::sftp::Sftp;
use crate::stream::Exit;
use crate::system::System;
use crate::{Error, Stream};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long what runs may take to end when a host is closed.
const ENDING: Duration = Duration::from_secs(10);

/// Most connections beside the first, for commands that it has no room for.
const FURTHER: usize = 3;

/// A host, and the connection to it that everyone shares. sshd bounds the sessions of a connection (`MaxSessions`), and some
/// stay, such as that of SFTP: where a command has waited for others in vain, it gets a further connection, as `ssh` does it
/// with a shared one.
pub struct Host {
    target: Target,
    opener: Opener,
    state: Mutex<State>,
    further: Mutex<Vec<Arc<Session>>>,
    sftp: Mutex<Option<Sftp>>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    failures: u32,
    rest: Option<Rest>,
    is_closed: bool,
}

struct Rest {
    until: Instant,
    last: Error,
}

/// Which client goes to a host.
#[derive(Debug, Clone)]
pub enum Client {
    /// Ours: one connection for everything.
    Own(Arc<Host>),
    /// The system's `ssh`, a process for each stream.
    System(System),
}

impl Client {
    /// Starts a command, as [`Host::start`] and [`System::start`] do.
    ///
    /// # Errors
    /// Why it can't be started, for a person or a model.
    pub async fn start(&self, command: &str) -> Result<Running, String> {
        match self {
            Self::Own(host) => host.start(command).await.map_err(|error| error.to_string()),
            Self::System(system) => system.start(command).map_err(|error| error.to_string()),
        }
    }

    /// The files of the host.
    ///
    /// # Errors
    /// Why they can't be reached, for a person or a model.
    pub async fn sftp(&self) -> Result<Sftp, String> {
        match self {
            Self::Own(host) => host.sftp().await.map_err(|error| error.to_string()),
            Self::System(system) => system.sftp().await.map_err(|error| error.to_string()),
        }
    }
}

/// What a command has written, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its stdout, up to the bound that was given.
    pub stdout: Vec<u8>,
    /// The first 4 KiB of its stderr.
    pub stderr: Vec<u8>,
    /// `None` if the host did not say.
    pub exit: Option<Exit>,
}

impl Host {
    /// A host; nothing is connected yet.
    pub fn new(target: Target, options: Options) -> Self {
        Self {
            target,
            opener: Opener::new(options),
            state: Mutex::default(),
            further: Mutex::default(),
            sftp: Mutex::default(),
        }
    }

    /// A stream to a Unix socket on the host (`direct-streamlocal@openssh.com`).
    ///
    /// # Errors
    /// No session, or [`Error::Refused`]; nothing has begun over there.
    pub async fn unix(&self, path: &str) -> Result<Stream, Error> {
        self.open(Goal::Unix(path.to_owned())).await
    }

    /// A stream to a TCP port as the host sees it (`direct-tcpip`, RFC 4254 §7.2).
    ///
    /// # Errors
    /// No session, or [`Error::Refused`]; nothing has begun over there.
    pub async fn tcp(&self, host: &str, port: u16) -> Result<Stream, Error> {
        self.open(Goal::Tcp(host.to_owned(), port)).await
    }

    /// Starts a command; the stream is its stdin and stdout. The far side's shell reads the text, so nothing from
    /// outside may be in it. Without a terminal, closing the stream is all that ends a command that does not read.
    ///
    /// # Errors
    /// As for a socket; and [`Error::Lost`], where the command may have begun.
    pub async fn exec(&self, command: &str) -> Result<Stream, Error> {
        self.open(Goal::Command(command.to_owned())).await
    }

    /// Starts a command, of which both outputs are read as they come. For the command's text the same holds as for
    /// [`Host::exec`].
    ///
    /// # Errors
    /// As [`Host::exec`].
    pub async fn start(&self, command: &str) -> Result<Running, Error> {
        Ok(Running::of(self.exec(command).await?))
    }

    /// The files of the host, over one stream that all who ask share; it stays until it breaks.
    ///
    /// # Errors
    /// No session, or no SFTP: [`Error::Refused`] where the host does not offer it, [`Error::Protocol`] where what answers
    /// speaks something else.
    pub async fn sftp(&self) -> Result<Sftp, Error> {
        let mut kept = self.sftp.lock().await;
        if let Some(sftp) = kept.as_ref().filter(|sftp| sftp.is_open()) {
            return Ok(sftp.clone());
        }
        let stream = self.open(Goal::Subsystem("sftp")).await?;
        let opened = Sftp::over(stream, self.opener.options.limits.step).await;
        let sftp = opened.map_err(|error| Error::Protocol {
            host: self.target.host.clone(),
            step: "beginning SFTP",
            reason: error.to_string(),
        })?;
        Ok(kept.insert(sftp).clone())
    }

    /// Runs a command to its end with an input, keeping at most `most` bytes of its stdout.
    ///
    /// # Errors
    /// As [`Host::exec`]; a command that fails is no error.
    pub async fn run(
        &self,
        command: &str,
        input: &[u8],
        most: usize,
        limit: Duration,
    ) -> Result<Output, Error> {
        let mut stream = self.exec(command).await?;
        let lost = || Error::Lost {
            host: self.target.host.clone(),
            step: "a command ran",
            may_have_happened: true,
        };
        let work = async {
            // A command that does not read its input is no failure.
            if stream.write_all(input).await.is_ok() {
                let _ = stream.shutdown().await;
            }
            let mut stdout = Vec::new();
            let mut part = vec![0; 16 << 10];
            loop {
                match stream.read(&mut part).await {
                    Ok(0) => break,
                    Ok(count) => {
                        let room = most.saturating_sub(stdout.len()).min(count);
                        stdout.extend_from_slice(part.get(..room).unwrap_or_default());
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Err(lost()),
                    Err(_) => break,
                }
            }
            Ok(Output {
                stdout,
                stderr: stream.complaint().to_vec(),
                exit: stream.exit().cloned(),
            })
        };
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(lost()))
    }

    /// Ends the connection and every stream, and waits for that. What is asked for later fails.
    pub async fn close(&self) {
        drop(self.sftp.lock().await.take());
        let session = {
            let mut state = self.state.lock().await;
            state.is_closed = true;
            state.session.take()
        };
        let further = std::mem::take(&mut *self.further.lock().await);
        for session in session.into_iter().chain(further) {
            session.close().await;
        }
        self.opener.tasks.close();
        let _ = tokio::time::timeout(ENDING, self.opener.tasks.wait()).await;
    }

    async fn open(&self, goal: Goal) -> Result<Stream, Error> {
        let session = self.session().await?;
        let limits = &self.opener.options.limits;
        let within = if !goal.is_session() {
            limits.queue
        } else if self.further.lock().await.is_empty() {
            limits.crowd
        } else {
            // What stays on the first has stayed there before.
            Duration::ZERO
        };
        match Arc::clone(&session).open(goal.clone(), within).await {
            // The connection was broken without anyone knowing; over a new one it is the first attempt.
            Err(Unopened::Failed(Error::Lost {
                may_have_happened: false,
                ..
            })) => {
                session.retire();
                Ok(self.session().await?.open(goal, limits.queue).await?)
            }
            Err(Unopened::Crowded(_)) if goal.is_session() => self.open_beside(goal).await,
            result => Ok(result?),
        }
    }

    /// Opens what the first connection has no room for. Where nobody has, it waits there.
    async fn open_beside(&self, goal: Goal) -> Result<Stream, Error> {
        let mut further = self.further.lock().await;
        further.retain(|session| session.is_usable());
        for session in further.iter() {
            match Arc::clone(session).open(goal.clone(), Duration::ZERO).await {
                Err(Unopened::Crowded(_)) => {}
                result => return Ok(result?),
            }
        }
        // Nor is one made once the host is closed.
        let first = self.session().await?;
        let queue = self.opener.options.limits.queue;
        if further.len() == FURTHER {
            drop(further);
            return Ok(first.open(goal, queue).await?);
        }
        let session = self.opener.open(self.target.clone(), None, 0).await?;
        further.push(Arc::clone(&session));
        drop(further);
        Ok(session.open(goal, queue).await?)
    }

    /// The session, a new one where there is none. Who comes while one is made waits for it.
    async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut state = self.state.lock().await;
        if state.is_closed {
            return Err(Error::Closed {
                host: self.target.host.clone(),
            });
        }
        if let Some(session) = state.session.take_if(|session| !session.is_usable()) {
            // Streams that are on it keep it until they end.
            drop(session);
        }
        if let Some(session) = &state.session {
            return Ok(Arc::clone(session));
        }
        if let Some(rest) = &state.rest
            && let Some(wait) = rest
                .until
                .checked_duration_since(Instant::now())
                .filter(|wait| !wait.is_zero())
        {
            return Err(Error::Resting {
                last: Box::new(rest.last.clone()),
                wait,
            });
        }
        match self.opener.open(self.target.clone(), None, 0).await {
            Ok(session) => {
                *state = State {
                    session: Some(Arc::clone(&session)),
                    ..State::default()
                };
                Ok(session)
            }
            Err(error) => {
                let limits = &self.opener.options.limits;
                let wait = limits
                    .rest
                    .saturating_mul(1 << state.failures.min(16))
                    .min(limits.longest_rest);
                state.failures += 1;
                state.rest = Some(Rest {
                    until: Instant::now() + wait,
                    last: error.clone(),
                });
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
