//! HTTP+SSE of 2024-11-05: GET `/sse` opens a stream whose first event, `endpoint`, tells where the client POSTs its
//! messages; all that the gateway says comes on the stream. To the gateway such a client is one at a pipe: its messages
//! are lines in, and the lines out are events. The session lives as long as the stream; nothing is resumed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream;
use hyper::StatusCode;
use hyper::body::Bytes;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::{Frame, Message};

use super::body::Accepted;
use super::reply::{self, Response};
use super::{Refused, Request, Site, body, fault, post as posted};
use crate::caller::{Peer, View};
use crate::lines::{Line, Lines};
use crate::seal::random_id;
use crate::{Limits, Principal, pipe};

/// Bytes between the POSTs, the pipe and the stream.
const PIPE: usize = 64 << 10;
/// Bytes of an answer beyond those that its server sent: the envelope, and what the gateway adds.
const ENVELOPE: usize = 64 << 10;

/// The clients that are connected.
pub(super) struct Pipes {
    most: usize,
    open: Mutex<HashMap<String, Pipe>>,
}

#[derive(Clone)]
struct Pipe {
    principal: Principal,
    /// One message at a time.
    input: Arc<tokio::sync::Mutex<DuplexStream>>,
    stop: CancellationToken,
}

impl Pipes {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.sessions,
            open: Mutex::default(),
        }
    }

    fn find(&self, principal: &Principal, id: &str) -> Option<Pipe> {
        let open = self.lock();
        open.get(id).filter(|pipe| pipe.principal == *principal).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pipe>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream of one client; when it goes, so does the session.
struct Events {
    first: Option<Bytes>,
    lines: Lines<DuplexStream>,
    keep_alive: Duration,
    _session: Connected,
    _stop: DropGuard,
}

struct Connected {
    site: Arc<Site>,
    id: String,
}

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(pipes) = &self.site.sse {
            pipes.lock().remove(&self.id);
        }
    }
}

/// GET `/sse`.
pub(super) fn get(site: &Arc<Site>, principal: Principal, request: &Request) -> Result<Response, Refused> {
    let Some(pipes) = &site.sse else {
        return Err(Refused::new(
            StatusCode::NOT_FOUND,
            "HTTP+SSE is switched off here",
        ));
    };
    if !Accepted::of(request.headers()).stream {
        return Err(Refused::no_stream());
    }
    let id =
        random_id().map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let stop = site.ending.child_token();
    let (input, reader) = tokio::io::duplex(PIPE);
    let (writer, output) = tokio::io::duplex(PIPE);
    {
        let mut open = pipes.lock();
        if open.len() >= pipes.most {
            return Err(Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many clients are connected; end one, or try again later",
            ));
        }
        let pipe = Pipe {
            principal: principal.clone(),
            input: Arc::new(tokio::sync::Mutex::new(input)),
            stop: stop.clone(),
        };
        open.insert(id.clone(), pipe);
    }
    let connected = Connected {
        site: Arc::clone(site),
        id: id.clone(),
    };
    let (core, served) = (Arc::clone(&site.core), stop.clone());
    site.core.tasks.spawn(async move {
        let peer = Peer::new(principal, View::Default);
        if let Err(error) = pipe::serve(&core, peer, reader, writer, served).await {
            tracing::debug!("a client of HTTP+SSE: {error}");
        }
    });
    let limits = &site.core.limits;
    let events = Events {
        first: Some(format!("event: endpoint\ndata: /messages?session={id}\n\n").into()),
        lines: Lines::new(output, limits.answer_bytes.saturating_add(ENVELOPE)),
        keep_alive: limits.keep_alive,
        _session: connected,
        _stop: stop.drop_guard(),
    };
    Ok(reply::events(stream::unfold(events, Events::next)))
}

impl Events {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if let Some(first) = self.first.take() {
            return Some((first, self));
        }
        let chunk = match timeout(self.keep_alive, self.lines.next()).await {
            Err(_) => Bytes::from_static(b":\n\n"),
            Ok(Ok(Some(Line::Whole(line)))) => {
                let mut chunk = Vec::with_capacity(line.len() + 32);
                body::push(&mut chunk, None, &line);
                chunk.into()
            }
            Ok(Ok(Some(Line::TooLong(bytes)))) => {
                tracing::warn!(bytes, "a message was too long for its client and is lost");
                Bytes::from_static(b":\n\n")
            }
            Ok(Ok(None) | Err(_)) => return None,
        };
        Some((chunk, self))
    }
}

/// POST `/messages?session=ID`: one message, or a batch.
pub(super) async fn post(
    site: &Arc<Site>,
    principal: &Principal,
    request: Request,
) -> Result<Response, Refused> {
    let id = request
        .uri()
        .query()
        .and_then(|query| query.split('&').find_map(|part| part.strip_prefix("session=")));
    let found = match (&site.sse, id) {
        (Some(pipes), Some(id)) => pipes.find(principal, id),
        _ => None,
    };
    let Some(Pipe { input, stop, .. }) = found else {
        return Err(Refused::new(
            StatusCode::NOT_FOUND,
            "there is no such session (any more): GET /sse opens one, and its first event says where to POST",
        ));
    };
    let (head, content) = request.into_parts();
    if !posted::is_json(&head.headers) {
        return Err(Refused::no_json());
    }
    let limits = &site.core.limits;
    let content = posted::content_of(content, limits).await?;
    match wire::parse(&content, &posted::wire_limits(limits)) {
        Ok(Frame::Single(Message::Request(request))) if pipe::is_modern(&request) => {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "this revision of the protocol is spoken at /mcp, not here",
            ));
        }
        Ok(_) => {}
        Err(error) => return Ok(fault(StatusCode::BAD_REQUEST, error.id.clone(), error.fault())),
    }
    // Line ends stand only between the tokens of JSON, so spaces do as well.
    let mut line: Vec<u8> = content
        .iter()
        .map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte })
        .collect();
    line.push(b'\n');
    // A task of its own: half a line must not stay behind when the client goes away in the middle.
    let written = site.core.tasks.spawn(async move {
        let mut input = input.lock().await;
        input.write_all(&line).await
    });
    match timeout(limits.receive, written).await {
        Ok(Ok(Ok(()))) => Ok(reply::empty(StatusCode::ACCEPTED)),
        Ok(_) => Err(Refused::new(
            StatusCode::NOT_FOUND,
            "the session has ended: GET /sse opens another",
        )),
        Err(_) => {
            // Lines would pile up otherwise.
            stop.cancel();
            Err(Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the session has ended, as its stream was not read: GET /sse opens another",
            ))
        }
    }
}
