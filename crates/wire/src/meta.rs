//! `_meta` of requests: its keys, and what a modern request says of itself there.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::edit::Object;
use crate::{Fault, Version, code};

/// The member itself.
pub const META: &str = "_meta";
/// Asks for progress notifications under this token.
pub const PROGRESS_TOKEN: &str = "progressToken";
/// The revision that a modern request speaks.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Who sends it.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// What the sender can do for the server.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// From which level on the sender wants log messages.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Who answers.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Which `subscriptions/listen` a notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// A program as it names itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Implementation {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
}

/// What a client can do that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientCapabilities {
    /// It shows forms to a person: `elicitation` with `form`, or without any mode, which means the same
    /// (2025-11-25, Elicitation, "Capabilities").
    pub form: bool,
}

impl ClientCapabilities {
    /// Reads the `capabilities` of `initialize`, or those in the `_meta` of a modern request.
    #[must_use]
    pub fn read(raw: &RawValue) -> Self {
        let form = || {
            let capabilities = Object::parse(raw).ok()?;
            let elicitation = Object::parse(capabilities.get("elicitation")?).ok()?;
            Some(elicitation.get("form").is_some() || elicitation.get("url").is_none())
        };
        Self {
            form: form().unwrap_or(false),
        }
    }
}

/// The `_meta` of a request.
#[derive(Debug, Default)]
pub struct RequestMeta<'a> {
    object: Option<Object<'a>>,
}

impl<'a> RequestMeta<'a> {
    /// From the members of `params`. A `_meta` that is not an object counts as none.
    #[must_use]
    pub fn of(params: &'a Object<'_>) -> Self {
        Self {
            object: params.get(META).and_then(|meta| Object::parse(meta).ok()),
        }
    }

    /// The token for progress, as the client wrote it: a string or a number.
    #[must_use]
    pub fn progress_token(&self) -> Option<&RawValue> {
        self.get(PROGRESS_TOKEN).filter(|token| token.get() != "null")
    }

    /// Whether it speaks of a protocol revision, which only modern requests do.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        [PROTOCOL_VERSION, CLIENT_CAPABILITIES, CLIENT_INFO]
            .iter()
            .any(|key| self.get(key).is_some())
    }

    /// The revision that it names.
    #[must_use]
    pub fn version(&self) -> Option<Cow<'_, str>> {
        self.object.as_ref()?.text(PROTOCOL_VERSION)
    }

    /// What a modern request has to say of itself (2026-07-28, Base Protocol, "`_meta`").
    ///
    /// # Errors
    /// [`code::INVALID_PARAMS`] when the version or the capabilities are missing, [`code::UNSUPPORTED_VERSION`]
    /// when the version is not a modern one.
    pub fn modern(&self) -> Result<ModernMeta, Fault> {
        let missing = |key| {
            Fault::new(
                code::INVALID_PARAMS,
                format!("params._meta[{key:?}] is required in each request"),
            )
        };
        let version = self.version().ok_or_else(|| missing(PROTOCOL_VERSION))?;
        if Version::parse(&version) != Some(Version::LATEST) {
            return Err(unsupported(&version));
        }
        let capabilities = self
            .get(CLIENT_CAPABILITIES)
            .filter(|raw| raw.get().starts_with('{'));
        let capabilities = capabilities.ok_or_else(|| missing(CLIENT_CAPABILITIES))?;
        Ok(ModernMeta {
            client: self
                .get(CLIENT_INFO)
                .and_then(|raw| serde_json::from_str(raw.get()).ok())
                .unwrap_or_default(),
            capabilities: ClientCapabilities::read(capabilities),
        })
    }

    fn get(&self, key: &str) -> Option<&RawValue> {
        self.object.as_ref()?.get(key)
    }
}

/// What a modern request says of its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModernMeta {
    /// Who it is, in its own words; empty where it does not say.
    pub client: Implementation,
    /// What it can do.
    pub capabilities: ClientCapabilities,
}

/// The error for a revision that is not spoken (2026-07-28, Versioning, "Protocol Version Negotiation").
#[must_use]
pub fn unsupported(requested: &str) -> Fault {
    let supported: Vec<_> = Version::ALL
        .iter()
        .rev()
        .map(|version| version.as_str())
        .collect();
    Fault::new(
        code::UNSUPPORTED_VERSION,
        format!(
            "protocol version {requested:?} is not supported; use one of {}",
            supported.join(", ")
        ),
    )
    .with(json!({"supported": supported, "requested": requested}))
}
