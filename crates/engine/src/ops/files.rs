//! Files in a container, running or not: what a path is, and tar archives out and in.
//!
//! Paths are the container's and are resolved by the daemon inside of it. What an archive holds is neither made nor
//! read here; `tarball` does that.

use crate::{Engine, Error, Request, path};
use base::names::ContainerRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use serde::Deserialize;
use std::io;

/// What a path in a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// The last component of the path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// What kind of thing.
    pub kind: FileKind,
    /// Permission bits with set-id and sticky, `0o7777`.
    pub mode: u32,
    /// When it was changed, RFC 3339 as the daemon writes it.
    pub modified: String,
}

/// What kind of thing a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, and where it leads: resolved by the daemon, within the container.
    Symlink(String),
    /// A device, a pipe or a socket.
    Special,
}

/// How to unpack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpack {
    /// Refuse to replace a directory by something else, and the reverse.
    pub keep_kinds: bool,
    /// Keep the owners that the archive names, instead of making everything the container's root's.
    pub keep_owners: bool,
}

impl Engine {
    /// What a path is; symbolic links are not followed.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such container or path; the daemon does not say which.
    pub async fn file_stat(&self, container: &ContainerRef, path: &str) -> Result<FileStat, Error> {
        let request = Request::head(path!["containers", container, "archive"]).query("path", path);
        let what = request.what();
        match self.send(request).await {
            Ok(answer) => FileStat::read(answer.headers(), &what),
            // An answer to HEAD has no body, so the daemon's words are lost.
            Err(Error::NotFound { what, .. }) => {
                let message =
                    format!("Could not find the file {path} in container {container}, or no such container");
                Err(Error::NotFound { what, message })
            }
            Err(error) => Err(error),
        }
    }

    /// A file or a directory with all below it as tar, and what the path is.
    ///
    /// # Errors
    /// [`Error::NotFound`] with words that say whether the container or the path is missing.
    pub async fn files_get(
        &self,
        container: &ContainerRef,
        path: &str,
    ) -> Result<(FileStat, impl Stream<Item = Result<Bytes, Error>> + Send + use<>), Error> {
        let request = Request::get(path!["containers", container, "archive"]).query("path", path);
        let about = crate::stream::About::of(&request);
        let answer = self.send(request).await?;
        let stat = FileStat::read(answer.headers(), &about.what)?;
        Ok((
            stat,
            crate::stream::Chunks::new(answer.into_body(), &about).into_stream(),
        ))
    }

    /// Unpacks a tar archive into a directory of the container, which must exist.
    ///
    /// The time limit counts from the end of the archive: sending it may take as long as it takes, as long as it
    /// does not stand still.
    pub async fn files_put<S>(
        &self,
        container: &ContainerRef,
        directory: &str,
        archive: S,
        how: Unpack,
    ) -> Result<(), Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let request = Request::put(path!["containers", container, "archive"])
            .query("path", directory)
            .query_some("noOverwriteDirNonDir", how.keep_kinds.then_some("1"))
            .query_some("copyUIDGID", how.keep_owners.then_some("1"))
            .stream("application/x-tar", archive);
        self.raw(request).await.map(drop)
    }
}

impl FileStat {
    /// Decodes `X-Docker-Container-Path-Stat`: JSON in base64.
    fn read(headers: &HeaderMap, what: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Wire {
            name: String,
            size: u64,
            mode: u32,
            mtime: String,
            #[serde(rename = "linkTarget", default)]
            link_target: String,
        }
        // The bits of Go's `fs.FileMode`.
        const DIRECTORY: u32 = 1 << 31;
        const SYMLINK: u32 = 1 << 27;
        const SPECIAL: u32 = 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
        const SPECIAL_BITS: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];

        let header = headers
            .get("x-docker-container-path-stat")
            .ok_or_else(|| Error::protocol(what, "it does not say what the path is"))?;
        let json = STANDARD
            .decode(header)
            .map_err(|error| Error::protocol(what, error))?;
        let wire: Wire = serde_json::from_slice(&json).map_err(|error| Error::protocol(what, error))?;
        let kind = match wire.mode {
            mode if mode & DIRECTORY != 0 => FileKind::Directory,
            mode if mode & SYMLINK != 0 => FileKind::Symlink(wire.link_target),
            mode if mode & SPECIAL != 0 => FileKind::Special,
            _ => FileKind::File,
        };
        let special = SPECIAL_BITS.iter().filter(|(bit, _)| wire.mode & bit != 0);
        let mode = wire.mode & 0o777 | special.map(|(_, bit)| bit).sum::<u32>();
        Ok(Self {
            name: wire.name,
            size: wire.size,
            kind,
            mode,
            modified: wire.mtime,
        })
    }
}
