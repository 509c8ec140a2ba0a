//! The classic builder: a context goes up as a stream, what the steps print comes back.
//!
//! It is the one builder that every engine has from 20.10 on without a client-side session.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use base::names::ImageRef;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::build_log::{BuildEvent, BuildLog};
use super::registry::REGISTRY_TIME;
use crate::credentials::RegistryHost;
use crate::{Engine, Error, Request, path};

/// The daemon answers when the context has arrived and the Dockerfile is read.
const UPLOAD: Duration = Duration::from_mins(30);

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// What the image is to be called.
    pub tags: Vec<ImageRef>,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// Build arguments. They stand in the image's history: no place for secrets.
    pub args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Where to stop in a Dockerfile of several stages.
    pub target: Option<String>,
    /// `os[/arch[/variant]]`, where it is not to be the daemon's own.
    pub platform: Option<String>,
    /// The network of `RUN` steps: `none`, `host`, or a network's name.
    pub network: Option<String>,
    /// Whether results of earlier builds may be used.
    pub cache: Cache,
    /// Registries whose credentials the daemon may use for base images.
    pub registries: Vec<RegistryHost>,
}

/// What a build may use of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cache {
    /// Run every step anew.
    pub ignore: bool,
    /// Ask the registries for newer base images.
    pub pull: bool,
}

impl Engine {
    /// Builds an image from a context in tar form. The stream ends with the build; dropping it stops the build.
    ///
    /// # Errors
    /// Before the first event: what is wrong with the Dockerfile or a parameter. A step that fails is an event.
    pub async fn image_build<S>(
        &self,
        build: &Build,
        context: S,
    ) -> Result<impl Stream<Item = Result<BuildEvent, Error>> + Send + use<S>, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let request = self.registry_logins(build.request(), &build.registries).await;
        let lines = self.lines(request.stream("application/x-tar", context)).await?;
        let state = (Box::pin(lines), Some(BuildLog::default()));
        let batches = futures_util::stream::unfold(state, |(mut lines, log)| async move {
            let mut log = log?;
            let mut events = Vec::new();
            let (events, log) = match lines.next().await {
                Some(Ok(line)) => {
                    log.read(&line, &mut events);
                    (events.into_iter().map(Ok).collect(), Some(log))
                }
                end => {
                    log.finish(&mut events);
                    let events = events.into_iter().map(Ok);
                    (
                        events
                            .chain(end.and_then(Result::err).map(Err))
                            .collect::<Vec<_>>(),
                        None,
                    )
                }
            };
            Some((futures_util::stream::iter(events), (lines, log)))
        });
        Ok(batches.flatten())
    }
}

impl Build {
    fn request(&self) -> Request {
        let request = self
            .tags
            .iter()
            .fold(Request::post(path!["build"]), |request, tag| {
                request.query("t", tag)
            });
        let request = request
            .query("dockerfile", &self.dockerfile)
            // The container of a step that failed stays behind otherwise.
            .query("forcerm", 1)
            .query_some("nocache", self.cache.ignore.then_some(1))
            .query_some("pull", self.cache.pull.then_some(1))
            .query_some("target", self.target.as_deref())
            .query_some("platform", self.platform.as_deref())
            .query_some("networkmode", self.network.as_deref())
            .deadline(UPLOAD + REGISTRY_TIME);
        let request = if self.args.is_empty() {
            request
        } else {
            request.query_json("buildargs", &self.args)
        };
        if self.labels.is_empty() {
            request
        } else {
            request.query_json("labels", &self.labels)
        }
    }
}
