//! The same by path, for systems without the `*at` calls.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Existing, Kind, Meta};

/// A directory, by path.
#[derive(Debug)]
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if fs_err::metadata(path)?.is_dir() {
            Ok(Self(path.to_path_buf()))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    pub(crate) fn dir(&self, name: &OsStr) -> io::Result<Self> {
        match self.meta(name)?.kind {
            Kind::Directory => Ok(Self(self.0.join(name))),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(crate) fn file(&self, name: &OsStr) -> io::Result<(File, Meta)> {
        let meta = self.meta(name)?;
        if meta.kind != Kind::File {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok((fs_err::File::open(self.0.join(name))?.into_file(), meta))
    }

    pub(crate) fn meta(&self, name: &OsStr) -> io::Result<Meta> {
        let found = fs_err::symlink_metadata(self.0.join(name))?;
        let kind = match found.file_type() {
            kind if kind.is_symlink() => Kind::Symlink,
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Special("of an unknown kind"),
        };
        let age = found
            .modified()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Ok(Meta {
            kind,
            // There are no such bits here; what is executable inside the image can't be told from outside.
            mode: 0o755,
            size: if kind == Kind::File { found.len() } else { 0 },
            modified: age.map_or(0, |age| age.as_secs()),
            twin: None,
        })
    }

    pub(crate) fn names(&self, most: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs_err::read_dir(&self.0)? {
            names.push(entry?.file_name());
            if names.len() > most {
                break;
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn link_target(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        let target = fs_err::read_link(self.0.join(name))?;
        Ok(target.to_string_lossy().replace('\\', "/").into_bytes())
    }

    pub(crate) fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        fs_err::create_dir(self.0.join(name))
    }

    pub(crate) fn create(&self, name: &OsStr) -> io::Result<File> {
        Ok(fs_err::File::create_new(self.0.join(name))?.into_file())
    }

    pub(crate) fn symlink(&self, _target: &[u8], _name: &OsStr) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "symbolic links are not made on this system",
        ))
    }

    pub(crate) fn hard_link(&self, name: &OsStr, to: &Self, new_name: &OsStr) -> io::Result<()> {
        fs_err::hard_link(self.0.join(name), to.0.join(new_name))
    }

    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr, existing: Existing) -> io::Result<()> {
        if existing == Existing::Refuse && self.meta(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs_err::rename(self.0.join(from), self.0.join(to))
    }

    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs_err::remove_file(self.0.join(name))
    }

    pub(crate) fn set_mode(&self, _mode: u32) -> io::Result<()> {
        Ok(())
    }
}
