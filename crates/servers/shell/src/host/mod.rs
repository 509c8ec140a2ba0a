//! Commands on this host, each under a keeper that ends its whole tree. Linux only: no other system lets a process adopt
//! what its descendants leave behind.
//!
//! A command has the environment that the configuration gives it, and nothing of the gateway's. Deliberately absent: a
//! sandbox. A command may do what the gateway's user may; that is why this place has to be switched on.

mod keeper;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use rustix::fs::{Access, access};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::Mutex;
use tokio_util::io::ReaderStream;

pub use keeper::{ARGUMENT as KEEPER, KeeperError, run as run_keeper};

use crate::rules::Program;
use crate::runner::{Command, Exit, Fault, How, Process, Reach, Runner, Started, Which};
use crate::signal::Signal;

/// How much of an output is read at a time.
const CHUNK: usize = 16 << 10;
/// How long a keeper that was started may take to say that the command runs.
const START: Duration = Duration::from_secs(10);

/// This host.
#[derive(Debug, Clone)]
pub struct Host {
    /// This executable, which is a keeper when its first argument is [`KEEPER`]; `/proc/self/exe` survives an upgrade.
    pub keeper: PathBuf,
    /// Where programs are looked for. Relative folders in it are passed over.
    pub path: String,
    /// What every command has in its environment, beside `PATH`.
    pub env: BTreeMap<String, String>,
    /// Where a command runs that names no folder.
    pub dir: PathBuf,
}

impl Runner for Host {
    fn place(&self) -> String {
        "on this host".to_owned()
    }

    fn program(&self, command: &Command) -> Program {
        let given = command.argv.first().map(String::as_str).unwrap_or_default();
        let found = self.find(given, self.dir_of(command));
        let real = found.as_ref().and_then(|file| fs_err::canonicalize(file).ok());
        Program {
            given: given.to_owned(),
            found,
            real,
        }
    }

    fn real_dir(&self, dir: &Path) -> PathBuf {
        // One that is not there is refused at the start.
        fs_err::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
    }

    fn start<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Started, Fault>> {
        Box::pin(self.begin(command))
    }
}

impl Host {
    fn dir_of<'a>(&'a self, command: &'a Command) -> &'a Path {
        command.dir.as_deref().map_or(&self.dir, Path::new)
    }

    /// The file of a program, as execvp(3) finds it on the configured path.
    fn find(&self, given: &str, dir: &Path) -> Option<PathBuf> {
        if given.contains('/') {
            return Some(dir.join(given));
        }
        std::env::split_paths(&self.path)
            .filter(|folder| folder.is_absolute() && !given.is_empty())
            .map(|folder| folder.join(given))
            .find(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok())
    }

    async fn begin(&self, command: &Command) -> Result<Started, Fault> {
        let given = command.argv.first().map(String::as_str).unwrap_or_default();
        let dir = self.dir_of(command);
        if !dir.is_dir() {
            let what = format!(
                "the working directory {} is no folder on this host",
                dir.display()
            );
            return Err(Fault::new(what).fix("give one that exists, or none"));
        }
        let file = self.find(given, dir).ok_or_else(|| {
            Fault::new(format!("there is no program {given:?} on this host")).fix(format!(
                "programs are looked for in {}; or give a path",
                self.path
            ))
        })?;
        let failed = |error: io::Error| Fault::new(format!("{given} can't be started on this host: {error}"));
        let kept = self.keep(command, &file, dir).map_err(failed)?;
        let mut kept = kept;
        match tokio::time::timeout(START, kept.lines.next_line()).await {
            Ok(Ok(Some(line))) if line == "started" => {}
            Ok(Ok(Some(line))) => {
                let why = line.strip_prefix("failed ").unwrap_or(&line);
                let fault = Fault::new(format!("{given} can't be started on this host: {why}"));
                return Err(fault.fix("is the file executable, and for this machine?"));
            }
            Ok(Ok(None)) => return Err(failed(io::Error::other("its keeper ended at once"))),
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => return Err(failed(io::Error::other("its keeper says nothing"))),
        }
        let process = Kept {
            life: Mutex::new(Life {
                lines: kept.lines,
                how: None,
                exit: None,
                keeper: kept.keeper,
            }),
            orders: Mutex::new(kept.orders),
        };
        Ok(Started {
            input: Box::new(kept.input),
            outputs: kept.outputs,
            process: Arc::new(process),
        })
    }

    fn keep(&self, command: &Command, file: &Path, dir: &Path) -> io::Result<Begun> {
        let (near, far) = Socket::pair()?;
        let (read, write) = io::pipe()?;
        let mut keeper = tokio::process::Command::new(&self.keeper);
        keeper
            .arg0("dockmaster")
            .arg(keeper::ARGUMENT)
            .arg(file)
            .args(command.argv.iter().map(OsString::from))
            .current_dir(dir)
            .env_clear()
            .env("PATH", &self.path)
            .envs(&self.env)
            .envs(command.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(far)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A key that interrupts the gateway is not meant for its commands.
            .process_group(0);
        let mut child = keeper.spawn()?;
        // The far end is the keeper's alone from here on, so that either sees when the other is gone.
        drop(keeper);
        pass(&near, read.as_fd())?;
        drop(read);
        near.set_nonblocking(true)?;
        let (lines, orders) = UnixStream::from_std(near)?.into_split();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let outputs = stream::select(pieces(stdout, Which::Stdout), pieces(stderr, Which::Stderr));
        Ok(Begun {
            input: pipe::Sender::from_owned_fd(write.into())?,
            outputs: outputs.boxed(),
            lines: BufReader::new(lines).lines(),
            orders,
            keeper: child,
        })
    }
}

/// A keeper that was started, and of which nothing has been heard.
struct Begun {
    input: pipe::Sender,
    outputs: BoxStream<'static, (Which, bytes::Bytes)>,
    lines: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
    keeper: Child,
}

/// Hands a file descriptor over.
fn pass(socket: &Socket, fd: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(socket, &[IoSlice::new(b"I")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// An output until its end; one that can't be read has ended.
fn pieces(
    source: impl AsyncRead + Send + Unpin + 'static,
    which: Which,
) -> impl futures_util::Stream<Item = (Which, bytes::Bytes)> + Send {
    ReaderStream::with_capacity(source, CHUNK)
        .take_while(|piece| std::future::ready(piece.is_ok()))
        .filter_map(move |piece| std::future::ready(piece.ok().map(|piece| (which, piece))))
}

/// A command under its keeper. Dropping it closes the socket, on which the keeper ends the tree.
struct Kept {
    life: Mutex<Life>,
    orders: Mutex<OwnedWriteHalf>,
}

struct Life {
    lines: Lines<BufReader<OwnedReadHalf>>,
    how: Option<How>,
    exit: Option<Exit>,
    keeper: Child,
}

impl Process for Kept {
    fn ended(&self) -> BoxFuture<'_, Exit> {
        async move { self.life.lock().await.ended().await }.boxed()
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<Reach, Fault>> {
        async move {
            let order = [keeper::SIGNAL, signal.number(), 0];
            match self.orders.lock().await.write_all(&order).await {
                Ok(()) => Ok(Reach::Tree),
                Err(_) => Err(Fault::new(format!(
                    "{signal} was not sent: the command has ended"
                ))),
            }
        }
        .boxed()
    }

    fn end(&self, grace: Duration) -> BoxFuture<'_, ()> {
        async move {
            let hundredths = u16::try_from(grace.as_millis() / 10).unwrap_or(u16::MAX);
            let [high, low] = hundredths.to_be_bytes();
            // One that is gone has taken its tree along.
            let _gone = self
                .orders
                .lock()
                .await
                .write_all(&[keeper::END, high, low])
                .await;
        }
        .boxed()
    }
}

impl Life {
    async fn ended(&mut self) -> Exit {
        let mut remark = None;
        while self.exit.is_none() {
            let line = self.lines.next_line().await.ok().flatten();
            let (word, rest) = line
                .as_deref()
                .map(|line| line.split_once(' ').unwrap_or((line, "")))
                .unwrap_or_default();
            match word {
                "code" => self.how = rest.parse().ok().map(How::Code),
                "signal" => self.how = rest.parse().ok().map(How::Signal),
                "left" => {
                    remark = Some(format!(
                        "{rest} of its processes could not be ended: they belong to another user"
                    ));
                }
                _ => {}
            }
            // Whatever it was that ended the keeper, there is nothing more to hear.
            if matches!(word, "done" | "left" | "") {
                let how = self.how.unwrap_or(How::Unknown);
                if self.how.is_none() {
                    remark = Some("its keeper was killed, so processes of it may still run".to_owned());
                }
                self.exit = Some(Exit {
                    how,
                    remark: remark.take(),
                });
            }
        }
        if self.exit.as_ref().is_some_and(|exit| exit.remark.is_none()) {
            // It ends at once now; waiting leaves no zombie.
            let _ended = self.keeper.wait().await;
        }
        self.exit.clone().unwrap_or(Exit {
            how: How::Unknown,
            remark: None,
        })
    }
}
