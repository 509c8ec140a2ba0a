//! Ids of events, and what they say to the gateway that gave them.

/// A place in a session's streams, as the id of an event: `3-17`, with a `g` before it on the general stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Place {
    pub(super) is_general: bool,
    pub(super) stream: u64,
    /// Counts the events of the session, so an id stands once in it, whatever the stream.
    pub(super) event: u64,
}

impl Place {
    pub(in crate::http) fn parse(text: &str) -> Option<Self> {
        let (is_general, rest) = match text.strip_prefix('g') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (stream, event) = rest.split_once('-')?;
        let number = |text: &str| {
            let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            is_digits.then(|| text.parse().ok()).flatten()
        };
        Some(Self {
            is_general,
            stream: number(stream)?,
            event: number(event)?,
        })
    }

    pub(in crate::http) fn is_general(self) -> bool {
        self.is_general
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.is_general { "g" } else { "" };
        write!(f, "{mark}{}-{}", self.stream, self.event)
    }
}
