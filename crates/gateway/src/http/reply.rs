//! What goes back: a whole body, or a stream of chunks.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use http_body_util::{Either, Full, StreamBody};
use hyper::StatusCode;
use hyper::body::{Bytes, Frame};
use hyper::header::{self, HeaderName, HeaderValue};
use wire::{Fault, Message, code};

pub(crate) type Response = hyper::Response<Content>;
/// The body of a response.
pub(crate) type Content = Either<Full<Bytes>, StreamBody<Chunks>>;
type Chunks = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A status that says it all.
pub(crate) fn empty(status: StatusCode) -> Response {
    of(status, Either::Left(Full::default()))
}

pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    typed(status, JSON, Either::Left(Full::new(body.into())))
}

pub(crate) fn fault(status: StatusCode, id: Option<wire::Id>, fault: Fault) -> Response {
    json(status, Message::response(id, Err(fault)).to_line())
}

pub(crate) fn text(text: &'static str) -> Response {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    typed(StatusCode::OK, TEXT, Either::Left(body))
}

/// Server-sent events.
pub(crate) fn events(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let chunks: Chunks = Box::pin(chunks.map(|chunk| Ok(Frame::data(chunk))));
    let mut response = typed(StatusCode::OK, EVENTS, Either::Right(StreamBody::new(chunks)));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Keeps nginx from gathering events.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

fn typed(status: StatusCode, kind: HeaderValue, content: Content) -> Response {
    let mut response = of(status, content);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn of(status: StatusCode, content: Content) -> Response {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    response
}

/// A request that is not let through; a JSON-RPC error, for those who read bodies.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(super) status: StatusCode,
    message: Cow<'static, str>,
    pub(super) header: Option<(HeaderName, &'static str)>,
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

    /// What is sent has to be JSON.
    pub(crate) fn no_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send `Content-Type: application/json`",
        )
    }

    /// What comes back is a stream of events.
    pub(crate) fn no_stream() -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "send `Accept: text/event-stream`")
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

    pub(crate) fn into_response(self) -> Response {
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
