//! The rules of `[policy]`, and how a call is judged by them.

use std::fmt;

use base::names::{ServerName, ToolName};
use serde::{Deserialize, Serialize};

use crate::{Ask, Decision, Effect, Pattern};

/// The table `[policy]`. Its default allows everything and asks before what destroys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct Rules {
    /// What is allowed unless a list below says otherwise.
    pub preset: Preset,
    /// Tools that are allowed whatever the preset says.
    pub allow: Vec<Pattern>,
    /// Tools that are denied whatever else says otherwise.
    pub deny: Vec<Pattern>,
    /// Which allowed calls a person has to confirm.
    pub ask: AskBefore,
    /// What happens to a call that has to be confirmed when nobody can be asked.
    pub when_unable: WhenUnable,
}

/// What is allowed in general.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Only calls that read.
    ReadOnly,
    /// All but calls that destroy.
    NoDestroy,
    /// Everything.
    #[default]
    Full,
    /// Nothing; only what the allow list names.
    AllowList,
}

impl Preset {
    /// The name as the configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::NoDestroy => "no-destroy",
            Self::Full => "full",
            Self::AllowList => "allow-list",
        }
    }

    const fn allows(self, effect: Effect) -> bool {
        match self {
            Self::ReadOnly => matches!(effect, Effect::Read),
            Self::NoDestroy => matches!(effect, Effect::Read | Effect::Change),
            Self::Full => true,
            Self::AllowList => false,
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which allowed calls a person has to confirm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskBefore {
    /// Before what destroys.
    #[default]
    Destroy,
    /// Before what changes or destroys.
    Change,
    /// Before nothing.
    Never,
}

impl AskBefore {
    /// The name as the configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Destroy => "destroy",
            Self::Change => "change",
            Self::Never => "never",
        }
    }

    fn includes(self, effect: Effect) -> bool {
        match self {
            Self::Destroy => effect >= Effect::Destroy,
            Self::Change => effect >= Effect::Change,
            Self::Never => false,
        }
    }
}

/// What happens when a person has to be asked and the client has no way to do so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenUnable {
    /// The call is refused.
    #[default]
    Refuse,
    /// The call is made; the audit says that nobody was asked.
    Allow,
}

impl Rules {
    /// Judges a call. Deny comes before allow, the lists come before the preset, and a name that no server or tool
    /// can have is denied.
    #[must_use]
    pub fn decide(&self, ask: &Ask<'_>) -> Decision {
        if let Some(fault) = unnameable(ask) {
            return Decision::Deny {
                rule: format!("no rule can name it ({fault})"),
                how_to_allow: "No configuration allows it".to_owned(),
            };
        }
        if let Some(rule) = self.why_denied(ask) {
            let lines = self.lines_to_allow(ask).join("\n");
            return Decision::Deny {
                rule,
                how_to_allow: format!("To allow it, write under [policy]: {lines}"),
            };
        }
        if self.ask.includes(ask.effect) {
            let why = format!("it {}, and policy.ask is \"{}\"", ask.effect, self.ask.as_str());
            return Decision::Ask { why };
        }
        Decision::Allow
    }

    fn why_denied(&self, ask: &Ask<'_>) -> Option<String> {
        let Ask {
            server, tool, effect, ..
        } = ask;
        if let Some(pattern) = self.deny.iter().find(|pattern| pattern.matches(server, tool)) {
            return Some(format!("policy.deny has \"{pattern}\""));
        }
        let allowed = self.allow.iter().any(|pattern| pattern.matches(server, tool));
        if allowed || self.preset.allows(*effect) {
            return None;
        }
        Some(match self.preset {
            Preset::AllowList => {
                "policy.preset is \"allow-list\", and policy.allow does not name it".to_owned()
            }
            preset => format!("policy.preset is \"{preset}\", and this call {effect}"),
        })
    }

    /// The lines of `[policy]` that would have to stand there instead of those that deny the call: for each list
    /// that has to change, the whole list. Empty if the call is not denied by them.
    #[must_use]
    pub fn lines_to_allow(&self, ask: &Ask<'_>) -> Vec<String> {
        let Ask {
            server, tool, effect, ..
        } = ask;
        let mut lines = Vec::new();
        let kept: Vec<_> = self
            .deny
            .iter()
            .filter(|pattern| !pattern.matches(server, tool))
            .collect();
        if kept.len() < self.deny.len() {
            lines.push(list("deny", kept.iter().map(|pattern| pattern.as_str())));
        }
        let allowed = self.allow.iter().any(|pattern| pattern.matches(server, tool));
        if !allowed && !self.preset.allows(*effect) {
            let own = format!("{server}/{tool}");
            lines.push(list(
                "allow",
                self.allow.iter().map(Pattern::as_str).chain([own.as_str()]),
            ));
        }
        lines
    }
}

/// What is wrong with the names of a call, if anything.
fn unnameable(ask: &Ask<'_>) -> Option<String> {
    let server = ServerName::parse(ask.server).map(drop);
    let tool = ToolName::parse(ask.tool).map(drop);
    server.and(tool).err().map(|error| error.to_string())
}

/// A line of TOML. Patterns have no character that a basic string would have to escape.
fn list<'a>(key: &str, items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(|item| format!("\"{item}\"")).collect();
    format!("{key} = [{}]", items.join(", "))
}
