//! A place in a log, as text that a client keeps: the moment of a line and how many lines of that moment were given
//! already.

use crate::error::{Code, ToolError};
use jiff::Timestamp;

/// The beginning of every cursor into a log.
const PREFIX: &str = "log-";

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(super) at: Timestamp,
    /// Lines of this very moment that were given already.
    pub(super) skip: usize,
    /// The place is within a private key, whose lines don't show by themselves what they are.
    pub(super) in_key: bool,
}

impl Cursor {
    /// Whether this is a cursor into a log.
    pub(crate) fn parse(text: &str) -> Result<Self, ToolError> {
        let parse = || {
            let (moment, skip) = text.strip_prefix(PREFIX)?.split_once('-')?;
            let (skip, in_key) = skip.strip_suffix('k').map_or((skip, false), |skip| (skip, true));
            let nanoseconds = i128::from(u64::from_str_radix(moment, 36).ok()?);
            let at = Timestamp::from_nanosecond(nanoseconds).ok()?;
            Some(Self {
                at,
                skip: skip.parse().ok()?,
                in_key,
            })
        };
        parse().ok_or_else(|| {
            ToolError::new(
                Code::Stale,
                format!("{:?} is no cursor into a log", base::text::cut(text, 60)),
            )
            .fix("leave cursor out, or pass the one of the last answer as it was")
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nanoseconds = u64::try_from(self.at.as_nanosecond()).unwrap_or_default();
        write!(
            f,
            "{PREFIX}{}-{}{}",
            base36(nanoseconds),
            self.skip,
            if self.in_key { "k" } else { "" }
        )
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cursors_are_checked() {
        for text in [
            "log-",
            "log-1",
            "log-x-y",
            "log-zzzzzzzzzzzzzzzzzz-1",
            "page-1-2",
            "log-1-99999999999999999999999",
        ] {
            assert!(Cursor::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(nanoseconds in 0..2_000_000_000_000_000_000_i64, skip: usize, in_key: bool) {
            let at = Timestamp::from_nanosecond(nanoseconds.into()).unwrap();
            let cursor = Cursor { at, skip, in_key };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()).unwrap(), cursor);
        }

        #[test]
        fn anything_else_is_an_error_and_no_panic(text in "(log-)?[-0-9a-z]{0,40}|.{0,40}") {
            drop(Cursor::parse(&text));
        }
    }
}
