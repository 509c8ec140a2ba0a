//! Opening the file: its permissions, its pragmas, its schema.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::Error;

/// The newest schema that this program knows; SQLite keeps the file's in `user_version`.
const SCHEMA: i64 = 4;

/// How long one process waits for another's transaction. Ours take well under a millisecond.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// Between two attempts to open a file that another process is making.
const AGAIN: Duration = Duration::from_millis(5);

/// Version 1. `audit_head` repeats the last row's number and hash, so that rows cut off the end are missed.
pub(crate) const VERSION_1: &str = "
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        principal TEXT NOT NULL,
        client TEXT NOT NULL,
        server TEXT NOT NULL,
        tool TEXT NOT NULL,
        arguments TEXT NOT NULL,
        decision TEXT NOT NULL,
        outcome TEXT NOT NULL,
        result_bytes INTEGER NOT NULL,
        milliseconds INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE TABLE audit_head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
    INSERT INTO audit_head VALUES (1, 0, zeroblob(32));
    PRAGMA user_version = 1;
";

/// Version 2.
const VERSION_2: &str = "
    CREATE TABLE documents (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        changed_ms INTEGER NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 2;
";

/// Version 3 adds what servers list, and what of it was approved. A server of which nothing is approved stands in
/// `approved_servers` all the same, once it was looked at.
const VERSION_3: &str = "
    CREATE TABLE lists (
        fingerprint TEXT PRIMARY KEY,
        server TEXT NOT NULL,
        content TEXT NOT NULL,
        kept_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX lists_of_server ON lists (server, kept_ms);
    CREATE TABLE approved_servers (
        server TEXT PRIMARY KEY,
        approved_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE approved_tools (
        server TEXT NOT NULL,
        tool TEXT NOT NULL,
        definition TEXT NOT NULL,
        PRIMARY KEY (server, tool)
    ) STRICT;
    PRAGMA user_version = 3;
";

/// Version 4: how far each spool was brought over.
const VERSION_4: &str = "
    CREATE TABLE audit_spools (
        name TEXT PRIMARY KEY,
        last INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 4;
";

/// Opens the file to write, making folder, file and schema where they are missing. May wait some seconds for another
/// process that is doing the same.
pub(crate) fn open(path: &Path) -> Result<Connection, Error> {
    let deadline = Instant::now() + BUSY;
    loop {
        match open_once(path) {
            // SQLite itself doesn't wait where two change a new file to WAL.
            Err(error) if error.is_busy() && Instant::now() < deadline => std::thread::sleep(AGAIN),
            opened => return opened,
        }
    }
}

fn open_once(path: &Path) -> Result<Connection, Error> {
    make_private(path).map_err(|cause| Error::unreachable(path, cause))?;
    let sqlite = |cause| Error::sqlite(path, cause);
    let mut connection = Connection::open(path).map_err(sqlite)?;
    connection.busy_timeout(BUSY).map_err(sqlite)?;
    // WAL: readers don't hold up the writer. With NORMAL a row survives the death of the process at once, and
    // that of the machine after the next checkpoint; FULL would cost a disk flush for each call.
    connection
        .pragma_update(None, "journal_mode", "wal")
        .map_err(sqlite)?;
    connection
        .pragma_update(None, "synchronous", "normal")
        .map_err(sqlite)?;
    // The writer brings the log over itself, when nobody waits for it.
    connection
        .pragma_update(None, "wal_autocheckpoint", 0)
        .map_err(sqlite)?;
    // The rows are small and written once: 256 KiB of cache instead of 2 MiB.
    connection
        .pragma_update(None, "cache_size", -256)
        .map_err(sqlite)?;
    migrate(path, &mut connection)?;
    Ok(connection)
}

/// Opens the file to read; it is not made.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, Error> {
    let sqlite = |cause| Error::sqlite(path, cause);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(BUSY).map_err(sqlite)?;
    check_version(path, version(path, &connection)?)?;
    Ok(connection)
}

fn migrate(path: &Path, connection: &mut Connection) -> Result<(), Error> {
    if version(path, connection)? == SCHEMA {
        return Ok(());
    }
    let sqlite = |cause| Error::sqlite(path, cause);
    // Immediate: another process may be making the schema at this moment; then it is there when we get the lock.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sqlite)?;
    let found = version(path, &transaction)?;
    check_version(path, found)?;
    for (version, batch) in [(1, VERSION_1), (2, VERSION_2), (3, VERSION_3), (4, VERSION_4)] {
        if found < version {
            transaction.execute_batch(batch).map_err(sqlite)?;
        }
    }
    transaction.commit().map_err(sqlite)
}

fn version(path: &Path, connection: &Connection) -> Result<i64, Error> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|cause| Error::sqlite(path, cause))
}

fn check_version(path: &Path, found: i64) -> Result<(), Error> {
    if found > SCHEMA {
        return Err(Error::Newer {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        });
    }
    Ok(())
}

/// Which file a path names: what tells an open file from one that was put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    /// Of the file that is at `path` now; `None` if there is none, or if the system can't tell files apart.
    #[cfg(unix)]
    pub(crate) fn at(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;

        let meta = fs_err::metadata(path).ok()?;
        Some(Self(meta.dev(), meta.ino()))
    }

    /// Windows lets nobody remove or replace a file that is open.
    #[cfg(not(unix))]
    pub(crate) fn at(_path: &Path) -> Option<Self> {
        None
    }
}

/// Makes the folder (0700) and the file (0600); takes everyone else's permissions from a file that is there. SQLite
/// gives its side files the permissions of the main one.
#[cfg(unix)]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder)?;
    }
    match create_private(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => return made.map(drop),
    }
    let of_others = fs_err::metadata(path)?.permissions().mode() & 0o077;
    if of_others == 0 {
        return Ok(());
    }
    // The side files of an earlier run have the permissions that the main one had then.
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o600)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => make_folder(folder),
        _ => Ok(()),
    }
}

/// Makes the folder (0700) unless it is there.
pub(crate) fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// A new file (0600), to read it and to append to it.
pub(crate) fn create_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).append(true).create_new(true);
    #[cfg(unix)]
    fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(fs_err::File::into_file)
}
