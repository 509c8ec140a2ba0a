//! Which registries a Dockerfile pulls from, so that a build is given the credentials of those and of no others.

use base::names::ImageRef;
use engine::credentials::RegistryHost;
use std::collections::{BTreeMap, BTreeSet};

/// The registries of all base images, as far as the text says. Arguments are replaced by what was given, else by
/// their defaults; an image that then still holds a variable is left out.
pub(super) fn registries<'a>(
    dockerfile: &str,
    given: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<RegistryHost> {
    let given: BTreeMap<&str, &str> = given.collect();
    let mut arguments: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: BTreeSet<String> = BTreeSet::new();
    let mut found: BTreeSet<RegistryHost> = BTreeSet::new();
    for line in logical_lines(dockerfile) {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        let mut add = |text: &str, stages: &BTreeSet<String>| {
            let text = replaced(text, &arguments);
            let is_stage =
                stages.contains(&text.to_ascii_lowercase()) || text.bytes().all(|b| b.is_ascii_digit());
            if !is_stage
                && text != "scratch"
                && let Ok(image) = ImageRef::parse(&text)
            {
                found.extend(RegistryHost::of(&image));
            }
        };
        match instruction.as_str() {
            "ARG" => {
                for word in words {
                    let (name, default) = word.split_once('=').unwrap_or((word, ""));
                    let default = default.trim_matches(['"', '\'']);
                    let value = given.get(name).copied().unwrap_or(default);
                    arguments.insert(name.to_owned(), value.to_owned());
                }
            }
            "FROM" => {
                let mut words = words.filter(|word| !word.starts_with("--"));
                add(words.next().unwrap_or_default(), &stages);
                if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as"))
                    && let Some(stage) = words.next()
                {
                    stages.insert(stage.to_ascii_lowercase());
                }
            }
            "COPY" => {
                if let Some(from) = words.find_map(|word| word.strip_prefix("--from=")) {
                    add(from, &stages);
                }
            }
            _ => {}
        }
    }
    found.into_iter().collect()
}

/// Lines with continuations joined, without comments.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut joined = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        if let Some(begun) = line.trim_end().strip_suffix('\\') {
            joined.push_str(begun);
            joined.push(' ');
        } else {
            joined.push_str(line);
            lines.push(std::mem::take(&mut joined));
        }
    }
    lines.push(joined);
    lines
}

/// `$NAME`, `${NAME}` and `${NAME:-default}` with their values; what has none stays as it is, which no image
/// reference can hold.
fn replaced(text: &str, arguments: &BTreeMap<String, String>) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        done.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (expression, tail) = braced.unwrap_or_else(|| {
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(after.len());
            after.split_at(end)
        });
        let (name, default) = match expression.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (expression, None),
        };
        match arguments
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
            .or(default)
        {
            Some(value) => done.push_str(value),
            None => done.push('$'),
        }
        rest = tail;
    }
    done.push_str(rest);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_images_tell_their_registries() {
        for (text, expected) in [
            ("FROM busybox:1", vec!["docker.io"]),
            ("FROM scratch", vec![]),
            (
                "# FROM a.example/x\nfrom b.example:5000/x:1 as build\nFROM build\nCOPY --from=build /a /b",
                vec!["b.example:5000"],
            ),
            ("FROM --platform=linux/amd64 a.example/x", vec!["a.example"]),
            ("ARG R=a.example\nFROM $R/x", vec!["a.example"]),
            ("ARG R=\"a.example\"\nFROM ${R}/x:1", vec!["a.example"]),
            ("ARG GIVEN=a.example\nFROM ${GIVEN}/x", vec!["given.example"]),
            ("FROM ${R:-d.example}/x", vec!["d.example"]),
            ("FROM $UNKNOWN/x", vec![]),
            (
                "FROM a.example/x AS one\nCOPY --from=0 /a /b\nCOPY --chown=1 --from=c.example/y /a /b",
                vec!["a.example", "c.example"],
            ),
            (
                "FROM \\\n  a.example/x\nRUN echo FROM z.example/x",
                vec!["a.example"],
            ),
            ("", vec![]),
            ("FROM", vec![]),
            ("FROM ${", vec![]),
        ] {
            let given = [("GIVEN", "given.example")].into_iter();
            let found = registries(text, given);
            let found: Vec<&str> = found.iter().map(RegistryHost::as_str).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
