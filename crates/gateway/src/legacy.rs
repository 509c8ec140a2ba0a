//! Requests of the legacy era: the handshake, and what only it has.

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use wire::edit::Object;
use wire::meta::{ClientCapabilities, Implementation};
use wire::{Fault, Raw, Request, Version, code, method, to_raw};

use crate::caller::{Identity, Peer, client_name};
use crate::capabilities;
use crate::core::Core;
use crate::dispatch::{self, Asked, members};
use crate::events::{Level, Watch};
use crate::find::Found;
use crate::outlet::Outlet;
use crate::session::{Hello, Session};

/// Answers `initialize`. Nothing is waited for: what the servers are is known before they run.
pub(crate) fn initialize(core: &Core, session: &Arc<Session>, params: Option<&Raw>) -> Result<Raw, Fault> {
    let params = members(params)?;
    let requested = params
        .text("protocolVersion")
        .ok_or_else(|| Fault::new(code::INVALID_PARAMS, "params.protocolVersion is required"))?;
    let version = Version::negotiate(&requested);
    let client: Implementation = params
        .get("clientInfo")
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let hello = Hello {
        version,
        client: client_name(&client),
        capabilities: params
            .get("capabilities")
            .map(ClientCapabilities::read)
            .unwrap_or_default(),
        identity: Arc::new(Identity {
            info: params.get("clientInfo").map_or_else(
                || to_raw(&json!({"name": "unnamed client", "version": ""})),
                ToOwned::to_owned,
            ),
            capabilities: params
                .get("capabilities")
                .map_or_else(|| to_raw(&json!({})), wire::bridge::capabilities_for_modern),
        }),
    };
    let listener = Arc::downgrade(session);
    if !session.greet(hello, core.hub.register(listener)) {
        return Err(Fault::new(
            code::INVALID_REQUEST,
            "this session is initialized already",
        ));
    }
    let mut result = json!({
        "protocolVersion": version.as_str(),
        "capabilities": capabilities::of(core, session.peer(), version.era()),
        "serverInfo": {"name": core.name, "version": core.version},
    });
    if let Some(instructions) = core.instructions(&session.peer().view) {
        result["instructions"] = instructions.into();
    }
    Ok(to_raw(&result))
}

/// Answers any other request, whose `params` were read already.
pub(crate) async fn answer(
    core: &Core,
    session: &Arc<Session>,
    request: &Request,
    params: Result<Object<'_>, Fault>,
    outlet: Option<&Outlet>,
    cancel: &CancellationToken,
) -> Result<Raw, Fault> {
    let work = async {
        let nothing = || Ok(to_raw(&json!({})));
        if request.method == method::PING {
            return nothing();
        }
        let Some(hello) = session.hello() else {
            return Err(Fault::new(code::INVALID_REQUEST, "send `initialize` first"));
        };
        let params = params?;
        match request.method.as_str() {
            method::SET_LEVEL => {
                let text = params.text("level");
                let level = text.as_deref().and_then(Level::parse).ok_or_else(|| {
                    Fault::new(code::INVALID_PARAMS, "params.level has to be debug, info, notice, warning, error, critical, alert or emergency")
                })?;
                session.set_level(level);
                set_level(core, session.peer(), level);
                nothing()
            }
            method::SUBSCRIBE => {
                let uri = uri_of(&params)?;
                if session.watches(&uri) {
                    return nothing();
                }
                if session.watching() >= core.limits.watched {
                    return Err(Fault::new(
                        code::INVALID_REQUEST,
                        format!(
                            "at most {} resources can be watched by one client",
                            core.limits.watched
                        ),
                    ));
                }
                session.watch(&uri, watch(core, session.peer(), &uri).await?);
                nothing()
            }
            method::UNSUBSCRIBE => {
                session.unwatch(&uri_of(&params)?);
                nothing()
            }
            method => {
                let caller = session.caller(hello, outlet.is_some());
                dispatch::answer(
                    core,
                    Asked {
                        caller: &caller,
                        method,
                        params,
                        outlet,
                        cancel,
                    },
                )
                .await
            }
        }
    };
    work.await.map_err(|fault| core.screen.fault(fault))
}

/// Begins to watch a resource for one client.
pub(crate) async fn watch(core: &Core, peer: &Peer, uri: &str) -> Result<Watch, Fault> {
    let Found { upstream, name, .. } = core.find_resource(peer, uri).await?;
    upstream.watch(peer, name).await
}

fn uri_of(params: &Object<'_>) -> Result<String, Fault> {
    let uri = params
        .text("uri")
        .ok_or_else(|| Fault::new(code::INVALID_PARAMS, "params.uri is required"))?;
    Ok(uri.into_owned())
}

/// Tells the servers that run, and the others when they start. They are shared, so one may give more than a client
/// wants; the session filters.
pub(crate) fn set_level(core: &Core, peer: &Peer, level: Level) {
    for upstream in core.set().seen(&peer.view) {
        upstream.set_level(level);
    }
}
