//! Tools that the user declares in a file, without a server: each is a command, an HTTP request or a container, made anew
//! for each call.
//!
//! The order of a life: [`File`] is what stands in the file, [`read()`] judges all of it and makes [`Tool`]s, the planner
//! adds what the configuration says, and [`fill()`] makes of one tool and the arguments of one call exactly what is run.
//! The arguments come from a model, so each fills the place that the author gave it, and is data there: one item of an
//! argv, one piece of a URL, one value of a body. What it is filled into never becomes longer or means anything else.
//! Deliberately absent: I/O, values of secrets, and running anything (`custom-server`).

pub mod file;
mod fill;
mod places;
mod read;
mod rules;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

use crate::plan::Container;

pub use file::File;
pub use fill::{Call, HttpCall, fill};
pub use places::{Body, Node, encode};
pub use read::{Tools, read};
pub use text::Text;

/// How long a call may take when its tool says nothing.
pub const TIME: Duration = Duration::from_mins(1);
/// No tool may take longer; the gateway's own limit may be shorter.
pub const MOST_TIME: Duration = Duration::from_hours(1);
/// Bytes of output that are answered when a tool says nothing.
pub const OUTPUT: usize = 256 << 10;
/// No tool may answer more.
pub const MOST_OUTPUT: usize = 8 << 20;

/// A tool, judged and ready to be filled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tool<C = Container> {
    /// Its name.
    pub name: String,
    /// As `tools/list` gives it: name, title, description, schemas, annotations.
    pub definition: Json,
    /// How long a call may take.
    pub time: Duration,
    /// Bytes of output that are answered.
    pub output: usize,
    /// What a call does.
    pub does: Does<C>,
}

/// What a call of a tool does. `C` is how a container is described: as the file has it, or as it was planned.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Does<C = Container> {
    /// Runs a program on this machine.
    Command(Command),
    /// Sends a request.
    Http(Http),
    /// Runs a container and removes it.
    Container(InContainer<C>),
}

/// A program on this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<Text>,
    /// Variables beside PATH, HOME and LANG.
    pub env: Vec<(String, Text)>,
    /// Where it runs.
    pub working_dir: Option<PathBuf>,
    /// Its standard input; without one it is empty.
    pub stdin: Option<Text>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Http {
    /// GET, HEAD, POST, PUT, PATCH or DELETE.
    pub method: String,
    /// Where to; nothing is filled in before the path.
    pub url: Text,
    /// Headers.
    pub headers: Vec<(String, Text)>,
    /// Added to the URL's query.
    pub query: Vec<(String, Text)>,
    /// What is sent.
    pub body: Body,
    /// It may go without TLS, to private networks and to this machine.
    pub private: bool,
}

/// A container for each call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InContainer<C> {
    /// All of it that no argument decides.
    pub container: C,
    /// The command.
    pub argv: Vec<Text>,
    /// Variables that hold arguments.
    pub env: Vec<(String, Text)>,
    /// Its standard input; without one it is empty.
    pub stdin: Option<Text>,
}

impl<C> Tool<C> {
    /// The JSON Schema of its arguments.
    pub fn input(&self) -> &Json {
        self.definition.get("inputSchema").unwrap_or(&Json::Null)
    }

    /// The JSON Schema of what it answers, if it answers data.
    pub fn output_schema(&self) -> Option<&Json> {
        self.definition.get("outputSchema")
    }

    /// How it does what it does, in a word.
    pub fn kind(&self) -> &'static str {
        match self.does {
            Does::Command(_) => "command",
            Does::Http(_) => "HTTP request",
            Does::Container(_) => "container",
        }
    }
}
