//! Legacy sessions over HTTP: an unguessable id bound to a principal, ended by DELETE, by idleness, or when there
//! are too many (2025-11-25, Transports, "Session Management").

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;
use wire::header::SESSION_ID;

use super::{Refused, body};
use crate::core::Core;
use crate::outlet::Outlet;
use crate::seal::random_id;
use crate::session::Session;
use crate::{Limits, Principal};

pub(crate) struct Sessions {
    most: usize,
    idle: Duration,
    open: Mutex<HashMap<String, Open>>,
}

struct Open {
    session: Arc<Session>,
    last_used: Instant,
}

impl Open {
    /// Somebody waits for something in it.
    fn is_busy(&self) -> bool {
        self.session.is_busy() || self.session.has_stream()
    }
}

impl Sessions {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.sessions,
            idle: limits.session_idle,
            open: Mutex::default(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Keeps a session and gives its id. Where there are too many, the one that was idle the longest ends.
    pub(crate) fn add(&self, session: Arc<Session>) -> Result<String, Refused> {
        let id = random_id()
            .map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        let mut open = self.lock();
        if open.len() >= self.most {
            let idlest = open
                .iter()
                .filter(|(_, open)| !open.is_busy())
                .min_by_key(|(_, open)| open.last_used);
            let Some(idlest) = idlest.map(|(id, _)| id.clone()) else {
                return Err(Refused::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many sessions are open and at work; end one, or try again later",
                ));
            };
            if let Some(ended) = open.remove(&idlest) {
                ended.session.close();
            }
        }
        open.insert(
            id.clone(),
            Open {
                session,
                last_used: Instant::now(),
            },
        );
        Ok(id)
    }

    /// The session of that id, if it is this principal's.
    pub(crate) fn find(&self, principal: &Principal, id: &str) -> Option<Arc<Session>> {
        let mut open = self.lock();
        let found = open
            .get_mut(id)
            .filter(|open| open.session.principal() == principal)?;
        found.last_used = Instant::now();
        Some(Arc::clone(&found.session))
    }

    fn remove(&self, principal: &Principal, id: &str) -> bool {
        let mut open = self.lock();
        if open
            .get(id)
            .is_none_or(|open| open.session.principal() != principal)
        {
            return false;
        }
        if let Some(ended) = open.remove(id) {
            ended.session.close();
        }
        true
    }

    /// Lets what is at work end.
    pub(crate) fn wind_down(&self) {
        for open in self.lock().values() {
            open.session.wind_down();
        }
    }

    pub(crate) fn close_all(&self) {
        for (_, ended) in self.lock().drain() {
            ended.session.close();
        }
    }

    /// Ends idle sessions, again and again; never returns.
    pub(crate) async fn sweep(&self) {
        let mut ticks = tokio::time::interval((self.idle / 4).max(Duration::from_millis(10)));
        loop {
            ticks.tick().await;
            self.lock().retain(|_, open| {
                let stays = open.is_busy() || open.last_used.elapsed() < self.idle;
                if !stays {
                    open.session.close();
                }
                stays
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session that a request names.
pub(crate) fn id(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION_ID)?.to_str().ok()
}

/// The session, or the answer that says what is wrong with the name.
pub(crate) fn named(
    core: &Core,
    principal: &Principal,
    headers: &HeaderMap,
) -> Result<Arc<Session>, Refused> {
    let Some(id) = id(headers) else {
        return Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "the header Mcp-Session-Id is missing: send `initialize` first, and then the id that comes with its answer",
        ));
    };
    // 404 is what makes a client begin a new session.
    core.sessions.find(principal, id).ok_or_else(|| {
        Refused::new(
            StatusCode::NOT_FOUND,
            "there is no such session (any more): send `initialize` again",
        )
    })
}

/// GET: the stream for messages that answer no request. A second one takes the place of the first.
pub(crate) fn get(core: &Core, principal: &Principal, headers: &HeaderMap) -> Response {
    let session = match named(core, principal, headers) {
        Ok(session) => session,
        Err(refused) => return refused.into_response(),
    };
    if !body::takes_stream(headers) {
        return Refused::new(StatusCode::NOT_ACCEPTABLE, "send `Accept: text/event-stream`").into_response();
    }
    let (outlet, queue) = Outlet::new();
    session.set_stream(outlet);
    body::stream(
        queue,
        Vec::new(),
        core.limits.keep_alive,
        CancellationToken::new().drop_guard(),
    )
}

/// DELETE: ends the session.
pub(crate) fn delete(core: &Core, principal: &Principal, headers: &HeaderMap) -> Response {
    let Some(id) = id(headers) else {
        return Refused::new(StatusCode::BAD_REQUEST, "the header Mcp-Session-Id is missing").into_response();
    };
    if core.sessions.remove(principal, id) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        Refused::new(StatusCode::NOT_FOUND, "there is no such session (any more)").into_response()
    }
}
