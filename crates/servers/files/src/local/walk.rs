//! Going through directories: on several threads, by handles, and past what ignore files name.
//!
//! A directory is opened by its name in the handle of the one above, without following links, so a walk stays below
//! where it began whatever happens to the names meanwhile. Work is a stack, the newest first: there are never more
//! handles open than directories between the top and where the threads are, each with its siblings' parent.

use super::{Local, open_regular, stat};
use crate::fault::Fault;
use crate::names::is_hidden;
use crate::place::{Flow, Found, Kind, Links, Stat, Visitor, Walk};
use cap_std::fs::{Dir, DirEntry, FileType};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Threads of one walk; more of them wait for each other in the kernel.
const MOST_THREADS: usize = 8;
/// Files that a thread takes at once.
const BATCH: usize = 128;
/// Files that say what to ignore, the stronger later.
const IGNORE_FILES: [&str; 3] = [".gitignore", ".ignore", ".rgignore"];
/// Bytes of an ignore file that are read.
const IGNORE_BYTES: u64 = 1 << 20;

/// See [`crate::place::Place::walk`].
pub(super) fn walk<'v>(
    local: &Local,
    at: &Path,
    walk: &Walk<'_>,
    visitor: &(dyn Fn() -> Visitor<'v> + Sync),
) -> Result<usize, Fault> {
    let ignores = if walk.all { None } else { above(local, at)? };
    let first = Folder {
        dir: Arc::new(local.dir_at(at)?),
        path: at.to_owned(),
        ignores,
        depth: 0,
    };
    let work = Work {
        local,
        walk,
        queue: Mutex::new(Queue {
            jobs: vec![Job::Read(first)],
            busy: 0,
        }),
        changed: Condvar::new(),
        enough: AtomicBool::new(false),
        unread: AtomicUsize::new(0),
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(MOST_THREADS));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // A thread that can't be had is done without.
            let extra = std::thread::Builder::new().name("files-walk".to_owned());
            drop(extra.spawn_scoped(scope, || work.run(visitor)));
        }
        work.run(visitor);
    });
    Ok(work.unread.into_inner())
}

/// What the directories above say about what to ignore.
fn above(local: &Local, at: &Path) -> Result<Option<Arc<Ignores>>, Fault> {
    let mut ignores = None;
    let above: Vec<&Path> = at.ancestors().skip(1).collect();
    for path in above.into_iter().rev() {
        let dir = local.dir_at(path)?;
        let names: Vec<&str> = IGNORE_FILES
            .into_iter()
            .filter(|name| dir.symlink_metadata(name).is_ok())
            .collect();
        ignores = Ignores::read(&dir, path, &names, ignores);
    }
    Ok(ignores)
}

/// A directory that was opened.
struct Folder {
    dir: Arc<Dir>,
    path: PathBuf,
    ignores: Option<Arc<Ignores>>,
    depth: usize,
}

enum Job {
    /// An opened directory whose names are to be read.
    Read(Folder),
    /// The same, not opened yet: a name in the one above.
    Open { above: Arc<Folder>, name: OsString },
    /// Files of a directory.
    Files {
        folder: Arc<Folder>,
        files: Vec<(OsString, Kind)>,
    },
}

struct Queue {
    jobs: Vec<Job>,
    /// Threads that may still add jobs.
    busy: usize,
}

struct Work<'a> {
    local: &'a Local,
    walk: &'a Walk<'a>,
    queue: Mutex<Queue>,
    changed: Condvar,
    enough: AtomicBool,
    unread: AtomicUsize,
}

impl Work<'_> {
    fn run<'v>(&self, visitor: &(dyn Fn() -> Visitor<'v> + Sync)) {
        let mut visit = visitor();
        while let Some(job) = self.next() {
            let more = self.work(job, &mut visit);
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.jobs.extend(more);
            queue.busy -= 1;
            drop(queue);
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.over() {
                return None;
            }
            if let Some(job) = queue.jobs.pop() {
                queue.busy += 1;
                return Some(job);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn over(&self) -> bool {
        self.enough.load(Ordering::Relaxed) || self.walk.limit.reached()
    }

    fn work(&self, job: Job, visit: &mut Visitor<'_>) -> Vec<Job> {
        match job {
            Job::Read(folder) => self.read(folder, visit),
            Job::Open { above, name } => {
                let path = above.path.join(&name);
                let Ok(dir) = open_dir(&above.dir, &name) else {
                    self.unread.fetch_add(1, Ordering::Relaxed);
                    return Vec::new();
                };
                let folder = Folder {
                    dir: Arc::new(dir),
                    path,
                    ignores: above.ignores.clone(),
                    depth: above.depth + 1,
                };
                self.read(folder, visit)
            }
            Job::Files { folder, files } => {
                for (name, kind) in files {
                    if self.over() {
                        break;
                    }
                    self.visit(&folder, &name, kind, visit);
                }
                Vec::new()
            }
        }
    }

    /// Reads the names of a directory, visits those of directories, and leaves the rest as jobs.
    fn read(&self, mut folder: Folder, visit: &mut Visitor<'_>) -> Vec<Job> {
        let Ok(entries) = folder.dir.entries() else {
            self.unread.fetch_add(1, Ordering::Relaxed);
            return Vec::new();
        };
        let names: Vec<(OsString, Kind)> = entries
            .filter_map(Result::ok)
            .map(|entry| (entry.file_name(), kind(&entry)))
            .collect();
        if !self.walk.all {
            let present: Vec<&str> = IGNORE_FILES
                .into_iter()
                .filter(|ignore| names.iter().any(|(name, _)| name == ignore))
                .collect();
            folder.ignores = Ignores::read(&folder.dir, &folder.path, &present, folder.ignores.take());
        }
        let folder = Arc::new(folder);
        let mut jobs = Vec::new();
        let mut files = Vec::new();
        for (name, kind) in names {
            if self.over() {
                return Vec::new();
            }
            if self.passes_over(&folder, &name, kind) {
                continue;
            }
            if kind != Kind::Dir {
                files.push((name, kind));
                if files.len() == BATCH {
                    jobs.push(Job::Files {
                        folder: Arc::clone(&folder),
                        files: std::mem::take(&mut files),
                    });
                }
                continue;
            }
            self.visit(&folder, &name, kind, visit);
            if folder.depth < self.walk.depth {
                jobs.push(Job::Open {
                    above: Arc::clone(&folder),
                    name,
                });
            }
        }
        if !files.is_empty() {
            jobs.push(Job::Files { folder, files });
        }
        jobs
    }

    fn passes_over(&self, folder: &Folder, name: &OsStr, kind: Kind) -> bool {
        if folder.path.as_os_str().is_empty() && name == crate::trash::FOLDER {
            return true;
        }
        if self.walk.all {
            return false;
        }
        is_hidden(name)
            || folder
                .ignores
                .as_ref()
                .is_some_and(|ignores| ignores.ignores(&folder.path.join(name), kind == Kind::Dir))
    }

    fn visit(&self, folder: &Folder, name: &OsStr, kind: Kind, visit: &mut Visitor<'_>) {
        let path = folder.path.join(name);
        let found = Found {
            path: &path,
            kind,
            open: &|| match kind {
                Kind::File => {
                    let opened =
                        open_regular(&folder.dir, Path::new(name), Links::Keep, self.local.hard_links)?;
                    Ok(Box::new(opened.0) as Box<dyn Read>)
                }
                Kind::Link => Err(Fault::Special("link")),
                _ => Err(Fault::Special("pipe, socket or device")),
            },
            stat: &|| -> Result<Stat, Fault> { Ok(stat(&folder.dir.symlink_metadata(name)?)) },
        };
        if visit(&found) == Flow::Enough {
            self.enough.store(true, Ordering::Relaxed);
        }
    }
}

fn kind(entry: &DirEntry) -> Kind {
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

/// The directory of this name in another one; a link is none.
fn open_dir(above: &Dir, name: &OsStr) -> Result<Dir, Fault> {
    #[cfg(unix)]
    {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // One name, and not "..", so there is nothing on the way to lead elsewhere.
        let fd = rustix::fs::openat(above, name, flags, Mode::empty()).map_err(std::io::Error::from)?;
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

/// What a directory's ignore files say, and those above it.
struct Ignores {
    above: Option<Arc<Ignores>>,
    /// Of the directory, from the root of the place on.
    path: PathBuf,
    rules: Gitignore,
}

impl Ignores {
    fn read(dir: &Dir, path: &Path, names: &[&str], above: Option<Arc<Self>>) -> Option<Arc<Self>> {
        if names.is_empty() {
            return above;
        }
        let mut builder = GitignoreBuilder::new("");
        for name in names {
            let Ok((file, _)) = super::open_file(dir, Path::new(name), Links::Keep, true) else {
                continue;
            };
            let mut text = Vec::new();
            if file.take(IGNORE_BYTES).read_to_end(&mut text).is_err() {
                continue;
            }
            for line in String::from_utf8_lossy(&text).lines() {
                // A line that is no pattern ignores nothing, as in git.
                drop(builder.add_line(None, line));
            }
        }
        match builder.build() {
            Ok(rules) if !rules.is_empty() => Some(Arc::new(Self {
                above,
                path: path.to_owned(),
                rules,
            })),
            _ => above,
        }
    }

    fn ignores(&self, path: &Path, is_dir: bool) -> bool {
        let mut innermost = Some(self);
        while let Some(ignores) = innermost {
            let beneath = path.strip_prefix(&ignores.path).unwrap_or(path);
            match ignores.rules.matched(beneath, is_dir) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => innermost = ignores.above.as_deref(),
            }
        }
        false
    }
}
