//! The system's `ssh`, for what is not done here: `ProxyCommand`, GSSAPI, keys that only hardware can use. A process for
//! each stream; whoever wants them to share a connection says so in `ssh_config` (`ControlMaster`), which it reads itself.

use crate::config::Target;
use crate::process::{Piece, Running};
use crate::sftp::Sftp;
use crate::stream::Exit;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{self, BoxFuture};
use futures_util::stream::{self, BoxStream};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

/// Most bytes of its complaints that are kept.
const WORDS: usize = 4 << 10;
/// How long connecting, logging in and beginning SFTP may take together.
const BEGINNING: Duration = Duration::from_secs(30);
/// How long it may take to end once its output has.
const ENDING: Duration = Duration::from_secs(5);
/// How long its last words are waited for once it has ended.
const SAID: Duration = Duration::from_millis(500);
/// How much of an output is read at a time.
const PART: usize = 16 << 10;
/// The code by which it says that it failed itself.
const FAILED: i32 = 255;

/// A host that the system's `ssh` goes to. Nobody is asked anything (`BatchMode`).
#[derive(Debug, Clone)]
pub struct System {
    target: Target,
    program: PathBuf,
    sftp: Arc<tokio::sync::Mutex<Option<Sftp>>>,
}

impl System {
    /// A host; nothing is started yet.
    pub fn new(target: Target) -> Self {
        Self::by("ssh".into(), target)
    }

    /// A host to which this program goes, which takes the arguments of OpenSSH's `ssh`.
    pub fn by(program: PathBuf, target: Target) -> Self {
        Self {
            target,
            program,
            sftp: Arc::default(),
        }
    }

    /// Runs a command over there; the stream is its stdin and stdout. That it could not be run, or who could not log in,
    /// is the error of the first read.
    ///
    /// # Errors
    /// There is no `ssh` here.
    pub fn exec(&self, command: &str) -> io::Result<SystemStream> {
        self.open(&[], command)
    }

    /// The files of the host, over an `ssh` of their own that all who ask share; it stays until it breaks.
    ///
    /// # Errors
    /// There is no `ssh` here, or no SFTP over there.
    pub async fn sftp(&self) -> io::Result<Sftp> {
        let mut kept = self.sftp.lock().await;
        if let Some(sftp) = kept.as_ref().filter(|sftp| sftp.is_open()) {
            return Ok(sftp.clone());
        }
        let stream = self.open(&["-s"], "sftp")?;
        let sftp = Sftp::over(stream, BEGINNING).await;
        let sftp = sftp
            .map_err(|error| io::Error::other(format!("ssh {} gives no SFTP: {error}", self.target.host)))?;
        Ok(kept.insert(sftp).clone())
    }

    /// Starts a command, of which both outputs are read as they come. That it could not be run, or who could not log in, is
    /// an error of [`Outputs::next`](crate::Outputs::next); `ssh` says on stderr why. So is an exit code of 255, by which
    /// `ssh` means a break, a signal, or that code.
    ///
    /// # Errors
    /// There is no `ssh` here.
    pub fn start(&self, command: &str) -> io::Result<Running> {
        let Spawned {
            child,
            input,
            output,
            errors,
        } = self.spawn(&[], command)?;
        // What ssh itself says comes before anything from over there.
        let outputs = stream::select(pieces(errors, Piece::Stderr), pieces(output, Piece::Stdout));
        let process = Process {
            child,
            outputs: outputs.boxed(),
            life: Life::Running,
            host: self.target.host.clone(),
        };
        Ok(Running::of_process(input, process))
    }

    fn open(&self, options: &[&str], command: &str) -> io::Result<SystemStream> {
        let spawned = self.spawn(options, command)?;
        let words = Words::of(spawned.errors);
        Ok(SystemStream {
            input: spawned.input,
            output: spawned.output,
            end: End::Open(Box::new(spawned.child), words, self.target.host.clone()),
        })
    }

    fn spawn(&self, options: &[&str], command: &str) -> io::Result<Spawned> {
        let Target { user, host, port } = &self.target;
        let mut ssh = Command::new(&self.program);
        ssh.args(["-T", "-o", "BatchMode=yes"]).args(options);
        if let Some(user) = user {
            ssh.args(["-l", user]);
        }
        if let Some(port) = port {
            ssh.args(["-p", &port.to_string()]);
        }
        ssh.args(["--", host, command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // An interrupt from the terminal is for us.
        #[cfg(unix)]
        ssh.process_group(0);
        let mut child = ssh.spawn().map_err(|error| {
            let what = format!("the system's ssh can't be started: {error}; install OpenSSH's client");
            io::Error::new(error.kind(), what)
        })?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("the system's ssh has no pipes"));
        };
        Ok(Spawned {
            child,
            input: Pipe(Some(input)),
            output,
            errors,
        })
    }
}

/// An `ssh` that runs.
struct Spawned {
    child: Child,
    input: Pipe,
    output: ChildStdout,
    errors: ChildStderr,
}

fn pieces(source: impl AsyncRead + Send + 'static, piece: fn(Bytes) -> Piece) -> BoxStream<'static, Piece> {
    // What can't be read any more has ended; how, says the process.
    let parts = ReaderStream::with_capacity(source, PART);
    parts
        .scan((), move |(), bytes| future::ready(bytes.ok().map(piece)))
        .boxed()
}

/// The outputs of a command on another host, and the `ssh` that brings them, which ends with this value.
pub(crate) struct Process {
    child: Child,
    outputs: BoxStream<'static, Piece>,
    life: Life,
    host: String,
}

#[derive(Clone, Copy)]
enum Life {
    Running,
    Ended(ExitStatus),
    Over,
}

impl Process {
    /// What [`Outputs::next`](crate::Outputs::next) gives.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            match self.life {
                Life::Running => {
                    tokio::select! {
                        Some(piece) = self.outputs.next() => return Ok(Some(piece)),
                        status = self.child.wait() => self.life = Life::Ended(status?),
                    }
                }
                // A connection that it keeps for others may hold its outputs open.
                Life::Ended(status) => {
                    if let Ok(Some(piece)) = timeout(SAID, self.outputs.next()).await {
                        return Ok(Some(piece));
                    }
                    self.life = Life::Over;
                    let code = status.code().filter(|code| *code != FAILED);
                    let Some(code) = code.and_then(|code| u32::try_from(code).ok()) else {
                        let Self { host, .. } = self;
                        return Err(io::Error::other(format!("ssh {host} ended with {status}")));
                    };
                    return Ok(Some(Piece::Exit(Exit::Code(code))));
                }
                Life::Over => return Ok(None),
            }
        }
    }
}

/// The stdin and stdout of a command on another host. The command's `ssh` ends with it.
pub struct SystemStream {
    input: Pipe,
    output: ChildStdout,
    end: End,
}

enum End {
    Open(Box<Child>, Words, String),
    /// Its output has ended; how did it?
    Coming(BoxFuture<'static, io::Result<()>>),
    Over,
}

/// What it says on stderr: the first of it is kept, and the rest read so that it can go on.
struct Words {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: JoinSet<()>,
}

impl Words {
    fn of(mut errors: ChildStderr) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let mut reader = JoinSet::new();
        let into = Arc::clone(&kept);
        reader.spawn(async move {
            let mut part = [0; 1024];
            while let Ok(count @ 1..) = errors.read(&mut part).await {
                let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
                let room = WORDS.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(part.get(..room).unwrap_or_default());
            }
        });
        Self { kept, reader }
    }

    /// All that it has said, once it has ended. A connection that it keeps for others (`ControlPersist`) holds its stderr
    /// open; what was said is there all the same.
    async fn last(mut self) -> String {
        let _ = timeout(SAID, self.reader.join_next()).await;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        base::text::clean(String::from_utf8_lossy(&kept).trim()).replace('\n', "; ")
    }
}

async fn ended(mut child: Box<Child>, words: Words, host: String) -> io::Result<()> {
    // A break is no end, so what has not ended well is an error.
    let Ok(status) = timeout(ENDING, child.wait()).await else {
        return Err(io::Error::other(format!(
            "ssh {host} closed its output and goes on"
        )));
    };
    let status = status?;
    if status.success() {
        return Ok(());
    }
    let words = words.last().await;
    let said = if words.is_empty() {
        "without a word"
    } else {
        &*words
    };
    Err(io::Error::other(format!(
        "ssh {host} ended with {status}: {said}"
    )))
}

impl AsyncRead for SystemStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let End::Open(..) = self.end {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.output).poll_read(cx, buffer))?;
            if buffer.filled().len() > before || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            self.end = match std::mem::replace(&mut self.end, End::Over) {
                End::Open(child, words, host) => End::Coming(Box::pin(ended(child, words, host))),
                other => other,
            };
        }
        if let End::Coming(ended) = &mut self.end {
            let ended = ready!(ended.as_mut().poll(cx));
            self.end = End::Over;
            return Poll::Ready(ended);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SystemStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}

/// The stdin of a process; shutting it down closes it.
pub(crate) struct Pipe(Option<ChildStdin>);

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Some(input) => Pin::new(input).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Some(input) => Pin::new(input).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}
