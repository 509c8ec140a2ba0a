//! Registry credentials: from the docker CLI's configuration, from its credential helpers, and given outright.
//!
//! Looked up at each use, so that a `docker login` of a minute ago counts. Credentials are bound to a registry
//! and go to no other: a name that a model made up must not be able to fetch them. Deliberately absent: storing
//! and erasing (that is `docker login` and `docker logout`), talking to registries, and reading the environment:
//! what it says comes in through [`Options`].
//!
//! Order for one registry: given outright, then `credHelpers`, then `credsStore`, then `auths`.

mod auth;
pub(crate) mod config;
mod explicit;
mod helper;
mod registry;
#[cfg(test)]
mod tests;

pub use auth::{Auth, Origin};
pub use explicit::{Explicit, Given, Scope};
pub use registry::RegistryHost;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::Secret;

use config::ConfigFile;
use helper::Helper;

/// How long a helper may take. Some ask a keyring that has to be woken; none that works needs longer.
pub const HELPER_TIME: Duration = Duration::from_secs(10);

/// Where credentials come from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of `config.json` (`DOCKER_CONFIG`, else `~/.docker`); `None` if there is no home.
    pub config_dir: Option<PathBuf>,
    /// Where helpers are looked for, as `PATH` says.
    pub path: Option<OsString>,
    /// Credentials that were given outright.
    pub explicit: Explicit,
    /// How long a helper may take, [`HELPER_TIME`] unless the user says otherwise.
    pub helper_time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config_dir: None,
            path: None,
            explicit: Explicit::default(),
            helper_time: HELPER_TIME,
        }
    }
}

/// Why credentials could not be had. None of these texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The configuration can't be read.
    #[error("can't read the docker configuration {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The configuration is not what it should be.
    #[error(
        "the docker configuration {path} is not usable at {place}: {reason}; repair it, or log in anew with `docker login`"
    )]
    Config {
        /// The file.
        path: PathBuf,
        /// Line and column, or the entry.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// What was given outright is not what it should be.
    #[error("{variable} is not usable: {reason}")]
    Given {
        /// The variable.
        variable: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A helper of this name can't exist.
    #[error(
        "{path} names the credential helper {name:?}, which is no program name; use letters, digits, '.', '_' and '-'"
    )]
    HelperName {
        /// The configuration.
        path: PathBuf,
        /// The name, made printable and cut.
        name: String,
    },
    /// The program is not there.
    #[error(
        "{program}, which {path} names for {registry}, is not on the PATH; install it, or take its entry out"
    )]
    HelperMissing {
        /// `docker-credential-…`.
        program: String,
        /// The configuration.
        path: PathBuf,
        /// Whose credentials were wanted.
        registry: RegistryHost,
    },
    /// The program ended with an error or gave no credentials.
    #[error("{program} gave no credentials for {registry}: {reason}")]
    HelperFailed {
        /// `docker-credential-…`.
        program: String,
        /// Whose credentials were wanted.
        registry: RegistryHost,
        /// The program's words, or what was wrong with them.
        reason: String,
    },
    /// The program was stopped.
    #[error(
        "{program} gave no answer for {registry} within {} s and was stopped; does it wait for someone to unlock a keyring?",
        .after.as_secs_f32()
    )]
    HelperTime {
        /// `docker-credential-…`.
        program: String,
        /// Whose credentials were wanted.
        registry: RegistryHost,
        /// The time limit.
        after: Duration,
    },
}

/// The credentials of one user. A handle: clones are cheap.
#[derive(Debug, Clone, Default)]
pub struct Credentials(Arc<Options>);

impl Credentials {
    /// Nothing is read yet.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(options))
    }

    /// The credentials for a registry; `None` if there are none, which for a public image is no obstacle.
    ///
    /// # Errors
    /// The configuration or a helper failed. Whether to go on without credentials is for the caller to decide;
    /// the docker CLI does when it pulls.
    pub async fn for_registry(&self, registry: &RegistryHost) -> Result<Option<Auth>, CredentialsError> {
        let options = &self.0;
        if let Some(auth) = options.explicit.get(registry) {
            return Ok(Some(auth));
        }
        let Some(config) = self.config().await? else {
            return Ok(None);
        };
        if let Some(name) = config.helper(registry)? {
            let helper = Helper::parse(name, &config)?;
            let answer = helper
                .get(registry, options.path.as_deref(), options.helper_time)
                .await?;
            if answer.is_some() {
                return Ok(answer);
            }
        }
        config.auth(registry)
    }

    /// The registries that the configuration or the explicit credentials name. A `credsStore` may know more.
    pub async fn known_registries(&self) -> Result<Vec<RegistryHost>, CredentialsError> {
        let mut known: BTreeSet<_> = self.0.explicit.registries().cloned().collect();
        if let Some(config) = self.config().await? {
            known.extend(config.registries());
        }
        Ok(known.into_iter().collect())
    }

    /// The JSON of `X-Registry-Config`, which gives a build the credentials of these registries and of no others.
    /// `None` if there are none.
    pub async fn build_config(
        &self,
        registries: &[RegistryHost],
    ) -> Result<Option<Secret>, CredentialsError> {
        let mut entries = serde_json::Map::new();
        for registry in registries {
            if let Some(auth) = self.for_registry(registry).await? {
                entries.insert(registry.config_key().to_owned(), auth.to_value());
            }
        }
        Ok((!entries.is_empty()).then(|| Secret::new(serde_json::Value::Object(entries).to_string())))
    }

    async fn config(&self) -> Result<Option<ConfigFile>, CredentialsError> {
        let Some(folder) = self.0.config_dir.clone() else {
            return Ok(None);
        };
        let lost = config_path(&folder);
        tokio::task::spawn_blocking(move || ConfigFile::load(&folder))
            .await
            .unwrap_or_else(|cause| {
                Err(CredentialsError::Unreadable {
                    path: lost,
                    cause: io::Error::other(cause),
                })
            })
    }
}

fn config_path(folder: &Path) -> PathBuf {
    folder.join("config.json")
}
