//! One running copy of a server: who uses it, since when nobody does, and the order to stop.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::lease::Key;
use super::lock;
use crate::caller::{Lifeline, Principal};

/// In the count of users: nobody may come in any more.
const CLOSED: usize = 1 << (usize::BITS - 1);

pub(crate) struct Instance {
    pub(super) connection: Connection,
    pub(super) owner: Mutex<Owner>,
    pub(super) started: Instant,
    pub(super) calls: AtomicU64,
    /// How many use it, and [`CLOSED`].
    users: AtomicUsize,
    /// Milliseconds after the start at which the last user left.
    last_used: AtomicU64,
    /// Wakes the supervisor: an answer did not come, or the owner has changed.
    pub(super) nudged: Notify,
    /// The last user of a closed instance has left.
    pub(super) emptied: Notify,
    pub(super) stop: CancellationToken,
    why: Mutex<Option<String>>,
    /// How it has ended, once it has.
    pub(super) ended: watch::Sender<Option<String>>,
}

/// For whom an instance is.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) key: Key,
    /// The session that it ends with.
    pub(super) lifeline: Option<Lifeline>,
    /// Whoever hears of what happens in it; `None`: everyone.
    pub(super) principal: Option<Principal>,
}

impl Instance {
    pub(super) fn new(connection: Connection, owner: Owner) -> Self {
        Self {
            connection,
            owner: Mutex::new(owner),
            started: Instant::now(),
            calls: AtomicU64::new(0),
            users: AtomicUsize::new(0),
            last_used: AtomicU64::new(0),
            nudged: Notify::new(),
            emptied: Notify::new(),
            stop: CancellationToken::new(),
            why: Mutex::default(),
            ended: watch::Sender::default(),
        }
    }

    /// Counts a user in; `false` when it takes none any more.
    pub(super) fn enter(&self) -> bool {
        let more = |users: usize| (users & CLOSED == 0).then_some(users + 1);
        self.connection.is_live()
            && self
                .users
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
                .is_ok()
    }

    /// Counts a user out; whether it was the last.
    pub(super) fn leave(&self) -> bool {
        let used = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_used.store(used, Ordering::Release);
        let before = self.users.fetch_sub(1, Ordering::AcqRel);
        if before == CLOSED + 1 {
            self.emptied.notify_waiters();
        }
        before & !CLOSED == 1
    }

    pub(super) fn users(&self) -> usize {
        self.users.load(Ordering::Acquire) & !CLOSED
    }

    pub(super) fn is_closed(&self) -> bool {
        self.users.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Since when nobody uses it; `None` while somebody does, and when it is closed.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let idle = self.users.load(Ordering::Acquire) == 0;
        idle.then(|| self.started + std::time::Duration::from_millis(self.last_used.load(Ordering::Acquire)))
    }

    /// Closes it if nobody uses it; whether that was so.
    pub(super) fn close_if_idle(&self, why: &str) -> bool {
        let closed = self
            .users
            .compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if closed {
            self.order_stop(why);
        }
        closed
    }

    /// Lets nobody in any more; who is in may end.
    pub(super) fn shut(&self) {
        self.users.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Closes it, whoever uses it.
    pub(super) fn close(&self, why: &str) {
        self.shut();
        self.order_stop(why);
    }

    fn order_stop(&self, why: &str) {
        lock(&self.why).get_or_insert_with(|| why.to_owned());
        self.stop.cancel();
    }

    /// Why it was told to stop.
    pub(super) fn why(&self) -> Option<String> {
        lock(&self.why).clone()
    }

    /// The session that it ends with.
    pub(crate) fn lifeline(&self) -> Option<Lifeline> {
        lock(&self.owner).lifeline.clone()
    }

    pub(super) fn key(&self) -> Key {
        lock(&self.owner).key.clone()
    }
}
