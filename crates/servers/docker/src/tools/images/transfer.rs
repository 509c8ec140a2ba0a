//! Pulling and pushing, with progress while layers move.

use super::trouble;
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::pick;
use base::names::ImageRef;
use engine::Error;
use engine::ops::images::{Pull, Tally, TransferEvent};
use futures_util::{Stream, StreamExt};
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::pin::pin;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PullImage {
    #[schemars(with = "String")]
    image: ImageRef,
    platform: Option<String>,
}

impl Call<Ctx> for PullImage {
    const SPEC: Spec = Spec::new(Toolset::Standard, "pull_image", "Pull an image.")
        .adds()
        .idempotent()
        .open_world()
        .aliases(&["docker_pull_image", "image_pull"]);

    fn about(&self) -> String {
        format!("pull image {}", self.image)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        if self.image.is_id() {
            return Err(ToolError::arguments(format!(
                "{} is an id, and registries know names only",
                self.image
            ))
            .fix("give a name, such as busybox:1.36 or registry.example/team/web@sha256:..."));
        }
        let pull = Pull {
            image: self.image.clone(),
            platform: self.platform,
        };
        ctx.progress(0.0, None, format!("asking for {}", self.image))
            .await;
        let outcome = match ctx.engine().image_pull(&pull).await {
            Ok(events) => follow(&ctx, "pulled", events).await,
            Err(error) => Err(error),
        };
        let done = match outcome {
            Ok(done) => done,
            Err(error) => return Err(trouble::explain(&ctx, &self.image, error).await),
        };
        let verb = if done.was_there { "up to date:" } else { "pulled" };
        let mut text = format!("{verb} {}", named(&self.image));
        if let Ok(details) = ctx.engine().image_inspect(&self.image).await {
            let (id, size) = (
                pick::short_id(pick::text(&details, "/Id")),
                pick::count(&details, "/Size"),
            );
            text = format!("{text} (id {id}, {})", base::text::bytes(size));
        }
        Ok(Answer::text(match done.digest {
            Some(digest) => format!("{text}\ndigest: {digest}"),
            None => text,
        }))
    }
}

/// A reference without tag and digest means the tag `latest`; saying so saves a question.
fn named(image: &ImageRef) -> String {
    if image.tag().is_none() && image.digest().is_none() {
        format!("{image}:latest")
    } else {
        image.to_string()
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushImage {
    #[schemars(with = "String")]
    image: ImageRef,
}

impl Call<Ctx> for PushImage {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "push_image",
        "Push an image to the registry in its name.",
    )
    // A tag that was another image's moves there.
    .disturbs()
    .idempotent()
    .open_world()
    .aliases(&["docker_push_image", "image_push"]);

    fn about(&self) -> String {
        let registry = self.image.registry().unwrap_or("a registry");
        format!("push image {} to {registry}", self.image)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        if self.image.is_id() || self.image.digest().is_some() {
            return Err(ToolError::arguments(format!(
                "{} can't be pushed: only a name with a tag can",
                self.image
            ))
            .fix("tag_image gives an image a name of a registry"));
        }
        ctx.progress(0.0, None, format!("pushing {}", self.image)).await;
        let outcome = match ctx.engine().image_push(&self.image).await {
            Ok(events) => follow(&ctx, "pushed", events).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(done) => {
                let layers = done.tally.layers().1;
                let moved = base::text::bytes(done.tally.moved());
                let digest = done.digest.unwrap_or_default();
                Ok(Answer::text(format!(
                    "pushed {} ({layers} layers, {moved} sent)\ndigest: {digest}",
                    named(&self.image)
                )))
            }
            Err(error) => Err(trouble::explain(&ctx, &self.image, error).await),
        }
    }
}

/// How a transfer ended.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) tally: Tally,
    pub(super) digest: Option<String>,
    /// Nothing had to be moved.
    pub(super) was_there: bool,
    /// Lines on the transfer as a whole.
    pub(super) said: Vec<String>,
}

/// Lines on a whole transfer that are kept: loading names one for each image.
const MAX_SAID: usize = 200;

/// Follows a transfer to its end. Dropping this future stops it.
pub(super) async fn follow<S>(ctx: &Ctx, verb: &str, events: S) -> Result<Done, Error>
where
    S: Stream<Item = Result<TransferEvent, Error>> + Send,
{
    let mut events = pin!(events);
    let mut done = Done::default();
    while let Some(event) = events.next().await {
        let event = event?;
        done.tally.add(&event);
        match event {
            TransferEvent::Digest(digest) => done.digest = Some(digest),
            TransferEvent::Status(status) => {
                done.was_there |= status.contains("up to date");
                if done.said.len() < MAX_SAID {
                    done.said.push(status);
                }
            }
            TransferEvent::Layer { .. } => report(ctx, verb, &done.tally).await,
        }
    }
    Ok(done)
}

async fn report(ctx: &Ctx, verb: &str, tally: &Tally) {
    if !ctx.has_listener() {
        return;
    }
    let (moved, total) = (tally.moved(), tally.total());
    let (ready, layers) = tally.layers();
    let message = format!(
        "{verb} {} of {}, {ready} of {layers} layers done",
        base::text::bytes(moved),
        base::text::bytes(total)
    );
    ctx.progress(bytes(moved), (total > 0).then(|| bytes(total)), message)
        .await;
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a progress bar needs no single bytes beyond 2^53"
)]
fn bytes(count: u64) -> f64 {
    count as f64
}
