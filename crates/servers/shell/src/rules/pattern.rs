//! One rule: a pattern for the program and one for each argument.
//!
//! `*` within a word stands for any characters, and `**` as a word for any number of arguments. An allow rule covers a
//! whole command; a deny rule is wider, as what it misses runs.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Program;
use super::carriers::Carrying;

/// Most words of a rule, and most bytes of all of them.
const WORDS: usize = 64;
const BYTES: usize = 4096;
/// As a word: any number of arguments.
const ANY: &str = "**";

/// What a rule says of a command. Written as text, whose words stand between spaces, or as a list of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    program: String,
    arguments: Vec<String>,
}

/// A rule that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It has no words.
    #[error("a rule has at least a program: \"git status\", or [\"git\", \"commit\", \"-m\", \"*\"]")]
    Empty,
    /// It begins with what stands for arguments.
    #[error("a rule begins with a program, and \"**\" stands for arguments; any program is \"*\"")]
    NoProgram,
    /// It is too long.
    #[error("a rule has at most {WORDS} words and {BYTES} bytes")]
    TooLong,
}

impl Rule {
    /// A rule of these words, the program first.
    ///
    /// # Errors
    /// There are none, too many, or no program.
    pub fn of_words(words: Vec<String>) -> Result<Self, RuleError> {
        if words.len() > WORDS || words.iter().map(String::len).sum::<usize>() > BYTES {
            return Err(RuleError::TooLong);
        }
        let mut words = words.into_iter();
        let program = words
            .next()
            .filter(|word| !word.is_empty())
            .ok_or(RuleError::Empty)?;
        if program == ANY {
            return Err(RuleError::NoProgram);
        }
        Ok(Self {
            program,
            arguments: words.collect(),
        })
    }

    /// A rule whose words stand between spaces.
    ///
    /// # Errors
    /// As [`Rule::of_words`].
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Self::of_words(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Whether it covers the whole command. A rule without a slash covers only a program that is given without one, so
    /// that no other file of the name comes in; one with a slash, the file that runs. Without arguments it covers any.
    pub(super) fn allows(&self, program: &Program, arguments: &[String]) -> bool {
        let is_program = if self.program.contains('/') {
            match &program.found {
                Some(found) => found.to_str().is_some_and(|found| is_like(&self.program, found)),
                None => is_like(&self.program, &program.given),
            }
        } else {
            !program.given.contains('/') && is_like(&self.program, &program.given)
        };
        is_program && (self.arguments.is_empty() || are_like(&self.arguments, arguments))
    }

    /// Whether the program goes by such a name or path anywhere, and the rule's arguments occur among the command's in
    /// this order, whatever stands between.
    pub(super) fn denies(&self, program: &Program, arguments: &[String]) -> bool {
        let is_program = if self.program.contains('/') {
            program.paths().any(|path| is_like(&self.program, path))
        } else {
            program.names().any(|name| is_like(&self.program, name))
        };
        let mut rest = arguments.iter();
        let wanted = self.arguments.iter().filter(|word| *word != ANY);
        is_program
            && wanted
                .into_iter()
                .all(|word| rest.any(|argument| is_like(word, argument)))
    }

    /// Whether it writes out what carries: a pattern that happens to cover it does not.
    pub(super) fn names(&self, carrying: &Carrying) -> bool {
        let is_written = |word: &String| {
            let literal = word.split('*').next().unwrap_or_default();
            if carrying.is_option {
                literal.starts_with(&carrying.marker)
            } else {
                word == &carrying.marker
            }
        };
        if carrying.is_program {
            // With or without its folder, as the rest of the rule has been held against it already.
            let name = self.program.rsplit('/').next().unwrap_or_default();
            !name.contains('*')
        } else {
            self.arguments.iter().any(is_written)
        }
    }
}

impl fmt::Display for Rule {
    /// As it is written in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = || std::iter::once(&self.program).chain(&self.arguments);
        if words().any(|word| word.is_empty() || word.contains(char::is_whitespace)) {
            f.debug_list().entries(words()).finish()
        } else {
            let words: Vec<&str> = words().map(String::as_str).collect();
            write!(f, "{:?}", words.join(" "))
        }
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a rule is text (\"git status\") or a list of words")]
        enum Written {
            Text(String),
            Words(Vec<String>),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Self::parse(&text),
            Written::Words(words) => Self::of_words(words),
        }
        .map_err(de::Error::custom)
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(std::iter::once(&self.program).chain(&self.arguments))
    }
}

/// Whether a word is as the pattern says. It takes at most the product of their lengths.
pub(crate) fn is_like(pattern: &str, word: &str) -> bool {
    like(
        pattern.as_bytes(),
        word.as_bytes(),
        |piece| *piece == b'*',
        |piece, byte| piece == byte,
    )
}

fn are_like(patterns: &[String], words: &[String]) -> bool {
    like(
        patterns,
        words,
        |pattern| pattern == ANY,
        |pattern, word| is_like(pattern, word),
    )
}

/// Holds what is against what is wanted, of which some stand for any number. After a failure only the last such is
/// stretched: a longer stretch of an earlier one finds nothing that it would not.
fn like<P, T>(
    wanted: &[P],
    given: &[T],
    is_any: impl Fn(&P) -> bool,
    is_one: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut place, mut at) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while let Some(item) = given.get(at) {
        match wanted.get(place) {
            Some(want) if is_any(want) => {
                back = Some((place, at));
                place += 1;
            }
            Some(want) if is_one(want, item) => {
                place += 1;
                at += 1;
            }
            _ => {
                let Some((any, from)) = back else { return false };
                back = Some((any, from + 1));
                (place, at) = (any + 1, from + 1);
            }
        }
    }
    wanted.get(place..).unwrap_or_default().iter().all(is_any)
}
