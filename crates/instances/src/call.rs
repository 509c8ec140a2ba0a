//! Containers of a single call: run, read to the end within bounds, and removed. There is no MCP server in them.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::instances::Instances;
use crate::running::Exited;
use crate::start::{Manner, Start, Wants};
use crate::{Error, Running};

/// How much a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// While it runs. That its image is fetched, and its container made, does not count.
    pub time: Duration,
    /// Bytes of each output that are kept; what is over it is counted.
    pub output: usize,
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Its standard output.
    pub stdout: Printed,
    /// Its standard error: where a tool says why it failed.
    pub stderr: Printed,
    /// Its time was up, so it was ended.
    pub timed_out: bool,
    /// How it ended.
    pub exited: Exited,
}

/// What was printed, as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Printed {
    /// The beginning, up to the bound.
    pub bytes: Vec<u8>,
    /// Bytes beyond it.
    pub more: u64,
}

impl Printed {
    /// Takes in a piece, up to `bound` bytes in all.
    pub(crate) fn add(&mut self, piece: &[u8], bound: usize) {
        let room = bound.saturating_sub(self.bytes.len()).min(piece.len());
        self.bytes
            .extend_from_slice(piece.get(..room).unwrap_or_default());
        self.more += u64::try_from(piece.len() - room).unwrap_or(0);
    }
}

impl Instances {
    /// Runs a container to its end. Giving up the future ends and removes it, too.
    ///
    /// # Errors
    /// Why it could not be run. A failing tool is no error.
    pub async fn call(&self, start: Start<'_>, bounds: Bounds) -> Result<Called, Error> {
        self.call_with(start, bounds, None).await
    }

    /// The same with a standard input, which is closed behind these bytes.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_with(
        &self,
        start: Start<'_>,
        bounds: Bounds,
        input: Option<&[u8]>,
    ) -> Result<Called, Error> {
        let wants = Wants {
            stdin: input.is_some(),
            manner: Manner::Server(self.inner.options.grace),
            keep_stderr: bounds.output,
        };
        let mut running = Box::pin(self.start_as(start, wants)).await?;
        let deadline = Instant::now() + bounds.time;
        let mut stdout = Printed::default();
        let read = read(&mut running, input, &mut stdout, bounds.output);
        let timed_out = timeout_at(deadline, read).await.is_err();
        let stderr = running.pipes.clone();
        let exited = if timed_out {
            running.stop().await
        } else {
            let exited = running.exited().await;
            drop(running);
            exited
        };
        Ok(Called {
            stdout,
            stderr: stderr.stderr.kept(),
            timed_out,
            exited,
        })
    }
}

/// Gives it its input, reads to the end of both outputs, and waits for the process.
async fn read(running: &mut Running, input: Option<&[u8]>, stdout: &mut Printed, bound: usize) {
    let Some(pipes) = running.take_stdio() else {
        return;
    };
    let (mut pipes, mut stdin) = tokio::io::split(pipes);
    let write = async {
        if let Some(input) = input {
            // One that does not read its input has its reasons.
            let _unread = stdin.write_all(input).await;
            let _closed = stdin.shutdown().await;
        }
    };
    let take = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length @ 1..) = pipes.read(&mut buffer).await {
            stdout.add(buffer.get(..length).unwrap_or_default(), bound);
        }
        // Dropping the pipes would end what has closed its outputs and goes on.
        running.exited().await;
    };
    tokio::pin!(write);
    tokio::pin!(take);
    // Who has ended reads no more.
    tokio::select! {
        () = &mut take => {}
        () = &mut write => take.await,
    }
}
