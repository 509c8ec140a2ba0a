//! Numbers of bytes as people write them: `1048576`, `"512k"`, `"4MiB"`, `"2Gb"`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// A number of bytes, less than 10^15. Units count in 1024, as Docker's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Size(pub u64);

/// Why a text is no number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no number of bytes; {why}")]
pub struct SizeError {
    value: String,
    why: &'static str,
}

impl SizeError {
    /// Without the text.
    #[must_use]
    pub fn why(&self) -> &'static str {
        self.why
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let fault = |why| SizeError {
            value: crate::text::cut(text, 60).to_owned(),
            why,
        };
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits);
        let unit: u64 = match unit.trim() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return Err(fault("the units are k, m, g and t")),
        };
        let number: f64 = number
            .parse()
            .map_err(|_| fault("write a number and a unit, such as 512MiB"))?;
        // Bounded above before the conversion, so nothing is cut off.
        #[expect(clippy::cast_precision_loss, reason = "units are powers of two")]
        let bytes = number * unit as f64;
        if !(0.0..1e15).contains(&bytes) {
            return Err(fault("it is too large"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        let bytes = bytes as u64;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::bytes(self.0))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "write a number of bytes, or one with a unit such as \"4MiB\""
        )]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("1k", 1 << 10),
            ("1.5 KiB", 1536),
            ("4MiB", 4 << 20),
            ("2Gb", 2 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(text.parse::<Size>().map(|size| size.0), Ok(bytes), "{text}");
        }
        for text in ["", "k", "1x", "1.2.3", "-1", "1e3", "99999t", "NaN"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
