//! Server-sent events: messages as `data:` lines, comments while nothing happens.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

use crate::outlet::Outgoing;

/// Waiting events leave in one chunk up to about this size.
const CHUNK: usize = 64 << 10;

/// Whether the client takes an event stream.
pub(crate) fn takes_stream(headers: &HeaderMap) -> bool {
    takes(headers, "text/event-stream")
}

/// Whether the client takes plain JSON.
pub(crate) fn takes_json(headers: &HeaderMap) -> bool {
    takes(headers, "application/json")
}

/// Without an Accept header everything is taken (RFC 9110 section 12.5.1). Qualities are not weighed.
fn takes(headers: &HeaderMap, kind: &str) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    let family = kind.split('/').next().unwrap_or_default();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            range.eq_ignore_ascii_case(kind)
                || range == "*/*"
                || range
                    .strip_suffix("/*")
                    .is_some_and(|given| given.eq_ignore_ascii_case(family))
        })
}

/// A response that streams what is in `ready` and then what comes out of `queue`, until it ends. `guard` goes with
/// the response: when the client leaves, it cancels.
pub(crate) fn stream(
    queue: mpsc::Receiver<Outgoing>,
    ready: Vec<Outgoing>,
    keep_alive: Duration,
    guard: DropGuard,
) -> Response {
    let is_over = ready.iter().any(|message| message.last.is_some());
    let events = Events {
        queue,
        ready,
        is_over,
        keep_alive,
        guard: Some(guard),
    };
    let body = Body::from_stream(stream::unfold(events, Events::next));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Keeps nginx from gathering events.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (StatusCode::OK, headers, body).into_response()
}

struct Events {
    queue: mpsc::Receiver<Outgoing>,
    ready: Vec<Outgoing>,
    is_over: bool,
    keep_alive: Duration,
    guard: Option<DropGuard>,
}

impl Events {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let mut chunk = Vec::new();
        for message in std::mem::take(&mut self.ready) {
            push(&mut chunk, &message.line);
        }
        if chunk.is_empty() {
            if self.is_over {
                return self.end();
            }
            match timeout(self.keep_alive, self.queue.recv()).await {
                Err(_) => chunk.extend_from_slice(b":\n\n"),
                Ok(None) => return self.end(),
                Ok(Some(message)) => self.take(&mut chunk, &message),
            }
        }
        while !self.is_over
            && chunk.len() < CHUNK
            && let Ok(message) = self.queue.try_recv()
        {
            self.take(&mut chunk, &message);
        }
        Some((Ok(chunk.into()), self))
    }

    fn take(&mut self, chunk: &mut Vec<u8>, message: &Outgoing) {
        push(chunk, &message.line);
        self.is_over = message.last.is_some();
    }

    /// The end of its own accord cancels nothing.
    fn end<T>(mut self) -> Option<T> {
        if let Some(guard) = self.guard.take() {
            drop(guard.disarm());
        }
        None
    }
}

fn push(chunk: &mut Vec<u8>, line: &[u8]) {
    chunk.extend_from_slice(b"event: message\ndata: ");
    chunk.extend_from_slice(line);
    chunk.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn accepted_kinds() {
        for (accept, json, stream) in [
            (None, true, true),
            (Some("application/json, text/event-stream"), true, true),
            (Some("text/event-stream;q=0.9"), false, true),
            (Some("Application/JSON"), true, false),
            (Some("*/*"), true, true),
            (Some("text/*"), false, true),
            (Some("text/html"), false, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(
                (takes_json(&headers), takes_stream(&headers)),
                (json, stream),
                "{accept:?}"
            );
        }
    }
}
