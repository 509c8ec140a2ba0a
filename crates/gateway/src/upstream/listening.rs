//! What a modern server is asked to tell of without being asked each time: changed lists, changes of resources, and how
//! tasks do (2026-07-28, "subscriptions/listen"), which the legacy era tells of unasked and has `resources/subscribe` for.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::bridge::{self, Speaker};
use wire::edit::{Object, items, text};
use wire::meta::TASKS_EXTENSION;
use wire::{Era, Message, Raw, Request, method, to_raw};

use super::connection::{Connection, Pending, Reply, plain};
use super::{lock, set_meta};
use crate::events::Level;

/// The member of a filter that names resources.
const RESOURCES: &str = "resourceSubscriptions";
/// And tasks.
const TASKS: &str = "taskIds";
/// And one of our own, between gateways: from which level on log messages are told that come outside of calls, for which
/// the revision has no words.
pub(crate) const LOGS: &str = "dockmaster/logLevel";

#[derive(Default)]
pub(super) struct Listening {
    /// Held while the subscription is exchanged for another.
    watched: tokio::sync::Mutex<Watched>,
    /// The number of the request that keeps the one for lists, and for logs, open; 0: there is none.
    lists: AtomicU64,
    /// The level that another gateway was told.
    level: Mutex<Option<Level>>,
}

/// The subscription for resources and tasks.
#[derive(Default)]
struct Watched {
    uris: BTreeSet<String>,
    tasks: BTreeSet<String>,
    /// The number of the request that keeps it open.
    stream: Option<u64>,
}

impl Watched {
    fn of(&mut self, member: &str) -> &mut BTreeSet<String> {
        if member == TASKS {
            &mut self.tasks
        } else {
            &mut self.uris
        }
    }

    fn filter(&self) -> Option<Raw> {
        let mut filter = Object::empty();
        for (member, names) in [(RESOURCES, &self.uris), (TASKS, &self.tasks)] {
            if !names.is_empty() {
                filter.set(member, names);
            }
        }
        (!filter.is_empty()).then(|| filter.to_raw())
    }
}

impl Connection {
    /// Asks a modern server to tell of changed lists, as far as it offers to.
    pub(super) fn listen_to_lists(&self) {
        if self.speech.era == Era::Modern
            && let Some(filter) = self.lists_filter()
            && let Ok((number, _)) = self.listen(&filter)
        {
            self.listening.lists.store(number, Ordering::Relaxed);
        }
    }

    /// Returns when the server has ended a subscription.
    pub(super) async fn cut(&self) {
        self.shared.cut.notified().await;
    }

    /// Opens those subscriptions again that the server has ended; whether all are open.
    pub(super) async fn listen_again(&self) -> bool {
        let mut is_well = true;
        let mut watched = self.listening.watched.lock().await;
        let lists = self.listening.lists.load(Ordering::Relaxed);
        if lists != 0
            && !self.is_open(lists)
            && let Some(filter) = self.lists_filter()
        {
            let opened = self.open_stream(&filter).await;
            is_well = opened.is_some();
            self.listening
                .lists
                .store(opened.unwrap_or(lists), Ordering::Relaxed);
        }
        if watched.stream.is_some_and(|number| self.is_open(number)) {
            return is_well;
        }
        let Some(filter) = watched.filter() else {
            return is_well;
        };
        watched.stream = self.open_stream(&filter).await;
        is_well && watched.stream.is_some()
    }

    /// Asks another gateway to tell what its server logs outside of calls. That may be shared, so the level only ever goes
    /// down; who wants less gets less.
    pub(super) async fn listen_to_logs(&self, level: Level) {
        let _one = self.listening.watched.lock().await;
        let told = *lock(&self.listening.level);
        if self.speaks_for.is_none() || told.is_some_and(|told| told <= level) {
            return;
        }
        *lock(&self.listening.level) = Some(level);
        let Some(filter) = self.lists_filter() else { return };
        match self.open_stream(&filter).await {
            // The one before ends only now, so nothing is missed in between.
            Some(opened) => self.end_listening(self.listening.lists.swap(opened, Ordering::Relaxed)),
            // The next who asks for it tries again.
            None => *lock(&self.listening.level) = told,
        }
    }

    fn lists_filter(&self) -> Option<Raw> {
        of_lists(&self.speech.capabilities, *lock(&self.listening.level))
    }

    /// Asks a modern server to tell of changes of a resource.
    pub(super) async fn watch(&self, uri: &str) -> Result<(), String> {
        self.add(RESOURCES, uri).await
    }

    pub(super) async fn unwatch(&self, uri: &str) {
        self.remove(RESOURCES, uri).await;
    }

    /// Asks a modern server to tell how a task does; whether it does. Clients that are not told ask by themselves, so a
    /// refusal is no harm.
    pub(crate) async fn follow_task(&self, id: &str) -> bool {
        let told = self.add(TASKS, id).await;
        if let Err(why) = &told {
            tracing::debug!("a task is not followed: {why}");
        }
        told.is_ok()
    }

    pub(crate) async fn forget_task(&self, id: &str) {
        self.remove(TASKS, id).await;
    }

    async fn add(&self, member: &'static str, name: &str) -> Result<(), String> {
        let mut watched = self.listening.watched.lock().await;
        let is_new = watched.of(member).insert(name.to_owned());
        if !is_new && watched.stream.is_some_and(|number| self.is_open(number)) {
            return Ok(());
        }
        let filter = watched.filter().unwrap_or_else(|| to_raw(&json!({})));
        let opened = self.listen(&filter);
        let Ok((number, acknowledged)) = opened else {
            if is_new {
                watched.of(member).remove(name);
            }
            return Err("the server takes no messages".to_owned());
        };
        let granted = timeout(self.around.limits.list, acknowledged).await;
        let granted = granted.ok().and_then(Result::ok);
        if !granted.is_some_and(|granted| grants(&granted, member, name)) {
            if is_new {
                watched.of(member).remove(name);
            }
            self.end_listening(number);
            return Err(format!("the server does not tell of changes of {name}"));
        }
        // The one before ends only now, so nothing is missed in between.
        if let Some(before) = watched.stream.replace(number) {
            self.end_listening(before);
        }
        Ok(())
    }

    async fn remove(&self, member: &'static str, name: &str) {
        let mut watched = self.listening.watched.lock().await;
        if !watched.of(member).remove(name) {
            return;
        }
        let before = watched.stream.take();
        if let Some(filter) = watched.filter() {
            watched.stream = self.listen(&filter).ok().map(|(number, _)| number);
        }
        if let Some(before) = before {
            self.end_listening(before);
        }
    }

    fn is_open(&self, number: u64) -> bool {
        lock(&self.shared.pending).contains_key(&number)
    }

    /// Opens a subscription, and waits until it is open; its number.
    async fn open_stream(&self, filter: &Raw) -> Option<u64> {
        let (number, acknowledged) = self.listen(filter).ok()?;
        if let Ok(Ok(_)) = timeout(self.around.limits.list, acknowledged).await {
            return Some(number);
        }
        self.end_listening(number);
        None
    }

    /// Opens a subscription; its number, and what comes when it is open.
    fn listen(&self, filter: &Raw) -> Result<(u64, oneshot::Receiver<Raw>), ()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut params = Object::empty();
        params.set("notifications", filter);
        set_meta(&mut params, |meta| {
            let capabilities = to_raw(&json!({"extensions": {TASKS_EXTENSION: {}}}));
            bridge::introduce(
                meta,
                Speaker {
                    info: &self.around.info,
                    capabilities: &capabilities,
                    log_level: None,
                },
            );
        });
        let (acknowledged, opened) = oneshot::channel();
        let pending = Pending {
            reply: Reply::Stream,
            route: None,
            caller: None,
            acknowledged: Some(acknowledged),
        };
        lock(&self.shared.pending).insert(number, pending);
        let request = Message::Request(Request {
            id: number.into(),
            method: method::LISTEN.to_owned(),
            params: Some(params.to_raw()),
        });
        if self.queue.try_send(plain(request.to_line())).is_err() {
            lock(&self.shared.pending).remove(&number);
            return Err(());
        }
        Ok((number, opened))
    }

    fn end_listening(&self, number: u64) {
        if lock(&self.shared.pending).remove(&number).is_some() {
            let params = json!({"requestId": number, "reason": "another subscription takes its place"});
            self.notify(method::CANCELLED, to_raw(&params));
        }
    }
}

/// Those changes of lists that a server offers to tell of, and what it logs from `level` on; `None`: nothing.
fn of_lists(capabilities: &RawValue, level: Option<Level>) -> Option<Raw> {
    let capabilities = Object::parse(capabilities).ok()?;
    let changes = |name: &str| {
        let capability = capabilities.get(name).and_then(|raw| Object::parse(raw).ok());
        capability.is_some_and(|it| it.get("listChanged").is_some_and(|flag| flag.get() == "true"))
    };
    let mut filter = Object::empty();
    for (name, wanted) in [
        ("tools", "toolsListChanged"),
        ("prompts", "promptsListChanged"),
        ("resources", "resourcesListChanged"),
    ] {
        if changes(name) {
            filter.set(wanted, &true);
        }
    }
    if let Some(level) = level {
        filter.set(LOGS, level.as_str());
    }
    (!filter.is_empty()).then(|| filter.to_raw())
}

/// Whether the acknowledgement names the resource or task.
fn grants(acknowledged: &RawValue, member: &str, name: &str) -> bool {
    let granted = || {
        let params = Object::parse(acknowledged).ok()?;
        let filter = Object::parse(params.get("notifications")?).ok()?;
        let names = items(filter.get(member)?)?;
        Some(
            names
                .into_iter()
                .any(|granted| text(granted).is_some_and(|granted| granted == name)),
        )
    };
    granted() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn filters() {
        let all = r#"{"tools":{"listChanged":true},"prompts":{},"resources":{"listChanged":true,"subscribe":true}}"#;
        let loud = Some(Level::Error);
        for (capabilities, level, wanted) in [
            (
                all,
                None,
                Some(r#"{"toolsListChanged":true,"resourcesListChanged":true}"#),
            ),
            (r#"{"tools":{"listChanged":false}}"#, None, None),
            ("[]", None, None),
            ("{}", loud, Some(r#"{"dockmaster/logLevel":"error"}"#)),
            (
                r#"{"tools":{"listChanged":true}}"#,
                loud,
                Some(r#"{"toolsListChanged":true,"dockmaster/logLevel":"error"}"#),
            ),
        ] {
            let filter = of_lists(&raw(capabilities), level);
            assert_eq!(filter.as_ref().map(|raw| raw.get()), wanted, "{capabilities}");
        }
        for (uris, tasks, wanted) in [
            (
                &["a:b"][..],
                &[][..],
                Some(r#"{"resourceSubscriptions":["a:b"]}"#),
            ),
            (
                &["a:b"],
                &["t"],
                Some(r#"{"resourceSubscriptions":["a:b"],"taskIds":["t"]}"#),
            ),
            (&[], &["t"], Some(r#"{"taskIds":["t"]}"#)),
            (&[], &[], None),
        ] {
            let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            let watched = Watched {
                uris: set(uris),
                tasks: set(tasks),
                stream: None,
            };
            assert_eq!(watched.filter().as_ref().map(|raw| raw.get()), wanted);
        }
    }

    #[test]
    fn acknowledgements() {
        for (text, member, wanted) in [
            (
                r#"{"notifications":{"resourceSubscriptions":["x:y","a:b"]}}"#,
                RESOURCES,
                true,
            ),
            (r#"{"notifications":{"taskIds":["a:b"]}}"#, TASKS, true),
            (r#"{"notifications":{"taskIds":["a:b"]}}"#, RESOURCES, false),
            (
                r#"{"notifications":{"resourceSubscriptions":["x:y"]}}"#,
                RESOURCES,
                false,
            ),
            (r#"{"notifications":{}}"#, RESOURCES, false),
            ("7", TASKS, false),
        ] {
            assert_eq!(grants(&raw(text), member, "a:b"), wanted, "{text}");
        }
    }
}
