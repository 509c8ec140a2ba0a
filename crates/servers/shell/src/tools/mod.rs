//! The tools: how they are called, and what they answer.

mod running;
pub(crate) mod start;

use server_kit::answer::Answer;
use server_kit::values::Span;
use server_kit::{Table, Tool};
use std::fmt::Write as _;
use std::time::Duration;

use crate::jobs::{Cursor, Ended, Job, Why};
use crate::output::{self, Part, is_binary};
use crate::server::Ctx;

/// Room in an answer for frame and remarks.
const FRAME: usize = 900;
/// The longest that a call waits for output.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// In the order in which they are listed.
pub(crate) static ALL: Table<Ctx> = Table(&[&[
    Tool::of::<start::RunCommand>(),
    Tool::of::<start::StartCommand>(),
    Tool::of::<running::ListCommands>(),
    Tool::of::<running::ReadOutput>(),
    Tool::of::<running::SendInput>(),
    Tool::of::<running::SignalCommand>(),
    Tool::of::<running::EndCommand>(),
]]);

/// A command on one line, quoted where words would run together; for reading.
pub(crate) fn shown(argv: &[String]) -> String {
    let quoted = |word: &String| {
        let is_plain = |c: char| c.is_alphanumeric() || "-_./=:@%+,^~".contains(c);
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let words: Vec<String> = argv.iter().map(quoted).collect();
    let text = base::text::clean(&words.join(" ")).replace(['\n', '\t'], " ");
    base::redact::text(&text).into_owned()
}

/// Those that start a command, and so are for a host.
pub(crate) const STARTING: &[&str] = &["run_command", "start_command"];

fn room(ctx: &Ctx) -> usize {
    ctx.state.core.pages.budget().saturating_sub(FRAME)
}

fn wait(span: Option<Span>, otherwise: Duration) -> Duration {
    span.map_or(otherwise, |span| span.0).min(LONGEST_WAIT)
}

/// How a command stands, on one line.
fn status(job: &Job) -> String {
    match job.ended() {
        Some(ended) => end(&ended),
        None => format!("running for {}", time(job.since.elapsed())),
    }
}

fn end(ended: &Ended) -> String {
    let mut text = match ended.why {
        Why::Itself => ended.exit.how.to_string(),
        Why::Told => format!("ended as told: {}", ended.exit.how),
        Why::Late(limit) => format!(
            "its time of {} was over, so it was ended: {}",
            time(limit),
            ended.exit.how
        ),
    };
    if let Some(remark) = &ended.exit.remark {
        _ = write!(text, "; {remark}");
    }
    _ = write!(text, "; took {}", time(ended.after));
    text
}

fn time(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// All output so far, or the beginning and the end of each where that is too much. Says whether that was all of it.
fn summary(ctx: &Ctx, job: &Job) -> (Answer, bool) {
    let outputs = job.outputs();
    let room = room(ctx);
    let (out, err) = (size(outputs.stdout.total()), size(outputs.stderr.total()));
    // Standard error gets what standard output leaves, and at least a third.
    let err_room = if out + err <= room {
        err
    } else {
        (room / 3).max(room.saturating_sub(out)).min(err)
    };
    let out_room = room - err_room;
    let mut text = String::new();
    let mut holes = Vec::new();
    let mut binary = false;
    for (name, record, room) in [
        ("stdout", &outputs.stdout, out_room),
        ("stderr", &outputs.stderr, err_room),
    ] {
        let (head, tail) = record.ends(room);
        binary |= is_binary(&head.bytes);
        let mut part = output::shown(&head.bytes);
        if let Some(tail) = tail {
            let left_out = base::text::bytes(tail.missed);
            _ = write!(
                part,
                "\n[{left_out} left out here]\n{}",
                output::shown(&tail.bytes)
            );
            holes.push(format!("{left_out} of {name}"));
            if name == "stdout" {
                holes.push(head.next.to_string());
            } else {
                holes.push(format!("-{}", head.next));
            }
        }
        push(&mut text, name, &part);
    }
    let cursor = hole(&holes, outputs.stdout.total(), outputs.stderr.total());
    drop(outputs);
    let mut answer = framed(job, text, binary);
    if let Some((what, cursor)) = &cursor {
        answer = answer.note(format!(
            "{what} left out; read_output with command {} and cursor {cursor} reads on from there",
            job.id()
        ));
    }
    (answer, cursor.is_none())
}

/// What was left out, and the cursor that reads it.
fn hole(holes: &[String], out: u64, err: u64) -> Option<(String, Cursor)> {
    let mut cursor = Cursor {
        stdout: out,
        stderr: err,
    };
    let mut what = Vec::new();
    for pair in holes.chunks(2) {
        let [text, place] = pair else { continue };
        what.push(text.as_str());
        match place.strip_prefix('-') {
            Some(place) => cursor.stderr = place.parse().ok()?,
            None => cursor.stdout = place.parse().ok()?,
        }
    }
    (!what.is_empty()).then(|| (what.join(" and "), cursor))
}

/// What came after a place, as much as fits, and the place after that.
fn after(ctx: &Ctx, job: &Job, from: Cursor) -> (Answer, Cursor, bool) {
    let has_ended = job.ended().is_some();
    let outputs = job.outputs();
    let room = room(ctx);
    let out_left = size(outputs.stdout.total().saturating_sub(from.stdout));
    let err_left = size(outputs.stderr.total().saturating_sub(from.stderr));
    let err_room = if out_left + err_left <= room {
        room
    } else {
        (room / 3).max(room.saturating_sub(out_left))
    };
    let stderr = outputs.stderr.part(from.stderr, err_room, has_ended);
    let stdout = outputs
        .stdout
        .part(from.stdout, room.saturating_sub(stderr.bytes.len()), has_ended);
    let next = Cursor {
        stdout: stdout.next,
        stderr: stderr.next,
    };
    let is_all = stdout.next == outputs.stdout.total() && stderr.next == outputs.stderr.total();
    drop(outputs);
    let mut text = String::new();
    for (name, part) in [("stdout", &stdout), ("stderr", &stderr)] {
        push(&mut text, name, &piece(part));
    }
    let binary = is_binary(&stdout.bytes) || is_binary(&stderr.bytes);
    (framed(job, text, binary), next, is_all)
}

fn piece(part: &Part) -> String {
    let text = output::shown(&part.bytes);
    if part.missed == 0 {
        return text;
    }
    format!("[{} not kept]\n{text}", base::text::bytes(part.missed))
}

fn push(text: &mut String, name: &str, part: &str) {
    if part.is_empty() {
        return;
    }
    if name == "stderr" {
        let line = if text.is_empty() { "" } else { "\n" };
        _ = writeln!(text, "{line}stderr:");
    }
    text.push_str(part);
}

fn framed(job: &Job, text: String, binary: bool) -> Answer {
    if text.is_empty() {
        return Answer::text("no output");
    }
    let answer = Answer::text(text).untrusted(format!("output of a command {}", job.place));
    if binary {
        return answer
            .note("some of it is no text: bytes without a character are left out or shown as \u{fffd}");
    }
    answer
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX / 4)
}
