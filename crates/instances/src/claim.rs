//! Who is alive: each gateway process holds a lock on a file that bears its id, for each engine that it uses. The
//! system gives the lock back when the process ends, however it ends; so what bears the id of a file whose lock is
//! free was left behind. An id without a file here belongs to a gateway of someone else, and is never touched.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::{Error, labels};

/// Most bytes of such a file.
const LIMIT: u64 = 16 << 10;

/// This process's id, and the lock that proves it alive.
#[derive(Debug)]
pub(crate) struct Claim {
    id: String,
    path: PathBuf,
    /// Closing it gives the lock back.
    _lock: File,
}

/// The name of the house: random, and kept in `folder`, so that it is the same for all gateways with this state.
pub(crate) fn house(folder: &Path) -> Result<String, Error> {
    let path = folder.join("house");
    let fault = |cause| Error::files("keep a name in", &path, cause);
    let name = labels::random(8).map_err(fault)?;
    // Whole before anybody reads it, and only the first one's.
    let young = folder.join(format!("{name}.new"));
    fs_err::write(&young, &name).map_err(fault)?;
    let linked = fs_err::hard_link(&young, &path);
    fs_err::remove_file(&young).map_err(fault)?;
    match linked {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => Err(fault(cause)),
        _ => fs_err::read_to_string(&path).map_err(fault),
    }
}

impl Claim {
    /// Takes a new id for the engine at `endpoint`; what bears it on this machine lies in `places`.
    pub(crate) fn take(folder: &Path, endpoint: &str, places: &[&Path]) -> Result<Self, Error> {
        let mut written = endpoint.to_owned();
        let places = places.iter().filter_map(|place| place.to_str());
        for place in places.filter(|place| !place.contains('\n')) {
            written.push('\n');
            written.push_str(place);
        }
        fs_err::create_dir_all(folder).map_err(|cause| Error::files("make the folder", folder, cause))?;
        let id = labels::random(8).map_err(|cause| Error::files("name a lock in", folder, cause))?;
        let path = file_of(folder, &id);
        let locked = || -> io::Result<File> {
            // Under another name until it is locked, so that nobody ever sees it free.
            let young = folder.join(format!("{id}.new"));
            let mut file = fs_err::File::create(&young)?.into_file();
            file.try_lock().map_err(|error| match error {
                TryLockError::Error(error) => error,
                TryLockError::WouldBlock => io::Error::other("another process holds it"),
            })?;
            file.write_all(written.as_bytes())?;
            fs_err::rename(&young, &path)?;
            Ok(file)
        };
        let lock = locked().map_err(|cause| Error::files("lock", &path, cause))?;
        Ok(Self {
            id,
            path,
            _lock: lock,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Says that nothing bears this id any more.
    pub(crate) fn forget(&self) {
        if let Err(error) = fs_err::remove_file(&self.path) {
            tracing::debug!("the lock of an ended gateway stays behind: {error}");
        }
    }
}

/// A gateway that has ended without taking everything along. Its lock is held while its remains are removed, so that
/// two who come after it do not both do so.
#[derive(Debug)]
pub(crate) struct Dead {
    pub(crate) id: String,
    /// Where its files lay.
    pub(crate) places: Vec<PathBuf>,
    path: PathBuf,
    _lock: File,
}

impl Dead {
    /// All remains have been removed.
    pub(crate) fn bury(self) {
        if let Err(error) = fs_err::remove_file(&self.path) {
            tracing::debug!("the lock of a dead gateway stays behind: {error}");
        }
    }
}

/// The gateways that used this engine and have ended.
pub(crate) fn dead(folder: &Path, endpoint: &str) -> Result<Vec<Dead>, Error> {
    let entries = fs_err::read_dir(folder).map_err(|cause| Error::files("look into", folder, cause))?;
    let ids = entries.flatten().filter_map(|entry| {
        entry
            .file_name()
            .to_str()?
            .strip_suffix(".lock")
            .map(str::to_owned)
    });
    Ok(ids.filter_map(|id| dead_one(folder, id, endpoint)).collect())
}

fn dead_one(folder: &Path, id: String, endpoint: &str) -> Option<Dead> {
    if !is_id(&id) {
        return None;
    }
    let path = file_of(folder, &id);
    let mut file = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .ok()?
        .into_file();
    file.try_lock().ok()?;
    // Another one may have buried it between the opening and the lock.
    if !path.exists() {
        return None;
    }
    let mut used = String::new();
    file.rewind().ok()?;
    (&file).take(LIMIT).read_to_string(&mut used).ok()?;
    let mut lines = used.lines();
    (lines.next() == Some(endpoint)).then(|| Dead {
        id,
        places: lines.map(PathBuf::from).collect(),
        path,
        _lock: file,
    })
}

fn file_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.lock"))
}

fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(dead: &[Dead]) -> Vec<&str> {
        dead.iter().map(|dead| dead.id.as_str()).collect()
    }

    #[test]
    fn only_who_has_ended_is_dead() {
        let folder = tempfile::tempdir().unwrap();
        let alive = Claim::take(folder.path(), "unix:///a", &[]).unwrap();
        let ended = Claim::take(folder.path(), "unix:///a", &[]).unwrap();
        let places = [Path::new("/run/here"), Path::new("/not\nthere")];
        let elsewhere = Claim::take(folder.path(), "unix:///b", &places).unwrap();
        let (ended_id, other_id) = (ended.id().to_owned(), elsewhere.id().to_owned());
        drop((ended, elsewhere));
        fs_err::write(folder.path().join("notes.lock"), "unix:///a").unwrap();

        let found = dead(folder.path(), "unix:///a").unwrap();
        assert_eq!(ids(&found), [&ended_id]);
        let meanwhile = dead(folder.path(), "unix:///a").unwrap();
        assert!(meanwhile.is_empty(), "whoever buries holds the lock");
        for one in found {
            one.bury();
        }
        assert!(dead(folder.path(), "unix:///a").unwrap().is_empty());
        let of_b = dead(folder.path(), "unix:///b").unwrap();
        assert_eq!(ids(&of_b), [&other_id], "another engine's dead wait for it");
        assert_eq!(of_b[0].places, [Path::new("/run/here")]);
        alive.forget();
    }
}
