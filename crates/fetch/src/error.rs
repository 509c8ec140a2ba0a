//! What goes wrong, told so that one can act on it, and without secrets.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use url::Url;

use crate::Class;

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {kind}")]
pub struct Error {
    /// The address without user info and values of the query.
    pub url: String,
    /// Why.
    pub kind: Kind,
    sent: bool,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// It is against the rules of this client; nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// The name has no address.
    #[error("{name} has no address ({cause}); check the name, and this machine's DNS")]
    Resolve {
        /// The name.
        name: String,
        /// What the resolver said.
        cause: String,
    },
    /// None of its addresses may be reached; nothing was sent.
    #[error("{name} has the address {address}, which is {class}; that is not permitted here")]
    Forbidden {
        /// The host as the URL names it.
        name: String,
        /// One of its addresses.
        address: IpAddr,
        /// What that is.
        class: Class,
    },
    /// No connection.
    #[error("no connection to {address}: {cause}; is the server running, and can this machine reach it?")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// No TLS session, or files for it that can't be used.
    #[error("no TLS session with {host}: {cause}")]
    Tls {
        /// With whom.
        host: String,
        /// What is wrong.
        cause: String,
    },
    /// The proxy did not let it pass.
    #[error("the proxy {proxy} {cause}")]
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// What it did.
        cause: String,
    },
    /// A time limit.
    #[error("no {what} within {}", seconds(*after))]
    TimedOut {
        /// What did not come: "connection", "answer", "more of the answer".
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The connection ended too soon, or what came was not HTTP.
    #[error("the exchange broke off: {0}")]
    Broken(String),
    /// A bound.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// A redirect that is not followed.
    #[error("redirected to {to}: {reason}")]
    Redirect {
        /// Where to, without secrets.
        to: String,
        /// Why it is not followed.
        reason: &'static str,
    },
    /// An answer whose status is an error.
    #[error("answered {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Status {
        /// The status.
        status: StatusCode,
        /// The beginning of the body: one line, cleaned and redacted.
        said: String,
    },
    /// An answer in another form than was expected.
    #[error("{0}")]
    Content(String),
}

impl Error {
    pub(crate) fn new(url: &Url, kind: Kind) -> Self {
        Self::named(shown(url), kind)
    }

    pub(crate) fn named(url: String, kind: Kind) -> Self {
        Self {
            url,
            kind,
            sent: false,
        }
    }

    /// The same, of a request that the server may have taken.
    pub(crate) fn sent(self) -> Self {
        Self { sent: true, ..self }
    }

    /// Whether the server may have taken the request, so that repeating it could do a thing twice.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        self.sent
    }

    /// The status that was answered, if it is the reason.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.kind {
            Kind::Status { status, .. } => Some(status),
            _ => None,
        }
    }
}

/// `url` without what may be secret in it: user info, values of the query, the fragment.
#[must_use]
pub fn shown(url: &Url) -> String {
    let mut plain = url.clone();
    // Fails only for addresses without a host, which have no user info either.
    let _unchanged = plain.set_username("").and_then(|()| plain.set_password(None));
    plain.set_fragment(None);
    plain.set_query(None);
    let mut text = base::redact::text(plain.as_str()).into_owned();
    for (at, (key, _)) in url.query_pairs().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(base::text::cut(&base::text::clean(&key), 64));
        text.push_str("=…");
    }
    text
}

/// An error and its causes in one line; wrappers that repeat what they wrap are left out.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn seconds(limit: Duration) -> String {
    if limit.subsec_millis() == 0 {
        format!("{} s", limit.as_secs())
    } else {
        format!("{} ms", limit.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        for (url, text) in [
            ("https://a.example", "https://a.example/"),
            ("https://me:pw@a.example/x", "https://a.example/x"),
            (
                "https://a.example:8443/x?key=1&b=2#f",
                "https://a.example:8443/x?key=…&b=…",
            ),
            ("http://[::1]:80/%1b", "http://[::1]/%1b"),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), text);
        }
    }
}
