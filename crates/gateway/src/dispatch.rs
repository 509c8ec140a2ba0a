//! Requests that both eras have.

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use wire::bridge::result_for_legacy;
use wire::edit::Object;
use wire::{Era, Fault, Notification, Raw, code, method};

use crate::call::{self, Incoming, Kind};
use crate::caller::Caller;
use crate::core::Core;
use crate::extension;
use crate::find::Found;
use crate::lists::{self, List};
use crate::outlet::Outlet;
use crate::session::Session;
use crate::skills;
use crate::tasks;
use crate::upstream::Sending;

/// A request, from whom, and where its stream goes.
pub(crate) struct Asked<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) method: &'a str,
    pub(crate) params: Object<'a>,
    pub(crate) outlet: Option<&'a Outlet>,
    pub(crate) cancel: &'a CancellationToken,
}

/// The members of `params`.
pub(crate) fn members(params: Option<&Raw>) -> Result<Object<'_>, Fault> {
    match params {
        None => Ok(Object::empty()),
        Some(raw) => {
            Object::parse(raw).map_err(|error| Fault::new(code::INVALID_PARAMS, format!("params: {error}")))
        }
    }
}

/// Answers what is the same in both eras. On the heap, since the way of a request is large, and would be copied several times
/// into a task; and not an `async fn`, whose code would stand in every crate that awaits a gateway.
pub(crate) fn answer<'a>(core: &'a Core, asked: Asked<'a>) -> BoxFuture<'a, Result<Raw, Fault>> {
    Box::pin(answered(core, asked))
}

async fn answered(core: &Core, asked: Asked<'_>) -> Result<Raw, Fault> {
    if tasks::is_about(asked.method) {
        return tasks::answer(core, &asked).await;
    }
    if skills::is_about(asked.method) {
        return skills::answer(core, asked).await;
    }
    let Asked {
        caller,
        method,
        params,
        outlet,
        cancel,
    } = asked;
    if let Some(list) = List::of(method) {
        return lists::page(core, caller, list, &params).await;
    }
    let kind = match method {
        method::TOOLS_CALL => Kind::Tool,
        method::RESOURCES_READ => Kind::Resource,
        method::PROMPTS_GET => Kind::Prompt,
        method::COMPLETE => return complete(core, caller, params, cancel).await,
        _ => {
            let asked = Asked {
                caller,
                method,
                params,
                outlet,
                cancel,
            };
            return extension::request(core, asked).await;
        }
    };
    call::call(
        core,
        caller,
        &Incoming {
            kind,
            params,
            outlet,
            cancel,
        },
    )
    .await
}

/// Takes what a client of a session tells.
pub(crate) fn hear(core: &Core, session: &Session, told: &Notification) {
    session.hear(told);
    extension::notification(core, session.peer(), told);
}

pub(crate) fn unknown(method: &str) -> Fault {
    Fault::new(
        code::METHOD_NOT_FOUND,
        format!("there is no method {:?}", base::text::cut(method, 100)),
    )
}

/// Completes an argument: asked of the server that has the prompt or the resource.
async fn complete(
    core: &Core,
    caller: &Caller,
    mut params: Object<'_>,
    cancel: &CancellationToken,
) -> Result<Raw, Fault> {
    let invalid = |message: &str| Fault::new(code::INVALID_PARAMS, message);
    let peer = caller.peer();
    let given = params.get("ref").map(ToOwned::to_owned);
    let reference = given.as_deref().and_then(|raw| Object::parse(raw).ok());
    let reference = reference.ok_or_else(|| invalid("params.ref is required"))?;
    let Found { upstream, name, .. } = match reference.text("type").as_deref() {
        Some("ref/prompt") => {
            let name = reference
                .text("name")
                .ok_or_else(|| invalid("params.ref.name is required"))?;
            core.find_prompt(&peer, &name).await?
        }
        Some("ref/resource") => {
            let uri = reference
                .text("uri")
                .ok_or_else(|| invalid("params.ref.uri is required"))?;
            core.find_resource(&peer, &uri).await?
        }
        _ => {
            return Err(invalid(
                "params.ref.type has to be \"ref/prompt\" or \"ref/resource\"",
            ));
        }
    };
    let mut reference = reference;
    let subject = if reference.get("uri").is_some() {
        "uri"
    } else {
        "name"
    };
    reference.set(subject, &name);
    let reference = reference.to_raw();
    params.set("ref", &reference);
    if !upstream.has(&peer, "completions").await? {
        return Ok(wire::to_raw(&json!({"completion": {"values": []}})));
    }
    let sending = Sending::plain(caller, cancel, upstream.list_limit());
    let params = params.to_raw();
    let params = core.screen.arguments(&params).unwrap_or(params);
    let params = members(Some(&params))?;
    let answer = upstream
        .request(caller, method::COMPLETE, params, sending)
        .await?;
    let answer = answer.map_err(Fault::Relayed)?;
    let is_for_legacy = upstream.is_modern() && caller.era != Era::Modern;
    let answer = if is_for_legacy {
        result_for_legacy(answer)
    } else {
        answer
    };
    Ok(core.screen.result(answer))
}
