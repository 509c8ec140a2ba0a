//! Paths and names as text, both ways: whatever a file is called, an answer names it so that the name can be given back.
//!
//! On Unix a name is any bytes but `/` and NUL. What can't be seen or is no UTF-8 is written `\xNN`, a byte each, and
//! so is the backslash itself; a caller's path is read the same way. On Windows names are text, and the backslash separates.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// Longest path that is taken, in bytes; Linux takes no longer one.
const LONGEST: usize = 4_096;

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPath {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {LONGEST} bytes")]
    Long,
    #[error("it has a NUL byte")]
    Nul,
    #[error("it has `..`; write the path without")]
    Parent,
}

/// A caller's path: without `.`, `..` and empty names, absolute or not.
///
/// # Errors
/// It can't be the path of anything here.
pub(crate) fn parse(text: &str) -> Result<PathBuf, BadPath> {
    if text.is_empty() {
        return Err(BadPath::Empty);
    }
    plain(Path::new(&unescape(text)))
}

/// The same of what is a path already.
///
/// # Errors
/// It can't be the path of anything here.
pub(crate) fn plain(path: &Path) -> Result<PathBuf, BadPath> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.len() > LONGEST {
        return Err(BadPath::Long);
    }
    if bytes.contains(&0) {
        return Err(BadPath::Nul);
    }
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => return Err(BadPath::Parent),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}

/// A path or name as answers show it.
pub(crate) fn shown(path: impl AsRef<Path>) -> String {
    let bytes = path.as_ref().as_os_str().as_encoded_bytes();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // What cleaning would take away must not make two names one.
            let mut buffer = [0; 4];
            let one = c.encode_utf8(&mut buffer);
            if (c == '\\' && cfg!(unix)) || matches!(c, '\n' | '\t') || base::text::clean(one).as_ref() != one
            {
                escape(&mut text, one.as_bytes());
            } else {
                text.push(c);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(unix)]
fn unescape(text: &str) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        let (before, escaped) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        let byte = escaped
            .get(2..4)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let taken = if let Some(byte) = byte {
            bytes.push(byte);
            4
        } else {
            bytes.extend_from_slice(b"\\x");
            2
        };
        rest = escaped.get(taken..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    OsString::from_vec(bytes)
}

#[cfg(not(unix))]
fn unescape(text: &str) -> OsString {
    text.into()
}

/// Whether a name begins with a dot.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn paths() {
        for (text, expected) in [
            ("a/./b//c/", Ok("a/b/c")),
            ("/a/b", Ok("/a/b")),
            (".", Ok("")),
            ("a\\x0ab", Ok("a\nb")),
            ("a\\x5cx0a", Ok("a\\x0a")),
            ("a\\xzz\\", Ok("a\\xzz\\")),
            // Looks like two dots, and is a name like any other.
            ("a/\u{2025}/b", Ok("a/\u{2025}/b")),
            ("", Err(BadPath::Empty)),
            ("a/../b", Err(BadPath::Parent)),
            ("a/\\x2e\\x2e/b", Err(BadPath::Parent)),
            ("..", Err(BadPath::Parent)),
            ("a\0b", Err(BadPath::Nul)),
            ("a\\x00b", Err(BadPath::Nul)),
        ] {
            assert_eq!(
                parse(text).as_deref(),
                expected.map(Path::new).as_ref().copied(),
                "{text:?}"
            );
        }
        assert_eq!(parse(&"a/".repeat(3_000)), Err(BadPath::Long));
    }

    proptest! {
        #[test]
        fn every_name_can_be_given_back(name in prop::collection::vec(1..=255u8, 1..40)) {
            prop_assume!(!name.contains(&b'/') && name != b"." && name != b"..");
            let path = Path::new(OsStr::from_bytes(&name));
            let text = shown(path);
            prop_assert!(base::text::clean(&text) == text && !text.contains(['\n', '\t']));
            prop_assert_eq!(parse(&text), Ok(path.to_owned()));
        }

        #[test]
        fn no_text_becomes_a_path_that_climbs(text in "(\\.|/|\\\\x2[ef]|a|\\PC){0,20}") {
            if let Ok(path) = parse(&text) {
                prop_assert!(path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir)));
            }
        }
    }
}
