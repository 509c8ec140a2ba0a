//! What is known of one request while it is under way: whether a connection has taken it, and when its time is up.

use crate::error::{Error, Fate};
use crate::request::{Body, Deadline};
use crate::stream::About;
use crate::{Engine, Request};
use futures_util::StreamExt;
use hyper_util::client::legacy::connect::CaptureConnection;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// One request under way.
#[derive(Debug)]
pub(crate) struct Trip {
    pub(crate) about: About,
    limit: Option<Duration>,
    /// Set once the request is handed to the pool; knows then whether a connection took it.
    handed: OnceLock<CaptureConnection>,
    /// When the last piece of its body was taken, or when it began.
    moved: Arc<Mutex<Instant>>,
}

impl Trip {
    /// Begins with a request. The time of a body that is streamed counts from its last piece: a large one may take
    /// long, but it may not stand still.
    pub(crate) fn of(engine: &Engine, request: &mut Request) -> Self {
        let limit = match request.deadline {
            Deadline::Default => Some(engine.options().timeout),
            Deadline::After(limit) => Some(limit),
            Deadline::Never => None,
        };
        let moved = Arc::new(Mutex::new(Instant::now()));
        request.body = match std::mem::take(&mut request.body) {
            Body::Stream(stream) => {
                let moved = Arc::clone(&moved);
                let note =
                    move |_: &_| *moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                Body::Stream(stream.inspect(note).boxed())
            }
            body => body,
        };
        Self {
            about: About::of(request),
            limit,
            handed: OnceLock::new(),
            moved,
        }
    }

    /// Says that the request is about to be sent. Only the first time counts; a second attempt is made for reads
    /// alone, where nobody asks.
    pub(crate) fn hand_over(&self, capture: CaptureConnection) {
        drop(self.handed.set(capture));
    }

    /// What is known of its effect if it fails now.
    pub(crate) fn fate(&self) -> Fate {
        let taken = self
            .handed
            .get()
            .is_some_and(|capture| capture.connection_metadata().is_some());
        if taken { self.about.fate } else { Fate::Unchanged }
    }

    /// Does this work within the time limit.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(limit) = self.limit else {
            return work.await;
        };
        let mut work = pin!(work);
        loop {
            let up = self.moved() + limit;
            if let Ok(result) = timeout_at(up, &mut work).await {
                return result;
            }
            if self.moved() + limit <= up {
                let what = self.about.what.clone();
                return Err(Error::Timeout {
                    what,
                    after: limit,
                    fate: self.fate(),
                });
            }
        }
    }

    fn moved(&self) -> Instant {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
