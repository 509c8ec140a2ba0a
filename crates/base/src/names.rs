//! Names that come from models and people, checked once at the edge and then carried as types.
//!
//! The Docker API takes names as URL path segments, and the daemon's router cleans paths: a name such as
//! `../images/x` would reach another endpoint than the one that was judged. A value of these types can't
//! do that, so the rooms behind never look at the spelling again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {kind}: {reason}")]
pub struct NameError {
    /// What was wanted, as a person would say it: "container name or id".
    pub kind: &'static str,
    /// What was given, made printable and cut to 80 characters.
    pub value: String,
    /// Which rule it breaks, and what is accepted.
    pub reason: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $clean:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks `text` and makes it a name.
            ///
            /// # Errors
            /// [`NameError`] says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let clean: fn(&str) -> &str = $clean;
                let check: fn(&str) -> Result<(), &'static str> = $check;
                let text = clean(text);
                match check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(reason) => Err(NameError { kind: $kind, value: printable(text), reason }),
                }
            }

            /// The name as it is sent.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// A container's name, or its id or a prefix of it. One leading slash is dropped, as the API itself
    /// prints names with it. At most 255 characters of `[a-zA-Z0-9_.-]`, the first a letter or digit.
    ContainerRef,
    "container name or id",
    |text| text.strip_prefix('/').unwrap_or(text),
    |text| docker_name(text)
);

name!(
    /// A volume's name: at most 255 characters of `[a-zA-Z0-9_.-]`, the first a letter or digit.
    VolumeName,
    "volume name",
    |text| text,
    |text| docker_name(text)
);

name!(
    /// A network's name or id. The daemon is liberal with these, so only what could leave the path segment or
    /// hide from a reader is refused: `/`, `\`, control characters, `.` and `..`; at most 255 characters.
    NetworkRef,
    "network name or id",
    |text| text,
    |text| network_name(text)
);

name!(
    /// An image by reference (`[host[:port]/]path[:tag][@digest]`) or by id (hexadecimal, `sha256:` allowed).
    /// The grammar is the one of the distribution specification, at most 512 characters.
    ImageRef,
    "image reference or id",
    |text| text,
    |text| image_reference(text)
);

name!(
    /// The id of an exec instance: 1 to 64 hexadecimal digits.
    ExecId,
    "exec id",
    |text| text,
    |text| hexadecimal(text)
);

name!(
    /// A server's name in the gateway: 1 to 128 characters of `[A-Za-z0-9_.-]`, the first a letter or digit. Catalogs
    /// in the field use all of these (`SQLite`, `youtube_transcript`, `io.github.someone.weather`).
    ServerName,
    "server name",
    |text| text,
    |text| server_name(text)
);

name!(
    /// A tool's name: 1 to 128 characters of `[A-Za-z0-9_.-]` (MCP, Tools, "Tool Names").
    ToolName,
    "tool name",
    |text| text,
    |text| tool_name(text)
);

name!(
    /// The name by which a host (a Docker Engine) is known here: 1 to 64 characters of `[A-Za-z0-9_.-]`, the first a
    /// letter or digit. Aliases of `ssh_config` and names of Docker contexts mostly fit.
    HostName,
    "host name",
    |text| text,
    |text| bounded(text, 64).and_then(|()| server_name(text))
);

impl ImageRef {
    /// The registry that serves this image by Docker's rule: the part before the first `/` if it holds a `.`
    /// or `:` or is `localhost`, else `docker.io`. An id has none.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        if self.is_id() {
            return None;
        }
        match self.0.split_once('/') {
            Some((host, _)) if is_registry_host(host) => Some(host),
            _ => Some("docker.io"),
        }
    }

    /// Whether this is an image id and not a reference. 64 hexadecimal digits, or `sha256:` and digits.
    #[must_use]
    pub fn is_id(&self) -> bool {
        let digits = self.0.strip_prefix("sha256:");
        digits.is_some() || self.0.len() == 64 && self.0.bytes().all(|b| b.is_ascii_hexdigit())
    }

    /// The tag, if the reference names one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        let name = self.0.split_once('@').map_or(self.0.as_str(), |(name, _)| name);
        let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
        if self.is_id() {
            None
        } else {
            last.split_once(':').map(|(_, tag)| tag)
        }
    }

    /// The digest (`sha256:…`), if the reference names one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, digest)| digest)
    }

    /// The reference without tag and digest.
    #[must_use]
    pub fn repository(&self) -> &str {
        let name = self.0.split_once('@').map_or(self.0.as_str(), |(name, _)| name);
        match self.tag() {
            Some(tag) if name.ends_with(tag) => &name[..name.len() - tag.len() - 1],
            _ => name,
        }
    }
}

fn is_registry_host(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost"
}

fn docker_name(text: &str) -> Result<(), &'static str> {
    const RULE: &str = "use letters, digits, '_', '.' and '-', the first a letter or digit";
    bounded(text, 255)?;
    let first = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if first
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    {
        Ok(())
    } else {
        Err(RULE)
    }
}

fn network_name(text: &str) -> Result<(), &'static str> {
    bounded(text, 255)?;
    if text == "."
        || text == ".."
        || text.contains(['/', '\\', '%', '?', '#'])
        || text.chars().any(char::is_control)
    {
        return Err("'/', '\\', '%', '?', '#', control characters, '.' and '..' are not accepted");
    }
    Ok(())
}

fn hexadecimal(text: &str) -> Result<(), &'static str> {
    bounded(text, 64)?;
    if text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err("use hexadecimal digits")
    }
}

fn server_name(text: &str) -> Result<(), &'static str> {
    bounded(text, 128)?;
    let first = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if first
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    {
        Ok(())
    } else {
        Err("use letters, digits, '_', '.' and '-', the first a letter or digit")
    }
}

fn tool_name(text: &str) -> Result<(), &'static str> {
    bounded(text, 128)?;
    if text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    {
        Ok(())
    } else {
        Err("use letters, digits, '_', '.' and '-'")
    }
}

fn image_reference(text: &str) -> Result<(), &'static str> {
    bounded(text, 512)?;
    if let Some(digits) = text.strip_prefix("sha256:") {
        return hexadecimal(digits).map_err(|_| "an id is 1 to 64 hexadecimal digits after 'sha256:'");
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("a digest is 'sha256:' and 64 lower-case hexadecimal digits");
    }
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if is_registry_host(host) => (Some(host), path),
        _ => (None, name),
    };
    if host.is_some_and(|host| !is_host(host)) {
        return Err("the registry is a host name or address with an optional port");
    }
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(
            "a tag is up to 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'",
        );
    }
    if path.split('/').all(is_path_component) {
        Ok(())
    } else {
        Err("a repository is lower-case words of letters and digits, joined by '.', '_', '__', '-' or '/'")
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let host_ok = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    };
    host_ok && port_ok
}

fn is_tag(text: &str) -> bool {
    let first = text
        .as_bytes()
        .first()
        .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    first
        && text.len() <= 128
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, the path component of the distribution specification.
fn is_path_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !is_word(*first) || !is_word(*last) {
        return false;
    }
    bytes
        .split(|b| is_word(*b))
        .all(|joint| matches!(joint, b"" | b"." | b"_" | b"__") || joint.iter().all(|b| *b == b'-'))
}

fn bounded(text: &str, max: usize) -> Result<(), &'static str> {
    match text.len() {
        0 => Err("it is empty"),
        length if length > max => Err("it is too long"),
        _ => Ok(()),
    }
}

fn printable(text: &str) -> String {
    crate::text::clean(text)
        .chars()
        .filter(|c| !c.is_control())
        .take(80)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn container_names() {
        for (text, wanted) in [
            ("web", Some("web")),
            ("/web", Some("web")),
            ("a1b2c3", Some("a1b2c3")),
            ("Web_1.x-y", Some("Web_1.x-y")),
            ("", None),
            ("/", None),
            ("//web", None),
            ("../images/busybox", None),
            ("..", None),
            ("a/b", None),
            ("nope?x=1#y", None),
            ("a%2fb", None),
            ("web\n", None),
            ("wéb", None),
            ("-web", None),
        ] {
            let parsed = ContainerRef::parse(text).ok();
            assert_eq!(parsed.as_ref().map(ContainerRef::as_str), wanted, "{text:?}");
        }
    }

    #[test]
    fn image_references_in_parts() {
        // reference, registry, repository, tag, digest
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("reg.io:5000/a/b:1@{digest}");
        for (text, registry, repository, tag, wanted_digest) in [
            ("busybox", Some("docker.io"), "busybox", None, None),
            ("busybox:1.36", Some("docker.io"), "busybox", Some("1.36"), None),
            (
                "acme/web__x:v1",
                Some("docker.io"),
                "acme/web__x",
                Some("v1"),
                None,
            ),
            ("localhost/x", Some("localhost"), "localhost/x", None, None),
            (
                "127.0.0.1:5000/x:y",
                Some("127.0.0.1:5000"),
                "127.0.0.1:5000/x",
                Some("y"),
                None,
            ),
            ("[::1]:5000/x", Some("[::1]:5000"), "[::1]:5000/x", None, None),
            (
                pinned.as_str(),
                Some("reg.io:5000"),
                "reg.io:5000/a/b",
                Some("1"),
                Some(digest.as_str()),
            ),
        ] {
            let image = ImageRef::parse(text).unwrap();
            assert_eq!(image.registry(), registry, "{text}");
            assert_eq!(image.repository(), repository, "{text}");
            assert_eq!(image.tag(), tag, "{text}");
            assert_eq!(image.digest(), wanted_digest, "{text}");
        }
        let id = ImageRef::parse("sha256:0123abcd").unwrap();
        assert_eq!((id.registry(), id.tag()), (None, None));
    }

    #[test]
    fn bad_image_references() {
        for text in [
            "",
            "Busybox",
            "a//b",
            "../x",
            "a/../b",
            "a:",
            "a:b:c",
            "a@sha256:1",
            "-a",
            "a_",
            "a:.x",
            "a b",
            "a?b",
            "reg.io:x/a",
            "a/é",
            "sha256:",
            "sha256:zz",
            "http://x/y",
            "a\u{0}",
        ] {
            assert!(ImageRef::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn server_names() {
        let long = "a".repeat(129);
        for (text, good) in [
            ("docker", true),
            ("SQLite", true),
            ("youtube_transcript", true),
            ("io.github.someone.weather", true),
            ("9", true),
            (&long[..128], true),
            (&long, false),
            ("", false),
            ("-x", false),
            (".x", false),
            ("..", false),
            ("_x", false),
            ("a/b", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(ServerName::parse(text).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn host_names() {
        let long = "a".repeat(65);
        for (text, good) in [
            ("prod", true),
            ("db.example.com", true),
            ("10.0.0.1", true),
            (&long[..64], true),
            (&long, false),
            ("", false),
            ("*", false),
            ("-x", false),
            ("deploy@prod", false),
            ("ssh://prod", false),
            ("prod ", false),
            ("pröd", false),
        ] {
            assert_eq!(HostName::parse(text).is_ok(), good, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_path_segment(text in "\\PC{0,40}") {
            for name in [
                ContainerRef::parse(&text).map(String::from),
                VolumeName::parse(&text).map(String::from),
                NetworkRef::parse(&text).map(String::from),
                ExecId::parse(&text).map(String::from),
                ServerName::parse(&text).map(String::from),
            ].into_iter().flatten() {
                prop_assert!(!name.contains('/') && name != "." && name != ".." && !name.is_empty());
            }
        }

        #[test]
        fn no_image_reference_climbs(text in "[a-zA-Z0-9./:@_%?#-]{0,60}") {
            if let Ok(image) = ImageRef::parse(&text) {
                let bad = ["?", "#", "%", "//"];
                prop_assert!(!bad.iter().any(|bad| image.as_str().contains(bad)));
                prop_assert!(image.as_str().split('/').all(|part| part != "." && part != ".." && !part.is_empty()));
            }
        }
    }
}
