//! Paths of the Engine API that can only be put together from literals and validated names.
//!
//! The daemon cleans paths before it routes them, so a name such as `../images/x` would reach another endpoint
//! than the one that was judged. A [`Path`] can't hold such a segment: what goes in is either written in this
//! crate's source or of a type of `base::names`, and bytes that mean something in a URL are percent-encoded.

use base::names::{ContainerRef, ExecId, ImageRef, NetworkRef, VolumeName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;

/// What may stand in a segment as it is (RFC 3986, 3.3: `pchar`, without the sub-delimiters).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@');

/// A path without version prefix and query: `/containers/web/json`.
///
/// ```compile_fail
/// let name = String::from("../images/x");
/// engine::path!["containers", name.as_str(), "json"]; // `name` does not live for ever
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Path {
    /// The path to which segments are joined; [`path!`](macro@crate::path) writes it shorter.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// This path and one more segment.
    #[must_use]
    pub fn join(mut self, segment: impl Segment) -> Self {
        self.0.push('/');
        segment.append(&mut self.0);
        self
    }

    /// The path as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A path that another library (bollard) wrote. `None` if it is not in the plain form that [`Path::join`]
    /// gives: then the daemon might read it differently from the guard.
    pub(crate) fn written(path: &str) -> Option<Self> {
        let rest = path.strip_prefix('/')?;
        let plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~:@".contains(&b))
        };
        rest.split('/').all(plain).then(|| Self(path.to_owned()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may become a segment of a [`Path`]: literals and references to validated names, nothing else.
pub trait Segment: sealed::Sealed {
    /// Writes the encoded segment.
    #[doc(hidden)]
    fn append(self, path: &mut String);
}

mod sealed {
    pub trait Sealed {}
}

/// Joins literals and validated names to a [`Path`]: `path!["containers", &container, "json"]`.
#[macro_export]
macro_rules! path {
    ($($segment:expr),+ $(,)?) => {
        $crate::Path::root()$(.join($segment))+
    };
}

impl sealed::Sealed for &'static str {}
/// For literals. What a program computes is never `'static`, so it can't come in this way.
impl Segment for &'static str {
    fn append(self, path: &mut String) {
        path.extend(utf8_percent_encode(self, SEGMENT));
    }
}

macro_rules! encoded {
    ($($type:ty),+) => {$(
        impl sealed::Sealed for &$type {}
        impl Segment for &$type {
            fn append(self, path: &mut String) {
                path.extend(utf8_percent_encode(self.as_str(), SEGMENT));
            }
        }
    )+};
}

encoded!(ContainerRef, NetworkRef, VolumeName, ExecId);

impl sealed::Sealed for &ImageRef {}
impl Segment for &ImageRef {
    /// The slashes of a reference stay: the daemon's routes for images take several segments, and no segment of
    /// a valid reference is empty, `.` or `..`.
    fn append(self, path: &mut String) {
        for (index, part) in self.as_str().split('/').enumerate() {
            if index > 0 {
                path.push('/');
            }
            path.extend(utf8_percent_encode(part, SEGMENT));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_stay_within_their_segment() {
        let container = ContainerRef::parse("web_1.x-y").unwrap();
        let network = NetworkRef::parse("my net:ü+&=;@~!$'()*,").unwrap();
        let volume = VolumeName::parse("v.1").unwrap();
        let exec = ExecId::parse("0aF").unwrap();
        let image = ImageRef::parse("reg.io:5000/a/b__c:1.0@sha256:").ok();
        assert!(image.is_none());
        let image = ImageRef::parse("reg.io:5000/a/b__c:1.0").unwrap();
        let id = ImageRef::parse("sha256:0123").unwrap();
        for (path, expected) in [
            (
                path!["containers", &container, "json"],
                "/containers/web_1.x-y/json",
            ),
            (
                path!["networks", &network],
                "/networks/my%20net:%C3%BC%2B%26%3D%3B@~%21%24%27%28%29%2A%2C",
            ),
            (path!["volumes", &volume], "/volumes/v.1"),
            (path!["exec", &exec, "start"], "/exec/0aF/start"),
            (
                path!["images", &image, "json"],
                "/images/reg.io:5000/a/b__c:1.0/json",
            ),
            (path!["images", &id, "json"], "/images/sha256:0123/json"),
        ] {
            assert_eq!(path.as_str(), expected);
        }
    }

    #[test]
    fn what_others_write_must_be_plain() {
        for (path, accepted) in [
            ("/containers/web/json", true),
            ("/images/reg.io:5000/a@sha256:00/json", true),
            ("/networks/a%20b", false),
            ("containers/web", false),
            ("", false),
            ("/", false),
            ("/containers//json", false),
            ("/containers/./json", false),
            ("/containers/../images/x/json", false),
            ("/containers/%2e%2e/images/x/json", false),
            ("/containers/a?x", false),
            ("/containers/a#x", false),
            ("/containers/a;x", false),
            ("/containers/a\\b", false),
            ("/containers/web/", false),
        ] {
            assert_eq!(Path::written(path).is_some(), accepted, "{path}");
        }
    }

    proptest! {
        /// No valid name of any kind adds a segment, ends one early, or begins a query.
        #[test]
        fn one_name_is_one_segment(text in "\\PC{0,40}") {
            let paths = [
                ContainerRef::parse(&text).ok().map(|name| path!["a", &name, "z"]),
                NetworkRef::parse(&text).ok().map(|name| path!["a", &name, "z"]),
                VolumeName::parse(&text).ok().map(|name| path!["a", &name, "z"]),
                ExecId::parse(&text).ok().map(|name| path!["a", &name, "z"]),
            ];
            for path in paths.into_iter().flatten() {
                let segments: Vec<&str> = path.as_str().split('/').collect();
                prop_assert_eq!(segments.len(), 4);
                prop_assert!(segments[2] != "." && segments[2] != ".." && !segments[2].is_empty());
                prop_assert!(!path.as_str().contains(['?', '#', ' ', '\\', ';']));
            }
        }

        #[test]
        fn an_image_adds_no_odd_segment(text in "[a-zA-Z0-9./:@_-]{0,40}") {
            if let Ok(image) = ImageRef::parse(&text) {
                let path = path!["images", &image, "json"];
                prop_assert!(Path::written(path.as_str()).is_some(), "{}", path);
            }
        }
    }
}
