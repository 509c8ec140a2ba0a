//! Looking into a container from outside: its processes, what changed in its files, why it is down.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::{diagnose, pick};
use base::names::ContainerRef;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    /// Options of ps, -ef unless given.
    ps_args: Option<String>,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for TopContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "top_container",
        "Processes of a running container.",
    )
    .reads()
    .aliases(&["docker_top", "container_top"]);

    fn about(&self) -> String {
        format!("list the processes of container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let top = ctx
            .engine()
            .container_top(&self.container, self.ps_args.as_deref())
            .await?;
        let titles: Vec<&str> = pick::texts(&top, "/Titles").collect();
        let rows = pick::list(&top, "/Processes").iter().map(|process| {
            process
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(redacted)
                .collect::<Vec<_>>()
        });
        Ok(Answer::table(&titles, rows).untrusted(format!("processes of container {}", self.container)))
    }
}

fn redacted(text: &str) -> String {
    base::redact::text(text).into_owned()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for DiffContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "diff_container",
        "Files that differ from the container's image.",
    )
    .reads()
    .aliases(&["docker_diff", "container_diff"]);

    fn about(&self) -> String {
        format!("list the changed files of container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let changes = ctx.engine().container_changes(&self.container).await?;
        if changes.is_empty() {
            return Ok(Answer::text("nothing differs from the image"));
        }
        let lines: Vec<String> = changes.iter().map(change).collect();
        Ok(Answer::text(lines.join("\n")).untrusted(format!(
            "file names of container {} (A added, C changed, D deleted)",
            self.container
        )))
    }
}

fn change(change: &Value) -> String {
    let kind = match pick::number(change, "/Kind") {
        0 => 'C',
        1 => 'A',
        _ => 'D',
    };
    // A newline in a file name must not make a line of its own.
    format!("{kind} {}", pick::text(change, "/Path").replace('\n', "?"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiagnoseContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
}

impl Call<Ctx> for DiagnoseContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "diagnose_container",
        "Why is it down or unwell: exit, memory, health, ports, last output, what to do.",
    )
    .reads();

    fn about(&self) -> String {
        format!("diagnose container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        diagnose::container(&ctx, &self.container).await
    }
}
