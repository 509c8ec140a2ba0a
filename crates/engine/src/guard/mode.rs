//! What a host may be used for at all.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much of the Engine API is open on a host, the strictest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Only what changes nothing.
    ReadOnly,
    /// Everything the policy allows, except removing and pruning.
    NoDestroy,
    /// Everything the policy allows.
    #[default]
    Guarded,
    /// Everything; only the spelling of the path is checked. The policy's other keys have no effect.
    Open,
}

impl Mode {
    /// The name as the configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::NoDestroy => "no-destroy",
            Self::Guarded => "guarded",
            Self::Open => "open",
        }
    }

    /// Whether requests of this effect may be sent, if the policy has nothing against them.
    #[must_use]
    pub const fn admits(self, effect: Effect) -> bool {
        match self {
            Self::ReadOnly => matches!(effect, Effect::Read),
            Self::NoDestroy => !matches!(effect, Effect::Destroy),
            Self::Guarded | Self::Open => true,
        }
    }

    /// The strictest mode that admits this effect, for the line that a refusal recommends.
    #[must_use]
    pub const fn admitting(effect: Effect) -> Self {
        match effect {
            Effect::Read => Self::ReadOnly,
            Effect::Create | Effect::Change => Self::NoDestroy,
            Effect::Destroy => Self::Guarded,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a request does to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing; it may still be confined by label.
    Read,
    /// Makes something new.
    Create,
    /// Changes what exists, or runs something in it.
    Change,
    /// Removes something that can't be had back.
    Destroy,
}

impl Effect {
    /// The verb for a sentence: "this request changes".
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Create => "creates",
            Self::Change => "changes",
            Self::Destroy => "destroys",
        }
    }
}
