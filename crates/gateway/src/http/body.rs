//! Server-sent events: messages as `data:` lines, comments while nothing happens. Those of a legacy session bear ids,
//! and come out of its [`Replay`](super::replay::Replay).

use std::time::Duration;

use futures_util::stream;
use hyper::body::Bytes;
use hyper::{HeaderMap, header};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

use super::replay::{Place, Reader, Taken};
use super::reply::{self, Response};
use crate::outlet::Outgoing;

/// How long a client is asked to wait before it connects again.
const RETRY: Duration = Duration::from_secs(1);
/// Waiting events leave in one chunk up to about this size.
const CHUNK: usize = 64 << 10;

/// What a client takes for an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) json: bool,
    pub(super) stream: bool,
}

impl Accepted {
    const ALL: Self = Self {
        json: true,
        stream: true,
    };

    /// Without an Accept header everything is taken (RFC 9110 section 12.5.1). Qualities are not weighed.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::ACCEPT).iter().peekable();
        if values.peek().is_none() {
            return Self::ALL;
        }
        let mut accepted = Self::default();
        for value in values {
            // As most clients write it.
            if value == "application/json, text/event-stream" {
                return Self::ALL;
            }
            for range in value.to_str().unwrap_or_default().split(',') {
                let range = range.split(';').next().unwrap_or_default().trim();
                let is = |known: &[&str]| known.iter().any(|known| range.eq_ignore_ascii_case(known));
                accepted.json |= is(&["application/json", "application/*", "*/*"]);
                accepted.stream |= is(&["text/event-stream", "text/*", "*/*"]);
            }
        }
        accepted
    }
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
    reply::events(stream::unfold(events, Events::next))
}

/// How a stream of a legacy session is held open.
pub(crate) struct Hold {
    pub(crate) keep_alive: Duration,
    /// The client knows events without data (2025-11-25). It gets one at the start, so that it can come back before
    /// anything else came, and may be sent away for a while.
    pub(crate) polls: bool,
    /// Whether connections are scarce at present.
    pub(crate) is_crowded: Box<dyn Fn() -> bool + Send>,
}

/// A response that streams what `reader` reads.
pub(crate) fn replayed(reader: Reader, hold: Hold) -> Response {
    let mut first = Vec::new();
    if hold.polls {
        first = format!("id: {}\nretry: {}\ndata:\n\n", reader.start, RETRY.as_millis()).into_bytes();
    }
    let events = Replayed {
        reader,
        hold,
        first,
        is_over: false,
    };
    reply::events(stream::unfold(events, Replayed::next))
}

struct Replayed {
    reader: Reader,
    hold: Hold,
    /// What goes before all events.
    first: Vec<u8>,
    is_over: bool,
}

impl Replayed {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Some((first.into(), self));
        }
        while !self.is_over {
            match self.reader.take(CHUNK) {
                Taken::Events(chunk) => return Some((chunk.into(), self)),
                Taken::Over => break,
                Taken::Nothing => {}
            }
            if timeout(self.hold.keep_alive, self.reader.grown()).await.is_ok() {
                continue;
            }
            // The client comes back by itself, and the stream goes on meanwhile (2025-11-25, Transports, "Sending
            // Messages to the Server", item 6).
            self.is_over = self.hold.polls && (self.hold.is_crowded)();
            let chunk = if self.is_over {
                format!("retry: {}\n\n", (5 * RETRY).as_millis()).into()
            } else {
                Bytes::from_static(b":\n\n")
            };
            return Some((chunk, self));
        }
        None
    }
}

struct Events {
    queue: mpsc::Receiver<Outgoing>,
    ready: Vec<Outgoing>,
    is_over: bool,
    keep_alive: Duration,
    guard: Option<DropGuard>,
}

impl Events {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut chunk = Vec::new();
        for message in std::mem::take(&mut self.ready) {
            push(&mut chunk, None, &message.line);
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
        Some((chunk.into(), self))
    }

    fn take(&mut self, chunk: &mut Vec<u8>, message: &Outgoing) {
        push(chunk, None, &message.line);
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

/// Adds a message as an event.
pub(super) fn push(chunk: &mut Vec<u8>, place: Option<Place>, line: &[u8]) {
    if let Some(place) = place {
        chunk.extend_from_slice(format!("id: {place}\n").as_bytes());
    }
    chunk.extend_from_slice(b"event: message\ndata: ");
    chunk.extend_from_slice(line);
    chunk.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

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
            (Some(""), false, false),
            (Some("application/json, text/event-stream"), true, true),
            (Some("text/event-stream ; q=1,application/*"), true, true),
            (Some("application/jsonp, text/event-streams"), false, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Accepted::of(&headers), Accepted { json, stream }, "{accept:?}");
        }
    }
}
