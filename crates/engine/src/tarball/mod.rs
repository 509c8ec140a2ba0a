//! Tar streams in both directions: made from host trees and memory for the daemon, and read from the daemon
//! into memory or onto the host.
//!
//! [`Engine::copy_in`](crate::Engine::copy_in) and [`copy_out`](crate::Engine::copy_out) join both to a container.
//!
//! The work is blocking and runs on a blocking thread of its own; a bounded channel joins it to the async side,
//! so a slow daemon slows the reading of files and memory stays at a few chunks. Entries are streamed: nothing
//! here collects an archive. Deliberately absent: compression (the daemon reads plain tar), sparse files,
//! extended attributes, devices, and any decision on which host paths may be touched: that is the guard's, and
//! a path that arrives here has been allowed. What is done here is to stay below that path.

mod copy;
pub(crate) mod dir;
mod pack;
mod place;
mod read;
mod stream;
mod tree;
mod unpack;

#[cfg(test)]
mod tests;

pub use copy::{Copied, CopyError, HostItem, What};
pub use pack::{Source, pack};
pub use place::{Existing, Item, Placement, PlacementError, place};
pub use read::{Contents, Entry, EntryKind, read};
pub use stream::{Note, Progress, TarStream, Totals};
pub use unpack::{Overwrite, Root, Unfinished, Unpacked, Written, unpack};

pub(crate) use stream::{Packer, read_small};
pub(crate) use tree::{Choice, Choose, walk};

use std::io;

/// What a tar stream may hold at most, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files, directories and links together.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// Directories within each other. Each costs an open file while the tree is walked.
    pub depth: usize,
}

impl Limits {
    /// For what people build and copy: 500,000 entries, 32 GiB, 128 directories deep.
    pub const GENEROUS: Self = Self {
        entries: 500_000,
        bytes: 32 << 30,
        depth: 128,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::GENEROUS
    }
}

/// Why a tar stream could not be made, read or unpacked. Paths are relative to the tree or archive, made
/// printable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of the host could not be read.
    #[error("can't read {path}: {cause}; make it readable for this user, or leave it out (.dockerignore)")]
    Unreadable {
        /// Which.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
    /// A file lost content between its header and its end, so the rest of the archive would be garbage.
    #[error(
        "{path} shrank from {announced} to {read} bytes while it was read; try again when nothing writes to it"
    )]
    Shrank {
        /// Which file.
        path: String,
        /// Its size when it was opened.
        announced: u64,
        /// How much there was.
        read: u64,
    },
    /// One of [`Limits`] is used up.
    #[error("more than {limit} {what} at {path}; take a smaller part, or leave out what is not needed")]
    TooMuch {
        /// Of what: entries, bytes, nested directories.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// Where it was reached.
        path: String,
    },
    /// The archive is not one, or holds what is not accepted.
    #[error("the archive is not usable at {path:?}: {reason}")]
    Archive {
        /// The entry, empty if it has no readable name.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry would be written outside of the target.
    #[error(
        "entry {path:?} of the archive leads out of the target folder: {reason}; nothing was written for it"
    )]
    Escapes {
        /// The entry.
        path: String,
        /// How.
        reason: &'static str,
    },
    /// The target already has something of that name.
    #[error("{path} exists already; choose another target, or allow overwriting")]
    Exists {
        /// Where.
        path: String,
    },
    /// The host refused a write.
    #[error("can't write {path}: {cause}")]
    Unwritable {
        /// Where.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The stream from the daemon broke off.
    #[error("the stream broke off: {0}")]
    Source(io::Error),
    /// Whoever asked for the work has gone.
    #[error("stopped, because nobody waits for the result any more")]
    Stopped,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Unreadable { cause, .. } | Error::Unwritable { cause, .. } | Error::Source(cause) => {
                cause.kind()
            }
            Error::Shrank { .. } => io::ErrorKind::UnexpectedEof,
            Error::TooMuch { .. } => io::ErrorKind::FileTooLarge,
            Error::Archive { .. } | Error::Escapes { .. } => io::ErrorKind::InvalidData,
            Error::Exists { .. } => io::ErrorKind::AlreadyExists,
            Error::Stopped => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}

impl Error {
    fn archive(path: &[u8], reason: impl Into<String>) -> Self {
        Self::Archive {
            path: dir::show(path),
            reason: reason.into(),
        }
    }

    fn too_many(limits: Limits, path: &[u8]) -> Self {
        let path = match dir::show(path) {
            path if path.is_empty() => "the top".to_owned(),
            path => path,
        };
        Self::TooMuch {
            what: "files and directories",
            limit: limits.entries,
            path,
        }
    }

    pub(crate) fn unreadable(path: &[u8], cause: io::Error) -> Self {
        let path = match dir::show(path) {
            path if path.is_empty() => "the folder".to_owned(),
            path => path,
        };
        Self::Unreadable { path, cause }
    }
}

/// Twenty random hexadecimal digits, for names that nothing else has.
pub(crate) fn random_digits() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|cause| io::Error::other(cause.to_string()))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random))[..20].to_owned())
}
