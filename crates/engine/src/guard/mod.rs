//! The guard: every request to an engine, judged as it will be sent.
//!
//! It reads method, path, query, headers and body the way the daemon will, looks up what the request refers to,
//! and says yes or no by a [`Policy`] that comes from a file the agent can't change. What it does not know it
//! refuses. It sits in the one place through which all requests go, so that no tool, library or plan walks round
//! it. What it allows is sent exactly as it was judged: bodies are written anew from what was understood.
//!
//! Deliberately absent: who may call which tool (`policy`), what a daemon does by itself (restart policies), and
//! what programs in a container do with what the container was given.

mod body;
mod endpoints;
mod host_path;
mod judge;
mod lookup;
mod mode;
mod path;
mod policy;
mod query;
mod refusal;
mod shape;
mod shapes;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderMap, Method};

pub use host_path::{Access, is_sensitive};
pub use judge::bridge::{LABEL as BRIDGE_LABEL, NAME as BRIDGE_NAME};
pub use lookup::{Answer, Lookup, LookupError, Object};
pub use mode::{Effect, Mode};
pub use policy::{Capability, ImagePattern, Label, Namespace, Policy, Root, Symlinks};
pub use refusal::{Refusal, Rule};

/// Where the engine runs, seen from here: decides whether links in host paths can be followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DaemonPlace {
    /// On this machine, with the same files.
    Local,
    /// Elsewhere, or in another mount namespace. The default, because it is the one that assumes nothing.
    #[default]
    Remote,
}

/// What the guard must know beside the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The name of the host, for the line of configuration that refusals name.
    pub host: String,
    /// The file of configuration.
    pub file: Option<PathBuf>,
    /// The file that holds the policy, if it is another: its keys stand there without a table.
    pub policy_file: Option<PathBuf>,
    /// The home directory of who runs Dockmaster.
    pub home: Option<PathBuf>,
    /// Dockmaster's own configuration and state: never mounted, whatever the policy says.
    pub protected: Vec<PathBuf>,
    /// What Dockmaster itself gives to the one container that the guard is for, although it lies in
    /// [`Self::protected`]: exactly these files.
    pub given: Vec<PathBuf>,
    /// Where the engine runs.
    pub daemon: DaemonPlace,
    /// Folders that an engine elsewhere knows by the same paths, and that hold nothing but what Dockmaster gives to
    /// containers.
    pub shared: Vec<PathBuf>,
}

impl Surroundings {
    /// Whether this process and the engine have the same files at a path, so that it can be looked at before it is mounted.
    #[must_use]
    pub fn shares(&self, path: &Path) -> bool {
        self.daemon == DaemonPlace::Local || self.is_shared(path)
    }

    fn is_shared(&self, path: &Path) -> bool {
        self.shared.iter().any(|shared| path.starts_with(shared))
    }
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// All of it.
    Whole(&'a [u8]),
    /// Bytes to come, which can't be judged.
    Stream,
}

/// A request about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path without version prefix, encoded as it will be sent.
    pub path: &'a str,
    /// The query without `?`, encoded; empty if there is none.
    pub query: &'a str,
    /// All headers that will be sent.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: Body<'a>,
}

/// A request that may be sent, with what has to be sent in place of what was judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Another path, without version prefix and encoded: a name replaced by the id that was looked at.
    pub path: Option<String>,
    /// Another body: the JSON as it was understood, without spellings that the daemon could read otherwise.
    pub body: Option<Bytes>,
}

/// The judge of one host.
#[derive(Debug, Clone)]
pub struct Guard {
    policy: Policy,
    surroundings: Surroundings,
}

impl Guard {
    /// A guard by this policy.
    #[must_use]
    pub const fn new(policy: Policy, surroundings: Surroundings) -> Self {
        Self { policy, surroundings }
    }

    /// What it judges by.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What it knows beside the policy.
    pub const fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The mode of this host.
    pub const fn mode(&self) -> Mode {
        self.policy.mode
    }

    /// Whether it judges the engine at hand rather than a host with a name.
    pub fn is_local(&self) -> bool {
        matches!(self.surroundings.host.as_str(), "" | "local")
    }

    /// The label to which this host is confined.
    pub const fn label(&self) -> Option<&Label> {
        self.policy.label.as_ref()
    }

    /// Judges a request.
    ///
    /// # Errors
    /// [`Refusal`] says which rule it breaks and what would allow it. A look-up that fails is a refusal too.
    pub async fn judge(&self, call: &Call<'_>, lookup: &dyn Lookup) -> Result<Verdict, Refusal> {
        judge::request(&self.policy, &self.surroundings, call, lookup)
            .await
            .map_err(|refusal| self.placed(refusal))
    }

    /// Judges a path of this machine that Dockmaster itself is asked to read or write (a build context, a copy
    /// to or from a container) by the same roots as mounts, and gives back its true place: use that, so that a
    /// link changed meanwhile does not matter. Blocks on the file system.
    ///
    /// # Errors
    /// [`Refusal`], as for a mount of this path.
    pub fn host_path(&self, path: &Path, access: Access) -> Result<PathBuf, Refusal> {
        host_path::own_use(&self.policy, &self.surroundings, path, access)
            .map_err(|refusal| self.placed(refusal))
    }

    /// Completes the line of configuration with its table and file.
    fn placed(&self, mut refusal: Refusal) -> Refusal {
        let around = &self.surroundings;
        // The mode is the host's, everything else the guard's.
        let is_mode = refusal
            .allow
            .as_deref()
            .is_some_and(|line| line.starts_with("mode = "));
        if let Some(file) = around.policy_file.as_deref().filter(|_| !is_mode) {
            refusal.file = Some(file.into());
            return refusal;
        }
        let host = match around.host.as_str() {
            "" => "local".to_owned(),
            // TOML takes it for two names otherwise.
            name if name.contains('.') => format!("\"{name}\""),
            name => name.to_owned(),
        };
        let table = if is_mode { "" } else { ".guard" };
        refusal.allow = refusal.allow.map(|line| format!("[hosts.{host}{table}] {line}"));
        refusal.file = around.file.as_deref().map(Into::into);
        refusal
    }
}
