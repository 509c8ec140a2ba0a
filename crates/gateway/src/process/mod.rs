//! A command on this machine as a [`Link`]: its standard input and output carry the messages, its standard error goes
//! to a sink, and its end takes all of its process group along.
//!
//! The command is given word by word and no shell reads it; it has exactly the environment that it is given.
//! Deliberately absent: whether commands may run at all (the configuration's matter), what is on standard output
//! (the connection tolerates garbage there), and a sandbox: a process may do what its user may.

mod child;
mod noise;

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Secret;
use tokio::process::Command;

use crate::parts::{Link, Wire};

/// Where a line of a server's standard error goes: cleaned, redacted, and of bounded length.
pub type StderrSink = Arc<dyn Fn(&str) + Send + Sync>;

/// A command that speaks MCP.
#[derive(Clone)]
pub struct Process {
    /// Program and arguments. A program without a slash is looked for in the `PATH` of [`Self::env`].
    pub command: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, Secret)>,
    /// Where it runs; `None`: where we do.
    pub working_dir: Option<PathBuf>,
    /// How long it may take to end by itself after its input was closed, and once more after it was told to end.
    pub grace: Duration,
    /// What it says on standard error.
    pub stderr: StderrSink,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl Process {
    /// Starts it. The link's driver has to run: it reads standard error, and ends the process when the link is
    /// dropped.
    ///
    /// # Errors
    /// Names the program: there is none, or the system does not start it.
    pub fn start(&self) -> io::Result<Link> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value.expose())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A net for a driver that is dropped in the middle.
            .kill_on_drop(true);
        if let Some(folder) = &self.working_dir {
            command.current_dir(folder);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| self.no_start(program, &error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other(format!("{program} has no pipes")));
        };
        let (stream, ends) = child::stream(stdin, stdout);
        let last = Arc::new(Mutex::new(None));
        let noise = noise::pass_on(stderr, remembering(&last, Arc::clone(&self.stderr)));
        let life = child::drive(child, ends, noise, self.grace);
        Ok(Link {
            wire: Wire::Pipe(Box::new(stream)),
            driver: Some(Box::pin(async move {
                let status = life.await?;
                let last = last.lock().unwrap_or_else(PoisonError::into_inner).take();
                Some(told(status, last.as_deref()))
            })),
        })
    }

    fn no_start(&self, program: &str, error: &io::Error) -> io::Error {
        let hint = match (error.kind(), &self.working_dir) {
            (io::ErrorKind::NotFound, Some(folder)) if !folder.is_dir() => {
                format!("; its working directory {} does not exist", folder.display())
            }
            (io::ErrorKind::NotFound, _) => "; is it installed, and on the PATH that it is given?".to_owned(),
            (io::ErrorKind::PermissionDenied, _) => "; is the file executable?".to_owned(),
            _ => String::new(),
        };
        io::Error::new(error.kind(), format!("{program} can't be started: {error}{hint}"))
    }
}

/// Passes lines on and keeps the last.
fn remembering(last: &Arc<Mutex<Option<String>>>, sink: StderrSink) -> StderrSink {
    let last = Arc::clone(last);
    Arc::new(move |line| {
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.to_owned());
        sink(line);
    })
}

/// How a process ended, on one line.
fn told(status: ExitStatus, last: Option<&str>) -> String {
    let end = match status.code() {
        Some(code) => format!("it ended by itself with exit code {code}"),
        None => format!("it was killed ({status})"),
    };
    match last {
        // Whole: it is cut by whoever redacts it, as half a secret is not known as one.
        Some(line) => format!("{end}; its last words: {line}"),
        None => end,
    }
}
