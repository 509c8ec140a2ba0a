//! Where the messages of one call go that come before its answer: progress, log messages, and what nobody knows. A
//! call that waits for input goes on under another request of its client, and its messages then go there.

use std::sync::Mutex;

use wire::edit::Object;
use wire::{Message, Raw, meta, method};

use super::lock;
use crate::events::Level;
use crate::outlet::Outlet;

pub(crate) struct Route(Mutex<Way>);

#[derive(Clone)]
struct Way {
    outlet: Outlet,
    /// The client's token for progress.
    token: Option<Raw>,
    /// From which level on it wants log messages; `None`: it wants none.
    level: Option<Level>,
}

impl Route {
    pub(crate) fn new(outlet: Outlet, token: Option<Raw>, level: Option<Level>) -> Self {
        Self(Mutex::new(Way { outlet, token, level }))
    }

    /// From now on to where `other` goes.
    pub(crate) fn take_over(&self, other: &Self) {
        let other = lock(&other.0).clone();
        *lock(&self.0) = other;
    }

    pub(super) fn wants_progress(&self) -> bool {
        lock(&self.0).token.is_some()
    }

    pub(super) fn progress(&self, mut params: Object<'_>, screen: impl FnOnce(Raw) -> Raw) {
        let way = lock(&self.0);
        if let Some(token) = &way.token {
            params.set(meta::PROGRESS_TOKEN, token);
            way.outlet
                .offer(Message::notification(method::PROGRESS, screen(params.to_raw())).to_line());
        }
    }

    pub(super) fn log(&self, level: Level, params: Raw) {
        let way = lock(&self.0);
        if way.level.is_some_and(|least| level >= least) {
            way.outlet
                .offer(Message::notification(method::LOG_MESSAGE, params).to_line());
        }
    }

    /// Something that the gateway does not know.
    pub(super) fn pass(&self, method: &str, params: Raw) {
        lock(&self.0)
            .outlet
            .offer(Message::notification(method, params).to_line());
    }

    /// The server has closed the stream of the call for a while, and so may we.
    pub(super) fn hang_up(&self) {
        lock(&self.0).outlet.hang_up();
    }
}
