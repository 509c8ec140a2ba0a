use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::edit::{NotAnObject, Object};
use crate::header::{Mirrored, decode};
use crate::meta::{Ability, ClientCapabilities, RequestMeta};
use crate::mrtr::{Elicited, input_required};
use crate::*;

fn raw(text: &str) -> Raw {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// What `parse` makes of it, short.
fn seen(text: &[u8]) -> String {
    let limits = Limits {
        bytes: 300,
        depth: 6,
        batch: 3,
    };
    let show = |message: &Message| match message {
        Message::Request(Request { id, method, params }) => {
            format!(
                "request {id} {method} {}",
                params.as_ref().map_or("-", |raw| raw.get())
            )
        }
        Message::Notification(Notification { method, params }) => {
            format!(
                "notification {method} {}",
                params.as_ref().map_or("-", |raw| raw.get())
            )
        }
        Message::Response(Response { id, outcome }) => {
            let id = id.as_ref().map_or("-".to_owned(), ToString::to_string);
            match outcome {
                Ok(result) => format!("result {id} {}", result.get()),
                Err(error) => format!("error {id} {}", error.get()),
            }
        }
    };
    let refused = |error: &Malformed| {
        format!(
            "{} {}",
            error.code,
            error.id.as_ref().map_or("-".to_owned(), ToString::to_string)
        )
    };
    match parse(text, &limits) {
        Ok(Frame::Single(message)) => show(&message),
        Ok(Frame::Batch(messages)) => {
            let shown = messages
                .iter()
                .map(|message| message.as_ref().map_or_else(refused, show));
            shown.collect::<Vec<_>>().join(" | ")
        }
        Err(error) => refused(&error),
    }
}

#[test]
fn messages() {
    for (text, wanted) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1 ping -"),
        (
            r#" {"method":"m","params":{ "a" : 1.0 },"id":"x","jsonrpc":"2.0"} "#,
            r#"request "x" m { "a" : 1.0 }"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"m","params":{"n":1e400}}"#,
            r#"request 123456789012345678901234567890 m {"n":1e400}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":-7,"method":"m","params":null}"#,
            "request -7 m -",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"\u0061\"","method":"m"}"#,
            r#"request "a\"" m -"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"n","params":{"x":[]}}"#,
            r#"notification n {"x":[]}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"b":1,"a":2}}"#,
            r#"result 1 {"b":1,"a":2}"#,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, "result 1 null"),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"x":2}}"#,
            r#"error 1 {"code":1,"x":2}"#,
        ),
        (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, "error - {}"),
        (r#"{"jsonrpc":"2.0","error":{}}"#, "error - {}"),
        // What JSON-RPC does not know passes by.
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","trace":{"a":1}}"#,
            "request 1 m -",
        ),
    ] {
        assert_eq!(seen(text.as_bytes()), wanted, "{text}");
    }
}

#[test]
fn what_is_no_message() {
    for (text, wanted) in [
        // Not JSON.
        ("", "-32700 -"),
        ("{", "-32700 -"),
        ("nonsense", "-32700 -"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m"} {}"#, "-32700 -"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{]}}"#,
            "-32700 -",
        ),
        // JSON, but no message.
        ("7", "-32600 -"),
        (r#""text""#, "-32600 -"),
        ("{}", "-32600 -"),
        (r#"{"id":1,"method":"m"}"#, "-32600 1"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, "-32600 1"),
        (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":1e3,"method":"m"}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#, "-32600 1"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#,
            "-32602 1",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"x"}"#,
            "-32602 1",
        ),
        // Two readers could take different ones.
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
            "-32600 1",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"b"}"#, "-32600 -"),
        // Batches.
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"m"},{"jsonrpc":"2.0","method":"n"},7]"#,
            "request 1 m - | notification n - | -32600 -",
        ),
        ("[]", "-32600 -"),
        ("[1,2,3,4]", "-32600 -"),
        ("[1,", "-32700 -"),
        // Depth: 6 levels pass, 7 do not; brackets in strings are none.
        (
            r#"{"jsonrpc":"2.0","method":"n","params":{"x":[[[[]]]]}}"#,
            r#"notification n {"x":[[[[]]]]}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"n","params":{"x":[[[[[]]]]]}}"#,
            "-32600 -",
        ),
        (
            r#"{"jsonrpc":"2.0","method":"n","params":{"x":"[[[[[[[[\"[[[["}}"#,
            r#"notification n {"x":"[[[[[[[[\"[[[["}"#,
        ),
    ] {
        assert_eq!(seen(text.as_bytes()), wanted, "{text}");
    }
    assert_eq!(seen(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}"), "-32700 -");
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"x":"{}"}}}}"#,
        "x".repeat(300)
    );
    assert_eq!(seen(long.as_bytes()), "-32600 -");
}

#[test]
fn nesting_without_end_does_not_exhaust_the_stack() {
    for open in ["[", "{\"a\":"] {
        let bomb = open.repeat(2_000_000);
        let limits = Limits {
            bytes: usize::MAX,
            ..Limits::default()
        };
        assert_eq!(
            parse(bomb.as_bytes(), &limits).unwrap_err().code,
            code::INVALID_REQUEST
        );
    }
}

#[test]
fn a_message_is_one_line() {
    let request = Message::Request(Request {
        id: Id::Text("a\n\"".into()),
        method: "m".to_owned(),
        params: Some(raw("{\n  \"text\": \"a\\nb\",\r\n\t\"n\": 1.50\n}")),
    });
    assert_eq!(
        String::from_utf8(request.to_line()).unwrap(),
        "{\"jsonrpc\":\"2.0\",\"id\":\"a\\n\\\"\",\"method\":\"m\",\"params\":{   \"text\": \"a\\nb\",  \t\"n\": 1.50 }}"
    );
    let fault = Fault::new(code::INVALID_PARAMS, "no").with(json!({"a": 1}));
    assert_eq!(
        String::from_utf8(Message::response(None, Err(fault)).to_line()).unwrap(),
        r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"no","data":{"a":1}}}"#
    );
}

#[test]
fn edits() {
    let given =
        raw(r#"{ "big":12345678901234567890123 , "name" : "old", "x": {"b":1, "a":2}, "gone": [ ] }"#);
    let mut object = Object::parse(&given).unwrap();
    object.set("name", "new");
    object.remove("gone");
    object.remove("never there");
    object.set("added", &json!({"k": [1]}));
    assert_eq!(
        object.to_raw().get(),
        r#"{"big":12345678901234567890123,"name":"new","x":{"b":1, "a":2},"added":{"k":[1]}}"#
    );
    assert_eq!(object.text("name").as_deref(), Some("new"));
    assert_eq!(object.text("big"), None);
    for (text, wanted) in [
        ("[]", NotAnObject::Other),
        ("null", NotAnObject::Other),
        (r#"{"a":1,"a":1}"#, NotAnObject::Duplicate("a".to_owned())),
        (
            r#"{"name":1,"Name":1}"#,
            NotAnObject::Duplicate("Name".to_owned()),
        ),
        (
            r#"{"name":1,"n\u0061me":1}"#,
            NotAnObject::Duplicate("name".to_owned()),
        ),
    ] {
        assert_eq!(Object::parse(&raw(text)).unwrap_err(), wanted, "{text}");
    }
    // Many members are compared by another way.
    let members: Vec<_> = (0..40).map(|at| format!("\"k{at}\":0")).collect();
    assert!(Object::parse(&raw(&format!("{{{}}}", members.join(",")))).is_ok());
    assert_eq!(
        Object::parse(&raw(&format!("{{{},\"K7\":1}}", members.join(",")))).unwrap_err(),
        NotAnObject::Duplicate("K7".to_owned())
    );
}

#[test]
fn strict_trees() {
    for (text, wanted) in [
        (
            r#"{"a":[1,-2,3.5,true,null,"x"],"b":{}}"#,
            Some(json!({"a": [1, -2, 3.5, true, null, "x"], "b": {}})),
        ),
        (r#"{"a":1,"b":{"x":1,"x":2}}"#, None),
        (r#"[{"a":1,"\u0061":2}]"#, None),
        (
            r#"{"a":{"x":1},"b":{"x":1}}"#,
            Some(json!({"a": {"x": 1}, "b": {"x": 1}})),
        ),
    ] {
        assert_eq!(strict_value(&raw(text)).ok(), wanted, "{text}");
    }
}

#[test]
fn canonical_forms() {
    for (one, other, equal) in [
        (r#"{"a":1,"b":[1,2]}"#, r#" { "b" : [1, 2], "a":1 } "#, true),
        (r#"{"a":"\u0041"}"#, r#"{"a":"A"}"#, true),
        (r#"{"x":{"a":1,"b":2}}"#, r#"{"x":{"b":2,"a":1}}"#, true),
        (r#"{"a":1}"#, r#"{"a":1.0}"#, false),
        (r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#, false),
        (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false),
        (r#"{"a":"1"}"#, r#"{"a":1}"#, false),
        (r#"{"a":null}"#, "{}", false),
    ] {
        assert_eq!(
            canonical(&raw(one)) == canonical(&raw(other)),
            equal,
            "{one} {other}"
        );
    }
}

#[test]
fn strings_by_their_names() {
    let given = raw(r#"{"a":"1","b":["2",{"c":"3"},"4"],"d\"":"5\n", "n":6,"e":{},"f":"7"}"#);
    let mut seen = Vec::new();
    let new = strings::rewrite(&given, |name, text| {
        seen.push(format!("{}={text}", name.unwrap_or("-")));
        (text == "4" || text == "5\n").then(|| format!("{text}!"))
    });
    assert_eq!(seen, ["a=1", "b=2", "c=3", "b=4", "d\"=5\n", "f=7"]);
    assert_eq!(
        new.unwrap().get(),
        r#"{"a":"1","b":["2",{"c":"3"},"4!"],"d\"":"5\n!", "n":6,"e":{},"f":"7"}"#
    );
    assert_eq!(
        strings::rewrite(&raw(r#""x""#), |_, _| Some("y".to_owned()))
            .unwrap()
            .get(),
        r#""y""#
    );
    assert!(strings::rewrite(&given, |_, _| None).is_none());
    // Half a surrogate pair has no text; it stays.
    assert!(strings::rewrite(&raw(r#"["\ud800"]"#), |_, _| Some(String::new())).is_none());
}

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
fn mirrored_parameters() {
    let found = Mirrored::of_schema(&json!({"properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"properties": {"n": {"type": "integer", "x-mcp-header": "Num"}}},
        "list": {"items": {"properties": {"no": {"x-mcp-header": "No"}}}},
        "bad": {"x-mcp-header": "no spaces"},
    }}));
    let headers: Vec<_> = found
        .iter()
        .map(|found| (found.header.as_str(), found.path.join(".")))
        .collect();
    assert_eq!(
        headers,
        [
            ("mcp-param-region", "region".to_owned()),
            ("mcp-param-num", "deep.n".to_owned())
        ]
    );

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

/// Any JSON value, as text with blanks wherever they may stand.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        "\\PC{0,12}".prop_map(|text| to_raw(&text).get().to_owned()),
        "(\\\\u[0-9a-fA-F]{4}|\\\\n|\\\\\"|[a-z]){0,6}".prop_map(|text| format!("\"{text}\"")),
    ];
    let blank = "[ \t]{0,2}";
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec((blank, inner.clone()), 0..5).prop_map(|items| format!(
                "[{}]",
                items
                    .iter()
                    .map(|(b, i)| format!("{b}{i}"))
                    .collect::<Vec<_>>()
                    .join(",")
            )),
            object_text(inner),
        ]
    })
}

fn object_text(values: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::btree_map("[a-z]{1,6}", ("[ \t]{0,2}", values), 0..5).prop_map(|members| {
        let members: Vec<_> = members
            .iter()
            .map(|(name, (b, value))| format!("\"{name}\"{b}:{b}{value}"))
            .collect();
        format!("{{{}}}", members.join(" ,"))
    })
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,30})".prop_map(|digits| Id::Number(digits.into())),
        "\\PC{0,12}".prop_map(|text| Id::Text(text.into())),
    ]
}

/// Members in order, by `serde_json` alone.
mod indexed {
    use super::RawValue;

    pub(super) struct Members(pub(super) Vec<(String, String)>);

    impl<'de> serde::Deserialize<'de> for Members {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Reader;
            impl<'de> serde::de::Visitor<'de> for Reader {
                type Value = Members;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                    let mut members = Vec::new();
                    while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                        members.push((name, value.get().to_owned()));
                    }
                    Ok(Members(members))
                }
            }
            deserializer.deserialize_map(Reader)
        }
    }
}

/// Whether all strings are `*`.
fn is_marked(value: &Value) -> bool {
    match value {
        Value::String(text) => text == "*",
        Value::Array(items) => items.iter().all(is_marked),
        Value::Object(members) => members.values().all(is_marked),
        _ => true,
    }
}

/// Whether the walk takes this for an object or an array, and whether `serde_json` does.
fn walked(text: &str) -> (bool, bool) {
    let members = scan::Walk::checking(text, 100).members(|_, _| {});
    let items = scan::Walk::checking(text, 100).items(|_| {});
    let is_raw = serde_json::from_str::<&RawValue>(text).is_ok();
    let is_open = text.trim_ascii_start().starts_with(['[', '{']);
    (members.or(items).is_some(), is_raw && is_open)
}

#[test]
fn the_walk_takes_what_is_json_and_nothing_else() {
    for inner in [
        "",
        "0",
        "-0",
        "00",
        "-",
        "01",
        "1.",
        ".1",
        "1.5",
        "1e",
        "1e+",
        "1E-7",
        "1e5.",
        "+1",
        "0x1",
        "true",
        "tru",
        "truex",
        "nul",
        "NULL",
        "\"",
        "\"\"",
        "\"\\\"",
        "\"\\\\\"",
        "\"\\u00e9\"",
        "\"\\u00g9\"",
        "\"\\u00\"",
        "\"\\x\"",
        "\"\n\"",
        "\"\u{1f}\"",
        "\"\u{7f}é\"",
        "\"\\ud800\"",
        "[",
        "]",
        "[]",
        "[ ]",
        "[,]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2]",
        "{}",
        "{ }",
        "{,}",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\" : 1 , \"b\":[{}]}",
        "[}",
        "{]",
        "[[[]]",
        "\u{a0}1",
        "1\u{b}",
        "\"long enough for eight\u{2} at a time\"",
        "\"long enough for eight\\/ at a time, é\"",
    ] {
        for text in [
            inner.to_owned(),
            format!("[{inner}]"),
            format!(" [0, {inner} ]\n"),
            format!("{{\"m\":{inner}}}"),
            format!("[{inner}] 1"),
        ] {
            let (walk, serde) = walked(&text);
            assert_eq!(walk, serde, "{text}");
        }
    }
}

#[test]
fn long_messages_are_read_at_once() {
    // As deep as is allowed, and one more.
    for (levels, is_read) in [(99, true), (100, false)] {
        let body = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{body}}}"#);
        assert_eq!(
            parse(text.as_bytes(), &Limits::default()).is_ok(),
            is_read,
            "{levels}"
        );
    }
}

proptest! {
    #[test]
    fn the_walk_agrees_about_what_is_nearly_json(
        json in json_text(), at in any::<prop::sample::Index>(), other in "[\\[\\]{}:,\"\\\\0-9a-z \n\t\u{1}.eE+-]{0,2}", gone in 0..3usize,
    ) {
        let mut text: Vec<char> = json.chars().collect();
        let at = at.index(text.len());
        let behind = (at + gone).min(text.len());
        text.splice(at..behind, other.chars());
        for text in [json, text.into_iter().collect()] {
            let (walk, serde) = walked(&text);
            prop_assert_eq!(walk, serde, "{}", text);
        }
    }

    #[test]
    fn the_walk_finds_the_members_and_items(members in object_text(json_text()), items in prop::collection::vec(json_text(), 0..5)) {
        let given = raw(&members);
        let wanted: indexed::Members = serde_json::from_str(given.get()).unwrap();
        let object = Object::parse(&given).unwrap();
        let found: Vec<_> = object.iter().map(|(name, value)| (name.to_owned(), value.get().to_owned())).collect();
        prop_assert_eq!(found, wanted.0);
        let given = raw(&format!("{{\"items\": [{}]}}", items.join(" , ")));
        let object = Object::parse(&given).unwrap();
        let written = object.written("items").unwrap().items().unwrap();
        let wanted = edit::items(object.get("items").unwrap()).unwrap();
        prop_assert_eq!(written.len(), wanted.len());
        for (written, wanted) in written.iter().zip(wanted) {
            let text = serde_json::from_str::<String>(wanted.get()).ok();
            prop_assert_eq!(written.text().map(std::borrow::Cow::into_owned), text);
            prop_assert_eq!(written.members().is_ok(), Object::parse(wanted).is_ok());
        }
    }

    #[test]
    fn bodies_come_back_byte_for_byte(
        id in id(), method in "\\PC{1,12}", params in object_text(json_text()), result in json_text(), error in object_text(json_text()),
    ) {
        for message in [
            Message::Request(Request { id: id.clone(), method: method.clone(), params: Some(raw(&params)) }),
            Message::Notification(Notification { method: method.clone(), params: Some(raw(&params)) }),
            Message::Response(Response { id: Some(id.clone()), outcome: Ok(raw(&result)) }),
            Message::Response(Response { id: Some(id.clone()), outcome: Err(raw(&error)) }),
        ] {
            let line = message.to_line();
            prop_assert!(!line.contains(&b'\n'));
            let Ok(Frame::Single(back)) = parse(&line, &Limits::default()) else {
                return Err(TestCaseError::fail(String::from_utf8_lossy(&line).into_owned()));
            };
            match (&message, &back) {
                (Message::Request(sent), Message::Request(got)) => {
                    prop_assert_eq!((&sent.id, &sent.method), (&got.id, &got.method));
                    prop_assert_eq!(got.params.as_ref().unwrap().get(), &params);
                }
                (Message::Notification(sent), Message::Notification(got)) => {
                    prop_assert_eq!(&sent.method, &got.method);
                    prop_assert_eq!(got.params.as_ref().unwrap().get(), &params);
                }
                (Message::Response(sent), Message::Response(got)) => {
                    prop_assert_eq!(&sent.id, &got.id);
                    let text = |outcome: &Result<Raw, Raw>| match outcome { Ok(raw) | Err(raw) => raw.get().to_owned() };
                    prop_assert_eq!(text(&sent.outcome), text(&got.outcome));
                    prop_assert_eq!(sent.outcome.is_ok(), got.outcome.is_ok());
                }
                _ => return Err(TestCaseError::fail("became another kind of message")),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&bytes, &Limits::default()));
    }

    #[test]
    fn what_looks_like_a_message_never_panics(
        text in "[\\[\\]{}:,\"\\\\0-9a-z \n.eE+-]{0,60}", id in json_text(), params in json_text(),
    ) {
        drop(parse(text.as_bytes(), &Limits::default()));
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m","params":{params}}}"#);
        drop(parse(text.as_bytes(), &Limits::default()));
    }

    #[test]
    fn an_edit_leaves_the_rest_alone(object in object_text(json_text()), value in json_text()) {
        let given = raw(&object);
        let before = Object::parse(&given).unwrap();
        let mut edited = before.clone();
        edited.set("added", &raw(&value));
        let written = edited.to_raw();
        let after = Object::parse(&written).unwrap();
        prop_assert_eq!(after.get("added").unwrap().get(), value.trim());
        let others: Vec<_> = after.iter().filter(|(name, _)| *name != "added").map(|(n, v)| (n, v.get())).collect();
        prop_assert_eq!(before.iter().filter(|(name, _)| *name != "added").map(|(n, v)| (n, v.get())).collect::<Vec<_>>(), others);
    }

    #[test]
    fn canonical_is_the_same_value_and_settled(text in json_text()) {
        let once = canonical(&raw(&text));
        prop_assert_eq!(canonical(&raw(&once)), once.clone());
        if let Ok(given) = serde_json::from_str::<Value>(&text) {
            prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), given);
        }
    }

    #[test]
    fn rewriting_every_string_reaches_every_string(text in json_text()) {
        let marked = strings::rewrite(&raw(&text), |_, _| Some("*".to_owned()));
        // A text with half a surrogate pair is no tree and keeps those.
        if let Ok(value) = serde_json::from_str::<Value>(marked.as_deref().map_or(&text, RawValue::get)) {
            prop_assert!(is_marked(&value));
        }
    }
}
