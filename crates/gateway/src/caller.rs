//! Who asks, what they see, and how one can ask back.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use tokio_util::sync::CancellationToken;
use wire::meta::ClientCapabilities;
use wire::{Era, Raw};

use crate::confirm::Confirmer;
use crate::events::Level;
use crate::session::Session;

/// Who a client acts for: the local user of a stdio session, or the owner of a bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// A principal by name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which servers a client sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum View {
    /// Those of the default profile.
    #[default]
    Default,
    /// Those of this profile.
    Profile(Arc<str>),
    /// One alone: that of the default profile, or where it is not in that, of the first profile that has it.
    Server(Arc<str>),
}

/// Marks one session among all. It ends when the last clone of the [`Lifeline`] that it came from says so.
#[derive(Debug, Clone)]
pub(crate) struct Lifeline {
    pub(crate) number: u64,
    ended: CancellationToken,
    session: Arc<OnceLock<Weak<Session>>>,
}

impl Lifeline {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            ended: CancellationToken::new(),
            session: Arc::default(),
        }
    }

    /// Whose it is: said once, as soon as there is one.
    pub(crate) fn is_of(&self, session: &Arc<Session>) {
        let _ = self.session.set(Arc::downgrade(session));
    }

    /// The session, while it lasts.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.session.get()?.upgrade()
    }

    /// The session is over; what was made for it alone stops.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// Whether it is.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Returns when the session is over.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// Where requests come from: the same for all of a session, or of a principal's requests outside of any.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) principal: Principal,
    pub(crate) view: View,
    /// `None`: a request that belongs to no session.
    pub(crate) session: Option<Lifeline>,
    /// Where another gateway asks: for which of its clients.
    pub(crate) behind: Option<Arc<str>>,
}

impl Peer {
    /// Outside of any session.
    pub(crate) fn new(principal: Principal, view: View) -> Self {
        Self {
            principal,
            view,
            session: None,
            behind: None,
        }
    }
}

/// What one request says of its sender.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) view: View,
    /// The session that the request belongs to, if any.
    pub(crate) session: Option<Lifeline>,
    /// The program, as it names itself: "claude-code 2.1". Cleaned, at most 100 bytes, believed for display only.
    pub(crate) client: String,
    pub(crate) era: Era,
    pub(crate) asking: Asking,
    pub(crate) length: Length,
    pub(crate) side: Side,
}

/// What a client can do for servers, and wants of them. By default nothing, as the command line.
#[derive(Clone, Default)]
pub(crate) struct Side {
    pub(crate) abilities: ClientCapabilities,
    /// Whose client answers requests in the middle of a call (legacy).
    pub(crate) answers: Option<Arc<Session>>,
    /// As it introduced itself (legacy; a modern request does it by itself).
    pub(crate) identity: Option<Arc<Identity>>,
    /// From which level on it wants log messages.
    pub(crate) level: Option<Level>,
    /// As in [`Peer::behind`].
    pub(crate) behind: Option<Arc<str>>,
}

/// How a legacy client introduces itself to a modern server.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) info: Raw,
    pub(crate) capabilities: Raw,
}

impl Caller {
    /// Where the request comes from.
    pub(crate) fn peer(&self) -> Peer {
        Peer {
            principal: self.principal.clone(),
            view: self.view.clone(),
            session: self.session.clone(),
            behind: self.side.behind.clone(),
        }
    }
}

/// How long an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// What is over the budget can be fetched.
    Budget,
    /// As it came: the caller ends with its call, and could fetch nothing.
    Whole,
}

/// How a person can be asked to confirm.
#[derive(Clone)]
pub(crate) enum Asking {
    /// A request to the client in the middle of the call (legacy).
    Elicit(Arc<Session>),
    /// A result that asks, and a retry that answers (modern).
    Retry,
    /// By whoever made the call, at a terminal.
    Direct(Arc<dyn Confirmer>),
    /// Not at all.
    Unable,
}

/// `name version` of a client, made safe to show.
pub(crate) fn client_name(client: &wire::meta::Implementation) -> String {
    let name = format!("{} {}", client.name, client.version);
    let name = base::text::clean(&name).replace(['\n', '\t'], " ");
    match base::text::cut(name.trim(), 100) {
        "" => "unnamed client".to_owned(),
        name => name.to_owned(),
    }
}
