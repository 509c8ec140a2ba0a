//! The way of a call, from top to bottom. Every call takes it, whoever asks and whichever server answers; reading
//! a resource and getting a prompt are calls too.

use std::sync::Arc;
use std::time::Instant;

use policy::{Ask, Decision, Effect, WhenUnable};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use wire::bridge::task;
use wire::edit::{Object, may_name};
use wire::{Fault, Raw, code, meta, method, mrtr, strict_value, to_raw};

use crate::budget::Kept;
use crate::caller::{Caller, Length};
use crate::confirm::{self, Asked, Question, Reply};
use crate::core::Core;
use crate::find::Found;
use crate::index::Tool;
use crate::input::{self, Exchange, Exchanged};
use crate::journal::{Outcome, Row};
use crate::outlet::Outlet;
use crate::tasks::{self, Becoming, Wish};
use crate::upstream::{Answer, NoAnswer, Route, Upstream};

/// What kind of call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tool,
    Resource,
    Prompt,
}

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Self::Tool => method::TOOLS_CALL,
            Self::Resource => method::RESOURCES_READ,
            Self::Prompt => method::PROMPTS_GET,
        }
    }

    /// The member of `params` that says of what.
    pub(crate) fn subject(self) -> &'static str {
        match self {
            Self::Resource => "uri",
            Self::Tool | Self::Prompt => "name",
        }
    }
}

/// A call as it came in.
pub(crate) struct Incoming<'a> {
    pub(crate) kind: Kind,
    pub(crate) params: Object<'a>,
    /// Where progress and questions go.
    pub(crate) outlet: Option<&'a Outlet>,
    pub(crate) cancel: &'a CancellationToken,
}

/// The call, read.
struct Call<'a> {
    incoming: &'a Incoming<'a>,
    /// The tool, prompt or resource, as the client names it.
    subject: String,
    arguments: Value,
}

/// Where it goes.
struct Target {
    /// `None`: the gateway itself answers, with the rest of an answer that was too long.
    server: Option<Found>,
    server_name: String,
    /// What permissions and audit call it.
    tool: String,
    /// What the server calls it.
    subject: String,
    effect: Effect,
    /// The same without what its server alone says.
    described: Effect,
}

/// Ends the way before its end.
pub(crate) enum Stop {
    /// An error of the protocol.
    Fault(Fault),
    /// The rules or a person say no: a result that tells the model why.
    Refused(String),
    /// The client has to ask a person and to call again.
    Later(Raw),
    Cancelled,
}

impl Stop {
    /// As an error of the protocol.
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::Refused(why) => Fault::new(code::INVALID_REQUEST, why),
            Self::Later(_) | Self::Cancelled => cancelled(),
        }
    }
}

fn cancelled() -> Fault {
    Fault::new(code::INTERNAL_ERROR, "the call was cancelled before it ended")
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<NoAnswer> for Stop {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Cancelled => Self::Cancelled,
            other => Self::Fault(other.into()),
        }
    }
}

/// Makes a call and writes it down; the row stands before the answer is given.
pub(crate) async fn call(core: &Core, caller: &Caller, incoming: &Incoming<'_>) -> Result<Raw, Fault> {
    let started = Instant::now();
    let _counted = core.counters.begin();
    let mut row = Row::new(&core.screen, caller);
    let ended = way(core, caller, incoming, &mut row).await;
    conclude(core, incoming.kind, row, ended, started).await
}

/// Writes down how it ended, and gives the answer.
pub(crate) async fn conclude(
    core: &Core,
    kind: Kind,
    row: Row,
    ended: Result<Raw, Stop>,
    started: Instant,
) -> Result<Raw, Fault> {
    let (outcome, answer) = match ended {
        Ok(result) => (
            if is_error(&result) {
                Outcome::ToolError
            } else {
                Outcome::Ok
            },
            Ok(result),
        ),
        Err(Stop::Fault(fault)) => {
            let fault = core.screen.fault(fault);
            (Outcome::Failed(fault.message()), Err(fault))
        }
        Err(Stop::Refused(why)) => {
            let why = core.screen.own(why);
            (Outcome::Refused(why.clone()), refusal(kind, &why))
        }
        Err(Stop::Later(result)) => (Outcome::Asked, Ok(result)),
        Err(Stop::Cancelled) => (Outcome::Cancelled, Err(cancelled())),
    };
    core.counters.end(&outcome);
    let bytes = answer
        .as_ref()
        .map_or_else(|fault| fault.message().len(), |result| result.get().len());
    let made = row.reached_server();
    core.journal
        .append(row.close(&outcome, bytes, started.elapsed()))
        .await
        .map_err(|error| {
            core.counters.unwritten();
            tracing::error!("the audit can't be written: {error}");
            let state = if made {
                "The call reached the server, but its answer is withheld"
            } else {
                "Nothing was done"
            };
            Fault::new(
                code::INTERNAL_ERROR,
                format!("the audit can't be written: {error}. {state}. Mend the audit file, then call again"),
            )
        })?;
    answer
}

/// Why the call can't be made, as far as its server can tell beforehand.
fn unfit(call: &Call<'_>, target: &Target) -> Option<String> {
    let found = target
        .server
        .as_ref()
        .filter(|_| call.incoming.kind == Kind::Tool)?;
    found.upstream.describe.unfit(&found.name, &call.arguments)
}

/// The way itself.
async fn way(core: &Core, caller: &Caller, incoming: &Incoming<'_>, row: &mut Row) -> Result<Raw, Stop> {
    let call = read(incoming)?;
    row.asked(&call.subject, core.screen.audited(&call.arguments));
    let target = tokio::select! {
        target = resolve(core, caller, &call) => target?,
        // A server that may have it can take long to come up.
        () = incoming.cancel.cancelled() => return Err(Stop::Cancelled),
    };
    row.resolved(
        &target.server_name,
        &target.tool,
        call.incoming.kind,
        &target.subject,
    );
    let Some(server) = &target.server else {
        row.decided("allow");
        return Ok(core.kept.read(&caller.principal, &call.subject)?);
    };
    let request = || fingerprint(&call, &target);
    let resumed = input::resume(core, caller, &incoming.params, &request)?;
    match decide(core, caller, &target) {
        Decision::Allow => row.decided("allow"),
        Decision::Deny { rule, how_to_allow } => {
            row.decided("deny");
            let Target {
                server_name, tool, ..
            } = &target;
            return Err(Stop::Refused(format!(
                "{server_name}/{tool} is not permitted: {rule}. {how_to_allow}"
            )));
        }
        // The state is bound to this very call, which was confirmed before it went to the server.
        Decision::Ask { .. } if resumed.is_some() => row.decided("confirmed"),
        Decision::Ask { why } => {
            if let Some(fault) = unfit(&call, &target) {
                return Err(Stop::Refused(fault));
            }
            confirm(core, caller, &call, &target, why, row).await?;
        }
    }
    row.sent();
    let (kind, cancel) = (incoming.kind, incoming.cancel);
    let wish = tasks::wish(
        core,
        caller,
        kind,
        &call.subject,
        server,
        &incoming.params,
        cancel,
    )
    .await?;
    let mut params = screen_arguments(core, &call, &target);
    wish.say(&mut params);
    let exchange = Exchange {
        server: &server.upstream,
        method: kind.method(),
        params,
        given: &incoming.params,
        route: route(caller, incoming),
        outlet: incoming.outlet,
        cancel,
        headers: headers(core, caller, &server.upstream, &call, &target).await,
        request: &request,
        resumed,
        wish,
    };
    let Answer { outcome, lease } = match input::exchange(core, caller, exchange).await? {
        Exchanged::Answered(reply) => reply,
        Exchanged::Later(result) => return Err(Stop::Later(server.outward(result))),
    };
    let result = outcome.map_err(|error| Stop::Fault(Fault::Relayed(core.screen.result(error))))?;
    let task = match kind {
        Kind::Tool => task::created(&result).and_then(|created| task::id(&created)),
        Kind::Resource | Kind::Prompt => None,
    };
    let result = core
        .screen
        .answer(&server.upstream, server.outward(result))
        .map_err(Stop::Refused)?;
    let becoming = Becoming {
        caller,
        found: server,
        tool: &target.tool,
        effect: target.effect,
        wish,
    };
    if let Some(own) = task {
        return Ok(tasks::created(core, &becoming, &own, &result, lease));
    }
    let result = core.kept.fit(caller, result);
    if wish == Wish::Later
        && let Some(made) = tasks::made(core, &becoming, result.clone(), is_error(&result), lease)
    {
        return Ok(made);
    }
    Ok(result)
}

/// Reads what is asked. A member or argument that stands twice is refused: what is judged here must be what the
/// server reads.
fn read<'a>(incoming: &'a Incoming<'a>) -> Result<Call<'a>, Fault> {
    let invalid = |message: String| Fault::new(code::INVALID_PARAMS, message);
    let subject = incoming.kind.subject();
    let name = incoming
        .params
        .text(subject)
        .ok_or_else(|| invalid(format!("params.{subject} is required")))?;
    let arguments = match incoming.params.get("arguments") {
        _ if incoming.kind == Kind::Resource => json!({"uri": name}),
        None => Value::Object(Map::new()),
        Some(raw) => match strict_value(raw) {
            Ok(Value::Null) => Value::Object(Map::new()),
            Ok(arguments @ Value::Object(_)) => arguments,
            Ok(_) => return Err(invalid("params.arguments has to be an object".to_owned())),
            Err(error) => return Err(invalid(format!("params.arguments: {error}"))),
        },
    };
    Ok(Call {
        incoming,
        subject: name.into_owned(),
        arguments,
    })
}

/// Finds the server and the tool's own name there.
async fn resolve(core: &Core, caller: &Caller, call: &Call<'_>) -> Result<Target, Fault> {
    let peer = caller.peer();
    match call.incoming.kind {
        Kind::Tool => {
            let found = core.find_tool(&peer, &call.subject).await?;
            let described = found.upstream.describe.effect(&found.name, &call.arguments);
            Ok(Target {
                server_name: found.upstream.name.clone(),
                effect: described.max(found.at_least),
                described,
                subject: found.name.clone(),
                tool: found.name.clone(),
                server: Some(found),
            })
        }
        Kind::Resource if Kept::is_ours(&call.subject) => Ok(Target {
            server: None,
            server_name: core.name.clone(),
            tool: "resources.read".to_owned(),
            subject: call.subject.clone(),
            effect: Effect::Read,
            described: Effect::Read,
        }),
        Kind::Resource | Kind::Prompt => {
            let (found, tool) = match call.incoming.kind {
                Kind::Prompt => (core.find_prompt(&peer, &call.subject).await?, "prompts.get"),
                _ => (core.find_resource(&peer, &call.subject).await?, "resources.read"),
            };
            Ok(Target {
                server_name: found.upstream.name.clone(),
                tool: tool.to_owned(),
                subject: found.name.clone(),
                server: Some(found),
                effect: Effect::Read,
                described: Effect::Read,
            })
        }
    }
}

/// What the rules say now. Lists hide what is denied, but that is a courtesy; this is the boundary.
fn decide(core: &Core, caller: &Caller, target: &Target) -> Decision {
    let decide = |effect| {
        core.rules().decide(&Ask {
            principal: caller.principal.as_str(),
            server: &target.server_name,
            tool: &target.tool,
            effect,
        })
    };
    match decide(target.effect) {
        // A server's own word that a tool destroys denies it, but nobody is asked for that alone: servers say it of every
        // file that they write.
        Decision::Ask { .. } if target.described < target.effect => decide(target.described),
        decision => decision,
    }
}

/// Asks the person. Returns only when the call may be made.
async fn confirm(
    core: &Core,
    caller: &Caller,
    call: &Call<'_>,
    target: &Target,
    why: String,
    row: &mut Row,
) -> Result<(), Stop> {
    let describe = match &target.server {
        Some(server) if call.incoming.kind == Kind::Tool => Some(&server.upstream.describe),
        _ => None,
    };
    let about = describe.map(|describe| describe.about(&target.subject, &call.arguments));
    let about = about.unwrap_or_else(|| format!("read {}", call.subject));
    let tool = format!("{}/{}", target.server_name, target.tool);
    let question = Question {
        about: one_line(&about),
        type_back: describe.and_then(|describe| describe.data_loss(&target.subject, &call.arguments)),
        client: caller.client.clone(),
        tool: tool.clone(),
        why,
    };
    let Incoming {
        params,
        outlet,
        cancel,
        ..
    } = call.incoming;
    let request = fingerprint(call, target);
    let asked = confirm::ask(core, caller, &question, &request, params, *outlet, cancel).await?;
    let refused = |what: String| Err(Stop::Refused(format!("{tool} was not made: {what}")));
    let about = &question.about;
    match asked {
        Asked::Replied(Reply::Yes) => {
            row.decided("confirmed");
            Ok(())
        }
        Asked::Replied(Reply::No) => {
            row.decided("declined");
            refused(format!(
                "the person declined to {about}. Do not repeat it unasked"
            ))
        }
        Asked::Replied(Reply::WrongName) => {
            row.decided("declined");
            refused(format!(
                "the name that was typed to confirm is not the one asked for, to {about}"
            ))
        }
        Asked::Replied(Reply::Nothing) => {
            row.decided("unanswered");
            refused(format!("nobody confirmed to {about}"))
        }
        Asked::Later(result) => {
            row.decided("ask");
            Err(Stop::Later(result))
        }
        Asked::Cancelled => {
            row.decided("ask");
            Err(Stop::Cancelled)
        }
        Asked::Unable if core.rules().when_unable == WhenUnable::Allow => {
            row.decided("unable to ask, allowed");
            Ok(())
        }
        // By the command line.
        Asked::Unable if caller.length == Length::Whole => {
            row.decided("unable to ask");
            refused(format!(
                "to {about} needs a person's yes ({}), and nobody can be asked here. Use `--yes` or a terminal, or set \
                 `when_unable = \"allow\"` or another `ask` under [policy] in the configuration",
                question.why
            ))
        }
        Asked::Unable => {
            row.decided("unable to ask");
            refused(format!(
                "to {about} needs a person's yes ({}), and this client has no way to ask for it (MCP elicitation). \
                 Use one that has, or set `when_unable = \"allow\"` or another `ask` under [policy] in the \
                 configuration",
                question.why
            ))
        }
    }
}

/// The call in one spelling: a confirmation holds for exactly this.
fn fingerprint(call: &Call<'_>, target: &Target) -> String {
    // None at all means the same as an empty object, and a client may write either the second time.
    let given = call
        .incoming
        .params
        .get("arguments")
        .filter(|raw| raw.get() != "null");
    let arguments = given.map_or_else(|| "{}".to_owned(), wire::canonical);
    format!(
        "{}\n{}\n{}\n{arguments}",
        call.incoming.kind.method(),
        target.server_name,
        target.subject
    )
}

/// The parameters for the server: its own name for the tool, no secrets of ours, none of the state that goes
/// between client and gateway.
fn screen_arguments<'a>(core: &Core, call: &'a Call<'_>, target: &Target) -> Object<'a> {
    let mut params = call.incoming.params.clone();
    let subject = core.screen.spotter().replace(&target.subject);
    params.set(
        call.incoming.kind.subject(),
        subject.as_ref().unwrap_or(&target.subject),
    );
    if let Some(screened) = params.get("arguments").and_then(|raw| core.screen.arguments(raw)) {
        params.set("arguments", &screened);
    }
    params.remove(mrtr::INPUT_RESPONSES);
    params.remove(mrtr::REQUEST_STATE);
    params
}

/// Where goes what comes before the answer.
fn route(caller: &Caller, incoming: &Incoming<'_>) -> Option<Arc<Route>> {
    let outlet = incoming.outlet?.clone();
    let token = meta::RequestMeta::of(&incoming.params)
        .progress_token()
        .map(ToOwned::to_owned);
    Some(Arc::new(Route::new(outlet, token, caller.side.level)))
}

/// The arguments that HTTP repeats in headers for a modern server.
async fn headers(
    core: &Core,
    caller: &Caller,
    server: &Arc<Upstream>,
    call: &Call<'_>,
    target: &Target,
) -> Vec<(String, String)> {
    if call.incoming.kind != Kind::Tool || !server.is_modern() {
        return Vec::new();
    }
    let Ok(index) = core.index(&caller.peer()).await else {
        return Vec::new();
    };
    let of_server = |tool: &&Tool| tool.name == target.subject && Arc::ptr_eq(&tool.upstream, server);
    let mirrored = index.tools.iter().find(of_server).map(|tool| &tool.mirrored[..]);
    let mirrored = mirrored.unwrap_or_default().iter();
    mirrored
        .filter_map(|mirrored| Some((mirrored.header.clone(), mirrored.header_value(&call.arguments)?)))
        .collect()
}

/// A refusal that a model can read, where the kind of call has a place for it.
fn refusal(kind: Kind, why: &str) -> Result<Raw, Fault> {
    match kind {
        Kind::Tool => Ok(to_raw(
            &json!({"content": [{"type": "text", "text": why}], "isError": true}),
        )),
        Kind::Resource | Kind::Prompt => Err(Fault::new(code::INVALID_REQUEST, why)),
    }
}

fn is_error(result: &Raw) -> bool {
    may_name(result, "isError")
        && Object::parse(result)
            .is_ok_and(|result| result.get("isError").is_some_and(|flag| flag.get() == "true"))
}

fn one_line(text: &str) -> String {
    let line = base::text::clean(text).replace(['\n', '\t'], " ");
    base::text::cut(&line, 300).to_owned()
}
