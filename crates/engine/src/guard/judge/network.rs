//! Networks: which ones containers may join, what new ones are made of.

use base::names::NetworkRef;
use fetch::Range;
use serde_json::Value;

use super::super::lookup::Object;
use super::super::policy::Namespace;
use super::super::refusal::{Refusal, Rule};
use super::super::shape::Shaped;
use super::Case;

/// Drivers whose networks stay behind the host.
const DRIVERS: [&str; 5] = ["", "default", "bridge", "overlay", "null"];

/// Options that change nothing about what a network can reach.
const OPTIONS: [&str; 9] = [
    "com.docker.network.driver.mtu",
    "com.docker.network.bridge.enable_icc",
    "com.docker.network.bridge.enable_ip_masquerade",
    "com.docker.network.bridge.inhibit_ipv4",
    "com.docker.network.container_iface_prefix",
    "com.docker.network.enable_ipv4",
    "com.docker.network.enable_ipv6",
    "com.docker.network.endpoint.ifname",
    "encrypted",
];

/// Where the subnets of networks lie: RFC 1918, RFC 4193.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

impl Case<'_> {
    pub(super) async fn network_create(&self, body: &Value) -> Result<(), Refusal> {
        self.must_bear_label("Labels", body.at("Labels"))?;
        if body.flag("Ingress") {
            self.swarm()?;
        }
        self.made_of(body).await
    }

    /// Drivers and options of a network, wherever it got them from.
    async fn made_of(&self, network: &Value) -> Result<(), Refusal> {
        self.network_driver("Driver", network.text("Driver"))?;
        self.network_driver("IPAM.Driver", network.at("IPAM").text("Driver"))?;
        self.network_options("Options", network.at("Options"))?;
        self.subnets("IPAM", network.at("IPAM"))?;
        let from = network.at("ConfigFrom").text("Network");
        if from.is_empty() {
            return Ok(());
        }
        let source = self.must_look_up(self.network("ConfigFrom", from)?).await?;
        self.in_scope("ConfigFrom", from, source.at("Labels"))?;
        self.network_driver("ConfigFrom: IPAM.Driver", source.at("IPAM").text("Driver"))?;
        self.network_options("ConfigFrom: Options", source.at("Options"))?;
        self.subnets("ConfigFrom: IPAM", source.at("IPAM"))
    }

    /// The host routes what goes to a network's subnet into that network: one around addresses of the Internet would
    /// hand the host's own traffic for them to containers.
    fn subnets(&self, at: &str, ipam: &Value) -> Result<(), Refusal> {
        for config in ipam.items("Config") {
            let subnet = config.text("Subnet");
            if subnet.is_empty() {
                continue;
            }
            let at = format!("{at}.Config.Subnet");
            let Ok(range) = subnet.parse::<Range>() else {
                let reason = "this is no range of addresses like 10.9.0.0/16";
                return Err(Refusal::new(Rule::Network, self.what(&at), subnet, reason));
            };
            let private = PRIVATE.iter().filter_map(|range| range.parse().ok());
            let mut allowed = private.chain(self.policy.network_subnets.iter().copied());
            if !allowed.any(|outer| range.is_within(&outer)) {
                let reason = "the host would send what it has for these addresses into the network; take a private range";
                return Err(self.refuse_unlisted(Rule::Network, &at, subnet, reason, "network_subnets"));
            }
        }
        Ok(())
    }

    pub(super) async fn network_connect(&self, body: &Value) -> Result<(), Refusal> {
        self.network_joined("the network", self.name()).await?;
        self.container_in_scope("Container", body.text("Container"))
            .await?;
        self.endpoint("EndpointConfig", body.at("EndpointConfig")).await
    }

    pub(super) async fn network_disconnect(&self, body: &Value) -> Result<(), Refusal> {
        self.container_in_scope("Container", body.text("Container")).await
    }

    /// A network that a container is to join, by name or id.
    pub(super) async fn network_joined(&self, at: &str, name: &str) -> Result<(), Refusal> {
        match name {
            "" | "default" | "bridge" | "none" => return Ok(()),
            "host" => return self.namespace(at, name, Namespace::Network),
            // container:NAME, and what other engines understand: ns:PATH.
            name if name.contains(':') => return self.namespace(at, name, Namespace::Network),
            name if name.contains(',') => {
                let reason = "some engines read several networks in a name with a comma; name one";
                return Err(Refusal::new(Rule::Network, self.what(at), name, reason));
            }
            _ => {}
        }
        let Some(network) = self.look_up(self.network(at, name)?).await? else {
            return Ok(());
        };
        // "nat" is built in only where its driver is, on Windows; elsewhere it is a name like any other.
        let is_builtin = match network.text("Name") {
            "bridge" | "none" => true,
            name => name == "nat" && network.text("Driver") == "nat",
        };
        if network.text("Driver") == "host" {
            return self.namespace(at, "host", Namespace::Network);
        }
        if !is_builtin {
            self.in_scope(at, name, network.at("Labels"))?;
        }
        if is_builtin {
            return Ok(());
        }
        self.network_driver(at, network.text("Driver"))
    }

    /// The settings of a container in a network.
    pub(super) async fn endpoint(&self, at: &str, endpoint: &Value) -> Result<(), Refusal> {
        // Engines join the network of this id rather than the one that the request names, the host's included.
        self.network_joined(&format!("{at}.NetworkID"), endpoint.text("NetworkID"))
            .await?;
        for link in endpoint.texts("Links") {
            let name = link.split(':').next().unwrap_or_default();
            self.container_in_scope(&format!("{at}.Links"), name).await?;
        }
        self.network_options(&format!("{at}.DriverOpts"), endpoint.at("DriverOpts"))
    }

    pub(super) fn network_driver(&self, at: &str, driver: &str) -> Result<(), Refusal> {
        if DRIVERS.contains(&driver) || self.policy.network_drivers.iter().any(|own| own == driver) {
            return Ok(());
        }
        let reason = "a network of this driver reaches where the host does, or what its plugin decides";
        Err(self.refuse_unlisted(Rule::Network, at, driver, reason, "network_drivers"))
    }

    pub(super) fn network_options(&self, at: &str, options: &Value) -> Result<(), Refusal> {
        for (name, value) in options.as_object().into_iter().flatten() {
            let at = format!("{at}[{}]", super::super::refusal::shown(name));
            self.network_option(&at, name, value.as_str().unwrap_or_default())?;
        }
        Ok(())
    }

    fn network_option(&self, at: &str, name: &str, value: &str) -> Result<(), Refusal> {
        if OPTIONS.contains(&name) || self.policy.network_options.iter().any(|own| own == name) {
            return Ok(());
        }
        match name {
            "com.docker.network.bridge.host_binding_ipv4" => self.address(at, value),
            "com.docker.network.bridge.gateway_mode_ipv4" | "com.docker.network.bridge.gateway_mode_ipv6" => {
                match value {
                    "nat" | "isolated" => Ok(()),
                    // Routed and unprotected networks can be reached past the published ports.
                    _ => self.everywhere(at, value),
                }
            }
            "com.docker.network.endpoint.sysctls" => {
                for assignment in value.split(',') {
                    let name = assignment.split('=').next().unwrap_or_default();
                    self.sysctl(at, name)?;
                }
                Ok(())
            }
            _ => {
                let reason =
                    "the guard does not know this option, which could tie the network to the host's own";
                Err(self.refuse_unlisted(Rule::Network, at, name, reason, "network_options"))
            }
        }
    }

    pub(super) fn network(&self, at: &str, name: &str) -> Result<Object, Refusal> {
        match NetworkRef::parse(name) {
            Ok(name) => Ok(Object::Network(name.to_string())),
            Err(error) => Err(Refusal::new(Rule::Network, self.what(at), name, error.reason)),
        }
    }
}
