//! A program that is run to its end for its outputs: given word by word, with exactly the environment that it is given,
//! its outputs bounded, and ended with all of its process group when its time is up or nobody waits for it any more.
//!
//! A process that leaves its group (`setsid`) leaves this too; only a container holds such a one. Deliberately absent:
//! whether it may run at all, and what its outputs mean.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base::Secret;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::is_executable;

/// How long the outputs are read on after the program has ended: another process that it left behind may hold them.
const REST: Duration = Duration::from_secs(1);
/// How much is read at a time.
const CHUNK: usize = 16 << 10;

/// What is run.
#[derive(Debug)]
pub struct Task {
    /// A program without a slash is looked for in the `PATH` of [`Self::env`].
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, Secret)>,
    /// Where; `None`: where we are.
    pub working_dir: Option<PathBuf>,
    /// Its standard input, which is then closed.
    pub stdin: Vec<u8>,
    /// How long it may take.
    pub time: Duration,
    /// Bytes of standard output that are kept, of its beginning.
    pub output: usize,
    /// Bytes of standard error that are kept, of its end.
    pub complaint: usize,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The beginning of standard output.
    pub stdout: Vec<u8>,
    /// Bytes of standard output behind that.
    pub more: u64,
    /// The end of standard error.
    pub stderr: Vec<u8>,
    /// Bytes of standard error before that.
    pub before: u64,
    /// How it ended.
    pub end: End,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Its time was up.
    Late,
}

/// Why a task did not start.
#[derive(Debug)]
pub enum NoStart {
    /// There is no such program on its `PATH`.
    Missing,
    /// Its working directory is not there.
    NoFolder(PathBuf),
    /// The system does not start it.
    Failed(io::Error),
}

impl std::fmt::Display for NoStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such program on the PATH"),
            Self::NoFolder(folder) => write!(f, "its working directory {} is not there", folder.display()),
            Self::Failed(error) => write!(f, "it can't be started: {error}"),
        }
    }
}

impl std::error::Error for NoStart {}

impl Task {
    /// Runs it to its end. Dropping the future ends the program and its group.
    ///
    /// # Errors
    /// [`NoStart`]; a program that fails has run.
    pub async fn run(self) -> Result<Done, NoStart> {
        let mut running = self.start()?;
        let (stdin, out, err) = (
            running.child.stdin.take(),
            running.child.stdout.take(),
            running.child.stderr.take(),
        );
        let mut stdout = Beginning::new(self.output);
        let mut stderr = Tail::new(self.complaint);
        let input = self.stdin;
        let ran = {
            let talk = async {
                let write = async {
                    if let Some(mut stdin) = stdin {
                        // One that does not read its input has its reasons.
                        let _unread = stdin.write_all(&input).await;
                    }
                };
                tokio::join!(
                    write,
                    read(out, |piece| stdout.add(piece)),
                    read(err, |piece| stderr.add(piece))
                );
            };
            tokio::pin!(talk);
            let life = async {
                tokio::select! {
                    status = running.child.wait() => {
                        // What it left behind in its group ends with it, so that its outputs end, too.
                        running.kill_group();
                        let _cut_off = timeout(REST, &mut talk).await;
                        status
                    }
                    () = &mut talk => running.child.wait().await,
                }
            };
            timeout(self.time, life).await
        };
        let end = match ran {
            Ok(Ok(status)) => {
                running.is_over = true;
                ended(status)
            }
            Ok(Err(error)) => return Err(NoStart::Failed(error)),
            Err(_) => End::Late,
        };
        running.kill_group();
        if !running.is_over {
            // Killed; that it has ended is found out at once.
            running.is_over = running.child.wait().await.is_ok();
        }
        Ok(Done {
            stdout: stdout.bytes,
            more: stdout.more,
            stderr: stderr.bytes.into(),
            before: stderr.before,
            end,
        })
    }

    fn start(&self) -> Result<Running, NoStart> {
        let (program, arguments) = self.argv.split_first().ok_or(NoStart::Missing)?;
        let path = self.env.iter().find(|(name, _)| name == "PATH");
        let path = path.map(|(_, path)| path.expose()).unwrap_or_default();
        let file = find(program, path, self.working_dir.as_deref()).ok_or(NoStart::Missing)?;
        if let Some(folder) = self.working_dir.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(NoStart::NoFolder(folder.clone()));
        }
        let mut command = Command::new(file);
        command
            .args(arguments)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value.expose())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(folder) = &self.working_dir {
            command.current_dir(folder);
        }
        #[cfg(unix)]
        {
            // A program like busybox goes by the name that it is called by.
            command.arg0(program);
            command.process_group(0);
        }
        Ok(Running {
            #[cfg(unix)]
            group: None,
            child: command.spawn().map_err(NoStart::Failed)?,
            is_over: false,
        }
        .with_group())
    }
}

/// The file of a program: one with a slash is meant as it stands, another is looked for in the absolute folders of `path`.
pub fn find(program: &str, path: &str, working_dir: Option<&Path>) -> Option<PathBuf> {
    if program.contains('/') {
        let file = match working_dir {
            Some(folder) => folder.join(program),
            None => PathBuf::from(program),
        };
        return is_executable(&file).then_some(file);
    }
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&file))
        .find(|candidate| is_executable(candidate))
}

/// A program that runs. It and its group end with this value.
struct Running {
    child: Child,
    /// It has ended and been waited for.
    is_over: bool,
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
}

impl Running {
    #[cfg(unix)]
    fn with_group(mut self) -> Self {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        self.group = id.and_then(rustix::process::Pid::from_raw);
        self
    }

    #[cfg(not(unix))]
    fn with_group(self) -> Self {
        self
    }

    /// Ends all that is left of the group. Its number means nobody else as long as one of it is there, and a number that has
    /// just become free is not given out again at once.
    fn kill_group(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.group {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        if !self.is_over {
            let _gone = self.child.start_kill();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.kill_group();
        }
    }
}

async fn read(source: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) {
    let Some(mut source) = source else { return };
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = source.read(&mut buffer).await {
        take(buffer.get(..length).unwrap_or_default());
    }
}

fn ended(status: ExitStatus) -> End {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return End::Signal(signal);
    }
    End::Code(status.code().unwrap_or(-1))
}

/// The first bytes of an output.
#[derive(Debug)]
pub struct Beginning {
    /// What is kept.
    pub bytes: Vec<u8>,
    bound: usize,
    /// Bytes behind that.
    pub more: u64,
}

impl Beginning {
    /// Keeps so many.
    pub fn new(bound: usize) -> Self {
        Self {
            bytes: Vec::new(),
            bound,
            more: 0,
        }
    }

    /// Takes what comes next.
    pub fn add(&mut self, piece: &[u8]) {
        let room = self.bound.saturating_sub(self.bytes.len()).min(piece.len());
        self.bytes
            .extend_from_slice(piece.get(..room).unwrap_or_default());
        self.more += u64::try_from(piece.len() - room).unwrap_or(0);
    }
}

/// The last bytes of an output.
#[derive(Debug)]
pub struct Tail {
    /// What is kept.
    pub bytes: VecDeque<u8>,
    bound: usize,
    /// Bytes before that.
    pub before: u64,
}

impl Tail {
    /// Keeps so many.
    pub fn new(bound: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            bound,
            before: 0,
        }
    }

    /// Takes what comes next.
    pub fn add(&mut self, piece: &[u8]) {
        self.bytes.extend(piece);
        let over = self.bytes.len().saturating_sub(self.bound);
        self.bytes.drain(..over);
        self.before += u64::try_from(over).unwrap_or(0);
    }
}
