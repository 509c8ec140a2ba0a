//! Watching over one running instance: it is stopped when it is idle, dead, or no longer wanted.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wire::edit::Object;
use wire::{method, to_raw};

use super::instance::Instance;
use super::lease::Key;
use super::pool::{Fate, Slot};
use super::room::Place;
use super::{NoAnswer, Sending, Upstream, lock};
use crate::events::Event;
use crate::parts::Sharing;
use crate::status::What;

/// How long an idle instance may take to say that it is alive.
const PING: Duration = Duration::from_secs(10);
/// How long an instance that was told to stop may take, before it counts as gone.
const LEAVING: Duration = Duration::from_secs(15);
/// An unasked-for end within this time of the start, before any call, counts as a failed start.
const STEADY: Duration = Duration::from_secs(30);
/// How long after its end a subscription is opened again, and at most where it ends again and again.
const AGAIN: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_mins(5);

impl Upstream {
    /// Looks after an instance until it has ended, and clears up behind it.
    pub(super) async fn supervise(self: Arc<Self>, instance: Arc<Instance>, fate: Fate, place: Place) {
        let (is_expected, mut why) = tokio::select! {
            end = self.watch_over(&instance) => end,
            never = self.keep_listening(&instance) => match never {},
        };
        if is_expected && why != super::STOPPING {
            // Who is in may end; there is nobody when it was idle.
            instance.shut();
        }
        instance.close(&why);
        instance.connection.close();
        let key = instance.key();
        let is_ours = is_expected || instance.connection.given_up_for().is_some();
        // An error means that the driver has ended, or that there is none.
        match timeout(LEAVING, fate).await {
            Ok(Ok(Some(end))) if !is_ours => why = end,
            Ok(_) => {}
            Err(_) => tracing::warn!(
                server = self.name,
                "an instance does not end, though it was told to"
            ),
        }
        {
            let mut slots = self.write_slots();
            if matches!(slots.get(&key), Some(Slot::Ready(present)) if Arc::ptr_eq(present, &instance)) {
                slots.remove(&key);
            }
        }
        drop(place);
        instance.ended.send_replace(Some(why.clone()));
        self.record(&key, if is_expected { What::Stopped } else { What::Died }, &why);
        if !is_expected {
            let was_useful =
                instance.calls.load(Ordering::Relaxed) > 0 || instance.started.elapsed() >= STEADY;
            if !was_useful {
                self.failed(&why);
            }
            // Whoever watches something in it would otherwise wait for ever.
            if self.is_watched(&key) {
                drop(self.begin(&lock(&instance.owner).clone()));
            }
        }
        self.keep_warm();
    }

    /// Returns when the instance should end or has ended: whether that is as it should be, and why.
    async fn watch_over(&self, instance: &Arc<Instance>) -> (bool, String) {
        let mut heard = Instant::now();
        loop {
            let owner = lock(&instance.owner).clone();
            let now = Instant::now();
            let idle = instance.idle_since();
            let stops = idle.and_then(|since| {
                self.idle_stop(&owner.key)
                    .and_then(|after| since.checked_add(after))
            });
            if stops.is_some_and(|stops| stops <= now) {
                instance.close_if_idle("it was idle");
            }
            let pings = idle.unwrap_or(now).max(heard) + self.around.limits.ping;
            if idle.is_some() && pings <= now && !instance.is_closed() {
                if !self.is_alive(instance).await {
                    return (false, "it does not answer any more".to_owned());
                }
                heard = Instant::now();
                continue;
            }
            // A busy one is looked at again after the same time.
            let next = stops.map_or(pings, |stops| stops.min(pings));
            let session_ended = async {
                match &owner.lifeline {
                    Some(lifeline) => lifeline.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.around.stop.cancelled() => return (true, super::STOPPING.to_owned()),
                () = instance.stop.cancelled() => {
                    return (true, instance.why().unwrap_or_else(|| "it was told to stop".to_owned()));
                }
                () = instance.connection.ended() => {
                    let why = instance.connection.given_up_for();
                    return (false, why.unwrap_or("it ended by itself").to_owned());
                }
                () = session_ended => return (true, "its session has ended".to_owned()),
                () = self.retired.cancelled() => {
                    instance.shut();
                    let emptied = instance.emptied.notified();
                    if instance.users() > 0 {
                        // Late or not: what is still at work then fails with the reason.
                        drop(timeout(self.around.limits.drain, emptied).await);
                    }
                    return (true, "it was taken out of the configuration".to_owned());
                }
                () = instance.nudged.notified() => {
                    if lock(&instance.owner).key == owner.key && !self.is_alive(instance).await {
                        return (false, "it does not answer any more".to_owned());
                    }
                    heard = Instant::now();
                }
                () = sleep_until(next) => {}
            }
        }
    }

    /// Has a modern server tell anew of changes whenever it has ended telling of them.
    async fn keep_listening(self: &Arc<Self>, instance: &Instance) -> Infallible {
        let mut pause = AGAIN;
        loop {
            let opened = Instant::now();
            instance.connection.cut().await;
            if opened.elapsed() >= LATEST {
                pause = AGAIN;
            }
            loop {
                sleep(pause).await;
                pause = (pause * 2).min(LATEST);
                if instance.connection.listen_again().await {
                    break;
                }
            }
            // What has changed meanwhile nobody told.
            let audience = self.audience_of(instance);
            for uri in self.watched_uris(&audience.key) {
                let params = to_raw(&json!({"uri": uri}));
                let event = Event::ResourceUpdated { uri, params };
                self.around.hub.hub().publish(&audience, &event);
            }
            self.look_again(&audience.who);
        }
    }

    /// Whether it answers at all; an error is an answer.
    async fn is_alive(&self, instance: &Instance) -> bool {
        let sending = Sending::own(&self.around.stop, PING.min(self.list_limit()));
        let answer = instance
            .connection
            .request(method::PING, Object::empty(), sending)
            .await;
        !matches!(answer, Err(NoAnswer::TimedOut { .. } | NoAnswer::Died { .. }))
    }

    /// After how long without work an instance of that key is stopped; `None`: never.
    fn idle_stop(&self, key: &Key) -> Option<Duration> {
        let is_kept = match key {
            Key::Everyone => self.life.warm > 0,
            Key::Principal(_) if self.sharing == Sharing::Principal => {
                // One that is on its way out takes seconds, and none but itself along.
                let slots = self.read_slots();
                let staying = slots.iter().filter(|(key, slot)| match slot {
                    _ if !matches!(key, Key::Principal(_)) => false,
                    Slot::Ready(instance) => !instance.is_closed(),
                    Slot::Starting(_) => true,
                });
                staying.count() <= self.life.warm
            }
            Key::Spare(_) => true,
            _ => false,
        };
        let after = self.life.idle_stop.unwrap_or(self.around.limits.idle_stop);
        match key {
            // Made to be read once.
            Key::Lists => Some(Duration::from_secs(1).min(after)),
            _ if is_kept || self.is_watched(key) => None,
            _ => Some(after),
        }
    }
}
