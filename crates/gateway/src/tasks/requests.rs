//! What clients ask about their tasks. The result of a task is the answer to a call: whether the call is (still)
//! permitted is decided again, it is screened and fitted like any, and it is written down before it is given.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::future::join_all;
use policy::{Ask, Decision};
use serde_json::json;
use wire::bridge::{self, task};
use wire::edit::Object;
use wire::meta::Ability;
use wire::mrtr::{INPUT_REQUESTS, INPUT_RESPONSES, InputRequired};
use wire::{Era, Fault, Raw, code, method, to_raw};

use super::input::Wanted;
use super::inside::{Place, about};
use super::{Task, Tasks};
use crate::call::{self, Stop};
use crate::caller::Caller;
use crate::core::Core;
use crate::dispatch::{Asked, unknown};
use crate::input::{self, InSession};
use crate::journal::Row;
use crate::upstream::{Asker, Lease, Sending};

/// Tasks on a page of their list. Each is asked for at its server.
const PAGE: usize = 50;

/// Whether a method is one about tasks, in either era.
pub(crate) fn is_about(method: &str) -> bool {
    matches!(
        method,
        method::TASKS_GET
            | method::TASKS_CANCEL
            | method::TASKS_RESULT
            | method::TASKS_LIST
            | method::TASKS_UPDATE
    )
}

/// Answers a request about a task, or about all of them.
pub(crate) async fn answer(core: &Core, asked: &Asked<'_>) -> Result<Raw, Fault> {
    let is_modern = asked.caller.era == Era::Modern;
    match asked.method {
        method::TASKS_GET | method::TASKS_CANCEL => {}
        method::TASKS_RESULT | method::TASKS_LIST if !is_modern => {}
        method::TASKS_UPDATE if is_modern => {}
        other => return Err(unknown(other)),
    }
    // 2026-07-28, Tasks, "Protocol Errors".
    if is_modern && !asked.caller.side.abilities.has(Ability::Tasks) {
        return Err(input::missing(&bridge::Unable::Undeclared(Ability::Tasks)));
    }
    if asked.method == method::TASKS_LIST {
        return list(core, asked).await;
    }
    let id = asked.params.text("taskId");
    let id = id.ok_or_else(|| Fault::new(code::INVALID_PARAMS, "params.taskId is required"))?;
    let task = find(&core.known_tasks, asked.caller, &id)?;
    About {
        core,
        asked,
        task: &task,
    }
    .answer()
    .await
}

/// How a task stands, for a client that listens to it: what `tasks/get` would give.
pub(crate) async fn told(core: &Core, caller: &Caller, task: &Arc<Task>) -> Option<Raw> {
    let asked = Asked {
        caller,
        method: method::TASKS_GET,
        params: about(&task.handle.id),
        outlet: None,
        cancel: &core.stop,
    };
    let about = About {
        core,
        asked: &asked,
        task,
    };
    match about.answer().await {
        Ok(found) => Some(found),
        Err(fault) => {
            tracing::debug!("a task is not told of: {}", fault.message());
            None
        }
    }
}

/// Has a modern server tell of a task unasked, where it is not told to already.
pub(crate) fn follow(core: &Core, task: &Arc<Task>) {
    let (server, owner) = (Arc::clone(&task.place.upstream), task.owner.clone());
    let (own, ended) = (task.handle.own.clone(), task.ended.clone());
    if !server.is_modern() || task.state().made.is_some() || task.is_followed.swap(true, Ordering::AcqRel) {
        return;
    }
    let task = Arc::downgrade(task);
    core.tasks.spawn(async move {
        let is_told = match server.ready(&owner.key) {
            Some(lease) => lease.follow_task(&own).await,
            None => false,
        };
        if !is_told {
            // The next who listens to it tries again.
            if let Some(task) = task.upgrade() {
                task.is_followed.store(false, Ordering::Release);
            }
            return;
        }
        ended.cancelled().await;
        if let Some(lease) = server.ready(&owner.key) {
            lease.forget_task(&own).await;
        }
    });
}

fn find(tasks: &Tasks, caller: &Caller, id: &str) -> Result<Arc<Task>, Fault> {
    tasks.find(&caller.principal, id).ok_or_else(|| not_there(id))
}

fn not_there(id: &str) -> Fault {
    let id = base::text::cut(id, 100);
    Fault::new(
        code::INVALID_PARAMS,
        format!("there is no task {id:?} (any more)"),
    )
}

/// The tasks of the caller, as their servers tell of them now. Those that are gone are left out.
async fn list(core: &Core, asked: &Asked<'_>) -> Result<Raw, Fault> {
    let cursor = asked.params.text("cursor");
    let from: usize = match cursor.as_deref() {
        None => 0,
        Some(cursor) => cursor
            .strip_prefix('t')
            .and_then(|at| at.parse().ok())
            .ok_or_else(|| {
                Fault::new(
                    code::INVALID_PARAMS,
                    "params.cursor is none that was given out here",
                )
            })?,
    };
    let all = core.known_tasks.of(&asked.caller.principal);
    let page = all.iter().skip(from).take(PAGE);
    let found = join_all(page.map(async |task| {
        let about = About { core, asked, task };
        about.permitted().ok()?;
        about.standing().await.ok()
    }));
    let tasks: Vec<_> = found.await.into_iter().flatten().collect();
    let mut result = Object::empty();
    result.set("tasks", &tasks);
    if from.saturating_add(PAGE) < all.len() {
        result.set("nextCursor", &format!("t{}", from + PAGE));
    }
    Ok(result.to_raw())
}

struct About<'a> {
    core: &'a Core,
    asked: &'a Asked<'a>,
    task: &'a Arc<Task>,
}

impl About<'_> {
    async fn answer(&self) -> Result<Raw, Fault> {
        let Self { core, asked, task } = self;
        let started = Instant::now();
        let mut row = Row::new(&core.screen, asked.caller);
        let what = json!({"method": asked.method, "taskId": task.handle.id});
        row.asked(&task.tool, core.screen.audited(&what));
        row.at(&task.place.upstream.name);
        let (ended, is_poll) = if let Err(stop) = self.permitted() {
            row.decided("deny");
            (Err(stop), false)
        } else {
            row.decided("allow");
            row.sent();
            let ended = self.make().await;
            // Polls that bring nothing are no calls.
            let is_outcome = ended.as_ref().is_ok_and(|told| told.is_outcome);
            (ended, asked.method == method::TASKS_GET && !is_outcome)
        };
        let ended = ended.map(|told| told.message);
        if is_poll {
            return ended.map_err(Stop::into_fault);
        }
        let kind = match asked.method {
            method::TASKS_RESULT => call::Kind::Tool,
            _ => call::Kind::Resource,
        };
        call::conclude(core, kind, row, ended, started).await
    }

    /// What was permitted when the call was made may be so no more; what was confirmed then still is.
    fn permitted(&self) -> Result<(), Stop> {
        let Task {
            place, tool, effect, ..
        } = &**self.task;
        let server = &place.upstream.name;
        let decision = self.core.rules().decide(&Ask {
            principal: self.asked.caller.principal.as_str(),
            server,
            tool,
            effect: *effect,
        });
        match decision {
            Decision::Deny { rule, how_to_allow } => Err(Stop::Refused(format!(
                "{server}/{tool} is not permitted: {rule}. {how_to_allow}"
            ))),
            Decision::Allow | Decision::Ask { .. } => Ok(()),
        }
    }

    async fn make(&self) -> Result<Told, Stop> {
        if self.task.state().made.is_some() {
            return self.made();
        }
        match (self.is_modern(), self.asked.caller.era, self.asked.method) {
            (_, Era::Legacy(_), method::TASKS_RESULT) => self.result().await,
            (_, _, method::TASKS_CANCEL) => self.cancel().await,
            (_, _, method::TASKS_UPDATE) => self.update().await,
            (_, Era::Legacy(_), _) => Ok(Told::of(self.standing().await?)),
            (true, Era::Modern, _) => self.modern().await,
            (false, Era::Modern, _) => self.modernised().await,
        }
    }

    /// Of a task that was made here.
    fn made(&self) -> Result<Told, Stop> {
        let state = self.task.state();
        let (Some(made), Some(outcome)) = (&state.made, &state.outcome) else {
            return Err(not_there(&self.task.handle.id).into());
        };
        let told = match (self.asked.method, self.asked.caller.era) {
            (method::TASKS_CANCEL, Era::Legacy(_)) => {
                return Err(Fault::new(code::INVALID_PARAMS, "the task has ended already").into());
            }
            (method::TASKS_CANCEL | method::TASKS_UPDATE, _) => Told::of(nothing()),
            (method::TASKS_RESULT, _) => {
                let result = outcome
                    .clone()
                    .map_err(|error| Stop::Fault(Fault::Relayed(error)))?;
                Told::outcome(task::relate(&result, Some(&self.task.handle.id)))
            }
            (_, Era::Legacy(_)) => Told::of(task::with_id(made, &self.task.handle.id)),
            (_, Era::Modern) => {
                let told = task::detailed(made, Some(outcome), None);
                Told::outcome(task::with_id(&told, &self.task.handle.id))
            }
        };
        Ok(told)
    }

    /// How it stands, in the legacy shape.
    async fn standing(&self) -> Result<Raw, Stop> {
        let made = self.task.state().made.clone();
        if let Some(made) = made {
            return Ok(task::with_id(&made, &self.task.handle.id));
        }
        let found = self.ask(method::TASKS_GET).await?;
        if task::standing(&found) == Some(task::Standing::Cancelled) {
            self.task.release();
        }
        let found = if self.is_modern() {
            task::to_legacy(&found)
        } else {
            found
        };
        Ok(self.under_its_name(found))
    }

    /// For a legacy client, which waits for it.
    async fn result(&self) -> Result<Told, Stop> {
        let Self { core, asked, task } = self;
        let id = &task.handle.id;
        let asker = InSession::of(core, asked.caller, asked.outlet, Some(id));
        let lease = self.lease().await?;
        let outcome = if self.is_modern() {
            let place = Place {
                core,
                caller: asked.caller,
                server: &task.place.upstream,
                lease: &lease,
                own: &task.handle.own,
            };
            place.outcome(asker.as_deref(), asked.cancel).await?
        } else {
            let sending = Sending {
                asker: asker.map(|asker| asker as Arc<dyn Asker>),
                ..Sending::plain(asked.caller, asked.cancel, task.place.upstream.call_limit())
            };
            let params = about(&task.handle.own);
            task.place
                .upstream
                .send(&lease, method::TASKS_RESULT, params, sending)
                .await?
        };
        task.release();
        let result = outcome.map_err(|error| self.fault(error))?;
        Ok(Told::outcome(task::relate(&self.screened(result)?, Some(id))))
    }

    async fn cancel(&self) -> Result<Told, Stop> {
        let is_legacy = self.asked.caller.era != Era::Modern;
        let cancelled = self.ask(method::TASKS_CANCEL).await;
        if !is_legacy {
            return match cancelled {
                Ok(_) => Ok(Told::of(nothing())),
                // A legacy server refuses for one that has ended; in the modern era that makes no difference.
                Err(Stop::Fault(fault))
                    if !self.is_modern() && fault.code() == Some(code::INVALID_PARAMS) =>
                {
                    self.ask(method::TASKS_GET).await?;
                    Ok(Told::of(nothing()))
                }
                Err(stop) => Err(stop),
            };
        }
        let cancelled = cancelled?;
        if self.is_modern() {
            return Ok(Told::of(self.standing().await?));
        }
        self.task.release();
        Ok(Told::of(self.under_its_name(cancelled)))
    }

    async fn update(&self) -> Result<Told, Stop> {
        let given = self.asked.params.get(INPUT_RESPONSES);
        let given = given.filter(|raw| raw.get().starts_with('{'));
        let given = given
            .ok_or_else(|| Fault::new(code::INVALID_PARAMS, "params.inputResponses has to be an object"))?;
        let screen = |raw: Raw| self.core.screen.arguments(&raw).unwrap_or(raw);
        if self.is_modern() {
            let mut params = about(&self.task.handle.own);
            params.set(INPUT_RESPONSES, &screen(given.to_owned()));
            self.carry(&mut params);
            return Ok(Told::of(self.send(method::TASKS_UPDATE, params).await?));
        }
        let responses = Object::parse(given)
            .map_err(|error| Fault::new(code::INVALID_PARAMS, format!("params.inputResponses: {error}")))?;
        if let Some(wanted) = &mut self.task.state().wanted {
            wanted.take(&responses, screen);
        }
        Ok(Told::of(nothing()))
    }

    /// A modern server's task for a modern client: as it is, its outcome like any result.
    async fn modern(&self) -> Result<Told, Stop> {
        let found = self.ask(method::TASKS_GET).await?;
        let malformed = |why: String| Stop::from(input::malformed(&self.task.place.upstream, &why));
        let mut object = Object::parse(&found).map_err(|error| malformed(error.to_string()))?;
        if object.get(INPUT_REQUESTS).is_some() {
            let wanted = InputRequired::of(&object).map_err(malformed)?;
            input::permitted(self.asked.caller, &wanted.requests)?;
        }
        let result = object.get("result").map(ToOwned::to_owned);
        let is_outcome = result.is_some() || object.get("error").is_some();
        let Some(result) = result else {
            if task::standing(&found).is_some_and(task::Standing::is_final) {
                self.task.release();
            }
            return Ok(Told {
                message: self.under_its_name(found.clone()),
                is_outcome,
            });
        };
        object.remove("result");
        let mut rest = self.core.screen.result(object.to_raw());
        let result = self.screened(result)?;
        if let Ok(mut object) = Object::parse(&rest) {
            object.set("result", &result);
            rest = object.to_raw();
        }
        self.task.release();
        Ok(Told::outcome(task::with_id(&rest, &self.task.handle.id)))
    }

    /// A legacy server's task for a modern client: with its outcome, and what is wanted, in it.
    async fn modernised(&self) -> Result<Told, Stop> {
        let found = self.ask(method::TASKS_GET).await?;
        let standing = task::standing(&found);
        let outcome = match standing {
            Some(task::Standing::Completed | task::Standing::Failed) => {
                match self.ask(method::TASKS_RESULT).await {
                    Ok(result) => Some(Ok(self.screened(result)?)),
                    // What the server itself says. Where no answer came the result is still to be had.
                    Err(Stop::Fault(fault @ Fault::Relayed(_))) => Some(Err(fault.to_raw())),
                    Err(stop) => return Err(stop),
                }
            }
            _ => None,
        };
        if standing.is_some_and(task::Standing::is_final) {
            self.task.release();
        }
        let waits = match outcome {
            None => self.task.state().wanted.as_mut().and_then(Wanted::requests),
            Some(_) => None,
        };
        let found = self.core.screen.result(found);
        let found = match (standing, &waits) {
            // It says so before it has asked.
            (Some(task::Standing::Waiting), None) => with_status(&found, "working"),
            _ => found,
        };
        let told = task::detailed(&found, outcome.as_ref(), waits.as_ref());
        Ok(Told {
            message: task::with_id(&told, &self.task.handle.id),
            is_outcome: outcome.is_some(),
        })
    }

    fn is_modern(&self) -> bool {
        self.task.place.upstream.is_modern()
    }

    async fn lease(&self) -> Result<Lease, Stop> {
        let server = &self.task.place.upstream;
        let lease = server.lease_again(&self.task.owner, self.asked.cancel).await?;
        Ok(lease.ok_or_else(|| not_there(&self.task.handle.id))?)
    }

    /// Asks the server about the task.
    async fn ask(&self, method: &str) -> Result<Raw, Stop> {
        let mut params = about(&self.task.handle.own);
        self.carry(&mut params);
        self.send(method, params).await
    }

    /// What else the client's request has in its `_meta`.
    fn carry(&self, params: &mut Object<'_>) {
        if let Some(meta) = self.asked.params.get(wire::meta::META) {
            params.set(wire::meta::META, meta);
        }
    }

    async fn send(&self, method: &str, params: Object<'_>) -> Result<Raw, Stop> {
        let Self { asked, task, .. } = self;
        let server = &task.place.upstream;
        let lease = self.lease().await?;
        let sending = Sending {
            takes_tasks: true,
            ..Sending::plain(asked.caller, asked.cancel, server.list_limit())
        };
        let answer = server.send(&lease, method, params, sending).await?;
        answer.map_err(|error| self.fault(error))
    }

    fn fault(&self, error: Raw) -> Stop {
        let error = self.core.screen.result(error);
        Stop::Fault(Fault::Relayed(task::with_id(&error, &self.task.handle.id)))
    }

    /// The result of the call, as any result goes out.
    fn screened(&self, result: Raw) -> Result<Raw, Stop> {
        let Self { core, asked, task } = self;
        let result = core
            .screen
            .answer(&task.place.upstream, task.place.outward(result))
            .map_err(Stop::Refused)?;
        Ok(core.kept.fit(asked.caller, result))
    }

    fn under_its_name(&self, found: Raw) -> Raw {
        task::with_id(&self.core.screen.result(found), &self.task.handle.id)
    }
}

/// What a client is told of its task.
struct Told {
    message: Raw,
    /// The call's result or error is in it.
    is_outcome: bool,
}

impl Told {
    fn of(message: Raw) -> Self {
        Self {
            message,
            is_outcome: false,
        }
    }

    fn outcome(message: Raw) -> Self {
        Self {
            message,
            is_outcome: true,
        }
    }
}

fn nothing() -> Raw {
    to_raw(&json!({}))
}

fn with_status(task: &Raw, status: &str) -> Raw {
    Object::parse(task).map_or_else(
        |_| task.clone(),
        |mut task| {
            task.set("status", status);
            task.to_raw()
        },
    )
}
