//! The way of a call through a server: by the protocol or without it, the same work answers both.

use crate::answer::Answer;
use crate::core::Core;
use crate::error::{Code, ToolError};
use crate::hosts;
use crate::pages::Pages;
use crate::progress::Progress;
use crate::roots::{self, Said};
use crate::table::Table;
use crate::tool::{Context, Tool, Toolset};
use policy::Effect;
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, JsonObject,
    ListToolsResult, ProtocolVersion,
};
use rmcp::service::RequestContext;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a client may keep the list of tools, which changes only with the program.
const LIST_TTL: Duration = Duration::from_hours(1);

/// What comes with a call beside its arguments.
#[derive(Debug, Default)]
pub struct Beside {
    /// Where the client hears how far it is, if it wants to.
    pub progress: Option<Progress>,
    /// The addresses of the client's roots, if the client has such and [`Service::wants_roots`] for the call.
    pub roots: Option<Vec<String>>,
}

/// A server, as far as all servers are alike. A clone is the same server.
pub trait Service: Clone + Send + Sync + 'static {
    /// What its tools get.
    type Ctx: Context;

    /// Whether its tools take a host ([`hosts`]), of which they themselves know nothing.
    const TAKES_HOST: bool = false;

    /// What all its calls share.
    fn core(&self) -> &Core;

    /// Its tools.
    fn table() -> &'static Table<Self::Ctx>;

    /// Which of them are listed.
    fn toolset(&self) -> Toolset {
        Toolset::Standard
    }

    /// What one call gets.
    fn ctx(&self, progress: Option<Progress>) -> Self::Ctx;

    /// What a call does at worst, as [`Table::effect`] says unless the server knows more.
    fn effect(tool: &str, arguments: &Value) -> Effect {
        let others = without_host::<Self>(arguments);
        Self::table().effect(tool, others.as_ref().unwrap_or(arguments))
    }

    /// One line for the person who is asked, as [`Table::about`], and on which host, where one is named.
    fn about(tool: &str, arguments: &Value) -> String {
        match without_host::<Self>(arguments) {
            None => Self::table().about(tool, arguments),
            Some(others) => Self::table().about(tool, &others) + &hosts::about(arguments),
        }
    }

    /// The name of what is lost for good, as [`Table::data_loss`].
    fn data_loss(tool: &str, arguments: &Value) -> Option<String> {
        let others = without_host::<Self>(arguments);
        Self::table().data_loss(tool, others.as_ref().unwrap_or(arguments))
    }

    /// Why a call can't be made with these arguments, as [`Table::unfit`].
    fn unfit(tool: &str, arguments: &Value) -> Option<String> {
        let others = without_host::<Self>(arguments);
        Self::table().unfit(tool, others.as_ref().unwrap_or(arguments))
    }

    /// Whether a call is to know the client's roots, if the client has such.
    fn wants_roots(&self, _arguments: &JsonObject) -> bool {
        false
    }

    /// A tool as it stands in the list.
    fn listed(&self, tool: &Tool<Self::Ctx>) -> rmcp::model::Tool {
        tool.listed()
    }

    /// Does the work of a call. Its errors are as good as they get.
    fn work(
        &self,
        tool: &'static Tool<Self::Ctx>,
        beside: Beside,
        arguments: JsonObject,
    ) -> impl Future<Output = Result<Answer, <Self::Ctx as Context>::Error>> + Send {
        done(tool, self.ctx(beside.progress), arguments)
    }

    /// Answers the `params` of a `tools/call` without a stream, for a host in the same process: as on a stream in the
    /// modern era, but that nobody hears of progress. Dropping the future cancels the call.
    ///
    /// # Errors
    /// A JSON-RPC error: there is no such tool, or these are no params of a call.
    fn answer(&self, params: &RawValue) -> impl Future<Output = Result<Box<RawValue>, Box<RawValue>>> + Send {
        async move {
            let answer = match serde_json::from_str::<Params>(params.get()) {
                Ok(params) => {
                    let arguments = params.arguments.unwrap_or_default();
                    let said = || Said::within(params.meta, params.responses);
                    let never = CancellationToken::new();
                    call(self, &params.name, arguments, None, &said, &never).await
                }
                Err(error) => Err(ErrorData::invalid_params(
                    format!("params of tools/call: {error}"),
                    None,
                )),
            };
            match answer {
                Ok(CallToolResponse::Complete(result)) => Ok(raw(&result)),
                Ok(CallToolResponse::InputRequired(wanted)) => Ok(raw(&wanted)),
                // No task is made of a call here.
                Ok(_) => Err(raw(&ErrorData::internal_error("an answer of another kind", None))),
                Err(error) => Err(raw(&error)),
            }
        }
    }

    /// Answers a call that came by a stream.
    ///
    /// # Errors
    /// There is no such tool.
    fn called(
        &self,
        mut request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<CallToolResponse, ErrorData>> + Send {
        async move {
            let arguments = request.arguments.take().unwrap_or_default();
            let progress = Progress::of(context);
            let said = || Said::by_stream(&context.meta, &request);
            call(self, &request.name, arguments, progress, &said, &context.ct).await
        }
    }

    /// The tools that are listed to this client.
    fn list(&self, context: &RequestContext<RoleServer>) -> ListToolsResult {
        let toolset = self.toolset();
        let listed = Self::table()
            .all()
            .filter(|tool| tool.listed_in(toolset))
            .map(|tool| self.listed(tool))
            .collect();
        let list = ListToolsResult::with_all_items(listed);
        // Only the modern era knows these fields.
        if context
            .protocol_version()
            .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
        {
            let ttl = u64::try_from(LIST_TTL.as_millis()).unwrap_or(u64::MAX);
            return list.with_ttl_ms(ttl);
        }
        list
    }
}

/// Runs a tool, and improves on what it fails with.
///
/// # Errors
/// The tool's own.
pub async fn done<X: Context>(
    tool: &'static Tool<X>,
    ctx: X,
    arguments: JsonObject,
) -> Result<Answer, X::Error> {
    match tool.run(ctx.clone(), arguments).await {
        Ok(answer) => Ok(answer),
        Err(error) => Err(ctx.improve(error).await),
    }
}

/// Calls a tool. What it fails with is a result as well, and so is that the client is to say its roots first; `said` is what
/// it has said of them.
async fn call<S: Service>(
    service: &S,
    name: &str,
    arguments: JsonObject,
    progress: Option<Progress>,
    said: &(dyn Fn() -> Said + Sync),
    cancelled: &CancellationToken,
) -> Result<CallToolResponse, ErrorData> {
    let tool = S::table().called(name)?;
    let is_page = page_cursor(&arguments).is_some();
    let roots = match (!is_page && service.wants_roots(&arguments)).then(said) {
        None | Some(Said::Nothing) => None,
        Some(Said::Declared) => return Ok(roots::wanted().into()),
        Some(Said::Answered(answer)) => match roots::read(answer) {
            Ok(roots) => Some(roots),
            Err(error) => return Ok(failed(service.core(), &error).into()),
        },
    };
    let beside = Beside { progress, roots };
    // Tracked, because nobody waits for a handler when its stream ends.
    // Boxed, like all work below: it is moved several times on its way, and has room for each kind of work.
    let work = Box::pin(run(service, tool, arguments, beside, cancelled));
    Ok(service.core().tasks.track_future(work).await.into())
}

async fn run<S: Service>(
    service: &S,
    tool: &'static Tool<S::Ctx>,
    arguments: JsonObject,
    beside: Beside,
    cancelled: &CancellationToken,
) -> CallToolResult {
    let core = service.core();
    let answer = match core.begin() {
        Ok(_permit) => dispatch(service, tool, arguments, beside, cancelled).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(content) => CallToolResult::success(content),
        Err(error) => failed(core, &error),
    }
}

fn failed(core: &Core, error: &ToolError) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(core.error_text(error))])
}

async fn dispatch<S: Service>(
    service: &S,
    tool: &'static Tool<S::Ctx>,
    arguments: JsonObject,
    beside: Beside,
    cancelled: &CancellationToken,
) -> Result<Vec<ContentBlock>, ToolError> {
    let core = service.core();
    if let Some(cursor) = page_cursor(&arguments) {
        return Ok(vec![ContentBlock::text(core.pages.next(tool.spec.name, cursor)?)]);
    }
    let work = service.work(tool, beside, arguments);
    let result = tokio::select! {
        result = work => result,
        () = cancelled.cancelled() => Err(ToolError::new(Code::Cancelled, "the client cancelled this request").into()),
        () = core.closing.cancelled() => Err(ToolError::new(Code::Cancelled, "the server is closing").into()),
    };
    match result {
        Ok(mut answer) => {
            let beside = std::mem::take(&mut answer.beside);
            let mut content = vec![ContentBlock::text(core.pages.first(tool.spec.name, answer))];
            content.extend(beside);
            Ok(content)
        }
        Err(error) => Err(error.into()),
    }
}

/// The params of a `tools/call`, as far as they matter here.
#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    arguments: Option<JsonObject>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow, rename = "inputResponses")]
    responses: Option<&'a RawValue>,
}

/// The arguments as the tools of a server know them, where they name a host; see [`Service::TAKES_HOST`].
fn without_host<S: Service>(arguments: &Value) -> Option<Value> {
    if S::TAKES_HOST {
        hosts::without(arguments)
    } else {
        None
    }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    // What is made here always has a form as JSON: text, objects with keys of text.
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

fn page_cursor(arguments: &JsonObject) -> Option<&str> {
    arguments
        .get("cursor")
        .and_then(Value::as_str)
        .filter(|cursor| Pages::is_cursor(cursor))
}
