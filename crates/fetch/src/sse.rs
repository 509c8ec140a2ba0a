//! Server-sent events (HTML Living Standard, "Server-sent events"), bounded.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Error, Kind, Response};

/// Longest wait before reconnecting that a server may ask for.
const RETRY: Duration = Duration::from_hours(1);

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` where the server names none.
    pub name: String,
    /// Its data, lines joined by `\n`.
    pub data: String,
    /// The last id that the stream had named by then.
    pub id: Option<String>,
}

/// Bounds on a stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// Most bytes of one event: of its lines, unknown fields included; and of one comment.
    pub event: usize,
}

impl Default for EventLimits {
    /// 8 MiB.
    fn default() -> Self {
        Self { event: 8 << 20 }
    }
}

/// Events of an answer as they come.
#[derive(Debug)]
pub struct Events {
    response: Response,
    parser: Parser,
    ready: VecDeque<Event>,
    fault: Option<Kind>,
}

impl Events {
    pub(crate) fn new(response: Response, limits: EventLimits) -> Self {
        Self {
            response,
            parser: Parser::new(limits),
            ready: VecDeque::new(),
            fault: None,
        }
    }

    /// The next event; `None` at the end of the stream. One that the end cuts off is not given (as the standard
    /// says). May be dropped and called again without losing anything.
    ///
    /// # Errors
    /// As [`Response::chunk`], and [`Kind::TooLarge`] for an event over the bound.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            // What was whole before the fault was given above.
            if let Some(kind) = self.fault.take() {
                return Err(self.response.fail(kind));
            }
            let Some(chunk) = self.response.chunk().await? else {
                return Ok(None);
            };
            self.fault = self.parser.push(&chunk, &mut self.ready).err();
        }
    }

    /// The last id that the stream named: what `Last-Event-ID` says when it is opened again.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.parser.last_id()
    }

    /// How long the server wants to be left alone before the stream is opened again.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry()
    }
}

/// The grammar, by itself: bytes in, events out.
#[derive(Debug)]
pub struct Parser {
    limits: EventLimits,
    line: Vec<u8>,
    /// The last byte was CR: a LF that follows belongs to it.
    after_cr: bool,
    first: bool,
    broken: bool,
    /// Bytes of the lines since the last event, comments left out.
    size: usize,
    name: String,
    data: Option<String>,
    last_id: Option<String>,
    /// The id of the event that is being read; it counts once that ends.
    id: Option<String>,
    retry: Option<Duration>,
}

impl Parser {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new(limits: EventLimits) -> Self {
        Self {
            limits,
            line: Vec::new(),
            after_cr: false,
            first: true,
            broken: false,
            size: 0,
            name: String::new(),
            data: None,
            last_id: None,
            id: None,
            retry: None,
        }
    }

    /// As [`Events::last_id`].
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// As [`Events::retry`].
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes the next bytes; events that they complete are put into `out`.
    ///
    /// # Errors
    /// [`Kind::TooLarge`], from then on always.
    pub fn push(&mut self, bytes: &[u8], out: &mut VecDeque<Event>) -> Result<(), Kind> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.broken {
            if std::mem::take(&mut self.after_cr) && rest.first() == Some(&b'\n') {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let end = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r');
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            if self.size + self.line.len() + part.len() > self.limits.event {
                self.broken = true;
                break;
            }
            self.line.extend_from_slice(part);
            if end.is_some() {
                self.after_cr = after.first() == Some(&b'\r');
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, out);
            }
            rest = after.get(1..).unwrap_or_default();
        }
        if self.broken {
            return Err(Kind::TooLarge {
                what: "an event",
                limit: self.limits.event as u64,
            });
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], out: &mut VecDeque<Event>) {
        let line = String::from_utf8_lossy(line);
        let mut line = line.as_ref();
        if std::mem::take(&mut self.first) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch(out);
        }
        // Comments keep a silent stream alive for hours without any event.
        if !line.starts_with(':') {
            self.size += line.len() + 1;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                let wait = value.parse().map_or(RETRY, Duration::from_millis);
                self.retry = Some(wait.min(RETRY));
            }
            // Comments, whose field has no name, and what is not known.
            _ => {}
        }
    }

    fn dispatch(&mut self, out: &mut VecDeque<Event>) {
        self.size = 0;
        if let Some(id) = self.id.take() {
            self.last_id = Some(id);
        }
        let name = std::mem::take(&mut self.name);
        let Some(data) = self.data.take() else {
            return;
        };
        out.push_back(Event {
            name: if name.is_empty() {
                "message".to_owned()
            } else {
                name
            },
            data,
            id: self.last_id().map(ToOwned::to_owned),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &[u8], piece: usize) -> (Vec<Event>, Parser) {
        let mut parser = Parser::new(EventLimits::default());
        let mut out = VecDeque::new();
        for piece in text.chunks(piece) {
            parser.push(piece, &mut out).unwrap();
        }
        (out.into(), parser)
    }

    fn event(name: &str, data: &str, id: Option<&str>) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
            id: id.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn streams() {
        for (text, events) in [
            ("", vec![]),
            ("data: a\n\n", vec![event("message", "a", None)]),
            ("data: cut off\n", vec![]),
            (
                "data:a\ndata: b\ndata\n\n",
                vec![event("message", "a\nb\n", None)],
            ),
            (
                "event: endpoint\ndata: /x?y\n\n",
                vec![event("endpoint", "/x?y", None)],
            ),
            ("event: nothing\n\ndata: a\n\n", vec![event("message", "a", None)]),
            (
                ": comment\r\n\r\ndata:  two\r\n\r\n",
                vec![event("message", " two", None)],
            ),
            (
                "data: a\r\rdata: b\r\r",
                vec![event("message", "a", None), event("message", "b", None)],
            ),
            (
                "id: 1\ndata: a\n\ndata: b\n\n",
                vec![event("message", "a", Some("1")), event("message", "b", Some("1"))],
            ),
            (
                "id: 1\ndata\n\nid\ndata: b\n\n",
                vec![event("message", "", Some("1")), event("message", "b", None)],
            ),
            ("\u{feff}data: ä\n\n", vec![event("message", "ä", None)]),
            ("data: \u{feff}\n\n", vec![event("message", "\u{feff}", None)]),
            (
                "unknown: x\ndata: {\"a\":\"b: c\"}\n\n",
                vec![event("message", "{\"a\":\"b: c\"}", None)],
            ),
            ("id: a\0b\ndata: x\n\n", vec![event("message", "x", None)]),
        ] {
            for piece in [1, 2, 3, 1000] {
                assert_eq!(parse(text.as_bytes(), piece).0, events, "{text:?} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_needed_to_come_back() {
        for (text, id, retry) in [
            ("id: 7\n\n", Some("7"), None),
            ("id: 7\n", None, None),
            ("id: 7\n\nid: 8\ndata: cut off", Some("7"), None),
            ("retry: 250\n", None, Some(Duration::from_millis(250))),
            ("retry: -1\nretry: 1s\nretry:\n", None, None),
            ("retry: 99999999999999999999999999\n", None, Some(RETRY)),
        ] {
            let parser = parse(text.as_bytes(), 5).1;
            assert_eq!((parser.last_id(), parser.retry()), (id, retry), "{text:?}");
        }
    }

    #[test]
    fn bounds() {
        let limits = EventLimits { event: 16 };
        for (text, whole, fits) in [
            ("data: 12345678901\n\n", 0, false),
            ("data: 12345678\n\ndata: 12345678\n\n", 2, true),
            (": 12345678\n: 12345678\n: 12345678\n", 0, true),
            (": 123456789012345\n", 0, false),
            ("x: 12345\nx: 123456\n", 0, false),
            ("data: 1\n\ndata: no end at all", 1, false),
        ] {
            let mut parser = Parser::new(limits);
            let mut out = VecDeque::new();
            assert_eq!(parser.push(text.as_bytes(), &mut out).is_ok(), fits, "{text:?}");
            assert_eq!(out.len(), whole, "{text:?}");
            assert_eq!(
                parser.push(b"\n\ndata: x\n\n", &mut out).is_ok(),
                fits,
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..9) {
            let lines: Vec<u8> = bytes.iter().map(|byte| b"d:ai\n\r x\xff\0"[usize::from(byte % 10)]).collect();
            prop_assert_eq!(parse(&lines, piece).0, parse(&lines, 1000).0);
        }
    }
}
