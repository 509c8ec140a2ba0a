//! JSON read so that nothing can hide in it: no key twice in an object, nothing after the end, bounded depth.
//!
//! The daemon's decoder lets the last of two equal keys win and merges objects under them; a parser that kept the
//! first would judge another request than the one that is carried out.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Largest body that is judged, in bytes. Secrets and configs of a swarm may hold 1000 KiB, in base64.
pub(super) const MAX_BODY: usize = 4 * 1024 * 1024;

/// Deepest nesting. The API's own structures end at 8.
const MAX_DEPTH: usize = 24;

/// Reads a JSON text.
pub(super) fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    if text.len() > MAX_BODY {
        return Err(de::Error::custom("it is over 4 MiB"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Depth(MAX_DEPTH).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// How much deeper a value may nest.
#[derive(Clone, Copy)]
struct Depth(usize);

impl Depth {
    fn down<E: de::Error>(self) -> Result<Self, E> {
        let rest = self.0.checked_sub(1);
        rest.map(Self)
            .ok_or_else(|| E::custom(format_args!("it is nested more than {MAX_DEPTH} deep")))
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.down()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(below)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.down()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(below)?;
            if map.contains_key(&key) {
                let key = super::refusal::shown(&key);
                return Err(de::Error::custom(format_args!(
                    "the key {key:?} stands there twice"
                )));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reading() {
        for (text, wanted) in [
            (
                "{\"a\":[1,-2,1.5,\"x\",true,null]}",
                Ok(json!({"a": [1, -2, 1.5, "x", true, null]})),
            ),
            (" {} \n", Ok(json!({}))),
            ("{\"a\":1,\"a\":1}", Err("twice")),
            ("{\"a\":1,\"\\u0061\":2}", Err("twice")),
            ("{\"x\":{\"a\":1,\"b\":2,\"a\":3}}", Err("twice")),
            ("{}{}", Err("trailing")),
            ("{} x", Err("trailing")),
            ("", Err("EOF")),
            ("{\"a\":1", Err("EOF")),
            ("{\"a\":\"\\ud800\"}", Err("")),
            ("{'a':1}", Err("")),
            ("{\"a\":1,}", Err("")),
            ("\u{feff}{}", Err("")),
            ("{\"a\":01}", Err("")),
            ("{\"a\":1e999}", Err("")),
            ("// x\n{}", Err("")),
        ] {
            match (parse(text.as_bytes()), wanted) {
                (Ok(value), Ok(wanted)) => assert_eq!(value, wanted, "{text}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
                (got, wanted) => unreachable!("{text}: {got:?} instead of {wanted:?}"),
            }
        }
        assert!(parse(&[b'{', b'"', 0xff, b'"', b':', b'1', b'}']).is_err());
        let deep = format!("{}{}", "[".repeat(30), "]".repeat(30));
        assert!(parse(deep.as_bytes()).is_err());
        assert!(parse(" ".repeat(MAX_BODY + 1).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_what_others_read(text in "[\\[\\]{}:,\"a0-9. \\\\u-]{0,40}") {
            if let Ok(value) = parse(text.as_bytes()) {
                let other: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(value, other);
            }
        }
    }
}
