//! Asking a person before a call is made, in the way that the client's era offers: a request in the middle of the
//! call (legacy, `elicitation/create`), a result that asks and a retry that answers (modern, `input_required`),
//! or whoever called directly. What was not clearly answered with yes is a no.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::edit::Object;
use wire::mrtr::{self, Elicited, REQUEST_STATE};
use wire::{Fault, Raw, Version, code, method, to_raw};

use crate::caller::{Asking, Caller};
use crate::core::Core;
use crate::outlet::Outlet;

/// Under this key the modern era carries question and answer.
const KEY: &str = "confirm";
/// The field of the form.
const FIELD: &str = "confirm";
/// The field of the form when a name has to be typed.
const NAME: &str = "name";

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Server and tool: `docker/remove_container`.
    pub tool: String,
    /// What would be done: "remove container web (force)".
    pub about: String,
    /// Why the person is asked: which rule wants it.
    pub why: String,
    /// The client on whose behalf.
    pub client: String,
    /// What the person has to type, because data is lost for good.
    pub type_back: Option<String>,
}

impl Question {
    /// The question as text.
    #[must_use]
    pub fn text(&self) -> String {
        let Self {
            tool,
            about,
            why,
            client,
            type_back,
        } = self;
        match type_back {
            None => format!("{client} wants to {about} ({tool}). Allow it? [{why}]"),
            Some(name) => format!(
                "{client} wants to {about} ({tool}). Data is lost for good. To allow it, type the name {name:?}. [{why}]"
            ),
        }
    }

    /// The form of `elicitation/create`.
    fn form(&self, version: Version) -> Value {
        let field = match &self.type_back {
            None => {
                json!({FIELD: {"type": "boolean", "title": "Yes, do it", "description": self.about, "default": false}})
            }
            Some(name) => json!({NAME: {
                "type": "string", "title": format!("Type {name} to confirm"), "description": self.about,
            }}),
        };
        let required = if self.type_back.is_some() { NAME } else { FIELD };
        let mut form = json!({
            "message": self.text(),
            "requestedSchema": {"type": "object", "properties": field, "required": [required]},
        });
        // Modes came with URL elicitation.
        if version >= Version::V2025_11_25 {
            form["mode"] = "form".into();
        }
        form
    }

    fn reply(&self, elicited: Option<Elicited>) -> Reply {
        match elicited {
            Some(Elicited::Accepted(form)) => self.check(&form),
            Some(Elicited::Declined) => Reply::No,
            Some(Elicited::Cancelled) | None => Reply::Nothing,
        }
    }

    fn check(&self, form: &Map<String, Value>) -> Reply {
        match &self.type_back {
            None if form.get(FIELD) == Some(&Value::Bool(true)) => Reply::Yes,
            None => Reply::No,
            Some(name) if form.get(NAME).and_then(Value::as_str).map(str::trim) == Some(name) => Reply::Yes,
            Some(_) => Reply::WrongName,
        }
    }
}

/// What a person replied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Do it.
    Yes,
    /// Don't.
    No,
    /// A name was typed, but not the right one.
    WrongName,
    /// The question was closed, or nobody answered in time.
    Nothing,
}

/// Asks the person at the terminal, for calls that come from the command line.
pub trait Confirmer: Send + Sync {
    /// Puts the question. [`Question::type_back`] has to be compared by the implementation.
    fn confirm<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Reply>;
}

/// How asking ended.
pub(crate) enum Asked {
    Replied(Reply),
    /// The client is to ask and to call again; this is the result that tells it so.
    Later(Raw),
    /// Nobody can be asked.
    Unable,
    /// The call was cancelled meanwhile.
    Cancelled,
}

/// Puts `question`. `request` describes the call exactly, so that a yes to one call is none to another.
pub(crate) async fn ask(
    core: &Core,
    caller: &Caller,
    question: &Question,
    request: &str,
    params: &Object<'_>,
    outlet: Option<&Outlet>,
    cancel: &CancellationToken,
) -> Result<Asked, Fault> {
    let patience = core.limits.confirm;
    let waiting = async {
        match (&caller.asking, outlet) {
            (Asking::Elicit(session), Some(outlet)) => {
                let form = to_raw(&question.form(caller.era.version()));
                let answer = timeout(patience, session.ask(outlet, method::ELICIT, form, None)).await;
                let elicited = match answer {
                    Ok(Some(Ok(result))) => Elicited::read(&result),
                    // The client can't after all, is gone, or nobody answered.
                    Ok(Some(Err(_)) | None) | Err(_) => None,
                };
                Ok(Asked::Replied(question.reply(elicited)))
            }
            (Asking::Retry, _) => retry(core, caller, question, request, params),
            (Asking::Direct(confirmer), _) => {
                let reply = timeout(patience, confirmer.confirm(question))
                    .await
                    .unwrap_or(Reply::Nothing);
                Ok(Asked::Replied(reply))
            }
            (Asking::Elicit(_), None) | (Asking::Unable, _) => Ok(Asked::Unable),
        }
    };
    tokio::select! {
        asked = waiting => asked,
        () = cancel.cancelled() => Ok(Asked::Cancelled),
    }
}

/// Both rounds of the modern era: without state the question goes out, with it the answer comes in.
fn retry(
    core: &Core,
    caller: &Caller,
    question: &Question,
    request: &str,
    params: &Object<'_>,
) -> Result<Asked, Fault> {
    let elicited = Elicited::of_retry(params, KEY);
    let (Some(state), Some(elicited)) = (params.text(REQUEST_STATE), elicited) else {
        let state = core
            .sealer
            .seal(&caller.principal, request)
            .map_err(|error| Fault::new(code::INTERNAL_ERROR, error.to_string()))?;
        return Ok(Asked::Later(mrtr::input_required(
            KEY,
            &question.form(Version::LATEST),
            &state,
        )));
    };
    core.sealer
        .open(&caller.principal, request, &state)
        .map_err(|error| {
            Fault::new(
                code::INVALID_PARAMS,
                format!("requestState is not accepted: {error}. Call again without it to be asked anew"),
            )
        })?;
    Ok(Asked::Replied(question.reply(Some(elicited))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(type_back: Option<&str>) -> Question {
        Question {
            tool: "docker/remove_volume".to_owned(),
            about: "remove volume data".to_owned(),
            why: "ask = destroy".to_owned(),
            client: "probe 1.0".to_owned(),
            type_back: type_back.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn only_a_clear_yes_is_one() {
        for (type_back, answer, wanted) in [
            (
                None,
                r#"{"action":"accept","content":{"confirm":true}}"#,
                Reply::Yes,
            ),
            (
                None,
                r#"{"action":"accept","content":{"confirm":false}}"#,
                Reply::No,
            ),
            (
                None,
                r#"{"action":"accept","content":{"confirm":"true"}}"#,
                Reply::No,
            ),
            (None, r#"{"action":"accept","content":{}}"#, Reply::No),
            (None, r#"{"action":"accept"}"#, Reply::No),
            (None, r#"{"action":"decline"}"#, Reply::No),
            (None, r#"{"action":"cancel"}"#, Reply::Nothing),
            (
                None,
                r#"{"action":"yes","content":{"confirm":true}}"#,
                Reply::Nothing,
            ),
            (None, r#"{"confirm":true}"#, Reply::Nothing),
            (None, "7", Reply::Nothing),
            (
                Some("data"),
                r#"{"action":"accept","content":{"name":"data"}}"#,
                Reply::Yes,
            ),
            (
                Some("data"),
                r#"{"action":"accept","content":{"name":" data "}}"#,
                Reply::Yes,
            ),
            (
                Some("data"),
                r#"{"action":"accept","content":{"name":"Data"}}"#,
                Reply::WrongName,
            ),
            (
                Some("data"),
                r#"{"action":"accept","content":{"confirm":true}}"#,
                Reply::WrongName,
            ),
            (
                Some("data"),
                r#"{"action":"decline","content":{"name":"data"}}"#,
                Reply::No,
            ),
        ] {
            let raw = serde_json::value::RawValue::from_string(answer.to_owned()).unwrap();
            assert_eq!(
                question(type_back).reply(Elicited::read(&raw)),
                wanted,
                "{answer}"
            );
        }
    }

    #[test]
    fn forms() {
        insta::assert_snapshot!(
            question(None).form(Version::V2025_06_18),
            @r#"{"message":"probe 1.0 wants to remove volume data (docker/remove_volume). Allow it? [ask = destroy]","requestedSchema":{"type":"object","properties":{"confirm":{"type":"boolean","title":"Yes, do it","description":"remove volume data","default":false}},"required":["confirm"]}}"#
        );
        insta::assert_snapshot!(
            question(Some("data")).form(Version::V2026_07_28),
            @r#"{"message":"probe 1.0 wants to remove volume data (docker/remove_volume). Data is lost for good. To allow it, type the name \"data\". [ask = destroy]","requestedSchema":{"type":"object","properties":{"name":{"type":"string","title":"Type data to confirm","description":"remove volume data"}},"required":["name"]},"mode":"form"}"#
        );
    }
}
