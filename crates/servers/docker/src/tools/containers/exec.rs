//! Running commands in containers: at once, or as sessions.

use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::exec::{self, Close, Config, Request, Status, Taken};
use crate::values::{Command, Pairs, Span};
use base::names::ContainerRef;
use engine::Tty;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::time::Duration;

/// How long a command may take, unless something else is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
/// No client holds a call open for longer.
const LONGEST: Duration = Duration::from_hours(1);
/// How long a session is given to answer.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
/// The longest that reading a session may wait for output.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// Room in the answer for frame and remarks.
const FRAME: usize = 700;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecuteCommandInContainer {
    #[schemars(with = "String")]
    container: ContainerRef,
    /// Text runs in sh -c.
    #[schemars(extend("about" = "Text runs in `sh -c`, a list without a shell."))]
    command: Command,
    workdir: Option<String>,
    #[serde(default)]
    env: Pairs,
    user: Option<String>,
    #[schemars(extend("about" = "Written to its input."))]
    stdin: Option<String>,
    #[schemars(extend("about" = "After that it is killed; 60s unless given."))]
    timeout: Option<Span>,
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    privileged: bool,
}

impl Call<Ctx> for ExecuteCommandInContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "execute_command_in_container",
        "Run a command in a running container.",
    )
    .disturbs()
    .aliases(&[
        "docker_exec_command",
        "docker_exec",
        "container_exec",
        "exec_in_container",
    ]);

    fn about(&self) -> String {
        let user = self
            .user
            .as_deref()
            .map(|user| format!(" as {user}"))
            .unwrap_or_default();
        let privileged = if self.privileged { ", privileged" } else { "" };
        format!(
            "run in container {}{user}{privileged}: {}",
            self.container,
            self.command.shown()
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let config = Config {
            command: words(&self.command)?,
            workdir: self.workdir,
            env: self.env,
            user: self.user,
            tty: Tty::No,
            stdin: self.stdin.is_some(),
            privileged: self.privileged,
        };
        let timeout = self.timeout.map_or(DEFAULT_TIMEOUT, |span| span.0).min(LONGEST);
        exec::run(
            &ctx,
            Request {
                container: self.container,
                config,
                stdin: self.stdin,
                timeout,
            },
        )
        .await
    }
}

fn words(command: &Command) -> Result<Vec<String>, ToolError> {
    command
        .for_exec()
        .map_err(|error| ToolError::arguments(format!("parameter command: {error}")))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartExecSession {
    #[schemars(with = "String")]
    container: ContainerRef,
    /// Text runs in sh -c; a list without shell.
    command: Command,
    workdir: Option<String>,
    #[serde(default)]
    env: Pairs,
    user: Option<String>,
    /// Give it a terminal.
    #[serde(default)]
    tty: bool,
}

impl Call<Ctx> for StartExecSession {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "start_exec_session",
        "Start a command whose input can be written and output read in turns: a shell, a database client.",
    )
    .disturbs();

    fn about(&self) -> String {
        format!(
            "start a session in container {}: {}",
            self.container,
            self.command.shown()
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let config = Config {
            command: words(&self.command)?,
            workdir: self.workdir,
            env: self.env,
            user: self.user,
            tty: if self.tty { Tty::Yes } else { Tty::No },
            stdin: true,
            privileged: false,
        };
        let sessions = &ctx.state().sessions;
        let id = sessions
            .start(&ctx, &self.container, config, self.command.shown())
            .await?;
        let taken = sessions.read(&id, Duration::from_millis(300), room(&ctx)).await?;
        Ok(answer(&id, taken))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadExecSession {
    /// All sessions are listed without it.
    session: Option<String>,
    /// How long to wait for output, 1s unless given.
    wait: Option<Span>,
}

impl Call<Ctx> for ReadExecSession {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "read_exec_session",
        "New output of a session; or the list of sessions.",
    )
    .reads();

    fn about(&self) -> String {
        match &self.session {
            Some(session) => format!("read session {session}"),
            None => "list exec sessions".to_owned(),
        }
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let sessions = &ctx.state().sessions;
        let Some(session) = &self.session else {
            let rows = sessions.rows();
            if rows.is_empty() {
                return Ok(Answer::text("no session is open"));
            }
            return Ok(Answer::table(
                &["session", "container", "command", "status"],
                rows,
            ));
        };
        let taken = sessions.read(session, wait(self.wait), room(&ctx)).await?;
        Ok(answer(session, taken))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteExecSession {
    session: String,
    input: String,
    /// False sends the input without a newline at its end.
    enter: Option<bool>,
    /// Close the input after it.
    #[serde(default)]
    eof: bool,
    /// How long to wait for output, 1s unless given.
    wait: Option<Span>,
}

impl Call<Ctx> for WriteExecSession {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "write_exec_session",
        "Write to a session's input and read its output.",
    )
    .disturbs();

    fn about(&self) -> String {
        format!(
            "type into session {}: {}",
            self.session,
            base::text::cut(&self.input, 120)
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let mut input = self.input;
        if self.enter != Some(false) && !(input.is_empty() && self.eof) {
            input.push('\n');
        }
        let close = if self.eof { Close::Yes } else { Close::No };
        let sessions = &ctx.state().sessions;
        sessions.write(&self.session, &input, close).await?;
        let taken = sessions.read(&self.session, wait(self.wait), room(&ctx)).await?;
        Ok(answer(&self.session, taken))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndExecSession {
    session: String,
}

impl Call<Ctx> for EndExecSession {
    const SPEC: Spec = Spec::new(Toolset::Full, "end_exec_session", "Kill a session's command.").disturbs();

    fn about(&self) -> String {
        format!("end session {}", self.session)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let taken = ctx.state().sessions.end(&self.session, room(&ctx)).await?;
        if let Status::Stopped(exec_ended) = &taken.status
            && matches!(exec_ended, exec::Ended::Not { .. })
        {
            return Err(ToolError::new(
                Code::Failed,
                format!("session {}: {exec_ended}", self.session),
            ));
        }
        Ok(answer(&self.session, taken))
    }
}

fn wait(span: Option<Span>) -> Duration {
    span.map_or(DEFAULT_WAIT, |span| span.0).min(LONGEST_WAIT)
}

fn room(ctx: &Ctx) -> usize {
    ctx.state().core.pages.budget().saturating_sub(FRAME)
}

fn answer(session: &str, taken: Taken) -> Answer {
    let status = format!("session {session}: {}", taken.status);
    if taken.text.is_empty() {
        return Answer::text(format!("{status}, no new output"));
    }
    Answer::text(taken.text)
        .untrusted(format!("output of a command in container {}", taken.container))
        .note(status)
}
