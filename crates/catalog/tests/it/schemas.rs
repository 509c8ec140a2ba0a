use catalog::schema;
use serde_json::{Value, json};

fn broken(schema: &Value, value: &Value) -> String {
    schema::check(schema, value)
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_keyword() {
    for (schema, good, bad, expected) in [
        (
            json!({"type": "string"}),
            json!("x"),
            json!(1),
            "the configuration is 1; expected is text",
        ),
        (
            json!({"type": ["integer", "null"]}),
            json!(null),
            json!(1.5),
            "the configuration is 1.5; expected is a whole number or nothing",
        ),
        (
            json!({"type": "integer"}),
            json!(2.0),
            json!("2"),
            r#"the configuration is "2"; expected is a whole number"#,
        ),
        (
            json!({"enum": ["a", 1]}),
            json!(1.0),
            json!("b"),
            r#"the configuration is "b"; expected is one of "a", 1"#,
        ),
        (
            json!({"const": true}),
            json!(true),
            json!(false),
            "the configuration is false; expected is true",
        ),
        (
            json!({"minimum": 2}),
            json!(2),
            json!(1),
            "the configuration is 1; expected is a number, at least 2",
        ),
        (
            json!({"exclusiveMinimum": 2}),
            json!(3),
            json!(2),
            "the configuration is 2; expected is a number, more than 2",
        ),
        (
            json!({"maximum": 2}),
            json!(2),
            json!(3),
            "the configuration is 3; expected is a number, at most 2",
        ),
        (
            json!({"maximum": 2, "exclusiveMaximum": true}),
            json!(1),
            json!(2),
            "the configuration is 2; expected is a number, less than 2",
        ),
        (
            json!({"multipleOf": 0.1}),
            json!(0.3),
            json!(0.35),
            "the configuration is 0.35; expected is a multiple of 0.1",
        ),
        (
            json!({"minLength": 1}),
            json!("é"),
            json!(""),
            r#"the configuration is ""; expected is text that is not empty"#,
        ),
        (
            json!({"maxLength": 1}),
            json!("é"),
            json!("ab"),
            r#"the configuration is "ab"; expected is at most 1 characters"#,
        ),
        (
            json!({"pattern": "^https?://"}),
            json!("http://x"),
            json!("x"),
            r#"the configuration is "x"; expected is text that matches ^https?://"#,
        ),
        (
            json!({"format": "email"}),
            json!("a@b.c"),
            json!("a"),
            r#"the configuration is "a"; expected is an e-mail address"#,
        ),
        (
            json!({"format": "uri"}),
            json!("http://x"),
            json!("/x"),
            r#"the configuration is "/x"; expected is a URL with its scheme"#,
        ),
        (
            json!({"format": "hostname"}),
            json!("a.b"),
            json!("a..b"),
            r#"the configuration is "a..b"; expected is a host name"#,
        ),
        (
            json!({"format": "ipv4"}),
            json!("1.2.3.4"),
            json!("1.2.3"),
            r#"the configuration is "1.2.3"; expected is an IPv4 address"#,
        ),
        (
            json!({"format": "date"}),
            json!("2026-01-31"),
            json!("31.1.2026"),
            r#"the configuration is "31.1.2026"; expected is a date (2026-01-31)"#,
        ),
        (
            json!({"items": {"type": "string"}}),
            json!(["a"]),
            json!(["a", 1]),
            "[1] is 1; expected is text",
        ),
        (
            json!({"minItems": 1}),
            json!([1]),
            json!([]),
            "the configuration is []; expected is a list of at least 1",
        ),
        (
            json!({"maxItems": 1}),
            json!([1]),
            json!([1, 2]),
            "the configuration is [1,2]; expected is a list of at most 1",
        ),
        (
            json!({"uniqueItems": true}),
            json!([1, 2]),
            json!([1, 1.0]),
            "the configuration is [1,1.0]; expected is a list without repetition",
        ),
        (
            json!({"required": ["a"]}),
            json!({"a": 0}),
            json!({}),
            "a is missing; expected is a value",
        ),
        (
            json!({"properties": {"a": {"type": "string", "description": "The key. More."}}, "required": ["a"]}),
            json!({"a": ""}),
            json!({"a": null}),
            "a is missing; expected is text (The key. More)\na is null; expected is text",
        ),
        (
            json!({"properties": {"a": {}}, "additionalProperties": false}),
            json!({"a": 1}),
            json!({"b": 1}),
            "b is 1; expected is no such key; there are: a",
        ),
        (
            json!({"additionalProperties": {"type": "string"}}),
            json!({"a": "b"}),
            json!({"a": 1}),
            "a is 1; expected is text",
        ),
        (
            json!({"minProperties": 1}),
            json!({"a": 1}),
            json!({}),
            "the configuration is {}; expected is another number of keys",
        ),
        (
            json!({"anyOf": [{"required": ["jira"]}, {"required": ["confluence"]}]}),
            json!({"jira": 1}),
            json!({}),
            "the configuration is {}; expected is one of these: jira is given; or confluence is given",
        ),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "integer"}, {"minimum": 5}]}),
            json!(3),
            json!(7),
            "the configuration is 7; expected is exactly one of 3 alternatives, not 2 of them",
        ),
        (
            json!({"allOf": [{"minimum": 1}, {"maximum": 3}]}),
            json!(2),
            json!(4),
            "the configuration is 4; expected is a number, at most 3",
        ),
        (
            json!({"not": {"const": "latest"}}),
            json!("1"),
            json!("latest"),
            r#"the configuration is "latest"; expected is something else"#,
        ),
        (
            json!({"$defs": {"p": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/p"}}}),
            json!({"a": 1}),
            json!({"a": "x"}),
            r#"a is "x"; expected is a whole number"#,
        ),
        (
            json!(false),
            json!(null),
            json!(1),
            "the configuration is 1; expected is nothing here",
        ),
    ] {
        assert_eq!(broken(&schema, &bad), expected, "{schema}");
        if schema != json!(false) {
            assert_eq!(broken(&schema, &good), "", "{schema}");
        }
        assert_eq!(schema::unchecked(&schema), [""; 0], "{schema}");
    }
}

#[test]
fn what_is_not_checked_is_named() {
    let schema = json!({
        "if": {}, "properties": { "a": { "format": "iri", "patternProperties": {}, "pattern": "(?=x)" } }, "x-order": 1,
    });
    assert_eq!(
        schema::unchecked(&schema),
        ["format iri", "if", "pattern (?=x)", "patternProperties"]
    );
    assert_eq!(broken(&schema, &json!({ "a": "b" })), "");
}

#[test]
fn references_in_a_circle_end() {
    let schema =
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}});
    assert_eq!(broken(&schema, &json!({})), "");
    let tree = json!({"$ref": "#/$defs/t", "$defs": {"t": {"properties": {"t": {"$ref": "#/$defs/t"}}, "additionalProperties": false}}});
    assert_eq!(
        broken(&tree, &json!({"t": {"t": {"x": 1}}})),
        "t.t.x is 1; expected is no such key; there are: t"
    );
}

#[test]
fn defaults_and_types_of_command_lines() {
    let schema = json!({"type": "object", "properties": {
        "port": {"type": "integer", "default": 8080}, "name": {"type": "string"}, "on": {"type": "boolean", "default": "true"},
        "paths": {"type": "array", "items": {"type": "string"}, "default": ["/tmp"]},
        "db": {"type": "object", "properties": {"host": {"type": "string", "default": "localhost"}, "port": {"type": "number"}}},
    }});
    let given = json!({"name": 5, "db": {"port": "5.5"}});
    let filled = schema::fill(&schema, given.as_object().unwrap(), &|_, value| !value.is_array());
    assert_eq!(
        Value::Object(filled),
        json!({"name": "5", "db": {"port": 5.5, "host": "localhost"}, "port": 8080, "on": true})
    );
    for (path, text, expected) in [
        ("port", "80", json!(80)),
        ("port", "x", json!("x")),
        ("name", "80", json!("80")),
        ("name", "true", json!("true")),
        ("on", "false", json!(false)),
        ("paths", "/a", json!(["/a"])),
        ("paths", r#"["/a","/b"]"#, json!(["/a", "/b"])),
        ("db.port", "1.5", json!(1.5)),
        ("db", r#"{"host":"h"}"#, json!({"host": "h"})),
        ("other", "7", json!(7)),
        ("other", "x y", json!("x y")),
        ("other", "\"q\"", json!("\"q\"")),
    ] {
        assert_eq!(schema::value_of(&schema, path, text), expected, "{path}={text}");
    }
    assert_eq!(
        schema::keys(&schema),
        ["port", "name", "on", "paths", "db.host", "db.port"]
    );
}
