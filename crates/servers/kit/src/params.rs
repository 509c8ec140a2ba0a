//! From the arguments of a call to a tool's parameters.
//!
//! Parameters have one name each in the schema. What peers and documents call them is understood as well, without
//! being listed; everything else is an error that names the parameter, what it accepts and what was probably meant.

use crate::error::ToolError;
use crate::near::nearest;
use crate::schema::accepts;
use rmcp::model::JsonObject;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use std::cell::RefCell;

/// A parameter, and what else it may be called.
pub type Synonym = (&'static str, &'static [&'static str]);

/// Makes a tool's parameters from the arguments of a call.
///
/// # Errors
/// [`ToolError`] names the first parameter that is unknown, missing or of the wrong kind.
pub fn parse<P: DeserializeOwned>(
    schema: &JsonObject,
    synonyms: &[Synonym],
    arguments: JsonObject,
) -> Result<P, ToolError> {
    let arguments = named(schema, synonyms, arguments)?;
    let current = RefCell::new(None);
    P::deserialize(Tracked {
        arguments,
        current: &current,
    })
    .map_err(|error| explained(schema, current.borrow().as_deref(), &error))
}

/// The arguments under the names that the schema knows, all that are required among them.
fn named(schema: &JsonObject, synonyms: &[Synonym], arguments: JsonObject) -> Result<JsonObject, ToolError> {
    let arguments = rename(schema, synonyms, arguments)?;
    missing(schema, &arguments)?;
    Ok(arguments)
}

/// What is wrong with the parameter that was being read.
fn explained(schema: &JsonObject, parameter: Option<&str>, error: &serde_json::Error) -> ToolError {
    let cause = plain_words(&error.to_string());
    let Some(name) = parameter else {
        return ToolError::arguments(cause);
    };
    let error = ToolError::arguments(format!("parameter {name}: {cause}"));
    match accepts(property(schema, name)) {
        // It was text; how it has to be written is said by the cause.
        accepted if accepted == "text" && !cause.starts_with("it is ") => error,
        accepted => error.fix(format!("{name} accepts {accepted}")),
    }
}

/// Gives each argument the name that the schema knows; `null` counts as left out.
fn rename(schema: &JsonObject, synonyms: &[Synonym], arguments: JsonObject) -> Result<JsonObject, ToolError> {
    let known = properties(schema);
    let (own, foreign): (Vec<_>, Vec<_>) = arguments
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .partition(|(name, _)| known.contains_key(name));
    let mut renamed: JsonObject = own.into_iter().collect();
    for (name, value) in foreign {
        let snake = snake_case(&name);
        let candidates: Vec<&str> = if known.contains_key(&snake) {
            vec![&snake]
        } else {
            synonyms
                .iter()
                .filter(|(parameter, others)| {
                    known.contains_key(*parameter) && others.contains(&snake.as_str())
                })
                .map(|(parameter, _)| *parameter)
                .filter(|parameter| !renamed.contains_key(*parameter))
                .collect()
        };
        match candidates.as_slice() {
            [parameter] => renamed.insert((*parameter).to_owned(), value),
            _ => return Err(unknown(known, &name, &candidates)),
        };
    }
    Ok(renamed)
}

fn unknown(known: &JsonObject, name: &str, candidates: &[&str]) -> ToolError {
    let shown = base::text::cut(name, 60);
    let error = ToolError::arguments(format!("unknown parameter {shown:?}"));
    let near = if candidates.is_empty() {
        nearest(name, known.keys().map(String::as_str), 2)
    } else {
        candidates.to_vec()
    };
    if near.is_empty() {
        let all: Vec<&str> = known.keys().map(String::as_str).collect();
        if all.is_empty() {
            return error.fix("this tool takes no parameters");
        }
        error.fix(format!("the parameters are {}", all.join(", ")))
    } else {
        error.fix(format!("did you mean {}?", near.join(" or ")))
    }
}

fn missing(schema: &JsonObject, arguments: &JsonObject) -> Result<(), ToolError> {
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    match required
        .iter()
        .filter_map(Value::as_str)
        .find(|name| !arguments.contains_key(*name))
    {
        Some(name) => Err(ToolError::arguments(format!("parameter {name} is missing"))
            .fix(format!("{name} accepts {}", accepts(property(schema, name))))),
        None => Ok(()),
    }
}

fn properties(schema: &JsonObject) -> &JsonObject {
    static NONE: std::sync::LazyLock<JsonObject> = std::sync::LazyLock::new(JsonObject::new);
    schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&NONE)
}

fn property<'a>(schema: &'a JsonObject, name: &str) -> &'a Value {
    properties(schema).get(name).unwrap_or(&Value::Null)
}

/// `containerId` and `container-id` are `container_id`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        match c {
            '-' => snake.push('_'),
            c if c.is_ascii_uppercase() => {
                if !snake.is_empty() && !snake.ends_with('_') {
                    snake.push('_');
                }
                snake.push(c.to_ascii_lowercase());
            }
            c => snake.push(c),
        }
    }
    snake
}

/// serde's words for kinds of values are Rust's; a caller thinks in JSON.
fn plain_words(message: &str) -> String {
    // The values that there are come as the fix.
    if let Some((given, _)) = message
        .strip_prefix("unknown variant ")
        .and_then(|rest| rest.split_once(", expected"))
    {
        return format!("{} is none of its values", base::text::cut(given, 60));
    }
    let message = message
        .replace("invalid type: ", "it is ")
        .replace("invalid value: ", "it is ")
        .replace("a sequence", "a list")
        .replace("sequence", "list")
        .replace("expected a map", "expected an object")
        .replace("it is map", "it is an object")
        .replace("it is list", "it is a list")
        .replace("it is string", "it is text")
        .replace("it is integer", "it is the number")
        .replace("it is floating point", "it is the number")
        .replace("it is boolean", "it is")
        .replace("a string", "text")
        .replace("expected a boolean", "expected true or false");
    let message = [
        "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize",
    ]
    .into_iter()
    .find_map(|kind| message.strip_suffix(&format!("expected {kind}")))
    .map_or(message.clone(), |before| {
        format!("{before}expected a whole number")
    });
    base::text::cut(&message, 300).to_owned()
}

/// Reads the arguments of a call and remembers which one is being read, so that an error can name it.
struct Tracked<'a> {
    arguments: JsonObject,
    current: &'a RefCell<Option<String>>,
}

impl<'de> Deserializer<'de> for Tracked<'_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(TrackedMap {
            entries: self.arguments.into_iter(),
            value: None,
            current: self.current,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct TrackedMap<'a> {
    entries: serde_json::map::IntoIter,
    value: Option<Value>,
    current: &'a RefCell<Option<String>>,
}

impl<'de> MapAccess<'de> for TrackedMap<'_> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        let Some((name, value)) = self.entries.next() else {
            *self.current.borrow_mut() = None;
            return Ok(None);
        };
        self.value = Some(value);
        *self.current.borrow_mut() = Some(name.clone());
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Self::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(serde_json::Error::custom("a value was asked for before its name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::names::ContainerRef;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read through Debug")]
    struct Sample {
        #[schemars(with = "String")]
        container: ContainerRef,
        tail: Option<u32>,
        #[serde(default)]
        ports: Vec<String>,
        healthcheck: Option<Healthcheck>,
        mode: Option<Mode>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        On,
        Off,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read through Debug")]
    struct Healthcheck {
        interval: Option<u32>,
    }

    const SYNONYMS: &[Synonym] = &[
        ("container", &["container_id", "id", "name"]),
        ("tail", &["lines", "limit"]),
        ("limit", &["n"]),
    ];

    fn check(arguments: Value, expected: &str) {
        let Value::Object(arguments) = arguments else {
            panic!("arguments are an object")
        };
        let answer = match parse::<Sample>(&crate::schema::of(Sample::json_schema), SYNONYMS, arguments) {
            Ok(sample) => format!("{sample:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(answer, expected);
    }

    #[test]
    fn synonyms_are_understood() {
        let expected = "Sample { container: ContainerRef(\"web\"), tail: Some(5), ports: [], healthcheck: None, mode: None }";
        check(json!({ "container": "web", "tail": 5 }), expected);
        check(
            json!({ "container_id": "/web", "lines": 5, "ports": null }),
            expected,
        );
        check(json!({ "containerId": "web", "tail": 5 }), expected);
        check(json!({ "name": "web", "limit": 5 }), expected);
    }

    #[test]
    fn errors_name_the_parameter() {
        for (arguments, expected) in [
            (
                json!({}),
                "invalid_arguments: parameter container is missing\nfix: container accepts text",
            ),
            (
                json!({ "container": "web", "tial": 5 }),
                "invalid_arguments: unknown parameter \"tial\"\nfix: did you mean tail?",
            ),
            (
                json!({ "container": "web", "privileged": true }),
                "invalid_arguments: unknown parameter \"privileged\"\n\
                 fix: the parameters are container, tail, ports, healthcheck, mode",
            ),
            (
                json!({ "container": "web", "container_id": "x" }),
                "invalid_arguments: unknown parameter \"container_id\"\nfix: did you mean container?",
            ),
            (
                json!({ "container": "web", "tail": "5" }),
                "invalid_arguments: parameter tail: it is text \"5\", expected a whole number\nfix: tail accepts a whole number",
            ),
            (
                json!({ "container": ["web"] }),
                "invalid_arguments: parameter container: it is a list, expected text\nfix: container accepts text",
            ),
            (
                json!({ "container": "web", "mode": "odd" }),
                "invalid_arguments: parameter mode: `odd` is none of its values\nfix: mode accepts one of on, off",
            ),
            (
                json!({ "container": "web", "ports": { "80": 80 } }),
                "invalid_arguments: parameter ports: it is an object, expected a list\n\
                 fix: ports accepts a list of text",
            ),
            (
                json!({ "container": "a/b" }),
                "invalid_arguments: parameter container: \"a/b\" is not a valid container name or id: use letters, \
                 digits, '_', '.' and '-', the first a letter or digit",
            ),
            (
                json!({ "container": "web", "healthcheck": { "intervall": 3 } }),
                "invalid_arguments: parameter healthcheck: unknown field `intervall`, expected `interval`\n\
                 fix: healthcheck accepts an object with interval",
            ),
        ] {
            check(arguments, expected);
        }
    }
}
