//! Reading only some members of a long JSON object. An inspection has 4 KiB of which a digest shows a tenth; what is
//! skipped where it stands is neither kept nor redacted, and that was most of the time of a call.

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// What is read of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Only {
    /// Everything.
    All,
    /// Of an object these members, in the order in which they come.
    Members(&'static [(&'static str, Only)]),
    /// Of each object in a list, or under any name in an object, these members.
    Each(&'static [(&'static str, Only)]),
}

impl<'de> DeserializeSeed<'de> for Only {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Self::All => serde::Deserialize::deserialize(deserializer),
            chosen => deserializer.deserialize_any(Chosen(chosen)),
        }
    }
}

impl Only {
    /// What is read of a member; `None`: it is skipped.
    fn member(self, name: &str) -> Option<Self> {
        match self {
            Self::All => Some(self),
            Self::Each(members) => Some(Self::Members(members)),
            Self::Members(members) => members
                .iter()
                .find(|(wanted, _)| *wanted == name)
                .map(|(_, only)| *only),
        }
    }
}

struct Chosen(Only);

impl<'de> Visitor<'de> for Chosen {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut chosen = Map::new();
        while let Some(Name(name)) = object.next_key()? {
            match self.0.member(&name) {
                Some(only) => {
                    let value = object.next_value_seed(only)?;
                    chosen.insert(name.into_owned(), value);
                }
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(chosen))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let Self(Only::Each(members)) = self else {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        };
        let mut chosen = Vec::new();
        while let Some(item) = list.next_element_seed(Only::Members(members))? {
            chosen.push(item);
        }
        Ok(Value::Array(chosen))
    }
}

/// A member's name, where it stands if it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn chosen_members() {
        const WANTED: Only = Only::Members(&[
            ("a", Only::All),
            ("b", Only::Members(&[("c", Only::All)])),
            ("d", Only::All),
            ("e", Only::Each(&[("f", Only::All)])),
        ]);
        for (text, expected) in [
            (
                r#"{"x": {"a": [1, {"y": 2}]}, "a": [1, {"y": 2}]}"#,
                Some(json!({"a": [1, {"y": 2}]})),
            ),
            (
                r#"{"b": {"c": 1, "e": 2}, "d": "f"}"#,
                Some(json!({"b": {"c": 1}, "d": "f"})),
            ),
            (r#"{"\u0061": 1, "b": null}"#, Some(json!({"a": 1, "b": null}))),
            (
                r#"{"e": [{"f": 1, "g": 2}, {}]}"#,
                Some(json!({"e": [{"f": 1}, {}]})),
            ),
            (
                r#"{"e": {"x": {"f": 1, "g": 2}, "y": null}}"#,
                Some(json!({"e": {"x": {"f": 1}, "y": null}})),
            ),
            (r#"{"e": [1]}"#, None),
            ("{}", Some(json!({}))),
            ("null", Some(Value::Null)),
            // Not what an engine answers: an error, never a digest that is silently empty.
            ("[]", None),
            (r#"{"b": 1}"#, None),
            (r#"{"x": "#, None),
            (r#"{"a": 1} more"#, None),
        ] {
            let mut reader = serde_json::Deserializer::from_str(text);
            let read = WANTED
                .deserialize(&mut reader)
                .and_then(|value| reader.end().map(|()| value));
            assert_eq!(read.ok(), expected, "{text}");
        }
    }
}
