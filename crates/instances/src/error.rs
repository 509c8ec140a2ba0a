//! What can go wrong between a plan and a running container, each with what the reader can do about it.

use std::io;
use std::path::{Path, PathBuf};

use catalog::plan::{Container, Source};
use engine::Error as EngineError;
use engine::guard::Rule;

/// Why something about an instance failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine or its guard said no, or did not answer.
    #[error("can't {doing} for server {server}: {cause}")]
    Engine {
        /// What was tried: "create a container".
        doing: &'static str,
        /// For which server.
        server: String,
        /// Why it failed.
        cause: Box<EngineError>,
    },
    /// The same, for no server in particular.
    #[error("can't {doing}: {cause}")]
    Host {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        cause: Box<EngineError>,
    },
    /// The image is not there and could not be had.
    #[error("server {server} needs the image {image}, which can't be pulled: {cause}; {advice}")]
    Pull {
        /// For which server.
        server: String,
        /// Which image.
        image: String,
        /// The registry's or the engine's words.
        cause: String,
        /// What to do.
        advice: &'static str,
    },
    /// Its image could not be made.
    #[error("the image {image} for server {server} could not be built: {cause}\n{output}")]
    Build {
        /// For which server.
        server: String,
        /// The tag.
        image: String,
        /// The builder's words.
        cause: String,
        /// The last lines of the build.
        output: String,
    },
    /// Which version of its package is the newest is not known.
    #[error("the newest version of {package}, for server {server}, can't be looked up: {cause}")]
    Newest {
        /// For which server.
        server: String,
        /// Which package.
        package: String,
        /// The package manager's words.
        cause: String,
    },
    /// The publisher's signature is missing or wrong.
    #[error("server {server} is not started: the signature of its image {image} does not hold: {cause}")]
    Signature {
        /// For which server.
        server: String,
        /// Which image.
        image: String,
        /// What the check said.
        cause: String,
    },
    /// A secret has no value.
    #[error(
        "server {server} needs the secret {name}, which has no value; give it one with `dockmaster secret set {name}`"
    )]
    MissingSecret {
        /// For which server.
        server: String,
        /// Which secret.
        name: String,
    },
    /// The plan asks for what can't be given here.
    #[error("server {server} can't be started: {fault}")]
    Plan {
        /// For which server.
        server: String,
        /// What, why not, and what to do.
        fault: String,
    },
    /// A file or folder of ours can't be used.
    #[error("can't {doing} {}: {cause}", path.display())]
    Files {
        /// What was tried: "lock".
        doing: &'static str,
        /// Which one.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The gateway is ending.
    #[error("server {server} is not started: the gateway is shutting down")]
    Closing {
        /// Which server.
        server: String,
    },
}

impl Error {
    pub(crate) fn engine(doing: &'static str, server: &str, source: EngineError) -> Self {
        Self::Engine {
            doing,
            server: server.to_owned(),
            cause: Box::new(source),
        }
    }

    /// A volume of this container that was there before and that others made, if that is why it was refused.
    pub(crate) fn foreign_volume(server: &str, container: &Container, source: &EngineError) -> Option<Self> {
        let EngineError::Refused(refusal) = source else {
            return None;
        };
        let name = container.mounts.iter().find_map(|mount| match &mount.source {
            Source::Volume(name) if *name == refusal.value => Some(name),
            _ => None,
        })?;
        if refusal.rule != Rule::Scope {
            return None;
        }
        let fault = format!(
            "the volume {name} is there already and was not made by Dockmaster; if the server may use it, write \
             volumes = [{name:?}] in its table of the profile, [profiles.PROFILE.servers.{server}]"
        );
        Some(Self::plan(server, fault))
    }

    /// Files of secrets that the engine does not find, if that is why it refused: it may live in a mount namespace of its
    /// own, and one that was restarted while a bridge ran on may have unmounted the bridge's volume (20.10 does).
    pub(crate) fn unseen_files(server: &str, folder: Option<&Path>, source: &EngineError) -> Option<Self> {
        let (EngineError::Daemon { message, .. }, Some(folder)) = (source, folder) else {
            return None;
        };
        // As Docker says it, and as Podman does.
        let is_missing = ["does not exist", "no such file or directory"]
            .iter()
            .any(|words| message.contains(words));
        if !is_missing || !message.contains(folder.to_str()?) {
            return None;
        }
        let fault = format!(
            "the engine does not find the files of its secrets, which are in {}; behind a bridge `dockmaster host upgrade` \
             mounts that anew, and here DOCKMASTER_MEMORY has to name a folder in memory that the engine sees",
            folder.display()
        );
        Some(Self::plan(server, fault))
    }

    pub(crate) fn host(doing: &'static str, source: EngineError) -> Self {
        Self::Host {
            doing,
            cause: Box::new(source),
        }
    }

    pub(crate) fn plan(server: &str, fault: impl Into<String>) -> Self {
        Self::Plan {
            server: server.to_owned(),
            fault: fault.into(),
        }
    }

    pub(crate) fn files(doing: &'static str, path: impl Into<PathBuf>, cause: io::Error) -> Self {
        Self::Files {
            doing,
            path: path.into(),
            cause,
        }
    }
}
