//! Tasks of servers whose clients take none: the result is waited for within the call. A call that is given up takes its
//! task along.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wire::bridge::{self, task};
use wire::edit::Object;
use wire::mrtr::{INPUT_RESPONSES, InputRequired};
use wire::{Fault, Raw, code, method};

use super::Wish;
use crate::call::Stop;
use crate::caller::Caller;
use crate::core::Core;
use crate::input::{self, InSession};
use crate::upstream::{Answer, Lease, NoAnswer, Sending, Upstream};

/// How often a server is asked at most, and at least, how a task does.
const SOONEST: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(5);
/// The same where it does not say.
const USUAL: Duration = Duration::from_millis(500);

/// Passes a call to its server; where that does it by a task only and the client takes none, with the task's result.
pub(crate) async fn call(
    server: &Arc<Upstream>,
    caller: &Caller,
    method: &str,
    params: Object<'_>,
    sending: Sending<'_>,
    wish: Wish,
) -> Result<Answer, NoAnswer> {
    if wish != Wish::Inside {
        return server.call(caller, method, params, sending).await;
    }
    let waiting = Sending {
        route: sending.route.clone(),
        asker: sending.asker.clone(),
        ..Sending::plain(caller, sending.cancel, sending.limit)
    };
    let Answer { outcome, lease } = server.call(caller, method, params, sending).await?;
    let own = outcome
        .as_ref()
        .ok()
        .and_then(|result| task::id(&task::created(result)?));
    let Some(own) = own else {
        return Ok(Answer { outcome, lease });
    };
    let mut guard = Abandon::new(server, &lease, &own);
    let outcome = server
        .send(&lease, method::TASKS_RESULT, about(&own), waiting)
        .await?;
    guard.is_done = true;
    drop(guard);
    let outcome = outcome.map(|result| task::relate(&result, None));
    Ok(Answer { outcome, lease })
}

/// Waits for the result of a task that a modern server made, for a legacy client that did not want one.
pub(crate) async fn in_its_place(
    core: &Core,
    caller: &Caller,
    server: &Arc<Upstream>,
    created: Answer,
    asker: Option<&Arc<InSession>>,
    cancel: &CancellationToken,
) -> Result<Answer, Stop> {
    let own = created.outcome.as_ref().ok().and_then(|result| task::id(result));
    let Some(own) = own else { return Ok(created) };
    let lease = created.lease;
    let mut guard = Abandon::new(server, &lease, &own);
    let place = Place {
        core,
        caller,
        server,
        lease: &lease,
        own: &own,
    };
    let outcome = place.outcome(asker.map(AsRef::as_ref), cancel).await?;
    guard.is_done = true;
    drop(guard);
    Ok(Answer { outcome, lease })
}

/// A task at a modern server.
pub(super) struct Place<'a> {
    pub(super) core: &'a Core,
    pub(super) caller: &'a Caller,
    pub(super) server: &'a Arc<Upstream>,
    pub(super) lease: &'a Lease,
    pub(super) own: &'a str,
}

impl Place<'_> {
    /// Its outcome in the words of the legacy era, when it is there. What the task wants meanwhile the client is asked for.
    pub(super) async fn outcome(
        &self,
        asker: Option<&InSession>,
        cancel: &CancellationToken,
    ) -> Result<Result<Raw, Raw>, Stop> {
        let late = tokio::time::sleep(self.server.call_limit());
        tokio::pin!(late);
        let mut answered = HashSet::new();
        loop {
            let found = match self.ask(method::TASKS_GET, about(self.own), cancel).await? {
                Ok(found) => found,
                Err(error) => return Ok(Err(error)),
            };
            if let Some(outcome) = task::outcome(&found) {
                return Ok(outcome.map(bridge::result_for_legacy));
            }
            if task::standing(&found) == Some(task::Standing::Waiting) {
                let wanted = Object::parse(&found).map_err(|error| error.to_string());
                let wanted = wanted.and_then(|found| InputRequired::of(&found));
                let mut wanted = wanted.map_err(|why| input::malformed(self.server, &why))?;
                // It may name again for a while what it was given already.
                wanted.requests.retain(|(key, _)| answered.insert(key.clone()));
                if !wanted.requests.is_empty() {
                    let responses = input::responses(self.server, asker, wanted.requests, cancel).await?;
                    let screened = self.core.screen.arguments(&responses);
                    let mut params = about(self.own);
                    params.set(INPUT_RESPONSES, &screened.unwrap_or(responses));
                    if let Err(error) = self.ask(method::TASKS_UPDATE, params, cancel).await? {
                        return Ok(Err(error));
                    }
                    continue;
                }
            }
            let pause = task::pause(&found).unwrap_or(USUAL).clamp(SOONEST, LATEST);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = &mut late => {
                    let why = format!("server {} did not end the task in time", self.server.name);
                    return Err(Fault::new(code::INTERNAL_ERROR, why).into());
                }
                () = cancel.cancelled() => return Err(Stop::Cancelled),
            }
        }
    }

    async fn ask(
        &self,
        method: &str,
        params: Object<'_>,
        cancel: &CancellationToken,
    ) -> Result<Result<Raw, Raw>, NoAnswer> {
        let sending = Sending {
            takes_tasks: true,
            ..Sending::plain(self.caller, cancel, self.server.list_limit())
        };
        self.server.send(self.lease, method, params, sending).await
    }
}

/// The parameters of a request about a task.
pub(super) fn about(own: &str) -> Object<'static> {
    let mut params = Object::empty();
    params.set("taskId", own);
    params
}

/// Cancels a task that nobody waits for any more.
struct Abandon<'a> {
    server: &'a Arc<Upstream>,
    lease: &'a Lease,
    own: &'a str,
    is_done: bool,
}

impl<'a> Abandon<'a> {
    fn new(server: &'a Arc<Upstream>, lease: &'a Lease, own: &'a str) -> Self {
        Self {
            server,
            lease,
            own,
            is_done: false,
        }
    }
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.server
                .cancel_task_soon(self.lease.owner(), self.own.to_owned());
        }
    }
}
