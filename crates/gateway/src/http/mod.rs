//! Streamable HTTP for clients of both eras: at `/mcp` what the used profile shows, at `/mcp/server/NAME` one server, at
//! `/mcp/profile/NAME` one profile. HTTP+SSE of 2024-11-05 at `/sse`, where it is switched on; `/status` for the command
//! line, `/health` for probes.
//!
//! Whoever connects passes [`gate`] first: the right Host, the right Origin, the right token. Sockets have
//! `TCP_NODELAY`, and waiting frames leave in one write, as a stream that is held up by Nagle's algorithm stalls
//! for 40 ms.

mod body;
mod gate;
mod post;
mod replay;
mod sessions;
mod sse;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post as posting};
use base::Secret;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::{Fault, Message, code};

pub(crate) use sessions::Sessions;

pub(crate) use self::gate::CLIENT;
use self::gate::Gate;
pub use self::gate::{Link as GatewayLink, Links};
use crate::Principal;
use crate::caller::{Peer, View};
use crate::core::Core;

/// How Streamable HTTP is offered.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The address to listen at; port 0 takes a free one.
    pub address: SocketAddr,
    /// Who may come in. Never empty.
    pub keys: Vec<Key>,
    /// Names, beside those of the loopback, by which the gateway is addressed: without port. Required for an
    /// address that is not the loopback, since every host that resolves to it could be named otherwise.
    pub hosts: Vec<String>,
    /// Web origins, beside those of the loopback, whose pages may call: `https://example.com`.
    pub origins: Vec<String>,
    /// Whether HTTP+SSE of 2024-11-05 is offered at `/sse` as well, for clients that know nothing newer.
    pub sse: bool,
    /// Other gateways that may come in as well; with this, `keys` may be empty.
    pub links: Option<Links>,
}

/// A bearer token and whom it stands for.
#[derive(Debug, Clone)]
pub struct Key {
    /// Whom.
    pub principal: Principal,
    /// At least 16 characters.
    pub token: Secret,
}

/// Why the gateway does not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The operating system refuses the address.
    #[error("{address} can't be listened at: {cause}. Choose another with --port, or stop what holds it")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// Nobody could come in.
    #[error("no bearer token is set, and without one nobody is let in")]
    NoKey,
    /// A token could be guessed.
    #[error("the bearer token of {0} is shorter than 16 characters")]
    ShortKey(Principal),
    /// The address is open to other machines, and no host name is allowed.
    #[error(
        "{0} can be reached from other machines; name the hosts under which it may be addressed (`hosts` under \
         [gateway] in the configuration), or listen at 127.0.0.1"
    )]
    OpenAddress(SocketAddr),
}

const SHORTEST_PULSE: Duration = Duration::from_millis(100);
/// Shortest token; the generated ones have 43 characters.
const SHORTEST_TOKEN: usize = 16;

pub(crate) async fn bind(core: Arc<Core>, options: HttpOptions) -> Result<HttpServer, BindError> {
    let address = options.address;
    if options.keys.is_empty() && options.links.is_none() {
        return Err(BindError::NoKey);
    }
    if let Some(key) = options
        .keys
        .iter()
        .find(|key| key.token.expose().len() < SHORTEST_TOKEN)
    {
        return Err(BindError::ShortKey(key.principal.clone()));
    }
    if !address.ip().is_loopback() && options.hosts.is_empty() {
        return Err(BindError::OpenAddress(address));
    }
    let failed = |cause| BindError::Address { address, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let ending = core.stop.child_token();
    let gate = Gate::new(&options, address).map_err(failed)?;
    Ok(HttpServer {
        listener,
        address,
        site: Arc::new(Site {
            places: Arc::new(Semaphore::new(core.limits.connections)),
            sse: options.sse.then(|| sse::Pipes::new(&core.limits)),
            core,
            gate,
            ending,
        }),
    })
}

/// A bound address, not served yet.
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    site: Arc<Site>,
}

pub(crate) struct Site {
    pub(crate) core: Arc<Core>,
    gate: Gate,
    /// No new connections are taken: subscriptions end, connections after their present request.
    pub(crate) ending: CancellationToken,
    /// One for each further connection.
    places: Arc<Semaphore>,
    /// Clients of HTTP+SSE, where that is offered.
    sse: Option<sse::Pipes>,
}

impl Site {
    /// Whether three quarters of the connections are taken.
    fn is_crowded(&self) -> bool {
        self.places.available_permits() <= self.core.limits.connections / 4
    }
}

impl HttpServer {
    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled, then lets requests at work end for at most [`crate::Limits::drain`].
    pub async fn serve(self, stop: CancellationToken) {
        let Self { listener, site, .. } = self;
        let (core, ending) = (Arc::clone(&site.core), site.ending.clone());
        let places = Arc::clone(&site.places);
        let mut router = Router::new();
        if site.sse.is_some() {
            router = router
                .route("/sse", get(sse::get))
                .route("/messages", posting(sse::post));
        }
        let router = router
            .route("/mcp", any(mcp))
            .route("/mcp/server/{name}", any(mcp_server))
            .route("/mcp/profile/{name}", any(mcp_profile))
            .route("/status", get(status))
            .route("/health", get(async || "ok\n"))
            .fallback(async || {
                Refused::new(
                    StatusCode::NOT_FOUND,
                    "nothing is here; the MCP endpoint is /mcp, of one server /mcp/server/NAME, of one profile \
                     /mcp/profile/NAME",
                )
            })
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&site), passage))
            .with_state(site);
        let connections = TaskTracker::new();
        let sweeping = core.sessions.sweep();
        tokio::pin!(sweeping);
        // Each call waits with a time limit, and a timer that comes before all others wakes the runtime through the
        // kernel, though it is awake. With one that is always earlier none of them does.
        let mut pulse = tokio::time::interval((core.limits.quiet / 2).max(SHORTEST_PULSE));
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                () = core.stop.cancelled() => break,
                () = &mut sweeping => continue,
                _ = pulse.tick(), if !connections.is_empty() => continue,
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    let (router, ending) = (router.clone(), ending.clone());
                    let receive = core.limits.receive;
                    connections.spawn(async move {
                        connection(stream, router, receive, ending).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of file handles, or a client that went away before it was accepted.
                    tracing::warn!("a connection was not accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        core.sessions.wind_down();
        ending.cancel();
        connections.close();
        let ended = tokio::time::timeout(core.limits.drain, connections.wait()).await;
        core.sessions.close_all();
        if ended.is_err() {
            // What was cancelled just now ends at once; who still does not read its answer is left behind.
            let ended = tokio::time::timeout(core.limits.drain, connections.wait()).await;
            tracing::warn!(
                all = ended.is_ok(),
                "connections were still open after the time to drain"
            );
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn connection(stream: TcpStream, router: Router, receive: Duration, ending: CancellationToken) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(receive)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let mut is_ending = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!("a connection ended: {error}");
                }
                return;
            }
            () = ending.cancelled(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// What every request passes, before its body is read.
async fn passage(
    State(site): State<Arc<Site>>,
    mut request: Request,
    next: axum::middleware::Next,
) -> Response {
    if let Err(refused) = site.gate.place(request.headers(), request.uri()) {
        return refused.into_response();
    }
    let path = request.uri().path();
    let is_endpoint = is_endpoint(path);
    let is_known =
        is_endpoint || path == "/status" || site.sse.is_some() && matches!(path, "/sse" | "/messages");
    // Clients probe for authorization metadata and for a stream without a session; there is neither, and a 401
    // would send them looking for a login.
    let is_open = !is_known
        || is_endpoint && request.method() == Method::GET && sessions::id(request.headers()).is_none();
    if !is_open {
        match site.gate.principal(request.headers()) {
            Ok(visitor) => {
                request.extensions_mut().insert(visitor.principal);
                request.extensions_mut().insert(Behind(visitor.behind));
            }
            Err(refused) => return refused.into_response(),
        }
    }
    next.run(request).await
}

/// For which of its clients another gateway asks.
#[derive(Clone)]
struct Behind(Option<Arc<str>>);

/// `/mcp`, `/mcp/server/NAME`, `/mcp/profile/NAME`.
fn is_endpoint(path: &str) -> bool {
    let name = path
        .strip_prefix("/mcp/server/")
        .or_else(|| path.strip_prefix("/mcp/profile/"));
    path == "/mcp" || name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

async fn mcp(State(site): State<Arc<Site>>, request: Request) -> Response {
    endpoint(&site, View::Default, request).await
}

type Name = Result<Path<String>, PathRejection>;

async fn mcp_server(State(site): State<Arc<Site>>, name: Name, request: Request) -> Response {
    match name {
        Ok(Path(name)) => endpoint(&site, View::Server(name.into()), request).await,
        Err(_) => unknown("server", "").into_response(),
    }
}

async fn mcp_profile(State(site): State<Arc<Site>>, name: Name, request: Request) -> Response {
    match name {
        Ok(Path(name)) => endpoint(&site, View::Profile(name.into()), request).await,
        Err(_) => unknown("profile", "").into_response(),
    }
}

async fn endpoint(site: &Arc<Site>, view: View, request: Request) -> Response {
    let Some(principal) = request.extensions().get::<Principal>().cloned() else {
        return not_allowed();
    };
    if !site.core.set().knows(&view) {
        return match &view {
            View::Server(name) => unknown("server", name),
            View::Profile(name) => unknown("profile", name),
            View::Default => unknown("profile", ""),
        }
        .into_response();
    }
    let behind = request.extensions().get::<Behind>();
    let peer = Peer {
        behind: behind.and_then(|behind| behind.0.clone()),
        ..Peer::new(principal, view)
    };
    match *request.method() {
        Method::POST => post::post(site, peer, request).await,
        Method::GET => sessions::get(site, &peer, request.headers()),
        Method::DELETE => sessions::delete(site, &peer, request.headers()),
        _ => not_allowed(),
    }
}

fn unknown(kind: &str, name: &str) -> Refused {
    let name = base::text::clean(base::text::cut(name, 100)).into_owned();
    Refused::new(
        StatusCode::NOT_FOUND,
        format!("there is no {kind} {name:?} here; `dockmaster {kind} list` names those there are"),
    )
}

fn not_allowed() -> Response {
    let refused = Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "send messages with POST; GET and DELETE are for sessions, by their Mcp-Session-Id",
    );
    refused.with(header::ALLOW, "POST, GET, DELETE").into_response()
}

async fn status(State(site): State<Arc<Site>>) -> Response {
    json(
        StatusCode::OK,
        serde_json::to_vec(&site.core.status()).unwrap_or_default(),
    )
}

/// A request that is not let through; a JSON-RPC error, for those who read bodies.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    message: Cow<'static, str>,
    header: Option<(HeaderName, &'static str)>,
    /// Of the request that the error answers, where it could be read.
    id: Option<Box<wire::Id>>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
            header: None,
            id: None,
        }
    }

    /// The same as an answer to this request.
    pub(crate) fn to(self, id: Option<wire::Id>) -> Self {
        Self {
            id: id.map(Box::new),
            ..self
        }
    }

    /// The same with a header.
    pub(crate) fn with(self, name: HeaderName, value: &'static str) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let id = self.id.map(|id| *id);
        let mut response = fault(self.status, id, Fault::new(code::INVALID_REQUEST, self.message));
        if let Some((name, value)) = self.header {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

pub(crate) fn fault(status: StatusCode, id: Option<wire::Id>, fault: Fault) -> Response {
    json(status, Message::response(id, Err(fault)).to_line())
}

pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A header as text; `None` if it is absent, an error if it is not ASCII.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    headers
        .get(name)
        .map(|value| value.to_str().map_err(|_| ()))
        .transpose()
}
