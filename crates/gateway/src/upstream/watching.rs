//! What clients want to hear of a server beside the answers to their calls: changes of resources, log messages, and how
//! tasks do.

use std::sync::Arc;

use wire::edit::Object;
use wire::{Fault, code, method};

use super::{Key, Sharing, TASK_EVENTS, Upstream, lock};
use crate::caller::Peer;
use crate::events::{Audience, Event, Level, Watch};

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
        let is_first = {
            let mut watched = lock(&self.watched);
            let count = watched
                .entry(key.clone())
                .or_default()
                .entry(uri.clone())
                .or_default();
            *count += 1;
            *count == 1
        };
        let watch = Watch::new(Arc::clone(self), key, uri.clone());
        if is_first {
            // When it fails, dropping the watch counts it out again.
            self.ask_of(&lease, method::SUBSCRIBE, uri_params(&uri)).await?;
        }
        Ok(watch)
    }

    /// Counts one less, in a task of its own; the server is told when nobody is left.
    pub(crate) fn unwatch_soon(self: &Arc<Self>, key: Key, uri: String) {
        {
            let mut watched = lock(&self.watched);
            let Some(uris) = watched.get_mut(&key) else { return };
            let Some(count) = uris.get_mut(&uri) else { return };
            *count -= 1;
            if *count > 0 {
                return;
            }
            uris.remove(&uri);
            if uris.is_empty() {
                watched.remove(&key);
            }
        }
        let upstream = Arc::clone(self);
        self.around.tasks.spawn(async move {
            let Some(lease) = upstream.ready(&key) else { return };
            if let Err(fault) = upstream
                .ask_of(&lease, method::UNSUBSCRIBE, uri_params(&uri))
                .await
            {
                tracing::debug!(server = upstream.name, "unsubscribe failed: {}", fault.message());
            }
        });
    }

    pub(super) fn is_watched(&self, key: &Key) -> bool {
        lock(&self.watched).contains_key(key)
    }

    pub(super) fn watched_uris(&self, key: &Key) -> Vec<String> {
        let watched = lock(&self.watched);
        watched
            .get(key)
            .map(|uris| uris.keys().cloned().collect())
            .unwrap_or_default()
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
        let early: Vec<_> = {
            let early = lock(&self.task_events);
            let of_task = early
                .iter()
                .filter(|(audience, of, _)| audience.key == *key && of == id);
            of_task
                .map(|(audience, _, event)| (audience.clone(), event.clone()))
                .collect()
        };
        for (audience, event) in early {
            self.around.hub.hub().publish(&audience, &event);
        }
    }

    /// An instance has news of a task.
    pub(crate) fn task_event(&self, audience: &Audience, id: &str, event: &Event) {
        {
            let mut events = lock(&self.task_events);
            if events.len() >= TASK_EVENTS {
                events.pop_front();
            }
            events.push_back((audience.clone(), id.to_owned(), event.clone()));
        }
        self.around.hub.hub().publish(audience, event);
    }
}

fn uri_params(uri: &str) -> Object<'static> {
    let mut params = Object::empty();
    params.set("uri", uri);
    params
}
