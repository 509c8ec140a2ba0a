//! A server behind the gateway, as one stream of newline-delimited messages. Calls run side by side on it, under
//! ids and progress tokens of our own; when the stream ends, what was pending fails with a reason, and the next
//! use connects again. Towards the server we are a legacy client without capabilities.

mod connection;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::edit::Object;
use wire::{Fault, Message, Raw, Version, code, meta, method, to_raw};

use self::connection::Connection;
use crate::Limits;
use crate::caller::{Caller, Peer};
use crate::events::Hub;
use crate::outlet::Outlet;
use crate::parts::{Connect, Describe, Life, Server, Share};
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
    profiles: Vec<String>,
    life: Life,
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

/// An instance that is kept busy.
pub(crate) struct Lease(Arc<Connection>);

impl std::ops::Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
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
            profiles: server.profiles,
            life: server.life,
            connect: server.connect,
            around,
            current: RwLock::default(),
            starting: tokio::sync::Mutex::default(),
            watched: tokio::sync::Mutex::default(),
            record: Mutex::default(),
        }
    }

    /// Whether it is in that profile.
    pub(crate) fn is_in(&self, profile: &str) -> bool {
        self.profiles.is_empty() || self.names_profile(profile)
    }

    /// Whether it says of itself that it is in that profile.
    pub(crate) fn names_profile(&self, profile: &str) -> bool {
        self.profiles.iter().any(|name| name == profile)
    }

    /// What permissions and the server call a listed tool: the listed name may itself be an alias.
    pub(crate) fn own_name(&self, listed: &str) -> String {
        self.describe
            .canonical(listed)
            .unwrap_or_else(|| listed.to_owned())
    }

    /// How long one call may take.
    pub(crate) fn call_limit(&self) -> Duration {
        self.life.call.unwrap_or(self.around.limits.call)
    }

    /// An instance for `caller`, which stays busy until the lease is dropped.
    pub(crate) async fn lease(
        &self,
        _caller: &Caller,
        cancel: &CancellationToken,
    ) -> Result<Lease, NoAnswer> {
        self.connection(cancel).await.map(Lease)
    }

    /// Sends a request and waits for its answer: the server's result or error, as it came.
    pub(crate) async fn request(
        &self,
        caller: &Caller,
        method: &str,
        params: Object<'_>,
        sending: Sending<'_>,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
        let lease = self.lease(caller, sending.cancel).await?;
        self.send(&lease, method, params, sending).await
    }

    async fn send(
        &self,
        connection: &Connection,
        method: &str,
        params: Object<'_>,
        sending: Sending<'_>,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
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
        let connection = self.connection(sending.cancel).await?;
        self.send(&connection, method, params, sending)
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
    pub(crate) async fn watch(&self, _peer: &Peer, uri: &str) -> Result<(), Fault> {
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
            .filter(|connection| connection.is_live())
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
        let share = Share {
            key: "all".to_owned(),
            principal: None,
        };
        let link = (self.connect)(share).await.map_err(|error| error.to_string())?;
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
