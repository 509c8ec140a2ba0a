//! How a server does: what happened to its instances, for whoever asks.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::lease::Key;
use super::{HISTORY, Instance, Upstream, lock};
use crate::status::{HistoryEntry, InstanceStatus, ServerState, ServerStatus, What};

impl Upstream {
    pub(super) fn record(&self, key: &Key, what: What, why: &str) {
        let mut record = lock(&self.record);
        match what {
            What::Started => {
                record.starts += 1;
                record.last_error = None;
            }
            What::Failed | What::Died => record.last_error = Some(why.to_owned()),
            What::Stopped => {}
        }
        if record.history.len() >= HISTORY {
            record.history.pop_front();
        }
        record
            .history
            .push_back((Instant::now(), key.to_string(), what, why.to_owned()));
        tracing::debug!(server = self.name, "{key}: {what:?} {why}");
    }

    /// Takes over what happened to the one in whose place it stands, but not that it failed: it is another one now.
    pub(crate) fn succeeds(&self, before: &Self) {
        let record = lock(&before.record).clone();
        *lock(&self.record) = super::Record {
            last_error: None,
            ..record
        };
    }

    /// What went wrong last, if it did not start well since.
    pub(crate) fn last_error(&self) -> Option<String> {
        lock(&self.record).last_error.clone()
    }

    pub(crate) fn status(&self) -> ServerStatus {
        let now = Instant::now();
        let instances: Vec<_> = self
            .instances()
            .iter()
            .map(|instance| status_of(instance, now))
            .collect();
        let is_starting = self.is_starting();
        let circuit = lock(&self.circuit);
        let trouble = circuit
            .trouble(now)
            .map(|(why, wait)| (why.to_owned(), wait.as_secs()));
        drop(circuit);
        let record = lock(&self.record);
        let has = |state| {
            instances
                .iter()
                .any(|instance: &InstanceStatus| instance.state == state)
        };
        let state = if has(ServerState::Ready) {
            ServerState::Ready
        } else if has(ServerState::Idle) {
            ServerState::Idle
        } else if is_starting {
            ServerState::Starting
        } else if has(ServerState::Stopping) {
            ServerState::Stopping
        } else if record.last_error.is_some() || trouble.is_some() {
            ServerState::Failed
        } else {
            ServerState::Stopped
        };
        let known = self.any_known();
        let ago = |then: Instant| now.saturating_duration_since(then).as_secs();
        ServerStatus {
            name: self.name.clone(),
            profiles: self.profiles.to_vec(),
            state,
            tools: known.as_ref().map_or(0, |known| known.tools.len()),
            held: known.as_ref().map_or(0, |known| known.held.len()),
            starts: record.starts,
            calls: record.calls,
            last_error: record
                .last_error
                .clone()
                .or_else(|| trouble.as_ref().map(|(why, _)| why.clone())),
            next_try_seconds: trouble.map(|(_, wait)| wait),
            memory_bytes: self.life.bytes,
            instances,
            history: record
                .history
                .iter()
                .map(|(then, instance, what, why)| HistoryEntry {
                    seconds_ago: ago(*then),
                    instance: instance.clone(),
                    what: *what,
                    why: why.clone(),
                })
                .collect(),
        }
    }
}

fn status_of(instance: &Instance, now: Instant) -> InstanceStatus {
    let idle = instance.idle_since();
    InstanceStatus {
        owner: instance.key().to_string(),
        state: match idle {
            _ if instance.is_closed() => ServerState::Stopping,
            Some(_) => ServerState::Idle,
            None => ServerState::Ready,
        },
        up_seconds: now.saturating_duration_since(instance.started).as_secs(),
        idle_seconds: idle.map(|since| now.saturating_duration_since(since).as_secs()),
        calls: instance.calls.load(Ordering::Relaxed),
    }
}
