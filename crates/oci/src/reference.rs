//! Where something is: registry, repository, and a tag or digest in it.

use std::fmt;
use std::net::Ipv4Addr;

use base::names::ImageRef;

use crate::{Digest, Error};

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    path: String,
}

/// What in a repository is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// What a tag points to now.
    Tag(String),
    /// Exactly this.
    Digest(Digest),
}

/// A repository and what in it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where.
    pub repository: Repository,
    /// What; `latest` if the reference names neither tag nor digest, the digest if it names both.
    pub target: Target,
}

impl Repository {
    /// The registry as references and credentials name it: `docker.io`, `ghcr.io`, `127.0.0.1:5000`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name in that registry: `library/busybox`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// The host that answers: Docker Hub's registry has another name than its images.
pub(crate) fn authority(host: &str) -> &str {
    match host {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        host => host,
    }
}

/// Whether a host (with or without port) is this machine.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    host == "localhost"
        || host == "[::1]"
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

impl Reference {
    /// Parses a reference as Docker writes them.
    ///
    /// # Errors
    /// [`Error::Reference`], also for image ids, which no registry knows.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let image = ImageRef::parse(text)
            .map_err(|_| fault(text, "registry, repository, tag or digest are misspelt"))?;
        Self::of(&image)
    }

    /// # Errors
    /// [`Error::Reference`] for an image id.
    pub fn of(image: &ImageRef) -> Result<Self, Error> {
        let host = image
            .registry()
            .ok_or_else(|| fault(image.as_str(), "it is the id of an image"))?;
        let name = image.repository();
        let path = match name.split_once('/') {
            Some((first, rest)) if first == host => rest,
            _ => name,
        };
        let path = match host {
            "docker.io" | "index.docker.io" if !path.contains('/') => format!("library/{path}"),
            _ => path.to_owned(),
        };
        let target = match image.digest() {
            Some(digest) => {
                Target::Digest(Digest::parse(digest).ok_or_else(|| fault(digest, "its digest is misspelt"))?)
            }
            None => Target::Tag(image.tag().unwrap_or("latest").to_owned()),
        };
        let repository = Repository {
            host: host.to_owned(),
            path,
        };
        Ok(Self { repository, target })
    }

    /// The same repository at this digest.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self {
            repository: self.repository.clone(),
            target: Target::Digest(digest),
        }
    }
}

fn fault(name: &str, reason: &'static str) -> Error {
    let name = base::text::clean(name).replace('\n', " ");
    Error::Reference {
        name: base::text::cut(&name, 80).to_owned(),
        reason,
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joint = match self.target {
            Target::Tag(_) => ':',
            Target::Digest(_) => '@',
        };
        write!(f, "{}{joint}{}", self.repository, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, wanted) in [
            ("busybox", Some("docker.io/library/busybox:latest")),
            ("mcp/memory:1", Some("docker.io/mcp/memory:1")),
            ("docker.io/mcp/memory", Some("docker.io/mcp/memory:latest")),
            ("docker.io/busybox", Some("docker.io/library/busybox:latest")),
            ("127.0.0.1:5000/a/b:c", Some("127.0.0.1:5000/a/b:c")),
            (
                &format!("ghcr.io/x/y:1@{digest}"),
                Some(&*format!("ghcr.io/x/y@{digest}")),
            ),
            ("sha256:0123", None),
            ("Bad", None),
        ] {
            let found = Reference::parse(text).ok().map(|reference| reference.to_string());
            assert_eq!(found.as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn loopback() {
        for (host, wanted) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("10.0.0.1:5000", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com:80", false),
        ] {
            assert_eq!(is_loopback(host), wanted, "{host}");
        }
    }
}
