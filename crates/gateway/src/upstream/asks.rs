//! What a server asks of a client in the middle of a call: to which call such a request belongs, and that it ends with
//! it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::{Fault, Id, Raw};

use super::lock;
use crate::caller::Caller;
use crate::{Namesake, Principal};

/// Requests of one server that wait for clients at a time.
const MOST: usize = 64;
/// Calls that were given up and are remembered.
const MOST_LEFT: usize = 256;

/// Where requests go that a server makes during a call.
pub(crate) trait Asker: Send + Sync {
    /// Asks the client. The future ends when it answered, can't be asked, or took too long. What it tells of its progress
    /// goes to `progress`, where there is a way to tell.
    fn ask(
        &self,
        method: &str,
        params: Option<Raw>,
        progress: Option<Progress>,
    ) -> BoxFuture<'static, Result<Raw, Fault>>;
}

/// Takes the `params` of what a client tells of its progress with a server's request.
pub(crate) type Progress = Arc<dyn Fn(&Raw) + Send + Sync>;

/// A call at work on a connection, as far as it matters here.
#[derive(Clone)]
pub(super) struct AtWork {
    pub(super) number: u64,
    pub(super) group: Group,
    /// `None`: its client can't be asked for anything.
    pub(super) asker: Option<Arc<dyn Asker>>,
    /// It waits for the result of this task.
    pub(super) task: Option<String>,
}

/// Calls among which it makes no difference to which a question belongs: the same client, or at least the same person,
/// answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Group {
    /// By its number, with whose it is.
    Session(u64, Principal),
    /// Of no session (2026-07-28 over HTTP).
    Principal(Principal),
    /// Of another gateway's client, by the name that that gives to it.
    Behind(Principal, Arc<str>),
}

impl Group {
    pub(super) fn of(caller: &Caller) -> Self {
        let principal = caller.principal.clone();
        match (&caller.session, &caller.side.behind) {
            (Some(session), _) => Self::Session(session.number, principal),
            (None, Some(client)) => Self::Behind(principal, Arc::clone(client)),
            (None, None) => Self::Principal(principal),
        }
    }

    /// Its name for another gateway: a principal's up to the first hyphen.
    pub(super) fn text(&self, names: &Namesake) -> String {
        match self {
            Self::Session(number, principal) => {
                format!("{}-{}-{number}", names.hide(principal.as_str()), names.run)
            }
            Self::Principal(principal) => names.hide(principal.as_str()),
            // A gateway is behind this one, too.
            Self::Behind(principal, client) => names.hide(&format!("{principal}/{client}")),
        }
    }

    /// Whose it is, and for whom of those that a gateway speaks for.
    fn person(&self) -> (&Principal, Option<&str>) {
        match self {
            Self::Session(_, principal) | Self::Principal(principal) => (principal, None),
            Self::Behind(principal, client) => (principal, client.split('-').next()),
        }
    }
}

/// To which call a server's request belongs.
pub(super) enum Belongs {
    To(AtWork),
    /// Why it is none.
    ToNone(&'static str),
    /// Calls of several clients are at work. It may be told later, when some have ended.
    ToSeveral,
}

/// The call that a server's request belongs to: the one that waits for the task which it names, or the one on whose
/// stream it came, else the newest of those at work, if all are of one group. `left` are the groups of calls that were
/// given up and at which the server may work on: such a question must not reach another principal, while which of a
/// principal's own clients answers it does no harm.
pub(super) fn belongs(
    related: Option<u64>,
    task: Option<&str>,
    mut at_work: Vec<AtWork>,
    left: &[Group],
) -> Belongs {
    let found = |call: Option<AtWork>, why| call.map_or(Belongs::ToNone(why), Belongs::To);
    if let Some(task) = task {
        let waits = at_work
            .into_iter()
            .find(|call| call.task.as_deref() == Some(task));
        return found(
            waits,
            "nobody waits for the result of that task, so no client can be asked for it",
        );
    }
    if let Some(number) = related {
        let call = at_work.into_iter().find(|call| call.number == number);
        return found(call, "the call that this request belongs to is not at work");
    }
    at_work.sort_by_key(|call| call.number);
    let Some(newest) = at_work.last() else {
        return Belongs::ToNone("no call of a client is at work that this request could belong to");
    };
    let of_another = |call: &AtWork| call.group != newest.group;
    let of_somebody_else = |group: &Group| group.person() != newest.group.person();
    if at_work.iter().any(of_another) || left.iter().any(of_somebody_else) {
        return Belongs::ToSeveral;
    }
    let able = at_work.iter().rposition(|call| call.asker.is_some());
    let at = able.unwrap_or(at_work.len() - 1);
    Belongs::To(at_work.swap_remove(at))
}

/// Calls that were given up. A server that is told so may have asked already, or work on and ask later: until it
/// answers, or some time has passed, what it asks could be about them.
#[derive(Default)]
pub(super) struct GivenUp(Mutex<VecDeque<Left>>);

struct Left {
    number: u64,
    group: Group,
    since: Instant,
}

impl GivenUp {
    /// Notes one; `life` is how long it counts for requests that come after it.
    pub(super) fn add(&self, call: &AtWork, life: Duration) {
        let now = Instant::now();
        let mut all = lock(&self.0);
        // A request that came at the end of `life` may itself wait for as long.
        all.retain(|left| left.since + 2 * life > now);
        if all.len() >= MOST_LEFT {
            // Of its own group where there is one: nobody pushes out what protects another.
            let own = all.iter().position(|left| left.group == call.group);
            all.remove(own.unwrap_or(0));
        }
        all.push_back(Left {
            number: call.number,
            group: call.group.clone(),
            since: now,
        });
    }

    /// The server has answered it after all; whether it was one of them.
    pub(super) fn answered(&self, number: u64) -> bool {
        let mut all = lock(&self.0);
        let at = all.iter().position(|left| left.number == number);
        at.and_then(|at| all.remove(at)).is_some()
    }

    /// The groups of those that a request which came at `come` could be about.
    pub(super) fn groups(&self, come: Instant, life: Duration) -> Vec<Group> {
        let all = lock(&self.0);
        let counts = all.iter().filter(|left| left.since + life > come);
        counts.map(|left| left.group.clone()).collect()
    }
}

/// Requests of a server that wait for a client's answer.
#[derive(Default)]
pub(super) struct OpenAsks(Mutex<HashMap<Id, Open>>);

struct Open {
    /// Whose it was taken for, and that this call has ended.
    call: Option<(u64, CancellationToken)>,
    /// The server wants no answer any more.
    gone: CancellationToken,
}

impl OpenAsks {
    /// Notes one, until [`Self::done`]; `None`: there are too many, or one of that number waits already.
    pub(super) fn begin(&self, id: &Id) -> Option<CancellationToken> {
        let mut open = lock(&self.0);
        if open.len() >= MOST || open.contains_key(id) {
            return None;
        }
        let gone = CancellationToken::new();
        let noted = Open {
            call: None,
            gone: gone.clone(),
        };
        open.insert(id.clone(), noted);
        Some(gone)
    }

    /// It is taken for this call's, whose end cancels what comes back. `None`: nobody wants it any more.
    pub(super) fn attach(&self, id: &Id, call: u64) -> Option<CancellationToken> {
        let mut open = lock(&self.0);
        let ended = CancellationToken::new();
        open.get_mut(id)?.call = Some((call, ended.clone()));
        Some(ended)
    }

    /// Ends one; whether the server still waits for its answer.
    pub(super) fn done(&self, id: &Id) -> bool {
        lock(&self.0).remove(id).is_some()
    }

    /// The server does not want an answer any more.
    pub(super) fn cancel(&self, id: &Id) {
        if let Some(open) = lock(&self.0).remove(id) {
            open.gone.cancel();
        }
    }

    /// The call ended.
    pub(super) fn end_of(&self, call: u64) {
        for open in lock(&self.0).values() {
            if let Some((of, ended)) = &open.call
                && *of == call
            {
                ended.cancel();
            }
        }
    }

    pub(super) fn end_all(&self) {
        for open in lock(&self.0).values() {
            open.gone.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each by somebody else.
    fn session_of(number: u64) -> Group {
        Group::Session(number, Principal::new(&format!("user {number}")))
    }

    #[test]
    fn to_which_call_a_request_belongs() {
        // Sessions by their numbers; 0: no session, of one principal.
        let check_left = |related: Option<u64>, at_work: &[(u64, u64)], left: &[u64], wanted: Option<u64>| {
            let group = |session| match session {
                0 => Group::Principal(Principal::new("ann")),
                // Clients of another gateway, ten of each person.
                10.. => Group::Behind(
                    Principal::new("gateway"),
                    format!("{}-run-{session}", session / 10).into(),
                ),
                session => session_of(session),
            };
            let calls = at_work.iter().map(|(number, session)| AtWork {
                number: *number,
                group: group(*session),
                asker: None,
                task: (*number == 9).then(|| "t".to_owned()),
            });
            let left_groups: Vec<_> = left.iter().map(|session| group(*session)).collect();
            let task = (related == Some(99)).then_some("t");
            let found = match belongs(related, task, calls.collect(), &left_groups) {
                Belongs::To(call) => Some(call.number),
                Belongs::ToNone(_) | Belongs::ToSeveral => None,
            };
            assert_eq!(found, wanted, "{related:?} among {at_work:?}, {left:?} given up");
        };
        let check = |related, at_work: &[(u64, u64)], wanted| check_left(related, at_work, &[], wanted);
        check(None, &[], None);
        check(None, &[(1, 0)], Some(1));
        check(None, &[(1, 7)], Some(1));
        check(None, &[(2, 7), (1, 7)], Some(2));
        check(None, &[(1, 7), (2, 8)], None);
        check(None, &[(1, 0), (2, 0)], Some(2));
        check(None, &[(1, 0), (2, 7)], None);
        check(Some(1), &[(1, 7), (2, 8)], Some(1));
        check(Some(3), &[(1, 7)], None);
        // By the name of its task.
        check(Some(99), &[(1, 7), (9, 8)], Some(9));
        check(Some(99), &[(1, 7)], None);
        // Those of one gateway are not those of one client.
        check(None, &[(1, 10), (2, 10)], Some(2));
        check(None, &[(1, 10), (2, 11)], None);
        check(Some(1), &[(1, 10), (2, 11)], Some(1));
        check_left(None, &[(1, 10)], &[20], None);
        check_left(None, &[(1, 10)], &[0], None);
        check_left(None, &[(1, 10)], &[11], Some(1));
        // Beside calls that were given up.
        check_left(None, &[(1, 7)], &[8], None);
        check_left(None, &[(1, 7)], &[7], Some(1));
        check_left(None, &[], &[7], None);
        check_left(Some(1), &[(1, 7)], &[8], Some(1));
        check_left(Some(99), &[(9, 7)], &[8], Some(9));
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_a_call_that_was_given_up_counts() {
        let life = Duration::from_secs(30);
        let given_up = GivenUp::default();
        let call = |number, session| AtWork {
            number,
            group: session_of(session),
            asker: None,
            task: None,
        };
        given_up.add(&call(1, 7), life);
        let come = Instant::now();
        assert_eq!(given_up.groups(come, life), [session_of(7)]);
        tokio::time::advance(life).await;
        given_up.add(&call(2, 8), life);
        assert_eq!(given_up.groups(Instant::now(), life), [session_of(8)]);
        // For what came while it counted it still does.
        assert_eq!(given_up.groups(come, life).len(), 2);
        assert!(given_up.answered(2) && !given_up.answered(2));
        // One group can't push out another's.
        for number in 3..3 + 2 * MOST_LEFT as u64 {
            given_up.add(&call(number, 9), life);
        }
        assert!(given_up.groups(come, life).contains(&session_of(7)));
        assert_eq!(given_up.groups(come, life).len(), MOST_LEFT);
    }
}
