//! What everything in the gateway hangs on, and the handle that the floor above holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::edit::Object;
use wire::{Fault, Raw, Version, code, method};

use crate::budget::Kept;
use crate::call::{self, Incoming, Kind};
use crate::caller::{Asking, Caller, Length, Peer, Principal, View};
use crate::confirm::Confirmer;
use crate::events::Hub;
use crate::index::{Index, IndexCell};
use crate::journal::Outcome;
use crate::lists::{self, List};
use crate::outlet::Outlet;
use crate::parts::Parts;
use crate::screen::Screen;
use crate::seal::Sealer;
use crate::set::Set;
use crate::status::Status;
use crate::upstream::{Surroundings, Upstream};
use crate::{HttpOptions, HttpServer, Journal, Limits, http, pipe};

/// The gateway. Clones share it.
#[derive(Clone)]
pub struct Gateway {
    core: Arc<Core>,
    view: View,
}

/// Where something that a client named is.
pub(crate) struct Found {
    pub(crate) upstream: Arc<Upstream>,
    /// What the server calls it.
    pub(crate) name: String,
}

pub(crate) struct Core {
    pub(crate) name: String,
    pub(crate) version: String,
    set: RwLock<Arc<Set>>,
    pub(crate) rules: policy::Rules,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) limits: Limits,
    pub(crate) screen: Arc<Screen>,
    pub(crate) sealer: Sealer,
    pub(crate) kept: Kept,
    pub(crate) hub: Arc<Hub>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) counters: Counters,
    pub(crate) sessions: http::Sessions,
    index: IndexCell,
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
            memory: _,
            first_sight: _,
            screening: _,
        } = parts;
        let sealer = Sealer::new(limits.confirm, limits.parked).map_err(std::io::Error::other)?;
        let hub = Arc::new(Hub::default());
        let screen = Arc::new(Screen::new(secrets));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let around = Arc::new(Surroundings {
            limits: limits.clone(),
            name: name.clone(),
            version: version.clone(),
            hub: Arc::clone(&hub),
            screen: Arc::clone(&screen),
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        let upstreams = servers
            .into_iter()
            .map(|server| Arc::new(Upstream::new(server, Arc::clone(&around))))
            .collect();
        Ok(Self {
            view: View::Default,
            core: Arc::new(Core {
                kept: Kept::new(&limits),
                sessions: http::Sessions::new(&limits),
                name,
                version,
                set: RwLock::new(Arc::new(Set::new(upstreams, profile.into()))),
                rules,
                journal,
                limits,
                screen,
                sealer,
                hub,
                tasks,
                stop,
                counters: Counters::default(),
                index: IndexCell::default(),
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
        http::bind(Arc::clone(&self.core), options).await
    }

    /// Makes one call, on the same way as those of clients. The result is that of `tools/call`.
    ///
    /// # Errors
    /// When there is no such tool, no answer, or the audit can't be written.
    pub async fn call(&self, direct: Direct) -> Result<Raw, CallError> {
        let caller = Caller {
            principal: direct.principal,
            view: self.view.clone(),
            session: None,
            client: direct.client,
            era: Version::LATEST_LEGACY.era(),
            asking: direct.confirmer.map_or(Asking::Unable, Asking::Direct),
            length: Length::Whole,
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

    /// The definitions of the tools that `principal` may use, as `tools/list` gives them.
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
        };
        Ok(lists::tools(&self.core, &caller).await?)
    }

    /// How it does.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// Stops: no new calls, connections to servers are closed, tasks are waited for, at most `deadline`. Returns
    /// whether all ended in time.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        self.core.stop.cancel();
        for upstream in self.core.set().all() {
            upstream.disconnect();
        }
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

    pub(crate) async fn index(&self, _peer: &Peer) -> Result<Arc<Index>, Fault> {
        self.index.get(self.set().all(), || self.hub.tool_changes()).await
    }

    /// The tool of an exposed name, or of an alias or unlisted name that a server has.
    pub(crate) async fn find_tool(&self, peer: &Peer, name: &str) -> Result<Found, Fault> {
        let seen = self.set().seen(&peer.view);
        let listed = |index: &Index| {
            let tool = index.find(name)?;
            let upstream = index.upstream(tool)?;
            let upstream = seen.iter().find(|seen| Arc::ptr_eq(seen, upstream))?;
            Some(Found {
                name: upstream.own_name(&tool.name),
                upstream: Arc::clone(upstream),
            })
        };
        if let Some(found) = self.index.peek().as_deref().and_then(listed) {
            return Ok(found);
        }
        let described = || {
            seen.iter().find_map(|upstream| {
                let name = upstream.describe.canonical(name)?;
                Some(Found {
                    upstream: Arc::clone(upstream),
                    name,
                })
            })
        };
        if seen.len() == 1
            && let Some(found) = described()
        {
            // Nobody else can have the name, so a call right after the start waits for no list.
            return Ok(found);
        }
        let index = self.index(peer).await?;
        listed(&index).or_else(described).ok_or_else(|| {
            Fault::new(
                code::INVALID_PARAMS,
                format!("there is no tool {:?}", base::text::cut(name, 100)),
            )
        })
    }

    /// The server that has the prompt.
    pub(crate) async fn find_prompt(&self, peer: &Peer, name: &str) -> Result<Found, Fault> {
        let found = self.find_listed(peer, List::Prompts, "prompts", |item| {
            item.text("name").as_deref() == Some(name)
        });
        let upstream = found.await?.ok_or_else(|| {
            Fault::new(
                code::INVALID_PARAMS,
                format!("there is no prompt {:?}", base::text::cut(name, 100)),
            )
        })?;
        Ok(Found {
            upstream,
            name: name.to_owned(),
        })
    }

    /// The server that has the resource: the one that lists it, else the first whose template begins like it.
    pub(crate) async fn find_resource(&self, peer: &Peer, uri: &str) -> Result<Found, Fault> {
        let of_template = |item: &Object<'_>| {
            item.text("uriTemplate").is_some_and(|template| {
                let fixed = template.split('{').next().unwrap_or_default();
                !fixed.is_empty() && uri.starts_with(fixed)
            })
        };
        let listed = self.find_listed(peer, List::Resources, "resources", |item| {
            item.text("uri").as_deref() == Some(uri)
        });
        let found = match listed.await? {
            None => {
                self.find_listed(peer, List::Templates, "resources", of_template)
                    .await?
            }
            found => found,
        };
        let upstream = found.ok_or_else(|| {
            Fault::new(
                code::RESOURCE_NOT_FOUND,
                format!("there is no resource {:?}", base::text::cut(uri, 200)),
            )
        })?;
        Ok(Found {
            upstream,
            name: uri.to_owned(),
        })
    }

    /// The first server that lists what is wanted; a single server with the capability needs no list.
    async fn find_listed(
        &self,
        peer: &Peer,
        list: List,
        capability: &str,
        wanted: impl Fn(&Object<'_>) -> bool,
    ) -> Result<Option<Arc<Upstream>>, Fault> {
        let seen = self.set().seen(&peer.view);
        let mut able = Vec::new();
        for upstream in &seen {
            match upstream.has(capability).await {
                Ok(true) => able.push(upstream),
                Ok(false) => {}
                Err(error) if seen.len() == 1 => return Err(error.into()),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        if let [only] = able[..] {
            return Ok(Some(Arc::clone(only)));
        }
        for upstream in able {
            let items = lists::all(upstream, list).await.unwrap_or_default();
            if items
                .iter()
                .any(|item| Object::parse(item).is_ok_and(|item| wanted(&item)))
            {
                return Ok(Some(Arc::clone(upstream)));
            }
        }
        Ok(None)
    }

    /// The instructions of all servers that are seen, each under its name where there are several.
    pub(crate) fn instructions(&self, view: &View) -> Option<String> {
        let seen = self.set().seen(view);
        let known: Vec<_> = seen
            .iter()
            .filter_map(|upstream| Some((&upstream.name, upstream.instructions.as_ref()?)))
            .collect();
        match known[..] {
            [] => None,
            [(_, text)] => Some(text.clone()),
            _ => Some(
                known
                    .iter()
                    .map(|(name, text)| format!("## {name}\n{text}"))
                    .collect::<Vec<_>>()
                    .join("\n\n"),
            ),
        }
    }

    pub(crate) fn status(&self) -> Status {
        let index = self.index.peek();
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
                .map(|upstream| upstream.status(index.as_ref().map_or(0, |index| index.count(upstream))))
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
