//! What a tool has at hand while it runs: the engine, the server's state, progress, and the promise to undo.

use crate::elsewhere::{Far, LOCAL, Named};
use crate::error::ToolError;
use crate::explain;
use crate::server::State;
use crate::synonyms::SYNONYMS;
use engine::Engine;
use server_kit::params::Synonym;
use server_kit::{Context, Progress, Undo};
use std::sync::Arc;

/// Handed to a tool with each call.
#[derive(Debug, Clone)]
pub struct Ctx {
    state: Arc<State>,
    progress: Option<Arc<Progress>>,
    /// The host that the call names, if it names one.
    host: Option<Arc<Named>>,
}

impl Context for Ctx {
    type Error = ToolError;

    const SYNONYMS: &'static [Synonym] = SYNONYMS;

    async fn improve(&self, error: ToolError) -> ToolError {
        Box::pin(explain::improve(self.engine(), error)).await
    }
}

impl Ctx {
    /// For one request of a client.
    pub(crate) fn new(state: Arc<State>, progress: Option<Progress>) -> Self {
        let progress = progress.map(Arc::new);
        Self {
            state,
            progress,
            host: None,
        }
    }

    /// The same, for a call that names a host.
    pub(crate) fn on(&self, host: Arc<Named>) -> Self {
        Self {
            host: Some(host),
            ..self.clone()
        }
    }

    /// The engine that the call is for.
    pub(crate) fn engine(&self) -> &Engine {
        match self.far() {
            None => &self.state.options.engine,
            Some(far) => &far.engine,
        }
    }

    /// The host beside the local one that the call is for.
    pub(crate) fn other_host(&self) -> Option<&str> {
        let host = self.host.as_ref()?;
        host.far.as_ref().map(|_| host.name.as_str())
    }

    /// The host that the call is for.
    pub(crate) fn host(&self) -> &str {
        self.host.as_ref().map_or(LOCAL, |host| &host.name)
    }

    fn far(&self) -> Option<&Far> {
        self.host.as_ref()?.far.as_ref()
    }

    /// What all calls share.
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Tells the client how far it is, if it asked to be told. `done` never goes back, and messages in quick
    /// succession are left out.
    pub(crate) async fn progress(&self, done: f64, total: Option<f64>, message: impl Into<String>) {
        if let Some(progress) = &self.progress {
            progress.tell(done, total, message).await;
        }
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
        self.state.core.undo(work)
    }

    /// The label that is put on everything created here, as key and value.
    pub(crate) fn scope_label(&self) -> Option<(&str, &str)> {
        let label = match self.far() {
            None => &self.state.options.scope_label,
            Some(far) => &far.scope_label,
        };
        let label = label.as_deref()?;
        Some(label.split_once('=').unwrap_or((label, "")))
    }
}
