//! The mildest thing that a tool can do, which decides whether it is listed: a tool of which some calls would be let
//! through is shown, even if its worst would not be.
//!
//! What a call does is known by its arguments, so calls that the tool's schema allows are made up and judged: the
//! required parameters with sample values, and beside them each value of each choice. A guess, good enough for a
//! list; the call itself is judged by what it really says.

use policy::Effect;
use serde_json::{Map, Value};

use crate::parts::Describe;

/// Made-up calls are at most so many.
const MOST: usize = 64;

/// What the mildest call does that `schema` allows.
pub(crate) fn mildest(describe: &dyn Describe, tool: &str, schema: &Value) -> Effect {
    let effects = samples(schema)
        .into_iter()
        .map(|arguments| describe.effect(tool, &arguments));
    effects.min().unwrap_or(Effect::Destroy)
}

fn samples(schema: &Value) -> Vec<Value> {
    let nothing = Map::new();
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&nothing);
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let least: Map<String, Value> = required
        .filter_map(Value::as_str)
        .filter_map(|name| Some((name.to_owned(), sample(resolve(properties.get(name)?, schema)))))
        .collect();
    let mut samples = vec![Value::Object(least.clone())];
    for (name, property) in properties {
        for choice in choices(resolve(property, schema), schema) {
            let mut arguments = least.clone();
            arguments.insert(name.clone(), choice);
            samples.push(Value::Object(arguments));
        }
    }
    samples.truncate(MOST);
    samples
}

/// Any value that fits, as far as the type tells.
fn sample(property: &Value) -> Value {
    let kind = match property.get("type") {
        Some(Value::Array(kinds)) => kinds.first(),
        kind => kind,
    };
    match kind.and_then(Value::as_str) {
        Some("boolean") => Value::Bool(false),
        Some("integer" | "number") => property.get("minimum").cloned().unwrap_or_else(|| Value::from(1)),
        Some("array") => Value::Array(vec![
            property.get("items").map_or_else(|| Value::from("x"), sample),
        ]),
        Some("object") => Value::Object(Map::new()),
        // Most are names, and this is a valid one.
        _ => Value::from("x"),
    }
}

/// The values between which the parameter lets one choose.
fn choices(property: &Value, schema: &Value) -> Vec<Value> {
    if let Some(values) = property.get("enum").and_then(Value::as_array) {
        return values.clone();
    }
    if let Some(value) = property.get("const") {
        return vec![value.clone()];
    }
    for composed in ["oneOf", "anyOf"] {
        if let Some(parts) = property.get(composed).and_then(Value::as_array) {
            return parts
                .iter()
                .flat_map(|part| choices(resolve(part, schema), &Value::Null))
                .collect();
        }
    }
    match sample(property) {
        Value::Bool(_) => vec![Value::Bool(false), Value::Bool(true)],
        _ => vec![],
    }
}

/// What a reference within the schema points at; one step, which cannot turn in circles.
fn resolve<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let target = property
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.strip_prefix('#'));
    target.and_then(|path| schema.pointer(path)).unwrap_or(property)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `act` with a name does what `action` or `dry_run` say; anything else destroys.
    struct Acts;

    impl Describe for Acts {
        fn canonical(&self, tool: &str) -> Option<String> {
            Some(tool.to_owned())
        }

        fn effect(&self, _tool: &str, arguments: &Value) -> Effect {
            match (&arguments["name"], &arguments["action"], &arguments["dry_run"]) {
                (Value::String(_), _, Value::Bool(true)) => Effect::Read,
                (Value::String(_), Value::String(action), _) if action == "start" => Effect::Change,
                _ => Effect::Destroy,
            }
        }

        fn about(&self, tool: &str, _arguments: &Value) -> String {
            tool.to_owned()
        }

        fn data_loss(&self, _tool: &str, _arguments: &Value) -> Option<String> {
            None
        }
    }

    #[test]
    fn made_up_calls() {
        let name = json!({"type": "string"});
        for (properties, wanted) in [
            (json!({"name": name}), Effect::Destroy),
            (
                json!({"name": name, "action": {"enum": ["remove", "start"]}}),
                Effect::Change,
            ),
            (
                json!({"name": name, "action": {"$ref": "#/$defs/Action"}}),
                Effect::Change,
            ),
            (
                json!({"name": name, "action": {"anyOf": [{"$ref": "#/$defs/Action"}, {"type": "null"}]}}),
                Effect::Change,
            ),
            (
                json!({"name": name, "action": {"enum": ["remove"]}}),
                Effect::Destroy,
            ),
            (
                json!({"name": name, "dry_run": {"type": ["boolean", "null"]}}),
                Effect::Read,
            ),
            (json!({}), Effect::Destroy),
        ] {
            let schema = json!({
                "type": "object",
                "properties": properties,
                "required": ["name"],
                "$defs": {"Action": {"oneOf": [{"const": "remove"}, {"const": "start"}]}},
            });
            assert_eq!(mildest(&Acts, "act", &schema), wanted, "{properties}");
        }
        assert_eq!(mildest(&Acts, "act", &Value::Null), Effect::Destroy);
    }
}
