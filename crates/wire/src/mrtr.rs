//! Multi round-trip requests (2026-07-28, Patterns, "Multi Round-Trip Requests"): a result that asks for input,
//! and the retry that brings it. Sealing the state is the matter of who sends it.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::edit::Object;
use crate::{Raw, method, to_raw};

/// Member of a result: `complete`, `input_required`, or an extension's own.
pub const RESULT_TYPE: &str = "resultType";
/// Member of a retry: the answers, by the keys of the requests.
pub const INPUT_RESPONSES: &str = "inputResponses";
/// Member of result and retry: what the server wants to hear again.
pub const REQUEST_STATE: &str = "requestState";

/// The result that asks the client to have a form filled in: one request, under `key`.
#[must_use]
pub fn input_required(key: &str, elicitation: &Value, state: &str) -> Raw {
    to_raw(&json!({
        RESULT_TYPE: "input_required",
        "inputRequests": { key: {"method": method::ELICIT, "params": elicitation} },
        REQUEST_STATE: state,
    }))
}

/// What a person answered to an elicitation.
#[derive(Debug, Clone, PartialEq)]
pub enum Elicited {
    /// The form, filled in.
    Accepted(Map<String, Value>),
    /// An explicit no.
    Declined,
    /// Closed without an answer.
    Cancelled,
}

impl Elicited {
    /// Reads the result of `elicitation/create`; `None` if it is none.
    #[must_use]
    pub fn read(raw: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire {
            action: String,
            content: Option<Map<String, Value>>,
        }
        let Wire { action, content } = serde_json::from_str(raw.get()).ok()?;
        match action.as_str() {
            "accept" => Some(Self::Accepted(content.unwrap_or_default())),
            "decline" => Some(Self::Declined),
            "cancel" => Some(Self::Cancelled),
            _ => None,
        }
    }

    /// The answer under `key` in the `inputResponses` of a retry. Others beside it are ignored, as section
    /// "Error Handling" asks.
    #[must_use]
    pub fn of_retry(params: &Object<'_>, key: &str) -> Option<Self> {
        let responses = Object::parse(params.get(INPUT_RESPONSES)?).ok()?;
        Self::read(responses.get(key)?)
    }
}
