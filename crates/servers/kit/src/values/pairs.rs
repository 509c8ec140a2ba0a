//! Names with values: environment, labels, options.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Names with values, in the order given. Written as an object of texts, numbers and booleans, or as a list of
/// `NAME=value`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs(Vec<(String, String)>);

crate::inline_schema!(Pairs, crate::schema::map);

impl Pairs {
    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// As the engine takes environments.
    pub fn to_list(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    /// As the engine takes labels and options. A later value replaces an earlier one.
    pub fn into_map<M: FromIterator<(String, String)>>(self) -> M {
        self.0.into_iter().collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Object(object) => object
                .into_iter()
                .map(|(name, value)| match scalar(value) {
                    Some(value) => named(name, value),
                    None => Err(D::Error::custom(format!(
                        "the value of {name} is not text, number or boolean"
                    ))),
                })
                .collect::<Result<_, _>>()
                .map(Self),
            Value::Array(list) => list
                .into_iter()
                .map(
                    |entry| match entry.as_str().and_then(|entry| entry.split_once('=')) {
                        Some((name, value)) => named(name.to_owned(), value.to_owned()),
                        // The engine would take the name alone; here the server's own environment must not leak in.
                        None => Err(D::Error::custom("each entry of the list is written NAME=value")),
                    },
                )
                .collect::<Result<_, _>>()
                .map(Self),
            _ => Err(D::Error::custom(
                "it is neither an object nor a list of NAME=value",
            )),
        }
    }
}

fn named<E: serde::de::Error>(name: String, value: String) -> Result<(String, String), E> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(E::custom("a name is empty or contains '='"));
    }
    Ok((name, value))
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_and_lists() {
        for (value, expected) in [
            (
                json!({ "A": "b", "N": 1, "T": true }),
                Some(vec!["A=b", "N=1", "T=true"]),
            ),
            (json!(["A=b=c", "B="]), Some(vec!["A=b=c", "B="])),
            (json!(["A"]), None),
            (json!({ "A": {} }), None),
            (json!({ "": "x" }), None),
            (json!("A=b"), None),
        ] {
            let pairs = serde_json::from_value::<Pairs>(value.clone())
                .ok()
                .map(|pairs| pairs.to_list());
            let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect());
            assert_eq!(pairs, expected, "{value}");
        }
    }
}
