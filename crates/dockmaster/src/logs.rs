//! What servers write to their standard error: kept in a file for each, within a bound, without secrets.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use base::KnownSecrets;
use fs_err as fs;
use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::fleet::Driver;
use crate::private;

/// Bytes after which a log begins anew; the one before is kept, so twice this is on the disk.
const MOST: u64 = 1 << 20;
/// Lines that may wait to be written.
const QUEUE: usize = 256;

/// The folder with the logs.
#[derive(Clone)]
pub(crate) struct Logs {
    folder: PathBuf,
    known: KnownSecrets,
}

struct Log {
    folder: PathBuf,
    server: String,
    known: KnownSecrets,
    file: Option<(fs::File, u64)>,
}

impl Logs {
    pub(crate) fn new(folder: PathBuf, known: KnownSecrets) -> Self {
        Self { folder, known }
    }

    /// A channel for lines, and the work that writes them until the channel closes.
    pub(crate) fn sink(&self, server: &str) -> (mpsc::Sender<String>, Driver) {
        let (sender, mut lines) = mpsc::channel::<String>(QUEUE);
        let mut log = self.log(server);
        let work = async move {
            while let Some(line) = lines.recv().await {
                // A line is a few microseconds of buffered writing; a thread for each would cost more.
                log.write(&line);
            }
        };
        (sender, work.boxed())
    }

    /// Takes lines one by one.
    pub(crate) fn lines(&self, server: &str) -> Arc<dyn Fn(&str) + Send + Sync> {
        let log = Mutex::new(self.log(server));
        Arc::new(move |line| log.lock().unwrap_or_else(PoisonError::into_inner).write(line))
    }

    fn log(&self, server: &str) -> Log {
        Log {
            folder: self.folder.clone(),
            server: server.to_owned(),
            known: self.known.clone(),
            file: None,
        }
    }

    /// The last lines of a server's log, oldest first.
    pub(crate) fn tail(&self, server: &str, lines: usize) -> Result<Vec<String>> {
        let path = self.folder.join(format!("{server}.log"));
        let mut text = Vec::new();
        for path in [path.with_extension("log.1"), path] {
            match fs::File::open(&path) {
                Ok(mut file) => {
                    let length = file.metadata()?.len();
                    file.seek(SeekFrom::Start(length.saturating_sub(2 * MOST)))?;
                    file.take(2 * MOST).read_to_end(&mut text)?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).context("can't read the log"),
            }
        }
        let text = String::from_utf8_lossy(&text);
        let all: Vec<_> = text.lines().collect();
        let from = all.len().saturating_sub(lines);
        Ok(all[from..].iter().map(|line| (*line).to_owned()).collect())
    }
}

impl Log {
    /// Writes a line with its time; what can't be written is told once to our own log.
    fn write(&mut self, line: &str) {
        let mut line = base::redact::text(&base::text::clean(line)).into_owned();
        if let Some(replaced) = self.known.spotter().replace(&line) {
            line = replaced;
        }
        let line = format!("{} {line}\n", base::clock::now().strftime("%Y-%m-%dT%H:%M:%SZ"));
        if let Err(error) = self.append(&line) {
            tracing::warn!(server = self.server, "its log can't be written: {error}");
        }
    }

    fn append(&mut self, line: &str) -> std::io::Result<()> {
        let path = self.folder.join(format!("{}.log", self.server));
        if self.file.as_ref().is_some_and(|(_, bytes)| *bytes > MOST) {
            self.file = None;
            fs::rename(&path, path.with_extension("log.1"))?;
        }
        let (file, bytes) = match &mut self.file {
            Some(open) => open,
            none => {
                private::folder(&self.folder)?;
                let mut options = fs::OpenOptions::new();
                options.append(true).create(true);
                #[cfg(unix)]
                fs::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let file = options.open(&path)?;
                let bytes = file.metadata()?.len();
                none.insert((file, bytes))
            }
        };
        file.write_all(line.as_bytes())?;
        *bytes += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_within_the_bound_and_without_secrets() {
        let folder = tempfile::TempDir::new().unwrap();
        let logs = Logs::new(
            folder.path().join("logs"),
            [base::Secret::new("hunter2-hunter2")].into_iter().collect(),
        );
        assert!(logs.tail("memory", 10).unwrap().is_empty());
        let write = logs.lines("memory");
        for number in 0..40_000 {
            write(&format!(
                "line {number} of hunter2-hunter2 \u{1b}[31m and some text to fill it"
            ));
        }
        let tail = logs.tail("memory", 2).unwrap();
        assert_eq!(tail.len(), 2);
        assert!(
            tail[1].ends_with("Z line 39999 of [redacted]  and some text to fill it"),
            "{}",
            tail[1]
        );
        let bytes: u64 = fs::read_dir(folder.path().join("logs"))
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes < 2 * MOST + 200, "{bytes}");
    }
}
