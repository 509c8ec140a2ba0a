//! Skills (the extension `io.modelcontextprotocol/skills`, SEP-2640) of several servers at one endpoint: each page of
//! `skills/list` is one server's, and `skills/get` and `resources/directory/read` go to the server that has the skill. Where
//! several servers of a view have resources, the URIs of skills bear their server's mark, so that any file of a skill is
//! found by `resources/read` without having been listed; scheme and path stay.
//!
//! A call like any other (`extension.rs`), but one that only reads.

use std::sync::Arc;

use wire::edit::{Object, items};
use wire::{Fault, Raw, code};

use crate::caller::Peer;
use crate::core::Core;
use crate::dispatch::Asked;
use crate::extension;
use crate::names;
use crate::upstream::Upstream;

/// The extension.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/skills";
const LIST: &str = "skills/list";
const GET: &str = "skills/get";
const DIRECTORY: &str = "resources/directory/read";

/// Whether a request is about skills.
pub(crate) fn is_about(method: &str) -> bool {
    matches!(method, LIST | GET | DIRECTORY)
}

/// Answers a request about skills.
pub(crate) async fn answer(core: &Core, asked: Asked<'_>) -> Result<Raw, Fault> {
    let peer = asked.caller.peer();
    let skills = Skills::of(core, &peer).await?;
    match (&skills.servers[..], asked.method) {
        ([], _) => extension::request(core, asked).await,
        (_, LIST) => skills.list(core, asked).await,
        _ => skills.one(core, &peer, asked).await,
    }
}

/// The servers of a view that have skills, by name.
struct Skills {
    servers: Vec<Arc<Upstream>>,
    /// Others of the view have resources, so the URIs of skills are marked.
    marks: bool,
}

impl Skills {
    async fn of(core: &Core, peer: &Peer) -> Result<Self, Fault> {
        let index = core.index(peer).await?;
        let mut servers = Vec::new();
        let mut with_resources = 0;
        for upstream in &index.upstreams {
            let Some(known) = upstream.peek(peer) else {
                continue;
            };
            let has_skills = known.extends(EXTENSION);
            with_resources += usize::from(has_skills || known.offers("resources"));
            if has_skills {
                servers.push(Arc::clone(upstream));
            }
        }
        servers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            servers,
            marks: with_resources > 1,
        })
    }

    /// A page of one server; after its last comes the first of the next. A server that fails is left out where there are
    /// others.
    async fn list(&self, core: &Core, asked: Asked<'_>) -> Result<Raw, Fault> {
        let given = asked.params.text("cursor").map(std::borrow::Cow::into_owned);
        let (from, cursor) = match given.as_deref().map(|cursor| cursor.split_once(':')) {
            None => ("", None),
            Some(Some((server, cursor))) => (server, Some(cursor).filter(|cursor| !cursor.is_empty())),
            Some(None) => {
                let why = "params.cursor is none that was given out here";
                return Err(Fault::new(code::INVALID_PARAMS, why));
            }
        };
        let first = self.servers.partition_point(|server| *server.name < *from);
        for (at, server) in self.servers.iter().enumerate().skip(first) {
            let after = self.servers.get(at + 1);
            let mut params = asked.params.clone();
            match cursor {
                Some(cursor) if *server.name == *from => params.set("cursor", cursor),
                _ => params.remove("cursor"),
            }
            let result = match self.pass(core, &asked, server, params).await {
                Ok(result) => result,
                Err(fault) if self.servers.len() == 1 => return Err(fault),
                Err(fault) => {
                    tracing::warn!(
                        server = server.name,
                        "its skills are not known: {}",
                        fault.message()
                    );
                    continue;
                }
            };
            let Ok(mut page) = Object::parse(&result) else {
                return Ok(result);
            };
            let next = page
                .text("nextCursor")
                .map(|cursor| format!("{}:{cursor}", server.name));
            let next = next.or_else(|| after.map(|server| format!("{}:", server.name)));
            // A client takes a page without skills for what it is, but need not fetch it.
            let is_empty = page
                .get("skills")
                .and_then(items)
                .is_none_or(|skills| skills.is_empty());
            if is_empty && page.text("nextCursor").is_none() && after.is_some() {
                continue;
            }
            match next {
                Some(next) => page.set("nextCursor", &next),
                None => page.remove("nextCursor"),
            }
            return Ok(page.to_raw());
        }
        let mut nothing = Object::empty();
        nothing.set("skills", &[(); 0]);
        Ok(nothing.to_raw())
    }

    /// A request about one skill, or one folder of it.
    async fn one(&self, core: &Core, peer: &Peer, asked: Asked<'_>) -> Result<Raw, Fault> {
        let uri = asked.params.text("uri").map(std::borrow::Cow::into_owned);
        let uri = uri.ok_or_else(|| Fault::new(code::INVALID_PARAMS, "params.uri is required"))?;
        let place = match names::unmarked(&uri) {
            Some((server, own)) => self.named(server).map(|server| (server, own)),
            None => match (&self.servers[..], core.find_resource(peer, &uri).await) {
                ([server], _) => Some((server, uri.clone())),
                (_, Ok(found)) => self
                    .named(&found.upstream.name)
                    .map(|server| (server, found.name)),
                (_, Err(_)) => None,
            },
        };
        let (server, own) = place.ok_or_else(|| {
            let uri = base::text::cut(&uri, 200);
            Fault::new(code::INVALID_PARAMS, format!("there is no skill {uri:?}"))
        })?;
        let mut params = asked.params.clone();
        params.set("uri", &own);
        self.pass(core, &asked, server, params).await
    }

    fn named(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.servers.iter().find(|server| server.name == name)
    }

    async fn pass(
        &self,
        core: &Core,
        asked: &Asked<'_>,
        server: &Arc<Upstream>,
        params: Object<'_>,
    ) -> Result<Raw, Fault> {
        let asked = Asked {
            caller: asked.caller,
            method: asked.method,
            params,
            outlet: asked.outlet,
            cancel: asked.cancel,
        };
        let result = extension::pass(core, &asked, server, extension::Manner::Reads).await?;
        Ok(if self.marks {
            marked(&server.name, &result)
        } else {
            result
        })
    }
}

/// A result with the server's mark on each URI: of skills, of their files, of what is in a folder.
fn marked(server: &str, result: &Raw) -> Raw {
    let Ok(mut object) = Object::parse(result) else {
        return result.clone();
    };
    for member in ["skills", "resources"] {
        if let Some(entries) = object.get(member).and_then(items) {
            let entries: Vec<Raw> = entries.into_iter().map(|entry| entry_of(server, entry)).collect();
            object.set(member, &entries);
        }
    }
    if let Some(skill) = object.get("skill").map(ToOwned::to_owned) {
        object.set("skill", &entry_of(server, &skill));
    }
    object.to_raw()
}

fn entry_of(server: &str, entry: &serde_json::value::RawValue) -> Raw {
    let entry = entry.to_owned();
    let Ok(mut object) = Object::parse(&entry) else {
        return entry;
    };
    if let Some(uri) = object.text("uri").map(|uri| names::marked(server, &uri)) {
        object.set("uri", &uri);
    }
    if let Some(files) = object.get("resources").and_then(items) {
        let files: Vec<Raw> = files.into_iter().map(|file| entry_of(server, file)).collect();
        object.set("resources", &files);
    }
    object.to_raw()
}
