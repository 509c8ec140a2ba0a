//! The engine's handle and the one way of a request: guard, version, connection, answer, all within a time limit.

use crate::credentials::Credentials;
use crate::error::{Fate, causes};
use crate::guard::{self, Call, Guard, Lookup, LookupError, Object, Refusal, Verdict};
use crate::negotiate::{self, ApiVersion, Version};
use crate::request::Body;
use crate::stream::{About, Chunks, Lines};
use crate::transport::{Connect, Outgoing, Transport};
use crate::trip::Trip;
use crate::{Endpoint, EndpointError, Error, Hijacked, Path, Request, path};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, TryStreamExt};
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::connect::capture_connection;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

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
    /// What may be done there.
    pub guard: Guard,
    /// Who we are to registries, for pulls, pushes and builds.
    pub credentials: Credentials,
}

/// One Docker Engine. A handle: clones share connections and what is known of the daemon.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// Where it is; it stands in the debug texts of whatever has one.
impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engine").field(self.endpoint()).finish()
    }
}

struct Inner {
    options: Options,
    transport: Transport,
    /// The daemon's address for `Host`, which only proxies look at.
    host: HeaderValue,
    /// What was negotiated, if [`ApiVersion::Auto`].
    version: Arc<Mutex<Option<Version>>>,
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
            version: Arc::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The same engine, over the same connections, behind another guard: for what Dockmaster does itself and that
    /// needs a policy made for it. Neither guard knows of the other.
    #[must_use]
    pub fn behind(&self, guard: Guard) -> Self {
        let options = self.inner.options.clone();
        self.with(Options { guard, ..options })
    }

    /// The same engine, spoken to in this version: for a client that has chosen one itself.
    #[must_use]
    pub fn speaking(&self, version: Version) -> Self {
        let options = self.inner.options.clone();
        self.with(Options {
            api_version: ApiVersion::Fixed(version),
            ..options
        })
    }

    fn with(&self, options: Options) -> Self {
        let inner = Inner {
            options,
            transport: self.inner.transport.clone(),
            host: self.inner.host.clone(),
            version: Arc::clone(&self.inner.version),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Whether anybody else has it, or one made from it: all of them use the same connections.
    pub fn is_shared(&self) -> bool {
        // Each has its own `Inner` with the one version, and each clone has that `Inner`.
        Arc::strong_count(&self.inner) > 1 || Arc::strong_count(&self.inner.version) > 1
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
        let mut ping = Request::get(path!["_ping"]);
        Trip::of(self, &mut ping).within(self.version()).await
    }

    /// Sends a request and gives the answer once its head is there. An answer of status 400 and above is an error;
    /// 304 (already so) is not. Dropping the answer, or this future, closes the connection.
    pub async fn send(&self, request: Request) -> Result<Response<Incoming>, Error> {
        let mut request = request.checked()?;
        let trip = Trip::of(self, &mut request);
        trip.within(self.pass(request, &trip)).await
    }

    /// Sends a request and reads its answer as a whole, at most 64 MiB.
    pub async fn raw(&self, request: Request) -> Result<Bytes, Error> {
        let mut request = request.checked()?;
        let trip = Trip::of(self, &mut request);
        trip.within(async {
            let answer = self.pass(request, &trip).await?;
            Chunks::new(answer.into_body(), &trip.about).whole().await
        })
        .await
    }

    /// Sends a request and reads its answer as JSON.
    pub async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let what = request.what();
        let body = self.raw(request).await?;
        // Looked through once as a whole: `from_slice` does it anew for each text in it.
        let text = std::str::from_utf8(&body).map_err(|error| Error::protocol(&what, error))?;
        serde_json::from_str(text).map_err(|error| Error::protocol(what, error))
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

    pub(crate) async fn chunks(&self, request: Request) -> Result<Chunks, Error> {
        let about = About::of(&request);
        let answer = self.send(request).await?;
        Ok(Chunks::new(answer.into_body(), &about))
    }

    /// The whole way of one request. On the heap, and not an `async fn`: the code of those stands in each crate that awaits
    /// them, and this would be there five times, with all the rules of the guard.
    fn pass<'a>(
        &'a self,
        request: Request,
        trip: &'a Trip,
    ) -> BoxFuture<'a, Result<Response<Incoming>, Error>> {
        Box::pin(async move {
            let request = self.judge(request).await?;
            let version = self.version().await?;
            let answer = self.exchange(request, Some(version), trip).await?;
            self.accept(answer, &trip.about).await
        })
    }

    /// The answer, unless it is an error.
    async fn accept(&self, answer: Response<Incoming>, about: &About) -> Result<Response<Incoming>, Error> {
        let status = answer.status();
        if status.as_u16() < 400 {
            return Ok(answer);
        }
        let body = Chunks::new(answer.into_body(), about)
            .at_most(MESSAGE_LIMIT)
            .await?;
        let error = Error::status(about.what.clone(), status, &body);
        if matches!(&error, Error::Daemon { status: 400, message, .. } if message.contains("client version"))
        {
            // Another daemon answers at this address now; the next request asks what it speaks.
            *self.inner.version.lock().await = None;
        }
        Err(error)
    }

    /// The gate of the guard, which may write the body anew and put an id in the place of a name.
    async fn judge(&self, mut request: Request) -> Result<Request, Error> {
        let call = Call {
            method: &request.method,
            path: request.path.as_str(),
            query: &request.query,
            headers: &request.headers,
            body: match &request.body {
                Body::Empty => guard::Body::Empty,
                Body::Whole(bytes) => guard::Body::Whole(bytes),
                Body::Stream(_) => guard::Body::Stream,
            },
        };
        let Verdict { path, body } = self
            .inner
            .options
            .guard
            .judge(&call, self)
            .await
            .map_err(|refusal| not_permitted(request.what(), refusal))?;
        if let Some(path) = path {
            let fault = || Error::Request {
                what: request.what(),
                fault: format!("{path} is not in plain form"),
            };
            request.path = Path::written(&path).ok_or_else(fault)?;
        }
        if let Some(body) = body {
            request.body = Body::Whole(body);
        }
        Ok(request)
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
        let mut ping = Request::get(path!["_ping"]);
        let trip = Trip::of(self, &mut ping);
        let answer = self.exchange(ping, None, &trip).await?;
        let said = answer
            .headers()
            .get("api-version")
            .and_then(|value| value.to_str().ok());
        let Some(said) = said else {
            let cause = format!(
                "status {} without Api-Version; is this a Docker Engine?",
                answer.status()
            );
            return Err(Error::protocol(trip.about.what, cause));
        };
        let daemon: Version = said
            .parse()
            .map_err(|error| Error::protocol(trip.about.what, error))?;
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
        trip: &Trip,
    ) -> Result<Response<Incoming>, Error> {
        let again = request.is_read() && matches!(request.body, Body::Empty);
        let parts = self.parts(&request, version)?;
        let body = outgoing(request.body);
        if !again {
            return self.attempt(http::Request::from_parts(parts, body), trip).await;
        }
        match self
            .attempt(http::Request::from_parts(parts.clone(), body), trip)
            .await
        {
            Err(Error::Broken { .. }) => {
                self.attempt(http::Request::from_parts(parts, outgoing(Body::Empty)), trip)
                    .await
            }
            answer => answer,
        }
    }

    async fn attempt(
        &self,
        mut request: http::Request<Outgoing>,
        trip: &Trip,
    ) -> Result<Response<Incoming>, Error> {
        trip.hand_over(capture_connection(&mut request));
        let start = Instant::now();
        let answer = self.inner.transport.send(request).await;
        let answer = answer.map_err(|error| self.transport_error(&error, trip))?;
        // Method and path only: queries, headers and bodies hold what must not be written down.
        tracing::debug!(request = trip.about.what, status = answer.status().as_u16(), after = ?start.elapsed());
        Ok(answer)
    }

    fn parts(&self, request: &Request, version: Option<Version>) -> Result<http::request::Parts, Error> {
        // There is one engine behind the transport; the authority only keys the pool.
        let mut uri = match version {
            Some(version) => format!("http://engine/v{version}{}", request.path),
            None => format!("http://engine{}", request.path),
        };
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

    fn transport_error(&self, error: &hyper_util::client::legacy::Error, trip: &Trip) -> Error {
        let io = find::<io::Error>(error);
        if let Some(fault) = io.and_then(|io| io.get_ref()?.downcast_ref::<EndpointError>()) {
            return Error::Endpoint(fault.clone());
        }
        if error.is_connect() {
            return Error::Unreachable {
                endpoint: self.endpoint().to_string(),
                cause: io.map_or_else(|| causes(error), ToString::to_string),
                advice: self.advice(io.map(io::Error::kind)),
            };
        }
        if find::<hyper::Error>(error).is_some_and(hyper::Error::is_user) {
            let fault = format!("what was to be sent could not be read: {}", causes(error));
            return Error::Request {
                what: trip.about.what.clone(),
                fault,
            };
        }
        Error::Broken {
            what: trip.about.what.clone(),
            cause: causes(error),
            fate: trip.fate(),
        }
    }

    fn advice(&self, kind: Option<io::ErrorKind>) -> &'static str {
        match kind {
            // Whoever opens these streams says what to do about each step.
            _ if matches!(self.endpoint(), Endpoint::Ssh(_)) => "",
            Some(io::ErrorKind::NotFound) if self.options().guard.is_local() => {
                "is it installed and running? Start it, or set DOCKER_HOST to where it is"
            }
            Some(io::ErrorKind::NotFound) => {
                "is it installed and running? Start it, or correct the address of this host (dockmaster host edit)"
            }
            Some(io::ErrorKind::PermissionDenied) => {
                "this user may not use its socket: join the group docker and log in again, or use a rootless engine"
            }
            Some(io::ErrorKind::ConnectionRefused) => "nothing listens there: start the engine",
            Some(io::ErrorKind::TimedOut) => "the host does not answer: check the address and the firewall",
            _ => "check the address, and for TLS that both sides use it and trust each other",
        }
    }

    async fn look_at(&self, target: &str) -> Result<Value, Error> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let fault = || Error::Request {
            what: format!("GET {path}"),
            fault: "it is not in plain form".to_owned(),
        };
        let mut request = Request::get(Path::written(path).ok_or_else(fault)?);
        query.clone_into(&mut request.query);
        let trip = Trip::of(self, &mut request);
        let version = self.version().await?;
        let answer = self.exchange(request, Some(version), &trip).await?;
        let answer = self.accept(answer, &trip.about).await?;
        let body = Chunks::new(answer.into_body(), &trip.about).whole().await?;
        serde_json::from_slice(&body).map_err(|error| Error::protocol(trip.about.what, error))
    }
}

impl Lookup for Engine {
    /// What the guard wants to know goes by the same connections, within the time limit of the request that is
    /// judged; it is not judged itself, being a fixed list of reads.
    fn look_up<'a>(&'a self, object: &'a Object) -> guard::Answer<'a> {
        Box::pin(async move {
            match self.look_at(&object.path()).await {
                Ok(value) => Ok(value),
                Err(Error::NotFound { .. }) => Err(LookupError::NotFound),
                Err(error) => Err(LookupError::Failed(error.to_string())),
            }
        })
    }
}

/// A refusal, or what the daemon would have said: that what the guard had to look at is not there.
fn not_permitted(what: String, refusal: Refusal) -> Error {
    if !refusal.is_not_found() {
        return Error::Refused(Box::new(refusal));
    }
    let object = refusal.what.rsplit(": ").next().unwrap_or_default();
    Error::NotFound {
        what,
        message: format!("No such {}", object.replacen(' ', ": ", 1)),
    }
}

fn outgoing(body: Body) -> Outgoing {
    let never = |error: Infallible| match error {};
    match body {
        Body::Empty => Empty::new().map_err(never).boxed_unsync(),
        Body::Whole(bytes) => Full::new(bytes).map_err(never).boxed_unsync(),
        Body::Stream(stream) => StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync(),
    }
}

fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(<dyn std::error::Error>::downcast_ref)
}
