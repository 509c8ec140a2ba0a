//! What gateways left behind that ended without a chance to clean up: found by label, removed by id.

use base::names::{ContainerRef, NetworkRef};
use engine::Filters;
use engine::ops::containers::ContainerQuery;
use serde_json::Value;

use crate::claim::{self, Dead};
use crate::instances::Instances;
use crate::labels::{self, Kind};
use crate::running::remove;
use crate::{Error, files};

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Containers.
    pub containers: usize,
    /// Networks.
    pub networks: usize,
}

impl Instances {
    /// Removes what gateways of this state folder left on this engine and that have ended since. What belongs to a
    /// gateway that lives, or of which nothing is known here, stays.
    ///
    /// # Errors
    /// That the engine does not answer; then the next start tries again.
    pub async fn reap(&self) -> Result<Reaped, Error> {
        let mut reaped = Reaped::default();
        for dead in claim::dead(&self.inner.locks, &self.inner.endpoint())? {
            self.bury(dead, &mut reaped).await?;
        }
        Ok(reaped)
    }

    async fn bury(&self, dead: Dead, reaped: &mut Reaped) -> Result<(), Error> {
        let engine = &self.inner.engine;
        let of = |kind| {
            Filters::new()
                .with("label", labels::of_kind(kind))
                .with("label", format!("{}={}", labels::GATEWAY, dead.id))
        };
        let query = ContainerQuery {
            all: true,
            filters: of(Kind::Instance),
            ..ContainerQuery::default()
        };
        let failed = |error| Error::host("look for what earlier gateways left", error);
        let mut complete = true;
        for id in ids(&engine.container_list(&query).await.map_err(failed)?) {
            let Ok(id) = ContainerRef::parse(&id) else {
                continue;
            };
            let removed = remove(engine, &id).await;
            complete &= removed;
            reaped.containers += usize::from(removed);
        }
        for id in ids(&engine.network_list(&of(Kind::Network)).await.map_err(failed)?) {
            let Ok(id) = NetworkRef::parse(&id) else {
                continue;
            };
            match engine.network_remove(&id).await {
                Ok(()) => reaped.networks += 1,
                Err(engine::Error::NotFound { .. }) => {}
                Err(error) => {
                    complete = false;
                    tracing::warn!("network {id} of an earlier gateway could not be removed: {error}");
                }
            }
        }
        // Where ours lie, and where its own did, if that was elsewhere.
        let options = &self.inner.options;
        for place in [&options.run, &options.memory].into_iter().chain(&dead.places) {
            complete &= files::bury(place, &dead.id);
        }
        if complete {
            dead.bury();
        }
        Ok(())
    }
}

fn ids(list: &[Value]) -> Vec<String> {
    list.iter()
        .filter_map(|entry| entry["Id"].as_str())
        .map(str::to_owned)
        .collect()
}
