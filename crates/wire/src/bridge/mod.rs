//! The bridge between the eras: what one says and the other says otherwise, as conversions of single messages.
//! Each takes what one side wrote and gives what the other reads; members that only one of them knows are added or
//! taken away, all others stay as they are.
//!
//! Deliberately absent: who may ask whom, what is waited for, and where messages go; that is the gateway's.

mod ask;
pub mod task;

pub use ask::{Unable, for_legacy, for_modern, needs};

use serde_json::json;
use serde_json::value::RawValue;

use crate::edit::Object;
use crate::meta::{
    CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, META, PROGRESS_TOKEN, PROTOCOL_VERSION, SERVER_INFO,
    SUBSCRIPTION_ID,
};
use crate::mrtr::{InputRequest, RESULT_TYPE};
use crate::{Fault, Raw, Version, code, method};

/// Who speaks, for the `_meta` of a modern request.
#[derive(Debug, Clone, Copy)]
pub struct Speaker<'a> {
    /// Its `clientInfo`.
    pub info: &'a RawValue,
    /// Its `capabilities`.
    pub capabilities: &'a RawValue,
    /// From which level on it wants log messages.
    pub log_level: Option<&'a str>,
}

/// What a modern request has in its `_meta` for the server (2026-07-28, Base Protocol, "`_meta`"), in that of one
/// which had no reason to say it.
pub fn introduce(meta: &mut Object<'_>, speaker: Speaker<'_>) {
    meta.set(PROTOCOL_VERSION, Version::LATEST.as_str());
    meta.set_raw(CLIENT_INFO, speaker.info.to_owned());
    meta.set_raw(CLIENT_CAPABILITIES, speaker.capabilities.to_owned());
    if let Some(level) = speaker.log_level {
        meta.set(LOG_LEVEL, level);
    }
}

/// Takes that out of the `_meta` of a request for a legacy server, and the client's token for progress, which is
/// valid on its own hop alone.
pub fn strip(meta: &mut Object<'_>) {
    for key in [PROTOCOL_VERSION, CLIENT_INFO, CLIENT_CAPABILITIES, LOG_LEVEL] {
        meta.remove(key);
    }
    meta.remove(PROGRESS_TOKEN);
}

/// The capabilities of a legacy client as they stand in a modern request: tasks of the legacy kind are none here,
/// and changes of roots are not announced.
#[must_use]
pub fn capabilities_for_modern(legacy: &RawValue) -> Raw {
    let Ok(mut capabilities) = Object::parse(legacy) else {
        return crate::to_raw(&json!({}));
    };
    capabilities.remove("tasks");
    capabilities.to_raw()
}

/// A modern server's result for a legacy client: without type, freshness and who gave it.
#[must_use]
pub fn result_for_legacy(result: Raw) -> Raw {
    let Ok(mut object) = Object::parse(&result) else {
        return result;
    };
    for name in [RESULT_TYPE, "ttlMs", "cacheScope"] {
        object.remove(name);
    }
    drop_meta(&mut object, SERVER_INFO);
    object.to_raw()
}

/// A notification's `params` without the tag of the subscription that it came by.
#[must_use]
pub fn untagged(params: Raw) -> Raw {
    let Ok(mut object) = Object::parse(&params) else {
        return params;
    };
    drop_meta(&mut object, SUBSCRIPTION_ID);
    object.to_raw()
}

/// Takes `key` out of `_meta`, and an empty `_meta` with it.
fn drop_meta(object: &mut Object<'_>, key: &str) {
    let Some(raw) = object.get(META).map(ToOwned::to_owned) else {
        return;
    };
    let Ok(mut meta) = Object::parse(&raw) else { return };
    if meta.get(key).is_none() {
        return;
    }
    meta.remove(key);
    if meta.is_empty() {
        object.remove(META);
    } else {
        object.set(META, &meta);
    }
}

/// A modern server's error for a legacy client. "Resource not found" had a code of its own
/// (2025-11-25, Resources, "Error Handling"); in the modern era it is the one for wrong parameters, with the resource
/// in its data (2026-07-28, same section).
#[must_use]
pub fn error_for_legacy(method: &str, error: Raw) -> Raw {
    let is_missing = || {
        let error = Object::parse(&error).ok()?;
        let data = Object::parse(error.get("data")?).ok()?;
        Some(error.get("code")?.get() == code::INVALID_PARAMS.to_string() && data.get("uri").is_some())
    };
    if method != method::RESOURCES_READ || is_missing() != Some(true) {
        return error;
    }
    with_code(&error, code::RESOURCE_NOT_FOUND)
}

/// A legacy server's "resource not found" for a modern client: the other code, and the resource in the data.
#[must_use]
pub fn error_for_modern(fault: Fault, uri: Option<&str>) -> Fault {
    if fault.code() != Some(code::RESOURCE_NOT_FOUND) {
        return fault;
    }
    let raw = fault.to_raw();
    let Ok(mut error) = Object::parse(&raw) else {
        return fault;
    };
    error.set("code", &code::INVALID_PARAMS);
    if let (None, Some(uri)) = (error.get("data"), uri) {
        error.set("data", &json!({"uri": uri}));
    }
    Fault::Relayed(error.to_raw())
}

fn with_code(error: &RawValue, code: i64) -> Raw {
    Object::parse(error).map_or_else(
        |_| error.to_owned(),
        |mut error| {
            error.set("code", &code);
            error.to_raw()
        },
    )
}

/// The visits that a legacy server's error -32042 wants, as requests for input; `None` if it is another error.
#[must_use]
pub fn visits(error: &RawValue) -> Option<Vec<(String, InputRequest)>> {
    let error = Object::parse(error).ok()?;
    if error.get("code")?.get() != code::URL_ELICITATION_REQUIRED.to_string() {
        return None;
    }
    let data = Object::parse(error.get("data")?).ok()?;
    let visits = crate::edit::items(data.get("elicitations")?)?;
    let requests: Vec<_> = visits
        .into_iter()
        .enumerate()
        .map(|(at, visit)| {
            let request = InputRequest {
                method: method::ELICIT.to_owned(),
                params: Some(visit.to_owned()),
            };
            (format!("visit-{}", at + 1), request)
        })
        .collect();
    (!requests.is_empty()).then_some(requests)
}

#[cfg(test)]
mod tests;
