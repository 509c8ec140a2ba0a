//! What happens at servers and concerns clients without any request: changed lists, changed resources, log
//! messages. They go to whoever listens; one who does not read misses some, and holds up nobody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use serde_json::json;
use wire::bridge::task;
use wire::edit::Object;
use wire::{Id, Message, Raw, meta, method, to_raw};

use crate::caller::{Lifeline, Peer, Principal, View};
use crate::session::Session;
use crate::upstream::{Instance, Key, Upstream};

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    ToolsChanged,
    PromptsChanged,
    ResourcesChanged,
    /// `params` as the server wrote them.
    ResourceUpdated {
        uri: String,
        params: Raw,
    },
    Log {
        level: Level,
        params: Raw,
    },
    /// What a person was sent to an address for is done.
    Elicited {
        id: String,
        params: Raw,
    },
    /// A task has another status; `params` in the shape of the server's era.
    Task {
        id: String,
        is_modern: bool,
        params: Raw,
    },
}

impl Event {
    /// The same, with the resource or task under the name that a client knows.
    pub(crate) fn under(&self, exposed: &str) -> Self {
        match self {
            Self::ResourceUpdated { uri, params } if uri != exposed => {
                let renamed = Object::parse(params).map(|mut object| {
                    object.set("uri", exposed);
                    object.to_raw()
                });
                Self::ResourceUpdated {
                    uri: exposed.to_owned(),
                    params: renamed.unwrap_or_else(|_| params.clone()),
                }
            }
            Self::Task {
                is_modern, params, ..
            } => Self::Task {
                id: exposed.to_owned(),
                is_modern: *is_modern,
                params: params.clone(),
            },
            other => other.clone(),
        }
    }

    /// What kind of event it is.
    pub(crate) fn kind(&self) -> std::mem::Discriminant<Self> {
        std::mem::discriminant(self)
    }

    /// The notification for it, tagged with the subscription that it answers (modern).
    pub(crate) fn message(&self, subscription: Option<&Id>) -> Message {
        let (method, params) = match self {
            Self::ToolsChanged => (method::TOOLS_CHANGED, None),
            Self::PromptsChanged => (method::PROMPTS_CHANGED, None),
            Self::ResourcesChanged => (method::RESOURCES_CHANGED, None),
            Self::ResourceUpdated { params, .. } => (method::RESOURCE_UPDATED, Some(params)),
            Self::Log { params, .. } => (method::LOG_MESSAGE, Some(params)),
            Self::Elicited { params, .. } => (method::ELICITED, Some(params)),
            // To clients of the modern era it is told with its outcome (`modern.rs`).
            Self::Task {
                id,
                params,
                is_modern,
            } => {
                let params = if *is_modern {
                    &task::to_legacy(params)
                } else {
                    params
                };
                let params = task::with_id(params, id);
                return Self::tagged(method::TASK_STATUS, Some(&params), subscription);
            }
        };
        Self::tagged(method, params, subscription)
    }

    fn tagged(method: &str, params: Option<&Raw>, subscription: Option<&Id>) -> Message {
        let params = match (params, subscription) {
            (Some(params), None) => params.clone(),
            (None, None) => to_raw(&json!({})),
            (params, Some(id)) => {
                let mut object = params
                    .and_then(|raw| Object::parse(raw).ok())
                    .unwrap_or_else(Object::empty);
                let tags = object.get(meta::META).map(ToOwned::to_owned);
                let mut tags = tags
                    .as_ref()
                    .and_then(|raw| Object::parse(raw).ok())
                    .unwrap_or_else(Object::empty);
                tags.set(meta::SUBSCRIPTION_ID, id);
                object.set(meta::META, &tags);
                object.to_raw()
            }
        };
        Message::notification(method, params)
    }
}

/// Severity of a log message, mildest first (RFC 5424's eight).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    const ALL: [(&'static str, Self); 8] = [
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("notice", Self::Notice),
        ("warning", Self::Warning),
        ("error", Self::Error),
        ("critical", Self::Critical),
        ("alert", Self::Alert),
        ("emergency", Self::Emergency),
    ];

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, level)| *level == self)
            .map_or("info", |(name, _)| name)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(name, _)| *name == text)
            .map(|(_, level)| level)
    }
}

/// Hears of events.
pub(crate) trait Listen: Send + Sync {
    /// Takes an event for this audience (`None`: for all), at once: what can't be passed on without waiting is
    /// dropped.
    fn hear(&self, audience: Option<&Audience>, event: &Event);
}

/// Which server something happened at, and whom it concerns.
#[derive(Debug, Clone)]
pub(crate) struct Audience {
    pub(crate) server: Arc<str>,
    /// The profiles that the server is in; empty: all.
    pub(crate) profiles: Arc<[String]>,
    /// The profile of those who name none.
    pub(crate) default: Arc<str>,
    pub(crate) who: Who,
    /// The instance that it happened in.
    pub(crate) key: Key,
}

/// Whom the events of an instance concern: those who share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    Everyone,
    Principal(Principal),
    Session(u64),
    Nobody,
}

impl Audience {
    /// Whether it is for `peer`: one who sees the server, and shares the instance.
    pub(crate) fn reaches(&self, peer: &Peer) -> bool {
        let is_in =
            |profile: &str| self.profiles.is_empty() || self.profiles.iter().any(|name| name == profile);
        let sees = match &peer.view {
            View::Default => is_in(&self.default),
            View::Profile(profile) => is_in(profile),
            View::Server(server) => *server == self.server,
        };
        sees && match &self.who {
            Who::Everyone => true,
            Who::Principal(principal) => *principal == peer.principal,
            Who::Session(number) => peer
                .session
                .as_ref()
                .is_some_and(|session| session.number == *number),
            Who::Nobody => false,
        }
    }
}

/// Where an instance says what happened in it.
#[derive(Clone)]
pub(crate) struct Sink {
    hub: Arc<Hub>,
    upstream: Weak<Upstream>,
    /// Set once the handshake is through; whose it is may change after that.
    instance: Arc<OnceLock<Weak<Instance>>>,
    /// Before that.
    first: Option<Audience>,
    first_lifeline: Option<Lifeline>,
}

impl Sink {
    /// Of no instance: what is said goes nowhere.
    pub(crate) fn of_none(hub: &Arc<Hub>) -> Self {
        Self {
            hub: Arc::clone(hub),
            upstream: Weak::new(),
            instance: Arc::default(),
            first: None,
            first_lifeline: None,
        }
    }

    pub(crate) fn new(
        hub: &Arc<Hub>,
        upstream: Weak<Upstream>,
        audience: Audience,
        lifeline: Option<Lifeline>,
    ) -> Self {
        Self {
            upstream,
            first: Some(audience),
            first_lifeline: lifeline,
            ..Self::of_none(hub)
        }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn is_of(&self, instance: &Arc<Instance>) {
        // Said once, after the handshake.
        let _ = self.instance.set(Arc::downgrade(instance));
    }

    /// The session that the instance is for alone, while that lasts.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        let lifeline = match self.instance.get().and_then(Weak::upgrade) {
            Some(instance) => instance.lifeline(),
            None => self.first_lifeline.clone(),
        };
        lifeline?.session()
    }

    /// The server asks clients for something, without saying in which call.
    pub(crate) fn asks(&self) {
        if let Some(upstream) = self.upstream.upgrade() {
            upstream.asks_clients();
        }
    }

    /// The server has forgotten what it was told.
    pub(crate) fn renewed(&self) {
        let instance = self.instance.get().and_then(Weak::upgrade);
        if let (Some(upstream), Some(instance)) = (self.upstream.upgrade(), instance) {
            upstream.renewed(&instance);
        }
    }

    /// What the server lists may have changed, and nobody was told.
    pub(crate) fn look_again(&self) {
        let instance = self.instance.get().and_then(Weak::upgrade);
        if let (Some(upstream), Some(instance)) = (self.upstream.upgrade(), instance) {
            upstream.look_again(&upstream.audience_of(&instance).who);
        }
    }

    pub(crate) fn publish(&self, event: &Event) {
        let Some(upstream) = self.upstream.upgrade() else {
            return;
        };
        let audience = match self.instance.get().and_then(Weak::upgrade) {
            Some(instance) => Some(upstream.audience_of(&instance)),
            None => self.first.clone(),
        };
        let Some(audience) = audience else { return };
        match event {
            // Told to clients once the new list is known.
            Event::ToolsChanged | Event::PromptsChanged | Event::ResourcesChanged => {
                upstream.list_changed(&audience.who, event);
            }
            Event::Task { id, .. } => upstream.task_event(&audience, id, event),
            Event::ResourceUpdated { .. } | Event::Log { .. } | Event::Elicited { .. } => {
                self.hub.publish(&audience, event);
            }
        }
    }
}

/// Passes events from servers to listeners.
#[derive(Default)]
pub(crate) struct Hub {
    next: AtomicU64,
    listeners: Mutex<HashMap<u64, Weak<dyn Listen>>>,
}

impl Hub {
    /// `listener` hears of events until the registration goes.
    pub(crate) fn register(self: &Arc<Self>, listener: Weak<dyn Listen>) -> Registration {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, listener);
        Registration {
            hub: Arc::clone(self),
            number,
        }
    }

    /// Passes `event` to those whom it concerns.
    pub(crate) fn publish(&self, audience: &Audience, event: &Event) {
        self.each(|listener| listener.hear(Some(audience), event));
    }

    /// Passes an event to everyone.
    pub(crate) fn publish_to_all(&self, event: &Event) {
        self.each(|listener| listener.hear(None, event));
    }

    fn each(&self, tell: impl Fn(&dyn Listen)) {
        let listeners: Vec<_> = {
            let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.values().filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            tell(&*listener);
        }
    }
}

/// A place among the listeners.
pub(crate) struct Registration {
    hub: Arc<Hub>,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.hub
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.number);
    }
}

/// Somebody watches a resource. The server is told of the first who does and of the last who no longer does.
pub(crate) struct Watch {
    upstream: Arc<Upstream>,
    key: Key,
    /// What the server calls it.
    uri: String,
}

impl Watch {
    /// Of the resource in the instance of that key.
    pub(crate) fn new(upstream: Arc<Upstream>, key: Key, uri: String) -> Self {
        Self { upstream, key, uri }
    }

    /// Whether that server's resource is the one watched.
    pub(crate) fn is_of(&self, audience: Option<&Audience>, uri: &str) -> bool {
        self.uri == uri && audience.is_some_and(|audience| *self.upstream.name == *audience.server)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.upstream
            .unwatch_soon(self.key.clone(), std::mem::take(&mut self.uri));
    }
}
