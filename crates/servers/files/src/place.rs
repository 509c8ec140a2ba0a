//! What a place of files has to offer, for the tools to work on: this machine's disks, and whatever comes beside them.
//!
//! Paths are relative to the root of the place, without `..`. Calls may wait, and so are made on threads that may. Each
//! is safe by itself against whatever else changes the files, as far as the place can have it so: it works on the root's own
//! files or it fails.

use crate::fault::Fault;
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A file's content.
pub(crate) trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// What kind of thing has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Dir,
    File,
    Link,
    /// A pipe, socket or device: named, never opened.
    Other,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::File => "file",
            Self::Link => "link",
            Self::Other => "special",
        }
    }
}

/// What is known of a file without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) modified: Option<SystemTime>,
    pub(crate) created: Option<SystemTime>,
    /// Permission bits, where there are any.
    pub(crate) mode: Option<u32>,
    /// Names that the file has; 0 where the place can't tell.
    pub(crate) links: u64,
}

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: std::ffi::OsString,
    pub(crate) stat: Stat,
}

/// Whether links at the end of a path are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Keep,
}

/// What may happen to what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    Never,
    Yes,
}

/// How far a walk goes.
pub(crate) struct Walk<'a> {
    /// Hidden files too, and those that ignore files name.
    pub(crate) all: bool,
    /// Directories below the first: 0 is that one alone.
    pub(crate) depth: usize,
    /// When to end.
    pub(crate) limit: &'a Limit,
}

/// When work that may be long ends early.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) stop: AtomicBool,
    pub(crate) until: Instant,
    /// How long the work may take.
    pub(crate) longest: Duration,
    /// What the place itself has had enough of.
    enough: OnceLock<String>,
}

impl Limit {
    pub(crate) fn of(longest: Duration) -> Self {
        Self {
            stop: AtomicBool::new(false),
            until: Instant::now() + longest,
            longest,
            enough: OnceLock::new(),
        }
    }

    pub(crate) fn reached(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.enough.get().is_some() || Instant::now() >= self.until
    }

    /// Ends the work before its time, for this reason.
    pub(crate) fn enough(&self, why: String) {
        _ = self.enough.set(why);
    }

    /// Why it has ended before its time.
    pub(crate) fn why(&self) -> Option<&str> {
        self.enough.get().map(String::as_str)
    }
}

/// Something that a walk has come to.
pub(crate) struct Found<'a> {
    /// From the root of the place on.
    pub(crate) path: &'a Path,
    pub(crate) kind: Kind,
    /// Opens it, if it is a file that may be read.
    pub(crate) open: &'a dyn Fn() -> Result<Box<dyn Read + 'a>, Fault>,
    /// What is known of it.
    pub(crate) stat: &'a dyn Fn() -> Result<Stat, Fault>,
}

/// Whether a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    On,
    Enough,
}

/// What one thread of a walk does with what it finds.
pub(crate) type Visitor<'a> = Box<dyn FnMut(&Found<'_>) -> Flow + 'a>;

/// See the module.
pub(crate) trait Place: Send + Sync + std::fmt::Debug {
    /// What is known of the file at this path.
    fn stat(&self, at: &Path, links: Links) -> Result<Stat, Fault>;
    /// The path without links.
    fn resolve(&self, at: &Path) -> Result<std::path::PathBuf, Fault>;
    /// Where a link points to, as it says.
    fn read_link(&self, at: &Path) -> Result<std::path::PathBuf, Fault>;
    /// Opens a regular file for reading.
    fn open(&self, at: &Path) -> Result<(Box<dyn Source>, Stat), Fault>;
    /// The names in a directory, at most so many, in no order, and whether these are all.
    fn list(&self, at: &Path, most: usize) -> Result<(Vec<Entry>, bool), Fault>;
    /// Writes a file that appears whole or not at all. Its mode is the given one, that of the file it replaces, or the usual
    /// one. Gives the bytes written.
    fn write(
        &self,
        at: &Path,
        content: &mut dyn Read,
        replace: Replace,
        mode: Option<u32>,
    ) -> Result<u64, Fault>;
    /// Makes a directory, and those above it that are not there. Says whether anything was made.
    fn make_dirs(&self, at: &Path) -> Result<bool, Fault>;
    /// Gives something another name; never replaces anything.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), Fault>;
    /// Removes a file, a link or a directory with all in it, for good.
    fn remove(&self, at: &Path) -> Result<(), Fault>;
    /// Makes a link that says this.
    fn link(&self, at: &Path, says: &Path) -> Result<(), Fault>;
    /// Goes through a directory and what is below, on several threads; `visitor` makes what each of them does. Links are
    /// named, not followed. Gives the directories that could not be read.
    fn walk<'v>(
        &self,
        at: &Path,
        walk: &Walk<'_>,
        visitor: &(dyn Fn() -> Visitor<'v> + Sync),
    ) -> Result<usize, Fault>;
}
