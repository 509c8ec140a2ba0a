//! A request of a server on its way to a client: to which call it belongs, that it waits until that can be told, and that
//! it ends with the call.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::{Fault, Raw, code};

use super::Asker as _;
use super::asks::{self, Belongs, Progress};
use super::connection::{Attached, Shared};
use crate::events::Sink;
use crate::input::InSession;

/// A request of a server.
pub(super) struct Asking {
    pub(super) shared: Arc<Shared>,
    pub(super) sink: Sink,
    /// The server's number for it.
    pub(super) id: wire::Id,
    pub(super) method: String,
    pub(super) params: Option<Raw>,
    /// The server wants to hear of progress.
    pub(super) progress: Option<Progress>,
    /// To which call it belongs, as it was when it came.
    pub(super) first: Belongs,
    /// The call on whose stream it came.
    pub(super) related: Option<u64>,
    /// The task that it says it belongs to.
    pub(super) task: Option<String>,
    /// How long a person may think.
    pub(super) confirm: Duration,
    /// When it came, and the newest call that was at work then: none of a later one can be meant.
    pub(super) come: Instant,
    pub(super) newest: u64,
    /// How long it may wait until it can be told whose it is. So long before it came, too, a call may have been given up
    /// that is meant.
    pub(super) patience: Duration,
}

impl Asking {
    /// The client's answer.
    pub(super) async fn answer(mut self) -> Result<Raw, Fault> {
        let until = self.come + self.patience;
        let mut was_asked = false;
        let first = std::mem::replace(&mut self.first, Belongs::ToSeveral);
        // Where it could not be told, a call may have ended before anybody waited for that.
        let mut first = Some(first).filter(|first| !matches!(first, Belongs::ToSeveral));
        loop {
            // Before looking, so that no change is missed.
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = || {
                let (mut at_work, left) = self.shared.at_work_and_left(self.come, self.patience);
                at_work.retain(|call| call.number <= self.newest);
                asks::belongs(self.related, self.task.as_deref(), at_work, &left)
            };
            let is_first = first.is_some();
            match first.take().unwrap_or_else(now) {
                Belongs::To(call) => {
                    let Some(asker) = call.asker else {
                        return Err(self.not_offered());
                    };
                    let ended = match self.shared.attach(&self.id, call.number) {
                        Attached::Until(ended) => ended,
                        // What its client can't be asked at all it is told, be it late.
                        Attached::TooLate if is_first => {
                            let ended = CancellationToken::new();
                            ended.cancel();
                            ended
                        }
                        Attached::TooLate => continue,
                        Attached::Unwanted => return Err(ended_before()),
                    };
                    was_asked = true;
                    let asking = asker.ask(&self.method, self.params.clone(), self.progress.clone());
                    tokio::select! {
                        // In this order: a refusal that stands at once is the answer, even if the call has ended.
                        biased;
                        outcome = asking => return outcome,
                        () = ended.cancelled() => {}
                    }
                    if self.related.is_some() || self.task.is_some() {
                        return Err(ended_before());
                    }
                    // It was taken for that call's; another of the same client may be meant.
                }
                Belongs::ToNone(_) if was_asked => return Err(ended_before()),
                Belongs::ToNone(why) => return self.beyond_calls(why).await,
                Belongs::ToSeveral => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(until) => return Err(Fault::new(
                            code::INVALID_REQUEST,
                            "calls of several clients are at work on this connection, and which of them this request \
                             belongs to can't be told",
                        )),
                    }
                }
            }
        }
    }

    /// Outside of any call: an instance that one session has for itself may ask its client at any time.
    async fn beyond_calls(&self, why: &str) -> Result<Raw, Fault> {
        let session = self.sink.session();
        let asker = session.and_then(|session| InSession::beyond_calls(&session, self.confirm));
        match asker {
            Some(asker) => {
                asker
                    .ask(&self.method, self.params.clone(), self.progress.clone())
                    .await
            }
            None => Err(Fault::new(code::INVALID_REQUEST, why)),
        }
    }

    fn not_offered(&self) -> Fault {
        Fault::new(
            code::METHOD_NOT_FOUND,
            format!(
                "the client of this call does not offer {}",
                base::text::cut(&self.method, 100)
            ),
        )
    }
}

fn ended_before() -> Fault {
    Fault::new(
        code::INVALID_REQUEST,
        "the call that this request belonged to has ended, so its client can't be asked any more",
    )
}
