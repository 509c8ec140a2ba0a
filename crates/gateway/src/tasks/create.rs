//! Calls that become tasks: whether one may, what is said of it to the server, and what its client is told.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use policy::Effect;
use tokio_util::sync::CancellationToken;
use wire::bridge::task;
use wire::edit::Object;
use wire::meta::Ability;
use wire::{Era, Raw};

use super::{Handle, LIFE, State, Task, input};
use crate::call::Kind;
use crate::caller::Caller;
use crate::core::Core;
use crate::find::Found;
use crate::upstream::{Lease, NoAnswer};

/// Whether the answer to a call may be a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// As client and server settle it between them.
    Theirs,
    /// A legacy client wants one of a modern server, which has to be told that one is taken.
    Later,
    /// A legacy server does it by a task only; its modern client takes one.
    Imposed,
    /// The same, and the client takes none: the result is waited for in its place.
    Inside,
}

/// What is to become of a call, from what client and server say of tasks.
pub(crate) async fn wish(
    core: &Core,
    caller: &Caller,
    kind: Kind,
    subject: &str,
    found: &Found,
    params: &Object<'_>,
    cancel: &CancellationToken,
) -> Result<Wish, NoAnswer> {
    let (server, peer) = (&found.upstream, caller.peer());
    if kind != Kind::Tool {
        return Ok(Wish::Theirs);
    }
    if let Era::Legacy(_) = caller.era {
        let wants = params
            .get(task::TASK)
            .is_some_and(|raw| raw.get().starts_with('{'));
        let is_bridged = wants && server.speaks_modern(&peer, cancel).await? && server.offers_tasks(&peer);
        return Ok(if is_bridged { Wish::Later } else { Wish::Theirs });
    }
    if !core.must_be_task(&peer, subject) || server.speaks_modern(&peer, cancel).await? {
        return Ok(Wish::Theirs);
    }
    Ok(
        match (
            server.offers_tasks(&peer),
            caller.side.abilities.has(Ability::Tasks),
        ) {
            (false, _) => Wish::Theirs,
            (true, true) => Wish::Imposed,
            (true, false) => Wish::Inside,
        },
    )
}

impl Wish {
    /// Says it in the parameters for the server.
    pub(crate) fn say(self, params: &mut Object<'_>) {
        match self {
            Self::Theirs => {}
            Self::Later => params.remove(task::TASK),
            Self::Imposed | Self::Inside => params.set(task::TASK, &serde_json::json!({})),
        }
    }
}

/// A call that became a task, or has to be one.
pub(crate) struct Becoming<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) found: &'a Found,
    /// What permissions call the tool, and what it does.
    pub(crate) tool: &'a str,
    pub(crate) effect: Effect,
    pub(crate) wish: Wish,
}

/// Keeps the task that a server calls `own`, and says it in the words of the caller's era. `result` is the server's,
/// screened.
pub(crate) fn created(core: &Core, call: &Becoming<'_>, own: &str, result: &Raw, lease: Lease) -> Raw {
    let Becoming { caller, found, .. } = call;
    let server = &found.upstream;
    let shown = task::created(result).unwrap_or_else(|| result.clone());
    let life = task::life(&shown).map_or(LIFE, |life| life.min(LIFE));
    let state = State {
        lease: Some(lease),
        ..State::default()
    };
    let task = keep(core, call, own, state);
    tracing::debug!(
        server = server.name,
        "a call became the task {:?}",
        task.handle.id
    );
    if let Some(session) = &caller.side.answers {
        session.expect_task(Arc::clone(&task.handle));
        if server.is_modern() {
            super::follow(core, &task);
        }
    }
    if call.wish == Wish::Imposed {
        input::gather(core, caller, &task);
    }
    watch_over(core, &task, life);
    server.repeat_task(&task.handle.key, own);
    let told = match (server.is_modern(), caller.era) {
        (true, Era::Legacy(_)) => task::created_for_legacy(&shown),
        (false, Era::Modern) => task::created_for_modern(&shown),
        _ => result.clone(),
    };
    task::with_id(&told, &task.handle.id)
}

/// A task for an answer that was there at once: the client wanted one, and gets the answer when it asks for it. `None`:
/// the answer is too long to be kept for that.
pub(crate) fn made(
    core: &Core,
    call: &Becoming<'_>,
    result: Raw,
    is_error: bool,
    lease: Lease,
) -> Option<Raw> {
    let (bytes, most) = (result.get().len(), core.limits.kept_bytes);
    if bytes > most {
        return None;
    }
    let id = crate::seal::random_id().ok()?;
    let now = base::clock::now().to_string();
    let status = if is_error { "failed" } else { "completed" };
    let owner_of = State {
        lease: Some(lease),
        made: Some(task::made(&id, status, &now, LIFE)),
        outcome: Some(Ok(result)),
        ..State::default()
    };
    let task = keep(core, call, &id, owner_of);
    // Its instance has done all there is to do.
    task.release();
    core.known_tasks.hold(&call.caller.principal, &task, bytes, most);
    // 2025-11-25, Tasks, "Task Status Lifecycle": each begins at work.
    let told = task::created_for_legacy(&task::made(&id, "working", &now, LIFE));
    Some(task::with_id(&told, &task.handle.id))
}

fn keep(core: &Core, call: &Becoming<'_>, own: &str, state: State) -> Arc<Task> {
    let Becoming { caller, found, .. } = call;
    let owner = state.lease.as_ref().map(Lease::owner);
    let owner = owner.unwrap_or_else(|| found.upstream.owner(&caller.peer()));
    let named = Handle {
        id: String::new(),
        own: own.to_owned(),
        server: found.upstream.name.clone(),
        key: owner.key.clone(),
    };
    core.known_tasks.keep(&caller.principal, named, |handle| Task {
        handle,
        place: (*found).clone(),
        tool: call.tool.to_owned(),
        effect: call.effect,
        owner,
        state: Mutex::new(state),
        is_followed: AtomicBool::new(false),
        ended: CancellationToken::new(),
    })
}

/// Lets the instance go when the task has ended, or has been at work for too long.
fn watch_over(core: &Core, task: &Arc<Task>, life: Duration) {
    let (ended, stop, task) = (task.ended.clone(), core.stop.clone(), Arc::downgrade(task));
    core.tasks.spawn(async move {
        tokio::select! {
            () = ended.cancelled() => {}
            () = tokio::time::sleep(life) => {}
            () = stop.cancelled() => {}
        }
        if let Some(task) = task.upgrade() {
            task.release();
        }
    });
}
