//! Moments: a date, or how long ago.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use server_kit::inline_schema;
use server_kit::values::{Span, number_or_text};
use std::str::FromStr;
use std::time::Duration;

/// A moment: `10m` (ago), `2026-11-05T10:00:00Z`, or seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct When(pub(crate) Timestamp);

inline_schema!(When, server_kit::schema::text);

const FORM: &str =
    "a moment is a time ago such as 10m, a date such as 2026-11-05T10:00:00Z, or seconds since 1970";
/// A plain number below this (in 1973) is meant as seconds ago, above it as seconds since 1970.
const EPOCH_FROM: f64 = 100_000_000.0;

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Self(moment));
        }
        if let Ok(number) = text.parse::<f64>() {
            return from_number(number);
        }
        // A date without time or zone is meant in UTC, as the engine's logs are.
        if let Ok(moment) = format!("{}Z", text.replace(' ', "T")).parse::<Timestamp>() {
            return Ok(Self(moment));
        }
        if let Ok(moment) = format!("{text}T00:00:00Z").parse::<Timestamp>() {
            return Ok(Self(moment));
        }
        text.parse::<Span>()
            .map_err(|_| FORM)
            .and_then(|span| ago(span.0))
    }
}

fn ago(span: Duration) -> Result<When, &'static str> {
    base::clock::now().checked_sub(span).map(When).map_err(|_| FORM)
}

fn from_number(number: f64) -> Result<When, &'static str> {
    let span = Duration::try_from_secs_f64(number).map_err(|_| FORM)?;
    if number < EPOCH_FROM {
        return ago(span);
    }
    Timestamp::UNIX_EPOCH
        .checked_add(span)
        .map(When)
        .map_err(|_| FORM)
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(deserializer, FORM, from_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, expected) in [
            ("2026-11-05T10:00:00Z", "2026-11-05T10:00:00Z"),
            ("2026-11-05T10:00:00.5Z", "2026-11-05T10:00:00.5Z"),
            ("2026-11-05T11:00:00+01:00", "2026-11-05T10:00:00Z"),
            ("2026-11-05 10:00:00", "2026-11-05T10:00:00Z"),
            ("2026-11-05", "2026-11-05T00:00:00Z"),
            ("1793872800", "2026-11-05T10:00:00Z"),
        ] {
            let moment = text.parse::<When>().map(|When(moment)| moment.to_string());
            assert_eq!(moment.as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "yesterday", "10 parsecs", "-5", "1e400"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_ago() {
        let now = base::clock::now();
        for (text, seconds) in [("10m", 600), ("90", 90), ("2h", 7200)] {
            let When(moment) = text.parse().unwrap();
            let ago = now.as_second() - moment.as_second();
            assert!((seconds - 2..=seconds + 2).contains(&ago), "{text}: {ago}");
        }
    }
}
