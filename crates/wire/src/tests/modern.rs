//! What the modern era says in `_meta`, in headers and in rounds.

use serde_json::{Value, json};

use super::raw;
use crate::edit::Object;
use crate::header::{Mirrored, decode};
use crate::meta::{Ability, ClientCapabilities, RequestMeta};
use crate::mrtr::{Elicited, input_required};
use crate::*;

#[test]
fn modern_metadata() {
    let modern = |meta: &str| {
        let params = raw(&format!(r#"{{"_meta":{meta}}}"#));
        let params = Object::parse(&params).unwrap();
        let meta = RequestMeta::of(&params);
        (meta.is_modern(), meta.modern().map_err(|fault| fault.code()))
    };
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}"#;
    let client = r#""io.modelcontextprotocol/clientInfo":{"name":"c","version":"1","title":"t"}"#;

    let (is_modern, meta) = modern(&format!("{{{version},{capabilities},{client}}}"));
    let meta = meta.unwrap();
    assert!(is_modern && meta.capabilities.has(Ability::Form));
    assert_eq!(
        (meta.client.name.as_str(), meta.client.version.as_str()),
        ("c", "1")
    );
    assert!(modern(&format!("{{{version},{capabilities}}}")).1.is_ok());
    for (meta, is_modern, code) in [
        (format!("{{{version}}}"), true, code::INVALID_PARAMS),
        (format!("{{{capabilities}}}"), true, code::INVALID_PARAMS),
        (r#"{"progressToken":1}"#.to_owned(), false, code::INVALID_PARAMS),
        ("7".to_owned(), false, code::INVALID_PARAMS),
        (
            format!("{{{capabilities},{}}}", version.replace("2026", "1926")),
            true,
            code::UNSUPPORTED_VERSION,
        ),
        (
            format!(
                "{{{capabilities},{}}}",
                version.replace("2026-07-28", "2025-11-25")
            ),
            true,
            code::UNSUPPORTED_VERSION,
        ),
    ] {
        assert_eq!(modern(&meta), (is_modern, Err(Some(code))), "{meta}");
    }
}

#[test]
fn capabilities_to_ask_with_forms() {
    for (text, wanted) in [
        (r#"{"elicitation":{}}"#, true),
        (r#"{"elicitation":{"form":{}}}"#, true),
        (r#"{"elicitation":{"form":{},"url":{}}}"#, true),
        (r#"{"elicitation":{"url":{}}}"#, false),
        (r#"{"elicitation":true}"#, false),
        (r#"{"sampling":{}}"#, false),
        ("{}", false),
        ("7", false),
    ] {
        assert_eq!(
            ClientCapabilities::read(&raw(text)).has(Ability::Form),
            wanted,
            "{text}"
        );
    }
}

#[test]
fn rounds() {
    let asks = input_required("k", &json!({"message": "sure?"}), "s");
    assert_eq!(
        serde_json::from_str::<Value>(asks.get()).unwrap(),
        json!({
            "resultType": "input_required",
            "inputRequests": {"k": {"method": "elicitation/create", "params": {"message": "sure?"}}},
            "requestState": "s",
        })
    );
    for (text, wanted) in [
        (
            r#"{"inputResponses":{"k":{"action":"decline"},"other":{"x":1}}}"#,
            Some(Elicited::Declined),
        ),
        (
            r#"{"inputResponses":{"k":{"action":"accept"}}}"#,
            Some(Elicited::Accepted(serde_json::Map::new())),
        ),
        (
            r#"{"inputResponses":{"k":{"action":"accept","content":[]}}}"#,
            None,
        ),
        (r#"{"inputResponses":{"other":{"action":"accept"}}}"#, None),
        (r#"{"inputResponses":[]}"#, None),
        ("{}", None),
    ] {
        assert_eq!(
            Elicited::of_retry(&Object::parse(&raw(text)).unwrap(), "k"),
            wanted,
            "{text}"
        );
    }
}

#[test]
fn header_values() {
    for (value, wanted) in [
        ("us-west1", Some("us-west1")),
        ("=?base64?SGVsbG8sIOS4lueVjA==?=", Some("Hello, 世界")),
        ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", Some("=?base64?literal?=")),
        ("=?base64?SGVsbG8=", Some("=?base64?SGVsbG8=")),
        ("SGVsbG8=", Some("SGVsbG8=")),
        ("=?base64?SGVsbG8?=", None),
        ("=?base64?SGVs!!!bG8=?=", None),
        ("=?base64?/w==?=", None),
    ] {
        assert_eq!(decode(value).as_deref(), wanted, "{value}");
    }
}

#[test]
fn headers_that_agree_with_arguments() {
    let one = Mirrored {
        header: "mcp-param-x".to_owned(),
        path: vec!["x".to_owned()],
    };
    for (arguments, header, agrees) in [
        (json!({"x": "a"}), Some("a"), true),
        (json!({"x": "a"}), Some("b"), false),
        (json!({"x": "a"}), None, false),
        (json!({"x": "ä"}), Some("=?base64?w6Q=?="), true),
        (json!({"x": "a"}), Some("=?base64?!?="), false),
        (json!({}), None, true),
        (json!({"x": null}), None, true),
        (json!({}), Some("a"), false),
        (json!({"x": true}), Some("true"), true),
        (json!({"x": true}), Some("1"), false),
        (json!({"x": 42}), Some("42"), true),
        (json!({"x": 42}), Some("42.0"), true),
        (
            json!({"x": 9_007_199_254_740_991_i64}),
            Some("9007199254740990"),
            false,
        ),
        (json!({"x": [1]}), Some("1"), false),
    ] {
        assert_eq!(one.agrees(&arguments, header), agrees, "{arguments} {header:?}");
    }
}

/// What of `schema` is mirrored, or why it is invalid.
fn mirrored(schema: &Value) -> String {
    match Mirrored::of_schema(schema) {
        Ok(found) => found
            .iter()
            .map(|one| format!("{}={}", one.header, one.path.join(".")))
            .collect::<Vec<_>>()
            .join(" "),
        Err(why) => why.to_string(),
    }
}

/// 2026-07-28, Streamable HTTP, "Schema Extension".
#[test]
fn mirrored_parameters() {
    let region = json!({"type": "string", "x-mcp-header": "Region"});
    let one = |mark: Value| json!({"properties": {"p": {"type": "string", "x-mcp-header": mark}}});
    let of_type = |kind: Value| json!({"properties": {"p": {"type": kind, "x-mcp-header": "P"}}});
    let no_type = r#"x-mcp-header stands at parameter "p", which is no string, integer or boolean"#;
    for (schema, wanted) in [
        // What is not marked.
        (json!({}), ""),
        (json!(true), ""),
        (json!({"properties": {"p": {"type": "number"}, "q": true}}), ""),
        // Along properties, at any depth.
        (json!({"properties": {"r": region}}), "mcp-param-region=r"),
        (
            json!({"properties": {
                "a": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "Num"}}},
                "b": region,
            }}),
            "mcp-param-num=a.n mcp-param-region=b",
        ),
        // The name: a token.
        (
            one(json!("!#$%&'*+-.^_`|~09azAZ")),
            "mcp-param-!#$%&'*+-.^_`|~09azaz=p",
        ),
        (
            one(json!("")),
            r#"x-mcp-header of parameter "p" is "", not a header name"#,
        ),
        (
            one(json!("My Region")),
            r#"x-mcp-header of parameter "p" is "My Region", not a header name"#,
        ),
        (
            one(json!("a:b")),
            r#"x-mcp-header of parameter "p" is "a:b", not a header name"#,
        ),
        (
            one(json!("a\r\nb")),
            r#"x-mcp-header of parameter "p" is "a\r\nb", not a header name"#,
        ),
        (
            one(json!("a\tb")),
            r#"x-mcp-header of parameter "p" is "a\tb", not a header name"#,
        ),
        (
            one(json!("größe")),
            r#"x-mcp-header of parameter "p" is "größe", not a header name"#,
        ),
        (
            one(json!(7)),
            r#"x-mcp-header of parameter "p" is 7, not a header name"#,
        ),
        (
            one(json!(null)),
            r#"x-mcp-header of parameter "p" is null, not a header name"#,
        ),
        // The type: one that a header can carry.
        (of_type(json!("string")), "mcp-param-p=p"),
        (of_type(json!("integer")), "mcp-param-p=p"),
        (of_type(json!("boolean")), "mcp-param-p=p"),
        (of_type(json!("number")), no_type),
        (of_type(json!("object")), no_type),
        (of_type(json!("array")), no_type),
        (of_type(json!("null")), no_type),
        (of_type(json!(["string", "null"])), no_type),
        (json!({"properties": {"p": {"x-mcp-header": "P"}}}), no_type),
        // Unique, in any case and at any depth.
        (
            json!({"properties": {"a": region, "b": {"type": "string", "x-mcp-header": "REGION"}}}),
            r#"x-mcp-header of parameter "b" is "mcp-param-region", which another has too"#,
        ),
        (
            json!({"properties": {"a": region, "b": {"properties": {"c": region}}}}),
            r#"x-mcp-header of parameter "b.c" is "mcp-param-region", which another has too"#,
        ),
    ] {
        assert_eq!(mirrored(&schema), wanted, "{schema}");
    }
}

#[test]
fn where_marks_may_stand() {
    let region = json!({"type": "string", "x-mcp-header": "Region"});
    let no_place = "x-mcp-header stands at a place that no chain of properties leads to";
    for (schema, wanted) in [
        (region.clone(), no_place),
        (
            json!({"properties": {"l": {"type": "array", "items": region}}}),
            no_place,
        ),
        (json!({"properties": {"l": {"prefixItems": [region]}}}), no_place),
        (
            json!({"properties": {"l": {"items": {"properties": {"r": region}}}}}),
            no_place,
        ),
        (json!({"anyOf": [{"properties": {"r": region}}]}), no_place),
        (json!({"not": {"properties": {"r": region}}}), no_place),
        (json!({"if": {"properties": {"r": region}}}), no_place),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/r"}}, "$defs": {"r": region}}),
            no_place,
        ),
        (json!({"patternProperties": {"^r": region}}), no_place),
        (json!({"additionalProperties": region}), no_place),
        // A parameter of that name, and values that hold it, are no marks.
        (json!({"properties": {"x-mcp-header": {"type": "string"}}}), ""),
        (
            json!({"properties": {"x-mcp-header": region}}),
            "mcp-param-region=x-mcp-header",
        ),
        (json!({"$defs": {"x-mcp-header": {"type": "number"}}}), ""),
        (
            json!({"properties": {"p": {"default": region, "examples": [region], "enum": [region], "const": region}}}),
            "",
        ),
    ] {
        assert_eq!(mirrored(&schema), wanted, "{schema}");
    }
}
