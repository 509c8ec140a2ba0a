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

/// Which task a message belongs to (2025-11-25, Tasks, "Related Task Metadata").
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// The extension by which a server answers with a task (2026-07-28).
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

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

/// Something that a client may be able to do for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// It shows forms to a person: `elicitation` with `form`, or without any mode, which means the same
    /// (2025-11-25, Elicitation, "Capabilities").
    Form,
    /// It has a person visit an address: `elicitation` with `url`.
    Url,
    /// It has a model write a message.
    Sampling,
    /// That model may call tools which the server describes.
    SamplingTools,
    /// It says which folders it works on.
    Roots,
    /// It takes a task in place of a result (the modern extension).
    Tasks,
}

impl Ability {
    const ALL: [Self; 6] = [
        Self::Form,
        Self::Url,
        Self::Sampling,
        Self::SamplingTools,
        Self::Roots,
        Self::Tasks,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Where it stands in the capabilities: "sampling.tools".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Form => "elicitation",
            Self::Url => "elicitation.url",
            Self::Sampling => "sampling",
            Self::SamplingTools => "sampling.tools",
            Self::Roots => "roots",
            Self::Tasks => "extensions[io.modelcontextprotocol/tasks]",
        }
    }
}

/// What a client can do for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientCapabilities(u8);

impl ClientCapabilities {
    /// Reads the `capabilities` of `initialize`, or those in the `_meta` of a modern request. What can't be read is
    /// not there.
    #[must_use]
    pub fn read(raw: &RawValue) -> Self {
        let Ok(all) = Object::parse(raw) else {
            return Self::default();
        };
        let within = |name: &str| Object::parse(all.get(name)?).ok();
        let has = |ability: &Ability| match ability {
            Ability::Form => within("elicitation")
                .is_some_and(|modes| modes.get("form").is_some() || modes.get("url").is_none()),
            Ability::Url => within("elicitation").is_some_and(|modes| modes.get("url").is_some()),
            Ability::Sampling => within("sampling").is_some(),
            Ability::SamplingTools => {
                within("sampling").is_some_and(|sampling| sampling.get("tools").is_some())
            }
            Ability::Roots => within("roots").is_some(),
            Ability::Tasks => within("extensions").is_some_and(|all| all.get(TASKS_EXTENSION).is_some()),
        };
        Self::of(Ability::ALL.into_iter().filter(has))
    }

    /// These, and no others.
    #[must_use]
    pub fn of(abilities: impl IntoIterator<Item = Ability>) -> Self {
        Self(
            abilities
                .into_iter()
                .fold(0, |bits, ability| bits | ability.bit()),
        )
    }

    /// Whether it can do this.
    #[must_use]
    pub const fn has(self, ability: Ability) -> bool {
        self.0 & ability.bit() != 0
    }

    /// Whether a server can ask it for anything.
    #[must_use]
    pub const fn answers(self) -> bool {
        self.0 & !Ability::Tasks.bit() != 0
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
            log_level: self.log_level().map(Cow::into_owned),
        })
    }

    /// From which level on the sender wants log messages of this request.
    #[must_use]
    pub fn log_level(&self) -> Option<Cow<'_, str>> {
        self.object.as_ref()?.text(LOG_LEVEL)
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
    /// From which level on it wants log messages; not checked.
    pub log_level: Option<String>,
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
