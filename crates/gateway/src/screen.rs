//! Secrets kept from passing in or out: values that we know, wherever they stand, and what looks like a secret in
//! text that a server gives. What is found is replaced; the rest passes as it came.

use std::borrow::Cow;

use base::redact;
use base::{KnownSecrets, Spotter};
use serde_json::Value;
use serde_json::value::RawValue;
use wire::{Raw, strings};

/// Strings of an audited call are cut to this many bytes.
const AUDITED_TEXT: usize = 1_000;
/// Arguments that are longer than this even so are not kept, only their size.
const AUDITED_ALL: usize = 32 << 10;

/// Knows the secret values.
pub(crate) struct Screen {
    known: KnownSecrets,
}

impl Screen {
    pub(crate) fn new(known: KnownSecrets) -> Self {
        Self { known }
    }

    /// Arguments on their way to a tool: values that we know to be secret do not go in. What merely looks like a
    /// secret does: a person may well want to set a password.
    pub(crate) fn arguments(&self, raw: &RawValue) -> Option<Raw> {
        let known = self.known.spotter();
        strings::rewrite(raw, |_, text| known.replace(text))
    }

    /// What a server gives, on its way out.
    pub(crate) fn result(&self, raw: Raw) -> Raw {
        let known = self.known.spotter();
        let screened = strings::rewrite(&raw, |name, text| {
            // Images and other bytes in Base64: no shape to tell there, and what is taken out must not spoil the rest.
            if matches!(name, Some("data" | "blob")) && text.len() > 64 && !text.contains(' ') {
                return known.blank_in_base64(text);
            }
            all(&known, text)
        });
        screened.unwrap_or(raw)
    }

    /// Arguments as the audit keeps them.
    pub(crate) fn audited(&self, arguments: &Value) -> Value {
        let mut kept = arguments.clone();
        redact::json(&mut kept);
        shorten(&self.known.spotter(), &mut kept);
        match kept.to_string().len() {
            bytes if bytes > AUDITED_ALL => Value::from(format!("[{bytes} bytes of arguments, not kept]")),
            _ => kept,
        }
    }
}

fn shorten(known: &Spotter, value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(new) = known.replace(text) {
                *text = new;
            }
            if text.len() > AUDITED_TEXT {
                *text = format!("{}… [{} bytes]", base::text::cut(text, AUDITED_TEXT), text.len());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(known, item)),
        Value::Object(members) => members.values_mut().for_each(|member| shorten(known, member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Known values first, then what looks like one.
fn all(known: &Spotter, text: &str) -> Option<String> {
    let spotted = known.replace(text);
    match redact::text(spotted.as_deref().unwrap_or(text)) {
        Cow::Owned(clean) => Some(clean),
        Cow::Borrowed(_) => spotted,
    }
}

#[cfg(test)]
mod tests {
    use base::Secret;
    use serde_json::json;
    use wire::to_raw;

    use super::*;

    fn screen() -> Screen {
        Screen::new(
            [Secret::new("correct horse"), Secret::new("short")]
                .into_iter()
                .collect(),
        )
    }

    #[test]
    fn results() {
        for (given, wanted) in [
            (
                r#"{"content": [ {"text":"plain"} ], "n": 1e400}"#,
                r#"{"content": [ {"text":"plain"} ], "n": 1e400}"#,
            ),
            (r#"{"text":"a correct horse b"}"#, r#"{"text":"a [redacted] b"}"#),
            (r#"{"text":"correct\u0020horse"}"#, r#"{"text":"[redacted]"}"#),
            (
                r#"{"text":"x\nDB_PASSWORD=hunter2\n"}"#,
                r#"{"text":"x\nDB_PASSWORD=[redacted]\n"}"#,
            ),
            (r#"{"correct horse":"short"}"#, r#"{"correct horse":"short"}"#),
            (
                r#"["correct horse",{"a":["correct horse"]}]"#,
                r#"["[redacted]",{"a":["[redacted]"]}]"#,
            ),
        ] {
            let raw = RawValue::from_string(given.to_owned()).unwrap();
            assert_eq!(screen().result(raw).get(), wanted);
        }
    }

    #[test]
    fn bytes_in_base64_are_left_alone() {
        let data = format!("{}ghp_0123456789abcdefghijABCDEFGHIJ", "A/".repeat(40));
        let raw = to_raw(&json!({"type": "image", "data": data}));
        assert_eq!(screen().result(raw.clone()).get(), raw.get());
    }

    #[test]
    fn known_values_are_found_in_encoded_bytes() {
        // "correct horse" behind 60 bytes, as a file would have it.
        let data = format!("{}Y29ycmVjdCBob3JzZQ==", "AAAA".repeat(20));
        let raw = to_raw(&json!({"blob": data, "text": "in Base64: Y29ycmVjdCBob3JzZQ=="}));
        assert_eq!(
            screen().result(raw).get(),
            format!(
                r#"{{"blob":"{}AAAAAAAAAAAAAAAAAA==","text":"in Base64: [redacted]=="}}"#,
                "AAAA".repeat(20)
            )
        );
    }

    #[test]
    fn arguments_lose_what_is_known_and_keep_what_is_meant() {
        let raw = to_raw(&json!({"environment": ["PASSWORD=hunter2", "TOKEN=correct horse"]}));
        assert_eq!(
            screen().arguments(&raw).unwrap().get(),
            r#"{"environment":["PASSWORD=hunter2","TOKEN=[redacted]"]}"#
        );
    }

    #[test]
    fn audited_arguments() {
        let kept = screen().audited(&json!({
            "environment": ["PASSWORD=hunter2"], "token": "x", "note": "correct horse", "n": 1,
            "long": "é".repeat(1_000),
        }));
        assert_eq!(
            kept,
            json!({
                "environment": ["PASSWORD=[redacted]"], "token": "[redacted]", "note": "[redacted]", "n": 1,
                "long": format!("{}… [2000 bytes]", "é".repeat(500)),
            })
        );
        let many: Vec<_> = (0..10_000).collect();
        assert_eq!(
            screen().audited(&json!({"many": many})),
            json!("[48900 bytes of arguments, not kept]")
        );
    }
}
