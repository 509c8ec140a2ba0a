//! A directory tree into an archive, in an order that depends on the names alone.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;

use super::dir::{Dir, Kind, Meta, name_bytes, show};
use super::{Error, Packer};

/// What happens to one path of the tree.
pub(crate) enum Choice<K> {
    /// It is packed, and a directory is entered.
    Take(K),
    /// It is not packed, but something below it may be; if so, it is packed before that.
    Look(K),
    /// Neither it nor what is below it is packed.
    Leave,
}

/// Decides what is packed. `Known` is what was found out of a directory and helps to decide on its children.
pub(crate) trait Choose {
    type Known;

    /// `path` is relative to the root of the tree, `/` between its parts; `above` is `None` right below the root.
    fn choose(&self, path: &[u8], kind: Kind, above: Option<&Self::Known>) -> Choice<Self::Known>;
}

/// Packs what is in `root` (not `root` itself), each path preceded by `prefix` (empty, or ending in `/`).
pub(crate) fn walk<C: Choose>(
    packer: &mut Packer,
    root: &Dir,
    prefix: &[u8],
    choose: &C,
) -> Result<(), Error> {
    let mut walk = Walk {
        packer,
        prefix,
        choose,
        pending: Vec::new(),
        seen: HashMap::new(),
    };
    walk.directory(root, &[], None, 0)
}

struct Walk<'a, C> {
    packer: &'a mut Packer,
    prefix: &'a [u8],
    choose: &'a C,
    /// Directories on the way here that are packed only if something below them is.
    pending: Vec<(Vec<u8>, Meta)>,
    /// First names of files that have several, so that the others become links to them.
    seen: HashMap<(u64, u64), Vec<u8>>,
}

impl<C: Choose> Walk<'_, C> {
    fn directory(
        &mut self,
        dir: &Dir,
        path: &[u8],
        known: Option<&C::Known>,
        depth: usize,
    ) -> Result<(), Error> {
        let limits = self.packer.limits();
        if depth > limits.depth {
            return Err(Error::TooMuch {
                what: "nested directories",
                limit: limits.depth as u64,
                path: show(path),
            });
        }
        let most = usize::try_from(limits.entries).unwrap_or(usize::MAX);
        let names = dir.names(most).map_err(|cause| Error::unreadable(path, cause))?;
        if names.len() > most {
            return Err(Error::too_many(limits, path));
        }
        for name in names {
            self.packer.check()?;
            let path = join(path, &name);
            match self.entry(dir, &name, &path, known, depth) {
                // It was there when the directory was listed: an editor's temporary file, mostly.
                Err(Error::Unreadable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                    self.packer.skip(&path, "it vanished meanwhile");
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        path: &[u8],
        above: Option<&C::Known>,
        depth: usize,
    ) -> Result<(), Error> {
        let unreadable = |cause| Error::unreadable(path, cause);
        let meta = dir.meta(name).map_err(unreadable)?;
        match (self.choose.choose(path, meta.kind, above), meta.kind) {
            (Choice::Take(known), Kind::Directory) => {
                let below = dir.dir(name).map_err(unreadable)?;
                self.take_pending()?;
                let full = self.full(path);
                self.packer.directory(&full, &meta)?;
                self.directory(&below, path, Some(&known), depth + 1)
            }
            (Choice::Look(known), Kind::Directory) => {
                let below = dir.dir(name).map_err(unreadable)?;
                let pending = self.pending.len();
                let full = self.full(path);
                self.pending.push((full, meta));
                let outcome = self.directory(&below, path, Some(&known), depth + 1);
                self.pending.truncate(pending);
                outcome
            }
            (Choice::Leave | Choice::Look(_), _) => Ok(()),
            (Choice::Take(_), Kind::File) => self.file(dir, name, path),
            (Choice::Take(_), Kind::Symlink) => {
                let target = dir.link_target(name).map_err(unreadable)?;
                self.take_pending()?;
                let full = self.full(path);
                self.packer.symlink(&full, &target, &meta)
            }
            (Choice::Take(_), Kind::Special(what)) => {
                self.packer.skip(path, what);
                Ok(())
            }
        }
    }

    fn file(&mut self, dir: &Dir, name: &OsStr, path: &[u8]) -> Result<(), Error> {
        let (file, meta) = dir.file(name).map_err(|cause| Error::unreadable(path, cause))?;
        if meta.kind != Kind::File {
            self.packer.skip(path, "it turned into something else meanwhile");
            return Ok(());
        }
        self.take_pending()?;
        let full = self.full(path);
        if let Some(twin) = meta.twin {
            if let Some(first) = self.seen.get(&twin) {
                return self.packer.hard_link(&full, first, &meta);
            }
            self.seen.insert(twin, full.clone());
        }
        self.packer.file(&full, file, &meta)
    }

    /// Packs the directories that were waiting for something below them.
    fn take_pending(&mut self) -> Result<(), Error> {
        for (path, meta) in self.pending.drain(..) {
            self.packer.directory(&path, &meta)?;
        }
        Ok(())
    }

    fn full(&self, path: &[u8]) -> Vec<u8> {
        [self.prefix, path].concat()
    }
}

fn join(path: &[u8], name: &OsStr) -> Vec<u8> {
    let name = name_bytes(name);
    if path.is_empty() {
        name
    } else {
        [path, b"/", &name].concat()
    }
}
