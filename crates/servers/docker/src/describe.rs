//! What a call would do, for whoever decides on it before it is made: nothing here reaches the engine.
//!
//! Every name that can be called is known here. A name that is not known destroys everything, for whoever asks:
//! what can't be judged must not pass as harmless.

use crate::elsewhere;
use crate::tools::TABLE;
use policy::Effect;
use serde_json::Value;

/// The tool's own name, for a name that may be an alias. `None` when there is no such tool.
pub fn canonical(tool: &str) -> Option<String> {
    TABLE.canonical(tool)
}

/// What a call with these arguments does at worst.
///
/// Arguments that do not fit the tool get the worst that the tool can do; the call itself will fail.
pub fn effect(tool: &str, arguments: &Value) -> Effect {
    TABLE.effect(
        tool,
        elsewhere::without_host(arguments).as_ref().unwrap_or(arguments),
    )
}

/// One line for the person who is asked to confirm: "remove container web (force) on host prod".
pub fn about(tool: &str, arguments: &Value) -> String {
    match elsewhere::without_host(arguments) {
        None => TABLE.about(tool, arguments),
        Some(others) => TABLE.about(tool, &others) + &elsewhere::about(arguments),
    }
}

/// Why a call with these arguments can't be made.
pub fn unfit(tool: &str, arguments: &Value) -> Option<String> {
    TABLE.unfit(
        tool,
        elsewhere::without_host(arguments).as_ref().unwrap_or(arguments),
    )
}

/// The name of what is lost for good, which the person is to type back. `None` when nothing is.
pub fn data_loss(tool: &str, arguments: &Value) -> Option<String> {
    TABLE.data_loss(
        tool,
        elsewhere::without_host(arguments).as_ref().unwrap_or(arguments),
    )
}
