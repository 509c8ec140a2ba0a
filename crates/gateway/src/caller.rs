//! Who asks, and how one can ask back.

use std::fmt;
use std::sync::Arc;

use wire::Era;

use crate::confirm::Confirmer;
use crate::session::Session;

/// Who a client acts for: the local user of a stdio session, or the owner of a bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// A principal by name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one request says of its sender.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// The program, as it names itself: "claude-code 2.1". Cleaned, at most 100 bytes, believed for display only.
    pub(crate) client: String,
    pub(crate) era: Era,
    pub(crate) asking: Asking,
    pub(crate) length: Length,
}

/// How long an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// What is over the budget can be fetched.
    Budget,
    /// As it came: the caller ends with its call, and could fetch nothing.
    Whole,
}

/// How a person can be asked to confirm.
#[derive(Clone)]
pub(crate) enum Asking {
    /// A request to the client in the middle of the call (legacy).
    Elicit(Arc<Session>),
    /// A result that asks, and a retry that answers (modern).
    Retry,
    /// By whoever made the call, at a terminal.
    Direct(Arc<dyn Confirmer>),
    /// Not at all.
    Unable,
}

/// `name version` of a client, made safe to show.
pub(crate) fn client_name(client: &wire::meta::Implementation) -> String {
    let name = format!("{} {}", client.name, client.version);
    let name = base::text::clean(&name).replace(['\n', '\t'], " ");
    match base::text::cut(name.trim(), 100) {
        "" => "unnamed client".to_owned(),
        name => name.to_owned(),
    }
}
