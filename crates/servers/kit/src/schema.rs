//! The JSON Schema of a tool's parameters, as short as it can be without becoming untrue.
//!
//! A list of tools is paid for in every conversation, so what a model doesn't need is left out: titles, formats,
//! defaults, bounds of integer types, the `null` of optional values. `additionalProperties: false` stays.

use rmcp::model::JsonObject;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::borrow::Cow;

/// How a type says what its schema is: `P::json_schema`.
pub type Say = fn(&mut SchemaGenerator) -> Schema;

/// The schema of the parameters of which `say` tells. Not generic, since there are many kinds of parameters, and all of this
/// would be in the executable for each of them.
pub fn of(say: Say) -> JsonObject {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema: Value = say(&mut settings.into_generator()).into();
    shrink(&mut schema);
    let mut schema = match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    };
    // The doc comment of the parameters is for readers of the source; the tool has its own description.
    schema.remove("description");
    // MCP requires an object with `properties`, also where there are none.
    if !schema.contains_key("properties") {
        schema.insert("properties".to_owned(), Value::Object(JsonObject::new()));
    }
    schema
}

fn shrink(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(shrink),
        Value::Object(object) => shrink_object(object),
        _ => {}
    }
}

fn shrink_object(object: &mut JsonObject) {
    for noise in ["title", "format", "default", "minimum", "maximum", "writeOnly"] {
        object.remove(noise);
    }
    drop_null(object);
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        // Names of parameters are not keywords: a parameter called `format` must not vanish.
        properties.values_mut().for_each(shrink);
    }
    for keyword in ["items", "anyOf", "oneOf", "additionalProperties"] {
        if let Some(inner) = object.get_mut(keyword) {
            shrink(inner);
        }
    }
    one_of_constants(object);
}

/// `Option<T>` is a parameter that may be left out; nobody needs to be told that it may also be `null`.
fn drop_null(object: &mut JsonObject) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(variants)) = object.get_mut("anyOf") else {
        return;
    };
    variants.retain(|variant| variant["type"] != "null");
    if let [Value::Object(only)] = variants.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

/// An enum whose variants have doc comments comes as `oneOf` constants; the values alone say enough.
fn one_of_constants(object: &mut JsonObject) {
    let Some(Value::Array(variants)) = object.get("oneOf") else {
        return;
    };
    let values: Option<Vec<Value>> = variants
        .iter()
        .map(constants)
        .collect::<Option<Vec<_>>>()
        .map(|v| v.concat());
    if let Some(values) = values {
        object.remove("oneOf");
        object.insert("type".to_owned(), "string".into());
        object.insert("enum".to_owned(), Value::Array(values));
    }
}

fn constants(variant: &Value) -> Option<Vec<Value>> {
    if let Some(constant) = variant.get("const") {
        return Some(vec![constant.clone()]);
    }
    variant.get("enum").and_then(Value::as_array).cloned()
}

/// Marks a parameter that is accepted but costs no tokens in the list: `#[schemars(extend("hidden" = true))]`.
pub const HIDDEN: &str = "hidden";
/// What the reference says of a parameter whose name is enough for a model: `#[schemars(extend("about" = "…"))]`.
pub const ABOUT: &str = "about";

/// The schema without the parameters that are not worth listing.
pub fn listed(schema: &JsonObject) -> JsonObject {
    let mut schema = schema.clone();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|_, property| property.get(HIDDEN).is_none());
        for property in properties.values_mut().filter_map(Value::as_object_mut) {
            property.shift_remove(ABOUT);
        }
    }
    schema
}

/// What a schema accepts, in words: "text", "list of text", "one of on, off".
pub fn accepts(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values.iter().map(plain).collect();
        return format!("one of {}", values.join(", "));
    }
    if let Some(variants) = schema
        .get("anyOf")
        .or_else(|| schema.get("oneOf"))
        .and_then(Value::as_array)
    {
        return variants.iter().map(accepts).collect::<Vec<_>>().join(" or ");
    }
    match schema.get("type") {
        Some(Value::String(kind)) => accepts_type(kind, schema),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<String> = kinds
                .iter()
                .filter_map(Value::as_str)
                .map(|kind| accepts_type(kind, schema))
                .collect();
            kinds.join(" or ")
        }
        _ => "any value".to_owned(),
    }
}

fn accepts_type(kind: &str, schema: &Value) -> String {
    match kind {
        "string" => "text".to_owned(),
        "integer" => "a whole number".to_owned(),
        "number" => "a number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => match schema.get("items") {
            Some(items) => format!("a list of {}", accepts(items)),
            None => "a list".to_owned(),
        },
        "object" => match schema.get("properties").and_then(Value::as_object) {
            Some(properties) => {
                let names: Vec<&str> = properties.keys().map(String::as_str).collect();
                format!("an object with {}", names.join(", "))
            }
            None => "an object of names and values".to_owned(),
        },
        other => other.to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Schema of a value that may be text or a list of texts.
pub fn text_or_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
}

/// Schema of an object whose keys the caller chooses.
pub fn map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

/// Schema of a size, time or moment. Plain numbers are understood as well; saying so would cost tokens in every
/// list, and some clients can't read two types for one parameter.
pub fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string" })
}

/// Schema of a value whose forms the description tells.
pub fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({})
}

/// A name for a schema that is always inlined.
pub fn unnamed() -> Cow<'static, str> {
    Cow::Borrowed("inline")
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Action {
        /// Documented, so that schemars writes `oneOf`.
        PullAll,
        Push,
    }

    /// Parameters for the test.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Sample {
        name: String,
        /// MiB.
        size: Option<u64>,
        #[serde(default)]
        list: Vec<String>,
        action: Option<Action>,
        format: Option<String>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    #[test]
    fn schemas_are_short() {
        let schema = Value::Object(of(Sample::json_schema));
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "name": { "type": "string" },
                    "size": { "description": "MiB.", "type": "integer" },
                    "list": { "type": "array", "items": { "type": "string" } },
                    "action": { "type": "string", "enum": ["push", "pull-all"] },
                    "format": { "type": "string" },
                },
                "additionalProperties": false,
                "required": ["name"],
            })
        );
        let empty = Value::Object(of(Nothing::json_schema));
        assert_eq!(
            empty,
            json!({ "type": "object", "additionalProperties": false, "properties": {} })
        );
    }

    #[test]
    fn schemas_in_words() {
        for (schema, expected) in [
            (json!({ "type": "string" }), "text"),
            (
                json!({ "type": "array", "items": { "type": "string" } }),
                "a list of text",
            ),
            (
                json!({ "type": ["string", "array"], "items": { "type": "string" } }),
                "text or a list of text",
            ),
            (json!({ "enum": ["a", "b"] }), "one of a, b"),
            (
                json!({ "type": "object", "properties": { "x": {}, "y": {} } }),
                "an object with x, y",
            ),
            (
                json!({ "anyOf": [{ "type": "integer" }, { "type": "boolean" }] }),
                "a whole number or true or false",
            ),
        ] {
            assert_eq!(accepts(&schema), expected);
        }
    }
}
