//! Secrets kept from passing in or out: values that we know, wherever they stand, and what looks like a secret in
//! text that a server gives. What is found is replaced; the rest passes as it came.

use base::Secret;
use base::redact::{self, REDACTED};
use serde_json::Value;
use serde_json::value::RawValue;
use wire::{Raw, strings};

/// Shorter values are not looked for: they would hit innocent text.
const SHORTEST: usize = 8;
/// Strings of an audited call are cut to this many bytes.
const AUDITED_TEXT: usize = 1_000;
/// Arguments that are longer than this even so are not kept, only their size.
const AUDITED_ALL: usize = 32 << 10;

/// Knows the secret values.
pub(crate) struct Screen {
    secrets: Vec<Secret>,
}

impl Screen {
    pub(crate) fn new(secrets: Vec<Secret>) -> Self {
        Self {
            secrets: secrets
                .into_iter()
                .filter(|secret| secret.expose().len() >= SHORTEST)
                .collect(),
        }
    }

    /// Arguments on their way to a tool: values that we know to be secret do not go in. What merely looks like a
    /// secret does: a person may well want to set a password.
    pub(crate) fn arguments(&self, raw: &RawValue) -> Option<Raw> {
        strings::rewrite(raw, |_, text| self.known(text))
    }

    /// What a server gives, on its way out.
    pub(crate) fn result(&self, raw: Raw) -> Raw {
        let screened = strings::rewrite(&raw, |name, text| {
            // Images and other bytes in Base64: nothing to read there.
            if matches!(name, Some("data" | "blob")) && text.len() > 64 && !text.contains(' ') {
                return None;
            }
            self.text(text)
        });
        screened.unwrap_or(raw)
    }

    /// Arguments as the audit keeps them.
    pub(crate) fn audited(&self, arguments: &Value) -> Value {
        let mut kept = arguments.clone();
        redact::json(&mut kept);
        self.shorten(&mut kept);
        match kept.to_string().len() {
            bytes if bytes > AUDITED_ALL => Value::from(format!("[{bytes} bytes of arguments, not kept]")),
            _ => kept,
        }
    }

    fn shorten(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(new) = self.known(text) {
                    *text = new;
                }
                if text.len() > AUDITED_TEXT {
                    *text = format!("{}… [{} bytes]", base::text::cut(text, AUDITED_TEXT), text.len());
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.shorten(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.shorten(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&self, text: &str) -> Option<String> {
        let known = self.known(text);
        match redact::text(known.as_deref().unwrap_or(text)) {
            std::borrow::Cow::Owned(clean) => Some(clean),
            std::borrow::Cow::Borrowed(_) => known,
        }
    }

    fn known(&self, text: &str) -> Option<String> {
        let mut found: Option<String> = None;
        for secret in &self.secrets {
            let seen = found.as_deref().unwrap_or(text);
            if seen.contains(secret.expose()) {
                found = Some(seen.replace(secret.expose(), REDACTED));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::to_raw;

    use super::*;

    fn screen() -> Screen {
        Screen::new(vec![Secret::new("correct horse"), Secret::new("short")])
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
