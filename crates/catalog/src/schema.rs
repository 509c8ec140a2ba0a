//! Checks a configuration against a JSON Schema, and fills its defaults in.
//!
//! The part of JSON Schema that descriptions of configurations use, done whole: types, properties, required, enum,
//! const, bounds, patterns, formats, items, additional properties, anyOf, oneOf, allOf, not, local references. A library
//! for all of it would bring along thirty packages. A keyword outside that part is not passed over silently:
//! [`unchecked`] names it. Deliberately absent: references to other documents, and annotations.

mod check;
mod formats;
mod valid;

use serde_json::{Map, Value};

use self::check::{Checker, compile};
use self::formats::FORMATS;

pub use self::valid::faults;

/// What a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which value: `jira.url`, `paths[0]`; empty for the whole.
    pub path: String,
    /// The value itself, cut; `None`: there is none.
    pub value: Option<String>,
    /// What is expected instead.
    pub expected: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() {
            "the configuration"
        } else {
            &self.path
        };
        match &self.value {
            Some(value) => write!(f, "{path} is {value}; expected is {}", self.expected),
            None => write!(f, "{path} is missing; expected is {}", self.expected),
        }
    }
}

/// Schemas nest no deeper than this, references followed; below that nothing is checked.
const MAX_DEPTH: usize = 32;
/// More violations than these are not listed.
const MAX_VIOLATIONS: usize = 32;
/// A pattern may not become larger than this when compiled, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// Tells whether a default counts, by the dotted path of its key.
pub type Usable<'u> = &'u dyn Fn(&str, &Value) -> bool;

/// All that `value` breaks.
pub fn check(schema: &Value, value: &Value) -> Vec<Violation> {
    let mut checker = Checker {
        root: schema,
        found: Vec::new(),
    };
    checker.check(schema, value, "", 0);
    checker.found.truncate(MAX_VIOLATIONS);
    checker.found
}

/// `config` with the schema's defaults where it has nothing, and with texts that are the number or truth value which
/// the schema wants (and the other way about) turned into that: configurations come from command lines too.
///
/// `usable` decides which defaults count, by the path of the key and the default.
pub fn fill(schema: &Value, config: &Map<String, Value>, usable: Usable<'_>) -> Map<String, Value> {
    fill_object(schema, schema, config, ("", usable), 0)
}

/// A text of a command line as the value that the schema wants at `path`: `8080` is a number only where one belongs;
/// for a list the text is JSON, or its one item.
pub fn value_of(schema: &Value, path: &str, text: &str) -> Value {
    let Some(wanted) = at(schema, path) else {
        return serde_json::from_str(text)
            .ok()
            .filter(|value: &Value| !value.is_string())
            .unwrap_or_else(|| text.into());
    };
    let types = types(wanted);
    let json = || serde_json::from_str::<Value>(text).ok();
    if types.contains(&"array") {
        if let Some(list @ Value::Array(_)) = json() {
            return list;
        }
        let items = wanted.get("items").unwrap_or(&Value::Null);
        return Value::Array(vec![coerce(items, &text.into())]);
    }
    if types.contains(&"object") {
        return json().filter(Value::is_object).unwrap_or_else(|| text.into());
    }
    coerce(wanted, &text.into())
}

/// The names of the properties that a schema describes, nested ones dotted.
pub fn keys(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_keys(schema, "", 0, &mut found);
    found
}

/// Keywords of the schema that are not checked.
pub fn unchecked(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_unchecked(schema, 0, &mut found);
    found.sort();
    found.dedup();
    found
}

/// The schema of the property at a dotted path.
fn at<'s>(schema: &'s Value, path: &str) -> Option<&'s Value> {
    let properties = schema.get("properties")?;
    if let Some(found) = properties.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (key, rest) = path.split_at(dot);
        at(properties.get(key)?, rest.get(1..)?)
    })
}

fn collect_keys(schema: &Value, path: &str, depth: usize, found: &mut Vec<String>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (key, inner) in properties {
        let path = join(path, key);
        if depth < MAX_DEPTH && inner.get("properties").is_some() {
            collect_keys(inner, &path, depth + 1, found);
        } else {
            found.push(path);
        }
    }
}

const CHECKED: [&str; 30] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "uniqueItems",
    "definitions",
    "$defs",
    "nullable",
    "default",
];
const ANNOTATIONS: [&str; 13] = [
    "$comment",
    "$id",
    "$schema",
    "deprecated",
    "description",
    "example",
    "examples",
    "name",
    "placeholder",
    "readOnly",
    "secret",
    "title",
    "writeOnly",
];

fn collect_unchecked(schema: &Value, depth: usize, found: &mut Vec<String>) {
    let Some(map) = schema.as_object() else { return };
    for (keyword, inner) in map {
        let known = CHECKED.contains(&keyword.as_str())
            || ANNOTATIONS.contains(&keyword.as_str())
            || keyword.starts_with("x-");
        if !known {
            found.push(keyword.clone());
        }
        if depth >= MAX_DEPTH {
            continue;
        }
        match (keyword.as_str(), inner) {
            ("properties" | "definitions" | "$defs", Value::Object(map)) => {
                for inner in map.values() {
                    collect_unchecked(inner, depth + 1, found);
                }
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(list)) => {
                for inner in list {
                    collect_unchecked(inner, depth + 1, found);
                }
            }
            ("items" | "not" | "additionalProperties", inner) => collect_unchecked(inner, depth + 1, found),
            ("format", Value::String(name)) if !FORMATS.contains(&name.as_str()) => {
                found.push(format!("format {name}"));
            }
            ("pattern", Value::String(pattern)) if compile(pattern).is_none() => {
                found.push(format!("pattern {pattern}"));
            }
            _ => {}
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn fill_object(
    root: &Value,
    schema: &Value,
    given: &Map<String, Value>,
    (path, usable): (&str, Usable<'_>),
    depth: usize,
) -> Map<String, Value> {
    let mut filled = given.clone();
    let schema = resolve(root, schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return filled;
    };
    if depth >= MAX_DEPTH {
        return filled;
    }
    for (key, inner) in properties {
        let inner = resolve(root, inner);
        let path = join(path, key);
        match filled.get(key) {
            Some(Value::Object(map)) => {
                let value = fill_object(root, inner, map, (&path, usable), depth + 1);
                filled.insert(key.clone(), Value::Object(value));
            }
            Some(value) if !value.is_null() => {
                let value = coerce(inner, value);
                filled.insert(key.clone(), value);
            }
            _ => {
                filled.shift_remove(key);
                let default = inner.get("default").filter(|default| !default.is_null());
                if let Some(default) = default.filter(|default| usable(&path, default)) {
                    filled.insert(key.clone(), coerce(inner, default));
                }
            }
        }
    }
    filled
}

/// A scalar of the wrong type as the right one, where that loses nothing.
fn coerce(schema: &Value, value: &Value) -> Value {
    let types = types(schema);
    let wants = |name: &str| types.contains(&name);
    match value {
        Value::String(text) if !types.is_empty() && !wants("string") => {
            let number = || text.parse::<i64>().ok().map(Value::from);
            let float = || {
                text.parse::<f64>()
                    .ok()
                    .filter(|number| number.is_finite())
                    .map(Value::from)
            };
            let truth = || text.parse::<bool>().ok().map(Value::from);
            let found = if wants("boolean") { truth() } else { None };
            let found = found.or_else(|| {
                if wants("integer") || wants("number") {
                    number()
                } else {
                    None
                }
            });
            let found = found.or_else(|| if wants("number") { float() } else { None });
            found.unwrap_or_else(|| value.clone())
        }
        Value::Number(number) if wants("string") && !wants("number") && !wants("integer") => {
            Value::String(number.to_string())
        }
        Value::Bool(truth) if wants("string") && !wants("boolean") => Value::String(truth.to_string()),
        Value::Array(items) => {
            let inner = schema.get("items").unwrap_or(&Value::Null);
            items.iter().map(|item| coerce(inner, item)).collect()
        }
        other => other.clone(),
    }
}

/// What a local `$ref` leads to; a schema without one is itself. Chains are followed so far as schemas may be deep.
fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let mut schema = schema;
    for _ in 0..MAX_DEPTH {
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
            break;
        };
        let Some(found) = reference
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer))
        else {
            break;
        };
        schema = found;
    }
    schema
}
