//! The classic builder's output as typed events.
//!
//! The daemon sends what a person would see in a terminal, cut into pieces as it was written: whole lines,
//! half lines, or several at once. This module joins the pieces to lines and tells the builder's own remarks
//! from what the steps print.

use serde_json::Value;

use super::registry::failure;
use super::transfer::TransferEvent;

/// What a build says while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// A step begins.
    Step {
        /// Which one, from 1.
        number: u32,
        /// How many there are.
        total: u32,
        /// The instruction as the builder prints it: `RUN make`.
        instruction: String,
    },
    /// The result of the present step was taken from an earlier build.
    Cached,
    /// A line that the present step printed, as it came (its own terminal escapes included).
    Output(String),
    /// A remark that the person who wrote the Dockerfile should read.
    Warning(String),
    /// The base image is being pulled.
    Transfer(TransferEvent),
    /// An image is ready: each stage's, the last one being the result. `sha256:…`
    Image(String),
    /// The build ended without success; nothing follows.
    Failed(BuildFailure),
}

/// Why a build ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFailure {
    /// The daemon's words, the command included.
    pub message: String,
    /// What the command exited with, if it was a command that failed.
    pub exit_code: Option<i64>,
}

/// Joins pieces of output to lines and reads them.
#[derive(Debug, Default)]
pub(crate) struct BuildLog {
    partial: String,
}

/// A step that prints without ever ending its line may not fill the memory; longer lines are cut in two.
const LINE_LIMIT: usize = 16 * 1024;

impl BuildLog {
    /// Takes one line of the daemon's stream and adds what it says to `events`.
    pub(crate) fn read(&mut self, line: &Value, events: &mut Vec<BuildEvent>) {
        if let Some(message) = failure(line) {
            self.finish(events);
            events.push(BuildEvent::Failed(BuildFailure {
                message: message.to_owned(),
                exit_code: line["errorDetail"]["code"].as_i64().filter(|code| *code != 0),
            }));
        } else if let Some(piece) = line["stream"].as_str() {
            self.piece(piece, events);
        } else if let Some(id) = line["aux"]["ID"].as_str() {
            self.finish(events);
            events.push(BuildEvent::Image(id.to_owned()));
        } else if let Some(event) = TransferEvent::read(line) {
            events.push(BuildEvent::Transfer(event));
        }
    }

    /// The stream has ended: what is left is a line too.
    pub(crate) fn finish(&mut self, events: &mut Vec<BuildEvent>) {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            events.extend(read_line(&line));
        }
    }

    fn piece(&mut self, piece: &str, events: &mut Vec<BuildEvent>) {
        let piece = without_color(piece);
        // The step header has a message of its own, and its line break another one. It must not wait for that.
        if self.partial.is_empty()
            && let Some(step) = read_step(piece.trim_end())
        {
            events.push(step);
            return;
        }
        let mut rest = piece;
        while let Some(end) = rest.find('\n') {
            let (line, tail) = rest.split_at(end);
            rest = &tail[1..];
            self.partial.push_str(line);
            let line = std::mem::take(&mut self.partial);
            events.extend(read_line(line.trim_end_matches('\r')));
        }
        self.partial.push_str(rest);
        if self.partial.len() > LINE_LIMIT {
            let line = std::mem::take(&mut self.partial);
            events.push(BuildEvent::Output(line));
        }
    }
}

/// What a step writes to its standard error comes painted red, each piece by itself.
fn without_color(piece: &str) -> &str {
    let painted = piece
        .strip_prefix("\u{1b}[91m")
        .and_then(|piece| piece.strip_suffix("\u{1b}[0m"));
    painted.unwrap_or(piece)
}

fn read_line(line: &str) -> Option<BuildEvent> {
    if let Some(remark) = line.strip_prefix(" ---> ") {
        // Ids of intermediate images and containers are of no use to anyone who reads the result.
        return (remark == "Using cache").then_some(BuildEvent::Cached);
    }
    if line.is_empty()
        || line.starts_with("Removing intermediate container ")
        || line.starts_with("Successfully built ")
        || line.starts_with("Successfully tagged ")
    {
        return None;
    }
    Some(match line.strip_prefix("[Warning] ") {
        Some(warning) => BuildEvent::Warning(warning.to_owned()),
        None => BuildEvent::Output(line.to_owned()),
    })
}

/// `Step 4/8 : RUN echo hello`.
fn read_step(line: &str) -> Option<BuildEvent> {
    let (count, instruction) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, total) = count.split_once('/')?;
    Some(BuildEvent::Step {
        number: number.parse().ok()?,
        total: total.parse().ok()?,
        instruction: instruction.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(lines: &[Value], expected: &[BuildEvent]) {
        let mut log = BuildLog::default();
        let mut events = Vec::new();
        for line in lines {
            log.read(line, &mut events);
        }
        log.finish(&mut events);
        assert_eq!(events, expected);
    }

    fn step(number: u32, total: u32, instruction: &str) -> BuildEvent {
        BuildEvent::Step {
            number,
            total,
            instruction: instruction.to_owned(),
        }
    }

    fn output(line: &str) -> BuildEvent {
        BuildEvent::Output(line.to_owned())
    }

    #[test]
    fn a_real_build() {
        check(
            &[
                json!({"stream":"Step 1/3 : FROM rigs/busybox:1 AS a"}),
                json!({"stream":"\n"}),
                json!({"stream":" ---> 8babcc1d9db2\n"}),
                json!({"stream":"Step 2/3 : ARG X=1"}),
                json!({"stream":"\n"}),
                json!({"stream":" ---> Using cache\n"}),
                json!({"stream":" ---> d9a53062cb25\n"}),
                json!({"stream":"Step 3/3 : RUN echo hello $X; echo err >&2"}),
                json!({"stream":"\n"}),
                json!({"stream":" ---> Running in 521c44f46ce5\n"}),
                json!({"stream":"\u{1b}[91merr\n\u{1b}[0m"}),
                json!({"stream":"hello 1\n"}),
                json!({"stream":"Removing intermediate container 521c44f46ce5\n"}),
                json!({"stream":" ---> e3b8b13a74f5\n"}),
                json!({"aux":{"ID":"sha256:e3b8"}}),
                json!({"stream":"[Warning] One or more build-args [Y] were not consumed\n"}),
                json!({"stream":"Successfully built e3b8b13a74f5\n"}),
                json!({"stream":"Successfully tagged e/b:1\n"}),
            ],
            &[
                step(1, 3, "FROM rigs/busybox:1 AS a"),
                step(2, 3, "ARG X=1"),
                BuildEvent::Cached,
                step(3, 3, "RUN echo hello $X; echo err >&2"),
                output("err"),
                output("hello 1"),
                BuildEvent::Image("sha256:e3b8".to_owned()),
                BuildEvent::Warning("One or more build-args [Y] were not consumed".to_owned()),
            ],
        );
    }

    #[test]
    fn a_failure_comes_after_the_last_output() {
        check(
            &[
                json!({"stream":"Step 1/1 : RUN false"}),
                json!({"stream":"unended"}),
                json!({"errorDetail":{"code":3,"message":"no"},"error":"no"}),
            ],
            &[
                step(1, 1, "RUN false"),
                output("unended"),
                BuildEvent::Failed(BuildFailure {
                    message: "no".to_owned(),
                    exit_code: Some(3),
                }),
            ],
        );
        check(
            &[json!({"errorDetail":{"message":"COPY failed"},"error":"COPY failed"})],
            &[BuildEvent::Failed(BuildFailure {
                message: "COPY failed".to_owned(),
                exit_code: None,
            })],
        );
    }

    #[test]
    fn pieces_are_joined_to_lines() {
        check(
            &[
                json!({"stream":"com"}),
                json!({"stream":"piling\r\nlink"}),
                json!({"stream":"ing\n\nlast"}),
            ],
            &[output("compiling"), output("linking"), output("last")],
        );
    }

    #[test]
    fn a_step_that_never_ends_its_line_is_cut() {
        let piece = "x".repeat(LINE_LIMIT + 1);
        check(
            &[json!({"stream":piece}), json!({"stream":"y\n"})],
            &[output(&piece), output("y")],
        );
    }

    #[test]
    fn the_pull_of_a_base_image_is_a_transfer() {
        check(
            &[
                json!({"stream":"Step 1/1 : FROM web:1"}),
                json!({"status":"Pulling from web","id":"1"}),
            ],
            &[
                step(1, 1, "FROM web:1"),
                BuildEvent::Transfer(TransferEvent::Status("Pulling from web".to_owned())),
            ],
        );
    }

    #[test]
    fn what_only_looks_like_a_step_is_output() {
        for line in ["Step one : x", "Step 1/x : y", "Step 1/2"] {
            check(&[json!({"stream":format!("{line}\n")})], &[output(line)]);
        }
    }
}
