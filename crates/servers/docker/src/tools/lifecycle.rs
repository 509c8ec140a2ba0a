//! Starting and stopping containers.

use crate::answer::Answer;
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::tool::{Call, Spec, Tool, Toolset};
use base::names::ContainerRef;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) const TOOLS: &[Tool] = &[Tool::of::<StartContainer>()];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
}

impl Call for StartContainer {
    const SPEC: Spec = Spec::new(Toolset::Standard, "start_container", "Start a container.")
        .adds()
        .idempotent();

    fn about(&self) -> String {
        format!("start container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        ctx.engine().container_start(&self.container).await?;
        Ok(Answer::text(format!("started {}", self.container)))
    }
}
