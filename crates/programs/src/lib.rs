//! Other programs that are asked one thing: credential helpers, `docker pass`, and in [`task`] whatever the user declares.
//! Found on a `PATH`, started without a shell, asked on stdin, and ended with their children when they take too long.
//!
//! What goes in and comes out may be secret: it is in no error and no argument, and the answer is wiped when it is dropped.
//! Deliberately absent: what the answers mean, programs that stay (`gateway`), and reading the environment; a program
//! inherits it except for what is withheld.

pub mod task;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

/// Most bytes of an answer: a list of some thousand names, or the longest value with its encoding.
const ANSWER: u64 = 1 << 20;
/// Most bytes of a complaint that are kept.
const COMPLAINT: u64 = 4 << 10;

/// How programs are found and started.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Where they are looked for, as `PATH` says; relative folders in it are passed over.
    pub path: Option<OsString>,
    /// Variables of this process that are none of their business.
    pub withhold: Vec<String>,
    /// How long one may take.
    pub limit: Duration,
}

/// What a program answered.
pub struct Answer {
    /// Whether it ended with exit code 0.
    pub is_success: bool,
    /// Its stdout, whole; at most 1 MiB.
    pub output: Zeroizing<Vec<u8>>,
    /// The first 4 KiB of its stderr.
    pub complaint: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The program is not on the `PATH`.
    Missing,
    /// It was stopped.
    Late(Duration),
    /// It could not be started, or its pipes broke.
    Failed(io::Error),
}

impl Programs {
    /// Runs a program to its end. No shell; `input` goes to its stdin, which is then closed.
    ///
    /// # Errors
    /// [`NoAnswer`]; a program that ends with an error has answered.
    pub async fn ask(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<Answer, NoAnswer> {
        let file = self.find(program).ok_or(NoAnswer::Missing)?;
        let mut running = self.start(&file, arguments).map_err(NoAnswer::Failed)?;
        let answer = tokio::time::timeout(self.limit, running.ask(input)).await;
        running.stop().await;
        answer
            .map_err(|_| NoAnswer::Late(self.limit))?
            .map_err(NoAnswer::Failed)
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
        std::env::split_paths(self.path.as_ref()?)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(&file))
            .find(|candidate| is_executable(candidate))
    }

    fn start(&self, file: &Path, arguments: &[&str]) -> io::Result<Running> {
        let mut command = Command::new(file);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in &self.withhold {
            command.env_remove(name);
        }
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        // A group of its own, so that a script ends with what it has started.
        #[cfg(unix)]
        command.process_group(0);
        Ok(Running {
            child: command.spawn()?,
            is_over: false,
        })
    }
}

impl Answer {
    /// What the program said of its failure: some complain on stdout, some on stderr. Never called on an answer that can
    /// hold a value.
    pub fn words(&self) -> String {
        let output = String::from_utf8_lossy(&self.output);
        let complaint = String::from_utf8_lossy(&self.complaint);
        let words = [output.trim(), complaint.trim()]
            .into_iter()
            .find(|words| !words.is_empty());
        let words = base::text::clean(words.unwrap_or("it ended with an error and without a word"));
        base::text::cut(&base::redact::text(&words), 300).replace('\n', " ")
    }

    /// Its stdout as text.
    ///
    /// # Errors
    /// It is none; the reason in words.
    pub fn text(&self) -> Result<&str, &'static str> {
        std::str::from_utf8(&self.output).map_err(|_| "its answer is not UTF-8 text")
    }
}

fn is_executable(path: &Path) -> bool {
    let Ok(meta) = fs_err::metadata(path) else {
        return false;
    };
    #[cfg(unix)]
    let has_bit = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let has_bit = true;
    meta.is_file() && has_bit
}

/// A program that runs. It ends with this value, and its children with it.
struct Running {
    child: Child,
    /// Whether it has ended and been waited for, so that its id may mean another process.
    is_over: bool,
}

impl Running {
    async fn ask(&mut self, input: &[u8]) -> io::Result<Answer> {
        let (stdin, stdout, stderr) = (
            self.child.stdin.take(),
            self.child.stdout.take(),
            self.child.stderr.take(),
        );
        let question = async {
            if let Some(mut stdin) = stdin {
                // One that does not read its question may still answer.
                let _unread = stdin.write_all(input).await;
            }
            Ok(())
        };
        let (output, complaint, ()) = tokio::try_join!(answer(stdout), complaint(stderr), question)?;
        let status = self.child.wait().await?;
        self.is_over = true;
        Ok(Answer {
            is_success: status.success(),
            output,
            complaint,
        })
    }

    /// Ends the program, if it has not ended by itself, and waits until it is gone.
    async fn stop(&mut self) {
        if !self.is_over {
            self.kill();
            self.is_over = self.child.wait().await.is_ok();
        }
    }

    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok())
            && let Some(group) = rustix::process::Pid::from_raw(group)
        {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _gone = self.child.start_kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.kill();
        }
    }
}

async fn answer(source: Option<impl AsyncRead + Unpin>) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::with_capacity(4 << 10));
    if let Some(source) = source {
        source.take(ANSWER + 1).read_to_end(&mut content).await?;
    }
    if content.len() as u64 > ANSWER {
        return Err(io::Error::other(format!(
            "its answer has more than {ANSWER} bytes"
        )));
    }
    Ok(content)
}

/// The beginning; the rest is read and forgotten, so that the program can end.
async fn complaint(source: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if let Some(mut source) = source {
        (&mut source).take(COMPLAINT).read_to_end(&mut content).await?;
        tokio::io::copy(&mut source, &mut tokio::io::sink()).await?;
    }
    Ok(content)
}
