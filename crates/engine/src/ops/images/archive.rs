//! Images as files: saving, loading and importing tars.

use std::io;
use std::time::Duration;

use base::names::ImageRef;
use bytes::Bytes;
use futures_util::Stream;

use super::transfer::TransferEvent;
use crate::{Engine, Error, Request, path};

const TAR: &str = "application/x-tar";
/// The daemon copies all layers to its disk before the first byte of a saved image, and unpacks them all before it
/// says that one is loaded: minutes for an image of many gigabytes.
const COPYING: Duration = Duration::from_mins(15);

/// An image made of a plain file tree.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// What it is to be called; without one it has only an id.
    pub reference: Option<ImageRef>,
    /// A remark in its history.
    pub message: Option<String>,
    /// Dockerfile instructions that set its configuration: `CMD ["/bin/sh"]`.
    pub changes: Vec<String>,
    /// `os[/arch[/variant]]`.
    pub platform: Option<String>,
}

impl Engine {
    /// Images with all their layers and names, as one tar (`docker save`). The first byte may take 15 minutes, or
    /// the engine's own time limit if that is longer.
    pub async fn image_save(
        &self,
        images: &[ImageRef],
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let request = images
            .iter()
            .fold(Request::get(path!["images", "get"]), |request, image| {
                request.query("names", image)
            });
        self.bytes(request.deadline(COPYING.max(self.options().timeout)))
            .await
    }

    /// Reads what [`Engine::image_save`] wrote; the events name what came in.
    pub async fn image_load<S>(
        &self,
        tar: S,
    ) -> Result<impl Stream<Item = Result<TransferEvent, Error>> + Send + use<S>, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let request = Request::post(path!["images", "load"])
            .query("quiet", 1)
            .stream(TAR, tar)
            .deadline(COPYING.max(self.options().timeout));
        self.transfer("POST /images/load", request).await
    }

    /// Makes an image of a file tree (`docker import`); the last event is the new image's id.
    pub async fn image_import<S>(
        &self,
        import: &Import,
        tar: S,
    ) -> Result<impl Stream<Item = Result<TransferEvent, Error>> + Send + use<S>, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let reference = import.reference.as_ref();
        let request = Request::post(path!["images", "create"])
            .query("fromSrc", "-")
            .query_some("repo", reference.map(ImageRef::repository))
            .query_some(
                "tag",
                reference.map(|reference| reference.tag().unwrap_or("latest")),
            )
            .query_some("message", import.message.as_deref())
            .query_some("platform", import.platform.as_deref());
        let request = import
            .changes
            .iter()
            .fold(request, |request, change| request.query("changes", change));
        let request = request
            .stream(TAR, tar)
            .deadline(COPYING.max(self.options().timeout));
        self.transfer("POST /images/create", request).await
    }
}
