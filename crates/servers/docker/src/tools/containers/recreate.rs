//! `recreate_container`: another image or other settings, without ever losing the old container.

use crate::create::Settings;
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::recreate::{self, How};
use crate::values::Span;
use base::names::{ContainerRef, ImageRef};
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::time::Duration;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecreateContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    /// The same unless given; the newest of its name that is on the engine.
    #[schemars(with = "Option<String>")]
    image: Option<ImageRef>,
    /// Options of `create_container` to change; the others stay.
    #[serde(default)]
    #[schemars(schema_with = "server_kit::schema::map")]
    settings: Settings,
    /// Time to become healthy, 60s unless given.
    timeout: Option<Span>,
    /// Without health check: how long it must run, 3s unless given.
    stable: Option<Span>,
    /// Keep the old one, stopped.
    #[serde(default)]
    keep_old: bool,
}

impl Call<Ctx> for RecreateContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "recreate_container",
        "Replace a container by one with another image or settings. The old one is put back if the new one fails.",
    );

    fn about(&self) -> String {
        let image = self
            .image
            .as_ref()
            .map(|image| format!(" of image {image}"))
            .unwrap_or_default();
        let old = if self.keep_old { "kept" } else { "removed" };
        format!(
            "replace container {} by a new one{image}{}; the old one is {old}",
            self.container,
            self.settings.reaches()
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let image = self.image.or(self.settings.image.clone());
        let settings = Settings {
            image,
            ..self.settings
        };
        let how = How {
            healthy_within: self.timeout.map_or(Duration::from_mins(1), |span| span.0),
            runs_for: self.stable.map_or(Duration::from_secs(3), |span| span.0),
            keep_old: self.keep_old,
        };
        recreate::replace(&ctx, &self.container, &settings, &how).await
    }
}
