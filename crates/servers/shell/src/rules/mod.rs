//! Which commands may run: rules judge the argv, data in and a verdict out.
//!
//! Deny comes before allow. A command whose arguments are themselves a command (`sh -c`, `env`, `find -exec`) is refused
//! unless a rule names what carries it, for no pattern over what it carries would be a boundary. Deliberately absent: any
//! promise on what a permitted program starts by itself, and looking at text of a shell.

mod carriers;
mod pattern;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use pattern::is_like;
pub use pattern::{Rule, RuleError};

/// Whether text for a shell or an interpreter may run. No rule judges what is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scripts {
    /// Only programs with their arguments.
    #[default]
    Refused,
    /// Any text.
    Free,
}

/// The rules of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// What may run; `None`: everything that is not denied. An empty list allows nothing.
    pub allow: Option<Vec<Rule>>,
    /// What may not, whatever is allowed.
    pub deny: Vec<Rule>,
    /// Text of shells and interpreters.
    pub scripts: Scripts,
}

/// The program of a command, as it was given and as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The first word of the command.
    pub given: String,
    /// The file that runs. `None` where it is not known before it runs, as in a container.
    pub found: Option<PathBuf>,
    /// That file when all symbolic links are followed.
    pub real: Option<PathBuf>,
}

impl Program {
    /// One of which nothing but its name is known.
    pub fn unseen(given: &str) -> Self {
        Self {
            given: given.to_owned(),
            found: None,
            real: None,
        }
    }

    /// All paths that it is known by.
    fn paths(&self) -> impl Iterator<Item = &str> {
        let found = [&self.found, &self.real].into_iter().flatten();
        std::iter::once(self.given.as_str()).chain(found.filter_map(|path| path.to_str()))
    }

    /// All names that it is known by, without folders.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.paths()
            .filter_map(|path| Path::new(path).file_name()?.to_str())
    }
}

/// Why a command is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A rule denies it.
    Denied {
        /// The rule.
        rule: Rule,
        /// What of the command it judges, where that is not its beginning: what another program carries.
        within: Option<String>,
    },
    /// There are rules that allow, and none of them allows this.
    NotAllowed {
        /// What is allowed.
        allow: Vec<Rule>,
    },
    /// It would have another program run what is in its arguments.
    Carries {
        /// The word that does: a program or an option.
        word: String,
    },
    /// It is text, and text is not judged.
    Script {
        /// The shell or interpreter.
        shell: String,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { rule, within: None } => {
                write!(f, "the rule {rule} of [shell] deny refuses it")
            }
            Self::Denied {
                rule,
                within: Some(within),
            } => write!(
                f,
                "the rule {rule} of [shell] deny refuses {within:?}, which it carries"
            ),
            Self::NotAllowed { allow } if allow.is_empty() => {
                f.write_str("[shell] allow is empty, so nothing may run")
            }
            Self::NotAllowed { allow } => {
                f.write_str("no rule of [shell] allow covers it; allowed are ")?;
                for (number, rule) in allow.iter().take(SHOWN).enumerate() {
                    let between = if number == 0 { "" } else { ", " };
                    write!(f, "{between}{rule}")?;
                }
                match allow.len().saturating_sub(SHOWN) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::Carries { word } => write!(
                f,
                "{word} makes a program of its arguments, which no rule can judge, and no rule of [shell] allow names it"
            ),
            Self::Script { shell } => write!(
                f,
                "it is text for {shell}, and no pattern over such text would be a boundary, so it is refused as a whole"
            ),
        }
    }
}

/// How many rules a refusal shows.
const SHOWN: usize = 20;

impl Rules {
    /// Judges a command: its program, and its arguments without the program.
    ///
    /// # Errors
    /// Why it may not run.
    pub fn judge(&self, program: &Program, arguments: &[String]) -> Result<(), Refused> {
        let carrying = carriers::of(program, arguments);
        self.denied(program, arguments, !carrying.is_empty())?;
        let allowing = self.allowing(program, arguments)?;
        if self.scripts == Scripts::Free {
            return Ok(());
        }
        let is_named = |rule: &&Rule| carrying.iter().all(|word| rule.names(word));
        match carrying.first() {
            Some(word) if !allowing.iter().any(is_named) => Err(Refused::Carries {
                word: word.text.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Judges a text for a shell or interpreter, which no rule looks into: its program is judged.
    ///
    /// # Errors
    /// Why it may not run.
    pub fn judge_script(&self, program: &Program) -> Result<(), Refused> {
        self.denied(program, &[], false)?;
        match self.scripts {
            Scripts::Free => Ok(()),
            Scripts::Refused => Err(Refused::Script {
                shell: program.given.clone(),
            }),
        }
    }

    /// What is carried is held against the rules, too; that finds what stands there as words of its own, and no more.
    fn denied(&self, program: &Program, arguments: &[String], carries: bool) -> Result<(), Refused> {
        if let Some(rule) = self.deny.iter().find(|rule| rule.denies(program, arguments)) {
            return Err(Refused::Denied {
                rule: rule.clone(),
                within: None,
            });
        }
        if !carries {
            return Ok(());
        }
        for (place, word) in arguments.iter().enumerate() {
            let (inner, rest) = (
                Program::unseen(word),
                arguments.get(place + 1..).unwrap_or_default(),
            );
            if let Some(rule) = self.deny.iter().find(|rule| rule.denies(&inner, rest)) {
                return Err(Refused::Denied {
                    rule: rule.clone(),
                    within: Some(word.clone()),
                });
            }
        }
        Ok(())
    }

    fn allowing(&self, program: &Program, arguments: &[String]) -> Result<Vec<&Rule>, Refused> {
        let Some(allow) = &self.allow else {
            return Ok(Vec::new());
        };
        let allowing: Vec<&Rule> = allow
            .iter()
            .filter(|rule| rule.allows(program, arguments))
            .collect();
        if allowing.is_empty() {
            return Err(Refused::NotAllowed { allow: allow.clone() });
        }
        Ok(allowing)
    }
}
