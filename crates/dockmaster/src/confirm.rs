//! Asking the person at the terminal whether a call may be made.

use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gateway::{Confirmer, Question, Reply};

use crate::output;

/// How questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// With yes, unseen: `--yes`.
    Yes,
    /// By the person at the terminal.
    Person,
}

/// The terminal, which belongs to one at a time: a question, or the progress of what was confirmed.
pub(crate) type Screen = Arc<tokio::sync::Mutex<()>>;

/// Answers questions.
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) answers: Answers,
    pub(crate) screen: Screen,
}

impl Terminal {
    async fn ask(&self, question: &Question) -> Reply {
        if self.answers == Answers::Yes {
            return Reply::Yes;
        }
        let _mine = self.screen.lock().await;
        let (text, type_back) = (wording(question), question.type_back.clone());
        // Reading a terminal can't be cancelled; a thread that still waits for it dies with the process.
        let reply = tokio::task::spawn_blocking(move || read(&text, type_back.as_deref())).await;
        reply.unwrap_or(Ok(Reply::Nothing)).unwrap_or(Reply::Nothing)
    }
}

impl Confirmer for Terminal {
    fn confirm<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Reply> {
        self.ask(question).boxed()
    }
}

fn wording(question: &Question) -> String {
    let Question {
        about,
        tool,
        type_back,
        ..
    } = question;
    match type_back {
        None => format!("{about} ({tool})? [y/N] "),
        Some(name) => format!("{about} ({tool}): data is lost for good.\nType {name} to go on: "),
    }
}

fn read(text: &str, type_back: Option<&str>) -> io::Result<Reply> {
    output::prompt(text)?;
    let mut answer = String::new();
    if io::stdin().read_line(&mut answer)? == 0 {
        return Ok(Reply::Nothing);
    }
    Ok(understand(&answer, type_back))
}

fn understand(answer: &str, type_back: Option<&str>) -> Reply {
    let answer = answer.trim();
    match type_back {
        None if answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes") => Reply::Yes,
        None => Reply::No,
        Some(name) if answer == name => Reply::Yes,
        Some(_) if answer.is_empty() => Reply::No,
        Some(_) => Reply::WrongName,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_or_the_name_is_a_yes() {
        for (answer, type_back, expected) in [
            ("y\n", None, Reply::Yes),
            ("Yes", None, Reply::Yes),
            ("", None, Reply::No),
            ("yep", None, Reply::No),
            ("n", None, Reply::No),
            ("db\n", Some("db"), Reply::Yes),
            ("y", Some("db"), Reply::WrongName),
            ("DB", Some("db"), Reply::WrongName),
            ("", Some("db"), Reply::No),
        ] {
            assert_eq!(
                understand(answer, type_back),
                expected,
                "{answer:?} {type_back:?}"
            );
        }
    }
}
