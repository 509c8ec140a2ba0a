//! Why a tool did not do what it was asked: the kit's error, and which thing on the engine it is about.

use base::names::NameError;
use std::fmt;
use std::ops::Deref;

pub(crate) use server_kit::Code;

/// What kind of thing an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A container, by name or id.
    Container,
    /// An image, by reference or id.
    Image,
    /// A network, by name or id.
    Network,
    /// A volume, by name.
    Volume,
    /// An exec instance or session.
    Exec,
    /// A port of the host.
    Port,
    /// A path in a container or on the host.
    Path,
}

impl Kind {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Exec => "exec session",
            Self::Port => "port",
            Self::Path => "path",
        }
    }
}

/// The one thing an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// What kind of thing.
    pub(crate) kind: Kind,
    /// Its name as the caller gave it.
    pub(crate) name: String,
}

/// Why a tool did not do what it was asked, and what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolError {
    error: server_kit::ToolError,
    /// What it happened to, where it is one thing.
    pub(crate) object: Option<Object>,
}

impl ToolError {
    /// A failure of this kind.
    pub(crate) fn new(code: Code, cause: impl Into<String>) -> Self {
        server_kit::ToolError::new(code, cause).into()
    }

    /// Arguments that do not fit.
    pub(crate) fn arguments(cause: impl Into<String>) -> Self {
        server_kit::ToolError::arguments(cause).into()
    }

    /// Names what it is about, so that the answer can offer what exists instead.
    pub(crate) fn about(mut self, kind: Kind, name: impl fmt::Display) -> Self {
        self.object = Some(Object {
            kind,
            name: name.to_string(),
        });
        self
    }

    /// Says what to do.
    pub(crate) fn fix(self, fix: impl Into<String>) -> Self {
        self.with(|error| error.fix(fix))
    }

    /// Says what was being done: "starting web".
    pub(crate) fn during(self, what: impl fmt::Display) -> Self {
        self.with(|error| error.during(what))
    }

    /// Adds what else is to be known, such as what was left behind.
    pub(crate) fn also(self, more: impl fmt::Display) -> Self {
        self.with(|error| error.also(more))
    }

    /// The same failure with a better explanation.
    pub(crate) fn explained(self, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        self.with(|error| error.explained(cause, fix))
    }

    fn with(self, change: impl FnOnce(server_kit::ToolError) -> server_kit::ToolError) -> Self {
        Self {
            error: change(self.error),
            object: self.object,
        }
    }
}

/// Code, cause and fix are read as they stand in the kit's error.
impl Deref for ToolError {
    type Target = server_kit::ToolError;

    fn deref(&self) -> &Self::Target {
        &self.error
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for ToolError {}

impl From<server_kit::ToolError> for ToolError {
    fn from(error: server_kit::ToolError) -> Self {
        Self { error, object: None }
    }
}

impl From<ToolError> for server_kit::ToolError {
    fn from(error: ToolError) -> Self {
        error.error
    }
}

impl From<NameError> for ToolError {
    fn from(error: NameError) -> Self {
        server_kit::ToolError::from(error).into()
    }
}
