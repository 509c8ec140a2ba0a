//! A legacy client over one stdio pipe or one HTTP session: what it said of itself, what it has running, what
//! it was asked, what it watches. The stdio pipe uses it for modern requests too, for the ids in flight.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use wire::edit::Object;
use wire::meta::ClientCapabilities;
use wire::{Era, Fault, Id, Message, Raw, Request, Response, Version, code, meta, method, to_raw};

use crate::caller::{Asking, Caller, Identity, Length, Lifeline, Peer, Side};
use crate::events::{Audience, Event, Level, Listen, Registration, Watch};
use crate::outlet::Outlet;
use crate::tasks::Handle;
use crate::upstream::{Progress, set_meta};

pub(crate) struct Session {
    peer: Peer,
    most_in_flight: usize,
    hello: Mutex<Option<Hello>>,
    /// It is over: what is cancelled from now on was not cancelled by the client, and gets an answer.
    is_closed: AtomicBool,
    in_flight: Mutex<HashMap<Id, CancellationToken>>,
    asks: Mutex<Asks>,
    next_ask: AtomicU64,
    /// Takes what belongs to no request: the pipe, or the stream that an HTTP client opened with GET.
    stream: Mutex<Option<Outlet>>,
    watches: Mutex<HashMap<String, Watch>>,
    level: Mutex<Option<Level>>,
    registration: Mutex<Option<Registration>>,
    /// Visits that its client was asked for, the oldest first: word of their end concerns it.
    visits: Mutex<VecDeque<String>>,
    /// Likewise its tasks.
    tasks: Mutex<VecDeque<Arc<Handle>>>,
}

/// So many visits and tasks of a session are remembered.
const REMEMBERED: usize = 256;

/// What `initialize` settled.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) version: Version,
    pub(crate) client: String,
    pub(crate) capabilities: ClientCapabilities,
    /// The same for modern servers.
    pub(crate) identity: Arc<Identity>,
}

#[derive(Default)]
struct Asks {
    /// Nobody can answer any more.
    closed: bool,
    /// By their numbers, which are the tokens for progress, too.
    open: HashMap<u64, Open>,
}

struct Open {
    answer: oneshot::Sender<Result<Raw, Raw>>,
    progress: Option<Progress>,
}

impl Session {
    pub(crate) fn new(peer: Peer, most_in_flight: usize) -> Arc<Self> {
        let session = Arc::new(Self {
            peer: Peer {
                session: Some(Lifeline::new()),
                ..peer
            },
            most_in_flight,
            hello: Mutex::default(),
            is_closed: AtomicBool::new(false),
            in_flight: Mutex::default(),
            asks: Mutex::default(),
            next_ask: AtomicU64::new(1),
            stream: Mutex::default(),
            watches: Mutex::default(),
            level: Mutex::default(),
            registration: Mutex::default(),
            visits: Mutex::default(),
            tasks: Mutex::default(),
        });
        if let Some(lifeline) = &session.peer.session {
            lifeline.is_of(&session);
        }
        session
    }

    /// Where its requests come from.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Keeps what `initialize` settled; `false` if that was settled before.
    pub(crate) fn greet(&self, hello: Hello, registration: Registration) -> bool {
        let mut slot = lock(&self.hello);
        if slot.is_some() {
            return false;
        }
        *slot = Some(hello);
        *lock(&self.registration) = Some(registration);
        true
    }

    pub(crate) fn hello(&self) -> Option<Hello> {
        lock(&self.hello).clone()
    }

    /// Who asks, in a request of the legacy era.
    pub(crate) fn caller(self: &Arc<Self>, hello: Hello, can_ask: bool) -> Caller {
        let asks =
            can_ask && hello.version.has_elicitation() && hello.capabilities.has(wire::meta::Ability::Form);
        Caller {
            principal: self.peer.principal.clone(),
            view: self.peer.view.clone(),
            session: self.peer.session.clone(),
            client: hello.client,
            era: Era::Legacy(hello.version),
            length: Length::Budget,
            asking: if asks {
                Asking::Elicit(Arc::clone(self))
            } else {
                Asking::Unable
            },
            side: Side {
                abilities: if can_ask {
                    hello.capabilities
                } else {
                    ClientCapabilities::default()
                },
                answers: can_ask.then(|| Arc::clone(self)),
                identity: Some(hello.identity),
                level: *lock(&self.level),
                behind: self.peer.behind.clone(),
            },
        }
    }

    /// Notes that `request` is at work, until the returned value goes.
    pub(crate) fn begin(self: &Arc<Self>, request: &Request) -> Result<Work, Fault> {
        let mut in_flight = lock(&self.in_flight);
        if in_flight.len() >= self.most_in_flight {
            return Err(Fault::new(
                code::INTERNAL_ERROR,
                format!(
                    "{} requests are at work already, wait for one to end",
                    in_flight.len()
                ),
            ));
        }
        if in_flight.contains_key(&request.id) {
            return Err(Fault::new(
                code::INVALID_REQUEST,
                format!("the id {} belongs to a request that is still at work", request.id),
            ));
        }
        let cancel = CancellationToken::new();
        in_flight.insert(request.id.clone(), cancel.clone());
        Ok(Work {
            session: Arc::clone(self),
            id: request.id.clone(),
            cancel,
        })
    }

    pub(crate) fn is_busy(&self) -> bool {
        !lock(&self.in_flight).is_empty()
    }

    /// Takes a notification of the client.
    pub(crate) fn hear(&self, notification: &wire::Notification) {
        let Some(params) = &notification.params else {
            return;
        };
        let named = |member| Id::from_raw(Object::parse(params).ok()?.get(member)?);
        match notification.method.as_str() {
            method::CANCELLED => {
                let cancel = named("requestId").and_then(|id| lock(&self.in_flight).get(&id).cloned());
                if let Some(cancel) = cancel {
                    cancel.cancel();
                }
            }
            method::PROGRESS => {
                let number = named(meta::PROGRESS_TOKEN).and_then(|token| token.as_u64());
                let progress = number.and_then(|number| lock(&self.asks).open.get(&number)?.progress.clone());
                if let Some(progress) = progress {
                    progress(params);
                }
            }
            _ => {}
        }
    }

    /// Takes the client's answer to something it was asked.
    pub(crate) fn answered(&self, response: Response) {
        let ask = response
            .id
            .and_then(|id| id.as_u64())
            .and_then(|id| lock(&self.asks).open.remove(&id));
        let Some(ask) = ask else {
            return tracing::debug!("a client answered what it was not asked");
        };
        // An error means that nobody waits any longer; late answers are dropped.
        drop(ask.answer.send(response.outcome));
    }

    /// Asks the client and waits for its answer. When the caller stops waiting, the client is told so. `None`:
    /// the client went away, or can't be asked any more.
    pub(crate) async fn ask(
        &self,
        outlet: &Outlet,
        method: &str,
        mut params: Raw,
        progress: Option<Progress>,
    ) -> Option<Result<Raw, Raw>> {
        let number = self.next_ask.fetch_add(1, Ordering::Relaxed);
        if progress.is_some()
            && let Ok(mut members) = Object::parse(&params)
        {
            set_meta(&mut members, |meta| meta.set(meta::PROGRESS_TOKEN, &number));
            params = members.to_raw();
        }
        let (sender, answer) = oneshot::channel();
        {
            let mut asks = lock(&self.asks);
            if asks.closed {
                return None;
            }
            let open = Open {
                answer: sender,
                progress,
            };
            asks.open.insert(number, open);
        }
        let open = OpenAsk {
            session: self,
            outlet,
            number,
        };
        let request = Request {
            id: number.into(),
            method: method.to_owned(),
            params: Some(params),
        };
        outlet.send(&Message::Request(request)).await.ok()?;
        let answer = tokio::select! {
            answer = answer => answer.ok(),
            () = outlet.closed() => None,
        };
        drop(open);
        answer
    }

    /// Ends all that waits for an answer of the client: it has closed its side.
    pub(crate) fn stop_asking(&self) {
        let mut asks = lock(&self.asks);
        asks.closed = true;
        asks.open.clear();
    }

    /// Lets what is at work end, and nothing else: nobody can be asked, and the stream ends.
    pub(crate) fn wind_down(&self) {
        self.stop_asking();
        lock(&self.stream).take();
    }

    /// Ends everything.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.stop_asking();
        for cancel in lock(&self.in_flight).values() {
            cancel.cancel();
        }
        lock(&self.registration).take();
        lock(&self.watches).clear();
        lock(&self.stream).take();
        if let Some(lifeline) = &self.peer.session {
            lifeline.end();
        }
    }

    /// Sets where notifications of no request go; a stream that was there before ends.
    pub(crate) fn set_stream(&self, outlet: Outlet) {
        *lock(&self.stream) = Some(outlet);
    }

    /// Where they go at the moment.
    pub(crate) fn stream(&self) -> Option<Outlet> {
        lock(&self.stream).clone()
    }

    pub(crate) fn set_level(&self, level: Level) {
        *lock(&self.level) = Some(level);
    }

    pub(crate) fn watches(&self, uri: &str) -> bool {
        lock(&self.watches).contains_key(uri)
    }

    pub(crate) fn watching(&self) -> usize {
        lock(&self.watches).len()
    }

    pub(crate) fn watch(&self, uri: &str, watch: Watch) {
        lock(&self.watches).insert(uri.to_owned(), watch);
    }

    pub(crate) fn unwatch(&self, uri: &str) {
        lock(&self.watches).remove(uri);
    }

    /// Word that this visit is done concerns the client.
    pub(crate) fn expect_visit(&self, id: String) {
        remember(&mut lock(&self.visits), id);
    }

    /// And so does word of this task.
    pub(crate) fn expect_task(&self, task: Arc<Handle>) {
        let mut tasks = lock(&self.tasks);
        tasks.retain(|known| known.id != task.id);
        if tasks.len() >= REMEMBERED {
            tasks.pop_front();
        }
        tasks.push_back(task);
    }

    /// Whether that visit was expected; it is not again.
    fn had_visit(&self, id: &str) -> bool {
        let mut visits = lock(&self.visits);
        let before = visits.len();
        visits.retain(|expected| expected != id);
        visits.len() < before
    }
}

impl Drop for Session {
    /// One that was never closed (a handshake that failed) ends with its last user.
    fn drop(&mut self) {
        if let Some(lifeline) = &self.peer.session {
            lifeline.end();
        }
    }
}

impl Listen for Session {
    fn hear(&self, audience: Option<&Audience>, event: &Event) {
        if !audience.is_none_or(|audience| audience.reaches(&self.peer)) {
            return;
        }
        let event = match event {
            Event::ToolsChanged | Event::PromptsChanged | Event::ResourcesChanged => event.clone(),
            Event::ResourceUpdated { uri, .. } => {
                let watches = lock(&self.watches);
                let mut watches = watches.iter();
                let Some((exposed, _)) = watches.find(|(_, watch)| watch.is_of(audience, uri)) else {
                    return;
                };
                event.under(exposed)
            }
            Event::Log { level, .. } if lock(&self.level).is_some_and(|least| *level >= least) => {
                event.clone()
            }
            Event::Elicited { id, .. } if self.had_visit(id) => event.clone(),
            Event::Task { id, .. } => {
                let tasks = lock(&self.tasks);
                let Some(task) = tasks.iter().find(|task| task.is_of(audience, id)) else {
                    return;
                };
                event.under(&task.id)
            }
            Event::Log { .. } | Event::Elicited { .. } => return,
        };
        if let Some(stream) = &*lock(&self.stream) {
            stream.offer(event.message(None).to_line());
        }
    }
}

/// A request at work. Its number is free again when this goes.
pub(crate) struct Work {
    session: Arc<Session>,
    id: Id,
    pub(crate) cancel: CancellationToken,
}

impl Work {
    /// The message that answers the request; `None` if the client cancelled it, as then none may be sent.
    pub(crate) fn answer(self, outcome: Result<Raw, Fault>) -> Option<Message> {
        let by_client = self.cancel.is_cancelled() && !self.session.is_closed.load(Ordering::Acquire);
        (!by_client).then(|| Message::response(Some(self.id.clone()), outcome))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        lock(&self.session.in_flight).remove(&self.id);
    }
}

/// A question that waits for the client's answer; when it is given up, the client is told.
struct OpenAsk<'a> {
    session: &'a Session,
    outlet: &'a Outlet,
    number: u64,
}

impl Drop for OpenAsk<'_> {
    fn drop(&mut self) {
        if lock(&self.session.asks).open.remove(&self.number).is_some() {
            let params = to_raw(&json!({"requestId": self.number, "reason": "no longer needed"}));
            self.outlet
                .offer(Message::notification(method::CANCELLED, params).to_line());
        }
    }
}

fn remember(ids: &mut VecDeque<String>, id: String) {
    if ids.contains(&id) {
        return;
    }
    if ids.len() >= REMEMBERED {
        ids.pop_front();
    }
    ids.push_back(id);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section here leaves the value whole, so a panic elsewhere in the holder does no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
