//! Reading the configuration file: each key with its line, every unknown one reported with what was probably meant.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use engine::guard::Policy;
use fs_err as fs;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::config::Config;
use super::hosts::LOCAL;
use super::table;
use crate::permissions;

/// A file that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    pub(crate) config: Config,
    /// The keys that it has, as TOML writes them, with their line and what stands there, on one line.
    pub(crate) keys: BTreeMap<String, Written>,
}

/// What a file says for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) setting: &'static str,
    pub(crate) line: usize,
    pub(crate) value: String,
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It can't be read.
    #[error("can't read the configuration")]
    Unreadable(#[from] io::Error),
    /// The file that is to be a host's guard can't be read.
    #[error("can't read the guard_file of a host")]
    NoGuard(#[source] io::Error),
    /// It says what it can't say.
    #[error("{}", Faults(.path, .faults))]
    Faulty { path: PathBuf, faults: Vec<Fault> },
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) message: String,
}

struct Faults<'a>(&'a Path, &'a [Fault]);

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.1.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(
                f,
                "{newline}{}:{}: {}",
                self.0.display(),
                fault.line,
                fault.message
            )?;
        }
        Ok(())
    }
}

/// Reads the file; `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<File>, FileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let faulty = |faults| FileError::Faulty {
        path: path.to_owned(),
        faults,
    };
    parse(&text).map(Some).map_err(faulty)
}

/// Reads a file that holds a guard's table and nothing else.
pub(super) fn read_guard(path: &Path) -> Result<Policy, FileError> {
    let text = fs::read_to_string(path).map_err(FileError::NoGuard)?;
    parse_guard(&text).map_err(|faults| FileError::Faulty {
        path: path.to_owned(),
        faults,
    })
}

/// Reads the text of such a file.
pub(super) fn parse_guard(text: &str) -> Result<Policy, Vec<Fault>> {
    let read = || {
        let keys = keys(text, &["hosts", LOCAL, "guard"])?;
        read_as(text, &keys)
    };
    read().map_err(|mut faults: Vec<Fault>| {
        for fault in &mut faults {
            // As the keys are called there.
            fault.message = fault.message.replace("hosts.local.guard.", "");
        }
        faults
    })
}

/// Reads the text of a file.
pub(crate) fn parse(text: &str) -> Result<File, Vec<Fault>> {
    let keys = keys(text, &[])?;
    let config: Config = read_as(text, &keys)?;
    let at = |key: &str, message: &str| {
        // What is missing has no line of its own; what it is missing from is nearby.
        let table = key.rsplit_once('.').map_or(key, |(table, _)| table);
        let beneath = || {
            keys.iter()
                .find(|(known, _)| known.starts_with(table))
                .map(|(_, own)| own)
        };
        let line = keys.get(key).or_else(beneath).map_or(1, |written| written.line);
        vec![Fault {
            line,
            message: format!("`{key}`: {message}"),
        }]
    };
    config
        .hosts
        .check()
        .map_err(|(key, message)| at(&key, &message))?;
    config.shell.check().map_err(|(key, message)| at(key, &message))?;
    permissions::check(&config).map_err(|(key, message)| at(key, &message))?;
    Ok(File { config, keys })
}

/// The keys of a text that is the table at this path.
fn keys(text: &str, path: &[&str]) -> Result<BTreeMap<String, Written>, Vec<Fault>> {
    let lines = Lines(text);
    let parsed = DeTable::parse(text).map_err(|error| fault(&error, &lines))?;
    let mut walk = Walk {
        lines: &lines,
        keys: BTreeMap::new(),
        faults: Vec::new(),
    };
    walk.table(parsed.get_ref(), path);
    if walk.faults.is_empty() {
        Ok(walk.keys)
    } else {
        Err(walk.faults)
    }
}

fn read_as<T: DeserializeOwned>(text: &str, keys: &BTreeMap<String, Written>) -> Result<T, Vec<Fault>> {
    toml::from_str(text).map_err(|error| {
        let mut faults = fault(&error, &Lines(text));
        for fault in &mut faults {
            name_key(fault, keys);
        }
        faults
    })
}

fn fault(error: &toml::de::Error, lines: &Lines<'_>) -> Vec<Fault> {
    let line = error.span().map_or(1, |span| lines.at(span.start));
    vec![Fault {
        line,
        message: error.message().trim().replace('\n', " "),
    }]
}

/// Puts the key before a fault in its value, and Rust's names of types into words.
fn name_key(fault: &mut Fault, keys: &BTreeMap<String, Written>) {
    let before = keys.iter().filter(|(_, written)| written.line <= fault.line);
    if let Some((key, _)) = before.max_by_key(|(_, written)| written.line) {
        fault.message = format!("`{key}`: {}", fault.message);
    }
    for (rust, words) in [
        ("expected u16", "expected a number up to 65535"),
        ("expected u32", "expected a number"),
        ("expected u8", "expected a number up to 255"),
        (
            "expected struct Root",
            "expected a table such as { path = \"/srv/work\", write = true }",
        ),
        (
            "expected struct Written",
            "expected a table such as { path = \"/srv/work\", write = true }",
        ),
    ] {
        fault.message = fault.message.replace(rust, words);
    }
}

/// Turns places into line numbers.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn at(&self, place: usize) -> usize {
        self.0[..self.0.floor_char_boundary(place)].matches('\n').count() + 1
    }
}

struct Walk<'a> {
    lines: &'a Lines<'a>,
    keys: BTreeMap<String, Written>,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &[&str]) {
        for (name, value) in table {
            let line = self.lines.at(name.span().start);
            let own = [path, &[name.get_ref().as_ref()]].concat();
            if let Some(setting) = table::find(&own) {
                let written = Written {
                    setting: setting.key,
                    line,
                    value: shown(value, &self.lines.0[value.span()]),
                };
                self.keys.insert(table::dotted(&own), written);
            } else if table::SETTINGS
                .iter()
                .any(|setting| table::is_beneath(setting.key, &own))
            {
                self.inner(value, &own, line);
            } else {
                self.faults.push(Fault {
                    line,
                    message: unknown(&own, path),
                });
            }
        }
    }

    fn inner(&mut self, value: &Spanned<DeValue<'_>>, path: &[&str], line: usize) {
        let key = table::dotted(path);
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, path),
            _ => self.faults.push(Fault {
                line,
                message: format!("`{key}` is a table: write [{key}], and its keys below"),
            }),
        }
    }
}

/// So many keys of a table are named beside one that is unknown.
const SHOWN: usize = 30;

fn unknown(path: &[&str], table: &[&str]) -> String {
    let name = path.last().copied().unwrap_or_default();
    let shown = path.join(".");
    let shown = base::text::clean(base::text::cut(&shown, 120)).replace('\n', " ");
    if let Some(near) = nearest(name, table::children(table)) {
        return format!("unknown key `{shown}`; did you mean `{near}`?");
    }
    let elsewhere = table::SETTINGS
        .iter()
        .find_map(|setting| setting.key.strip_suffix(name)?.strip_suffix('.'));
    if let Some(home) = elsewhere {
        return format!("unknown key `{shown}`; `{name}` belongs under [{home}]");
    }
    let mut known: Vec<_> = table::children(table).take(SHOWN + 1).collect();
    if known.len() > SHOWN {
        known.truncate(SHOWN);
        known.push("…");
    }
    let place = if table.is_empty() {
        "the file".to_owned()
    } else {
        format!("[{}]", table::dotted(table))
    };
    format!("unknown key `{shown}`; {place} has: {}", known.join(", "))
}

/// The name that was probably meant: at most a third of its letters differ.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|candidate| (distance(name, candidate), candidate));
    let (distance, candidate) = distances.min()?;
    (distance <= candidate.len().div_ceil(3).min(3)).then_some(candidate)
}

/// The Levenshtein distance, over at most 64 characters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (place, candidate) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *candidate);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

/// A value as it was written, without comments and line breaks. A table of its own has no text to show.
fn shown(value: &Spanned<DeValue<'_>>, toml: &str) -> String {
    match value.get_ref() {
        DeValue::Table(table) if !toml.starts_with('{') => {
            let names: Vec<_> = table.keys().map(|name| name.get_ref().as_ref()).collect();
            format!(
                "{{ {} }}",
                names
                    .iter()
                    .map(|name| format!("{} = …", table::dotted(&[name])))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        _ => on_one_line(toml),
    }
}

/// TOML as it was written, without comments and line breaks.
fn on_one_line(toml: &str) -> String {
    if !toml.contains('\n') {
        return toml.to_owned();
    }
    match format!("v = {toml}").parse::<toml::Table>() {
        Ok(table) => table.get("v").map_or_else(String::new, ToString::to_string),
        Err(_) => toml.replace('\n', " "),
    }
}
