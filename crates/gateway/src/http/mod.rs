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
mod reply;
mod sessions;
mod sse;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, StatusCode, Uri, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use sessions::Sessions;

pub(crate) use self::gate::CLIENT;
use self::gate::{Gate, Visitor};
pub use self::gate::{Link as GatewayLink, Links};
pub(crate) use self::reply::{Refused, Response, fault, json};
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
                    let site = Arc::clone(&site);
                    connections.spawn(async move {
                        connection(stream, site).await;
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

async fn connection(stream: TcpStream, site: Arc<Site>) {
    let ending = site.ending.clone();
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(site.core.limits.receive)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| {
                let site = Arc::clone(&site);
                async move { Ok::<_, Infallible>(answer(&site, request).await) }
            }),
        );
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

/// A request whose head is read, and whose body is not.
pub(crate) type Request = hyper::Request<Incoming>;

/// What there is to be asked.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Endpoint(View),
    /// Of HTTP+SSE: the stream.
    Stream,
    /// Of HTTP+SSE: where messages go.
    Messages,
    Status,
    Health,
}

impl Place {
    /// What is at this path, where HTTP+SSE is offered or not.
    fn of(uri: &Uri, sse: bool) -> Option<Self> {
        let name = |rest: &str| -> Option<Arc<str>> {
            let name = percent_decode_str(rest).decode_utf8_lossy();
            (!name.is_empty() && !rest.contains('/')).then(|| name.into())
        };
        match uri.path() {
            "/mcp" => Some(Self::Endpoint(View::Default)),
            "/status" => Some(Self::Status),
            "/health" => Some(Self::Health),
            "/sse" if sse => Some(Self::Stream),
            "/messages" if sse => Some(Self::Messages),
            path => {
                if let Some(server) = path.strip_prefix("/mcp/server/") {
                    name(server).map(|name| Self::Endpoint(View::Server(name)))
                } else {
                    let profile = path.strip_prefix("/mcp/profile/")?;
                    name(profile).map(|name| Self::Endpoint(View::Profile(name)))
                }
            }
        }
    }

    /// Whether it may be asked without a token. Clients probe for a stream without a session; there is none, and a 401 would send
    /// them looking for a login.
    fn is_open(&self, request: &Request) -> bool {
        match self {
            Self::Endpoint(_) => request.method() == Method::GET && sessions::id(request.headers()).is_none(),
            Self::Health => true,
            Self::Stream | Self::Messages | Self::Status => false,
        }
    }

    /// Refuses a method that makes no sense here.
    fn knows(&self, method: &Method) -> Result<(), Refused> {
        let (is_known, allowed) = match self {
            // Which one makes sense depends on the session.
            Self::Endpoint(_) => return Ok(()),
            Self::Stream | Self::Status | Self::Health => {
                (matches!(*method, Method::GET | Method::HEAD), "GET, HEAD")
            }
            Self::Messages => (*method == Method::POST, "POST"),
        };
        if is_known {
            return Ok(());
        }
        let refused = Refused::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("the methods known here: {allowed}"),
        );
        Err(refused.with(header::ALLOW, allowed))
    }
}

async fn answer(site: &Arc<Site>, request: Request) -> Response {
    match place(site, request).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

/// The way of every request. What it may not have is refused before its body is read.
async fn place(site: &Arc<Site>, request: Request) -> Result<Response, Refused> {
    site.gate.place(request.headers(), request.uri())?;
    // Clients probe for authorization metadata; there is none, and a 401 would send them looking for a login.
    let place = Place::of(request.uri(), site.sse.is_some()).ok_or_else(|| {
        Refused::new(
            StatusCode::NOT_FOUND,
            "nothing is here; the MCP endpoint is /mcp, of one server /mcp/server/NAME, of one profile \
             /mcp/profile/NAME",
        )
    })?;
    if place == Place::Health {
        place.knows(request.method())?;
        return Ok(reply::text("ok\n"));
    }
    if place.is_open(&request) {
        return Err(not_allowed());
    }
    let Visitor { principal, behind } = site.gate.principal(request.headers())?;
    place.knows(request.method())?;
    match place {
        Place::Endpoint(view) => {
            let peer = Peer {
                behind,
                ..Peer::new(principal, view)
            };
            endpoint(site, peer, request).await
        }
        Place::Stream => sse::get(site, principal, &request),
        Place::Messages => sse::post(site, &principal, request).await,
        Place::Status | Place::Health => Ok(json(
            StatusCode::OK,
            serde_json::to_vec(&site.core.status()).unwrap_or_default(),
        )),
    }
}

async fn endpoint(site: &Arc<Site>, peer: Peer, request: Request) -> Result<Response, Refused> {
    if !site.core.set().knows(&peer.view) {
        return Err(match &peer.view {
            View::Server(name) => unknown("server", name),
            View::Profile(name) => unknown("profile", name),
            View::Default => unknown("profile", ""),
        });
    }
    match *request.method() {
        Method::POST => post::post(site, peer, request).await,
        Method::GET => sessions::get(site, &peer, request.headers()),
        Method::DELETE => sessions::delete(site, &peer, request.headers()),
        _ => Err(not_allowed()),
    }
}

fn unknown(kind: &str, name: &str) -> Refused {
    let name = base::text::clean(base::text::cut(name, 100)).into_owned();
    Refused::new(
        StatusCode::NOT_FOUND,
        format!("there is no {kind} {name:?} here; `dockmaster {kind} list` names those there are"),
    )
}

fn not_allowed() -> Refused {
    Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "send messages with POST; GET and DELETE are for sessions, by their Mcp-Session-Id",
    )
    .with(header::ALLOW, "POST, GET, DELETE")
}

/// A header as text; `None` if it is absent, an error if it is not ASCII.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    headers
        .get(name)
        .map(|value| value.to_str().map_err(|_| ()))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let server = |name: &str| Some(Place::Endpoint(View::Server(name.into())));
        let profile = |name: &str| Some(Place::Endpoint(View::Profile(name.into())));
        for (uri, wanted) in [
            ("/mcp", Some(Place::Endpoint(View::Default))),
            ("/mcp?x=/status", Some(Place::Endpoint(View::Default))),
            ("/mcp/", None),
            ("/MCP", None),
            ("//mcp", None),
            ("/mcp/server/memory", server("memory")),
            ("/mcp/server/my%20server", server("my server")),
            ("/mcp/server/a%2Fb", server("a/b")),
            ("/mcp/server/%ff", server("\u{fffd}")),
            ("/mcp/server/", None),
            ("/mcp/server", None),
            ("/mcp/server/a/b", None),
            ("/mcp/profile/team", profile("team")),
            ("/mcp/profile/team/", None),
            ("/status", Some(Place::Status)),
            ("/health", Some(Place::Health)),
            ("/sse", Some(Place::Stream)),
            ("/messages?session=x", Some(Place::Messages)),
            ("/", None),
            ("*", None),
        ] {
            assert_eq!(Place::of(&Uri::from_static(uri), true), wanted, "{uri}");
        }
        for uri in ["/sse", "/messages"] {
            assert_eq!(Place::of(&Uri::from_static(uri), false), None, "{uri}");
        }
    }
}
