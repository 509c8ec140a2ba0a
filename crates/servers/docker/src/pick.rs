//! Reading single values out of what the engine answers, where a missing value is an empty one.

use serde_json::Value;

/// The value at a JSON pointer whose names need no escapes. `Value::pointer` allocates twice for each step, and one
/// answer takes a hundred of them.
fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer
        .split('/')
        .skip(1)
        .try_fold(value, |value, step| match value {
            Value::Object(members) => members.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
}

/// Text at a JSON pointer, empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number at a JSON pointer, 0 where there is none.
pub(crate) fn number(value: &Value, pointer: &str) -> i64 {
    at(value, pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// A count of something at a JSON pointer, 0 where there is none.
pub(crate) fn count(value: &Value, pointer: &str) -> u64 {
    at(value, pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// Whether there is a `true` at a JSON pointer.
pub(crate) fn yes(value: &Value, pointer: &str) -> bool {
    at(value, pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The elements of a list at a JSON pointer.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The texts of a list at a JSON pointer.
pub(crate) fn texts<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> {
    list(value, pointer).iter().filter_map(Value::as_str)
}

/// The members of an object at a JSON pointer.
pub(crate) fn members<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    at(value, pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}

/// The name of a container as it is listed or inspected, without the slash.
pub(crate) fn container_name(value: &Value) -> &str {
    match value.get("Name").and_then(Value::as_str) {
        Some(name) => name.strip_prefix('/').unwrap_or(name),
        None => own_name(texts(value, "/Names")),
    }
}

/// A container's own one of its names, without the slash: one with a second slash is a link's alias for it.
pub(crate) fn own_name<'a>(names: impl Iterator<Item = &'a str>) -> &'a str {
    let mut names = names.map(|name| name.strip_prefix('/').unwrap_or(name));
    names.find(|name| !name.contains('/')).unwrap_or_default()
}

/// An id as people write it: 12 digits, without the algorithm.
pub(crate) fn short_id(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    base::text::cut(id, 12)
}

/// Removes what says nothing: `null`, empty text, empty lists and objects, at every depth. Zeros and `false` stay.
pub(crate) fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(key, value)| (key, without_empty(value)))
                .filter(|(_, value)| !is_empty(value))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(without_empty).collect()),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
