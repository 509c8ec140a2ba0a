//! Named texts that outlive the process: imported catalogs, definitions as they were approved, lists of tools, pins.
//!
//! Each call opens the file for itself and waits for the disk: call it from a command, or from a thread that may
//! block. The audit has its own way ([`crate::Audit`]). Deliberately absent: what a text means.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};

use crate::error::Error;
use crate::{Store, file};

/// Most bytes of one text: a catalog of some thousand servers.
const LARGEST: usize = 64 << 20;

/// The documents of a store.
#[derive(Debug)]
pub struct Documents<'a> {
    store: &'a Store,
}

/// A text, under a kind and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name, unique among its kind.
    pub name: String,
    /// What it says.
    pub text: String,
    /// When that was written; to the millisecond.
    pub changed: Timestamp,
}

impl<'a> Documents<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// The document of this kind and name; `None` also when there is no file yet.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn get(&self, kind: &str, name: &str) -> Result<Option<Document>, Error> {
        self.read(
            "SELECT name, text, changed_ms FROM documents WHERE kind = ?1 AND name = ?2",
            params![kind, name],
        )
        .map(|mut found| found.pop())
    }

    /// All documents of this kind, by name.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn list(&self, kind: &str) -> Result<Vec<Document>, Error> {
        self.read(
            "SELECT name, text, changed_ms FROM documents WHERE kind = ?1 ORDER BY name",
            params![kind],
        )
    }

    /// Writes a document in the place of the one that may be there.
    ///
    /// # Errors
    /// The file can't be written, or the text has more than 64 MiB.
    pub fn put(&self, kind: &str, name: &str, text: &str) -> Result<(), Error> {
        let path = self.store.path();
        if text.len() > LARGEST {
            return Err(Error::TooLarge {
                path: path.to_owned(),
                name: format!("{kind} {name}"),
                bytes: text.len(),
                most: LARGEST,
            });
        }
        file::open(path)?
            .execute(
                "INSERT INTO documents VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (kind, name) DO UPDATE SET text = excluded.text, changed_ms = excluded.changed_ms",
                params![kind, name, text, base::clock::unix_ms()],
            )
            .map(drop)
            .map_err(|cause| Error::sqlite(path, cause))
    }

    /// Removes a document; whether there was one.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn remove(&self, kind: &str, name: &str) -> Result<bool, Error> {
        let path = self.store.path();
        file::open(path)?
            .execute(
                "DELETE FROM documents WHERE kind = ?1 AND name = ?2",
                params![kind, name],
            )
            .map(|rows| rows > 0)
            .map_err(|cause| Error::sqlite(path, cause))
    }

    fn read(&self, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<Document>, Error> {
        let path = self.store.path();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let connection = file::open_to_read(path)?;
        let sqlite = |cause| Error::sqlite(path, cause);
        if !has_documents(&connection).map_err(sqlite)? {
            return Ok(Vec::new());
        }
        let mut statement = connection.prepare(query).map_err(sqlite)?;
        let rows = statement.query_map(parameters, document).map_err(sqlite)?;
        rows.collect::<Result<_, _>>().map_err(sqlite)
    }
}

/// A file of an earlier version that nobody has written since.
fn has_documents(connection: &rusqlite::Connection) -> rusqlite::Result<bool> {
    connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'documents'",
            [],
            |_| Ok(()),
        )
        .optional()
        .map(|found| found.is_some())
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        name: row.get(0)?,
        text: row.get(1)?,
        changed: Timestamp::from_millisecond(row.get(2)?).unwrap_or(Timestamp::UNIX_EPOCH),
    })
}
