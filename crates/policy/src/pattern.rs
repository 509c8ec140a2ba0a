//! Which tools of which servers are meant: `docker/list_*`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

/// `server/tool`, in which `*` stands for any text, also none, but never for the `/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    server: WildMatch,
    tool: WildMatch,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is no `/`.
    #[error("{0:?} names no server and tool; write \"server/tool\", for all tools of a server \"server/*\"")]
    NoSlash(String),
    /// One side of the `/` is empty.
    #[error("{0:?} leaves one side of the '/' empty; write * for all")]
    Empty(String),
    /// A character that neither names nor patterns have.
    #[error(
        "{text:?} has {character:?}; names of servers and tools are letters, digits, '_', '.' and '-', and * stands for any text"
    )]
    Character {
        /// The whole text.
        text: String,
        /// The first that is not accepted.
        character: char,
    },
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let shown = || base::text::cut(text, 160).to_owned();
        let (server, tool) = text
            .split_once('/')
            .ok_or_else(|| PatternError::NoSlash(shown()))?;
        if server.is_empty() || tool.is_empty() {
            return Err(PatternError::Empty(shown()));
        }
        let accepted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '*');
        if let Some(character) = server.chars().chain(tool.chars()).find(|&c| !accepted(c)) {
            return Err(PatternError::Character {
                text: shown(),
                character,
            });
        }
        Ok(Self {
            text: text.to_owned(),
            server: WildMatch::new(server),
            tool: WildMatch::new(tool),
        })
    }

    /// Whether this tool of this server is meant. Upper and lower case differ.
    #[must_use]
    pub fn matches(&self, server: &str, tool: &str) -> bool {
        self.server.matches(server) && self.tool.matches(tool)
    }

    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}
