//! What must hold for every tool in the table.

use super::{TABLE, Tool};
use crate::describe;
use policy::Effect;
use serde_json::{Value, json};
use server_kit::Toolset;
use std::collections::BTreeSet;

/// The list as it goes over the wire, in tokens of 4 bytes.
fn list_tokens(toolset: Toolset) -> usize {
    let listed: Vec<_> = TABLE
        .all()
        .filter(|tool| tool.listed_in(toolset))
        .map(Tool::listed)
        .collect();
    let list = serde_json::to_string(&json!({ "tools": listed })).unwrap();
    base::text::tokens(list.len())
}

#[test]
fn lists_are_within_their_budget() {
    for (toolset, tokens) in [(Toolset::Standard, 3_200), (Toolset::Compact, 1_300)] {
        let counted = list_tokens(toolset);
        assert!(counted <= tokens, "{toolset}: {counted} tokens");
    }
}

#[test]
fn names_are_unique() {
    let mut names = BTreeSet::new();
    for tool in TABLE.all() {
        for name in std::iter::once(&tool.spec.name).chain(tool.spec.aliases) {
            assert!(names.insert(*name), "{name} twice");
            assert_eq!(describe::canonical(name).as_deref(), Some(tool.spec.name));
        }
    }
    assert_eq!(describe::canonical("no_such_tool"), None);
}

#[test]
fn every_tool_is_classified_and_its_hints_agree() {
    for tool in TABLE.all() {
        let name = tool.spec.name;
        let listed = serde_json::to_value(tool.listed()).unwrap();
        let hints = &listed["annotations"];
        assert_eq!(
            hints["readOnlyHint"],
            json!(tool.spec.effect == Effect::Read),
            "{name}"
        );
        for hint in ["destructiveHint", "idempotentHint", "openWorldHint"] {
            assert!(hints[hint].is_boolean(), "{name}: {hint}");
        }
        if tool.spec.effect == Effect::Read {
            assert_eq!(hints["destructiveHint"], json!(false), "{name}");
        }
        if tool.spec.effect == Effect::Destroy {
            assert_eq!(hints["destructiveHint"], json!(true), "{name}");
        }
        for name in std::iter::once(&name).chain(tool.spec.aliases) {
            // Arguments that fit no tool: the worst is assumed.
            assert_eq!(describe::effect(name, &json!([])), tool.spec.effect, "{name}");
        }
    }
    assert_eq!(describe::effect("no_such_tool", &json!({})), Effect::Destroy);
}

#[test]
fn schemas_are_closed_objects() {
    for tool in TABLE.all() {
        let schema = Value::Object(tool.schema().as_ref().clone());
        let name = tool.spec.name;
        assert_eq!(schema["type"], "object", "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        assert!(schema["properties"].is_object(), "{name}");
        assert!(!schema.to_string().contains("$ref"), "{name}");
    }
}

#[test]
fn names_of_tools_are_names() {
    for tool in TABLE.all() {
        let name = tool.spec.name;
        assert!(base::names::ToolName::parse(name).is_ok(), "{name}");
        assert!(
            TABLE.find(name).is_some_and(|found| std::ptr::eq(found, tool)),
            "{name}"
        );
        assert!(!tool.spec.description.is_empty(), "{name}");
    }
}
