//! Multi round-trip requests (2026-07-28, Patterns, "Multi Round-Trip Requests"): a result that asks for input,
//! and the retry that brings it. Sealing the state is the matter of who sends it.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::edit::{Object, may_name};
use crate::{Raw, method, to_raw};

/// Member of a result: `complete`, `input_required`, or an extension's own.
pub const RESULT_TYPE: &str = "resultType";
/// The type of a result that asks for input.
const INPUT_REQUIRED: &str = "input_required";
/// Member of a result or a task: what is wanted, by keys.
pub const INPUT_REQUESTS: &str = "inputRequests";
/// Member of a retry: the answers, by the keys of the requests.
pub const INPUT_RESPONSES: &str = "inputResponses";
/// Member of result and retry: what the server wants to hear again.
pub const REQUEST_STATE: &str = "requestState";

/// The result that asks the client to have a form filled in: one request, under `key`.
#[must_use]
pub fn input_required(key: &str, elicitation: &Value, state: &str) -> Raw {
    to_raw(&json!({
        RESULT_TYPE: INPUT_REQUIRED,
        "inputRequests": { key: {"method": method::ELICIT, "params": elicitation} },
        REQUEST_STATE: state,
    }))
}

/// One thing that a server wants to know before it goes on.
#[derive(Debug, Clone)]
pub struct InputRequest {
    /// What a request to the client would have as method: `elicitation/create`, `sampling/createMessage`,
    /// `roots/list`.
    pub method: String,
    /// And as `params`.
    pub params: Option<Raw>,
}

/// A result that asks for input.
#[derive(Debug, Clone, Default)]
pub struct InputRequired {
    /// What is wanted, each under the server's key for it, in order.
    pub requests: Vec<(String, InputRequest)>,
    /// What the server wants to hear again.
    pub state: Option<String>,
}

impl InputRequired {
    /// Reads a result; `None` if it does not ask for input.
    ///
    /// # Errors
    /// It does, but not in a way that can be answered; what is wrong with it.
    pub fn read(result: &RawValue) -> Option<Result<Self, String>> {
        if !may_name(result, INPUT_REQUIRED) {
            return None;
        }
        let object = Object::parse(result).ok()?;
        (object.text(RESULT_TYPE)? == INPUT_REQUIRED).then(|| Self::of(&object))
    }

    /// The `inputRequests` and `requestState` of a result, or of a task.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of(object: &Object<'_>) -> Result<Self, String> {
        let mut requests = Vec::new();
        if let Some(raw) = object.get(INPUT_REQUESTS) {
            let wanted = Object::parse(raw).map_err(|error| format!("{INPUT_REQUESTS}: {error}"))?;
            for (key, request) in wanted.iter() {
                let request =
                    Object::parse(request).map_err(|error| format!("input request {key:?}: {error}"))?;
                let method = request
                    .text("method")
                    .ok_or_else(|| format!("input request {key:?} has no method"))?;
                let request = InputRequest {
                    method: method.into_owned(),
                    params: request.get("params").map(ToOwned::to_owned),
                };
                requests.push((key.to_owned(), request));
            }
        }
        Ok(Self {
            requests,
            state: object.text(REQUEST_STATE).map(std::borrow::Cow::into_owned),
        })
    }

    /// The result.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        let mut result = Object::empty();
        result.set(RESULT_TYPE, INPUT_REQUIRED);
        result.set(INPUT_REQUESTS, &self.requests_raw());
        if let Some(state) = &self.state {
            result.set(REQUEST_STATE, state);
        }
        result.to_raw()
    }

    /// The member `inputRequests` alone.
    #[must_use]
    pub fn requests_raw(&self) -> Raw {
        let mut requests = Object::empty();
        for (key, InputRequest { method, params }) in &self.requests {
            let mut request = Object::empty();
            request.set("method", method);
            if let Some(params) = params {
                request.set("params", params);
            }
            requests.set_named(key, &request);
        }
        requests.to_raw()
    }
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
