//! A server behind the gateway: its instances ([`pool`]), what it lists ([`lists`]), and how it does. To the rest of
//! the gateway it is one thing that answers requests; which instance does, or that one has to be started first, is
//! decided here.

mod asking;
mod asks;
mod circuit;
mod connection;
mod handshake;
mod instance;
mod known;
mod lease;
mod listening;
mod lists;
mod pages;
mod pool;
mod reader;
mod report;
mod room;
mod route;
mod supervise;
mod warm;
mod watching;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::edit::Object;
use wire::{Fault, Raw, code, meta, method};

use self::asks::Group;
pub(crate) use self::asks::{Asker, Progress};
use self::circuit::Circuit;
use self::handshake::Spoken;
pub(crate) use self::instance::{Instance, Owner};
pub(crate) use self::known::{Known, List};
pub(crate) use self::lease::{Key, Lease};
pub(crate) use self::listening::LOGS;
use self::pool::Slot;
pub(crate) use self::room::Room;
pub(crate) use self::route::Route;
use crate::caller::{Caller, Peer};
use crate::events::{Audience, Sink, Who};
use crate::parts::{Connect, Describe, FirstSight, Life, Origin, Prepare, Screening, Server, Sharing};
use crate::pins::Approved;
use crate::screen::Screen;
use crate::status::What;
use crate::{Limits, Memory};

/// Why instances end when the gateway does.
const STOPPING: &str = "the gateway is stopping";
/// So many events of a server's life are kept.
const HISTORY: usize = 20;

/// What all servers share of the gateway.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) limits: Limits,
    /// What the gateway calls itself towards servers: `clientInfo`.
    pub(crate) info: Raw,
    /// The profile of clients that name none.
    pub(crate) profile: Arc<str>,
    /// Where an instance says what happened in it.
    pub(crate) hub: Sink,
    pub(crate) screen: Arc<Screen>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) starts: Arc<Semaphore>,
    pub(crate) room: Arc<Room>,
    pub(crate) memory: Option<Arc<dyn Memory>>,
    /// What was approved in this process, where there is no memory.
    pub(crate) pins: Arc<Approved>,
    /// Counts changes of any list, so that an index knows whether it is out of date.
    pub(crate) changes: Arc<AtomicU64>,
}

pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) describe: Arc<dyn Describe>,
    /// Put before the names of its tools and prompts, always.
    pub(crate) prefix: Option<String>,
    pub(crate) origin: Origin,
    pub(crate) first_sight: FirstSight,
    pub(crate) screening: Screening,
    instructions: Option<String>,
    profiles: Arc<[String]>,
    sharing: Sharing,
    life: Life,
    fingerprint: Option<String>,
    tools: Option<Vec<String>>,
    connect: Connect,
    prepare: Option<Prepare>,
    /// Taken while something is prepared.
    preparing: tokio::sync::Mutex<()>,
    /// In which era it was found to speak.
    spoken: Spoken,
    around: Arc<Surroundings>,
    slots: RwLock<HashMap<Key, Slot>>,
    circuit: Mutex<Circuit>,
    lists: lists::Cells,
    /// Who watches which resource of each instance.
    watched: Mutex<HashMap<Key, HashMap<String, watching::Watched>>>,
    /// The mildest log level that any client asked for.
    level: Mutex<Option<&'static str>>,
    /// It was taken out of the configuration.
    retired: CancellationToken,
    next: AtomicU64,
    record: Mutex<Record>,
    early: watching::Early,
    /// It was seen to ask clients without saying in which call.
    asks: AtomicBool,
}

#[derive(Default, Clone)]
struct Record {
    starts: u64,
    calls: u64,
    last_error: Option<String>,
    history: VecDeque<(Instant, String, What, String)>,
}

/// Why a server gave no answer. An error that it gave itself is none of these.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("server {server} can't be started: {cause}")]
    Start { server: String, cause: String },
    #[error(
        "server {server} ended while it worked on {method}{}; whether that took effect is not known. It is started \
         again with the next call, and `dockmaster server logs {server}` may say more",
        why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default()
    )]
    Died {
        server: String,
        method: String,
        /// Such as by which exit code, where that is known.
        why: Option<String>,
    },
    #[error(
        "server {server} did not answer {method} within {} s{}; it was told to stop, but whether the call took \
         effect is not known", after.as_secs(), bound(method)
    )]
    TimedOut {
        server: String,
        method: String,
        after: Duration,
    },
    #[error("server {server} answers {method} with {what}")]
    Nonsense {
        server: String,
        method: String,
        what: String,
    },
    #[error(
        "the tool {tool:?} of server {server} is not what was approved, or was never approved, and is held \
         back. A person can look at the difference and approve it: `dockmaster server approve {server}`"
    )]
    Held { server: String, tool: String },
    #[error("the request was cancelled before it ended")]
    Cancelled,
    #[error("the gateway is stopping")]
    Stopping,
}

/// The setting that bounds a request of that method, as it is put behind the time.
fn bound(method: &str) -> &'static str {
    match method {
        method::TOOLS_LIST
        | method::PROMPTS_LIST
        | method::RESOURCES_LIST
        | method::TEMPLATES_LIST
        | method::COMPLETE
        | method::SUBSCRIBE
        | method::UNSUBSCRIBE
        | method::TASKS_GET
        | method::TASKS_LIST
        | method::TASKS_CANCEL
        | method::PING => ", its `list_timeout`",
        method if method.contains('/') => ", its `call_timeout`",
        _ => "",
    }
}

impl From<NoAnswer> for Fault {
    fn from(error: NoAnswer) -> Self {
        let code = match &error {
            NoAnswer::Held { .. } => code::INVALID_PARAMS,
            _ => code::INTERNAL_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

/// How a request is sent.
pub(crate) struct Sending<'a> {
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) limit: Duration,
    /// Whose request it is; `None`: the gateway's own.
    pub(crate) caller: Option<&'a Caller>,
    /// Where progress and log messages of this request go.
    pub(crate) route: Option<Arc<Route>>,
    /// Where requests go that the server makes meanwhile; `None`: they are refused.
    pub(crate) asker: Option<Arc<dyn Asker>>,
    /// Parameters that HTTP mirrors.
    pub(crate) headers: Vec<(String, String)>,
    /// A modern server is told that the answer may be a task, whatever else its client can do.
    pub(crate) takes_tasks: bool,
}

/// A server's result or error to a call, and the instance that gave it, which stays as long as this does.
pub(crate) struct Answer {
    pub(crate) outcome: Result<Raw, Raw>,
    pub(crate) lease: Lease,
}

impl Answer {
    /// The same with another result.
    pub(crate) fn map(self, change: impl FnOnce(Raw) -> Raw) -> Self {
        Self {
            outcome: self.outcome.map(change),
            lease: self.lease,
        }
    }
}

impl<'a> Sending<'a> {
    /// A request of the gateway itself.
    pub(crate) fn own(cancel: &'a CancellationToken, limit: Duration) -> Self {
        Self {
            cancel,
            limit,
            caller: None,
            route: None,
            asker: None,
            headers: Vec::new(),
            takes_tasks: false,
        }
    }

    /// A small request of a client: nothing comes before its answer.
    pub(crate) fn plain(caller: &'a Caller, cancel: &'a CancellationToken, limit: Duration) -> Self {
        Self {
            caller: Some(caller),
            ..Self::own(cancel, limit)
        }
    }
}

impl Upstream {
    pub(crate) fn new(server: Server, around: Arc<Surroundings>) -> Self {
        Self {
            name: server.name.as_str().to_owned(),
            describe: server.describe,
            prefix: server.prefix.filter(|prefix| !prefix.is_empty()),
            origin: server.origin,
            first_sight: server.first_sight,
            screening: server.screening,
            instructions: server.instructions,
            profiles: server.profiles.into(),
            sharing: server.sharing,
            life: server.life,
            fingerprint: server.fingerprint,
            tools: server.tools,
            connect: server.connect,
            prepare: server.prepare,
            preparing: tokio::sync::Mutex::default(),
            spoken: Spoken::default(),
            around,
            slots: RwLock::default(),
            circuit: Mutex::default(),
            lists: lists::Cells::default(),
            watched: Mutex::default(),
            level: Mutex::default(),
            retired: CancellationToken::new(),
            next: AtomicU64::new(1),
            record: Mutex::default(),
            early: watching::Early::default(),
            asks: AtomicBool::new(false),
        }
    }

    /// Whether `server` says the same of itself, so that this one can stay in its place. How one reaches it can't be
    /// compared, so a fingerprint has to vouch for that.
    pub(crate) fn is_same_as(&self, server: &Server) -> bool {
        self.fingerprint.is_some()
            && self.fingerprint == server.fingerprint
            && self.name == server.name.as_str()
            && *self.profiles == *server.profiles
            && self.sharing == server.sharing
            && self.life == server.life
            && self.tools == server.tools
            && self.origin == server.origin
            && self.first_sight == server.first_sight
            && self.screening == server.screening
            && self.instructions == server.instructions
            && self.prefix == server.prefix.clone().filter(|prefix| !prefix.is_empty())
    }

    /// It is in the configuration no more: nobody new comes in, what is at work may end.
    pub(crate) fn retire(&self) {
        self.retired.cancel();
    }

    pub(crate) fn memory(&self) -> Option<&Arc<dyn Memory>> {
        self.around.memory.as_ref()
    }

    pub(crate) fn pins(&self) -> &Approved {
        &self.around.pins
    }

    /// Under which name is kept what was approved of it: two profiles may each have a server of one name, which are not
    /// the same. Neither part has a slash.
    pub(crate) fn pinned_as(&self) -> String {
        match &*self.profiles {
            [profile, ..] if !self.is_in(&self.around.profile) => format!("{profile}/{}", self.name),
            _ => self.name.clone(),
        }
    }

    /// Whether some of its tools wait to be approved.
    pub(crate) fn has_held(&self) -> bool {
        self.any_known().is_some_and(|known| !known.held.is_empty())
    }

    /// Whether it is in that profile.
    pub(crate) fn is_in(&self, profile: &str) -> bool {
        self.profiles.is_empty() || self.names_profile(profile)
    }

    /// Whether it says of itself that it is in that profile.
    pub(crate) fn names_profile(&self, profile: &str) -> bool {
        self.profiles.iter().any(|name| name == profile)
    }

    /// Whether what it lists may be different for each principal.
    pub(crate) fn lists_by_principal(&self) -> bool {
        self.sharing == Sharing::Principal
    }

    /// What permissions and the server call a listed tool: the listed name may itself be an alias.
    pub(crate) fn own_name(&self, listed: &str) -> String {
        self.describe
            .canonical(listed)
            .unwrap_or_else(|| listed.to_owned())
    }

    /// Whether the configuration lets that tool be listed and called, by its own or its listed name.
    pub(crate) fn permits(&self, tool: &str) -> bool {
        let Some(tools) = &self.tools else { return true };
        let own = self.own_name(tool);
        tools.iter().any(|name| *name == own || name == tool)
    }

    /// Whether a name that no list has may be called: of our own servers only, as nobody approved the others' tools
    /// unseen.
    pub(crate) fn unlisted(&self, name: &str) -> Option<String> {
        let own = self.describe.canonical(name)?;
        (self.origin == Origin::BuiltIn && self.permits(&own)).then_some(own)
    }

    /// Whether it was found to speak the modern era.
    pub(crate) fn is_modern(&self) -> bool {
        self.spoken.is_modern()
    }

    /// How long a start with its handshake may take.
    pub(crate) fn start_limit(&self) -> Duration {
        self.life.start.unwrap_or(self.around.limits.start)
    }

    /// How long one call may take.
    pub(crate) fn call_limit(&self) -> Duration {
        self.life.call.unwrap_or(self.around.limits.call)
    }

    /// How long a list or another small request may take.
    pub(crate) fn list_limit(&self) -> Duration {
        self.life.list.unwrap_or(self.around.limits.list)
    }

    /// What it tells models about itself: as it was configured, else as it said at its last start. What comes from
    /// outside is screened.
    pub(crate) fn instructions(&self, peer: &Peer) -> Option<String> {
        let said = || self.peek(peer)?.instructions.clone();
        self.instructions.clone().or_else(said)
    }

    /// Sends a request for `caller` and waits for its answer: the server's result or error, as it came.
    pub(crate) async fn request(
        self: &Arc<Self>,
        caller: &Caller,
        method: &str,
        params: Object<'_>,
        sending: Sending<'_>,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
        Ok(self.call(caller, method, params, sending).await?.outcome)
    }

    /// The same; the instance stays at hand.
    pub(crate) async fn call(
        self: &Arc<Self>,
        caller: &Caller,
        method: &str,
        params: Object<'_>,
        sending: Sending<'_>,
    ) -> Result<Answer, NoAnswer> {
        let lease = match self.aside(caller, &sending) {
            Some(owner) => self.lease_of(owner, sending.cancel).await?,
            None => self.lease(&caller.peer(), sending.cancel).await?,
        };
        if method == method::TOOLS_CALL {
            self.not_held(&caller.peer(), &params)?;
            lease.count_call();
            lock(&self.record).calls += 1;
        }
        let outcome = self.send(&lease, method, params, sending).await?;
        Ok(Answer { outcome, lease })
    }

    /// Whether the tool is as it was approved, as far as that is known now: it may have started since it was found.
    fn not_held(&self, peer: &Peer, params: &Object<'_>) -> Result<(), NoAnswer> {
        let Some(known) = self.peek(peer).filter(|known| !known.held.is_empty()) else {
            return Ok(());
        };
        let tool = params.text("name").unwrap_or_default();
        if known.held.contains_key(&*tool) {
            return Err(NoAnswer::Held {
                server: self.name.clone(),
                tool: tool.into_owned(),
            });
        }
        Ok(())
    }

    /// It asks clients in the middle of calls, and does not say in which.
    pub(crate) fn asks_clients(&self) {
        self.asks.store(true, Ordering::Relaxed);
    }

    /// The owner of an instance of its own for a call that would share one with another client's, where what the server
    /// asks could be either's. Only servers that were seen to ask take one.
    fn aside(&self, caller: &Caller, sending: &Sending<'_>) -> Option<Owner> {
        if !self.asks.load(Ordering::Relaxed) || sending.asker.is_none() {
            return None;
        }
        let peer = caller.peer();
        let key = match self.sharing {
            Sharing::Everyone | Sharing::Principal => self.key(&peer),
            Sharing::Session | Sharing::Call => return None,
        };
        let is_taken = self.ready(&key)?.works_for_others(&Group::of(caller));
        is_taken.then(|| Owner {
            key: Key::Call(self.next_number()),
            lifeline: None,
            principal: Some(peer.principal),
        })
    }

    /// Sends a request to one particular instance.
    pub(crate) async fn send(
        &self,
        lease: &Lease,
        method: &str,
        params: Object<'_>,
        sending: Sending<'_>,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
        let mut answer = lease.request(method, params, sending).await;
        if let Err(NoAnswer::Died { why, .. }) = &mut answer {
            *why = lease.end().await;
        }
        match &answer {
            Ok(_) => lock(&self.circuit).worked(),
            Err(error @ (NoAnswer::Died { .. } | NoAnswer::TimedOut { .. })) => {
                lock(&self.record).last_error = Some(error.to_string());
                lease.doubt();
            }
            Err(_) => {}
        }
        answer
    }

    /// Whether it speaks the modern era; started to find out where that is not known yet.
    pub(crate) async fn speaks_modern(
        self: &Arc<Self>,
        peer: &Peer,
        cancel: &CancellationToken,
    ) -> Result<bool, NoAnswer> {
        if !self.spoken.is_modern() && !self.spoken.is_legacy() {
            drop(self.lease(peer, cancel).await?);
        }
        Ok(self.spoken.is_modern())
    }

    /// Whether calls of its tools may become tasks, as far as is known.
    pub(crate) fn offers_tasks(&self, peer: &Peer) -> bool {
        let known = self.peek(peer);
        let capabilities = known.as_ref().and_then(|known| known.said.capabilities.as_ref());
        capabilities.is_some_and(|raw| wire::bridge::task::offered(raw))
    }

    /// Ends a task that nobody waits for any more, in a task of its own.
    pub(crate) fn cancel_task_soon(self: &Arc<Self>, owner: Owner, id: String) {
        let upstream = Arc::clone(self);
        self.around.tasks.spawn(async move {
            let Some(lease) = upstream.ready(&owner.key) else {
                return;
            };
            let mut params = Object::empty();
            params.set("taskId", &id);
            let sending = Sending {
                takes_tasks: true,
                ..Sending::own(&upstream.around.stop, upstream.list_limit())
            };
            if let Ok(Err(error)) = upstream.send(&lease, method::TASKS_CANCEL, params, sending).await {
                let why = Fault::Relayed(error).message();
                tracing::debug!(server = upstream.name, "tasks/cancel: {why}");
            }
        });
    }

    /// A request that belongs to no client's call, with the time limit of lists.
    pub(crate) async fn ask_of(&self, lease: &Lease, method: &str, params: Object<'_>) -> Result<Raw, Fault> {
        let sending = Sending::own(&self.around.stop, self.list_limit());
        self.send(lease, method, params, sending)
            .await?
            .map_err(Fault::Relayed)
    }

    /// Whether the server said that it has `capability`: "resources", "logging". Not asked again for it.
    pub(crate) async fn has(self: &Arc<Self>, peer: &Peer, capability: &str) -> Result<bool, NoAnswer> {
        Ok(self.known(peer).await?.offers(capability))
    }

    /// Everyone who sees the server.
    fn everyone(&self) -> Audience {
        Audience {
            server: self.name.as_str().into(),
            profiles: Arc::clone(&self.profiles),
            default: Arc::clone(&self.around.profile),
            who: Who::Everyone,
            key: Key::Everyone,
        }
    }

    /// Who hears of what happens in that instance now.
    pub(crate) fn audience_of(&self, instance: &Instance) -> Audience {
        let owner = lock(&instance.owner).clone();
        self.audience(&owner)
    }

    fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn read_slots(&self) -> RwLockReadGuard<'_, HashMap<Key, Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_slots(&self) -> RwLockWriteGuard<'_, HashMap<Key, Slot>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
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
        params.set_raw(meta::META, object.to_raw());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
