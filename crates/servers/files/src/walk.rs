//! Going through directories: on several threads, by handles, and past what ignore files name.
//!
//! A directory is opened by its name in the one above ([`Folders`]), without following links, so a walk stays below where
//! it began as surely as the place can have it so. Work is a stack, the newest first: there are never more handles open than
//! directories between the top and where the threads are, each with its siblings' parent.

use crate::fault::Fault;
use crate::names::is_hidden;
use crate::place::{Flow, Found, Kind, Stat, Visitor, Walk};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Files that a thread takes at once.
const BATCH: usize = 128;
/// Files that say what to ignore, the stronger later.
const IGNORE_FILES: [&str; 3] = [".gitignore", ".ignore", ".rgignore"];
/// Bytes of an ignore file that are read.
pub(crate) const IGNORE_BYTES: u64 = 1 << 20;

/// How the directories of a place are gone through.
pub(crate) trait Folders: Sync {
    /// An open directory.
    type Dir: Send + Sync;

    /// How many threads are worth it.
    fn threads(&self) -> usize;
    /// The directory at a path from the root on.
    fn at(&self, path: &Path) -> Result<Self::Dir, Fault>;
    /// The directory of this name in another one; a link is none.
    fn below(&self, above: &Self::Dir, name: &OsStr) -> Result<Self::Dir, Fault>;
    /// The names in a directory.
    fn names(&self, dir: &Self::Dir) -> Result<Vec<(OsString, Kind)>, Fault>;
    /// Opens what the directory has just called a regular file.
    fn open(&self, dir: &Self::Dir, name: &OsStr) -> Result<Box<dyn Read + '_>, Fault>;
    /// What is known of a name.
    fn look(&self, dir: &Self::Dir, name: &OsStr) -> Result<Stat, Fault>;
    /// The beginning of a file that may not be there, [`IGNORE_BYTES`] at most.
    fn text(&self, dir: &Self::Dir, name: &OsStr) -> Option<Vec<u8>>;
}

/// See [`crate::place::Place::walk`].
pub(crate) fn walk<'v, F: Folders>(
    folders: &F,
    at: &Path,
    walk: &Walk<'_>,
    visitor: &(dyn Fn() -> Visitor<'v> + Sync),
) -> Result<usize, Fault> {
    let ignores = if walk.all { None } else { above(folders, at)? };
    let first = Folder {
        dir: Arc::new(folders.at(at)?),
        path: at.to_owned(),
        ignores,
        depth: 0,
    };
    let work = Work {
        folders,
        walk,
        queue: Mutex::new(Queue {
            jobs: vec![Job::Read(first)],
            busy: 0,
        }),
        changed: Condvar::new(),
        enough: AtomicBool::new(false),
        unread: AtomicUsize::new(0),
    };
    std::thread::scope(|scope| {
        for _ in 1..folders.threads() {
            // A thread that can't be had is done without.
            let extra = std::thread::Builder::new().name("files-walk".to_owned());
            drop(extra.spawn_scoped(scope, || work.run(visitor)));
        }
        work.run(visitor);
    });
    Ok(work.unread.into_inner())
}

/// What the directories above say about what to ignore.
fn above<F: Folders>(folders: &F, at: &Path) -> Result<Option<Arc<Ignores>>, Fault> {
    let mut ignores = None;
    let above: Vec<&Path> = at.ancestors().skip(1).collect();
    for path in above.into_iter().rev() {
        ignores = Ignores::read(folders, &folders.at(path)?, path, &IGNORE_FILES, ignores);
    }
    Ok(ignores)
}

/// A directory that was opened.
struct Folder<D> {
    dir: Arc<D>,
    path: PathBuf,
    ignores: Option<Arc<Ignores>>,
    depth: usize,
}

enum Job<D> {
    /// An opened directory whose names are to be read.
    Read(Folder<D>),
    /// The same, not opened yet: a name in the one above.
    Open { above: Arc<Folder<D>>, name: OsString },
    /// Files of a directory.
    Files {
        folder: Arc<Folder<D>>,
        files: Vec<(OsString, Kind)>,
    },
}

struct Queue<D> {
    jobs: Vec<Job<D>>,
    /// Threads that may still add jobs.
    busy: usize,
}

struct Work<'a, F: Folders> {
    folders: &'a F,
    walk: &'a Walk<'a>,
    queue: Mutex<Queue<F::Dir>>,
    changed: Condvar,
    enough: AtomicBool,
    unread: AtomicUsize,
}

impl<F: Folders> Work<'_, F> {
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

    fn next(&self) -> Option<Job<F::Dir>> {
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

    fn work(&self, job: Job<F::Dir>, visit: &mut Visitor<'_>) -> Vec<Job<F::Dir>> {
        match job {
            Job::Read(folder) => self.read(folder, visit),
            Job::Open { above, name } => {
                let path = above.path.join(&name);
                let Ok(dir) = self.folders.below(&above.dir, &name) else {
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
    fn read(&self, mut folder: Folder<F::Dir>, visit: &mut Visitor<'_>) -> Vec<Job<F::Dir>> {
        let Ok(names) = self.folders.names(&folder.dir) else {
            self.unread.fetch_add(1, Ordering::Relaxed);
            return Vec::new();
        };
        if !self.walk.all {
            let present: Vec<&str> = IGNORE_FILES
                .into_iter()
                .filter(|ignore| names.iter().any(|(name, _)| name == ignore))
                .collect();
            folder.ignores = Ignores::read(
                self.folders,
                &folder.dir,
                &folder.path,
                &present,
                folder.ignores.take(),
            );
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

    fn passes_over(&self, folder: &Folder<F::Dir>, name: &OsStr, kind: Kind) -> bool {
        if name == crate::trash::FOLDER {
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

    fn visit(&self, folder: &Folder<F::Dir>, name: &OsStr, kind: Kind, visit: &mut Visitor<'_>) {
        let path = folder.path.join(name);
        let found = Found {
            path: &path,
            kind,
            open: &|| match kind {
                Kind::File => self.folders.open(&folder.dir, name),
                Kind::Link => Err(Fault::Special("link")),
                _ => Err(Fault::Special("pipe, socket or device")),
            },
            stat: &|| self.folders.look(&folder.dir, name),
        };
        if visit(&found) == Flow::Enough {
            self.enough.store(true, Ordering::Relaxed);
        }
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
    fn read<F: Folders>(
        folders: &F,
        dir: &F::Dir,
        path: &Path,
        names: &[&str],
        above: Option<Arc<Self>>,
    ) -> Option<Arc<Self>> {
        if names.is_empty() {
            return above;
        }
        let mut builder = GitignoreBuilder::new("");
        for name in names {
            let Some(text) = folders.text(dir, OsStr::new(name)) else {
                continue;
            };
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
