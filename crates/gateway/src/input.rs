//! What a server wants to know before it answers a call: the exchange with it until there is an answer, or until the
//! client has to bring something and to call again.
//!
//! Four cases meet here. A legacy server asks by a request in the middle of the call, a modern one by a result
//! (`input_required`); a legacy client is asked by a request on the stream of its call, a modern one by a result. For a
//! modern client the call to a legacy server is parked: it goes on when the retry brings the answer. All state that
//! travels through a client is sealed: bound to principal and request, valid for a while, good for one use.
//!
//! Deliberately absent: whether the call may be made (`call.rs`), and confirmations (`confirm.rs`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::bridge;
use wire::edit::Object;
use wire::meta::{Ability, ClientCapabilities};
use wire::mrtr::{Elicited, INPUT_RESPONSES, InputRequest, InputRequired, REQUEST_STATE};
use wire::{Era, Fault, Raw, Version, code};

use crate::call::Stop;
use crate::caller::Caller;
use crate::core::Core;
use crate::outlet::Outlet;
use crate::session::Session;
use crate::upstream::{Asker, NoAnswer, Route, Sending, Upstream};

/// Begins the states that are made here, so that those of confirmations are not taken for them.
const MARK: &str = "i.";
/// A server that never has enough is given up after so many rounds within one call.
const ROUNDS: usize = 10;
/// Requests of a server that wait for one retry.
const ASKS: usize = 16;

/// Describes a call exactly, for the seal.
pub(crate) type Describe<'a> = &'a (dyn Fn() -> String + Send + Sync);

type Answer = Result<Result<Raw, Raw>, NoAnswer>;

/// A call on its way to a server.
pub(crate) struct Exchange<'a> {
    pub(crate) server: &'a Arc<Upstream>,
    pub(crate) method: &'static str,
    /// For the server.
    pub(crate) params: Object<'a>,
    /// As the client wrote them.
    pub(crate) given: &'a Object<'a>,
    /// Where messages go that come before the answer.
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) outlet: Option<&'a Outlet>,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) request: Describe<'a>,
    pub(crate) resumed: Option<Resumed>,
}

/// What a retry goes on with.
pub(crate) enum Resumed {
    /// A call that waits here.
    Parked(Box<Waiting>),
    /// What the server wanted to hear again.
    Anew(Option<String>),
}

/// How an exchange ended.
pub(crate) enum Exchanged {
    /// With the server's result or error.
    Answered(Result<Raw, Raw>),
    /// The client is to bring input and to call again; this is the result that tells it so.
    Later(Raw),
}

/// Passes a call to its server and sees to the input that this wants.
pub(crate) async fn exchange(core: &Core, caller: &Caller, call: Exchange<'_>) -> Result<Exchanged, Stop> {
    match caller.era {
        Era::Legacy(version) => in_session(core, caller, version, call).await,
        Era::Modern => in_rounds(core, caller, call).await,
    }
}

/// What the retry of a modern client goes on with; `None`: it is no retry of a call that waits for a server's input.
pub(crate) fn resume(
    core: &Core,
    caller: &Caller,
    given: &Object<'_>,
    request: Describe<'_>,
) -> Result<Option<Resumed>, Fault> {
    if caller.era != Era::Modern {
        return Ok(None);
    }
    let state = given.text(REQUEST_STATE);
    let Some(state) = state.as_deref().filter(|state| state.starts_with(MARK)) else {
        return Ok(None);
    };
    let refused = |why: &str| {
        Fault::new(
            code::INVALID_PARAMS,
            format!("requestState is not accepted: {why}. Call again without it to begin anew"),
        )
    };
    let payload = core
        .sealer
        .open_with(&caller.principal, &request(), &state[MARK.len()..])
        .map_err(|error| refused(&error.to_string()))?;
    Ok(Some(match payload.split_at_checked(1) {
        Some(("p", _)) => {
            let waiting = core.park.take(state);
            Resumed::Parked(waiting.ok_or_else(|| refused("the call does not wait any more"))?)
        }
        Some(("u", theirs)) => Resumed::Anew(Some(theirs.to_owned())),
        _ => Resumed::Anew(None),
    }))
}

/// The state for a retry that goes on with `payload`.
fn sealed(core: &Core, caller: &Caller, request: Describe<'_>, payload: &str) -> Result<String, Fault> {
    let state = core.sealer.seal_with(&caller.principal, &request(), payload);
    let state = state.map_err(|error| Fault::new(code::INTERNAL_ERROR, error.to_string()))?;
    Ok(format!("{MARK}{state}"))
}

/// For a legacy client: it is asked within the call.
async fn in_session(
    core: &Core,
    caller: &Caller,
    version: Version,
    call: Exchange<'_>,
) -> Result<Exchanged, Stop> {
    let Exchange {
        server,
        method,
        mut params,
        route,
        outlet,
        cancel,
        headers,
        ..
    } = call;
    let asker = caller.side.answers.as_ref().zip(outlet).map(|(session, outlet)| {
        Arc::new(InSession {
            session: Arc::clone(session),
            outlet: outlet.clone(),
            version,
            abilities: caller.side.abilities,
            patience: core.limits.confirm,
        })
    });
    for _ in 0..ROUNDS {
        let sending = Sending {
            cancel,
            limit: server.call_limit(),
            caller: Some(caller),
            route: route.clone(),
            asker: asker.clone().map(|asker| asker as Arc<dyn Asker>),
            headers: headers.clone(),
        };
        let answer = server.request(caller, method, params.clone(), sending).await?;
        let result = match answer {
            Ok(result) if server.is_modern() => result,
            Ok(result) => return Ok(Exchanged::Answered(Ok(result))),
            Err(error) => {
                if let Some(asker) = &asker {
                    asker.expect_visits(&error);
                }
                return Ok(Exchanged::Answered(Err(error)));
            }
        };
        let Some(wanted) = InputRequired::read(&result) else {
            return Ok(Exchanged::Answered(Ok(bridge::result_for_legacy(result))));
        };
        let wanted = wanted.map_err(|why| malformed(server, &why))?;
        let responses = match &asker {
            Some(asker) => asker.all(wanted.requests, cancel).await?,
            None if wanted.requests.is_empty() => Object::empty().to_raw(),
            None => {
                return Err(Fault::new(
                    code::INVALID_REQUEST,
                    format!(
                        "server {} wants to know something first, and this client can't be asked",
                        server.name
                    ),
                )
                .into());
            }
        };
        params.set(
            INPUT_RESPONSES,
            &core.screen.arguments(&responses).unwrap_or(responses),
        );
        match wanted.state {
            Some(state) => params.set(REQUEST_STATE, &state),
            None => params.remove(REQUEST_STATE),
        }
    }
    Err(Fault::new(
        code::INTERNAL_ERROR,
        format!(
            "server {} still wants input after {ROUNDS} rounds; it was given up",
            server.name
        ),
    )
    .into())
}

/// For a modern client: it is asked by a result, and calls again.
async fn in_rounds(core: &Core, caller: &Caller, call: Exchange<'_>) -> Result<Exchanged, Stop> {
    let Exchange {
        server,
        method,
        mut params,
        given,
        route,
        cancel,
        headers,
        request,
        resumed,
        ..
    } = call;
    let waiting = match resumed {
        Some(Resumed::Parked(mut waiting)) => {
            waiting.go_on(core, given, route.as_deref());
            if waiting.open.is_empty() {
                Some(waiting)
            } else {
                return park(core, caller, request, waiting);
            }
        }
        Some(Resumed::Anew(state)) => {
            if server.is_modern() {
                if let Some(responses) = given.get(INPUT_RESPONSES) {
                    params.set(
                        INPUT_RESPONSES,
                        &core.screen.arguments(responses).unwrap_or(responses.to_owned()),
                    );
                }
                if let Some(state) = state {
                    params.set(REQUEST_STATE, &state);
                }
            } else if !all_accepted(given) {
                let why = "the person did not go to the address that the server sent them to";
                return Err(Stop::Refused(why.to_owned()));
            }
            None
        }
        None => {
            // Brought without having been asked for: the server's to judge, as it would be without us. With a state it
            // was the answer to a confirmation.
            if let Some(responses) = given.get(INPUT_RESPONSES)
                && server.is_modern()
                && given.get(REQUEST_STATE).is_none()
            {
                let screened = core.screen.arguments(responses);
                params.set(INPUT_RESPONSES, &screened.unwrap_or_else(|| responses.to_owned()));
            }
            None
        }
    };
    let answer = if let Some(waiting) = waiting {
        let Some(answer) = waiting.run(core, caller, request, cancel).await? else {
            return Err(Stop::Cancelled);
        };
        answer
    } else if caller.side.abilities.answers() && !server.is_modern() {
        let waiting = Box::new(Waiting::begin(server, caller, method, params, route, headers));
        let Some(answer) = waiting.run(core, caller, request, cancel).await? else {
            return Err(Stop::Cancelled);
        };
        answer
    } else {
        let sending = Sending {
            route,
            headers,
            ..Sending::plain(caller, cancel, server.call_limit())
        };
        Ran::Answered(server.request(caller, method, params, sending).await?)
    };
    match answer {
        Ran::Later(result) => Ok(Exchanged::Later(result)),
        Ran::Answered(Ok(result)) if server.is_modern() => relayed(core, caller, server, request, result),
        Ran::Answered(Ok(result)) => Ok(Exchanged::Answered(Ok(result))),
        Ran::Answered(Err(error)) => visit(core, caller, request, error),
    }
}

/// A modern server's result: if it asks for input, our own state goes around the server's.
fn relayed(
    core: &Core,
    caller: &Caller,
    server: &Upstream,
    request: Describe<'_>,
    result: Raw,
) -> Result<Exchanged, Stop> {
    let Some(wanted) = InputRequired::read(&result) else {
        return Ok(Exchanged::Answered(Ok(result)));
    };
    let wanted = wanted.map_err(|why| malformed(server, &why))?;
    for (_, InputRequest { method, params }) in &wanted.requests {
        if let Err(unable) = bridge::for_modern(method, params.as_deref(), caller.side.abilities) {
            return Err(missing(&unable).into());
        }
    }
    let payload = wanted
        .state
        .map_or_else(|| "n".to_owned(), |state| format!("u{state}"));
    let state = sealed(core, caller, request, &payload)?;
    let mut result = Object::parse(&result).map_err(|error| malformed(server, &error.to_string()))?;
    result.set(REQUEST_STATE, &state);
    Ok(Exchanged::Later(core.screen.result(result.to_raw())))
}

/// A server's error for a modern client: that a person has to go somewhere first is no error there.
fn visit(core: &Core, caller: &Caller, request: Describe<'_>, error: Raw) -> Result<Exchanged, Stop> {
    let Some(requests) = bridge::visits(&error) else {
        return Ok(Exchanged::Answered(Err(error)));
    };
    if !caller.side.abilities.has(Ability::Url) {
        return Err(missing(&bridge::Unable::Undeclared(Ability::Url)).into());
    }
    let state = Some(sealed(core, caller, request, "n")?);
    let wanted = InputRequired { requests, state };
    Ok(Exchanged::Later(core.screen.result(wanted.to_raw())))
}

/// Whether a retry brings an acceptance under each key.
fn all_accepted(given: &Object<'_>) -> bool {
    let responses = given.get(INPUT_RESPONSES).and_then(|raw| Object::parse(raw).ok());
    responses.is_some_and(|responses| {
        !responses.is_empty()
            && responses
                .iter()
                .all(|(_, answer)| matches!(Elicited::read(answer), Some(Elicited::Accepted(_))))
    })
}

fn malformed(server: &Upstream, why: &str) -> Fault {
    Fault::new(
        code::INTERNAL_ERROR,
        format!(
            "server {} wants input, but not in a form that can be answered: {why}",
            server.name
        ),
    )
}

/// 2026-07-28, Base Protocol, "Error Codes".
fn missing(unable: &bridge::Unable) -> Fault {
    let fault = Fault::new(code::MISSING_CLIENT_CAPABILITY, unable.to_string());
    let required = match unable {
        bridge::Unable::Undeclared(Ability::Form) => json!({"elicitation": {"form": {}}}),
        bridge::Unable::Undeclared(Ability::Url) => json!({"elicitation": {"url": {}}}),
        bridge::Unable::Undeclared(Ability::Sampling) => json!({"sampling": {}}),
        bridge::Unable::Undeclared(Ability::SamplingTools) => json!({"sampling": {"tools": {}}}),
        bridge::Unable::Undeclared(Ability::Roots) => json!({"roots": {}}),
        _ => return fault,
    };
    fault.with(json!({"requiredCapabilities": required}))
}

/// Asks a legacy client by requests on the stream of its call.
struct InSession {
    session: Arc<Session>,
    outlet: Outlet,
    version: Version,
    abilities: ClientCapabilities,
    /// How long a person may think.
    patience: Duration,
}

impl InSession {
    /// Answers to all of `requests`, under their keys. One that the client refuses fails the call.
    async fn all(
        &self,
        requests: Vec<(String, InputRequest)>,
        cancel: &CancellationToken,
    ) -> Result<Raw, Stop> {
        let asking = requests
            .into_iter()
            .map(|(key, InputRequest { method, params })| async move {
                let answer = self.ask(&method, params).await;
                (key, answer)
            });
        let answers = tokio::select! {
            biased;
            answers = join_all(asking) => answers,
            () = cancel.cancelled() => return Err(Stop::Cancelled),
        };
        let mut responses = Object::empty();
        for (key, answer) in answers {
            responses.set_named(&key, &answer?);
        }
        Ok(responses.to_raw())
    }

    /// Word that a visit is done will concern this client.
    fn expect_visits(&self, error: &Raw) {
        for (_, InputRequest { params, .. }) in bridge::visits(error).into_iter().flatten() {
            self.expect_visit(params.as_ref());
        }
    }

    fn expect_visit(&self, params: Option<&Raw>) {
        let id = params.and_then(|raw| Some(Object::parse(raw).ok()?.text("elicitationId")?.into_owned()));
        if let Some(id) = id {
            self.session.expect_visit(id);
        }
    }
}

impl Asker for InSession {
    fn ask(&self, method: &str, params: Option<Raw>) -> BoxFuture<'static, Result<Raw, Fault>> {
        let id = crate::seal::random_id().unwrap_or_default();
        let params = bridge::for_legacy(method, params.as_deref(), self.abilities, self.version, &id);
        let params = match params {
            Ok(params) => params,
            Err(unable) => return std::future::ready(Err(not_offered(&unable))).boxed(),
        };
        self.expect_visit(Some(&params));
        let (session, outlet, patience) = (Arc::clone(&self.session), self.outlet.clone(), self.patience);
        let method = method.to_owned();
        async move {
            match timeout(patience, session.ask(&outlet, &method, params)).await {
                Ok(Some(answer)) => answer.map_err(Fault::Relayed),
                Ok(None) => Err(Fault::new(
                    code::INTERNAL_ERROR,
                    "the client is gone, or can't be asked any more",
                )),
                Err(_) => Err(Fault::new(
                    code::INTERNAL_ERROR,
                    format!(
                        "the client did not answer {method} within {} s",
                        patience.as_secs()
                    ),
                )),
            }
        }
        .boxed()
    }
}

fn not_offered(unable: &bridge::Unable) -> Fault {
    Fault::new(code::METHOD_NOT_FOUND, unable.to_string())
}

/// Takes what a legacy server asks, for the result that passes it on.
struct InRounds {
    asks: mpsc::Sender<Ask>,
    abilities: ClientCapabilities,
}

/// A request of a server that waits for the client's retry.
struct Ask {
    request: InputRequest,
    reply: oneshot::Sender<Result<Raw, Fault>>,
}

impl Asker for InRounds {
    fn ask(&self, method: &str, params: Option<Raw>) -> BoxFuture<'static, Result<Raw, Fault>> {
        let params = match bridge::for_modern(method, params.as_deref(), self.abilities) {
            Ok(params) => params,
            Err(unable) => return std::future::ready(Err(not_offered(&unable))).boxed(),
        };
        let (reply, answer) = oneshot::channel();
        let request = InputRequest {
            method: method.to_owned(),
            params,
        };
        let sent = self.asks.try_send(Ask { request, reply }).is_ok();
        async move {
            let gone = || {
                Fault::new(
                    code::INTERNAL_ERROR,
                    "the client does not come back with an answer",
                )
            };
            if !sent {
                return Err(Fault::new(
                    code::INTERNAL_ERROR,
                    "too many requests wait for the client",
                ));
            }
            answer.await.unwrap_or_else(|_| Err(gone()))
        }
        .boxed()
    }
}

/// A call to a legacy server that a modern client made. Dropping it cancels it.
pub(crate) struct Waiting {
    answer: BoxFuture<'static, Answer>,
    asks: mpsc::Receiver<Ask>,
    /// What the client has to answer, under our keys.
    open: Vec<(String, Ask)>,
    next: u64,
    route: Option<Arc<Route>>,
    /// Ends the watch over how long it waits.
    watched: Option<DropGuard>,
}

enum Ran {
    Answered(Result<Raw, Raw>),
    Later(Raw),
}

impl Waiting {
    fn begin(
        server: &Arc<Upstream>,
        caller: &Caller,
        method: &'static str,
        params: Object<'_>,
        route: Option<Arc<Route>>,
        headers: Vec<(String, String)>,
    ) -> Self {
        let (sender, asks) = mpsc::channel(ASKS);
        let asker: Arc<dyn Asker> = Arc::new(InRounds {
            asks: sender,
            abilities: caller.side.abilities,
        });
        let (server, caller, params) = (Arc::clone(server), caller.clone(), params.into_owned());
        let kept = route.clone();
        let answer = async move {
            let cancel = CancellationToken::new();
            let sending = Sending {
                cancel: &cancel,
                limit: server.call_limit(),
                caller: Some(&caller),
                route,
                asker: Some(asker),
                headers,
            };
            server.request(&caller, method, params, sending).await
        };
        Self {
            answer: answer.boxed(),
            asks,
            open: Vec::new(),
            next: 1,
            route: kept,
            watched: None,
        }
    }

    /// Gives the server what the retry brings, and lets what comes next go to it.
    fn go_on(&mut self, core: &Core, given: &Object<'_>, route: Option<&Route>) {
        if let (Some(ours), Some(new)) = (&self.route, route) {
            ours.take_over(new);
        }
        let responses = given.get(INPUT_RESPONSES).and_then(|raw| Object::parse(raw).ok());
        let Some(responses) = responses else { return };
        for (key, ask) in std::mem::take(&mut self.open) {
            match responses.get(&key) {
                Some(answer) => {
                    let answer = core.screen.arguments(answer).unwrap_or_else(|| answer.to_owned());
                    // An error means that the server no longer waits for it.
                    drop(ask.reply.send(Ok(answer)));
                }
                None => self.open.push((key, ask)),
            }
        }
    }

    /// Waits for the answer, or for something that the client has to bring. `None`: the client cancelled.
    async fn run(
        mut self: Box<Self>,
        core: &Core,
        caller: &Caller,
        request: Describe<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<Ran>, Stop> {
        let ask = tokio::select! {
            biased;
            answer = &mut self.answer => return Ok(Some(Ran::Answered(answer?))),
            Some(ask) = self.asks.recv() => ask,
            () = cancel.cancelled() => return Ok(None),
        };
        self.push(ask);
        while let Ok(ask) = self.asks.try_recv() {
            self.push(ask);
        }
        match park(core, caller, request, self)? {
            Exchanged::Later(result) => Ok(Some(Ran::Later(result))),
            Exchanged::Answered(answer) => Ok(Some(Ran::Answered(answer))),
        }
    }

    fn push(&mut self, ask: Ask) {
        self.open.push((format!("ask-{}", self.next), ask));
        self.next += 1;
    }
}

/// Lets a call wait for its client's retry.
fn park(
    core: &Core,
    caller: &Caller,
    request: Describe<'_>,
    mut waiting: Box<Waiting>,
) -> Result<Exchanged, Stop> {
    waiting.open.retain(|(_, ask)| !ask.reply.is_closed());
    let state = sealed(core, caller, request, "p")?;
    let wanted = InputRequired {
        requests: waiting
            .open
            .iter()
            .map(|(key, ask)| (key.clone(), ask.request.clone()))
            .collect(),
        state: Some(state.clone()),
    };
    let gone = CancellationToken::new();
    waiting.watched = Some(gone.clone().drop_guard());
    if !core.park.put(state.clone(), waiting) {
        return Err(Fault::new(
            code::INTERNAL_ERROR,
            "too many calls wait for input of their clients; the call was cancelled. Try again in a few minutes",
        )
        .into());
    }
    let (park, stop, life) = (Arc::clone(&core.park), core.stop.clone(), core.limits.confirm);
    core.tasks.spawn(async move {
        tokio::select! {
            () = gone.cancelled() => {}
            () = tokio::time::sleep(life) => {}
            () = stop.cancelled() => {}
        }
        // Dropped here, which tells the server that nobody waits any more.
        drop(park.take(&state));
    });
    Ok(Exchanged::Later(wanted.to_raw()))
}

/// The calls that wait.
pub(crate) struct Park {
    most: usize,
    calls: Mutex<HashMap<String, Box<Waiting>>>,
}

impl Park {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            calls: Mutex::default(),
        })
    }

    fn put(&self, state: String, waiting: Box<Waiting>) -> bool {
        let mut calls = self.lock();
        if calls.len() >= self.most {
            return false;
        }
        calls.insert(state, waiting);
        true
    }

    fn take(&self, state: &str) -> Option<Box<Waiting>> {
        self.lock().remove(state)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Box<Waiting>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
