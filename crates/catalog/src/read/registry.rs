//! Answers of the official registry's API v0.1 and of registries that speak as it does.

use super::{Catalog, Fault, server_json as reader};
use crate::entry::{Entry, Kind, Note};
use crate::node::{self, Bad, Fields, Node};

/// A page of a list of servers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// What is on it; of several versions of a server the newest.
    pub catalog: Catalog,
    /// Asks for the next page; `None`: this is the last.
    pub next: Option<String>,
}

/// Reads `GET /v0.1/servers`, and `GET /v0.1/servers/NAME/versions`, which has the same form.
pub fn registry(text: &str) -> Result<Page, Bad> {
    let root = node::json(text)?;
    let mut fields = Fields::of("", &root)?;
    let mut page = Page::default();
    if !fields.has("servers") {
        return Err(Bad::at(
            0,
            "it has no `servers`, so it is no answer of a registry",
        ));
    }
    // Of each server: whether the version that was kept is said to be the newest.
    let mut newest: Vec<bool> = Vec::new();
    for (place, item) in fields.list("servers").iter().enumerate() {
        let (name, is_newest, read) = listed(item, place);
        let place = match &read {
            Ok(entry) => page
                .catalog
                .entries
                .iter()
                .position(|other| other.name == entry.name),
            Err(_) => None,
        };
        match (read, place) {
            (Ok(entry), Some(place)) => {
                if let (Some(slot), Some(known)) =
                    (page.catalog.entries.get_mut(place), newest.get_mut(place))
                    && is_newest
                    && !*known
                {
                    *slot = entry;
                    *known = true;
                }
            }
            (Ok(entry), None) => {
                page.catalog.entries.push(entry);
                newest.push(is_newest);
            }
            (Err(bad), _) => page.catalog.faults.push(Fault::of(&name, bad)),
        }
    }
    if let Some(node) = fields.take("metadata") {
        let mut metadata = Fields::of("metadata", node)?;
        page.next = metadata
            .either(&["nextCursor", "next_cursor"])
            .and_then(Node::scalar)
            .filter(|next| !next.is_empty());
    }
    Ok(page)
}

/// Reads one `server.json` (schema 2025-12-11 and those before it), or `GET /v0.1/servers/NAME/versions/VERSION`.
pub fn server_json(text: &str) -> Result<Entry, Fault> {
    let root = node::json(text).map_err(|bad| Fault::of("server.json", bad))?;
    let (name, _, read) = listed(&root, 0);
    read.map_err(|bad| Fault::of(&name, bad))
}

/// A server with what the registry says of it, or the server alone. Its name, whether it is the newest, and the entry.
fn listed(item: &Node, place: usize) -> (String, bool, Result<Entry, Bad>) {
    let unnamed = format!("servers[{place}]");
    let mut fields = match Fields::of("", item) {
        Ok(fields) => fields,
        Err(bad) => return (unnamed, false, Err(bad)),
    };
    let server = fields.take("server").unwrap_or(item);
    let status = Status::read(fields.take("_meta"));
    let name = Fields::of("", server)
        .ok()
        .and_then(|mut fields| fields.text("name").ok().flatten());
    let Some(name) = name else {
        return (unnamed, false, Err(Bad::at(item.line, "it has no name")));
    };
    let read = reader::read(&name, server).map(|mut entry| {
        match status.word.as_deref() {
            Some("deleted") => {
                entry.kind = Kind::Unusable("its publisher has deleted it from the registry".to_owned());
            }
            Some("deprecated") => {
                let text = "its publisher says that it should no longer be used";
                entry.notes.insert(0, Note::at(0, text));
            }
            _ => {}
        }
        entry
    });
    (name, status.newest, read)
}

#[derive(Default)]
struct Status {
    word: Option<String>,
    newest: bool,
}

impl Status {
    fn read(meta: Option<&Node>) -> Self {
        let read = || {
            let mut fields = Fields::of("_meta", meta?).ok()?;
            let node = fields.take("io.modelcontextprotocol.registry/official")?;
            let mut official = Fields::of("_meta", node).ok()?;
            Some(Self {
                word: official.text("status").ok().flatten(),
                newest: official
                    .either(&["isLatest", "is_latest"])
                    .and_then(Node::scalar)
                    .as_deref()
                    == Some("true"),
            })
        };
        read().unwrap_or_default()
    }
}
