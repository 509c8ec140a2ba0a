//! The one form of a path that the guard accepts, because in it the guard and the daemon read the same segments.
//!
//! The daemon decodes a path, cleans it (`//`, `.`, `..`) and then routes it, so `%2e%2e`, `%2F` and doubled
//! slashes would reach another endpoint than the one they seem to name. Nothing is cleaned here: what is not
//! already plain is refused, in every mode.

use super::refusal::{Refusal, Rule};

/// Longest path, in bytes.
const MAX_PATH: usize = 2048;

/// A path in plain form, split and decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlainPath {
    segments: Vec<String>,
}

impl PlainPath {
    /// Reads a path without version prefix and query.
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let refuse = |reason: &'static str| Refusal::new(Rule::Path, "the request's path", path, reason);
        if path.len() > MAX_PATH {
            return Err(refuse("it is too long"));
        }
        let rest = path
            .strip_prefix('/')
            .ok_or_else(|| refuse("it does not begin with one slash"))?;
        let segments = rest
            .split('/')
            .map(|segment| decode(segment).map_err(refuse))
            .collect::<Result<_, _>>()?;
        Ok(Self { segments })
    }

    /// The decoded segments.
    pub(super) fn segments(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator + Clone {
        self.segments.iter().map(String::as_str)
    }
}

/// A segment decoded, if it is spelled in the only way it can be: letters, digits and `-._~:@` as they are, all
/// other bytes escaped with upper-case digits.
fn decode(segment: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if is_plain(*first) {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let (b'%', [high, low, tail @ ..]) = (*first, tail) else {
            return Err("it holds a character that must be escaped");
        };
        let byte = digit(*high)
            .zip(digit(*low))
            .map(|(high, low)| high << 4 | low)
            .ok_or("it holds an escape that is not '%' and two digits 0-9A-F")?;
        if is_plain(byte) || matches!(byte, b'/' | b'\\' | b'%') || byte.is_ascii_control() {
            return Err("it escapes a character that must not be escaped");
        }
        bytes.push(byte);
        rest = tail;
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    match text.as_str() {
        "" => Err("it has an empty segment"),
        "." | ".." => Err("it has a segment that climbs"),
        text if text.chars().any(char::is_control) => Err("it holds a control character"),
        _ => Ok(text),
    }
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'@')
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_plain_form() {
        for (path, wanted) in [
            ("/containers/web/json", Some(vec!["containers", "web", "json"])),
            (
                "/images/ghcr.io/acme/app:1/json",
                Some(vec!["images", "ghcr.io", "acme", "app:1", "json"]),
            ),
            ("/networks/caf%C3%A9%20bar", Some(vec!["networks", "café bar"])),
            ("/_ping", Some(vec!["_ping"])),
            ("", None),
            ("/", None),
            ("containers/json", None),
            ("//containers/json", None),
            ("/containers//json", None),
            ("/containers/json/", None),
            ("/containers/./json", None),
            ("/containers/../images/json", None),
            ("/containers/%2e%2e/json", None),
            ("/containers/%2E%2E/json", None),
            ("/containers/a%2Fb/json", None),
            ("/containers/a%2fb/json", None),
            ("/containers/a%252Fb/json", None),
            ("/containers/a%5Cb/json", None),
            ("/containers/a\\b/json", None),
            ("/containers/%61/json", None),
            ("/containers/a%00/json", None),
            ("/containers/a%0A/json", None),
            ("/containers/a%C2%85/json", None),
            ("/containers/a%FF/json", None),
            ("/containers/a%c3%a9/json", None),
            ("/containers/a%/json", None),
            ("/containers/a%4/json", None),
            ("/containers/a%zz/json", None),
            ("/containers/a;b/json", None),
            ("/containers/a?b", None),
            ("/containers/a#b", None),
            ("/containers/a b", None),
            ("/containers/a\n", None),
            ("/containers/é", None),
            ("/containers/a+b", None),
            ("http://docker/containers/json", None),
            ("*", None),
        ] {
            let parsed = PlainPath::parse(path).ok();
            let parsed = parsed.as_ref().map(|path| path.segments().collect::<Vec<_>>());
            assert_eq!(parsed, wanted, "{path:?}");
        }
    }

    /// What a server does with a path: decode, then clean.
    fn as_the_daemon_reads(path: &str) -> Vec<String> {
        let decoded = percent_encoding::percent_decode_str(path)
            .decode_utf8_lossy()
            .into_owned();
        let mut segments: Vec<String> = Vec::new();
        for segment in decoded.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                segment => segments.push(segment.to_owned()),
            }
        }
        segments
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_the_same_for_the_daemon(
            path in "/(\\PC{0,6}|[a-z]{1,4}|%2[eEfF]|%5[cC]|\\.{1,3}|/|%25|%[0-9a-fA-F]{2}){0,8}",
        ) {
            if let Ok(plain) = PlainPath::parse(&path) {
                let ours: Vec<_> = plain.segments().map(str::to_owned).collect();
                prop_assert_eq!(ours, as_the_daemon_reads(&path));
            }
        }
    }
}
