mod modern;
mod walk;

use serde_json::json;
use serde_json::value::RawValue;

use crate::edit::{NotAnObject, Object};
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
    // Whoever reads it may take half of a pair for a character, so what stands beside it is looked at.
    let half = strings::rewrite(&raw(r#"["a\ud800b"]"#), |_, text| {
        assert_eq!(text, "a\u{fffd}b");
        Some("c".to_owned())
    });
    assert_eq!(half.unwrap().get(), r#"["c"]"#);
    let named = strings::rewrite_all(&raw(r#"{"a":{"b":["b"]}}"#), |piece| match piece {
        strings::Piece::Name("b") => Some("x".to_owned()),
        strings::Piece::Name(_) => None,
        strings::Piece::Text { under, text } => Some(format!("{under:?} {text}")),
    });
    assert_eq!(named.unwrap().get(), r#"{"a":{"x":["Some(\"b\") b"]}}"#);
}
