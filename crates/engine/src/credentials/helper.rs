//! Credential helpers: programs `docker-credential-NAME` that are asked on stdin and answer in JSON.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use base::Secret;
use programs::{Answer, NoAnswer, Programs};
use serde_json::Value;

use super::auth::{Auth, Login, Origin};
use super::config::ConfigFile;
use super::{CredentialsError, RegistryHost};

/// What helpers answer for a registry that they don't know.
const NOT_FOUND: &str = "credentials not found";
/// The user name that marks an identity token.
const TOKEN_USER: &str = "<token>";
/// Secrets of this program that are none of a helper's business.
const OWN_SECRETS: [&str; 4] = [
    "DOCKMASTER_TOKEN",
    "REGISTRY_USERNAME",
    "REGISTRY_PASSWORD",
    "REGISTRY_AUTH_CONFIG",
];

/// A helper that the configuration names.
pub(super) struct Helper {
    program: String,
    config: PathBuf,
}

impl Helper {
    /// A name that is a part of a program's name and nothing else.
    pub(super) fn parse(name: &str, config: &ConfigFile) -> Result<Self, CredentialsError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let first = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if !first || name.len() > 100 || !name.bytes().all(plain) {
            return Err(CredentialsError::HelperName {
                path: config.path().to_path_buf(),
                name: base::text::clean(name).chars().take(80).collect(),
            });
        }
        Ok(Self {
            program: format!("docker-credential-{name}"),
            config: config.path().to_path_buf(),
        })
    }

    /// Asks for the credentials of a registry; `None` if the helper has none.
    pub(super) async fn get(
        &self,
        registry: &RegistryHost,
        path: Option<&OsStr>,
        limit: Duration,
    ) -> Result<Option<Auth>, CredentialsError> {
        let programs = Programs {
            path: path.map(OsStr::to_owned),
            withhold: OWN_SECRETS.map(str::to_owned).to_vec(),
            limit,
        };
        let failed = |reason: String| CredentialsError::HelperFailed {
            program: self.program.clone(),
            registry: registry.clone(),
            reason,
        };
        let question = format!("{}\n", registry.config_key());
        let answer = programs.ask(&self.program, &["get"], question.as_bytes()).await;
        let answer = answer.map_err(|none| match none {
            NoAnswer::Missing => CredentialsError::HelperMissing {
                program: self.program.clone(),
                path: self.config.clone(),
                registry: registry.clone(),
            },
            NoAnswer::Late(after) => CredentialsError::HelperTime {
                program: self.program.clone(),
                registry: registry.clone(),
                after,
            },
            NoAnswer::Failed(cause) => failed(cause.to_string()),
        })?;
        let login = login(&answer).map_err(failed)?;
        Ok(login.map(|login| Auth {
            registry: registry.clone(),
            login,
            origin: Origin::Helper(self.program.clone()),
        }))
    }
}

/// `None` if the helper has none.
fn login(answer: &Answer) -> Result<Option<Login>, String> {
    let output = String::from_utf8_lossy(&answer.output);
    if !answer.is_success {
        // Helpers complain on stdout, the shell that could not run them on stderr.
        if output.to_ascii_lowercase().contains(NOT_FOUND) {
            return Ok(None);
        }
        return Err(answer.words());
    }
    let Ok(Value::Object(fields)) = serde_json::from_str(&output) else {
        return Err("its answer is not a JSON object".to_owned());
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let secret = Some(Secret::new(text("Secret"))).filter(|secret| !secret.expose().is_empty());
    if secret.is_none() {
        return Ok(None);
    }
    Ok(Some(match text("Username") {
        TOKEN_USER => Login {
            identity_token: secret,
            ..Login::default()
        },
        username => Login {
            username: username.to_owned(),
            password: secret,
            ..Login::default()
        },
    }))
}
