//! What goes wrong between us and a server, as an answer that says what to do about it.

use fetch::{Kind, Response, StatusCode};
use serde_json::json;
use wire::{Fault, code};

use super::session::Shared;

/// Most bytes of an error's body that are read.
const BODY: usize = 64 << 10;

/// Why a request has no answer of the server's.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server answered with a status that is an error, and no JSON-RPC error with it.
    Status {
        status: StatusCode,
        said: String,
        /// What login it wants.
        challenge: Option<String>,
        /// When to come again, in its words.
        after: Option<String>,
        /// Where it sends us instead.
        location: Option<String>,
    },
    /// The exchange failed.
    Fetch(fetch::Error),
    /// The answer came, but is none.
    Content(String),
    /// The stream ended before the answer; why, if not properly.
    Cut(Option<fetch::Error>),
    /// It has forgotten the session and does not begin another.
    Session(Box<Failure>),
    /// Too much at a time.
    Busy,
}

impl From<fetch::Error> for Failure {
    fn from(error: fetch::Error) -> Self {
        Self::Fetch(error)
    }
}

/// The body of an answer whose status is an error.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    media_type: String,
    challenge: Option<String>,
    after: Option<String>,
    location: Option<String>,
}

impl Refusal {
    pub(super) async fn read(mut response: Response) -> Self {
        let shown = |name: &str| {
            let value = response.header(name)?;
            let value = base::text::clean(base::text::cut(value, 300));
            Some(base::redact::text(&value).into_owned())
        };
        let (challenge, after) = (shown("www-authenticate"), shown("retry-after"));
        let location = shown("location").map(|to| to.split(['?', '#']).next().unwrap_or_default().to_owned());
        let mut body = Vec::new();
        // A body that breaks off says less; the status is what counts.
        while body.len() < BODY
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        Self {
            status: response.status(),
            media_type: response.media_type(),
            body,
            challenge,
            after,
            location: location.filter(|_| response.status().is_redirection()),
        }
    }

    /// Whether the server means that it does not know the session. 404 is the standard's word for it; widespread
    /// servers say 400 and "session" in the message.
    pub(super) fn is_lost_session(&self) -> bool {
        match self.status.as_u16() {
            404 => true,
            400 => self.said().to_ascii_lowercase().contains("session"),
            _ => false,
        }
    }

    pub(super) fn said(&self) -> String {
        fetch::excerpt(&self.media_type, &self.body)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Status {
            status: refusal.status,
            said: refusal.said(),
            challenge: refusal.challenge,
            after: refusal.after,
            location: refusal.location,
        }
    }
}

impl Failure {
    /// Whether the server may have acted on the request.
    fn may_have_happened(&self) -> bool {
        match self {
            Self::Fetch(error) => error.may_have_happened(),
            Self::Cut(_) | Self::Content(_) => true,
            Self::Status { status, .. } => status.is_server_error(),
            Self::Session(_) | Self::Busy => false,
        }
    }

    /// The answer in place of the server's.
    pub(super) fn fault(&self, shared: &Shared) -> Fault {
        let (server, url) = (&shared.remote.server, fetch::shown(&shared.url));
        let mut text = format!("server {server} {}", self.told(shared, &url));
        if self.may_have_happened() {
            text.push_str("; whether the request took effect is not known");
        }
        let mut data = json!({"server": server, "url": url, "mayHaveHappened": self.may_have_happened()});
        if let Some(data) = data.as_object_mut()
            && let Some(status) = self.status()
        {
            data.insert("status".to_owned(), status.as_u16().into());
        }
        Fault::new(code::INTERNAL_ERROR, text).with(data)
    }

    fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Session(cause) => cause.status(),
            _ => None,
        }
    }

    fn told(&self, shared: &Shared, url: &str) -> String {
        match self {
            Self::Status {
                status,
                said,
                challenge,
                after,
                location,
            } => {
                let mut text = match status.as_u16() {
                    401 => format!("at {url} wants a login (401 Unauthorized)"),
                    403 => format!("at {url} does not permit this (403 Forbidden)"),
                    404 => format!("has nothing at {url} (404 Not Found); check its address"),
                    405 => format!("takes no messages at {url} (405 Method Not Allowed); check its address"),
                    _ => format!("at {url} answered {status}"),
                };
                if let Some(location) = location {
                    text.push_str(" and redirects to ");
                    text.push_str(location);
                    text.push_str("; if that is its new address, configure it");
                }
                if let Some(challenge) = challenge {
                    text.push_str(": it asks for ");
                    text.push_str(challenge);
                }
                if !said.is_empty() {
                    text.push_str(": ");
                    text.push_str(said);
                }
                if matches!(status.as_u16(), 401 | 403) {
                    text.push_str(&credentials(shared));
                }
                if let Some(after) = after {
                    text.push_str("; try again after ");
                    text.push_str(after);
                    text.push_str(if after.bytes().all(|byte| byte.is_ascii_digit()) {
                        " s"
                    } else {
                        ""
                    });
                }
                text
            }
            Self::Fetch(error) => format!("can't be used: {error}"),
            Self::Content(what) => format!("at {url} {what}"),
            Self::Cut(None) => format!("at {url} ended the stream before its answer"),
            Self::Cut(Some(error)) => match &error.kind {
                Kind::TooLarge { .. } => format!("at {url} sends too much: {}", error.kind),
                kind => format!("at {url} did not end its answer: {kind}"),
            },
            Self::Session(cause) => format!(
                "has forgotten the session, and a new one can't be had: it {}",
                cause.told(shared, url)
            ),
            Self::Busy => format!("at {url} has too many requests waiting; try again when some have ended"),
        }
    }
}

/// Which credentials were sent, so that one knows where to look.
fn credentials(shared: &Shared) -> String {
    let sent: Vec<_> = shared
        .remote
        .headers
        .iter()
        .map(|header| match &header.secret {
            Some(secret) => format!("{} (from secret {secret})", header.name),
            None => header.name.clone(),
        })
        .collect();
    if sent.is_empty() {
        "; no header with credentials is configured for it, add one (usually Authorization)".to_owned()
    } else {
        format!(
            "; the headers sent were {}: check that their values still hold",
            sent.join(", ")
        )
    }
}
