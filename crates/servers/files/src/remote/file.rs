//! Files of the far side, opened and read.

use super::find::{Far, LOOKS, links, path, regular};
use crate::fault::Fault;
use crate::place::Limit;
use futures_util::future::try_join_all;
use ssh::sftp::{Attributes, Reading};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;

/// Names of a directory that are read to find out how many names one of its files has.
const NEIGHBOURS: usize = 10_000;
/// How often a file that changes just now is opened.
const TRIES: usize = 3;

impl Far {
    /// Opens a regular file whose path has no links, and looks whether what was opened is what stands there.
    pub(super) async fn open(&self, at: &Path) -> Result<(Reading, Attributes), Fault> {
        let whole = self.whole(at);
        for _ in 0..TRIES {
            // The far side would wait for the other end of a pipe, and answer nobody meanwhile.
            regular(&self.sftp.lstat(&whole).await?)?;
            let handle = self.sftp.open(&whole).await?;
            let looks = (0..LOOKS).map(|_| async {
                let (named, place) = tokio::join!(self.sftp.lstat(&whole), self.check(at));
                place?;
                Ok::<_, Fault>(named?)
            });
            let (opened, looks) = tokio::join!(handle.stat(), try_join_all(looks));
            let (opened, looks) = (opened?, looks?);
            regular(&opened)?;
            // SFTP has no number of a file; one that is written to just now differs, too.
            let marks = |it: &Attributes| (it.size, it.mode, it.owner, it.times.map(|(_, changed)| changed));
            if looks.iter().all(|named| marks(named) == marks(&opened)) {
                return Ok((handle.reading(), opened));
            }
        }
        Err(Fault::Far(
            "it is another file each time that it is looked at".to_owned(),
        ))
    }

    /// How many names a file has, 0 where that can't be found out.
    pub(super) async fn names_of(&self, at: &Path) -> Result<u64, Fault> {
        let above = at.parent().unwrap_or(Path::new(""));
        let (names, _) = self.list(above, NEIGHBOURS).await?;
        let own = names
            .iter()
            .find(|name| Some(path(&name.name).as_os_str()) == at.file_name());
        Ok(own.map_or(0, |name| links(&name.line)))
    }
}

/// Refuses a file that has other names, or may have.
pub(super) fn unless_linked(names: u64) -> Result<(), Fault> {
    match names {
        1 => Ok(()),
        names => Err(Fault::FarLinks(names)),
    }
}

/// What may be read by all who share it.
pub(super) struct Budget<'a> {
    /// All of it, in MiB.
    pub(super) most: u64,
    /// Bytes of it that are left.
    pub(super) left: Arc<AtomicU64>,
    pub(super) limit: &'a Limit,
}

/// A file's content, on a thread that may wait.
pub(super) struct Stream<'a> {
    reading: Reading,
    runtime: Handle,
    budget: Option<Budget<'a>>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(reading: Reading, runtime: Handle, budget: Option<Budget<'a>>) -> Self {
        Self {
            reading,
            runtime,
            budget,
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let bytes = self.runtime.block_on(self.reading.read(buffer.len()));
        let bytes = bytes.map_err(io::Error::other)?;
        if let Some(Budget { most, left, limit }) = &self.budget {
            let taken = bytes.len() as u64;
            let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(taken)
            });
            if before.is_err() {
                limit.enough(format!("{most} MiB were read over SFTP"));
                return Ok(0);
            }
        }
        buffer
            .get_mut(..bytes.len())
            .ok_or(io::ErrorKind::InvalidData)?
            .copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Seek for Stream<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.reading.position().checked_add_signed(by),
            SeekFrom::End(by) => {
                let stat = self.runtime.block_on(self.reading.stat());
                let size = stat.map_err(io::Error::other)?.size.unwrap_or_default();
                size.checked_add_signed(by)
            }
        };
        let at = at.ok_or(io::ErrorKind::InvalidInput)?;
        self.reading.seek(at);
        Ok(at)
    }
}
