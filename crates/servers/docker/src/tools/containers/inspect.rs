//! `inspect_container`: a digest, chosen fields, or everything.

use super::digest::{self, Details};
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::{fields, pick};
use base::names::ContainerRef;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InspectContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    #[schemars(description = "Paths: State.Health, Mounts.*.Source")]
    #[serde(default)]
    #[schemars(extend("about" = "Dotted paths into what the engine tells: State.Health, Mounts.*.Source"))]
    fields: Vec<String>,
    #[serde(default)]
    #[schemars(extend("about" = "Everything, not a digest."))]
    full: bool,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for InspectContainer {
    const SPEC: Spec = Spec::new(Toolset::Standard, "inspect_container", "Details of a container.")
        .reads()
        .aliases(&["docker_inspect", "docker_inspect_container", "container_inspect"]);

    fn about(&self) -> String {
        format!("inspect container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let engine = ctx.engine();
        let answer = if self.fields.is_empty() && !self.full {
            let details: Details = engine.container_inspect_as(&self.container).await?;
            digest::of(&details).into()
        } else {
            let mut details = engine.container_inspect(&self.container).await?;
            // Before anything is chosen from it: a projection must not be a way round the redaction.
            base::redact::json(&mut details);
            if self.fields.is_empty() {
                Answer::json(pick::without_empty(details)).narrow("fields")
            } else {
                Answer::text(fields::project(&details, &self.fields)?).narrow("fewer fields")
            }
        };
        Ok(answer.untrusted(format!("details of container {}", self.container)))
    }
}
