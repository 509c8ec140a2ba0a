//! What the user says of a server that is switched on: the table `[profiles.NAME.servers.SERVER]`.
//!
//! Texts become types here, when the configuration is read, so that a wrong one is refused there with its value.
//! Deliberately absent: whether it suits the entry (`planner`), and files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use base::names::ServerName;
use base::{Size, SizeError, Span};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::entry::{Entry, Kind};
use crate::place::Place;
use crate::plan::{Gpus, HostPort, Sharing};

/// How a server is set up. All of it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Setup {
    /// The catalog whose entry is meant, where the name alone may mean the entry of another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<ServerName>,
    /// Its configuration, as its entry describes it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// Secrets under other names than the entry's: `{ "github.personal_access_token" = "my.token" }`. An empty name
    /// says that the server does without.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// Secrets that it is given as files in memory: by absolute path in its container, the name of the secret. One of the
    /// entry's is not put into its variable then.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_files: BTreeMap<String, String>,
    /// Further environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Tools that may be called; absent: all, empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Before the names of its tools and prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Prefix>,
    /// Who may share a running copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
    /// So many running copies wait for whoever needs them: of a server that everyone shares one at most, which is then
    /// never idle; of others spares.
    #[serde(skip_serializing_if = "is_zero")]
    pub warm: u8,
    /// After how long without work a running copy is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_stop: Option<Span>,
    /// How long it may take to start and shake hands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<Span>,
    /// How long one of its lists may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_timeout: Option<Span>,
    /// How long one call may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<Span>,
    /// Where its containers run; absent: on the engine at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Place>,
    /// What it may reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkChoice>,
    /// Hosts beside those that the entry declares.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Destination>,
    /// Mounts beside those of the entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountSpec>,
    /// Volumes that it may mount although they were there before and Dockmaster did not make them, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// At most so much memory: `"512MiB"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// At most so many CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// At most so many processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// GPUs: `"all"` or a number.
    #[serde(skip_serializing_if = "Option::is_none", with = "gpus")]
    pub gpus: Option<Gpus>,
    /// Another image than the entry's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its root may be written, though its entry does not say so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub writable_root: bool,
    /// Places in its container that are memory, beside `/tmp`: absolute paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
    /// Capabilities beside those that its entry asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// It drives Docker, by a filtered socket, though its entry does not say so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub docker_socket: bool,
    /// Another user than the entry's or the image's: `user[:group]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl Setup {
    /// The name under which the user keeps a secret; empty where the server does without.
    #[must_use]
    pub fn kept_as<'a>(&'a self, name: &'a str) -> &'a str {
        self.secrets.get(name).map_or(name, String::as_str)
    }

    /// The names of all secrets that a server needs or can use, as they are kept.
    #[must_use]
    pub fn secret_names<'a>(&'a self, entry: &'a Entry) -> BTreeSet<&'a str> {
        let own = match &entry.kind {
            Kind::Container { run, .. } => Some(&run.secret_files),
            _ => None,
        };
        let files = own
            .into_iter()
            .chain([&self.secret_files])
            .flat_map(BTreeMap::values);
        let variables = entry.secrets.iter().map(|need| &need.name);
        let names = variables.chain(files).map(|name| self.kept_as(name));
        names.filter(|name| !name.is_empty()).collect()
    }

    /// Those of them that a server does without where they have no value.
    #[must_use]
    pub fn optional_secrets<'a>(&self, entry: &'a Entry) -> BTreeSet<&'a str> {
        let needs = entry.secrets.iter().filter(|need| !need.required);
        let names = needs.map(|need| need.name.as_str());
        names
            .filter(|name| !self.secrets.contains_key(*name) && !self.is_in_file(name))
            .collect()
    }

    /// Whether a secret of the entry is given as a file, and not in its variable.
    pub(crate) fn is_in_file(&self, name: &str) -> bool {
        let mut files = self.secret_files.values();
        files.any(|other| self.kept_as(other) == self.kept_as(name))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// What a server may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkChoice {
    /// Nothing, also not what its entry declares.
    None,
    /// What its entry declares, and `hosts`.
    Declared,
    /// Everything that the engine's default network reaches.
    Open,
}

/// Why a text of a setup can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {wanted}: {why}")]
pub struct SetupError {
    value: String,
    wanted: &'static str,
    why: String,
}

impl SetupError {
    fn new(value: &str, wanted: &'static str, why: impl Into<String>) -> Self {
        Self {
            value: base::text::clean(base::text::cut(value, 120)).into_owned(),
            wanted,
            why: why.into(),
        }
    }
}

macro_rules! from_text {
    ($($type:ident),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

from_text!(Destination, MountSpec, Capability, Prefix);

/// What stands before the names of a server's tools and prompts: 1 to 32 letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Prefix(String);

impl Prefix {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prefix {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=32).contains(&text.len()) || !text.bytes().all(fits) {
            let why = "it has 1 to 32 letters, digits, '_' and '-'";
            return Err(SetupError::new(text, "a prefix of names of tools", why));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A capability (capabilities(7)), without `CAP_` before it: `NET_RAW`. That the engine knows it is not checked here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Capability(pub String);

impl FromStr for Capability {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        let name = text.strip_prefix("CAP_").unwrap_or(text);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            return Err(SetupError::new(
                text,
                "a capability",
                "its name is in capital letters, such as NET_RAW",
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

/// A destination as catalogs and people write it: `host:port`, with `/tcp`, `/http` or `/https` behind it if they like.
/// Without a port it is the one of the scheme, and 443 without either. The host may be `*.example.com` or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Destination(#[serde(serialize_with = "as_text")] pub HostPort);

fn as_text<S: serde::Serializer>(value: &HostPort, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl FromStr for Destination {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        let fault = |why: &str| SetupError::new(text, "a destination (host:port)", why);
        let (place, default) = match text.trim().split_once('/') {
            None => (text.trim(), Some(443)),
            Some((place, "https")) => (place, Some(443)),
            Some((place, "http")) => (place, Some(80)),
            Some((place, "tcp")) => (place, None),
            Some(_) => return Err(fault("behind the / stands tcp, http or https")),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))),
            None => match place.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, Some("")),
            },
        };
        let port = match port {
            Some("") => default.ok_or_else(|| fault("a port is needed"))?,
            Some(digits) => match digits.parse() {
                Ok(0) | Err(_) => return Err(fault("the port is a number from 1 to 65535")),
                Ok(port) => port,
            },
            None => return Err(fault("behind the ] stands a : and the port")),
        };
        let host = host.to_ascii_lowercase();
        if !is_destination(&host) {
            return Err(fault("the host is a name, an address, *.name, or * for all"));
        }
        Ok(Self(HostPort { host, port }))
    }
}

fn is_destination(host: &str) -> bool {
    if host == "*" || host.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    is_dns_name(host.strip_prefix("*.").unwrap_or(host))
}

/// A DNS name in lower case; `_` is accepted, as names of containers have it.
pub(crate) fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A mount as people write it: `source:target[:ro]`. The source is a path of the host or the name of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// A path or a name.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// It may not be written.
    pub read_only: bool,
}

impl FromStr for MountSpec {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        let fault = |why: &str| {
            SetupError::new(
                text,
                "a mount (source:target, with :ro behind it to be read only)",
                why,
            )
        };
        // The colon behind a drive letter is a part of the path.
        let drive = match text.as_bytes() {
            [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic() => 2,
            _ => 0,
        };
        let (head, rest) = text.split_at(drive);
        let mut parts = rest.split(':');
        let source = format!("{head}{}", parts.next().unwrap_or_default());
        let target = parts.next().ok_or_else(|| fault("the target is missing"))?;
        let read_only = match parts.next() {
            None | Some("rw") => false,
            Some("ro") => true,
            Some(_) => return Err(fault("behind the target stands ro, rw or nothing")),
        };
        if source.is_empty() || parts.next().is_some() {
            return Err(fault("it has a source and a target"));
        }
        Ok(Self {
            source,
            target: target.to_owned(),
            read_only,
        })
    }
}

impl fmt::Display for MountSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.read_only { ":ro" } else { "" };
        write!(f, "{}:{}{mode}", self.source, self.target)
    }
}

impl Serialize for MountSpec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Bytes of memory: a number, or a number with a unit (`512m`, `2GiB`, `2Gb`). Units count in 1024, as Docker's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory(pub u64);

/// Docker refuses less.
const LEAST_MEMORY: u64 = 6 << 20;

impl FromStr for Memory {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        let fault = |why: &str| SetupError::new(text, "an amount of memory", why);
        let Size(bytes) = text.parse().map_err(|error: SizeError| fault(error.why()))?;
        Self::checked(bytes).map_err(fault)
    }
}

impl Memory {
    fn checked(bytes: u64) -> Result<Self, &'static str> {
        if bytes < LEAST_MEMORY {
            return Err("Docker wants at least 6 MiB");
        }
        Ok(Self(bytes))
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Number(bytes) => Self::checked(bytes).map_err(serde::de::Error::custom),
            Scalar::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// A number of CPUs, at least 0.01.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cpus(pub f64);

impl<'de> Deserialize<'de> for Cpus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let cpus = f64::deserialize(deserializer)?;
        if (0.01..=4096.0).contains(&cpus) {
            Ok(Self(cpus))
        } else {
            Err(serde::de::Error::custom("a number of CPUs is from 0.01 to 4096"))
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u64),
    Text(String),
}

mod gpus {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Gpus, Scalar};

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde's signature"
    )]
    pub(super) fn serialize<S: Serializer>(value: &Option<Gpus>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            None => serializer.serialize_none(),
            Some(Gpus::All) => serializer.serialize_str("all"),
            Some(Gpus::Count(count)) => serializer.serialize_u32(*count),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Gpus>, D::Error> {
        let fault = || serde::de::Error::custom("GPUs are \"all\" or a number");
        Ok(match Option::<Scalar>::deserialize(deserializer)? {
            None => None,
            Some(Scalar::Text(text)) if text == "all" => Some(Gpus::All),
            Some(Scalar::Number(count)) => Some(Gpus::Count(u32::try_from(count).map_err(|_| fault())?)),
            Some(Scalar::Text(_)) => return Err(fault()),
        })
    }
}
