//! Containers of a single command whose pipes are somebody else's: both outputs as they come, an input, signals to all of
//! its processes, and an end that begins with the stop signal.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use engine::Output;
use engine::models::ExecConfig;
use tokio::io::AsyncWrite;
use tokio::time::timeout;

use crate::Error;
use crate::instances::Instances;
use crate::running::{Exited, Running, gone};
use crate::start::{Manner, Start, Wants};
use crate::stdio::Pipes;

/// How long it may take to find and signal the processes of a container.
const SIGNALLING: Duration = Duration::from_secs(10);
/// The exit code of what was killed with its container.
const KILLED: i64 = 137;
/// Those of what could not be started.
const NOT_EXECUTABLE: i64 = 126;
const NOT_THERE: i64 = 127;

/// A command that runs in a container of its own. Dropping it ends and removes that.
#[derive(Debug)]
pub struct Command {
    running: Running,
    server: String,
}

/// Its standard input. Shutting it down ends the input.
pub struct Input(Arc<Pipes>);

/// Its outputs. Whoever drops them says that the rest may be lost.
pub struct Outputs(Arc<Pipes>);

/// Whom a signal has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// All processes of the container.
    All,
    /// Its first process: there is no `sh` in the container by which others could be reached.
    First,
}

impl Instances {
    /// Runs a plan's command, and nothing of the image's, in a container of its own. Told to end, it has `grace`, in whole
    /// seconds, from the stop signal to the kill.
    ///
    /// # Errors
    /// Why it could not be run; nothing is left behind then.
    pub async fn command(
        &self,
        start: Start<'_>,
        grace: Duration,
    ) -> Result<(Command, Input, Outputs), Error> {
        let server = start.server.to_string();
        let wants = Wants {
            stdin: true,
            manner: Manner::Command(grace),
            keep_stderr: 0,
        };
        let running = Box::pin(self.start_as(start, wants)).await?;
        let pipes = Arc::clone(&running.pipes);
        let command = Command { running, server };
        Ok((command, Input(Arc::clone(&pipes)), Outputs(pipes)))
    }
}

impl Command {
    /// The container's name.
    pub fn container(&self) -> &str {
        self.running.name()
    }

    /// How it ended; waits for that. Its container may still be there for a moment.
    pub async fn exited(&self) -> Exited {
        self.running.exited().await
    }

    /// Ends it and waits until nothing is left of it.
    pub async fn end(&self) -> Exited {
        self.running.pipes.end.cancel();
        gone(self.running.stage.clone()).await
    }

    /// Sends a signal, named without `SIG`, to all of its processes but the engine's own init.
    ///
    /// # Errors
    /// The engine does not answer, or nothing of it runs any more.
    pub async fn signal(&self, name: &str) -> Result<Reached, Error> {
        let (engine, id) = (&self.running.engine, &self.running.id);
        let failed = |error| Error::engine("signal a command", &self.server, error);
        // Whoever sends to -1 reaches all but itself and the first process (kill(2)).
        let config = ExecConfig {
            cmd: Some(
                ["sh", "-c", "kill -s \"$1\" -1", "sh", name]
                    .map(str::to_owned)
                    .to_vec(),
            ),
            ..ExecConfig::default()
        };
        let mut has_begun = false;
        let all = async {
            let exec = engine.exec_create(id, config).await?;
            // Detached: the engine kills what it is to be joined to when the connection goes.
            engine.exec_start_detached(&exec).await?;
            has_begun = true;
            engine.exec_exit_code(&exec).await
        };
        let sent = timeout(SIGNALLING, all).await;
        match sent {
            // What the signal ended takes along who sent it.
            Ok(Ok(Some(0 | KILLED))) => return Ok(Reached::All),
            // There is nothing in the image that could send it.
            Ok(Ok(Some(NOT_EXECUTABLE | NOT_THERE))) => has_begun = false,
            Ok(Ok(_)) | Err(_) => {}
            // Its end took the container along.
            Ok(Err(engine::Error::NotFound { .. })) if has_begun => return Ok(Reached::All),
            Ok(Err(error @ engine::Error::NotFound { .. })) => return Err(failed(error)),
            Ok(Err(error)) => tracing::debug!("{}: no command in the container: {error}", self.server),
        }
        // The init passes it on to the command.
        match engine.container_kill(id, Some(name)).await {
            Ok(()) => Ok(Reached::First),
            // It has ended since then.
            Err(engine::Error::Conflict { .. } | engine::Error::NotFound { .. }) if has_begun => {
                Ok(Reached::All)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

impl Outputs {
    /// The next piece, as it came; none when both outputs have ended.
    ///
    /// # Errors
    /// The connection to the engine broke.
    pub async fn next(&mut self) -> io::Result<Option<Output>> {
        poll_fn(|cx| self.0.poll_any(cx)).await
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.0.silent.cancel();
    }
}

impl AsyncWrite for Input {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_input(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_input(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_input(cx, AsyncWrite::poll_shutdown)
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Input").field(&self.0).finish()
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outputs").field(&self.0).finish()
    }
}
