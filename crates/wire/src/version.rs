//! Protocol revisions and the two eras that they fall into.

use std::fmt;

/// A released revision of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The first: initialize handshake, stdio and HTTP+SSE.
    V2024_11_05,
    /// Streamable HTTP, tool annotations, JSON-RPC batches.
    V2025_03_26,
    /// Elicitation, structured output, the `MCP-Protocol-Version` header; no batches.
    V2025_06_18,
    /// URL elicitation, icons, sampling with tools.
    V2025_11_25,
    /// Stateless: no handshake, no sessions, no requests from server to client.
    V2026_07_28,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];
    /// The newest one that begins with `initialize`.
    pub const LATEST_LEGACY: Self = Self::V2025_11_25;
    /// The newest one.
    pub const LATEST: Self = Self::V2026_07_28;
    /// What a Streamable HTTP request without `MCP-Protocol-Version` speaks (2025-06-18, Transports, "Protocol
    /// Version Header").
    pub const ASSUMED: Self = Self::V2025_03_26;

    /// The revision of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// Its name: a date.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era it belongs to.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Modern,
            legacy => Era::Legacy(legacy),
        }
    }

    /// What a server answers to `initialize` that asks for `requested`: the same where it speaks it with a
    /// handshake, else its newest (Lifecycle, "Version Negotiation").
    #[must_use]
    pub fn negotiate(requested: &str) -> Self {
        match Self::parse(requested) {
            Some(version) if matches!(version.era(), Era::Legacy(_)) => version,
            _ => Self::LATEST_LEGACY,
        }
    }

    /// Whether a message may be a JSON-RPC batch. Only 2025-03-26 demands it; 2024-11-05 says nothing against
    /// it and names JSON-RPC 2.0, which has batches.
    #[must_use]
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::V2024_11_05 | Self::V2025_03_26)
    }

    /// Whether servers of this revision may ask the person behind the client (`elicitation/create`).
    #[must_use]
    pub fn has_elicitation(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Whether a tool's result may hold a `resource_link`.
    #[must_use]
    pub fn has_resource_links(self) -> bool {
        self >= Self::V2025_06_18
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// With the `initialize` handshake and sessions, up to 2025-11-25.
    Legacy(Version),
    /// Each request by itself, 2026-07-28 and later.
    Modern,
}

impl Era {
    /// The revision that is spoken.
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            Self::Legacy(version) => version,
            Self::Modern => Version::LATEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation() {
        for (asked, answered) in [
            ("2024-11-05", Version::V2024_11_05),
            ("2025-03-26", Version::V2025_03_26),
            ("2025-06-18", Version::V2025_06_18),
            ("2025-11-25", Version::V2025_11_25),
            // A modern revision has no handshake: who sends one gets the newest that has.
            ("2026-07-28", Version::V2025_11_25),
            ("1999-01-01", Version::V2025_11_25),
            ("", Version::V2025_11_25),
        ] {
            assert_eq!(Version::negotiate(asked), answered, "{asked}");
        }
    }

    #[test]
    fn names_go_both_ways() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.as_str()), Some(version));
            assert_eq!(version.era().version(), version);
        }
        assert_eq!(Version::parse("2025-06-18 "), None);
    }
}
