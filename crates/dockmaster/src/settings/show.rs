//! Each value with where it came from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::table::{Preset, SETTINGS, Setting};
use super::{Overrides, Settings};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) key: String,
    /// In TOML; for what is found out, in words between parentheses.
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

impl Shown {
    /// The table that it stands in.
    fn table(&self) -> Option<String> {
        table_of(&self.key).map(str::to_owned)
    }

    /// Whether the value is words about it and no TOML.
    pub(crate) fn is_words(&self) -> bool {
        self.value.starts_with('(')
    }
}

fn table_of(key: &str) -> Option<&str> {
    key.rsplit_once('.').map(|(table, _)| table)
}

/// For programs: the value as JSON has it, or `null` and words.
impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            key: &'a str,
            value: Value,
            #[serde(skip_serializing_if = "Option::is_none")]
            about: Option<&'a str>,
            #[serde(flatten)]
            origin: &'a Origin,
        }

        let words = self
            .value
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'));
        let value = match words {
            Some(_) => Value::Null,
            None => from_toml(&self.value).unwrap_or_else(|| self.value.clone().into()),
        };
        Row {
            key: &self.key,
            value,
            about: words,
            origin: &self.origin,
        }
        .serialize(serializer)
    }
}

fn from_toml(value: &str) -> Option<Value> {
    let mut table: BTreeMap<String, Value> = toml::from_str(&format!("value = {value}")).ok()?;
    table.remove("value")
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "origin", rename_all = "lowercase")]
pub(crate) enum Origin {
    Default,
    /// It was looked for, and this is why it was taken.
    Found {
        how: String,
    },
    File {
        file: String,
        line: usize,
    },
    Environment {
        variable: &'static str,
    },
    Flag {
        flag: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Found { how } => f.write_str(how),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment { variable } => f.write_str(variable),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}

impl Settings {
    /// Every value, in the order of the documentation; where the user chooses names, what the file has.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let of_table = |table: &'static [Setting]| {
            let is_of_names = table.first().is_some_and(|setting| setting.key.contains('*'));
            if !is_of_names {
                return table.iter().map(|setting| self.show(setting)).collect();
            }
            let mut shown: Vec<_> = table.iter().flat_map(|setting| self.written(setting)).collect();
            shown.sort_by_key(Shown::table);
            shown
        };
        SETTINGS
            .chunk_by(|one, next| table_of(one.key) == table_of(next.key))
            .flat_map(of_table)
            .chain(self.further_hosts())
            .collect()
    }

    /// What the file has for hosts beside `local`.
    fn further_hosts(&self) -> impl Iterator<Item = Shown> {
        let hosts = SETTINGS
            .iter()
            .filter(|setting| setting.key.starts_with("hosts."));
        let written =
            hosts.flat_map(|setting| self.written(setting).filter(|shown| shown.key != setting.key));
        let mut shown: Vec<_> = written.collect();
        // By table, as they would stand in a file; within one, in the order of the documentation.
        shown.sort_by_key(Shown::table);
        shown.into_iter()
    }

    /// What the file has for a setting.
    fn written(&self, setting: &'static Setting) -> impl Iterator<Item = Shown> {
        let keys = self.written.iter().flat_map(|file| &file.keys);
        keys.filter(|(_, written)| written.setting == setting.key)
            .map(|(key, written)| Shown {
                key: key.clone(),
                value: written.value.clone(),
                origin: Origin::File {
                    file: self.folders.shown(&self.file),
                    line: written.line,
                },
            })
    }

    fn show(&self, setting: &'static Setting) -> Shown {
        let shown = |value: String, origin| Shown {
            key: setting.key.to_owned(),
            value,
            origin,
        };
        if let Some(flag) = setting.flag
            && let Some(value) = self.overrides.value(setting.key)
        {
            return shown(value, Origin::Flag { flag });
        }
        if let Some(written) = self.written(setting).find(|written| written.key == setting.key) {
            return written;
        }
        if let Some(variable) = setting.variable
            && let Some(value) = self.environment.text(variable)
        {
            let value = format!("{:?}", base::redact::text(&value));
            return shown(
                value,
                Origin::Environment {
                    variable: variable.name(),
                },
            );
        }
        let value = match setting.default {
            Preset::Value(value) => value.to_owned(),
            Preset::Found(_) if setting.key == "audit.file" => format!("\"{}\"", self.database().display()),
            Preset::Found(words) => format!("({})", words.replace(['`', '"'], "")),
        };
        shown(value, Origin::Default)
    }
}

impl Overrides {
    /// What the command line says for a key, in TOML.
    fn value(&self, key: &str) -> Option<String> {
        let text = |text: &str| format!("{text:?}");
        match key {
            "gateway.transport" => self.transport.map(|transport| match transport {
                super::Transport::Stdio => text("stdio"),
                super::Transport::Http => text("http"),
            }),
            "gateway.host" => self.host.map(|host| text(&host.to_string())),
            "gateway.port" => self.port.map(|port| port.to_string()),
            "gateway.profile" => self.profile.as_deref().map(text),
            "docker.toolset" => self.toolset.map(|toolset| text(toolset.as_str())),
            "policy.preset" => self.preset.map(|preset| text(preset.as_str())),
            "policy.ask" => self.ask.map(|ask| text(ask.as_str())),
            "hosts.local.mode" => self.mode.map(|mode| text(mode.as_str())),
            _ => None,
        }
    }
}
