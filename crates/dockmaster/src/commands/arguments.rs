//! A tool's arguments as they are typed on a command line, read by the tool's own schema.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Deepest chain of references in a schema that is followed.
const DEPTH: usize = 8;

/// A JSON object.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("the arguments have to be a JSON object, such as '{\"name\": \"web\"}'".to_owned()),
        Err(error) => Err(format!("the arguments are not JSON: {error}")),
    }
}

/// `NAME=VALUE`. The value is text where the tool takes text, else JSON if it is any. JSON of a kind that the schema
/// does not name is passed on all the same where text would not do either: tools read more than their schemas say.
pub(crate) fn one(arg: &str, schema: Option<&Value>) -> Result<(String, Value), String> {
    let (name, text) = arg
        .split_once('=')
        .ok_or_else(|| format!("{arg:?} has no '='; write --arg NAME=VALUE"))?;
    if name.is_empty() {
        return Err(format!("{arg:?} names no argument; write --arg NAME=VALUE"));
    }
    let own = schema.and_then(|schema| Some((schema, schema.get("properties")?.get(name)?)));
    let types = own
        .map(|(schema, property)| types(property, schema, DEPTH))
        .unwrap_or_default();
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value) if types.is_empty() || types.contains(kind(&value)) => value,
        Ok(value) if types.contains("number") && value.is_number() => value,
        Ok(value) if !types.contains("string") => value,
        Err(error) if is_meant_as_json(text) && !types.is_empty() && !types.contains("string") => {
            return Err(format!(
                "the value of {name} is not JSON: {error}. A shell takes quotes away; write --arg '{name}=...'"
            ));
        }
        _ => Value::String(text.to_owned()),
    };
    Ok((name.to_owned(), value))
}

fn is_meant_as_json(text: &str) -> bool {
    text.trim_start().starts_with(['[', '{'])
}

/// The properties of a schema as rows: name, type, whether it is required, description.
pub(crate) fn described(schema: &Value) -> Vec<[String; 4]> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let row = |(name, property): (&String, &Value)| {
        let kinds: Vec<_> = types(property, schema, DEPTH)
            .into_iter()
            .filter(|kind| kind != "null")
            .collect();
        let need = if required.contains(&name.as_str()) {
            "required"
        } else {
            ""
        };
        let about = property["description"]
            .as_str()
            .unwrap_or_default()
            .replace('\n', " ");
        [
            name.clone(),
            kinds.join("|"),
            need.to_owned(),
            base::text::clean(&about).into_owned(),
        ]
    };
    properties.map(row).collect()
}

/// The JSON types that a schema takes.
fn types(schema: &Value, root: &Value, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Some(depth) = depth.checked_sub(1) else {
        return found;
    };
    match &schema["type"] {
        Value::String(kind) => found.extend([kind.clone()]),
        Value::Array(kinds) => found.extend(kinds.iter().filter_map(Value::as_str).map(str::to_owned)),
        _ => {}
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        for inner in schema[choice].as_array().into_iter().flatten() {
            found.extend(types(inner, root, depth));
        }
    }
    for value in schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(schema.get("const"))
    {
        found.extend([kind(value).to_owned()]);
    }
    if let Some(inner) = schema["$ref"]
        .as_str()
        .and_then(|place| root.pointer(place.strip_prefix('#')?))
    {
        found.extend(types(inner, root, depth));
    }
    found
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "properties": {
                "name": {"type": "string"},
                "all": {"type": ["boolean", "null"]},
                "tail": {"type": "integer", "description": "How many\nlines"},
                "cpus": {"type": "number"},
                "command": {"anyOf": [{"type": "string"}, {"type": "array"}]},
                "map": {"type": "object"},
                "ports": {"$ref": "#/$defs/Ports"},
                "level": {"enum": ["low", "high"]},
                "limits": {"type": "object"},
                "loop": {"$ref": "#/properties/loop"},
            },
            "required": ["name"],
            "$defs": {"Ports": {"type": "array"}},
        })
    }

    #[test]
    fn values_are_read_by_the_schema() {
        for (arg, expected) in [
            ("name=web", json!("web")),
            ("name=1.0", json!("1.0")),
            ("name=true", json!("true")),
            ("name=a=b", json!("a=b")),
            ("name=", json!("")),
            ("all=true", json!(true)),
            ("all=yes", json!("yes")),
            ("tail=100", json!(100)),
            ("tail=1.5", json!(1.5)),
            ("tail=[1]", json!([1])),
            ("map=[\"a=b\"]", json!(["a=b"])),
            ("map={\"a\":1}", json!({"a": 1})),
            ("map=a", json!("a")),
            ("cpus=2", json!(2)),
            ("cpus=1.5", json!(1.5)),
            ("command=ls -l", json!("ls -l")),
            ("command=[\"ls\", \"-l\"]", json!(["ls", "-l"])),
            ("command=5", json!("5")),
            ("ports=[80]", json!([80])),
            ("level=high", json!("high")),
            ("limits=[\"nofile=1:2\"]", json!(["nofile=1:2"])),
            ("limits={\"nofile\": 1}", json!({"nofile": 1})),
            ("limits=nofile=1:2", json!("nofile=1:2")),
            ("name=[1]", json!("[1]")),
            ("loop=5", json!(5)),
            ("unknown=5", json!(5)),
            ("unknown=five", json!("five")),
        ] {
            let (_, value) = one(arg, Some(&schema())).unwrap();
            assert_eq!(value, expected, "{arg}");
        }
        assert!(one("name", None).is_err());
        assert!(one("=x", None).is_err());
        // Typed without quotes around it: the shell has taken those inside away.
        let stripped = one("map=[nofile=100:200]", Some(&schema())).unwrap_err();
        assert!(stripped.contains("--arg 'map=...'"), "{stripped}");
        assert!(one("command=[ls", Some(&schema())).is_ok());
    }

    #[test]
    fn rows() {
        assert_eq!(
            described(&schema())[2],
            ["tail", "integer", "", "How many lines"].map(str::to_owned)
        );
        assert_eq!(
            described(&schema())[0],
            ["name", "string", "required", ""].map(str::to_owned)
        );
    }

    #[test]
    fn only_an_object_will_do() {
        assert!(object("[]").is_err());
        assert!(object("{").is_err());
        assert_eq!(object("{\"a\": 1}").unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_an_argument_or_an_error(arg in "\\PC{0,60}") {
            if let Ok((name, _)) = one(&arg, Some(&schema())) {
                prop_assert!(arg.starts_with(&name));
            }
        }
    }
}
