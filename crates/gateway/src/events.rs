//! What happens at servers and concerns clients without any request: changed lists, changed resources, log
//! messages. They go to whoever listens; one who does not read misses some, and holds up nobody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::json;
use wire::edit::Object;
use wire::{Id, Message, Raw, meta, method, to_raw};

use crate::upstream::Upstream;

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
}

impl Event {
    /// The notification for it, tagged with the subscription that it answers (modern).
    pub(crate) fn message(&self, subscription: Option<&Id>) -> Message {
        let (method, params) = match self {
            Self::ToolsChanged => (method::TOOLS_CHANGED, None),
            Self::PromptsChanged => (method::PROMPTS_CHANGED, None),
            Self::ResourcesChanged => (method::RESOURCES_CHANGED, None),
            Self::ResourceUpdated { params, .. } => (method::RESOURCE_UPDATED, Some(params)),
            Self::Log { params, .. } => (method::LOG_MESSAGE, Some(params)),
        };
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

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(name, _)| *name == text)
            .map(|(_, level)| level)
    }
}

/// Hears of events.
pub(crate) trait Listen: Send + Sync {
    /// Takes an event, at once: what can't be passed on without waiting is dropped.
    fn hear(&self, event: &Event);
}

/// Passes events from servers to listeners.
#[derive(Default)]
pub(crate) struct Hub {
    next: AtomicU64,
    listeners: Mutex<HashMap<u64, Weak<dyn Listen>>>,
    /// Counts changes of tool lists, so that an index knows whether it is out of date.
    tool_changes: AtomicU64,
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

    pub(crate) fn publish(&self, event: &Event) {
        if matches!(event, Event::ToolsChanged) {
            self.tool_changes.fetch_add(1, Ordering::Release);
        }
        let listeners: Vec<_> = {
            let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.values().filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            listener.hear(event);
        }
    }

    pub(crate) fn tool_changes(&self) -> u64 {
        self.tool_changes.load(Ordering::Acquire)
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
    uri: String,
}

impl Watch {
    pub(crate) fn new(upstream: Arc<Upstream>, uri: String) -> Self {
        Self { upstream, uri }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.upstream.unwatch_soon(std::mem::take(&mut self.uri));
    }
}
