//! An HTTP proxy for one instance: `CONNECT` (RFC 9110, 9.3.6) and plain HTTP in absolute form (RFC 9112, 3.2.2).
//!
//! Who asks is judged by the way it comes: from the network of its own instance, or by a socket that only its own
//! container is given. Where to is judged by the declared pairs of host and port, and then once more
//! by the very address that is connected to: names resolve here, and those that lead into private networks, to this
//! machine or to a metadata service are refused, however often they change what they say.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use catalog::plan::HostPort;
use fetch::Addresses;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Place;
use super::report::Reporter;
use crate::door::{Door, Listener};

/// Connections side by side; further ones wait.
const CONNECTIONS: usize = 128;
/// For the head of a request.
const HEAD: Duration = Duration::from_secs(30);
/// For resolving and connecting.
const DIAL: Duration = Duration::from_secs(15);
/// A tunnel in which nothing moves either way, and a request without an answer, for this long is dead.
const IDLE: Duration = Duration::from_mins(10);
/// How much of a tunnel is read at a time.
const CHUNK: usize = 16 << 10;

/// Meant for one connection and not for what is behind it (RFC 9110, 7.6.1), or for proxies.
const HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// What may be reached.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Pairs of host and port.
    pub(crate) hosts: Vec<HostPort>,
    /// Of these, the ones that the user said may be private.
    pub(crate) private: Vec<HostPort>,
}

/// One instance's proxy.
#[derive(Debug, Clone)]
pub(super) struct Proxy(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules: Rules,
    reporter: Reporter,
    door: Door,
}

/// Answers only those who are in the instance's own network.
pub(super) struct Guests {
    listener: TcpListener,
    place: Place,
    proxy: Proxy,
}

impl Listener for Guests {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        loop {
            let (stream, peer) = self.listener.accept().await?;
            if self.place.is_guest(peer.ip()) {
                // Frames must not wait for acknowledgements of others; failing at that costs time and nothing else.
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            let why = "it came from outside of the server's network";
            self.proxy.0.reporter.refused(&peer.to_string(), why).await;
        }
    }
}

impl Proxy {
    pub(super) fn new(rules: Rules, reporter: Reporter, ended: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            rules,
            reporter,
            door: Door::new(ended, CONNECTIONS),
        }))
    }

    /// Those who come over a network.
    pub(super) fn guests(&self, listener: TcpListener, place: Place) -> Guests {
        Guests {
            listener,
            place,
            proxy: self.clone(),
        }
    }

    /// Serves until the instance ends.
    pub(super) async fn serve(self, listener: impl Listener) {
        let connection = |stream| self.clone().connection(stream);
        self.0.door.serve(listener, connection).await;
    }

    async fn connection(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let service = service_fn(move |request| {
            let proxy = self.clone();
            async move { Ok::<_, Infallible>(proxy.answer(request).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            // Whoever has nothing more to say may still want the answer.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!("a connection to the proxy ended: {error}");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let answered = if request.method() == Method::CONNECT {
            self.tunnel(request).await
        } else {
            self.forward(request).await
        };
        answered.unwrap_or_else(|refused| refused)
    }

    async fn tunnel(&self, request: Request<Incoming>) -> Result<Answer, Answer> {
        let to = Destination::of(request.uri(), None).map_err(bad)?;
        let Some(room) = self.0.door.tunnel() else {
            return Err(refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many tunnels at once; end some of them",
            ));
        };
        let outside = self.reach(&to).await?;
        let proxy = self.clone();
        self.0.door.spawn(async move {
            if let Ok(inside) = hyper::upgrade::on(request).await {
                proxy.pass(TokioIo::new(inside), outside).await;
            }
            drop(room);
        });
        Ok(Response::new(empty()))
    }

    /// Bytes both ways, until both have ended or nothing moves any more.
    async fn pass(&self, inside: impl AsyncRead + AsyncWrite, outside: TcpStream) {
        let traffic = &self.0.reporter.traffic;
        let sent = |count| traffic.add(count, 0);
        let received = |count| traffic.add(0, count);
        both_ways(inside, outside, sent, received).await;
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Answer, Answer> {
        if request.uri().scheme() != Some(&Scheme::HTTP) {
            let text = "this is a proxy: ask it for http://host/path, or CONNECT host:port";
            return Err(refusal(StatusCode::BAD_REQUEST, text));
        }
        let to = Destination::of(request.uri(), Some(80)).map_err(bad)?;
        let outside = self.reach(&to).await?;
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let authority = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().to_owned());
        strip(request.headers_mut());
        // The host that was judged, whatever the header said.
        let host = authority.unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host)
            .map_err(|_| refusal(StatusCode::BAD_REQUEST, "the host is not readable"))?;
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = Uri::from(path);
        let broken = |error: &dyn std::fmt::Display| {
            refusal(
                StatusCode::BAD_GATEWAY,
                &format!("{} broke off: {error}", to.shown()),
            )
        };
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(outside)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
        self.0.door.spawn(async move {
            drop(connection.await);
        });
        let answered = timeout(IDLE, sender.send_request(request)).await;
        let answer = answered.map_err(|_| {
            refusal(
                StatusCode::GATEWAY_TIMEOUT,
                &format!("{} does not answer", to.shown()),
            )
        })?;
        let mut answer = answer.map_err(|error| broken(&error))?;
        strip(answer.headers_mut());
        let proxy = self.clone();
        Ok(answer.map(|body| {
            body.map_frame(move |frame| {
                let length = frame.data_ref().map_or(0, Bytes::len);
                proxy
                    .0
                    .reporter
                    .traffic
                    .add(0, u64::try_from(length).unwrap_or(0));
                frame
            })
            .boxed()
        }))
    }

    /// A connection to where the rules permit.
    async fn reach(&self, to: &Destination) -> Result<TcpStream, Answer> {
        let Shared { rules, reporter, .. } = &*self.0;
        let permits = |hosts: &[HostPort]| hosts.iter().any(|host| host.permits(&to.host, to.port));
        if !permits(&rules.hosts) {
            let why = "it is not among the hosts that the server declares";
            reporter.refused(&to.shown(), why).await;
            let text = format!(
                "Dockmaster refuses {}: {why}. Whoever runs the gateway can add it to `hosts` of server {}.",
                to.shown(),
                reporter.server
            );
            return Err(refusal(StatusCode::FORBIDDEN, &text));
        }
        let addresses = if permits(&rules.private) {
            Addresses::Private
        } else {
            Addresses::Public
        };
        match fetch::dial(&to.host, to.port, &addresses, DIAL).await {
            Ok(stream) => {
                drop(stream.set_nodelay(true));
                reporter.permitted(&to.shown()).await;
                Ok(stream)
            }
            Err(error @ fetch::Kind::Forbidden { .. }) => {
                let why = base::text::clean(&error.to_string()).into_owned();
                reporter.refused(&to.shown(), &why).await;
                let text = format!("Dockmaster refuses {}: {why}", to.shown());
                Err(refusal(StatusCode::FORBIDDEN, &text))
            }
            Err(error) => {
                let text = format!("Dockmaster can't reach {}: {error}", to.shown());
                Err(refusal(StatusCode::BAD_GATEWAY, &text))
            }
        }
    }
}

/// Where a request wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Destination {
    /// In lower case, without brackets and without a trailing dot.
    host: String,
    port: u16,
}

impl Destination {
    /// The error says what is wrong with the request.
    fn of(uri: &Uri, default: Option<u16>) -> Result<Self, &'static str> {
        let authority = uri.authority().ok_or("it names no host")?;
        let port = match (authority.port(), default) {
            (Some(port), _) => port.as_str().parse().ok(),
            (None, default) => default,
        };
        let port = port.filter(|port| *port != 0).ok_or("it names no port")?;
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) {
            return Err("its host is no name and no address");
        }
        Ok(Self { host, port })
    }

    fn shown(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Bytes both ways, until both have ended or nothing has moved in either for the whole limit.
async fn both_ways(
    inside: impl AsyncRead + AsyncWrite,
    outside: impl AsyncRead + AsyncWrite,
    sent: impl Fn(u64),
    received: impl Fn(u64),
) {
    let (from_inside, to_inside) = tokio::io::split(inside);
    let (from_outside, to_outside) = tokio::io::split(outside);
    let moved = Mutex::new(Instant::now());
    tokio::join!(
        copy(from_inside, to_outside, &moved, sent),
        copy(from_outside, to_inside, &moved, received)
    );
}

/// Copies one direction to its end. Silence in this direction alone is no fault: a long answer is being written in the
/// other.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    moved: &Mutex<Instant>,
    count: impl Fn(u64),
) {
    let last_moved = || moved.lock().unwrap_or_else(PoisonError::into_inner);
    let mut buffer = vec![0; CHUNK];
    loop {
        let deadline = *last_moved() + IDLE;
        let length = match timeout_at(deadline, from.read(&mut buffer)).await {
            Ok(Ok(length @ 1..)) => length,
            Err(_) if *last_moved() + IDLE > deadline => continue,
            _ => break,
        };
        let piece = buffer.get(..length).unwrap_or_default();
        if !matches!(timeout(IDLE, to.write_all(piece)).await, Ok(Ok(()))) {
            break;
        }
        *last_moved() = Instant::now();
        count(u64::try_from(length).unwrap_or(0));
    }
    drop(timeout(HEAD, to.shutdown()).await);
}

/// Takes out what is meant for this connection alone.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named {
        // Framing is not the peer's to take away.
        if name != http::header::CONTENT_LENGTH && name != http::header::TRANSFER_ENCODING && name != HOST {
            headers.remove(name);
        }
    }
    for name in HOP {
        headers.remove(name);
    }
}

fn bad(fault: &'static str) -> Answer {
    refusal(StatusCode::BAD_REQUEST, fault)
}

fn refusal(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(whole(format!("{text}\n")));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    // The connection may hold a body that nobody reads.
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn empty() -> BoxBody<Bytes, hyper::Error> {
    whole(String::new())
}

fn whole(text: String) -> BoxBody<Bytes, hyper::Error> {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        for (uri, default, expected) in [
            ("example.com:443", None, Some(("example.com", 443))),
            ("EXAMPLE.com.:443", None, Some(("example.com", 443))),
            ("[2001:db8::1]:443", None, Some(("2001:db8::1", 443))),
            ("example.com", None, None),
            ("example.com:0", None, None),
            ("http://example.com/x", Some(80), Some(("example.com", 80))),
            (
                "http://user:pw@example.com:8080/x",
                Some(80),
                Some(("example.com", 8080)),
            ),
            ("http://a%2eb/", Some(80), None),
            ("/path", Some(80), None),
        ] {
            let found = uri
                .parse::<Uri>()
                .ok()
                .and_then(|uri| Destination::of(&uri, default).ok());
            let found = found.as_ref().map(|to| (to.host.as_str(), to.port));
            assert_eq!(found, expected, "{uri}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_is_open_while_anything_moves_in_either_direction() {
        let (inside, mut server) = tokio::io::duplex(64);
        let (outside, mut world) = tokio::io::duplex(64);
        let ways = both_ways(inside, outside, |_| {}, |_| {});
        let ends = async {
            // A download that takes longer than the limit; the server says nothing meanwhile.
            for _ in 0..15 {
                world.write_all(b"x").await.unwrap();
                assert_eq!(server.read_u8().await.unwrap(), b'x');
                tokio::time::sleep(Duration::from_mins(1)).await;
            }
            server.write_all(b"y").await.unwrap();
            assert_eq!(world.read_u8().await.unwrap(), b'y');
            let before = Instant::now();
            // The end comes when neither says anything.
            assert_eq!(world.read(&mut [0]).await.unwrap(), 0);
            before.elapsed()
        };
        let ((), silence) = tokio::join!(ways, ends);
        assert!(silence >= IDLE, "{silence:?}");
    }

    #[test]
    fn hops_are_stripped() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret, content-length"),
            ("x-secret", "1"),
            ("content-length", "3"),
            ("proxy-authorization", "Basic x"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-length", "accept"]);
    }
}
