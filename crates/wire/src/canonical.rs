//! One spelling for equal JSON, to be hashed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// `raw` with the members of every object sorted by name, no blanks, and strings in one spelling. Numbers stay
/// as they are written, so that two which a 64-bit reader can't tell apart still differ. Of members that stand
/// twice the last counts. This is the gateway's own form, not RFC 8785.
#[must_use]
pub fn canonical(raw: &RawValue) -> String {
    let mut out = String::with_capacity(raw.get().len());
    write(raw, &mut out);
    out
}

fn write(raw: &RawValue, out: &mut String) {
    #[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            // A name that can't be decoded (half of a surrogate pair) leaves the object as it is written.
            let Ok(members) = serde_json::from_str::<BTreeMap<Text<'_>, &RawValue>>(text) else {
                out.push_str(text);
                return;
            };
            out.push('{');
            for (at, (Text(name), value)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push_string(&name, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Some(b'[') => {
            out.push('[');
            for (at, item) in crate::edit::items(raw).into_iter().flatten().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Some(b'"') => match crate::edit::text(raw) {
            Some(decoded) => push_string(&decoded, out),
            None => out.push_str(text),
        },
        _ => out.push_str(text),
    }
}

fn push_string(text: &str, out: &mut String) {
    out.push_str(crate::to_raw(&text).get());
}
