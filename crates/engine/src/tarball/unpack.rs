//! An archive onto the host, below one folder and nowhere else.
//!
//! Each part of each path is opened from the directory before it without following links, so neither a link in
//! the archive nor one that someone swaps in meanwhile leads out. Files appear whole or not at all: they are
//! written under a hidden name and renamed. Owners, set-id bits, devices and extended attributes are dropped;
//! what arrives belongs to the user who runs this.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::Stream;

use super::dir::{self, Dir, Kind, bytes_name, show};
use super::read::{Cause, Feed, Member, MemberKind, Next, bridge, members, parts};
use super::{Error, Limits, Note, random_digits};

/// What happens where a file is already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Unpacking ends with [`Error::Exists`]. Existing directories are always entered.
    Never,
    /// Files and links are replaced; a directory is never replaced by a file.
    Files,
}

/// What becomes of the first part of every path, the name of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// It stays.
    Keep,
    /// It is replaced by this name.
    Rename(String),
    /// It is left out, so that the contents of a directory land in the target folder.
    Drop,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files.
    pub files: u64,
    /// Directories that were not there before.
    pub directories: u64,
    /// Symbolic and hard links.
    pub links: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// The first 100 of them.
    pub written: Vec<Written>,
    /// What was left out.
    pub skipped: u64,
    /// The first 20 of what was left out.
    pub notes: Vec<Note>,
}

/// One file, directory or link that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its path relative to the target folder, made printable.
    pub path: String,
    /// Bytes of content.
    pub size: u64,
}

/// Unpacking that did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{error} (before that, {} files and {} directories were written)", .before.files, .before.directories)]
pub struct Unfinished {
    /// What stopped it.
    pub error: Error,
    /// What is on the disk now.
    pub before: Box<Unpacked>,
}

const WRITTEN: usize = 100;
const NOTES: usize = 20;

/// Unpacks an archive into `folder`, which must exist and which the caller has allowed, links resolved.
/// Symbolic links are made if their target stays below `folder`; others are skipped with a note.
///
/// # Errors
/// [`Unfinished`] says what is on the disk when it ends early. Dropping the future stops the work; the file
/// under way is then removed.
pub async fn unpack<S, E>(
    stream: S,
    folder: PathBuf,
    root: Root,
    overwrite: Overwrite,
    limits: Limits,
) -> Result<Unpacked, Unfinished>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<Cause>,
{
    let before = Box::default();
    let outcome = bridge(stream, move |feed| {
        Ok(unpack_feed(feed, &folder, root, overwrite, limits))
    });
    outcome
        .await
        .unwrap_or_else(|error| Err(Unfinished { error, before }))
}

fn unpack_feed(
    feed: Feed,
    folder: &Path,
    root: Root,
    overwrite: Overwrite,
    limits: Limits,
) -> Result<Unpacked, Unfinished> {
    let target = Dir::open(folder).map_err(|cause| Unfinished {
        error: Error::Unwritable {
            path: folder.display().to_string(),
            cause,
        },
        before: Box::default(),
    })?;
    let mut unpacker = Unpacker {
        target,
        root,
        rootless: None,
        overwrite,
        limits,
        entries: 0,
        files: HashSet::new(),
        modes: BTreeMap::new(),
        done: Unpacked::default(),
    };
    let outcome = members(feed, |member, data| unpacker.member(&member, data));
    // Also when it ended early: what is there should be as it was meant.
    let finished = unpacker.finish();
    match outcome.and(finished) {
        Ok(()) => Ok(unpacker.done),
        Err(error) => Err(Unfinished {
            error,
            before: Box::new(unpacker.done),
        }),
    }
}

struct Unpacker {
    target: Dir,
    root: Root,
    /// Whether the archive begins with its root as `./`, so that its paths have no first part to change.
    rootless: Option<bool>,
    overwrite: Overwrite,
    limits: Limits,
    entries: u64,
    /// Files written by this archive: the only ones a hard link may name.
    files: HashSet<Vec<Vec<u8>>>,
    /// Permissions of new directories, set when nothing is written into them any more.
    modes: BTreeMap<Vec<Vec<u8>>, u32>,
    done: Unpacked,
}

impl Unpacker {
    fn member(&mut self, member: &Member, data: &mut dyn Read) -> Result<Next, Error> {
        self.entries += 1;
        let bytes = self.done.bytes.saturating_add(member.size);
        let directories = member.path.len().saturating_sub(1) as u64;
        for (count, limit, what) in [
            (self.entries, self.limits.entries, "entries"),
            (bytes, self.limits.bytes, "bytes"),
            (directories, self.limits.depth as u64, "nested directories"),
        ] {
            if count > limit {
                return Err(Error::TooMuch {
                    what,
                    limit,
                    path: member.shown(),
                });
            }
        }

        let rootless = *self.rootless.get_or_insert(member.path.is_empty());
        let path = self.placed(&member.path, rootless);
        let Some((name, above)) = path.split_last() else {
            // The root of the archive is the target folder, which is there and stays as it is.
            return Ok(Next::Go);
        };
        let shown = show(&path.join(&b'/'));
        let os_name = bytes_name(name).ok_or_else(|| Error::Escapes {
            path: shown.clone(),
            reason: "this system can't hold such a name",
        })?;
        if let MemberKind::Special(what) = member.kind {
            self.skip(member.note(what));
            return Ok(Next::Go);
        }
        let parent = self.parent(above, &shown)?;
        match member.kind {
            MemberKind::Directory => self.directory(&parent, &os_name, &path, member.mode, &shown)?,
            MemberKind::File => self.file(&parent, &os_name, &path, member, data, &shown)?,
            MemberKind::Symlink => self.symlink(&parent, &os_name, above, member, &shown)?,
            MemberKind::HardLink => self.hard_link(&parent, &os_name, &path, member, rootless, &shown)?,
            MemberKind::Special(_) => {}
        }
        Ok(Next::Go)
    }

    fn placed(&self, path: &[Vec<u8>], rootless: bool) -> Vec<Vec<u8>> {
        match (&self.root, rootless) {
            (Root::Keep, _) | (Root::Drop, true) => path.to_vec(),
            (Root::Drop, false) => path.get(1..).unwrap_or_default().to_vec(),
            (Root::Rename(name), rootless) => {
                let mut placed = vec![name.clone().into_bytes()];
                placed.extend_from_slice(path.get(usize::from(!rootless)..).unwrap_or_default());
                placed
            }
        }
    }

    /// The directory that `path` names, made where it is missing.
    fn parent(&mut self, path: &[Vec<u8>], shown: &str) -> Result<Dir, Error> {
        let mut dir = self
            .target
            .dir(OsStr::new("."))
            .map_err(|cause| unwritable(shown, cause))?;
        for (at, part) in path.iter().enumerate() {
            let name = bytes_name(part).ok_or_else(|| Error::Escapes {
                path: shown.to_owned(),
                reason: "this system can't hold such a name",
            })?;
            dir = match dir.dir(&name) {
                Ok(below) => below,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    let own = show(&path[..=at].join(&b'/'));
                    dir.make_dir(&name).map_err(|cause| unwritable(&own, cause))?;
                    self.done.directories += 1;
                    self.wrote(own, 0);
                    self.modes.insert(path[..=at].to_vec(), 0o755);
                    dir.dir(&name).map_err(|cause| unwritable(shown, cause))?
                }
                Err(cause) => return Err(blocked(&dir, &name, shown, cause)),
            };
        }
        Ok(dir)
    }

    fn directory(
        &mut self,
        parent: &Dir,
        name: &OsStr,
        path: &[Vec<u8>],
        mode: u32,
        shown: &str,
    ) -> Result<(), Error> {
        match parent.make_dir(name) {
            Ok(()) => {
                self.done.directories += 1;
                self.wrote(shown.to_owned(), 0);
                self.modes.insert(path.to_vec(), mode);
                Ok(())
            }
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => match parent.dir(name) {
                // Made on the way to an earlier entry: its own permissions are known only now.
                Ok(_) => {
                    self.modes.entry(path.to_vec()).and_modify(|made| *made = mode);
                    Ok(())
                }
                Err(cause) => Err(blocked(parent, name, shown, cause)),
            },
            Err(cause) => Err(unwritable(shown, cause)),
        }
    }

    fn file(
        &mut self,
        parent: &Dir,
        name: &OsStr,
        path: &[Vec<u8>],
        member: &Member,
        data: &mut dyn Read,
        shown: &str,
    ) -> Result<(), Error> {
        self.check_free(parent, name, shown)?;
        let hidden = Hidden::create(parent).map_err(|cause| unwritable(shown, cause))?;
        hidden.fill(member, data, shown)?;
        hidden.settle(name, self.existing(), shown)?;
        self.done.files += 1;
        self.done.bytes += member.size;
        self.files.insert(path.to_vec());
        self.wrote(shown.to_owned(), member.size);
        Ok(())
    }

    fn symlink(
        &mut self,
        parent: &Dir,
        name: &OsStr,
        above: &[Vec<u8>],
        member: &Member,
        shown: &str,
    ) -> Result<(), Error> {
        if !stays_below(above, &member.link) {
            self.skip(member.note("a link that leads out of the target folder"));
            return Ok(());
        }
        self.check_free(parent, name, shown)?;
        let hidden = hidden_name().map_err(|cause| unwritable(shown, cause))?;
        parent
            .symlink(&member.link, &hidden)
            .map_err(|cause| unwritable(shown, cause))?;
        self.settle_link(parent, &hidden, name, shown)
    }

    fn hard_link(
        &mut self,
        parent: &Dir,
        name: &OsStr,
        path: &[Vec<u8>],
        member: &Member,
        rootless: bool,
        shown: &str,
    ) -> Result<(), Error> {
        let first = self.placed(&parts(&member.link)?, rootless);
        let Some((first_name, above)) = first
            .split_last()
            .filter(|_| self.files.contains(&first))
            .and_then(|(name, above)| Some((bytes_name(name)?, above)))
        else {
            return Err(Error::Escapes {
                path: shown.to_owned(),
                reason: "it is a hard link to something that is not a file of this archive",
            });
        };
        self.check_free(parent, name, shown)?;
        let above = above.to_vec();
        let source = self.parent(&above, shown)?;
        let hidden = hidden_name().map_err(|cause| unwritable(shown, cause))?;
        source
            .hard_link(&first_name, parent, &hidden)
            .map_err(|cause| unwritable(shown, cause))?;
        self.files.insert(path.to_vec());
        self.settle_link(parent, &hidden, name, shown)
    }

    fn settle_link(&mut self, parent: &Dir, hidden: &OsStr, name: &OsStr, shown: &str) -> Result<(), Error> {
        let renamed = parent.rename(hidden, name, self.existing());
        // Renaming one name of a file onto another does nothing (POSIX), so the hidden one may be left over.
        let _gone = parent.remove(hidden);
        renamed.map_err(|cause| blocked(parent, name, shown, cause))?;
        self.done.links += 1;
        self.wrote(shown.to_owned(), 0);
        Ok(())
    }

    /// Fails early where something is in the way, before its content is read.
    fn check_free(&self, parent: &Dir, name: &OsStr, shown: &str) -> Result<(), Error> {
        match parent.meta(name).map(|meta| meta.kind) {
            Ok(Kind::Directory) => Err(Error::Exists {
                path: shown.to_owned(),
            }),
            Ok(_) if self.overwrite == Overwrite::Never => Err(Error::Exists {
                path: shown.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn existing(&self) -> dir::Existing {
        match self.overwrite {
            Overwrite::Never => dir::Existing::Refuse,
            Overwrite::Files => dir::Existing::Replace,
        }
    }

    /// Sets the permissions of new directories, the deepest first. The user always keeps his own.
    fn finish(&mut self) -> Result<(), Error> {
        for (path, mode) in std::mem::take(&mut self.modes).into_iter().rev() {
            let shown = show(&path.join(&b'/'));
            let dir = self.parent(&path, &shown)?;
            dir.set_mode(mode & 0o777 | 0o700)
                .map_err(|cause| unwritable(&shown, cause))?;
        }
        Ok(())
    }

    fn skip(&mut self, note: Note) {
        self.done.skipped += 1;
        if self.done.notes.len() < NOTES {
            self.done.notes.push(note);
        }
    }

    fn wrote(&mut self, path: String, size: u64) {
        if self.done.written.len() < WRITTEN {
            self.done.written.push(Written { path, size });
        }
    }
}

/// A file under its hidden name; removed unless it is settled.
struct Hidden<'a> {
    parent: &'a Dir,
    name: OsString,
    file: Option<File>,
}

impl<'a> Hidden<'a> {
    fn create(parent: &'a Dir) -> io::Result<Self> {
        let name = hidden_name()?;
        let file = parent.create(&name)?;
        Ok(Self {
            parent,
            name,
            file: Some(file),
        })
    }

    fn fill(&self, member: &Member, data: &mut dyn Read, shown: &str) -> Result<(), Error> {
        let Some(mut file) = self.file.as_ref() else {
            return Ok(());
        };
        let mut buffer = vec![0; 64 * 1024];
        let mut count = 0;
        loop {
            match data.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    file.write_all(&buffer[..read])
                        .map_err(|cause| unwritable(shown, cause))?;
                    count += read as u64;
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(super::read::broken(cause)),
            }
        }
        if count != member.size {
            return Err(Error::Archive {
                path: shown.to_owned(),
                reason: format!("it ends after {count} of {} bytes", member.size),
            });
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(member.mode & 0o777);
            file.set_permissions(mode)
                .map_err(|cause| unwritable(shown, cause))?;
        }
        let modified = UNIX_EPOCH + Duration::from_secs(member.modified.min(u64::from(u32::MAX) << 2));
        // A filesystem that can't hold the time still holds the file.
        let _kept = file.set_modified(modified);
        Ok(())
    }

    fn settle(mut self, name: &OsStr, existing: dir::Existing, shown: &str) -> Result<(), Error> {
        self.parent
            .rename(&self.name, name, existing)
            .map_err(|cause| blocked(self.parent, name, shown, cause))?;
        self.file = None;
        Ok(())
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _gone = self.parent.remove(&self.name);
        }
    }
}

fn hidden_name() -> io::Result<OsString> {
    Ok(format!(".dockmaster-{}", random_digits()?).into())
}

/// Whether a link in the directory `above` to `target` ends below the root. Steps up are counted at its
/// beginning only, where they leave directories that are known to be real: after another link's name, `..`
/// is the parent of wherever that one leads.
fn stays_below(above: &[Vec<u8>], target: &[u8]) -> bool {
    let mut parts = target
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .peekable();
    let mut up = 0;
    while parts.next_if(|part| *part == b"..").is_some() {
        up += 1;
    }
    !target.is_empty() && !target.starts_with(b"/") && up <= above.len() && parts.all(|part| part != b"..")
}

fn unwritable(shown: &str, cause: io::Error) -> Error {
    if cause.kind() == io::ErrorKind::AlreadyExists {
        return Error::Exists {
            path: shown.to_owned(),
        };
    }
    Error::Unwritable {
        path: shown.to_owned(),
        cause,
    }
}

/// Says what is in the way at `name`: most often a link, which is not followed.
fn blocked(parent: &Dir, name: &OsStr, shown: &str, cause: io::Error) -> Error {
    match parent.meta(name).map(|meta| meta.kind) {
        Ok(Kind::Symlink) if cause.kind() != io::ErrorKind::AlreadyExists => Error::Escapes {
            path: shown.to_owned(),
            reason: "a part of it is a symbolic link, which is not followed",
        },
        Ok(_) if cause.kind() == io::ErrorKind::NotADirectory => Error::Exists {
            path: shown.to_owned(),
        },
        _ => unwritable(shown, cause),
    }
}
