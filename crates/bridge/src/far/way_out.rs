//! How a bridge gets out to what its servers declare: by a network of its own, which it is in only while it has to be.

use base::names::NetworkRef;
use engine::ops::networks::{Join, Leave};

use super::Bridge;
use crate::{Error, container, guards};

/// The network in which there is nobody.
pub(super) const NOWHERE: &str = "none";

impl Bridge {
    /// Gives it a way out, or takes that away. What is so already stays as it is.
    ///
    /// # Errors
    /// [`Error::Fixed`] where only a bridge that is made anew can have one; the engine refuses, such as for want of addresses.
    pub async fn set_way_out(&self, open: bool) -> Result<(), Error> {
        let own = self.container()?;
        let found = self.inspect().await?.ok_or(Error::Gone)?;
        let networks = &found["NetworkSettings"]["Networks"];
        let is_open = networks.get(self.name()).is_some();
        // One that was made with its way out keeps it until it is made anew: its engine would not start it without.
        let is_fixed = found["HostConfig"]["NetworkMode"] != NOWHERE;
        if open && is_open || is_fixed {
            return Ok(());
        }
        let engine = &self.shared.engine;
        if !open {
            if is_open {
                let network = self.network()?;
                let left = engine.network_disconnect(&network, &own, Leave::Orderly).await;
                left.map_err(|cause| Error::engine("take its way out away", cause))?;
            }
            // Also one that could not be removed before.
            return self.remove_network().await;
        }
        let is_podman = self.is_on_podman().await?;
        let failed = |cause| match cause {
            engine::Error::Daemon { .. } | engine::Error::Conflict { .. } if is_podman => Error::Fixed(cause),
            cause => Error::engine("give it a way out", cause),
        };
        let network = self.make_network().await?;
        if networks.get(NOWHERE).is_some() {
            let nowhere = NetworkRef::parse(NOWHERE).map_err(|error| Error::Silent(error.to_string()))?;
            let guard = guards::of_unlabelled(&self.shared.user.options().guard);
            let engine = self.shared.user.behind(guard);
            let left = engine.network_disconnect(&nowhere, &own, Leave::Orderly).await;
            left.map_err(failed)?;
        }
        engine
            .network_connect(&network, &own, &Join::default())
            .await
            .map_err(failed)
    }

    /// The network of its way out, made where it is not there.
    pub(super) async fn make_network(&self) -> Result<NetworkRef, Error> {
        let failed = |cause| Error::engine("make a network for its way out", cause);
        let (engine, network) = (&self.shared.engine, self.network()?);
        match engine.network_inspect(&network).await {
            Ok(_) => Ok(network),
            Err(engine::Error::NotFound { .. }) => {
                let request = container::network(&self.shared.id);
                engine.network_create(&request).await.map_err(failed)?;
                Ok(network)
            }
            Err(cause) => Err(failed(cause)),
        }
    }

    pub(super) async fn remove_network(&self) -> Result<(), Error> {
        match self.shared.engine.network_remove(&self.network()?).await {
            Ok(()) | Err(engine::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(Error::engine("remove the network of its way out", cause)),
        }
    }
}
