//! `wait_container`: until it ends, is well, is gone, or says something.

use super::digest;
use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::pick;
use crate::values::Span;
use base::names::ContainerRef;
use engine::ops::containers::WaitFor;
use futures_util::StreamExt;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// How long, unless something else is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
/// Longer than this a call can't be held open by any client.
const LONGEST: Duration = Duration::from_hours(1);
/// How often health is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// How often the waiting client is told that it still goes on.
const BETWEEN_REPORTS: Duration = Duration::from_secs(2);

#[derive(Deserialize, JsonSchema, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Condition {
    /// Not running.
    #[default]
    Exit,
    NextExit,
    Removed,
    Healthy,
    /// Its log matches `log`.
    Log,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    #[serde(default)]
    condition: Condition,
    /// Regular expression for condition log.
    log: Option<String>,
    /// Seconds, 60 unless given.
    timeout: Option<Span>,
}

impl Call<Ctx> for WaitContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "wait_container",
        "Wait until a container ends, is healthy, or logs something.",
    )
    .reads();

    fn about(&self) -> String {
        format!("wait for container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let limit = self.timeout.map_or(DEFAULT_TIMEOUT, |span| span.0).min(LONGEST);
        let condition = if self.log.is_some() {
            Condition::Log
        } else {
            self.condition
        };
        // Boxed: four futures that hold streams, of which one is awaited.
        let wait = Box::pin(async {
            match condition {
                Condition::Exit => ended(&ctx, &self.container, WaitFor::NotRunning).await,
                Condition::NextExit => ended(&ctx, &self.container, WaitFor::NextExit).await,
                Condition::Removed => ended(&ctx, &self.container, WaitFor::Removed).await,
                Condition::Healthy => healthy(&ctx, &self.container).await,
                Condition::Log => {
                    let pattern = self.log.as_deref().ok_or_else(|| {
                        ToolError::arguments("parameter log is missing")
                            .fix("log is the expression to wait for")
                    })?;
                    said(&ctx, &self.container, &super::logs::pattern(pattern)?).await
                }
            }
        });
        if let Some(answer) = with_reports(&ctx, &self.container, limit, wait).await {
            return answer;
        }
        let details = ctx.engine().container_inspect(&self.container).await?;
        let cause = format!(
            "after {} s {} is {}",
            limit.as_secs(),
            self.container,
            how(&details)
        );
        Err(ToolError::new(Code::Timeout, cause).fix("wait again with a longer timeout, or look at its log"))
    }
}

/// State and health in words.
fn how(details: &Value) -> String {
    let state = digest::state(details);
    match pick::text(details, "/State/Health/Status") {
        "" => state,
        health => format!("{state}, {health}"),
    }
}

/// Waits at most so long, and says that it waits. `None` when the time is over.
pub(crate) async fn with_reports<T>(
    ctx: &Ctx,
    container: &ContainerRef,
    limit: Duration,
    wait: impl Future<Output = T>,
) -> Option<T> {
    let began = Instant::now();
    let mut wait = pin!(wait);
    let mut ticks = tokio::time::interval(BETWEEN_REPORTS);
    loop {
        tokio::select! {
            result = &mut wait => return Some(result),
            () = tokio::time::sleep_until(began + limit) => return None,
            _ = ticks.tick() => {
                let waited = began.elapsed().as_secs_f64();
                ctx.progress(waited, Some(limit.as_secs_f64()), format!("waiting for {container}")).await;
            }
        }
    }
}

async fn ended(ctx: &Ctx, container: &ContainerRef, what: WaitFor) -> Result<Answer, ToolError> {
    let exit = ctx.engine().container_wait(container, what).await?;
    if let Some(error) = exit.error {
        return Err(ToolError::new(Code::Failed, error));
    }
    match ctx.engine().container_inspect(container).await {
        Ok(details) => Ok(Answer::text(format!("{container} {}", digest::state(&details)))),
        Err(engine::Error::NotFound { .. }) => Ok(Answer::text(format!(
            "{container} exited {} and is removed",
            exit.code
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the health check is content; without one there is nothing to wait for.
pub(crate) async fn healthy(ctx: &Ctx, container: &ContainerRef) -> Result<Answer, ToolError> {
    loop {
        let details = ctx.engine().container_inspect(container).await?;
        if !pick::yes(&details, "/State/Running") {
            return Err(ToolError::new(
                Code::Failed,
                format!("{container} does not run: {}", digest::state(&details)),
            )
            .fix("diagnose_container or its log tell why"));
        }
        match pick::text(&details, "/State/Health/Status") {
            "healthy" => return Ok(Answer::text(format!("{container} is healthy"))),
            "" | "none" => {
                return Err(
                    ToolError::new(Code::Conflict, format!("{container} has no health check"))
                        .fix("wait for a line of its log instead: condition log"),
                );
            }
            _ => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }
}

async fn said(ctx: &Ctx, container: &ContainerRef, pattern: &Regex) -> Result<Answer, ToolError> {
    let mut lines = pin!(crate::logs::follow(ctx.engine(), container).await?);
    while let Some(line) = lines.next().await {
        let line = line?;
        if pattern.is_match(&line) {
            let line = base::redact::text(&line).into_owned();
            return Ok(Answer::text(line).untrusted(format!("log of container {container}")));
        }
    }
    let details = ctx.engine().container_inspect(container).await?;
    Err(ToolError::new(
        Code::Failed,
        format!("{container} ended without saying it: {}", digest::state(&details)),
    )
    .fix("monitor_container_logs shows what it said"))
}
