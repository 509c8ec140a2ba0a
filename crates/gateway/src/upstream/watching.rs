//! What clients want to hear of a server beside the answers to their calls: changes of resources, log messages, and how
//! tasks do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use wire::edit::Object;
use wire::{Fault, code, method};

use super::{Key, Lease, Sharing, Upstream, lock};
use crate::caller::Peer;
use crate::events::{Audience, Event, Level, Watch};

/// So many words of tasks are remembered, for calls whose answer is read only after them.
const EARLY: usize = 64;
/// For so long: the answer comes right behind.
const EARLY_FOR: Duration = Duration::from_secs(10);
/// And none with more bytes than this; the client asks for itself how the task does.
const EARLY_BYTES: usize = 64 << 10;

/// Whether the server knows that a resource is watched; held while it is told so, or that nobody does any more.
type Told = Arc<tokio::sync::Mutex<bool>>;

/// Who watches a resource.
#[derive(Default)]
pub(super) struct Watched {
    /// 0: the server is being told.
    count: usize,
    told: Told,
}

/// What instances said of tasks of late, whether or not anybody has such a task.
#[derive(Default)]
pub(super) struct Early(Mutex<VecDeque<(Instant, Audience, String, Event)>>);

impl Early {
    fn keep(&self, audience: &Audience, id: &str, event: &Event) {
        let mut events = lock(&self.0);
        events.retain(|(since, ..)| since.elapsed() < EARLY_FOR);
        if let Event::Task { params, .. } = event
            && id.len() + params.get().len() > EARLY_BYTES
        {
            return;
        }
        if events.len() >= EARLY {
            events.pop_front();
        }
        events.push_back((Instant::now(), audience.clone(), id.to_owned(), event.clone()));
    }

    fn of(&self, key: &Key, id: &str) -> Vec<(Audience, Event)> {
        let events = lock(&self.0);
        let of_task = events.iter().filter(|(since, audience, of, _)| {
            since.elapsed() < EARLY_FOR && audience.key == *key && of == id
        });
        of_task
            .map(|(_, audience, _, event)| (audience.clone(), event.clone()))
            .collect()
    }
}

impl Upstream {
    /// Watches a resource, its own name for it, in the instance of `peer`. The server is told of the first who does.
    pub(crate) async fn watch(self: &Arc<Self>, peer: &Peer, uri: String) -> Result<Watch, Fault> {
        if self.sharing == Sharing::Call {
            return Err(Fault::new(
                code::INVALID_REQUEST,
                format!(
                    "server {} is started for each call, so nothing in it can be watched",
                    self.name
                ),
            ));
        }
        let lease = self.lease(peer, &self.around.stop).await?;
        let key = lease.key();
        let told = {
            let mut all = lock(&self.watched);
            let of_instance = all.entry(key.clone()).or_default();
            let watched = of_instance.entry(uri.clone()).or_default();
            watched.count += 1;
            Arc::clone(&watched.told)
        };
        // When it fails, dropping the watch counts it out again.
        let watch = Watch::new(Arc::clone(self), key, uri.clone());
        // Who comes while another tells the server waits for what becomes of it, and tells it anew if nothing does.
        let mut is_told = told.lock().await;
        if !*is_told {
            self.ask_of(&lease, method::SUBSCRIBE, uri_params(&uri)).await?;
            *is_told = true;
        }
        Ok(watch)
    }

    /// Counts one less; the server is told when nobody is left, in a task of its own.
    pub(crate) fn unwatch_soon(self: &Arc<Self>, key: Key, uri: String) {
        let told = {
            let mut all = lock(&self.watched);
            let Some(watched) = all.get_mut(&key).and_then(|uris| uris.get_mut(&uri)) else {
                return;
            };
            watched.count -= 1;
            if watched.count > 0 {
                return;
            }
            Arc::clone(&watched.told)
        };
        let upstream = Arc::clone(self);
        self.around.tasks.spawn(async move {
            // Who comes meanwhile waits, and tells the server anew: a request of its own could overtake this one.
            let mut is_told = told.lock().await;
            if !upstream.is_left(&key, &uri, &told) {
                return;
            }
            if let Some(lease) = upstream.ready(&key)
                && let Err(fault) = upstream
                    .ask_of(&lease, method::UNSUBSCRIBE, uri_params(&uri))
                    .await
            {
                tracing::debug!(server = upstream.name, "unsubscribe failed: {}", fault.message());
            }
            *is_told = false;
            upstream.forget_watch(&key, &uri, &told);
        });
    }

    /// Tells an instance that has forgotten it what is watched in it.
    pub(super) async fn watch_again(&self, lease: &Lease) {
        let key = lease.key();
        for uri in self.watched_uris(&key) {
            let told = {
                let all = lock(&self.watched);
                all.get(&key)
                    .and_then(|uris| Some(Arc::clone(&uris.get(&uri)?.told)))
            };
            let Some(told) = told else { continue };
            let mut is_told = told.lock().await;
            if self.is_left(&key, &uri, &told) {
                continue;
            }
            let answer = self.ask_of(lease, method::SUBSCRIBE, uri_params(&uri)).await;
            // If it refuses, the next who watches asks again.
            *is_told = answer.is_ok();
            if let Err(fault) = answer {
                tracing::debug!(server = self.name, "subscribe failed: {}", fault.message());
            }
        }
    }

    /// Whether nobody watches that any more.
    fn is_left(&self, key: &Key, uri: &str, told: &Told) -> bool {
        let all = lock(&self.watched);
        let watched = all.get(key).and_then(|uris| uris.get(uri));
        watched.is_some_and(|it| it.count == 0 && Arc::ptr_eq(&it.told, told))
    }

    /// Forgets it unless somebody has come meanwhile.
    fn forget_watch(&self, key: &Key, uri: &str, told: &Told) {
        let mut all = lock(&self.watched);
        let Some(uris) = all.get_mut(key) else { return };
        uris.retain(|name, it| name != uri || it.count > 0 || !Arc::ptr_eq(&it.told, told));
        if uris.is_empty() {
            all.remove(key);
        }
    }

    pub(super) fn is_watched(&self, key: &Key) -> bool {
        !self.watched_uris(key).is_empty()
    }

    pub(super) fn watched_uris(&self, key: &Key) -> Vec<String> {
        let all = lock(&self.watched);
        let uris = all.get(key).into_iter().flatten();
        uris.filter(|(_, it)| it.count > 0)
            .map(|(uri, _)| uri.clone())
            .collect()
    }

    /// A client wants log messages from `level` on. Instances that run are told, others when they start.
    pub(crate) fn set_level(self: &Arc<Self>, level: Level) {
        {
            let mut present = lock(&self.level);
            let least = present
                .and_then(Level::parse)
                .map_or(level, |before| before.min(level));
            *present = Some(least.as_str());
        }
        let upstream = Arc::clone(self);
        self.around.tasks.spawn(async move {
            for instance in upstream.instances() {
                upstream.tell_again(&instance.key()).await;
            }
        });
    }

    /// Tells listeners once more what an instance said of a task before anybody knew of it.
    pub(crate) fn repeat_task(&self, key: &Key, id: &str) {
        for (audience, event) in self.early.of(key, id) {
            self.around.hub.hub().publish(&audience, &event);
        }
    }

    /// An instance has news of a task.
    pub(crate) fn task_event(&self, audience: &Audience, id: &str, event: &Event) {
        self.early.keep(audience, id, event);
        self.around.hub.hub().publish(audience, event);
    }
}

fn uri_params(uri: &str) -> Object<'static> {
    let mut params = Object::empty();
    params.set("uri", uri);
    params
}

#[cfg(test)]
mod tests {
    use wire::to_raw;

    use super::*;
    use crate::events::Who;

    #[tokio::test(start_paused = true)]
    async fn little_is_remembered_of_unknown_tasks() {
        let audience = Audience {
            server: "one".into(),
            profiles: [].into(),
            default: "default".into(),
            who: Who::Everyone,
            key: Key::Everyone,
        };
        let early = Early::default();
        let say = |id: &str, bytes: usize| {
            let event = Event::Task {
                id: id.to_owned(),
                is_modern: false,
                params: to_raw(&"x".repeat(bytes)),
            };
            early.keep(&audience, id, &event);
        };
        let known = |id: &str| early.of(&Key::Everyone, id).len();
        say("a", 10);
        say("a", 10);
        say("long", EARLY_BYTES);
        say(&"name".repeat(EARLY_BYTES), 1);
        assert_eq!((known("a"), known("long"), lock(&early.0).len()), (2, 0, 2));
        assert_eq!(early.of(&Key::Lists, "a").len(), 0);
        tokio::time::advance(EARLY_FOR).await;
        assert_eq!(known("a"), 0);
        for number in 0..2 * EARLY {
            say(&format!("{number}"), 10);
        }
        assert_eq!(lock(&early.0).len(), EARLY);
    }
}
