//! What is answered, read piece by piece under a time limit and a bound.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use serde::de::DeserializeOwned;
use url::Url;

use crate::error::causes;
use crate::sse::{EventLimits, Events};
use crate::{Error, Kind, Limits};

/// Most bytes of an error's body that are shown.
const SAID: usize = 300;

/// The head of an answer, and its body to be read.
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    url: Url,
    body: Incoming,
    idle: Duration,
    most: u64,
    seen: u64,
}

impl Response {
    pub(crate) fn new(answer: http::Response<Incoming>, url: Url, limits: &Limits) -> Self {
        let (head, body) = answer.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            url,
            body,
            idle: limits.idle,
            most: limits.body,
            seen: 0,
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header whose value is ASCII text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type of the body in lower case, without parameters; empty where none is named.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        let value = value.split(';').next().unwrap_or_default();
        value.trim().to_ascii_lowercase()
    }

    /// The bytes that the body will have, if the server says so.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Where the answer came from, after redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// This answer if its status is 2xx.
    ///
    /// # Errors
    /// [`Kind::Status`] with the beginning of what it says.
    pub async fn success(mut self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        let said = self.excerpt().await;
        let status = self.status;
        Err(self.fail(Kind::Status { status, said }))
    }

    /// The beginning of the body as one line for a person, cleaned and redacted; empty when it can't be read or is
    /// no text. For answers that are errors.
    pub async fn excerpt(&mut self) -> String {
        // A bound that is meant for answers of use; this has one of its own.
        self.most = u64::MAX;
        let mut said = Vec::new();
        while said.len() < 4 * SAID {
            match self.chunk().await {
                Ok(Some(chunk)) => said.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        said.truncate(4 * SAID);
        excerpt(&self.media_type(), &said)
    }

    /// The next piece of the body; `None` at its end. May be dropped and called again without losing bytes.
    ///
    /// # Errors
    /// [`Kind::TimedOut`] when the server falls silent, [`Kind::TooLarge`], [`Kind::Broken`] when the body ends
    /// before its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(length) = self.length()
            && self.seen.saturating_add(length) > self.most
        {
            return Err(self.too_large());
        }
        loop {
            let frame = match tokio::time::timeout(self.idle, self.body.frame()).await {
                Err(_) => {
                    return Err(self.fail(Kind::TimedOut {
                        what: "more of the answer",
                        after: self.idle,
                    }));
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(self.fail(Kind::Broken(causes(&error)))),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers say nothing that is asked for here.
            let Ok(bytes) = frame.into_data() else { continue };
            if bytes.is_empty() {
                continue;
            }
            self.seen += bytes.len() as u64;
            if self.seen > self.most {
                return Err(self.too_large());
            }
            return Ok(Some(bytes));
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Self::chunk`].
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.is_empty() && self.length() == Some(0) {
                return Ok(chunk);
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// As [`Self::chunk`], and [`Kind::Content`] when it is no UTF-8.
    pub async fn text(self) -> Result<String, Error> {
        let url = self.url.clone();
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into())
            .map_err(|_| Error::new(&url, Kind::Content("the answer is no text in UTF-8".to_owned())).sent())
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// As [`Self::chunk`], and [`Kind::Content`] when it is no such JSON.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let url = self.url.clone();
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let reason = format!("the answer is not the JSON that was expected: {error}");
            Error::new(&url, Kind::Content(reason)).sent()
        })
    }

    /// The body as a stream, for what takes one (`tokio_util::io::StreamReader`).
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        futures_util::stream::try_unfold(self, |mut answer| async move {
            let chunk = answer.chunk().await.map_err(io::Error::other)?;
            Ok(chunk.map(|chunk| (chunk, answer)))
        })
    }

    /// The body as server-sent events.
    #[must_use]
    pub fn events(self, limits: EventLimits) -> Events {
        Events::new(self, limits)
    }

    pub(crate) fn fail(&self, kind: Kind) -> Error {
        Error::new(&self.url, kind).sent()
    }

    fn too_large(&self) -> Error {
        self.fail(Kind::TooLarge {
            what: "the answer",
            limit: self.most,
        })
    }
}

/// The beginning of an error's body as one line for a person, cleaned and redacted.
#[must_use]
pub fn excerpt(media_type: &str, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..4 * SAID).unwrap_or(body));
    if media_type == "text/html" || text.trim_start().starts_with('<') {
        return "(a page of HTML)".to_owned();
    }
    let text = base::text::clean(&text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    base::text::cut(&base::redact::text(&text), SAID).to_owned()
}
