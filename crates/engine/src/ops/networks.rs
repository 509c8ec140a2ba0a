//! Networks: making, joining, leaving and removing them.

use std::time::Duration;

use base::names::{ContainerRef, NetworkRef};
use bollard::models::{
    EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkCreateRequest,
    NetworkDisconnectRequest,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{Engine, Error, Filters, Request, path};

/// Drivers that set up something outside of the daemon (overlay, a plugin) may need longer than a usual call.
const CREATE: Duration = Duration::from_mins(2);

/// What making a network gave.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CreatedNetwork {
    /// The id, 64 hexadecimal digits.
    #[serde(rename = "Id")]
    pub id: String,
    /// What the daemon wants to be read; mostly empty.
    #[serde(rename = "Warning", default)]
    pub warning: String,
}

/// How a container joins a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Join {
    /// Further names for the container in this network. User-defined networks only.
    pub aliases: Vec<String>,
    /// A fixed IPv4 address, in a network whose subnet was given when it was made.
    pub ipv4: Option<std::net::Ipv4Addr>,
    /// A fixed IPv6 address, likewise.
    pub ipv6: Option<std::net::Ipv6Addr>,
}

/// Whether a container leaves a network in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Only when the container exists and is connected.
    Orderly,
    /// Also when the endpoint is a remnant of a container that is gone.
    Forced,
}

impl Engine {
    /// Makes a network. Two networks of one name are an error, also where the daemon would permit them. What the engine does
    /// by itself has the time of any other request; a plugin, or a swarm, two minutes if that is more.
    pub async fn network_create(&self, network: &NetworkCreateRequest) -> Result<CreatedNetwork, Error> {
        let mut body = serde_json::to_value(network).map_err(|error| Error::Request {
            what: "POST /networks/create".to_owned(),
            fault: error.to_string(),
        })?;
        // Up to API 1.43 the daemon makes a second network of the same name unless it is told not to. Newer
        // models have lost the field, newer daemons never do it.
        body["CheckDuplicate"] = Value::Bool(true);
        let request = Request::post(path!["networks", "create"]).json(&body);
        let is_own = matches!(
            network.driver.as_deref(),
            None | Some("" | "bridge" | "macvlan" | "ipvlan")
        );
        let request = if is_own {
            request
        } else {
            request.deadline(CREATE.max(self.options().timeout))
        };
        self.json(request).await
    }

    /// All networks in one request.
    pub async fn network_list(&self, filters: &Filters) -> Result<Vec<Value>, Error> {
        self.json(Request::get(path!["networks"]).filters(filters)).await
    }

    /// Everything about one network, its running containers included.
    pub async fn network_inspect(&self, network: &NetworkRef) -> Result<Value, Error> {
        self.json(Request::get(path!["networks", network])).await
    }

    /// Removes a network.
    ///
    /// # Errors
    /// [`Error::Daemon`] with status 403 while containers are connected, and for the daemon's own networks.
    pub async fn network_remove(&self, network: &NetworkRef) -> Result<(), Error> {
        self.raw(Request::delete(path!["networks", network]))
            .await
            .map(drop)
    }

    /// Connects a container, running or not.
    pub async fn network_connect(
        &self,
        network: &NetworkRef,
        container: &ContainerRef,
        join: &Join,
    ) -> Result<(), Error> {
        let body = NetworkConnectRequest {
            container: container.to_string(),
            endpoint_config: join.settings(),
        };
        let request = Request::post(path!["networks", network, "connect"]).json(&body);
        self.raw(request).await.map(drop)
    }

    /// Disconnects a container.
    pub async fn network_disconnect(
        &self,
        network: &NetworkRef,
        container: &ContainerRef,
        leave: Leave,
    ) -> Result<(), Error> {
        let body = NetworkDisconnectRequest {
            container: container.to_string(),
            force: Some(leave == Leave::Forced),
        };
        let request = Request::post(path!["networks", network, "disconnect"]).json(&body);
        self.raw(request).await.map(drop)
    }
}

impl Join {
    /// `None` where nothing is asked for: older daemons refuse aliases on their default network even when empty.
    fn settings(&self) -> Option<EndpointSettings> {
        if *self == Self::default() {
            return None;
        }
        let is_fixed = self.ipv4.is_some() || self.ipv6.is_some();
        let ipam_config = is_fixed.then(|| EndpointIpamConfig {
            ipv4_address: self.ipv4.map(|address| address.to_string()),
            ipv6_address: self.ipv6.map(|address| address.to_string()),
            link_local_ips: None,
        });
        Some(EndpointSettings {
            aliases: (!self.aliases.is_empty()).then(|| self.aliases.clone()),
            ipam_config,
            ..EndpointSettings::default()
        })
    }
}
