//! The one place that asks for the time, so that a test or a reader can find every use of it.

use jiff::Timestamp;

/// The present moment, in UTC.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn unix_ms() -> i64 {
    now().as_millisecond()
}
