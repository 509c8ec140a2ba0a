//! What the guard may ask the engine: the state of the objects that a request names.

use std::fmt;
use std::pin::Pin;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What stays as it is in a path segment; the same set as [`crate::Path`] uses.
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@');

/// An answer that is awaited.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Value, LookupError>> + Send + 'a>>;

/// Reads the state of one object. Whoever implements it sends `GET` [`Object::path`] to the engine, not through
/// the guard, and gives back the JSON of the answer.
pub trait Lookup: Send + Sync {
    /// The inspect answer of `object`, whole and as the daemon gave it.
    fn look_up<'a>(&'a self, object: &'a Object) -> Answer<'a>;
}

/// An object of the engine, by name or id. The names are validated before one is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Object {
    Container(String),
    Exec(String),
    Image(String),
    Network(String),
    Volume(String),
    Service(String),
    Task(String),
    Secret(String),
    Config(String),
}

impl Object {
    /// Path of the `GET` that inspects it, without version prefix.
    #[must_use]
    pub fn path(&self) -> String {
        let segment = |name: &str| utf8_percent_encode(name, SEGMENT).to_string();
        match self {
            Self::Container(name) => format!("/containers/{}/json", segment(name)),
            Self::Exec(id) => format!("/exec/{}/json", segment(id)),
            Self::Image(name) => {
                let parts: Vec<_> = name.split('/').map(segment).collect();
                format!("/images/{}/json", parts.join("/"))
            }
            Self::Network(name) => format!("/networks/{}", segment(name)),
            Self::Volume(name) => format!("/volumes/{}", segment(name)),
            Self::Service(name) => format!("/services/{}", segment(name)),
            Self::Task(name) => format!("/tasks/{}", segment(name)),
            Self::Secret(name) => format!("/secrets/{}", segment(name)),
            Self::Config(name) => format!("/configs/{}", segment(name)),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Container(name) => ("container", name),
            Self::Exec(id) => ("exec", id),
            Self::Image(name) => ("image", name),
            Self::Network(name) => ("network", name),
            Self::Volume(name) => ("volume", name),
            Self::Service(name) => ("service", name),
            Self::Task(name) => ("task", name),
            Self::Secret(name) => ("secret", name),
            Self::Config(name) => ("config", name),
        };
        write!(f, "{kind} {}", super::refusal::shown(name))
    }
}

/// Why an object could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The daemon says there is none.
    #[error("there is none")]
    NotFound,
    /// Anything else; the text says what.
    #[error("{0}")]
    Failed(String),
}
