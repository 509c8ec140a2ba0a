//! The encrypted file: secrets for machines without a keyring.
//!
//! One file, sealed with AES-256-GCM by a key that is in a file of its own or comes from a passphrase. Who has the file
//! alone (a backup, a copied home folder) has nothing; who has both files has all, so keep them apart when backing up.
//! A write replaces the file whole, so a reader sees the old one or the new one; writers take turns by a lock file.
//! Deliberately absent: protection against an older copy of the file being put in its place, and against whoever
//! may read this user's memory.

mod key;
mod sealed;

use std::collections::BTreeMap;
use std::fs::TryLockError;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::Secret;

use self::key::Key;
use self::sealed::{Broken, KeyKind, Sealed};
use crate::files::reason;
use crate::{Error, Fault, SecretName};

pub use self::key::VaultKey;

/// Most bytes of the file: some thousand secrets of usual length.
const LARGEST: usize = 16 << 20;
/// How long a writer waits for another one. A write takes milliseconds.
const LOCK_TIME: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Values by name.
type Content = BTreeMap<String, Secret>;

/// The encrypted file. A handle: clones are cheap.
#[derive(Debug, Clone)]
pub struct Vault(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    key: VaultKey,
    /// Deriving a key from a passphrase costs a tenth of a second, on purpose; done once for each salt.
    derived: Mutex<Option<(KeyKind, Key)>>,
}

impl Vault {
    /// Nothing is read yet; the file and its key are made when the first secret is stored.
    pub fn new(path: impl Into<PathBuf>, key: VaultKey) -> Self {
        Self(Arc::new(Inner {
            path: path.into(),
            key,
            derived: Mutex::new(None),
        }))
    }

    pub(crate) fn place(&self) -> String {
        self.0.place()
    }

    pub(crate) async fn get(&self, name: &SecretName) -> Result<Option<Secret>, Error> {
        let key = name.to_string();
        let mut content = self.blocking(format!("reading {name}"), Inner::read).await?;
        Ok(content.remove(&key))
    }

    pub(crate) async fn names(&self) -> Result<Vec<SecretName>, Error> {
        let content = self.blocking("listing".to_owned(), Inner::read).await?;
        Ok(content
            .keys()
            .filter_map(|name| SecretName::parse(name).ok())
            .collect())
    }

    pub(crate) async fn set(&self, name: &SecretName, value: Secret) -> Result<(), Error> {
        let key = name.to_string();
        self.blocking(format!("storing {name}"), move |inner, attempt| {
            let _turn = inner.lock(attempt)?;
            let mut content = inner.read(attempt)?;
            content.insert(key, value);
            inner.write(attempt, &content)
        })
        .await
    }

    /// Whether it was there.
    pub(crate) async fn remove(&self, name: &SecretName) -> Result<bool, Error> {
        let key = name.to_string();
        self.blocking(format!("removing {name}"), move |inner, attempt| {
            if !inner.path.exists() {
                return Ok(false);
            }
            let _turn = inner.lock(attempt)?;
            let mut content = inner.read(attempt)?;
            let was_there = content.remove(&key).is_some();
            if was_there {
                inner.write(attempt, &content)?;
            }
            Ok(was_there)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        attempt: String,
        work: impl FnOnce(&Inner, &str) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        let (place, told) = (self.place(), attempt.clone());
        match tokio::task::spawn_blocking(move || work(&inner, &attempt)).await {
            Ok(result) => result,
            Err(_) => Err(Fault::error(place, told, "the work was broken off", "try again")),
        }
    }
}

impl Inner {
    fn place(&self) -> String {
        format!("the encrypted file {}", self.path.display())
    }

    fn fault(&self, attempt: &str, reason: impl Into<String>, mend: impl Into<String>) -> Error {
        Fault::error(self.place(), attempt, reason, mend)
    }

    fn io(&self, attempt: &str, what: &str, cause: &io::Error) -> Error {
        let folder = self.path.parent().unwrap_or(Path::new(".")).display();
        let mend = format!("see that this user can read and write {folder}, and that its disk is not full");
        self.fault(attempt, format!("{what}: {}", reason(cause)), mend)
    }

    /// All that is in the file; nothing if there is no file.
    fn read(&self, attempt: &str) -> Result<Content, Error> {
        let Some(sealed) = self.load(attempt)? else {
            return Ok(Content::new());
        };
        let key = self.key_for(attempt, sealed.key())?;
        sealed.open(&key).map_err(|broken| self.broken(attempt, &broken))
    }

    fn load(&self, attempt: &str) -> Result<Option<Sealed>, Error> {
        let file = match fs_err::File::open(&self.path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(self.io(attempt, "opening it", &cause)),
        };
        let mut text = String::new();
        let read = file.take(LARGEST as u64 + 1).read_to_string(&mut text);
        match read {
            Ok(_) if text.len() > LARGEST => Err(self.broken(attempt, &Broken::Damaged)),
            Ok(_) => Sealed::parse(&text)
                .map(Some)
                .map_err(|broken| self.broken(attempt, &broken)),
            Err(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                Err(self.broken(attempt, &Broken::Damaged))
            }
            Err(cause) => Err(self.io(attempt, "reading it", &cause)),
        }
    }

    fn write(&self, attempt: &str, content: &Content) -> Result<(), Error> {
        let kind = match self.load(attempt)? {
            Some(sealed) => sealed.key().clone(),
            None => self
                .key
                .kind()
                .map_err(|cause| self.fault(attempt, cause, "try again"))?,
        };
        let key = self.key_for(attempt, &kind)?;
        let sealed = Sealed::seal(&key, kind, content).map_err(|broken| self.broken(attempt, &broken))?;
        replace(&self.path, sealed.to_text().as_bytes())
            .map_err(|cause| self.io(attempt, "writing it", &cause))
    }

    fn key_for(&self, attempt: &str, kind: &KeyKind) -> Result<Key, Error> {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, key)) = &*derived
            && of == kind
        {
            return Ok(key.clone());
        }
        let is_new = !self.path.exists();
        let key = self
            .key
            .unlock(kind, is_new)
            .map_err(|fault| self.fault(attempt, fault.reason, fault.mend))?;
        // A key file can be exchanged while this process runs; it is read each time, which costs nothing.
        if matches!(kind, KeyKind::Argon2id { .. }) {
            *derived = Some((kind.clone(), key.clone()));
        }
        Ok(key)
    }

    fn broken(&self, attempt: &str, broken: &Broken) -> Error {
        let mend = match broken {
            Broken::Damaged => "restore it from a backup, or remove it and store the secrets anew".to_owned(),
            Broken::OtherKey => match &self.key {
                VaultKey::File(path) => format!("restore the key that belongs to it as {}", path.display()),
                VaultKey::Passphrase(_) => "give the passphrase that it was made with".to_owned(),
            },
            Broken::Version(_) => "use a newer dockmaster".to_owned(),
            Broken::System => "try again".to_owned(),
        };
        self.fault(attempt, broken.to_string(), mend)
    }

    /// Waits for this process's turn to write; the turn ends with the value.
    fn lock(&self, attempt: &str) -> Result<fs_err::File, Error> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        make_folder(folder).map_err(|cause| self.io(attempt, "making its folder", &cause))?;
        let path = beside(&self.path, "lock");
        let file = private().create(true).truncate(false).open(&path);
        let file = file.map_err(|cause| self.io(attempt, "opening its lock", &cause))?;
        let deadline = Instant::now() + LOCK_TIME;
        loop {
            match file.file().try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let reason = format!(
                        "another process has held {} for {} s",
                        path.display(),
                        LOCK_TIME.as_secs()
                    );
                    return Err(self.fault(attempt, reason, "end that process, then try again"));
                }
                Err(TryLockError::Error(cause)) => return Err(self.io(attempt, "locking it", &cause)),
            }
        }
    }
}

/// Writes a file of this user alone, whole or not at all. One writer at a time.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = beside(path, "new");
    match fs_err::remove_file(&new) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut file = private().create_new(true).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs_err::rename(&new, path)?;
    // Without this a power failure can bring the old name back.
    #[cfg(unix)]
    fs_err::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

/// Options to open a file for reading and writing that, if it is made, is this user's alone.
fn private() -> fs_err::OpenOptions {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests;
