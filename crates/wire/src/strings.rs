//! Walking the strings of a raw JSON text, and replacing some of them, without a tree.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::Raw;
use crate::scan::{decode_lossy, known, string_end};

/// A string of a JSON text.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// The name of a member.
    Name(&'a str),
    /// A value.
    Text {
        /// The name of the member that it stands under: that of the nearest object around it; `None` at the top.
        under: Option<&'a str>,
        /// What it says.
        text: &'a str,
    },
}

/// Gives every string value of `raw` to `replace`, with the name of the member that it stands under (that of
/// the nearest object around it; `None` at the top). Where it returns a text, that stands there instead.
/// Member names are left alone. Half of a surrogate pair in a value is U+FFFD. `None`: nothing was replaced.
pub fn rewrite(raw: &RawValue, mut replace: impl FnMut(Option<&str>, &str) -> Option<String>) -> Option<Raw> {
    rewrite_all(raw, |piece| match piece {
        Piece::Name(_) => None,
        Piece::Text { under, text } => replace(under, text),
    })
}

/// As [`rewrite`], with the names of members. Nobody looks whether a new name is there already.
pub fn rewrite_all(raw: &RawValue, mut replace: impl FnMut(Piece<'_>) -> Option<String>) -> Option<Raw> {
    let json = raw.get();
    let bytes = json.as_bytes();
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    // For each open array or object: the member name that values in it stand under, and whether the next string
    // is a name.
    let mut open: Vec<Level<'_>> = Vec::new();
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' => open.push(Level {
                name: None,
                wants_name: true,
                is_object: true,
            }),
            b'[' => {
                let name = open.last().and_then(|level| level.name.clone());
                open.push(Level {
                    name,
                    wants_name: false,
                    is_object: false,
                });
            }
            b'}' | b']' => {
                open.pop();
            }
            b',' => {
                if let Some(level) = open.last_mut() {
                    level.wants_name = level.is_object;
                }
            }
            b'"' => {
                let end = string_end(bytes, at);
                let literal = &json[at..end];
                let text = decode_lossy(literal).unwrap_or_default();
                let new = match open.last_mut() {
                    Some(level) if level.wants_name => {
                        let new = replace(Piece::Name(&text));
                        level.name = Some(text);
                        level.wants_name = false;
                        new
                    }
                    level => replace(Piece::Text {
                        under: level.and_then(|level| level.name.as_deref()),
                        text: &text,
                    }),
                };
                if let Some(new) = new {
                    out.push_str(&json[copied..at]);
                    out.push_str(crate::to_raw(&new).get());
                    copied = end;
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&json[copied..]);
    Some(known(&out))
}

struct Level<'a> {
    name: Option<Cow<'a, str>>,
    wants_name: bool,
    is_object: bool,
}
