//! The one SQLite file that holds Dockmaster's state: the audit, documents, what servers list of themselves, and what
//! of it was approved.
//!
//! Several processes may use the file at once: each gateway that a client starts over stdio is one. A row of the audit
//! stands once it is in this process's spool, a file beside (`spool.rs`), from where it comes into the SQLite file with
//! others. Reading opens the file for itself. Deliberately absent: any judgement of what is written. Rows come in redacted.

mod audit;
mod chain;
mod definitions;
mod documents;
mod drain;
mod error;
mod file;
mod spool;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::audit::{Audit, Entry, Filter, Row, Seq};
pub use crate::chain::{Problem, Report};
pub use crate::definitions::{Definition, Definitions};
pub use crate::documents::{Document, Documents};
pub use crate::drain::Damage;
pub use crate::error::Error;
use crate::writer::Writer;

/// A handle to the file. Clones share the writer.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    writer: Arc<Writer>,
}

impl Store {
    /// The store in the file at `path`, which is made with its folder when it is missing, readable by its owner
    /// only.
    ///
    /// Touches nothing yet: the file is opened by [`Store::ready`] or the first write. What is wrong with it is told by
    /// that, and by each later write, which tries anew, so that a full disk that has been cleared needs no restart.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let writer = Arc::new(Writer::new(&path));
        Self { path, writer }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file. Needs a runtime, as all writing does.
    ///
    /// # Errors
    /// Why it can't be.
    pub async fn ready(&self) -> Result<(), Error> {
        self.writer.ready().await
    }

    /// The audit in it.
    pub fn audit(&self) -> Audit<'_> {
        Audit::new(self)
    }

    /// The documents in it.
    pub fn documents(&self) -> Documents<'_> {
        Documents::new(self)
    }

    /// What servers list, and what of it was approved.
    pub fn definitions(&self) -> Definitions<'_> {
        Definitions::new(self)
    }

    /// Writes what is waiting, and ends the writer. Later writes fail.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests;
