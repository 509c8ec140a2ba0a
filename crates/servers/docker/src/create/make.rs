//! Making a container, starting it, and waiting for it, such that a failure or a cancellation in between leaves
//! nothing half-made behind, or says what it left.

use super::{Body, Settings};
use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::logs::{self, LogQuery};
use crate::tools::containers::digest;
use crate::{pick, status};
use base::names::ContainerRef;
use engine::ops::containers::{RemoveContainer, WaitFor};
use engine::{Request, path};
use serde_json::Value;
use server_kit::answer::{Answer, Digest};

/// Log lines shown of a container that ended at once.
const LAST_WORDS: u32 = 15;

/// A new container.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// How it is called from now on: its name if one was given, else its id.
    pub(crate) container: ContainerRef,
    /// Its id.
    pub(crate) id: ContainerRef,
    /// What the engine wants to be read.
    pub(crate) warnings: Vec<String>,
}

impl Made {
    /// A container that was there before.
    pub(crate) fn existing(container: ContainerRef) -> Self {
        Self {
            id: container.clone(),
            container,
            warnings: Vec::new(),
        }
    }
}

/// Makes a container and leaves it there.
///
/// # Errors
/// Settings that contradict each other, and whatever the engine has against it.
pub(crate) async fn create(ctx: &Ctx, settings: &Settings) -> Result<Made, ToolError> {
    if settings.image.is_none() {
        return Err(ToolError::arguments("parameter image is missing"));
    }
    let mut body = Body::default();
    body.apply(settings)?;
    create_from(ctx, settings, body).await
}

/// Makes a container of a body that is complete but for the label of this server's scope.
pub(crate) async fn create_from(ctx: &Ctx, settings: &Settings, mut body: Body) -> Result<Made, ToolError> {
    if let Some((name, value)) = ctx.scope_label() {
        body.label(name, value);
    }
    // Not through a typed model: what it does not know, a recreated container would lose.
    let request = Request::post(path!["containers", "create"])
        .query_some("name", settings.name.as_ref())
        .query_some("platform", settings.platform.as_ref())
        .json(body.json());
    let created: Value = ctx.engine().json(request).await?;
    let id = ContainerRef::parse(pick::text(&created, "/Id"))?;
    let container = settings.name.clone().unwrap_or_else(|| short(&id));
    let warnings = pick::texts(&created, "/Warnings").map(str::to_owned).collect();
    Ok(Made {
        container,
        id,
        warnings,
    })
}

fn short(id: &ContainerRef) -> ContainerRef {
    ContainerRef::parse(pick::short_id(id.as_str())).unwrap_or_else(|_| id.clone())
}

/// Makes a container and starts it. If it can't be started, or the call is cancelled, it is removed again.
pub(crate) async fn create_and_start(ctx: &Ctx, settings: &Settings) -> Result<Made, ToolError> {
    let made = create(ctx, settings).await?;
    start_made(ctx, made).await
}

/// Starts a container that was just made, and removes it if that fails.
pub(crate) async fn start_made(ctx: &Ctx, made: Made) -> Result<Made, ToolError> {
    let undo = ctx.undo(remove_quietly(ctx.clone(), made.id.clone()));
    let Err(error) = ctx.engine().container_start(&made.id).await else {
        undo.keep();
        return Ok(made);
    };
    let started_maybe = error.may_have_happened();
    let error = ToolError::from(error).during(format_args!("starting {}", made.container));
    if started_maybe {
        undo.keep();
        return Err(error.also(format_args!(
            "container {} was created and is left as it is",
            made.container
        )));
    }
    undo.now().await;
    Err(match ctx.engine().container_inspect(&made.id).await {
        Ok(_) => error.also(format_args!(
            "container {} was created and could not be removed again",
            made.container
        )),
        Err(_) => error.also("the new container was removed again"),
    })
}

async fn remove_quietly(ctx: Ctx, id: ContainerRef) {
    let how = RemoveContainer {
        force: true,
        volumes: true,
    };
    if let Err(error) = ctx.engine().container_remove(&id, how).await {
        tracing::warn!(%error, container = id.as_str(), "a half-made container is left behind");
    }
}

/// What a model needs to know of a new container: how it does, where it is reached; and why it ended, if it did.
pub(crate) async fn report(ctx: &Ctx, made: &Made, done: &str) -> Answer {
    let mut head = format!("{done} {}", made.container);
    if made.container != made.id && made.container.as_str() != pick::short_id(made.id.as_str()) {
        head = format!("{head} ({})", pick::short_id(made.id.as_str()));
    }
    let notes = made.warnings.iter().map(|warning| format!("warning: {warning}"));
    let Ok(details) = ctx.engine().container_inspect(&made.id).await else {
        return notes.fold(Answer::text(head), Answer::note);
    };
    let digest = Digest::new()
        .line("state", digest::state(&details))
        .line("ports", digest::published(&details))
        .into_text();
    let text = format!("{head}\n{digest}");
    let ended = matches!(pick::text(&details, "/State/Status"), "exited" | "dead");
    let answer = if ended {
        match last_words(ctx, &made.id).await {
            Some(words) => Answer::text(format!("{text}\nit ended at once; last output:\n{words}"))
                .untrusted(format!("output of container {}", made.container)),
            None => Answer::text(format!("{text}\nit ended at once, without output")),
        }
    } else {
        Answer::text(text)
    };
    notes.fold(answer, Answer::note)
}

async fn last_words(ctx: &Ctx, id: &ContainerRef) -> Option<String> {
    let query = LogQuery {
        tail: Some(LAST_WORDS),
        ..LogQuery::default()
    };
    let page = logs::read(ctx.engine(), id, &query, 4_000).await.ok()?;
    (!page.text.is_empty()).then_some(page.text)
}

/// Makes a container, starts it, waits for its end, and gives its output and exit code. With `auto_remove` the
/// container is removed afterwards, by us: the engine would do it before the output is read.
pub(crate) async fn run_to_end(ctx: &Ctx, settings: &Settings) -> Result<Answer, ToolError> {
    let remove = settings.auto_remove == Some(true);
    let settings = Settings {
        auto_remove: Some(false),
        ..settings.clone()
    };
    let made = create_and_start(ctx, &settings).await?;
    // Cancelled in the middle, a container that was to vanish anyway is ended; one that was to stay goes on.
    let undo = remove.then(|| ctx.undo(remove_quietly(ctx.clone(), made.id.clone())));
    ctx.progress(0.0, None, format!("{} is running", made.container))
        .await;
    let exit = ctx.engine().container_wait(&made.id, WaitFor::NotRunning).await?;
    let code = exit.code;
    let room = ctx.state().core.pages.budget().saturating_sub(1_000);
    let query = LogQuery {
        tail: Some(10_000),
        ..LogQuery::default()
    };
    let page = logs::read(ctx.engine(), &made.id, &query, room).await;
    let details = ctx
        .engine()
        .container_inspect(&made.id)
        .await
        .unwrap_or(Value::Null);
    if let Some(undo) = undo {
        undo.now().await;
    }
    let page = page?;
    let out_of_memory = pick::yes(&details, "/State/OOMKilled");
    let mut head = format!("{} exited {code}", made.container);
    if let Some(meaning) = status::exit_meaning(code, out_of_memory).filter(|_| code != 0) {
        head = format!("{head} ({meaning})");
    }
    if remove {
        head = format!("{head}; removed");
    }
    if page.left_out > 0 {
        head = format!("{head}; the first {} lines of output are left out", page.left_out);
    }
    if code != 0 {
        let cause = server_kit::answer::fence(&format!("output of container {}", made.container), &page.text);
        return Err(ToolError::new(Code::Failed, format!("{head}\n{cause}")));
    }
    let answer = if page.text.is_empty() {
        Answer::text(format!("{head}, without output"))
    } else {
        Answer::text(page.text)
            .untrusted(format!("output of container {}", made.container))
            .note(head)
    };
    Ok(made
        .warnings
        .iter()
        .map(|warning| format!("warning: {warning}"))
        .fold(answer, Answer::note))
}
