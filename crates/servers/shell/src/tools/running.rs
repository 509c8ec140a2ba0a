//! Commands that run: listed, read, written to, signalled, ended.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::answer::Answer;
use server_kit::values::Span;
use server_kit::{Call, Code, Spec, ToolError, Toolset};

use super::{after, status, wait};
use crate::jobs::{Cursor, Job, called, tool_error};
use crate::runner::Reach;
use crate::server::Ctx;
use crate::signal::Signal;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListCommands {}

impl Call<Ctx> for ListCommands {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "list_commands",
        "Commands that run, and that have ended.",
    )
    .reads();

    fn about(&self) -> String {
        "list commands".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let row = |job: &std::sync::Arc<Job>| {
            let (unread, total) = {
                let outputs = job.outputs();
                let total = outputs.stdout.total() + outputs.stderr.total();
                (
                    total - (outputs.read.stdout + outputs.read.stderr).min(total),
                    total,
                )
            };
            let output = format!(
                "{}, {} unread",
                base::text::bytes(total),
                base::text::bytes(unread)
            );
            vec![
                job.id(),
                job.shown.clone(),
                job.place.clone(),
                status(job),
                output,
            ]
        };
        let rows: Vec<_> = ctx.state.jobs.all().iter().map(row).collect();
        if rows.is_empty() {
            return Ok(Answer::text("no command is running"));
        }
        Ok(Answer::table(
            &["id", "command", "where", "status", "output"],
            rows,
        ))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadOutput {
    /// Its id.
    command: String,
    /// From an earlier answer; without it, what was not read yet.
    cursor: Option<String>,
    /// How long to wait for output, or the end, 0s unless given.
    wait: Option<Span>,
}

impl Call<Ctx> for ReadOutput {
    const SPEC: Spec = Spec::new(Toolset::Standard, "read_output", "New output of a command.").reads();

    fn about(&self) -> String {
        format!("read the output of {}", called(&self.command))
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let job = ctx.state.jobs.find(&self.command)?;
        let given = self.cursor.as_deref().map(str::parse::<Cursor>).transpose()?;
        let from = given.unwrap_or_else(|| job.outputs().read);
        job.news_after(from, wait(self.wait, Duration::ZERO)).await;
        Ok(answer(&ctx, &job, from))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendInput {
    /// Its id.
    command: String,
    #[serde(default)]
    #[schemars(extend("about" = "As it stands: a line needs its newline."))]
    input: String,
    /// End its input after that.
    #[serde(default)]
    eof: bool,
    /// How long to wait for output, 1s unless given.
    wait: Option<Span>,
}

impl Call<Ctx> for SendInput {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "send_input",
        "Write to a command's input, newlines included, and read its output.",
    );

    fn about(&self) -> String {
        let input = base::text::cut(&self.input, 120);
        format!("type into {}: {input}", called(&self.command))
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let job = ctx.state.jobs.find(&self.command)?;
        let from = job.outputs().read;
        job.send(self.input.into_bytes(), self.eof).await?;
        job.news_after(from, wait(self.wait, Duration::from_secs(1)))
            .await;
        Ok(answer(&ctx, &job, from))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignalCommand {
    /// Its id.
    command: String,
    /// Such as INT, HUP, USR1.
    signal: String,
}

impl Call<Ctx> for SignalCommand {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "signal_command",
        "Send a signal to all processes of a command.",
    )
    .disturbs();

    fn about(&self) -> String {
        format!(
            "send {} to {}",
            base::text::cut(&self.signal, 20),
            called(&self.command)
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let job = ctx.state.jobs.find(&self.command)?;
        let signal: Signal = self
            .signal
            .parse()
            .map_err(|error| ToolError::arguments(format!("parameter signal: {error}")))?;
        let gone = || ToolError::new(Code::Conflict, format!("command {}: {}", job.id(), status(&job)));
        let process = job.process().ok_or_else(gone)?;
        let reach = process.signal(signal).await.map_err(tool_error)?;
        let whom = match reach {
            Reach::Tree => "all processes",
            Reach::First => "the first process alone, as there is no sh in its container to reach others by,",
        };
        let answer = Answer::text(format!("{signal} was sent to {whom} of command {}", job.id()));
        Ok(ctx.told(answer, job.host.as_deref()))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndCommand {
    /// Its id.
    command: String,
}

impl Call<Ctx> for EndCommand {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "end_command",
        "End a command with all it has started, and forget it; gives its last output.",
    )
    .disturbs();

    fn about(&self) -> String {
        format!("end {}", called(&self.command))
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let job = ctx.state.jobs.find(&self.command)?;
        job.end();
        job.end_of().await;
        let from = job.outputs().read;
        let (answer, next, is_all) = after(&ctx, &job, from);
        job.outputs().read = next;
        let more = if is_all {
            ctx.state.jobs.forget(&job);
            String::new()
        } else {
            format!("; there is more output: read_output goes on at cursor {next}")
        };
        let answer = answer.note(format!("command {}: {}{more}", job.id(), status(&job)));
        Ok(ctx.told(answer, job.host.as_deref()))
    }
}

fn answer(ctx: &Ctx, job: &Job, from: Cursor) -> Answer {
    let (answer, next, is_all) = after(ctx, job, from);
    job.outputs().read = next;
    let more = if is_all { "" } else { ", and there is more" };
    let answer = answer.note(format!(
        "command {}: {}; cursor {next}{more}",
        job.id(),
        status(job)
    ));
    ctx.told(answer, job.host.as_deref())
}
