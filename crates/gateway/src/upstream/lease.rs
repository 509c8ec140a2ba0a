//! Whose an instance is, and the lease by which a call keeps it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::timeout;

use super::circuit::without_words;
use super::connection::Connection;
use super::instance::{Instance, Owner};
use super::lock;
use super::pool::FOUND_DEAD;
use crate::caller::Principal;

/// Whose instance it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Everyone,
    Principal(Principal),
    Session(u64),
    Call(u64),
    /// The gateway's own, to read lists from.
    Lists,
    /// Nobody's yet.
    Spare(u64),
}

impl Key {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Everyone => "all".to_owned(),
            Self::Principal(principal) => format!("p-{}", crate::names::short_hash(principal.as_str())),
            Self::Session(number) => format!("s-{number}"),
            Self::Call(number) => format!("c-{number}"),
            Self::Lists => "lists".to_owned(),
            Self::Spare(number) => format!("w-{number}"),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Principal(principal) => write!(f, "principal {principal}"),
            Self::Session(number) => write!(f, "session {number}"),
            Self::Call(number) => write!(f, "call {number}"),
            Self::Lists => f.write_str("lists"),
            Self::Spare(_) => f.write_str("spare"),
        }
    }
}

/// An instance that is kept busy until this goes.
pub(crate) struct Lease {
    instance: Arc<Instance>,
    /// An instance that is made for one call ends with it.
    is_call: bool,
}

impl Lease {
    pub(super) fn of(instance: &Arc<Instance>) -> Option<Self> {
        instance.enter().then(|| Self {
            instance: Arc::clone(instance),
            is_call: true,
        })
    }

    /// The same for a question of our own, before the call that the instance is made for.
    pub(super) fn before_calls(instance: &Arc<Instance>) -> Option<Self> {
        let mut lease = Self::of(instance)?;
        lease.is_call = false;
        Some(lease)
    }

    /// An answer did not come in time; whether it is alive at all should be looked into.
    pub(super) fn doubt(&self) {
        self.instance.nudged.notify_one();
    }

    /// Whose instance it is.
    pub(crate) fn key(&self) -> Key {
        self.instance.key()
    }

    /// The same, to come back to it.
    pub(crate) fn owner(&self) -> Owner {
        lock(&self.instance.owner).clone()
    }

    /// How its instance has ended, without what it said; waits a moment until that is known.
    pub(super) async fn end(&self) -> Option<String> {
        let mut ended = self.instance.ended.subscribe();
        let why = timeout(FOUND_DEAD, ended.wait_for(Option::is_some)).await;
        let why = why.ok()?.ok()?.clone()?;
        Some(without_words(&why).to_owned())
    }

    pub(super) fn count_call(&self) {
        self.instance.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl std::ops::Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.instance.connection
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A task that the call became keeps it too.
        if self.instance.leave() && self.is_call && matches!(self.instance.key(), Key::Call(_)) {
            self.instance.close("its call has ended");
        }
    }
}
