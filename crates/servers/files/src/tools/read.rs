//! `read_file`: lines of a text, an image, or bytes.

use super::QUICK;
use crate::fault::Fault;
use crate::place::{Limit, Source, Stat};
use crate::roots::Access;
use crate::server::Ctx;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::rmcp::model::ContentBlock;
use server_kit::{Answer, Call, Code, Spec, ToolError, Toolset};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// Of the beginning of a file, by which its kind is told.
const SNIFFED: usize = 8 << 10;
/// Bytes of an image that is sent as one: what models take is some 5 MB, in base64.
const MOST_IMAGE: u64 = 3_750_000;
/// A file up to this size is read to its end, so that the answer can say how many lines there are.
const COUNTED: u64 = 16 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadFile {
    path: String,
    /// First line (byte, if base64), from 1; -20: the last 20.
    offset: Option<i64>,
    /// Lines or bytes.
    limit: Option<u64>,
    encoding: Option<Encoding>,
    #[schemars(extend("hidden" = true, "about" = "The last lines: the same as a negative `offset`."))]
    tail: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    Text,
    Base64,
}

impl Call<Ctx> for ReadFile {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "read_file",
        "Read a file: text by lines, images as images, anything else as base64.",
    )
    .reads()
    .aliases(&["read_text_file", "read_media_file", "view_file"]);

    fn about(&self) -> String {
        format!("read {}", self.path)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Read)?;
        let room = ctx.room();
        ctx.blocking(QUICK, move |limit| {
            let name = spot.shown();
            let (source, stat) = spot
                .place
                .open(&spot.at)
                .map_err(|fault| fault.during("read", &name))?;
            self.answer(source, &stat, &name, room, limit)
        })
        .await
    }
}

impl ReadFile {
    fn answer(
        &self,
        mut source: Box<dyn Source>,
        stat: &Stat,
        name: &str,
        room: usize,
        limit: &Limit,
    ) -> Result<Answer, ToolError> {
        let failed = |error: io::Error| Fault::from(error).during("read", name);
        let mut beginning = Vec::new();
        (&mut source)
            .take(SNIFFED as u64)
            .read_to_end(&mut beginning)
            .map_err(failed)?;
        source.seek(SeekFrom::Start(0)).map_err(failed)?;
        if let (None, Some(kind)) = (self.encoding, image(&beginning)) {
            if stat.size > MOST_IMAGE {
                return Err(ToolError::new(
                    Code::Failed,
                    format!("{name} is an image of {}", base::text::bytes(stat.size)),
                )
                .fix(format!(
                    "images up to {} are sent; encoding=base64 reads parts of it",
                    base::text::bytes(MOST_IMAGE)
                )));
            }
            let mut content = Vec::new();
            source
                .take(MOST_IMAGE)
                .read_to_end(&mut content)
                .map_err(failed)?;
            let about = format!("{name}: {kind}, {}", base::text::bytes(content.len() as u64));
            return Ok(Answer::text(about).with(ContentBlock::image(STANDARD.encode(content), kind)));
        }
        let is_binary = beginning.contains(&0);
        if self.encoding == Some(Encoding::Base64) || self.encoding.is_none() && is_binary {
            return self.bytes(source, stat, name, room).map_err(failed);
        }
        let tail = self.tail.map(|lines| -i64::from(lines));
        let wanted = Span {
            first: self.offset.or(tail).unwrap_or(1),
            lines: self.limit.unwrap_or(u64::MAX),
            room,
        };
        let read = lines(source, &wanted, stat.size <= COUNTED, limit).map_err(failed)?;
        read.answer(name, &wanted)
    }

    fn bytes(&self, mut source: Box<dyn Source>, stat: &Stat, name: &str, room: usize) -> io::Result<Answer> {
        let first = match self.offset.unwrap_or(1) {
            from_end @ ..0 => stat.size.saturating_sub(from_end.unsigned_abs()),
            from_start => from_start.unsigned_abs().saturating_sub(1),
        };
        let most = (room as u64 / 4 * 3).min(self.limit.unwrap_or(u64::MAX));
        source.seek(SeekFrom::Start(first))?;
        let mut content = Vec::new();
        source.take(most).read_to_end(&mut content)?;
        let end = first + content.len() as u64;
        let mut note = format!("[base64 of bytes {}-{end} of {}", first + 1, stat.size);
        if end < stat.size {
            _ = write!(note, "; offset={} reads on", end + 1);
        }
        note.push(']');
        Ok(Answer::text(STANDARD.encode(content))
            .untrusted(format!("content of {name}"))
            .note(note))
    }
}

/// Which lines are wanted, and how much there is room for.
struct Span {
    /// From 1; negative: counted from the end.
    first: i64,
    lines: u64,
    /// Bytes.
    room: usize,
}

/// Lines that were read.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// The number of the first, from 1.
    first: u64,
    /// How many.
    count: u64,
    /// Whether the last one is only the beginning of a line.
    cut: bool,
    /// Lines of the file, where they were counted.
    total: Option<u64>,
    /// Whether anything comes after.
    more: bool,
}

fn lines(source: Box<dyn Source>, wanted: &Span, count_all: bool, limit: &Limit) -> io::Result<Lines> {
    let mut reader = BufReader::with_capacity(64 << 10, source);
    let first = match wanted.first {
        from_end @ ..0 => {
            let total = skip(&mut reader, u64::MAX, limit)?;
            reader.seek(SeekFrom::Start(0))?;
            total.saturating_sub(from_end.unsigned_abs())
        }
        from_start => from_start.unsigned_abs().saturating_sub(1),
    };
    let mut read = Lines {
        first: first + 1,
        ..Lines::default()
    };
    let skipped = skip(&mut reader, first, limit)?;
    if skipped < first {
        read.total = Some(skipped);
        return Ok(read);
    }
    while read.count < wanted.lines {
        let before = read.bytes.len();
        match take(&mut reader, &mut read.bytes, wanted.room)? {
            Taken::Nothing => break,
            Taken::Line => read.count += 1,
            // A whole line comes with the next page; only one that fits into none is cut.
            Taken::Part if before == 0 => {
                read.count += 1;
                read.cut = true;
                break;
            }
            Taken::Part => {
                read.bytes.truncate(before);
                read.more = true;
                break;
            }
        }
    }
    read.more |= read.cut || !reader.fill_buf()?.is_empty();
    if !read.more {
        read.total = Some(first + read.count);
    } else if count_all {
        reader.seek(SeekFrom::Start(0))?;
        read.total = Some(skip(&mut reader, u64::MAX, limit)?);
    }
    Ok(read)
}

/// Passes over so many lines, and gives how many there were.
fn skip(reader: &mut impl BufRead, lines: u64, limit: &Limit) -> io::Result<u64> {
    let mut passed = 0;
    let mut in_line = false;
    while passed < lines {
        if limit.reached() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(passed + u64::from(in_line));
        }
        let wanted = usize::try_from(lines - passed).unwrap_or(usize::MAX);
        let mut ends = memchr::memchr_iter(b'\n', buffer);
        let (found, last) = ends
            .by_ref()
            .take(wanted)
            .fold((0, None), |(found, _), at| (found + 1, Some(at)));
        let used = match last {
            Some(at) if found == wanted => at + 1,
            _ => buffer.len(),
        };
        in_line = buffer.get(used.saturating_sub(1)) != Some(&b'\n');
        passed += found as u64;
        reader.consume(used);
    }
    Ok(passed)
}

enum Taken {
    Nothing,
    Line,
    Part,
}

/// Adds a line to `bytes`, which may become so long.
fn take(reader: &mut impl BufRead, bytes: &mut Vec<u8>, room: usize) -> io::Result<Taken> {
    let began = bytes.len();
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(if bytes.len() == began {
                Taken::Nothing
            } else {
                Taken::Line
            });
        }
        let end = memchr::memchr(b'\n', buffer).map(|at| at + 1);
        let wanted = end.unwrap_or(buffer.len());
        let taken = wanted.min(room.saturating_sub(bytes.len()));
        bytes.extend(buffer.iter().take(taken));
        reader.consume(taken);
        if taken < wanted {
            return Ok(Taken::Part);
        }
        if end.is_some() {
            return Ok(Taken::Line);
        }
    }
}

impl Lines {
    fn answer(&self, name: &str, wanted: &Span) -> Result<Answer, ToolError> {
        let total = self.total.unwrap_or_default();
        if self.count == 0 && wanted.lines > 0 && self.first > 1 {
            return Err(ToolError::arguments(format!(
                "{name} has {total} lines, so there is no line {}",
                self.first
            ))
            .fix("choose an offset up to that; -20 means the last 20 lines"));
        }
        let text = String::from_utf8_lossy(&self.bytes);
        let mut notes = Vec::new();
        let last = self.first + self.count.saturating_sub(1);
        if self.count == 0 && self.total == Some(0) {
            notes.push(format!("{name} is empty"));
        } else if self.cut {
            notes.push(format!(
                "line {last} goes on; encoding=base64 reads it by bytes, offset={} the line after",
                last + 1
            ));
        } else if self.more || self.first > 1 {
            let of = self
                .total
                .map_or_else(String::new, |total| format!(" of {total}"));
            let on = if self.more {
                format!("; offset={} reads on", last + 1)
            } else {
                String::new()
            };
            notes.push(format!("lines {}-{last}{of}{on}", self.first));
        }
        if matches!(text, std::borrow::Cow::Owned(_)) {
            notes.push("it is not all UTF-8: what is not is shown as \u{fffd}".to_owned());
        }
        let shown = text.replace("\r\n", "\n");
        if base::text::clean(&shown) != shown {
            notes.push("characters that can't be seen are left out; encoding=base64 has them".to_owned());
        }
        if text.contains("\r\n") {
            notes.push("lines end with CRLF".to_owned());
        }
        let answer = Answer::text(text).untrusted(format!("content of {name}"));
        Ok(notes
            .into_iter()
            .fold(answer, |answer, note| answer.note(format!("[{note}]"))))
    }
}

/// Which image this is the beginning of.
fn image(start: &[u8]) -> Option<&'static str> {
    match start {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use std::time::Duration;

    fn check(text: &str, (first, count, room): (i64, u64, usize), expected: &str) {
        let wanted = Span {
            first,
            lines: count,
            room,
        };
        let limit = Limit::of(Duration::from_mins(1));
        let read = lines(Box::new(Cursor::new(text.to_owned())), &wanted, true, &limit).unwrap();
        let notes = match read.answer("f", &wanted) {
            Ok(answer) => answer.notes.join(""),
            Err(error) => error.cause,
        };
        let shown = format!("{:?} {notes}", String::from_utf8_lossy(&read.bytes));
        assert_eq!(shown, expected, "{text:?} {first} {count} {room}");
    }

    #[test]
    fn ranges() {
        let all = (1, u64::MAX, 1_000);
        check("a\nb\nc\n", all, r#""a\nb\nc\n" "#);
        check("a\nb\nc", all, r#""a\nb\nc" "#);
        check("", all, r#""" [f is empty]"#);
        check("\n", all, r#""\n" "#);
        check(
            "a\nb\nc\n",
            (2, 1, 99),
            r#""b\n" [lines 2-2 of 3; offset=3 reads on]"#,
        );
        check("a\nb\nc\n", (2, 9, 99), r#""b\nc\n" [lines 2-3 of 3]"#);
        check("a\nb\nc", (-2, 9, 99), r#""b\nc" [lines 2-3 of 3]"#);
        check("a\nb\nc\n", (-1, 9, 99), r#""c\n" [lines 3-3 of 3]"#);
        check("a\nb", (-9, 9, 99), r#""a\nb" "#);
        check("a\nb", (0, 9, 99), r#""a\nb" "#);
        check("a\nb", (3, 9, 99), r#""" f has 2 lines, so there is no line 3"#);
        check(
            "a\nb\n",
            (i64::MAX, 9, 99),
            &format!(r#""" f has 2 lines, so there is no line {}"#, i64::MAX),
        );
        check(
            "aaa\nbbb\nccc\n",
            (1, 9, 9),
            r#""aaa\nbbb\n" [lines 1-2 of 3; offset=3 reads on]"#,
        );
        check(
            "a\nbbbbbbbbb\nc\n",
            (2, 9, 4),
            r#""bbbb" [line 2 goes on; encoding=base64 reads it by bytes, offset=3 the line after]"#,
        );
        check("a\r\nb\r\n", all, r#""a\r\nb\r\n" [lines end with CRLF]"#);
        check(
            "a\u{200b}b",
            all,
            "\"a\\u{200b}b\" [characters that can't be seen are left out; encoding=base64 has them]",
        );
    }

    proptest::proptest! {
        /// Whatever the pages, read one after the other they give the whole text.
        #[test]
        fn pages_give_the_whole(text in "([a-zé]{0,6}\n){0,30}[a-z]{0,5}", count in 1..5_u64, room in 20..60_usize) {
            let limit = Limit::of(Duration::from_mins(1));
            let (mut whole, mut first) = (Vec::new(), 1);
            loop {
                let wanted = Span { first, lines: count, room };
                let read = lines(Box::new(Cursor::new(text.clone())), &wanted, true, &limit).unwrap();
                whole.extend(&read.bytes);
                first += i64::try_from(read.count).unwrap();
                if !read.more { break }
            }
            proptest::prop_assert_eq!(String::from_utf8(whole).unwrap(), text);
        }
    }
}
