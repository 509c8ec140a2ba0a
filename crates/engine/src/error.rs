//! What can go wrong between a call and the daemon's answer, each with what the reader can do about it.

use crate::guard::Refusal;
use crate::negotiate::Version;
use base::names::NameError;
use http::StatusCode;
use std::fmt;
use std::time::Duration;

/// Why an operation on an engine failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The guard did not let the request through; nothing was sent.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// A name is not one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The endpoint's text or its TLS material can't be used.
    #[error(transparent)]
    Endpoint(#[from] crate::EndpointError),
    /// The daemon has no such object.
    #[error("not found: {message} ({what})")]
    NotFound {
        /// Method and path.
        what: String,
        /// The daemon's own words.
        message: String,
    },
    /// The object's state or another object stands in the way.
    #[error("conflict: {message} ({what})")]
    Conflict {
        /// Method and path.
        what: String,
        /// The daemon's own words.
        message: String,
    },
    /// The daemon refused or failed for another reason.
    #[error("the daemon answered {status} to {what}: {message}")]
    Daemon {
        /// Method and path.
        what: String,
        /// The status, 400 to 599 other than 404 and 409.
        status: u16,
        /// The daemon's own words.
        message: String,
    },
    /// No connection; nothing was sent.
    #[error("can't reach the Docker Engine at {endpoint}: {cause}{}", and(advice))]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What the system said.
        cause: String,
        /// What to check; empty where the cause says it.
        advice: &'static str,
    },
    /// The time limit passed.
    #[error("no answer to {what} within {}; {fate}", seconds(*after))]
    Timeout {
        /// Method and path.
        what: String,
        /// The limit.
        after: Duration,
        /// What is known of the request's effect.
        fate: Fate,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to the Docker Engine broke during {what}: {cause}; {fate}")]
    Broken {
        /// Method and path.
        what: String,
        /// What the transport said.
        cause: String,
        /// What is known of the request's effect.
        fate: Fate,
    },
    /// An answer that is not what the API promises.
    #[error("the answer to {what} can't be understood: {cause}")]
    Protocol {
        /// Method and path.
        what: String,
        /// What was wrong.
        cause: String,
    },
    /// An answer, or one line of it, is larger than what is held in memory.
    #[error("the answer to {what} is over {limit} bytes; ask for less, or read it as a stream")]
    TooLarge {
        /// Method and path.
        what: String,
        /// The limit.
        limit: usize,
    },
    /// The request itself is faulty; nothing was sent.
    #[error("{what} can't be sent: {fault}")]
    Request {
        /// Method and path.
        what: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The daemon is older than what this program speaks.
    #[error(
        "the Docker Engine at {endpoint} speaks API {daemon} and {} or newer is needed; upgrade the engine (20.10 or newer)",
        Version::OLDEST
    )]
    TooOld {
        /// Which engine.
        endpoint: String,
        /// The newest version that it serves.
        daemon: Version,
    },
}

fn and(advice: &str) -> String {
    if advice.is_empty() {
        String::new()
    } else {
        format!("; {advice}")
    }
}

/// What is known about the effect of a request that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was not sent, or it only reads: nothing has changed.
    Unchanged,
    /// It was sent: the daemon may have done it, may be doing it, or may never do it.
    Unknown,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "nothing has been changed",
            Self::Unknown => "the action may have happened all the same: look before you repeat it",
        })
    }
}

#[derive(serde::Deserialize)]
struct Failure {
    message: String,
    #[serde(default)]
    cause: String,
}

impl Error {
    /// The error that a status of 400 and above means. `body` is `{"message": …}`, or plain text from proxies and old
    /// routes.
    pub(crate) fn status(what: String, status: StatusCode, body: &[u8]) -> Self {
        let failure = serde_json::from_slice(body).unwrap_or_else(|_| Failure {
            message: String::from_utf8_lossy(body).into_owned(),
            cause: String::new(),
        });
        let message = match failure.message.trim() {
            "" => status.canonical_reason().unwrap_or("no reason given").to_owned(),
            message => message.to_owned(),
        };
        match status {
            StatusCode::NOT_FOUND => Self::NotFound { what, message },
            StatusCode::CONFLICT => Self::Conflict { what, message },
            // Podman answers 500 to nearly everything, and says beside the message what it means.
            _ => match failure.cause.as_str() {
                "container state improper"
                | "that name is already in use"
                | "network already exists"
                | "network is being used" => Self::Conflict { what, message },
                "layer not known" | "no such container" => Self::NotFound { what, message },
                _ => Self::Daemon {
                    what,
                    status: status.as_u16(),
                    message,
                },
            },
        }
    }

    pub(crate) fn protocol(what: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::Protocol {
            what: what.into(),
            cause: cause.to_string(),
        }
    }

    /// Whether the action may have happened although this is an error.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Timeout { fate, .. } | Self::Broken { fate, .. } => *fate == Fate::Unknown,
            // The daemon has answered, so it has done what it was asked, if that was more than to read.
            Self::Protocol { what, .. } | Self::TooLarge { what, .. } => {
                !what.starts_with("GET ") && !what.starts_with("HEAD ")
            }
            _ => false,
        }
    }
}

fn seconds(limit: Duration) -> String {
    if limit.subsec_millis() == 0 {
        format!("{} s", limit.as_secs())
    } else {
        format!("{} ms", limit.as_millis())
    }
}

/// An error and what caused it, in one line.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        // Many wrappers print what they wrap.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
