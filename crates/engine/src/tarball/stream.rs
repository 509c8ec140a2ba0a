//! Making a tar stream: a blocking thread packs, the async side takes chunks from a bounded channel.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tar::{EntryType, Header};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::dir::{Kind, Meta, show};
use super::{Error, Limits};

/// One chunk of the stream. Large enough that the channel costs nothing beside the reading.
const CHUNK: usize = 64 * 1024;
/// Chunks that may wait for the daemon: 512 KiB.
const WAITING: usize = 8;
const BLOCK: usize = 512;
/// What of a name stands in the header itself; longer ones get an entry of their own before it.
const NAME: usize = 100;
/// Notes that are kept; the rest is counted.
const NOTES: usize = 20;

/// A tar archive as chunks of bytes. After an error the stream ends, and what was sent is not a whole archive.
///
/// Dropping it closes the channel, at which the thread stops: at once if it was about to send, else when the
/// read under way is done.
#[derive(Debug)]
pub struct TarStream {
    chunks: mpsc::Receiver<Bytes>,
    /// `None` after the end.
    job: Option<JoinHandle<Result<(), Error>>>,
    progress: Progress,
}

impl TarStream {
    /// Runs `work` on a blocking thread and streams what it packs. Must be called within a tokio runtime.
    pub(crate) fn spawn(
        limits: Limits,
        work: impl FnOnce(&mut Packer) -> Result<(), Error> + Send + 'static,
    ) -> Self {
        let (sender, chunks) = mpsc::channel(WAITING);
        let progress = Progress::default();
        let mut packer = Packer {
            sender,
            buffer: BytesMut::with_capacity(CHUNK),
            limits,
            progress: progress.clone(),
            entries: 0,
            bytes: 0,
        };
        let job = tokio::task::spawn_blocking(move || {
            work(&mut packer)?;
            packer.finish()
        });
        Self {
            chunks,
            job: Some(job),
            progress,
        }
    }

    /// How far it is; keep a clone to report while the stream is being sent.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Stream for TarStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(chunk) = ready!(self.chunks.poll_recv(context)) {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let Some(job) = &mut self.job else {
            return Poll::Ready(None);
        };
        let outcome = ready!(Pin::new(job).poll(context));
        self.job = None;
        Poll::Ready(match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error.into())),
            Err(lost) => Some(Err(io::Error::other(lost))),
        })
    }
}

/// A view on a running [`TarStream`].
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Tally>);

#[derive(Debug, Default)]
struct Tally {
    files: AtomicU64,
    directories: AtomicU64,
    links: AtomicU64,
    bytes: AtomicU64,
    skipped: AtomicU64,
    notes: Mutex<Vec<Note>>,
}

/// What a stream holds so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic and hard links.
    pub links: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// Things that were left out because a tar stream can't or need not hold them.
    pub skipped: u64,
    /// The first 20 of them.
    pub notes: Vec<Note>,
}

/// Something that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its path in the tree or archive, made printable.
    pub path: String,
    /// In a person's words: "a socket".
    pub reason: &'static str,
}

impl Progress {
    /// The present state.
    pub fn totals(&self) -> Totals {
        let tally = &self.0;
        Totals {
            files: tally.files.load(Ordering::Relaxed),
            directories: tally.directories.load(Ordering::Relaxed),
            links: tally.links.load(Ordering::Relaxed),
            bytes: tally.bytes.load(Ordering::Relaxed),
            skipped: tally.skipped.load(Ordering::Relaxed),
            notes: tally.notes.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn skip(&self, path: &[u8], reason: &'static str) {
        self.0.skipped.fetch_add(1, Ordering::Relaxed);
        let mut notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NOTES {
            notes.push(Note {
                path: show(path),
                reason,
            });
        }
    }
}

/// Writes entries. Every one belongs to 0:0, as the engine's own client sends them: ids of this host mean
/// nothing in an image.
#[derive(Debug)]
pub(crate) struct Packer {
    sender: mpsc::Sender<Bytes>,
    buffer: BytesMut,
    limits: Limits,
    progress: Progress,
    entries: u64,
    bytes: u64,
}

impl Packer {
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Notes that `path` was left out.
    pub(crate) fn skip(&self, path: &[u8], reason: &'static str) {
        self.progress.skip(path, reason);
    }

    /// Whether anyone still waits; asked between entries, so that a walk over ignored files ends too.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.sender.is_closed() {
            Err(Error::Stopped)
        } else {
            Ok(())
        }
    }

    pub(crate) fn directory(&mut self, path: &[u8], meta: &Meta) -> Result<(), Error> {
        let mut name = path.to_vec();
        name.push(b'/');
        self.header(EntryType::Directory, &name, meta, 0, None)?;
        self.progress.0.directories.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn symlink(&mut self, path: &[u8], target: &[u8], meta: &Meta) -> Result<(), Error> {
        self.header(EntryType::Symlink, path, meta, 0, Some(target))?;
        self.progress.0.links.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A further name of `first`, which is in the archive already.
    pub(crate) fn hard_link(&mut self, path: &[u8], first: &[u8], meta: &Meta) -> Result<(), Error> {
        self.header(EntryType::Link, path, meta, 0, Some(first))?;
        self.progress.0.links.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn bytes(
        &mut self,
        path: &[u8],
        content: &[u8],
        mode: u32,
        modified: u64,
    ) -> Result<(), Error> {
        let meta = Meta {
            kind: Kind::File,
            mode,
            size: content.len() as u64,
            modified,
            twin: None,
        };
        self.file(path, content, &meta)
    }

    /// A file of exactly `meta.size` bytes. What was added since it was opened stays out; if it has become
    /// shorter, that is an error, because padding would invent content.
    pub(crate) fn file(&mut self, path: &[u8], mut content: impl Read, meta: &Meta) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(meta.size);
        if self.bytes > self.limits.bytes {
            return Err(Error::TooMuch {
                what: "bytes",
                limit: self.limits.bytes,
                path: show(path),
            });
        }
        self.header(EntryType::Regular, path, meta, meta.size, None)?;
        let mut left = meta.size;
        while left > 0 {
            let room = (CHUNK - self.buffer.len()).min(usize::try_from(left).unwrap_or(CHUNK));
            let start = self.buffer.len();
            self.buffer.resize(start + room, 0);
            let outcome = content.read(&mut self.buffer[start..]);
            self.buffer
                .truncate(start + outcome.as_ref().map_or(0, |count| *count));
            match outcome {
                Ok(0) => {
                    return Err(Error::Shrank {
                        path: show(path),
                        announced: meta.size,
                        read: meta.size - left,
                    });
                }
                Ok(count) => {
                    left -= count as u64;
                    self.progress.0.bytes.fetch_add(count as u64, Ordering::Relaxed);
                    self.send_if_full()?;
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                // Wrapped, so that no kind of it is taken for a file that was gone before its header.
                Err(cause) => return Err(Error::unreadable(path, io::Error::other(cause))),
            }
        }
        self.pad(meta.size)?;
        self.progress.0.files.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn header(
        &mut self,
        kind: EntryType,
        path: &[u8],
        meta: &Meta,
        size: u64,
        link: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.check()?;
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Error::too_many(self.limits, path));
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(meta.mode & 0o7777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(meta.modified);
        header.set_size(size);
        if let Some(link) = link {
            self.long(EntryType::GNULongLink, link)?;
            fill(&mut header.as_old_mut().linkname, link);
        }
        self.long(EntryType::GNULongName, path)?;
        fill(&mut header.as_old_mut().name, path);
        self.put_header(&mut header)
    }

    /// GNU's entry for a name that does not fit the header. The alternative, a PAX record, is UTF-8 only.
    fn long(&mut self, kind: EntryType, name: &[u8]) -> Result<(), Error> {
        if name.len() <= NAME {
            return Ok(());
        }
        let size = name.len() as u64 + 1;
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        fill(&mut header.as_old_mut().name, b"././@LongLink");
        self.put_header(&mut header)?;
        self.put(name)?;
        self.put(&[0])?;
        self.pad(size)
    }

    fn put_header(&mut self, header: &mut Header) -> Result<(), Error> {
        header.set_cksum();
        self.put(header.as_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        self.send_if_full()
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        match usize::try_from(size % BLOCK as u64).unwrap_or(0) {
            0 => Ok(()),
            over => self.put(&[0; BLOCK][over..]),
        }
    }

    fn send_if_full(&mut self) -> Result<(), Error> {
        if self.buffer.len() < CHUNK {
            return Ok(());
        }
        self.send()
    }

    fn send(&mut self) -> Result<(), Error> {
        let chunk = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK)).freeze();
        self.sender.blocking_send(chunk).map_err(|_| Error::Stopped)
    }

    /// Two empty blocks end an archive.
    fn finish(mut self) -> Result<(), Error> {
        self.put(&[0; 2 * BLOCK])?;
        if self.buffer.is_empty() {
            Ok(())
        } else {
            self.send()
        }
    }
}

/// As much of `name` as fits; the rest stands in the entry before.
fn fill(field: &mut [u8; NAME], name: &[u8]) {
    let fits = name.len().min(NAME);
    field[..fits].copy_from_slice(&name[..fits]);
}

/// Reads a whole small file.
pub(crate) fn read_small(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {limit} bytes"),
        ));
    }
    Ok(content)
}
