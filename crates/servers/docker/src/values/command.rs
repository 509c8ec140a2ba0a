//! A command: a list of words, or text as typed at a shell.

use serde::Deserialize;
use server_kit::inline_schema;
use server_kit::values::Words;

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Command(Words);

inline_schema!(Command, server_kit::schema::text_or_list);

impl Command {
    /// For a container to be created, whose image may have an entrypoint that takes the words: text without shell
    /// syntax is split into words, text with shell syntax is run by `sh -c`.
    pub(crate) fn for_container(&self) -> Result<Vec<String>, &'static str> {
        match &self.0 {
            Words::List(list) => Ok(list.clone()),
            Words::Text(text) if has_operators(text) => Ok(shell(text)),
            Words::Text(text) => split(text),
        }
    }

    /// For a running container: text is always run by `sh -c`, as it would be typed there.
    pub(crate) fn for_exec(&self) -> Result<Vec<String>, &'static str> {
        match &self.0 {
            Words::List(list) if list.is_empty() => Err("it is empty"),
            Words::Text(text) if text.trim().is_empty() => Err("it is empty"),
            Words::List(list) => Ok(list.clone()),
            Words::Text(text) => Ok(shell(text)),
        }
    }

    /// In one line, for a person, without secrets.
    pub(crate) fn shown(&self) -> String {
        let line = match &self.0 {
            Words::Text(text) => text.clone(),
            Words::List(list) => list.join(" "),
        };
        base::text::cut(&base::redact::text(&line), 120).to_owned()
    }
}

impl From<Vec<String>> for Command {
    fn from(words: Vec<String>) -> Self {
        Self(Words::List(words))
    }
}

fn shell(text: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()]
}

/// Whether a shell would do more with this text than split it into words. Text in single quotes does not count.
fn has_operators(text: &str) -> bool {
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\'' => quoted = !quoted,
            '\\' if !quoted => drop(characters.next()),
            ';' | '&' | '|' | '<' | '>' | '$' | '`' | '\n' | '*' if !quoted => return true,
            _ => {}
        }
    }
    false
}

/// Splits text into words as a shell does: blanks separate, quotes and backslash protect.
fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a quote is not closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some('\\') => match characters.next() {
                            Some(c @ ('"' | '\\')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("a quote is not closed"),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a quote is not closed"),
                    }
                }
            }
            '\\' => match characters.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("it ends with a backslash"),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(value: &Value, for_container: Result<&[&str], &str>) {
        let command: Command = serde_json::from_value(value.clone()).unwrap();
        let words = command.for_container();
        let words = words
            .as_ref()
            .map(|words| words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(
            words.as_deref().map_err(|error| **error),
            for_container,
            "{value}"
        );
    }

    #[test]
    fn commands_of_containers() {
        check(&json!(["echo", "a b"]), Ok(&["echo", "a b"]));
        check(
            &json!("nginx -g 'daemon off;'"),
            Ok(&["nginx", "-g", "daemon off;"]),
        );
        check(
            &json!("echo  \"a \\\"b\\\"\" c\\ d ''"),
            Ok(&["echo", "a \"b\"", "c d", ""]),
        );
        check(
            &json!("sleep 1 && echo done"),
            Ok(&["sh", "-c", "sleep 1 && echo done"]),
        );
        check(&json!("echo $HOME"), Ok(&["sh", "-c", "echo $HOME"]));
        check(&json!("echo 'open"), Err("a quote is not closed"));
        check(&json!(""), Ok(&[]));
    }

    #[test]
    fn commands_in_running_containers() {
        for (value, expected) in [
            (json!("ls /"), Ok(vec!["sh", "-c", "ls /"])),
            (json!(["ls", "/"]), Ok(vec!["ls", "/"])),
            (json!([]), Err("it is empty")),
            (json!(" "), Err("it is empty")),
        ] {
            let command: Command = serde_json::from_value(value).unwrap();
            let expected = expected.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(command.for_exec(), expected);
        }
    }
}
