//! A directory as a Docker build context: what `.dockerignore` leaves of it, as a tar stream.
//!
//! Symbolic links are sent as links and never followed, so nothing outside of the directory gets in. The
//! Dockerfile may be inside the context, outside of it, or given as text. The daemon of the classic builder
//! reads `.dockerignore` again, to keep an ignored Dockerfile and `.dockerignore` out of the image although
//! they had to be sent; `plan` makes sure that it comes to the same result as we did.
//!
//! Deliberately absent: which directories may be contexts (the guard decides, and passes a path with its links
//! resolved), contexts from Git or other URLs, compression, and anything of the build itself.

mod dockerfile;
mod ignore;
mod plan;
#[cfg(test)]
mod tests;

pub use dockerfile::Dockerfile;
pub use ignore::{Ignore, IgnoreError, Marks};

use std::io;
use std::path::{Path, PathBuf};

use plan::Plan;

use crate::tarball::dir::Kind;
use crate::tarball::{Choice, Choose, Error as TarError, Limits, Packer, TarStream, walk};

/// Name of the file with the patterns.
const IGNORE_FILE: &str = ".dockerignore";

/// Why a context can't be sent. What goes wrong while it is being sent is a [`TarError`] in the stream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is none, or can't be read.
    #[error("the build context {path} can't be used: {cause}; name a directory that this user can read")]
    Directory {
        /// As it was given.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// No Dockerfile was named, and there is none.
    #[error("there is no Dockerfile in {path}; name the file to use, relative to that directory")]
    NoDockerfile {
        /// The context.
        path: PathBuf,
    },
    /// The Dockerfile that was named can't be read.
    #[error("the Dockerfile {path} can't be read: {cause}")]
    Dockerfile {
        /// As it was given.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A name that can't be told to the daemon.
    #[error("the Dockerfile's name {path:?} is not UTF-8; rename it")]
    DockerfileName {
        /// Its path in the context.
        path: PathBuf,
    },
    /// A pattern is wrong.
    #[error("{path}: {cause}")]
    Ignore {
        /// The file with the patterns.
        path: PathBuf,
        /// Which line, and why.
        cause: IgnoreError,
    },
    /// The file with the patterns can't be read.
    #[error("{path} can't be read: {cause}")]
    IgnoreFile {
        /// The file with the patterns.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// A build context that has been looked at and is ready to be streamed.
#[derive(Debug)]
pub struct BuildContext {
    plan: Plan,
    limits: Limits,
}

impl BuildContext {
    /// Finds the Dockerfile and reads the patterns: `<Dockerfile>.dockerignore` beside the Dockerfile if there
    /// is one, else `.dockerignore` of the context.
    ///
    /// `directory` and a [`Dockerfile::Outside`] have been allowed by the caller as they are written here.
    pub async fn open(directory: &Path, dockerfile: Dockerfile, limits: Limits) -> Result<Self, Error> {
        let path = directory.to_path_buf();
        let shown = path.clone();
        let plan = tokio::task::spawn_blocking(move || Plan::make(&path, dockerfile))
            .await
            .unwrap_or_else(|lost| {
                Err(Error::Directory {
                    path: shown,
                    cause: io::Error::other(lost),
                })
            })?;
        Ok(Self { plan, limits })
    }

    /// The Dockerfile's name in the context, for the `dockerfile` parameter of the build.
    pub fn dockerfile(&self) -> &str {
        &self.plan.dockerfile
    }

    /// The Dockerfile's text, at most 4 MiB; bytes that are not UTF-8 are replaced.
    pub fn dockerfile_text(&self) -> &str {
        &self.plan.dockerfile_text
    }

    /// The context as a tar stream. Must be called within a tokio runtime.
    pub fn stream(self) -> TarStream {
        let Self { plan, limits } = self;
        TarStream::spawn(limits, move |packer| send(packer, &plan))
    }
}

fn send(packer: &mut Packer, plan: &Plan) -> Result<(), TarError> {
    for file in &plan.added {
        packer.bytes(file.path.as_bytes(), &file.content, 0o600, file.modified)?;
    }
    walk(packer, &plan.root, b"", plan)
}

impl Choose for Plan {
    type Known = Marks;

    fn choose(&self, path: &[u8], kind: Kind, above: Option<&Marks>) -> Choice<Marks> {
        if self.added.iter().any(|file| file.path.as_bytes() == path) {
            return Choice::Leave;
        }
        let (ignored, marks) = self.ignore.judge(path, above);
        let leads_to_sent = || {
            self.always_sent
                .iter()
                .any(|sent| is_below(sent.as_bytes(), path))
        };
        if !ignored || self.always_sent.iter().any(|sent| sent.as_bytes() == path) {
            Choice::Take(marks)
        } else if kind == Kind::Directory && (self.ignore.may_except_below(path) || leads_to_sent()) {
            Choice::Look(marks)
        } else {
            Choice::Leave
        }
    }
}

fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"))
}
