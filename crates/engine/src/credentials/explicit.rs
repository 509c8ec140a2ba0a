//! Credentials given outright: `REGISTRY_USERNAME`, `REGISTRY_PASSWORD`, `REGISTRY_AUTH_CONFIG`.

use std::collections::BTreeMap;

use base::Secret;
use serde_json::{Map, Value};

use super::auth::{Auth, Login, Origin};
use super::config::{decode, login};
use super::{CredentialsError, RegistryHost};

const USERNAME: &str = "REGISTRY_USERNAME";
const PASSWORD: &str = "REGISTRY_PASSWORD";
const AUTH_CONFIG: &str = "REGISTRY_AUTH_CONFIG";

/// The values as they were given; empty ones count as not given.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `REGISTRY_USERNAME`.
    pub username: Option<String>,
    /// `REGISTRY_PASSWORD`: a password or an access token.
    pub password: Option<Secret>,
    /// `REGISTRY_AUTH_CONFIG`, as JSON or as base64 of it:
    /// one `AuthConfig` (`{"username", "password", "auth", "identitytoken", "registrytoken", "serveraddress"}`),
    /// a map of such by registry, or a whole configuration with its `auths`.
    pub auth_config: Option<Secret>,
    /// To whom credentials belong that name no registry themselves.
    pub scope: Scope,
}

/// To whom credentials belong that name no registry themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Docker Hub, to which the engine's own client would send them too.
    #[default]
    Hub,
    /// These registries.
    Registries(Vec<RegistryHost>),
    /// Whichever registry a reference names. Only for who controls the references: a model that is told to pull
    /// from a stranger's registry would send the password there.
    Every,
}

/// Credentials that were given outright, checked.
#[derive(Debug, Clone, Default)]
pub struct Explicit {
    by_registry: BTreeMap<RegistryHost, (Login, &'static str)>,
    for_every: Option<(Login, &'static str)>,
}

impl Explicit {
    /// Checks what was given. An entry of `REGISTRY_AUTH_CONFIG` that names its registry goes before
    /// `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`.
    pub fn parse(given: Given) -> Result<Self, CredentialsError> {
        let mut explicit = Self::default();
        let username = given.username.filter(|username| !username.is_empty());
        let password = given.password.filter(|password| !password.expose().is_empty());
        match (username, password) {
            (Some(username), Some(password)) => {
                let login = Login {
                    username,
                    password: Some(password),
                    ..Login::default()
                };
                explicit.add_unbound(login, USERNAME, &given.scope);
            }
            (None, None) => {}
            (Some(_), None) => return Err(wrong(USERNAME, format!("{PASSWORD} is missing beside it"))),
            (None, Some(_)) => return Err(wrong(PASSWORD, format!("{USERNAME} is missing beside it"))),
        }
        let config = given
            .auth_config
            .filter(|config| !config.expose().trim().is_empty());
        if let Some(config) = config {
            explicit.add_config(&config, &given.scope)?;
        }
        Ok(explicit)
    }

    pub(super) fn get(&self, registry: &RegistryHost) -> Option<Auth> {
        let (login, variable) = self.by_registry.get(registry).or(self.for_every.as_ref())?;
        Some(Auth {
            registry: registry.clone(),
            login: login.clone(),
            origin: Origin::Given(variable),
        })
    }

    pub(super) fn registries(&self) -> impl Iterator<Item = &RegistryHost> {
        self.by_registry.keys()
    }

    fn add_unbound(&mut self, login: Login, variable: &'static str, scope: &Scope) {
        match scope {
            Scope::Hub => {
                self.by_registry.insert(RegistryHost::hub(), (login, variable));
            }
            Scope::Registries(registries) => self.by_registry.extend(
                registries
                    .iter()
                    .map(|registry| (registry.clone(), (login.clone(), variable))),
            ),
            Scope::Every => self.for_every = Some((login, variable)),
        }
    }

    fn add_config(&mut self, config: &Secret, scope: &Scope) -> Result<(), CredentialsError> {
        let fields = json_object(config.expose()).ok_or_else(|| {
            wrong(
                AUTH_CONFIG,
                "a JSON object is wanted, as it is or in base64".to_owned(),
            )
        })?;
        if is_single(&fields) {
            let login = checked(&fields, "")?;
            match fields.get("serveraddress").and_then(Value::as_str) {
                None | Some("") => self.add_unbound(login, AUTH_CONFIG, scope),
                Some(server) => self.add_bound(server, login)?,
            }
            return Ok(());
        }
        let by_registry = match fields.get("auths") {
            Some(Value::Object(auths)) => auths,
            Some(_) => return Err(wrong(AUTH_CONFIG, "auths: an object is wanted".to_owned())),
            None => &fields,
        };
        for (server, entry) in by_registry {
            let Value::Object(entry) = entry else {
                return Err(wrong(AUTH_CONFIG, format!("{server:?}: an object is wanted")));
            };
            self.add_bound(server, checked(entry, server)?)?;
        }
        Ok(())
    }

    fn add_bound(&mut self, server: &str, login: Login) -> Result<(), CredentialsError> {
        let registry = RegistryHost::parse(server)
            .ok_or_else(|| wrong(AUTH_CONFIG, format!("{server:?} is not a registry's host")))?;
        self.by_registry.insert(registry, (login, AUTH_CONFIG));
        Ok(())
    }
}

fn checked(fields: &Map<String, Value>, server: &str) -> Result<Login, CredentialsError> {
    let place = |field: &str| match server {
        "" => field.to_owned(),
        server => format!("{server:?}.{field}"),
    };
    let login =
        login(fields).map_err(|(field, reason)| wrong(AUTH_CONFIG, format!("{}: {reason}", place(field))))?;
    if login.is_empty() {
        let reason = "neither a password nor a token is there".to_owned();
        return Err(wrong(
            AUTH_CONFIG,
            if server.is_empty() {
                reason
            } else {
                format!("{server:?}: {reason}")
            },
        ));
    }
    Ok(login)
}

/// Whether this is one `AuthConfig` and not a map of such: its fields hold texts.
fn is_single(fields: &Map<String, Value>) -> bool {
    const NAMES: [&str; 6] = [
        "username",
        "password",
        "auth",
        "identitytoken",
        "registrytoken",
        "serveraddress",
    ];
    NAMES
        .iter()
        .any(|name| fields.get(*name).is_some_and(|value| !value.is_object()))
}

fn json_object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text)
        .ok()
        .or_else(|| serde_json::from_slice(&decode(text)?).ok())
}

fn wrong(variable: &'static str, reason: String) -> CredentialsError {
    CredentialsError::Given { variable, reason }
}
