//! An existing `docker mcp` set-up: what stands in `~/.docker/mcp`, read into setups and secrets.
//!
//! Each file is optional. Values of secrets come out as [`Secret`] and stand in no message. Deliberately absent: reading
//! the folder, and storing anything.

use std::collections::BTreeMap;

use base::Secret;
use base::names::ServerName;
use serde_json::Value;

use crate::entry::{Entry, Note};
use crate::node::{self, Bad, Fields, Kind, Node};
use crate::read::{Fault, server_name};
use crate::setup::Setup;

/// The texts of a set-up's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files<'a> {
    /// `registry.yaml`: the servers that are switched on.
    pub registry: Option<&'a str>,
    /// `config.yaml`: their configuration.
    pub config: Option<&'a str>,
    /// `tools.yaml`: their tools that may be called.
    pub tools: Option<&'a str>,
    /// `.env`: secrets.
    pub secrets: Option<&'a str>,
    /// `catalog.json`: the catalogs that are known.
    pub catalogs: Option<&'a str>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Imported {
    /// The profile's name, if there is one.
    pub name: Option<String>,
    /// Switched-on servers.
    pub servers: BTreeMap<ServerName, Setup>,
    /// Setups of servers that are not switched on; they are kept for when they will be.
    pub switched_off: BTreeMap<ServerName, Setup>,
    /// Definitions that came along.
    pub entries: Vec<Entry>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Known catalogs.
    pub catalogs: Vec<KnownCatalog>,
    /// What could not be read; `name` is the file and the server.
    pub faults: Vec<Fault>,
    /// What was noticed.
    pub notes: Vec<Note>,
}

/// A catalog that a set-up knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCatalog {
    /// Its name there.
    pub name: String,
    /// For people.
    pub title: Option<String>,
    /// A URL or a path; some were made by hand and have none.
    pub place: Option<String>,
}

/// The one file that is JSON.
const CATALOGS: &str = "catalog.json";
/// More secrets than these are not taken.
const MAX_SECRETS: usize = 10_000;

/// Reads a set-up. What one file has wrong does not keep the others from being read.
pub fn import(files: &Files<'_>) -> Imported {
    let mut imported = Imported::default();
    let mut setups: BTreeMap<ServerName, Setup> = BTreeMap::new();
    let mut on: Vec<ServerName> = Vec::new();
    let mut each = |file: &'static str,
                    text: Option<&str>,
                    take: &mut dyn FnMut(&Node, &mut Imported) -> Result<(), Bad>| {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            return;
        };
        let root = if file == CATALOGS {
            node::json(text)
        } else {
            node::yaml(text)
        };
        if let Err(bad) = root.and_then(|root| take(&root, &mut imported)) {
            imported.faults.push(Fault::of(file, bad));
        }
    };
    each("registry.yaml", files.registry, &mut |root, imported| {
        registry(root, &mut setups, &mut on, imported)
    });
    each("config.yaml", files.config, &mut |root, imported| {
        config(root, &mut setups, imported)
    });
    each("tools.yaml", files.tools, &mut |root, imported| {
        tools(root, &mut setups, imported)
    });
    each(CATALOGS, files.catalogs, &mut |root, imported| {
        catalogs(root, imported)
    });
    if let Some(text) = files.secrets {
        secrets(text, &mut imported);
    }
    for (name, setup) in setups {
        let place = if on.contains(&name) {
            &mut imported.servers
        } else {
            &mut imported.switched_off
        };
        place.insert(name, setup);
    }
    imported
}

/// The servers that a file names, each with what it says of it. A name that nothing can have is a fault of its own.
fn servers<'n>(
    file: &str,
    node: &'n Node,
    imported: &mut Imported,
) -> Result<Vec<(ServerName, &'n Node)>, Bad> {
    let pairs = match &node.kind {
        Kind::Map(pairs) => pairs.as_slice(),
        Kind::Null => &[],
        _ => return Err(Bad::at(node.line, "it is not a mapping of servers")),
    };
    let mut found = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        match server_name(&key.text, key.line) {
            Ok((name, _)) => found.push((name, value)),
            Err(bad) => imported
                .faults
                .push(Fault::of(&format!("{file}: {}", key.text), bad)),
        }
    }
    Ok(found)
}

type Setups = BTreeMap<ServerName, Setup>;

fn registry(
    root: &Node,
    setups: &mut Setups,
    on: &mut Vec<ServerName>,
    imported: &mut Imported,
) -> Result<(), Bad> {
    let mut fields = Fields::of("", root)?;
    let Some(node) = fields.take("registry") else {
        return Ok(());
    };
    for (name, node) in servers("registry.yaml", node, imported)? {
        let config = Fields::of("", node)
            .ok()
            .and_then(|mut fields| fields.take("config").map(Node::value));
        let setup = setups.entry(name.clone()).or_default();
        if let Some(Value::Object(map)) = config {
            setup.config.extend(map);
        }
        if !on.contains(&name) {
            on.push(name);
        }
    }
    imported.notes.extend(fields.end());
    Ok(())
}

fn config(root: &Node, setups: &mut Setups, imported: &mut Imported) -> Result<(), Bad> {
    for (name, node) in servers("config.yaml", root, imported)? {
        match node.value() {
            Value::Object(map) => setups.entry(name).or_default().config.extend(map),
            Value::Null => {}
            _ => {
                let bad = Bad::at(node.line, "its configuration is not a mapping");
                imported
                    .faults
                    .push(Fault::of(&format!("config.yaml: {name}"), bad));
            }
        }
    }
    Ok(())
}

fn tools(root: &Node, setups: &mut Setups, imported: &mut Imported) -> Result<(), Bad> {
    for (name, node) in servers("tools.yaml", root, imported)? {
        let names = match &node.kind {
            // An empty list means none, and so does a key without anything behind it.
            Kind::Null => Vec::new(),
            Kind::List(items) => items.iter().filter_map(Node::scalar).collect(),
            _ => {
                let bad = Bad::at(node.line, "its tools are not a list");
                imported
                    .faults
                    .push(Fault::of(&format!("tools.yaml: {name}"), bad));
                continue;
            }
        };
        setups.entry(name).or_default().tools = Some(names);
    }
    Ok(())
}

fn catalogs(root: &Node, imported: &mut Imported) -> Result<(), Bad> {
    let mut fields = Fields::of("", root)?;
    let node = fields.take("catalogs").unwrap_or(root);
    let Kind::Map(pairs) = &node.kind else {
        return Ok(());
    };
    for (key, value) in pairs {
        let Ok(mut fields) = Fields::of("", value) else {
            continue;
        };
        imported.catalogs.push(KnownCatalog {
            name: key.text.clone(),
            title: fields.text("displayName")?,
            place: fields.text("url")?.filter(|place| !place.is_empty()),
        });
    }
    Ok(())
}

/// `name=value`, one a line, as it stands: no quotes, no escapes. A fault names the line and never what is on it.
fn secrets(text: &str, imported: &mut Imported) {
    for (place, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let number = u32::try_from(place + 1).unwrap_or(0);
        let bad = match trimmed.split_once('=') {
            _ if imported.secrets.len() >= MAX_SECRETS => "there are more secrets than can be taken",
            Some((name, _)) if name.trim().is_empty() => "there is nothing before the =",
            Some((name, value)) => {
                imported
                    .secrets
                    .insert(name.trim().to_owned(), Secret::new(value.trim_end_matches('\r')));
                continue;
            }
            None => "it is not NAME=VALUE",
        };
        imported.faults.push(Fault::of(".env", Bad::at(number, bad)));
    }
}
