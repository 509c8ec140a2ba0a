//! The policy of one host, as the configuration file states it: the table `[hosts.NAME.guard]`.
//!
//! Every key has a default that protects the host; a key that is not here is an error, never ignored. What each
//! key allows, and why it is shut, is told in `docs/guard.md`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use fetch::Range;
use serde::{Deserialize, Deserializer, de};

use super::mode::Mode;

/// What requests to one host may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one line of the configuration file, set by a person and read by exactly one rule"
)]
pub struct Policy {
    /// How much of the API is open. It is the key `mode` of `[hosts.NAME]` and not of this table; whoever reads
    /// the configuration sets it.
    #[serde(skip)]
    pub mode: Mode,

    // Containers.
    /// Containers with `Privileged`, which are root on the host.
    pub privileged: bool,
    /// Namespaces that may be the host's or another container's.
    pub namespaces: Vec<Namespace>,
    /// Capabilities that may be added beyond Docker's default set.
    pub capabilities: Vec<Capability>,
    /// Device files of the host that may be handed to containers, by absolute path.
    pub devices: Vec<PathBuf>,
    /// Device cgroup rules that may be set, word for word (`c 189:* rmw`).
    pub device_cgroup_rules: Vec<String>,
    /// Requests for GPUs (`--gpus`).
    pub gpus: bool,
    /// CDI devices that may be requested, by their qualified names (`vendor.com/class=name`).
    pub cdi_devices: Vec<String>,
    /// Security options that may be set, word for word, beside `no-new-privileges`.
    pub security_opts: Vec<String>,
    /// Kernel parameters that may be set, by name.
    pub sysctls: Vec<String>,
    /// Cgroup parents that may be named, word for word.
    pub cgroup_parents: Vec<String>,
    /// Runtimes that may be named, beside the default one.
    pub runtimes: Vec<String>,
    /// Containers that the out-of-memory killer spares: `OomKillDisable`, a negative `OomScoreAdj`.
    pub oom_protection: bool,
    /// Containers that see the kernel files which Docker hides or makes read-only.
    pub unmasked_paths: bool,
    /// Annotations that may be set, by name; runtimes obey them.
    pub annotations: Vec<String>,
    /// Log drivers that may be named, beside `json-file`, `local`, `journald` and `none`.
    pub log_drivers: Vec<String>,

    // Directories of the host.
    /// Directories of the host that containers may mount, and builds and copies may use.
    pub roots: Vec<Root>,
    /// How the source of a mount is brought to its true place before it is compared with the roots.
    pub symlinks: Symlinks,
    /// System and credential paths that are not refused for what they are. A mount still has to be under a root.
    pub allow_sensitive: Vec<PathBuf>,
    /// Sockets of the host that may be mounted, by absolute path; they need no root.
    pub sockets: Vec<PathBuf>,
    /// Mount propagation modes that may be asked for, beside `private` and `rprivate`.
    pub propagation: Vec<String>,
    /// Volume drivers that may be used, beside `local`.
    pub volume_drivers: Vec<String>,
    /// File systems that volumes of the driver `local` may mount (`nfs`, `cifs`), beside `tmpfs`.
    pub volume_types: Vec<String>,

    // Networks.
    /// Addresses of the host on which ports may be published, beside the loopback. `0.0.0.0` and `::` stand for
    /// all addresses of their family.
    pub publish: Vec<IpAddr>,
    /// Network drivers that may be used, beside `bridge`, `overlay` and `null`.
    pub network_drivers: Vec<String>,
    /// Driver options that may be set on networks and endpoints, by name, beside the harmless ones.
    pub network_options: Vec<String>,
    /// Ranges in which the subnets of networks may lie, beside the private ones.
    pub network_subnets: Vec<Range>,

    // Images.
    /// Where images may come from and go to (`docker.io/library/*`). Absent: anywhere.
    pub registries: Option<Vec<ImagePattern>>,
    /// Builds and commits, if `registries` confines images: they make images with any content.
    pub build: bool,
    /// Images from archives, if `registries` confines images: load and import.
    pub load: bool,
    /// Contexts, archives and imports that the daemon fetches itself from a URL.
    pub remote_build: bool,
    /// Outputs of builds other than the engine's image store.
    pub build_outputs: bool,
    /// `BuildKit` sessions (`/session`, `/grpc`), in which requests are not visible to the guard.
    pub buildkit_session: bool,

    // Running containers.
    /// `exec` with `Privileged`.
    pub exec_privileged: bool,
    /// `exec`, attach and files in containers that this policy would not have created.
    pub exec_into_unsafe: bool,
    /// Checkpoints of running containers.
    pub checkpoints: bool,

    // The engine.
    /// Changing the swarm and its nodes, and reading its keys.
    pub swarm: bool,
    /// Installing, changing and publishing plugins of the daemon.
    pub plugins: bool,
    /// Confines everything to objects with this label (`key=value` or `key`).
    pub label: Option<Label>,
    /// Volumes that containers may mount although they lack the label. No key of the file: a floor above says it of
    /// single containers.
    #[serde(skip)]
    pub volumes: Vec<String>,
    /// Bridges may be touched, by which Dockmaster itself works on hosts. No key of the file: it is for who installs them.
    #[serde(skip)]
    pub bridges: bool,
}

/// A namespace that a container can share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the kernel's own words")]
pub enum Namespace {
    Pid,
    Network,
    Ipc,
    Uts,
    User,
    Cgroup,
}

impl Namespace {
    /// The name as the configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Network => "network",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::User => "user",
            Self::Cgroup => "cgroup",
        }
    }
}

/// A Linux capability, kept in upper case and without `CAP_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability(String);

impl Capability {
    /// Docker's default set, which every container has without asking.
    pub const DEFAULT: [&str; 14] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];

    /// The capability of this name, in any case and with or without `CAP_`. `None` if it can't be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        plain.then(|| Self(name.to_owned()))
    }

    /// The name in upper case and without `CAP_`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Capability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("{text:?} is not a capability")))
    }
}

/// A directory of the host under which containers may mount.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// An absolute path without `..`. Links in it are followed when it is used.
    #[serde(deserialize_with = "absolute")]
    pub path: PathBuf,
    /// Whether containers may write there.
    #[serde(default)]
    pub write: bool,
}

/// Why a path can't be a [`Root`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an absolute path without ..", .0.display())]
pub struct NotARoot(PathBuf);

impl Root {
    /// A root at this path.
    ///
    /// # Errors
    /// The path is relative or has `..` in it.
    pub fn new(path: PathBuf, write: bool) -> Result<Self, NotARoot> {
        let climbs = path
            .components()
            .any(|part| matches!(part, std::path::Component::ParentDir));
        if path.is_absolute() && !climbs {
            Ok(Self { path, write })
        } else {
            Err(NotARoot(path))
        }
    }
}

/// How mount sources are brought to their true place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Symlinks {
    /// Links are followed on this machine. On a remote engine that can't be done, and binds are refused.
    #[default]
    Resolve,
    /// On a remote engine the path is taken as it is spelled: a link there can lead out of the root. On this
    /// machine links are followed all the same.
    Lexical,
}

/// Which images are meant: `*` stands for any text, except in the registry. `docker.io/library/*`,
/// `ghcr.io/acme/*`, `registry.example:5000/*`, or one repository without `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePattern {
    text: String,
}

impl ImagePattern {
    /// The pattern of this text.
    ///
    /// # Errors
    /// Says what a pattern looks like.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str =
            "an image pattern begins with a registry, as in docker.io/library/* or ghcr.io/acme/app";
        if text == "*" {
            return Ok(Self {
                text: text.to_owned(),
            });
        }
        let (host, path) = text.split_once('/').ok_or(FORM)?;
        let is_host = (host.contains(['.', ':']) || host == "localhost") && !host.contains('*');
        let is_path = !path.is_empty()
            && path
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/._-*".contains(&b));
        if is_host && is_path {
            Ok(Self {
                text: text.to_ascii_lowercase(),
            })
        } else {
            Err(FORM)
        }
    }

    /// Whether a repository, written in full (`docker.io/library/nginx`), is meant.
    #[must_use]
    pub fn matches(&self, repository: &str) -> bool {
        let mut pieces = self.text.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = repository.strip_prefix(first) else {
            return false;
        };
        let mut pieces = pieces.peekable();
        if pieces.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return rest.ends_with(piece);
            }
            let Some(at) = rest.find(piece) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
        }
        true
    }

    /// Whether every image is meant, also one without a name.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.text == "*"
    }

    /// Whether anything of this registry could be meant.
    #[must_use]
    pub fn names_registry(&self, host: &str) -> bool {
        self.text == "*" || self.text.split_once('/').is_some_and(|(own, _)| own == host)
    }
}

impl<'de> Deserialize<'de> for ImagePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|form| de::Error::custom(format!("{text:?}: {form}")))
    }
}

/// A label that objects must bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    key: String,
    value: Option<String>,
}

impl Label {
    /// The label of `key=value`, or of `key` with any value.
    ///
    /// # Errors
    /// Says what a label looks like.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        let plain = |text: &str| !text.chars().any(|c| c.is_control() || c == '"' || c == '\\');
        if key.is_empty() || key.contains(char::is_whitespace) || !plain(text) {
            return Err("a label is key=value or key, without control characters, quotes and backslashes");
        }
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }

    /// The part before `=`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether an object with this label and value is meant.
    #[must_use]
    pub fn is(&self, key: &str, value: &str) -> bool {
        key == self.key && self.value.as_deref().is_none_or(|own| own == value)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        match &self.value {
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|form| de::Error::custom(format!("{text:?}: {form}")))
    }
}

fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    Root::new(path, false)
        .map(|root| root.path)
        .map_err(de::Error::custom)
}
