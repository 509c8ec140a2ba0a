//! What stands in a file of tools.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::setup::{Cpus, Destination, Memory, MountSpec};

/// A file of tools.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// For people.
    pub title: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// By variable, the name of the secret that `$VARIABLE` means in headers and environments.
    pub secrets: BTreeMap<String, String>,
    /// The tools, by name.
    pub tools: BTreeMap<String, Declared>,
}

/// A tool as it is declared.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Declared {
    /// For people.
    pub title: Option<String>,
    /// For the model; it has to be there.
    pub description: String,
    /// It changes nothing.
    pub read_only: bool,
    /// It may destroy; believed unless it is said otherwise.
    pub destructive: Option<bool>,
    /// Once or twice is the same.
    pub idempotent: bool,
    /// It deals with the world outside; believed unless it is said otherwise.
    pub open_world: Option<bool>,
    /// JSON Schema of its arguments, or of the properties alone.
    pub input: Option<Json>,
    /// The same in a file of its own, as JSON, beside this one.
    pub input_file: Option<String>,
    /// JSON Schema of what it answers, which is then JSON.
    pub output: Option<Json>,
    /// How long a call may take: `30s`, `5m`.
    pub timeout: Option<String>,
    /// Bytes of output that are answered.
    pub max_output: Option<usize>,
    /// Program and arguments, on this machine.
    pub command: Option<Vec<String>>,
    /// Variables of the command.
    pub env: BTreeMap<String, String>,
    /// Where the command runs.
    pub working_dir: Option<String>,
    /// Standard input of the command.
    pub stdin: Option<String>,
    /// A request.
    pub http: Option<Http>,
    /// A container.
    pub container: Option<Container>,
}

/// A request as it is declared.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// GET, or POST where there is a body.
    pub method: Option<String>,
    /// Where to.
    pub url: String,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Added to the URL's query.
    pub query: BTreeMap<String, String>,
    /// A body that is JSON.
    pub json: Option<Json>,
    /// A body that is a form.
    pub form: Option<BTreeMap<String, String>>,
    /// A body that is text.
    pub text: Option<String>,
    /// It may go without TLS, to private networks and to this machine.
    pub private: bool,
}

/// A container as it is declared.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Container {
    /// Its image.
    pub image: String,
    /// Instead of the image's command.
    pub command: Vec<String>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// `source:target[:ro]`.
    pub volumes: Vec<MountSpec>,
    /// Hosts that it has to reach.
    pub hosts: Vec<Destination>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// Where it runs.
    pub working_dir: Option<String>,
    /// It writes outside `/tmp` and its volumes.
    pub writable_root: bool,
    /// Memory, when more or less than usual.
    pub memory: Option<Memory>,
    /// CPUs.
    pub cpus: Option<Cpus>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Standard input.
    pub stdin: Option<String>,
}
