//! Containers that join and leave networks.

use crate::ctx::Ctx;
use crate::error::{Code, Kind, ToolError};
use crate::pick;
use base::names::{ContainerRef, NetworkRef};
use engine::Error;
use engine::ops::networks::{Join, Leave};
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::net::IpAddr;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectContainer {
    #[schemars(with = "String")]
    network: NetworkRef,
    #[schemars(with = "String")]
    container: ContainerRef,
    #[serde(default)]
    aliases: Vec<String>,
    ip: Option<IpAddr>,
}

impl Call<Ctx> for ConnectContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "connect_container_to_network",
        "Join a network.",
    )
    .adds()
    .aliases(&["docker_connect_network", "network_connect", "connect_container"]);

    fn about(&self) -> String {
        format!("connect container {} to network {}", self.container, self.network)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let join = match self.ip {
            Some(IpAddr::V4(address)) => Join {
                ipv4: Some(address),
                ..Join::default()
            },
            Some(IpAddr::V6(address)) => Join {
                ipv6: Some(address),
                ..Join::default()
            },
            None => Join::default(),
        };
        let join = Join {
            aliases: self.aliases,
            ..join
        };
        let (network, container) = (&self.network, &self.container);
        ctx.engine()
            .network_connect(network, container, &join)
            .await
            .map_err(|error| of_two(error, container, network))?;
        let details = ctx
            .engine()
            .container_inspect(container)
            .await
            .unwrap_or_default();
        let address = pick::members(&details, "/NetworkSettings/Networks")
            .find(|(name, joined)| {
                *name == network.as_str() || pick::text(joined, "/NetworkID").starts_with(network.as_str())
            })
            .map_or("", |(_, joined)| pick::text(joined, "/IPAddress"));
        let address = if address.is_empty() {
            String::new()
        } else {
            format!(", address {address}")
        };
        Ok(Answer::text(format!(
            "connected {container} to {network}{address}"
        )))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DisconnectContainer {
    #[schemars(with = "String")]
    network: NetworkRef,
    #[schemars(with = "String")]
    container: ContainerRef,
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    force: bool,
}

impl Call<Ctx> for DisconnectContainer {
    const SPEC: Spec = Spec::new(Toolset::Standard, "disconnect_container", "Leave a network.")
        .disturbs()
        .aliases(&[
            "docker_disconnect_network",
            "network_disconnect",
            "disconnect_container_from_network",
        ]);

    fn about(&self) -> String {
        let force = if self.force { " (force)" } else { "" };
        format!(
            "disconnect container {} from network {}{force}",
            self.container, self.network
        )
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let leave = if self.force { Leave::Forced } else { Leave::Orderly };
        let (network, container) = (&self.network, &self.container);
        ctx.engine()
            .network_disconnect(network, container, leave)
            .await
            .map_err(|error| of_two(error, container, network))?;
        Ok(Answer::text(format!("disconnected {container} from {network}")))
    }
}

/// Of the two objects of a request, the daemon's message tells which one is missing, and what is wrong between them.
fn of_two(error: Error, container: &ContainerRef, network: &NetworkRef) -> ToolError {
    let message = match &error {
        Error::NotFound { message, .. } if message.contains("No such container") => {
            return ToolError::new(Code::NotFound, message.clone()).about(Kind::Container, container);
        }
        Error::Daemon { message, .. } | Error::Conflict { message, .. } => message.clone(),
        _ => return error.into(),
    };
    let conflict = |cause: String| ToolError::new(Code::Conflict, cause).about(Kind::Network, network);
    if message.contains("already exists in network") {
        return conflict(format!("container {container} is in network {network} already"));
    }
    if message.contains("is not connected to") {
        return conflict(format!("container {container} is not in network {network}"))
            .fix("inspect_container shows the networks that it is in");
    }
    if message.contains("alias is supported only") {
        return conflict(format!("network {network} knows no aliases"))
            .fix("use a network made with create_network");
    }
    if message.contains("user specified IP address") {
        return conflict(format!("network {network} takes no fixed addresses"))
            .fix("leave out ip, or use a network made with create_network and a subnet");
    }
    if message.contains("Address already in use") {
        return conflict(format!("the address is taken in network {network}"))
            .fix("inspect_network shows who has which address; give another ip or none");
    }
    error.into()
}
