//! Sizes in bytes.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::str::FromStr;

/// Bytes: a number, or text with a unit, of 1024 as the engine's own client counts: `512m`, `1.5g`, `64k`. `-1` is
/// "no limit".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub i64);

crate::inline_schema!(Size, crate::schema::text);

const FORM: &str = "a size is a number of bytes or text such as 512m or 1.5g";

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        if text == "-1" {
            return Ok(Self(-1));
        }
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            _ => return Err(FORM),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let bytes = scaled(whole, fraction, shift).ok_or(FORM)?;
        Ok(Self(bytes))
    }
}

/// `whole.fraction << shift` in integers; at most six digits of the fraction count.
fn scaled(whole: &str, fraction: &str, shift: u32) -> Option<i64> {
    let whole: i64 = whole.parse().ok()?;
    let fraction = &fraction[..fraction.len().min(6)];
    let part = match fraction {
        "" => 0,
        digits => (digits.parse::<i64>().ok()? << shift) / 10_i64.pow(u32::try_from(digits.len()).ok()?),
    };
    whole.checked_mul(1 << shift)?.checked_add(part)
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => match number.as_i64() {
                Some(bytes) if bytes >= -1 => Ok(Self(bytes)),
                _ => Err(D::Error::custom(FORM)),
            },
            Value::String(text) => text.parse().map_err(D::Error::custom),
            _ => Err(D::Error::custom(FORM)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("512", Some(512)),
            ("64k", Some(64 << 10)),
            ("512M", Some(512 << 20)),
            ("1.5g", Some(3 << 29)),
            ("2GiB", Some(2 << 30)),
            ("1 gb", Some(1 << 30)),
            ("-1", Some(-1)),
            ("", None),
            ("m", None),
            ("1x", None),
            ("-5", None),
            ("99999999999t", None),
            ("1.é", None),
        ] {
            assert_eq!(text.parse::<Size>().ok().map(|size| size.0), expected, "{text:?}");
        }
    }
}
