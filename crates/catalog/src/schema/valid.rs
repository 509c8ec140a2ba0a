//! Whether a schema is one: keywords whose values mean nothing would otherwise check nothing, unnoticed.

use serde_json::Value;

use super::check::compile;
use super::{MAX_DEPTH, join, resolve, unchecked};

const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];
const COUNTS: [&str; 6] = [
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
];
const NUMBERS: [&str; 3] = ["maximum", "minimum", "multipleOf"];

/// All that is wrong with a schema, and what of it is not checked here; each with the place in it.
pub fn faults(schema: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    collect(schema, schema, "", 0, &mut faults);
    let unchecked = unchecked(schema);
    if faults.is_empty() && !unchecked.is_empty() {
        faults.push(format!(
            "this is not checked here, so it can't be used: {}",
            unchecked.join(", ")
        ));
    }
    faults
}

fn collect(root: &Value, schema: &Value, path: &str, depth: usize, faults: &mut Vec<String>) {
    let place = if path.is_empty() {
        String::new()
    } else {
        format!("{path}: ")
    };
    let Some(keywords) = schema.as_object() else {
        if !schema.is_boolean() {
            faults.push(format!("{place}a schema is a table, or true or false"));
        }
        return;
    };
    if depth >= MAX_DEPTH {
        faults.push(format!("{place}it nests deeper than {MAX_DEPTH} levels"));
        return;
    }
    let inner = |schema: &Value, name: &str, faults: &mut Vec<String>| {
        collect(root, schema, &join(path, name), depth + 1, faults);
    };
    for (keyword, value) in keywords {
        let mut wrong = |wanted: &str| faults.push(format!("{place}{keyword} is {wanted}"));
        let is_texts = |value: &Value| {
            value
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_string))
        };
        match keyword.as_str() {
            "type" => {
                let known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
                let all = value.as_array().filter(|all| !all.is_empty());
                if !known(value) && !all.is_some_and(|all| all.iter().all(known)) {
                    wrong(&format!("one of {}, or a list of them", TYPES.join(", ")));
                }
            }
            "properties" | "$defs" | "definitions" => match value.as_object() {
                Some(map) => map.iter().for_each(|(name, schema)| inner(schema, name, faults)),
                None => wrong("a table of schemas"),
            },
            "required" if is_texts(value) => {
                let properties = keywords.get("properties").and_then(Value::as_object);
                for name in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if properties.is_some_and(|all| !all.contains_key(name)) {
                        faults.push(format!(
                            "{place}required names {name}, which properties does not have"
                        ));
                    }
                }
            }
            "required" => wrong("a list of names"),
            "enum" if value.as_array().is_none_or(Vec::is_empty) => wrong("a list of values"),
            "pattern" if value.as_str().and_then(compile).is_none() => wrong("no pattern that can be used"),
            "items" | "not" | "additionalProperties" => inner(value, keyword, faults),
            "anyOf" | "oneOf" | "allOf" => match value.as_array().filter(|all| !all.is_empty()) {
                Some(all) => all.iter().for_each(|schema| inner(schema, keyword, faults)),
                None => wrong("a list of schemas"),
            },
            "$ref" => {
                let target = value.as_str().filter(|reference| reference.starts_with('#'));
                if target.is_none() || std::ptr::eq(resolve(root, schema), schema) {
                    wrong("a reference that leads nowhere in this schema");
                }
            }
            "uniqueItems" | "nullable" if !value.is_boolean() => wrong("true or false"),
            keyword if COUNTS.contains(&keyword) && value.as_u64().is_none() => wrong("a count"),
            keyword if NUMBERS.contains(&keyword) && !value.is_number() => wrong("a number"),
            _ => {}
        }
    }
}
