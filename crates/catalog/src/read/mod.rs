//! Readers: from what a catalog, a folder, an image or a registry says of servers to [`Entry`].
//!
//! A broken entry is a [`Fault`] with its name and line, and the others are read all the same. A field that is not known
//! is a note of its entry. A field that is known and has a value of the wrong kind is a fault: a definition that is only
//! half understood is not run. Deliberately absent: fetching.

mod catalog;
mod folder;
mod options;
mod own;
mod parts;
mod registry;
mod salvage;
mod server_json;

use std::fmt;

use base::names::ServerName;
use serde::Serialize;

use crate::entry::{Entry, Format, Note};
use crate::node::{Bad, Node};

pub use catalog::{catalog, label};
pub use folder::folder;
pub use own::{Own, own};
pub use registry::{Page, registry, server_json};

pub(crate) use catalog::builtin;

/// What a catalog has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// Its name, as it says.
    pub name: Option<String>,
    /// Its name for people.
    pub title: Option<String>,
    /// Those that could be read, in its order.
    pub entries: Vec<Entry>,
    /// Those that could not.
    pub faults: Vec<Fault>,
    /// What was noticed of the catalog itself.
    pub notes: Vec<Note>,
}

/// An entry that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Fault {
    /// Its name, as it is written; cut and made printable.
    pub name: String,
    /// Where, counted from 1; 0 where that is not known.
    pub line: u32,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.name, self.what),
            line => write!(f, "{} (line {line}): {}", self.name, self.what),
        }
    }
}

impl Fault {
    pub(crate) fn of(name: &str, bad: Bad) -> Self {
        Self {
            name: base::text::clean(base::text::cut(name, 128)).into_owned(),
            line: bad.line,
            what: bad.what,
        }
    }
}

impl Catalog {
    /// Takes an entry, unless one of its name is there already.
    pub(crate) fn add(&mut self, name: &str, line: u32, read: Result<Entry, Bad>) {
        match read {
            Ok(entry) if self.entries.iter().any(|other| other.name == entry.name) => {
                let bad = Bad::at(
                    line,
                    "there is another entry of this name before it, which counts",
                );
                self.faults.push(Fault::of(name, bad));
            }
            Ok(entry) => self.entries.push(entry),
            Err(bad) => {
                let bad = Bad {
                    line: if bad.line == 0 { line } else { bad.line },
                    ..bad
                };
                self.faults.push(Fault::of(name, bad));
            }
        }
    }

    /// The entry of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name.as_str() == name)
    }
}

/// An entry in a catalog's form that another document holds.
pub(crate) fn snapshot(name: &str, node: &Node, image: Option<&str>) -> Result<Entry, Bad> {
    catalog::entry(name, node, Format::Catalog, image)
}

/// A server's name; `/` of the official registry's names becomes `.`.
pub(crate) fn server_name(text: &str, line: u32) -> Result<(ServerName, Option<String>), Bad> {
    let here = text.replace('/', ".");
    let name = ServerName::parse(&here).map_err(|error| Bad::at(line, error.to_string()))?;
    Ok((name, (here != text).then(|| text.to_owned())))
}
