//! Questions that only a person, or whoever speaks for one, can answer.

use base::redact::Secret;
use futures_util::future::BoxFuture;
use std::path::PathBuf;

/// Answers what comes up while a session is opened. Each question has some minutes; no answer is a no.
pub trait Ask: Send + Sync + 'static {
    /// Whether a host that is not known is to be trusted.
    fn trust(&self, stranger: Stranger) -> BoxFuture<'_, Trust>;

    /// The passphrase of a key that the host would take; `None` passes the key over.
    fn passphrase(&self, key: LockedKey) -> BoxFuture<'_, Option<Secret>>;
}

/// A host that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Its name and port, as they would be remembered.
    pub host: String,
    /// `ssh-ed25519`, …
    pub algorithm: String,
    /// `SHA256:…`, to be compared with what its owner says.
    pub fingerprint: String,
}

/// A key that is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedKey {
    /// Its file.
    pub file: PathBuf,
    /// For which host.
    pub host: String,
    /// Counted from 1; the ones before were wrong.
    pub attempt: u32,
}

/// Whether a host is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// No.
    Refuse,
    /// Until this process ends.
    Once,
    /// From now on: it is written to the first file of known hosts.
    Remember,
}

/// Nobody is there: strangers are refused, and encrypted keys passed over.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Ask for Nobody {
    fn trust(&self, _: Stranger) -> BoxFuture<'_, Trust> {
        Box::pin(async { Trust::Refuse })
    }

    fn passphrase(&self, _: LockedKey) -> BoxFuture<'_, Option<Secret>> {
        Box::pin(async { None })
    }
}
