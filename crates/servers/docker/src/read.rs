//! What the engine answers, read into types that name the few members which an answer shows. The rest, nine tenths of an
//! inspection, is skipped where it stands: keeping and redacting it was most of the time of a call.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Deref;

/// A value, or what is empty of its kind where the engine says `null`.
#[derive(Default)]
pub(crate) struct Or<T>(T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Or<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| Self(value.unwrap_or_default()))
    }
}

impl<T> Deref for Or<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A redacted text, empty where the engine says `null`.
#[derive(Default, Deserialize)]
#[serde(from = "Option<String>")]
pub(crate) struct Text(String);

impl From<Option<String>> for Text {
    fn from(text: Option<String>) -> Self {
        let text = text.unwrap_or_default();
        match base::redact::text(&text) {
            Cow::Owned(clean) => Self(clean),
            Cow::Borrowed(_) => Self(text),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A redacted tree, for what names and neighbours tell to be secret.
#[derive(Default, Deserialize)]
#[serde(from = "Value")]
pub(crate) struct Tree(pub(crate) Value);

impl From<Value> for Tree {
    fn from(mut value: Value) -> Self {
        base::redact::json(&mut value);
        Self(value)
    }
}
