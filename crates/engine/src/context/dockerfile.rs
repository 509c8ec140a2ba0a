//! Where the Dockerfile is.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::Error;
use crate::tarball::dir::Dir;

/// Largest Dockerfile that is read.
pub(super) const LIMIT: u64 = 4 << 20;

/// Where a build's Dockerfile comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dockerfile {
    /// `Dockerfile` in the context, else `dockerfile`.
    Default,
    /// A file of the context, by its path relative to it. A symbolic link must lead to a file of the context.
    Inside(PathBuf),
    /// A file elsewhere, by its absolute path with links resolved. It is sent under a random name. The caller
    /// has made sure that this very file may be read.
    Outside(PathBuf),
    /// The text itself.
    Text(String),
}

impl Dockerfile {
    /// Finds the file that `given` names: relative to the context, or absolute. Links are resolved, so the
    /// result is [`Dockerfile::Outside`] also for a link that leads out of the context; whether that file may
    /// be read is for the caller to decide.
    pub fn locate(context: &Path, given: &Path) -> Result<Self, Error> {
        let unreadable = |cause| Error::Dockerfile {
            path: given.to_path_buf(),
            cause,
        };
        let root = fs_err::canonicalize(context).map_err(|cause| Error::Directory {
            path: context.to_path_buf(),
            cause,
        })?;
        let found = fs_err::canonicalize(root.join(given)).map_err(unreadable)?;
        Ok(match found.strip_prefix(&root) {
            Ok(inside) => Self::Inside(inside.to_path_buf()),
            Err(_) => Self::Outside(found),
        })
    }
}

/// The path of a file of the context with links resolved, relative to it and `/`-separated.
pub(super) fn resolve_inside(root: &Path, given: &Path) -> Result<String, Error> {
    match Dockerfile::locate(root, given)? {
        Dockerfile::Inside(path) => path
            .to_str()
            .map(|text| text.replace(std::path::MAIN_SEPARATOR, "/"))
            .ok_or(Error::DockerfileName { path }),
        _ => Err(Error::Dockerfile {
            path: given.to_path_buf(),
            cause: std::io::Error::other("it leads out of the build context; name the file itself"),
        }),
    }
}

/// `Dockerfile` or `dockerfile`.
pub(super) fn default_name(root: &Dir) -> Option<&'static str> {
    ["Dockerfile", "dockerfile"]
        .into_iter()
        .find(|name| root.meta(OsStr::new(name)).is_ok())
}

/// Opens the directory of a relative path without following links, and gives the last part.
pub(super) fn open_parent<'a>(root: &Path, path: &'a Path) -> std::io::Result<(Dir, &'a OsStr)> {
    let mut dir = Dir::open(root)?;
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(std::io::Error::other("its path holds more than names"));
        };
        if parts.peek().is_none() {
            return Ok((dir, name));
        }
        dir = dir.dir(name)?;
    }
    Err(std::io::Error::other("it has no name"))
}
