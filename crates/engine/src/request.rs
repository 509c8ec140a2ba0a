//! One request to a Docker Engine, before version prefix and connection are known.
//!
//! A request holds all that is sent, so that the guard judges the very bytes that leave. Bodies that exist as a
//! whole stay whole and can be judged and sent again; streams can't.

use crate::{Error, Fate, Path};
use base::redact::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::Method;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::io;
use std::pin::Pin;
use std::time::Duration;

/// What stays readable in a query; everything else is encoded, `+` and `&` before all.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A body that is sent while it is made.
pub type BodyStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// What a request carries.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes that are all there.
    Whole(Bytes),
    /// Bytes as they are made, of unknown number. Can be sent only once.
    Stream(BodyStream),
}

impl fmt::Debug for Body {
    /// Tells the kind and the size, never the content: bodies hold environment values and credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// How long a request may take until the head of its answer (and until the end of an answer read as a whole).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// What the engine was opened with.
    Default,
    /// This long.
    After(Duration),
    /// As long as it takes; whoever waits must be able to give up.
    Never,
}

/// `filters` of the Engine API: each key with its values (`label` → `a=b`, `c`). Values of one key widen the
/// selection for most keys and narrow it for `label`; that is the daemon's rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// No filter.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// These and one more.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    /// Adds a value to a key.
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().push(value.into());
    }

    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of a key.
    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }
}

/// A request, made with [`Request::get`] and its siblings and sent by [`Engine`](crate::Engine).
#[derive(Debug)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) path: Path,
    /// Without `?`, encoded.
    pub(crate) query: String,
    /// Header values that hold secrets are marked sensitive, so that they are not printed.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) deadline: Deadline,
    pub(crate) idle: Option<Duration>,
    /// What is known of its effect when it was sent and got no answer.
    pub(crate) fate: Fate,
    /// Why the request can't be sent, found while it was made.
    pub(crate) fault: Option<String>,
}

impl Request {
    /// `GET path`.
    #[must_use]
    pub fn get(path: Path) -> Self {
        Self::new(Method::GET, path)
    }

    /// `HEAD path`.
    #[must_use]
    pub fn head(path: Path) -> Self {
        Self::new(Method::HEAD, path)
    }

    /// `POST path`.
    #[must_use]
    pub fn post(path: Path) -> Self {
        Self::new(Method::POST, path)
    }

    /// `PUT path`.
    #[must_use]
    pub fn put(path: Path) -> Self {
        Self::new(Method::PUT, path)
    }

    /// `DELETE path`.
    #[must_use]
    pub fn delete(path: Path) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// A request that someone else wrote, such as a program behind a filtered socket. It is judged like any other;
    /// of its headers those go along that the API knows. It has no time limit: dropping it ends it.
    ///
    /// # Errors
    /// [`Error::Request`] when the path (without version prefix) is not in the one form that guard and daemon read
    /// alike.
    pub fn relayed(
        method: Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Self, Error> {
        let written = Path::written(path).ok_or_else(|| Error::Request {
            what: method.to_string(),
            fault: "its path is not in plain form".to_owned(),
        })?;
        let mut request = Self::new(method, written).no_deadline();
        query.clone_into(&mut request.query);
        let mut pass = |name: HeaderName| {
            if let Some(value) = headers.get(&name) {
                request.headers.insert(name, value.clone());
            }
        };
        pass(CONTENT_TYPE);
        if headers.contains_key(UPGRADE) {
            // Alone it is about the client's own connection.
            pass(CONNECTION);
            pass(UPGRADE);
        }
        for name in ["x-registry-auth", "x-registry-config"] {
            if let Some(value) = headers.get(name) {
                let mut value = value.clone();
                value.set_sensitive(true);
                request.headers.insert(name, value);
            }
        }
        request.body = body;
        Ok(request)
    }

    pub(crate) fn new(method: Method, path: Path) -> Self {
        let fate = if reads(&method) {
            Fate::Unchanged
        } else {
            Fate::Unknown
        };
        Self {
            method,
            path,
            query: String::new(),
            headers: HeaderMap::new(),
            body: Body::Empty,
            deadline: Deadline::Default,
            idle: None,
            fate,
            fault: None,
        }
    }

    /// Adds a query parameter; a repeated key is sent twice.
    #[must_use]
    pub fn query(mut self, key: &str, value: impl Display) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.extend(utf8_percent_encode(key, QUERY));
        self.query.push('=');
        self.query.extend(utf8_percent_encode(&value.to_string(), QUERY));
        self
    }

    /// Adds a query parameter if there is a value.
    #[must_use]
    pub fn query_some(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// Adds a query parameter that is a JSON text, such as `buildargs`.
    #[must_use]
    pub fn query_json(mut self, key: &str, value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => self.query(key, text),
            Err(error) => {
                self.fault = Some(format!("{key} is no JSON: {error}"));
                self
            }
        }
    }

    /// Adds `filters`, unless there are none.
    #[must_use]
    pub fn filters(self, filters: &Filters) -> Self {
        if filters.is_empty() {
            return self;
        }
        self.query_json("filters", filters)
    }

    /// Adds a header whose value may be printed.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.insert(name, value);
            }
            Err(_) => self.fault = Some(format!("the value of header {name} holds control characters")),
        }
        self
    }

    /// Adds `X-Registry-Auth` (or `X-Registry-Config`): this JSON as base64 with the URL alphabet, which is what
    /// the daemon decodes; with the standard alphabet it silently pulls as nobody.
    #[must_use]
    pub fn registry_auth(mut self, name: HeaderName, json: &Secret) -> Self {
        match HeaderValue::from_str(&URL_SAFE.encode(json.expose())) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(name, value);
            }
            Err(_) => self.fault = Some(format!("the value of header {name} can't be sent")),
        }
        self
    }

    /// Sends this as JSON.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => {
                self.body = Body::Whole(bytes.into());
                self.header(CONTENT_TYPE, "application/json")
            }
            Err(error) => {
                self.fault = Some(format!("the body is no JSON: {error}"));
                self
            }
        }
    }

    /// Sends these bytes.
    #[must_use]
    pub fn whole(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = Body::Whole(body.into());
        self.header(CONTENT_TYPE, content_type)
    }

    /// Sends chunks as they come. An error of the stream breaks off the request, and the daemon sees that it is
    /// not complete.
    #[must_use]
    pub fn stream<S>(mut self, content_type: &str, body: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        self.body = Body::Stream(body.boxed());
        self.header(CONTENT_TYPE, content_type)
    }

    /// Another time limit than the engine's default for the head of the answer; for an answer that is read as a
    /// whole it covers the body too.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Deadline::After(limit);
        self
    }

    /// No time limit: for what may rightly take for ever (waiting for a container). Dropping the future ends it.
    #[must_use]
    pub fn no_deadline(mut self) -> Self {
        self.deadline = Deadline::Never;
        self
    }

    /// A streamed answer that is silent for longer than this ends with [`Error::Timeout`].
    #[must_use]
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// What this request is, for errors and logs: method and path. Never the query, which may hold build
    /// arguments.
    pub(crate) fn what(&self) -> String {
        let mut what = String::with_capacity(self.path.as_str().len() + 8);
        // Writing to a String can't fail.
        let _ = write!(what, "{} {}", self.method, self.path);
        what
    }

    /// Whether sending it twice is the same as sending it once.
    pub(crate) fn is_read(&self) -> bool {
        reads(&self.method)
    }

    /// For a POST that changes nothing: it only waits.
    pub(crate) fn watches(mut self) -> Self {
        self.fate = Fate::Unchanged;
        self
    }

    /// This request, or why it can't be sent.
    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        match self.fault.take() {
            None => Ok(self),
            Some(fault) => Err(Error::Request {
                what: self.what(),
                fault,
            }),
        }
    }
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;
    use serde_json::json;

    #[test]
    fn queries_are_encoded() {
        let filters = Filters::new()
            .with("label", "a=b")
            .with("label", "c")
            .with("name", "^/web$");
        let request = Request::get(path!["info"])
            .query("t", 5)
            .query("names", "a/b:1&x=2")
            .query("names", "ü +%")
            .query_some("signal", None::<&str>)
            .query_json("buildargs", &json!({ "A": "1" }))
            .filters(&Filters::new())
            .filters(&filters);
        assert_eq!(
            request.query,
            "t=5&names=a%2Fb%3A1%26x%3D2&names=%C3%BC%20%2B%25&buildargs=%7B%22A%22%3A%221%22%7D\
             &filters=%7B%22label%22%3A%5B%22a%3Db%22%2C%22c%22%5D%2C%22name%22%3A%5B%22%5E%2Fweb%24%22%5D%7D"
        );
        assert_eq!(filters.get("label"), ["a=b", "c"]);
        assert!(filters.get("id").is_empty());
    }

    #[test]
    fn what_can_not_be_sent_is_an_error_and_no_panic() {
        let split = Request::get(path!["info"]).header(CONTENT_TYPE, "a\r\nX-Evil: b");
        let error = split.checked().unwrap_err().to_string();
        assert_eq!(
            error,
            "GET /info can't be sent: the value of header content-type holds control characters"
        );
        let keys = std::collections::HashMap::from([((1, 2), 3)]);
        let error = Request::post(path!["auth"]).json(&keys).checked().unwrap_err();
        assert!(error.to_string().contains("the body is no JSON"), "{error}");
        assert!(Request::get(path!["info"]).checked().is_ok());
    }

    #[test]
    fn a_post_may_have_happened_and_a_get_may_not() {
        for (request, fate) in [
            (Request::get(path!["info"]), Fate::Unchanged),
            (Request::head(path!["info"]), Fate::Unchanged),
            (Request::post(path!["build"]), Fate::Unknown),
            (Request::put(path!["build"]), Fate::Unknown),
            (Request::delete(path!["build"]), Fate::Unknown),
            (Request::post(path!["build"]).watches(), Fate::Unchanged),
        ] {
            assert_eq!(request.fate, fate, "{}", request.what());
        }
    }
}
