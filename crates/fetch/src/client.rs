//! The client: rules, pool, limits, and the hops of a redirect.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use url::Url;

use crate::connect::{Connector, Dial, PLAIN, Rules, Tls};
use crate::error::{causes, shown};
use crate::request::{Body, Redirects, Request};
use crate::response::Response;
use crate::stream::Tasks;
use crate::{Addresses, Error, Kind, Proxy, tls};

/// Connections to one host that are kept while idle.
const IDLE_CONNECTIONS: usize = 8;
/// Servers and what stands before them close idle connections after a minute or more.
const IDLE_FOR: Duration = Duration::from_secs(50);
/// Most bytes of an answer's head. hyper's own bound is 400 KiB.
const HEAD_BYTES: usize = 64 << 10;

/// What a client may do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How it names itself: "dockmaster/1.0".
    pub user_agent: String,
    /// What it may reach.
    pub addresses: Addresses,
    /// Whether without TLS.
    pub plain: Plain,
    /// Files (PEM) of authorities to trust besides the system's.
    pub authorities: Vec<PathBuf>,
    /// By way of this.
    pub proxy: Option<Proxy>,
    /// Names, in lower case, that are not looked up because their addresses are given here.
    pub hosts: HashMap<String, Vec<IpAddr>>,
    /// Bounds, unless a request has its own.
    pub limits: Limits,
}

impl Default for Options {
    /// The public Internet, by https.
    fn default() -> Self {
        Self {
            user_agent: "dockmaster".to_owned(),
            addresses: Addresses::Public,
            plain: Plain::Refused,
            authorities: Vec::new(),
            proxy: None,
            hosts: HashMap::new(),
            limits: Limits::default(),
        }
    }
}

/// Whether HTTP without TLS is permitted. [`Addresses`] apply besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plain {
    /// No.
    #[default]
    Refused,
    /// To this machine.
    Loopback,
    /// Everywhere.
    Permitted,
}

/// Bounds on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of the answer, counted from the last byte of the request that the connection took.
    pub head: Duration,
    /// Between two pieces of the answer's body.
    pub idle: Duration,
    /// Most bytes of the answer's body.
    pub body: u64,
}

impl Default for Limits {
    /// 10 s, 30 s, 60 s, 64 MiB.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            head: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            body: 64 << 20,
        }
    }
}

type Outgoing = UnsyncBoxBody<Bytes, std::io::Error>;
type Pool = hyper_util::client::legacy::Client<Connector, Outgoing>;

/// An HTTP client. Clones share one pool of connections.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    pool: Pool,
    options: Options,
    tls: Arc<Tls>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.0.options).finish()
    }
}

impl Client {
    /// Prepares a client; nothing is opened or read yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let tls = Arc::new(Tls::new(tls::Settings {
            trust: tls::Trust::System(options.authorities.clone()),
            identity: None,
            protocols: vec!["http/1.1"],
        }));
        Self::over(options, tls, None)
    }

    /// A client of one peer, to which `dial` opens streams whatever a URL says; there is no TLS on them. The rules on
    /// addresses and the proxy of `options` mean nothing then.
    #[must_use]
    pub fn over_streams(options: Options, dial: Arc<dyn Dial>) -> Self {
        let tls = Arc::new(Tls::new(tls::Settings {
            trust: tls::Trust::System(Vec::new()),
            identity: None,
            protocols: Vec::new(),
        }));
        let options = Options {
            plain: Plain::Permitted,
            ..options
        };
        Self::over(options, tls, Some(dial))
    }

    /// A client with a pool of its own and these rules, otherwise like this one.
    #[must_use]
    pub fn with_rules(&self, addresses: Addresses, plain: Plain) -> Self {
        let options = Options {
            addresses,
            plain,
            ..self.0.options.clone()
        };
        Self::over(options, Arc::clone(&self.0.tls), None)
    }

    fn over(options: Options, tls: Arc<Tls>, dial: Option<Arc<dyn Dial>>) -> Self {
        let rules = Rules {
            addresses: options.addresses.clone(),
            plain: options.plain,
            proxy: options.proxy.clone(),
            hosts: Arc::new(options.hosts.clone()),
            limit: options.limits.connect,
        };
        let pool = hyper_util::client::legacy::Client::builder(Tasks::default())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(HEAD_BYTES)
            .build(Connector::new(rules, Arc::clone(&tls), dial));
        Self(Arc::new(Shared { pool, options, tls }))
    }

    /// The bounds that hold unless a request has its own.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.0.options.limits
    }

    /// Sends `request` and waits for the head of its answer, whatever the status. Dropping the future, or the answer
    /// before its end, closes the connection.
    ///
    /// # Errors
    /// [`Error`] says whether the server may have taken the request.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let limits = request.limits(self.0.options.limits);
        let Request {
            redirects, mut body, ..
        } = request;
        let mut hop = Hop {
            method: request.method,
            url: request.url,
            headers: request.headers,
        };
        let (most, followed): (u8, &[u16]) = match redirects {
            Redirects::Show => (0, &[]),
            Redirects::Follow(most) => (most, &[301, 302, 303, 307, 308]),
            Redirects::Unchanged(most) => (most, &[307, 308]),
        };
        for _ in 0..=most {
            let again = body.again();
            let answer = self.hop(&hop, body, &limits).await?;
            let location = answer.headers().get(LOCATION).cloned();
            let location = location.filter(|_| followed.contains(&answer.status().as_u16()));
            let Some(location) = location else {
                return Ok(Response::new(answer, hop.url, &limits));
            };
            body = hop.follow(answer.status(), &location, again)?;
        }
        Err(Error::new(
            &hop.url,
            Kind::Redirect {
                to: shown(&hop.url),
                reason: "too many redirects",
            },
        ))
    }

    async fn hop(&self, hop: &Hop, body: Body, limits: &Limits) -> Result<http::Response<Incoming>, Error> {
        let uri = self.checked(&hop.url)?;
        let mut request = http::Request::new(());
        *request.method_mut() = hop.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = hop.headers.clone();
        if !request.headers().contains_key(USER_AGENT)
            && let Ok(name) = HeaderValue::from_str(&self.0.options.user_agent)
        {
            request.headers_mut().insert(USER_AGENT, name);
        }
        let progress = Arc::new(AtomicU64::new(0));
        let request = request.map(|()| outgoing(body, &progress));
        let mut answer = self.0.pool.request(request);
        let mut taken = 0;
        loop {
            match tokio::time::timeout(limits.head, &mut answer).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => return Err(failed(&hop.url, &error)),
                // A large body on its way is no reason to give up.
                Err(_) if progress.load(Ordering::Relaxed) != taken => {
                    taken = progress.load(Ordering::Relaxed);
                }
                Err(_) => {
                    let kind = Kind::TimedOut {
                        what: "answer",
                        after: limits.head,
                    };
                    return Err(Error::new(&hop.url, kind).sent());
                }
            }
        }
    }

    /// The address as the pool takes it, if these rules permit it as far as that can be seen before its name is
    /// resolved.
    fn checked(&self, url: &Url) -> Result<Uri, Error> {
        let refuse = |reason: &str| Error::new(url, Kind::Refused(reason.to_owned()));
        match url.scheme() {
            "http" if self.0.options.plain == Plain::Refused => return Err(refuse(PLAIN)),
            "https" | "http" => {}
            _ => return Err(refuse("only https and http addresses can be fetched")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "the address contains a user name or password; give credentials as a header instead",
            ));
        }
        let mut bare = url.clone();
        bare.set_fragment(None);
        bare.as_str()
            .parse()
            .map_err(|_| refuse("this is no address that HTTP can name"))
    }
}

/// One request of a chain of redirects.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
}

impl Hop {
    /// Turns to where an answer points; gives the body to send there.
    fn follow(
        &mut self,
        status: StatusCode,
        location: &HeaderValue,
        body: Option<Body>,
    ) -> Result<Body, Error> {
        let to = location
            .to_str()
            .ok()
            .and_then(|location| self.url.join(location).ok());
        let refuse = |to: &str, reason| {
            let to = to.to_owned();
            Error::new(&self.url, Kind::Redirect { to, reason }).sent()
        };
        let to = to.ok_or_else(|| refuse("nowhere", "its Location is no URL"))?;
        if self.url.scheme() == "https" && to.scheme() != "https" {
            return Err(refuse(&shown(&to), "it would leave https"));
        }
        let get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        let body = if get {
            self.method = Method::GET;
            self.headers.remove(CONTENT_TYPE);
            self.headers.remove(CONTENT_LENGTH);
            Body::Empty
        } else {
            body.ok_or_else(|| refuse(&shown(&to), "its body was streamed and can't be sent again"))?
        };
        if to.origin() != self.url.origin() {
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, HOST] {
                self.headers.remove(name);
            }
            let secret = self.headers.iter().filter(|(_, value)| value.is_sensitive());
            let secret: Vec<_> = secret.map(|(name, _)| name.clone()).collect();
            for name in secret {
                self.headers.remove(name);
            }
        }
        self.url = to;
        Ok(body)
    }
}

fn outgoing(body: Body, progress: &Arc<AtomicU64>) -> Outgoing {
    match body {
        Body::Empty => Full::default().map_err(|never| match never {}).boxed_unsync(),
        Body::Bytes(bytes) => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
        Body::Stream(stream) => {
            let progress = Arc::clone(progress);
            stream
                .map_frame(move |frame| {
                    progress.fetch_add(1, Ordering::Relaxed);
                    frame
                })
                .boxed_unsync()
        }
    }
}

fn failed(url: &Url, error: &hyper_util::client::legacy::Error) -> Error {
    let sources = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let mut unsent = error.is_connect();
    for source in sources {
        if let Some(kind) = source.downcast_ref::<Kind>() {
            return Error::new(url, kind.clone());
        }
        if let Some(error) = source.downcast_ref::<hyper::Error>() {
            unsent |= error.is_canceled();
        }
    }
    let error = Error::new(url, Kind::Broken(causes(error)));
    if unsent { error } else { error.sent() }
}
