//! The engine's handle and the one way of a request: guard, version, connection, answer, all within a time limit.

use crate::error::{Fate, causes};
use crate::negotiate::{self, ApiVersion, Version};
use crate::request::{Body, Deadline};
use crate::stream::{About, Chunks, Lines};
use crate::transport::{Connect, Outgoing, Transport};
use crate::{Endpoint, EndpointError, Error, Hijacked, Request, path};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;

/// Most bytes of an answer that is read as a whole.
const BODY_LIMIT: usize = 64 << 20;
/// Most bytes of an error message.
const MESSAGE_LIMIT: usize = 1 << 20;

/// How to reach and treat one engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Which version of the API to speak.
    pub api_version: ApiVersion,
    /// The time limit of each request until the head of its answer, and to the end of an answer that is read as
    /// a whole; 60 s unless the user says otherwise.
    pub timeout: Duration,
}

/// One Docker Engine. A handle: clones share connections and what is known of the daemon.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    transport: Transport,
    /// The daemon's address for `Host`, which only proxies look at.
    host: HeaderValue,
    /// What was negotiated, if [`ApiVersion::Auto`].
    version: Mutex<Option<Version>>,
}

impl Engine {
    /// Prepares to use an engine. Nothing is sent yet, and it need not even run.
    pub fn open(options: Options) -> Result<Self, Error> {
        let transport = Transport::new(&options.endpoint)?;
        Ok(Self::with_transport(options, transport))
    }

    /// Like [`Engine::open`], over streams that the caller opens; the endpoint only names it in messages.
    pub fn open_over(options: Options, connect: Arc<dyn Connect>) -> Self {
        Self::with_transport(options, Transport::over(connect))
    }

    fn with_transport(options: Options, transport: Transport) -> Self {
        let host = match &options.endpoint {
            Endpoint::Tcp(authority) | Endpoint::Tls(authority, _) => authority.to_string(),
            _ => "docker".to_owned(),
        };
        let host = HeaderValue::from_str(&host).unwrap_or_else(|_| HeaderValue::from_static("docker"));
        let inner = Inner {
            options,
            transport,
            host,
            version: Mutex::new(None),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What it was opened with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.options.endpoint
    }

    /// The version of the API that is spoken with it; asks the daemon if that is not known yet.
    pub async fn api_version(&self) -> Result<Version, Error> {
        let ping = Request::get(path!["_ping"]);
        in_time(
            self.limit(&ping),
            &About::of(&ping),
            &OnceLock::new(),
            self.version(),
        )
        .await
    }

    /// Sends a request and gives the answer once its head is there. An answer of status 400 and above is an error;
    /// 304 (already so) is not. Dropping the answer, or this future, closes the connection.
    pub async fn send(&self, request: Request) -> Result<Response<Incoming>, Error> {
        let request = request.checked()?;
        let sent = OnceLock::new();
        let limit = self.limit(&request);
        let about = About::of(&request);
        in_time(limit, &about, &sent, self.pass(request, &about, &sent)).await
    }

    /// Sends a request and reads its answer as a whole, at most 64 MiB.
    pub async fn raw(&self, request: Request) -> Result<Bytes, Error> {
        let request = request.checked()?;
        let sent = OnceLock::new();
        let limit = self.limit(&request);
        let about = About::of(&request);
        in_time(limit, &about, &sent, async {
            let answer = self.pass(request, &about, &sent).await?;
            collect(Chunks::new(answer.into_body(), &about), BODY_LIMIT).await
        })
        .await
    }

    /// Sends a request and reads its answer as JSON.
    pub async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let what = request.what();
        let body = self.raw(request).await?;
        serde_json::from_slice(&body).map_err(|error| Error::protocol(what, error))
    }

    /// Sends a request whose answer is JSON values one after another (progress, events, statistics). An object with
    /// `error` is passed on like any other.
    pub async fn lines(
        &self,
        request: Request,
    ) -> Result<impl Stream<Item = Result<Value, Error>> + Send + use<>, Error> {
        Ok(Lines::new(self.chunks(request).await?).into_stream())
    }

    /// Sends a request whose answer is a stream of bytes.
    pub async fn bytes(
        &self,
        request: Request,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        Ok(self.chunks(request).await?.into_stream())
    }

    /// Sends a request that makes the connection a raw stream in both directions.
    pub async fn hijack(&self, mut request: Request) -> Result<Hijacked, Error> {
        request
            .headers
            .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        let what = request.what();
        let answer = self.send(request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let cause = format!("status {} instead of 101 (switching protocols)", answer.status());
            return Err(Error::protocol(what, cause));
        }
        match hyper::upgrade::on(answer).await {
            Ok(upgraded) => Ok(Hijacked::new(upgraded)),
            Err(error) => Err(Error::Broken {
                what,
                cause: causes(&error),
                fate: Fate::Unknown,
            }),
        }
    }

    async fn chunks(&self, request: Request) -> Result<Chunks, Error> {
        let about = About::of(&request);
        let answer = self.send(request).await?;
        Ok(Chunks::new(answer.into_body(), &about))
    }

    /// The whole way of one request.
    async fn pass(&self, request: Request, about: &About, sent: &Sent) -> Result<Response<Incoming>, Error> {
        self.judge().await?;
        let version = self.version().await?;
        let answer = self.exchange(request, Some(version), about, sent).await?;
        let status = answer.status();
        if status.as_u16() < 400 {
            return Ok(answer);
        }
        let body = collect(Chunks::new(answer.into_body(), about), MESSAGE_LIMIT).await?;
        let message = message(&body, status);
        if status == StatusCode::BAD_REQUEST && message.contains("client version") {
            // Another daemon answers at this address now; the next request asks what it speaks.
            *self.inner.version.lock().await = None;
        }
        Err(Error::status(about.what.clone(), status, message))
    }

    /// The gate of the guard.
    #[expect(
        clippy::unused_async,
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "joined next"
    )]
    async fn judge(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn version(&self) -> Result<Version, Error> {
        if let ApiVersion::Fixed(version) = self.inner.options.api_version {
            return Ok(version);
        }
        // Others wait here for the first to know; each within its own time limit.
        let mut known = self.inner.version.lock().await;
        if let Some(version) = *known {
            return Ok(version);
        }
        let ping = Request::get(path!["_ping"]);
        let about = About::of(&ping);
        let answer = self.exchange(ping, None, &about, &OnceLock::new()).await?;
        let said = answer
            .headers()
            .get("api-version")
            .and_then(|value| value.to_str().ok());
        let Some(said) = said else {
            let cause = format!(
                "status {} without Api-Version; is this a Docker Engine?",
                answer.status()
            );
            return Err(Error::protocol(about.what, cause));
        };
        let daemon: Version = said.parse().map_err(|error| Error::protocol(about.what, error))?;
        // Read to the end, the connection can be used again.
        drop(answer.into_body().collect().await);
        let endpoint = || self.endpoint().to_string();
        let version = negotiate::common(daemon).ok_or_else(|| Error::TooOld {
            endpoint: endpoint(),
            daemon,
        })?;
        tracing::debug!(endpoint = endpoint(), %daemon, %version, "negotiated the API version");
        *known = Some(version);
        Ok(version)
    }

    /// Sends one request on a pooled connection. One that only reads and whose connection broke is sent a second
    /// time: the daemon closes idle connections when it restarts, and that shows only on use.
    async fn exchange(
        &self,
        request: Request,
        version: Option<Version>,
        about: &About,
        sent: &Sent,
    ) -> Result<Response<Incoming>, Error> {
        let again = request.is_read() && matches!(request.body, Body::Empty);
        let parts = self.parts(&request, version)?;
        let body = outgoing(request.body);
        if !again {
            return self.attempt(with_parts(parts, body), about, sent).await;
        }
        match self.attempt(with_parts(parts.clone(), body), about, sent).await {
            Err(Error::Broken { .. }) => {
                self.attempt(with_parts(parts, outgoing(Body::Empty)), about, sent)
                    .await
            }
            answer => answer,
        }
    }

    async fn attempt(
        &self,
        mut request: http::Request<Outgoing>,
        about: &About,
        sent: &Sent,
    ) -> Result<Response<Incoming>, Error> {
        let capture = capture_connection(&mut request);
        // A second attempt is made for reads alone, where nobody asks what was sent.
        let _ = sent.set(capture);
        let start = std::time::Instant::now();
        let answer = self.inner.transport.send(request).await;
        let answer = answer.map_err(|error| self.transport_error(&error, about, sent))?;
        // Method and path only: queries, headers and bodies hold what must not be written down.
        tracing::debug!(request = about.what, status = answer.status().as_u16(), after = ?start.elapsed());
        Ok(answer)
    }

    fn parts(&self, request: &Request, version: Option<Version>) -> Result<http::request::Parts, Error> {
        // There is one engine behind the transport; the authority only keys the pool.
        let mut uri = String::from("http://engine");
        if let Some(version) = version {
            uri.push_str(&format!("/v{version}"));
        }
        uri.push_str(request.path.as_str());
        if !request.query.is_empty() {
            uri.push('?');
            uri.push_str(&request.query);
        }
        let built = http::Request::builder()
            .method(request.method.clone())
            .uri(uri)
            .body(());
        let built = built.map_err(|error| Error::Request {
            what: request.what(),
            fault: error.to_string(),
        })?;
        let (mut parts, ()) = built.into_parts();
        parts.headers = request.headers.clone();
        parts.headers.insert(HOST, self.inner.host.clone());
        Ok(parts)
    }

    fn transport_error(
        &self,
        error: &hyper_util::client::legacy::Error,
        about: &About,
        sent: &Sent,
    ) -> Error {
        let io = find::<io::Error>(error);
        if let Some(fault) = io.and_then(|io| io.get_ref()?.downcast_ref::<EndpointError>()) {
            return Error::Endpoint(fault.clone());
        }
        if error.is_connect() {
            return Error::Unreachable {
                endpoint: self.endpoint().to_string(),
                cause: io.map_or_else(|| causes(error), ToString::to_string),
                advice: advice(io.map(io::Error::kind)),
            };
        }
        if find::<hyper::Error>(error).is_some_and(hyper::Error::is_user) {
            let fault = format!("what was to be sent could not be read: {}", causes(error));
            return Error::Request {
                what: about.what.clone(),
                fault,
            };
        }
        Error::Broken {
            what: about.what.clone(),
            cause: causes(error),
            fate: fate(about, sent),
        }
    }

    fn limit(&self, request: &Request) -> Option<Duration> {
        match request.deadline {
            Deadline::Default => Some(self.inner.options.timeout),
            Deadline::After(limit) => Some(limit),
            Deadline::Never => None,
        }
    }
}

/// Set once a request is handed to the transport; knows then whether a connection took it.
type Sent = OnceLock<CaptureConnection>;

fn fate(about: &About, sent: &Sent) -> Fate {
    let taken = sent
        .get()
        .is_some_and(|capture| capture.connection_metadata().is_some());
    if taken { about.fate } else { Fate::Unchanged }
}

async fn in_time<T>(
    limit: Option<Duration>,
    about: &About,
    sent: &Sent,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(limit) = limit else { return work.await };
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Timeout {
            what: about.what.clone(),
            after: limit,
            fate: fate(about, sent),
        }),
    }
}

async fn collect(mut chunks: Chunks, limit: usize) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(data) = chunks.next().await {
        let data = data?;
        if body.len() + data.len() > limit {
            return Err(Error::TooLarge {
                what: chunks.what().to_owned(),
                limit,
            });
        }
        body.extend_from_slice(&data);
    }
    Ok(body.freeze())
}

/// The daemon's words for a failure: `{"message": …}`, or plain text from proxies and old routes.
fn message(body: &[u8], status: StatusCode) -> String {
    #[derive(serde::Deserialize)]
    struct Failure {
        message: String,
    }
    let text = match serde_json::from_slice::<Failure>(body) {
        Ok(failure) => failure.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    match text.trim() {
        "" => status.canonical_reason().unwrap_or("no reason given").to_owned(),
        text => text.to_owned(),
    }
}

fn with_parts(parts: http::request::Parts, body: Outgoing) -> http::Request<Outgoing> {
    http::Request::from_parts(parts, body)
}

fn outgoing(body: Body) -> Outgoing {
    let never = |error: Infallible| match error {};
    match body {
        Body::Empty => Empty::new().map_err(never).boxed_unsync(),
        Body::Whole(bytes) => Full::new(bytes).map_err(never).boxed_unsync(),
        Body::Stream(stream) => StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync(),
    }
}

fn advice(kind: Option<io::ErrorKind>) -> &'static str {
    match kind {
        Some(io::ErrorKind::NotFound) => {
            "is it installed and running? Start it, or set DOCKER_HOST to where it is"
        }
        Some(io::ErrorKind::PermissionDenied) => {
            "this user may not use its socket: join the group docker and log in again, or use a rootless engine"
        }
        Some(io::ErrorKind::ConnectionRefused) => "nothing listens there: start the engine",
        Some(io::ErrorKind::TimedOut) => "the host does not answer: check the address and the firewall",
        _ => "check the address, and for TLS that both sides use it and trust each other",
    }
}

fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(<dyn std::error::Error>::downcast_ref)
}
