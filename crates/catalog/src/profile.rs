//! Profiles as documents, to be kept in a repository or handed on: ours, and those of `docker mcp`.
//!
//! A document has no secrets: values are never in a [`Setup`], and what looks like one in an environment or a
//! configuration is left out and named. Deliberately absent: files and registries.

use std::collections::BTreeMap;

use base::names::ServerName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::docker_mcp::Imported;
use crate::entry::{Entry, Note};
use crate::node::{self, Bad, Fields, Node};
use crate::read::{self, Fault, Own};
use crate::setup::Setup;

/// The media type of a profile in an OCI registry.
pub const MEDIA_TYPE: &str = "application/vnd.dockmaster.profile.v1+json";
/// What says that a document is ours.
const FORMAT: &str = "dockmaster/profile";
/// The version that is written; greater ones are refused.
const VERSION: u32 = 1;

/// A profile as a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Always `dockmaster/profile`.
    format: String,
    /// Of the format.
    version: u32,
    /// The profile's name.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The switched-on servers.
    pub servers: BTreeMap<ServerName, Server>,
}

/// A server of a profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// How it is set up.
    #[serde(skip_serializing_if = "is_default")]
    pub setup: Setup,
    /// Its definition, when it is none of a catalog's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<Own>,
}

fn is_default(setup: &Setup) -> bool {
    *setup == Setup::default()
}

impl Profile {
    /// A profile for others, and what was left out of it because it may be a secret: `server: env.NAME`.
    pub fn export(name: &str, servers: BTreeMap<ServerName, Server>) -> (Self, Vec<String>) {
        let mut left_out = Vec::new();
        let mut clean = BTreeMap::new();
        for (server, mut what) in servers {
            let mut drop = |place: &str, key: &str| left_out.push(format!("{server}: {place}.{key}"));
            strip_texts(&mut what.setup.env, &mut |key| drop("env", key));
            strip(&mut what.setup.config, "", &mut |key| drop("config", key));
            // Its tools stand in a file of this machine, which the document does not carry.
            if what.own.as_ref().is_some_and(|own| own.tools.is_some()) {
                what.own = None;
                drop("own", "tools");
            }
            if let Some(own) = &mut what.own {
                strip_texts(&mut own.env, &mut |key| drop("own.env", key));
                strip_texts(&mut own.headers, &mut |key| drop("own.headers", key));
                if let Some(clean) = own.url.as_deref().and_then(without_secrets) {
                    own.url = Some(clean);
                    drop("own", "url");
                }
                hide(&mut own.args, &mut |place| drop("own.args", place));
                hide(&mut own.command, &mut |place| drop("own.command", place));
                if let Some(Value::Object(schema)) = &mut own.config {
                    strip(schema, "", &mut |key| drop("own.config", key));
                }
            }
            clean.insert(server, what);
        }
        let profile = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            name: name.to_owned(),
            description: None,
            servers: clean,
        };
        (profile, left_out)
    }

    /// Its text: JSON, the same for the same profile.
    pub fn to_text(&self) -> String {
        // All of it is texts, numbers, lists and mappings with texts as keys, which JSON can say.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads a document of ours.
    pub fn parse(text: &str) -> Result<Self, Bad> {
        if text.len() > node::MAX_BYTES {
            return Err(Bad::at(0, "it is larger than any profile"));
        }
        let head: Head = serde_json::from_str(text).map_err(|error| bad(&error))?;
        if head.format.as_deref() != Some(FORMAT) {
            return Err(Bad::at(0, format!("it does not say that its format is {FORMAT}")));
        }
        if head.version != Some(VERSION) {
            let version = head
                .version
                .map_or_else(|| "none".to_owned(), |version| version.to_string());
            return Err(Bad::at(
                0,
                format!("its version is {version}, and {VERSION} can be read here"),
            ));
        }
        let profile: Self = serde_json::from_str(text).map_err(|error| bad(&error))?;
        let files = |server: &Server| server.own.as_ref().is_some_and(|own| own.tools.is_some());
        if let Some((name, _)) = profile.servers.iter().find(|(_, server)| files(server)) {
            return Err(Bad::at(
                0,
                format!(
                    "its server {name} names a file of tools, and which files count here is for this machine to say"
                ),
            ));
        }
        Ok(profile)
    }
}

#[derive(Deserialize)]
struct Head {
    format: Option<String>,
    version: Option<u32>,
}

fn bad(error: &serde_json::Error) -> Bad {
    Bad::at(u32::try_from(error.line()).unwrap_or(0), error.to_string())
}

fn is_secret(key: &str, value: &str) -> bool {
    // `$NAME` and `{{...}}` are places to fill in and tell nothing.
    let is_filled_in = value.contains('$') || value.contains("{{");
    base::redact::is_secret_name(key) && !value.is_empty() && !is_filled_in
        || without_secrets(value).is_some()
}

fn strip_texts(map: &mut BTreeMap<String, String>, left_out: &mut dyn FnMut(&str)) {
    map.retain(|key, value| {
        let secret = is_secret(key, value);
        if secret {
            left_out(key);
        }
        !secret
    });
}

fn strip(map: &mut Map<String, Value>, path: &str, left_out: &mut dyn FnMut(&str)) {
    map.retain(|key, value| {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        stays(key, value, &path, left_out)
    });
}

fn stays(key: &str, value: &mut Value, path: &str, left_out: &mut dyn FnMut(&str)) -> bool {
    match value {
        Value::Object(inner) => strip(inner, path, left_out),
        Value::Array(items) => {
            let mut place = 0;
            items.retain_mut(|item| {
                let path = format!("{path}.{place}");
                place += 1;
                stays(key, item, &path, left_out)
            });
        }
        Value::String(text) if is_secret(key, text) => {
            left_out(path);
            return false;
        }
        _ => {}
    }
    true
}

/// Takes secrets out of arguments: the value of a secret's flag, and what looks like one. The argument stays in its place.
fn hide(arguments: &mut [String], left_out: &mut dyn FnMut(&str)) {
    let mut after_flag = false;
    for (place, argument) in arguments.iter_mut().enumerate() {
        let is_flag = argument.starts_with('-');
        let clean = if after_flag && !is_flag && is_secret("token", argument) {
            Some(base::redact::REDACTED.to_owned())
        } else {
            without_secrets(argument)
        };
        after_flag = is_flag
            && !argument.contains('=')
            && base::redact::is_secret_name(argument.trim_start_matches('-'));
        if let Some(clean) = clean {
            *argument = clean;
            left_out(&place.to_string());
        }
    }
}

/// The text without what looks like a secret in it, if anything does.
fn without_secrets(text: &str) -> Option<String> {
    // Places to fill in tell nothing; in this form redaction knows them.
    let probe = text.replace("{{", "${").replace('$', "${");
    (base::redact::text(&probe) != probe).then(|| base::redact::text(text).into_owned())
}

/// Reads a profile document of `docker mcp`, in YAML or JSON.
pub fn docker(text: &str) -> Result<Imported, Bad> {
    let root = if text.trim_start().starts_with('{') {
        node::json(text)?
    } else {
        node::yaml(text)?
    };
    let mut fields = Fields::of("", &root)?;
    let mut imported = Imported {
        name: fields.text("name")?.or(fields.text("id")?),
        ..Imported::default()
    };
    if !fields.has("servers") {
        return Err(Bad::at(root.line, "it has no `servers`, so it is no profile"));
    }
    for known in ["version", "id", "secrets"] {
        let _ = fields.take(known);
    }
    for (place, item) in fields.list("servers").iter().enumerate() {
        let unnamed = format!("servers[{place}]");
        match docker_server(item) {
            Ok((name, entry, setup, notes)) => {
                imported.notes.extend(
                    notes
                        .into_iter()
                        .map(|note| Note::at(note.line, format!("{name}: {}", note.text))),
                );
                imported.entries.extend(entry);
                imported.servers.insert(name, setup);
            }
            Err(bad) => imported.faults.push(Fault::of(&unnamed, bad)),
        }
    }
    imported.notes.extend(fields.end());
    Ok(imported)
}

type Read = (ServerName, Option<Entry>, Setup, Vec<Note>);

fn docker_server(item: &Node) -> Result<Read, Bad> {
    let mut fields = Fields::of("servers[]", item)?;
    let kind = fields.needed("type")?;
    let image = fields.text("image")?;
    let endpoint = fields.text("endpoint")?;
    let source = fields.text("source")?;
    let _ = fields.text("catalog_ref")?.or(fields.text("catalogRef")?);
    let _ = fields.text("secrets")?;
    let mut notes = Vec::new();
    let snapshot = fields
        .take("snapshot")
        .map(|node| Fields::of("snapshot", node))
        .transpose()?;
    let snapshot = snapshot.and_then(|mut snapshot| snapshot.take("server"));
    let name = snapshot.and_then(|node| Fields::of("", node).ok()?.text("name").ok()?);
    let entry = match (&name, snapshot) {
        (Some(name), Some(node)) => Some(read::snapshot(name, node, image.as_deref())?),
        _ => None,
    };
    let named = name.or_else(|| {
        let place = image.as_deref().or(source.as_deref()).or(endpoint.as_deref())?;
        Some(name_of(place))
    });
    let name =
        named.ok_or_else(|| fields.bad("snapshot", "is missing, and nothing else names the server"))?;
    let (name, _) = read::server_name(&name, item.line)?;
    if entry.is_none() {
        notes.push(Note::at(
            item.line,
            format!("its definition ({kind}) is not in the document; it has to be in a catalog here"),
        ));
    }
    let config = match fields.take("config").map(Node::value) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let tools = fields.take("tools").map(|node| match &node.kind {
        node::Kind::List(items) => items.iter().filter_map(Node::scalar).collect(),
        _ => Vec::new(),
    });
    notes.extend(fields.end());
    let setup = Setup {
        config,
        tools,
        ..Setup::default()
    };
    Ok((name, entry, setup, notes))
}

/// The last part of an image, a URL or a path, without tag.
fn name_of(place: &str) -> String {
    let path = place
        .split(['?', '#', '@'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_leaves_in_an_odd_place() {
        let own = serde_json::json!({
            "url": "https://a.example/mcp?api_key=s3cret-in-query&x=1",
            "args": ["--token", "s3cret-behind-flag", "--password=s3cret-of-flag", "--token", "$TOKEN", "plain"],
            "command": ["run", "postgres://me:s3cret-of-url@db/x"],
            "env": {"PLACE": "redis://:s3cret-in-env@r/0", "KEPT": "$TOKEN"},
        });
        let setup = serde_json::json!({
            "config": {"list": ["plain", "postgres://me:s3cret-in-list@db"], "tokens": {"token": ["s3cret-under-name"]}},
        });
        let server = Server {
            setup: serde_json::from_value(setup).unwrap(),
            own: Some(serde_json::from_value(own).unwrap()),
        };
        let name = ServerName::parse("one").unwrap();
        let (profile, left_out) = Profile::export("work", [(name, server)].into());
        let text = profile.to_text();
        assert!(!text.contains("s3cret"), "{text}");
        for kept in ["a.example", "x=1", "$TOKEN", "\"plain\"", "KEPT"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
        assert_eq!(
            left_out
                .iter()
                .map(|place| place.trim_start_matches("one: "))
                .collect::<Vec<_>>(),
            [
                "config.list.1",
                "config.tokens.token.0",
                "own.env.PLACE",
                "own.url",
                "own.args.1",
                "own.args.2",
                "own.command.1",
            ]
        );
    }
}
