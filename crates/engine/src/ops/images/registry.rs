//! What goes over a registry: pull, push, search, and the manifest's description.
//!
//! Credentials come from the engine's own store, by the registry that the reference names, and go out in a header;
//! no caller ever holds them.

use std::time::Duration;

use base::names::ImageRef;
use futures_util::{Stream, StreamExt};
use serde_json::Value;

use super::transfer::TransferEvent;
use crate::{Engine, Error, Filters, Request, path};

/// Longest wait for the first word of a registry. The daemon answers only then, and looking for a name server that
/// is not there takes half a minute alone.
pub const REGISTRY_TIME: Duration = Duration::from_mins(2);
/// A transfer in which nothing moves for this long is stuck. Registries that build layers on demand take minutes.
const SILENCE: Duration = Duration::from_mins(10);

/// What to pull.
#[derive(Debug, Clone)]
pub struct Pull {
    /// The reference; without tag and digest it means `latest`.
    pub image: ImageRef,
    /// `os[/arch[/variant]]`, where it is not to be the daemon's own.
    pub platform: Option<String>,
}

impl Engine {
    /// Pulls an image. The stream ends with the transfer; dropping it stops the transfer.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Daemon`] with the registry's words, before the stream or within it.
    pub async fn image_pull(
        &self,
        pull: &Pull,
    ) -> Result<impl Stream<Item = Result<TransferEvent, Error>> + Send + use<>, Error> {
        // Without a tag the daemon pulls every tag of the repository.
        let tag = pull.image.digest().or(pull.image.tag()).unwrap_or("latest");
        let request = Request::post(path!["images", "create"])
            .query("fromImage", pull.image.repository())
            .query("tag", tag)
            .query_some("platform", pull.platform.as_deref());
        let request = self.registry_login(request, &pull.image).await;
        self.transfer("POST /images/create", request).await
    }

    /// Pushes one tag. The stream ends with the transfer; dropping it stops the transfer.
    ///
    /// # Errors
    /// As for [`Engine::image_pull`].
    pub async fn image_push(
        &self,
        image: &ImageRef,
    ) -> Result<impl Stream<Item = Result<TransferEvent, Error>> + Send + use<>, Error> {
        let repository = ImageRef::parse(image.repository())?;
        // As with pulls: no tag would push all of them.
        let request =
            Request::post(path!["images", &repository, "push"]).query("tag", image.tag().unwrap_or("latest"));
        let request = self.registry_login(request, image).await;
        self.transfer("POST /images/…/push", request).await
    }

    /// Searches the registry that the daemon takes for public (Docker Hub), at most 100 hits.
    pub async fn image_search(&self, term: &str, limit: u32, filters: &Filters) -> Result<Vec<Value>, Error> {
        let request = Request::get(path!["images", "search"])
            .query("term", term)
            .query("limit", limit.clamp(1, 100))
            .filters(filters)
            .deadline(REGISTRY_TIME);
        self.json(request).await
    }

    /// What the registry says about a reference without pulling it: digest, media type, platforms.
    pub async fn image_distribution(&self, image: &ImageRef) -> Result<Value, Error> {
        let request = Request::get(path!["distribution", image, "json"]).deadline(REGISTRY_TIME);
        self.json(self.registry_login(request, image).await).await
    }

    /// Sends a transfer and reads its progress; an error among the lines ends the stream.
    pub(super) async fn transfer(
        &self,
        what: &'static str,
        request: Request,
    ) -> Result<impl Stream<Item = Result<TransferEvent, Error>> + Send + use<>, Error> {
        let lines = self.lines(request.deadline(REGISTRY_TIME).idle(SILENCE)).await?;
        Ok(lines.filter_map(move |line| async move {
            match line {
                Ok(line) => match failure(&line) {
                    Some(message) => Some(Err(in_stream(what, message))),
                    None => TransferEvent::read(&line).map(Ok),
                },
                Err(error) => Some(Err(error)),
            }
        }))
    }
}

/// The message of a line that ends a stream.
pub(super) fn failure(line: &Value) -> Option<&str> {
    line["errorDetail"]["message"]
        .as_str()
        .or_else(|| line["error"].as_str())
}

/// Once the head of an answer is sent, the daemon can only say an error among the lines. The older the engine, the
/// more it says there; callers should not see a difference.
pub(super) fn in_stream(what: &str, message: &str) -> Error {
    Error::Daemon {
        what: what.to_owned(),
        status: 500,
        message: message.to_owned(),
    }
}
