//! Images: looking at them, naming and removing them; moving and building them is in the files below.
//!
//! Answers that are only read stay the daemon's own JSON: typed models follow the newest API and drop what an
//! older daemon calls otherwise. Transfers and builds are streams of small typed events; dropping such a stream
//! closes its connection, and that is how the daemon learns to stop.
//!
//! Deliberately absent: `BuildKit` sessions (they need a second protocol inside the first), and making an image of
//! a container, which is an operation on the container.

mod archive;
mod build;
mod build_log;
mod login;
mod registry;
mod transfer;

use base::names::ImageRef;
use serde_json::Value;

pub use archive::Import;
pub use build::{Build, Cache};
pub use build_log::{BuildEvent, BuildFailure};
pub use login::{Account, LoginCheck};
pub use registry::{Pull, REGISTRY_TIME};
pub use transfer::{LayerProgress, Tally, TransferEvent};

use crate::{Engine, Error, Filters, Request, path};

/// Which images to list.
#[derive(Debug, Clone, Default)]
pub struct ImageQuery {
    /// The intermediate images of builds as well.
    pub all: bool,
    /// `dangling`, `label`, `before`, `since`, `reference`.
    pub filters: Filters,
}

/// How to remove an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveImage {
    /// Also when stopped containers use it, or several references name the id.
    pub force: bool,
    /// Keep parents that nothing else needs.
    pub keep_parents: bool,
}

/// What a removal did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// References that no longer point to an image.
    pub untagged: Vec<String>,
    /// Images and layers that are gone from the disk.
    pub deleted: Vec<String>,
}

impl Removed {
    /// Reads the daemon's list; `null` is none.
    pub(crate) fn read(lines: &Value) -> Self {
        let texts = |key: &str| {
            let lines = lines.as_array().into_iter().flatten();
            lines
                .filter_map(|line| line[key].as_str())
                .map(str::to_owned)
                .collect()
        };
        Self {
            untagged: texts("Untagged"),
            deleted: texts("Deleted"),
        }
    }
}

impl Engine {
    /// All images in one request, as the daemon lists them (`GET /images/json`).
    pub async fn image_list(&self, query: &ImageQuery) -> Result<Vec<Value>, Error> {
        let request = Request::get(path!["images", "json"]).filters(&query.filters);
        self.json(request.query_some("all", query.all.then_some(1))).await
    }

    /// Everything about one image.
    pub async fn image_inspect(&self, image: &ImageRef) -> Result<Value, Error> {
        self.json(Request::get(path!["images", image, "json"])).await
    }

    /// The layers of an image, the newest first.
    pub async fn image_history(&self, image: &ImageRef) -> Result<Vec<Value>, Error> {
        self.json(Request::get(path!["images", image, "history"])).await
    }

    /// Gives an image a further name. `target` is a reference, not an id; without a tag it becomes `latest`.
    pub async fn image_tag(&self, image: &ImageRef, target: &ImageRef) -> Result<(), Error> {
        let request = Request::post(path!["images", image, "tag"])
            .query("repo", target.repository())
            .query("tag", target.tag().unwrap_or("latest"));
        self.raw(request).await.map(drop)
    }

    /// Removes a reference, and the image with the last one.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a container uses it; the message names the container.
    pub async fn image_remove(&self, image: &ImageRef, how: RemoveImage) -> Result<Removed, Error> {
        let request = Request::delete(path!["images", image])
            .query_some("force", how.force.then_some(1))
            .query_some("noprune", how.keep_parents.then_some(1));
        let lines: Value = self.json(request).await?;
        Ok(Removed::read(&lines))
    }
}
