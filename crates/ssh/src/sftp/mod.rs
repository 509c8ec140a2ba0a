//! Files of a host by SFTP version 3, with what OpenSSH adds to it: one stream, many questions on their way at a time.
//!
//! Ours and not a library's: those at hand take names for UTF-8 text, and bring clocks and maps along. Paths are bytes.
//! Every answer has a time limit; one that does not come makes the stream useless, since a server that waits (for the
//! other end of a pipe, for a dead file system) answers nobody else either. Deliberately absent: reconnecting and repeating
//! (that is [`Host::sftp`](crate::Host::sftp)'s, between calls), and which paths may be used.

mod file;
mod packet;

use crate::stream::Stream;
use bytes::{Bytes, BytesMut};
use packet::{Packet, Reply};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use file::{Handle, Reading, Writing};
pub use packet::{Attributes, Malformed, Name};

/// How long an answer may take: a disk that sleeps, a network's file system.
const ANSWER: Duration = Duration::from_secs(30);
/// Packets that wait to be sent.
const WAITING: usize = 64;
/// What is read or written by one request where the far side names no limits (section 3: 32 KiB have to be possible).
const PART: u32 = 32 << 10;
/// The most that is asked for at once, whatever the far side permits.
const LARGEST_PART: u32 = 128 << 10;
/// The longest path that is sent.
const PATH: usize = 4096;
/// Questions for further names of a directory that are on their way at a time; OpenSSH gives 100 for each.
const LISTING: usize = 8;

/// Files of one host. A clone is the same stream.
#[derive(Clone)]
pub struct Sftp(Arc<Inner>);

pub(crate) struct Inner {
    send: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
    extensions: Extensions,
    /// Bytes of one request to read or write.
    part: u32,
    _tasks: JoinSet<()>,
}

/// What the tasks have, too.
#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last: u32,
    answers: HashMap<u32, oneshot::Sender<Reply>>,
    /// Handles that nobody has any more and that could not be closed at once.
    unclosed: Vec<Bytes>,
    closed: Option<Fault>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Extensions {
    posix_rename: bool,
    fsync: bool,
    limits: bool,
}

/// Why something did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such file, or what should be a directory on the way is none, or links go round in circles.
    #[error("there is no such file")]
    NoSuchFile,
    /// The user over there may not do this.
    #[error("the user over there may not do this")]
    Denied,
    /// The far side does not know how.
    #[error("its SFTP server does not know how")]
    Unsupported,
    /// Anything else, in the words of the far side; mostly "Failure", whatever the reason.
    #[error("its SFTP server says: {0}")]
    Failed(String),
    /// What came is no SFTP.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The far side answers with something else than what was asked for.
    #[error("its SFTP server answers something else than what it was asked")]
    Odd,
    /// No answer came.
    #[error("its SFTP server gave no answer in {} s", .0.as_secs())]
    Late(Duration),
    /// The stream ended.
    #[error("the connection to its SFTP server broke")]
    Lost,
    /// The stream ended, and says why.
    #[error("the connection to its SFTP server broke: {0}")]
    Broken(String),
    /// It is too long to be a path.
    #[error("the path is longer than {PATH} bytes")]
    Long,
}

impl Fault {
    /// Whether the stream is of no further use.
    pub fn is_break(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_) | Self::Late(_) | Self::Lost | Self::Broken(_)
        )
    }
}

impl Sftp {
    /// Begins SFTP over a stream to a server, within `limit`.
    ///
    /// # Errors
    /// What answers is no SFTP server of version 3 or later.
    pub async fn over(stream: impl Duplex, limit: Duration) -> Result<Self, Fault> {
        let (mut read, mut write) = tokio::io::split(stream);
        let begin = async {
            // Where nobody takes it, what is read says why.
            drop(write.write_all(&Packet::hello()).await);
            drop(write.flush().await);
            packet::version(take(&mut read).await?).map_err(Fault::from)
        };
        let (version, named) = timeout(limit, begin).await.map_err(|_| Fault::Late(limit))??;
        if version < 3 {
            return Err(Fault::Malformed(Malformed("it speaks a version before 3")));
        }
        let has = |name: &str| named.iter().any(|(own, _)| own == name.as_bytes());
        let extensions = Extensions {
            posix_rename: has("posix-rename@openssh.com"),
            fsync: has("fsync@openssh.com"),
            limits: has("limits@openssh.com"),
        };
        let (send, mut sending) = mpsc::channel::<Bytes>(WAITING);
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        let (taking, telling) = (Arc::clone(&shared), Arc::clone(&shared));
        let closing = send.downgrade();
        tasks.spawn(async move {
            let fault = loop {
                let answer = match take(&mut read).await {
                    Ok(packet) => packet::reply(packet),
                    Err(fault) => break fault,
                };
                match answer {
                    Ok((id, reply)) => taking.answered(id, reply, &closing),
                    Err(malformed) => break malformed.into(),
                }
            };
            taking.close(fault);
        });
        tasks.spawn(async move {
            while let Some(packet) = sending.recv().await {
                if write.write_all(&packet).await.is_err() || write.flush().await.is_err() {
                    telling.close(Fault::Lost);
                    return;
                }
            }
            let _ = write.shutdown().await;
        });
        let mut inner = Inner {
            send,
            shared,
            extensions,
            part: PART,
            _tasks: tasks,
        };
        if extensions.limits {
            inner.part = inner.limits().await?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Whether it can be used any further.
    pub fn is_open(&self) -> bool {
        self.0.shared.lock().closed.is_none()
    }

    /// The whole path of something, without links and dots. The last name need not be there.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn realpath(&self, path: &[u8]) -> Result<Bytes, Fault> {
        one(self.ask(at(packet::REALPATH, path)?).await?)
    }

    /// What is known of a file, links not followed.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn lstat(&self, path: &[u8]) -> Result<Attributes, Fault> {
        attributes(self.ask(at(packet::LSTAT, path)?).await?)
    }

    /// The same of several files at once, in the time that one takes.
    ///
    /// # Errors
    /// Only where the stream broke; else each has its own.
    pub async fn lstats(&self, paths: &[Vec<u8>]) -> Result<Vec<Result<Attributes, Fault>>, Fault> {
        let mut asked = Vec::with_capacity(paths.len());
        for path in paths {
            asked.push(self.0.begin(at(packet::LSTAT, path)?).await?);
        }
        let mut all = Vec::with_capacity(paths.len());
        for answer in asked {
            let answer = answer.come().await.and_then(attributes);
            if let Err(fault) = &answer
                && fault.is_break()
            {
                return Err(fault.clone());
            }
            all.push(answer);
        }
        Ok(all)
    }

    /// What a link says.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn readlink(&self, path: &[u8]) -> Result<Bytes, Fault> {
        one(self.ask(at(packet::READLINK, path)?).await?)
    }

    /// The names in a directory, at most `most`, without `.` and `..`; and whether these are all. Names with a `/` or a
    /// NUL, which no directory has, are left out.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn list(&self, path: &[u8], most: usize) -> Result<(Vec<Name>, bool), Fault> {
        let raw = handle(self.ask(at(packet::OPENDIR, path)?).await?)?;
        let dir = Handle::new(Arc::clone(&self.0), raw);
        let mut names = Vec::new();
        let mut asked = std::collections::VecDeque::new();
        // One question until it is known that there is more than one answer's worth.
        let mut width = 1;
        loop {
            while asked.len() < width {
                let packet = Packet::new(packet::READDIR).bytes(dir.raw());
                asked.push_back(self.0.begin(packet).await?);
            }
            let Some(next) = asked.pop_front() else {
                return Ok((names, true));
            };
            let found = match next.come().await? {
                Reply::Names(found) => found,
                Reply::Status { code: EOF, .. } => return Ok((names, true)),
                other => return Err(fault(other)),
            };
            width = LISTING;
            let is_name = |name: &[u8]| {
                !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
            };
            for name in found.into_iter().filter(|name| is_name(&name.name)) {
                if names.len() == most {
                    return Ok((names, false));
                }
                names.push(name);
            }
        }
    }

    /// Opens a file for reading. Whatever it is: a pipe makes the far side wait for its other end.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn open(&self, path: &[u8]) -> Result<Handle, Fault> {
        self.opened(path, 0x1, &Attributes::default()).await
    }

    /// Makes a file for writing, where nothing may be.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn create(&self, path: &[u8], mode: u32) -> Result<Handle, Fault> {
        let attributes = Attributes {
            mode: Some(mode),
            ..Attributes::default()
        };
        // WRITE, CREAT and EXCL.
        self.opened(path, 0x2 | 0x8 | 0x20, &attributes).await
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// [`Fault`]; where something has this name it says no more than that it failed.
    pub async fn make_dir(&self, path: &[u8]) -> Result<(), Fault> {
        let packet = at(packet::MKDIR, path)?.attributes(&Attributes::default());
        done(self.ask(packet).await?)
    }

    /// Removes a file or a link.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn remove(&self, path: &[u8]) -> Result<(), Fault> {
        done(self.ask(at(packet::REMOVE, path)?).await?)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn remove_dir(&self, path: &[u8]) -> Result<(), Fault> {
        done(self.ask(at(packet::RMDIR, path)?).await?)
    }

    /// Gives something another name. A file that has it is not replaced: OpenSSH makes a second name and removes the first
    /// where the file system can, and looks before it renames where not, and for directories.
    ///
    /// # Errors
    /// [`Fault`]; where something has the new name it says no more than that it failed.
    pub async fn rename_new(&self, from: &[u8], to: &[u8]) -> Result<(), Fault> {
        let packet = at(packet::RENAME, from)?.bytes(bounded(to)?);
        done(self.ask(packet).await?)
    }

    /// Gives something another name, in one step, and takes it from what had it (`posix-rename@openssh.com`).
    ///
    /// # Errors
    /// [`Fault`]; [`Fault::Unsupported`] where the far side does not have it.
    pub async fn rename_over(&self, from: &[u8], to: &[u8]) -> Result<(), Fault> {
        if !self.0.extensions.posix_rename {
            return Err(Fault::Unsupported);
        }
        let packet = extended("posix-rename@openssh.com")
            .bytes(bounded(from)?)
            .bytes(bounded(to)?);
        done(self.ask(packet).await?)
    }

    /// Makes a link at `path` that says `says`.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn symlink(&self, path: &[u8], says: &[u8]) -> Result<(), Fault> {
        // OpenSSH has them the other way round than the draft, and everyone follows it.
        let packet = at(packet::SYMLINK, says)?.bytes(bounded(path)?);
        done(self.ask(packet).await?)
    }

    async fn opened(&self, path: &[u8], flags: u32, attributes: &Attributes) -> Result<Handle, Fault> {
        let packet = at(packet::OPEN, path)?.u32(flags).attributes(attributes);
        let raw = handle(self.ask(packet).await?)?;
        Ok(Handle::new(Arc::clone(&self.0), raw))
    }

    async fn ask(&self, packet: Packet) -> Result<Reply, Fault> {
        self.0.begin(packet).await?.come().await
    }
}

/// A stream to an SFTP server.
pub trait Duplex: AsyncRead + AsyncWrite + Send + 'static {}

impl Duplex for Stream {}
impl Duplex for crate::system::SystemStream {}

impl Inner {
    /// Sends a question. The answer is waited for apart, so that many are on their way at a time.
    pub(crate) async fn begin(&self, packet: Packet) -> Result<Answer, Fault> {
        let (id, coming, unclosed) = {
            let mut waiting = self.shared.lock();
            if let Some(fault) = &waiting.closed {
                return Err(fault.clone());
            }
            let (answer, coming) = oneshot::channel();
            waiting.last = waiting.last.wrapping_add(1);
            let id = waiting.last;
            waiting.answers.insert(id, answer);
            (id, coming, std::mem::take(&mut waiting.unclosed))
        };
        for raw in unclosed {
            let packet = Packet::new(packet::CLOSE).bytes(&raw);
            let _ = timeout(ANSWER, self.send.send(packet.sent(0))).await;
        }
        match timeout(ANSWER, self.send.send(packet.sent(id))).await {
            Ok(Ok(())) => Ok(Answer {
                coming,
                shared: Arc::clone(&self.shared),
            }),
            Ok(Err(_)) => Err(self.shared.close(Fault::Lost)),
            Err(_) => Err(self.shared.close(Fault::Late(ANSWER))),
        }
    }

    /// Closes a handle that nobody has any more, without waiting.
    pub(crate) fn let_go(&self, raw: Bytes) {
        let packet = Packet::new(packet::CLOSE).bytes(&raw).sent(0);
        if self.send.try_send(packet).is_err() {
            self.shared.lock().unclosed.push(raw);
        }
    }

    /// What one request may read or write (`limits@openssh.com`: packet, read, write, handles).
    async fn limits(&self) -> Result<u32, Fault> {
        match self.begin(extended("limits@openssh.com")).await?.come().await? {
            Reply::Extended(mut rest) => {
                packet::u64(&mut rest)?;
                let least = packet::u64(&mut rest)?.min(packet::u64(&mut rest)?);
                // None is 0.
                let part = u32::try_from(least).unwrap_or(LARGEST_PART);
                Ok(if part == 0 { PART } else { part.min(LARGEST_PART) })
            }
            Reply::Status { .. } => Ok(PART),
            _ => Err(Fault::Odd),
        }
    }
}

/// An answer that is on its way.
pub(crate) struct Answer {
    coming: oneshot::Receiver<Reply>,
    shared: Arc<Shared>,
}

impl Answer {
    pub(crate) async fn come(self) -> Result<Reply, Fault> {
        match timeout(ANSWER, self.coming).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(self.shared.close(Fault::Lost)),
            Err(_) => Err(self.shared.close(Fault::Late(ANSWER))),
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self, id: u32, reply: Reply, closing: &mpsc::WeakSender<Bytes>) {
        let Some(answer) = self.lock().answers.remove(&id) else {
            // Handles are closed under the id 0, which nobody waits for.
            return;
        };
        if let Err(Reply::Handle(raw)) = answer.send(reply)
            && let Some(send) = closing.upgrade()
        {
            let packet = Packet::new(packet::CLOSE).bytes(&raw).sent(0);
            if send.try_send(packet).is_err() {
                self.lock().unclosed.push(raw);
            }
        }
    }

    /// Everyone who waits hears of it; gives what went wrong first.
    fn close(&self, fault: Fault) -> Fault {
        let mut waiting = self.lock();
        waiting.answers.clear();
        waiting.closed.get_or_insert(fault).clone()
    }
}

impl fmt::Debug for Sftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sftp").field("is_open", &self.is_open()).finish()
    }
}

/// The next packet, without its length.
async fn take(read: &mut (impl AsyncRead + Unpin)) -> Result<Bytes, Fault> {
    let length = read.read_u32().await.map_err(|error| broken(&error))? as usize;
    if length > packet::LARGEST {
        return Err(Malformed("a packet is larger than 260 KiB; does its login print something?").into());
    }
    let mut packet = BytesMut::zeroed(length);
    read.read_exact(&mut packet)
        .await
        .map_err(|error| broken(&error))?;
    Ok(packet.freeze())
}

fn broken(error: &io::Error) -> Fault {
    match error.kind() {
        // Words of ours, of an `ssh` that ended.
        io::ErrorKind::Other => Fault::Broken(error.to_string()),
        _ => Fault::Lost,
    }
}

const EOF: u32 = 1;

/// What an answer means that is not the one that was wanted.
fn fault(reply: Reply) -> Fault {
    match reply {
        Reply::Status { code: 2, .. } => Fault::NoSuchFile,
        Reply::Status { code: 3, .. } => Fault::Denied,
        Reply::Status { code: 8, .. } => Fault::Unsupported,
        Reply::Status { code: 0, .. } => Fault::Odd,
        Reply::Status { code, message } if message.is_empty() => Fault::Failed(format!("status {code}")),
        Reply::Status { message, .. } => Fault::Failed(message),
        _ => Fault::Odd,
    }
}

fn bounded(path: &[u8]) -> Result<&[u8], Fault> {
    if path.len() > PATH {
        return Err(Fault::Long);
    }
    Ok(path)
}

fn at(kind: u8, path: &[u8]) -> Result<Packet, Fault> {
    Ok(Packet::new(kind).bytes(bounded(path)?))
}

fn extended(name: &str) -> Packet {
    Packet::new(packet::EXTENDED).bytes(name.as_bytes())
}

fn done(reply: Reply) -> Result<(), Fault> {
    match reply {
        Reply::Status { code: 0, .. } => Ok(()),
        other => Err(fault(other)),
    }
}

fn handle(reply: Reply) -> Result<Bytes, Fault> {
    match reply {
        Reply::Handle(raw) => Ok(raw),
        other => Err(fault(other)),
    }
}

fn attributes(reply: Reply) -> Result<Attributes, Fault> {
    match reply {
        Reply::Attributes(attributes) => Ok(attributes),
        other => Err(fault(other)),
    }
}

/// The one path that is answered.
fn one(reply: Reply) -> Result<Bytes, Fault> {
    match reply {
        Reply::Names(mut names) if names.len() == 1 => names.pop().map(|name| name.name).ok_or(Fault::Odd),
        Reply::Names(_) => Err(Fault::Odd),
        other => Err(fault(other)),
    }
}
