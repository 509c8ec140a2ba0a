//! The seam between the tools and the places where commands run: a runner starts a command and gives its pipes and a
//! handle on its whole process tree.
//!
//! A new place is a new [`Runner`]. Deliberately absent: whether a command may run (`rules`), how long it may take and
//! what becomes of its output (`jobs`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use crate::rules::Program;
use crate::signal::Signal;

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it runs, absolute.
    pub dir: Option<String>,
    /// Variables beyond those that the place gives every command.
    pub env: Vec<(String, String)>,
}

/// Which output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A command that runs. Dropping all of it ends the command with its tree.
pub struct Started {
    /// Its standard input; shutting it down ends the input.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its outputs as they come, until both have ended.
    pub outputs: BoxStream<'static, (Which, Bytes)>,
    /// Its process tree.
    pub process: std::sync::Arc<dyn Process>,
}

/// A process with all that it has started.
pub trait Process: Send + Sync {
    /// Waits until nothing of it runs any more, and says how its first process ended. Whatever outlives that process is
    /// ended. May be asked again, and given up.
    fn ended(&self) -> BoxFuture<'_, Exit>;

    /// Sends a signal to all of its processes.
    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<Reach, Fault>>;

    /// Ends all of it: SIGTERM, and SIGKILL for what is there after the grace.
    fn end(&self, grace: Duration) -> BoxFuture<'_, ()>;
}

/// Whom a signal has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The whole tree.
    Tree,
    /// Its first process alone.
    First,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// With a code or by a signal.
    pub how: How,
    /// What else is known of the reason, for the reader.
    pub remark: Option<String>,
}

/// With a code or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// An exit code.
    Code(i64),
    /// A signal ended it.
    Signal(i64),
    /// Nobody knows.
    Unknown,
}

impl How {
    /// From what shells and engines make of a signal, 128 and its number. A program can exit with such a code, too.
    pub fn of_code(code: i64) -> Self {
        match code {
            129..=192 => Self::Signal(code - 128),
            code => Self::Code(code),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(number) => match Signal::of_number(*number) {
                Some(signal) => write!(f, "ended by {signal} (exit {})", 128 + number),
                None => write!(f, "ended by signal {number} (exit {})", 128 + number),
            },
            Self::Unknown => f.write_str("ended, nobody knows how"),
        }
    }
}

/// Why something could not be done with a command; for a model to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// What was tried, on what, and why it failed.
    pub what: String,
    /// What to do.
    pub fix: Option<String>,
}

impl Fault {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: None,
        }
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// A place where commands run.
pub trait Runner: Send + Sync {
    /// In words: "on this host".
    fn place(&self) -> String;

    /// What is known of a program before it runs, by which it is judged.
    fn program(&self, command: &Command) -> Program;

    /// A folder as it really is, links followed, where that can be known before a command runs.
    fn real_dir(&self, dir: &Path) -> PathBuf {
        dir.to_owned()
    }

    /// Starts a command.
    ///
    /// # Errors
    /// Why not; nothing of it runs then.
    fn start<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Started, Fault>>;
}
