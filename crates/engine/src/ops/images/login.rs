//! Credentials on their way to the daemon, and the question whether a registry accepts them.

use base::Secret;
use base::names::ImageRef;
use http::header::HeaderName;
use serde_json::Value;

use super::registry::REGISTRY_TIME;
use crate::credentials::{Auth, RegistryHost};
use crate::{Engine, Error, Request, path};

const AUTH: HeaderName = HeaderName::from_static("x-registry-auth");
const CONFIG: HeaderName = HeaderName::from_static("x-registry-config");

/// What a registry says to the credentials that are kept for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginCheck {
    /// None are kept.
    NoCredentials,
    /// They are kept, and can't be had: the configuration or a helper is broken.
    Unusable(String),
    /// They are accepted.
    Accepted(Account),
    /// They are not, or the registry could not be asked.
    Rejected {
        /// Whose they are.
        account: Account,
        /// The daemon's words.
        message: String,
    },
}

/// Whose credentials, and where they are kept; never what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's name; empty with a token.
    pub username: String,
    /// The variable, file or helper.
    pub origin: String,
}

impl Account {
    fn of(auth: &Auth) -> Self {
        Self {
            username: auth.username().to_owned(),
            origin: auth.origin().to_string(),
        }
    }
}

impl Engine {
    /// Asks a registry, through the daemon, whether it accepts the credentials that are kept for it.
    pub async fn registry_check(&self, registry: &RegistryHost) -> Result<LoginCheck, Error> {
        let auth = match self.options().credentials.for_registry(registry).await {
            Ok(Some(auth)) => auth,
            Ok(None) => return Ok(LoginCheck::NoCredentials),
            Err(error) => return Ok(LoginCheck::Unusable(error.to_string())),
        };
        let request = Request::post(path!["auth"])
            .whole("application/json", auth.json().expose().to_owned())
            .deadline(REGISTRY_TIME);
        let account = Account::of(&auth);
        match self.json::<Value>(request).await {
            Ok(_) => Ok(LoginCheck::Accepted(account)),
            Err(Error::Daemon { message, .. }) => Ok(LoginCheck::Rejected { account, message }),
            Err(error) => Err(error),
        }
    }

    /// Adds the credentials of the registry that serves `image`.
    pub(super) async fn registry_login(&self, request: Request, image: &ImageRef) -> Request {
        let auth = match RegistryHost::of(image) {
            Some(registry) => self.known(&registry).await,
            None => None,
        };
        // A push without the header is refused by engines before 23, whatever the registry thinks.
        let json = auth.map_or_else(|| Secret::new("{}"), |auth| auth.json());
        request.registry_auth(AUTH, &json)
    }

    /// Adds the credentials of these registries, for a build that may pull from them.
    pub(super) async fn registry_logins(&self, request: Request, registries: &[RegistryHost]) -> Request {
        match self.options().credentials.build_config(registries).await {
            Ok(Some(config)) => request.registry_auth(CONFIG, &config),
            Ok(None) => request,
            Err(error) => {
                tracing::warn!(%error, "building without registry credentials");
                request
            }
        }
    }

    /// Most images are public, so a helper that is broken is no reason to give up before the registry has said no.
    async fn known(&self, registry: &RegistryHost) -> Option<Auth> {
        self.options()
            .credentials
            .for_registry(registry)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, %registry, "going on without registry credentials");
                None
            })
    }
}
