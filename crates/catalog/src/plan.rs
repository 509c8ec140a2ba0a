//! What exactly would run for a server: the answer to "what does enabling this do to my machine", and the only thing
//! that `instances` starts.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::path::PathBuf;

use base::names::ServerName;
use base::{Secret, Span};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::place::Place;
use crate::tools::Tool;

/// How a server would be run. Serialises without values of secrets: it is shown by `server inspect --plan`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The server.
    pub server: ServerName,
    /// What is reached.
    pub target: Target,
    /// Where its containers run; `None`: on the engine at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Place>,
    /// Who may share a running copy.
    pub sharing: Sharing,
    /// How long running copies live, and what they may take.
    #[serde(flatten)]
    pub life: Life,
    /// Tools that may be called; `None`: all.
    pub tools: Option<Vec<String>>,
    /// Put before the names of its tools and prompts; `None`: only when they collide.
    pub prefix: Option<String>,
    /// Names of secrets that it is given, each with the place from which it comes in the entry's own terms.
    pub secrets: Vec<String>,
    /// What it asks for beyond the lockdown; shown before it is enabled.
    pub asks_for: Vec<String>,
    /// What a person should know that is neither a fault nor a request: what was left out and why, what the user may
    /// want to permit.
    pub notes: Vec<String>,
}

/// What a server is to the gateway.
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and nearly all are the large one"
)]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Target {
    /// A container that lives as long as it is used.
    Container(Container),
    /// One container for each call of a tool; there is no MCP server in it.
    PerCall(#[serde(serialize_with = "as_tools")] Vec<PerCall>),
    /// Tools that the user declared one by one; there is no MCP server in them, either.
    Tools(#[serde(serialize_with = "as_tools")] Vec<Tool>),
    /// Somewhere else, by HTTP.
    Remote(Remote),
    /// A process on this machine, which the configuration has to permit.
    Process(Process),
    /// One of our own.
    BuiltIn,
}

/// A list beside the tag of its variant, which only a table can stand beside.
fn as_tools<S: Serializer>(tools: &[impl Serialize], serializer: S) -> Result<S::Ok, S::Error> {
    let mut table = serializer.serialize_map(Some(1))?;
    table.serialize_entry("tools", tools)?;
    table.end()
}

/// A container, as it will be asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// The catalog whose entry it is of, by which publishers' signatures are wanted; `None`: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
    /// The image: pinned by digest where that is known. With [`Container::build`], the tag that the build gives it.
    pub image: String,
    /// The image is made here first, when there is none of that tag.
    pub build: Option<Build>,
    /// Instead of the image's command; empty: the image's own. What is in [`Container::secret_arguments`] too stands
    /// here as it may be shown; [`Container::arguments`] gives what has to be run.
    pub command: Vec<String>,
    /// Arguments that hold secrets, by their place in `command`.
    pub secret_arguments: BTreeMap<usize, Value>,
    /// Environment, in order.
    pub env: Vec<(String, Value)>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// Named volumes among the mounts that it may have although they were there before and others made them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// `user[:group]`; `None`: as the image says.
    pub user: Option<String>,
    /// What it may reach.
    pub network: Network,
    /// Of those hosts the ones that the user himself named for it, which may be in private networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub private_hosts: Vec<HostPort>,
    /// Names it resolves besides DNS: `(host, address)`.
    pub extra_hosts: Vec<(String, String)>,
    /// Bounds.
    pub limits: Limits,
    /// Capabilities given back after all were dropped, without `CAP_`.
    pub capabilities: Vec<String>,
    /// The root file system is writable; else only `/tmp` and volumes are.
    pub writable_root: bool,
    /// All GPUs of the host (`--gpus all`), or so many.
    pub gpus: Option<Gpus>,
    /// Gets a filtered Docker socket, which shows only what this server made.
    pub docker_socket: bool,
    /// A working directory, instead of the image's.
    pub working_dir: Option<String>,
}

impl Container {
    /// The command as it has to be run, with each secret replaced by what `secret` gives for its name; `None` when
    /// one has no value.
    pub fn arguments(&self, secret: impl Fn(&str) -> Option<Secret>) -> Option<Vec<Secret>> {
        let plain = self.command.iter().enumerate();
        plain
            .map(|(place, shown)| match self.secret_arguments.get(&place) {
                Some(value) => value.fill(&secret),
                None => Some(Secret::new(shown.clone())),
            })
            .collect()
    }
}

/// How an image is made for a server that is published as a package and not as an image. The package is installed
/// into the image, as an unprivileged user, and runs only there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Build {
    /// Which package manager installs it.
    pub ecosystem: Ecosystem,
    /// The package's name, checked against its ecosystem's grammar: it cannot be an option, a path or a URL.
    pub package: String,
    /// The exact version, which may be a pinned one; `None` for the newest at the time of the build.
    pub version: Option<String>,
    /// The image that it is installed into.
    pub base: String,
    /// Where the package comes from, when not from the ecosystem's own registry.
    pub registry: Option<String>,
    /// Further packages that it needs, with their constraints (`mcp<2`).
    pub with: Vec<String>,
    /// The program that the package installs, when it is not the one that the package names first.
    pub program: Option<String>,
}

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ecosystem {
    /// npm: the program of the package runs on Node.js.
    Npm,
    /// PyPI: the package is installed into a Python environment of its own.
    Pypi,
}

/// A value that may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// As it stands.
    Plain(String),
    /// Text with the values of secrets in between, filled in when the container is made.
    Parts(Vec<Part>),
}

/// A piece of a [`Value`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// As it stands.
    Text(String),
    /// The value of the secret with this name.
    Secret(String),
}

impl Value {
    /// The text, with each secret replaced by what `secret` gives for its name; `None` when one has no value.
    pub fn fill(&self, secret: impl Fn(&str) -> Option<Secret>) -> Option<Secret> {
        match self {
            Self::Plain(text) => Some(Secret::new(text.clone())),
            Self::Parts(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(piece) => text.push_str(piece),
                        Part::Secret(name) => text.push_str(secret(name)?.expose()),
                    }
                }
                Some(Secret::new(text))
            }
        }
    }
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// From where.
    pub source: Source,
    /// Absolute path in the container.
    pub target: String,
    /// It may not be written.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A folder or file of the host.
    Path(PathBuf),
    /// A named volume, made when it is missing. Named as the entry names it; it outlives the container.
    Volume(String),
    /// Memory.
    Tmpfs,
    /// The value of a secret, as a file in memory.
    Secret(String),
}

/// What a container may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Nothing.
    #[default]
    None,
    /// Exactly these, through the proxy.
    Hosts(Vec<HostPort>),
    /// Everything that the engine's default network reaches; the user said so.
    Open,
}

/// A destination that is permitted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// A DNS name in lower case, or an IP address; `*.example.com` for all names below it, `*` for every host.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Whether a connection to this host and port is permitted by it. `*.example.com` does not permit `example.com`
    /// itself; a trailing dot and the case of the name do not matter.
    pub fn permits(&self, host: &str, port: u16) -> bool {
        if port != self.port {
            return false;
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match self.host.strip_prefix('*') {
            Some("") => !host.is_empty(),
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => host == self.host,
        }
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Bounds on a container.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory, swap included.
    pub memory: u64,
    /// CPUs.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 2 << 30,
            cpus: 1.0,
            pids: 512,
        }
    }
}

/// GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gpus {
    /// All of the host.
    All,
    /// So many.
    Count(u32),
}

/// A tool that is a container of its own at each call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerCall {
    /// Its name.
    pub name: String,
    /// For the model.
    pub description: String,
    /// The JSON Schema of its arguments, whole.
    pub input_schema: serde_json::Value,
    /// As the catalog wrote them, if it did.
    pub annotations: Option<serde_json::Value>,
    /// What runs, without what the arguments of a call decide; `catalog::call` makes the container of a call.
    pub container: Container,
    /// What is filled in at the call.
    pub templates: CallTemplates,
}

/// Templates that the arguments of a call are filled into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallTemplates {
    /// The command.
    pub command: Vec<String>,
    /// Mounts, each `source:target[:ro]`.
    pub volumes: Vec<String>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// Folders that a call may mount, with all that is below them.
    pub roots: Vec<Root>,
    /// The host whose folders they are.
    #[serde(default)]
    pub host: String,
}

/// A folder of the host that containers may be given, with all that is below it. Of several the innermost decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Absolute.
    pub path: PathBuf,
    /// It may be written.
    pub write: bool,
}

/// A server reached by HTTP.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remote {
    /// Where. If the address itself holds a secret, as it may be shown; [`Remote::address`] gives the real one.
    pub url: String,
    /// The address, if it holds a secret.
    pub secret_url: Option<Value>,
    /// How.
    pub transport: RemoteTransport,
    /// Headers that every request has.
    pub headers: BTreeMap<String, Value>,
    /// The user himself wrote the address, so it may be in a private network.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub of_the_user: bool,
}

impl Remote {
    /// The address that has to be reached, with each secret replaced by what `secret` gives for its name; `None` when
    /// one has no value.
    pub fn address(&self, secret: impl Fn(&str) -> Option<Secret>) -> Option<Secret> {
        match &self.secret_url {
            Some(value) => value.fill(secret),
            None => Some(Secret::new(self.url.clone())),
        }
    }
}

/// How a remote server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteTransport {
    /// Streamable HTTP; falls back to HTTP+SSE where the server wants that (2024-11-05).
    StreamableHttp,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

/// A process on this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Process {
    /// Program and arguments; no shell.
    pub command: Vec<String>,
    /// Environment, in order; nothing else is inherited but PATH, HOME and LANG.
    pub env: Vec<(String, Value)>,
    /// Where it runs.
    pub working_dir: Option<PathBuf>,
}

/// Who may share a running copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Everyone.
    #[default]
    Everyone,
    /// Each principal has one.
    Principal,
    /// Each session has one.
    Session,
    /// Each call has one.
    Call,
}

/// How long running copies of a server live, and how long they may take; what is `None` is as for all servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// So many wait for whoever needs them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm: Option<NonZeroU8>,
    /// After how long without work one is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_stop: Option<Span>,
    /// How long a start and its handshake may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<Span>,
    /// How long a list may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_timeout: Option<Span>,
    /// How long a call may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<Span>,
}
