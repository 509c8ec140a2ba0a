//! Calls of modern clients to legacy servers: each goes on while its client is asked, and is found again by the retry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::edit::Object;
use wire::mrtr::{INPUT_RESPONSES, InputRequired};
use wire::{Fault, Raw, code};

use super::askers::{Ask, InRounds};
use super::{Describe, Exchanged, sealed};
use crate::call::Stop;
use crate::caller::Caller;
use crate::core::Core;
use crate::tasks::{self, Wish};
use crate::upstream::{Answer, NoAnswer, Route, Sending, Upstream};

/// What a server wants to know in one go comes as several requests. Those that follow the first within this time go to the
/// client with it; a person sees no difference, and is asked once.
const TOGETHER: Duration = Duration::from_millis(20);

/// A call to a legacy server that a modern client made. Dropping it cancels it.
pub(crate) struct Waiting {
    answer: BoxFuture<'static, Result<Answer, NoAnswer>>,
    asks: mpsc::Receiver<Ask>,
    /// What the client has to answer, under our keys.
    pub(super) open: Vec<(String, Ask)>,
    next: u64,
    route: Option<Arc<Route>>,
    /// Ends the watch over how long it waits.
    watched: Option<DropGuard>,
}

pub(super) enum Ran {
    Answered(Answer),
    Later(Raw),
}

impl Waiting {
    pub(super) fn begin(
        server: &Arc<Upstream>,
        caller: &Caller,
        method: &'static str,
        params: Object<'_>,
        route: Option<Arc<Route>>,
        headers: Vec<(String, String)>,
        wish: Wish,
    ) -> Self {
        let (asker, asks) = InRounds::new(caller.side.abilities);
        let (server, caller, params) = (Arc::clone(server), caller.clone(), params.into_owned());
        let kept = route.clone();
        let answer = async move {
            let cancel = CancellationToken::new();
            let sending = Sending {
                route,
                asker: Some(asker),
                headers,
                ..Sending::plain(&caller, &cancel, server.call_limit())
            };
            tasks::call(&server, &caller, method, params, sending, wish).await
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
    pub(super) fn go_on(&mut self, core: &Core, given: &Object<'_>, route: Option<&Route>) {
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
    pub(super) async fn run(
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
        let together = sleep(TOGETHER);
        tokio::pin!(together);
        loop {
            tokio::select! {
                biased;
                Some(ask) = self.asks.recv() => self.push(ask),
                () = &mut together => break,
                () = cancel.cancelled() => return Ok(None),
            }
        }
        match park(core, caller, request, self)? {
            Exchanged::Later(result) => Ok(Some(Ran::Later(result))),
            Exchanged::Answered(reply) => Ok(Some(Ran::Answered(reply))),
        }
    }

    fn push(&mut self, ask: Ask) {
        self.open.push((format!("ask-{}", self.next), ask));
        self.next += 1;
    }
}

/// Lets a call wait for its client's retry.
pub(super) fn park(
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
            () = sleep(life) => {}
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

    pub(super) fn take(&self, state: &str) -> Option<Box<Waiting>> {
        self.lock().remove(state)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Box<Waiting>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
