//! What the exchanges with one server share: how a request to it looks, where messages go, and the legacy session.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Secret;
use bytes::Bytes;
use fetch::{Method, Redirects, Request, Response, Url};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use wire::edit::Object;
use wire::{Fault, Frame, Id, Message, Raw, header, method};

use super::Remote;
use super::failure::{Failure, Refusal};
use super::post::{Post, What};
use crate::parts::FromServer;

/// What a POST accepts (Streamable HTTP, "Sending Messages").
const ACCEPT: &str = "application/json, text/event-stream";
/// Longest session id that is believed.
const SESSION_ID: usize = 1024;
/// Redirects that keep method and body: servers whose path ends in a slash.
const REDIRECTS: Redirects = Redirects::Unchanged(3);

pub(super) struct Shared {
    pub(super) remote: Remote,
    pub(super) url: Url,
    pub(super) out: mpsc::Sender<FromServer>,
    pub(super) slots: Semaphore,
    /// The connection has come to its end by itself.
    pub(super) over: CancellationToken,
    session: Mutex<Session>,
    /// Held while a lost session is begun again, so that all who miss it share one.
    renewing: tokio::sync::Mutex<()>,
}

/// A legacy session.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    /// Counts the sessions with this server.
    pub(super) number: u64,
    pub(super) id: Option<String>,
    /// The revision that was agreed on.
    version: Option<String>,
    /// The `initialize` that began it.
    hello: Option<Bytes>,
    /// HTTP+SSE: where messages are posted to.
    pub(super) endpoint: Option<Url>,
}

impl Shared {
    pub(super) fn new(remote: Remote, url: Url, out: mpsc::Sender<FromServer>) -> Self {
        Self {
            slots: Semaphore::new(remote.limits.requests),
            remote,
            url,
            out,
            over: CancellationToken::new(),
            session: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn session(&self) -> Session {
        self.lock().clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts a message, and gives the head of the answer.
    pub(super) async fn post(&self, post: &Post, session: &Session) -> Result<Response, fetch::Error> {
        let url = session.endpoint.as_ref().unwrap_or(&self.url);
        let mut request = Request::to(Method::POST, url.clone()).body("application/json", post.line.clone());
        request = request.header("accept", ACCEPT)?.redirects(REDIRECTS);
        let limits = &self.remote.limits;
        let patience = if post.request().is_some() {
            limits.answer
        } else {
            limits.accept
        };
        request = request
            .head_limit(patience)
            .idle_limit(limits.answer)
            .body_limit(limits.stream_bytes);
        if let Some((_, method)) = post.request()
            && let Some(version) = post.modern()
        {
            request = request
                .header(header::PROTOCOL_VERSION, version)?
                .header(header::METHOD, method)?;
            for (name, value) in &post.headers {
                request = request.header(name, value)?;
            }
        } else if !post.is(method::INITIALIZE) {
            request = legacy(request, session)?;
        }
        self.remote.client.send(self.with_headers(request)?).await
    }

    /// Opens the stream of the session, or goes on with one that was cut.
    pub(super) async fn listen(
        &self,
        session: &Session,
        last: Option<&str>,
    ) -> Result<Response, fetch::Error> {
        let mut request = Request::to(Method::GET, self.url.clone())
            .header("accept", "text/event-stream")?
            .redirects(REDIRECTS);
        let limits = &self.remote.limits;
        request = request
            .head_limit(limits.accept)
            .idle_limit(limits.answer)
            .body_limit(u64::MAX);
        if let Some(last) = last {
            request = request.header("last-event-id", last)?;
        }
        self.remote
            .client
            .send(self.with_headers(legacy(request, session)?)?)
            .await
    }

    fn with_headers(&self, mut request: Request) -> Result<Request, fetch::Error> {
        for header in &self.remote.headers {
            request = request.secret_header(&header.name, &header.value)?;
        }
        Ok(request)
    }

    /// Passes on what the server sent; whether the answer to `post` was among it.
    pub(super) async fn deliver(&self, text: &[u8], post: Option<&Post>) -> bool {
        let limits = wire::Limits {
            bytes: self.remote.limits.message_bytes,
            ..wire::Limits::default()
        };
        let messages = match wire::parse(text, &limits) {
            Ok(Frame::Single(message)) => vec![message],
            Ok(Frame::Batch(messages)) => messages.into_iter().filter_map(Result::ok).collect(),
            Err(error) => {
                tracing::debug!(server = self.remote.server, "what it sent is no message: {error}");
                return false;
            }
        };
        let asked = post.and_then(Post::request);
        let mut answered = false;
        for mut message in messages {
            if let (Message::Response(response), Some((id, name))) = (&mut message, asked) {
                // What failed before the server had read the id.
                if response.id.is_none() && response.outcome.is_err() {
                    response.id = Some(id.clone());
                }
                if response.id.as_ref() == Some(id) {
                    answered = true;
                    if name == method::INITIALIZE
                        && let Ok(result) = &response.outcome
                    {
                        self.lock().agree(result);
                    }
                }
            }
            self.pass(message.to_line(), asked.map(|(id, _)| id.clone()))
                .await;
        }
        answered
    }

    /// Answers a request in the server's place.
    pub(super) async fn answer(&self, id: &Id, fault: Fault) {
        let line = Message::response(Some(id.clone()), Err(fault)).to_line();
        self.pass(line, Some(id.clone())).await;
    }

    async fn pass(&self, line: Vec<u8>, related: Option<Id>) {
        // Where nobody reads any more, the driver ends by itself.
        drop(self.out.send(FromServer::Message { line, related }).await);
    }

    /// The server has closed the stream of that request, and will go on when it is asked to.
    pub(super) async fn hung_up(&self, id: &Id) {
        drop(self.out.send(FromServer::HungUp(id.clone())).await);
    }

    /// Notes that a session begins with this answer to `initialize`.
    pub(super) fn begin(&self, hello: &Post, response: &Response) -> Result<(), Failure> {
        let id = match response.header(header::SESSION_ID) {
            Some(id) if id.len() > SESSION_ID => {
                return Err(Failure::Content(format!(
                    "gives a session id of {} bytes; at most {SESSION_ID} are taken",
                    id.len()
                )));
            }
            id => id.map(ToOwned::to_owned),
        };
        let mut session = self.lock();
        session.number += 1;
        session.id = id;
        session.hello = Some(hello.line.clone());
        Ok(())
    }

    /// Begins a session anew after the server has forgotten number `lost`, with the same `initialize`. The server's
    /// answer is kept from the gateway, which knows it.
    pub(super) async fn renew(&self, lost: u64) -> Result<(), Failure> {
        let _one = self.renewing.lock().await;
        let session = self.session();
        if session.number != lost {
            return Ok(());
        }
        let fail = |failure: Failure| Failure::Session(Box::new(failure));
        let missing = || fail(Failure::Content("was never asked to initialize".to_owned()));
        let hello = Post {
            line: session.hello.ok_or_else(missing)?,
            headers: Vec::new(),
            what: What::Request {
                id: Id::from(0),
                method: method::INITIALIZE.to_owned(),
                modern: None,
            },
        };
        let limit = self.remote.limits.accept;
        let renewing = async {
            let response = self.post(&hello, &Session::default()).await?;
            if !response.status().is_success() {
                return Err(Failure::from(Refusal::read(response).await));
            }
            self.begin(&hello, &response)?;
            let result = first_result(response, self.remote.limits.message_bytes).await?;
            self.lock().agree(&result);
            let ready = Post {
                line: Message::notification(method::INITIALIZED, wire::to_raw(&serde_json::json!({})))
                    .to_line()
                    .into(),
                headers: Vec::new(),
                what: What::Initialized,
            };
            self.post(&ready, &self.session()).await?;
            Ok(())
        };
        let late = || Failure::Content(format!("does not answer initialize within {} s", limit.as_secs()));
        let renewed = tokio::time::timeout(limit, renewing).await;
        renewed.unwrap_or_else(|_| Err(late())).map_err(fail)?;
        tracing::info!(
            server = self.remote.server,
            "the server had forgotten the session; a new one began"
        );
        // An error means that the link was dropped.
        drop(self.out.send(FromServer::Renewed).await);
        Ok(())
    }

    /// Takes leave of a session (Streamable HTTP, "Session Management"). A server need not care.
    pub(super) async fn goodbye(&self) {
        let session = self.session();
        if session.id.is_none() {
            return;
        }
        let limit = self.remote.limits.goodbye;
        let leaving = async {
            let request = Request::to(Method::DELETE, self.url.clone()).head_limit(limit);
            let request = legacy(request, &session).and_then(|request| self.with_headers(request));
            self.remote.client.send(request?).await.map(drop)
        };
        if !matches!(tokio::time::timeout(limit, leaving).await, Ok(Ok(()))) {
            tracing::debug!(
                server = self.remote.server,
                "the end of the session could not be told"
            );
        }
    }
}

impl Session {
    fn agree(&mut self, result: &Raw) {
        let version = Object::parse(result).ok().and_then(|result| {
            let version = result.text("protocolVersion")?;
            Some(version.into_owned())
        });
        // Only what can stand in a header.
        self.version =
            version.filter(|version| version.len() <= 64 && version.bytes().all(|b| b.is_ascii_graphic()));
    }
}

/// What requests of a session carry.
fn legacy(mut request: Request, session: &Session) -> Result<Request, fetch::Error> {
    if let Some(id) = &session.id {
        request = request.secret_header(header::SESSION_ID, &Secret::new(id.as_str()))?;
    }
    if let Some(version) = &session.version {
        request = request.header(header::PROTOCOL_VERSION, version)?;
    }
    Ok(request)
}

/// The result in an answer that is not passed on.
async fn first_result(response: Response, most: usize) -> Result<Raw, Failure> {
    let limits = wire::Limits {
        bytes: most,
        ..wire::Limits::default()
    };
    let result_of = |text: &[u8]| match wire::parse(text, &limits) {
        Ok(Frame::Single(Message::Response(response))) => Some(response.outcome),
        _ => None,
    };
    let outcome = if response.media_type() == "text/event-stream" {
        let mut events = response.events(fetch::EventLimits { event: most });
        loop {
            match events.next().await? {
                None => break None,
                Some(event) => {
                    if let Some(outcome) = result_of(event.data.as_bytes()) {
                        break Some(outcome);
                    }
                }
            }
        }
    } else {
        result_of(&response.bytes().await?)
    };
    match outcome {
        Some(Ok(result)) => Ok(result),
        Some(Err(error)) => Err(Failure::Content(format!(
            "refuses to initialize: {}",
            Fault::Relayed(error).message()
        ))),
        None => Err(Failure::Content("gives no answer to initialize".to_owned())),
    }
}

/// Waits that double, from a first one to a longest one.
#[derive(Debug)]
pub(super) struct BackOff {
    next: Duration,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_mins(1);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    pub(super) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(Self::LONGEST);
        wait
    }
}
