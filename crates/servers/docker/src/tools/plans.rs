//! Deploying several containers: by a plan that is looked at first.

use crate::create::Settings;
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::plan::{self, NetworkSpec, Remove, VolumeSpec, Wanted};
use crate::tools::Tool;
use crate::values::Span;
use policy::Effect;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::time::Duration;

/// The tools of this group.
pub(crate) const TOOLS: &[Tool] = &[Tool::of::<PlanContainers>(), Tool::of::<ApplyPlan>()];

/// How long a container has to become healthy before the next is begun.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanContainers {
    /// Goes before all names.
    project: String,
    /// Each as for `create_container`, with name and image, in the order of starting.
    #[serde(default)]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    containers: Vec<Settings>,
    /// Names, or objects with name, driver, internal. Containers join the first unless they name another.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    networks: Vec<NetworkSpec>,
    /// Names, or objects with name, driver.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    volumes: Vec<VolumeSpec>,
    /// What to remove of the project that is not in this call.
    #[serde(default)]
    remove: Remove,
    /// For each to become healthy, 60s unless given.
    timeout: Option<Span>,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for PlanContainers {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "plan_containers",
        "What must be done for a project to be as described. Changes nothing; gives a plan for apply_plan.",
    )
    .reads();

    fn about(&self) -> String {
        format!("plan project {}", self.project)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let wanted = Wanted::new(
            &self.project,
            self.containers,
            self.networks,
            self.volumes,
            self.remove,
        )?;
        plan::make(&ctx, wanted, self.timeout.map_or(PATIENCE, |span| span.0)).await
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyPlan {
    plan: String,
}

impl Call<Ctx> for ApplyPlan {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "apply_plan",
        "Do exactly what a plan says, if nothing has changed since.",
    );

    fn effect(&self) -> Effect {
        match plan::read_handle(&self.plan) {
            Some((_, counts)) if counts.replace + counts.remove + counts.volumes == 0 => Effect::Change,
            _ => Effect::Destroy,
        }
    }

    fn about(&self) -> String {
        plan::about_handle(&self.plan)
    }

    fn data_loss(&self) -> Option<String> {
        plan::read_handle(&self.plan)
            .filter(|(_, counts)| counts.volumes > 0)
            .map(|(project, _)| project)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        plan::apply(&ctx, &self.plan).await
    }
}
