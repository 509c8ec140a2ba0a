//! What servers ask of clients: elicitation, sampling, roots.

use serde_json::json;
use serde_json::value::RawValue;

use crate::edit::Object;
use crate::meta::{Ability, ClientCapabilities};
use crate::{Raw, Version, method, to_raw};

/// Why a client can't be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unable {
    /// It did not say that it can.
    #[error("the client of this call did not declare {}", .0.name())]
    Undeclared(Ability),
    /// There is nothing of that name which clients do.
    #[error("clients do not offer {0:?}")]
    Unknown(String),
    /// Its revision of the protocol has no words for it.
    #[error("protocol version {0}, which the client of this call speaks, has no {1}")]
    TooOld(Version, &'static str),
}

/// What a client has to be able to do to answer this request.
///
/// # Errors
/// [`Unable::Unknown`] when clients answer no such request.
pub fn needs(method: &str, params: Option<&RawValue>) -> Result<Ability, Unable> {
    let members = params.and_then(|raw| Object::parse(raw).ok());
    let member = |name: &str| members.as_ref().and_then(|members| members.get(name));
    match method {
        method::ELICIT => Ok(match member("mode").and_then(crate::edit::text).as_deref() {
            Some("url") => Ability::Url,
            _ => Ability::Form,
        }),
        method::SAMPLE if member("tools").is_some() || member("toolChoice").is_some() => {
            Ok(Ability::SamplingTools)
        }
        method::SAMPLE => Ok(Ability::Sampling),
        method::ROOTS => Ok(Ability::Roots),
        other => Err(Unable::Unknown(other.chars().take(100).collect())),
    }
}

/// The `params` of such a request for a modern client. The legacy wish that the answer come as a task is gone.
///
/// # Errors
/// [`Unable`] when the client did not declare what it takes.
pub fn for_modern(
    method: &str,
    params: Option<&RawValue>,
    client: ClientCapabilities,
) -> Result<Option<Raw>, Unable> {
    declared(method, params, client)?;
    Ok(params.map(|raw| edited(raw, |members| members.remove("task"))))
}

/// The `params` of such a request for a legacy client that speaks `version`. `id` names a visit whose server gave it
/// no name, as every one has in the legacy era.
///
/// # Errors
/// [`Unable`] when the client did not declare what it takes, or its revision has no words for it.
pub fn for_legacy(
    method: &str,
    params: Option<&RawValue>,
    client: ClientCapabilities,
    version: Version,
    id: &str,
) -> Result<Raw, Unable> {
    let ability = declared(method, params, client)?;
    let since = match ability {
        Ability::Form => Version::V2025_06_18,
        Ability::Url | Ability::SamplingTools => Version::V2025_11_25,
        Ability::Sampling | Ability::Roots | Ability::Tasks => Version::V2024_11_05,
    };
    if version < since {
        return Err(Unable::TooOld(version, ability.name()));
    }
    let Some(raw) = params else {
        return Ok(to_raw(&json!({})));
    };
    Ok(edited(raw, |members| {
        members.remove("task");
        match ability {
            // Modes came with URL elicitation.
            Ability::Form if version < Version::V2025_11_25 => members.remove("mode"),
            Ability::Url if members.get("elicitationId").is_none() => members.set("elicitationId", id),
            _ => {}
        }
    }))
}

fn declared(method: &str, params: Option<&RawValue>, client: ClientCapabilities) -> Result<Ability, Unable> {
    let ability = needs(method, params)?;
    if client.has(ability) {
        Ok(ability)
    } else {
        Err(Unable::Undeclared(ability))
    }
}

fn edited(raw: &RawValue, edit: impl FnOnce(&mut Object<'_>)) -> Raw {
    Object::parse(raw).map_or_else(
        |_| raw.to_owned(),
        |mut members| {
            edit(&mut members);
            members.to_raw()
        },
    )
}
