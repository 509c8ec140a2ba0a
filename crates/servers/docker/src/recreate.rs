//! Replacing a container by a changed one, such that the old one is never lost: it is kept, under another name,
//! until the new one is well, and put back if that does not happen.

mod old;

use crate::create::{self, Body, Made, Settings};
use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::logs::{self, LogQuery};
use crate::pick;
use crate::tools::containers::{digest, wait};
use base::names::{ContainerRef, NetworkRef};
use engine::Request;
use engine::ops::containers::{RemoveContainer, Stop};
use old::Old;
use serde_json::Value;
use server_kit::Answer;
use server_kit::Undo;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Last lines of a new container that did not do well.
const LAST_LINES: u32 = 20;
/// How often it is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// What to do, beyond the new settings.
#[derive(Debug, Clone)]
pub(crate) struct How {
    /// How long a new container with a health check has to become healthy.
    pub(crate) healthy_within: Duration,
    /// How long one without a health check must have run.
    pub(crate) runs_for: Duration,
    /// Whether the old one stays in the end, stopped and under its new name.
    pub(crate) keep_old: bool,
}

/// How far it is; what has to be taken back depends on it.
#[derive(Debug, Clone, Default)]
struct Progress {
    renamed: bool,
    stopped: bool,
    new: Option<ContainerRef>,
}

/// One replacement under way.
struct Swap {
    ctx: Ctx,
    old: Old,
    /// Under which name the old one waits.
    waiting: ContainerRef,
    progress: Arc<Mutex<Progress>>,
    steps: Vec<String>,
}

/// Replaces `container` by one that differs in these settings.
pub(crate) async fn replace(
    ctx: &Ctx,
    container: &ContainerRef,
    settings: &Settings,
    how: &How,
) -> Result<Answer, ToolError> {
    if settings.name.is_some() || settings.wait.is_some() {
        return Err(ToolError::arguments("name and wait can't be set here")
            .fix("the new container gets the name of the old one; rename_container renames"));
    }
    let mut old = Old::read(ctx, container).await?;
    let body = old.body(ctx, settings).await?;
    swap(ctx, old, settings, body, how).await
}

/// Replaces `container` by one of this body, whatever the old one was like.
pub(crate) async fn replace_with(
    ctx: &Ctx,
    container: &ContainerRef,
    settings: &Settings,
    body: Body,
    how: &How,
) -> Result<Answer, ToolError> {
    let old = Old::read(ctx, container).await?;
    // The new one is to run, whether or not the old one did.
    let settings = Settings {
        start: Some(true),
        ..settings.clone()
    };
    swap(ctx, old, &settings, body, how).await
}

async fn swap(ctx: &Ctx, old: Old, settings: &Settings, body: Body, how: &How) -> Result<Answer, ToolError> {
    let waiting = ContainerRef::parse(&format!(
        "{}-old-{:06x}",
        old.name,
        server_kit::random::number() >> 40
    ))?;
    let mut swap = Swap {
        ctx: ctx.clone(),
        old,
        waiting,
        progress: Arc::default(),
        steps: Vec::new(),
    };
    let undo = swap.undo();
    // Boxed: it holds the futures of a dozen requests.
    match Box::pin(swap.run(settings, body, how)).await {
        Ok(made) => {
            undo.keep();
            swap.finish(&made, how).await
        }
        Err(error) => {
            undo.now().await;
            Err(error.also(swap.put_back_report().await))
        }
    }
}

impl Swap {
    async fn run(&mut self, settings: &Settings, body: Body, how: &How) -> Result<Made, ToolError> {
        let engine = self.ctx.engine().clone();
        let old = ContainerRef::parse(&self.old.id)?;
        engine.container_rename(&old, &self.waiting).await?;
        self.set(|progress| progress.renamed = true);
        self.step(format!("renamed the old container to {}", self.waiting))
            .await;

        let named = Settings {
            name: Some(self.old.name.clone()),
            ..settings.clone()
        };
        let made = create::create_from(&self.ctx, &named, body)
            .await
            .map_err(|error| error.during("creating the new one"))?;
        self.set(|progress| progress.new = Some(made.id.clone()));
        self.step(format!(
            "created {} ({})",
            made.container,
            pick::short_id(made.id.as_str())
        ))
        .await;
        for (network, endpoint) in &self.old.further_networks {
            let network = NetworkRef::parse(network)?;
            let request = Request::post(engine::path!["networks", &network, "connect"])
                .json(&serde_json::json!({ "Container": made.id, "EndpointConfig": endpoint }));
            engine.raw(request).await?;
        }
        if !(self.old.running || settings.start == Some(true)) {
            self.step("not started, as the old one was not running".to_owned())
                .await;
            return Ok(made);
        }
        if self.old.running {
            engine.container_stop(&old, Stop::default()).await?;
            self.set(|progress| progress.stopped = true);
            self.step("stopped the old one".to_owned()).await;
        }
        engine
            .container_start(&made.id)
            .await
            .map_err(|error| ToolError::from(error).during("starting the new one"))?;
        self.step("started the new one".to_owned()).await;
        Box::pin(self.wait_until_well(&made.id, how)).await?;
        Ok(made)
    }

    async fn wait_until_well(&mut self, new: &ContainerRef, how: &How) -> Result<(), ToolError> {
        let details = self.ctx.engine().container_inspect(new).await?;
        let checked = !matches!(pick::text(&details, "/State/Health/Status"), "" | "none");
        let waited = if checked {
            let healthy = Box::pin(wait::healthy(&self.ctx, new));
            match wait::with_reports(&self.ctx, &self.old.name, how.healthy_within, healthy).await {
                Some(Ok(_)) => Ok("is healthy".to_owned()),
                Some(Err(error)) => Err(error.whole_cause()),
                None => Err(format!(
                    "it did not become healthy within {} s",
                    how.healthy_within.as_secs()
                )),
            }
        } else {
            self.runs_on(new, how.runs_for).await
        };
        match waited {
            Ok(well) => {
                self.step(format!("the new one {well}")).await;
                Ok(())
            }
            Err(cause) => {
                let output = self.last_lines(new).await;
                Err(ToolError::new(
                    Code::Failed,
                    format!("the new container is not well: {cause}\n{output}"),
                ))
            }
        }
    }

    async fn runs_on(&self, new: &ContainerRef, span: Duration) -> Result<String, String> {
        let until = Instant::now() + span;
        loop {
            let details = self
                .ctx
                .engine()
                .container_inspect(new)
                .await
                .map_err(|error| error.to_string())?;
            let restarts = pick::number(&details, "/RestartCount");
            if !pick::yes(&details, "/State/Running") || restarts > 0 {
                return Err(format!("it is {}", digest::state(&details)));
            }
            if Instant::now() >= until {
                return Ok(format!("has run for {} s", span.as_secs()));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn last_lines(&self, new: &ContainerRef) -> String {
        let query = LogQuery {
            tail: Some(LAST_LINES),
            ..LogQuery::default()
        };
        match logs::read(self.ctx.engine(), new, &query, 3_000).await {
            Ok(page) if page.lines > 0 => server_kit::answer::fence(
                &format!("output of the new container {}", self.old.name),
                &page.text,
            ),
            _ => "it wrote nothing".to_owned(),
        }
    }

    async fn finish(mut self, made: &Made, how: &How) -> Result<Answer, ToolError> {
        let id = ContainerRef::parse(&self.old.id)?;
        if how.keep_old {
            self.step(format!("kept the old one as {}", self.waiting)).await;
        } else {
            // Its volumes stay: the new container has them.
            let how = RemoveContainer {
                force: true,
                volumes: false,
            };
            let step = match self.ctx.engine().container_remove(&id, how).await {
                Ok(()) => "removed the old one".to_owned(),
                Err(error) => format!("the old one is left as {}: {error}", self.waiting),
            };
            self.step(step).await;
        }
        let answer = create::report(&self.ctx, made, "replaced").await;
        let warnings = std::mem::take(&mut self.old.warnings);
        Ok(self.steps.into_iter().chain(warnings).fold(answer, Answer::note))
    }

    /// What takes everything back, also when the call is cancelled between two steps.
    fn undo(&self) -> Undo {
        let (ctx, progress) = (self.ctx.clone(), Arc::clone(&self.progress));
        let (id, name) = (self.old.id.clone(), self.old.name.clone());
        self.ctx.undo(async move {
            let progress = progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Err(error) = put_back(&ctx, &progress, &id, &name).await {
                tracing::error!(%error, container = %name, "the old container could not be put back");
            }
        })
    }

    /// How the old one is now.
    async fn put_back_report(&self) -> String {
        let id = ContainerRef::parse(&self.old.id);
        let details = match id {
            Ok(id) => self
                .ctx
                .engine()
                .container_inspect(&id)
                .await
                .unwrap_or(Value::Null),
            Err(_) => Value::Null,
        };
        let name = pick::container_name(&details);
        let restored =
            name == self.old.name.as_str() && pick::yes(&details, "/State/Running") == self.old.running;
        match (restored, name) {
            (true, _) => format!("the old container {name} is back ({})", digest::state(&details)),
            (false, "") => format!(
                "the old container {} can't be looked at: look for {}",
                self.old.name, self.waiting
            ),
            (false, name) => format!(
                "the old container is called {name} and is {}",
                digest::state(&details)
            ),
        }
    }

    fn set(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn step(&mut self, step: String) {
        #[expect(clippy::cast_precision_loss, reason = "there are about six steps")]
        self.ctx
            .progress(self.steps.len() as f64 + 1.0, Some(6.0), step.clone())
            .await;
        self.steps.push(step);
    }
}

async fn put_back(ctx: &Ctx, progress: &Progress, id: &str, name: &ContainerRef) -> Result<(), ToolError> {
    let engine = ctx.engine();
    if let Some(new) = &progress.new {
        // With its anonymous volumes: those of the old one are named in the new one and stay.
        engine
            .container_remove(
                new,
                RemoveContainer {
                    force: true,
                    volumes: true,
                },
            )
            .await?;
    }
    let old = ContainerRef::parse(id)?;
    if progress.renamed {
        engine.container_rename(&old, name).await?;
    }
    if progress.stopped {
        engine.container_start(&old).await?;
    }
    Ok(())
}
