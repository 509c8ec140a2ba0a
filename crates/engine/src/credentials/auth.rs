//! Credentials on their way to a daemon.

use std::fmt;
use std::path::PathBuf;

use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Map, Value};

use super::RegistryHost;

/// Credentials for one registry. Printing it shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    pub(super) registry: RegistryHost,
    pub(super) login: Login,
    pub(super) origin: Origin,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: Option<Secret>,
    /// An OAuth refresh token that stands for the password.
    pub(super) identity_token: Option<Secret>,
    /// A bearer token, sent to the registry as it is.
    pub(super) registry_token: Option<Secret>,
}

/// Where credentials came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// They were given outright, in this variable.
    Given(&'static str),
    /// `auths` of this file.
    Config(PathBuf),
    /// This program.
    Helper(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(variable) => f.write_str(variable),
            Self::Config(path) => write!(f, "{}", path.display()),
            Self::Helper(program) => f.write_str(program),
        }
    }
}

impl Auth {
    /// Whose credentials these are.
    pub fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// The user's name; empty with a token.
    pub fn username(&self) -> &str {
        &self.login.username
    }

    /// Where they came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The JSON of the Engine API's `AuthConfig`: the body of `POST /auth`, and what [`Self::header`] encodes.
    pub fn json(&self) -> Secret {
        Secret::new(self.to_value().to_string())
    }

    /// The value of `X-Registry-Auth`: base64 with the URL alphabet and padding, the one form that daemons decode.
    pub fn header(&self) -> Secret {
        Secret::new(URL_SAFE.encode(self.json().expose()))
    }

    pub(super) fn to_value(&self) -> Value {
        let login = &self.login;
        let secret = |secret: &Option<Secret>| {
            secret
                .as_ref()
                .map_or(String::new(), |secret| secret.expose().to_owned())
        };
        let fields = [
            ("username", login.username.clone()),
            ("password", secret(&login.password)),
            ("identitytoken", secret(&login.identity_token)),
            ("registrytoken", secret(&login.registry_token)),
            ("serveraddress", self.registry.config_key().to_owned()),
        ];
        let fields = fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), Value::from(value)));
        Value::Object(fields.collect::<Map<_, _>>())
    }
}

impl Login {
    /// Whether there is anything to log in with.
    pub(super) fn is_empty(&self) -> bool {
        self.password.is_none() && self.identity_token.is_none() && self.registry_token.is_none()
    }
}
