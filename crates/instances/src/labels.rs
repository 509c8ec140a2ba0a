//! What the objects that this room makes say of themselves. Labels are read by everyone who may use the engine, so
//! no value of a secret is in one, nor anything from which it could be guessed.

use std::collections::{BTreeMap, HashMap};

use base::names::ServerName;
use sha2::{Digest, Sha256};

/// On everything that this room makes; the guard of its engine lets through nothing without it.
pub(crate) const MANAGED: &str = "dockmaster.managed";
/// The server.
pub(crate) const SERVER: &str = "dockmaster.server";
/// The gateway process that made it; it lives as long as that process holds its lock.
pub(crate) const GATEWAY: &str = "dockmaster.gateway";
/// Who shares it: a hash, since the key may name a person or a session.
pub(crate) const SHARE: &str = "dockmaster.share";
/// What exactly it was made of.
pub(crate) const FINGERPRINT: &str = "dockmaster.fingerprint";
/// The image as the plan names it.
pub(crate) const IMAGE: &str = "dockmaster.image";
/// On what a server made through its filtered Docker socket: the server, a hash of who shares it, and the name of
/// the house (`claim::house`).
#[cfg(unix)]
pub(crate) const MADE_BY: &str = "dockmaster.made-by";
/// When, RFC 3339.
pub(crate) const CREATED: &str = "dockmaster.created";

/// What an object is to us: the value of [`MANAGED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A container in which a server, or one call of a tool, runs. Dies with its gateway.
    Instance,
    /// A network of one instance. Dies with its gateway.
    Network,
    /// A volume that a server keeps its data in. Nobody removes it but the user.
    Data,
    /// An image built for a server.
    Image,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Network => "network",
            Self::Data => "data",
            Self::Image => "image",
        }
    }
}

/// The labels of one object, beginning with what all of them bear.
#[derive(Debug, Clone)]
pub(crate) struct Labels(HashMap<String, String>);

impl Labels {
    pub(crate) fn new(kind: Kind, server: &ServerName, further: &BTreeMap<String, String>) -> Self {
        let mut labels: HashMap<String, String> = further.clone().into_iter().collect();
        labels.insert(MANAGED.to_owned(), kind.as_str().to_owned());
        labels.insert(SERVER.to_owned(), server.to_string());
        Self(labels)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn into_map(self) -> HashMap<String, String> {
        self.0
    }
}

/// The filter value for objects of a kind.
pub(crate) fn of_kind(kind: Kind) -> String {
    format!("{MANAGED}={}", kind.as_str())
}

/// The first 16 hexadecimal digits of a SHA-256: enough to tell things apart, and short enough for a label.
pub(crate) fn short_hash(text: impl AsRef<[u8]>) -> String {
    let digest = Sha256::digest(text.as_ref());
    hex(digest.get(..8).unwrap_or_default())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Random hexadecimal digits, two a byte.
pub(crate) fn random(bytes: usize) -> Result<String, std::io::Error> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(hex(&buffer))
}
