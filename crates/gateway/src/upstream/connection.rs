//! One connection to a server: the tasks that drive, read and write it, and the requests that wait on it. What the
//! server's era says otherwise than the caller's is converted here, at the edge.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::bridge::{self, Speaker};
use wire::edit::Object;
use wire::{
    Era, Fault, Frame, Id, Message, Raw, Request, Response, Version, code, header, meta, method, to_raw,
};

use super::asks::{self, AtWork, OpenAsks};
use super::listening::Listening;
use super::{NoAnswer, Route, Sending, Surroundings, lock, set_meta};
use crate::events::{Event, Level};
use crate::lines::{Line, Lines};
use crate::outlet::write_lines;
use crate::parts::{FromServer, Link, ToServer, Wire};

/// Messages that wait for a server to read.
const QUEUE: usize = 256;

/// What the handshake settled.
pub(crate) struct Speech {
    pub(super) era: Era,
    pub(super) capabilities: Raw,
    pub(super) instructions: Option<String>,
}

pub(crate) struct Connection {
    queue: mpsc::Sender<ToServer>,
    next: AtomicU64,
    shared: Arc<Shared>,
    speech: Speech,
    /// Headers are wanted (HTTP).
    mirrors: bool,
    /// The level that a legacy server was told last; held while it is told another.
    level: tokio::sync::Mutex<Option<Level>>,
    listening: Listening,
    server: Arc<str>,
    around: Arc<Surroundings>,
}

/// What the connection shares with the task that reads.
struct Shared {
    pending: Mutex<HashMap<u64, Pending>>,
    asks: OpenAsks,
    dead: CancellationToken,
}

struct Pending {
    reply: oneshot::Sender<Result<Raw, Raw>>,
    route: Option<Arc<Route>>,
    /// `None`: a request of the gateway itself.
    caller: Option<AtWork>,
    /// Takes the word that a subscription is open.
    acknowledged: Option<oneshot::Sender<Raw>>,
}

impl Connection {
    /// Whether the connection has not ended.
    pub(crate) fn is_live(&self) -> bool {
        !self.shared.dead.is_cancelled()
    }

    /// Returns when the connection has ended.
    pub(super) async fn ended(&self) {
        self.shared.dead.cancelled().await;
    }

    /// Ends it: what waits for an answer gets none, and the server sees the end of its input.
    pub(super) fn close(&self) {
        self.shared.dead.cancel();
    }

    /// Whether the server said that it has `capability`: "resources", "logging".
    pub(crate) fn offers(&self, capability: &str) -> bool {
        let capabilities = Object::parse(&self.speech.capabilities);
        capabilities.is_ok_and(|capabilities| capabilities.get(capability).is_some())
    }

    /// What the server says that it can, as it wrote it.
    pub(crate) fn capabilities(&self) -> &Raw {
        &self.speech.capabilities
    }

    /// What it tells models about itself.
    pub(crate) fn instructions(&self) -> Option<&str> {
        self.speech.instructions.as_deref()
    }

    /// How it speaks.
    pub(crate) fn era(&self) -> Era {
        self.speech.era
    }

    /// Puts the tasks to work that read, write and drive the link.
    pub(super) fn open(link: Link, server: &str, around: &Arc<Surroundings>) -> Self {
        let server: Arc<str> = server.into();
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            asks: OpenAsks::default(),
            dead: CancellationToken::new(),
        });
        if let Some(driver) = link.driver {
            around.tasks.spawn(driver);
        }
        let reader = |queue: &mpsc::Sender<ToServer>| Reader {
            server: Arc::clone(&server),
            shared: Arc::clone(&shared),
            // Weak: reading on must not keep the server's input open.
            queue: queue.downgrade(),
            around: Arc::clone(around),
        };
        let mirrors = matches!(link.wire, Wire::Messages { .. });
        let queue = match link.wire {
            Wire::Pipe(stream) => {
                let (read, write) = tokio::io::split(stream);
                let (queue, waiting) = mpsc::channel(QUEUE);
                let shared = Arc::clone(&shared);
                around.tasks.spawn(reader(&queue).lines(read));
                around.tasks.spawn(async move {
                    let lines = write_lines::<ToServer>(write, waiting);
                    // A server that does not read must not keep the task, and with it the stream.
                    if let Some(Err(error)) = shared.dead.run_until_cancelled(lines).await {
                        tracing::debug!("writing to a server failed: {error}");
                    }
                    shared.dead.cancel();
                });
                queue
            }
            Wire::Messages {
                to_server,
                from_server,
            } => {
                let (queue, mut waiting) = mpsc::channel(QUEUE);
                let shared = Arc::clone(&shared);
                around.tasks.spawn(reader(&queue).messages(from_server));
                // A task of its own, so that closing takes the transport's sender away at once.
                around.tasks.spawn(async move {
                    let passing = async {
                        while let Some(message) = waiting.recv().await {
                            if to_server.send(message).await.is_err() {
                                break;
                            }
                        }
                    };
                    shared.dead.run_until_cancelled(passing).await;
                    shared.dead.cancel();
                });
                queue
            }
        };
        Self {
            queue,
            next: AtomicU64::new(1),
            shared,
            speech: Speech {
                era: Version::LATEST_LEGACY.era(),
                capabilities: to_raw(&json!({})),
                instructions: None,
            },
            mirrors,
            level: tokio::sync::Mutex::default(),
            listening: Listening::default(),
            server: Arc::clone(&server),
            around: Arc::clone(around),
        }
    }

    /// The same after the handshake.
    pub(super) fn speaking(self, speech: Speech) -> Self {
        let connection = Self { speech, ..self };
        tracing::debug!(
            server = &*connection.server,
            version = connection.era().version().as_str(),
            instructions = connection.instructions().map_or(0, str::len),
            "connected"
        );
        connection.listen_to_lists();
        connection
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), ()> {
        self.queue.send(plain(message.to_line())).await.map_err(|_| ())
    }

    /// Tells the server something, if it can take it at once.
    pub(crate) fn notify(&self, method: &str, params: Raw) {
        let line = Message::notification(method, params).to_line();
        if self.queue.try_send(plain(line)).is_err() {
            tracing::debug!("a server takes no messages; {method} was dropped");
        }
    }

    /// Sends a request and waits for its answer, in the words of the caller's era (requests of the gateway itself:
    /// those of the legacy era).
    pub(crate) async fn request(
        &self,
        method: &str,
        mut params: Object<'_>,
        sending: Sending<'_>,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
        let is_modern = self.speech.era == Era::Modern;
        if is_modern && let Some(answer) = self.only_legacy(method, &params).await {
            return answer;
        }
        if method == method::SET_LEVEL
            && let Some(level) = params.text("level").and_then(|level| Level::parse(&level))
        {
            self.tell_level(level, &sending).await;
            return Ok(Ok(to_raw(&json!({}))));
        }
        let caller = sending.caller;
        let level = caller.and_then(|caller| caller.side.level);
        if let Some(level) = level.filter(|_| !is_modern) {
            self.tell_level(level, &sending).await;
        }
        set_meta(&mut params, |meta| match (is_modern, caller) {
            (false, _) => bridge::strip(meta),
            // It says of itself all that there is.
            (true, Some(caller)) if caller.era == Era::Modern => meta.remove(meta::PROGRESS_TOKEN),
            (true, caller) => {
                meta.remove(meta::PROGRESS_TOKEN);
                let identity = caller.and_then(|caller| caller.side.identity.as_deref());
                let (name, nothing) = (self.around.info(), to_raw(&json!({})));
                let speaker = Speaker {
                    info: identity.map_or(&name, |identity| &identity.info),
                    capabilities: identity.map_or(&nothing, |identity| &identity.capabilities),
                    log_level: level.map(Level::as_str),
                };
                bridge::introduce(meta, speaker);
            }
        });
        let is_for_legacy = is_modern && caller.is_none_or(|caller| caller.era != Era::Modern);
        let answer = self.request_as_is(method, params, sending).await?;
        Ok(if is_for_legacy {
            answer.map_err(|error| bridge::error_for_legacy(method, error))
        } else {
            answer
        })
    }

    /// The same without any conversion but the number and the token for progress.
    pub(super) async fn request_as_is(
        &self,
        method: &str,
        mut params: Object<'_>,
        sending: Sending<'_>,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
        let server = || self.server.to_string();
        let died = || NoAnswer::Died {
            server: server(),
            method: method.to_owned(),
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if sending.route.as_ref().is_some_and(|route| route.wants_progress()) {
            // The request's own number: unique on this connection, as a token has to be.
            set_meta(&mut params, |meta| meta.set(meta::PROGRESS_TOKEN, &id));
        }
        let (reply, answer) = oneshot::channel();
        let caller = sending.caller.map(|caller| AtWork {
            number: id,
            session: caller.session.as_ref().map(|session| session.number),
            asker: sending.asker,
        });
        lock(&self.shared.pending).insert(
            id,
            Pending {
                reply,
                route: sending.route,
                caller,
                acknowledged: None,
            },
        );
        let _given_up = GiveUp {
            connection: self,
            id,
            // There is nothing to take back in a handshake, and some servers end at what they do not expect.
            quietly: matches!(method, method::DISCOVER | method::INITIALIZE),
        };
        let headers = if self.mirrors && self.speech.era == Era::Modern {
            mirrored(method, &params, sending.headers)
        } else {
            Vec::new()
        };
        let message = Message::Request(Request {
            id: id.into(),
            method: method.to_owned(),
            params: Some(params.to_raw()),
        });
        let exchange = async {
            let line = message.to_line();
            let sent = self.queue.send(ToServer { line, headers }).await;
            sent.map_err(|_| died())?;
            answer.await.map_err(|_| died())
        };
        tokio::select! {
            // In this order: an answer that is there counts, even if something else happened meanwhile.
            biased;
            answer = timeout(sending.limit, exchange) => answer.unwrap_or_else(|_| {
                Err(NoAnswer::TimedOut { server: server(), method: method.to_owned(), after: sending.limit })
            }),
            () = sending.cancel.cancelled() => Err(NoAnswer::Cancelled),
            () = self.shared.dead.cancelled() => Err(died()),
        }
    }

    /// Answers what only the legacy era has, for a modern server.
    async fn only_legacy(
        &self,
        method: &str,
        params: &Object<'_>,
    ) -> Option<Result<Result<Raw, Raw>, NoAnswer>> {
        let nothing = Ok(Ok(to_raw(&json!({}))));
        match method {
            // Each request carries its level; and whoever is connected is there.
            method::SET_LEVEL | method::PING => Some(nothing),
            method::SUBSCRIBE => {
                let uri = params.text("uri").unwrap_or_default();
                Some(Ok(match self.watch(&uri).await {
                    Ok(()) => Ok(to_raw(&json!({}))),
                    Err(why) => Err(Fault::new(code::INVALID_PARAMS, why).to_raw()),
                }))
            }
            method::UNSUBSCRIBE => {
                self.unwatch(&params.text("uri").unwrap_or_default()).await;
                Some(nothing)
            }
            _ => None,
        }
    }

    /// Sees to it that a legacy server logs from `level` on. It may be shared, so the level only ever goes down; who
    /// wants less gets less.
    async fn tell_level(&self, level: Level, sending: &Sending<'_>) {
        let mut told = self.level.lock().await;
        if told.is_some_and(|told| told <= level) || !self.offers("logging") {
            return;
        }
        let mut params = Object::empty();
        params.set("level", level.as_str());
        let own = Sending::own(sending.cancel, self.around.limits.list);
        match self.request_as_is(method::SET_LEVEL, params, own).await {
            Ok(Ok(_)) => *told = Some(level),
            Ok(Err(error)) => tracing::debug!("logging/setLevel: {}", Fault::Relayed(error).message()),
            Err(error) => tracing::debug!("{error}"),
        }
    }

    /// Asks a modern server to tell of changed lists, as far as it offers to.
    fn listen_to_lists(&self) {
        if self.speech.era == Era::Modern
            && let Some(filter) = Listening::filter(&self.speech.capabilities, &[])
        {
            drop(self.listen(&filter));
        }
    }

    async fn watch(&self, uri: &str) -> Result<(), String> {
        let mut watched = self.listening.watched().await;
        watched.uris.insert(uri.to_owned());
        let uris: Vec<_> = watched.uris.iter().map(String::as_str).collect();
        let Some(filter) = Listening::filter(&self.speech.capabilities, &uris) else {
            return Err("the server tells of no changes".to_owned());
        };
        let (number, acknowledged) = self
            .listen(&filter)
            .map_err(|()| "the server takes no messages".to_owned())?;
        let granted = timeout(self.around.limits.list, acknowledged).await;
        let granted = granted.ok().and_then(Result::ok);
        if !granted.is_some_and(|granted| Listening::grants(&granted, uri)) {
            watched.uris.remove(uri);
            self.end_listening(number);
            return Err(format!("the server does not tell of changes of {uri}"));
        }
        // The one before ends only now, so nothing is missed in between.
        if let Some(before) = watched.stream.replace(number) {
            self.end_listening(before);
        }
        Ok(())
    }

    async fn unwatch(&self, uri: &str) {
        let mut watched = self.listening.watched().await;
        watched.uris.remove(uri);
        let before = watched.stream.take();
        let uris: Vec<_> = watched.uris.iter().map(String::as_str).collect();
        if !uris.is_empty()
            && let Some(filter) = Listening::filter(&self.speech.capabilities, &uris)
        {
            let stream = self.listen(&filter).ok().map(|(number, _)| number);
            watched.stream = stream;
        }
        if let Some(before) = before {
            self.end_listening(before);
        }
    }

    /// Opens a subscription; its number, and what comes when it is open. Nobody waits for its end.
    fn listen(&self, filter: &Raw) -> Result<(u64, oneshot::Receiver<Raw>), ()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut params = Object::empty();
        params.set("notifications", filter);
        set_meta(&mut params, |meta| {
            let (info, capabilities) = (self.around.info(), to_raw(&json!({})));
            bridge::introduce(
                meta,
                Speaker {
                    info: &info,
                    capabilities: &capabilities,
                    log_level: None,
                },
            );
        });
        let (reply, _) = oneshot::channel();
        let (acknowledged, opened) = oneshot::channel();
        let pending = Pending {
            reply,
            route: None,
            caller: None,
            acknowledged: Some(acknowledged),
        };
        lock(&self.shared.pending).insert(number, pending);
        let request = Message::Request(Request {
            id: number.into(),
            method: method::LISTEN.to_owned(),
            params: Some(params.to_raw()),
        });
        if self.queue.try_send(plain(request.to_line())).is_err() {
            lock(&self.shared.pending).remove(&number);
            return Err(());
        }
        Ok((number, opened))
    }

    fn end_listening(&self, number: u64) {
        if lock(&self.shared.pending).remove(&number).is_some() {
            let params = json!({"requestId": number, "reason": "another subscription takes its place"});
            self.notify(method::CANCELLED, to_raw(&params));
        }
    }
}

impl From<ToServer> for Vec<u8> {
    fn from(message: ToServer) -> Self {
        message.line
    }
}

/// A message of which HTTP mirrors nothing.
fn plain(line: Vec<u8>) -> ToServer {
    ToServer {
        line,
        headers: Vec::new(),
    }
}

/// What HTTP mirrors of a request (2026-07-28, Streamable HTTP, "Request Metadata").
fn mirrored(method: &str, params: &Object<'_>, mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    let subject = match method {
        method::TOOLS_CALL | method::PROMPTS_GET => "name",
        method::RESOURCES_READ => "uri",
        method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => "taskId",
        _ => return headers,
    };
    if let Some(subject) = params.text(subject) {
        headers.push((header::NAME.to_owned(), header::encode(&subject).into_owned()));
    }
    headers
}

/// Ends a request that nobody waits for any more: the server is told, and a late answer finds nobody.
struct GiveUp<'a> {
    connection: &'a Connection,
    id: u64,
    quietly: bool,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if lock(&self.connection.shared.pending).remove(&self.id).is_none() {
            return;
        }
        self.connection.shared.asks.end_of(self.id);
        if !self.quietly {
            let params = json!({"requestId": self.id, "reason": "the caller no longer waits"});
            self.connection.notify(method::CANCELLED, to_raw(&params));
        }
    }
}

/// Reads what a server sends.
struct Reader {
    server: Arc<str>,
    shared: Arc<Shared>,
    queue: mpsc::WeakSender<ToServer>,
    around: Arc<Surroundings>,
}

impl Reader {
    async fn messages(self, mut queue: mpsc::Receiver<FromServer>) {
        let dead = self.shared.dead.clone();
        while let Some(Some(FromServer { line, related })) = dead.run_until_cancelled(queue.recv()).await {
            self.take(&line, related.and_then(|id| id.as_u64()));
        }
        self.end();
    }

    async fn lines(self, stream: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(stream, self.around.limits.answer_bytes);
        let dead = self.shared.dead.clone();
        while let Some(line) = dead.run_until_cancelled(lines.next()).await {
            match line {
                Ok(Some(Line::Whole(line))) => self.take(&line, None),
                Ok(Some(Line::TooLong(bytes))) => {
                    // Whose answer it was can't be told, so all that wait are told that none will come.
                    tracing::warn!(
                        server = &*self.server,
                        bytes,
                        "a message over the limit; the connection is closed"
                    );
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(server = &*self.server, "reading failed: {error}");
                    break;
                }
            }
        }
        self.end();
    }

    /// Nothing comes any more, so nobody need wait.
    fn end(&self) {
        self.shared.dead.cancel();
        self.shared.asks.end_all();
        lock(&self.shared.pending).clear();
    }

    fn take(&self, line: &[u8], related: Option<u64>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let limits = wire::Limits {
            bytes: self.around.limits.answer_bytes,
            ..wire::Limits::default()
        };
        match wire::parse(line, &limits) {
            Ok(Frame::Single(message)) => self.message(message, related),
            Ok(Frame::Batch(messages)) => {
                for message in messages.into_iter().flatten() {
                    self.message(message, related);
                }
            }
            // Banners and stray prints are a fact of life on the standard output of servers.
            Err(error) => tracing::debug!(server = &*self.server, "not a message: {error}"),
        }
    }

    fn message(&self, message: Message, related: Option<u64>) {
        match message {
            Message::Response(response) => self.response(response),
            Message::Notification(notification) => self.notification(notification, related),
            Message::Request(request) if request.method == method::PING => {
                self.respond(request.id, Ok(to_raw(&json!({}))));
            }
            Message::Request(request) => self.request(request, related),
        }
    }

    fn response(&self, response: Response) {
        let id = response.id.and_then(|id| id.as_u64());
        let Some(pending) = id.and_then(|id| lock(&self.shared.pending).remove(&id)) else {
            return tracing::debug!(server = &*self.server, "an answer that nobody waits for");
        };
        if let Some(call) = &pending.caller {
            self.shared.asks.end_of(call.number);
        }
        drop(pending.reply.send(response.outcome));
    }

    /// The server wants something of a client.
    fn request(&self, request: Request, related: Option<u64>) {
        let Request { id, method, params } = request;
        let found = asks::belongs(related, self.at_work()).and_then(|call| {
            let asker = call.asker.ok_or_else(|| {
                Fault::new(
                    code::METHOD_NOT_FOUND,
                    format!(
                        "the client of this call does not offer {}",
                        base::text::cut(&method, 100)
                    ),
                )
            })?;
            Ok((call.number, asker))
        });
        let (call, asker) = match found {
            Ok(found) => found,
            Err(fault) => {
                tracing::warn!(
                    server = &*self.server,
                    "its request {method} is refused: {}",
                    fault.message()
                );
                return self.respond(id, Err(fault));
            }
        };
        let Some(cancel) = self.shared.asks.begin(&id, call) else {
            let fault = Fault::new(
                code::INTERNAL_ERROR,
                "too many requests wait for the client, or one of this id does",
            );
            return self.respond(id, Err(fault));
        };
        let params = params.map(|params| self.around.screen.result(params));
        let asking = asker.ask(&method, params);
        let (shared, queue, around) = (
            Arc::clone(&self.shared),
            self.queue.clone(),
            Arc::clone(&self.around),
        );
        self.around.tasks.spawn(async move {
            let outcome = tokio::select! {
                // In this order: a refusal that stands at once is the answer, even if the call has ended meanwhile.
                biased;
                outcome = asking => outcome,
                () = cancel.cancelled() => Err(Fault::new(
                    code::INVALID_REQUEST,
                    "the call that this request belonged to has ended, so its client can't be asked any more",
                )),
                () = around.stop.cancelled() => Err(Fault::new(code::INTERNAL_ERROR, "the gateway is stopping")),
            };
            let is_wanted = shared.asks.done(&id);
            if is_wanted && let Some(queue) = queue.upgrade() {
                // What we know to be secret does not go to a server, whichever way it came here.
                let outcome = outcome.map(|answer| around.screen.arguments(&answer).unwrap_or(answer));
                let line = Message::response(Some(id), outcome).to_line();
                drop(queue.send(plain(line)).await);
            }
        });
    }

    fn respond(&self, id: Id, outcome: Result<Raw, Fault>) {
        let line = Message::response(Some(id), outcome).to_line();
        // Without waiting: a server that writes and does not read would hold up all its answers. One that does not
        // read will not miss this one.
        if let Some(queue) = self.queue.upgrade() {
            drop(queue.try_send(plain(line)));
        }
    }

    /// The calls of clients that are at work.
    fn at_work(&self) -> Vec<AtWork> {
        let pending = lock(&self.shared.pending);
        let calls = pending.values().filter_map(|pending| pending.caller.as_ref());
        calls
            .map(|call| AtWork {
                number: call.number,
                session: call.session,
                asker: call.asker.clone(),
            })
            .collect()
    }

    /// Where a notification goes that belongs to a call, if that can be told.
    fn route(&self, related: Option<u64>) -> Option<Arc<Route>> {
        let call = asks::belongs(related, self.at_work()).ok()?;
        lock(&self.shared.pending).get(&call.number)?.route.clone()
    }

    fn notification(&self, notification: wire::Notification, related: Option<u64>) {
        let wire::Notification { method, params } = notification;
        let params = params.unwrap_or_else(|| to_raw(&json!({})));
        let publish = |event: &Event| self.around.hub.publish(event);
        match method.as_str() {
            method::PROGRESS => self.progress(&params),
            method::TOOLS_CHANGED => publish(&Event::ToolsChanged),
            method::PROMPTS_CHANGED => publish(&Event::PromptsChanged),
            method::RESOURCES_CHANGED => publish(&Event::ResourcesChanged),
            method::RESOURCE_UPDATED => {
                if let Some(uri) = text_of(&params, "uri") {
                    let params = bridge::untagged(params);
                    publish(&Event::ResourceUpdated { uri, params });
                }
            }
            method::ELICITED => {
                if let Some(id) = text_of(&params, "elicitationId") {
                    publish(&Event::Elicited { id, params });
                }
            }
            method::TASK_STATUS | method::TASKS_CHANGED => {
                if let Some(id) = text_of(&params, "taskId") {
                    let params = self.around.screen.result(bridge::untagged(params));
                    let is_modern = method == method::TASKS_CHANGED;
                    publish(&Event::Task {
                        id,
                        is_modern,
                        params,
                    });
                }
            }
            method::LOG_MESSAGE => {
                let level = text_of(&params, "level").and_then(|level| Level::parse(&level));
                let (level, params) = (level.unwrap_or(Level::Info), self.around.screen.result(params));
                match self.route(related) {
                    Some(route) => route.log(level, params),
                    None => publish(&Event::Log { level, params }),
                }
            }
            method::CANCELLED => {
                let id = Object::parse(&params)
                    .ok()
                    .and_then(|params| Id::from_raw(params.get("requestId")?));
                if let Some(id) = id {
                    self.shared.asks.cancel(&id);
                }
            }
            method::ACKNOWLEDGED => self.acknowledged(params),
            other => {
                if let Some(route) = self.route(related) {
                    route.pass(other, self.around.screen.result(params));
                } else {
                    tracing::debug!(
                        server = &*self.server,
                        "a notification that is not passed on: {other}"
                    );
                }
            }
        }
    }

    fn acknowledged(&self, params: Raw) {
        let number = || {
            let params = Object::parse(&params).ok()?;
            let meta = Object::parse(params.get(meta::META)?).ok()?;
            Id::from_raw(meta.get(meta::SUBSCRIPTION_ID)?)?.as_u64()
        };
        let waiting = number().and_then(|number| {
            let mut pending = lock(&self.shared.pending);
            pending.get_mut(&number)?.acknowledged.take()
        });
        if let Some(waiting) = waiting {
            drop(waiting.send(params));
        }
    }

    /// Passes progress to the client whose request it is about, under its own token.
    fn progress(&self, params: &Raw) {
        let Ok(params) = Object::parse(params) else {
            return;
        };
        let token = params
            .get(meta::PROGRESS_TOKEN)
            .and_then(Id::from_raw)
            .and_then(|id| id.as_u64());
        let route = token.and_then(|token| lock(&self.shared.pending).get(&token)?.route.clone());
        if let Some(route) = route {
            route.progress(params, |params| self.around.screen.result(params));
        }
    }
}

fn text_of(params: &Raw, member: &str) -> Option<String> {
    Object::parse(params).ok()?.text(member).map(Cow::into_owned)
}
