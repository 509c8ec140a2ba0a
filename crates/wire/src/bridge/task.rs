//! Tasks in both shapes: those of 2025-11-25, a part of the protocol, and those of the modern extension.
//!
//! A legacy task is `{taskId, status, ttl, pollInterval, …}`; the answer to a call wraps it in `task`, and its result
//! is had by `tasks/result`. A modern one is `{taskId, status, ttlMs, pollIntervalMs, …}`, flat in each answer, with
//! its `result`, `error` or `inputRequests` in the same object.

use serde_json::json;
use serde_json::value::RawValue;

use crate::edit::Object;
use crate::mrtr::{INPUT_REQUESTS, InputRequired, RESULT_TYPE};
use crate::{Raw, to_raw};

/// The task that a result of a call tells of, flat, if it tells of one.
#[must_use]
pub fn created(result: &RawValue) -> Option<Raw> {
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

/// A modern task in the legacy shape, without what only the modern one carries.
#[must_use]
pub fn to_legacy(task: &RawValue) -> Raw {
    let only_modern = [RESULT_TYPE, "result", "error", INPUT_REQUESTS, "requestState"];
    renamed(
        task,
        &[("ttlMs", "ttl"), ("pollIntervalMs", "pollInterval")],
        &only_modern,
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
            task.set("result", result);
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
