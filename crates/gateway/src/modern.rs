//! Requests of the modern era: each by itself, with all that is known of its sender in it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wire::bridge;
use wire::edit::{Object, items};
use wire::meta::ModernMeta;
use wire::mrtr::RESULT_TYPE;
use wire::{Era, Fault, Id, Message, Raw, Request, Version, code, meta, method, to_raw};

use crate::caller::{Asking, Caller, Length, Peer, Side, View, client_name};
use crate::core::Core;
use crate::dispatch::{self, Asked};
use crate::events::{Audience, Event, Level, Listen, Watch};
use crate::legacy;
use crate::lists::List;
use crate::outlet::Outlet;
use crate::upstream::set_meta;

/// How long a client may take the tool list for fresh; a change is announced to those who listen.
const LIST_TTL_MS: u64 = 60_000;
/// The same for what the gateway says of itself.
const DISCOVER_TTL_MS: u64 = 300_000;

/// What a request has beside its content.
#[derive(Clone, Copy)]
pub(crate) struct Stream<'a> {
    /// Where messages before the answer go; `None` if the client takes none.
    pub(crate) outlet: Option<&'a Outlet>,
    /// The client no longer wants the answer.
    pub(crate) cancel: &'a CancellationToken,
    /// The connection or the gateway ends, so subscriptions do.
    pub(crate) ending: &'a CancellationToken,
}

/// Answers a request. `meta` is what it says of its sender, checked.
pub(crate) async fn answer(
    core: &Core,
    peer: &Peer,
    meta: ModernMeta,
    request: &Request,
    params: Object<'_>,
    stream: Stream<'_>,
) -> Result<Raw, Fault> {
    let Stream { outlet, cancel, .. } = stream;
    let method = request.method.as_str();
    let uri = params.text("uri").map(String::from);
    let result = match method {
        method::DISCOVER => return Ok(dress(core, discover(core, &peer.view), Some(DISCOVER_TTL_MS))),
        method::LISTEN => return listen(core, peer, &request.id, &params, stream).await,
        _ => {
            let caller = Caller {
                principal: peer.principal.clone(),
                view: peer.view.clone(),
                session: peer.session.clone(),
                client: client_name(&meta.client),
                era: Era::Modern,
                length: Length::Budget,
                asking: if meta.capabilities.has(wire::meta::Ability::Form) {
                    Asking::Retry
                } else {
                    Asking::Unable
                },
                side: Side {
                    abilities: meta.capabilities,
                    level: meta.log_level.as_deref().and_then(Level::parse),
                    ..Side::default()
                },
            };
            dispatch::answer(
                core,
                Asked {
                    caller: &caller,
                    method,
                    params,
                    outlet,
                    cancel,
                },
            )
            .await
        }
    };
    let ttl = match (List::of(method), method) {
        (Some(_), _) => Some(LIST_TTL_MS),
        // What a resource holds may change at any time.
        (None, method::RESOURCES_READ) => Some(0),
        _ => None,
    };
    match result {
        Ok(result) => Ok(dress(core, result, ttl)),
        Err(fault) => Err(bridge::error_for_modern(fault, uri.as_deref())),
    }
}

fn discover(core: &Core, view: &View) -> Raw {
    let versions: Vec<_> = Version::ALL
        .iter()
        .rev()
        .map(|version| version.as_str())
        .collect();
    let mut result = json!({"supportedVersions": versions, "capabilities": legacy::capabilities()});
    if let Some(instructions) = core.instructions(view) {
        result["instructions"] = instructions.into();
    }
    to_raw(&result)
}

/// Adds what every result of this era has: its type, who gives it, and for how long it may be kept. Lists differ
/// by principal, so nothing may be kept for others.
fn dress(core: &Core, result: Raw, ttl_ms: Option<u64>) -> Raw {
    let Ok(mut object) = Object::parse(&result) else {
        return result;
    };
    let is_complete = match object.text(RESULT_TYPE) {
        None => {
            object.set(RESULT_TYPE, "complete");
            true
        }
        Some(kind) => kind == "complete",
    };
    if let Some(ttl) = ttl_ms.filter(|_| is_complete) {
        if object.get("ttlMs").is_none() {
            object.set("ttlMs", &ttl);
        }
        // An upstream's `public` speaks for its own answer, not for what the gateway's rules left of it.
        object.set("cacheScope", "private");
    }
    set_meta(&mut object, |meta| {
        meta.set(
            meta::SERVER_INFO,
            &json!({"name": core.name, "version": core.version}),
        );
    });
    object.to_raw()
}

/// Answers `subscriptions/listen`: acknowledges, then passes on what was asked for until the client or the
/// gateway ends it.
async fn listen(
    core: &Core,
    peer: &Peer,
    id: &Id,
    params: &Object<'_>,
    stream: Stream<'_>,
) -> Result<Raw, Fault> {
    let outlet = stream.outlet.ok_or_else(|| {
        Fault::new(
            code::INVALID_REQUEST,
            "subscriptions/listen needs Accept: text/event-stream",
        )
    })?;
    let wanted = params
        .get("notifications")
        .and_then(|raw| Object::parse(raw).ok());
    let wanted =
        wanted.ok_or_else(|| Fault::new(code::INVALID_PARAMS, "params.notifications is required"))?;
    let flag = |name| wanted.get(name).is_some_and(|value| value.get() == "true");
    let mut filter = Filter {
        tools: flag("toolsListChanged"),
        prompts: flag("promptsListChanged"),
        resources: flag("resourcesListChanged"),
        watches: Vec::new(),
        tasks: Vec::new(),
    };
    for uri in wanted
        .get("resourceSubscriptions")
        .and_then(items)
        .into_iter()
        .flatten()
    {
        let Some(uri) = wire::edit::text(uri) else {
            continue;
        };
        if filter.watches.len() >= core.limits.watched {
            break;
        }
        // What can't be watched is left out of the acknowledgement; that is how the client learns of it.
        match legacy::watch(core, peer, &uri).await {
            Ok(watch) => filter.watches.push((uri.into_owned(), watch)),
            Err(fault) => tracing::debug!("a resource can't be watched: {}", fault.message()),
        }
    }
    let tag = json!({meta::SUBSCRIPTION_ID: id});
    let acknowledged = to_raw(&json!({"_meta": tag, "notifications": filter.to_json()}));
    let gone = || Fault::new(code::INTERNAL_ERROR, "the client is gone");
    outlet
        .send(&Message::notification(method::ACKNOWLEDGED, acknowledged))
        .await
        .map_err(|_| gone())?;
    let listener = Arc::new(Subscription {
        id: id.clone(),
        peer: peer.clone(),
        filter,
        outlet: Mutex::new(Some(outlet.clone())),
    });
    let weak: Weak<Subscription> = Arc::downgrade(&listener);
    let _registration = core.hub.register(weak);
    tokio::select! {
        () = stream.cancel.cancelled() => {}
        () = stream.ending.cancelled() => {}
        () = outlet.closed() => {}
    }
    listener
        .outlet
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let mut ended = Object::empty();
    ended.set(meta::META, &tag);
    Ok(dress(core, ended.to_raw(), None))
}

struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    /// Resources, under the names that the client knows.
    watches: Vec<(String, Watch)>,
    /// Ids of tasks.
    tasks: Vec<String>,
}

impl Filter {
    /// In the form of the request: only what is honoured.
    fn to_json(&self) -> Value {
        let mut filter = serde_json::Map::new();
        for (name, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                filter.insert(name.to_owned(), true.into());
            }
        }
        if !self.watches.is_empty() {
            let uris: Vec<_> = self.watches.iter().map(|(uri, _)| uri.as_str()).collect();
            filter.insert("resourceSubscriptions".to_owned(), uris.into());
        }
        filter.into()
    }
}

struct Subscription {
    id: Id,
    peer: Peer,
    filter: Filter,
    /// Taken away when the subscription ends, so that nothing follows its result.
    outlet: Mutex<Option<Outlet>>,
}

impl Listen for Subscription {
    fn hear(&self, audience: Option<&Audience>, event: &Event) {
        if !audience.is_none_or(|audience| audience.reaches(&self.peer)) {
            return;
        }
        let filter = &self.filter;
        let event = match event {
            Event::ToolsChanged if filter.tools => event.clone(),
            Event::PromptsChanged if filter.prompts => event.clone(),
            Event::ResourcesChanged if filter.resources => event.clone(),
            Event::ResourceUpdated { uri, .. } => {
                let mut watches = filter.watches.iter();
                let Some((exposed, _)) = watches.find(|(_, watch)| watch.is_of(audience, uri)) else {
                    return;
                };
                event.under(exposed)
            }
            Event::Task { id, .. } if filter.tasks.contains(id) => event.clone(),
            // Log messages belong to a request, and only if that asked for them; a visit is followed by a retry.
            _ => return,
        };
        if let Some(outlet) = &*self.outlet.lock().unwrap_or_else(PoisonError::into_inner) {
            outlet.offer(event.message(Some(&self.id)).to_line());
        }
    }
}
