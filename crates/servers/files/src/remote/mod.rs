//! Files of another host, by SFTP.
//!
//! There are no handles of directories in SFTP and no `openat2`: every request names a whole path, and the far side
//! follows the links on it. So a path is gone through name by name here, links are resolved by us and never out of the
//! root, and the path without links that comes of it is compared with what the far side makes of it (`REALPATH`), before it
//! is used and, where something was opened or listed, after. Somebody over there who changes a directory into a link
//! between a look and a use, and back before the next look, can still lead one request astray; the protocol has nothing
//! against that. Nothing outside of the root is reached unless somebody over there wants it to be.
//!
//! Deliberately absent: connecting (a [`Way`] gives what is connected), and signals that a file has changed, which SFTP
//! has none of.

mod file;
mod find;
mod folders;

use crate::fault::Fault;
use crate::place::{Entry, Kind, Links, Place, Replace, Source, Stat, Visitor, Walk};
use crate::walk;
use file::{Stream, unless_linked};
use find::{Far, kind, regular, stat};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use ssh::Sftp;
use ssh::sftp::Fault as SftpFault;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that are removed at a time.
const AT_ONCE: usize = 32;
/// Directories of a tree that is removed.
const MOST_DIRS: usize = 100_000;
/// What is written at a time.
const PART: usize = 256 << 10;

/// A way to the files of a host.
pub trait Way: Send + Sync + fmt::Debug + 'static {
    /// Its SFTP, connected by the first who asks. The error is for a model.
    fn sftp(&self) -> BoxFuture<'_, Result<Sftp, String>>;

    /// How many MiB of files one search reads: what a network carries within its time.
    fn most_read(&self) -> u64 {
        256
    }
}

/// A directory of another host.
#[derive(Debug)]
pub(crate) struct Remote {
    root: PathBuf,
    /// Whether files with several names are read.
    hard_links: bool,
    way: Arc<dyn Way>,
}

impl Remote {
    pub(crate) fn new(root: PathBuf, hard_links: bool, way: Arc<dyn Way>) -> Self {
        Self {
            root,
            hard_links,
            way,
        }
    }

    fn far(&self) -> Result<Far, Fault> {
        Far::reach(&self.root, self.way.as_ref())
    }
}

impl Place for Remote {
    fn stat(&self, at: &Path, links: Links) -> Result<Stat, Fault> {
        let far = self.far()?;
        let (_, attributes) = far.wait(far.find(at, links))?;
        attributes
            .map(|attributes| stat(&attributes, 0))
            .ok_or(Fault::Io(ErrorKind::NotFound.into()))
    }

    fn resolve(&self, at: &Path) -> Result<PathBuf, Fault> {
        let far = self.far()?;
        let (path, attributes) = far.wait(far.find(at, Links::Follow))?;
        match attributes {
            Some(_) => Ok(path),
            None => Err(Fault::Io(ErrorKind::NotFound.into())),
        }
    }

    fn read_link(&self, at: &Path) -> Result<PathBuf, Fault> {
        let far = self.far()?;
        far.wait(async {
            let (path, _) = far.find(at, Links::Keep).await?;
            let says = far.sftp.readlink(&far.whole(&path)).await?;
            Ok(find::path(&says))
        })
    }

    fn open(&self, at: &Path) -> Result<(Box<dyn Source>, Stat), Fault> {
        let far = self.far()?;
        let opened = far.wait(async {
            let (path, attributes) = far.find(at, Links::Follow).await?;
            let attributes = attributes.ok_or(Fault::Io(ErrorKind::NotFound.into()))?;
            regular(&attributes)?;
            if !self.hard_links {
                unless_linked(far.names_of(&path).await?)?;
            }
            far.open(&path).await
        });
        let (reading, attributes) = opened?;
        let stat = stat(&attributes, 0);
        Ok((Box::new(Stream::new(reading, far.runtime, None)), stat))
    }

    fn list(&self, at: &Path, most: usize) -> Result<(Vec<Entry>, bool), Fault> {
        let far = self.far()?;
        far.wait(async {
            let (path, _) = far.find(at, Links::Follow).await?;
            let (names, whole) = far.list(&path, most).await?;
            let mut entries: Vec<Entry> = names
                .into_iter()
                .map(|name| Entry {
                    stat: stat(&name.attributes, find::links(&name.line)),
                    name: find::path(&name.name).into_os_string(),
                })
                .collect();
            entries.retain(|entry| entry.name != crate::trash::FOLDER);
            Ok((entries, whole))
        })
    }

    fn write(
        &self,
        at: &Path,
        content: &mut dyn Read,
        replace: Replace,
        mode: Option<u32>,
    ) -> Result<u64, Fault> {
        let far = self.far()?;
        let parent = far.wait(far.parent(at))?;
        let to = parent.dir.join(parent.name);
        let old = far.wait(far.lstat(&to))?;
        if let Some(old) = &old {
            if replace == Replace::Never {
                return Err(Fault::Exists);
            }
            regular(old)?;
        }
        // Not the bits by which a program runs as another user: the content is a new one.
        let mode = mode.or(old.and_then(|old| old.mode)).map(|mode| mode & 0o777);
        let name = parent.name.to_string_lossy();
        let partial = parent.dir.join(format!(
            ".{}.{:08x}.part",
            base::text::cut(&name, 200),
            server_kit::random::number() >> 32
        ));
        let file = far.wait(async {
            Ok(far
                .sftp
                .create(&far.whole(&partial), mode.unwrap_or(0o666))
                .await?)
        })?;
        let written = fill(&far, file, content, mode).and_then(|written| {
            far.wait(async {
                // It may have become another directory while the content came.
                far.check(&parent.dir).await?;
                let (from, to) = (far.whole(&partial), far.whole(&to));
                match replace {
                    Replace::Yes => match far.sftp.rename_over(&from, &to).await {
                        Err(SftpFault::Unsupported) if old.is_some() => Err(Fault::Far(
                            "its SFTP server can't replace a file in one step (posix-rename@openssh.com)"
                                .to_owned(),
                        )),
                        Err(SftpFault::Unsupported) => far.rename_new(&from, &to).await,
                        done => Ok(done?),
                    },
                    Replace::Never => far.rename_new(&from, &to).await,
                }?;
                Ok(written)
            })
        });
        if written.is_err() {
            // What can't be removed either is told by what failed.
            drop(far.wait(async { Ok(far.sftp.remove(&far.whole(&partial)).await?) }));
        }
        written
    }

    fn make_dirs(&self, at: &Path) -> Result<bool, Fault> {
        let far = self.far()?;
        far.wait(async {
            let mut is_new = false;
            let all: Vec<&Path> = at
                .ancestors()
                .filter(|path| !path.as_os_str().is_empty())
                .collect();
            for path in all.into_iter().rev() {
                let (path, attributes) = far.find(path, Links::Follow).await?;
                match attributes {
                    Some(attributes) if kind(&attributes) == Kind::Dir => {}
                    Some(_) => return Err(Fault::Exists),
                    None => {
                        far.sftp.make_dir(&far.whole(&path)).await?;
                        is_new = true;
                    }
                }
            }
            Ok(is_new)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Fault> {
        let far = self.far()?;
        far.wait(async {
            let (from, to) = (far.parent(from).await?, far.parent(to).await?);
            let (from, to) = (from.dir.join(from.name), to.dir.join(to.name));
            if to.starts_with(&from) {
                return Err(Fault::Io(ErrorKind::InvalidInput.into()));
            }
            far.rename_new(&far.whole(&from), &far.whole(&to)).await
        })
    }

    fn remove(&self, at: &Path) -> Result<(), Fault> {
        let far = self.far()?;
        far.wait(async {
            let parent = far.parent(at).await?;
            let path = parent.dir.join(parent.name);
            let attributes = far.lstat(&path).await?;
            match attributes.map(|attributes| kind(&attributes)) {
                None => Err(Fault::Io(ErrorKind::NotFound.into())),
                Some(Kind::Dir) => remove_tree(&far, path).await,
                Some(_) => Ok(far.sftp.remove(&far.whole(&path)).await?),
            }
        })
    }

    fn link(&self, at: &Path, says: &Path) -> Result<(), Fault> {
        let far = self.far()?;
        far.wait(async {
            let parent = far.parent(at).await?;
            let path = far.whole(&parent.dir.join(parent.name));
            Ok(far
                .sftp
                .symlink(&path, says.as_os_str().as_encoded_bytes())
                .await?)
        })
    }

    fn walk<'v>(
        &self,
        at: &Path,
        walk: &Walk<'_>,
        visitor: &(dyn Fn() -> Visitor<'v> + Sync),
    ) -> Result<usize, Fault> {
        let folders = folders::There::new(self.far()?, self.hard_links, self.way.most_read(), walk.limit);
        walk::walk(&folders, at, walk, visitor)
    }
}

/// Writes all of the content into a file that was made for it.
fn fill(far: &Far, file: ssh::sftp::Handle, content: &mut dyn Read, mode: Option<u32>) -> Result<u64, Fault> {
    let mut writing = file.writing();
    let mut part = vec![0; PART];
    loop {
        // Where it comes from the same host, reading waits as well; never both at a time on one thread.
        let count = content.read(&mut part)?;
        if count == 0 {
            break;
        }
        far.wait(async { Ok(writing.write(part.get(..count).unwrap_or_default()).await?) })?;
    }
    far.wait(async {
        if let Some(mode) = mode {
            // Whatever the mask over there makes of the mode at the start.
            writing.set_mode(mode).await?;
        }
        Ok(writing.finish().await?)
    })
}

/// Removes a directory with all in it. Each is looked at before and after its names were read.
async fn remove_tree(far: &Far, first: PathBuf) -> Result<(), Fault> {
    let mut dirs = vec![first];
    let mut next = 0;
    while let Some(dir) = dirs.get(next).cloned() {
        next += 1;
        if dirs.len() > MOST_DIRS {
            return Err(Fault::Far(format!("it has more than {MOST_DIRS} directories")));
        }
        let (names, _) = far.list(&dir, usize::MAX).await?;
        let mut files = Vec::new();
        for name in names {
            let path = dir.join(find::path(&name.name));
            if kind(&name.attributes) == Kind::Dir {
                dirs.push(path);
            } else {
                files.push(far.whole(&path));
            }
        }
        let removing = stream::iter(files).map(|file| {
            let sftp = far.sftp.clone();
            async move { sftp.remove(&file).await }
        });
        removing
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
    }
    for dir in dirs.iter().rev() {
        far.sftp.remove_dir(&far.whole(dir)).await?;
    }
    Ok(())
}
