//! Which engine is meant when nobody, or somebody, says: the order of the docker CLI, and the sockets that other
//! engines put where a user has them.
//!
//! 1. The address in our own configuration.
//! 2. `DOCKER_HOST`.
//! 3. `DOCKER_CONTEXT`.
//! 4. The current context of the docker CLI.
//! 5. The first socket that is there: the system's, the rootless engine's, those of desktop products in the home
//!    folder, Podman's.
//!
//! [`named`] is for engines that our own configuration names beside that one; of the environment nothing counts there.
//!
//! Nothing is connected to. Values of the environment come in through [`Surroundings`]; files are the docker CLI's
//! configuration and its contexts. TLS material is named, not read: the transport does that.

mod contexts;
mod sockets;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::credentials::CredentialsError;
use crate::credentials::config::ConfigFile;
use crate::{ApiVersion, Endpoint, EndpointError, VersionError};

/// How long a request may take until its answer begins, if nobody says otherwise.
pub const TIMEOUT: Duration = Duration::from_mins(1);
/// The name of the context that is none.
const NO_CONTEXT: &str = "default";

/// What the executable knows of its surroundings. Texts as they were given; empty ones count as not given.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The engine's address in our own configuration.
    pub endpoint: Option<String>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`: the folder of the docker CLI's configuration; else `.docker` in the home folder.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_CERT_PATH`: the folder with `ca.pem`, `cert.pem` and `key.pem`.
    pub docker_cert_path: Option<PathBuf>,
    /// `DOCKER_TLS`: TLS without asking who the daemon is.
    pub docker_tls: Option<String>,
    /// `DOCKER_TLS_VERIFY`: TLS, and the daemon must prove who it is. As with the docker CLI any text means yes.
    pub docker_tls_verify: Option<String>,
    /// `DOCKER_API_VERSION`: a version, or `auto`.
    pub docker_api_version: Option<String>,
    /// `DOCKER_TIMEOUT`: seconds, or a number with `ms`, `s` or `m`.
    pub docker_timeout: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// The user's number, by which the run-time folder is found where `XDG_RUNTIME_DIR` is not set.
    pub uid: Option<u32>,
}

/// The engine that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is, with its TLS material.
    pub endpoint: Endpoint,
    /// Which version of the API to speak.
    pub api_version: ApiVersion,
    /// How long a request may take until its answer begins.
    pub timeout: Duration,
    /// What decided on the endpoint.
    pub origin: Origin,
}

/// What decided on an endpoint. Prints as a reason that a person can check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Our own configuration.
    Configuration,
    /// `DOCKER_HOST`.
    DockerHost {
        /// The context that `DOCKER_CONTEXT` names and that therefore does not count.
        instead_of: Option<String>,
    },
    /// A context of the docker CLI.
    Context {
        /// Its name.
        name: String,
        /// Who named it.
        by: NamedBy,
    },
    /// A socket that was there.
    Socket {
        /// Whose it is, in a person's words.
        owner: &'static str,
    },
    /// Nothing was there. The endpoint is the usual one, where an engine would be once one is installed.
    Nowhere {
        /// Where sockets were looked for.
        looked_for: Vec<PathBuf>,
    },
}

/// Who named a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedBy {
    /// `DOCKER_CONTEXT`.
    Environment,
    /// `currentContext` of this file.
    Configuration(PathBuf),
    /// A key of our own configuration.
    Setting(String),
}

/// How our own configuration says where one of several engines is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// By its address.
    Endpoint {
        /// In the notation of `DOCKER_HOST`.
        text: &'a str,
        /// The folder with `ca.pem`, and `cert.pem` and `key.pem` where the daemon asks for them.
        certificates: Option<&'a Path>,
    },
    /// By a context of the docker CLI.
    Context(&'a str),
}

/// Why it can't be said which engine is meant.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// An address is none.
    #[error("{origin}: {cause}")]
    Endpoint {
        /// Who said it.
        origin: String,
        /// What is wrong with it.
        cause: EndpointError,
    },
    /// There is no such context.
    #[error(
        "there is no docker context {name:?}, which {by} names, in {}; {}", .folder.display(), choices(.known)
    )]
    NoContext {
        /// Its name, made printable.
        name: String,
        /// Who named it.
        by: NamedBy,
        /// Where contexts are.
        folder: PathBuf,
        /// The contexts that there are.
        known: Vec<String>,
    },
    /// A context can't be used.
    #[error(
        "the docker context {name:?} is not usable ({path}): {reason}; make it anew with `docker context create`"
    )]
    Context {
        /// Its name, made printable.
        name: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The docker CLI's configuration, which may name a context, can't be used.
    #[error("{0}; or say which engine is meant with DOCKER_HOST")]
    Configuration(#[from] CredentialsError),
    /// TLS material is incomplete.
    #[error(
        "TLS is asked for by {by}, but {missing} is not there; put it there, or name its folder with DOCKER_CERT_PATH"
    )]
    Tls {
        /// Who asks.
        by: &'static str,
        /// The file.
        missing: PathBuf,
    },
    /// The folder of certificates that our configuration names is incomplete.
    #[error("{key}: {} is not there; ca.pem says which authority vouches for the engine, cert.pem and key.pem who we are to it", .missing.display())]
    Certificates {
        /// The key of our configuration.
        key: String,
        /// The file.
        missing: PathBuf,
    },
    /// Certificates were named for an engine that is not reached by TLS.
    #[error("{key}: certificates are for tcp:// alone, and {endpoint} is not")]
    NoTls {
        /// The key of our configuration.
        key: String,
        /// The address.
        endpoint: String,
    },
    /// `DOCKER_API_VERSION` is no version.
    #[error("DOCKER_API_VERSION: {0}")]
    ApiVersion(#[from] VersionError),
    /// `DOCKER_TIMEOUT` is no time.
    #[error(
        "DOCKER_TIMEOUT: {0:?} is not a time limit; write seconds such as 60, or 500ms, 30s, 2m, up to a day"
    )]
    Timeout(String),
}

/// Finds the engine that is meant.
///
/// Reads small files and looks at sockets; on a sound system that takes well under a millisecond.
pub fn discover(around: &Surroundings) -> Result<Found, DiscoverError> {
    let api_version = match given(around.docker_api_version.as_ref()) {
        Some(text) => text.parse()?,
        None => ApiVersion::default(),
    };
    let timeout = match given(around.docker_timeout.as_ref()) {
        Some(text) => time_limit(text)?,
        None => TIMEOUT,
    };
    let (endpoint, origin) = endpoint(around)?;
    Ok(Found {
        endpoint,
        api_version,
        timeout,
        origin,
    })
}

/// The engine that our own configuration names, whatever the environment says. `key` is the table that names it
/// (`hosts.prod`), for messages.
///
/// # Errors
/// The address is none, the context is not there, or certificates are missing.
pub fn named(around: &Surroundings, key: &str, named: Named<'_>) -> Result<Found, DiscoverError> {
    let (endpoint, origin) = match named {
        Named::Endpoint { text, certificates } => {
            (tls::named(text, certificates, key)?, Origin::Configuration)
        }
        Named::Context(name) => {
            let folder = around.config_dir().unwrap_or_else(|| PathBuf::from(".docker"));
            contexts::endpoint(&folder, name, NamedBy::Setting(format!("{key}.context")))?
        }
    };
    Ok(Found {
        endpoint,
        api_version: ApiVersion::default(),
        timeout: TIMEOUT,
        origin,
    })
}

impl Surroundings {
    /// The folder of the docker CLI's configuration; `None` if there is no home either.
    pub fn config_dir(&self) -> Option<PathBuf> {
        let named = self
            .docker_config
            .clone()
            .filter(|path| !path.as_os_str().is_empty());
        named.or_else(|| Some(self.home()?.join(".docker")))
    }

    fn home(&self) -> Option<&Path> {
        self.home.as_deref().filter(|path| !path.as_os_str().is_empty())
    }
}

fn endpoint(around: &Surroundings) -> Result<(Endpoint, Origin), DiscoverError> {
    if let Some(text) = given(around.endpoint.as_ref()) {
        return Ok((
            tls::endpoint(text, "the configuration", around)?,
            Origin::Configuration,
        ));
    }
    let context = given(around.docker_context.as_ref());
    if let Some(text) = given(around.docker_host.as_ref()) {
        let instead_of = context.filter(|name| *name != NO_CONTEXT).map(str::to_owned);
        return Ok((
            tls::endpoint(text, "DOCKER_HOST", around)?,
            Origin::DockerHost { instead_of },
        ));
    }
    let Some(folder) = around.config_dir() else {
        return Ok(sockets::find(around));
    };
    if let Some(name) = context {
        return match name {
            NO_CONTEXT => Ok(sockets::find(around)),
            name => contexts::endpoint(&folder, name, NamedBy::Environment),
        };
    }
    match ConfigFile::load(&folder)? {
        Some(config) => match config.current_context()? {
            None | Some(NO_CONTEXT) => Ok(sockets::find(around)),
            Some(name) => {
                let by = NamedBy::Configuration(config.path().to_path_buf());
                contexts::endpoint(&folder, name, by)
            }
        },
        None => Ok(sockets::find(around)),
    }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn time_limit(text: &str) -> Result<Duration, DiscoverError> {
    const DAY: f64 = 86_400.0;
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match (number.parse::<f64>(), unit.trim()) {
        (Ok(number), "" | "s") => number,
        (Ok(number), "ms") => number / 1000.0,
        (Ok(number), "m") => number * 60.0,
        _ => 0.0,
    };
    let is_sensible = (0.001..=DAY).contains(&seconds);
    is_sensible
        .then(|| Duration::from_secs_f64(seconds))
        .ok_or_else(|| DiscoverError::Timeout(printable(text)))
}

fn printable(text: &str) -> String {
    base::text::clean(text).chars().take(80).collect()
}

fn choices(names: &[String]) -> String {
    match names {
        [] => "there are none at all: create it with `docker context create`, or unset its name".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("the configuration says so"),
            Self::DockerHost { instead_of: None } => f.write_str("DOCKER_HOST says so"),
            Self::DockerHost {
                instead_of: Some(name),
            } => write!(
                f,
                "DOCKER_HOST says so; DOCKER_CONTEXT ({name}) does not count beside it, as with the docker CLI"
            ),
            Self::Context { name, by } => write!(f, "docker context {name}, which {by} names"),
            Self::Socket { owner } => write!(f, "the socket of {owner} is there"),
            Self::Nowhere { looked_for } => {
                f.write_str("no engine was found: none of ")?;
                for (at, path) in looked_for.iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { ", " }, path.display())?;
                }
                f.write_str(" is there; install or start an engine, or say where it is with DOCKER_HOST")
            }
        }
    }
}

impl fmt::Display for NamedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("DOCKER_CONTEXT"),
            Self::Configuration(path) => write!(f, "currentContext in {}", path.display()),
            Self::Setting(key) => f.write_str(key),
        }
    }
}
