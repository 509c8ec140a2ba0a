//! What the gateway says that it can: what the servers can that a client sees. Of those of which nothing is known yet all
//! is expected, as nobody waits for them here.

use std::sync::Arc;

use serde_json::map::Entry;
use serde_json::{Map, Value, json};
use wire::Era;
use wire::edit::Object;
use wire::meta::TASKS_EXTENSION;

use crate::caller::Peer;
use crate::core::Core;
use crate::skills;
use crate::upstream::Known;

/// Extensions that work for several servers at once: what they name is routed.
const ROUTED: [&str; 2] = ["io.modelcontextprotocol/ui", skills::EXTENSION];

/// The `capabilities` for `peer`, in the words of its era.
pub(crate) fn of(core: &Core, peer: &Peer, era: Era) -> Value {
    let servers = core.set().seen(&peer.view);
    let known: Vec<Option<Arc<Known>>> = servers.iter().map(|server| server.peek(peer)).collect();
    let is_partial = known.iter().any(Option::is_none);
    let known: Vec<Arc<Known>> = known.into_iter().flatten().collect();
    let offers = |name: &str| is_partial || known.iter().any(|known| known.offers(name));
    let subscribes =
        |known: &Arc<Known>| member(known, "resources", "subscribe").is_some_and(|it| it == true);
    let mut all = json!({
        "tools": {"listChanged": true},
        // Answers that were cut are read as resources, whatever the servers have.
        "resources": {"subscribe": is_partial || known.iter().any(subscribes), "listChanged": true},
    });
    if offers("prompts") {
        all["prompts"] = json!({"listChanged": true});
    }
    for name in ["completions", "logging"] {
        if offers(name) {
            all[name] = json!({});
        }
    }
    let has_tasks = is_partial || servers.iter().any(|server| server.offers_tasks(peer));
    let mut extensions = extensions(&known, servers.len() == 1);
    match era {
        Era::Modern if has_tasks => {
            extensions.insert(TASKS_EXTENSION.to_owned(), json!({}));
        }
        Era::Legacy(_) if has_tasks => {
            all["tasks"] = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
        }
        _ => {}
    }
    if !extensions.is_empty() {
        all["extensions"] = extensions.into();
    }
    if let ([known], 1) = (&known[..], servers.len())
        && let Some(experimental) = value(known, "experimental")
    {
        all["experimental"] = experimental;
    }
    all
}

/// The extensions of the servers: of an only one all, since what it alone knows goes to it.
fn extensions(known: &[Arc<Known>], is_only: bool) -> Map<String, Value> {
    let mut all = Map::new();
    for known in known {
        let Some(Value::Object(theirs)) = value(known, "extensions") else {
            continue;
        };
        for (name, settings) in theirs {
            if name != TASKS_EXTENSION && (is_only || ROUTED.contains(&name.as_str())) {
                match all.entry(name) {
                    Entry::Vacant(place) => drop(place.insert(settings)),
                    // What all of them offer.
                    Entry::Occupied(mut place) => {
                        if let Some(common) = place.get_mut().as_object_mut() {
                            common.retain(|name, value| settings.get(name) == Some(value));
                        }
                    }
                }
            }
        }
    }
    all
}

fn member(known: &Known, capability: &str, name: &str) -> Option<Value> {
    value(known, capability)?.get(name).cloned()
}

fn value(known: &Known, capability: &str) -> Option<Value> {
    let capabilities = Object::parse(known.said.capabilities.as_ref()?).ok()?;
    serde_json::from_str(capabilities.get(capability)?.get()).ok()
}
