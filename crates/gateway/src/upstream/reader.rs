//! What a server sends: answers to whoever waits for them, notifications and requests to whom they concern.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::bridge;
use wire::edit::{Object, items, text};
use wire::meta::RequestMeta;
use wire::{Fault, Frame, Id, Message, Raw, Request, Response, code, meta, method, to_raw};

use super::asking::Asking;
use super::asks::{self, Belongs, Progress};
use super::connection::{Reply, Shared, plain};
use super::{Route, Surroundings, lock};
use crate::events::{Event, Level};
use crate::lines::{Line, Lines};
use crate::parts::{FromServer, ToServer};

/// Reads what a server sends.
pub(super) struct Reader {
    pub(super) server: Arc<str>,
    pub(super) shared: Arc<Shared>,
    /// Weak: reading on must not keep the server's input open.
    pub(super) queue: mpsc::WeakSender<ToServer>,
    pub(super) around: Arc<Surroundings>,
}

impl Reader {
    pub(super) async fn messages(self, mut queue: mpsc::Receiver<FromServer>) {
        let dead = self.shared.dead.clone();
        while let Some(Some(come)) = dead.run_until_cancelled(queue.recv()).await {
            match come {
                FromServer::Message { line, related } => self.take(&line, related.and_then(|id| id.as_u64())),
                FromServer::Renewed => self.around.hub.renewed(),
                FromServer::HungUp(id) => {
                    let route = id.as_u64().and_then(|call| self.route_of(call));
                    if let Some(route) = route {
                        route.hang_up();
                    }
                }
            }
        }
        self.end();
    }

    pub(super) async fn lines(self, stream: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(stream, self.around.limits.answer_bytes);
        let dead = self.shared.dead.clone();
        while let Some(line) = dead.run_until_cancelled(lines.next()).await {
            match line {
                Ok(Some(Line::Whole(line))) => self.take(&line, None),
                Ok(Some(Line::TooLong(bytes))) => {
                    // Whose answer it was can't be told, so all that wait are told that none will come.
                    let why = format!(
                        "it sent a message of {}, more than `gateway.answer_size`",
                        base::text::bytes(bytes as u64)
                    );
                    tracing::warn!(server = &*self.server, "{why}");
                    drop(self.shared.given_up_for.set(why));
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
            tracing::debug!(server = &*self.server, "an answer that nobody waits for");
            if let Some(id) = id {
                self.shared.answered_late(id);
            }
            return;
        };
        if let Some(call) = &pending.caller {
            self.shared.ended(call.number);
        }
        match pending.reply {
            // An error means that nobody waits any more.
            Reply::To(reply) => drop(reply.send(response.outcome)),
            // One that is refused before it opens is not wanted again.
            Reply::Stream if pending.acknowledged.is_none() || response.outcome.is_ok() => {
                self.shared.cut.notify_one();
            }
            Reply::Stream => {}
        }
    }

    /// The server wants something of a client.
    fn request(&self, request: Request, related: Option<u64>) {
        let Request { id, method, params } = request;
        let Some(gone) = self.shared.asks.begin(&id) else {
            let fault = Fault::new(
                code::INTERNAL_ERROR,
                "too many requests wait for the client, or one of this id does",
            );
            return self.respond(id, Err(fault));
        };
        if method == method::ROOTS {
            self.shared.asked_for_roots.store(true, Ordering::Relaxed);
        }
        let task = params.as_deref().and_then(bridge::task::related);
        if related.is_none() && task.is_none() {
            self.around.hub.asks();
        }
        let progress = params.as_ref().and_then(|params| self.progress_of(params));
        let (come, patience) = (Instant::now(), self.around.limits.list);
        let (at_work, left) = self.shared.at_work_and_left(come, patience);
        let asking = Asking {
            progress,
            come,
            newest: at_work.iter().map(|call| call.number).max().unwrap_or(0),
            first: asks::belongs(related, task.as_deref(), at_work, &left),
            shared: Arc::clone(&self.shared),
            sink: self.around.hub.clone(),
            id: id.clone(),
            params: params.map(|params| self.around.screen.result(params)),
            related,
            task,
            confirm: self.around.limits.confirm,
            patience,
            method,
        };
        let (shared, queue, around, server) = (
            Arc::clone(&self.shared),
            self.queue.clone(),
            Arc::clone(&self.around),
            Arc::clone(&self.server),
        );
        self.around.tasks.spawn(async move {
            let outcome = tokio::select! {
                biased;
                outcome = asking.answer() => outcome,
                () = gone.cancelled() => return,
                () = around.stop.cancelled() => Err(Fault::new(code::INTERNAL_ERROR, "the gateway is stopping")),
            };
            if let Err(fault) = &outcome {
                tracing::debug!(server = &*server, "its request is refused: {}", fault.message());
            }
            let is_wanted = shared.asks.done(&id);
            if is_wanted && let Some(queue) = queue.upgrade() {
                // What we know to be secret does not go to a server, whichever way it came here.
                let outcome = outcome.map(|answer| around.screen.arguments(&answer).unwrap_or(answer));
                let line = Message::response(Some(id), outcome).to_line();
                drop(queue.send(plain(line)).await);
            }
        });
    }

    /// Where a client's progress with a request of the server goes, if that wants to hear of it: back, under its own
    /// token.
    fn progress_of(&self, params: &Raw) -> Option<Progress> {
        let asked = Object::parse(params).ok()?;
        let token = RequestMeta::of(&asked).progress_token()?.to_owned();
        let (queue, around) = (self.queue.clone(), Arc::clone(&self.around));
        Some(Arc::new(move |told: &Raw| {
            let told = around.screen.arguments(told).unwrap_or_else(|| told.clone());
            let (Ok(mut params), Some(queue)) = (Object::parse(&told), queue.upgrade()) else {
                return;
            };
            params.set(meta::PROGRESS_TOKEN, &token);
            let line = Message::notification(method::PROGRESS, params.to_raw()).to_line();
            // A server that does not read misses it.
            drop(queue.try_send(plain(line)));
        }))
    }

    fn respond(&self, id: Id, outcome: Result<Raw, Fault>) {
        let line = Message::response(Some(id), outcome).to_line();
        // Without waiting: a server that writes and does not read would hold up all its answers. One that does not
        // read will not miss this one.
        if let Some(queue) = self.queue.upgrade() {
            drop(queue.try_send(plain(line)));
        }
    }

    /// Where a notification goes that belongs to a call, if that can be told.
    fn route(&self, related: Option<u64>) -> Option<Arc<Route>> {
        let Belongs::To(call) = asks::belongs(related, None, self.shared.at_work(), &[]) else {
            return None;
        };
        self.route_of(call.number)
    }

    /// Whether that is a request of the gateway itself, a subscription for example, and not a client's call.
    fn is_own(&self, request: u64) -> bool {
        lock(&self.shared.pending)
            .get(&request)
            .is_some_and(|pending| pending.caller.is_none())
    }

    /// Where the messages of that request go.
    fn route_of(&self, call: u64) -> Option<Arc<Route>> {
        lock(&self.shared.pending).get(&call)?.route.clone()
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
                let level = level.unwrap_or(Level::Info);
                let params = self.around.screen.result(bridge::untagged(params));
                let (at_work, left) = self
                    .shared
                    .at_work_and_left(Instant::now(), self.around.limits.list);
                let may_be_of_one = match related {
                    None => !left.is_empty(),
                    Some(number) => !self.is_own(number),
                };
                match asks::belongs(related, None, at_work, &left) {
                    Belongs::To(call) => {
                        if let Some(route) = self.route_of(call.number) {
                            route.log(level, params);
                        }
                    }
                    // Of a call that was given up, or perhaps of one.
                    Belongs::ToNone(_) if may_be_of_one => {
                        tracing::debug!(server = &*self.server, "a log message of a call that is over");
                    }
                    Belongs::ToNone(_) => publish(&Event::Log { level, params }),
                    // It is for one of them alone.
                    Belongs::ToSeveral => tracing::debug!(
                        server = &*self.server,
                        "a log message that could be for any of several clients is for none"
                    ),
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
            let subscription = pending.get_mut(&number).filter(|it| it.caller.is_none())?;
            Some(subscription.acknowledged.take())
        });
        match waiting {
            // An error means that nobody waits for it.
            Some(Some(waiting)) => drop(waiting.send(params)),
            Some(None) => self.reopened(&params),
            None => {}
        }
    }

    /// A subscription was cut and is open again: what has changed meanwhile nobody told.
    fn reopened(&self, params: &Raw) {
        let filter = || {
            let params = Object::parse(params).ok()?;
            Some(params.get("notifications")?.to_owned())
        };
        let Some(filter) = filter() else { return };
        let Ok(filter) = Object::parse(&filter) else {
            return;
        };
        let uris = filter.get("resourceSubscriptions").and_then(items);
        for uri in uris.into_iter().flatten().filter_map(text) {
            let params = to_raw(&json!({"uri": uri}));
            let uri = uri.into_owned();
            self.around.hub.publish(&Event::ResourceUpdated { uri, params });
        }
        self.around.hub.look_again();
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
        let route = token.and_then(|token| self.route_of(token));
        if let Some(route) = route {
            route.progress(params, |params| self.around.screen.result(params));
        }
    }
}

fn text_of(params: &Raw, member: &str) -> Option<String> {
    Object::parse(params).ok()?.text(member).map(Cow::into_owned)
}
