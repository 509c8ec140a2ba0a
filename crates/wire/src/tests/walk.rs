//! The walk over a message, and what is built on it, with any input.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::raw;
use crate::edit::Object;
use crate::*;

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
    let mut walk = scan::Walk::checking(text, 100);
    let items = walk
        .array(|walk| walk.value(1).map(drop))
        .and_then(|()| walk.end());
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
        let items = edit::items(object.get("items").unwrap()).unwrap();
        for item in &items {
            prop_assert_eq!(edit::text(item).map(std::borrow::Cow::into_owned), serde_json::from_str::<String>(item.get()).ok());
        }
        let with = Object::parse_with(&given, "items");
        prop_assert_eq!(with.is_some(), items.iter().all(|item| Object::parse(item).is_ok()));
    }

    #[test]
    fn a_list_of_objects_is_read_with_the_object(
        before in json_text(), objects in prop::collection::vec(object_text(json_text()), 0..4), after in json_text(),
    ) {
        let given = raw(&format!("{{\"a\":{before}, \"list\" : [ {} ],\"z\":{after}}}", objects.join(" ,")));
        let alone = Object::parse(&given).unwrap();
        let wanted: Vec<_> = edit::items(alone.get("list").unwrap()).unwrap();
        let (object, list) = Object::parse_with(&given, "list").unwrap();
        let text = |object: &Object<'_>| object.to_raw().get().to_owned();
        prop_assert_eq!(text(&object), text(&alone));
        prop_assert_eq!(list.len(), wanted.len());
        for (found, wanted) in list.iter().zip(wanted) {
            prop_assert_eq!(text(found), text(&Object::parse(wanted).unwrap()));
        }
        prop_assert!(Object::parse_with(&given, "a").is_none() || before.trim_start().starts_with('['));
        prop_assert!(Object::parse_with(&given, "none").is_none());
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
    fn a_front_and_its_rest_are_the_whole(
        text in prop_oneof![any::<String>(), "[a-c\\\\\"\né€𝄞]{0,40}"],
        escapes in prop::collection::vec(any::<bool>(), 40),
        most in 0usize..60,
    ) {
        let mut literal = String::from("\"");
        for (at, c) in text.chars().enumerate() {
            let plain = serde_json::to_string(&c).unwrap();
            if escapes.get(at).copied().unwrap_or_default() {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(literal, "\\u{unit:04x}").unwrap();
                }
            } else {
                literal.push_str(&plain[1..plain.len() - 1]);
            }
        }
        literal.push('"');
        let object = raw(&format!(r#"{{"a":{literal}}}"#));
        let object = Object::parse(&object).unwrap();
        let (front, rest) = object.written("a").unwrap().front(most);
        let behind = crate::edit::unescaped(rest);
        prop_assert_eq!(format!("{front}{behind}"), text);
        prop_assert!(front.len() <= most);
        // One more would not have fitted.
        if let Some(next) = behind.chars().next() {
            prop_assert!(front.len() + next.len_utf8() > most, "{front:?} {behind:?}");
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
