//! What can go wrong with a registry.

use fetch::StatusCode;

use crate::Digest;

/// Why something could not be read from a registry or written to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that registries can't have.
    #[error("{name:?} is no reference to something in a registry: {reason}")]
    Reference {
        /// What was given, printable and cut.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The exchange failed.
    #[error("{place}: {attempt} failed: {cause}")]
    Exchange {
        /// The repository or registry.
        place: String,
        /// What was tried: "reading its tags".
        attempt: String,
        /// How.
        cause: Box<fetch::Error>,
    },
    /// The registry said no.
    #[error("{place}: {attempt} failed: the registry answered {status}{said}{mend}")]
    Refused {
        /// The repository or registry.
        place: String,
        /// What was tried.
        attempt: String,
        /// Its answer.
        status: StatusCode,
        /// Its words, if any, with a colon before them.
        said: String,
        /// What to do, if that is known, with a semicolon before it.
        mend: String,
    },
    /// There is no way to log in.
    #[error("{place}: {attempt} failed: {reason}; {mend}")]
    Login {
        /// The repository or registry.
        place: String,
        /// What was tried.
        attempt: String,
        /// Why not.
        reason: String,
        /// What to do.
        mend: String,
    },
    /// What came is not what was asked for.
    #[error(
        "{place}: {attempt} gave {found} where {wanted} was asked for; it was changed on the way, or the registry is broken"
    )]
    Digest {
        /// The repository.
        place: String,
        /// What was tried.
        attempt: String,
        /// What was asked for.
        wanted: Digest,
        /// What came.
        found: String,
    },
    /// What came can't be used.
    #[error("{place}: {attempt} gave what can't be used: {reason}")]
    Content {
        /// The repository.
        place: String,
        /// What was tried.
        attempt: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Whether the registry says that there is nothing of this name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}
