//! Copies between the host and a container, as `docker cp` makes them: what is at the target decides on name and
//! place, a directory goes with all below it, `directory/.` means what is in it.
//!
//! Other than `docker cp`, what is copied out of a container follows the path that was asked for if that is a link:
//! the link itself would point at nothing here.

use std::io;
use std::path::{Path, PathBuf};

use base::names::ContainerRef;
use bytes::Bytes;

use super::{
    Existing, Item, Limits, Overwrite, PlacementError, Root, Source, Totals, Unfinished, Unpacked, pack,
    place, unpack,
};
use crate::ops::files::{FileKind, FileStat, Unpack};
use crate::{Engine, Error};

/// What is copied into a container.
#[derive(Debug, Clone)]
pub enum What {
    /// A file, directory or link of the host.
    Host(HostItem),
    /// A file whose content is given.
    Content {
        /// The name it gets if the target is a directory.
        name: String,
        /// The content.
        content: Bytes,
        /// Permission bits.
        mode: u32,
    },
}

/// A path of the host, and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostItem {
    /// Absolute. The caller has made sure that this very path may be used, and has resolved its links.
    pub path: PathBuf,
    /// What was asked for, which says more: `dir/.` is what is in the directory, `new/` is to be a directory.
    pub written: String,
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied<T> {
    /// Where it is now.
    pub to: String,
    /// What was copied.
    pub what: T,
}

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The engine, with its reason. While something is being sent, that may be a fault of what is sent.
    #[error(transparent)]
    Engine(#[from] Error),
    /// What is at the target does not go with what is copied.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The archive could not be unpacked, or only in part.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    /// The host's path can't be used.
    #[error("can't copy {path}: {cause}", path = .path.display())]
    Host {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl Engine {
    /// Copies into a container, running or not. Everything belongs to 0:0 there.
    ///
    /// # Errors
    /// [`CopyError`]. A copy that broke off leaves what had arrived.
    pub async fn copy_in(
        &self,
        container: &ContainerRef,
        what: What,
        target: &str,
        limits: Limits,
    ) -> Result<Copied<Totals>, CopyError> {
        let target = absolute(target);
        let item = what.item()?;
        let (target, existing) = match self.stat(container, &target).await? {
            Some((stat, path)) if stat.kind == FileKind::Directory => (path, Existing::Directory),
            Some((_, path)) => (path, Existing::File),
            None => (target, Existing::Nothing),
        };
        let placement = place(&item, &target, existing)?;
        let to = match &placement.name {
            Some(name) => format!("{}/{name}", placement.directory.trim_end_matches('/')),
            None => placement.directory.clone(),
        };
        let archive = pack(vec![what.source(placement.name)], limits);
        let progress = archive.progress().clone();
        let how = Unpack {
            keep_kinds: true,
            ..Unpack::default()
        };
        self.files_put(container, &placement.directory, archive, how)
            .await?;
        Ok(Copied {
            to,
            what: progress.totals(),
        })
    }

    /// Copies out of a container, running or not. The last part of `target` need not exist; what is before it must.
    ///
    /// # Errors
    /// [`CopyError`]; [`Unfinished`] says what is on the disk.
    pub async fn copy_out(
        &self,
        container: &ContainerRef,
        path: &str,
        target: &HostItem,
        overwrite: Overwrite,
        limits: Limits,
    ) -> Result<Copied<Unpacked>, CopyError> {
        let path = absolute(path);
        // Asked for `dir/.`, Docker's archive has the directory as `./`, and Podman's has no such entry: there the
        // first part of each name would be taken for the directory's. Asked for `dir`, both have it as `dir/`.
        let asked = match path.trim_end_matches("/.") {
            "" => &*path,
            folder => folder,
        };
        let (mut stat, mut archive) = self.files_get(container, asked).await?;
        if let FileKind::Symlink(to) = &stat.kind {
            (stat, archive) = self.files_get(container, &to.clone()).await?;
        }
        if asked != &*path && stat.kind != FileKind::Directory {
            // Of a file there is no `/.`, and the daemon says so.
            (stat, archive) = self.files_get(container, &path).await?;
        }
        let item = Item::new(&path, stat.kind == FileKind::Directory);
        let existing = target.existing()?;
        // Placed by what was written, which may end in a slash that the path has not.
        let name = place(&item, &target.written, existing)?.name;
        let (folder, root) = match (existing, name) {
            (Existing::Directory, Some(name)) => (target.path.clone(), Root::Rename(name)),
            (Existing::Directory, None) => (target.path.clone(), Root::Drop),
            (Existing::File | Existing::Nothing, _) => {
                let (folder, name) = target.parts()?;
                (folder.to_path_buf(), Root::Rename(name))
            }
        };
        let to = match &root {
            Root::Rename(name) => folder.join(name),
            Root::Keep | Root::Drop => folder.clone(),
        };
        let what = unpack(archive, folder, root, overwrite, limits).await?;
        Ok(Copied {
            to: to.display().to_string(),
            what,
        })
    }

    /// What a path of a container is, its links followed, and the path then. `None` if there is nothing, which may
    /// also mean that there is no such container: the next request tells.
    async fn stat(&self, container: &ContainerRef, path: &str) -> Result<Option<(FileStat, String)>, Error> {
        let found = |answer: Result<FileStat, Error>| match answer {
            Ok(stat) => Ok(Some(stat)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let Some(stat) = found(self.file_stat(container, path).await)? else {
            return Ok(None);
        };
        let FileKind::Symlink(to) = &stat.kind else {
            return Ok(Some((stat, path.to_owned())));
        };
        // The daemon has followed it to its end, so this is no link again.
        let to = to.clone();
        Ok(found(self.file_stat(container, &to).await)?.map(|stat| (stat, to)))
    }
}

impl What {
    fn item(&self) -> Result<Item, CopyError> {
        match self {
            Self::Content { name, .. } => Ok(Item::new(name, false)),
            Self::Host(item) => {
                let meta = fs_err::symlink_metadata(&item.path).map_err(|cause| item.unusable(cause))?;
                let written = Item::new(&item.written, meta.is_dir());
                let name = item
                    .path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned());
                // The own name: what was written may end in `..` or be a link to it.
                Ok(Item {
                    name: name.unwrap_or_default(),
                    ..written
                })
            }
        }
    }

    fn source(self, name: Option<String>) -> Source {
        match self {
            Self::Content {
                name: own,
                content,
                mode,
            } => Source::Memory {
                path: name.unwrap_or(own),
                content,
                mode,
            },
            Self::Host(item) => Source::Host {
                path: item.path,
                name,
            },
        }
    }
}

impl HostItem {
    fn existing(&self) -> Result<Existing, CopyError> {
        match fs_err::symlink_metadata(&self.path) {
            Ok(meta) if meta.is_dir() => Ok(Existing::Directory),
            // The caller resolves links; one that is here now came later.
            Ok(meta) if meta.is_symlink() => Err(self.unusable(io::Error::other(
                "it is a symbolic link, which is not followed here",
            ))),
            Ok(_) => Ok(Existing::File),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Existing::Nothing),
            Err(cause) => Err(self.unusable(cause)),
        }
    }

    fn parts(&self) -> Result<(&Path, String), CopyError> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        match (self.path.parent(), name) {
            (Some(folder), Some(name)) => Ok((folder, name.to_owned())),
            _ => Err(self.unusable(io::Error::other(
                "it has no name of its own, or none that is UTF-8",
            ))),
        }
    }

    fn unusable(&self, cause: io::Error) -> CopyError {
        CopyError::Host {
            path: self.path.clone(),
            cause,
        }
    }
}

/// Paths in a container start at its root, whatever its working directory, as with `docker cp`.
fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}
