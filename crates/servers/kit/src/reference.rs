//! The reference of tools, as Markdown, made from the same table that serves them.

use crate::schema::{ABOUT, HIDDEN, accepts};
use crate::tool::{Context, Tool};
use policy::Effect;
use serde_json::Value;
use std::fmt::Write as _;

/// Adds what there is to know of a tool: its description, effect, other names and parameters.
pub fn entry<X: Context>(text: &mut String, tool: &Tool<X>) {
    let spec = &tool.spec;
    _ = write!(text, "\n### {}\n\n{}\n\n", spec.name, spec.description);
    _ = write!(text, "{}", effect(tool));
    if !spec.aliases.is_empty() {
        let aliases: Vec<String> = spec.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        _ = write!(text, " Also called {}.", aliases.join(", "));
    }
    text.push('\n');
    let schema = tool.schema();
    let Some(properties) = schema
        .get("properties")
        .and_then(Value::as_object)
        .filter(|all| !all.is_empty())
    else {
        return;
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    text.push_str("\n| parameter | accepts | |\n| --- | --- | --- |\n");
    for (name, property) in properties {
        let needed = if required.contains(&name.as_str()) {
            "required. "
        } else {
            ""
        };
        let description = [ABOUT, "description"]
            .into_iter()
            .find_map(|key| property[key].as_str());
        let unlisted = if property[HIDDEN] == true {
            " Not in the list."
        } else {
            ""
        };
        let remark = format!("{needed}{}{unlisted}", description.unwrap_or_default());
        // A bar would begin a cell of its own.
        let (accepted, remark) = (accepts(property).replace('|', "\\|"), remark.replace('|', "\\|"));
        _ = writeln!(text, "| `{name}` | {accepted} | {} |", remark.trim());
    }
}

fn effect<X: Context>(tool: &Tool<X>) -> String {
    let does = match tool.spec.effect {
        Effect::Read => return "Reads.".to_owned(),
        Effect::Change => "Changes",
        Effect::Destroy => "May destroy",
    };
    let idempotent = if tool.spec.hints.idempotent {
        "; twice is as good as once"
    } else {
        ""
    };
    let world = if tool.spec.hints.open_world {
        "; reaches a registry"
    } else {
        ""
    };
    format!("{does}{idempotent}{world}.")
}
