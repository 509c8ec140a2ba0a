//! What a catalog says of tools, for permissions.

use std::collections::BTreeMap;

use catalog::Entry;
use gateway::Describe;
use policy::Effect;
use serde_json::Value;

/// What a catalog knows of a server's tools. Of a server's own hints the gateway believes only what denies more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    effects: BTreeMap<String, Effect>,
}

impl Notes {
    /// What somebody else read of a catalog.
    pub(crate) fn given(effects: BTreeMap<String, Effect>) -> Self {
        Self { effects }
    }

    /// What the tools do, by name.
    pub(crate) fn effects(&self) -> BTreeMap<String, Effect> {
        self.effects.clone()
    }

    pub(crate) fn of(entry: &Entry) -> Self {
        let effect = |more: &serde_json::Map<String, Value>| {
            let hints = more.get("annotations")?;
            match (hints.get("readOnlyHint"), hints.get("destructiveHint")) {
                (Some(Value::Bool(true)), _) => Some(Effect::Read),
                (_, Some(Value::Bool(true))) => Some(Effect::Destroy),
                _ => None,
            }
        };
        let effects = entry
            .tools
            .iter()
            .filter_map(|tool| Some((tool.name.clone(), effect(&tool.more)?)));
        Self {
            effects: effects.collect(),
        }
    }
}

impl Describe for Notes {
    fn canonical(&self, _tool: &str) -> Option<String> {
        None
    }

    fn effect(&self, tool: &str, _arguments: &Value) -> Effect {
        self.effects.get(tool).copied().unwrap_or(Effect::Change)
    }

    fn about(&self, tool: &str, _arguments: &Value) -> String {
        format!("call {tool}")
    }

    fn data_loss(&self, _tool: &str, _arguments: &Value) -> Option<String> {
        None
    }
}
