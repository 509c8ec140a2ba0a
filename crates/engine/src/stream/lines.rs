//! JSON values one after another, as the daemon reports progress, events and statistics: one a line, mostly.
//!
//! Engines differ in the white space between values (`\r\n`, `\n`, nothing at all), so values are split by their
//! own syntax and not by line ends.

use super::Chunks;
use crate::Error;
use bytes::{Buf, BytesMut};
use futures_util::Stream;
use serde_json::Value;

/// Most bytes of one value. Statistics of a large machine take some 10 KiB; nothing honest comes near this.
pub(crate) const LINE_LIMIT: usize = 16 << 20;

/// Splits a streamed answer into JSON values.
#[derive(Debug)]
pub(crate) struct Lines {
    chunks: Chunks,
    splitter: Splitter,
}

impl Lines {
    pub(crate) fn new(chunks: Chunks) -> Self {
        Self {
            chunks,
            splitter: Splitter::default(),
        }
    }

    /// The next value, `None` at the end of a complete answer.
    pub(crate) async fn next(&mut self) -> Option<Result<Value, Error>> {
        loop {
            match self.splitter.next() {
                Ok(Some(value)) => return Some(Ok(value)),
                Ok(None) => {}
                Err(cause) => return Some(Err(Error::protocol(self.chunks.what(), cause))),
            }
            if self.splitter.buffer.len() > LINE_LIMIT {
                let what = self.chunks.what().to_owned();
                return Some(Err(Error::TooLarge {
                    what,
                    limit: LINE_LIMIT,
                }));
            }
            match self.chunks.next().await {
                Some(Ok(data)) => self.splitter.buffer.extend_from_slice(&data),
                Some(Err(error)) => return Some(Err(error)),
                None if self.splitter.is_empty() => return None,
                None => {
                    self.splitter.buffer.clear();
                    return Some(Err(Error::protocol(
                        self.chunks.what(),
                        "it ends within a JSON value",
                    )));
                }
            }
        }
    }

    /// The values as a stream, which ends after the first error.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Value, Error>> + Send + use<> {
        futures_util::stream::unfold(Some(self), |lines| async {
            let mut lines = lines?;
            let item = lines.next().await?;
            let rest = item.is_ok().then_some(lines);
            Some((item, rest))
        })
    }
}

/// Cuts a growing buffer into JSON objects.
#[derive(Debug, Default)]
struct Splitter {
    buffer: BytesMut,
    /// How far `buffer` was looked at, so that a value in many small pieces is not read again for each.
    seen: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Splitter {
    fn is_empty(&self) -> bool {
        self.buffer.iter().all(u8::is_ascii_whitespace)
    }

    /// The next whole value, `None` if more bytes are needed.
    fn next(&mut self) -> Result<Option<Value>, String> {
        if self.seen == 0 {
            let blank = self.buffer.iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.buffer.advance(blank);
        }
        while let Some(&byte) = self.buffer.get(self.seen) {
            self.seen += 1;
            if !self.ends_value(byte)? {
                continue;
            }
            let text = self.buffer.split_to(self.seen);
            self.seen = 0;
            let value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            return Ok(Some(value));
        }
        Ok(None)
    }

    /// Whether this byte is the last of a value. Only objects and arrays come at the top.
    fn ends_value(&mut self, byte: u8) -> Result<bool, String> {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return Ok(false);
        }
        match byte {
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return Ok(self.depth == 0);
            }
            _ if self.depth == 0 => return Err("between JSON objects stands something else".to_owned()),
            b'"' => self.in_text = true,
            _ => {}
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn split(pieces: &[&[u8]]) -> Result<Vec<Value>, String> {
        let mut splitter = Splitter::default();
        let mut values = Vec::new();
        for piece in pieces {
            splitter.buffer.extend_from_slice(piece);
            while let Some(value) = splitter.next()? {
                values.push(value);
            }
        }
        if splitter.is_empty() {
            Ok(values)
        } else {
            Err("cut".to_owned())
        }
    }

    #[test]
    fn values_however_they_are_separated() {
        let two = [json!({"a": "}\\\""}), json!({"b": [{}]})];
        for text in [
            "{\"a\":\"}\\\\\\\"\"}\r\n{\"b\":[{}]}\r\n",
            "{\"a\":\"}\\\\\\\"\"}\n{\"b\":[{}]}",
            "  {\"a\":\"}\\\\\\\"\"}{\"b\": [ {} ] }  \n",
        ] {
            assert_eq!(split(&[text.as_bytes()]).unwrap(), two, "{text}");
        }
        assert_eq!(split(&[b"", b" \r\n"]).unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn what_is_no_json() {
        for text in ["oops", "{}x", "<html>", "{\"a\" 1}", "]", "1 2"] {
            assert!(split(&[text.as_bytes()]).is_err(), "{text}");
        }
        assert!(split(&[b"{\"a\":1"]).is_err(), "a value that was cut off");
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_values(texts in prop::collection::vec("[ -~\u{e9}\"\\\\{}\\[\\]]{0,12}", 0..5), cut in 1..7usize) {
            let values: Vec<Value> = texts.iter().map(|text| json!({ "t": text, "n": [text] })).collect();
            let whole: Vec<String> = values.iter().map(ToString::to_string).collect();
            let whole = whole.join("\r\n");
            let pieces: Vec<&[u8]> = whole.as_bytes().chunks(cut).collect();
            prop_assert_eq!(split(&pieces).unwrap(), values);
        }

        #[test]
        fn garbage_never_panics(garbage: Vec<u8>) {
            let _ = split(&[&garbage]);
        }
    }
}
