//! What holds: the configuration file, flags before it, defaults behind it, and for each value where it came from.
//!
//! Variables of the docker CLI (`DOCKER_HOST`, …) count where the file says nothing; they are handed to
//! `engine::discover` as they are, which knows their rules.

mod config;
mod edit;
mod file;
mod hosts;
mod roots;
mod shell;
mod show;
pub(crate) mod table;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use docker_server::Toolset;

pub(crate) use config::{Config, Transport};
pub(crate) use edit::Edit;
pub(crate) use file::{FileError, nearest};
pub(crate) use hosts::{Host, LOCAL, SshClient, is_label};
pub(crate) use roots::Sharers;
pub(crate) use shell::{Place, Reach, Shell};
pub(crate) use show::{Origin, Shown};

use crate::env::{Environment, Var};
use crate::folders::{Folders, NoHome};

/// What the command line says instead of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) transport: Option<Transport>,
    pub(crate) host: Option<IpAddr>,
    pub(crate) port: Option<u16>,
    pub(crate) toolset: Option<Toolset>,
    pub(crate) profile: Option<String>,
    pub(crate) preset: Option<policy::Preset>,
    pub(crate) ask: Option<policy::AskBefore>,
    pub(crate) mode: Option<engine::guard::Mode>,
    /// It runs in a bridge, on a machine whose files it does not see.
    pub(crate) bridge: bool,
}

/// Everything that is set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    /// The configuration file, whether or not there is one.
    pub(crate) file: PathBuf,
    pub(crate) folders: Folders,
    pub(crate) environment: Environment,
    /// Whether whoever runs the command can be asked while it works. Nobody, unless somebody says so.
    pub(crate) is_attended: bool,
    written: Option<file::File>,
    overrides: Overrides,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// No place for them.
    #[error(transparent)]
    NoHome(#[from] NoHome),
    /// The file can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file was named, and is not there.
    #[error("there is no configuration file {}, which {by} names", .path.display())]
    Absent { path: PathBuf, by: &'static str },
}

impl Settings {
    /// Reads what there is. `named` is the file that the command line names.
    pub(crate) fn read(
        named: Option<&Path>,
        overrides: Overrides,
        environment: Environment,
    ) -> Result<Self, SettingsError> {
        let folders = Folders::find(&environment)?;
        let (file, by) = match (named, environment.path(Var::Config)) {
            (Some(named), _) => (named.to_owned(), Some("--config")),
            (None, Some(named)) => (named, Some(Var::Config.name())),
            (None, None) => (folders.config_file(), None),
        };
        let file = std::path::absolute(&file).unwrap_or(file);
        let written = file::read(&file)?;
        if let (None, Some(by)) = (&written, by) {
            return Err(SettingsError::Absent { path: file, by });
        }
        let mut settings = Self {
            config: Config::default(),
            file,
            folders,
            environment,
            is_attended: false,
            written: None,
            overrides,
        };
        settings.take(written)?;
        Ok(settings)
    }

    /// Goes on with what another text of the file says.
    fn take(&mut self, written: Option<file::File>) -> Result<(), FileError> {
        self.config = written
            .as_ref()
            .map(|file| file.config.clone())
            .unwrap_or_default();
        self.overrides.apply(&mut self.config);
        for host in self.config.hosts.all_mut() {
            host.complete(&self.file, self.folders.home.as_deref())?;
        }
        self.written = written;
        Ok(())
    }

    /// The same, as the file says it now.
    pub(crate) fn again(&self) -> Result<Self, SettingsError> {
        let named = (self.file != self.folders.config_file()).then_some(self.file.as_path());
        Self::read(named, self.overrides.clone(), self.environment.clone())
    }

    /// As clients of this profile have it: with the roots that it names.
    pub(crate) fn in_profile(&self, profile: &str) -> Self {
        let all = Sharers::all(&self.config);
        let own = all
            .iter()
            .find(|sharers| sharers.profiles.iter().any(|name| name == profile));
        own.map_or_else(|| self.clone(), |sharers| sharers.settings(self))
    }

    /// As the file says it, without the command line.
    pub(crate) fn as_written(&self) -> Result<Self, SettingsError> {
        let named = self.has_file().then_some(self.file.as_path());
        Self::read(named, Overrides::default(), self.environment.clone())
    }

    /// Whether this is the gateway in a bridge.
    pub(crate) fn is_bridge(&self) -> bool {
        self.overrides.bridge
    }

    /// Whether there is a configuration file.
    pub(crate) fn has_file(&self) -> bool {
        self.written.is_some()
    }

    /// The SQLite file.
    pub(crate) fn database(&self) -> PathBuf {
        match &self.config.audit.file {
            Some(file) => self
                .file
                .parent()
                .map_or_else(|| file.clone(), |folder| folder.join(file)),
            None => self.folders.database(),
        }
    }
}

impl Overrides {
    fn apply(&self, config: &mut Config) {
        fn set<T: Copy>(value: &mut T, said: Option<T>) {
            *value = said.unwrap_or(*value);
        }
        set(&mut config.gateway.transport, self.transport);
        set(&mut config.gateway.host, self.host);
        set(&mut config.gateway.port, self.port);
        if let Some(profile) = &self.profile {
            config.gateway.profile.clone_from(profile);
        }
        set(&mut config.docker.toolset, self.toolset);
        set(&mut config.policy.preset, self.preset);
        set(&mut config.policy.ask, self.ask);
        set(&mut config.hosts.local.mode, self.mode);
        // Meant for the engine at hand; another one is not opened by it, but shut.
        for host in config.hosts.others.values_mut() {
            host.mode = host.mode.min(self.mode.unwrap_or(host.mode));
        }
    }
}
