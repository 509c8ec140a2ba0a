//! Servers reached by HTTP, as a [`Link`] of single messages: Streamable HTTP of both eras, and HTTP+SSE of
//! 2024-11-05.
//!
//! A message of ours is a POST, and what comes on its answer belongs to it. In the legacy era this keeps the session
//! (its id, the stream of GET, resuming a stream that was cut, beginning again when the server has forgotten the
//! session, DELETE at the end); in the modern one a stream is its request, and closing it cancels. What goes wrong
//! befalls the request that it happened to, as a JSON-RPC error with the HTTP status in its data.
//!
//! Deliberately absent: what messages mean, time limits of calls (whoever sends a request cancels it), starting and
//! restarting (a link that ends is opened again by its owner), and where secrets come from.

mod driver;
mod exchange;
mod failure;
mod post;
mod session;
mod sse;

use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use fetch::{Method, Request, Url};
use tokio::sync::mpsc;

use self::session::Shared;
use crate::names::short_hash;
use crate::parts::{Link, Wire};

/// Messages that wait to be sent, and that wait to be read.
const QUEUE: usize = 64;

/// A server somewhere else.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Its name, for errors.
    pub server: String,
    /// Where it is.
    pub url: String,
    /// How it is spoken to.
    pub transport: RemoteTransport,
    /// What every request to it carries.
    pub headers: Vec<RemoteHeader>,
    /// What reaches it: its rules on addresses hold.
    pub client: fetch::Client,
    /// Bounds.
    pub limits: RemoteLimits,
    /// The server is another gateway, which is told with each call for which client it is, so that it can tell them apart
    /// as this one does. The modern era alone is spoken with it: in a session of the legacy era all calls would be one
    /// client's. `None`: it is a server, and is told nothing.
    pub speaks_for: Option<Namesake>,
}

/// How clients are called before another gateway.
#[derive(Debug, Clone)]
pub struct Namesake {
    /// Tells sessions here from those of other gateways: at most 40 characters of `[a-z0-9-]`.
    pub run: Arc<str>,
    /// What names of principals are hashed with, so that they can't be guessed there. All that speak for the same
    /// principals have the same.
    pub key: Secret,
}

impl Namesake {
    /// What somebody is called there.
    pub(crate) fn hide(&self, name: &str) -> String {
        short_hash(&format!("{}/{name}", self.key.expose()))
    }
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RemoteTransport {
    /// Streamable HTTP, or HTTP+SSE where the server turns out to know that alone.
    #[default]
    StreamableHttp,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

/// A header of every request.
#[derive(Debug, Clone)]
pub struct RemoteHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Secret,
    /// The name of the secret that it was made of, for errors.
    pub secret: Option<String>,
}

/// Bounds on the traffic with one server.
#[derive(Debug, Clone, Copy)]
pub struct RemoteLimits {
    /// Most bytes of one message from the server.
    pub message_bytes: usize,
    /// Most bytes of all messages on the stream of one request.
    pub stream_bytes: u64,
    /// Most requests at a time; more wait. Subscriptions do not count.
    pub requests: usize,
    /// For the answer to a request, and between two pieces of it. Longer than any call may take: it only ends what
    /// nobody waits for any more.
    pub answer: Duration,
    /// For the server to accept what needs no answer.
    pub accept: Duration,
    /// For taking leave.
    pub goodbye: Duration,
}

impl RemoteLimits {
    /// The usual ones, but for messages of so many bytes.
    #[must_use]
    pub fn of_messages(bytes: usize) -> Self {
        let usual = Self::default();
        Self {
            message_bytes: bytes,
            stream_bytes: usual.stream_bytes.max(4 * bytes as u64),
            ..usual
        }
    }
}

impl Default for RemoteLimits {
    /// 64 MiB, 256 MiB, 32 requests, 30 minutes, 30 s, 2 s.
    fn default() -> Self {
        Self {
            message_bytes: 64 << 20,
            stream_bytes: 256 << 20,
            requests: 32,
            answer: Duration::from_mins(30),
            accept: Duration::from_secs(30),
            goodbye: Duration::from_secs(2),
        }
    }
}

/// A [`Remote`] that can't be used, found before anything was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("server {server} is configured wrongly: {reason}")]
pub struct RemoteError {
    /// Its name.
    pub server: String,
    /// What is wrong, and where.
    pub reason: String,
}

impl Remote {
    /// A link to it. Nothing is sent before the first message is.
    ///
    /// # Errors
    /// [`RemoteError`] for an address that is none, and for headers that HTTP cannot carry or that are the
    /// transport's own.
    pub fn link(&self) -> Result<Link, RemoteError> {
        let url = self.check().map_err(|reason| RemoteError {
            server: self.server.clone(),
            reason,
        })?;
        let (to_server, from_gateway) = mpsc::channel(QUEUE);
        let (to_gateway, from_server) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::new(self.clone(), url, to_gateway));
        Ok(Link {
            wire: Wire::Messages {
                to_server,
                from_server,
                speaks_for: self.speaks_for.clone(),
            },
            driver: Some(Box::pin(async move {
                driver::run(shared, from_gateway).await;
                None
            })),
        })
    }

    fn check(&self) -> Result<Url, String> {
        let url = Url::parse(&self.url).map_err(|error| format!("its address is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("it is reached by https or http, not by {}", url.scheme()));
        }
        let mut request = Request::to(Method::POST, url.clone());
        for header in &self.headers {
            let name = header.name.to_ascii_lowercase();
            if OWN.contains(&name.as_str()) || name.starts_with("mcp-") {
                return Err(format!("the header {} is the transport's own", header.name));
            }
            request = request
                .secret_header(&header.name, &header.value)
                .map_err(|error| error.kind.to_string())?;
        }
        Ok(url)
    }
}

/// Headers that say how a message travels; one of these from a configuration would break it, or smuggle another.
const OWN: [&str; 11] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
