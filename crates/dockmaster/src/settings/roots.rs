//! The roots of profiles: `[profiles.NAME] roots`, in which the files and shell servers then work instead of in those that
//! they have for everybody.

use std::path::PathBuf;

use base::names::HostName;
use engine::guard::Root;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Config, LOCAL, Place, Settings};

/// A folder of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProfileRoot {
    /// On this host; `None`: on `local`.
    pub(crate) host: Option<HostName>,
    pub(crate) root: Root,
}

/// As it stands in the file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<HostName>,
    path: PathBuf,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    write: bool,
}

impl Serialize for ProfileRoot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            host: self.host.clone(),
            path: self.root.path.clone(),
            write: self.root.write,
        };
        written.serialize(serializer)
    }
}

impl ProfileRoot {
    fn host(&self) -> &str {
        self.host.as_ref().map_or(LOCAL, HostName::as_str)
    }
}

impl<'de> Deserialize<'de> for ProfileRoot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { host, path, write } = Written::deserialize(deserializer)?;
        Ok(Self {
            host,
            root: Root::new(path, write).map_err(de::Error::custom)?,
        })
    }
}

/// Profiles whose clients have the same roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sharers {
    /// Their names; empty: all profiles.
    pub(crate) profiles: Vec<String>,
    /// Roots of a profile's own.
    roots: Option<Vec<ProfileRoot>>,
}

impl Sharers {
    /// All profiles of a configuration, by the roots that they have.
    pub(crate) fn all(config: &Config) -> Vec<Self> {
        let own = config.profiles.iter().filter_map(|(name, profile)| {
            Some(Self {
                profiles: vec![name.clone()],
                roots: Some(profile.roots.clone()?),
            })
        });
        let own: Vec<_> = own.collect();
        let mut general = Self {
            profiles: Vec::new(),
            roots: None,
        };
        if own.is_empty() {
            return vec![general];
        }
        let has_own = |name: &String| own.iter().any(|sharers| sharers.profiles.contains(name));
        let used = &config.gateway.profile;
        let used = Some(used).filter(|used| !config.profiles.contains_key(*used));
        let names = config.profiles.keys().chain(used);
        general.profiles = names.filter(|name| !has_own(name)).cloned().collect();
        let general = Some(general).filter(|general| !general.profiles.is_empty());
        general.into_iter().chain(own).collect()
    }

    /// The table of the configuration that names their roots, where it is a profile's.
    pub(crate) fn table(&self) -> Option<String> {
        let name = self.roots.is_some().then(|| self.profiles.first())??;
        Some(format!("profiles.{name}"))
    }

    /// The configuration as they have it.
    pub(crate) fn settings(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        let Some(roots) = &self.roots else {
            return settings;
        };
        let on = |host: &str| -> Vec<Root> {
            let there = roots.iter().filter(|root| root.host() == host);
            there.map(|there| there.root.clone()).collect()
        };
        let config = &mut settings.config;
        config.files.roots = on(LOCAL);
        config.shell.roots = on(LOCAL);
        for (name, host) in config.hosts.all_named_mut() {
            let roots = on(name);
            // Nothing else would confine it.
            if roots.is_empty() && host.shell.runner == Some(Place::Host) {
                host.shell.runner = None;
            }
            host.files.roots.clone_from(&roots);
            host.shell.roots = roots;
        }
        settings
    }

    /// A host that is named and is not there.
    pub(crate) fn unknown_host(&self, config: &Config) -> Option<&str> {
        let mut named = self.roots.iter().flatten().map(ProfileRoot::host);
        named.find(|name| config.hosts.get(name).is_none())
    }
}
