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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Path {
    /// The path to which segments are joined; [`path!`](crate::path) writes it shorter.
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
