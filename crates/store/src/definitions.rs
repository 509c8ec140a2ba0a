//! What servers list of themselves, kept so that it need not be asked for again, and what of it a person approved. The
//! texts are the caller's; nothing here looks into them.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::Store;
use crate::error::Error;

/// Lists of one server under other fingerprints (other versions, other configurations) are kept up to this number; the
/// oldest go.
const MOST_LISTS: u32 = 20;

/// A tool's definition, as it was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The server's own name for the tool.
    pub tool: String,
    /// The definition, in a spelling that is the same for equal ones.
    pub text: String,
}

/// Lists and approvals of a [`Store`]. Everything goes through the connection that writes.
#[derive(Debug, Clone, Copy)]
pub struct Definitions<'a> {
    store: &'a Store,
}

impl<'a> Definitions<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// What was kept under `fingerprint`.
    ///
    /// # Errors
    /// The file can't be read.
    pub async fn lists(self, fingerprint: String) -> Result<Option<String>, Error> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT content FROM lists WHERE fingerprint = ?1")?
                .query_row([fingerprint], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// Keeps `content` for `server` under `fingerprint`, in the place of what was there.
    ///
    /// # Errors
    /// It is not kept.
    pub async fn keep_lists(self, server: String, fingerprint: String, content: String) -> Result<(), Error> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached("INSERT OR REPLACE INTO lists VALUES (?1, ?2, ?3, unixepoch('subsec') * 1000)")?
                .execute(params![fingerprint, server, content])?;
            transaction
                .prepare_cached(
                    "DELETE FROM lists WHERE server = ?1 AND fingerprint NOT IN
                     (SELECT fingerprint FROM lists WHERE server = ?1 ORDER BY kept_ms DESC, rowid DESC LIMIT ?2)",
                )?
                .execute(params![server, MOST_LISTS])?;
            transaction.commit()
        })
        .await
    }

    /// What was approved of `server`, by name; `None`: nothing ever was.
    ///
    /// # Errors
    /// The file can't be read.
    pub async fn approved(self, server: String) -> Result<Option<Vec<Definition>>, Error> {
        self.read(move |connection| {
            // One transaction: another process may be approving at this moment.
            let transaction = connection.transaction()?;
            let is_there = transaction
                .prepare_cached("SELECT 1 FROM approved_servers WHERE server = ?1")?
                .exists([&server])?;
            if !is_there {
                return Ok(None);
            }
            let mut statement = transaction.prepare_cached(
                "SELECT tool, definition FROM approved_tools WHERE server = ?1 ORDER BY tool",
            )?;
            let rows = statement.query_map([&server], |row| {
                Ok(Definition {
                    tool: row.get(0)?,
                    text: row.get(1)?,
                })
            })?;
            rows.collect::<Result<_, _>>().map(Some)
        })
        .await
    }

    /// Puts `definitions` in the place of all that was approved of `server`.
    ///
    /// # Errors
    /// What was approved before still is.
    pub async fn approve(self, server: String, definitions: Vec<Definition>) -> Result<(), Error> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO approved_servers VALUES (?1, unixepoch('subsec') * 1000)",
                )?
                .execute([&server])?;
            transaction
                .prepare_cached("DELETE FROM approved_tools WHERE server = ?1")?
                .execute([&server])?;
            {
                let mut insert = transaction
                    .prepare_cached("INSERT OR REPLACE INTO approved_tools VALUES (?1, ?2, ?3)")?;
                for Definition { tool, text } in &definitions {
                    insert.execute(params![server, tool, text])?;
                }
            }
            transaction.commit()
        })
        .await
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.store.writer.run(work).await
    }

    async fn read<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.store.writer.read(work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(tool: &str, text: &str) -> Definition {
        Definition {
            tool: tool.to_owned(),
            text: text.to_owned(),
        }
    }

    #[tokio::test]
    async fn lists_are_kept_by_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path);
        let keep = async |server: &str, fingerprint: &str, content: &str| {
            let (server, fingerprint) = (server.to_owned(), fingerprint.to_owned());
            store
                .definitions()
                .keep_lists(server, fingerprint, content.to_owned())
                .await
                .unwrap();
        };
        assert_eq!(store.definitions().lists("f1".to_owned()).await.unwrap(), None);
        keep("a", "f1", "one").await;
        keep("a", "f1", "two").await;
        keep("b", "other", "three").await;
        for at in 2..=MOST_LISTS + 1 {
            keep("a", &format!("f{at}"), "x").await;
        }
        store.close().await;

        let store = Store::open(&path);
        let lists =
            async |fingerprint: &str| store.definitions().lists(fingerprint.to_owned()).await.unwrap();
        assert_eq!(lists("f1").await, None, "the oldest of too many");
        assert_eq!(lists("f2").await.as_deref(), Some("x"));
        assert_eq!(lists("other").await.as_deref(), Some("three"));
        store.close().await;
    }

    #[tokio::test]
    async fn approvals_replace_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("state.db"));
        let approved = async |server: &str| store.definitions().approved(server.to_owned()).await.unwrap();
        let approve = async |server: &str, definitions: &[Definition]| {
            store
                .definitions()
                .approve(server.to_owned(), definitions.to_vec())
                .await
                .unwrap();
        };
        assert_eq!(approved("a").await, None);
        approve("a", &[]).await;
        assert_eq!(
            approved("a").await,
            Some(vec![]),
            "to have approved nothing is not the same as never"
        );
        approve("a", &[definition("y", "1"), definition("x", "2")]).await;
        approve("b", &[definition("x", "3")]).await;
        assert_eq!(
            approved("a").await,
            Some(vec![definition("x", "2"), definition("y", "1")])
        );
        approve("a", &[definition("x", "4")]).await;
        assert_eq!(approved("a").await, Some(vec![definition("x", "4")]));
        assert_eq!(approved("b").await, Some(vec![definition("x", "3")]));
        store.close().await;
    }

    #[tokio::test]
    async fn a_file_of_version_1_gets_the_new_tables() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(crate::file::VERSION_1).unwrap();
        drop(old);
        let store = Store::open(&path);
        store
            .definitions()
            .approve("a".to_owned(), vec![definition("x", "1")])
            .await
            .unwrap();
        assert!(
            store
                .definitions()
                .approved("a".to_owned())
                .await
                .unwrap()
                .is_some()
        );
        assert!(store.audit().verify().is_ok());
        store.close().await;
    }
}
