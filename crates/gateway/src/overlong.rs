//! The id of a request that is too long to be read whole, found in its first and last bytes, so that the error about
//! it answers it: a client that gets an error without an id waits for ever. Nothing is guessed: where the envelope can't
//! be told from what is inside it, there is no id.

use serde::Deserialize;
use serde_json::value::RawValue;
use wire::Id;

/// Bytes of the start that are kept.
pub(crate) const HEAD: usize = 4 << 10;
/// Bytes of the end that are kept.
pub(crate) const TAIL: usize = 512;

/// Start and end of a message of any length.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Ends {
    /// Takes the next part of the message.
    pub(crate) fn extend(&mut self, part: &[u8]) {
        let missing = HEAD.saturating_sub(self.head.len()).min(part.len());
        self.head
            .extend_from_slice(part.get(..missing).unwrap_or_default());
        let last = part.get(part.len().saturating_sub(TAIL)..).unwrap_or_default();
        let too_many = (self.tail.len() + last.len()).saturating_sub(TAIL);
        self.tail.drain(..too_many.min(self.tail.len()));
        self.tail.extend_from_slice(last);
    }

    /// The id, if this is a request whose id stands before or behind what is long.
    pub(crate) fn id(&self) -> Option<Id> {
        match front(&self.head)? {
            Front::Id(id) => Some(id),
            Front::Params => back(&self.tail),
        }
    }
}

/// What the members at the front say.
enum Front {
    Id(Id),
    /// It is a request or a notification without an id so far.
    Params,
}

/// Reads the members of the envelope up to the one that the bytes end in.
fn front(head: &[u8]) -> Option<Front> {
    let mut rest = head.trim_ascii_start().strip_prefix(b"{")?;
    let (mut id, mut has_method) = (None, false);
    loop {
        let (name, after) = value(rest)?;
        let name: String = serde_json::from_str(name.get()).ok()?;
        rest = after.trim_ascii_start().strip_prefix(b":")?;
        match name.as_str() {
            // An answer is not to be answered.
            "result" | "error" => return None,
            "method" => has_method = true,
            _ => {}
        }
        let Some((text, after)) = value(rest) else {
            // The long one. Only params come in any length.
            let is_request = has_method || name == "params";
            return is_request.then(|| id.map_or(Front::Params, Front::Id));
        };
        if name == "id" {
            id = Some(Id::from_raw(text)?);
        }
        rest = after.trim_ascii_start().strip_prefix(b",")?;
    }
}

/// The first JSON value, if it is whole, and what follows it.
fn value(bytes: &[u8]) -> Option<(&RawValue, &[u8])> {
    // The bytes may end in the middle of a character.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
    };
    let mut values = serde_json::Deserializer::from_str(text);
    let raw = <&RawValue>::deserialize(&mut values).ok()?;
    let end = text.find(raw.get())? + raw.get().len();
    // A number at the very end may go on.
    let after = bytes.get(end..).filter(|after| !after.is_empty())?;
    Some((raw, after))
}

/// The id as the last member. The last bracket of valid JSON closes the envelope, so what stands right before it is the
/// envelope's last value.
fn back(tail: &[u8]) -> Option<Id> {
    let rest = tail.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end();
    let start = if let Some(inside) = rest.strip_suffix(b"\"") {
        opening(inside)?
    } else {
        rest.iter().rposition(|&b| !(b.is_ascii_digit() || b == b'-'))? + 1
    };
    let (before, text) = rest.split_at_checked(start)?;
    let name = before.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let before = name.strip_suffix(b"\"id\"")?.trim_ascii_end();
    before.strip_suffix(b",")?;
    let raw: &RawValue = serde_json::from_slice(text).ok()?;
    Id::from_raw(raw)
}

/// Where the string begins whose closing quote stood behind these bytes.
fn opening(inside: &[u8]) -> Option<usize> {
    let mut end = inside.len();
    loop {
        let quote = inside.get(..end)?.iter().rposition(|&b| b == b'"')?;
        let before = inside.get(..quote)?;
        let slashes = before.iter().rev().take_while(|&&b| b == b'\\').count();
        if slashes % 2 == 0 {
            return Some(quote);
        }
        end = quote;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_long_messages() {
        let long = format!(
            r#"{{"name":"x","arguments":{{"text":"{}"}}}}"#,
            "é,\\\"id\\\":5}".repeat(5_000)
        );
        let number = || Some(Id::from(7));
        let text = |text: &str| Id::from_raw(&RawValue::from_string(text.to_owned()).unwrap());
        for (message, wanted) in [
            (
                format!(r#"{{"jsonrpc":"2.0","id":7,"method":"m","params":{long}}}"#),
                number(),
            ),
            (
                format!(r#"{{"method":"m","params":{long},"jsonrpc":"2.0","id":7}}"#),
                number(),
            ),
            (format!("{{ \"params\" : {long} , \"id\" : 7 }} \r"), number()),
            (
                format!(r#"{{"method":"m","params":{long},"id":"a\"b\\"}}"#),
                text(r#""a\"b\\""#),
            ),
            (
                format!(r#"{{"id":"seven","method":"m","params":{long}}}"#),
                text(r#""seven""#),
            ),
            (
                format!(r#"{{"id":12345678901234567890123,"params":{long}}}"#),
                text("12345678901234567890123"),
            ),
            // Notifications, answers, and what is neither.
            (
                format!(r#"{{"jsonrpc":"2.0","method":"m","params":{long}}}"#),
                None,
            ),
            (format!(r#"{{"jsonrpc":"2.0","id":7,"result":{long}}}"#), None),
            (format!(r#"{{"result":{long},"id":7}}"#), None),
            (format!(r#"{{"error":{long},"id":7}}"#), None),
            (format!(r#"{{"id":null,"method":"m","params":{long}}}"#), None),
            (format!(r#"{{"id":1.5,"method":"m","params":{long}}}"#), None),
            (format!(r#"[{{"id":7,"method":"m","params":{long}}}]"#), None),
            (
                format!(r#"{{"method":"m","params":{{"a":{long},"id":7}}}}"#),
                None,
            ),
            (format!(r#"{{"method":"m","params":{long},"id":7"#), None),
            (format!(r#"{{"method":"m","params":{long},"vid":7}}"#), None),
            (
                format!(r#"{{"method":"m","params":{long},"x":"\",\"id\":7"}}"#),
                None,
            ),
            ("x".repeat(10_000), None),
            ("{".repeat(10_000), None),
            ("\"".repeat(10_000), None),
        ] {
            for size in [1, 100, 100_000] {
                let mut ends = Ends::default();
                for part in message.as_bytes().chunks(size) {
                    ends.extend(part);
                }
                assert_eq!(
                    ends.id(),
                    wanted,
                    "{} in parts of {size}",
                    base::text::cut(&message, 80)
                );
            }
        }
    }

    #[test]
    fn no_bytes_do_harm() {
        for bytes in [
            &b""[..],
            b"}",
            b"\"}",
            b":}",
            b"\"id\":}",
            b",\"id\":-}",
            b"\xff\"}",
        ] {
            assert_eq!(back(bytes), None);
            assert!(front(bytes).is_none());
        }
    }
}
