//! The one place that writes. All rows that wait when its turn comes are committed in one transaction.
//!
//! A row is committed by the thread that brings it: that takes some tens of microseconds and never waits for the disk, and
//! handing it to another thread and waiting for the answer would take longer. Whatever may take long goes to a thread of
//! the runtime's for such work: opening the file, waiting for another process's transaction, flushing to the disk.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::audit::{Entry, Seq};
use crate::chain::{self, Hash};
use crate::error::Error;
use crate::file::{self, BUSY, Identity};

/// Rows that may wait. More calls than that wait for their place, which holds them back, not the memory up.
const QUEUE: usize = 256;

/// Transactions after which SQLite's log is brought into the file, which flushes both to the disk: some 4 MiB of log.
const CHECKPOINT: u32 = 250;

/// Of so many rows that come alone, one looks whether others come with it.
const LOOKS: u32 = 16;

/// How long the file that was found at its path is taken to be there. A look costs a tenth of what a row does.
pub(crate) const SEEN: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Writer {
    /// Closed with the writer.
    places: Semaphore,
    /// Whose turn it is to read.
    reading: tokio::sync::Mutex<()>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Vec<Waiting>>,
    work: Mutex<Work>,
    /// Whether a thread is on its way that will commit what waits.
    called: AtomicBool,
    /// Rows in a row that were committed alone.
    alone: AtomicU32,
}

#[derive(Debug)]
struct Waiting {
    entry: Entry,
    reply: oneshot::Sender<Result<Seq, Error>>,
}

impl Writer {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            places: Semaphore::new(QUEUE),
            reading: tokio::sync::Mutex::default(),
            shared: Arc::new(Shared {
                waiting: Mutex::default(),
                work: Mutex::new(Work {
                    path: path.to_owned(),
                    file: None,
                }),
                called: AtomicBool::new(false),
                alone: AtomicU32::new(0),
            }),
        }
    }

    pub(crate) async fn append(&self, entry: Entry) -> Result<Seq, Error> {
        let _place = self.places.acquire().await.map_err(|_| Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        lock(&self.shared.waiting).push(Waiting { entry, reply });
        // Should the caller be cancelled now, the row stands all the same.
        let flush = FlushOnDrop(&self.shared);
        // Whoever else has a row ready brings it first. Where nobody is, that look would cost as much as a commit's locks.
        if self.shared.alone.load(Ordering::Relaxed).is_multiple_of(LOOKS) {
            tokio::task::yield_now().await;
        }
        drop(flush);
        answer.await.map_err(|_| Error::Closed)?
    }

    pub(crate) async fn ready(&self) -> Result<(), Error> {
        self.blocking(|work| work.file().map(drop)).await
    }

    /// Does `work` with the file, in turn with the rows.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.blocking(|file| file.run_once(work)).await
    }

    /// Reads a little: here, if the file is open and nobody is at it, since who reads waits for no other process. Those who
    /// come together take turns, where a thread each would only wait for the same file.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let _turn = self.reading.lock().await;
        if self.places.is_closed() {
            return Err(Error::Closed);
        }
        if let Ok(mut file) = self.shared.work.try_lock()
            && file.is_open()
        {
            return file.run_once(work);
        }
        self.run(work).await
    }

    /// Writes what waits, and closes the file.
    pub(crate) async fn close(&self) {
        self.places.close();
        let shared = Arc::clone(&self.shared);
        // Nothing more comes of a thread that couldn't be had, or panicked.
        let _ = spawn_blocking(move || {
            let mut work = lock(&shared.work);
            shared.commit(&mut work, Patience::Waits);
            work.file = None;
        })
        .await;
    }

    /// What is asked here is done even if whoever asked is cancelled.
    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Work) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if self.places.is_closed() {
            return Err(Error::Closed);
        }
        let shared = Arc::clone(&self.shared);
        spawn_blocking(move || run(&mut lock(&shared.work)))
            .await
            .map_err(|_| Error::Closed)?
    }
}

struct FlushOnDrop<'a>(&'a Arc<Shared>);

impl Drop for FlushOnDrop<'_> {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Whether a thread may wait for another process's transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Waits,
    None,
}

impl Shared {
    /// Commits what waits, here if that can be done at once.
    fn flush(self: &Arc<Self>) {
        match self.work.try_lock() {
            Ok(mut work) if work.is_open() => {
                let committed = self.commit(&mut work, Patience::None);
                if committed && !work.wants_checkpoint() {
                    return;
                }
            }
            Ok(_) | Err(_) => {}
        }
        // One thread for all that wait, not one each.
        if self.called.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(self);
        let patiently = move || {
            let mut work = lock(&shared.work);
            // Who comes later calls again; the rows of who came before are among those that wait now.
            shared.called.swap(false, Ordering::AcqRel);
            shared.commit(&mut work, Patience::Waits);
            work.checkpoint();
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(patiently)),
            // Dropped with the last of the runtime: nobody is left who could be held up.
            Err(_) => patiently(),
        }
    }

    /// False: another process is writing, and the rows still wait.
    fn commit(&self, work: &mut Work, patience: Patience) -> bool {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        if waiting.is_empty() {
            return true;
        }
        match waiting.len() {
            1 => self.alone.fetch_add(1, Ordering::Relaxed),
            _ => self.alone.swap(0, Ordering::Relaxed),
        };
        let (entries, replies): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|row| (row.entry, row.reply)).unzip();
        let Some(first) = work.append(&entries, patience) else {
            let rows = entries.into_iter().zip(replies);
            let mut waiting = lock(&self.waiting);
            waiting.splice(0..0, rows.map(|(entry, reply)| Waiting { entry, reply }));
            return false;
        };
        for (place, reply) in (0..).zip(replies) {
            // Whoever asked may have been cancelled; the row stands all the same.
            let _ = reply.send(first.clone().map(|first| Seq(first + place)));
        }
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file, open or not.
#[derive(Debug)]
struct Work {
    path: PathBuf,
    file: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    connection: Connection,
    /// Which file was at the path when it was opened.
    identity: Option<Identity>,
    /// When it was last seen there.
    seen: Instant,
    /// Transactions since the last checkpoint.
    transactions: u32,
}

impl Work {
    fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn file(&mut self) -> Result<&mut Opened, Error> {
        // SQLite goes on writing into a file that has no name any more, and nobody would ever read those rows.
        if let Some(file) = self.file.as_mut().filter(|file| file.seen.elapsed() >= SEEN) {
            if file.identity != Identity::at(&self.path) {
                self.file = None;
                return Err(Error::Gone {
                    path: self.path.clone(),
                });
            }
            file.seen = Instant::now();
        }
        Ok(match &mut self.file {
            Some(file) => file,
            none => none.insert(Opened::open(&self.path)?),
        })
    }

    fn run_once<T>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let file = self.file()?;
        match work(&mut file.connection) {
            Ok(value) => Ok(value),
            Err(cause) => {
                self.file = None;
                Err(Error::sqlite(&self.path, cause))
            }
        }
    }

    /// Appends these rows; the number of the first. `None`: another process is writing, and `patience` was none.
    fn append(&mut self, entries: &[Entry], patience: Patience) -> Option<Result<i64, Error>> {
        let file = match self.file() {
            Ok(file) => file,
            Err(error) => return Some(Err(error)),
        };
        match file.append(entries, patience) {
            Ok(first) => Some(Ok(first)),
            Err(cause) if patience == Patience::None && is_busy(&cause) => None,
            Err(cause) => {
                // The next attempt begins with a fresh look: the file may have been moved away or mended.
                self.file = None;
                Some(Err(Error::sqlite(&self.path, cause)))
            }
        }
    }

    fn wants_checkpoint(&self) -> bool {
        self.file
            .as_ref()
            .is_some_and(|file| file.transactions >= CHECKPOINT)
    }

    fn checkpoint(&mut self) {
        if let Some(file) = self.file.as_mut().filter(|file| file.transactions >= CHECKPOINT) {
            file.transactions = 0;
            // Passive: it brings over what no reader still needs. What it can't, or fails to, is tried again later, and
            // nothing is lost meanwhile.
            let _ = file
                .connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }
}

fn is_busy(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

impl Opened {
    fn open(path: &Path) -> Result<Self, Error> {
        let connection = file::open(path)?;
        Ok(Self {
            connection,
            identity: Identity::at(path),
            seen: Instant::now(),
            transactions: 0,
        })
    }

    fn append(&mut self, entries: &[Entry], patience: Patience) -> rusqlite::Result<i64> {
        self.connection.busy_timeout(match patience {
            Patience::Waits => BUSY,
            Patience::None => std::time::Duration::ZERO,
        })?;
        let first = commit(&self.connection, entries);
        self.connection.busy_timeout(BUSY)?;
        self.transactions += 1;
        first
    }
}

/// As rusqlite's own transaction, but that its beginning and end are not parsed anew for each call.
fn commit(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<i64> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]);
    // Immediate, so that no other process can append between reading the head and writing behind it.
    run("BEGIN IMMEDIATE")?;
    let first = append(connection, entries).and_then(|first| run("COMMIT").map(|_| first));
    if first.is_err() && !connection.is_autocommit() {
        // Where even that fails, the file is closed next, which does the same.
        let _ = run("ROLLBACK");
    }
    first
}

fn append(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<i64> {
    let (last, mut hash): (i64, Hash) = connection
        .prepare_cached("SELECT seq, hash FROM audit_head WHERE id = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut insert = connection
        .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?;
    let mut seq = last;
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
    connection
        .prepare_cached("UPDATE audit_head SET seq = ?1, hash = ?2 WHERE id = 1")?
        .execute(params![seq, hash])?;
    Ok(last + 1)
}
