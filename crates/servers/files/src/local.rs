//! Files on this machine's disks.
//!
//! Everything begins at a handle of the root. A path to read is opened in one step beneath it. To change something, its
//! directory is opened beneath the root first, and then one name in that directory is changed, so that a link put in the
//! way in between changes nothing. The root's own path is the configuration's, and opened anew each time: roots may be
//! mounted, unmounted and made again while the server lives. Only one that a client's roots have narrowed is held open, for its
//! one call (`confine`).

use crate::fault::Fault;
use crate::place::{Entry, Kind, Links, Place, Replace, Source, Stat, Visitor, Walk};
use crate::walk::{self, Folders, IGNORE_BYTES};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirEntry, File, FileType, Metadata, OpenOptions};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Threads of one walk; more of them wait for each other in the kernel.
const MOST_THREADS: usize = 8;

/// A directory of this machine.
#[derive(Debug)]
pub(crate) struct Local {
    root: PathBuf,
    /// The root itself, where it was opened before.
    held: Option<Dir>,
    /// Whether files with several names are read.
    hard_links: bool,
}

impl Local {
    pub(crate) fn new(root: PathBuf, hard_links: bool) -> Self {
        Self {
            root,
            held: None,
            hard_links,
        }
    }

    /// One that is open already, and whose path is no more than its name.
    pub(crate) fn held(root: PathBuf, dir: Dir, hard_links: bool) -> Self {
        Self {
            held: Some(dir),
            ..Self::new(root, hard_links)
        }
    }

    fn dir(&self) -> Result<Dir, Fault> {
        if let Some(held) = &self.held {
            return Ok(held.try_clone()?);
        }
        Ok(Dir::open_ambient_dir(&self.root, ambient_authority())?)
    }

    /// The directory at a path.
    fn dir_at(&self, at: &Path) -> Result<Dir, Fault> {
        let root = self.dir()?;
        if at.as_os_str().is_empty() {
            return Ok(root);
        }
        Ok(root.open_dir(at)?)
    }

    /// The directory that holds the last name of a path, and that name.
    fn parent<'a>(&self, at: &'a Path) -> Result<(Dir, &'a OsStr), Fault> {
        let name = at.file_name().ok_or(Fault::Root)?;
        let parent = at.parent().unwrap_or(Path::new(""));
        Ok((self.dir_at(parent)?, name))
    }
}

/// What opens a name in a directory for reading, and neither waits for a pipe's other end nor takes a terminal.
fn reading(links: Links) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt as _;
        use rustix::fs::OFlags;
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        if links == Links::Keep {
            flags |= OFlags::NOFOLLOW;
        }
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    }
    #[cfg(not(unix))]
    let _ = links;
    options
}

/// Opens a regular file. It is looked at before, because opening a device can do something, and after, because it may
/// have become another meanwhile.
fn open_file(dir: &Dir, at: &Path, links: Links, hard_links: bool) -> Result<(std::fs::File, Stat), Fault> {
    let before = match links {
        Links::Follow => dir.metadata(at)?,
        Links::Keep => dir.symlink_metadata(at)?,
    };
    regular(&stat(&before))?;
    open_regular(dir, at, links, hard_links)
}

/// The same for what a directory has just called a regular file.
fn open_regular(
    dir: &Dir,
    at: &Path,
    links: Links,
    hard_links: bool,
) -> Result<(std::fs::File, Stat), Fault> {
    let file = dir.open_with(at, &reading(links))?;
    let stat = stat(&file.metadata()?);
    regular(&stat)?;
    if stat.links > 1 && !hard_links {
        return Err(Fault::HardLinks(stat.links));
    }
    Ok((file.into_std(), stat))
}

fn regular(stat: &Stat) -> Result<(), Fault> {
    match stat.kind {
        Kind::File => Ok(()),
        Kind::Dir => Err(Fault::Io(ErrorKind::IsADirectory.into())),
        Kind::Link => Err(Fault::Special("link")),
        Kind::Other => Err(Fault::Special("pipe, socket or device")),
    }
}

fn stat(metadata: &Metadata) -> Stat {
    let kind = metadata.file_type();
    Stat {
        kind: if kind.is_symlink() {
            Kind::Link
        } else if kind.is_dir() {
            Kind::Dir
        } else if kind.is_file() {
            Kind::File
        } else {
            Kind::Other
        },
        size: metadata.len(),
        modified: metadata.modified().ok().map(cap_std::time::SystemTime::into_std),
        created: metadata.created().ok().map(cap_std::time::SystemTime::into_std),
        mode: Some(metadata).filter(|_| cfg!(unix)).map(mode),
        links: links(metadata),
    }
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    use cap_std::fs::MetadataExt as _;
    metadata.mode() & 0o7777
}

#[cfg(not(unix))]
fn mode(_metadata: &Metadata) -> u32 {
    0
}

#[cfg(unix)]
fn links(metadata: &Metadata) -> u64 {
    use cap_std::fs::MetadataExt as _;
    if metadata.is_file() { metadata.nlink() } else { 1 }
}

#[cfg(not(unix))]
fn links(_metadata: &Metadata) -> u64 {
    1
}

impl Place for Local {
    fn stat(&self, at: &Path, links: Links) -> Result<Stat, Fault> {
        let root = self.dir()?;
        let metadata = if at.as_os_str().is_empty() {
            root.dir_metadata()?
        } else {
            match links {
                Links::Follow => root.metadata(at)?,
                Links::Keep => root.symlink_metadata(at)?,
            }
        };
        Ok(stat(&metadata))
    }

    fn resolve(&self, at: &Path) -> Result<PathBuf, Fault> {
        if at.as_os_str().is_empty() {
            return Ok(PathBuf::new());
        }
        let path = self.dir()?.canonicalize(at)?;
        Ok(if path == Path::new(".") {
            PathBuf::new()
        } else {
            path
        })
    }

    fn read_link(&self, at: &Path) -> Result<PathBuf, Fault> {
        let (dir, name) = self.parent(at)?;
        Ok(dir.read_link_contents(name)?)
    }

    fn open(&self, at: &Path) -> Result<(Box<dyn Source>, Stat), Fault> {
        if at.as_os_str().is_empty() {
            return Err(Fault::Io(ErrorKind::IsADirectory.into()));
        }
        let (file, stat) = open_file(&self.dir()?, at, Links::Follow, self.hard_links)?;
        Ok((Box::new(file), stat))
    }

    fn list(&self, at: &Path, most: usize) -> Result<(Vec<Entry>, bool), Fault> {
        let mut entries = Vec::new();
        for entry in self.dir_at(at)?.entries()? {
            if entries.len() == most {
                return Ok((entries, false));
            }
            let entry = entry?;
            let name = entry.file_name();
            if name == crate::trash::FOLDER {
                continue;
            }
            match entry.metadata() {
                Ok(metadata) => entries.push(Entry {
                    name,
                    stat: stat(&metadata),
                }),
                // Gone since the directory was read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((entries, true))
    }

    fn write(
        &self,
        at: &Path,
        content: &mut dyn Read,
        replace: Replace,
        mode: Option<u32>,
    ) -> Result<u64, Fault> {
        let (dir, name) = self.parent(at)?;
        let old = match dir.symlink_metadata(name) {
            Ok(_) if replace == Replace::Never => return Err(Fault::Exists),
            Ok(metadata) => {
                let old = stat(&metadata);
                regular(&old)?;
                Some(old)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let partial = Partial::new(&dir, name)?;
        let written = partial.fill(content, mode.or(old.and_then(|old| old.mode)))?;
        match replace {
            Replace::Yes => dir.rename(&partial.name, &dir, name)?,
            Replace::Never => rename_new(&dir, OsStr::new(&partial.name), &dir, name)?,
        }
        partial.keep();
        sync(&dir)?;
        Ok(written)
    }

    fn make_dirs(&self, at: &Path) -> Result<bool, Fault> {
        match self.stat(at, Links::Follow) {
            Ok(stat) if stat.kind == Kind::Dir => return Ok(false),
            Ok(_) => return Err(Fault::Exists),
            Err(Fault::Io(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(fault) => return Err(fault),
        }
        self.dir()?.create_dir_all(at)?;
        Ok(true)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Fault> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        rename_new(&from_dir, from_name, &to_dir, to_name)?;
        sync(&to_dir)?;
        sync(&from_dir)
    }

    fn remove(&self, at: &Path) -> Result<(), Fault> {
        let (dir, name) = self.parent(at)?;
        if dir.symlink_metadata(name)?.is_dir() {
            dir.remove_dir_all(name)?;
        } else {
            dir.remove_file(name)?;
        }
        sync(&dir)
    }

    fn link(&self, at: &Path, says: &Path) -> Result<(), Fault> {
        let (dir, name) = self.parent(at)?;
        #[cfg(unix)]
        dir.symlink_contents(says, name)?;
        #[cfg(not(unix))]
        dir.symlink_file(says, name)?;
        Ok(())
    }

    fn walk<'v>(
        &self,
        at: &Path,
        walk: &Walk<'_>,
        visitor: &(dyn Fn() -> Visitor<'v> + Sync),
    ) -> Result<usize, Fault> {
        walk::walk(self, at, walk, visitor)
    }
}

impl Folders for Local {
    type Dir = Dir;

    fn threads(&self) -> usize {
        std::thread::available_parallelism().map_or(1, |count| count.get().min(MOST_THREADS))
    }

    fn at(&self, path: &Path) -> Result<Dir, Fault> {
        self.dir_at(path)
    }

    fn below(&self, above: &Dir, name: &OsStr) -> Result<Dir, Fault> {
        #[cfg(unix)]
        {
            use rustix::fs::{Mode, OFlags};
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            // One name, and not "..", so there is nothing on the way to lead elsewhere.
            let fd = rustix::fs::openat(above, name, flags, Mode::empty()).map_err(io::Error::from)?;
            Ok(Dir::from_std_file(std::fs::File::from(fd)))
        }
        #[cfg(not(unix))]
        {
            if above.symlink_metadata(name)?.is_symlink() {
                return Err(Fault::Special("link"));
            }
            Ok(above.open_dir(name)?)
        }
    }

    fn names(&self, dir: &Dir) -> Result<Vec<(OsString, Kind)>, Fault> {
        let entries = dir.entries()?.filter_map(Result::ok);
        Ok(entries
            .map(|entry| (entry.file_name(), kind_of(&entry)))
            .collect())
    }

    fn open(&self, dir: &Dir, name: &OsStr) -> Result<Box<dyn Read + '_>, Fault> {
        let (file, _) = open_regular(dir, Path::new(name), Links::Keep, self.hard_links)?;
        Ok(Box::new(file))
    }

    fn look(&self, dir: &Dir, name: &OsStr) -> Result<Stat, Fault> {
        Ok(stat(&dir.symlink_metadata(name)?))
    }

    fn text(&self, dir: &Dir, name: &OsStr) -> Option<Vec<u8>> {
        let (file, _) = open_file(dir, Path::new(name), Links::Keep, true).ok()?;
        let mut text = Vec::new();
        file.take(IGNORE_BYTES).read_to_end(&mut text).ok()?;
        Some(text)
    }
}

fn kind_of(entry: &DirEntry) -> Kind {
    let of = |kind: FileType| {
        if kind.is_symlink() {
            Kind::Link
        } else if kind.is_dir() {
            Kind::Dir
        } else if kind.is_file() {
            Kind::File
        } else {
            Kind::Other
        }
    };
    entry.file_type().map_or(Kind::Other, of)
}

/// A file beside the one it is to become. Dropped, it is removed.
struct Partial<'a> {
    dir: &'a Dir,
    name: String,
    file: Option<File>,
    kept: bool,
}

impl<'a> Partial<'a> {
    fn new(dir: &'a Dir, beside: &OsStr) -> Result<Self, Fault> {
        // A name has at most 255 bytes on nearly every file system; this one must not be longer than its own.
        let shown = beside.to_string_lossy();
        let name = format!(
            ".{}.{:08x}.part",
            base::text::cut(&shown, 200),
            server_kit::random::number() >> 32
        );
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = dir.open_with(&name, &options)?;
        Ok(Self {
            dir,
            name,
            file: Some(file),
            kept: false,
        })
    }

    fn fill(&self, content: &mut dyn Read, mode: Option<u32>) -> Result<u64, Fault> {
        let Some(mut file) = self.file.as_ref() else {
            return Ok(0);
        };
        let written = io::copy(content, &mut file)?;
        file.flush()?;
        #[cfg(unix)]
        if let Some(mode) = mode {
            use cap_std::fs::PermissionsExt as _;
            // Not the bits by which a program runs as another user: the content is a new one.
            file.set_permissions(cap_std::fs::Permissions::from_mode(mode & 0o777))?;
        }
        #[cfg(not(unix))]
        let _ = mode;
        file.sync_all()?;
        Ok(written)
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        drop(self.file.take());
        if !self.kept {
            drop(self.dir.remove_file(&self.name));
        }
    }
}

/// Renames, and replaces nothing.
fn rename_new(from_dir: &Dir, from: &OsStr, to_dir: &Dir, to: &OsStr) -> Result<(), Fault> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(from_dir, from, to_dir, to, RenameFlags::NOREPLACE) {
            // The file system doesn't know how.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return Ok(done.map_err(io::Error::from)?),
        }
    }
    if from_dir.symlink_metadata(from)?.is_file() {
        // A second name fails where there is one already, and so replaces nothing.
        from_dir.hard_link(from, to_dir, to)?;
        return Ok(from_dir.remove_file(from)?);
    }
    match to_dir.symlink_metadata(to) {
        Ok(_) => Err(Fault::Exists),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(from_dir.rename(from, to_dir, to)?),
        Err(error) => Err(error.into()),
    }
}

/// Has the names of a directory on the disk before anybody is told that they are there.
fn sync(dir: &Dir) -> Result<(), Fault> {
    #[cfg(unix)]
    rustix::fs::fsync(dir).or_else(|error| match error {
        // File systems that have nothing to write there.
        rustix::io::Errno::INVAL | rustix::io::Errno::BADF => Ok(()),
        error => Err(io::Error::from(error)),
    })?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}
