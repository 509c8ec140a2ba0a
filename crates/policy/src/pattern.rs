//! `server/tool` patterns, in which `*` stands for any run of characters inside its own half.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wildmatch::WildMatchPattern;

/// Only `*`: `?` is a plain character, and so in no name, and a pattern with it is refused.
type Wild = WildMatchPattern<'*', '\0'>;

/// A pattern for tools of servers: `docker/remove_*`, `*/list_*`, or `docker` for all of a server's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    server: String,
    tool: String,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a pattern: write SERVER/TOOL with letters, digits, '_', '.', '-' and '*' for anything, such as \"docker/remove_*\""
)]
pub struct BadPattern {
    text: String,
}

impl Pattern {
    /// Whether the tool of this server is meant. The halves are matched apart, so that no name with a slash in it
    /// can reach into the other half.
    #[must_use]
    pub fn matches(&self, server: &str, tool: &str) -> bool {
        Wild::new(&self.server).matches(server) && Wild::new(&self.tool).matches(tool)
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let (server, tool) = text.split_once('/').unwrap_or((text, "*"));
        let is_half = |half: &str| {
            !half.is_empty()
                && half.len() <= 128
                && half
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-*".contains(&b))
        };
        if is_half(server) && is_half(tool) {
            Ok(Self {
                server: server.to_owned(),
                tool: tool.to_owned(),
            })
        } else {
            Err(BadPattern {
                text: base::text::cut(&base::text::clean(text), 100).to_owned(),
            })
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server, self.tool)
    }
}
