//! A container and the task that owns it, from its start until nothing is left of it.
//!
//! The task ends it when its stream or its handle is dropped, when it is told to, and when the gateway closes; it
//! goes from the gentle to the rough (end of input, stop signal, kill) and always by the container's id.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::names::ContainerRef;
use engine::Engine;
use engine::ops::containers::{Exit, RemoveContainer, Stop, Waiting};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::egress::Traffic;
use crate::instances::Inner;
use crate::start::{Leftovers, Manner};
use crate::stdio::{Pipes, Stdio};

/// How long the last words of an ended server are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long whoever reads the outputs of a command has to take what is still on its way. The reader says when it has.
const LAST_OUTPUT: Duration = Duration::from_secs(10);
/// Pauses between attempts to remove a container. What is still there after the last is removed at the next start.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(2),
    Duration::from_secs(6),
];
/// How often a container is looked at whose end the engine failed to report.
const POLL: Duration = Duration::from_secs(2);
/// The exit code of what was killed: 128 and the signal.
const KILLED: i64 = 137;
/// Failed looks in a row after which it is given up.
const POLLS: u32 = 30;

/// A running copy of a server.
#[derive(Debug)]
pub struct Running {
    pub(crate) id: ContainerRef,
    pub(crate) name: String,
    pub(crate) fingerprint: String,
    pub(crate) stdio: Option<Stdio>,
    pub(crate) pipes: Arc<Pipes>,
    pub(crate) stage: watch::Receiver<Stage>,
    /// Behind the guard of its plan.
    pub(crate) engine: Engine,
    pub(crate) traffic: Option<Arc<Traffic>>,
}

/// How far its life is.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    Running,
    Exited(Exited),
    /// Nothing is left of it.
    Gone(Exited),
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exited {
    /// What ended it.
    pub end: End,
    /// The exit code; 128 + n after signal n. `None` if the engine could not tell.
    pub code: Option<i64>,
    /// Whether it was killed for the memory that it used.
    pub out_of_memory: OutOfMemory,
    /// The last lines of its standard error, cleaned but not redacted.
    pub stderr: Vec<String>,
    /// What the reader may try.
    pub hint: Option<&'static str>,
}

/// Whether an instance was killed because it used more memory than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfMemory {
    /// It was not.
    No,
    /// It was killed, and the engine does not say by whom. Engines lose the kernel's word of it (20.10 on cgroup v1 and
    /// Podman, now and then), and every instance has a bound on its memory.
    Perhaps,
    /// The engine says so.
    Yes,
}

/// What ended an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server itself.
    Itself,
    /// The end of its input, as servers should.
    Input,
    /// The stop signal, or the kill after it.
    Signal,
    /// It is not there any more, or the engine does not answer.
    Lost,
}

impl fmt::Display for Exited {
    /// One line, as long as the longest that is kept, neither cut nor redacted: "it ended by itself with exit code 1; its last words: …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.end {
            End::Itself => "it ended by itself",
            End::Input => "it was stopped",
            End::Signal => "it was stopped and had to be signalled",
            End::Lost => "its container is gone or the engine does not answer",
        })?;
        if let Some(code) = self.code {
            write!(f, " with exit code {code}")?;
        }
        f.write_str(match self.out_of_memory {
            OutOfMemory::No => "",
            OutOfMemory::Perhaps => {
                ": it was killed, and the limit on its memory may be why (if it is, raise `memory`)"
            }
            OutOfMemory::Yes => " because it used more memory than it may (raise `memory`)",
        })?;
        if let Some(last) = self.stderr.last() {
            write!(f, "; its last words: {last}")?;
        }
        match self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Exited {
    /// Whether it ended because it was told to.
    pub fn was_told_to(&self) -> bool {
        matches!(self.end, End::Input | End::Signal)
    }
}

impl Running {
    /// The container's id.
    pub fn id(&self) -> &ContainerRef {
        &self.id
    }

    /// The container's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What exactly runs; see [`crate::Image::fingerprint`].
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The server's pipes, once.
    pub fn take_stdio(&mut self) -> Option<Stdio> {
        self.stdio.take()
    }

    /// The last lines of its standard error so far, cleaned but not redacted.
    pub fn stderr(&self) -> Vec<String> {
        self.pipes.stderr.last()
    }

    /// How much goes through its proxy, if it has one.
    pub fn traffic(&self) -> Option<&Traffic> {
        self.traffic.as_deref()
    }

    /// How it ended; waits for that. [`Running::stop`] brings it about.
    pub async fn exited(&self) -> Exited {
        reached(self.stage.clone(), |stage| match stage {
            Stage::Exited(exited) | Stage::Gone(exited) => Some(exited.clone()),
            Stage::Running => None,
        })
        .await
    }

    /// Ends it and waits until nothing is left of it.
    pub async fn stop(self) -> Exited {
        self.pipes.end.cancel();
        gone(self.stage.clone()).await
    }
}

/// Waits until nothing is left of an instance.
pub(crate) async fn gone(stage: watch::Receiver<Stage>) -> Exited {
    reached(stage, |stage| match stage {
        Stage::Gone(exited) => Some(exited.clone()),
        _ => None,
    })
    .await
}

async fn reached(mut stage: watch::Receiver<Stage>, take: impl Fn(&Stage) -> Option<Exited>) -> Exited {
    let reached = stage.wait_for(|stage| take(stage).is_some()).await;
    let exited = reached.ok().and_then(|stage| take(&stage));
    exited.unwrap_or_else(|| Exited {
        end: End::Lost,
        code: None,
        out_of_memory: OutOfMemory::No,
        stderr: Vec::new(),
        hint: None,
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pipes.end.cancel();
    }
}

/// The task's side.
pub(crate) struct Owner {
    pub(crate) inner: Arc<Inner>,
    pub(crate) id: ContainerRef,
    pub(crate) waiting: Waiting,
    pub(crate) pipes: Arc<Pipes>,
    pub(crate) stage: watch::Sender<Stage>,
    pub(crate) leftovers: Leftovers,
    /// It runs as somebody else than its image would have it.
    pub(crate) other_user: bool,
    pub(crate) manner: Manner,
}

impl Owner {
    /// The whole life.
    pub(crate) async fn own(self) {
        let Self {
            inner,
            id,
            waiting,
            pipes,
            stage,
            leftovers,
            other_user,
            manner,
        } = self;
        let engine = &inner.engine;
        let container = Ending {
            engine,
            id: &id,
            pipes: &pipes,
            manner,
        };
        let mut waiting = std::pin::pin!(container.waited(waiting));
        let ended = tokio::select! {
            code = &mut waiting => Some(code),
            () = pipes.end.cancelled() => None,
            () = inner.closing.cancelled() => None,
        };
        let (end, code) = match ended {
            Some(Some(code)) => (End::Itself, Some(code)),
            Some(None) => (End::Lost, None),
            None => container.end(waiting).await,
        };
        // Whoever reads the stream gets what the server said last before its reason is told.
        let last_words = match manner {
            Manner::Server(_) => LAST_WORDS,
            Manner::Command(_) => LAST_OUTPUT,
        };
        if timeout(last_words, pipes.silent.cancelled()).await.is_err() {
            drop(timeout(LAST_WORDS, pipes.close_and_drain()).await);
        }
        let state = engine.container_inspect(&id).await.unwrap_or_default();
        let stderr = pipes.stderr.last();
        let code = code.or_else(|| exit_code(&state));
        let exited = Exited {
            end,
            code,
            out_of_memory: if state["State"]["OOMKilled"] == Value::Bool(true) {
                OutOfMemory::Yes
            } else if end == End::Itself && code == Some(KILLED) {
                OutOfMemory::Perhaps
            } else {
                OutOfMemory::No
            },
            hint: hint(end, code, &stderr, other_user),
            stderr,
        };
        stage.send_replace(Stage::Exited(exited.clone()));
        let removed = remove(engine, &id).await;
        inner.removed(leftovers.remove(engine).await && removed);
        stage.send_replace(Stage::Gone(exited));
    }
}

struct Ending<'a> {
    engine: &'a Engine,
    id: &'a ContainerRef,
    pipes: &'a Pipes,
    manner: Manner,
}

impl Ending<'_> {
    /// The exit code, `None` if the container is lost.
    async fn waited(&self, waiting: Waiting) -> Option<i64> {
        match waiting.exit().await {
            Ok(Exit { code, error: None }) => return Some(code),
            Ok(Exit {
                error: Some(error), ..
            }) => tracing::debug!("waiting for {}: {error}", self.id),
            Err(error) => tracing::debug!("waiting for {}: {error}", self.id),
        }
        // The connection broke, perhaps because the engine restarts: then the container may still run, or not.
        let mut failures = 0;
        while failures < POLLS {
            match self.engine.container_inspect(self.id).await {
                Ok(state) if state["State"]["Running"] == Value::Bool(true) => failures = 0,
                Ok(state) => return exit_code(&state),
                Err(engine::Error::NotFound { .. }) => return None,
                Err(_) => failures += 1,
            }
            sleep(POLL).await;
        }
        None
    }

    /// From the end of input over the stop signal to the kill.
    async fn end(
        &self,
        mut waiting: std::pin::Pin<&mut impl Future<Output = Option<i64>>>,
    ) -> (End, Option<i64>) {
        let grace = match self.manner {
            Manner::Server(grace) => grace,
            Manner::Command(grace) => return self.end_command(grace, waiting).await,
        };
        // Whoever reads to the end of the outputs drops the stream before the engine has told of the exit.
        let ended_first = self.pipes.silent.is_cancelled();
        let mut drained = std::pin::pin!(async {
            self.pipes.close_and_drain().await;
            std::future::pending::<()>().await;
        });
        let gently = async {
            tokio::select! {
                code = &mut waiting => code,
                () = &mut drained => None,
            }
        };
        if let Ok(code) = timeout(grace.input, gently).await {
            let end = match code {
                None => End::Lost,
                Some(_) if ended_first => End::Itself,
                Some(_) => End::Input,
            };
            return (end, code);
        }
        tokio::select! {
            () = self.stop(grace.signal) => {}
            () = &mut drained => {}
        }
        // The engine has killed it by now; if it has not, the removal does.
        let code = timeout(grace.signal.max(Duration::from_secs(1)), waiting).await;
        (End::Signal, code.ok().flatten())
    }

    /// A command need not read its input, so the end of that tells it nothing.
    async fn end_command(
        &self,
        grace: Duration,
        mut waiting: std::pin::Pin<&mut impl Future<Output = Option<i64>>>,
    ) -> (End, Option<i64>) {
        tokio::select! {
            // It may have ended before anybody wanted it to.
            biased;
            code = &mut waiting => return (End::Itself, code),
            () = std::future::ready(()) => {}
        }
        // That it has ended is heard before or after the engine says that it was stopped.
        let limit = grace + grace.max(Duration::from_secs(1));
        let (code, ()) = tokio::join!(timeout(limit, waiting), self.stop(grace));
        (End::Signal, code.ok().flatten())
    }

    async fn stop(&self, grace: Duration) {
        let stop = Stop {
            timeout: Some(u32::try_from(grace.as_secs()).unwrap_or(u32::MAX)),
            signal: None,
        };
        if let Err(error) = self.engine.container_stop(self.id, stop).await {
            tracing::warn!("container {} could not be stopped: {error}", self.id);
        }
    }
}

/// Removes a container with its anonymous volumes, running or not.
pub(crate) async fn remove(engine: &Engine, id: &ContainerRef) -> bool {
    let how = RemoveContainer {
        force: true,
        volumes: true,
    };
    for pause in PAUSES {
        sleep(pause).await;
        match engine.container_remove(id, how).await {
            Ok(()) | Err(engine::Error::NotFound { .. }) => return true,
            // Somebody else removes it already.
            Err(engine::Error::Conflict { message, .. }) if message.contains("already in progress") => {
                return true;
            }
            Err(error) => tracing::warn!("container {id} could not be removed: {error}"),
        }
    }
    false
}

/// What a container that has ended exited with.
fn exit_code(state: &Value) -> Option<i64> {
    let ended = state["State"]["Running"] == Value::Bool(false);
    state["State"]["ExitCode"].as_i64().filter(|_| ended)
}

fn hint(end: End, code: Option<i64>, stderr: &[String], other_user: bool) -> Option<&'static str> {
    if end != End::Itself || code == Some(0) {
        return None;
    }
    let denied = |line: &String| {
        let line = line.to_ascii_lowercase();
        line.contains("permission denied") || line.contains("eacces")
    };
    let read_only = |line: &String| line.to_ascii_lowercase().contains("read-only file system");
    if other_user && (stderr.iter().any(denied) || code == Some(126)) {
        return Some(
            "its image names no user, so it runs as an unprivileged one; if it can't do without, give it `user = \"root\"`",
        );
    }
    if stderr.iter().any(read_only) {
        return Some(
            "its root is read-only; if it can't do without, give it `writable_root = true` or a volume there",
        );
    }
    None
}
