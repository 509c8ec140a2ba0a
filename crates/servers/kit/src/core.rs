//! What every server has: pages that wait, work that runs, and an end that waits for both; and the MCP side of a server
//! that offers nothing but tools.

use crate::answer::Answer;
use crate::calls::{Beside, Service};
use crate::error::{Code, ToolError};
use crate::pages::Pages;
use crate::progress::Progress;
use crate::tool::{Context, Tool};
use futures_util::future::BoxFuture;
use policy::Effect;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorData, Implementation, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, ServerInitializeError};
use rmcp::{RoleServer, ServerHandler, ServiceExt};
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Calls that run at once; more are told to wait. Far above what a model does, below what would hurt what is worked on.
const MAX_CALLS: usize = 256;
/// How long the server waits, when its stream has ended, for calls to end and for what they undo.
const GRACE: Duration = Duration::from_secs(10);

/// What all calls of a server share.
#[derive(Debug)]
pub struct Core {
    /// Answers that were too long for one message.
    pub pages: Pages,
    /// Calls, and what outlives a call: undoing, sessions, watchers. Waited for at the end.
    pub tasks: TaskTracker,
    /// Cancelled when the server ends.
    pub closing: CancellationToken,
    calls: Semaphore,
}

/// Why a stream could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client said something else than the protocol begins with.
    #[error("the client did not open an MCP session: {0}")]
    Opening(#[source] Box<ServerInitializeError>),
    /// The service loop broke.
    #[error("the MCP session broke: {0}")]
    Session(#[from] tokio::task::JoinError),
}

impl Core {
    /// For a server whose answers have at most so many tokens (of 4 bytes); what is over comes by cursor.
    pub fn new(answer_tokens: usize) -> Self {
        Self {
            pages: Pages::new(answer_tokens),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            calls: Semaphore::new(MAX_CALLS),
        }
    }

    /// Work that will be done if the returned guard is dropped before [`Undo::keep`]: the tool failed, timed out or
    /// was cancelled between two steps. The server waits for it at shutdown.
    pub fn undo<F>(&self, work: F) -> Undo
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Undo {
            work: Some(Box::pin(work)),
            tasks: self.tasks.clone(),
        }
    }

    /// An error as it goes out: without secrets, without control characters, within the budget.
    pub fn error_text(&self, error: &impl fmt::Display) -> String {
        let text = error.to_string();
        let text = base::text::clean(&text).into_owned();
        let text = base::redact::text(&text).into_owned();
        base::text::cut(&text, self.pages.budget()).to_owned()
    }

    /// Ends everything, and waits for it.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "some work did not end in {GRACE:?}");
        }
    }

    /// A place among the calls that run.
    pub(crate) fn begin(&self) -> Result<SemaphorePermit<'_>, ToolError> {
        self.calls.try_acquire().map_err(|_| {
            ToolError::new(Code::Conflict, format!("{MAX_CALLS} calls are running already"))
                .fix("wait for one of them to end")
        })
    }
}

/// See [`Core::undo`].
#[must_use = "dropping it undoes the work at once"]
pub struct Undo {
    work: Option<BoxFuture<'static, ()>>,
    tasks: TaskTracker,
}

impl Undo {
    /// All went well: nothing is undone.
    pub fn keep(mut self) {
        self.work = None;
    }

    /// Undoes it now, and waits.
    pub async fn now(mut self) {
        if let Some(work) = self.work.take() {
            work.await;
        }
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.tasks.spawn(work);
        }
    }
}

/// Serves one client until the stream ends, then ends what is running and undoes what is half done.
///
/// # Errors
/// The client does not speak MCP. A stream that ends before a session began is no error.
pub async fn serve<S, T>(server: S, stream: T) -> Result<(), ServeError>
where
    S: Service + ServerHandler,
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let service = server.clone();
    // Boxed: the handshake's future holds the futures of all handlers.
    let end = match Box::pin(ServiceExt::serve(server, stream)).await {
        Ok(session) => session.waiting().await.map(drop).map_err(ServeError::from),
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
        Err(error) => Err(ServeError::Opening(Box::new(error))),
    };
    service.core().close().await;
    end
}

/// A server that offers nothing but its tools, as rmcp serves it: `serve(Plain::new(...), stream)`.
#[derive(Debug, Clone)]
pub struct Plain<S> {
    service: S,
    about: Implementation,
    instructions: String,
}

impl<S: Service> Plain<S> {
    /// With this name, this title for people, and what models are told about all of its tools.
    pub fn new(service: S, name: &str, title: &str, instructions: impl Into<String>) -> Self {
        Self {
            service,
            about: Implementation::new(name, env!("CARGO_PKG_VERSION")).with_title(title),
            instructions: instructions.into(),
        }
    }
}

impl<S: Service> Service for Plain<S> {
    type Ctx = S::Ctx;

    const TAKES_HOST: bool = S::TAKES_HOST;

    fn core(&self) -> &Core {
        self.service.core()
    }

    fn table() -> &'static crate::Table<Self::Ctx> {
        S::table()
    }

    fn toolset(&self) -> crate::Toolset {
        self.service.toolset()
    }

    fn ctx(&self, progress: Option<Progress>) -> Self::Ctx {
        self.service.ctx(progress)
    }

    fn effect(tool: &str, arguments: &Value) -> Effect {
        S::effect(tool, arguments)
    }

    fn about(tool: &str, arguments: &Value) -> String {
        S::about(tool, arguments)
    }

    fn data_loss(tool: &str, arguments: &Value) -> Option<String> {
        S::data_loss(tool, arguments)
    }

    fn unfit(tool: &str, arguments: &Value) -> Option<String> {
        S::unfit(tool, arguments)
    }

    fn wants_roots(&self, arguments: &JsonObject) -> bool {
        self.service.wants_roots(arguments)
    }

    fn listed(&self, tool: &Tool<Self::Ctx>) -> rmcp::model::Tool {
        self.service.listed(tool)
    }

    fn work(
        &self,
        tool: &'static Tool<Self::Ctx>,
        beside: Beside,
        arguments: JsonObject,
    ) -> impl Future<Output = Result<Answer, <Self::Ctx as Context>::Error>> + Send {
        self.service.work(tool, beside, arguments)
    }
}

impl<S: Service> ServerHandler for Plain<S> {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(self.about.clone())
            .with_instructions(self.instructions.clone())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(self.list(&context))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.called(request, &context).await
    }

    fn get_tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        Self::table().find(name).map(|tool| self.listed(tool))
    }
}
