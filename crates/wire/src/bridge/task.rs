//! Tasks in both shapes: those of 2025-11-25, a part of the protocol, and those of the modern extension.
//!
//! A legacy task is `{taskId, status, ttl, pollInterval, …}`; the answer to a call wraps it in `task`, and its result
//! is had by `tasks/result`. A modern one is `{taskId, status, ttlMs, pollIntervalMs, …}`, flat in each answer, with
//! its `result`, `error` or `inputRequests` in the same object.

use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;

use crate::edit::{Object, may_name};
use crate::meta::{META, RELATED_TASK, TASKS_EXTENSION};
use crate::mrtr::{INPUT_REQUESTS, InputRequired, RESULT_TYPE};
use crate::{Raw, code, to_raw};

/// Member of a legacy call: it is to become a task.
pub const TASK: &str = "task";

/// The task that a result of a call tells of, flat, if it tells of one.
#[must_use]
pub fn created(result: &RawValue) -> Option<Raw> {
    // Long answers are no tasks, and need not be walked through to see that.
    if !may_name(result, "taskId") {
        return None;
    }
    let object = Object::parse(result).ok()?;
    match object.text(RESULT_TYPE).as_deref() {
        Some("task") => Some(result.to_owned()),
        Some(_) => None,
        None => {
            let task = object.get("task")?;
            Object::parse(task).ok()?.get("taskId")?;
            Some(task.to_owned())
        }
    }
}

/// The id of a task.
#[must_use]
pub fn id(task: &RawValue) -> Option<String> {
    Some(Object::parse(task).ok()?.text("taskId")?.into_owned())
}

/// How long it may be asked for after it was made; `None`: as long as its server lives, or it does not say.
#[must_use]
pub fn life(task: &RawValue) -> Option<Duration> {
    let task = Object::parse(task).ok()?;
    let life = task.get("ttlMs").or_else(|| task.get("ttl"))?;
    life.get().parse().ok().map(Duration::from_millis)
}

/// After what time it should be asked for again, if it says so.
#[must_use]
pub fn pause(task: &RawValue) -> Option<Duration> {
    let task = Object::parse(task).ok()?;
    let pause = task.get("pollIntervalMs").or_else(|| task.get("pollInterval"))?;
    pause.get().parse().ok().map(Duration::from_millis)
}

/// The same message with another id for its task: that of the task itself, of the one that it wraps, and of the one
/// that it says it belongs to.
#[must_use]
pub fn with_id(message: &RawValue, id: &str) -> Raw {
    let Ok(mut object) = Object::parse(message) else {
        return message.to_owned();
    };
    if object.get("taskId").is_some() {
        object.set("taskId", id);
    }
    let wrapped = object.get(TASK).filter(|raw| raw.get().starts_with('{'));
    if let Some(wrapped) = wrapped.map(|raw| with_id(raw, id)) {
        object.set(TASK, &wrapped);
    }
    let changed = object.to_raw();
    match related(&changed) {
        Some(_) => relate(&changed, Some(id)),
        None => changed,
    }
}

/// The id of the task that a message says it belongs to.
#[must_use]
pub fn related(message: &RawValue) -> Option<String> {
    let message = Object::parse(message).ok()?;
    let meta = Object::parse(message.get(META)?).ok()?;
    id(meta.get(RELATED_TASK)?)
}

/// The message with word that it belongs to the task `id`, as the legacy era wants it of all that belongs to one; or
/// without any, as in the modern era.
#[must_use]
pub fn relate(message: &RawValue, id: Option<&str>) -> Raw {
    let Ok(mut object) = Object::parse(message) else {
        return message.to_owned();
    };
    let raw = object.get(META).map(ToOwned::to_owned);
    let meta = raw.as_ref().and_then(|raw| Object::parse(raw).ok());
    let mut meta = meta.unwrap_or_else(Object::empty);
    match id {
        Some(id) => meta.set(RELATED_TASK, &json!({"taskId": id})),
        None => meta.remove(RELATED_TASK),
    }
    if meta.is_empty() {
        object.remove(META);
    } else {
        object.set(META, &meta);
    }
    object.to_raw()
}

/// Whether these capabilities of a server offer that a call of a tool becomes a task: by the part of 2025-11-25, or by
/// the modern extension.
#[must_use]
pub fn offered(capabilities: &RawValue) -> bool {
    fn within(raw: &RawValue, path: &[&str]) -> Option<Raw> {
        path.iter().try_fold(raw.to_owned(), |raw, name| {
            Some(Object::parse(&raw).ok()?.get(name)?.to_owned())
        })
    }
    let is_legacy = within(capabilities, &["tasks", "requests", "tools", "call"]).is_some();
    is_legacy || within(capabilities, &["extensions", TASKS_EXTENSION]).is_some()
}

/// Whether an error says that the call can be answered only by a task, and the client did not declare that it takes
/// one (2026-07-28, Tasks, "Capability Negotiation").
#[must_use]
pub fn is_required(error: &RawValue) -> bool {
    let required = || {
        let error = Object::parse(error).ok()?;
        let is_missing = error.get("code")?.get() == code::MISSING_CLIENT_CAPABILITY.to_string();
        let data = Object::parse(error.get("data")?).ok()?;
        let required = Object::parse(data.get("requiredCapabilities")?).ok()?;
        let extensions = Object::parse(required.get("extensions")?).ok()?;
        Some(is_missing && extensions.get(TASKS_EXTENSION).is_some())
    };
    required() == Some(true)
}

/// Capabilities of a client that takes tasks, added to those it has.
#[must_use]
pub fn declared(capabilities: &RawValue) -> Raw {
    let Ok(mut all) = Object::parse(capabilities) else {
        return capabilities.to_owned();
    };
    let raw = all.get("extensions").map(ToOwned::to_owned);
    let extensions = raw.as_ref().and_then(|raw| Object::parse(raw).ok());
    let mut extensions = extensions.unwrap_or_else(Object::empty);
    extensions.set(TASKS_EXTENSION, &json!({}));
    all.set("extensions", &extensions);
    all.to_raw()
}

/// What a tool says of tasks (2025-11-25, Tasks, "Tool-Level Negotiation"): whether its calls have to become tasks.
#[must_use]
pub fn has_to_be(tool: &RawValue) -> bool {
    let support = || {
        let tool = Object::parse(tool).ok()?;
        let execution = Object::parse(tool.get("execution")?).ok()?;
        Some(execution.text("taskSupport")? == "required")
    };
    support() == Some(true)
}

/// The tool as a legacy client should see it: its calls may become tasks. What it says itself stays.
#[must_use]
pub fn may_be(tool: &RawValue) -> Raw {
    let Ok(mut object) = Object::parse(tool) else {
        return tool.to_owned();
    };
    let raw = object.get("execution").map(ToOwned::to_owned);
    let execution = raw.as_ref().and_then(|raw| Object::parse(raw).ok());
    let mut execution = execution.unwrap_or_else(Object::empty);
    if execution.get("taskSupport").is_none() {
        execution.set("taskSupport", "optional");
        object.set("execution", &execution);
    }
    object.to_raw()
}

/// A task in the legacy shape that is made here, at `now` (RFC 3339), for an answer that was there at once.
#[must_use]
pub fn made(id: &str, status: &str, now: &str, life: Duration) -> Raw {
    to_raw(&json!({
        "taskId": id, "status": status, "createdAt": now, "lastUpdatedAt": now,
        "ttl": u64::try_from(life.as_millis()).unwrap_or(u64::MAX), "pollInterval": 100,
    }))
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// At work.
    Working,
    /// It waits for input.
    Waiting,
    /// It has a result.
    Completed,
    /// It has an error.
    Failed,
    /// It was ended early.
    Cancelled,
}

impl Standing {
    /// Whether it stays as it is for good.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// Where a task stands; `None` for a word that neither era has.
#[must_use]
pub fn standing(task: &RawValue) -> Option<Standing> {
    let task = Object::parse(task).ok()?;
    Some(match &*task.text("status")? {
        "working" => Standing::Working,
        "input_required" => Standing::Waiting,
        "completed" => Standing::Completed,
        "failed" => Standing::Failed,
        "cancelled" => Standing::Cancelled,
        _ => return None,
    })
}

/// A legacy task in the modern shape.
#[must_use]
pub fn to_modern(task: &RawValue) -> Raw {
    renamed(task, &[("ttl", "ttlMs"), ("pollInterval", "pollIntervalMs")], &[])
}

/// A modern task in the legacy shape, without what only the modern one carries. A tool that failed has failed there,
/// while in the modern era only the protocol can (2025-11-25, Tasks, "Task Execution Errors").
#[must_use]
pub fn to_legacy(task: &RawValue) -> Raw {
    let only_modern = [RESULT_TYPE, "result", "error", INPUT_REQUESTS, "requestState"];
    let has_failed = || {
        let task = Object::parse(task).ok()?;
        let result = Object::parse(task.get("result")?).ok()?;
        Some(result.get("isError")?.get() == "true")
    };
    let renamed = renamed(
        task,
        &[("ttlMs", "ttl"), ("pollIntervalMs", "pollInterval")],
        &only_modern,
    );
    if has_failed() != Some(true) {
        return renamed;
    }
    Object::parse(&renamed).map_or_else(
        |_| renamed.clone(),
        |mut task| {
            task.set("status", "failed");
            task.to_raw()
        },
    )
}

/// What a legacy client gets as the answer to a call that became a task.
#[must_use]
pub fn created_for_legacy(modern: &RawValue) -> Raw {
    let mut result = Object::empty();
    result.set("task", &to_legacy(modern));
    result.to_raw()
}

/// What a modern client gets as the answer to a call that became a task.
#[must_use]
pub fn created_for_modern(legacy: &RawValue) -> Raw {
    typed(&to_modern(legacy), "task")
}

/// A legacy task as the answer to a modern `tasks/get`, with the outcome of `tasks/result` where there is one, and
/// with what it waits for.
#[must_use]
pub fn detailed(legacy: &RawValue, outcome: Option<&Result<Raw, Raw>>, waits: Option<&InputRequired>) -> Raw {
    let raw = typed(&to_modern(legacy), "complete");
    let Ok(mut task) = Object::parse(&raw) else {
        return raw;
    };
    match outcome {
        // What the tool says of its own failure is a result; only an error of the protocol fails the task.
        Some(Ok(result)) => {
            task.set("status", "completed");
            task.set("result", &relate(result, None));
        }
        Some(Err(error)) => {
            task.set("status", "failed");
            task.set("error", error);
        }
        None => {}
    }
    if let Some(waits) = waits {
        task.set("status", "input_required");
        task.set(INPUT_REQUESTS, &waits.requests_raw());
    }
    task.to_raw()
}

/// The outcome that a modern task carries: what a legacy client gets from `tasks/result`. `None`: there is none yet.
#[must_use]
pub fn outcome(modern: &RawValue) -> Option<Result<Raw, Raw>> {
    let task = Object::parse(modern).ok()?;
    let error = |message: &str| to_raw(&json!({"code": crate::code::INTERNAL_ERROR, "message": message}));
    let member = |name: &str| task.get(name).map(ToOwned::to_owned);
    match standing(modern)? {
        Standing::Working | Standing::Waiting => None,
        Standing::Completed => {
            Some(member("result").ok_or_else(|| error("the task completed without a result")))
        }
        Standing::Failed => Some(Err(
            member("error").unwrap_or_else(|| error("the task failed, and does not say why"))
        )),
        Standing::Cancelled => Some(Err(error("the task was cancelled"))),
    }
}

fn typed(task: &RawValue, kind: &str) -> Raw {
    let mut typed = Object::empty();
    typed.set(RESULT_TYPE, kind);
    if let Ok(task) = Object::parse(task) {
        for (name, value) in task.iter() {
            typed.set_named(name, value);
        }
    }
    typed.to_raw()
}

/// The members with others' names, in their order; none of `without`.
fn renamed(task: &RawValue, names: &[(&str, &str)], without: &[&str]) -> Raw {
    let Ok(task) = Object::parse(task) else {
        return task.to_owned();
    };
    let mut changed = Object::empty();
    for (name, value) in task.iter().filter(|(name, _)| !without.contains(name)) {
        let new = names
            .iter()
            .find(|(old, _)| *old == name)
            .map_or(name, |(_, new)| new);
        changed.set_named(new, value);
    }
    changed.to_raw()
}
