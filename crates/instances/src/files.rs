//! Folders of instances on this machine: files of secrets, in memory only, and sockets.
//!
//! A container's own tmpfs can't be filled before its first program runs: it comes into being with the container's
//! namespace, and the engine's archive endpoint does not see it. Nor does a volume in memory hold anything before a
//! container that uses it runs. So files of secrets lie in a tmpfs of this machine,
//! in a folder that only this user may enter, and are mounted one by one; the container sees nothing else of it. An
//! engine on another machine can't be given any, but by a bridge there, which has a volume in memory for them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base::Secret;

use crate::{Error, labels};

/// A folder of one instance. Removed when it is dropped at the latest.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a folder of its own in that of a gateway.
    pub(crate) fn make(run: &Path, gateway: &str) -> Result<Self, Error> {
        let name = labels::random(8).map_err(|cause| Error::files("name a folder in", run, cause))?;
        let path = run.join(gateway).join(name);
        private_folder(&path).map_err(|cause| Error::files("make the folder", &path, cause))?;
        // Above them may be a place for everybody, such as /dev/shm, where another can have been first.
        for own in path.ancestors().take(3) {
            is_ours_alone(own).map_err(|cause| Error::files("use the folder", own, cause))?;
        }
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only the container it is mounted into can read: whoever may enter the folder owns it.
    pub(crate) fn secret(&self, number: usize, value: &Secret) -> Result<PathBuf, Error> {
        let path = self.path.join(format!("{number}"));
        let write = || -> io::Result<()> {
            if !in_memory(&self.path)? {
                return Err(io::Error::other(
                    "it is on a disk, and values of secrets are only ever put into memory; set DOCKMASTER_MEMORY to a folder in a \
                     tmpfs, such as /dev/shm",
                ));
            }
            let mut file = create(&path)?;
            file.write_all(value.expose().as_bytes())
        };
        write().map_err(|cause| Error::files("put a secret's value into", &path, cause))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs_err::remove_dir_all(&self.path) {
            tracing::warn!("an instance's folder stays behind until the next start: {error}");
        }
        // The gateway's own goes with the last.
        if let Some(gateway) = self.path.parent() {
            drop(fs_err::remove_dir(gateway));
        }
    }
}

/// Removes what a dead gateway left; says whether nothing is left.
pub(crate) fn bury(run: &Path, gateway: &str) -> bool {
    let path = run.join(gateway);
    match fs_err::remove_dir_all(&path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::warn!("the folder of an earlier gateway could not be removed: {error}");
            false
        }
    }
}

#[cfg(unix)]
fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Whoever else may write into one of the folders could put his own in the place of the next.
#[cfg(unix)]
fn is_ours_alone(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let found = fs_err::symlink_metadata(path)?;
    let user = rustix::process::geteuid().as_raw();
    if found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let why = format!(
        "it has to be a folder of user {user} that nobody else may write to, and is of user {} with mode {:o}; remove it, or set \
         XDG_RUNTIME_DIR and DOCKMASTER_MEMORY to folders of your own in memory",
        found.uid(),
        found.mode() & 0o7777
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn is_ours_alone(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn private_folder(path: &Path) -> io::Result<()> {
    fs_err::create_dir_all(path)
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<fs_err::File> {
    use std::os::unix::fs::PermissionsExt;
    let file = fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?;
    // Whoever the container runs as has to be able to read it, whatever the umask takes away.
    file.set_permissions(std::fs::Permissions::from_mode(0o444))?;
    Ok(file)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<fs_err::File> {
    fs_err::OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(target_os = "linux")]
fn in_memory(path: &Path) -> io::Result<bool> {
    /// `TMPFS_MAGIC` and `RAMFS_MAGIC` of statfs(2).
    const MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
    let kind = rustix::fs::statfs(path)?.f_type;
    Ok(u64::try_from(kind).is_ok_and(|kind| MEMORY.contains(&(kind & 0xffff_ffff))))
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_to_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let run = place.path().join("run");
        let gateway = run.join("0123456789abcdef");
        fs_err::create_dir_all(&gateway).unwrap();
        for (open, closed) in [(&run, &gateway), (&gateway, &run)] {
            fs_err::set_permissions(closed, std::fs::Permissions::from_mode(0o700)).unwrap();
            fs_err::set_permissions(open, std::fs::Permissions::from_mode(0o770)).unwrap();
            let refused = Folder::make(&run, "0123456789abcdef").unwrap_err().to_string();
            assert!(refused.contains("nobody else may write to"), "{refused}");
        }
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&run, &link).unwrap();
        fs_err::set_permissions(&gateway, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(Folder::make(&link, "0123456789abcdef").is_err());
        assert!(Folder::make(&run, "0123456789abcdef").is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn secrets_are_in_memory_or_nowhere() {
        use std::os::unix::fs::PermissionsExt;
        // Whoever the container runs as reads it, with any umask.
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let folder = Folder::make(memory.path(), "0123456789abcdef").unwrap();
        let file = folder.secret(0, &Secret::new("value")).unwrap();
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "value");
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&file)), (0o700, 0o444));
        drop(folder);
        assert_eq!(fs_err::read_dir(memory.path()).unwrap().count(), 0);

        let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let folder = Folder::make(disk.path(), "0123456789abcdef").unwrap();
        let refused = folder.secret(0, &Secret::new("value")).unwrap_err();
        assert!(refused.to_string().contains("it is on a disk"), "{refused}");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    }
}
