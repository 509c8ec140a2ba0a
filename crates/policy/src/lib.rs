//! May this principal make this call: the decision, and the rules it is made by.
//!
//! Pure: no I/O, no clock, no state. The gateway asks at every call, after names and aliases are resolved, so a
//! rule names the server and the server's own tool, never what a client calls it. What a call does to Docker is
//! judged again by the guard in `engine`, on the request itself; this room knows nothing of it.

mod pattern;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::pattern::{BadPattern, Pattern};

/// What a call does to the world. Ordered by harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Only looks.
    Read,
    /// Adds or changes something.
    Change,
    /// Takes something away that may not come back.
    Destroy,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reads",
            Self::Change => "changes something",
            Self::Destroy => "destroys something",
        })
    }
}

/// How far calls may go that no pattern speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Only calls that look.
    ReadOnly,
    /// Everything but calls that destroy.
    NoDestroy,
    /// Everything.
    #[default]
    Full,
}

impl Preset {
    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::NoDestroy => "no-destroy",
            Self::Full => "full",
        }
    }

    const fn worst(self) -> Effect {
        match self {
            Self::ReadOnly => Effect::Read,
            Self::NoDestroy => Effect::Change,
            Self::Full => Effect::Destroy,
        }
    }

    /// The mildest preset under which a call of this effect passes.
    const fn least_for(effect: Effect) -> Self {
        match effect {
            Effect::Read => Self::ReadOnly,
            Effect::Change => Self::NoDestroy,
            Effect::Destroy => Self::Full,
        }
    }
}

/// Which permitted calls a person has to confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskBefore {
    /// Those that destroy.
    #[default]
    Destroy,
    /// Those that change or destroy.
    Change,
    /// None.
    Never,
}

impl AskBefore {
    fn covers(self, effect: Effect) -> bool {
        match self {
            Self::Destroy => effect >= Effect::Destroy,
            Self::Change => effect >= Effect::Change,
            Self::Never => false,
        }
    }
}

/// What becomes of a call to be confirmed when the client has no way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenUnable {
    /// It is refused.
    #[default]
    Refuse,
    /// It is made.
    Allow,
}

/// The rules, as they stand under `[policy]` in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// How far calls may go that no pattern speaks of.
    pub preset: Preset,
    /// `server/tool` patterns that pass although the preset says no. They are still confirmed.
    pub allow: Vec<Pattern>,
    /// `server/tool` patterns that never pass; they win over `allow`.
    pub deny: Vec<Pattern>,
    /// Which permitted calls a person has to confirm.
    pub ask: AskBefore,
    /// What becomes of them when the client has no way to ask.
    pub when_unable: WhenUnable,
}

/// A call to be decided on.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who asks. No rule distinguishes principals yet; it is here so that none can be forgotten when one does.
    pub principal: &'a str,
    /// The server's name.
    pub server: &'a str,
    /// The server's own name for the tool, aliases resolved.
    pub tool: &'a str,
    /// What this very call would do, its arguments considered.
    pub effect: Effect,
}

/// What the rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be made.
    Allow,
    /// It may be made once a person says yes.
    Ask {
        /// Which rule wants that.
        why: String,
    },
    /// It may not be made.
    Deny {
        /// Which rule says so.
        rule: String,
        /// The line of configuration that would change that.
        how_to_allow: String,
    },
}

impl Rules {
    /// Decides. A denying pattern wins, then an allowing one, then the preset; what is permitted may still have
    /// to be confirmed.
    #[must_use]
    pub fn decide(&self, ask: &Ask<'_>) -> Decision {
        let matching = |patterns: &[Pattern]| {
            patterns
                .iter()
                .find(|pattern| pattern.matches(ask.server, ask.tool))
                .map(ToString::to_string)
        };
        if let Some(pattern) = matching(&self.deny) {
            return Decision::Deny {
                rule: format!("the configuration denies {pattern:?}"),
                how_to_allow: format!(
                    "To permit it, the owner of the configuration removes {pattern:?} from `deny` under [policy]"
                ),
            };
        }
        if ask.effect > self.preset.worst() && matching(&self.allow).is_none() {
            return Decision::Deny {
                rule: format!("it {} and the preset is {:?}", ask.effect, self.preset.as_str()),
                how_to_allow: format!(
                    "To permit it, the owner of the configuration sets `preset = {:?}`, or adds \"{}/{}\" to `allow`, under [policy]",
                    Preset::least_for(ask.effect).as_str(),
                    ask.server,
                    ask.tool
                ),
            };
        }
        if self.ask.covers(ask.effect) {
            return Decision::Ask {
                why: format!("it {}", ask.effect),
            };
        }
        Decision::Allow
    }
}

#[cfg(test)]
mod tests;
