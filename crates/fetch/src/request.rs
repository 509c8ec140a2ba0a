//! What is asked.

use std::io;
use std::time::Duration;

use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde::Serialize;
use url::Url;

use crate::{Error, Kind, Limits};

/// A request, put together step by step and given to [`Client::send`](crate::Client::send).
#[derive(Debug)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) redirects: Redirects,
    own: Own,
}

/// Limits in place of the client's.
#[derive(Debug, Clone, Copy, Default)]
struct Own {
    head: Option<Duration>,
    idle: Option<Duration>,
    body: Option<u64>,
}

/// Whether redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirects {
    /// The redirect is the answer.
    #[default]
    Show,
    /// At most so many, each judged like the first request; never from https to http, and without credentials once
    /// the origin changes.
    Follow(u8),
    /// The same, but only those that keep method and body (307, 308); another redirect is the answer.
    Unchanged(u8),
}

/// What is sent along.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// What comes; without a `Content-Length` header it goes out in chunks.
    Stream(UnsyncBoxBody<Bytes, io::Error>),
}

impl Body {
    /// The same once more, where that is possible.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream(_) => None,
        }
    }
}

impl Request {
    /// A request of `url`, which is https or http.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the text is no URL.
    pub fn new(method: Method, url: &str) -> Result<Self, Error> {
        match Url::parse(url) {
            Ok(url) => Ok(Self::to(method, url)),
            Err(error) => {
                let shown = base::redact::text(&base::text::clean(url)).into_owned();
                let shown = shown.split(['?', '#']).next().unwrap_or_default();
                let kind = Kind::Refused(format!("this is no URL: {error}"));
                Err(Error::named(base::text::cut(shown, 200).to_owned(), kind))
            }
        }
    }

    /// The same for an address that was parsed before.
    #[must_use]
    pub fn to(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            redirects: Redirects::Show,
            own: Own::default(),
        }
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn get(url: &str) -> Result<Self, Error> {
        Self::new(Method::GET, url)
    }

    /// Sets a header, in place of one of that name.
    ///
    /// # Errors
    /// [`Kind::Refused`] names a header whose name or value HTTP cannot carry; the value is not shown.
    pub fn header(self, name: &str, value: &str) -> Result<Self, Error> {
        self.set(name, value, false)
    }

    /// The same for a value that is secret: it is not sent on when a redirect leads to another origin.
    ///
    /// # Errors
    /// As [`Self::header`].
    pub fn secret_header(self, name: &str, value: &Secret) -> Result<Self, Error> {
        self.set(name, value.expose(), true)
    }

    /// `Authorization: Bearer`.
    ///
    /// # Errors
    /// As [`Self::header`].
    pub fn bearer(self, token: &Secret) -> Result<Self, Error> {
        self.set(
            AUTHORIZATION.as_str(),
            &format!("Bearer {}", token.expose()),
            true,
        )
    }

    /// `Authorization: Basic` (RFC 7617).
    ///
    /// # Errors
    /// As [`Self::header`].
    pub fn basic(self, user: &str, password: &Secret) -> Result<Self, Error> {
        let login = STANDARD.encode(format!("{user}:{}", password.expose()));
        self.set(AUTHORIZATION.as_str(), &format!("Basic {login}"), true)
    }

    /// Sends these bytes.
    #[must_use]
    pub fn body(self, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let mut request = self.content_type(content_type);
        request.body = Body::Bytes(bytes.into());
        request
    }

    /// Sends `value` as JSON.
    ///
    /// # Errors
    /// [`Kind::Refused`] for what JSON cannot express.
    pub fn json(self, value: &impl Serialize) -> Result<Self, Error> {
        match serde_json::to_vec(value) {
            Ok(bytes) => Ok(self.body("application/json", bytes)),
            Err(error) => Err(Error::new(
                &self.url,
                Kind::Refused(format!("the request is no JSON: {error}")),
            )),
        }
    }

    /// Sends what comes out of `stream`, of which the length may be known. An error in it breaks the request off.
    #[must_use]
    pub fn stream(
        self,
        content_type: &'static str,
        length: Option<u64>,
        stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        let mut request = self.content_type(content_type);
        if let Some(length) = length {
            request.headers.insert(CONTENT_LENGTH, length.into());
        }
        request.body = Body::Stream(StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync());
        request
    }

    /// Follows redirects, or not.
    #[must_use]
    pub fn redirects(self, redirects: Redirects) -> Self {
        Self { redirects, ..self }
    }

    /// A limit of its own for the head of the answer.
    #[must_use]
    pub fn head_limit(mut self, limit: Duration) -> Self {
        self.own.head = Some(limit);
        self
    }

    /// A limit of its own between two pieces of the answer.
    #[must_use]
    pub fn idle_limit(mut self, limit: Duration) -> Self {
        self.own.idle = Some(limit);
        self
    }

    /// A bound of its own on the bytes of the answer.
    #[must_use]
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.own.body = Some(bytes);
        self
    }

    pub(crate) fn limits(&self, general: Limits) -> Limits {
        Limits {
            connect: general.connect,
            head: self.own.head.unwrap_or(general.head),
            idle: self.own.idle.unwrap_or(general.idle),
            body: self.own.body.unwrap_or(general.body),
        }
    }

    fn set(mut self, name: &str, value: &str, secret: bool) -> Result<Self, Error> {
        let refuse = |reason| Error::new(&self.url, Kind::Refused(reason));
        let shown = base::text::cut(&base::text::clean(name), 64).to_owned();
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refuse(format!("{shown:?} is no name of a header")))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            refuse(format!(
                "the value of header {shown} has characters that no header can carry, such as a line end"
            ))
        })?;
        value.set_sensitive(secret || base::redact::is_secret_name(name));
        self.headers.insert(key, value);
        Ok(self)
    }

    fn content_type(mut self, content_type: &'static str) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self
    }
}
