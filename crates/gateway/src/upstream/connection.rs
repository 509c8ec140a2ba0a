//! One stream to a server: the tasks that drive, read and write it, and the requests that wait on it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::edit::Object;
use wire::{Fault, Frame, Message, Raw, Request, Response, code, meta, method, to_raw};

use super::{NoAnswer, Sending, Surroundings, lock, set_meta};
use crate::events::{Event, Level};
use crate::lines::{Line, Lines};
use crate::outlet::{Outlet, write_lines};
use crate::parts::{FromServer, Link, ToServer, Wire};

/// Messages that wait for a server to read.
const QUEUE: usize = 256;

pub(crate) struct Connection {
    queue: mpsc::Sender<ToServer>,
    next: AtomicU64,
    shared: Arc<Shared>,
    /// What the server says that it can, as it wrote it.
    pub(super) capabilities: Raw,
    /// What it tells models about itself.
    pub(super) instructions: Option<String>,
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
    /// Whether the stream has not ended.
    pub(super) fn is_live(&self) -> bool {
        !self.shared.dead.is_cancelled()
    }

    /// Returns when the stream has ended.
    pub(super) async fn ended(&self) {
        self.shared.dead.cancelled().await;
    }

    /// Ends the stream: what waits for an answer gets none, and the server sees the end of its input.
    pub(super) fn close(&self) {
        self.shared.dead.cancel();
    }

    /// Whether the server said that it has `capability`: "resources", "logging".
    pub(crate) fn offers(&self, capability: &str) -> bool {
        let capabilities = Object::parse(&self.capabilities);
        capabilities.is_ok_and(|capabilities| capabilities.get(capability).is_some())
    }

    /// Puts the tasks to work that read, write and drive the link.
    pub(super) fn open(link: Link, server: &str, around: &Arc<Surroundings>) -> Self {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            dead: CancellationToken::new(),
        });
        if let Some(driver) = link.driver {
            around.tasks.spawn(driver);
        }
        let reader = |queue: &mpsc::Sender<ToServer>| Reader {
            server: server.to_owned(),
            shared: Arc::clone(&shared),
            // Weak: reading on must not keep the server's input open.
            queue: queue.downgrade(),
            around: Arc::clone(around),
        };
        let queue = match link.wire {
            Wire::Pipe(stream) => {
                let (read, write) = tokio::io::split(stream);
                let (queue, waiting) = mpsc::channel(QUEUE);
                let shared = Arc::clone(&shared);
                around.tasks.spawn(reader(&queue).lines(read));
                around.tasks.spawn(async move {
                    let writing = write_lines::<ToServer>(write, waiting);
                    // A server that does not read must not keep the task, and with it the stream.
                    if let Some(Err(error)) = shared.dead.run_until_cancelled(writing).await {
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
                around.tasks.spawn(reader(&to_server).messages(from_server));
                to_server
            }
        };
        Self {
            queue,
            next: AtomicU64::new(1),
            shared,
            capabilities: to_raw(&json!({})),
            instructions: None,
        }
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), ()> {
        self.queue.send(plain(message.to_line())).await.map_err(|_| ())
    }

    pub(super) async fn request(
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
            if self.connection.queue.try_send(plain(line)).is_err() {
                tracing::debug!("a server takes no messages; it was not told of a cancelled request");
            }
        }
    }
}

/// Reads what a server sends.
struct Reader {
    server: String,
    shared: Arc<Shared>,
    queue: mpsc::WeakSender<ToServer>,
    around: Arc<Surroundings>,
}

impl Reader {
    async fn messages(self, mut queue: mpsc::Receiver<FromServer>) {
        let dead = self.shared.dead.clone();
        while let Some(Some(message)) = dead.run_until_cancelled(queue.recv()).await {
            self.take(&message.line);
        }
        self.end();
    }

    async fn lines(self, stream: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(stream, self.around.limits.answer_bytes);
        let dead = self.shared.dead.clone();
        while let Some(line) = dead.run_until_cancelled(lines.next()).await {
            match line {
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
        self.end();
    }

    /// Nothing comes any more, so nobody need wait.
    fn end(&self) {
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
                    drop(queue.try_send(plain(line)));
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
