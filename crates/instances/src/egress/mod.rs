//! The only way out: a proxy in this process that lets exactly the declared destinations pass. A container gets to it
//! in one of two ways:
//!
//! - *by a socket*: it has no network at all. The proxy listens at a socket that is mounted into it, and a [`Relay`]
//!   beside the server leads there. So it reaches nothing but the proxy: not this host, not its services.
//! - *by a network*: where no relay can be had. An internal network of the engine's has no route outwards, but the host
//!   is in it, at the network's gateway address, where the proxy listens. Whether that is possible is found out by
//!   trying: where the engine runs on another machine, or in a machine of its own on this one, the address is not ours,
//!   and the server is refused rather than let out. The host's services that listen on all addresses can be reached.
//!   Podman has no such networks: with CNI the host is in none, with netavark only while a container already runs in it,
//!   without root never. So there it is the socket or nothing.
//!
//! No helper container is needed on any engine from 20.10 on. Deliberately absent: TLS. What goes through `CONNECT` is
//! not looked into; only where it goes to is judged.

mod proxy;
#[cfg(unix)]
pub(crate) mod relay;
mod report;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::names::{NetworkRef, ServerName};
use catalog::plan::HostPort;
use engine::Engine;
use engine::guard::DaemonPlace;
use engine::models::NetworkCreateRequest;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[cfg(unix)]
pub use relay::{Relay, RelayError};
pub use report::{Reached, Traffic, Verdict};

use crate::Error;
use crate::instances::{EngineKind, Inner};
use crate::labels::{self, Kind, Labels};
use proxy::Proxy;
pub(crate) use proxy::Rules;
use report::Reporter;

/// One instance's proxy, and how its container gets there.
#[derive(Debug)]
pub(crate) struct Egress {
    pub(crate) way: Way,
    pub(crate) traffic: Arc<Traffic>,
    ended: CancellationToken,
}

/// How a container gets to its proxy.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// It is in this network, with the proxy at this address.
    Network { id: String, proxy: SocketAddr },
    /// It has no network; a relay leads to this socket.
    #[cfg(unix)]
    Socket { socket: PathBuf, relay: Relay },
}

impl Way {
    /// Where the server finds its proxy.
    pub(crate) fn proxy(&self) -> SocketAddr {
        match self {
            Self::Network { proxy, .. } => *proxy,
            #[cfg(unix)]
            Self::Socket { .. } => relay::ADDRESS,
        }
    }
}

impl Egress {
    /// Serves a container that has no network, at a socket in `folder`, which only this user may enter.
    #[cfg(unix)]
    pub(crate) fn by_socket(
        inner: &Inner,
        server: &ServerName,
        rules: &Rules,
        folder: &Path,
        relay: &Relay,
    ) -> Result<Self, Error> {
        let socket = folder.join("proxy.sock");
        let listener = crate::door::socket(&socket)
            .map_err(|cause| Error::files("make the socket of a proxy at", &socket, cause))?;
        let relay = relay.clone();
        let (this, proxy) = Self::new(inner, server, rules, Way::Socket { socket, relay });
        inner.tasks.spawn(proxy.serve(listener));
        Ok(this)
    }

    /// Makes a network and serves it.
    pub(crate) async fn by_network(
        inner: &Inner,
        server: &ServerName,
        rules: &Rules,
        kind: EngineKind,
    ) -> Result<Self, Error> {
        if kind == EngineKind::Podman {
            return Err(Error::plan(server.as_str(), podman_refuses(inner, rules)));
        }
        let network = make(inner, server).await?;
        match Self::in_network(inner, server, rules, &network).await {
            Ok(egress) => Ok(egress),
            Err(error) => {
                inner.removed(remove_network(&inner.engine, &network).await);
                Err(error)
            }
        }
    }

    async fn in_network(
        inner: &Inner,
        server: &ServerName,
        rules: &Rules,
        network: &str,
    ) -> Result<Self, Error> {
        let place = place_of(&inner.engine, server, network).await?;
        let listener = TcpListener::bind((place.gateway, 0)).await.map_err(|error| {
            let fault = format!(
                "it may reach only {}, through a proxy of Dockmaster's that has to listen at {} on the engine's own \
                 machine, and that address can't be used here ({error}). Run Dockmaster where the engine runs, or, if \
                 the server is to be trusted with every host, give it `network = \"open\"`",
                listed(&rules.hosts),
                place.gateway
            );
            Error::plan(server.as_str(), fault)
        })?;
        let proxy = listener
            .local_addr()
            .map_err(|cause| Error::files("listen at", place.gateway.to_string(), cause))?;
        let id = network.to_owned();
        let (this, proxy) = Self::new(inner, server, rules, Way::Network { id, proxy });
        let guests = proxy.guests(listener, place);
        inner.tasks.spawn(proxy.serve(guests));
        Ok(this)
    }

    fn new(inner: &Inner, server: &ServerName, rules: &Rules, way: Way) -> (Self, Proxy) {
        let traffic = Arc::new(Traffic::default());
        let ended = CancellationToken::new();
        let reached = inner.options.reached.clone();
        let reporter = Reporter::new(server.clone(), reached, Arc::clone(&traffic));
        let proxy = Proxy::new(rules.clone(), reporter, ended.clone());
        (Self { way, traffic, ended }, proxy)
    }

    /// Ends the proxy and removes the network. Says whether it is gone.
    pub(crate) async fn close(self, engine: &Engine) -> bool {
        self.ended.cancel();
        match &self.way {
            Way::Network { id, .. } => remove_network(engine, id).await,
            // It goes with its folder.
            #[cfg(unix)]
            Way::Socket { .. } => true,
        }
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

async fn make(inner: &Inner, server: &ServerName) -> Result<String, Error> {
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
    let made = inner.engine.network_create(&request).await.map_err(|error| {
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
    let unknown = "it may reach only the hosts that it declares, through a proxy of Dockmaster's, and the engine does not \
                   tell the addresses of the network that it made for it. Run Dockmaster where the engine runs, as an \
                   executable that everybody may read and run (`dockmaster doctor` says why it is none)";
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

/// Why a server gets no network on Podman, and what gives it the other way.
fn podman_refuses(inner: &Inner, rules: &Rules) -> String {
    let is_local = inner.user.options().guard.surroundings().daemon == DaemonPlace::Local;
    let advice = if is_local {
        "Install Dockmaster as a file that everybody may read and run (`chmod 755`; `dockmaster doctor` says why this one \
         is none)"
    } else {
        "Run Dockmaster where Podman runs"
    };
    format!(
        "it may reach only {}, through a proxy of Dockmaster's; an internal network of Podman's does not lead to this \
         host, so the proxy has to be given to it as a socket, which can't be done here. {advice}, or, if the server is \
         to be trusted with every host, give it `network = \"open\"`",
        listed(&rules.hosts)
    )
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
