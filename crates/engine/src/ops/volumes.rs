//! Volumes: making, looking at and removing them.

use std::time::Duration;

use base::names::VolumeName;
use bollard::models::VolumeCreateRequest;
use serde_json::Value;

use crate::{Engine, Error, Filters, Request, path};

/// A plugin that sets up storage elsewhere may need longer than a usual call, and so does removing much data.
const SLOW: Duration = Duration::from_mins(5);

impl Engine {
    /// Makes a volume and describes it. One that exists already, with the same driver, is left as it is. The engine's own
    /// driver has the time of any other request, a plugin five minutes if that is more.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it exists with another driver (up to Engine 20.10: a message that names the driver).
    pub async fn volume_create(&self, volume: &VolumeCreateRequest) -> Result<Value, Error> {
        let request = Request::post(path!["volumes", "create"]).json(volume);
        let is_own = matches!(volume.driver.as_deref(), None | Some("" | "local"));
        let request = if is_own {
            request
        } else {
            request.deadline(SLOW.max(self.options().timeout))
        };
        self.json(request).await
    }

    /// Everything about one volume, without its size.
    pub async fn volume_inspect(&self, volume: &VolumeName) -> Result<Value, Error> {
        self.json(Request::get(path!["volumes", volume])).await
    }

    /// All volumes in one request (filters `dangling`, `driver`, `label`, `name`).
    pub async fn volume_list(&self, filters: &Filters) -> Result<Vec<Value>, Error> {
        let mut answer: Value = self.json(Request::get(path!["volumes"]).filters(filters)).await?;
        match answer["Volumes"].take() {
            Value::Array(volumes) => Ok(volumes),
            // No volume at all is `null`.
            _ => Ok(Vec::new()),
        }
    }

    /// Removes a volume with all its data.
    ///
    /// # Errors
    /// [`Error::Conflict`] while a container uses it, running or not.
    pub async fn volume_remove(&self, volume: &VolumeName, remove: RemoveVolume) -> Result<(), Error> {
        let force = (remove == RemoveVolume::Forced).then_some(1);
        let request = Request::delete(path!["volumes", volume])
            .query_some("force", force)
            .deadline(SLOW);
        self.raw(request).await.map(drop)
    }
}

/// How to remove a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveVolume {
    /// It must exist, and its driver must answer.
    Orderly,
    /// One that is not there counts as removed, and one whose driver is gone is forgotten.
    Forced,
}
