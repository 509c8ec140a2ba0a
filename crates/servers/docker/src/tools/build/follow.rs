//! A build while it runs: what is kept of it, and what is told.

use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use engine::Error;
use engine::ops::images::{BuildEvent, BuildFailure, Tally};
use futures_util::{Stream, StreamExt};
use std::collections::VecDeque;
use std::pin::pin;

/// Lines of the failing step that are shown, and bytes of them.
const LAST_LINES: usize = 25;
const LAST_BYTES: usize = 4_000;
/// Bytes kept of one line; a compiler's template error may have more, and nobody reads it.
const LINE: usize = 600;
/// Remarks that are passed on.
const MAX_WARNINGS: usize = 5;

/// What is known of a build.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Number, total, instruction of the present step.
    pub(super) step: Option<(u32, u32, String)>,
    pub(super) cached: u32,
    pub(super) image: Option<String>,
    pub(super) warnings: Vec<String>,
    last: VecDeque<String>,
    bytes: usize,
    base: Tally,
}

impl Progress {
    /// Takes in one event; gives the failure if it is one.
    pub(super) fn add(&mut self, event: BuildEvent) -> Option<BuildFailure> {
        match event {
            BuildEvent::Step {
                number,
                total,
                instruction,
            } => {
                self.step = Some((number, total, instruction));
                self.last.clear();
                self.bytes = 0;
                self.base = Tally::default();
            }
            BuildEvent::Cached => self.cached += 1,
            BuildEvent::Output(line) => self.keep(base::text::cut(&line, LINE)),
            BuildEvent::Warning(warning) if self.warnings.len() < MAX_WARNINGS => self.warnings.push(warning),
            BuildEvent::Warning(_) => {}
            BuildEvent::Transfer(event) => self.base.add(&event),
            BuildEvent::Image(id) => self.image = Some(id),
            BuildEvent::Failed(failure) => return Some(failure),
        }
        None
    }

    fn keep(&mut self, line: &str) {
        self.bytes += line.len() + 1;
        self.last.push_back(line.to_owned());
        while self.last.len() > LAST_LINES || self.bytes > LAST_BYTES {
            match self.last.pop_front() {
                Some(gone) => self.bytes -= gone.len() + 1,
                None => break,
            }
        }
    }

    /// The last lines of the present step, cleaned and without secrets.
    pub(super) fn last_lines(&self) -> String {
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        let text = lines.join("\n");
        base::redact::text(&base::text::clean(&text)).into_owned()
    }

    /// `step 3/8: RUN make`, shortened.
    pub(super) fn shown_step(&self, room: usize) -> Option<String> {
        let (number, total, instruction) = self.step.as_ref()?;
        let instruction = base::redact::text(instruction);
        Some(format!(
            "step {number}/{total}: {}",
            base::text::cut(&instruction, room)
        ))
    }

    async fn tell(&self, ctx: &Ctx) {
        let Some((number, total, _)) = self.step else {
            return;
        };
        let Some(step) = self.shown_step(100) else { return };
        let message = match self.base.moved() {
            0 => step,
            moved => format!("{step}, {} pulled", base::text::bytes(moved)),
        };
        ctx.progress(f64::from(number - number.min(1)), Some(f64::from(total)), message)
            .await;
    }
}

/// Follows a build to its end. Dropping this future stops the build.
///
/// # Errors
/// The connection failed; a build that fails by itself is the second part of the result.
pub(super) async fn follow<S>(ctx: &Ctx, events: S) -> Result<(Progress, Option<BuildFailure>), Error>
where
    S: Stream<Item = Result<BuildEvent, Error>> + Send,
{
    let mut events = pin!(events);
    let mut progress = Progress::default();
    while let Some(event) = events.next().await {
        let event = event?;
        let tells = matches!(event, BuildEvent::Step { .. } | BuildEvent::Transfer(_));
        if let Some(failure) = progress.add(event) {
            return Ok((progress, Some(failure)));
        }
        if tells && ctx.has_listener() {
            progress.tell(ctx).await;
        }
    }
    Ok((progress, None))
}

/// The error of a build that failed by itself: the step, its command, its last lines.
pub(super) fn failed(progress: &Progress, failure: &BuildFailure) -> ToolError {
    let step = progress
        .shown_step(1_000)
        .unwrap_or_else(|| "before the first step".to_owned());
    let mut cause = match failure.exit_code {
        Some(code) => format!("{step}\nended with exit code {code}"),
        None => format!(
            "{step}\nfailed: {}",
            base::text::cut(&base::redact::text(&failure.message), 600)
        ),
    };
    let lines = progress.last_lines();
    if lines.is_empty() {
        if failure.exit_code.is_some() {
            cause.push_str(", without output");
        }
    } else {
        cause.push_str("; last output:\n");
        cause.push_str(&server_kit::answer::fence("output of the build", &lines));
    }
    let error = ToolError::new(Code::Failed, cause);
    match advice(&failure.message) {
        Some(fix) => error.fix(fix),
        None => error,
    }
}

fn advice(message: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 4] = [
        (
            "excluded by .dockerignore",
            "paths of COPY and ADD are relative to the build context; look also into .dockerignore",
        ),
        (
            "the --mount option requires BuildKit",
            "this builder has no RUN --mount; leave it out",
        ),
        (
            "requires BuildKit",
            "this builder is the classic one; leave out what needs BuildKit",
        ),
        (
            "no space left on device",
            "get_system_df shows what takes space, the prune tools free it",
        ),
    ];
    KNOWN
        .iter()
        .find(|(words, _)| message.contains(words))
        .map(|(_, fix)| *fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(line: &str) -> BuildEvent {
        BuildEvent::Output(line.to_owned())
    }

    fn step(number: u32, instruction: &str) -> BuildEvent {
        BuildEvent::Step {
            number,
            total: 3,
            instruction: instruction.to_owned(),
        }
    }

    fn failure(message: &str, exit_code: Option<i64>) -> BuildFailure {
        BuildFailure {
            message: message.to_owned(),
            exit_code,
        }
    }

    #[test]
    fn only_the_last_lines_of_the_failing_step_are_kept() {
        let mut progress = Progress::default();
        progress.add(step(1, "RUN one"));
        progress.add(output("of the first step"));
        progress.add(step(2, "RUN two"));
        for n in 0..1_000 {
            progress.add(output(&format!("line {n}")));
        }
        let lines = progress.last_lines();
        assert_eq!(lines.lines().count(), LAST_LINES);
        assert!(lines.ends_with("line 999") && !lines.contains("first"), "{lines}");
        progress.add(output(&"x".repeat(100_000)));
        assert!(progress.last_lines().len() <= LAST_BYTES);
    }

    #[test]
    fn a_failure_names_step_command_and_output() {
        let mut progress = Progress::default();
        progress.add(step(2, "RUN make TOKEN=ghp_0123456789abcdefghij0123456789abcdef"));
        progress.add(output("\u{1b}[31mno rule\u{1b}[0m"));
        let text = failed(&progress, &failure("returned a non-zero code: 2", Some(2))).to_string();
        assert!(text.starts_with("failed: step 2/3: RUN make TOKEN="), "{text}");
        assert!(
            text.contains("\nended with exit code 2; last output:\n[untrusted output of the build"),
            "{text}"
        );
        assert!(text.contains("\nno rule\n") && !text.contains("ghp_"), "{text}");
    }

    #[test]
    fn a_failure_that_is_no_command() {
        let message = "COPY failed: file not found in build context or excluded by .dockerignore: stat x: file does not exist";
        let mut progress = Progress::default();
        progress.add(step(3, "COPY x /"));
        insta::assert_snapshot!(failed(&progress, &failure(message, None)), @r"
        failed: step 3/3: COPY x /
        failed: COPY failed: file not found in build context or excluded by .dockerignore: stat x: file does not exist
        fix: paths of COPY and ADD are relative to the build context; look also into .dockerignore
        ");
        insta::assert_snapshot!(failed(&Progress::default(), &failure("odd", None)), @r"
        failed: before the first step
        failed: odd
        ");
    }
}
