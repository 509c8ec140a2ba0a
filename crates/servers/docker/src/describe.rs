//! What a call would do, for whoever decides on it before it is made: nothing here reaches the engine.
//!
//! Every name that can be called is known here. A name that is not known destroys everything, for whoever asks:
//! what can't be judged must not pass as harmless.

use crate::tool::Described;
use crate::tools;
use policy::Effect;
use serde_json::Value;

/// The tool's own name, for a name that may be an alias. `None` when there is no such tool.
pub fn canonical(tool: &str) -> Option<String> {
    tools::find(tool).map(|tool| tool.spec.name.to_owned())
}

/// What a call with these arguments does at worst.
///
/// Arguments that do not fit the tool get the worst that the tool can do; the call itself will fail.
pub fn effect(tool: &str, arguments: &Value) -> Effect {
    let Some(found) = tools::find(tool) else {
        return Effect::Destroy;
    };
    match found.spec.effect {
        // No arguments make more of it.
        Effect::Read => Effect::Read,
        worst => describe(tool, arguments).map_or(worst, |described| described.effect),
    }
}

/// One line for the person who is asked to confirm: "remove container web (force)".
pub fn about(tool: &str, arguments: &Value) -> String {
    let about = match describe(tool, arguments) {
        Some(described) => described.about,
        None => format!("call {tool} with arguments that do not fit it"),
    };
    let about = base::text::clean(&about).replace(['\n', '\t'], " ");
    let about = base::redact::text(&about).into_owned();
    base::text::cut(&about, 300).to_owned()
}

/// The name of what is lost for good, which the person is to type back. `None` when nothing is.
pub fn data_loss(tool: &str, arguments: &Value) -> Option<String> {
    describe(tool, arguments)?.data_loss
}

fn describe(tool: &str, arguments: &Value) -> Option<Described> {
    let arguments = match arguments {
        Value::Object(arguments) => arguments.clone(),
        Value::Null => serde_json::Map::new(),
        _ => return None,
    };
    tools::find(tool)?.describe(arguments).ok()
}
