//! A command run to its end.

use super::output::HeadTail;
use super::running::{Config, Ended, begin};
use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::status;
use base::names::ContainerRef;
use engine::ops::containers::Input;
use engine::{Error, Output};
use futures_util::{Stream, StreamExt};
use server_kit::Answer;
use std::pin::pin;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// Room in the answer for frame and remarks.
const FRAME: usize = 700;
/// How often the waiting client is told how much output there is.
const BETWEEN_REPORTS: Duration = Duration::from_secs(2);

/// What to run, with what input, for how long.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) container: ContainerRef,
    pub(crate) config: Config,
    pub(crate) stdin: Option<String>,
    pub(crate) timeout: Duration,
}

/// Runs a command to its end. If the time is over or the call is cancelled, the command is killed.
pub(crate) async fn run(ctx: &Ctx, request: Request) -> Result<Answer, ToolError> {
    let container = &request.container;
    let (running, attached) = begin(ctx, container, request.config).await?;
    let undo = ctx.undo({
        let running = running.clone();
        async move {
            if let Ended::Not { pid, why } = running.end().await {
                tracing::warn!(pid, why, "a cancelled command goes on");
            }
        }
    });
    let room = ctx.state().core.pages.budget().saturating_sub(FRAME);
    let mut outputs = Outputs {
        stdout: HeadTail::new(room),
        stderr: HeadTail::new(room),
        bytes: 0,
    };
    let (input, stream) = attached.split();
    let transfer = async {
        // Together: a command that writes before it has read all would else stop both.
        let (written, read) = tokio::join!(
            write_all(input, request.stdin),
            outputs.read(ctx, container, stream)
        );
        // A command need not read its input.
        drop(written);
        read
    };
    let outcome = tokio::time::timeout(request.timeout, transfer).await;
    match outcome {
        Err(_) => {
            let ended = running.end().await;
            undo.keep();
            let text = outputs.text(room);
            let error = ToolError::new(
                Code::Timeout,
                format!(
                    "the command did not end within {} s; {ended}",
                    request.timeout.as_secs()
                ),
            )
            .fix("give a longer timeout, or use start_exec_session for what goes on");
            return Err(with_output(error, container, &text));
        }
        Ok(Err(error)) => {
            // The undo guard ends the command.
            return Err(ToolError::from(error).during("reading its output"));
        }
        Ok(Ok(())) => undo.keep(),
    }
    let code = running.exit_code().await?;
    let text = outputs.text(room);
    match code {
        Some(code @ (126 | 127)) if text.contains("OCI runtime exec failed") => {
            let error = ToolError::new(
                Code::Failed,
                format!("the command could not be started (exit {code})"),
            )
            .fix("check the program's name; an image without a shell needs the command as a list");
            Err(with_output(error, container, &text))
        }
        code => Ok(answer(container, code, text)),
    }
}

fn answer(container: &ContainerRef, code: Option<i64>, text: String) -> Answer {
    let note = match code {
        Some(0) => "exit 0".to_owned(),
        Some(code) => match status::exit_meaning(code, false).filter(|_| code > 1) {
            Some(meaning) => format!("exit {code} ({meaning})"),
            None => format!("exit {code}"),
        },
        None => "it closed its outputs and goes on in the background".to_owned(),
    };
    if text.is_empty() {
        return Answer::text(format!("{note}, no output"));
    }
    Answer::text(text)
        .untrusted(format!("output of a command in container {container}"))
        .note(note)
}

fn with_output(error: ToolError, container: &ContainerRef, text: &str) -> ToolError {
    if text.is_empty() {
        return error;
    }
    let text = base::text::cut(text, 4_000);
    let framed = server_kit::answer::fence(&format!("output of a command in container {container}"), text);
    error.also(format_args!("its output:\n{framed}"))
}

async fn write_all(mut input: Input, stdin: Option<String>) -> std::io::Result<()> {
    if let Some(stdin) = stdin {
        input.write_all(stdin.as_bytes()).await?;
        input.shutdown().await?;
    }
    Ok(())
}

struct Outputs {
    stdout: HeadTail,
    stderr: HeadTail,
    bytes: u64,
}

impl Outputs {
    async fn read(
        &mut self,
        ctx: &Ctx,
        container: &ContainerRef,
        stream: impl Stream<Item = Result<Output, Error>>,
    ) -> Result<(), Error> {
        let mut stream = pin!(stream);
        let began = Instant::now();
        let mut ticks = tokio::time::interval(BETWEEN_REPORTS);
        loop {
            tokio::select! {
                output = stream.next() => {
                    let Some(output) = output.transpose()? else { return Ok(()) };
                    self.bytes += output.bytes().len() as u64;
                    match &output {
                        Output::Stderr(bytes) => self.stderr.push(bytes),
                        Output::Stdout(bytes) | Output::Console(bytes) => self.stdout.push(bytes),
                    }
                }
                _ = ticks.tick() => {
                    let message = format!("running in {container}, {} of output", base::text::bytes(self.bytes));
                    ctx.progress(began.elapsed().as_secs_f64(), None, message).await;
                }
            }
        }
    }

    /// Both outputs within the room: standard error gets what standard output leaves, at least a third.
    fn text(mut self, room: usize) -> String {
        if self.stdout.len() + self.stderr.len() > room {
            self.stderr
                .shrink((room / 3).max(room.saturating_sub(self.stdout.len())));
            self.stdout.shrink(room.saturating_sub(self.stderr.len()));
        }
        match (self.stdout.is_empty(), self.stderr.is_empty()) {
            (_, true) => self.stdout.text(),
            (true, false) => format!("stderr:\n{}", self.stderr.text()),
            (false, false) => format!("{}\nstderr:\n{}", self.stdout.text(), self.stderr.text()),
        }
    }
}
