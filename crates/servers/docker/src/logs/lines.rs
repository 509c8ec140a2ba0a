//! Lines put together from the pieces of a stream.

use super::Cursor;
use jiff::Timestamp;

/// The longest part of a line that is kept.
pub(super) const MAX_LINE: usize = 4_000;

/// One line of a log.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) text: String,
    /// Bytes of the line that are not kept.
    pub(super) cut: usize,
    pub(super) cursor: Cursor,
}

impl Line {
    /// A line with its time before it. The engine stores lines over 16 KiB in parts and gives each part a time; what
    /// is kept of a line ends long before the second.
    pub(super) fn of(raw: &RawLine) -> Self {
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
pub(super) struct RawLine {
    pub(super) bytes: Vec<u8>,
    dropped: usize,
}

/// A line whose end has not come yet: pieces of a stream end anywhere, also within a character or a time.
#[derive(Debug, Default)]
pub(super) struct Partial(RawLine);

impl Partial {
    /// Adds a piece; gives the line if that ended it.
    pub(super) fn add(&mut self, piece: &[u8]) -> Option<RawLine> {
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
    pub(super) fn end(self) -> Option<RawLine> {
        (!self.0.bytes.is_empty()).then_some(self.0)
    }
}
