//! Which registry is meant.

use std::fmt;

use base::names::ImageRef;

/// Docker Hub, as references and people name it.
const HUB: &str = "docker.io";
/// Docker Hub, as configurations and helpers name it.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// A registry by its host and port, as in `registry.example:5000`; Docker Hub is `docker.io`. Lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost(String);

impl RegistryHost {
    /// Docker Hub.
    pub fn hub() -> Self {
        Self(HUB.to_owned())
    }

    /// The registry that serves an image; `None` for an image id.
    pub fn of(image: &ImageRef) -> Option<Self> {
        image.registry().and_then(Self::parse)
    }

    /// Reads the spellings that occur in configurations: with or without `http(s)://`, with or without a path.
    /// `None` if no host is left.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or(text);
        let host = text.split('/').next().unwrap_or_default().to_ascii_lowercase();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_plain) {
            return None;
        }
        Some(match host.as_str() {
            "index.docker.io" => Self::hub(),
            _ => Self(host),
        })
    }

    /// Host and port.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of configurations, helpers and `X-Registry-Config`.
    pub fn config_key(&self) -> &str {
        if self.0 == HUB { HUB_KEY } else { &self.0 }
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
