//! Rows on their way into the SQLite file. An append is one write to the end of a file of this process's own, which takes
//! a tenth of what a transaction does; many rows are then brought over in one (`drain.rs`).
//!
//! The files lie in a folder beside the SQLite file. Each is locked by its process for as long as that lives, so that a
//! later one can tell what a dead one left. A row is a line: its number from 1, the hash up to and with it in
//! hexadecimal, and its columns as a JSON array. The hash covers the file's name and the hash of the row before. A number
//! is never given twice, so a row is brought over once, however often the file is read: `audit_spools` in the SQLite file
//! says which was the last.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::audit::Columns;
use crate::chain::{self, Hash};
use crate::file::{self, Identity};

/// In front of everything hashed, so that no other program's hash can be one of ours.
const DOMAIN: &[u8] = b"dockmaster spool 1";

/// Behind the name of a file that is not locked yet. Nobody looks at those.
const YOUNG: &str = "new";

/// How far a spool was read: a row's number and hash; zeros before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub(crate) number: i64,
    pub(crate) hash: Hash,
}

/// The folder of the spools of the SQLite file at `database`.
pub(crate) fn folder(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-spool");
    path.into()
}

/// This process's own, locked.
#[derive(Debug)]
pub(crate) struct Spool {
    name: String,
    path: PathBuf,
    file: File,
    identity: Option<Identity>,
    last: Mark,
    /// Bytes in it, all of them whole rows.
    len: u64,
    /// Bytes that are known to have been brought over, and up to which row.
    drained: u64,
    to: Mark,
    /// Whether half a row stands at its end.
    is_broken: bool,
    /// The line that is being made; kept for its memory.
    line: Vec<u8>,
}

impl Spool {
    pub(crate) fn create(database: &Path) -> io::Result<Self> {
        let folder = folder(database);
        file::make_folder(&folder)?;
        let (name, young, file) = new_file(&folder)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::other("another process holds it"),
        })?;
        // Under its name only now, so that nobody ever sees it free.
        let path = folder.join(&name);
        fs_err::rename(young, &path)?;
        Ok(Self {
            name,
            identity: Identity::at(&path),
            path,
            file,
            last: Mark::default(),
            len: 0,
            drained: 0,
            to: Mark::default(),
            is_broken: false,
            line: Vec::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The last row.
    pub(crate) fn last(&self) -> Mark {
        self.last
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether rows can be appended, and others find them.
    pub(crate) fn is_there(&self) -> bool {
        !self.is_broken && self.identity == Identity::at(&self.path)
    }

    /// Appends a row, whose columns are the JSON array `columns`.
    pub(crate) fn append(&mut self, columns: &[u8]) -> io::Result<()> {
        let number = self.last.number + 1;
        let hash = hash(&self.name, &self.last, columns);
        self.line.clear();
        write!(self.line, "{number} {} ", chain::hex(&hash))?;
        self.line.extend_from_slice(columns);
        self.line.push(b'\n');
        if let Err(error) = self.file.write_all(&self.line) {
            self.is_broken = self.file.set_len(self.len).is_err();
            return Err(error);
        }
        self.len += self.line.len() as u64;
        self.last = Mark { number, hash };
        Ok(())
    }

    /// The rows that are not known to have been brought over, and the row before them.
    pub(crate) fn pending(&mut self) -> io::Result<(Vec<u8>, Mark)> {
        let mut rows = Vec::with_capacity(usize::try_from(self.len - self.drained).unwrap_or_default());
        self.file.seek(SeekFrom::Start(self.drained))?;
        self.file.read_to_end(&mut rows)?;
        Ok((rows, self.to))
    }

    /// So many more bytes have been brought over, up to this row.
    pub(crate) fn drained(&mut self, bytes: u64, to: Mark) {
        self.drained = self.len.min(self.drained + bytes);
        self.to = to;
    }

    /// Whether all is known to have been brought over.
    pub(crate) fn is_drained(&self) -> bool {
        self.to == self.last
    }

    /// Empties the file. Whoever reads it holds the SQLite file's lock, and so has to be who calls this.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.len = 0;
        self.drained = 0;
        Ok(())
    }
}

/// A new file in `folder`: the name that it will have, where it is, and itself.
fn new_file(folder: &Path) -> io::Result<(String, PathBuf, File)> {
    let (time, process) = (base::clock::unix_ms(), std::process::id());
    let mut attempt = 0;
    loop {
        let name = format!("{time}-{process}-{attempt}");
        let young = folder.join(format!("{name}.{YOUNG}"));
        // A name that is in use has a file, young or not.
        if !folder.join(&name).exists() {
            match file::create_private(&young) {
                Ok(file) => return Ok((name, young, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        attempt += 1;
    }
}

/// One of the files in the folder.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    file: File,
    /// Whether its process has ended. Then the lock is ours.
    pub(crate) is_dead: bool,
}

/// All of them but the empty ones of living processes. A folder that isn't there has none.
pub(crate) fn found(database: &Path) -> io::Result<Vec<Found>> {
    let entries = match fs_err::read_dir(folder(database)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.contains('.') {
            continue;
        }
        let path = entry.path();
        let file = match fs_err::OpenOptions::new().read(true).append(true).open(&path) {
            // Its process was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?.into_file(),
        };
        let is_dead = match file.try_lock() {
            // Another one may have removed it between the opening and the lock.
            Ok(()) if !path.exists() => continue,
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        if is_dead || file.metadata()?.len() > 0 {
            found.push(Found {
                name,
                path,
                file,
                is_dead,
            });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

impl Found {
    pub(crate) fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut content)?;
        Ok(content)
    }
}

/// What stands in a spool.
pub(crate) struct Content<'a> {
    pub(crate) rows: Vec<Columns<'a>>,
    pub(crate) last: Mark,
    /// Bytes of whole rows, from the beginning.
    pub(crate) bytes: u64,
    /// Why what comes behind `last` can't be read. The beginning of a row that was never written to its end is no damage:
    /// nobody was told that it stands.
    pub(crate) damage: Option<&'static str>,
}

/// Reads the rows behind `from` of the spool of this name.
pub(crate) fn read<'a>(name: &str, content: &'a [u8], from: Mark) -> Content<'a> {
    let mut found = Content {
        rows: Vec::new(),
        last: from,
        bytes: 0,
        damage: None,
    };
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            break;
        };
        match row(name, line, &found.last) {
            Ok(Some((columns, mark))) => {
                found.rows.push(columns);
                found.last = mark;
            }
            Ok(None) => {}
            Err(damage) => {
                found.damage = Some(damage);
                break;
            }
        }
        found.bytes += line.len() as u64 + 1;
    }
    found
}

/// The row behind `last` in this line; `None`: one that came before.
fn row<'a>(name: &str, line: &'a [u8], last: &Mark) -> Result<Option<(Columns<'a>, Mark)>, &'static str> {
    const NO_ROW: &str = "this is no row";
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (Some(number), Some(noted), Some(columns)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NO_ROW);
    };
    let number = std::str::from_utf8(number).map_err(|_| NO_ROW)?;
    let number: i64 = number.parse().map_err(|_| NO_ROW)?;
    if number <= last.number {
        return Ok(None);
    }
    if number != last.number + 1 {
        return Err("the rows before this one are missing");
    }
    let hash = hash(name, last, columns);
    if chain::hex(&hash).as_bytes() != noted {
        return Err("it was changed");
    }
    let columns = serde_json::from_slice(columns).map_err(|_| NO_ROW)?;
    Ok(Some((columns, Mark { number, hash })))
}

fn hash(name: &str, last: &Mark, columns: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update((name.len() as u64).to_be_bytes());
    hash.update(name);
    hash.update(last.number.to_be_bytes());
    hash.update(last.hash);
    hash.update(columns);
    hash.finalize().into()
}
