//! The bound on instances of all servers together, in number and in memory. Who comes when all is taken gets the place
//! of the instance that was idle the longest; when none is idle, an error that says what is in the way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::instance::Instance;
use super::lock;

/// How long one that has to leave may take, before the place is not waited for any more.
const LEAVING: Duration = Duration::from_secs(20);
/// How long one waits for others that are at work; most calls are over sooner.
const BUSY: Duration = Duration::from_secs(2);
/// How often it is looked again.
const AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct Room {
    most: usize,
    most_bytes: u64,
    tenants: Mutex<Tenants>,
    freed: Notify,
}

#[derive(Default)]
struct Tenants {
    next: u64,
    bytes: u64,
    by_number: HashMap<u64, Tenant>,
}

struct Tenant {
    bytes: u64,
    /// None yet while it starts.
    instance: Option<Weak<Instance>>,
    is_leaving: bool,
}

/// A place for one instance; free again when this goes.
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
}

impl Room {
    pub(crate) fn new(most: usize, most_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            most_bytes,
            tenants: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A place for an instance of so many bytes, made where there is none.
    pub(super) async fn take(self: &Arc<Self>, bytes: u64) -> Result<Place, String> {
        if bytes > self.most_bytes {
            return Err(format!(
                "it may use {} of memory, and all servers together at most {}; raise `instances.memory` or lower its own `memory`",
                base::text::bytes(bytes),
                base::text::bytes(self.most_bytes)
            ));
        }
        let begun = Instant::now();
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on no place that gets free is missed.
            freed.as_mut().enable();
            let (why, patience) = match self.try_take(bytes) {
                Look::Taken(place) => return Ok(place),
                Look::Leaving(why) => (why, LEAVING),
                Look::Busy(why) => (why, BUSY),
            };
            if begun.elapsed() >= patience {
                return Err(why);
            }
            // That one is idle is told to nobody, so that the end of a call costs nothing; it is looked for.
            let _freed_or_not = timeout(AGAIN, freed).await;
        }
    }

    fn try_take(self: &Arc<Self>, bytes: u64) -> Look {
        let mut tenants = lock(&self.tenants);
        if tenants.by_number.len() < self.most && tenants.bytes.saturating_add(bytes) <= self.most_bytes {
            let number = tenants.next;
            tenants.next += 1;
            tenants.bytes += bytes;
            let tenant = Tenant {
                bytes,
                instance: None,
                is_leaving: false,
            };
            tenants.by_number.insert(number, tenant);
            return Look::Taken(Place {
                room: Arc::clone(self),
                number,
            });
        }
        let why = self.why_not(&tenants);
        // Where memory is what lacks, who counts for none would leave in vain.
        let wants_bytes = tenants.by_number.len() < self.most;
        let mut idle: Vec<_> = tenants
            .by_number
            .values_mut()
            .filter(|tenant| !tenant.is_leaving && (tenant.bytes > 0 || !wants_bytes))
            .filter_map(|tenant| {
                let instance = tenant.instance.as_ref()?.upgrade()?;
                let since = instance.idle_since()?;
                Some((since, instance, tenant))
            })
            .collect();
        idle.sort_by_key(|(since, ..)| *since);
        for (_, instance, tenant) in idle {
            if instance.close_if_idle("it made room for another") {
                tenant.is_leaving = true;
                return Look::Leaving(why);
            }
        }
        // One that starts may be idle right after.
        let may_change = |tenant: &Tenant| tenant.is_leaving || tenant.instance.is_none();
        if tenants.by_number.values().any(may_change) {
            Look::Leaving(why)
        } else {
            Look::Busy(why)
        }
    }

    fn why_not(&self, tenants: &Tenants) -> String {
        let most_bytes = match self.most_bytes {
            u64::MAX => "none".to_owned(),
            most => base::text::bytes(most),
        };
        format!(
            "there is no room: {} instances of servers with {} of memory are at work, the bounds are {} and {most_bytes}. \
             Try again when one has ended, or raise `instances.most` or `instances.memory`",
            tenants.by_number.len(),
            base::text::bytes(tenants.bytes),
            self.most,
        )
    }
}

/// What came of looking for a place.
enum Look {
    Taken(Place),
    /// Somebody is leaving, or may be idle soon.
    Leaving(String),
    /// All are at work.
    Busy(String),
}

impl Place {
    /// Says whose place it is, so that it can be asked to leave.
    pub(super) fn is_of(&self, instance: &Arc<Instance>) {
        if let Some(tenant) = lock(&self.room.tenants).by_number.get_mut(&self.number) {
            tenant.instance = Some(Arc::downgrade(instance));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tenants = lock(&self.room.tenants);
        if let Some(tenant) = tenants.by_number.remove(&self.number) {
            tenants.bytes = tenants.bytes.saturating_sub(tenant.bytes);
        }
        drop(tenants);
        self.room.freed.notify_waiters();
    }
}
