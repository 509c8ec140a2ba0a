//! Reading an archive that comes from the daemon: entry by entry on a blocking thread, fed through a bounded
//! channel.
//!
//! The `tar` crate is used in its raw mode: extension entries (long names, PAX records) are read here with a
//! bound, because the crate would take a name of any announced length into memory.

use std::io::{self, Read};
use std::pin::pin;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tar::{Archive, EntryType, PaxExtensions};
use tokio::sync::mpsc;

use super::dir::show;
use super::{Error, Limits, Note};

/// Longest name or set of PAX records of one entry. Linux ends paths at 4,096 bytes.
const EXTENSION: u64 = 64 * 1024;
/// Chunks that may wait for the thread.
const WAITING: usize = 8;

/// An archive in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The entries in the order of the archive.
    pub entries: Vec<Entry>,
    /// Whether reading ended at a limit of entries, so that more may follow.
    pub cut: bool,
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path as it stands in the archive, without `./` before and `/` after it, made printable.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub modified: u64,
    /// Bytes of content as announced.
    pub size: u64,
    /// The content of a file, or its beginning if the limit was reached.
    pub content: Bytes,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
    /// A further name of this path of the archive.
    HardLink(String),
    /// A device or named pipe.
    Special,
}

/// Reads an archive into memory: at most `limits.entries` entries, and of each file at most what `limits.bytes`
/// leaves. The rest of the stream is not read; dropping the future stops the work.
pub async fn read<S, E>(stream: S, limits: Limits) -> Result<Contents, Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<Cause>,
{
    bridge(stream, move |source| collect(source, limits)).await
}

fn collect(source: Feed, limits: Limits) -> Result<Contents, Error> {
    let mut contents = Contents::default();
    let mut left = limits.bytes;
    members(source, |member, data| {
        if contents.entries.len() as u64 >= limits.entries {
            contents.cut = true;
            return Ok(Next::Stop);
        }
        let mut content = Vec::new();
        if member.kind == MemberKind::File {
            data.take(left).read_to_end(&mut content).map_err(Error::Source)?;
            left -= content.len() as u64;
        }
        contents.entries.push(Entry {
            path: show(&member.path.join(&b'/')),
            kind: match member.kind {
                MemberKind::File => EntryKind::File,
                MemberKind::Directory => EntryKind::Directory,
                MemberKind::Symlink => EntryKind::Symlink(show(&member.link)),
                MemberKind::HardLink => EntryKind::HardLink(show(&member.link)),
                MemberKind::Special(_) => EntryKind::Special,
            },
            mode: member.mode,
            modified: member.modified,
            size: member.size,
            content: content.into(),
        });
        Ok(Next::Go)
    })?;
    Ok(contents)
}

/// Runs `work` on a blocking thread that reads what `stream` yields. `work` may end before the stream does.
/// If this future is dropped, the reader gets an error at its next read.
pub(crate) async fn bridge<S, E, T>(
    stream: S,
    work: impl FnOnce(Feed) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<Cause>,
    T: Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let feed = Feed {
        receiver,
        chunk: Bytes::new(),
        ended: false,
    };
    let job = tokio::task::spawn_blocking(move || work(feed));
    let mut stream = pin!(stream);
    loop {
        let piece = tokio::select! {
            // The work may have what it wants while the daemon is still, or endlessly, sending.
            () = sender.closed() => break,
            item = stream.next() => match item {
                Some(Ok(chunk)) => Piece::Chunk(chunk),
                Some(Err(cause)) => Piece::Broken(cause.into()),
                None => Piece::End,
            },
        };
        let last = !matches!(piece, Piece::Chunk(_));
        if sender.send(piece).await.is_err() || last {
            break;
        }
    }
    job.await
        .unwrap_or_else(|lost| Err(Error::Source(io::Error::other(lost))))
}

/// Why a stream from the daemon broke off.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

enum Piece {
    Chunk(Bytes),
    Broken(Cause),
    /// Told apart from a sender that was dropped: an archive cut there must not pass for a whole one.
    End,
}

/// The blocking end of [`bridge`].
pub(crate) struct Feed {
    receiver: mpsc::Receiver<Piece>,
    chunk: Bytes,
    ended: bool,
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Piece::Chunk(chunk)) => self.chunk = chunk,
                // Of a kind that no fault of the archive itself has.
                Some(Piece::Broken(cause)) => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, cause));
                }
                Some(Piece::End) => self.ended = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// An entry of an archive before its content.
#[derive(Debug)]
pub(crate) struct Member {
    /// The parts of its path, `.` and empty ones left out; none for the root of the archive.
    pub(crate) path: Vec<Vec<u8>>,
    pub(crate) kind: MemberKind,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) modified: u64,
    pub(crate) size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberKind {
    File,
    Directory,
    Symlink,
    HardLink,
    Special(&'static str),
}

pub(crate) enum Next {
    Go,
    Stop,
}

/// Calls `each` for every entry; what it leaves of the content is skipped. Refuses paths that are absolute or
/// hold `..`.
pub(crate) fn members(
    source: impl Read,
    mut each: impl FnMut(Member, &mut dyn Read) -> Result<Next, Error>,
) -> Result<(), Error> {
    let mut archive = Archive::new(source);
    let mut extra = Extra::default();
    for entry in archive.entries().map_err(Error::Source)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let size = entry.size();
        match entry.header().entry_type() {
            EntryType::GNULongName => extra.path = Some(extension(&mut entry, size)?),
            EntryType::GNULongLink => extra.link = Some(extension(&mut entry, size)?),
            EntryType::XHeader => extra.records(&extension(&mut entry, size)?)?,
            EntryType::XGlobalHeader => drop(extension(&mut entry, size)?),
            kind => {
                let member = std::mem::take(&mut extra).member(&entry, kind)?;
                if let Next::Stop = each(member, &mut entry)? {
                    return Ok(());
                }
            }
        }
    }
    // Padding after the end: taken, so that the connection can serve again.
    let mut rest = archive.into_inner().take(EXTENSION);
    io::copy(&mut rest, &mut io::sink()).map_err(Error::Source)?;
    Ok(())
}

/// What extension entries say of the entry after them.
#[derive(Default)]
struct Extra {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    modified: Option<u64>,
    size: Option<u64>,
}

impl Extra {
    fn records(&mut self, records: &[u8]) -> Result<(), Error> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(broken)?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                // Seconds, perhaps with a fraction, perhaps negative.
                b"mtime" => self.modified = leading_number(value),
                b"size" => self.size = leading_number(value),
                _ => {}
            }
        }
        Ok(())
    }

    fn member<R: Read>(self, entry: &tar::Entry<'_, R>, kind: EntryType) -> Result<Member, Error> {
        let header = entry.header();
        let path = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = self
            .link
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        // The crate has placed the next entry by the header; if a record says otherwise, one of both lies.
        if self.size.is_some_and(|size| size != entry.size()) {
            return Err(Error::archive(
                &path,
                "its header and its record disagree on its size",
            ));
        }
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => MemberKind::Directory,
            EntryType::Regular | EntryType::Continuous => MemberKind::File,
            EntryType::Directory => MemberKind::Directory,
            EntryType::Symlink => MemberKind::Symlink,
            EntryType::Link => MemberKind::HardLink,
            EntryType::Fifo => MemberKind::Special("a named pipe"),
            EntryType::Char | EntryType::Block => MemberKind::Special("a device"),
            _ => return Err(Error::archive(&path, "it is of a kind that is not known here")),
        };
        Ok(Member {
            path: parts(&path)?,
            kind,
            link: link.unwrap_or_default(),
            mode: header.mode().map_err(broken)? & 0o7777,
            modified: self.modified.or_else(|| header.mtime().ok()).unwrap_or(0),
            size: entry.size(),
        })
    }
}

/// The parts of a path that stays below where it starts.
pub(crate) fn parts(path: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let escapes = |reason| {
        Err(Error::Escapes {
            path: show(path),
            reason,
        })
    };
    if path.starts_with(b"/") {
        return escapes("it is absolute");
    }
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return escapes("it holds '..'"),
            part if part.contains(&0) => return escapes("it holds a zero byte"),
            part => parts.push(part.to_vec()),
        }
    }
    Ok(parts)
}

fn extension(entry: &mut impl Read, size: u64) -> Result<Vec<u8>, Error> {
    if size > EXTENSION {
        return Err(Error::archive(
            b"",
            format!("a name or record of {size} bytes; {EXTENSION} are accepted"),
        ));
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(broken)?;
    if content.last() == Some(&0) {
        content.pop();
    }
    Ok(content)
}

fn leading_number(text: &[u8]) -> Option<u64> {
    let digits = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// The crate reports both a broken stream and a broken archive as I/O errors.
pub(crate) fn broken(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::Other | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Error::Archive {
            path: String::new(),
            reason: base::text::cut(&show(cause.to_string().as_bytes()), 200).to_owned(),
        },
        _ => Error::Source(cause),
    }
}

impl Member {
    pub(crate) fn shown(&self) -> String {
        show(&self.path.join(&b'/'))
    }

    pub(crate) fn note(&self, reason: &'static str) -> Note {
        Note {
            path: self.shown(),
            reason,
        }
    }
}
