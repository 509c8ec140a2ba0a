//! A server behind the gateway, as one stream of newline-delimited messages. Calls run side by side on it, under
//! ids and progress tokens of our own; when the stream ends, what was pending fails with a reason, and the next
//! use connects again. Towards the server we are a legacy client without capabilities.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::edit::Object;
use wire::{Fault, Frame, Message, Raw, Request, Response, Version, code, meta, method, to_raw};

use crate::Limits;
use crate::events::{Event, Hub, Level};
use crate::lines::{Line, Lines};
use crate::outlet::{Outgoing, Outlet, write_lines};
use crate::parts::{Connect, Describe, Link, Server};
use crate::screen::Screen;
use crate::status::{ServerState, ServerStatus};

/// What all servers share of the gateway.
pub(crate) struct Surroundings {
    pub(crate) limits: Limits,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) hub: Arc<Hub>,
    pub(crate) screen: Arc<Screen>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) describe: Arc<dyn Describe>,
    pub(crate) instructions: Option<String>,
    connect: Connect,
    around: Arc<Surroundings>,
    current: RwLock<Option<Arc<Connection>>>,
    /// Held while connecting, so that callers who need the server at the same time share one start.
    starting: tokio::sync::Mutex<()>,
    /// How many watch each resource.
    watched: tokio::sync::Mutex<HashMap<String, usize>>,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    starts: u64,
    calls: u64,
    last_error: Option<String>,
}

/// Why a server gave no answer. An error that it gave itself is none of these.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("server {server} can't be started: {cause}")]
    Start { server: String, cause: String },
    #[error(
        "server {server} ended while it worked on {method}; whether that took effect is not known. \
         It is started again with the next call"
    )]
    Died { server: String, method: String },
    #[error(
        "server {server} did not answer {method} within {} s; it was told to stop, but whether the call took \
         effect is not known", after.as_secs()
    )]
    TimedOut {
        server: String,
        method: String,
        after: Duration,
    },
    #[error("the request was cancelled before it ended")]
    Cancelled,
    #[error("the gateway is stopping")]
    Stopping,
}

impl From<NoAnswer> for Fault {
    fn from(error: NoAnswer) -> Self {
        Self::new(code::INTERNAL_ERROR, error.to_string())
    }
}

/// How a request is sent.
pub(crate) struct Sending<'a> {
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) limit: Duration,
    /// Where progress goes, and the client's token for it.
    pub(crate) progress: Option<(Outlet, Raw)>,
}

impl Upstream {
    pub(crate) fn new(server: Server, around: Arc<Surroundings>) -> Self {
        Self {
            name: server.name.as_str().to_owned(),
            describe: server.describe,
            instructions: server.instructions,
            connect: server.connect,
            around,
            current: RwLock::default(),
            starting: tokio::sync::Mutex::default(),
            watched: tokio::sync::Mutex::default(),
            record: Mutex::default(),
        }
    }

    /// Sends a request and waits for its answer: the server's result or error, as it came.
    pub(crate) async fn request(
        &self,
        method: &str,
        params: Object<'_>,
        sending: Sending<'_>,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
        let connection = self.connection(sending.cancel).await?;
        if method == method::TOOLS_CALL {
            lock(&self.record).calls += 1;
        }
        let answer = connection.request(&self.name, method, params, sending).await;
        if let Err(error @ (NoAnswer::Died { .. } | NoAnswer::TimedOut { .. })) = &answer {
            lock(&self.record).last_error = Some(error.to_string());
        }
        answer
    }

    /// A request that belongs to no client's call, with the time limit of lists.
    pub(crate) async fn ask(&self, method: &str, params: Object<'_>) -> Result<Raw, Fault> {
        let sending = Sending {
            cancel: &self.around.stop.child_token(),
            limit: self.around.limits.list,
            progress: None,
        };
        self.request(method, params, sending)
            .await?
            .map_err(Fault::Relayed)
    }

    /// Whether the server said that it has `capability`: "resources", "logging".
    pub(crate) async fn has(&self, capability: &str) -> Result<bool, NoAnswer> {
        let connection = self.connection(&self.around.stop).await?;
        let capabilities = Object::parse(&connection.capabilities);
        Ok(capabilities.is_ok_and(|capabilities| capabilities.get(capability).is_some()))
    }

    /// Counts one more who watches the resource; the server is told of the first.
    pub(crate) async fn watch(&self, uri: &str) -> Result<(), Fault> {
        let mut watched = self.watched.lock().await;
        if !watched.contains_key(uri) {
            self.ask(method::SUBSCRIBE, uri_params(uri)).await?;
        }
        *watched.entry(uri.to_owned()).or_default() += 1;
        Ok(())
    }

    /// Counts one less, in a task of its own; the server is told when nobody is left.
    pub(crate) fn unwatch_soon(self: &Arc<Self>, uri: String) {
        let upstream = Arc::clone(self);
        self.around.tasks.spawn(async move {
            let mut watched = upstream.watched.lock().await;
            let Some(count) = watched.get_mut(&uri) else {
                return;
            };
            *count -= 1;
            if *count == 0 {
                watched.remove(&uri);
                if upstream.live().is_some()
                    && let Err(fault) = upstream.ask(method::UNSUBSCRIBE, uri_params(&uri)).await
                {
                    tracing::debug!(server = upstream.name, "unsubscribe failed: {}", fault.message());
                }
            }
        });
    }

    pub(crate) fn status(&self, tools: usize) -> ServerStatus {
        let record = lock(&self.record);
        let state = match (self.live().is_some(), &record.last_error) {
            (true, _) => ServerState::Ready,
            (false, Some(_)) => ServerState::Failed,
            (false, None) => ServerState::Stopped,
        };
        ServerStatus {
            name: self.name.clone(),
            state,
            tools,
            starts: record.starts,
            calls: record.calls,
            last_error: record.last_error.clone(),
        }
    }

    /// Lets go of the connection; the server sees the end of its input.
    pub(crate) fn disconnect(&self) {
        self.current
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn live(&self) -> Option<Arc<Connection>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .filter(|connection| !connection.shared.dead.is_cancelled())
            .cloned()
    }

    async fn connection(&self, cancel: &CancellationToken) -> Result<Arc<Connection>, NoAnswer> {
        if let Some(connection) = self.live() {
            return Ok(connection);
        }
        let starting = async {
            let _one = self.starting.lock().await;
            if let Some(connection) = self.live() {
                return Ok(connection);
            }
            let started = match timeout(self.around.limits.start, self.start()).await {
                Ok(started) => started,
                Err(_) => Err(format!(
                    "no answer within {} s",
                    self.around.limits.start.as_secs()
                )),
            };
            let mut record = lock(&self.record);
            record.starts += 1;
            match started {
                Ok(connection) => {
                    record.last_error = None;
                    let connection = Arc::new(connection);
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Some(Arc::clone(&connection));
                    Ok(connection)
                }
                Err(cause) => {
                    record.last_error = Some(cause.clone());
                    Err(NoAnswer::Start {
                        server: self.name.clone(),
                        cause,
                    })
                }
            }
        };
        tokio::select! {
            connection = starting => connection,
            () = cancel.cancelled() => Err(NoAnswer::Cancelled),
            () = self.around.stop.cancelled() => Err(NoAnswer::Stopping),
        }
    }

    /// Connects and shakes hands (Lifecycle, "Initialization", up to 2025-11-25).
    async fn start(&self) -> Result<Connection, String> {
        let link = (self.connect)().await.map_err(|error| error.to_string())?;
        let mut connection = Connection::open(link, &self.name, &self.around);
        let mut params = Object::empty();
        params.set("protocolVersion", Version::LATEST_LEGACY.as_str());
        params.set("capabilities", &json!({}));
        params.set(
            "clientInfo",
            &json!({"name": self.around.name, "version": self.around.version}),
        );
        let sending = Sending {
            cancel: &CancellationToken::new(),
            limit: self.around.limits.start,
            progress: None,
        };
        let answer = connection
            .request(&self.name, method::INITIALIZE, params, sending)
            .await;
        let result = answer
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("it refuses to initialize: {}", Fault::Relayed(error).message()))?;
        let result = Object::parse(&result).map_err(|error| format!("its answer to initialize: {error}"))?;
        let version = result.text("protocolVersion").unwrap_or_default();
        if Version::parse(&version).is_none() {
            return Err(format!(
                "it speaks protocol version {version:?}, which is not known here"
            ));
        }
        if let Some(capabilities) = result.get("capabilities") {
            connection.capabilities = capabilities.to_owned();
        }
        let ready = Message::notification(method::INITIALIZED, to_raw(&json!({})));
        connection
            .send(&ready)
            .await
            .map_err(|()| "it ended during the handshake".to_owned())?;
        Ok(connection)
    }
}

fn uri_params(uri: &str) -> Object<'static> {
    let mut params = Object::empty();
    params.set("uri", uri);
    params
}

struct Connection {
    queue: mpsc::Sender<Outgoing>,
    next: AtomicU64,
    shared: Arc<Shared>,
    capabilities: Raw,
}

/// What the connection shares with the task that reads.
struct Shared {
    pending: Mutex<HashMap<u64, Pending>>,
    dead: CancellationToken,
}

struct Pending {
    reply: oneshot::Sender<Result<Raw, Raw>>,
    progress: Option<(Outlet, Raw)>,
}

impl Connection {
    /// Puts the tasks to work that read, write and drive the link.
    fn open(link: Link, server: &str, around: &Arc<Surroundings>) -> Self {
        let (read, write) = tokio::io::split(link.stream);
        let (queue, waiting) = mpsc::channel(256);
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            dead: CancellationToken::new(),
        });
        if let Some(driver) = link.driver {
            around.tasks.spawn(driver);
        }
        around.tasks.spawn({
            let shared = Arc::clone(&shared);
            async move {
                if let Err(error) = write_lines(write, waiting).await {
                    tracing::debug!("writing to a server failed: {error}");
                }
                shared.dead.cancel();
            }
        });
        let reader = Reader {
            server: server.to_owned(),
            shared: Arc::clone(&shared),
            // Weak: reading on must not keep the server's input open.
            queue: queue.downgrade(),
            around: Arc::clone(around),
        };
        around.tasks.spawn(reader.run(read));
        Self {
            queue,
            next: AtomicU64::new(1),
            shared,
            capabilities: to_raw(&json!({})),
        }
    }

    async fn send(&self, message: &Message) -> Result<(), ()> {
        self.queue
            .send(Outgoing {
                line: message.to_line(),
                last: None,
            })
            .await
            .map_err(|_| ())
    }

    async fn request(
        &self,
        server: &str,
        method: &str,
        mut params: Object<'_>,
        sending: Sending<'_>,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
        let died = || NoAnswer::Died {
            server: server.to_owned(),
            method: method.to_owned(),
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if sending.progress.is_some() {
            // The request's own number: unique on this connection, as a token has to be.
            set_meta(&mut params, |meta| meta.set(meta::PROGRESS_TOKEN, &id));
        }
        let (reply, answer) = oneshot::channel();
        lock(&self.shared.pending).insert(
            id,
            Pending {
                reply,
                progress: sending.progress,
            },
        );
        let _given_up = GiveUp { connection: self, id };
        let message = Message::Request(Request {
            id: id.into(),
            method: method.to_owned(),
            params: Some(params.to_raw()),
        });
        let exchange = async {
            self.send(&message).await.map_err(|()| died())?;
            answer.await.map_err(|_| died())
        };
        tokio::select! {
            // In this order: an answer that is there counts, even if something else happened meanwhile.
            biased;
            answer = timeout(sending.limit, exchange) => answer.unwrap_or_else(|_| {
                Err(NoAnswer::TimedOut { server: server.to_owned(), method: method.to_owned(), after: sending.limit })
            }),
            () = sending.cancel.cancelled() => Err(NoAnswer::Cancelled),
            () = self.shared.dead.cancelled() => Err(died()),
        }
    }
}

/// Sets members of `_meta`, making it where there is none.
pub(crate) fn set_meta(params: &mut Object<'_>, change: impl FnOnce(&mut Object<'_>)) {
    let raw = params.get(meta::META).map(ToOwned::to_owned);
    let mut object = raw
        .as_ref()
        .and_then(|raw| Object::parse(raw).ok())
        .unwrap_or_else(Object::empty);
    change(&mut object);
    if object.is_empty() {
        params.remove(meta::META);
    } else {
        params.set(meta::META, &object);
    }
}

/// Ends a request that nobody waits for any more: the server is told, and a late answer finds nobody.
struct GiveUp<'a> {
    connection: &'a Connection,
    id: u64,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if lock(&self.connection.shared.pending).remove(&self.id).is_some() {
            let params = to_raw(&json!({"requestId": self.id, "reason": "the caller no longer waits"}));
            let line = Message::notification(method::CANCELLED, params).to_line();
            if self
                .connection
                .queue
                .try_send(Outgoing { line, last: None })
                .is_err()
            {
                tracing::debug!("a server takes no messages; it was not told of a cancelled request");
            }
        }
    }
}

/// Reads what a server sends.
struct Reader {
    server: String,
    shared: Arc<Shared>,
    queue: mpsc::WeakSender<Outgoing>,
    around: Arc<Surroundings>,
}

impl Reader {
    async fn run(self, stream: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(stream, self.around.limits.answer_bytes);
        loop {
            match lines.next().await {
                Ok(Some(Line::Whole(line))) => self.take(&line),
                Ok(Some(Line::TooLong(bytes))) => {
                    // Whose answer it was can't be told, so all that wait are told that none will come.
                    tracing::warn!(
                        server = self.server,
                        bytes,
                        "a message over the limit; the connection is closed"
                    );
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(server = self.server, "reading failed: {error}");
                    break;
                }
            }
        }
        self.shared.dead.cancel();
        lock(&self.shared.pending).clear();
    }

    fn take(&self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let limits = wire::Limits {
            bytes: self.around.limits.answer_bytes,
            ..wire::Limits::default()
        };
        match wire::parse(line, &limits) {
            Ok(Frame::Single(message)) => self.message(message),
            Ok(Frame::Batch(messages)) => {
                for message in messages.into_iter().flatten() {
                    self.message(message);
                }
            }
            // Banners and stray prints are a fact of life on the standard output of servers.
            Err(error) => tracing::debug!(server = self.server, "not a message: {error}"),
        }
    }

    fn message(&self, message: Message) {
        match message {
            Message::Response(response) => self.response(response),
            Message::Notification(notification) => self.notification(&notification),
            Message::Request(request) => {
                let outcome = match request.method.as_str() {
                    method::PING => Ok(to_raw(&json!({}))),
                    other => Err(Fault::new(
                        code::METHOD_NOT_FOUND,
                        format!("this client does not offer {other}"),
                    )),
                };
                let line = Message::response(Some(request.id), outcome).to_line();
                // Without waiting: a server that writes and does not read would hold up all its answers. One that
                // does not read will not miss this one.
                if let Some(queue) = self.queue.upgrade() {
                    drop(queue.try_send(Outgoing { line, last: None }));
                }
            }
        }
    }

    fn response(&self, response: Response) {
        let id = response.id.and_then(|id| id.as_u64());
        let Some(pending) = id.and_then(|id| lock(&self.shared.pending).remove(&id)) else {
            return tracing::debug!(server = self.server, "an answer that nobody waits for");
        };
        drop(pending.reply.send(response.outcome));
    }

    fn notification(&self, notification: &wire::Notification) {
        let params = notification.params.clone().unwrap_or_else(|| to_raw(&json!({})));
        let hub = &self.around.hub;
        match notification.method.as_str() {
            method::PROGRESS => self.progress(&params),
            method::TOOLS_CHANGED => hub.publish(&Event::ToolsChanged),
            method::PROMPTS_CHANGED => hub.publish(&Event::PromptsChanged),
            method::RESOURCES_CHANGED => hub.publish(&Event::ResourcesChanged),
            method::RESOURCE_UPDATED => {
                let uri = Object::parse(&params)
                    .ok()
                    .and_then(|params| params.text("uri").map(String::from));
                if let Some(uri) = uri {
                    hub.publish(&Event::ResourceUpdated { uri, params });
                }
            }
            method::LOG_MESSAGE => {
                let level = Object::parse(&params)
                    .ok()
                    .and_then(|params| Level::parse(&params.text("level")?));
                let params = self.around.screen.result(params);
                hub.publish(&Event::Log {
                    level: level.unwrap_or(Level::Info),
                    params,
                });
            }
            other => tracing::debug!(
                server = self.server,
                "a notification that is not passed on: {other}"
            ),
        }
    }

    /// Passes progress to the client whose request it is about, under its own token.
    fn progress(&self, params: &Raw) {
        let Ok(mut params) = Object::parse(params) else {
            return;
        };
        let token = params
            .get(meta::PROGRESS_TOKEN)
            .and_then(wire::Id::from_raw)
            .and_then(|id| id.as_u64());
        let route = token.and_then(|token| {
            lock(&self.shared.pending)
                .get(&token)
                .and_then(|pending| pending.progress.clone())
        });
        if let Some((outlet, token)) = route {
            params.set(meta::PROGRESS_TOKEN, &token);
            let params = self.around.screen.result(params.to_raw());
            outlet.offer(Message::notification(method::PROGRESS, params).to_line());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
