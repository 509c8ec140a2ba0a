//! The roots of a client (`roots/list`): whether it says that it has any, asking for them, and reading what it answers.
//!
//! They are asked for by a result, to which the client comes back with its answer (2026-07-28, Patterns, "Multi Round-Trip
//! Requests"); of that the gateway makes a request within the call for clients of the legacy era. Nothing is kept from one
//! call to the next, so a change counts from the next call on, whether the client tells of it or not. Deliberately absent:
//! what a root means.

use crate::error::{Code, ToolError};
use rmcp::model::{CallToolRequestParams, InputRequest, InputRequiredResult, RequestMetaObject};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Where a modern client says with each request what it can do (2026-07-28, Base Protocol, "_meta").
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Under which the answer comes back.
const KEY: &str = "roots";

/// What a call says of its client's roots.
#[derive(Debug, Default)]
pub(crate) enum Said {
    /// Nothing: the client has no such thing.
    #[default]
    Nothing,
    /// It has roots, which have to be asked for.
    Declared,
    /// These, in the form of a result of `roots/list`.
    Answered(Value),
}

impl Said {
    /// In the `_meta` and `inputResponses` of a call. What is brought without having been asked for counts as well: it can
    /// only confine.
    pub(crate) fn within(meta: Option<&RawValue>, responses: Option<&RawValue>) -> Self {
        #[derive(Deserialize, Default)]
        struct Meta {
            #[serde(rename = "io.modelcontextprotocol/clientCapabilities", default)]
            capabilities: Value,
        }
        let read = |raw: &RawValue| serde_json::from_str::<Meta>(raw.get()).ok();
        let meta = meta.and_then(read).unwrap_or_default();
        let answer = responses.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
        Self::of(&meta.capabilities, answer.as_ref().and_then(|all| all.get(KEY)))
    }

    /// The same of a call that came by a stream.
    pub(crate) fn by_stream(meta: &RequestMetaObject, call: &CallToolRequestParams) -> Self {
        let answer = call.input_responses.as_ref().and_then(|all| all.get(KEY));
        Self::of(meta.0.get(CAPABILITIES).unwrap_or(&Value::Null), answer)
    }

    fn of(capabilities: &Value, answer: Option<&Value>) -> Self {
        match answer {
            Some(answer) => Self::Answered(answer.clone()),
            None if capabilities["roots"].is_object() => Self::Declared,
            None => Self::Nothing,
        }
    }
}

/// The result that asks for the roots.
pub(crate) fn wanted() -> InputRequiredResult {
    #[expect(
        deprecated,
        reason = "clients have roots while their predecessors' year lasts"
    )]
    let list = rmcp::model::ListRootsRequest::default();
    let list = InputRequest::ListRoots(list);
    InputRequiredResult::from_input_requests(BTreeMap::from([(KEY.to_owned(), list)]))
}

/// The addresses in an answer to `roots/list`.
///
/// # Errors
/// It is none.
pub(crate) fn read(answer: Value) -> Result<Vec<String>, ToolError> {
    #[derive(Deserialize)]
    struct List {
        roots: Vec<Root>,
    }
    #[derive(Deserialize)]
    struct Root {
        uri: String,
    }
    match serde_json::from_value::<List>(answer) {
        Ok(list) => Ok(list.roots.into_iter().map(|root| root.uri).collect()),
        Err(error) => Err(ToolError::new(
            Code::Refused,
            format!("the client says that it has roots, and its answer to roots/list is none ({error})"),
        )
        .fix("have the client mended, or its capability `roots` left out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_call_says() {
        let check = |meta: &str, responses: Option<&str>, expected: &str| {
            let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
            let (meta, responses) = (raw(meta), responses.map(raw));
            let said = match Said::within(Some(&meta), responses.as_deref()) {
                Said::Nothing => "nothing".to_owned(),
                Said::Declared => "declared".to_owned(),
                Said::Answered(answer) => answer.to_string(),
            };
            assert_eq!(said, expected, "{meta} {responses:?}");
        };
        let declared =
            r#"{"io.modelcontextprotocol/clientCapabilities":{"sampling":{},"roots":{"listChanged":true}}}"#;
        check(declared, None, "declared");
        check(declared, Some("{}"), "declared");
        check(declared, Some(r#"{"other":{"roots":[]}}"#), "declared");
        check(declared, Some(r#"{"roots":{"roots":[]}}"#), r#"{"roots":[]}"#);
        check(
            r#"{"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}"#,
            None,
            "declared",
        );
        // It declares none.
        for meta in [
            "{}",
            "[]",
            r#"{"roots":{}}"#,
            r#"{"io.modelcontextprotocol/clientCapabilities":{}}"#,
            r#"{"io.modelcontextprotocol/clientCapabilities":null}"#,
            r#"{"io.modelcontextprotocol/clientCapabilities":{"roots":true}}"#,
        ] {
            check(meta, None, "nothing");
        }
        check("{}", Some(r#"{"roots":7}"#), "7");
    }

    #[test]
    fn what_a_client_answers() {
        let check = |answer: Value, expected: Option<&[&str]>| {
            let read = read(answer.clone()).ok();
            let read: Option<Vec<&str>> = read.as_ref().map(|all| all.iter().map(String::as_str).collect());
            assert_eq!(read.as_deref(), expected, "{answer}");
        };
        check(json!({"roots": []}), Some(&[]));
        check(
            json!({"roots": [{"uri": "file:///a", "name": "A"}, {"uri": "x:y"}], "_meta": {}}),
            Some(&["file:///a", "x:y"]),
        );
        for none in [
            json!(null),
            json!({}),
            json!([]),
            json!({"roots": null}),
            json!({"roots": ["file:///a"]}),
            json!({"roots": [{"name": "A"}]}),
            json!({"roots": [{"uri": 7}]}),
        ] {
            check(none, None);
        }
        // The form in which it is asked for.
        assert_eq!(
            serde_json::to_value(wanted()).unwrap(),
            json!({"resultType": "input_required", "inputRequests": {"roots": {"method": "roots/list"}}})
        );
    }
}
