//! What can go wrong on the way to a host, in words that say what to do.

use crate::known_hosts::Place;
use std::fmt;
use std::time::Duration;

/// Why there is no session, or no stream.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The SSH configuration can't be used.
    #[error("the SSH configuration, {place}: {reason}")]
    Config {
        /// File and line, or option and host.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Only the system's `ssh` can do this.
    #[error(
        "{host} can't be reached from here: its SSH configuration has {what}, which only the system's ssh does; \
         `ssh = \"system\"` beside the host's endpoint has that one go there"
    )]
    SystemOnly {
        /// The host.
        host: String,
        /// The option and its value.
        what: String,
    },
    /// No connection.
    #[error("can't connect to {host} at {address}: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// What was connected to, and through which host.
        address: String,
        /// What was said; and what to do.
        reason: String,
    },
    /// A step took too long.
    #[error("{host}: {step} took more than {} s; is the host overloaded, or the network cut?", limit.as_secs())]
    Late {
        /// The host.
        host: String,
        /// The step.
        step: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// Nobody said that this host is to be trusted.
    #[error(
        "the key of {host} is not known: it shows {algorithm} {fingerprint}. Compare that with what the host's owner \
         says (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub over there); if it is the same, {advice}"
    )]
    UnknownHost {
        /// The host.
        host: String,
        /// `ssh-ed25519`, …
        algorithm: String,
        /// `SHA256:…`.
        fingerprint: String,
        /// How to make it known.
        advice: String,
    },
    /// Another key was known.
    #[error(
        "the key of {host} has changed: it shows {fingerprint}, and {place} has {known}. Someone may be in between. If \
         the host was set up anew, ask its owner for the new fingerprint, and have `ssh-keygen -R '{name}'` remove the old key"
    )]
    ChangedHost {
        /// The host.
        host: String,
        /// `SHA256:…` of what was shown.
        fingerprint: String,
        /// `SHA256:…` of what was known.
        known: String,
        /// Where that stands.
        place: Box<Place>,
        /// The name under which it stands there.
        name: String,
    },
    /// The key is revoked.
    #[error(
        "the key of {host} is revoked by {place}: it is not to be trusted. Ask the host's owner for a new key"
    )]
    RevokedHost {
        /// The host.
        host: String,
        /// Where that stands.
        place: Place,
    },
    /// The certificate does not hold.
    #[error("the certificate of {host}, by the authority of {place}, does not hold: {reason}")]
    HostCertificate {
        /// The host.
        host: String,
        /// Where the authority stands.
        place: Place,
        /// What is wrong with it.
        reason: String,
    },
    /// The two sides can't talk.
    #[error("{host}: {step} failed: {reason}")]
    Protocol {
        /// The host.
        host: String,
        /// The step.
        step: &'static str,
        /// What was said.
        reason: String,
    },
    /// No key was taken.
    #[error("{host} does not let {user} in: {}. {advice}", Tried(tried))]
    Login {
        /// The host.
        host: String,
        /// Who wanted in.
        user: String,
        /// Each key, and what became of it.
        tried: Vec<String>,
        /// What to do.
        advice: String,
    },
    /// The host does not open this stream.
    #[error("{host} does not open {what}: {reason}")]
    Refused {
        /// The host.
        host: String,
        /// A socket, an address or a command.
        what: String,
        /// What was said, and what to do.
        reason: String,
    },
    /// The connection ended.
    #[error("the connection to {host} broke while {step}")]
    Lost {
        /// The host.
        host: String,
        /// What was under way.
        step: &'static str,
        /// Whether a command may have begun over there.
        may_have_happened: bool,
    },
    /// It failed a moment ago, and is left alone for a little.
    #[error("{last} (the next attempt is made in {} s at the earliest)", wait.as_secs().max(1))]
    Resting {
        /// What went wrong last.
        last: Box<Error>,
        /// How long nothing is tried.
        wait: Duration,
    },
    /// The host was closed by its owner.
    #[error("the connection to {host} was closed here")]
    Closed {
        /// The host.
        host: String,
    },
}

impl Error {
    /// Whether a command may have begun on the far side, so that repeating it may do it twice.
    pub fn may_have_happened(&self) -> bool {
        matches!(
            self,
            Self::Lost {
                may_have_happened: true,
                ..
            }
        )
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind;
        let kind = match &error {
            Error::Late { .. } => ErrorKind::TimedOut,
            Error::Lost { .. } => ErrorKind::ConnectionReset,
            Error::Login { .. } => ErrorKind::PermissionDenied,
            _ => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

struct Tried<'a>(&'a [String]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there was no key to try");
        }
        f.write_str(&self.0.join("; "))
    }
}
