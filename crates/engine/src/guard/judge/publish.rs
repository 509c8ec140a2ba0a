//! Addresses of the host on which ports are published. Without an address the daemon takes all interfaces, and
//! its rules come before those of most firewalls.

use std::net::IpAddr;

use serde_json::Value;

use super::super::refusal::{Refusal, Rule};
use super::super::shape::Shaped;
use super::Case;

const EVERYWHERE: &str = "the port would be open on all interfaces of the host; publish it on 127.0.0.1";

impl Case<'_> {
    pub(super) fn published(&self, host: &Value) -> Result<(), Refusal> {
        if host.flag("PublishAllPorts") {
            self.everywhere("HostConfig.PublishAllPorts", "true")?;
        }
        for (port, bindings) in host.pairs("PortBindings") {
            let at = format!("HostConfig.PortBindings[{}]", super::super::refusal::shown(port));
            let bindings = bindings.as_array().map(Vec::as_slice).unwrap_or_default();
            // Engines up to 28 take an empty list for one binding without an address.
            if bindings.is_empty() {
                self.everywhere(&at, "no address")?;
            }
            for binding in bindings {
                self.address(&format!("{at}.HostIp"), binding.text("HostIp"))?;
            }
        }
        Ok(())
    }

    /// An address; none means all.
    pub(super) fn address(&self, at: &str, text: &str) -> Result<(), Refusal> {
        if text.is_empty() {
            return self.everywhere(at, "no address");
        }
        // Strict: no octal or hexadecimal parts, no zones, no brackets. What is left reads the same everywhere.
        let Ok(address) = text.parse::<IpAddr>() else {
            let reason = "it is not an IP address in its usual form";
            return Err(Refusal::new(Rule::Publish, self.what(at), text, reason));
        };
        // ::ffff:0.0.0.0 is 0.0.0.0 to the daemon.
        let address = address.to_canonical();
        let is_open = address.is_loopback()
            || self.policy.publish.iter().any(|own| {
                let own = own.to_canonical();
                own == address || (own.is_unspecified() && own.is_ipv4() == address.is_ipv4())
            });
        if is_open {
            return Ok(());
        }
        let reason = if address.is_unspecified() {
            EVERYWHERE
        } else {
            "the port would be open to other machines; publish it on 127.0.0.1"
        };
        Err(Refusal::new(Rule::Publish, self.what(at), text, reason)
            .allowed_by_entry("publish", &address.to_string()))
    }

    /// All interfaces.
    pub(super) fn everywhere(&self, at: &str, value: &str) -> Result<(), Refusal> {
        if self.policy.publish.iter().any(IpAddr::is_unspecified) {
            return Ok(());
        }
        Err(Refusal::new(Rule::Publish, self.what(at), value, EVERYWHERE)
            .allowed_by("publish = [\"0.0.0.0\"]"))
    }
}
