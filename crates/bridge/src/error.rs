//! What goes wrong with a bridge, in words for whoever can mend it.

use std::io;
use std::path::PathBuf;

use crate::Architecture;

/// Why something did not happen to a bridge, or through it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The executable can't be made into an image.
    #[error("{} can't be made into a bridge: {why}", .path.display())]
    Executable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The host can't run it.
    #[error(
        "the executable is for {ours}, and the host runs {theirs}; give a Dockmaster that was linked statically for \
         {theirs} with --executable PATH"
    )]
    Architecture {
        /// Of the executable.
        ours: Architecture,
        /// Of the host, in its own word.
        theirs: String,
    },
    /// The engine refused or failed.
    #[error("can't {what}: {cause}")]
    Engine {
        /// What was tried.
        what: &'static str,
        /// Why not.
        cause: engine::Error,
    },
    /// Podman lets none out while it runs that was made without a network; one that is made anew has a way out.
    #[error(
        "its engine can't give it a way out while it runs ({0}); made anew, by `dockmaster host upgrade`, it has one"
    )]
    Fixed(engine::Error),
    /// Its volume in memory is mounted by nobody, and the engine has lost count of that.
    #[error(
        "its engine takes it for mounted still ({0}), as older ones do that were restarted while their containers ran on \
         (`live-restore`); it can be removed once that engine is restarted"
    )]
    Miscounted(engine::Error),
    /// There is no bridge where one was.
    #[error(
        "the bridge is not there any more; `dockmaster host uninstall` forgets it, `dockmaster host install` makes another one"
    )]
    Gone,
    /// It runs, and says no.
    #[error("the bridge says: {0}")]
    Said(String),
    /// It does not answer.
    #[error("the bridge does not answer: {0}")]
    Silent(String),
    /// It did not come up, and some of it could not be removed again.
    #[error("{error}; of what had been made there is left: {stuck}; remove that by hand on the host")]
    Remains {
        /// Why it did not come up.
        error: Box<Error>,
        /// What is left, and why.
        stuck: String,
    },
    /// The new one does not work; the one before goes on.
    #[error("the new bridge does not work ({0}); the one before is back")]
    Restored(Box<Error>),
    /// An upgrade failed, and what was there before could not be brought back.
    #[error(
        "the upgrade was broken off ({error}), and the bridge before could not be brought back ({cause}); the next use of it, \
         or `dockmaster host upgrade`, puts that right"
    )]
    BrokenOff {
        /// Why it failed.
        error: Box<Error>,
        /// Why the one before is not back.
        cause: Box<Error>,
    },
}

impl Error {
    pub(crate) fn engine(what: &'static str, cause: engine::Error) -> Self {
        Self::Engine { what, cause }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error.to_string())
    }
}
