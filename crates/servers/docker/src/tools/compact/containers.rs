//! `run-container` and `manage-container`.

use super::relay::{Relay, Step, Steps, unused};
use crate::values::{Command, Pairs, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;
use server_kit::{Spec, Toolset};

fn volumes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "host_path": { "type": "string" },
                "container_path": { "type": "string" },
                "mode": { "type": "string", "enum": ["rw", "ro"] },
            },
            "required": ["host_path", "container_path"],
            "additionalProperties": false,
        },
    })
}

fn ports(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["array", "object"], "items": { "type": "string" } })
}

/// The values are read by the canonical tool, which says what is wrong with them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompactRun {
    image: String,
    name: Option<String>,
    #[serde(default)]
    #[schemars(
        schema_with = "ports",
        description = "\"8080:80\" ..., on 127.0.0.1 unless an ip is given"
    )]
    ports: Option<Value>,
    #[serde(default)]
    #[schemars(schema_with = "volumes")]
    volumes: Option<Value>,
    #[schemars(with = "Option<Pairs>")]
    environment: Option<Value>,
    #[schemars(with = "Option<Command>")]
    command: Option<Value>,
    /// False waits for the end and returns the output.
    detach: Option<bool>,
}

impl Relay for CompactRun {
    const SPEC: Spec = Spec::new(Toolset::Compact, "run-container", "Create and start a container.").adds();

    fn steps(&self) -> Steps {
        let step = Step::new("create_container")
            .with("image", self.image.as_str())
            .maybe("name", self.name.as_deref())
            .maybe("ports", self.ports.clone())
            .maybe("volumes", self.volumes.clone())
            .maybe("env", self.environment.clone())
            .maybe("command", self.command.clone());
        Ok(vec![match self.detach {
            Some(false) => step.with("wait", true),
            Some(true) | None => step.with("start", true),
        }])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Start,
    Stop,
    Restart,
    Pause,
    Unpause,
    Kill,
    Remove,
    Inspect,
    Logs,
    Stats,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompactManage {
    container_id: String,
    action: Action,
    /// remove: kill it first.
    force: Option<bool>,
    /// stop, restart: before it is killed, 10s.
    #[schemars(with = "Option<Span>")]
    timeout: Option<Value>,
}

impl Relay for CompactManage {
    const SPEC: Spec = Spec::new(
        Toolset::Compact,
        "manage-container",
        "Do something with a container, or look at it.",
    );

    fn steps(&self) -> Steps {
        let (tool, word) = match self.action {
            Action::Start => ("start_container", "start"),
            Action::Stop => ("stop_container", "stop"),
            Action::Restart => ("restart_container", "restart"),
            Action::Pause => ("pause_container", "pause"),
            Action::Unpause => ("unpause_container", "unpause"),
            Action::Kill => ("kill_container", "kill"),
            Action::Remove => ("remove_container", "remove"),
            Action::Inspect => ("inspect_container", "inspect"),
            Action::Logs => ("monitor_container_logs", "logs"),
            Action::Stats => ("get_container_stats", "stats"),
        };
        if self.action != Action::Remove {
            // `false` is what other tools write where it means nothing.
            unused(self.force.filter(|force| *force).as_ref(), "force", word)?;
        }
        if !matches!(self.action, Action::Stop | Action::Restart) {
            unused(self.timeout.as_ref(), "timeout", word)?;
        }
        let step = Step::new(tool).with("container", self.container_id.as_str());
        Ok(vec![match self.action {
            Action::Remove => step.maybe("force", self.force),
            Action::Stop | Action::Restart => step.maybe("timeout", self.timeout.clone()),
            _ => step,
        }])
    }
}
