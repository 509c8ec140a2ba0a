//! Commands that are kept: their input can be written and their output read in turns, and they are ended when told,
//! when nobody cares for them any more, or with the server.

use super::output::HeadTail;
use super::running::{Config, Ended, Running, begin};
use crate::ctx::Ctx;
use crate::error::{Code, Kind, ToolError};
use crate::server::State;
use base::names::ContainerRef;
use engine::ops::containers::Input;
use engine::{Error, Output};
use futures_util::{Stream, StreamExt};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Sessions at once.
const MOST: usize = 16;
/// Unread output that is kept of each; of more, beginning and end.
const UNREAD: usize = 256 << 10;
/// A session that nobody reads or writes for so long is ended, and one that ended is forgotten.
const IDLE: Duration = Duration::from_mins(15);
/// Input is written at once or not at all; a command that doesn't read would hold the call for ever.
const WRITING: Duration = Duration::from_secs(10);

/// All sessions of a server.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Mutex<BTreeMap<String, Arc<Session>>>,
}

#[derive(Debug)]
struct Session {
    container: ContainerRef,
    command: String,
    running: Running,
    input: tokio::sync::Mutex<Option<Input>>,
    inner: Mutex<Inner>,
    changed: Notify,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Inner {
    unread: HeadTail,
    used: Instant,
    status: Status,
}

/// How a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// Its command runs.
    Running,
    /// It ended, with this code if the engine knows it.
    Exited(Option<i64>),
    /// It was ended, or an attempt was made.
    Stopped(Ended),
    /// The connection broke.
    Lost(String),
}

/// Output taken from a session, and how it is after that.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) container: ContainerRef,
    pub(crate) text: String,
    pub(crate) status: Status,
}

impl Sessions {
    /// Starts a session and gives its name.
    pub(crate) async fn start(
        &self,
        ctx: &Ctx,
        container: &ContainerRef,
        config: Config,
        command: String,
    ) -> Result<String, ToolError> {
        self.forget_old();
        if self.lock().len() >= MOST {
            return Err(
                ToolError::new(Code::Conflict, format!("{MOST} exec sessions are open already"))
                    .fix("end one with end_exec_session"),
            );
        }
        let (running, attached) = begin(ctx, container, config).await?;
        let (input, outputs) = attached.split();
        let session = Arc::new(Session {
            container: container.clone(),
            command,
            running,
            input: tokio::sync::Mutex::new(Some(input)),
            inner: Mutex::new(Inner {
                unread: HeadTail::new(UNREAD),
                used: Instant::now(),
                status: Status::Running,
            }),
            changed: Notify::new(),
            stop: ctx.state().core.closing.child_token(),
        });
        let id = format!("{:x}", server_kit::random::number());
        let id = base::text::cut(&id, 8).to_owned();
        self.lock().insert(id.clone(), Arc::clone(&session));
        let state: &State = ctx.state();
        state.core.tasks.spawn(keep(session, outputs));
        Ok(id)
    }

    /// Waits until there is output or the command has ended, at most `wait`, and takes at most `room` bytes.
    pub(crate) async fn read(&self, id: &str, wait: Duration, room: usize) -> Result<Taken, ToolError> {
        let session = self.find(id)?;
        session.settle(wait).await;
        let taken = session.take(room);
        if taken.status != Status::Running && session.is_empty() {
            self.lock().remove(id);
        }
        Ok(taken)
    }

    /// Writes to the command's input, and closes it if asked to.
    pub(crate) async fn write(&self, id: &str, text: &str, close: Close) -> Result<(), ToolError> {
        let session = self.find(id)?;
        let mut slot = session.input.lock().await;
        let Some(input) = slot.as_mut() else {
            return Err(ToolError::new(
                Code::Conflict,
                format!("the input of session {id} is closed"),
            ));
        };
        let writing = async {
            input.write_all(text.as_bytes()).await?;
            input.flush().await?;
            if close == Close::Yes {
                input.shutdown().await?;
            }
            std::io::Result::Ok(())
        };
        let written = tokio::time::timeout(WRITING, writing).await;
        session.touch();
        match written {
            Ok(Ok(())) => {
                if close == Close::Yes {
                    *slot = None;
                }
                Ok(())
            }
            Ok(Err(error)) => {
                *slot = None;
                Err(ToolError::new(
                    Code::Conflict,
                    format!("the command reads no input any more: {error}"),
                )
                .fix("read_exec_session tells how it ended"))
            }
            Err(_) => {
                // A part may have been written; nobody can say what the command made of it.
                *slot = None;
                Err(ToolError::new(
                    Code::Timeout,
                    format!(
                        "the command did not take its input within {} s; its input is closed",
                        WRITING.as_secs()
                    ),
                )
                .fix("end_exec_session ends it"))
            }
        }
    }

    /// Ends the command and gives its last output.
    pub(crate) async fn end(&self, id: &str, room: usize) -> Result<Taken, ToolError> {
        let session = self.find(id)?;
        session.stop.cancel();
        session.settle_end().await;
        self.lock().remove(id);
        Ok(session.take(room))
    }

    /// One line for each: id, container, command, how it is.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        self.forget_old();
        let open = self.lock();
        let row = |(id, session): (&String, &Arc<Session>)| {
            let status = session.lock().status.to_string();
            vec![
                id.clone(),
                session.container.to_string(),
                session.command.clone(),
                status,
            ]
        };
        open.iter().map(row).collect()
    }

    fn find(&self, id: &str) -> Result<Arc<Session>, ToolError> {
        let session = self.lock().get(id).cloned();
        let session = session.ok_or_else(|| {
            ToolError::new(Code::Stale, format!("there is no exec session {:?}", base::text::cut(id, 40)))
                .about(Kind::Exec, base::text::cut(id, 40))
                .fix("sessions end with their command, after 15 minutes without use, and with the server; start a new one")
        })?;
        session.touch();
        Ok(session)
    }

    fn forget_old(&self) {
        self.lock().retain(|_, session| {
            let inner = session.lock();
            inner.status == Status::Running || inner.used.elapsed() < IDLE
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the input ends after what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    Yes,
    No,
}

impl Session {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        self.lock().used = Instant::now();
    }

    fn is_empty(&self) -> bool {
        self.lock().unread.is_empty()
    }

    /// Waits for the first output, and then a moment for the rest of it.
    async fn settle(&self, wait: Duration) {
        const REST: Duration = Duration::from_millis(100);
        let deadline = Instant::now() + wait;
        loop {
            let changed = self.changed.notified();
            {
                let inner = self.lock();
                if inner.status != Status::Running {
                    return;
                }
                if !inner.unread.is_empty() {
                    break;
                }
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(deadline) => return,
            }
        }
        // Output comes in pieces; until a pause, at most as long again.
        let enough = Instant::now() + REST * 5;
        while Instant::now() < enough {
            if tokio::time::timeout(REST, self.changed.notified()).await.is_err() {
                return;
            }
        }
    }

    async fn settle_end(&self) {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let changed = self.changed.notified();
            if self.lock().status != Status::Running {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(limit) => return,
            }
        }
    }

    fn take(&self, room: usize) -> Taken {
        let mut inner = self.lock();
        let mut unread = std::mem::replace(&mut inner.unread, HeadTail::new(UNREAD));
        unread.shrink(room);
        Taken {
            container: self.container.clone(),
            text: unread.text(),
            status: inner.status.clone(),
        }
    }

    fn ended(&self, status: Status) {
        self.lock().status = status;
        self.changed.notify_waiters();
    }

    /// When nobody has used it for too long.
    async fn idle(&self) {
        loop {
            let left = IDLE.saturating_sub(self.lock().used.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// Reads a session's output until it ends or is to be ended.
async fn keep(session: Arc<Session>, outputs: impl Stream<Item = Result<Output, Error>>) {
    let mut outputs = pin!(outputs);
    let status = loop {
        tokio::select! {
            output = outputs.next() => match output {
                Some(Ok(output)) => {
                    session.lock().unread.push(output.bytes());
                    session.changed.notify_waiters();
                }
                Some(Err(error)) => {
                    session.running.end().await;
                    break Status::Lost(error.to_string());
                }
                None => break Status::Exited(session.running.exit_code().await.ok().flatten()),
            },
            () = session.stop.cancelled() => break Status::Stopped(session.running.end().await),
            () = session.idle() => break Status::Stopped(session.running.end().await),
        }
    };
    session.ended(status);
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Exited(Some(code)) => write!(f, "exit {code}"),
            Self::Exited(None) => f.write_str("its output has ended"),
            Self::Stopped(ended) => ended.fmt(f),
            Self::Lost(error) => write!(f, "lost: {error}"),
        }
    }
}
