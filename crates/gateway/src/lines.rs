//! Newline-delimited messages from a stream, with a bound on each.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use wire::Id;

use crate::overlong::Ends;

/// Lines of a stream. [`Lines::next`] may be dropped and called again without losing bytes.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    line: Vec<u8>,
    /// Bytes of the present line, also those beyond the limit, which are not kept.
    length: usize,
    /// Of the last line that was over the limit.
    ends: Ends,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Without its line end.
    Whole(Vec<u8>),
    /// One of this many bytes, which is over the limit; it was read past.
    TooLong(usize),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader: BufReader::with_capacity(32 << 10, reader),
            limit,
            line: Vec::new(),
            length: 0,
            ends: Ends::default(),
        }
    }

    /// The id of the request that the last line held which was [`Line::TooLong`].
    pub(crate) fn overlong_id(&self) -> Option<Id> {
        self.ends.id()
    }

    /// The next line; `None` at the end. A last line without a line end counts.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok((self.length > 0).then(|| self.take()));
            }
            let end = memchr::memchr(b'\n', chunk);
            let part = end.unwrap_or(chunk.len());
            self.length += part;
            if self.length <= self.limit {
                self.line.extend_from_slice(&chunk[..part]);
            } else {
                if self.length - part <= self.limit {
                    self.ends = Ends::default();
                    self.ends.extend(&std::mem::take(&mut self.line));
                }
                self.ends.extend(&chunk[..part]);
            }
            self.reader.consume(part + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let (line, length) = (std::mem::take(&mut self.line), std::mem::take(&mut self.length));
        if length <= self.limit {
            Line::Whole(line)
        } else {
            Line::TooLong(length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines() {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        for (bytes, wanted) in [
            ("", vec![]),
            ("one\ntwo\n", vec![whole("one"), whole("two")]),
            ("no end", vec![whole("no end")]),
            ("\n\na\r\n", vec![whole(""), whole(""), whole("a\r")]),
            (
                "12345678\n123456789\nx\n",
                vec![whole("12345678"), Line::TooLong(9), whole("x")],
            ),
            ("1234567890123", vec![Line::TooLong(13)]),
        ] {
            // One byte at a time, so that every boundary is met.
            let mut lines = Lines::new(tokio_test_reader(bytes.as_bytes()), 8);
            let mut seen = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                seen.push(line);
            }
            assert_eq!(seen, wanted, "{bytes:?}");
        }
    }

    fn tokio_test_reader(bytes: &'static [u8]) -> impl AsyncRead + Unpin {
        use futures_util::StreamExt as _;
        let stream = futures_util::stream::iter(bytes.chunks(1).map(Ok::<_, io::Error>));
        tokio_util::io::StreamReader::new(stream.boxed())
    }
}
