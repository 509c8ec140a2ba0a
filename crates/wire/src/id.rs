//! Request identifiers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::scan::decode;

/// What ties a response to its request: a string or an integer. `null` and fractional numbers are not ids here:
/// MCP forbids the first (Base Protocol, "Requests") and JSON-RPC 2.0 section 4 advises against the second.
///
/// An integer keeps its digits, so one beyond 64 bits comes back unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// An integer, by its digits.
    Number(Box<str>),
    /// A string, unescaped.
    Text(Box<str>),
}

impl Id {
    /// Reads an id from its JSON text; `None` if it is neither a string nor an integer.
    #[must_use]
    pub fn from_raw(raw: &RawValue) -> Option<Self> {
        Self::from_text(raw.get())
    }

    /// The same of text that is known to be JSON.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        if text.starts_with('"') {
            return decode(text).map(|text| Self::Text(text.into()));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        // It is valid JSON already, so all digits means an integer of JSON's grammar.
        (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| Self::Number(text.into()))
    }

    /// The id as an unsigned 64-bit integer, if it is one: the form that we give to our own requests.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            Self::Text(_) => None,
        }
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Number(number.to_string().into())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(digits) => f.write_str(digits),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(digits) => RawValue::from_string(digits.to_string())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_raw(&raw).ok_or_else(|| serde::de::Error::custom("an id is a string or an integer"))
    }
}
