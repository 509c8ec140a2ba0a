//! The table `[hosts]`: `local`, and further engines under names that the user chooses. All of them have the same keys.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base::Span;
use base::names::HostName;
use engine::guard::Mode;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::shell::Place;

/// The host that is always there: the engine that `DOCKER_HOST` and the like mean, unless the file says which.
pub(crate) const LOCAL: &str = "local";

/// `[hosts]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Hosts {
    pub(crate) local: Host,
    /// Without `local`.
    pub(crate) others: BTreeMap<HostName, Host>,
}

impl Hosts {
    /// The host of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Host> {
        if name == LOCAL {
            return Some(&self.local);
        }
        let mut others = self.others.iter();
        others.find_map(|(own, host)| (own.as_str() == name).then_some(host))
    }

    /// All of them, `local` first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Host)> {
        let others = self.others.iter().map(|(name, host)| (name.as_str(), host));
        std::iter::once((LOCAL, &self.local)).chain(others)
    }

    pub(super) fn all_named_mut(&mut self) -> impl Iterator<Item = (&str, &mut Host)> {
        let others = self.others.iter_mut().map(|(name, host)| (name.as_str(), host));
        std::iter::once((LOCAL, &mut self.local)).chain(others)
    }

    /// Their names, for an error about another one.
    pub(crate) fn names(&self) -> String {
        self.all().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Host> {
        std::iter::once(&mut self.local).chain(self.others.values_mut())
    }

    /// What the file says but can't mean; the key, and why.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        for (name, host) in self.all() {
            let key = |key: &str| super::table::dotted(&["hosts", name, key]);
            if host.endpoint.is_some() && host.context.is_some() {
                let fault = "goes without `endpoint`: either of them says where the engine is";
                return Err((key("context"), fault.to_owned()));
            }
            if name != LOCAL && host.endpoint.is_none() && host.context.is_none() {
                let table = super::table::dotted(&["hosts", name]);
                let fault = format!(
                    "is missing: [{table}] needs an endpoint (\"ssh://user@host\") or a context of the docker CLI"
                );
                return Err((key("endpoint"), fault));
            }
            if host.certificates.is_some() && host.endpoint.is_none() {
                let fault =
                    "goes with an `endpoint` (tcp://host:port); a context has certificates of its own";
                return Err((key("certificates"), fault.to_owned()));
            }
            if name == LOCAL && host.files != HostFiles::default() {
                return Err((
                    key("files"),
                    "the files of this machine are those of [files]".to_owned(),
                ));
            }
            if name == LOCAL && host.shell != HostShell::default() {
                return Err((
                    key("shell"),
                    "where commands of this machine run is said in [shell]".to_owned(),
                ));
            }
            if host.guard_file.is_some() && host.guard != engine::guard::Policy::default() {
                let fault = "goes without the table `guard`: one of them is the guard";
                return Err((key("guard_file"), fault.to_owned()));
            }
            if let Some(label) = host.labels.iter().find(|label| !is_label(label)) {
                let shown = base::text::clean(base::text::cut(label, 80)).replace('\n', " ");
                let fault = format!(
                    "{shown:?} is no label; write a word or name=value of letters, digits, '_', '.', '-' and '/'"
                );
                return Err((key("labels"), fault));
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Hosts {
    /// By hand: flattened maps take unknown keys, and lose the lines of errors.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;

        impl<'de> Visitor<'de> for Tables {
            type Value = Hosts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tables of hosts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hosts, A::Error> {
                let mut hosts = Hosts::default();
                while let Some(name) = map.next_key::<HostName>()? {
                    let host = map.next_value()?;
                    if name.as_str() == LOCAL {
                        hosts.local = host;
                    } else {
                        hosts.others.insert(name, host);
                    }
                }
                Ok(hosts)
            }
        }

        deserializer.deserialize_map(Tables)
    }
}

/// `[hosts.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Host {
    pub(crate) endpoint: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) certificates: Option<PathBuf>,
    pub(crate) ssh: SshClient,
    pub(crate) api_version: Option<String>,
    pub(crate) timeout: Option<Span>,
    pub(crate) mode: Mode,
    pub(crate) labels: Vec<String>,
    pub(crate) guard_file: Option<PathBuf>,
    pub(crate) guard: engine::guard::Policy,
    pub(crate) files: HostFiles,
    pub(crate) shell: HostShell,
}

/// `[hosts.NAME.shell]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HostShell {
    /// Where commands run; none do unless it is said.
    pub(crate) runner: Option<Place>,
    pub(crate) roots: Vec<engine::guard::Root>,
}

/// `[hosts.NAME.files]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HostFiles {
    pub(crate) roots: Vec<engine::guard::Root>,
    pub(crate) hard_links: bool,
}

impl Host {
    /// Takes the guard from its file, if it has one, and gives the guard its mode. Relative paths are beside `file`.
    pub(super) fn complete(&mut self, file: &Path, home: Option<&Path>) -> Result<(), super::FileError> {
        let beside = |path: &Path| match (path.strip_prefix("~"), home) {
            (Ok(below), Some(home)) => home.join(below),
            _ => file.parent().unwrap_or(Path::new("")).join(path),
        };
        if let Some(path) = &mut self.guard_file {
            *path = beside(path);
            self.guard = super::file::read_guard(path)?;
        }
        if let Some(path) = &mut self.certificates {
            *path = beside(path);
        }
        self.guard.mode = self.mode;
        Ok(())
    }
}

/// Which SSH client goes to an `ssh://` endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SshClient {
    /// Ours: one connection, over which every stream goes
    #[default]
    Own,
    /// The system's, for what ours does not do
    System,
}

/// A word, or `name=value`: what one can ask for when a server is placed.
pub(crate) fn is_label(text: &str) -> bool {
    let plain = |text: &str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
        !text.is_empty() && text.bytes().all(byte)
    };
    let (name, value) = text.split_once('=').unwrap_or((text, "-"));
    text.len() <= 128 && plain(name) && plain(value)
}
