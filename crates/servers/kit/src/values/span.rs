//! Lengths of time.

use super::number_or_text;
use serde::{Deserialize, Deserializer};
use std::str::FromStr;
use std::time::Duration;

/// A length of time: a number of seconds, or text such as `500ms`, `30s`, `1m30s`, `2h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

crate::inline_schema!(Span, crate::schema::text);

const FORM: &str = "a time is a number of seconds or text such as 30s, 5m or 1h30m";
/// Longer than any time that is meant: a hundred years.
const MOST: f64 = 100.0 * 365.0 * 86_400.0;

impl Span {
    /// In nanoseconds, as the engine takes health checks.
    pub fn nanoseconds(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }

    /// In whole seconds, as the engine takes stop time-outs.
    pub fn seconds(self) -> i64 {
        i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(FORM);
        }
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            let number: f64 = number.parse().map_err(|_| FORM)?;
            seconds += number
                * match unit {
                    "ms" => 0.001,
                    "" | "s" => 1.0,
                    "m" => 60.0,
                    "h" => 3_600.0,
                    "d" => 86_400.0,
                    _ => return Err(FORM),
                };
            rest = after;
        }
        from_seconds(seconds)
    }
}

fn from_seconds(seconds: f64) -> Result<Span, &'static str> {
    if !(0.0..=MOST).contains(&seconds) {
        return Err(FORM);
    }
    Duration::try_from_secs_f64(seconds).map(Span).map_err(|_| FORM)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(deserializer, FORM, from_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, expected) in [
            ("30", Some(30_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("0.5s", Some(500)),
            ("7d", Some(604_800_000)),
            ("", None),
            ("s", None),
            ("1x", None),
            ("-1", None),
            ("99999999999d", None),
            ("1..2s", None),
        ] {
            assert_eq!(
                text.parse::<Span>().ok().map(|span| span.0.as_millis()),
                expected,
                "{text:?}"
            );
        }
    }
}
