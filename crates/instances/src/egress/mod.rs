//! The only way out: a network of one instance that leads nowhere, and in it a proxy that lets exactly the declared
//! destinations pass.
//!
//! The engine's internal networks have no route outwards, but the host is in them, at the network's gateway address.
//! The proxy listens there and nowhere else. Whether that is possible is found out by trying: where the engine runs
//! on another machine, or in a machine of its own on this one, the address is not ours, and the server is refused
//! rather than let out. No helper container is needed on any engine from 20.10 on.
//!
//! Deliberately absent: TLS. What goes through `CONNECT` is not looked into; only where it goes to is judged.

mod proxy;
mod report;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base::names::{NetworkRef, ServerName};
use catalog::plan::HostPort;
use engine::Engine;
use engine::models::NetworkCreateRequest;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use report::{Reached, Traffic, Verdict};

use crate::Error;
use crate::instances::Inner;
use crate::labels::{self, Kind, Labels};
use proxy::{Proxy, Rules};
use report::Reporter;

/// A network and the proxy in it.
#[derive(Debug)]
pub(crate) struct Egress {
    /// The network's id.
    pub(crate) network: String,
    /// Where the proxy listens.
    pub(crate) proxy: SocketAddr,
    pub(crate) traffic: Arc<Traffic>,
    ended: CancellationToken,
}

impl Egress {
    /// Makes the network and begins to serve it.
    pub(crate) async fn open(
        inner: &Inner,
        engine: &Engine,
        server: &ServerName,
        hosts: &[HostPort],
    ) -> Result<Self, Error> {
        let network = make(inner, engine, server).await?;
        match Self::serve(inner, engine, server, hosts, &network).await {
            Ok(egress) => Ok(egress),
            Err(error) => {
                inner.removed(remove_network(engine, &network).await);
                Err(error)
            }
        }
    }

    async fn serve(
        inner: &Inner,
        engine: &Engine,
        server: &ServerName,
        hosts: &[HostPort],
        network: &str,
    ) -> Result<Self, Error> {
        let place = place_of(engine, server, network).await?;
        let listener = TcpListener::bind((place.gateway, 0)).await.map_err(|error| {
            let fault = format!(
                "it may reach only {}, through a proxy of Dockmaster's that has to listen at {} on the engine's own \
                 machine, and that address can't be used here ({error}). Run Dockmaster where the engine runs, or, if \
                 the server is to be trusted with every host, give it `network = \"open\"`",
                listed(hosts),
                place.gateway
            );
            Error::plan(server.as_str(), fault)
        })?;
        let proxy = listener
            .local_addr()
            .map_err(|cause| Error::files("listen at", place.gateway.to_string(), cause))?;
        let traffic = Arc::new(Traffic::default());
        let ended = CancellationToken::new();
        let rules = Rules {
            hosts: hosts.to_vec(),
            private: inner.options.private_hosts.clone(),
            place,
        };
        let reporter = Reporter::new(
            server.clone(),
            inner.options.reached.clone(),
            Arc::clone(&traffic),
        );
        let serving = Proxy::new(rules, reporter, ended.clone()).serve(listener);
        inner.tasks.spawn(serving);
        Ok(Self {
            network: network.to_owned(),
            proxy,
            traffic,
            ended,
        })
    }

    /// Ends the proxy and removes the network. Says whether it is gone.
    pub(crate) async fn close(self, engine: &Engine) -> bool {
        self.ended.cancel();
        remove_network(engine, &self.network).await
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// Where a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The host's address in it.
    pub(crate) gateway: Ipv4Addr,
    first: Ipv4Addr,
    bits: u8,
}

impl Place {
    /// Whether this is the address of a container in the network, and not the host's own.
    pub(crate) fn is_guest(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => address != self.gateway && self.contains(address),
            IpAddr::V6(_) => false,
        }
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
        u32::from(address) & mask == u32::from(self.first) & mask
    }

    fn read(network: &Value) -> Option<Self> {
        let mut configs = network["IPAM"]["Config"].as_array()?.iter();
        configs.find_map(|config| {
            let (first, bits) = config["Subnet"].as_str()?.split_once('/')?;
            let place = Self {
                gateway: config["Gateway"].as_str()?.parse().ok()?,
                first: first.parse().ok()?,
                bits: bits.parse().ok().filter(|bits| (8..=30).contains(bits))?,
            };
            place.contains(place.gateway).then_some(place)
        })
    }
}

async fn make(inner: &Inner, engine: &Engine, server: &ServerName) -> Result<String, Error> {
    let random = labels::random(3).map_err(|cause| Error::files("name", "a network", cause))?;
    let labels = Labels::new(Kind::Network, server, &inner.options.labels)
        .with(labels::GATEWAY, inner.claim.id())
        .with(labels::CREATED, base::clock::now().to_string());
    let request = NetworkCreateRequest {
        name: format!("dockmaster-{server}-{random}"),
        driver: Some("bridge".to_owned()),
        internal: Some(true),
        enable_ipv6: Some(false),
        labels: Some(labels.into_map()),
        ..NetworkCreateRequest::default()
    };
    let made = engine.network_create(&request).await.map_err(|error| {
        let full = error.to_string().contains("address pool");
        if full {
            let fault = "every server with declared hosts needs a network of its own, and the engine has no addresses \
                         left for one; remove unused networks (`docker network prune`), or give the engine more \
                         (`default-address-pools` in its daemon.json)";
            return Error::plan(server.as_str(), fault);
        }
        Error::engine("make a network", server.as_str(), error)
    })?;
    Ok(made.id)
}

async fn place_of(engine: &Engine, server: &ServerName, network: &str) -> Result<Place, Error> {
    let id = NetworkRef::parse(network).map_err(|error| Error::plan(server.as_str(), error.to_string()))?;
    let state = engine.network_inspect(&id).await;
    let state = state.map_err(|error| Error::engine("look at its network", server.as_str(), error))?;
    let unknown = "the engine does not tell the addresses of the network that it made for it";
    Place::read(&state).ok_or_else(|| Error::plan(server.as_str(), unknown))
}

/// Removes a network that nothing is in any more; says whether it is gone.
pub(crate) async fn remove_network(engine: &Engine, network: &str) -> bool {
    let Ok(id) = NetworkRef::parse(network) else {
        return false;
    };
    match engine.network_remove(&id).await {
        Ok(()) | Err(engine::Error::NotFound { .. }) => true,
        Err(error) => {
            tracing::warn!("network {network} could not be removed: {error}");
            false
        }
    }
}

fn listed(hosts: &[HostPort]) -> String {
    let shown: Vec<String> = hosts.iter().take(5).map(ToString::to_string).collect();
    let more = if hosts.len() > 5 { " and others" } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn guests_are_those_of_the_network_without_the_host() {
        let network = json!({"IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]}});
        let place = Place::read(&network).unwrap();
        for (address, guest) in [
            ("172.18.0.2", true),
            ("172.18.255.7", true),
            ("172.18.0.1", false),
            ("172.19.0.2", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(place.is_guest(address.parse().unwrap()), guest, "{address}");
        }
        for odd in [
            json!({}),
            json!({"IPAM": {"Config": [{"Subnet": "fd00::/64", "Gateway": "fd00::1"}]}}),
            json!({"IPAM": {"Config": [{"Subnet": "0.0.0.0/0", "Gateway": "172.18.0.1"}]}}),
            json!({"IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "Gateway": "172.18.0.1"}]}}),
        ] {
            assert_eq!(Place::read(&odd), None, "{odd}");
        }
    }
}
