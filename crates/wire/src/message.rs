//! Envelopes: reading them strictly, writing them on one line.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::scan::{Walk, decode, known};
use crate::{Fault, Id, Raw, code};

/// Bounds on what is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of one message or batch.
    pub bytes: usize,
    /// Most levels of arrays and objects inside each other.
    pub depth: usize,
    /// Most messages in a batch.
    pub batch: usize,
}

impl Default for Limits {
    /// 4 MiB, 100 levels (`serde_json` itself reads 127), 100 messages.
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            depth: 100,
            batch: 100,
        }
    }
}

/// One message, or a batch of them (revision 2025-03-26).
#[derive(Debug)]
pub enum Frame {
    /// One message.
    Single(Message),
    /// At least one message; a malformed one does not spoil the others (JSON-RPC 2.0 section 6).
    Batch(Vec<Result<Message, Malformed>>),
}

/// A message between client and server.
#[derive(Debug, Clone)]
pub enum Message {
    /// Wants a response.
    Request(Request),
    /// Wants none.
    Notification(Notification),
    /// Answers a request of ours.
    Response(Response),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The sender's number for it.
    pub id: Id,
    /// What is wanted.
    pub method: String,
    /// With what: an object.
    pub params: Option<Raw>,
}

/// A notification.
#[derive(Debug, Clone)]
pub struct Notification {
    /// What happened.
    pub method: String,
    /// The particulars: an object.
    pub params: Option<Raw>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// Of which request; an error may have none, if the id could not be read.
    pub id: Option<Id>,
    /// The `result`, or the `error` object, as it came.
    pub outcome: Result<Raw, Raw>,
}

/// Why bytes are not a message, in a form that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    /// [`code::PARSE_ERROR`], [`code::INVALID_REQUEST`] or [`code::INVALID_PARAMS`].
    pub code: i64,
    /// What is wrong with them.
    pub reason: String,
    /// The id, where it could be read.
    pub id: Option<Id>,
}

impl Malformed {
    fn new(code: i64, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            id: None,
        }
    }

    /// As an error to answer with.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::new(self.code, self.reason.clone())
    }
}

/// Reads one message or batch.
///
/// # Errors
/// [`Malformed`] with the code that JSON-RPC 2.0 section 5.1 gives to the case.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Frame, Malformed> {
    if bytes.len() > limits.bytes {
        return Err(Malformed::new(
            code::INVALID_REQUEST,
            format!(
                "the message has {} bytes; at most {} are accepted",
                bytes.len(),
                limits.bytes
            ),
        ));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Malformed::new(code::PARSE_ERROR, format!("the message is not UTF-8: {error}")))?
        .trim_ascii();
    // One walk for what is right; what is wrong is then found out by others.
    if let Some(envelope) = Envelope::walk(text, limits.depth) {
        return of(envelope).map(Frame::Single);
    }
    if is_deeper_than(text.as_bytes(), limits.depth) {
        return Err(Malformed::new(
            code::INVALID_REQUEST,
            format!("the message nests deeper than {} levels", limits.depth),
        ));
    }
    match text.as_bytes().first() {
        Some(b'[') => parse_batch(text, limits),
        Some(b'{') => parse_one(text).map(Frame::Single),
        _ => Err(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Malformed::new(code::INVALID_REQUEST, "a message is a JSON object"),
            Err(error) => Malformed::new(code::PARSE_ERROR, format!("the message is not JSON: {error}")),
        }),
    }
}

fn parse_batch(text: &str, limits: &Limits) -> Result<Frame, Malformed> {
    let messages: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| Malformed::new(code::PARSE_ERROR, format!("the message is not JSON: {error}")))?;
    match messages.len() {
        0 => Err(Malformed::new(code::INVALID_REQUEST, "the batch is empty")),
        count if count > limits.batch => Err(Malformed::new(
            code::INVALID_REQUEST,
            format!(
                "the batch has {count} messages; at most {} are accepted",
                limits.batch
            ),
        )),
        _ => Ok(Frame::Batch(
            messages
                .into_iter()
                .map(|message| parse_one(message.get()))
                .collect(),
        )),
    }
}

/// The envelope: texts, and bodies as they are written.
#[derive(Default)]
struct Envelope<'a> {
    jsonrpc: Option<Cow<'a, str>>,
    id: Option<&'a str>,
    method: Option<Cow<'a, str>>,
    params: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    /// `None`: it is no message, is too deep, or is written in an unusual way.
    fn walk(text: &'a str, depth: usize) -> Option<Self> {
        let mut envelope = Self::default();
        let (mut jsonrpc, mut method) = (None, None);
        let mut is_usual = true;
        Walk::checking(text, depth).members(|name, value| {
            let place = match name {
                r#""jsonrpc""# => &mut jsonrpc,
                r#""id""# => &mut envelope.id,
                r#""method""# => &mut method,
                r#""params""# => &mut envelope.params,
                r#""result""# => &mut envelope.result,
                r#""error""# => &mut envelope.error,
                other => {
                    is_usual &= !other.contains('\\');
                    return;
                }
            };
            // No two readers can disagree about a member that stands once.
            is_usual &= place.replace(value).is_none();
        })?;
        if !is_usual {
            return None;
        }
        for (literal, text) in [(jsonrpc, &mut envelope.jsonrpc), (method, &mut envelope.method)] {
            if let Some(literal) = literal {
                *text = Some(decode(literal)?);
            }
        }
        let is_there = |value: &&str| *value != "null";
        envelope.params = envelope.params.filter(is_there);
        envelope.error = envelope.error.filter(is_there);
        Some(envelope)
    }

    /// Slower, with a reason. Serde refuses a member that stands twice, too.
    fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Read<'a> {
            #[serde(borrow)]
            jsonrpc: Option<Cow<'a, str>>,
            #[serde(borrow, default, deserialize_with = "present")]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            method: Option<Cow<'a, str>>,
            #[serde(borrow)]
            params: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "present")]
            result: Option<&'a RawValue>,
            #[serde(borrow)]
            error: Option<&'a RawValue>,
        }
        let read: Read<'_> = serde_json::from_str(text)?;
        Ok(Self {
            jsonrpc: read.jsonrpc,
            id: read.id.map(RawValue::get),
            method: read.method,
            params: read.params.map(RawValue::get),
            result: read.result.map(RawValue::get),
            error: read.error.map(RawValue::get),
        })
    }
}

/// Tells `null` from a member that is not there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn parse_one(text: &str) -> Result<Message, Malformed> {
    let envelope = Envelope::read(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Malformed {
            id: id_of(text),
            ..Malformed::new(code::INVALID_REQUEST, format!("not a JSON-RPC message: {error}"))
        },
        _ => Malformed::new(code::PARSE_ERROR, format!("the message is not JSON: {error}")),
    })?;
    of(envelope)
}

fn of(envelope: Envelope<'_>) -> Result<Message, Malformed> {
    let id = match envelope.id {
        None => None,
        Some(text) => match Id::from_text(text) {
            Some(id) => Some(id),
            // The only null id that JSON-RPC has is that of an error about an unreadable request.
            None if text == "null" && envelope.error.is_some() => None,
            None => {
                return Err(Malformed::new(
                    code::INVALID_REQUEST,
                    "an id is a string or an integer, not null",
                ));
            }
        },
    };
    let refuse = |code, reason: &str| {
        Err(Malformed {
            id: id.clone(),
            ..Malformed::new(code, reason)
        })
    };
    if envelope.jsonrpc.as_deref() != Some("2.0") {
        return refuse(code::INVALID_REQUEST, "`jsonrpc` has to be \"2.0\"");
    }
    let Some(method) = envelope.method else {
        let outcome = match (envelope.result, envelope.error) {
            (Some(result), None) if id.is_some() => Ok(known(result)),
            (None, Some(error)) => Err(known(error)),
            _ => {
                return refuse(
                    code::INVALID_REQUEST,
                    "a message has a `method`, or an `id` with either `result` or `error`",
                );
            }
        };
        return Ok(Message::Response(Response { id, outcome }));
    };
    if envelope.result.is_some() || envelope.error.is_some() {
        return refuse(
            code::INVALID_REQUEST,
            "a message with a `method` has no `result` and no `error`",
        );
    }
    if envelope.params.is_some_and(|params| !params.starts_with('{')) {
        return refuse(code::INVALID_PARAMS, "`params` has to be an object");
    }
    let (method, params) = (method.into_owned(), envelope.params.map(known));
    Ok(match id {
        Some(id) => Message::Request(Request { id, method, params }),
        None => Message::Notification(Notification { method, params }),
    })
}

/// The id of what is otherwise no message, for the error that answers it.
fn id_of(text: &str) -> Option<Id> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: Id,
    }
    serde_json::from_str::<OnlyId>(text).ok().map(|only| only.id)
}

/// Whether brackets nest deeper than `depth`. The count of opening brackets, which the compiler vectorises,
/// settles nearly every message; only what has more of them is walked.
fn is_deeper_than(json: &[u8], depth: usize) -> bool {
    if json.iter().filter(|&&b| matches!(b, b'[' | b'{')).count() <= depth {
        return false;
    }
    let (mut level, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in json {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                level += 1;
                if level > depth {
                    return true;
                }
            }
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    false
}

impl Message {
    /// The message on one line, without a line end. Line breaks between the tokens of a raw body become spaces
    /// (inside a JSON string they can't stand), so it fits newline-delimited streams and SSE `data:` lines.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        match self {
            Self::Request(Request { id, method, params }) => write(
                Some(id),
                Some(method),
                params.as_deref().map(|params| ("params", params)),
            ),
            Self::Notification(Notification { method, params }) => write(
                None,
                Some(method),
                params.as_deref().map(|params| ("params", params)),
            ),
            Self::Response(Response { id, outcome }) => {
                let (name, body) = match outcome {
                    Ok(result) => ("result", result),
                    Err(error) => ("error", error),
                };
                write(id.as_ref(), None, Some((name, body)))
            }
        }
    }

    /// A notification.
    pub fn notification(method: &str, params: Raw) -> Self {
        Self::Notification(Notification {
            method: method.to_owned(),
            params: Some(params),
        })
    }

    /// A response: a result or a fault.
    pub fn response(id: Option<Id>, outcome: Result<Raw, Fault>) -> Self {
        Self::Response(Response {
            id,
            outcome: outcome.map_err(|fault| fault.to_raw()),
        })
    }
}

fn write(id: Option<&Id>, method: Option<&str>, body: Option<(&str, &RawValue)>) -> Vec<u8> {
    let mut line = Vec::with_capacity(64 + body.map_or(0, |(_, body)| body.get().len()));
    line.extend_from_slice(br#"{"jsonrpc":"2.0""#);
    match id {
        Some(Id::Number(digits)) => {
            line.extend_from_slice(br#","id":"#);
            line.extend_from_slice(digits.as_bytes());
        }
        Some(Id::Text(text)) => {
            line.extend_from_slice(br#","id":"#);
            push_string(&mut line, text);
        }
        None => {}
    }
    if let Some(method) = method {
        line.extend_from_slice(br#","method":"#);
        push_string(&mut line, method);
    }
    if let Some((name, body)) = body {
        line.push(b',');
        push_string(&mut line, name);
        line.push(b':');
        let start = line.len();
        line.extend_from_slice(body.get().as_bytes());
        // Hardly any body has them.
        let body = &mut line[start..];
        if memchr::memchr2(b'\n', b'\r', body).is_some() {
            for byte in body {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
    }
    line.push(b'}');
    line
}

fn push_string(line: &mut Vec<u8>, text: &str) {
    // Writing a string into memory can't fail; were it to, the peer would see broken JSON rather than a panic.
    let _ = serde_json::to_writer(line, text);
}
