//! Containers.

use crate::{Engine, Error, Filters, Request, path};
use base::names::ContainerRef;
use http::StatusCode;
use serde_json::Value;

/// What a start or stop found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has been done.
    Done,
    /// It was so already.
    AlreadySo,
}

impl Change {
    fn of(status: StatusCode) -> Self {
        if status == StatusCode::NOT_MODIFIED {
            Self::AlreadySo
        } else {
            Self::Done
        }
    }
}

/// Which containers to list.
#[derive(Debug, Clone, Default)]
pub struct ContainerQuery {
    /// Stopped ones as well.
    pub all: bool,
    /// The sizes of their writable layers, which costs the daemon a walk over all files.
    pub size: bool,
    /// At most so many, the newest first, running or not.
    pub limit: Option<u32>,
    /// `label`, `name`, `status`, `ancestor`, `network`, `volume`, `health`, `exited`, `before`, `since`, `publish`, `expose`.
    pub filters: Filters,
}

impl Engine {
    /// Containers in one request, as the daemon lists them.
    pub async fn container_list(&self, query: &ContainerQuery) -> Result<Vec<Value>, Error> {
        let mut request = Request::get(path!["containers", "json"])
            .query_some("limit", query.limit)
            .filters(&query.filters);
        if query.all {
            request = request.query("all", "1");
        }
        if query.size {
            request = request.query("size", "1");
        }
        self.json(request).await
    }

    /// Everything about one container.
    pub async fn container_inspect(&self, container: &ContainerRef) -> Result<Value, Error> {
        self.json(Request::get(path!["containers", container, "json"]))
            .await
    }

    /// Starts a container.
    pub async fn container_start(&self, container: &ContainerRef) -> Result<Change, Error> {
        let answer = self
            .send(Request::post(path!["containers", container, "start"]))
            .await?;
        Ok(Change::of(answer.status()))
    }
}
