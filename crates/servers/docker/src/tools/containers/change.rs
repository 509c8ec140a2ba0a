//! Changing containers as objects: limits, an image of them, an archive, and clearing away the stopped ones.

use crate::create::Restart;
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::values::{Filters, Size};
use crate::{pick, status};
use base::names::{ContainerRef, ImageRef};
use engine::models::ContainerUpdateBody;
use engine::ops::containers::{Commit, ContainerQuery};
use policy::Effect;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    memory: Option<Size>,
    /// Memory and swap together; -1 is unlimited.
    memory_swap: Option<Size>,
    memory_reservation: Option<Size>,
    cpus: Option<f64>,
    cpu_shares: Option<i64>,
    /// Processors, such as 0-2,4
    cpuset_cpus: Option<String>,
    pids_limit: Option<i64>,
    #[schemars(
        with = "Option<String>",
        description = "no, always, unless-stopped, on-failure[:n]"
    )]
    restart: Option<Restart>,
}

impl Call<Ctx> for UpdateContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "update_container",
        "Change limits or restart policy without a restart.",
    )
    .disturbs()
    .idempotent();

    fn about(&self) -> String {
        format!("change limits or restart policy of container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let body = self.body()?;
        let warnings = ctx.engine().container_update(&self.container, &body).await?;
        let answer = Answer::text(format!("updated {}", self.container));
        Ok(warnings
            .into_iter()
            .map(|warning| format!("warning: {warning}"))
            .fold(answer, Answer::note))
    }
}

impl UpdateContainer {
    fn body(&self) -> Result<ContainerUpdateBody, ToolError> {
        let mut body = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(key.to_owned(), value);
            }
        };
        put("Memory", self.memory.map(|size| size.0.into()));
        put("MemorySwap", self.memory_swap.map(|size| size.0.into()));
        put(
            "MemoryReservation",
            self.memory_reservation.map(|size| size.0.into()),
        );
        put(
            "NanoCpus",
            self.cpus
                .map(crate::create::nano_cpus)
                .transpose()?
                .map(Value::from),
        );
        put("CpuShares", self.cpu_shares.map(Value::from));
        put("CpusetCpus", self.cpuset_cpus.clone().map(Value::from));
        put("PidsLimit", self.pids_limit.map(Value::from));
        put("RestartPolicy", self.restart.as_ref().map(Restart::body));
        if body.is_empty() {
            return Err(ToolError::arguments("nothing to change").fix("give at least one limit, or restart"));
        }
        serde_json::from_value(Value::Object(body)).map_err(|error| ToolError::arguments(error.to_string()))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommitContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    /// Name for the new image.
    #[schemars(with = "String")]
    image: ImageRef,
    comment: Option<String>,
    author: Option<String>,
    /// Dockerfile instructions: CMD, ENV, LABEL ...
    #[serde(default)]
    changes: Vec<String>,
    /// False lets it run meanwhile.
    pause: Option<bool>,
}

impl Call<Ctx> for CommitContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "commit_container",
        "Make an image of a container's file system.",
    )
    .adds()
    .aliases(&["docker_commit", "container_commit"]);

    fn about(&self) -> String {
        format!("make image {} of container {}", self.image, self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let commit = Commit {
            target: Some(self.image.clone()),
            comment: self.comment,
            author: self.author,
            without_pause: self.pause == Some(false),
            changes: self.changes,
            ..Commit::default()
        };
        ctx.progress(0.0, None, format!("committing {}", self.container))
            .await;
        let id = ctx.engine().container_commit(&self.container, commit).await?;
        Ok(Answer::text(format!(
            "made {} ({}) of {}",
            self.image,
            pick::short_id(id.as_str()),
            self.container
        )))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PruneContainers {
    /// label, until: {"until":"24h"}
    #[serde(default)]
    filters: Filters,
    /// False removes; otherwise tells what would be removed.
    #[serde(default = "yes")]
    dry_run: bool,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

fn yes() -> bool {
    true
}

impl Call<Ctx> for PruneContainers {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "prune_containers",
        "Remove all stopped containers.",
    );

    fn effect(&self) -> Effect {
        if self.dry_run {
            Effect::Read
        } else {
            Effect::Destroy
        }
    }

    fn about(&self) -> String {
        if self.dry_run {
            "list stopped containers"
        } else {
            "remove all stopped containers"
        }
        .to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let filters = self.filters.to_engine();
        let stopped = stopped(&ctx, &filters).await?;
        if self.dry_run {
            if stopped.is_empty() {
                return Ok(Answer::text("no stopped container matches"));
            }
            let rows = stopped.iter().map(|container| {
                vec![
                    pick::container_name(container).to_owned(),
                    pick::text(container, "/Image").to_owned(),
                    status::short(pick::text(container, "/Status")),
                    base::text::bytes(pick::count(container, "/SizeRw")),
                ]
            });
            return Ok(Answer::table(&["name", "image", "status", "size"], rows)
                .note("these would be removed; dry_run=false removes them"));
        }
        let pruned = ctx.engine().container_prune(&filters).await?;
        let names: Vec<&str> = pruned
            .removed
            .iter()
            .map(|id| {
                let known = stopped
                    .iter()
                    .find(|container| pick::text(container, "/Id") == id);
                known.map_or_else(|| pick::short_id(id), pick::container_name)
            })
            .collect();
        if names.is_empty() {
            return Ok(Answer::text("no stopped container matches"));
        }
        let freed = base::text::bytes(pruned.bytes);
        Ok(Answer::text(format!(
            "removed {} containers, {freed} freed\n{}",
            names.len(),
            names.join("\n")
        )))
    }
}

/// The containers that the engine's prune with these filters would remove. Listing knows no `until`, so that one is
/// applied here.
async fn stopped(ctx: &Ctx, filters: &engine::Filters) -> Result<Vec<Value>, ToolError> {
    let mut listed = engine::Filters::new();
    for label in filters.get("label") {
        listed.add("label", label);
    }
    let query = ContainerQuery {
        size: true,
        filters: listed,
        ..ContainerQuery::default()
    };
    let mut stopped = ctx.engine().container_list_stopped(&query).await?;
    for until in filters.get("until") {
        let until: crate::values::When = until
            .parse()
            .map_err(|error| ToolError::arguments(format!("filter until: {error}")))?;
        stopped.retain(|container| pick::number(container, "/Created") < until.0.as_second());
    }
    for label in filters.get("label!") {
        let (name, value) = label
            .split_once('=')
            .map_or((label.as_str(), None), |(n, v)| (n, Some(v)));
        stopped.retain(|container| {
            let found = container["Labels"].get(name).and_then(Value::as_str);
            found.is_none_or(|found| value.is_some_and(|value| value != found))
        });
    }
    Ok(stopped)
}
