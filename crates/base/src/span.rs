//! Lengths of time as people write them: `90`, `"90s"`, `"15m"`, `"1h"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A length of time, at least a millisecond and at most a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(Duration);

/// A text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a length of time; write a number of seconds, or a number with ms, s, m, h or d, such as \"15m\""
)]
pub struct SpanError(String);

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
const YEAR: u64 = 365 * 86_400_000;

impl Span {
    /// So many seconds; a year at most is what a text may say.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library has it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let fault = || SpanError(crate::text::cut(text, 60).to_owned());
        let trimmed = text.trim();
        let split = trimmed
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let unit = if unit.is_empty() { "s" } else { unit };
        let (_, scale) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(fault)?;
        let number: u64 = number.parse().map_err(|_| fault())?;
        let milliseconds = number
            .checked_mul(scale)
            .filter(|span| (1..=YEAR).contains(span))
            .ok_or_else(fault)?;
        Ok(Self(Duration::from_millis(milliseconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, scale) = UNITS
            .into_iter()
            .find(|(_, scale)| span % scale == 0)
            .unwrap_or(("ms", 1));
        write!(f, "{}{unit}", span / scale)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"15m\"")
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
                seconds.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans() {
        for (text, expected) in [
            ("90", Some("90s")),
            ("60s", Some("1m")),
            ("15m", Some("15m")),
            ("1h", Some("1h")),
            ("48h", Some("2d")),
            ("500ms", Some("500ms")),
            (" 5 ", Some("5s")),
            ("0", None),
            ("", None),
            ("-1", None),
            ("1.5h", None),
            ("1y", None),
            ("s", None),
            ("400d", None),
            ("99999999999999999999", None),
            ("9999999999999999d", None),
        ] {
            let span = text.parse::<Span>().ok().map(|span| span.to_string());
            assert_eq!(span.as_deref(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(milliseconds in 1..YEAR) {
            let span = Span(Duration::from_millis(milliseconds));
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }

        #[test]
        fn any_text_is_a_span_or_an_error(text in "\\PC{0,20}") {
            drop(text.parse::<Span>());
        }
    }
}
