//! Commands that are started: waited for, or left to run.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::answer::Answer;
use server_kit::values::{Pairs, Span};
use server_kit::{Call, Code, Spec, ToolError, Toolset};

use super::{after, end, shown, status, summary, wait};
use crate::jobs::{Cursor, Why};
use crate::runner::Command;
use crate::server::{Asked, Ctx};

/// How often a client that wants to hear of progress does.
const BETWEEN_REPORTS: Duration = Duration::from_secs(2);
/// The longest that a call waits for a command; `1h` in what is said of it below.
pub const LONGEST: Duration = Duration::from_hours(1);

/// Shells and interpreters that take a text, with the words before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Shell {
    #[default]
    Sh,
    Bash,
    Dash,
    Zsh,
    Python3,
    Python,
    Node,
    Perl,
    Ruby,
    Php,
    Pwsh,
}

impl Shell {
    fn argv(self) -> &'static [&'static str] {
        match self {
            Self::Sh => &["sh", "-c"],
            Self::Bash => &["bash", "-c"],
            Self::Dash => &["dash", "-c"],
            Self::Zsh => &["zsh", "-c"],
            Self::Python3 => &["python3", "-c"],
            Self::Python => &["python", "-c"],
            Self::Node => &["node", "-e"],
            Self::Perl => &["perl", "-e"],
            Self::Ruby => &["ruby", "-e"],
            Self::Php => &["php", "-r"],
            Self::Pwsh => &["pwsh", "-NoProfile", "-NonInteractive", "-Command"],
        }
    }
}

/// The command in both tools.
fn asked(
    command: Option<Vec<String>>,
    script: Option<String>,
    shell: Option<Shell>,
    workdir: Option<String>,
    env: Pairs,
    limit: Option<Duration>,
) -> Result<Asked, ToolError> {
    let (argv, is_script) = match (command, script) {
        (Some(argv), None) if shell.is_none() => (argv, false),
        (None, Some(script)) => {
            let words = shell.unwrap_or_default().argv().iter().map(ToString::to_string);
            (words.chain([script]).collect(), true)
        }
        (Some(_), None) => {
            return Err(
                ToolError::arguments("`shell` says what reads a script, and `command` is none")
                    .fix("leave `shell` out, or pass `script`"),
            );
        }
        _ => {
            return Err(
                ToolError::arguments("one of `command` and `script` is needed, and not both")
                    .fix("command is a list of words: [\"ls\", \"-l\"]; script is text for a shell"),
            );
        }
    };
    Ok(Asked {
        command: Command {
            argv,
            dir: workdir,
            env: env.into_map(),
        },
        is_script,
        limit,
    })
}

fn about(command: Option<&Vec<String>>, script: Option<&String>, shell: Option<Shell>) -> String {
    match (command, script) {
        (Some(argv), _) => shown(argv),
        (None, Some(script)) => {
            let name = shell
                .unwrap_or_default()
                .argv()
                .first()
                .copied()
                .unwrap_or_default();
            format!("{name} script: {}", base::redact::text(script))
        }
        (None, None) => "nothing".to_owned(),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunCommand {
    /// Program and arguments, one word each; no shell reads them.
    command: Option<Vec<String>>,
    /// Instead of command: text of any number of lines for `shell`.
    script: Option<String>,
    #[schemars(extend("about" = "What reads the script; sh unless given."))]
    shell: Option<Shell>,
    #[schemars(extend("about" = "Absolute."))]
    workdir: Option<String>,
    #[serde(default)]
    env: Pairs,
    #[schemars(extend("about" = "Written to its input, which then ends."))]
    stdin: Option<String>,
    #[schemars(extend("about" = "After that it is ended with all it has started; 1h at most, `timeout` of [shell] unless given."))]
    timeout: Option<Span>,
}

impl Call<Ctx> for RunCommand {
    const SPEC: Spec = Spec::new(Toolset::Standard, "run_command", "Run a command to its end.")
        .open_world()
        .aliases(&[
            "shell",
            "bash",
            "execute_command",
            "exec",
            "run_script",
            "shell_exec",
        ]);

    fn about(&self) -> String {
        let about = about(self.command.as_ref(), self.script.as_ref(), self.shell);
        format!("run {about}")
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let limit = match self.timeout {
            Some(span) if span.0 > LONGEST => {
                return Err(ToolError::arguments(
                    "parameter timeout: it is more than 1h, the most that run_command waits",
                )
                .fix("give 1h or less, or use start_command, whose commands may take longer"));
            }
            Some(span) => span.0,
            None => ctx.state.options.timeout.min(LONGEST),
        };
        let asked = asked(
            self.command,
            self.script,
            self.shell,
            self.workdir,
            self.env,
            Some(limit),
        )?;
        let job = ctx.start(asked).await?;
        // A call that is cancelled ends its command.
        let guard = job.ends_with();
        // What it does not read is no fault; with nothing to read, its input is at its end.
        let input = self.stdin.unwrap_or_default().into_bytes();
        let ended = {
            let feeding = async {
                drop(job.send(input, true).await);
                std::future::pending::<()>().await;
            };
            let reports = async {
                let Some(progress) = &ctx.progress else {
                    return std::future::pending().await;
                };
                loop {
                    tokio::time::sleep(BETWEEN_REPORTS).await;
                    let bytes = {
                        let outputs = job.outputs();
                        outputs.stdout.total() + outputs.stderr.total()
                    };
                    let message = format!("running, {} of output", base::text::bytes(bytes));
                    progress
                        .tell(job.since.elapsed().as_secs_f64(), None, message)
                        .await;
                }
            };
            tokio::select! {
                ended = job.end_of() => ended,
                () = feeding => return Err(ToolError::new(Code::Internal, "its input came to no end")),
                () = reports => return Err(ToolError::new(Code::Internal, "its reports came to an end")),
            }
        };
        guard.disarm();
        let (answer, is_all) = summary(&ctx, &job);
        if is_all {
            ctx.state.jobs.forget(&job);
        }
        if let Why::Late(_) = ended.why {
            let error = ToolError::new(Code::Timeout, end(&ended))
                .fix("give a longer timeout, or use start_command for what goes on")
                .also(format!("its output:\n{}", answer.whole()));
            return Err(error);
        }
        Ok(answer.note(end(&ended)))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartCommand {
    /// Program and arguments, one word each.
    command: Option<Vec<String>>,
    /// Instead of command.
    script: Option<String>,
    #[schemars(extend("about" = "What reads the script; sh unless given."))]
    shell: Option<Shell>,
    #[schemars(extend("about" = "Absolute."))]
    workdir: Option<String>,
    #[serde(default)]
    env: Pairs,
    #[schemars(extend("about" = "After that it is ended; never unless given."))]
    timeout: Option<Span>,
    /// How long to wait for first output, 300ms unless given.
    wait: Option<Span>,
}

impl Call<Ctx> for StartCommand {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "start_command",
        "Start a command in the background; the other tools take its id.",
    )
    .open_world();

    fn about(&self) -> String {
        let about = about(self.command.as_ref(), self.script.as_ref(), self.shell);
        format!("start {about}")
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let limit = self.timeout.map(|span| span.0);
        let asked = asked(
            self.command,
            self.script,
            self.shell,
            self.workdir,
            self.env,
            limit,
        )?;
        let job = ctx.start(asked).await?;
        job.news_after(Cursor::default(), wait(self.wait, Duration::from_millis(300)))
            .await;
        let (answer, next, _) = after(&ctx, &job, Cursor::default());
        job.outputs().read = next;
        Ok(answer.note(format!("command {}: {}; cursor {next}", job.id(), status(&job))))
    }
}
