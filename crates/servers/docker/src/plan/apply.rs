//! Applying a plan: every step in its order, and an exact account of how far it came.

use super::wanted::{WantedContainer, WantedNetwork, WantedVolume};
use super::{PROJECT, Step};
use crate::create::{self, Body};
use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::recreate::{self, How};
use crate::tools::containers::wait;
use base::names::{ContainerRef, NetworkRef, VolumeName};
use engine::models::{NetworkCreateRequest, VolumeCreateRequest};
use engine::ops::containers::{RemoveContainer, Stop};
use engine::ops::volumes::RemoveVolume;
use server_kit::Answer;
use std::collections::HashMap;
use std::time::Duration;

/// How long a replacement without health check must run.
const RUNS_FOR: Duration = Duration::from_secs(3);

/// Applies a plan, if everything is as it was when it was made.
pub(crate) async fn apply(ctx: &Ctx, handle: &str) -> Result<Answer, ToolError> {
    let plan = ctx.state().plans.take(handle, ctx.host())?;
    let now = plan.now.again(ctx, &plan.project).await?;
    let differences = plan.now.differences(&now);
    if !differences.is_empty() {
        return Err(ToolError::new(
            Code::Stale,
            format!(
                "nothing was done, because things have changed since the plan was made: {}",
                differences.join(", ")
            ),
        )
        .fix("make a new plan with plan_containers"));
    }
    let total = plan.steps.len();
    let mut done: Vec<String> = Vec::new();
    let mut rest = plan.steps.into_iter();
    while let Some(step) = rest.next() {
        let about = step.to_string();
        #[expect(clippy::cast_precision_loss, reason = "a plan has few steps")]
        ctx.progress(done.len() as f64, Some(total as f64), about.clone())
            .await;
        if let Err(error) = Box::pin(do_step(ctx, step, &plan.project, plan.patience)).await {
            let left: Vec<String> = rest.map(|step| step.to_string()).collect();
            return Err(account(error, &about, &done, &left));
        }
        done.push(about);
    }
    let done: Vec<String> = done
        .iter()
        .enumerate()
        .map(|(n, step)| format!("{}. done: {step}", n + 1))
        .collect();
    Ok(Answer::text(format!(
        "project {} is as planned\n{}",
        plan.project,
        done.join("\n")
    )))
}

/// Says what was done, what failed and what was not begun.
fn account(error: ToolError, failed: &str, done: &[String], left: &[String]) -> ToolError {
    let list = |error: ToolError, label: &str, steps: &[String]| match steps {
        [] => error,
        steps => error.also(format_args!("{label}: {}", steps.join(", "))),
    };
    let error = list(error.during(failed), "done before and left so", done);
    list(error, "not begun", left).also("make a new plan, which goes on from here")
}

async fn do_step(ctx: &Ctx, step: Step, project: &str, patience: Duration) -> Result<(), ToolError> {
    let engine = ctx.engine();
    match step {
        Step::CreateNetwork(network) => create_network(ctx, &network, project).await,
        Step::CreateVolume(volume) => create_volume(ctx, &volume, project).await,
        Step::CreateContainer(container, body) => create_container(ctx, &container, body, patience).await,
        Step::ReplaceContainer { id, new, body, .. } => {
            let how = How {
                healthy_within: patience,
                runs_for: RUNS_FOR,
                keep_old: false,
            };
            let old = ContainerRef::parse(&id)?;
            recreate::replace_with(ctx, &old, &new.settings, body, &how)
                .await
                .map(drop)
        }
        Step::StartContainer { id, .. } => {
            engine.container_start(&ContainerRef::parse(&id)?).await?;
            Ok(())
        }
        Step::RemoveContainer { id, .. } => {
            let container = ContainerRef::parse(&id)?;
            // In order, so that it can end properly; its anonymous volumes stay, as nobody spoke of them.
            engine.container_stop(&container, Stop::default()).await?;
            Ok(engine
                .container_remove(
                    &container,
                    RemoveContainer {
                        force: true,
                        volumes: false,
                    },
                )
                .await?)
        }
        Step::RemoveNetwork { id, .. } => Ok(engine.network_remove(&NetworkRef::parse(&id)?).await?),
        Step::RemoveVolume { name } => Ok(engine
            .volume_remove(&VolumeName::parse(&name)?, RemoveVolume::Orderly)
            .await?),
    }
}

async fn create_network(ctx: &Ctx, network: &WantedNetwork, project: &str) -> Result<(), ToolError> {
    let body = NetworkCreateRequest {
        name: network.name.to_string(),
        driver: network.driver.clone(),
        internal: Some(network.internal),
        labels: Some(labels(ctx, project)),
        ..NetworkCreateRequest::default()
    };
    ctx.engine().network_create(&body).await?;
    Ok(())
}

async fn create_volume(ctx: &Ctx, volume: &WantedVolume, project: &str) -> Result<(), ToolError> {
    let body = VolumeCreateRequest {
        name: Some(volume.name.to_string()),
        driver: volume.driver.clone(),
        labels: Some(labels(ctx, project)),
        ..VolumeCreateRequest::default()
    };
    ctx.engine().volume_create(&body).await?;
    Ok(())
}

fn labels(ctx: &Ctx, project: &str) -> HashMap<String, String> {
    let own = std::iter::once((PROJECT, project));
    own.chain(ctx.scope_label())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

async fn create_container(
    ctx: &Ctx,
    container: &WantedContainer,
    body: Body,
    patience: Duration,
) -> Result<(), ToolError> {
    let made = create::create_from(ctx, &container.settings, body).await?;
    let made = create::start_made(ctx, made).await?;
    if container.settings.healthcheck.is_none() {
        return Ok(());
    }
    // The next container may need this one.
    let healthy = Box::pin(wait::healthy(ctx, &made.id));
    match wait::with_reports(ctx, &container.name, patience, healthy).await {
        Some(outcome) => outcome
            .map(drop)
            .map_err(|error| error.also("it was created and is left so")),
        None => Err(ToolError::new(
            Code::Timeout,
            format!(
                "it did not become healthy within {} s and is left as it is",
                patience.as_secs()
            ),
        )),
    }
}
