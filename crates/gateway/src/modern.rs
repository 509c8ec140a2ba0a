//! Requests of the modern era: each by itself, with all that is known of its sender in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::bridge;
use wire::edit::{Object, items};
use wire::meta::{Ability, ModernMeta};
use wire::mrtr::RESULT_TYPE;
use wire::{Era, Fault, Id, Message, Raw, Request, Version, code, meta, method, to_raw};

use crate::caller::{Asking, Caller, Length, Peer, Side, client_name};
use crate::core::Core;
use crate::dispatch::{self, Asked};
use crate::events::{Audience, Event, Level, Listen, Watch};
use crate::lists::List;
use crate::outlet::Outlet;
use crate::tasks::{self, Task};
use crate::upstream::{LOGS, set_meta};
use crate::{capabilities, input, legacy};

/// The member of a filter that names tasks.
const TASK_IDS: &str = "taskIds";
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
        method::DISCOVER => return Ok(dress(core, discover(core, peer), Some(DISCOVER_TTL_MS))),
        method::LISTEN => {
            let listened = listen(core, &caller(peer, &meta), &request.id, &params, stream).await;
            return listened.map_err(|fault| core.screen.fault(fault));
        }
        _ => {
            let caller = caller(peer, &meta);
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
        (None, method) if crate::skills::is_about(method) => Some(0),
        _ => None,
    };
    match result {
        Ok(result) => Ok(dress(core, result, ttl)),
        Err(fault) => {
            let fault = bridge::error_for_modern(fault, uri.as_deref());
            Err(core.screen.fault(fault))
        }
    }
}

/// Who asks, from what the request says of itself.
fn caller(peer: &Peer, meta: &ModernMeta) -> Caller {
    Caller {
        principal: peer.principal.clone(),
        view: peer.view.clone(),
        session: peer.session.clone(),
        client: client_name(&meta.client),
        era: Era::Modern,
        length: Length::Budget,
        asking: if meta.capabilities.has(Ability::Form) {
            Asking::Retry
        } else {
            Asking::Unable
        },
        side: Side {
            abilities: meta.capabilities,
            level: meta.log_level.as_deref().and_then(Level::parse),
            behind: peer.behind.clone(),
            ..Side::default()
        },
    }
}

fn discover(core: &Core, peer: &Peer) -> Raw {
    let versions: Vec<_> = Version::ALL
        .iter()
        .rev()
        .map(|version| version.as_str())
        .collect();
    let mut result =
        json!({"supportedVersions": versions, "capabilities": capabilities::of(core, peer, Era::Modern)});
    if let Some(instructions) = core.instructions(&peer.view) {
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
    caller: &Caller,
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
    let peer = &caller.peer();
    let flag = |name| wanted.get(name).is_some_and(|value| value.get() == "true");
    let mut filter = Filter {
        tools: flag("toolsListChanged"),
        prompts: flag("promptsListChanged"),
        resources: flag("resourcesListChanged"),
        logs: wanted.text(LOGS).and_then(|level| Level::parse(&level)),
        watches: Vec::new(),
        tasks: Vec::new(),
    };
    if let Some(level) = filter.logs {
        legacy::set_level(core, peer, level);
    }
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
    let ids = wanted.get(TASK_IDS).and_then(items).unwrap_or_default();
    if !ids.is_empty() && !caller.side.abilities.has(Ability::Tasks) {
        return Err(input::missing(&bridge::Unable::Undeclared(Ability::Tasks)));
    }
    for id in ids.into_iter().take(core.limits.watched) {
        let task = wire::edit::text(id).and_then(|id| core.known_tasks.find(&caller.principal, &id));
        if let Some(task) = task {
            tasks::follow(core, &task);
            filter.tasks.push(task);
        }
    }
    let tag = json!({meta::SUBSCRIPTION_ID: id});
    let acknowledged = to_raw(&json!({"_meta": tag, "notifications": filter.to_json()}));
    let gone = || Fault::new(code::INTERNAL_ERROR, "the client is gone");
    outlet
        .send(&Message::notification(method::ACKNOWLEDGED, acknowledged))
        .await
        .map_err(|_| gone())?;
    // Each at most once: it is told of as it stands when its turn comes.
    let (news, mut changed) = mpsc::channel(filter.tasks.len().max(1));
    let followed = filter.tasks.clone();
    let listener = Arc::new(Subscription {
        id: id.clone(),
        peer: peer.clone(),
        waiting: followed.iter().map(|_| AtomicBool::new(false)).collect(),
        filter,
        news,
        outlet: Mutex::new(Some(outlet.clone())),
    });
    let weak: Weak<Subscription> = Arc::downgrade(&listener);
    let _registration = core.hub.register(weak);
    let telling = async {
        while let Some(at) = changed.recv().await {
            let (Some(task), Some(waiting)) = (followed.get(at), listener.waiting.get(at)) else {
                continue;
            };
            waiting.store(false, Ordering::Release);
            if let Some(told) = tasks::told(core, caller, task).await {
                listener.tell_of(&told);
            }
        }
    };
    tokio::select! {
        () = stream.cancel.cancelled() => {}
        () = stream.ending.cancelled() => {}
        () = outlet.closed() => {}
        () = telling => {}
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
    /// From which level on log messages are wanted that come outside of calls.
    logs: Option<Level>,
    /// Resources, under the names that the client knows.
    watches: Vec<(String, Watch)>,
    tasks: Vec<Arc<Task>>,
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
        if let Some(level) = self.logs {
            filter.insert(LOGS.to_owned(), level.as_str().into());
        }
        if !self.watches.is_empty() {
            let uris: Vec<_> = self.watches.iter().map(|(uri, _)| uri.as_str()).collect();
            filter.insert("resourceSubscriptions".to_owned(), uris.into());
        }
        if !self.tasks.is_empty() {
            let ids: Vec<_> = self.tasks.iter().map(|task| task.handle.id.as_str()).collect();
            filter.insert(TASK_IDS.to_owned(), ids.into());
        }
        filter.into()
    }
}

struct Subscription {
    id: Id,
    peer: Peer,
    filter: Filter,
    /// Takes the places of tasks that have another status.
    news: mpsc::Sender<usize>,
    /// Which of them wait to be told of.
    waiting: Vec<AtomicBool>,
    /// Taken away when the subscription ends, so that nothing follows its result.
    outlet: Mutex<Option<Outlet>>,
}

impl Subscription {
    /// Passes on how a task stands: what `tasks/get` gives, without its type (2026-07-28, Tasks, "Task Status
    /// Notifications").
    fn tell_of(&self, task: &Raw) {
        let Ok(mut params) = Object::parse(task) else {
            return;
        };
        params.remove(RESULT_TYPE);
        set_meta(&mut params, |meta| meta.set(meta::SUBSCRIPTION_ID, &self.id));
        let message = Message::notification(method::TASKS_CHANGED, params.to_raw());
        if let Some(outlet) = &*self.outlet.lock().unwrap_or_else(PoisonError::into_inner) {
            outlet.offer(message.to_line());
        }
    }
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
            Event::Task { id, .. } => {
                let at = filter
                    .tasks
                    .iter()
                    .position(|task| task.handle.is_of(audience, id));
                if let Some(at) = at
                    && !self
                        .waiting
                        .get(at)
                        .is_none_or(|it| it.swap(true, Ordering::AcqRel))
                {
                    // There is a place for each.
                    if self.news.try_send(at).is_err() {
                        tracing::debug!("nobody is told of a task any more");
                    }
                }
                return;
            }
            Event::Log { level, .. } if filter.logs.is_some_and(|least| *level >= least) => event.clone(),
            // Log messages belong to a request, and only if that asked for them; a visit is followed by a retry.
            _ => return,
        };
        if let Some(outlet) = &*self.outlet.lock().unwrap_or_else(PoisonError::into_inner) {
            outlet.offer(event.message(Some(&self.id)).to_line());
        }
    }
}
