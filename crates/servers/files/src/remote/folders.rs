//! Going through the directories of another host: on several threads, which wait for the way there and not for each
//! other, and within bounds of its own, as everything that is read comes over a network.

use super::file::{Budget, Stream, unless_linked};
use super::find::{self, Far, is_plain, kind, links, stat};
use crate::fault::Fault;
use crate::place::{Kind, Limit, Links, Stat};
use crate::walk::{Folders, IGNORE_BYTES};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Threads of one walk.
const THREADS: usize = 8;
/// Names that one walk looks at.
const MOST_NAMES: usize = 50_000;

/// The directories of a root while they are gone through.
pub(super) struct There<'a> {
    far: Far,
    hard_links: bool,
    limit: &'a Limit,
    names: AtomicUsize,
    /// MiB that may be read from files, and the bytes that are left of them.
    most: u64,
    bytes: Arc<AtomicU64>,
}

/// A directory: SFTP keeps none open, so it is its path.
pub(super) struct Dir {
    path: PathBuf,
    names: OnceLock<HashMap<OsString, Stat>>,
}

impl Dir {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            names: OnceLock::new(),
        }
    }
}

impl<'a> There<'a> {
    pub(super) fn new(far: Far, hard_links: bool, most: u64, limit: &'a Limit) -> Self {
        Self {
            far,
            hard_links,
            limit,
            names: AtomicUsize::new(0),
            most,
            bytes: Arc::new(AtomicU64::new(most << 20)),
        }
    }

    fn known(dir: &Dir, name: &OsStr) -> Result<Stat, Fault> {
        let known = dir.names.get().and_then(|names| names.get(name));
        known.cloned().ok_or(Fault::Io(ErrorKind::NotFound.into()))
    }
}

impl Folders for There<'_> {
    type Dir = Dir;

    fn threads(&self) -> usize {
        THREADS
    }

    fn at(&self, path: &Path) -> Result<Dir, Fault> {
        let (path, attributes) = self.far.wait(self.far.find(path, Links::Follow))?;
        match attributes.map(|attributes| kind(&attributes)) {
            Some(Kind::Dir) => Ok(Dir::new(path)),
            Some(_) => Err(Fault::Io(ErrorKind::NotADirectory.into())),
            None => Err(Fault::Io(ErrorKind::NotFound.into())),
        }
    }

    fn below(&self, above: &Dir, name: &OsStr) -> Result<Dir, Fault> {
        // Where it leads is looked at when its names are read.
        if !is_plain(Path::new(name)) {
            return Err(Fault::Escape);
        }
        Ok(Dir::new(above.path.join(name)))
    }

    fn names(&self, dir: &Dir) -> Result<Vec<(OsString, Kind)>, Fault> {
        let (found, whole) = self.far.wait(self.far.list(&dir.path, MOST_NAMES))?;
        if !whole || self.names.fetch_add(found.len(), Ordering::Relaxed) + found.len() > MOST_NAMES {
            self.limit
                .enough("50,000 names were looked at over SFTP".to_owned());
        }
        let names: HashMap<OsString, Stat> = found
            .into_iter()
            .map(|name| {
                let stat = stat(&name.attributes, links(&name.line));
                (find::path(&name.name).into_os_string(), stat)
            })
            .collect();
        let kinds = names
            .iter()
            .map(|(name, stat)| (name.clone(), stat.kind))
            .collect();
        // Each directory is read once.
        drop(dir.names.set(names));
        Ok(kinds)
    }

    fn open(&self, dir: &Dir, name: &OsStr) -> Result<Box<dyn Read + '_>, Fault> {
        if !self.hard_links {
            unless_linked(Self::known(dir, name)?.links)?;
        }
        let (reading, _) = self.far.wait(self.far.open(&dir.path.join(name)))?;
        let budget = Budget {
            most: self.most,
            left: Arc::clone(&self.bytes),
            limit: self.limit,
        };
        Ok(Box::new(Stream::new(
            reading,
            self.far.runtime.clone(),
            Some(budget),
        )))
    }

    fn look(&self, dir: &Dir, name: &OsStr) -> Result<Stat, Fault> {
        Self::known(dir, name)
    }

    fn text(&self, dir: &Dir, name: &OsStr) -> Option<Vec<u8>> {
        let path = dir.path.join(name);
        self.far.wait(self.far.lstat(&path)).ok()??;
        let (reading, _) = self.far.wait(self.far.open(&path)).ok()?;
        let mut text = Vec::new();
        let stream = Stream::new(reading, self.far.runtime.clone(), None);
        stream.take(IGNORE_BYTES).read_to_end(&mut text).ok()?;
        Some(text)
    }
}
