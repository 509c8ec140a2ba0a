//! Making and removing networks.

use crate::ctx::Ctx;
use crate::error::{Code, Kind, ToolError};
use crate::pick;
use crate::values::Pairs;
use base::names::{ContainerRef, NetworkRef};
use engine::Error;
use engine::models::{Ipam, IpamConfig, NetworkCreateRequest};
use engine::ops::networks::Leave;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::net::IpAddr;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateNetwork {
    #[schemars(with = "String")]
    name: NetworkRef,
    driver: Option<String>,
    internal: Option<bool>,
    #[schemars(extend("hidden" = true))]
    attachable: Option<bool>,
    #[schemars(extend("hidden" = true))]
    ipv6: Option<bool>,
    subnet: Option<String>,
    #[schemars(extend("hidden" = true))]
    gateway: Option<IpAddr>,
    #[schemars(extend("hidden" = true))]
    ip_range: Option<String>,
    #[serde(default)]
    options: Pairs,
    #[serde(default)]
    labels: Pairs,
}

impl Call<Ctx> for CreateNetwork {
    const SPEC: Spec = Spec::new(Toolset::Standard, "create_network", "Create a network.")
        .adds()
        .aliases(&["docker_create_network", "network_create"]);

    fn about(&self) -> String {
        let driver = self
            .driver
            .as_deref()
            .map_or(String::new(), |driver| format!(" (driver {driver})"));
        format!("create network {}{driver}", self.name)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let name = self.name.clone();
        match ctx.engine().network_create(&self.body(&ctx)?).await {
            Ok(created) => {
                let answer = Answer::text(format!(
                    "created network {name} (id {})",
                    pick::short_id(&created.id)
                ));
                Ok(match created.warning.as_str() {
                    "" => answer,
                    warning => answer.note(format!("warning: {warning}")),
                })
            }
            Err(error) => Err(refused(error)),
        }
    }
}

impl CreateNetwork {
    fn body(self, ctx: &Ctx) -> Result<NetworkCreateRequest, ToolError> {
        let mut labels = self.labels;
        if let Some((name, value)) = ctx.scope_label() {
            labels.push(name, value);
        }
        if self.subnet.is_none() && (self.gateway.is_some() || self.ip_range.is_some()) {
            return Err(ToolError::arguments("gateway and ip_range need a subnet")
                .fix("give subnet, such as 10.1.0.0/24"));
        }
        let ipam = self.subnet.map(|subnet| {
            let config = IpamConfig {
                subnet: Some(subnet),
                ip_range: self.ip_range,
                gateway: self.gateway.map(|gateway| gateway.to_string()),
                auxiliary_addresses: None,
            };
            Ipam {
                config: Some(vec![config]),
                ..Ipam::default()
            }
        });
        Ok(NetworkCreateRequest {
            name: self.name.to_string(),
            driver: self.driver,
            internal: self.internal,
            attachable: self.attachable,
            enable_ipv6: self.ipv6,
            ipam,
            options: (!self.options.is_empty()).then(|| self.options.into_map()),
            labels: (!labels.is_empty()).then(|| labels.into_map()),
            ..NetworkCreateRequest::default()
        })
    }
}

/// What the daemon has against a new network.
fn refused(error: Error) -> ToolError {
    let fix = match &error {
        Error::Daemon { message, .. } | Error::NotFound { message, .. } => {
            if message.contains("overlaps") || message.contains("non-overlapping") {
                Some(
                    "another network has this address range: give another subnet, or none; inspect_network shows them",
                )
            } else if message.contains("plugin") {
                Some(
                    "drivers are bridge, macvlan, ipvlan, overlay (in a swarm) and what get_docker_info lists",
                )
            } else {
                None
            }
        }
        _ => None,
    };
    let error = ToolError::from(error);
    match fix {
        Some(fix) => error.fix(fix),
        None => error,
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveNetwork {
    #[schemars(with = "String")]
    network: NetworkRef,
    #[serde(default)]
    force: bool,
}

impl Call<Ctx> for RemoveNetwork {
    const SPEC: Spec = Spec::new(Toolset::Standard, "remove_network", "Remove a network.")
        .aliases(&["docker_remove_network", "network_remove"]);

    fn about(&self) -> String {
        let force = if self.force {
            " after disconnecting its containers"
        } else {
            ""
        };
        format!("remove network {}{force}", self.network)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let engine = ctx.engine();
        let mut disconnected = Vec::new();
        if self.force {
            for (id, name) in members(&engine.network_inspect(&self.network).await?) {
                match engine
                    .network_disconnect(&self.network, &ContainerRef::parse(&id)?, Leave::Forced)
                    .await
                {
                    Ok(()) => disconnected.push(name),
                    Err(error) => {
                        let error = ToolError::from(error).during(format_args!("disconnecting {name}"));
                        return Err(also_disconnected(error, &disconnected));
                    }
                }
            }
        }
        match engine.network_remove(&self.network).await {
            Ok(()) if disconnected.is_empty() => {
                Ok(Answer::text(format!("removed network {}", self.network)))
            }
            Ok(()) => Ok(Answer::text(format!(
                "removed network {}; disconnected {}",
                self.network,
                disconnected.join(", ")
            ))),
            Err(error) => Err(also_disconnected(
                in_the_way(&ctx, &self.network, error).await,
                &disconnected,
            )),
        }
    }
}

fn also_disconnected(error: ToolError, names: &[String]) -> ToolError {
    if names.is_empty() {
        error
    } else {
        error.also(format_args!("disconnected meanwhile: {}", names.join(", ")))
    }
}

/// Ids and names of the running containers in a network.
fn members(network: &Value) -> Vec<(String, String)> {
    pick::members(network, "/Containers")
        // Swarm keeps endpoints of its own there (`lb-web`, `ep-…`), which are no containers.
        .filter(|(id, _)| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(|(id, member)| (id.to_owned(), pick::text(member, "/Name").to_owned()))
        .collect()
}

async fn in_the_way(ctx: &Ctx, network: &NetworkRef, error: Error) -> ToolError {
    let message = match &error {
        Error::Daemon { message, .. } | Error::Conflict { message, .. } => message.clone(),
        _ => return error.into(),
    };
    if message.contains("pre-defined network") {
        return ToolError::new(
            Code::Refused,
            format!("network {network} is the engine's own and can't be removed"),
        );
    }
    if !message.contains("active endpoints") {
        return error.into();
    }
    let details = ctx.engine().network_inspect(network).await.unwrap_or_default();
    let names: Vec<String> = members(&details).into_iter().map(|(_, name)| name).collect();
    let users = match names.as_slice() {
        [] => "containers".to_owned(),
        [one] => format!("container {one}"),
        several => format!("containers {}", several.join(", ")),
    };
    ToolError::new(Code::Conflict, format!("network {network} is used by {users}"))
        .about(Kind::Network, network)
        .fix("disconnect or stop them first, or call remove_network with force=true, which disconnects them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn endpoints_of_the_swarm_are_no_members() {
        let id = "0a".repeat(32);
        let network = json!({"Containers": {
            &id: {"Name": "web"}, "lb-ingress": {"Name": "ingress-endpoint"}, "ep-0a": {"Name": "x"},
        }});
        assert_eq!(members(&network), [(id, "web".to_owned())]);
    }
}
