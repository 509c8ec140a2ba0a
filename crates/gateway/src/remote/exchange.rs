//! The ways of a message: a request with its answer, what needs no answer, a subscription that is kept open, and the
//! standing stream of a legacy session.

use std::time::Duration;

use fetch::{EventLimits, Events, Kind, Response};
use tokio::time::{sleep, timeout};
use wire::method;

use super::RemoteTransport;
use super::failure::{Failure, Refusal};
use super::post::Post;
use super::session::{BackOff, Shared};
use super::sse;

/// How often a message that surely did not arrive is sent again.
const TRIES: usize = 3;
/// How often in a row a stream that was cut is asked for in vain.
const RESUMES: usize = 6;
/// The least wait before a stream is opened again, whatever the server says.
const LEAST_WAIT: Duration = Duration::from_millis(100);
/// How long after its answer a stream may take to end, so that the connection can be used again.
const DRAIN: Duration = Duration::from_secs(1);
/// A stream that lived so long was not refused.
const LIVED: Duration = Duration::from_secs(30);

/// Sends a request and passes on what comes of it: in the end an answer, the server's or ours.
pub(super) async fn request(shared: &Shared, post: &Post) {
    let Some((id, _)) = post.request() else { return };
    // Also after a fall-back.
    if shared.remote.transport == RemoteTransport::Sse || shared.session().endpoint.is_some() {
        return sse::request(shared, post).await;
    }
    let done = async {
        let response = {
            // The slot is for what waits and works; it is given up when the server hangs up.
            let _slot = shared.slots.acquire().await;
            let response = send(shared, post).await?;
            match receive(shared, post, response).await? {
                Received::All => return Ok(()),
                Received::Refused(refusal) => refusal,
            }
        };
        // HTTP+SSE, where POST at this address is unknown (2025-11-25, Transports, "Backwards Compatibility").
        sse::converse(shared, post, Some(response)).await
    };
    let done: Result<(), Failure> = done.await;
    if let Err(failure) = done {
        shared.answer(id, failure.fault(shared)).await;
    }
}

/// Sends what needs no answer.
pub(super) async fn tell(shared: &Shared, post: &Post) {
    match send(shared, post).await {
        Ok(response) if response.status().is_success() => {}
        Ok(response) => {
            let refusal = Refusal::read(response).await;
            let (status, said) = (refusal.status, refusal.said());
            tracing::debug!(
                server = shared.remote.server,
                "a notification was answered {status}: {said}"
            );
        }
        Err(failure) => {
            tracing::debug!(
                server = shared.remote.server,
                "a notification was lost: {failure:?}"
            );
        }
    }
}

/// `subscriptions/listen`: opened again whenever it ends without an answer. Each time the server acknowledges it
/// anew, which tells the gateway that something may have been missed.
pub(super) async fn subscription(shared: &Shared, post: &Post) {
    let Some((id, _)) = post.request() else { return };
    let mut wait = BackOff::new();
    loop {
        let began = tokio::time::Instant::now();
        let ended = async {
            let response = send(shared, post).await?;
            receive(shared, post, response).await
        };
        let failure = match ended.await {
            Ok(Received::All) => return,
            Ok(Received::Refused(refusal)) => Failure::from(refusal),
            Err(failure) => failure,
        };
        let again = match &failure {
            Failure::Cut(_) => true,
            Failure::Fetch(error) => is_passing(&error.kind),
            Failure::Status { status, .. } => status.is_server_error() || status.as_u16() == 429,
            _ => false,
        };
        if !again {
            return shared.answer(id, failure.fault(shared)).await;
        }
        if began.elapsed() > LIVED {
            wait = BackOff::new();
        }
        sleep(wait.next()).await;
    }
}

/// The stream of GET, on which a legacy server sends what belongs to no request. Servers need not have one.
pub(super) async fn standing(shared: &Shared) {
    let mut wait = BackOff::new();
    let mut last: Option<String> = None;
    loop {
        let session = shared.session();
        let began = tokio::time::Instant::now();
        let mut pause = None;
        match shared.listen(&session, last.as_deref()).await {
            Ok(response) if is_stream(&response) => {
                let mut events = events(shared, response);
                while let Ok(Some(event)) = events.next().await {
                    if event.name == "message" && !event.data.is_empty() {
                        shared.deliver(event.data.as_bytes(), None).await;
                    }
                }
                last = events.last_id().map(ToOwned::to_owned).or(last);
                pause = events.retry();
                if began.elapsed() > LIVED {
                    wait = BackOff::new();
                }
            }
            Ok(response) if response.status().as_u16() == 404 && session.id.is_some() => {
                last = None;
                if shared.renew(session.number).await.is_ok() {
                    wait = BackOff::new();
                }
            }
            Ok(response) if response.status().is_server_error() || response.status().as_u16() == 429 => {}
            Err(error) if is_passing(&error.kind) => {}
            // 405, most of all: it offers none.
            Ok(_) | Err(_) => return,
        }
        sleep(wait.next().max(pause.unwrap_or_default())).await;
    }
}

/// The head of the answer to a message. It is sent again when it surely did not arrive, and after a lost session
/// was begun anew.
pub(super) async fn send(shared: &Shared, post: &Post) -> Result<Response, Failure> {
    let mut wait = BackOff::new();
    let mut tries = 1;
    let mut renewed = false;
    loop {
        let session = shared.session();
        match shared.post(post, &session).await {
            Ok(response) => {
                let is_legacy = post.modern().is_none() && !post.is(method::INITIALIZE);
                let lost = matches!(response.status().as_u16(), 400 | 404);
                if !(is_legacy && lost && session.id.is_some() && !renewed) {
                    return Ok(response);
                }
                let refusal = Refusal::read(response).await;
                if !refusal.is_lost_session() {
                    return Err(refusal.into());
                }
                // A notification about something in a session that is gone means nothing in the next.
                if post.request().is_none() {
                    return Err(refusal.into());
                }
                shared.renew(session.number).await?;
                renewed = true;
            }
            Err(error) if !error.may_have_happened() && is_passing(&error.kind) && tries < TRIES => {
                tries += 1;
                sleep(wait.next()).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) enum Received {
    /// The answer, and all before it.
    All,
    /// A status that may mean another transport.
    Refused(Refusal),
}

async fn receive(shared: &Shared, post: &Post, response: Response) -> Result<Received, Failure> {
    if !response.status().is_success() {
        let refusal = Refusal::read(response).await;
        let is_answer = is_error_answer(&refusal.body);
        if post.is(method::INITIALIZE) && other_transport(refusal.status.as_u16(), is_answer) {
            return Ok(Received::Refused(refusal));
        }
        if is_answer && shared.deliver(&refusal.body, Some(post)).await {
            return Ok(Received::All);
        }
        return Err(refusal.into());
    }
    if post.is(method::INITIALIZE) {
        shared.begin(post, &response)?;
    }
    match response.media_type().as_str() {
        "text/event-stream" => pump(shared, post, response).await.map(|()| Received::All),
        "application/json" => {
            let body = response
                .bytes()
                .await
                .map_err(|error| Failure::Cut(Some(error)))?;
            if body.len() > shared.remote.limits.message_bytes {
                return Err(Failure::Content(format!(
                    "sends a message of {} bytes; at most {} are accepted (`gateway.answer_size`)",
                    body.len(),
                    shared.remote.limits.message_bytes
                )));
            }
            if shared.deliver(&body, Some(post)).await {
                Ok(Received::All)
            } else {
                Err(Failure::Content(
                    "sends JSON that is no answer to the request".to_owned(),
                ))
            }
        }
        "" => Err(Failure::Content(format!(
            "gives no answer ({})",
            response.status()
        ))),
        other => {
            let other = base::text::clean(base::text::cut(other, 100)).into_owned();
            Err(Failure::Content(format!(
                "answers with {other}, which is neither JSON nor a stream of events; check that \
                 its address is that of an MCP server"
            )))
        }
    }
}

/// Whether a server that answers so to `initialize` may be one of HTTP+SSE. One that says 400 in JSON-RPC knows POST.
fn other_transport(status: u16, is_answer: bool) -> bool {
    matches!(status, 404 | 405) || (status == 400 && !is_answer)
}

/// Passes on the events of the answer to `post` until the answer itself has come, across cuts where the server can
/// go on (2025-11-25, Transports, "Resumability and Redelivery").
async fn pump(shared: &Shared, post: &Post, response: Response) -> Result<(), Failure> {
    let mut stream = events(shared, response);
    let mut last = None;
    let mut pause = None;
    loop {
        let cut = loop {
            match stream.next().await {
                Ok(Some(event)) if event.name == "message" && !event.data.is_empty() => {
                    if shared.deliver(event.data.as_bytes(), Some(post)).await {
                        let _ended =
                            timeout(DRAIN, async { while let Ok(Some(_)) = stream.next().await {} }).await;
                        return Ok(());
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        last = stream.last_id().map(ToOwned::to_owned).or(last);
        pause = stream.retry().or(pause);
        let is_over = cut
            .as_ref()
            .is_some_and(|error| matches!(error.kind, Kind::TooLarge { .. }));
        let Some(id) = last.as_deref().filter(|_| !is_over && post.modern().is_none()) else {
            return Err(Failure::Cut(cut));
        };
        if let (None, Some((request, _))) = (&cut, post.request()) {
            shared.hung_up(request).await;
        }
        stream = resume(shared, id, pause, cut).await?;
    }
}

async fn resume(
    shared: &Shared,
    last: &str,
    pause: Option<Duration>,
    cut: Option<fetch::Error>,
) -> Result<Events, Failure> {
    let mut wait = BackOff::new();
    for _ in 0..RESUMES {
        sleep(pause.unwrap_or_else(|| wait.next()).max(LEAST_WAIT)).await;
        match shared.listen(&shared.session(), Some(last)).await {
            Ok(response) if is_stream(&response) => return Ok(events(shared, response)),
            Ok(response) if response.status().is_server_error() => {}
            Err(error) if is_passing(&error.kind) => {}
            Ok(_) | Err(_) => break,
        }
    }
    Err(Failure::Cut(cut))
}

pub(super) fn events(shared: &Shared, response: Response) -> Events {
    response.events(EventLimits {
        event: shared.remote.limits.message_bytes,
    })
}

pub(super) fn is_stream(response: &Response) -> bool {
    response.status().is_success() && response.media_type() == "text/event-stream"
}

/// Whether the same may well succeed a moment later.
fn is_passing(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Connect { .. } | Kind::Broken(_) | Kind::TimedOut { .. } | Kind::Resolve { .. }
    )
}

/// Whether a body that came with an error's status is a JSON-RPC error, which is then the answer.
fn is_error_answer(body: &[u8]) -> bool {
    use wire::{Frame, Message};
    matches!(
        wire::parse(body, &wire::Limits::default()),
        Ok(Frame::Single(Message::Response(response))) if response.outcome.is_err()
    )
}
