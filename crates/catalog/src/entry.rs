//! One definition of a server, whatever format it came from.
//!
//! Readers of the formats (`read`) make an [`Entry`]; the plan is made from it and from what the user says. It holds
//! nothing of the user's. Deliberately absent: formats, and decisions.

use std::collections::BTreeMap;
use std::fmt;

use base::names::ServerName;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::plan::{Ecosystem, HostPort, RemoteTransport, Sharing};
use crate::setup::Prefix;
use crate::template::Template;
use crate::tools::{self, Tool};

/// A server that can be switched on.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name here.
    pub name: ServerName,
    /// Its name where it comes from, when that can't be a name here (`io.github.someone/weather`).
    pub published_as: Option<String>,
    /// The format that it was read from.
    pub format: Format,
    /// What it is to a reader.
    pub about: About,
    /// What is reached or run.
    pub kind: Kind,
    /// Secrets that it needs or can use.
    pub secrets: Vec<SecretNeed>,
    /// What can be configured.
    pub config: ConfigNeed,
    /// Sign-in by OAuth that fills one of the secrets.
    pub oauth: Vec<Oauth>,
    /// Scopes to ask for.
    pub oauth_scopes: Vec<String>,
    /// Who may share a running copy, if the entry says.
    pub sharing: Option<Sharing>,
    /// Before the names of its tools.
    pub prefix: Option<Prefix>,
    /// What is known of its tools without asking it.
    pub tools: Vec<ToolNote>,
    /// What was noticed on reading: fields that are not known, values that were left out.
    pub notes: Vec<Note>,
}

/// What an entry is to a reader.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct About {
    /// For people.
    pub title: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// A URL.
    pub icon: Option<String>,
    /// A URL, or the text itself.
    pub readme: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
    /// Its version, where the format has one.
    pub version: Option<String>,
    /// A word of the catalog.
    pub category: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// As the catalog names it.
    pub license: Option<String>,
    /// Who publishes it.
    pub owner: Option<String>,
    /// What it may touch, in words for a person.
    pub touches: Vec<String>,
    /// Whatever else the catalog says of it: counts of stars and pulls, dates, addresses.
    pub more: Map<String, Value>,
}

/// A format of definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A catalog in YAML or JSON.
    Catalog,
    /// A folder with `server.yaml`.
    Folder,
    /// The label of an image.
    Label,
    /// `server.json` of the official registry.
    Registry,
    /// The user's own, in the configuration file.
    Own,
    /// One that comes with Dockmaster.
    BuiltIn,
}

/// What is reached or run.
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and nearly all are the large one"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A container.
    Container {
        /// From which image.
        image: Image,
        /// How.
        run: Run,
    },
    /// Somewhere else.
    Remote {
        /// Where, with variables where the format has them.
        url: Template,
        /// How.
        transport: RemoteTransport,
        /// With these headers.
        headers: Vec<Variable>,
    },
    /// Tools that are a container for each call.
    PerCall(Vec<CallTool>),
    /// Tools that the user declared one by one; only in his own definitions.
    Tools(Vec<Tool<tools::file::Container>>),
    /// A process on this machine; only in the user's own definitions.
    Process {
        /// Program and arguments.
        command: Vec<Template>,
        /// Environment.
        env: Vec<Variable>,
        /// Where it runs.
        working_dir: Option<String>,
    },
    /// One of our own.
    BuiltIn,
    /// It can't be run here, and why.
    Unusable(String),
}

/// Where a container's image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// A reference.
    Reference(String),
    /// It is made here from a package.
    Package(Package),
}

/// A package that an image is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Of which package manager.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// Its exact version.
    pub version: Option<String>,
    /// The registry, when not the ecosystem's own.
    pub registry: Option<String>,
    /// Further packages, with constraints.
    pub with: Vec<String>,
    /// Its program, when not the one it names first.
    pub program: Option<String>,
}

/// How a container is run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Instead of the image's command.
    pub command: Vec<Argument>,
    /// Environment, in order.
    pub env: Vec<Variable>,
    /// Mounts, each `source:target[:mode]`.
    pub volumes: Vec<Template>,
    /// By absolute path in the container, the name of the secret that is in the file.
    pub secret_files: BTreeMap<String, String>,
    /// `user[:group]`.
    pub user: Option<Template>,
    /// What it has to reach.
    pub network: Declared,
    /// `host:address`.
    pub extra_hosts: Vec<(String, String)>,
    /// A working directory.
    pub working_dir: Option<String>,
    /// Capabilities that it can't do without.
    pub capabilities: Vec<String>,
    /// It writes outside `/tmp` and its volumes.
    pub writable_root: bool,
    /// It drives Docker.
    pub docker_socket: bool,
    /// Bytes of memory that it needs, when more than usual.
    pub memory: Option<u64>,
}

/// An argument of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// Put before each value, as an argument of its own; left out with it.
    pub flag: Option<String>,
    /// The value; `None`: the flag stands alone.
    pub value: Option<Template>,
    /// It is left out when its value is empty.
    pub optional: bool,
}

impl Argument {
    /// An argument that is just a template.
    pub fn plain(value: Template) -> Self {
        Self {
            flag: None,
            value: Some(value),
            optional: false,
        }
    }
}

/// A variable of an environment, or a header.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; left out when it is empty.
    pub value: Template,
}

/// What an entry declares of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Declared {
    /// Nothing at all; most entries do.
    #[default]
    Unstated,
    /// It needs none.
    None,
    /// Exactly these.
    Hosts(Vec<HostPort>),
}

/// A tool that is a container of its own at each call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallTool {
    /// Its name.
    pub name: String,
    /// For the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
    /// As written.
    pub annotations: Option<Value>,
    /// What runs.
    pub image: String,
    /// With which command.
    pub command: Vec<String>,
    /// With which mounts.
    pub volumes: Vec<String>,
    /// As whom.
    pub user: Option<String>,
}

/// A secret that a server needs or can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretNeed {
    /// The catalog's name for it: `github.personal_access_token`.
    pub name: String,
    /// The environment variable that it is given in; also what `$NAME` in templates means.
    pub env: String,
    /// It does not start without.
    pub required: bool,
    /// What it is and where to get it.
    pub description: Option<String>,
    /// What it looks like.
    pub example: Option<String>,
    /// Whether the container gets the variable, or only templates use it.
    pub in_environment: bool,
}

/// What can be configured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigNeed {
    /// What it is about.
    pub description: Option<String>,
    /// JSON Schema of an object; `None`: nothing can be.
    pub schema: Option<Value>,
}

/// Sign-in that fills a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Oauth {
    /// Who.
    pub provider: String,
    /// Which secret.
    pub secret: Option<String>,
    /// For which variable.
    pub env: Option<String>,
}

/// What is known of a tool without asking its server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolNote {
    /// Its name.
    pub name: String,
    /// For people and models.
    pub description: Option<String>,
    /// What the catalog knows of its arguments, hints and schema.
    pub more: Map<String, Value>,
}

/// Something noticed that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Where, counted from 1; 0 where that is not known.
    pub line: u32,
    /// What.
    pub text: String,
}

impl Note {
    pub(crate) fn at(line: u32, text: impl Into<String>) -> Self {
        Self {
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.text),
            line => write!(f, "line {line}: {}", self.text),
        }
    }
}

impl Entry {
    /// An entry that says nothing yet but what is run.
    pub(crate) fn new(name: ServerName, format: Format, kind: Kind) -> Self {
        Self {
            name,
            published_as: None,
            format,
            about: About::default(),
            kind,
            secrets: Vec::new(),
            config: ConfigNeed::default(),
            oauth: Vec::new(),
            oauth_scopes: Vec::new(),
            sharing: None,
            prefix: None,
            tools: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What kind it is, in a word for lists: `container`, `package`, `remote`, `per call`, ...
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Container {
                image: Image::Reference(_),
                ..
            } => "container",
            Kind::Container {
                image: Image::Package(_),
                ..
            } => "package",
            Kind::Remote { .. } => "remote",
            Kind::PerCall(_) => "per call",
            Kind::Tools(_) => "tools",
            Kind::Process { .. } => "process",
            Kind::BuiltIn => "built-in",
            Kind::Unusable(_) => "not usable",
        }
    }

    /// Title, or the name.
    pub fn title(&self) -> &str {
        self.about.title.as_deref().unwrap_or(self.name.as_str())
    }

    /// The secrets by the variable that each is for.
    pub fn secrets_by_variable(&self) -> BTreeMap<&str, &SecretNeed> {
        self.secrets
            .iter()
            .map(|need| (need.env.as_str(), need))
            .collect()
    }
}
