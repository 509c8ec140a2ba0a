//! Which lines are kept: those of one page, from a place on, or the newest ones that match.

use super::lines::{Line, Partial};
use super::{Cursor, LogPage, LogQuery};
use engine::Output;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Lines out of the engine's pieces, and of the lines those that are kept.
pub(super) struct Reader<'a> {
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

impl<'a> Reader<'a> {
    pub(super) fn new(query: &'a LogQuery, room: usize) -> Self {
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

    /// Takes what came.
    pub(super) fn feed(&mut self, output: &Output) {
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
        let time = if self.query.timestamps { 25 } else { 0 };
        let cut = if line.cut > 0 { 24 } else { 0 };
        line.text.len() + time + cut + 1
    }

    /// Whether the page is full and the log goes on.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Bytes looked at so far.
    pub(super) fn scanned(&self) -> usize {
        self.scanned
    }

    /// The page so far, of a log that goes on beyond what one call looks at.
    pub(super) fn give_up(mut self) -> LogPage {
        self.tired = true;
        self.finish()
    }

    /// The page.
    pub(super) fn finish(mut self) -> LogPage {
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
                // The engine's nanoseconds would be a third of many a line.
                _ = write!(text, "{:.3} ", line.at);
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
    use proptest::prelude::*;
    use regex::Regex;

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

    proptest! {
        #[test]
        fn no_output_breaks_it(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20), tail in prop::option::of(0..20_u32), room in 0..500_usize) {
            let query = LogQuery { tail, ..LogQuery::default() };
            let mut reader = Reader::new(&query, room);
            for piece in pieces {
                reader.feed(&Output::Stderr(piece.into()));
            }
            // One line comes whatever the room, so that reading on gets on.
            let page = reader.finish();
            prop_assert!(page.lines <= 1 || page.text.len() <= room, "{} bytes", page.text.len());
        }
    }
}
