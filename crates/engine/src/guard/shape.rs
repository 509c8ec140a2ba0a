//! Bodies brought to the API's own form: names spelled as the API spells them, types as it wants them, nothing
//! that it does not have.
//!
//! The daemon's decoder matches field names without regard to case, in the sense of Unicode: `ſ` (U+017F) counts
//! as `s` and the Kelvin sign (U+212A) as `k`. So names are folded the same way, two that fold alike are refused,
//! and rules read the result by its proper names without ever asking for a type again.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Map, Value};

use super::refusal::{Refusal, Rule};

/// What a value has to be. `null` is accepted everywhere as the absence of a value, as the daemon does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Bool,
    Int,
    Float,
    Text,
    /// A list of texts.
    Texts,
    /// A list of texts, or one text that stands for a list of one.
    TextOrTexts,
    TextOrInt,
    /// An object without fields.
    Empty,
    /// An object with these fields.
    Struct(Shape),
    List(&'static Self),
    /// An object with free names; those are the caller's own and compared byte by byte.
    Map(&'static Self),
    /// Anything: for what an own rule already keeps shut.
    Any,
}

/// The fields of an object, by their names in the API.
pub(super) type Shape = &'static [(&'static str, Kind)];

/// Brings a body into shape. `doing` is what the request is, for refusals.
pub(super) fn read(value: Value, kind: Kind, doing: &str) -> Result<Value, Refusal> {
    let mut at = String::new();
    convert(value, kind, &mut at).map_err(|problem| {
        let place = if at.is_empty() {
            Cow::Borrowed("the body")
        } else {
            Cow::Borrowed(at.as_str())
        };
        let what = format!("{doing}: {place}");
        match problem {
            Problem::Unknown(name, hint) => Refusal::new(Rule::UnknownField, what, &name, hint),
            Problem::Twice(name) => Refusal::new(
                Rule::Body,
                what,
                &name,
                "the field stands there twice, in two spellings",
            ),
            Problem::Type(wanted) => Refusal::new(Rule::Body, what, "", format!("it has to be {wanted}")),
        }
    })
}

/// The names of a struct that `name` means, as the daemon compares them.
pub(super) fn find(shape: Shape, name: &str) -> Option<(&'static str, Kind)> {
    let folded = fold(name);
    let found = shape
        .iter()
        .find(|(own, _)| own.bytes().map(|b| b.to_ascii_lowercase()).eq(folded.bytes()));
    found.copied()
}

/// A name as the daemon folds it. Only three non-ASCII characters fold to ASCII letters, and one of them (`İ`)
/// not in simple folding.
pub(super) fn fold(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

enum Problem {
    Unknown(String, &'static str),
    Twice(String),
    Type(&'static str),
}

/// Leaves in `at` where the problem is.
fn convert(value: Value, kind: Kind, at: &mut String) -> Result<Value, Problem> {
    match (kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Kind::Any, value)
        | (Kind::Float, value @ Value::Number(_))
        | (Kind::Bool, value @ Value::Bool(_))
        | (Kind::Text | Kind::TextOrTexts | Kind::TextOrInt, value @ Value::String(_)) => Ok(value),
        (Kind::Int | Kind::TextOrInt, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Ok(Value::Number(number))
        }
        (Kind::Texts | Kind::TextOrTexts, Value::Array(items)) => list(items, Kind::Text, at),
        (Kind::List(item), Value::Array(items)) => list(items, *item, at),
        (Kind::Empty, Value::Object(map)) => fields(map, &[], at),
        (Kind::Struct(shape), Value::Object(map)) => fields(map, shape, at),
        (Kind::Map(item), Value::Object(map)) => entries(map, *item, at),
        (kind, _) => Err(Problem::Type(kind.noun())),
    }
}

fn list(items: Vec<Value>, kind: Kind, at: &mut String) -> Result<Value, Problem> {
    let length = at.len();
    let mut out = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let _ = write!(at, "[{index}]");
        let item = convert(item, kind, at)?;
        // The daemon makes an empty text or object of it; nobody means that.
        if item.is_null() {
            return Err(Problem::Type(kind.noun()));
        }
        out.push(item);
        at.truncate(length);
    }
    Ok(Value::Array(out))
}

fn fields(map: Map<String, Value>, shape: Shape, at: &mut String) -> Result<Value, Problem> {
    let length = at.len();
    let mut out = Map::with_capacity(map.len());
    let mut seen: Vec<&'static str> = Vec::with_capacity(map.len());
    for (key, value) in map {
        let Some((name, kind)) = find(shape, &key) else {
            return Err(Problem::Unknown(
                key,
                "the guard does not know this field here, so it can't tell what it allows",
            ));
        };
        if seen.contains(&name) {
            return Err(Problem::Twice(key));
        }
        seen.push(name);
        if length > 0 {
            at.push('.');
        }
        at.push_str(name);
        let value = convert(value, kind, at)?;
        if !value.is_null() {
            out.insert(name.to_owned(), value);
        }
        at.truncate(length);
    }
    Ok(Value::Object(out))
}

fn entries(map: Map<String, Value>, kind: Kind, at: &mut String) -> Result<Value, Problem> {
    let length = at.len();
    let mut out = Map::with_capacity(map.len());
    for (key, value) in map {
        let _ = write!(at, "[{}]", super::refusal::shown(&key));
        let value = convert(value, kind, at)?;
        out.insert(key, value);
        at.truncate(length);
    }
    Ok(Value::Object(out))
}

impl Kind {
    const fn noun(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Text => "a text",
            Self::Texts => "a list of texts",
            Self::TextOrTexts => "a text or a list of texts",
            Self::TextOrInt => "a text or a whole number",
            Self::Empty => "an empty object",
            Self::Struct(_) | Self::Map(_) => "an object",
            Self::List(_) => "a list",
            Self::Any => "a value",
        }
    }
}

/// Reading of a value that is in shape, or that the daemon gave: what is absent is the type's empty value.
pub(super) trait Shaped {
    /// The field, or `null`.
    fn at(&self, name: &str) -> &Value;
    fn flag(&self, name: &str) -> bool;
    fn int(&self, name: &str) -> i64;
    fn text(&self, name: &str) -> &str;
    fn texts(&self, name: &str) -> impl Iterator<Item = &str>;
    fn items(&self, name: &str) -> impl Iterator<Item = &Value>;
    fn pairs(&self, name: &str) -> impl Iterator<Item = (&str, &Value)>;
}

impl Shaped for Value {
    fn at(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&Self::Null)
    }

    fn flag(&self, name: &str) -> bool {
        self.at(name).as_bool().unwrap_or_default()
    }

    fn int(&self, name: &str) -> i64 {
        self.at(name).as_i64().unwrap_or_default()
    }

    fn text(&self, name: &str) -> &str {
        self.at(name).as_str().unwrap_or_default()
    }

    fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.items(name).filter_map(Self::as_str)
    }

    fn items(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.at(name).as_array().into_iter().flatten()
    }

    fn pairs(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        let map = self.at(name).as_object();
        map.into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const INNER: Shape = &[("KindOfName", Kind::Text), ("Sick", Kind::Bool)];
    const OUTER: Shape = &[
        ("Name", Kind::Text),
        ("Count", Kind::Int),
        ("Ratio", Kind::Float),
        ("Cmd", Kind::TextOrTexts),
        ("Inner", Kind::Struct(INNER)),
        ("Many", Kind::List(&Kind::Struct(INNER))),
        ("Labels", Kind::Map(&Kind::Text)),
        ("Set", Kind::Map(&Kind::Empty)),
    ];

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a table reads better without references"
    )]
    fn check(value: Value, wanted: Result<Value, (Rule, &str)>) {
        let got = read(value.clone(), Kind::Struct(OUTER), "test");
        match (&got, &wanted) {
            (Ok(got), Ok(wanted)) => assert_eq!(got, wanted, "{value}"),
            (Err(refusal), Err((rule, what))) => {
                assert_eq!((refusal.rule, refusal.what.as_str()), (*rule, *what), "{value}");
            }
            _ => unreachable!("{value}: {got:?} instead of {wanted:?}"),
        }
    }

    #[test]
    fn shaping() {
        check(
            json!({"name": "a", "COUNT": 3}),
            Ok(json!({"Name": "a", "Count": 3})),
        );
        check(json!({"Name": null, "Inner": null}), Ok(json!({})));
        check(
            json!({"inner": {"\u{212a}indofname": "x", "\u{17f}IC\u{212a}": true}}),
            Ok(json!({"Inner": {"KindOfName": "x", "Sick": true}})),
        );
        check(
            json!({"Labels": {"A": "1", "a": "2", "b": null}}),
            Ok(json!({"Labels": {"A": "1", "a": "2", "b": null}})),
        );
        check(
            json!({"Cmd": "x", "Set": {"a": {}}}),
            Ok(json!({"Cmd": "x", "Set": {"a": {}}})),
        );
        check(json!({"Cmd": ["x", "y"]}), Ok(json!({"Cmd": ["x", "y"]})));

        check(json!({"Other": 1}), Err((Rule::UnknownField, "test: the body")));
        check(
            json!({"Inner": {"Privileged": true}}),
            Err((Rule::UnknownField, "test: Inner")),
        );
        check(
            json!({"Set": {"a": {"b": 1}}}),
            Err((Rule::UnknownField, "test: Set[a]")),
        );
        check(
            json!({"Name": "a", "name": "b"}),
            Err((Rule::Body, "test: the body")),
        );
        check(
            json!({"Name": null, "name": "b"}),
            Err((Rule::Body, "test: the body")),
        );
        check(
            json!({"Inner": {"sick": true, "\u{17f}ick": false}}),
            Err((Rule::Body, "test: Inner")),
        );
        for (field, value) in [
            ("Name", json!(1)),
            ("Name", json!(["a"])),
            ("Count", json!("3")),
            ("Count", json!(3.0)),
            ("Count", json!(true)),
            ("Ratio", json!("1")),
            ("Cmd", json!({})),
            ("Inner", json!([])),
            ("Inner", json!("x")),
            ("Many", json!({})),
            ("Labels", json!([])),
        ] {
            check(
                json!({ field: value }),
                Err((Rule::Body, &format!("test: {field}"))),
            );
        }
        check(json!({"Cmd": ["x", 1]}), Err((Rule::Body, "test: Cmd[1]")));
        check(json!({"Cmd": ["x", null]}), Err((Rule::Body, "test: Cmd[1]")));
        check(
            json!({"Many": [{}, {"Sick": 1}]}),
            Err((Rule::Body, "test: Many[1].Sick")),
        );
        check(json!({"Labels": {"a": 1}}), Err((Rule::Body, "test: Labels[a]")));
        check(json!([]), Err((Rule::Body, "test: the body")));
        check(json!("x"), Err((Rule::Body, "test: the body")));
    }

    proptest! {
        #[test]
        fn no_spelling_of_a_name_gets_by(name in "[sS\u{17f}][iI][cC][kK\u{212a}]", value in any::<bool>()) {
            let body = json!({"Inner": {name: value}});
            let got = read(body, Kind::Struct(OUTER), "test").unwrap();
            prop_assert_eq!(got, json!({"Inner": {"Sick": value}}));
        }

        #[test]
        fn what_is_shaped_keeps_its_shape(text in "\\PC{0,8}", count in any::<i64>()) {
            let body = json!({"NAME": text, "count": count, "labels": {text.clone(): text.clone()}});
            let once = read(body, Kind::Struct(OUTER), "test").unwrap();
            let twice = read(once.clone(), Kind::Struct(OUTER), "test").unwrap();
            prop_assert_eq!(once, twice);
        }
    }
}
