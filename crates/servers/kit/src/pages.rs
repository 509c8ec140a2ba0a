//! Answers that are too big for one message: the first page goes out, the rest waits here for its cursor.
//!
//! Bounded in every direction: by bytes, by time, and each kept answer by itself. A cursor that is no longer known
//! is an error that says to ask again; nothing is promised beyond ten minutes.

use crate::answer::{Answer, Body};
use crate::error::{Code, ToolError};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Everything kept, together: 8 MiB.
const MAX_BYTES: usize = 8 << 20;
/// One kept answer: 2 MiB, some sixty pages; nobody reads further, they narrow.
const MAX_ANSWER: usize = 2 << 20;
/// How long a cursor is good for.
const MAX_AGE: Duration = Duration::from_mins(10);
/// Room in each page for the line with the cursor and the frame.
const FRAME: usize = 400;
/// The beginning of every cursor that is answered from here.
const PREFIX: &str = "page-";

/// The pages that wait for being asked for.
#[derive(Debug)]
pub struct Pages {
    /// Bytes of one message.
    budget: usize,
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    id: u64,
    /// The tool whose answer it is.
    of: &'static str,
    since: Instant,
    body: Arc<Body>,
}

impl Pages {
    /// Messages of at most `tokens` tokens of 4 bytes each.
    pub fn new(tokens: usize) -> Self {
        // Below this a page could not hold its own frame and a line.
        let budget = (tokens * 4).max(FRAME * 3);
        Self {
            budget,
            kept: Mutex::default(),
        }
    }

    /// Bytes that one answer may have.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Whether this cursor belongs here, and not to a tool that reads on by itself.
    pub fn is_cursor(cursor: &str) -> bool {
        cursor.starts_with(PREFIX)
    }

    /// The message for an answer of a tool: the whole of it, or its first page. Its next is that tool's, too; without a name,
    /// that of none.
    pub fn first(&self, of: &'static str, answer: Answer) -> String {
        let whole = answer.body.render(0..answer.body.text.len());
        if whole.len() + answer.notes_len() <= self.budget {
            return answer.with_notes(whole);
        }
        let notes = answer.notes_len();
        let mut body = answer.body;
        let mut dropped = 0;
        if body.text.len() > MAX_ANSWER {
            let kept = base::text::cut(&body.text, MAX_ANSWER).len();
            dropped = body.text.len() - kept;
            body.text.truncate(kept);
        }
        body.dropped = dropped;
        let body = Arc::new(body);
        let id = crate::random::number();
        let page = self.page(id, &body, 0, notes);
        self.keep(Kept {
            id,
            of,
            since: Instant::now(),
            body,
        });
        Answer::join(page, &answer.notes)
    }

    /// The page that a cursor stands for.
    ///
    /// # Errors
    /// The cursor is malformed, unknown or too old, or of another tool's answer.
    pub fn next(&self, of: &str, cursor: &str) -> Result<String, ToolError> {
        let stale = || {
            ToolError::new(
                Code::Stale,
                format!("cursor {:?} is not known any more", base::text::cut(cursor, 60)),
            )
            .fix("call the tool again without cursor; pages are kept for ten minutes")
        };
        let (id, offset) = decode(cursor).ok_or_else(stale)?;
        let body = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|kept| kept.since.elapsed() < MAX_AGE);
            let position = kept.iter().position(|kept| kept.id == id).ok_or_else(stale)?;
            if let Some(found) = kept.get(position).filter(|found| found.of != of) {
                let other = format!(
                    "parameter cursor: it is of an answer of {}, not of {of}",
                    found.of
                );
                return Err(ToolError::arguments(other).fix("pass it to the tool that gave it"));
            }
            // What is read stays longest.
            let found = kept.remove(position).ok_or_else(stale)?;
            let body = Arc::clone(&found.body);
            kept.push_back(found);
            body
        };
        if offset >= body.text.len() || !body.text.is_char_boundary(offset) {
            return Err(stale());
        }
        Ok(self.page(id, &body, offset, 0))
    }

    fn page(&self, id: u64, body: &Body, offset: usize, reserved: usize) -> String {
        let room = self
            .budget
            .saturating_sub(FRAME + reserved + body.frame_len())
            .max(FRAME);
        let rest = &body.text[offset..];
        let taken = if rest.len() <= room {
            rest.len()
        } else {
            break_at(rest, room)
        };
        let end = offset + taken;
        let mut page = body.render(offset..end);
        if end < body.text.len() {
            let left = body.text.len() - end;
            _ = write!(
                page,
                "\n[{} more; cursor {PREFIX}{id:x}-{end:x}",
                plural(base::text::tokens(left), "token")
            );
            if let Some(narrow) = &body.narrow {
                _ = write!(page, "; or narrow: {narrow}");
            }
            page.push(']');
        } else if body.dropped > 0 {
            _ = write!(
                page,
                "\n[{} beyond this were not kept",
                base::text::bytes(body.dropped as u64)
            );
            if let Some(narrow) = &body.narrow {
                _ = write!(page, "; narrow: {narrow}");
            }
            page.push(']');
        }
        page
    }

    fn keep(&self, new: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.since.elapsed() < MAX_AGE);
        kept.push_back(new);
        let mut bytes: usize = kept.iter().map(|kept| kept.body.text.len()).sum();
        while bytes > MAX_BYTES {
            let Some(oldest) = kept.pop_front() else { break };
            bytes -= oldest.body.text.len();
        }
    }
}

/// Where to end a page: after the last whole line that fits, or in a line longer than a page.
fn break_at(text: &str, room: usize) -> usize {
    let page = base::text::cut(text, room);
    match page.rfind('\n') {
        Some(newline) => newline + 1,
        None => page.len(),
    }
}

fn decode(cursor: &str) -> Option<(u64, usize)> {
    let (id, offset) = cursor.strip_prefix(PREFIX)?.split_once('-')?;
    Some((
        u64::from_str_radix(id, 16).ok()?,
        usize::from_str_radix(offset, 16).ok()?,
    ))
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 {
        format!("1 {word}")
    } else {
        format!("{count} {word}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an answer page by page and gives all its lines.
    fn read_all(pages: &Pages, answer: Answer) -> Vec<String> {
        let mut page = pages.first("t", answer);
        let mut lines = Vec::new();
        loop {
            assert!(page.len() <= pages.budget(), "{} bytes", page.len());
            let cursor = page
                .lines()
                .last()
                .and_then(|last| last.strip_prefix('['))
                .and_then(|last| {
                    let (_, cursor) = last.split_once("cursor ")?;
                    Some(cursor.trim_end_matches(']').split(';').next()?.to_owned())
                });
            let body = page.lines().filter(|line| !line.starts_with('['));
            lines.extend(body.map(str::to_owned));
            match cursor {
                Some(cursor) => page = pages.next("t", &cursor).unwrap(),
                None => return lines,
            }
        }
    }

    #[test]
    fn every_line_comes_exactly_once() {
        let pages = Pages::new(500);
        let rows: Vec<String> = (0..1_000).map(|n| format!("row-{n}")).collect();
        let answer = Answer::text(rows.join("\n")).narrow("tail");
        assert_eq!(read_all(&pages, answer), rows);
    }

    #[test]
    fn the_header_of_a_table_comes_on_each_page() {
        let pages = Pages::new(500);
        let answer = Answer::table(
            &["name", "state"],
            (0..500).map(|n| vec![format!("web-{n}"), "up".into()]),
        );
        let lines = read_all(&pages, answer);
        let headers = lines.iter().filter(|line| *line == "name\tstate").count();
        assert!(headers > 2, "{headers}");
        assert_eq!(lines.len() - headers, 500);
    }

    #[test]
    fn small_answers_are_whole() {
        let pages = Pages::new(500);
        assert_eq!(pages.first("t", Answer::text("done").note("kept")), "done\nkept");
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let pages = Pages::new(500);
        let text = "é".repeat(5_000);
        assert_eq!(read_all(&pages, Answer::text(text.clone())).concat(), text);
    }

    #[test]
    fn memory_is_bounded() {
        let pages = Pages::new(500);
        let big = "x".repeat(3 << 20);
        for _ in 0..20 {
            pages.first("t", Answer::text(big.clone()));
        }
        let kept = pages.kept.lock().unwrap();
        let bytes: usize = kept.iter().map(|kept| kept.body.text.len()).sum();
        assert!(bytes <= MAX_BYTES && !kept.is_empty(), "{bytes}");
    }

    proptest::proptest! {
        #[test]
        fn no_cursor_breaks_it(text in "(page-)?[-0-9a-f]{0,40}|.{0,40}") {
            let pages = Pages::new(500);
            pages.first("t", Answer::text("é".repeat(5_000)));
            drop(pages.next("t", &text));
        }
    }

    #[test]
    fn a_page_is_for_the_tool_that_began() {
        let pages = Pages::new(500);
        let first = pages.first("list", Answer::text("line\n".repeat(2_000)));
        let (_, cursor) = first.rsplit_once("cursor ").unwrap();
        let cursor = cursor.trim_end_matches(']').split(';').next().unwrap();
        let refused = pages.next("tree", cursor).unwrap_err();
        assert_eq!(refused.code, Code::InvalidArguments, "{refused:?}");
        assert!(pages.next("list", cursor).is_ok());
    }

    #[test]
    fn unknown_cursors_are_stale() {
        let pages = Pages::new(500);
        for cursor in ["page-", "page-1-2", "page-x", "else", "page-ffffffffffffffffff-0"] {
            assert_eq!(pages.next("t", cursor).unwrap_err().code, Code::Stale, "{cursor}");
        }
    }
}
