//! Finding out how a server speaks, and opening the conversation in its way.
//!
//! A server that is not known yet is asked `server/discover`. Legacy ones refuse that quickly; some keep silent, and
//! are sent `initialize` after a moment (2026-07-28, stdio, "Era detection"); some end or hang at what they do not
//! know, and get a connection of their own for `initialize`. What was found is remembered, so the next start does not
//! ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use wire::edit::{Object, items, text};
use wire::{Era, Fault, Message, Raw, Version, code, method, to_raw};

use super::connection::{Connection, Speech};
use super::{NoAnswer, Sending, Surroundings};
use crate::parts::Link;

/// How long a server may be silent after `server/discover` before it is sent `initialize` too. Those that answer do so
/// in milliseconds once they run; those that are slow to start read both and answer both.
const SILENCE: Duration = Duration::from_millis(1_500);

/// In which era a server was found to speak.
#[derive(Debug, Default)]
pub(crate) struct Spoken(AtomicU8);

impl Spoken {
    const LEGACY: u8 = 1;
    const MODERN: u8 = 2;

    pub(crate) fn is_modern(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::MODERN
    }

    pub(super) fn is_legacy(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::LEGACY
    }

    fn note(&self, era: Era) {
        let value = match era {
            Era::Legacy(_) => Self::LEGACY,
            Era::Modern => Self::MODERN,
        };
        self.0.store(value, Ordering::Relaxed);
    }

    fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Begins to talk on a new link. The caller bounds the time.
///
/// # Errors
/// [`Refusal::Gone`]: another link may do better, with [`greet`].
pub(super) async fn begin(
    link: Link,
    server: &str,
    spoken: &Spoken,
    around: &Arc<Surroundings>,
) -> Result<Connection, Refusal> {
    let connection = Connection::open(link, server, around);
    let shake = Handshake {
        connection: &connection,
        around,
    };
    let speech = if connection.speaks_for.is_some() {
        shake.discover_alone().await
    } else if spoken.is_legacy() {
        match shake.initialize().await {
            // An update of the server may have changed it, so a refusal is no end.
            Err(Refusal::Unwilling(_)) => shake.discover().await,
            other => other,
        }
    } else {
        shake.probe().await
    };
    settle(connection, speech, spoken)
}

/// Begins with `initialize` and nothing else.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn greet(
    link: Link,
    server: &str,
    spoken: &Spoken,
    around: &Arc<Surroundings>,
) -> Result<Connection, Refusal> {
    let connection = Connection::open(link, server, around);
    let shake = Handshake {
        connection: &connection,
        around,
    };
    let speech = if connection.speaks_for.is_some() {
        shake.discover_alone().await
    } else {
        shake.initialize().await
    };
    settle(connection, speech, spoken)
}

fn settle(
    connection: Connection,
    speech: Result<Speech, Refusal>,
    spoken: &Spoken,
) -> Result<Connection, Refusal> {
    match speech {
        Ok(speech) => {
            spoken.note(speech.era);
            Ok(connection.speaking(speech))
        }
        Err(refusal) => {
            match &refusal {
                // It may end at what it does not know, or at anything; the next start asks the simpler question.
                Refusal::Gone(_) => spoken.note(Version::LATEST_LEGACY.era()),
                Refusal::Unwilling(_) => spoken.forget(),
            }
            Err(refusal)
        }
    }
}

/// Why a way to begin did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The connection is of no use any more.
    #[error("{0}")]
    Gone(String),
    /// The server said no.
    #[error("{0}")]
    Unwilling(String),
}

struct Handshake<'a> {
    connection: &'a Connection,
    around: &'a Surroundings,
}

impl Handshake<'_> {
    /// Both ways, the modern one first.
    async fn probe(&self) -> Result<Speech, Refusal> {
        let discover = self.discover();
        tokio::pin!(discover);
        tokio::select! {
            biased;
            found = &mut discover => {
                return match found {
                    Err(Refusal::Unwilling(_)) => self.initialize().await,
                    found => found,
                };
            }
            () = tokio::time::sleep(SILENCE) => {}
        }
        let initialize = self.initialize();
        tokio::pin!(initialize);
        // Most of the time for starting may have passed; what keeps silent for half of it gets a new connection.
        let patience = tokio::time::sleep(self.around.limits.start / 2);
        tokio::pin!(patience);
        let (mut discovering, mut initializing) = (true, true);
        while discovering || initializing {
            tokio::select! {
                biased;
                found = &mut discover, if discovering => match found {
                    Err(Refusal::Unwilling(_)) => discovering = false,
                    found => return found,
                },
                found = &mut initialize, if initializing => match found {
                    Err(Refusal::Unwilling(why)) if !discovering => return Err(Refusal::Unwilling(why)),
                    Err(Refusal::Unwilling(_)) => initializing = false,
                    found => return found,
                },
                () = &mut patience => {
                    return Err(Refusal::Gone("it answers neither server/discover nor initialize".to_owned()));
                }
            }
        }
        Err(Refusal::Unwilling(
            "it refuses both server/discover and initialize".to_owned(),
        ))
    }

    /// With another gateway: in sessions of the legacy era clients of ours could not be told apart there (`asks::Group`), so
    /// it is never asked for one.
    async fn discover_alone(&self) -> Result<Speech, Refusal> {
        let patience = self.around.limits.start / 2;
        let found = tokio::time::timeout(patience, self.discover()).await;
        found.unwrap_or_else(|_| Err(Refusal::Gone("it does not answer server/discover".to_owned())))
    }

    /// 2026-07-28, "server/discover".
    async fn discover(&self) -> Result<Speech, Refusal> {
        let result = match self.answer(method::DISCOVER, Object::empty()).await? {
            // A server may refuse the first request only to say which versions it takes ("Protocol Version
            // Negotiation"); one that takes ours is asked again, and but once.
            Err(fault) if takes_ours(&fault) => self.ask(method::DISCOVER, Object::empty()).await?,
            answer => answer.map_err(|fault| refused(method::DISCOVER, &fault))?,
        };
        let unwilling = |why: String| Refusal::Unwilling(format!("its answer to server/discover: {why}"));
        let result = Object::parse(&result).map_err(|error| unwilling(error.to_string()))?;
        let versions = result
            .get("supportedVersions")
            .and_then(items)
            .unwrap_or_default();
        let is_spoken = |version: &Version| {
            versions
                .iter()
                .any(|name| text(name).is_some_and(|name| name == version.as_str()))
        };
        if !is_spoken(&Version::LATEST) {
            return Err(unwilling("it names no version that is known here".to_owned()));
        }
        Ok(Speech::of(Era::Modern, &result))
    }

    /// Lifecycle, "Initialization", up to 2025-11-25. What clients can do differs from one to the next, and is asked
    /// for each call, so all of it is offered here.
    async fn initialize(&self) -> Result<Speech, Refusal> {
        let mut params = Object::empty();
        params.set("protocolVersion", Version::LATEST_LEGACY.as_str());
        params.set(
            "capabilities",
            &json!({
                "roots": {"listChanged": true},
                "sampling": {"tools": {}, "context": {}},
                "elicitation": {"form": {}, "url": {}},
            }),
        );
        params.set_raw("clientInfo", self.around.info.clone());
        let result = self.ask(method::INITIALIZE, params).await?;
        let wrong = |why: String| Refusal::Unwilling(format!("its answer to initialize: {why}"));
        let result = Object::parse(&result).map_err(|error| wrong(error.to_string()))?;
        let name = result.text("protocolVersion").unwrap_or_default();
        let version = Version::parse(&name).ok_or_else(|| {
            Refusal::Unwilling(format!(
                "it speaks protocol version {name:?}, which is not known here"
            ))
        })?;
        let era = match version.era() {
            // Whoever shakes hands speaks the legacy era, whatever it says.
            Era::Modern => Version::LATEST_LEGACY.era(),
            legacy @ Era::Legacy(_) => legacy,
        };
        let ready = Message::notification(method::INITIALIZED, to_raw(&json!({})));
        let sent = self.connection.send(&ready).await;
        sent.map_err(|()| Refusal::Gone("it ended during the handshake".to_owned()))?;
        Ok(Speech::of(era, &result))
    }

    async fn ask(&self, method: &str, params: Object<'_>) -> Result<Raw, Refusal> {
        let answer = self.answer(method, params).await?;
        answer.map_err(|fault| refused(method, &fault))
    }

    /// The result, or the error that the server gives.
    async fn answer(&self, method: &str, mut params: Object<'_>) -> Result<Result<Raw, Fault>, Refusal> {
        if method == method::DISCOVER {
            super::set_meta(&mut params, |meta| {
                let capabilities = to_raw(&json!({}));
                let speaker = wire::bridge::Speaker {
                    info: &self.around.info,
                    capabilities: &capabilities,
                    log_level: None,
                };
                wire::bridge::introduce(meta, speaker);
            });
        }
        let cancel = CancellationToken::new();
        // The start as a whole has its limit.
        let sending = Sending::own(&cancel, Duration::MAX);
        match self.connection.request_as_is(method, params, sending).await {
            Ok(answer) => Ok(answer.map_err(Fault::Relayed)),
            Err(NoAnswer::TimedOut { .. }) => Err(Refusal::Gone(format!("it does not answer {method}"))),
            Err(error) => Err(Refusal::Gone(error.to_string())),
        }
    }
}

fn refused(method: &str, fault: &Fault) -> Refusal {
    let why = fault.message();
    Refusal::Unwilling(if fault.code() == Some(code::UNSUPPORTED_VERSION) {
        format!("it does not speak protocol version {}: {why}", Version::LATEST)
    } else {
        format!("it refuses to {method}: {why}")
    })
}

/// Whether a server that refuses a version names ours among those that it takes.
fn takes_ours(fault: &Fault) -> bool {
    let supported = fault.data().and_then(|data| data.get("supported").cloned());
    let ours = |name: &serde_json::Value| name == Version::LATEST.as_str();
    fault.code() == Some(code::UNSUPPORTED_VERSION)
        && supported.is_some_and(|names| names.as_array().is_some_and(|names| names.iter().any(ours)))
}

impl Speech {
    fn of(era: Era, result: &Object<'_>) -> Self {
        Self {
            era,
            capabilities: result
                .get("capabilities")
                .map_or_else(|| to_raw(&json!({})), ToOwned::to_owned),
            instructions: result.text("instructions").map(std::borrow::Cow::into_owned),
        }
    }
}
