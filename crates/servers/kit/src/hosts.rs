//! The parameter `host` of servers that work in several places: it is taken out of the arguments before the tool sees
//! them, so that tools know nothing of it.
//!
//! Deliberately absent: which hosts there are, and what may be done there.

use crate::error::{Code, ToolError};
use crate::near;
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use std::sync::Arc;

/// The parameter.
pub const HOST: &str = "host";
/// The host that is meant where none is named.
pub const LOCAL: &str = "local";
/// Most names of hosts in what models are told.
const NAMED: usize = 24;

/// Takes the host out of the arguments of a call. A value that is no text is left to be refused with the other arguments.
pub fn taken(arguments: &mut JsonObject) -> Option<String> {
    if !arguments.get(HOST)?.is_string() {
        return None;
    }
    match arguments.shift_remove(HOST)? {
        Value::String(name) => Some(name),
        _ => None,
    }
}

/// The host that a call names.
pub fn named(arguments: &Value) -> Option<&str> {
    arguments.get(HOST)?.as_str()
}

/// The arguments of a call without its host, as its tool knows them; `None` if there is none among them.
pub fn without(arguments: &Value) -> Option<Value> {
    named(arguments)?;
    let mut arguments = arguments.clone();
    arguments.as_object_mut()?.shift_remove(HOST);
    Some(arguments)
}

/// Behind what a person is asked: " on host prod".
pub fn about(arguments: &Value) -> String {
    let name = named(arguments).unwrap_or(LOCAL);
    let name = base::text::clean(base::text::cut(name, 64)).replace(['\n', '\t'], " ");
    format!(" on host {name}")
}

/// A tool with the parameter, as it stands in a list.
#[must_use]
pub fn listed(mut tool: rmcp::model::Tool, description: Option<&str>) -> rmcp::model::Tool {
    let mut schema = JsonObject::clone(&tool.input_schema);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let parameter = match description {
            Some(text) => json!({"type": "string", "description": text}),
            None => json!({"type": "string"}),
        };
        properties.insert(HOST.to_owned(), parameter);
    }
    tool.input_schema = Arc::new(schema);
    tool
}

/// The names of hosts beside `local`, as models are told: "prod, lab and 3 more".
pub fn shown(names: &[impl AsRef<str>]) -> String {
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown: Vec<_> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    shown.join(", ") + &more
}

/// There is no such host for this server. `names` are those that there are; `more` says how a person adds one.
pub fn unknown(name: &str, names: &[impl AsRef<str>], more: &str) -> ToolError {
    let shown_name = base::text::clean(base::text::cut(name, 80)).replace(['\n', '\t'], " ");
    let error = ToolError::new(Code::NotFound, format!("there is no host {shown_name:?} here"));
    let near = near::nearest(name, names.iter().map(AsRef::as_ref), 2);
    error.fix(match (near.as_slice(), names) {
        ([], []) => format!("leave host out; {more}"),
        ([], names) => format!("name one of {}; {more}", shown(names)),
        (near, _) => format!("did you mean {}?", near.join(" or ")),
    })
}
