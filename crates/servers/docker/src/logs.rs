//! Reading a container's log: a stream that may be of any length, of which one page is kept.
//!
//! Nothing is stored between calls. A cursor is a moment of the log and how many lines of that moment have been
//! given already, so reading on asks the engine again and sixty thousand lines never stand in memory.

use crate::error::{Code, ToolError};
use crate::values::When;
use base::names::ContainerRef;
use engine::ops::containers::{LogQuery as EngineQuery, Outputs, Tail};
use engine::{Engine, Output};
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use regex::Regex;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::pin::pin;
use std::time::{Duration, Instant};

/// The longest part of a line that is kept.
const MAX_LINE: usize = 4_000;
/// How much of a log one call looks at; a cursor goes on from there.
const MAX_SCANNED: usize = 256 << 20;
/// How long one call looks.
const MAX_TIME: Duration = Duration::from_secs(25);
/// The beginning of every cursor into a log.
const PREFIX: &str = "log-";

// No doc comment: it would be a description in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    Stdout,
    Stderr,
    #[default]
    Both,
}

impl Which {
    fn outputs(self) -> Outputs {
        match self {
            Self::Stdout => Outputs::Stdout,
            Self::Stderr => Outputs::Stderr,
            Self::Both => Outputs::Both,
        }
    }
}

/// What to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogQuery {
    /// The last so many lines that fit the rest; without it, from the beginning.
    pub(crate) tail: Option<u32>,
    pub(crate) since: Option<When>,
    pub(crate) until: Option<When>,
    pub(crate) grep: Option<Regex>,
    pub(crate) which: Which,
    pub(crate) timestamps: bool,
    pub(crate) cursor: Option<Cursor>,
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    at: Timestamp,
    /// Lines of this very moment that were given already.
    skip: usize,
    /// The place is within a private key, whose lines don't show by themselves what they are.
    in_key: bool,
}

/// One page of a log.
#[derive(Debug, Default)]
pub(crate) struct LogPage {
    /// The lines, without secrets.
    pub(crate) text: String,
    /// How many lines.
    pub(crate) lines: usize,
    /// Lines before these that matched and are not shown.
    pub(crate) left_out: usize,
    /// Where the first of the lines left out is.
    pub(crate) from_start: Option<Cursor>,
    /// Where to read on, if there is more.
    pub(crate) next: Option<Cursor>,
    /// The call looked at as much as one call may, and the log goes on.
    pub(crate) tired: bool,
}

impl Cursor {
    /// Whether this is a cursor into a log.
    pub(crate) fn parse(text: &str) -> Result<Self, ToolError> {
        let parse = || {
            let (moment, skip) = text.strip_prefix(PREFIX)?.split_once('-')?;
            let (skip, in_key) = skip.strip_suffix('k').map_or((skip, false), |skip| (skip, true));
            let nanoseconds = i128::from(u64::from_str_radix(moment, 36).ok()?);
            let at = Timestamp::from_nanosecond(nanoseconds).ok()?;
            Some(Self {
                at,
                skip: skip.parse().ok()?,
                in_key,
            })
        };
        parse().ok_or_else(|| {
            ToolError::new(
                Code::Stale,
                format!("{:?} is no cursor into a log", base::text::cut(text, 60)),
            )
            .fix("leave cursor out, or pass the one of the last answer as it was")
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nanoseconds = u64::try_from(self.at.as_nanosecond()).unwrap_or_default();
        write!(
            f,
            "{PREFIX}{}-{}{}",
            base36(nanoseconds),
            self.skip,
            if self.in_key { "k" } else { "" }
        )
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// Reads one page of at most `room` bytes.
///
/// # Errors
/// The engine's, and that it gives no log of this container.
pub(crate) async fn read(
    engine: &Engine,
    container: &ContainerRef,
    query: &LogQuery,
    room: usize,
) -> Result<LogPage, ToolError> {
    // The engine counts lines before they are searched.
    let tail = query
        .tail
        .filter(|_| query.grep.is_none() && query.cursor.is_none());
    let wanted = EngineQuery {
        outputs: query.which.outputs(),
        timestamps: true,
        tail: tail.map_or(Tail::All, |lines| Tail::Lines(lines.into())),
        since: query
            .cursor
            .map(|cursor| cursor.at)
            .or(query.since.map(|When(moment)| moment)),
        until: query.until.map(|When(moment)| moment),
        follow: false,
    };
    let tty = engine.container_tty(container).await?;
    let mut outputs = pin!(engine.container_logs(container, &wanted, tty).await?);
    let mut reader = Reader::new(query, room);
    let began = Instant::now();
    while let Some(output) = outputs.next().await {
        let output = output?;
        reader.feed(&output);
        if reader.full {
            break;
        }
        if reader.scanned > MAX_SCANNED || began.elapsed() > MAX_TIME {
            reader.tired = true;
            break;
        }
    }
    Ok(reader.finish())
}

/// The whole log so far and what is added to it, line by line, without secrets of the cleaned kind only: the caller
/// redacts what it shows. Ends with the container.
pub(crate) async fn follow(
    engine: &Engine,
    container: &ContainerRef,
) -> Result<impl Stream<Item = Result<String, ToolError>> + Send + use<>, ToolError> {
    let wanted = EngineQuery {
        follow: true,
        ..EngineQuery::default()
    };
    let tty = engine.container_tty(container).await?;
    let outputs = engine.container_logs(container, &wanted, tty).await?;
    let lines = outputs
        .scan(<[Partial; 2]>::default(), |partial, output| {
            let lines = match output {
                Ok(output) => whole_lines(partial, &output).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(ToolError::from(error))],
            };
            std::future::ready(Some(stream::iter(lines)))
        })
        .flatten();
    Ok(lines)
}

fn whole_lines(partial: &mut [Partial; 2], output: &Output) -> Vec<String> {
    let partial = &mut partial[usize::from(matches!(output, Output::Stderr(_)))];
    let pieces = output.bytes().split_inclusive(|b| *b == b'\n');
    let lines = pieces.filter_map(|piece| partial.add(piece));
    lines
        .map(|line| base::text::clean(&String::from_utf8_lossy(&line.bytes)).into_owned())
        .collect()
}

/// Lines out of the engine's pieces, and of the lines those that are kept.
struct Reader<'a> {
    query: &'a LogQuery,
    room: usize,
    /// Unfinished lines of stdout and stderr, which the engine sends in turns.
    partial: [Partial; 2],
    kept: VecDeque<Line>,
    kept_bytes: usize,
    left_out: usize,
    first: Option<Cursor>,
    /// The moment of the last line and how many lines had it.
    moment: (Option<Timestamp>, usize),
    in_key: bool,
    next: Option<Cursor>,
    full: bool,
    tired: bool,
    scanned: usize,
}

#[derive(Debug, Clone)]
struct Line {
    at: Timestamp,
    text: String,
    /// Bytes of the line that are not kept.
    cut: usize,
    cursor: Cursor,
}

impl Line {
    /// A line with its time before it. The engine stores lines over 16 KiB in parts and gives each part a time; what
    /// is kept of a line ends long before the second.
    fn of(raw: &RawLine) -> Self {
        let text = String::from_utf8_lossy(&raw.bytes);
        let timed = text
            .split_once(' ')
            .and_then(|(time, rest)| Some((time.parse().ok()?, rest)));
        let (at, rest) = timed.unwrap_or((Timestamp::UNIX_EPOCH, &text));
        let kept = base::text::cut(rest, MAX_LINE);
        Self {
            at,
            text: kept.to_owned(),
            cut: raw.dropped + rest.len() - kept.len(),
            cursor: Cursor {
                at,
                skip: 0,
                in_key: false,
            },
        }
    }
}

/// A line as it came, or the first part of it.
#[derive(Debug, Default)]
struct RawLine {
    bytes: Vec<u8>,
    dropped: usize,
}

/// A line whose end has not come yet: pieces of a stream end anywhere, also within a character or a time.
#[derive(Debug, Default)]
struct Partial(RawLine);

impl Partial {
    /// Adds a piece; gives the line if that ended it.
    fn add(&mut self, piece: &[u8]) -> Option<RawLine> {
        /// A time, a space, and room to cut between characters.
        const ROOM: usize = MAX_LINE + 64;
        let (piece, ends) = match piece {
            [line @ .., b'\n'] => (line, true),
            piece => (piece, false),
        };
        let kept = piece.len().min(ROOM.saturating_sub(self.0.bytes.len()));
        self.0.bytes.extend_from_slice(&piece[..kept]);
        self.0.dropped += piece.len() - kept;
        if !ends {
            return None;
        }
        if self.0.bytes.ends_with(b"\r") {
            self.0.bytes.pop();
        }
        Some(std::mem::take(&mut self.0))
    }

    /// What there is of a line that never ended.
    fn end(self) -> Option<RawLine> {
        (!self.0.bytes.is_empty()).then_some(self.0)
    }
}

impl<'a> Reader<'a> {
    fn new(query: &'a LogQuery, room: usize) -> Self {
        Self {
            query,
            room,
            partial: Default::default(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            left_out: 0,
            first: None,
            moment: (None, 0),
            in_key: query.cursor.is_some_and(|cursor| cursor.in_key),
            next: None,
            full: false,
            tired: false,
            scanned: 0,
        }
    }

    fn feed(&mut self, output: &Output) {
        let bytes = output.bytes();
        self.scanned += bytes.len();
        let slot = usize::from(matches!(output, Output::Stderr(_)));
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            if self.full {
                return;
            }
            if let Some(raw) = self.partial[slot].add(piece) {
                self.line(Line::of(&raw));
            }
        }
    }

    fn line(&mut self, mut line: Line) {
        let number = match self.moment {
            (Some(moment), count) if moment == line.at => count,
            _ => 0,
        };
        self.moment = (Some(line.at), number + 1);
        line.cursor = Cursor {
            at: line.at,
            skip: number,
            in_key: self.in_key,
        };
        // Some engines begin at the whole second, and all begin with the first line of the moment.
        let before = |cursor: Cursor| line.at < cursor.at || line.at == cursor.at && number < cursor.skip;
        if self.query.cursor.is_some_and(before) {
            return;
        }
        line.text = base::text::clean(&line.text).into_owned();
        self.hide_key(&mut line);
        if self
            .query
            .grep
            .as_ref()
            .is_some_and(|grep| !grep.is_match(&line.text))
        {
            return;
        }
        self.keep(line);
    }

    /// The lines of a private key between its two marks.
    fn hide_key(&mut self, line: &mut Line) {
        let begins = line.text.contains("-----BEGIN ") && line.text.contains("PRIVATE KEY");
        let ends = line.text.contains("-----END ");
        if self.in_key && !ends {
            "[redacted]".clone_into(&mut line.text);
        }
        self.in_key = (self.in_key || begins) && !ends;
    }

    fn keep(&mut self, line: Line) {
        let size = self.size(&line);
        if self.kept_bytes + size > self.room && !self.kept.is_empty() {
            if self.newest().is_none() {
                self.next = Some(line.cursor);
                self.full = true;
                return;
            }
            while self.kept_bytes + size > self.room && self.drop_oldest() {}
        }
        self.kept_bytes += size;
        self.kept.push_back(line);
        if self.newest().is_some_and(|newest| self.kept.len() > newest) {
            self.drop_oldest();
        }
    }

    /// How many of the newest lines are wanted; `None` reads from the beginning on.
    fn newest(&self) -> Option<usize> {
        let tail = self.query.tail.filter(|_| self.query.cursor.is_none())?;
        usize::try_from(tail).ok()
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.kept.pop_front() else {
            return false;
        };
        self.kept_bytes -= self.size(&oldest);
        self.left_out += 1;
        self.first.get_or_insert(oldest.cursor);
        true
    }

    /// Bytes of a line in the answer.
    fn size(&self, line: &Line) -> usize {
        let time = if self.query.timestamps { 32 } else { 0 };
        let cut = if line.cut > 0 { 24 } else { 0 };
        line.text.len() + time + cut + 1
    }

    fn finish(mut self) -> LogPage {
        for raw in std::mem::take(&mut self.partial)
            .into_iter()
            .filter_map(Partial::end)
        {
            if !self.full {
                self.line(Line::of(&raw));
            }
        }
        if self.tired {
            self.next = self.moment.0.map(|at| Cursor {
                at,
                skip: self.moment.1,
                in_key: self.in_key,
            });
        }
        let mut text = String::with_capacity(self.kept_bytes);
        for line in &self.kept {
            if self.query.timestamps {
                _ = write!(text, "{} ", line.at);
            }
            text.push_str(&line.text);
            if line.cut > 0 {
                _ = write!(text, "… [{} more]", base::text::bytes(line.cut as u64));
            }
            text.push('\n');
        }
        text.truncate(text.trim_end_matches('\n').len());
        let text = match base::redact::text(&text) {
            std::borrow::Cow::Borrowed(_) => text,
            std::borrow::Cow::Owned(redacted) => redacted,
        };
        LogPage {
            text,
            lines: self.kept.len(),
            left_out: self.left_out,
            from_start: self.first,
            next: self.next,
            tired: self.tired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(query: &LogQuery, room: usize, pieces: &[&str]) -> LogPage {
        let mut reader = Reader::new(query, room);
        for piece in pieces {
            reader.feed(&Output::Stdout(Bytes::copy_from_slice(piece.as_bytes())));
        }
        reader.finish()
    }

    fn log(lines: std::ops::Range<usize>) -> String {
        // Two lines share each moment.
        let lines: Vec<String> = lines
            .map(|n| format!("2026-11-05T10:00:00.{:09}Z line {n}\n", n / 2))
            .collect();
        lines.concat()
    }

    #[test]
    fn the_newest_lines_that_fit() {
        let log = log(0..100);
        let query = LogQuery {
            tail: Some(50),
            ..LogQuery::default()
        };
        let page = read(&query, 25, &[&log]);
        assert_eq!(page.text, "line 97\nline 98\nline 99");
        assert_eq!((page.lines, page.left_out, page.next), (3, 97, None));
    }

    #[test]
    fn reading_on_gives_every_line_once() {
        let log = log(0..101);
        let mut query = LogQuery::default();
        let mut lines = Vec::new();
        loop {
            let page = read(&query, 60, &[&log]);
            lines.extend(page.text.lines().map(str::to_owned));
            let Some(next) = page.next else { break };
            query.cursor = Some(Cursor::parse(&next.to_string()).unwrap());
            assert_eq!(query.cursor, Some(next));
        }
        let expected: Vec<String> = (0..101).map(|n| format!("line {n}")).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_pattern_searches_the_whole_log() {
        let log = log(0..100);
        let grep = Some(Regex::new("line .5$").unwrap());
        let query = LogQuery {
            tail: Some(3),
            grep,
            ..LogQuery::default()
        };
        let page = read(&query, 10_000, &[&log]);
        assert_eq!(page.text, "line 75\nline 85\nline 95");
    }

    #[test]
    fn parts_of_lines_are_joined_and_long_ones_cut() {
        let time = "2026-11-05T10:00:00.000000001Z";
        let (a, b) = ("a".repeat(3_000), "b".repeat(3_000));
        let pieces = [format!("{time} {a}"), format!("{b}\n"), format!("{time} end\n")];
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let page = read(&LogQuery::default(), 100_000, &pieces);
        let expected = format!("{a}{}… [1.9 KiB more]\nend", "b".repeat(1_000));
        assert_eq!(page.text, expected);
    }

    #[test]
    fn pieces_end_anywhere() {
        let log = log(0..20).replace("line 7", "line é7");
        for size in 1..60 {
            let query = LogQuery::default();
            let mut reader = Reader::new(&query, 10_000);
            for piece in log.as_bytes().chunks(size) {
                reader.feed(&Output::Stdout(Bytes::copy_from_slice(piece)));
            }
            let page = reader.finish();
            assert_eq!(page.lines, 20);
            assert!(
                page.text.contains("line 6\nline é7\nline 8"),
                "{size}: {}",
                page.text
            );
        }
    }

    #[test]
    fn private_keys_stay_private_across_pages() {
        let time = "2026-11-05T10:00:00.000000001Z";
        let key = [
            "-----BEGIN RSA PRIVATE KEY-----",
            "MIIEow",
            "AAAAAA",
            "-----END RSA PRIVATE KEY-----",
            "done",
        ];
        let log = key.map(|line| format!("{time} {line}\n")).concat();
        let mut query = LogQuery::default();
        let mut text = String::new();
        loop {
            let page = read(&query, 40, &[&log]);
            text.push_str(&page.text);
            text.push('\n');
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        assert!(!text.contains("MIIEow") && !text.contains("AAAAAA"), "{text}");
        assert!(text.contains("done"), "{text}");
    }

    #[test]
    fn control_characters_and_secrets_go() {
        let log = "2026-11-05T10:00:00Z \u{1b}[31mred\u{1b}[0m postgres://u:hunter2@db/x\n";
        let page = read(&LogQuery::default(), 1_000, &[log]);
        assert!(
            page.text.starts_with("red ") && !page.text.contains("hunter2"),
            "{}",
            page.text
        );
    }

    #[test]
    fn cursors_are_checked() {
        for text in [
            "log-",
            "log-1",
            "log-x-y",
            "log-zzzzzzzzzzzzzzzzzz-1",
            "page-1-2",
            "log-1-99999999999999999999999",
        ] {
            assert!(Cursor::parse(text).is_err(), "{text}");
        }
    }
}
