//! `network-management`.

use super::relay::{Relay, Step, Steps, needed, unused};
use crate::values::{Pairs, Words};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::{Spec, Toolset};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Create,
    Remove,
    Connect,
    Disconnect,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompactNetworks {
    name: String,
    action: Action,
    /// create: bridge unless given.
    driver: Option<String>,
    /// create: of the driver.
    #[schemars(with = "Option<Pairs>")]
    options: Option<Value>,
    /// Whom to connect or disconnect.
    #[schemars(with = "Option<Vec<String>>")]
    containers: Option<Words>,
}

impl Relay for CompactNetworks {
    const SPEC: Spec = Spec::new(
        Toolset::Compact,
        "network-management",
        "Create or remove a network, connect or disconnect containers.",
    );

    fn steps(&self) -> Steps {
        let name = self.name.as_str();
        let word = match self.action {
            Action::Create => "create",
            Action::Remove => "remove",
            Action::Connect => "connect",
            Action::Disconnect => "disconnect",
        };
        if self.action != Action::Create {
            unused(self.driver.as_ref(), "driver", word)?;
            unused(self.options.as_ref(), "options", word)?;
        }
        let of_each = |tool: &'static str| {
            let containers = self.containers.clone().map(Words::into_list).unwrap_or_default();
            containers
                .into_iter()
                .map(move |container| Step::new(tool).with("network", name).with("container", container))
        };
        match self.action {
            Action::Create => {
                let create = Step::new("create_network")
                    .with("name", name)
                    .maybe("driver", self.driver.as_deref())
                    .maybe("options", self.options.clone());
                Ok(std::iter::once(create)
                    .chain(of_each("connect_container_to_network"))
                    .collect())
            }
            Action::Remove => {
                unused(self.containers.as_ref(), "containers", word)?;
                Ok(vec![Step::new("remove_network").with("network", name)])
            }
            Action::Connect | Action::Disconnect => {
                let tool = match self.action {
                    Action::Connect => "connect_container_to_network",
                    _ => "disconnect_container",
                };
                let steps: Vec<Step> = of_each(tool).collect();
                needed((!steps.is_empty()).then_some(steps), "containers", word)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::describe::{about, effect};
    use policy::Effect;
    use serde_json::json;

    #[test]
    fn actions_are_those_of_the_canonical_tools() {
        for (arguments, expected, worst) in [
            (
                json!({"name": "net", "action": "create", "driver": "bridge", "containers": ["a", "b"]}),
                "create network net (driver bridge), connect container a to network net, connect container b to network net",
                Effect::Change,
            ),
            (
                json!({"name": "net", "action": "remove"}),
                "remove network net",
                Effect::Destroy,
            ),
            (
                json!({"name": "net", "action": "disconnect", "containers": "a"}),
                "disconnect container a from network net",
                Effect::Change,
            ),
            (
                json!({"name": "net", "action": "connect"}),
                "nothing: parameter containers is missing: action connect needs it",
                Effect::Destroy,
            ),
            (
                json!({"name": "net", "action": "remove", "driver": "bridge"}),
                "nothing: parameter driver means nothing for action remove",
                Effect::Destroy,
            ),
        ] {
            assert_eq!(about("network-management", &arguments), expected, "{arguments}");
            assert_eq!(effect("network-management", &arguments), worst, "{arguments}");
        }
    }
}
