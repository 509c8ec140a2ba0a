//! What a server asks of a client in the middle of a call: to which call such a request belongs, and that it ends with
//! it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use wire::{Fault, Id, Raw, code};

use super::lock;

/// Requests of one server that wait for clients at a time.
const MOST: usize = 64;

/// Where requests go that a server makes during a call.
pub(crate) trait Asker: Send + Sync {
    /// Asks the client. The future ends when it answered, can't be asked, or took too long.
    fn ask(&self, method: &str, params: Option<Raw>) -> BoxFuture<'static, Result<Raw, Fault>>;
}

/// A call at work on a connection, as far as it matters here.
pub(super) struct AtWork {
    pub(super) number: u64,
    /// The session it came from; `None`: from none, so it is like no other.
    pub(super) session: Option<u64>,
    /// `None`: its client can't be asked for anything.
    pub(super) asker: Option<Arc<dyn Asker>>,
}

/// The call that a server's request belongs to: the one on whose stream it came, else the only one at work, or the
/// newest of those that are all from one session.
pub(super) fn belongs(related: Option<u64>, mut at_work: Vec<AtWork>) -> Result<AtWork, Fault> {
    let refuse = |why: &str| Err(Fault::new(code::INVALID_REQUEST, why));
    if let Some(number) = related {
        return match at_work.into_iter().find(|call| call.number == number) {
            Some(call) => Ok(call),
            None => refuse("the call that this request belongs to is not at work"),
        };
    }
    at_work.sort_by_key(|call| call.number);
    let Some(newest) = at_work.pop() else {
        return refuse("no call of a client is at work that this request could belong to");
    };
    if at_work
        .iter()
        .all(|call| call.session.is_some() && call.session == newest.session)
    {
        Ok(newest)
    } else {
        refuse(
            "calls of several clients are at work on this connection, and which of them this request belongs to can't be told",
        )
    }
}

/// Requests of a server that wait for a client's answer.
#[derive(Default)]
pub(super) struct OpenAsks(Mutex<HashMap<Id, (u64, CancellationToken)>>);

impl OpenAsks {
    /// Notes one, until [`Self::done`]; `None`: there are too many, or one of that number waits already.
    pub(super) fn begin(&self, id: &Id, call: u64) -> Option<CancellationToken> {
        let mut open = lock(&self.0);
        if open.len() >= MOST || open.contains_key(id) {
            return None;
        }
        let cancel = CancellationToken::new();
        open.insert(id.clone(), (call, cancel.clone()));
        Some(cancel)
    }

    /// Ends one; whether the server still waits for its answer.
    pub(super) fn done(&self, id: &Id) -> bool {
        lock(&self.0).remove(id).is_some()
    }

    /// The server does not want an answer any more.
    pub(super) fn cancel(&self, id: &Id) {
        if let Some((_, cancel)) = lock(&self.0).remove(id) {
            cancel.cancel();
        }
    }

    /// The call ended, and so does what was asked for it.
    pub(super) fn end_of(&self, call: u64) {
        for (of, cancel) in lock(&self.0).values() {
            if *of == call {
                cancel.cancel();
            }
        }
    }

    pub(super) fn end_all(&self) {
        for (_, cancel) in lock(&self.0).values() {
            cancel.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_which_call_a_request_belongs() {
        let check = |related: Option<u64>, at_work: &[(u64, Option<u64>)], wanted: Option<u64>| {
            let calls = at_work
                .iter()
                .map(|(number, session)| AtWork {
                    number: *number,
                    session: *session,
                    asker: None,
                })
                .collect();
            let found = belongs(related, calls).ok().map(|call| call.number);
            assert_eq!(found, wanted, "{related:?} among {at_work:?}");
        };
        check(None, &[], None);
        check(None, &[(1, None)], Some(1));
        check(None, &[(1, Some(7))], Some(1));
        check(None, &[(2, Some(7)), (1, Some(7))], Some(2));
        check(None, &[(1, Some(7)), (2, Some(8))], None);
        check(None, &[(1, None), (2, None)], None);
        check(None, &[(1, None), (2, Some(7))], None);
        check(Some(1), &[(1, Some(7)), (2, Some(8))], Some(1));
        check(Some(3), &[(1, Some(7))], None);
    }
}
