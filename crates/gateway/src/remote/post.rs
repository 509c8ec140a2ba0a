//! A message of ours, as far as the transport has to understand it.

use bytes::Bytes;
use wire::edit::Object;
use wire::meta::RequestMeta;
use wire::{Frame, Id, Message, Raw, method};

use crate::parts::ToServer;

/// What is posted.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) line: Bytes,
    pub(super) headers: Vec<(String, String)>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Request {
        id: Id,
        method: String,
        /// The revision that it names: it is one of the modern era.
        modern: Option<String>,
    },
    /// The request that is given up.
    Cancel(Option<Id>),
    Initialized,
    Notification,
    Response,
}

impl Post {
    /// `None` for what is no single message: nothing that we send.
    pub(super) fn new(message: ToServer) -> Option<Self> {
        let limits = wire::Limits {
            bytes: usize::MAX,
            ..wire::Limits::default()
        };
        let Ok(Frame::Single(parsed)) = wire::parse(&message.line, &limits) else {
            return None;
        };
        let what = match parsed {
            Message::Request(request) => What::Request {
                modern: modern(request.params.as_ref()),
                id: request.id,
                method: request.method,
            },
            Message::Notification(told) => match told.method.as_str() {
                method::CANCELLED => What::Cancel(cancelled(told.params.as_ref())),
                method::INITIALIZED => What::Initialized,
                _ => What::Notification,
            },
            Message::Response(_) => What::Response,
        };
        Some(Self {
            line: message.line.into(),
            headers: message.headers,
            what,
        })
    }

    /// The id and method, if it is a request.
    pub(super) fn request(&self) -> Option<(&Id, &str)> {
        match &self.what {
            What::Request { id, method, .. } => Some((id, method)),
            _ => None,
        }
    }

    pub(super) fn is(&self, wanted: &str) -> bool {
        self.request().is_some_and(|(_, method)| method == wanted)
    }

    /// The revision that a modern request names.
    pub(super) fn modern(&self) -> Option<&str> {
        match &self.what {
            What::Request { modern, .. } => modern.as_deref(),
            _ => None,
        }
    }
}

fn modern(params: Option<&Raw>) -> Option<String> {
    let params = Object::parse(params?).ok()?;
    let version = RequestMeta::of(&params).version()?.into_owned();
    Some(version)
}

fn cancelled(params: Option<&Raw>) -> Option<Id> {
    Id::from_raw(Object::parse(params?).ok()?.get("requestId")?)
}
