//! The one place that writes.
//!
//! A row of the audit stands once it is in the spool: the thread that brings it writes it there, which takes some
//! microseconds and never waits for the disk. From there rows come into the SQLite file by many, on a thread of the
//! runtime's for such work; so does whatever else may take long: opening the file, waiting for another process's
//! transaction, flushing to the disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};

use crate::audit::Entry;
use crate::drain::{self, Damage};
use crate::error::Error;
use crate::file::{self, Identity};
use crate::spool::Spool;

/// How long a row waits for others, to come into the SQLite file with them.
const PAUSE: Duration = Duration::from_millis(250);

/// Rows that may be on their way. Calls beyond that wait until these are through, which holds them back, not the spool up.
const MOST: usize = 8_192;

/// Bytes from which on a spool is emptied when all of it has been brought over.
const LARGE: u64 = 256 << 10;

/// Pages of SQLite's log after which it is brought into the file, which flushes both to the disk: some 4 MiB.
const CHECKPOINT: usize = 1_000;

/// SQLite's, in bytes.
const PAGE: usize = 4_096;

/// How long files that were found at their paths are taken to be there. A look costs a tenth of what a row does.
pub(crate) const SEEN: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Writer {
    /// Whose turn it is to read.
    reading: tokio::sync::Mutex<()>,
    /// Those that wait to bring rows over; they end with the writer.
    drains: Mutex<JoinSet<()>>,
    shared: Arc<Shared>,
}

/// `work` is locked before SQLite's lock is taken, and `intake` last.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    work: Mutex<Work>,
    intake: Mutex<Intake>,
}

/// Where rows come in.
#[derive(Debug)]
struct Intake {
    spool: Option<Spool>,
    /// Which SQLite file the rows are for.
    database: Option<Identity>,
    /// When both were last seen at their paths.
    seen: Instant,
    /// Rows in the spool that were not brought over.
    pending: usize,
    /// Whether someone is on the way to bring them over.
    is_called: bool,
    /// Why they could not be, the last time.
    is_stuck: bool,
    is_closed: bool,
    /// Those that could not be taken at once.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    row: Vec<u8>,
    reply: oneshot::Sender<Result<(), Error>>,
}

/// What became of a row that was brought.
enum Taken {
    /// It stands; someone has to come and bring it over.
    First,
    /// It stands.
    Stands,
    /// It waits for this; someone has to come and see to it.
    Waits(oneshot::Receiver<Result<(), Error>>),
}

impl Writer {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            reading: tokio::sync::Mutex::default(),
            drains: Mutex::default(),
            shared: Arc::new(Shared {
                path: path.to_owned(),
                work: Mutex::new(Work {
                    path: path.to_owned(),
                    file: None,
                }),
                intake: Mutex::new(Intake {
                    spool: None,
                    database: None,
                    seen: Instant::now(),
                    pending: 0,
                    is_called: false,
                    is_stuck: false,
                    is_closed: false,
                    waiting: Vec::new(),
                }),
            }),
        }
    }

    /// Writes a row. Should the caller be cancelled meanwhile, it stands all the same.
    pub(crate) async fn append(&self, entry: &Entry) -> Result<(), Error> {
        let row = entry.columns().array();
        match self.shared.take(row)? {
            Taken::Stands => Ok(()),
            Taken::First => {
                self.call();
                Ok(())
            }
            Taken::Waits(answer) => {
                let shared = Arc::clone(&self.shared);
                drop(spawn_blocking(move || shared.serve()));
                answer.await.map_err(|_| Error::Closed)?
            }
        }
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
        self.shared.check_open()?;
        if let Ok(mut file) = self.shared.work.try_lock()
            && file.is_open()
        {
            return file.run_once(work);
        }
        self.run(work).await
    }

    /// Brings over what is in the spool, and closes the files.
    pub(crate) async fn close(&self) {
        lock(&self.shared.intake).is_closed = true;
        let shared = Arc::clone(&self.shared);
        // Nothing more comes of a thread that couldn't be had, or panicked; the next process finds the spool.
        let _ = spawn_blocking(move || shared.end()).await;
        lock(&self.drains).abort_all();
    }

    /// Has what is in the spool brought over in a while.
    fn call(&self) {
        let shared = Arc::clone(&self.shared);
        let later = async move {
            tokio::time::sleep(PAUSE).await;
            // What is not done now is in the spool, and told of by the next call.
            let _ = spawn_blocking(move || shared.drain(&mut lock(&shared.work))).await;
        };
        // Outside of a runtime nobody comes; the next process finds the spool.
        if let Ok(runtime) = Handle::try_current() {
            let mut drains = lock(&self.drains);
            while drains.try_join_next().is_some() {}
            drains.spawn_on(later, &runtime);
        }
    }

    /// What is asked here is done even if whoever asked is cancelled.
    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Work) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.shared.check_open()?;
        let shared = Arc::clone(&self.shared);
        spawn_blocking(move || run(&mut lock(&shared.work)))
            .await
            .map_err(|_| Error::Closed)?
    }
}

impl Shared {
    fn check_open(&self) -> Result<(), Error> {
        if lock(&self.intake).is_closed {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Takes a row, at once if nothing speaks against it.
    fn take(&self, row: Vec<u8>) -> Result<Taken, Error> {
        let mut intake = lock(&self.intake);
        if intake.is_closed {
            return Err(Error::Closed);
        }
        if !intake.takes(&self.path) {
            let (reply, answer) = oneshot::channel();
            intake.waiting.push(Waiting { row, reply });
            return Ok(Taken::Waits(answer));
        }
        intake.append(&row)?;
        Ok(if std::mem::replace(&mut intake.is_called, true) {
            Taken::Stands
        } else {
            Taken::First
        })
    }

    /// Sees to those that wait: opens what is not open, makes room, and says to each whether its row stands. One serves
    /// all; the others find nobody waiting any more.
    fn serve(&self) {
        let mut work = lock(&self.work);
        if lock(&self.intake).waiting.is_empty() {
            return;
        }
        // Perhaps they wait because the file went.
        if let Some(file) = &mut work.file {
            file.seen = None;
        }
        let ready = self.drain(&mut work);
        let mut intake = lock(&self.intake);
        let ready = ready.and_then(|()| intake.open(&self.path, work.identity()));
        for Waiting { row, reply } in std::mem::take(&mut intake.waiting) {
            let stands = ready.clone().and_then(|()| intake.append(&row));
            // Whoever asked may have been cancelled; the row stands all the same.
            let _ = reply.send(stands);
        }
        drop(intake);
        // They come with what brought them here, since nobody is on the way for them.
        let _ = self.drain(&mut work);
    }

    /// Brings over what is in the spool.
    fn drain(&self, work: &mut Work) -> Result<(), Error> {
        let done = self.try_drain(work);
        let mut intake = lock(&self.intake);
        intake.is_stuck = done.is_err();
        done
    }

    fn try_drain(&self, work: &mut Work) -> Result<(), Error> {
        let file = match work.file() {
            Ok(file) => file,
            Err(error) => {
                if matches!(error, Error::Gone { .. }) {
                    // Its rows were for the file that went. Those that were not brought over come into the next.
                    lock(&self.intake).abandon();
                }
                return Err(error);
            }
        };
        let mut intake = lock(&self.intake);
        intake.is_called = false;
        let rows = intake.pending;
        let Some(spool) = intake.spool.as_mut().filter(|spool| !spool.is_drained()) else {
            return Ok(());
        };
        let (name, path) = (spool.name().to_owned(), spool.path().to_owned());
        let (content, known) = spool.pending().map_err(|cause| Error::spool(&path, cause))?;
        drop(intake);

        let drained = match drain::own(&file.connection, &name, &content, known) {
            Ok(drained) => drained,
            Err(cause) => return Err(work.broke(cause)),
        };
        // Each transaction writes a few pages whatever it brings.
        file.pages += 3 + content.len() / PAGE;
        let mut intake = lock(&self.intake);
        intake.pending = intake.pending.saturating_sub(rows);
        if let Some(why) = drained.damage {
            intake.abandon();
            let row = drained.to.number + 1;
            return Err(Error::Damaged(Damage { path, row, why }));
        }
        let Some(spool) = &mut intake.spool else {
            return Ok(());
        };
        spool.drained(drained.bytes, drained.to);
        let is_large = spool.len() >= LARGE;
        drop(intake);
        if is_large && let Err(cause) = self.clear(&file.connection, &name) {
            return Err(work.broke(cause));
        }
        work.checkpoint();
        Ok(())
    }

    /// Empties the spool, if all of it has been brought over.
    fn clear(&self, connection: &Connection, name: &str) -> rusqlite::Result<()> {
        drain::transaction(connection, || {
            let mut intake = lock(&self.intake);
            let noted = drain::mark(connection, name)?;
            if let Some(spool) = intake.spool.as_mut().filter(|spool| spool.last() == noted) {
                // One that can't be emptied goes on growing, or fails at the next row.
                let _ = spool.clear();
            }
            Ok(())
        })
    }

    fn end(&self) {
        let mut work = lock(&self.work);
        let drained = self.drain(&mut work);
        let mut intake = lock(&self.intake);
        intake.waiting.clear();
        let spool = intake.spool.take();
        drop(intake);
        if drained.is_ok()
            && let Some(spool) = spool
            && let Some(file) = &work.file
            && fs_err::remove_file(spool.path()).is_ok()
        {
            // Otherwise swept by the next process.
            let _ = drain::unmark(&file.connection, spool.name());
        }
        work.file = None;
    }
}

impl Intake {
    /// Whether a row can be taken at once.
    fn takes(&mut self, database: &Path) -> bool {
        let Some(spool) = &self.spool else {
            return false;
        };
        if self.is_stuck || self.pending >= MOST || !self.waiting.is_empty() {
            return false;
        }
        if self.seen.elapsed() >= SEEN {
            if !spool.is_there() || self.database != Identity::at(database) {
                return false;
            }
            self.seen = Instant::now();
        }
        true
    }

    /// Makes a spool, if there is none that others find.
    fn open(&mut self, path: &Path, database: Option<Identity>) -> Result<(), Error> {
        if !self.spool.as_ref().is_some_and(Spool::is_there) {
            self.abandon();
            let spool =
                Spool::create(path).map_err(|cause| Error::spool(&crate::spool::folder(path), cause))?;
            self.spool = Some(spool);
        }
        self.database = database;
        self.seen = Instant::now();
        Ok(())
    }

    fn append(&mut self, row: &[u8]) -> Result<(), Error> {
        let Some(spool) = &mut self.spool else {
            return Err(Error::Closed);
        };
        if let Err(cause) = spool.append(row) {
            let error = Error::spool(spool.path(), cause);
            self.is_stuck = true;
            return Err(error);
        }
        self.pending += 1;
        Ok(())
    }

    /// Leaves the spool as that of a process that has ended.
    fn abandon(&mut self) {
        self.spool = None;
        self.pending = 0;
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
    /// When it was last seen there; `None`: one has to look.
    seen: Option<Instant>,
    /// Pages that were written since the last checkpoint, about.
    pages: usize,
}

impl Work {
    fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn identity(&self) -> Option<Identity> {
        self.file.as_ref().and_then(|file| file.identity)
    }

    fn file(&mut self) -> Result<&mut Opened, Error> {
        // SQLite goes on writing into a file that has no name any more, and nobody would ever read those rows.
        let is_old = |file: &&mut Opened| file.seen.is_none_or(|seen| seen.elapsed() >= SEEN);
        if let Some(file) = self.file.as_mut().filter(is_old) {
            if file.identity != Identity::at(&self.path) {
                self.file = None;
                return Err(Error::Gone {
                    path: self.path.clone(),
                });
            }
            file.seen = Some(Instant::now());
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
            Err(cause) => Err(self.broke(cause)),
        }
    }

    /// The next attempt begins with a fresh look: the file may have been moved away or mended.
    fn broke(&mut self, cause: rusqlite::Error) -> Error {
        self.file = None;
        Error::sqlite(&self.path, cause)
    }

    fn checkpoint(&mut self) {
        if let Some(file) = self.file.as_mut().filter(|file| file.pages >= CHECKPOINT) {
            file.pages = 0;
            // Passive: it brings over what no reader still needs. What it can't, or fails to, is tried again later, and
            // nothing is lost meanwhile.
            let _ = file
                .connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }
}

impl Opened {
    /// Opens the file, and brings over what processes that have ended left for it.
    fn open(path: &Path) -> Result<Self, Error> {
        let connection = file::open(path)?;
        // That something of it is damaged is for `Audit::verify` to tell.
        drain::others(path, &connection, false)?;
        Ok(Self {
            connection,
            identity: Identity::at(path),
            seen: Some(Instant::now()),
            pages: 0,
        })
    }
}
