//! Which version of the Engine API is spoken, found out once per daemon.
//!
//! Every request carries the version as its prefix: without one the daemon answers in its newest, and a newer
//! daemon would change the shape of answers under us.

use std::fmt;
use std::str::FromStr;

/// A version of the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 1 for all there are.
    pub major: u16,
    /// The number that counts.
    pub minor: u16,
}

impl Version {
    /// Engine 20.10.
    pub const OLDEST: Self = Self { major: 1, minor: 41 };
    /// Engine 28, the newest that the tests run against. Engines after it keep serving it (29 serves 1.44 and up).
    pub const NEWEST: Self = Self { major: 1, minor: 51 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let parse = || {
            let (major, minor) = text.strip_prefix('v').unwrap_or(text).split_once('.')?;
            Some(Self {
                major: number(major)?,
                minor: number(minor)?,
            })
        };
        parse().ok_or_else(|| VersionError(text.chars().filter(|c| !c.is_control()).take(40).collect()))
    }
}

fn number(text: &str) -> Option<u16> {
    // `u16::from_str` takes a plus sign; a version has none.
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version of the Engine API; write two numbers such as 1.41, or auto")]
pub struct VersionError(String);

/// Which version to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiVersion {
    /// The newest that both sides know.
    #[default]
    Auto,
    /// This one, whatever the daemon serves; it answers 400 if it can't.
    Fixed(Version),
}

impl FromStr for ApiVersion {
    type Err = VersionError;

    /// Reads the notation of `DOCKER_API_VERSION`: empty and `auto` negotiate.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        match text.trim() {
            "" | "auto" => Ok(Self::Auto),
            text => text.parse().map(Self::Fixed),
        }
    }
}

/// What to speak with a daemon whose newest version is `daemon`. `None` if that is older than [`Version::OLDEST`].
pub(crate) fn common(daemon: Version) -> Option<Version> {
    (daemon >= Version::OLDEST).then(|| daemon.min(Version::NEWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations() {
        let fixed = |minor| Some(ApiVersion::Fixed(Version { major: 1, minor }));
        for (text, expected) in [
            ("1.41", fixed(41)),
            ("v1.44", fixed(44)),
            (" 1.51 ", fixed(51)),
            ("auto", Some(ApiVersion::Auto)),
            ("", Some(ApiVersion::Auto)),
            ("1", None),
            ("1.", None),
            ("1.+4", None),
            ("1.4.1", None),
            ("latest", None),
            ("1.99999999", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_older_side_decides() {
        for (daemon, expected) in [
            ("1.24", None),
            ("1.40", None),
            ("1.41", Some("1.41")),
            ("1.45", Some("1.45")),
            ("1.51", Some("1.51")),
            ("1.99", Some("1.51")),
            ("2.0", Some("1.51")),
        ] {
            let common = common(daemon.parse().unwrap()).map(|version| version.to_string());
            assert_eq!(common.as_deref(), expected, "{daemon}");
        }
    }
}
