//! Legacy sessions over HTTP: an unguessable id bound to a principal and to the path that it was made at, ended by
//! DELETE, by idleness, or when there are too many (2025-11-25, Transports, "Session Management").

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::{HeaderMap, StatusCode};
use wire::Version;
use wire::header::SESSION_ID;

use super::body::Accepted;
use super::body::Hold;
use super::replay::{Place, Purpose, Reader, Replay};
use super::reply::{self, Response};
use super::{Refused, Site, body, text};
use crate::Limits;
use crate::caller::Peer;
use crate::outlet::Outlet;
use crate::seal::random_id;
use crate::session::Session;

/// The last event that a client received.
const LAST_EVENT_ID: &str = "last-event-id";

pub(crate) struct Sessions {
    most: usize,
    limits: Limits,
    idle: Duration,
    open: Mutex<HashMap<String, Open>>,
}

/// A session and what its streams have carried.
#[derive(Clone)]
pub(crate) struct Held {
    pub(super) session: Arc<Session>,
    pub(super) replay: Arc<Replay>,
}

impl Held {
    fn is_of(&self, peer: &Peer) -> bool {
        let own = self.session.peer();
        own.principal == peer.principal && own.view == peer.view
    }

    fn close(&self) {
        self.session.close();
        self.replay.close();
    }

    /// Whether its client comes back by itself for the rest of a stream.
    pub(super) fn polls(&self) -> bool {
        self.session.hello().map(|hello| hello.version) >= Some(Version::V2025_11_25)
    }

    /// A response that streams what `reader` reads.
    pub(super) fn stream(&self, site: &Arc<Site>, reader: Reader) -> Response {
        let site = Arc::clone(site);
        let hold = Hold {
            keep_alive: site.core.limits.keep_alive,
            polls: self.polls(),
            is_crowded: Box::new(move || site.is_crowded()),
        };
        body::replayed(reader, hold)
    }
}

struct Open {
    held: Held,
    last_used: Instant,
}

impl Open {
    /// Somebody waits for something in it.
    fn is_busy(&self) -> bool {
        self.held.session.is_busy() || self.held.replay.is_read()
    }
}

impl Sessions {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.sessions,
            limits: limits.clone(),
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
                    "too many sessions are open and at work; end one, try again later, or raise `gateway.sessions`",
                ));
            };
            if let Some(ended) = open.remove(&idlest) {
                ended.held.close();
            }
        }
        let replay = Replay::new(&self.limits);
        open.insert(
            id.clone(),
            Open {
                held: Held { session, replay },
                last_used: Instant::now(),
            },
        );
        Ok(id)
    }

    /// The session of that id, if it is this principal's, and was made at the same path.
    fn find(&self, peer: &Peer, id: &str) -> Option<Held> {
        let mut open = self.lock();
        let found = open.get_mut(id).filter(|open| open.held.is_of(peer))?;
        found.last_used = Instant::now();
        Some(found.held.clone())
    }

    fn remove(&self, peer: &Peer, id: &str) -> bool {
        let mut open = self.lock();
        if !open.get(id).is_some_and(|open| open.held.is_of(peer)) {
            return false;
        }
        if let Some(ended) = open.remove(id) {
            ended.held.close();
        }
        true
    }

    /// Lets what is at work end.
    pub(crate) fn wind_down(&self) {
        for open in self.lock().values() {
            open.held.session.wind_down();
        }
    }

    pub(crate) fn close_all(&self) {
        for (_, ended) in self.lock().drain() {
            ended.held.close();
        }
    }

    /// Ends idle sessions, again and again; never returns.
    pub(crate) async fn sweep(&self) {
        let mut ticks = tokio::time::interval((self.idle / 4).max(Duration::from_millis(10)));
        loop {
            ticks.tick().await;
            self.lock().retain(|_, open| {
                let stays = open.is_busy() || open.last_used.elapsed() < self.idle;
                if stays {
                    open.held.replay.sweep();
                } else {
                    open.held.close();
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
pub(super) fn named(site: &Site, peer: &Peer, headers: &HeaderMap) -> Result<Held, Refused> {
    let Some(id) = id(headers) else {
        return Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "the header Mcp-Session-Id is missing: send `initialize` first, and then the id that comes with its answer",
        ));
    };
    // 404 is what makes a client begin a new session.
    site.core.sessions.find(peer, id).ok_or_else(|| {
        Refused::new(
            StatusCode::NOT_FOUND,
            "there is no such session here (any more): send `initialize` again",
        )
    })
}

/// GET: the stream for messages that answer no request, where a second one takes the place of the first; or, by the
/// last event that the client received, the rest of the stream which that was on.
pub(super) fn get(site: &Arc<Site>, peer: &Peer, headers: &HeaderMap) -> Result<Response, Refused> {
    let held = named(site, peer, headers)?;
    if !Accepted::of(headers).stream {
        return Err(Refused::no_stream());
    }
    match text(headers, LAST_EVENT_ID) {
        Ok(None | Some("")) => Ok(general(site, &held)),
        Ok(Some(last)) => resumed(site, &held, Place::parse(last.trim())),
        Err(()) => resumed(site, &held, None),
    }
}

fn general(site: &Arc<Site>, held: &Held) -> Response {
    let (outlet, queue) = Outlet::new();
    held.session.set_stream(outlet);
    let reader = held.replay.open(&site.core.tasks, Purpose::General, None, queue);
    held.stream(site, reader)
}

fn resumed(site: &Arc<Site>, held: &Held, place: Option<Place>) -> Result<Response, Refused> {
    let Some(place) = place else {
        return Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "the header Last-Event-ID is not the id of an event of this session",
        ));
    };
    match held.replay.resume(place) {
        Some(reader) => Ok(held.stream(site, reader)),
        // What was missed is lost either way; what comes next is not.
        None if place.is_general() => Ok(general(site, held)),
        None => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "what came after that event is not kept any more; send the request again, if it may be made twice",
        )),
    }
}

/// DELETE: ends the session.
pub(super) fn delete(site: &Site, peer: &Peer, headers: &HeaderMap) -> Result<Response, Refused> {
    let id = id(headers)
        .ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, "the header Mcp-Session-Id is missing"))?;
    if site.core.sessions.remove(peer, id) {
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    }
    Err(Refused::new(
        StatusCode::NOT_FOUND,
        "there is no such session here (any more)",
    ))
}
