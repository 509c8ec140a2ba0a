//! What can go wrong with the file, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::drain::Damage;

/// Why the store could not do it. Cheap to clone, since rows committed together fail together.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The folder or the file can't be made or reached.
    #[error("cannot open the state file {path}: {cause}; check the folder's owner and permissions", path = .path.display())]
    Unreachable {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: Arc<io::Error>,
    },
    /// SQLite refuses.
    #[error("cannot use the state file {path}: {cause}; {advice}", path = .path.display())]
    Sqlite {
        /// The state file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        cause: Arc<rusqlite::Error>,
        /// What to do.
        advice: &'static str,
    },
    /// A row could not be written where rows wait on their way into the state file.
    #[error(
        "cannot write to {path}, where rows of the audit wait on their way into the state file: {cause}; check the disk's \
         free space, and the folder's owner and permissions",
        path = .path.display()
    )]
    Spool {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: Arc<io::Error>,
    },
    /// What waits there is not what was written.
    #[error("{0}")]
    Damaged(Damage),
    /// A document is too large to be kept.
    #[error("{name} has {bytes} bytes, and the state file {path} takes at most {most}", path = .path.display())]
    TooLarge {
        /// The state file.
        path: PathBuf,
        /// Kind and name of the document.
        name: String,
        /// Its size.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// Somebody removed the file, or put another in its place, while it was open.
    #[error(
        "the state file {path} was removed or replaced while it was in use, and the rows in the old one are out of \
         reach; nothing was written: if that was not you, find out who did it. The next attempt uses what is there then",
        path = .path.display()
    )]
    Gone {
        /// The state file.
        path: PathBuf,
    },
    /// A later version of Dockmaster has written it.
    #[error(
        "the state file {path} has schema {found}, written by a newer Dockmaster; this one knows schema {known}: upgrade, or use another state folder",
        path = .path.display()
    )]
    Newer {
        /// The state file.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// A row's arguments aren't JSON any more.
    #[error("row {seq} of the audit in {path} cannot be read: {why}; `dockmaster audit verify` tells whether it was changed", path = .path.display())]
    Row {
        /// The state file.
        path: PathBuf,
        /// The row.
        seq: i64,
        /// What is wrong with it.
        why: String,
    },
    /// The export's destination.
    #[error("cannot write the export: {0}")]
    Export(#[source] Arc<io::Error>),
    /// The store was closed.
    #[error("the state file is closed, because the program is ending")]
    Closed,
}

impl Error {
    pub(crate) fn unreachable(path: &Path, cause: io::Error) -> Self {
        Self::Unreachable {
            path: path.to_owned(),
            cause: Arc::new(cause),
        }
    }

    pub(crate) fn spool(path: &Path, cause: io::Error) -> Self {
        Self::Spool {
            path: path.to_owned(),
            cause: Arc::new(cause),
        }
    }

    /// Whether another process holds the file.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite { cause, .. } if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
    }

    pub(crate) fn sqlite(path: &Path, cause: rusqlite::Error) -> Self {
        let advice = match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "the disk is full: free some space",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another program holds it locked: end that one"
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                "check its owner and permissions, and those of its folder"
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                "it is damaged or no state file: move it away, and a new one is made"
            }
            Some(ErrorCode::SystemIoFailure) => "the disk or file system failed: see the system's log",
            _ => "run `dockmaster doctor`",
        };
        Self::Sqlite {
            path: path.to_owned(),
            cause: Arc::new(cause),
            advice,
        }
    }
}
