//! One connection to a server: the tasks that drive, read and write it, and the requests that wait on it. What the
//! server's era says otherwise than the caller's is converted here, at the edge.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use wire::bridge::{self, Speaker};
use wire::edit::Object;
use wire::{Era, Fault, Id, Message, Raw, Request, Version, code, header, meta, method, to_raw};

use super::asks::{AtWork, GivenUp, Group, OpenAsks};
use super::listening::Listening;
use super::reader::Reader;
use super::{NoAnswer, Route, Sending, Surroundings, lock, set_meta};
use crate::Namesake;
use crate::events::Level;
use crate::http::CLIENT;
use crate::outlet::write_lines;
use crate::parts::{Calls, Link, ToServer, Wire};

/// Messages that wait for a server to read.
const QUEUE: usize = 256;

/// What the handshake settled.
pub(crate) struct Speech {
    pub(super) era: Era,
    pub(super) capabilities: Raw,
    pub(super) instructions: Option<String>,
}

pub(crate) struct Connection {
    pub(super) queue: mpsc::Sender<ToServer>,
    pub(super) next: AtomicU64,
    pub(super) shared: Arc<Shared>,
    pub(super) speech: Speech,
    /// Headers are wanted (HTTP).
    mirrors: bool,
    /// It is told for which client each call is; see [`crate::Remote::speaks_for`].
    pub(super) speaks_for: Option<Namesake>,
    /// Answers calls of tools without the stream.
    calls: Option<Calls>,
    /// The level that a legacy server was told last; held while it is told another.
    level: tokio::sync::Mutex<Option<Level>>,
    pub(super) listening: Listening,
    server: Arc<str>,
    pub(super) around: Arc<Surroundings>,
}

/// What the connection shares with the task that reads.
pub(super) struct Shared {
    pub(super) pending: Mutex<HashMap<u64, Pending>>,
    pub(super) asks: OpenAsks,
    given_up: GivenUp,
    pub(super) dead: CancellationToken,
    /// Why it was given up, where it is not the server that ended it.
    pub(super) given_up_for: OnceLock<String>,
    /// A request has its answer, or is given up.
    pub(super) changed: Notify,
    /// The server has ended a subscription.
    pub(super) cut: Notify,
    /// The server has asked for roots, so a change of them matters to it.
    pub(super) asked_for_roots: AtomicBool,
}

/// Whether a server's request could be taken for a call's.
pub(super) enum Attached {
    /// Until the call has ended.
    Until(CancellationToken),
    /// The call has ended meanwhile.
    TooLate,
    /// The server wants no answer any more.
    Unwanted,
}

impl Shared {
    /// The calls of clients that are at work.
    pub(super) fn at_work(&self) -> Vec<AtWork> {
        let pending = lock(&self.pending);
        pending
            .values()
            .filter_map(|pending| pending.caller.clone())
            .collect()
    }

    /// The same, and the groups of calls that were given up and that a request which came at `come` could be about.
    pub(super) fn at_work_and_left(&self, come: Instant, life: Duration) -> (Vec<AtWork>, Vec<Group>) {
        // In this order: one that is given up in between is in both, never in neither.
        let at_work = self.at_work();
        (at_work, self.given_up.groups(come, life))
    }

    /// Takes a server's request for this call's.
    pub(super) fn attach(&self, id: &Id, call: u64) -> Attached {
        // Held until it is noted, so that the end of the call finds it.
        let pending = lock(&self.pending);
        if !pending.contains_key(&call) {
            return Attached::TooLate;
        }
        self.asks
            .attach(id, call)
            .map_or(Attached::Unwanted, Attached::Until)
    }

    /// A request of ours is pending no more.
    pub(super) fn ended(&self, call: u64) {
        self.asks.end_of(call);
        self.changed.notify_waiters();
    }

    /// The server has answered a request that was given up, if it was a call.
    pub(super) fn answered_late(&self, call: u64) {
        if self.given_up.answered(call) {
            self.changed.notify_waiters();
        }
    }
}

/// Who takes the answer to a request.
pub(super) enum Reply {
    To(oneshot::Sender<Result<Raw, Raw>>),
    /// It ends a subscription: [`Shared::cut`] is told.
    Stream,
}

/// A request that waits for its answer.
pub(super) struct Pending {
    pub(super) reply: Reply,
    pub(super) route: Option<Arc<Route>>,
    /// `None`: a request of the gateway itself.
    pub(super) caller: Option<AtWork>,
    /// Takes the word that a subscription is open.
    pub(super) acknowledged: Option<oneshot::Sender<Raw>>,
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

    /// Why it was given up, where it is not the server that ended it.
    pub(super) fn given_up_for(&self) -> Option<&str> {
        self.shared.given_up_for.get().map(String::as_str)
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

    /// The server has forgotten which level it was told.
    pub(super) async fn forget_level(&self) {
        *self.level.lock().await = None;
    }

    /// Whether the server has asked a client for its roots.
    pub(crate) fn asked_for_roots(&self) -> bool {
        self.shared.asked_for_roots.load(Ordering::Relaxed)
    }

    /// Whether the server is sent headers that mirror what is in the body.
    pub(super) fn is_mirrored(&self) -> bool {
        self.mirrors && self.speech.era == Era::Modern
    }

    /// Whether a client of another group has a call at work here in which it can be asked. Where answers and questions
    /// come on the stream of their call, that makes no difference.
    pub(super) fn works_for_others(&self, group: &Group) -> bool {
        let is_other = |call: &AtWork| call.asker.is_some() && call.group != *group;
        !self.mirrors && self.shared.at_work().iter().any(is_other)
    }

    /// Puts the tasks to work that read, write and drive the link.
    pub(super) fn open(link: Link, server: &str, around: &Arc<Surroundings>) -> Self {
        let server: Arc<str> = server.into();
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            asks: OpenAsks::default(),
            given_up: GivenUp::default(),
            dead: CancellationToken::new(),
            given_up_for: OnceLock::new(),
            changed: Notify::new(),
            cut: Notify::new(),
            asked_for_roots: AtomicBool::new(false),
        });
        if let Some(driver) = link.driver {
            around.tasks.spawn(driver);
        }
        let reader = |queue: &mpsc::Sender<ToServer>| Reader {
            server: Arc::clone(&server),
            shared: Arc::clone(&shared),
            queue: queue.downgrade(),
            around: Arc::clone(around),
        };
        let mirrors = matches!(link.wire, Wire::Messages { .. });
        let speaks_for = match &link.wire {
            Wire::Messages { speaks_for, .. } => speaks_for.clone(),
            Wire::Pipe(_) | Wire::Within { .. } => None,
        };
        let calls = match &link.wire {
            Wire::Within { calls, .. } => Some(Arc::clone(calls)),
            Wire::Pipe(_) | Wire::Messages { .. } => None,
        };
        let queue = match link.wire {
            Wire::Pipe(stream) | Wire::Within { stream, .. } => {
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
                speaks_for: _,
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
            speaks_for,
            calls,
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
            // It says of itself all that there is, unless the request is one of ours in its place.
            (true, Some(caller))
                if caller.era == Era::Modern && meta.get(meta::PROTOCOL_VERSION).is_some() =>
            {
                meta.remove(meta::PROGRESS_TOKEN);
            }
            (true, caller) => {
                meta.remove(meta::PROGRESS_TOKEN);
                let identity = caller.and_then(|caller| caller.side.identity.as_deref());
                let nothing = to_raw(&json!({}));
                let capabilities = identity.map_or(&nothing, |identity| &identity.capabilities);
                let with_tasks = sending.takes_tasks.then(|| bridge::task::declared(capabilities));
                let speaker = Speaker {
                    info: identity.map_or(&self.around.info, |identity| &identity.info),
                    capabilities: with_tasks.as_ref().unwrap_or(capabilities),
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
        let wants_progress = sending.route.as_ref().is_some_and(|route| route.wants_progress());
        if let Some(calls) = &self.calls
            && method == method::TOOLS_CALL
            && !wants_progress
        {
            let answer = calls(params.to_raw()).map(Some);
            return self.wait(method, sending.limit, sending.cancel, answer).await;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if wants_progress {
            // The request's own number: unique on this connection, as a token has to be.
            set_meta(&mut params, |meta| meta.set(meta::PROGRESS_TOKEN, &id));
        }
        let (reply, answer) = oneshot::channel();
        let group = sending.caller.map(Group::of);
        let whose = group.as_ref().zip(self.speaks_for.as_ref());
        let whose = whose.map(|(group, names)| (CLIENT.to_owned(), group.text(names)));
        let caller = group.map(|group| AtWork {
            number: id,
            group,
            asker: sending.asker,
            task: match method {
                method::TASKS_RESULT => params.text("taskId").map(Cow::into_owned),
                _ => None,
            },
        });
        lock(&self.shared.pending).insert(
            id,
            Pending {
                reply: Reply::To(reply),
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
        let mut headers = if self.is_mirrored() {
            mirrored(method, &params, sending.headers)
        } else {
            Vec::new()
        };
        headers.extend(whose);
        let message = Message::Request(Request {
            id: id.into(),
            method: method.to_owned(),
            params: Some(params.to_raw()),
        });
        let exchange = async {
            let line = message.to_line();
            self.queue.send(ToServer { line, headers }).await.ok()?;
            answer.await.ok()
        };
        self.wait(method, sending.limit, sending.cancel, exchange).await
    }

    /// Waits for an answer; it is `None` if the server has died.
    async fn wait(
        &self,
        method: &str,
        limit: Duration,
        cancel: &CancellationToken,
        answer: impl Future<Output = Option<Result<Raw, Raw>>>,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
        let server = || self.server.to_string();
        let died = || NoAnswer::Died {
            server: server(),
            method: method.to_owned(),
            why: None,
        };
        tokio::select! {
            // In this order: an answer that is there counts, even if something else happened meanwhile.
            biased;
            answer = timeout(limit, answer) => match answer {
                Ok(answer) => answer.ok_or_else(died),
                Err(_) => Err(NoAnswer::TimedOut { server: server(), method: method.to_owned(), after: limit }),
            },
            () = cancel.cancelled() => Err(NoAnswer::Cancelled),
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
            // Each request carries its level, but between gateways; and whoever is connected is there.
            method::SET_LEVEL => {
                if let Some(level) = params.text("level").and_then(|level| Level::parse(&level)) {
                    self.listen_to_logs(level).await;
                }
                Some(nothing)
            }
            method::PING => Some(nothing),
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
}

impl From<ToServer> for Vec<u8> {
    fn from(message: ToServer) -> Self {
        message.line
    }
}

/// A message of which HTTP mirrors nothing.
pub(super) fn plain(line: Vec<u8>) -> ToServer {
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
        let Connection { shared, around, .. } = self.connection;
        let _given_up = {
            let mut pending = lock(&shared.pending);
            let Some(given_up) = pending.remove(&self.id) else {
                return;
            };
            // Before it can be missed among those at work.
            if let Some(call) = &given_up.caller {
                shared.given_up.add(call, around.limits.list);
            }
            given_up
        };
        shared.ended(self.id);
        if !self.quietly {
            let params = json!({"requestId": self.id, "reason": "the caller no longer waits"});
            self.connection.notify(method::CANCELLED, to_raw(&params));
        }
    }
}
