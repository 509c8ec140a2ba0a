//! What the protocol does not know and a peer's extension may: methods and notifications that go to the only server
//! behind an endpoint, as they are. With several servers nobody can say whose they are.
//!
//! A call like any other: the rules decide by its method's name, it is screened and written down. Nobody is asked to
//! confirm one, as nothing is known of what it does.

use std::sync::Arc;
use std::time::Instant;

use policy::{Ask, Decision, Effect, WhenUnable};
use serde_json::{Value, json};
use wire::bridge;
use wire::edit::Object;
use wire::meta::{META, RequestMeta};
use wire::{Era, Fault, Notification, Raw, code, method, strict_value, to_raw};

use crate::call::{self, Kind, Stop};
use crate::caller::{Peer, View};
use crate::core::Core;
use crate::dispatch::{Asked, unknown};
use crate::input::InSession;
use crate::journal::Row;
use crate::parts::Origin;
use crate::upstream::{Asker, Route, Sending, Upstream};

/// Passes on a request of a method that nobody here knows.
pub(crate) async fn request(core: &Core, asked: Asked<'_>) -> Result<Raw, Fault> {
    if method::is_of_protocol(asked.method) {
        return Err(unknown(asked.method));
    }
    let servers = foreign(core, &asked.caller.view);
    if servers.is_empty() {
        return Err(unknown(asked.method));
    }
    let [server] = &servers[..] else {
        return Err(Fault::new(
            code::METHOD_NOT_FOUND,
            format!(
                "there is no method {:?}; one of an extension is passed on where a single server is behind the endpoint \
                 (/mcp/server/NAME), and here are {}",
                base::text::cut(asked.method, 100),
                servers.len()
            ),
        ));
    };
    pass(core, &asked, server, Manner::Unknown).await
}

/// What is known of what a method does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Unknown,
    Reads,
}

/// Passes a request on to that server.
pub(crate) async fn pass(
    core: &Core,
    asked: &Asked<'_>,
    server: &Arc<Upstream>,
    manner: Manner,
) -> Result<Raw, Fault> {
    let Some(tool) = name_of(asked.method) else {
        return Err(unknown(asked.method));
    };
    let started = Instant::now();
    let mut row = Row::new(&core.screen, asked.caller);
    let ended = way(core, asked, &tool, server, manner, &mut row).await;
    call::conclude(core, Kind::Resource, row, ended, started).await
}

/// The servers of a view that may know more than the protocol. Our own don't.
fn foreign(core: &Core, view: &View) -> Vec<Arc<Upstream>> {
    let mut servers = core.set().seen(view);
    servers.retain(|server| server.origin != Origin::BuiltIn);
    servers
}

/// What permissions and audit call a method: `vendor/do` is `vendor.do`. `None`: no rule could name it.
fn name_of(method: &str) -> Option<String> {
    let name = method.replace('/', ".");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (!name.is_empty() && name.len() <= 200 && name.bytes().all(is_plain)).then_some(name)
}

async fn way(
    core: &Core,
    asked: &Asked<'_>,
    tool: &str,
    server: &Arc<Upstream>,
    manner: Manner,
    row: &mut Row,
) -> Result<Raw, Stop> {
    let caller = asked.caller;
    let mut params = asked.params.clone();
    params.remove(META);
    let given = strict_value(&params.to_raw());
    let given = given.map_err(|error| Fault::new(code::INVALID_PARAMS, format!("params: {error}")))?;
    row.asked(tool, core.screen.audited(&given));
    row.at(&server.name);
    let effect = match manner {
        Manner::Unknown => server.describe.effect(tool, &given),
        Manner::Reads => Effect::Read,
    };
    permitted(core, asked, tool, server, effect, row)?;
    row.sent();
    let token = RequestMeta::of(&asked.params)
        .progress_token()
        .map(ToOwned::to_owned);
    let route = asked
        .outlet
        .map(|outlet| Arc::new(Route::new(outlet.clone(), token, caller.side.level)));
    let in_session = InSession::of(core, caller, asked.outlet, None);
    let sending = Sending {
        route,
        asker: in_session.map(|asker| asker as Arc<dyn Asker>),
        ..Sending::plain(caller, asked.cancel, server.call_limit())
    };
    let params = asked.params.to_raw();
    let params = core.screen.arguments(&params).unwrap_or(params);
    let params =
        Object::parse(&params).map_err(|error| Fault::new(code::INVALID_PARAMS, error.to_string()))?;
    let answer = server.request(caller, asked.method, params, sending).await?;
    let result = answer.map_err(|error| Stop::Fault(Fault::Relayed(core.screen.result(error))))?;
    let result = core.screen.answer(server, result).map_err(Stop::Refused)?;
    Ok(match caller.era {
        Era::Legacy(_) if server.is_modern() => bridge::result_for_legacy(result),
        _ => result,
    })
}

fn permitted(
    core: &Core,
    asked: &Asked<'_>,
    tool: &str,
    server: &Upstream,
    effect: Effect,
    row: &mut Row,
) -> Result<(), Stop> {
    let name = &server.name;
    let decision = core.rules().decide(&Ask {
        principal: asked.caller.principal.as_str(),
        server: name,
        tool,
        effect,
    });
    match decision {
        Decision::Allow => row.decided("allow"),
        Decision::Deny { rule, how_to_allow } => {
            row.decided("deny");
            return Err(Stop::Refused(format!(
                "{name}/{tool} is not permitted: {rule}. {how_to_allow}"
            )));
        }
        Decision::Ask { .. } if core.rules().when_unable == WhenUnable::Allow => {
            row.decided("unable to ask, allowed");
        }
        Decision::Ask { why } => {
            row.decided("unable to ask");
            return Err(Stop::Refused(format!(
                "{name}/{tool} needs a person's yes ({why}), and nobody can say what a method of an extension does. Set \
                 `when_unable = \"allow\"` or another `ask` under [policy] in the configuration"
            )));
        }
    }
    Ok(())
}

/// Passes on what a client tells and is the servers' matter. Servers that do not run miss nothing.
pub(crate) fn notification(core: &Core, peer: &Peer, told: &Notification) {
    let servers = core.set().seen(&peer.view);
    if told.method == method::ROOTS_CHANGED {
        for server in servers.iter().filter(|server| !server.is_modern()) {
            if let Some(lease) = server.ready(&server.key(peer))
                && lease.asked_for_roots()
            {
                lease.notify(method::ROOTS_CHANGED, to_raw(&json!({})));
            }
        }
        return;
    }
    if method::is_of_protocol(&told.method) {
        return;
    }
    let servers = foreign(core, &peer.view);
    let only = match &servers[..] {
        [server] => server.ready(&server.key(peer)).map(|lease| (server, lease)),
        _ => None,
    };
    let Some((server, lease)) = only else {
        return tracing::debug!("a notification that nobody here knows: {}", told.method);
    };
    // As for a request, but nobody can be asked, and nobody hears of a refusal.
    let may = name_of(&told.method).is_some_and(|tool| {
        let decision = core.rules().decide(&Ask {
            principal: peer.principal.as_str(),
            server: &server.name,
            tool: &tool,
            effect: server.describe.effect(&tool, &Value::Null),
        });
        matches!(decision, Decision::Allow)
    });
    if !may {
        return tracing::warn!(
            "{}: a notification that is not permitted: {}",
            server.name,
            told.method
        );
    }
    let params = told.params.clone().unwrap_or_else(|| to_raw(&json!({})));
    lease.notify(&told.method, core.screen.arguments(&params).unwrap_or(params));
}
