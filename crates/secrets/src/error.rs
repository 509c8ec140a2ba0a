//! What can go wrong, in words that say which command or file mends it. No text here holds a value.

use crate::SecretName;

/// Why a secret could not be had, stored or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No source has it.
    #[error("the secret {name} is not set; set it with `dockmaster secret set {name}`")]
    Missing {
        /// The secret.
        name: SecretName,
    },
    /// Not a name.
    #[error("{name:?} is not a name of a secret: {reason}")]
    Name {
        /// What was given, made printable and cut.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value that can't be kept or given to a server.
    #[error("the value for {name} can't be stored: {reason}")]
    Value {
        /// The secret.
        name: SecretName,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The chain has only sources that are read.
    #[error(
        "no place to store secrets is configured: {places} can only be read; configure the encrypted file, a credential \
         helper or `docker pass` under [secrets]"
    )]
    ReadOnly {
        /// The sources, by name.
        places: String,
    },
    /// A source failed.
    #[error(transparent)]
    Source(#[from] Box<Fault>),
}

/// What failed at one source.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {attempt} failed: {reason}; {mend}")]
pub struct Fault {
    /// The source, by name: "the encrypted file /home/…/secrets.vault".
    pub place: String,
    /// What was tried: "reading `brave.api_key`".
    pub attempt: String,
    /// Why it failed.
    pub reason: String,
    /// What to do.
    pub mend: String,
}

impl Fault {
    pub(crate) fn error(
        place: impl Into<String>,
        attempt: impl Into<String>,
        reason: impl Into<String>,
        mend: impl Into<String>,
    ) -> Error {
        Error::Source(Box::new(Self {
            place: place.into(),
            attempt: attempt.into(),
            reason: reason.into(),
            mend: mend.into(),
        }))
    }
}
