//! What will be sent: the patterns, the Dockerfile's name, and the files that are added to the tree or changed.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::dockerfile::{self, Dockerfile};
use super::ignore::{Ignore, literal};
use super::{Error, IGNORE_FILE};
use crate::tarball::dir::{Dir, Kind};
use crate::tarball::{random_digits, read_small};

/// Largest `.dockerignore` that is read.
const IGNORE_LIMIT: u64 = 1 << 20;

/// What will be sent.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: Dir,
    pub(super) ignore: Ignore,
    /// Paths that are sent although they are ignored, because the daemon needs them.
    pub(super) always_sent: Vec<String>,
    /// Files that are not on the disk, or not with this content.
    pub(super) added: Vec<Added>,
    pub(super) dockerfile: String,
    pub(super) dockerfile_text: String,
}

#[derive(Debug)]
pub(super) struct Added {
    pub(super) path: String,
    pub(super) content: Vec<u8>,
    pub(super) modified: u64,
}

/// The Dockerfile as it will be in the context.
struct Found {
    name: String,
    content: Vec<u8>,
    is_added: bool,
    /// Patterns of its own, and where they are.
    own_ignore: Option<(PathBuf, Vec<u8>)>,
}

impl Plan {
    pub(super) fn make(path: &Path, dockerfile: Dockerfile) -> Result<Self, Error> {
        let unusable = |cause| Error::Directory {
            path: path.to_path_buf(),
            cause,
        };
        let path = &fs_err::canonicalize(path).map_err(unusable)?;
        let root = Dir::open(path).map_err(unusable)?;
        let found = Found::new(path, &root, dockerfile)?;
        let ignore_path = path.join(IGNORE_FILE);
        let shared = read_ignore(path, Path::new(IGNORE_FILE)).map_err(|cause| Error::IgnoreFile {
            path: ignore_path.clone(),
            cause,
        })?;

        let ignore = match (&found.own_ignore, &shared) {
            (Some((path, content)), _) => parse(path, content)?,
            (None, Some(content)) => parse(&ignore_path, content)?,
            (None, None) => Ignore::default(),
        };
        let changed = (found.is_added || found.own_ignore.is_some())
            .then(|| for_daemon(&found, &ignore, shared.as_deref()))
            .flatten();

        let now = u64::try_from(base::clock::now().as_second()).unwrap_or(0);
        let mut added = Vec::new();
        let dockerfile_text = String::from_utf8_lossy(&found.content).into_owned();
        let mut always_sent = vec![IGNORE_FILE.to_owned()];
        if found.is_added {
            added.push(Added {
                path: found.name.clone(),
                content: found.content,
                modified: now,
            });
        } else {
            always_sent.push(found.name.clone());
        }
        added.extend(changed.map(|content| Added {
            path: IGNORE_FILE.to_owned(),
            content,
            modified: now,
        }));
        Ok(Self {
            root,
            ignore,
            always_sent,
            added,
            dockerfile: found.name,
            dockerfile_text,
        })
    }
}

impl Found {
    fn new(path: &Path, root: &Dir, dockerfile: Dockerfile) -> Result<Self, Error> {
        let given = match dockerfile {
            Dockerfile::Text(text) => {
                return Ok(Self {
                    name: random_name(path)?,
                    content: text.into_bytes(),
                    is_added: true,
                    own_ignore: None,
                });
            }
            Dockerfile::Outside(file) => return Self::outside(path, &file),
            Dockerfile::Inside(given) => given,
            Dockerfile::Default => match dockerfile::default_name(root) {
                Some(name) => name.into(),
                None => {
                    return Err(Error::NoDockerfile {
                        path: path.to_path_buf(),
                    });
                }
            },
        };
        let name = dockerfile::resolve_inside(path, &given)?;
        let content = read_file(path, Path::new(&name), dockerfile::LIMIT)
            .map_err(|cause| Error::Dockerfile { path: given, cause })?;
        let own = format!("{name}{IGNORE_FILE}");
        let own_ignore = read_own_ignore(path, Path::new(&own))?;
        Ok(Self {
            name,
            content,
            is_added: false,
            own_ignore,
        })
    }

    fn outside(context: &Path, file: &Path) -> Result<Self, Error> {
        let unreadable = |cause| Error::Dockerfile {
            path: file.to_path_buf(),
            cause,
        };
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        };
        let bytes = read_file(folder, Path::new(name), dockerfile::LIMIT).map_err(unreadable)?;
        let mut own_ignore = name.to_os_string();
        own_ignore.push(IGNORE_FILE);
        Ok(Self {
            name: random_name(context)?,
            content: bytes,
            is_added: true,
            own_ignore: read_own_ignore(folder, Path::new(&own_ignore))?,
        })
    }
}

/// What the daemon must find in `.dockerignore` so that it removes from the image's sources what we would have
/// ignored if it could have stayed here, and nothing else. `None` if what is there does.
fn for_daemon(found: &Found, ignore: &Ignore, shared: Option<&[u8]>) -> Option<Vec<u8>> {
    let has_shared = shared.is_some();
    // What the daemon can't read has no effect there either, and would only hide what is added here.
    let readable = shared.filter(|content| Ignore::parse(content).is_ok());
    let mut content = readable.unwrap_or_default().to_vec();
    let wanted = [
        (
            found.name.as_str(),
            found.is_added || ignore.ignores(found.name.as_bytes()),
        ),
        (IGNORE_FILE, !has_shared || ignore.ignores(IGNORE_FILE.as_bytes())),
    ];
    let is_wanted = |content: &[u8]| {
        let read = Ignore::parse(content).unwrap_or_default();
        wanted
            .iter()
            .all(|(path, removed)| read.ignores(path.as_bytes()) == *removed)
    };
    if !has_shared && !found.is_added && !wanted[0].1 || has_shared && is_wanted(&content) {
        return None;
    }
    for (path, removed) in wanted {
        content.push(b'\n');
        content.extend_from_slice(if removed { b"" } else { b"!" });
        content.extend_from_slice(&literal(path.as_bytes()));
    }
    content.push(b'\n');
    Some(content)
}

fn parse(path: &Path, content: &[u8]) -> Result<Ignore, Error> {
    Ignore::parse(content).map_err(|cause| Error::Ignore {
        path: path.to_path_buf(),
        cause,
    })
}

fn read_own_ignore(folder: &Path, name: &Path) -> Result<Option<(PathBuf, Vec<u8>)>, Error> {
    let path = folder.join(name);
    match read_ignore(folder, name) {
        Ok(content) => Ok(content.map(|content| (path, content))),
        Err(cause) => Err(Error::IgnoreFile { path, cause }),
    }
}

/// A file of patterns, `None` if there is none. A link is followed within `folder`.
fn read_ignore(folder: &Path, name: &Path) -> io::Result<Option<Vec<u8>>> {
    let (dir, last) = match dockerfile::open_parent(folder, name) {
        Ok(opened) => opened,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(cause),
    };
    match dir.meta(last) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
        Ok(meta) if meta.kind == Kind::Symlink => {
            let folder = fs_err::canonicalize(folder)?;
            let target = fs_err::canonicalize(folder.join(name))?;
            let inside = target
                .strip_prefix(&folder)
                .map_err(|_| io::Error::other("it is a link that leads out of its folder"))?;
            read_file(&folder, inside, IGNORE_LIMIT).map(Some)
        }
        Ok(_) => read_from(&dir, last, IGNORE_LIMIT).map(Some),
    }
}

/// A small file below `root`, reached without following a link.
fn read_file(root: &Path, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (dir, name) = dockerfile::open_parent(root, path)?;
    read_from(&dir, name, limit)
}

fn read_from(dir: &Dir, name: &OsStr, limit: u64) -> io::Result<Vec<u8>> {
    let (mut file, meta) = dir.file(name)?;
    if meta.kind != Kind::File {
        return Err(io::Error::other("it is not a regular file"));
    }
    read_small(&mut file, limit)
}

/// A name that is not in the context by any likelihood, in the form that the engine's own client uses.
fn random_name(context: &Path) -> Result<String, Error> {
    let digits = random_digits().map_err(|cause| Error::Directory {
        path: context.to_path_buf(),
        cause,
    })?;
    Ok(format!(".dockerfile.{digits}"))
}
