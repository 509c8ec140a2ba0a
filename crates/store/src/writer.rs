//! The thread that writes. All rows that wait when it comes round are committed in one transaction.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use crate::audit::{Entry, Seq};
use crate::chain::{self, Hash};
use crate::error::Error;
use crate::file::{self, Identity};

/// Rows that may wait. More calls than that wait for their place, which holds them back, not the memory up.
const QUEUE: usize = 256;
/// Rows in one transaction, so that the first of them doesn't wait long.
const TOGETHER: usize = 64;

type Reply<T> = oneshot::Sender<Result<T, Error>>;

enum Order {
    Append(Box<Entry>, Reply<Seq>),
    Ready(Reply<()>),
    /// Anything else that is done with the file.
    Run(Box<dyn FnOnce(&mut Work) + Send>),
}

#[derive(Debug)]
pub(crate) struct Writer {
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(path: &Path) -> Result<Self, Error> {
        let (orders, waiting) = mpsc::channel(QUEUE);
        let path = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || Work { path, file: None }.run(waiting))
            .map_err(|error| Error::Thread(Arc::new(error)))?;
        Ok(Self {
            orders: Mutex::new(Some(orders)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) async fn append(&self, entry: Entry) -> Result<Seq, Error> {
        self.order(|reply| Order::Append(Box::new(entry), reply)).await
    }

    pub(crate) async fn ready(&self) -> Result<(), Error> {
        self.order(Order::Ready).await
    }

    /// Does `work` with the file, in turn with the rows.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.order(|reply| {
            Order::Run(Box::new(move |thread| {
                // Whoever asked may have been cancelled; what was written stands all the same.
                let _ = reply.send(thread.run_once(work));
            }))
        })
        .await
    }

    /// Lets the thread finish what waits, and waits for it.
    pub(crate) async fn close(&self) {
        drop(lock(&self.orders).take());
        let Some(thread) = lock(&self.thread).take() else {
            return;
        };
        // A panic of the thread has been printed by the runtime; there is nothing to add.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }

    async fn order<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, Error> {
        let orders = lock(&self.orders).clone().ok_or(Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        orders.send(order(reply)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread has.
struct Work {
    path: PathBuf,
    file: Option<Opened>,
}

struct Opened {
    connection: Connection,
    /// Which file was at the path when it was opened.
    identity: Option<Identity>,
}

impl Work {
    fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        // While the program starts up. What goes wrong is told to the first who asks.
        let _ = self.file();
        while let Some(first) = orders.blocking_recv() {
            let mut entries = Vec::new();
            let mut replies = Vec::new();
            let mut order = Some(first);
            while let Some(next) = order {
                match next {
                    Order::Append(entry, reply) => {
                        entries.push(*entry);
                        replies.push(reply);
                    }
                    Order::Ready(reply) => drop(reply.send(self.file().map(drop))),
                    Order::Run(work) => work(&mut self),
                }
                order = if entries.len() < TOGETHER {
                    orders.try_recv().ok()
                } else {
                    None
                };
            }
            if entries.is_empty() {
                continue;
            }
            let first = self.append(&entries);
            for (place, reply) in (0..).zip(replies) {
                // Whoever asked may have been cancelled; the row stands all the same.
                let _ = reply.send(first.clone().map(|first| Seq(first + place)));
            }
        }
    }

    fn file(&mut self) -> Result<&mut Connection, Error> {
        // SQLite goes on writing into a file that has no name any more, and nobody would ever read those rows.
        if self
            .file
            .as_ref()
            .is_some_and(|file| file.identity != Identity::at(&self.path))
        {
            self.file = None;
            return Err(Error::Gone {
                path: self.path.clone(),
            });
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(Opened::open(&self.path)?),
        };
        Ok(&mut file.connection)
    }

    fn run_once<T>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let connection = self.file()?;
        match work(connection) {
            Ok(value) => Ok(value),
            Err(cause) => {
                self.file = None;
                Err(Error::sqlite(&self.path, cause))
            }
        }
    }

    /// Appends these rows; the number of the first.
    fn append(&mut self, entries: &[Entry]) -> Result<i64, Error> {
        let connection = self.file()?;
        match commit(connection, entries) {
            Ok(first) => Ok(first),
            Err(cause) => {
                // The next attempt begins with a fresh look: the file may have been moved away or mended.
                self.file = None;
                Err(Error::sqlite(&self.path, cause))
            }
        }
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Self, Error> {
        let connection = file::open(path)?;
        Ok(Self {
            connection,
            identity: Identity::at(path),
        })
    }
}

fn commit(connection: &mut Connection, entries: &[Entry]) -> rusqlite::Result<i64> {
    // Immediate, so that no other process can append between reading the head and writing behind it.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (last, mut hash): (i64, Hash) = transaction
        .prepare_cached("SELECT seq, hash FROM audit_head WHERE id = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut seq = last;
    {
        let mut insert = transaction
            .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?;
        for entry in entries {
            seq += 1;
            let columns = entry.columns();
            hash = chain::next(&hash, seq, &columns);
            insert.execute(params![
                seq,
                columns.time_ms,
                columns.principal,
                columns.client,
                columns.server,
                columns.tool,
                columns.arguments,
                columns.decision,
                columns.outcome,
                columns.result_bytes,
                columns.milliseconds,
                hash,
            ])?;
        }
        transaction
            .prepare_cached("UPDATE audit_head SET seq = ?1, hash = ?2 WHERE id = 1")?
            .execute(params![seq, hash])?;
    }
    transaction.commit()?;
    Ok(last + 1)
}
