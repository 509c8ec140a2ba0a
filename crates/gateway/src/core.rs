//! What everything in the gateway hangs on, and the handle that the floor above holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::edit::Object;
use wire::{Fault, Raw, Version, method, to_raw};

use crate::budget::Kept;
use crate::call::{self, Incoming, Kind};
use crate::caller::{Asking, Caller, Length, Peer, Principal, Side, View};
use crate::confirm::Confirmer;
use crate::events::{Event, Hub, Sink};
use crate::input::Park;
use crate::journal::Outcome;
use crate::lists;
use crate::outlet::Outlet;
use crate::parts::{Origin, Parts, Server};
use crate::pins::{self, Approved, Held};
use crate::screen::Screen;
use crate::seal::Sealer;
use crate::set::Set;
use crate::status::Status;
use crate::tasks::Tasks;
use crate::upstream::{Room, Surroundings, Upstream};
use crate::{HttpOptions, HttpServer, Journal, Limits, http, pipe};

/// The gateway. Clones share it.
#[derive(Clone)]
pub struct Gateway {
    core: Arc<Core>,
    view: View,
}

pub(crate) struct Core {
    pub(crate) name: String,
    pub(crate) version: String,
    set: RwLock<Arc<Set>>,
    /// Counts changes of what servers list.
    pub(crate) changes: Arc<AtomicU64>,
    around: Arc<Surroundings>,
    rules: RwLock<Arc<policy::Rules>>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) limits: Limits,
    pub(crate) screen: Arc<Screen>,
    pub(crate) sealer: Sealer,
    /// Calls that wait for input of their clients.
    pub(crate) park: Arc<Park>,
    pub(crate) kept: Kept,
    /// Calls whose answer comes later.
    pub(crate) known_tasks: Tasks,
    pub(crate) hub: Arc<Hub>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) counters: Counters,
    pub(crate) sessions: http::Sessions,
    started: Instant,
}

/// A call that the floor below the protocol makes: the command line.
pub struct Direct {
    /// For whom.
    pub principal: Principal,
    /// The program, for the audit.
    pub client: String,
    /// The tool, under its exposed name or an alias.
    pub tool: String,
    /// Its arguments: an object.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// Asks the person; without one, what needs a yes is refused.
    pub confirmer: Option<Arc<dyn Confirmer>>,
    /// Takes progress notifications: their `params`, as JSON text.
    pub progress: Option<mpsc::Sender<Raw>>,
    /// Ends the call early.
    pub cancel: CancellationToken,
}

/// Why a direct call gave no result. A tool that failed gave one, with `isError`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// The JSON-RPC code, where there is one.
    pub code: Option<i64>,
    /// What went wrong.
    pub message: String,
}

impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        Self {
            code: fault.code(),
            message: fault.message(),
        }
    }
}

impl Gateway {
    /// Puts a gateway together. No I/O: servers are reached when they are first needed.
    ///
    /// # Errors
    /// When the operating system gives no random numbers for the key that seals confirmations.
    pub fn new(parts: Parts) -> Result<Self, std::io::Error> {
        let Parts {
            servers,
            rules,
            journal,
            limits,
            secrets,
            name,
            version,
            profile,
            memory,
        } = parts;
        let sealer = Sealer::new(limits.confirm, limits.parked).map_err(std::io::Error::other)?;
        let hub = Arc::new(Hub::default());
        let screen = Arc::new(Screen::new(secrets));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let changes = Arc::new(AtomicU64::new(0));
        let profile: Arc<str> = profile.into();
        let around = Arc::new(Surroundings {
            limits: limits.clone(),
            info: to_raw(&json!({"name": name, "version": version})),
            profile: Arc::clone(&profile),
            hub: Sink::of_none(&hub),
            screen: Arc::clone(&screen),
            tasks: tasks.clone(),
            stop: stop.clone(),
            starts: Arc::new(Semaphore::new(limits.starts.clamp(1, 1_000))),
            room: Room::new(limits.instances, limits.instance_bytes),
            memory,
            pins: Approved::new(),
            changes: Arc::clone(&changes),
        });
        let upstreams = servers
            .into_iter()
            .map(|server| Arc::new(Upstream::new(server, Arc::clone(&around))))
            .collect();
        Ok(Self {
            view: View::Default,
            core: Arc::new(Core {
                kept: Kept::new(&limits),
                known_tasks: Tasks::default(),
                park: Park::new(limits.parked),
                sessions: http::Sessions::new(&limits),
                name,
                version,
                set: RwLock::new(Arc::new(Set::new(upstreams, profile))),
                changes,
                around,
                rules: RwLock::new(Arc::new(rules)),
                journal,
                limits,
                screen,
                sealer,
                hub,
                tasks,
                stop,
                counters: Counters::default(),
                started: Instant::now(),
            }),
        })
    }

    /// The same gateway, as it is seen by clients that [`Self::serve_stdio`], [`Self::call`] and [`Self::tools`] of this
    /// handle serve.
    #[must_use]
    pub fn with_view(&self, view: View) -> Self {
        Self {
            core: Arc::clone(&self.core),
            view,
        }
    }

    /// Whether there is such a profile or server.
    pub fn knows(&self, view: &View) -> bool {
        self.core.set().knows(view)
    }

    /// Serves one client over a pipe of newline-delimited JSON, until its input ends or `stop` is cancelled; what
    /// is at work then may go on for [`Limits::drain`].
    ///
    /// # Errors
    /// When reading fails, or writing for another reason than that the client is gone.
    pub async fn serve_stdio(
        &self,
        principal: Principal,
        reader: impl AsyncRead + Unpin,
        writer: impl AsyncWrite + Unpin + Send + 'static,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        self.core.prepare().await;
        pipe::serve(
            &self.core,
            Peer::new(principal, self.view.clone()),
            reader,
            writer,
            stop,
        )
        .await
    }

    /// Takes a TCP address for Streamable HTTP. [`HttpServer::serve`] then serves it.
    ///
    /// # Errors
    /// When the address can't be had, or would let in what the options do not name.
    pub async fn bind(&self, options: HttpOptions) -> Result<HttpServer, http::BindError> {
        let server = http::bind(Arc::clone(&self.core), options).await?;
        self.core.prepare().await;
        Ok(server)
    }

    /// Makes one call, on the same way as those of clients. The result is that of `tools/call`.
    ///
    /// # Errors
    /// When there is no such tool, no answer, or the audit can't be written.
    pub fn call(&self, direct: Direct) -> BoxFuture<'_, Result<Raw, CallError>> {
        Box::pin(self.called(direct))
    }

    async fn called(&self, direct: Direct) -> Result<Raw, CallError> {
        let caller = Caller {
            principal: direct.principal,
            view: self.view.clone(),
            session: None,
            client: direct.client,
            era: Version::LATEST_LEGACY.era(),
            asking: direct.confirmer.map_or(Asking::Unable, Asking::Direct),
            length: Length::Whole,
            side: Side::default(),
        };
        let mut params = Object::empty();
        params.set("name", &direct.tool);
        params.set("arguments", &direct.arguments);
        let (outlet, mut queue) = Outlet::new();
        if direct.progress.is_some() {
            params.set("_meta", &serde_json::json!({"progressToken": 1}));
        }
        let incoming = Incoming {
            kind: Kind::Tool,
            params,
            outlet: Some(&outlet),
            cancel: &direct.cancel,
        };
        let call = call::call(&self.core, &caller, &incoming);
        tokio::pin!(call);
        loop {
            tokio::select! {
                // Progress came before the result, and is passed on before it.
                biased;
                Some(message) = queue.recv() => {
                    let params = progress_params(&message.line);
                    if let (Some(sender), Some(params)) = (&direct.progress, params) {
                        // Full or gone: progress may be lost.
                        drop(sender.try_send(params));
                    }
                }
                result = &mut call => return Ok(result?),
            }
        }
    }

    /// The definitions of the tools that `principal` may use, as `tools/list` gives them. Unlike a client's list, which
    /// may come in parts, this waits for servers of which nothing is known yet, while their images are fetched too.
    ///
    /// # Errors
    /// When no server answers.
    pub async fn tools(&self, principal: &Principal) -> Result<Vec<Raw>, CallError> {
        let caller = Caller {
            principal: principal.clone(),
            view: self.view.clone(),
            session: None,
            client: String::new(),
            era: Version::LATEST_LEGACY.era(),
            asking: Asking::Unable,
            length: Length::Whole,
            side: Side::default(),
        };
        self.core.settle(&caller.peer()).await?;
        Ok(lists::tools(&self.core, &caller).await?)
    }

    /// Puts `servers` in the place of those there are. Servers of which nothing has changed (the same fingerprint and
    /// the same options) keep their instances; those that went let what is at work end. Clients are told that lists
    /// have changed.
    pub async fn set_servers(&self, servers: Vec<Server>) {
        self.replace(|_| false, servers).await;
    }

    /// As [`Self::set_servers`], but our own servers stay as they are: `servers` are all those from outside.
    pub async fn set_servers_from_outside(&self, servers: Vec<Server>) {
        self.replace(|upstream| upstream.origin == Origin::BuiltIn, servers)
            .await;
    }

    async fn replace(&self, stays: impl Fn(&Upstream) -> bool, servers: Vec<Server>) {
        let core = &self.core;
        let gone = {
            let mut present = core.set.write().unwrap_or_else(PoisonError::into_inner);
            let (kept, mut before): (Vec<_>, Vec<_>) = present
                .all()
                .iter()
                .cloned()
                .partition(|upstream| stays(upstream));
            let renewed = servers.into_iter().map(|server| {
                if let Some(at) = before.iter().position(|upstream| upstream.is_same_as(&server)) {
                    return before.swap_remove(at);
                }
                let new = Upstream::new(server, Arc::clone(&core.around));
                // What happened to it happened, whatever it is from now on.
                if let Some(old) = before.iter().find(|upstream| upstream.name == new.name) {
                    new.succeeds(old);
                }
                Arc::new(new)
            });
            let renewed: Vec<_> = renewed.collect();
            let upstreams = kept.into_iter().chain(renewed).collect();
            *present = Arc::new(Set::new(upstreams, Arc::clone(&core.around.profile)));
            before
        };
        for upstream in gone {
            upstream.retire();
        }
        core.changes.fetch_add(1, Ordering::Release);
        core.prepare().await;
        core.tell_of_changes();
    }

    /// Puts `rules` in the place of those there are: they decide from the next call on. Clients are told that lists have
    /// changed, as they show what the rules let pass.
    pub fn set_rules(&self, rules: policy::Rules) {
        let core = &self.core;
        {
            let mut present = core.rules.write().unwrap_or_else(PoisonError::into_inner);
            if **present == rules {
                return;
            }
            *present = Arc::new(rules);
        }
        core.changes.fetch_add(1, Ordering::Release);
        core.tell_of_changes();
    }

    /// The tools of servers from outside that are held back until they are approved, with their old and new
    /// definitions, as JSON text in one spelling. What the servers list is read first, which may start them.
    ///
    /// # Errors
    /// When there is no such server, or what it lists can't be read.
    pub async fn held(&self, principal: &Principal, server: &str) -> Result<Vec<Held>, CallError> {
        let (upstream, peer) = self.core.named(principal, &self.view, server)?;
        let known = upstream.known(&peer).await.map_err(Fault::from)?;
        upstream.judge_again().await;
        let known = upstream.peek(&peer).unwrap_or(known);
        let mut held: Vec<_> = known.held.values().cloned().collect();
        held.sort_by(|one, other| one.tool.cmp(&other.tool));
        Ok(held)
    }

    /// Approves what a server's tools say of themselves now: of `tools` alone, or of all that there are.
    ///
    /// # Errors
    /// When there is no such server or tool, what it lists can't be read, or the approval not be written down.
    pub async fn approve(
        &self,
        principal: &Principal,
        server: &str,
        tools: Option<&[String]>,
    ) -> Result<(), CallError> {
        let (upstream, peer) = self.core.named(principal, &self.view, server)?;
        let known = upstream.known(&peer).await.map_err(Fault::from)?;
        let now = pins::definitions(&known.said.tools);
        let failed = |message: String| CallError { code: None, message };
        if let Some(tools) = tools
            && let Some(unknown) = tools
                .iter()
                .find(|tool| !now.iter().any(|known| known.tool == **tool))
        {
            return Err(failed(format!("server {server} lists no tool {unknown:?}")));
        }
        let unwritten = |error: store::Error| failed(format!("the approval can't be written down: {error}"));
        let before = upstream.approved(&[]).await.map_err(unwritten)?;
        let approved = pins::with_approved(before, &now, tools);
        upstream.approve(approved).await.map_err(unwritten)?;
        upstream.judge_again().await;
        Ok(())
    }

    /// Stops the instances of a server, in whichever profile; the next use starts them anew. Whether there is such a
    /// server.
    pub fn restart(&self, server: &str) -> bool {
        let set = self.core.set();
        let named: Vec<_> = set
            .all()
            .iter()
            .filter(|upstream| upstream.name == server)
            .collect();
        for upstream in &named {
            upstream.restart();
        }
        !named.is_empty()
    }

    /// How it does.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// Stops: no new calls, connections to servers are closed, tasks are waited for, at most `deadline`. Returns
    /// whether all ended in time.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        self.core.stop.cancel();
        self.core.known_tasks.clear();
        self.core.tasks.close();
        tokio::time::timeout(deadline, self.core.tasks.wait())
            .await
            .is_ok()
    }
}

/// The params of a progress notification; `None` for anything else.
fn progress_params(line: &[u8]) -> Option<Raw> {
    match wire::parse(line, &wire::Limits::default()) {
        Ok(wire::Frame::Single(wire::Message::Notification(note))) if note.method == method::PROGRESS => {
            note.params
        }
        _ => None,
    }
}

impl Core {
    /// The servers there are now.
    pub(crate) fn set(&self) -> Arc<Set> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The rules that hold now.
    pub(crate) fn rules(&self) -> Arc<policy::Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell_of_changes(&self) {
        for event in [
            Event::ToolsChanged,
            Event::PromptsChanged,
            Event::ResourcesChanged,
        ] {
            self.hub.publish_to_all(&event);
        }
    }

    /// Reads what was kept of the servers' lists, so that the first client is answered without starting any; and
    /// starts what should be warm.
    pub(crate) async fn prepare(&self) {
        let set = self.set();
        join_all(set.all().iter().map(|upstream| upstream.recall(None))).await;
        for upstream in set.all() {
            upstream.keep_warm();
        }
    }

    fn named(
        &self,
        principal: &Principal,
        view: &View,
        server: &str,
    ) -> Result<(Arc<Upstream>, Peer), CallError> {
        let peer = Peer::new(principal.clone(), view.clone());
        let seen = self.set().seen(view);
        let found = seen.into_iter().find(|upstream| upstream.name == server);
        let found = found.ok_or_else(|| CallError {
            code: None,
            message: format!(
                "there is no server {:?} here; `dockmaster server list` shows those that are switched on",
                base::text::cut(server, 100)
            ),
        })?;
        Ok((found, peer))
    }

    pub(crate) fn status(&self) -> Status {
        let counters = &self.counters;
        Status {
            name: self.name.clone(),
            version: self.version.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            sessions: self.sessions.count(),
            calls: counters.calls.load(Ordering::Relaxed),
            calls_at_work: counters.at_work.load(Ordering::Relaxed),
            calls_refused: counters.refused.load(Ordering::Relaxed),
            calls_failed: counters.failed.load(Ordering::Relaxed),
            servers: self
                .set()
                .all()
                .iter()
                .map(|upstream| upstream.status())
                .collect(),
        }
    }
}

/// Counts calls.
#[derive(Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    at_work: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    pub(crate) fn begin(&self) -> AtWork<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.at_work.fetch_add(1, Ordering::Relaxed);
        AtWork(self)
    }

    pub(crate) fn end(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Refused(_) => self.refused.fetch_add(1, Ordering::Relaxed),
            Outcome::Failed(_) | Outcome::ToolError => self.failed.fetch_add(1, Ordering::Relaxed),
            Outcome::Ok | Outcome::Asked | Outcome::Cancelled => 0,
        };
    }

    pub(crate) fn unwritten(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A call at work.
pub(crate) struct AtWork<'a>(&'a Counters);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}
