//! Moments as people write them on the command line.

use std::str::FromStr;

use base::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A moment: how long ago (`2h`), a day (`2026-11-21`, from its beginning in UTC), or RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

/// A text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write how long ago (30m, 2h, 7d), a day (2026-11-21) or a moment (2026-11-21T10:00:00Z)")]
pub(crate) struct NotAMoment;

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        if let Ok(span) = text.parse::<Span>() {
            let ago = SignedDuration::try_from(span.duration()).map_err(|_| NotAMoment)?;
            return base::clock::now()
                .checked_sub(ago)
                .map(Self)
                .map_err(|_| NotAMoment);
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Self(moment));
        }
        let day: Date = text.parse().map_err(|_| NotAMoment)?;
        let begin = day.to_zoned(TimeZone::UTC).map_err(|_| NotAMoment)?;
        Ok(Self(begin.timestamp()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, expected) in [
            ("2026-11-21", Some("2026-11-21T00:00:00Z")),
            ("2026-11-21T10:00:00Z", Some("2026-11-21T10:00:00Z")),
            ("2026-11-21T10:00:00+02:00", Some("2026-11-21T08:00:00Z")),
            ("yesterday", None),
            ("", None),
            ("2026-13-01", None),
        ] {
            let moment = text.parse::<Moment>().ok().map(|moment| moment.0.to_string());
            assert_eq!(moment.as_deref(), expected, "{text:?}");
        }
        let hour = base::clock::now().as_second() - "1h".parse::<Moment>().unwrap().0.as_second();
        assert!((3_600..3_660).contains(&hour));
    }
}
