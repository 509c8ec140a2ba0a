//! Where configuration and state are kept.

use std::path::{Path, PathBuf};

use crate::env::{Environment, Var};

/// The folders of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folders {
    /// Of `config.toml`.
    pub(crate) config: PathBuf,
    /// Of the audit and the token.
    pub(crate) state: PathBuf,
    /// The user's own, if there is one.
    pub(crate) home: Option<PathBuf>,
}

/// There is no place for configuration and state.
#[derive(Debug, thiserror::Error)]
#[error(
    "neither HOME nor DOCKMASTER_HOME is set, so there is no place for configuration and state; set one of them"
)]
pub(crate) struct NoHome;

impl Folders {
    /// Finds them; none need exist.
    pub(crate) fn find(environment: &Environment) -> Result<Self, NoHome> {
        let home = environment
            .absolute(Var::UserHome)
            .or_else(|| environment.absolute(Var::UserProfile));
        if let Some(both) = environment.path(Var::Home) {
            let both = std::path::absolute(&both).unwrap_or(both);
            return Ok(Self {
                config: both.clone(),
                state: both,
                home,
            });
        }
        let beneath = |path: &str| home.as_deref().map(|home| home.join(path));
        let (config, state) = if cfg!(windows) {
            (
                environment.absolute(Var::AppData),
                environment.absolute(Var::LocalAppData),
            )
        } else {
            (
                environment.absolute(Var::XdgConfigHome),
                environment.absolute(Var::XdgStateHome),
            )
        };
        let config = config.or_else(|| beneath(".config")).ok_or(NoHome)?;
        let state = state.or_else(|| beneath(".local/state")).ok_or(NoHome)?;
        Ok(Self {
            config: config.join("dockmaster"),
            state: state.join("dockmaster"),
            home,
        })
    }

    /// The configuration file where none is named.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The database where the configuration names no other.
    pub(crate) fn database(&self) -> PathBuf {
        self.state.join("dockmaster.db")
    }

    /// The generated bearer token.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.state.join("token")
    }

    /// A path for people: the home folder as `~`.
    pub(crate) fn shown(&self, path: &Path) -> String {
        match self.home.as_deref().and_then(|home| path.strip_prefix(home).ok()) {
            Some(rest) if !rest.as_os_str().is_empty() => format!("~/{}", rest.display()),
            _ => path.display().to_string(),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn folders() {
        for (environment, expected) in [
            (Environment::of([]), None),
            (
                Environment::of([(Var::UserHome, "/home/user")]),
                Some((
                    "/home/user/.config/dockmaster",
                    "/home/user/.local/state/dockmaster",
                )),
            ),
            (
                Environment::of([
                    (Var::UserHome, "/home/user"),
                    (Var::XdgConfigHome, "/c"),
                    (Var::XdgStateHome, "s"),
                ]),
                Some(("/c/dockmaster", "/home/user/.local/state/dockmaster")),
            ),
            (
                Environment::of([(Var::XdgConfigHome, "/c"), (Var::XdgStateHome, "/s")]),
                Some(("/c/dockmaster", "/s/dockmaster")),
            ),
            (
                Environment::of([(Var::UserHome, "/home/user"), (Var::Home, "/opt/dm")]),
                Some(("/opt/dm", "/opt/dm")),
            ),
        ] {
            let found = Folders::find(&environment).ok();
            let found = found
                .as_ref()
                .map(|found| (found.config.to_str().unwrap(), found.state.to_str().unwrap()));
            assert_eq!(found, expected, "{environment:?}");
        }
    }
}
