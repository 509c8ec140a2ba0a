//! The environment: every variable that is read, declared once with what it is for. `docs/configuration.md` lists
//! them from here. What is not declared is not read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use base::Secret;

macro_rules! variables {
    ($($(#[doc = $about:literal])+ $id:ident => $name:literal,)+) => {
        /// A variable of the environment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Var {
            $($(#[doc = $about])+ $id,)+
        }

        impl Var {
            /// All of them, in the order of the documentation.
            pub(crate) const ALL: &[Self] = &[$(Self::$id,)+];

            /// Its name.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$id => $name,)+
                }
            }

            /// What it is for.
            pub(crate) const fn about(self) -> &'static str {
                match self {
                    $(Self::$id => concat!($($about,)+),)+
                }
            }
        }
    };
}

variables! {
    /// One folder for configuration and state, instead of the two XDG folders.
    Home => "DOCKMASTER_HOME",
    /// The configuration file, like `--config`.
    Config => "DOCKMASTER_CONFIG",
    /// The bearer token that HTTP clients have to send, at least 16 characters. Without it one is generated at the first start and kept in the file `token` of the state folder.
    Token => "DOCKMASTER_TOKEN",
    /// The passphrase of the encrypted file of secrets. Without it the key is in the file `secrets.key` of the state folder.
    Passphrase => "DOCKMASTER_PASSPHRASE",
    /// How much is logged, like `--log-level`.
    Log => "DOCKMASTER_LOG",
    /// The engine's address, if the configuration has none: `unix://`, `tcp://`, `ssh://` or `npipe://`.
    DockerHost => "DOCKER_HOST",
    /// The docker context that says where the engine is, if neither the configuration nor `DOCKER_HOST` does.
    DockerContext => "DOCKER_CONTEXT",
    /// The folder of the docker CLI's configuration: contexts and registry credentials. Default: `~/.docker`.
    DockerConfig => "DOCKER_CONFIG",
    /// The folder with `ca.pem`, `cert.pem` and `key.pem` for a `tcp://` engine.
    DockerCertPath => "DOCKER_CERT_PATH",
    /// TLS with a `tcp://` engine without asking who it is, if set to anything.
    DockerTls => "DOCKER_TLS",
    /// TLS with a `tcp://` engine that has to prove who it is, if set to anything.
    DockerTlsVerify => "DOCKER_TLS_VERIFY",
    /// The version of the Engine API to speak (`1.41`), or `auto`, if the configuration says nothing.
    DockerApiVersion => "DOCKER_API_VERSION",
    /// How long a request to the engine may take, in seconds or with a unit, if the configuration says nothing.
    DockerTimeout => "DOCKER_TIMEOUT",
    /// The socket of the SSH agent, for an `ssh://` engine.
    SshAuthSock => "SSH_AUTH_SOCK",
    /// User name for registries; goes together with `REGISTRY_PASSWORD`, and only to those that `docker.credentials_for` names.
    RegistryUsername => "REGISTRY_USERNAME",
    /// Password or access token for registries.
    RegistryPassword => "REGISTRY_PASSWORD",
    /// Credentials for registries as JSON, or base64 of it: one `AuthConfig`, or a map of them by registry.
    RegistryAuthConfig => "REGISTRY_AUTH_CONFIG",
    /// The home folder.
    UserHome => "HOME",
    /// The user's name on Windows, for the audit; elsewhere it is asked of the system.
    UserName => "USERNAME",
    /// Where configuration is kept. Default: `~/.config`.
    XdgConfigHome => "XDG_CONFIG_HOME",
    /// Where state is kept. Default: `~/.local/state`.
    XdgStateHome => "XDG_STATE_HOME",
    /// Where rootless engines and Podman have their sockets.
    XdgRuntimeDir => "XDG_RUNTIME_DIR",
    /// Where files with secrets are put for servers: a folder in memory (a tmpfs). Default: `XDG_RUNTIME_DIR`, or `/dev/shm`.
    Memory => "DOCKMASTER_MEMORY",
    /// Where credential helpers are looked for, and the programs of servers on this machine.
    Path => "PATH",
    /// The language, for servers on this machine; they get it, `PATH` and `HOME`, and nothing else of the environment.
    Lang => "LANG",
    /// The home folder on Windows.
    UserProfile => "USERPROFILE",
    /// Where configuration is kept on Windows.
    AppData => "APPDATA",
    /// Where state is kept on Windows.
    LocalAppData => "LOCALAPPDATA",
    /// No colours, if set to anything; also `CLICOLOR`, `CLICOLOR_FORCE` and `TERM` are heeded, as terminals are used to.
    NoColor => "NO_COLOR",
}

/// The declared variables as the process found them. Empty ones count as not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<Var, OsString>,
    /// Those whose name begins with [`SECRETS`].
    secrets: Vec<(String, Secret)>,
}

/// How the variables of secrets for servers begin: `DOCKMASTER_SECRET_BRAVE_API_KEY`.
pub(crate) const SECRETS: &str = secrets::SecretName::VARIABLES;

impl Environment {
    /// Takes them from the process.
    pub(crate) fn of_process() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that reads the environment"
        )]
        let value = |var: &Var| std::env::var_os(var.name()).filter(|value| !value.is_empty());
        let all = std::env::vars_os();
        let secret = |(name, value): (OsString, OsString)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(SECRETS))?;
            Some((name, Secret::new(value.into_string().ok()?)))
        };
        Self {
            variables: Var::ALL
                .iter()
                .filter_map(|var| Some((*var, value(var)?)))
                .collect(),
            secrets: all.filter_map(secret).collect(),
        }
    }

    /// Any variable by its name: for files of others that name variables, such as `ssh_config`.
    pub(crate) fn named(name: &str) -> Option<String> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that reads the environment"
        )]
        std::env::var(name).ok()
    }

    /// For tests, which must not depend on the machine's.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(values: [(Var, &str); N]) -> Self {
        Self {
            variables: values
                .into_iter()
                .map(|(var, value)| (var, value.into()))
                .collect(),
            secrets: Vec::new(),
        }
    }

    /// Secrets for servers, by the names of their variables.
    pub(crate) fn secrets(&self) -> &[(String, Secret)] {
        &self.secrets
    }

    /// The value as text; what is not UTF-8 is shown with replacement characters, and so will not be accepted by
    /// whoever parses it.
    pub(crate) fn text(&self, var: Var) -> Option<String> {
        self.variables
            .get(&var)
            .map(|value| value.to_string_lossy().into_owned())
    }

    /// The value as a path.
    pub(crate) fn path(&self, var: Var) -> Option<PathBuf> {
        self.variables.get(&var).map(PathBuf::from)
    }

    /// The value as the system gives it.
    pub(crate) fn raw(&self, var: Var) -> Option<OsString> {
        self.variables.get(&var).cloned()
    }

    /// The value as an absolute path; a relative one does not count (XDG Base Directory Specification, "Basics").
    pub(crate) fn absolute(&self, var: Var) -> Option<PathBuf> {
        self.path(var).filter(|path| path.is_absolute())
    }
}
