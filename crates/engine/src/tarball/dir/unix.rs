//! The `*at` family of calls.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::{Existing, Kind, Meta};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir(OwnedFd);

impl Dir {
    /// Opens `path`, following links: the caller has decided that this very path is allowed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// The directory `name` in this one; a link is not followed.
    pub(crate) fn dir(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// The file `name` in this directory, open for reading, and what it is now that it is open.
    /// Never waits, not even when a named pipe took the file's place.
    pub(crate) fn file(&self, name: &OsStr) -> io::Result<(File, Meta)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?);
        let found = file.metadata()?;
        let kind = match found.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Directory,
            _ => Kind::Special("no regular file"),
        };
        let meta = Meta {
            kind,
            mode: found.mode() & 0o7777,
            size: if kind == Kind::File { found.len() } else { 0 },
            modified: u64::try_from(found.mtime()).unwrap_or(0),
            twin: (kind == Kind::File && found.nlink() > 1).then(|| (found.dev(), found.ino())),
        };
        Ok((file, meta))
    }

    /// What `name` is; a link is not followed.
    pub(crate) fn meta(&self, name: &OsStr) -> io::Result<Meta> {
        let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Special("a named pipe"),
            FileType::Socket => Kind::Special("a socket"),
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Special("a device"),
            FileType::Unknown => Kind::Special("of an unknown kind"),
        };
        Ok(Meta {
            kind,
            mode: number(Mode::from_raw_mode(stat.st_mode).as_raw_mode()),
            size: if kind == Kind::File {
                number(stat.st_size)
            } else {
                0
            },
            modified: number(stat.st_mtime),
            twin: None,
        })
    }

    /// The names in this directory, in order of their bytes; if there are more than `most`, only as many and one.
    pub(crate) fn names(&self, most: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = CStr::to_bytes(entry.file_name());
            if name == b"." || name == b".." {
                continue;
            }
            names.push(OsString::from_vec(name.to_vec()));
            if names.len() > most {
                break;
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Where the link `name` points, as it is written there.
    pub(crate) fn link_target(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.0, name, Vec::new())?.into_bytes())
    }

    /// Makes the directory `name`, for its owner alone until [`Self::set_mode`].
    pub(crate) fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?)
    }

    /// Makes the file `name`, which must not exist, for its owner alone.
    pub(crate) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(file))
    }

    /// Makes the symbolic link `name` to `target`.
    pub(crate) fn symlink(&self, target: &[u8], name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(OsStr::from_bytes(target), &self.0, name)?)
    }

    /// Gives the file `name` the further name `new_name` in `to`; a link is not followed.
    pub(crate) fn hard_link(&self, name: &OsStr, to: &Self, new_name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::linkat(
            &self.0,
            name,
            &to.0,
            new_name,
            AtFlags::empty(),
        )?)
    }

    /// Renames within this directory.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr, existing: Existing) -> io::Result<()> {
        match existing {
            Existing::Replace => Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?),
            Existing::Refuse => self.rename_new(from, to),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        use rustix::fs::RenameFlags;
        match rustix::fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            // Some network and FUSE filesystems know no flags; a look before the rename has to do there.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
                self.rename_after_look(from, to)
            }
            other => Ok(other?),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        self.rename_after_look(from, to)
    }

    fn rename_after_look(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match self.meta(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?),
        }
    }

    /// Removes the file or link `name`.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Sets the permission bits of this directory.
    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.0, Mode::from_raw_mode(number(mode)))?)
    }
}

/// The fields of `struct stat` have other widths on other systems; what does not fit counts as 0.
fn number<T: Default>(value: impl TryInto<T>) -> T {
    value.try_into().unwrap_or_default()
}
