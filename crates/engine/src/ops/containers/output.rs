//! What a container gives over time: logs, statistics, its file system, and its process's own streams.
//!
//! Each stream owns a connection; dropping it is how the daemon learns to stop.

use crate::{Engine, Error, Hijacked, Output, Request, Tty, demux, path};
use base::names::ContainerRef;
use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// Which part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Of which outputs. A container with a terminal has the standard output only.
    pub outputs: Outputs,
    /// Each line begins with its time (RFC 3339 with nine digits) and a space.
    pub timestamps: bool,
    /// How many lines from the end.
    pub tail: Tail,
    /// Lines of this time and later.
    pub since: Option<Timestamp>,
    /// Lines of this time and earlier.
    pub until: Option<Timestamp>,
    /// Go on with what is written from now on, until the container ends or the stream is dropped.
    pub follow: bool,
}

impl Default for LogQuery {
    /// All there is, of both outputs.
    fn default() -> Self {
        Self {
            outputs: Outputs::Both,
            timestamps: false,
            tail: Tail::All,
            since: None,
            until: None,
            follow: false,
        }
    }
}

/// Standard output, standard error, or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Outputs {
    /// Both.
    #[default]
    Both,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Outputs {
    fn query(self, request: Request) -> Request {
        request
            .query("stdout", u8::from(self != Self::Stderr))
            .query("stderr", u8::from(self != Self::Stdout))
    }
}

/// How many lines from the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tail {
    /// All.
    #[default]
    All,
    /// So many.
    Lines(u64),
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Lines(count) => count.fmt(f),
        }
    }
}

/// What to be joined to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attach<'a> {
    /// Write to standard input; the container must have been made with one (`OpenStdin`).
    pub stdin: bool,
    /// Which outputs to read.
    pub outputs: Outputs,
    /// Begin with what was written before.
    pub logs: bool,
    /// The keys that detach; the daemon's own (`ctrl-p,ctrl-q`) where it is `None`.
    pub detach_keys: Option<&'a str>,
}

/// Joined to a container's or an exec instance's process.
#[derive(Debug)]
pub struct Attached {
    pub(crate) stream: Hijacked,
    pub(crate) what: String,
    pub(crate) tty: Tty,
}

impl Attached {
    /// The process's standard input, and its outputs taken apart. Shutting down the input ends it for the process;
    /// the outputs can still be read. The connection closes when both are dropped.
    pub fn split(self) -> (Input, impl Stream<Item = Result<Output, Error>> + Send + use<>) {
        let (read, write) = tokio::io::split(self.stream);
        let bytes = crate::stream::read_all(read, self.what.clone());
        (write, demux(self.what, self.tty, bytes))
    }

    /// The stream as it is.
    pub fn into_raw(self) -> Hijacked {
        self.stream
    }
}

/// A process's standard input.
pub type Input = tokio::io::WriteHalf<Hijacked>;

impl Engine {
    /// A container's log. `tty` says how it is written down: [`Tty::of`] reads it from the inspect answer.
    ///
    /// # Errors
    /// [`Error::Daemon`] when the container's log driver can't be read.
    pub async fn container_logs(
        &self,
        container: &ContainerRef,
        query: &LogQuery,
        tty: Tty,
    ) -> Result<impl Stream<Item = Result<Output, Error>> + Send + use<>, Error> {
        let request = query
            .outputs
            .query(Request::get(path!["containers", container, "logs"]))
            .query("tail", query.tail)
            .query_some("timestamps", query.timestamps.then_some("1"))
            .query_some("since", query.since.map(seconds))
            .query_some("until", query.until.map(seconds))
            .query_some("follow", query.follow.then_some("1"));
        let what = request.what();
        Ok(demux(what, tty, self.bytes(request).await?))
    }

    /// Statistics of a running container, about once a second. `cpu_stats` and `precpu_stats` of each are a second
    /// apart, but the first `precpu_stats` is empty.
    pub async fn container_stats(
        &self,
        container: &ContainerRef,
    ) -> Result<impl Stream<Item = Result<Value, Error>> + Send + use<>, Error> {
        self.lines(Request::get(path!["containers", container, "stats"]).query("stream", "1"))
            .await
    }

    /// Two samples of a container's statistics, taken `apart` from each other: the least from which processor use
    /// can be told. For a stopped container both are all zeros.
    pub async fn container_stats_pair(
        &self,
        container: &ContainerRef,
        apart: Duration,
    ) -> Result<[Value; 2], Error> {
        let first = self.container_stats_once(container).await?;
        tokio::time::sleep(apart).await;
        Ok([first, self.container_stats_once(container).await?])
    }

    /// One sample at once. Its `precpu_stats` is empty.
    pub async fn container_stats_once(&self, container: &ContainerRef) -> Result<Value, Error> {
        let request = Request::get(path!["containers", container, "stats"])
            .query("stream", "0")
            .query("one-shot", "1");
        self.json(request).await
    }

    /// Its whole file system as tar, without volumes.
    pub async fn container_export(
        &self,
        container: &ContainerRef,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        self.bytes(Request::get(path!["containers", container, "export"]))
            .await
    }

    /// Joins its first process. `tty` as for [`Engine::container_logs`].
    pub async fn container_attach(
        &self,
        container: &ContainerRef,
        attach: Attach<'_>,
        tty: Tty,
    ) -> Result<Attached, Error> {
        let request = attach
            .outputs
            .query(Request::post(path!["containers", container, "attach"]))
            .query("stream", "1")
            .query("stdin", u8::from(attach.stdin))
            .query("logs", u8::from(attach.logs))
            .query_some("detachKeys", attach.detach_keys);
        let what = request.what();
        Ok(Attached {
            stream: self.hijack(request).await?,
            what,
            tty,
        })
    }

    /// Tells its terminal another size, in characters.
    pub async fn container_resize(
        &self,
        container: &ContainerRef,
        rows: u16,
        columns: u16,
    ) -> Result<(), Error> {
        let request = Request::post(path!["containers", container, "resize"])
            .query("h", rows)
            .query("w", columns);
        self.raw(request).await.map(drop)
    }

    /// Which of the two forms a container's output has.
    pub async fn container_tty(&self, container: &ContainerRef) -> Result<Tty, Error> {
        self.container_inspect(container)
            .await
            .map(|inspect| Tty::of(&inspect))
    }
}

/// Unix seconds with nine decimals; the daemon knows no times before 1970.
fn seconds(time: Timestamp) -> String {
    let time = time.max(Timestamp::UNIX_EPOCH);
    format!("{}.{:09}", time.as_second(), time.subsec_nanosecond())
}
