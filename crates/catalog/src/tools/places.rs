//! Places outside an argv: URLs, and bodies that are JSON, a form or text.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::text::{Piece, Text, as_text};

/// What a request sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// JSON.
    Json(Node),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, Text)>),
    /// Text as it stands.
    Text(Text),
}

/// JSON with places for arguments.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Node {
    /// A text; one that is an argument and nothing else becomes the argument's value, of whichever type.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(Vec<(String, Node)>),
    /// A number, a truth value or null.
    Value(Json),
}

impl Node {
    /// Reads JSON whose texts have places.
    pub(super) fn parse(
        value: &Json,
        text: &mut dyn FnMut(&str) -> Result<Text, String>,
    ) -> Result<Self, String> {
        Ok(match value {
            Json::String(written) => Self::Text(text(written)?),
            Json::Array(items) => {
                let items = items.iter().map(|item| Self::parse(item, text));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Json::Object(map) => {
                let mut pairs = Vec::new();
                for (key, value) in map {
                    if key.contains("{{") {
                        return Err(format!(
                            "the key {key:?} holds {{{{, but only values can be filled in"
                        ));
                    }
                    pairs.push((key.clone(), Self::parse(value, text)?));
                }
                Self::Map(pairs)
            }
            other => Self::Value(other.clone()),
        })
    }

    /// The JSON; `None` when it is an argument that is not given. What is not given is left out of lists and mappings.
    pub(super) fn fill(&self, arguments: &Map<String, Json>) -> Option<Json> {
        Some(match self {
            Self::Text(text) => match text.whole() {
                Some(name) => arguments.get(name).filter(|value| !value.is_null())?.clone(),
                None => Json::String(text.fill(arguments)?),
            },
            Self::List(items) => items.iter().filter_map(|item| item.fill(arguments)).collect(),
            Self::Map(pairs) => Json::Object(
                pairs
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), value.fill(arguments)?)))
                    .collect(),
            ),
            Self::Value(value) => value.clone(),
        })
    }
}

/// The URL. Every argument is encoded, so that it stays within its segment or its value.
pub(super) fn url(url: &Text, arguments: &Map<String, Json>) -> Result<String, String> {
    let mut filled = String::new();
    let mut is_path = true;
    for piece in url.pieces() {
        match piece {
            Piece::Literal(text) => {
                is_path &= !text.contains('?');
                filled.push_str(text);
            }
            Piece::Argument(name) => {
                let value = arguments.get(name).and_then(as_text);
                let value = value.ok_or_else(|| format!("{name} is missing, and is a part of the URL"))?;
                if is_path {
                    segment(name, &value)?;
                }
                filled.push_str(&encode(&value));
            }
            Piece::Secret(_) => return Err("a secret can't be a part of the URL".to_owned()),
        }
    }
    let path = filled.split_once("://").map_or(filled.as_str(), |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if path.split('/').skip(1).any(is_dots) {
        return Err("a segment of the URL's path would be . or .., which leads elsewhere".to_owned());
    }
    Ok(filled)
}

/// An argument within a path. Some servers decode before they take a path apart, so what would lead elsewhere then is
/// refused, encoded or not.
fn segment(name: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!(
            "{name} is empty, and the URL would mean something else without it"
        ));
    }
    let mut decoded = value.to_owned();
    // Decoded as often as anybody may do it on the way.
    for _ in 0..3 {
        if decoded.split(['/', '\\']).any(is_dots) {
            return Err(format!(
                "{name} has a part . or .., which leads elsewhere in the URL's path"
            ));
        }
        decoded = decode(&decoded);
    }
    Ok(())
}

/// Whether a segment is `.` or `..`, which may be encoded (URL Standard, 4.1).
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.as_str(), "." | "..")
}

/// Text with its `%XX` decoded, once. For judging only: what is no UTF-8 is replaced.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let pair = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(value) = pair.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(value);
            at += 3;
        } else {
            decoded.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// `name=value` pairs, encoded. A list gives a pair for each item; what is not given gives none.
pub(super) fn pairs(pairs: &[(String, Text)], arguments: &Map<String, Json>) -> String {
    let mut written = Vec::new();
    for (name, text) in pairs {
        let values = match text.whole().and_then(|name| arguments.get(name)) {
            Some(Json::Array(items)) => items.iter().filter_map(as_text).collect(),
            _ => text.fill(arguments).into_iter().collect::<Vec<_>>(),
        };
        written.extend(
            values
                .iter()
                .map(|value| format!("{}={}", encode(name), encode(value))),
        );
    }
    written.join("&")
}

/// Percent-encodes all but the unreserved characters (RFC 3986, 2.3).
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            for digit in [byte >> 4, byte & 15] {
                encoded.push(char::from(
                    DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0'),
                ));
            }
        }
    }
    encoded
}
