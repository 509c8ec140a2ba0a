//! What a tool has at hand while it runs: the engine, the server's state, progress, and the promise to undo.

use crate::server::State;
use engine::Engine;
use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No more progress messages than this; a pull reports hundreds of steps a second.
const BETWEEN_REPORTS: Duration = Duration::from_millis(200);

/// Handed to a tool with each call.
#[derive(Debug, Clone)]
pub(crate) struct Ctx {
    state: Arc<State>,
    progress: Option<Arc<Progress>>,
}

/// Where a client hears how far its request is.
#[derive(Debug)]
pub(crate) struct Progress {
    peer: Peer<RoleServer>,
    token: ProgressToken,
    last: Mutex<(Option<Instant>, f64)>,
}

impl Progress {
    /// `None`: the client does not want to hear.
    pub(crate) fn of(request: &RequestContext<RoleServer>) -> Option<Self> {
        Some(Self {
            peer: request.peer.clone(),
            token: request.meta.get_progress_token()?,
            last: Mutex::new((None, 0.0)),
        })
    }
}

impl Ctx {
    /// For one request of a client.
    pub(crate) fn new(state: Arc<State>, progress: Option<Progress>) -> Self {
        let progress = progress.map(Arc::new);
        Self { state, progress }
    }

    /// The engine that this server drives.
    pub(crate) fn engine(&self) -> &Engine {
        &self.state.options.engine
    }

    /// What all calls share.
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Tells the client how far it is, if it asked to be told. `done` never goes back, and messages in quick
    /// succession are left out.
    pub(crate) async fn progress(&self, done: f64, total: Option<f64>, message: impl Into<String>) {
        let Some(progress) = &self.progress else { return };
        let done = {
            let mut last = progress.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.0.is_some_and(|at| at.elapsed() < BETWEEN_REPORTS) {
                return;
            }
            // The specification wants each report above the last one.
            let done = if last.0.is_some() && done <= last.1 {
                last.1 + 0.001
            } else {
                done
            };
            *last = (Some(Instant::now()), done);
            done
        };
        let mut report = ProgressNotificationParam::new(progress.token.clone(), done)
            .with_message(base::text::clean(&message.into()).into_owned());
        if let Some(total) = total {
            report = report.with_total(total.max(done));
        }
        // A client that is gone ends the call by its token; one that doesn't read must not hold up the work.
        let told = progress.peer.notify_progress(report);
        drop(tokio::time::timeout(BETWEEN_REPORTS, told).await);
    }

    /// Whether anybody listens to progress, where finding it out costs something.
    pub(crate) fn has_listener(&self) -> bool {
        self.progress.is_some()
    }

    /// Work that will be done if the returned guard is dropped before [`Undo::keep`]: the tool failed, timed out or
    /// was cancelled between two steps. The server waits for it at shutdown.
    pub(crate) fn undo<F>(&self, work: F) -> Undo
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Undo {
            work: Some(Box::pin(work)),
            state: Arc::clone(&self.state),
        }
    }

    /// The label that is put on everything created here, as key and value.
    pub(crate) fn scope_label(&self) -> Option<(&str, &str)> {
        let label = self.state.options.scope_label.as_deref()?;
        Some(label.split_once('=').unwrap_or((label, "")))
    }
}

/// See [`Ctx::undo`].
#[must_use = "dropping it undoes the work at once"]
pub(crate) struct Undo {
    work: Option<futures_util::future::BoxFuture<'static, ()>>,
    state: Arc<State>,
}

impl Undo {
    /// All went well: nothing is undone.
    pub(crate) fn keep(mut self) {
        self.work = None;
    }

    /// Undoes it now, and waits.
    pub(crate) async fn now(mut self) {
        if let Some(work) = self.work.take() {
            work.await;
        }
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.state.tasks.spawn(work);
        }
    }
}
