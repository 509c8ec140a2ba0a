//! What a server wants to know before it answers a call: the exchange with it until there is an answer, or until the
//! client has to bring something and to call again.
//!
//! Four cases meet here. A legacy server asks by a request in the middle of the call, a modern one by a result
//! (`input_required`); a legacy client is asked by a request on the stream of its call, a modern one by a result. For a
//! modern client the call to a legacy server is parked: it goes on when the retry brings the answer. All state that
//! travels through a client is sealed: bound to principal and request, valid for a while, good for one use.
//!
//! Deliberately absent: whether the call may be made (`call.rs`), and confirmations (`confirm.rs`).

mod askers;
mod waiting;

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use wire::bridge;
use wire::edit::Object;
use wire::meta::{Ability, TASKS_EXTENSION};
use wire::mrtr::{Elicited, INPUT_RESPONSES, InputRequest, InputRequired, REQUEST_STATE};
use wire::{Era, Fault, Raw, code};

pub(crate) use self::askers::{Ask, InRounds, InSession};
pub(crate) use self::waiting::{Park, Waiting};
use self::waiting::{Ran, park};
use crate::call::Stop;
use crate::caller::Caller;
use crate::core::Core;
use crate::outlet::Outlet;
use crate::tasks::{self, Wish};
use crate::upstream::{Answer, Asker, Route, Sending, Upstream};

/// Begins the states that are made here, so that those of confirmations are not taken for them.
const MARK: &str = "i.";
/// A server that never has enough is given up after so many rounds within one call.
const ROUNDS: usize = 10;
/// Describes a call exactly, for the seal.
pub(crate) type Describe<'a> = &'a (dyn Fn() -> String + Send + Sync);

/// A call on its way to a server.
pub(crate) struct Exchange<'a> {
    pub(crate) server: &'a Arc<Upstream>,
    pub(crate) method: &'static str,
    /// For the server.
    pub(crate) params: Object<'a>,
    /// As the client wrote them.
    pub(crate) given: &'a Object<'a>,
    /// Where messages go that come before the answer.
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) outlet: Option<&'a Outlet>,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) request: Describe<'a>,
    pub(crate) resumed: Option<Resumed>,
    /// Whether the answer may be a task.
    pub(crate) wish: Wish,
}

/// What a retry goes on with.
pub(crate) enum Resumed {
    /// A call that waits here.
    Parked(Box<Waiting>),
    /// What the server wanted to hear again.
    Anew(Option<String>),
}

/// How an exchange ended.
pub(crate) enum Exchanged {
    /// With the server's result or error.
    Answered(Answer),
    /// The client is to bring input and to call again; this is the result that tells it so.
    Later(Raw),
}

/// Passes a call to its server and sees to the input that this wants.
pub(crate) async fn exchange(core: &Core, caller: &Caller, call: Exchange<'_>) -> Result<Exchanged, Stop> {
    match caller.era {
        Era::Legacy(_) => in_session(core, caller, call).await,
        Era::Modern => in_rounds(core, caller, call).await,
    }
}

/// What the retry of a modern client goes on with; `None`: it is no retry of a call that waits for a server's input.
pub(crate) fn resume(
    core: &Core,
    caller: &Caller,
    given: &Object<'_>,
    request: Describe<'_>,
) -> Result<Option<Resumed>, Fault> {
    if caller.era != Era::Modern {
        return Ok(None);
    }
    let state = given.text(REQUEST_STATE);
    let Some(state) = state.as_deref().filter(|state| state.starts_with(MARK)) else {
        return Ok(None);
    };
    let refused = |why: &str| {
        Fault::new(
            code::INVALID_PARAMS,
            format!("requestState is not accepted: {why}. Call again without it to begin anew"),
        )
    };
    let payload = core
        .sealer
        .open_with(&caller.principal, &request(), &state[MARK.len()..])
        .map_err(|error| refused(&error.to_string()))?;
    Ok(Some(match payload.split_at_checked(1) {
        Some(("p", _)) => {
            let waiting = core.park.take(state);
            Resumed::Parked(waiting.ok_or_else(|| refused("the call does not wait any more"))?)
        }
        Some(("u", theirs)) => Resumed::Anew(Some(theirs.to_owned())),
        _ => Resumed::Anew(None),
    }))
}

/// The state for a retry that goes on with `payload`.
fn sealed(core: &Core, caller: &Caller, request: Describe<'_>, payload: &str) -> Result<String, Fault> {
    let state = core.sealer.seal_with(&caller.principal, &request(), payload);
    let state = state.map_err(|error| Fault::new(code::INTERNAL_ERROR, error.to_string()))?;
    Ok(format!("{MARK}{state}"))
}

/// For a legacy client: it is asked within the call.
async fn in_session(core: &Core, caller: &Caller, call: Exchange<'_>) -> Result<Exchanged, Stop> {
    let Exchange {
        server,
        method,
        mut params,
        route,
        outlet,
        cancel,
        headers,
        wish,
        ..
    } = call;
    let asker = InSession::of(core, caller, outlet, None);
    let mut takes_tasks = wish == Wish::Later;
    for _ in 0..ROUNDS {
        let sending = Sending {
            route: route.clone(),
            asker: asker.clone().map(|asker| asker as Arc<dyn Asker>),
            headers: headers.clone(),
            takes_tasks,
            ..Sending::plain(caller, cancel, server.call_limit())
        };
        let reply = server.call(caller, method, params.clone(), sending).await?;
        let result = match &reply.outcome {
            Ok(result) if server.is_modern() => result,
            Ok(_) => return Ok(Exchanged::Answered(reply)),
            // It is done by a task only, which this client has no words for: we wait for it in its place.
            Err(error) if !takes_tasks && bridge::task::is_required(error) => {
                takes_tasks = true;
                continue;
            }
            Err(error) => {
                if let Some(asker) = &asker {
                    asker.expect_visits(error);
                }
                return Ok(Exchanged::Answered(reply));
            }
        };
        let Some(wanted) = InputRequired::read(result) else {
            let is_task = bridge::task::created(result).is_some();
            return match (is_task, wish) {
                (true, Wish::Later) => Ok(Exchanged::Answered(reply)),
                (true, _) => {
                    let waiting = tasks::in_its_place(core, caller, server, reply, asker.as_ref(), cancel);
                    Ok(Exchanged::Answered(waiting.await?))
                }
                (false, _) => Ok(Exchanged::Answered(reply.map(bridge::result_for_legacy))),
            };
        };
        let wanted = wanted.map_err(|why| malformed(server, &why))?;
        let responses = responses(server, asker.as_deref(), wanted.requests, cancel).await?;
        params.set(
            INPUT_RESPONSES,
            &core.screen.arguments(&responses).unwrap_or(responses),
        );
        match wanted.state {
            Some(state) => params.set(REQUEST_STATE, &state),
            None => params.remove(REQUEST_STATE),
        }
    }
    Err(Fault::new(
        code::INTERNAL_ERROR,
        format!(
            "server {} still wants input after {ROUNDS} rounds; it was given up",
            server.name
        ),
    )
    .into())
}

/// What a legacy client answers to all that a modern server wants to know.
pub(crate) async fn responses(
    server: &Upstream,
    asker: Option<&InSession>,
    requests: Vec<(String, InputRequest)>,
    cancel: &CancellationToken,
) -> Result<Raw, Stop> {
    match asker {
        Some(asker) => asker.all(requests, cancel).await,
        None if requests.is_empty() => Ok(Object::empty().to_raw()),
        None => Err(Fault::new(
            code::INVALID_REQUEST,
            format!(
                "server {} wants to know something first, and this client can't be asked; over HTTP it can if it accepts \
                 `text/event-stream`",
                server.name
            ),
        )
        .into()),
    }
}

/// For a modern client: it is asked by a result, and calls again.
async fn in_rounds(core: &Core, caller: &Caller, call: Exchange<'_>) -> Result<Exchanged, Stop> {
    let Exchange {
        server,
        method,
        mut params,
        given,
        route,
        cancel,
        headers,
        request,
        resumed,
        wish,
        ..
    } = call;
    let waiting = match resumed {
        Some(Resumed::Parked(mut waiting)) => {
            waiting.go_on(core, given, route.as_deref());
            if waiting.open.is_empty() {
                Some(waiting)
            } else {
                return park(core, caller, request, waiting);
            }
        }
        Some(Resumed::Anew(state)) => {
            if server.is_modern() {
                if let Some(responses) = given.get(INPUT_RESPONSES) {
                    params.set(
                        INPUT_RESPONSES,
                        &core.screen.arguments(responses).unwrap_or(responses.to_owned()),
                    );
                }
                if let Some(state) = state {
                    params.set(REQUEST_STATE, &state);
                }
            } else if !all_accepted(given) {
                let why = "the person did not go to the address that the server sent them to";
                return Err(Stop::Refused(why.to_owned()));
            }
            None
        }
        None => {
            // Brought without having been asked for: the server's to judge, as it would be without us. With a state it
            // was the answer to a confirmation.
            if let Some(responses) = given.get(INPUT_RESPONSES)
                && server.is_modern()
                && given.get(REQUEST_STATE).is_none()
            {
                let screened = core.screen.arguments(responses);
                params.set(INPUT_RESPONSES, &screened.unwrap_or_else(|| responses.to_owned()));
            }
            None
        }
    };
    let answer = if let Some(waiting) = waiting {
        let Some(answer) = waiting.run(core, caller, request, cancel).await? else {
            return Err(Stop::Cancelled);
        };
        answer
    } else if caller.side.abilities.answers() && !server.is_modern() {
        let waiting = Box::new(Waiting::begin(
            server, caller, method, params, route, headers, wish,
        ));
        let Some(answer) = waiting.run(core, caller, request, cancel).await? else {
            return Err(Stop::Cancelled);
        };
        answer
    } else {
        let sending = Sending {
            route,
            headers,
            ..Sending::plain(caller, cancel, server.call_limit())
        };
        Ran::Answered(tasks::call(server, caller, method, params, sending, wish).await?)
    };
    let reply = match answer {
        Ran::Later(result) => return Ok(Exchanged::Later(result)),
        Ran::Answered(reply) => reply,
    };
    match &reply.outcome {
        Ok(result) if server.is_modern() => match InputRequired::read(result) {
            Some(wanted) => relayed(core, caller, server, request, result, wanted),
            None => Ok(Exchanged::Answered(reply)),
        },
        Ok(_) => Ok(Exchanged::Answered(reply)),
        Err(error) => match bridge::visits(error) {
            Some(requests) => visit(core, caller, request, requests),
            None => Ok(Exchanged::Answered(reply)),
        },
    }
}

/// A modern server asks for input: our own state goes around the server's.
fn relayed(
    core: &Core,
    caller: &Caller,
    server: &Upstream,
    request: Describe<'_>,
    result: &Raw,
    wanted: Result<InputRequired, String>,
) -> Result<Exchanged, Stop> {
    let wanted = wanted.map_err(|why| malformed(server, &why))?;
    permitted(caller, &wanted.requests)?;
    let payload = wanted
        .state
        .map_or_else(|| "n".to_owned(), |state| format!("u{state}"));
    let state = sealed(core, caller, request, &payload)?;
    let mut result = Object::parse(result).map_err(|error| malformed(server, &error.to_string()))?;
    result.set(REQUEST_STATE, &state);
    Ok(Exchanged::Later(core.screen.result(result.to_raw())))
}

/// That a modern client declared all that it is asked for.
pub(crate) fn permitted(caller: &Caller, requests: &[(String, InputRequest)]) -> Result<(), Fault> {
    let abilities = caller.side.abilities;
    let wrong = requests.iter().find_map(|(_, wanted)| {
        bridge::for_modern(&wanted.method, wanted.params.as_deref(), abilities).err()
    });
    wrong.map_or(Ok(()), |unable| Err(missing(&unable)))
}

/// A legacy server's error for a modern client: that a person has to go somewhere first is no error there.
fn visit(
    core: &Core,
    caller: &Caller,
    request: Describe<'_>,
    requests: Vec<(String, InputRequest)>,
) -> Result<Exchanged, Stop> {
    if !caller.side.abilities.has(Ability::Url) {
        return Err(missing(&bridge::Unable::Undeclared(Ability::Url)).into());
    }
    let state = Some(sealed(core, caller, request, "n")?);
    let wanted = InputRequired { requests, state };
    Ok(Exchanged::Later(core.screen.result(wanted.to_raw())))
}

/// Whether a retry brings an acceptance under each key.
fn all_accepted(given: &Object<'_>) -> bool {
    let responses = given.get(INPUT_RESPONSES).and_then(|raw| Object::parse(raw).ok());
    responses.is_some_and(|responses| {
        !responses.is_empty()
            && responses
                .iter()
                .all(|(_, answer)| matches!(Elicited::read(answer), Some(Elicited::Accepted(_))))
    })
}

pub(crate) fn malformed(server: &Upstream, why: &str) -> Fault {
    Fault::new(
        code::INTERNAL_ERROR,
        format!(
            "server {} wants input, but not in a form that can be answered: {why}",
            server.name
        ),
    )
}

/// 2026-07-28, Base Protocol, "Error Codes".
pub(crate) fn missing(unable: &bridge::Unable) -> Fault {
    let fault = Fault::new(code::MISSING_CLIENT_CAPABILITY, unable.to_string());
    let required = match unable {
        bridge::Unable::Undeclared(Ability::Form) => json!({"elicitation": {"form": {}}}),
        bridge::Unable::Undeclared(Ability::Url) => json!({"elicitation": {"url": {}}}),
        bridge::Unable::Undeclared(Ability::Sampling) => json!({"sampling": {}}),
        bridge::Unable::Undeclared(Ability::SamplingTools) => json!({"sampling": {"tools": {}}}),
        bridge::Unable::Undeclared(Ability::Roots) => json!({"roots": {}}),
        bridge::Unable::Undeclared(Ability::Tasks) => json!({"extensions": {TASKS_EXTENSION: {}}}),
        _ => return fault,
    };
    fault.with(json!({"requiredCapabilities": required}))
}
