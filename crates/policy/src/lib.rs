//! May this call be made: the decision, and the language it is written in (`[policy]` of the configuration).
//!
//! [`Rules::decide`] is a pure function of the rules and the call. A permission names a server and a tool, never the
//! name under which a client sees it. Deny comes before allow, and what is unclear is denied. Each denial says which
//! rule it comes from and which lines of configuration would lift it, so that a person, or a model that reports to
//! one, can act on it.
//!
//! Deliberately absent: I/O, protocols, Docker, and how a person is asked; what may be sent to a Docker Engine is the
//! guard's matter (`engine::guard`), which judges again whatever was decided here.

mod pattern;
mod rules;

#[cfg(test)]
mod tests;

pub use pattern::{Pattern, PatternError};
pub use rules::{AskBefore, Preset, Rules, WhenUnable};

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a call does at worst. Ordered by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Looks, and leaves everything as it is.
    Read,
    /// Makes or changes something that can be made undone.
    Change,
    /// Ends or removes something that does not come back by itself.
    Destroy,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reads",
            Self::Change => "changes",
            Self::Destroy => "destroys",
        })
    }
}

/// A call about which a decision is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Who asks. All have the same rights so far; it stands here because every decision is about somebody.
    pub principal: &'a str,
    /// The server's name.
    pub server: &'a str,
    /// The server's own name for the tool, not an alias.
    pub tool: &'a str,
    /// What this call, with its arguments, does at worst.
    pub effect: Effect,
}

/// What is to be done with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Make it.
    Allow,
    /// Make it if a person says yes.
    Ask {
        /// Why a person is asked, as a clause: "it destroys, and `policy.ask` is \"destroy\"".
        why: String,
    },
    /// Don't make it.
    Deny {
        /// The rule, by its name in the configuration, and what in it denies.
        rule: String,
        /// A sentence with the exact TOML lines that would let the call through.
        how_to_allow: String,
    },
}
