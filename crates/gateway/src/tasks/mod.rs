//! Tasks: calls of tools whose answer comes later. Which instance of which server has which task, whose it is, and under
//! which name its client knows it. A task belongs to the principal whose call became it; nobody else learns of it.
//!
//! The two eras have different tasks: in 2025-11-25 the client wants one, in the modern extension the server decides. All
//! four meetings are served. What a server has no words for is made here: a task for an answer that was there at once
//! ([`create`]), the result of one for a client that takes none ([`inside`]), input for one that a legacy server wants by
//! requests ([`input`]). What is asked about tasks is in [`requests`].
//!
//! Deliberately absent: tasks that clients do for servers (no client is told that it may make one), and any memory of
//! tasks beyond the process.

mod create;
mod input;
mod inside;
mod requests;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use policy::Effect;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::Raw;

pub(crate) use self::create::{Becoming, Wish, created, made, wish};
use self::input::Wanted;
pub(crate) use self::inside::{call, in_its_place};
pub(crate) use self::requests::{answer, follow, is_about, told};
use crate::Principal;
use crate::events::Audience;
use crate::find::Found;
use crate::upstream::{Key, Lease, Owner};

/// So many tasks of one principal are remembered; the oldest give way.
const MOST: usize = 1_000;
/// A task that does not say how long it lasts keeps its instance running for so long; a longer one not any longer.
const LIFE: Duration = Duration::from_hours(1);

/// Whose tasks are where.
#[derive(Default)]
pub(crate) struct Tasks {
    all: Mutex<HashMap<Principal, Own>>,
    /// Those that were made here, whose results are kept here; the oldest first.
    made: Mutex<VecDeque<Made>>,
}

/// A task that was made here.
struct Made {
    principal: Principal,
    task: Weak<Task>,
    /// Of its result.
    bytes: usize,
    until: Instant,
}

/// The tasks of one principal, by the names that its clients know.
#[derive(Default)]
struct Own {
    tasks: HashMap<String, Arc<Task>>,
    /// The oldest first.
    order: VecDeque<String>,
}

/// A task.
pub(crate) struct Task {
    pub(crate) handle: Arc<Handle>,
    place: Found,
    /// What permissions and audit call the tool that became it, and what that does.
    tool: String,
    effect: Effect,
    /// Whose instance has it.
    owner: Owner,
    state: Mutex<State>,
    /// The server tells of it unasked, or is just told to.
    is_followed: AtomicBool,
    /// Nobody can ask for it any more, or nobody need keep its instance any more.
    ended: CancellationToken,
}

/// Under which name a client knows a task, and which that is.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) id: String,
    /// What the server calls it; of one that was made here, what nobody else is called.
    own: String,
    server: String,
    key: Key,
}

impl Handle {
    fn is_same(&self, other: &Self) -> bool {
        (&self.own, &self.server, &self.key) == (&other.own, &other.server, &other.key)
    }

    /// Whether it is the task that an instance calls `own`.
    pub(crate) fn is_of(&self, audience: Option<&Audience>, own: &str) -> bool {
        let is_there = |audience: &Audience| *audience.server == *self.server && audience.key == self.key;
        self.own == own && audience.is_some_and(is_there)
    }
}

#[derive(Default)]
struct State {
    /// Keeps the instance running until the task has ended.
    lease: Option<Lease>,
    /// Of one that was made here: how it stands, in the legacy shape.
    made: Option<Raw>,
    /// What came of it, as clients get it, where that is kept here.
    outcome: Option<Result<Raw, Raw>>,
    /// What a legacy server wants of a modern client meanwhile.
    wanted: Option<Wanted>,
}

impl Task {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody needs its instance any more.
    fn release(&self) {
        self.ended.cancel();
        drop(self.state().lease.take());
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Tasks {
    /// Keeps a task that an instance calls `own`: under that name, or where another task of the principal has it, under
    /// one like it. The same instance gives a name twice only when it has forgotten the first.
    fn keep(
        &self,
        principal: &Principal,
        named: Handle,
        make: impl FnOnce(Arc<Handle>) -> Task,
    ) -> Arc<Task> {
        let mut gone = Vec::new();
        let mut all = self.lock();
        let Own { tasks, order } = all.entry(principal.clone()).or_default();
        let is_other = |id: &String| tasks.get(id).is_some_and(|known| !known.handle.is_same(&named));
        let id = if is_other(&named.own) {
            let numbered = (2_u64..).map(|number| format!("{}.{number}", named.own));
            let mut free = numbered.filter(|id| !is_other(id));
            free.next().unwrap_or_default()
        } else {
            named.own.clone()
        };
        let task = Arc::new(make(Arc::new(Handle {
            id: id.clone(),
            ..named
        })));
        match tasks.insert(id.clone(), Arc::clone(&task)) {
            Some(before) => gone.push(before),
            None => order.push_back(id),
        }
        while order.len() > MOST {
            gone.extend(order.pop_front().and_then(|oldest| tasks.remove(&oldest)));
        }
        // What goes ends its watchers and may stop an instance: not under the lock.
        drop(all);
        drop(gone);
        task
    }

    /// Sees to it that the results which are kept here have `most` bytes altogether and no task lasts longer than it was
    /// said to: the oldest give way.
    fn hold(&self, principal: &Principal, task: &Arc<Task>, bytes: usize, most: usize) {
        self.make_room(most.saturating_sub(bytes));
        self.lock_made().push_back(Made {
            principal: principal.clone(),
            task: Arc::downgrade(task),
            bytes,
            until: Instant::now() + LIFE,
        });
    }

    /// Forgets tasks that were made here: those whose time is over, and the oldest while there are more than `most`
    /// bytes.
    fn make_room(&self, most: usize) {
        let mut gone = Vec::new();
        {
            let mut made = self.lock_made();
            let now = Instant::now();
            if made.front().is_none_or(|oldest| oldest.until > now) && most == usize::MAX {
                return;
            }
            made.retain(|made| made.task.strong_count() > 0);
            let mut bytes: usize = made.iter().map(|made| made.bytes).sum();
            while made
                .front()
                .is_some_and(|oldest| oldest.until <= now || bytes > most)
                && let Some(oldest) = made.pop_front()
            {
                bytes -= oldest.bytes;
                gone.push(oldest);
            }
        }
        let tasks: Vec<_> = gone.iter().map(|made| self.forget(made)).collect();
        drop(tasks);
    }

    fn forget(&self, made: &Made) -> Option<Arc<Task>> {
        let task = made.task.upgrade()?;
        let mut all = self.lock();
        let Own { tasks, order } = all.get_mut(&made.principal)?;
        let id = &task.handle.id;
        if !tasks.get(id).is_some_and(|known| Arc::ptr_eq(known, &task)) {
            return None;
        }
        order.retain(|known| known != id);
        tasks.remove(id)
    }

    /// The task that `principal` knows by that name.
    pub(crate) fn find(&self, principal: &Principal, id: &str) -> Option<Arc<Task>> {
        self.make_room(usize::MAX);
        self.lock().get(principal)?.tasks.get(id).cloned()
    }

    /// All of them, the oldest first.
    fn of(&self, principal: &Principal) -> Vec<Arc<Task>> {
        self.make_room(usize::MAX);
        let all = self.lock();
        let Some(own) = all.get(principal) else {
            return Vec::new();
        };
        let tasks = own.order.iter();
        tasks.filter_map(|id| own.tasks.get(id).cloned()).collect()
    }

    /// The gateway stops: nothing is kept running any more.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Principal, Own>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_made(&self) -> MutexGuard<'_, VecDeque<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
