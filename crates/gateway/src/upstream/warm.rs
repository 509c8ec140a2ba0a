//! What waits for whoever comes: instances that are never idle, and spares.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::instance::{Instance, Owner};
use super::lease::Key;
use super::pool::Slot;
use super::{NoAnswer, Upstream, lock};
use crate::parts::Sharing;

/// How long what should be warm is left alone at least when it could not be started.
const SOON: Duration = Duration::from_secs(1);

impl Upstream {
    /// A spare instance if one fits, else a new one.
    pub(super) async fn adopt_or_start(self: &Arc<Self>, owner: &Owner) -> Result<Arc<Instance>, NoAnswer> {
        if self.may_have_spares() && !matches!(owner.key, Key::Spare(_)) {
            let spares: Vec<_> = {
                let slots = self.read_slots();
                let spares = slots.iter().filter(|(key, _)| matches!(key, Key::Spare(_)));
                spares
                    .filter_map(|(_, slot)| match slot {
                        Slot::Ready(instance) => Some(Arc::clone(instance)),
                        Slot::Starting(_) => None,
                    })
                    .collect()
            };
            for spare in spares {
                // In use for the moment, so that it is not stopped while it changes hands.
                if !spare.enter() {
                    continue;
                }
                let before = std::mem::replace(&mut *lock(&spare.owner), owner.clone());
                let had_it = self.write_slots().remove(&before.key).is_some();
                spare.nudged.notify_one();
                spare.leave();
                if had_it {
                    return Ok(spare);
                }
            }
        }
        self.start_within(owner).await
    }

    fn may_have_spares(&self) -> bool {
        self.life.warm > 0 && matches!(self.sharing, Sharing::Session | Sharing::Call)
    }

    /// Starts what should be warm and is not.
    pub(crate) fn keep_warm(self: &Arc<Self>) {
        if self.life.warm == 0 || self.retired.is_cancelled() || self.around.stop.is_cancelled() {
            return;
        }
        let keys = match self.sharing {
            Sharing::Everyone => vec![Key::Everyone],
            Sharing::Principal => vec![],
            Sharing::Session | Sharing::Call => {
                let present = self
                    .read_slots()
                    .keys()
                    .filter(|key| matches!(key, Key::Spare(_)))
                    .count();
                (present..self.life.warm)
                    .map(|_| Key::Spare(self.next_number()))
                    .collect()
            }
        };
        // One that fails again and again is tried as seldom as by those who need it.
        let is_open = lock(&self.circuit).is_open();
        if is_open && !self.until_next_try().is_zero() {
            return;
        }
        for key in keys {
            let owner = Owner {
                key,
                lifeline: None,
                principal: None,
            };
            drop(self.begin(&owner));
        }
    }

    /// The same when a server that could not be started may be tried again.
    pub(super) async fn keep_warm_later(self: &Arc<Self>) {
        if self.life.warm == 0 {
            return;
        }
        let wait = self.until_next_try().max(SOON);
        tokio::select! {
            () = sleep(wait) => self.keep_warm(),
            () = self.around.stop.cancelled() => {}
            () = self.retired.cancelled() => {}
        }
    }

    fn until_next_try(&self) -> Duration {
        let circuit = lock(&self.circuit);
        let trouble = circuit.trouble(Instant::now());
        trouble.map(|(_, wait)| wait).unwrap_or_default()
    }
}
