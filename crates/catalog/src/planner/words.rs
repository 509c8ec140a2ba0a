//! What a plan asks for beyond the lockdown, in words for whoever has to agree to it.

use serde_json::Value as Json;

use super::Planner;
use super::judge::host_of_url;
use crate::plan::{Container, Gpus, HostPort, Limits, Mount, Network, Source};

impl Planner<'_> {
    /// What a person reads of a server without network whose entry says nothing of what it needs.
    pub(super) fn how_to_open(&self) -> String {
        let mut hosts: Vec<String> = self
            .config
            .values()
            .filter_map(Json::as_str)
            .filter_map(host_of_url)
            .map(|host| host.to_string())
            .collect();
        hosts.dedup();
        let sure = !hosts.is_empty() || !self.entry.secrets.is_empty() || !self.entry.oauth.is_empty();
        let start = if sure {
            "it will hardly do without a network and has none"
        } else {
            "it has no network"
        };
        let hosts = if hosts.is_empty() {
            "HOST:443".to_owned()
        } else {
            hosts.join("\", \"")
        };
        format!(
            "{start}, as its entry declares no hosts; to permit some, write under {}: hosts = [\"{hosts}\"], or network = \"open\" for all",
            self.table()
        )
    }

    pub(super) fn say_what_it_asks(&mut self, container: &Container) {
        let mut asks = Vec::new();
        match &container.network {
            Network::None => {}
            Network::Hosts(hosts) => {
                asks.push(format!(
                    "reaches {}",
                    hosts
                        .iter()
                        .map(HostPort::to_string)
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
            }
            Network::Open => asks.push("reaches everything that the engine's network reaches".to_owned()),
        }
        for (host, address) in &container.extra_hosts {
            asks.push(format!("resolves {host} to {address}"));
        }
        asks.extend(
            container
                .mounts
                .iter()
                .filter_map(|mount| mount_in_words(mount, &container.volumes)),
        );
        if container.docker_socket {
            asks.push("drives Docker, by a filtered socket that shows only what it made itself".to_owned());
        }
        if !container.capabilities.is_empty() {
            asks.push(format!(
                "has the capabilities {}",
                container.capabilities.join(", ")
            ));
        }
        if container.writable_root {
            asks.push("writes to its own root file system".to_owned());
        }
        match container.gpus {
            None => {}
            Some(Gpus::All) => asks.push("uses all GPUs".to_owned()),
            Some(Gpus::Count(count)) => asks.push(format!("uses {count} GPUs")),
        }
        if matches!(container.user.as_deref(), Some("root" | "0"))
            || container
                .user
                .as_deref()
                .is_some_and(|user| user.starts_with("0:") || user.starts_with("root:"))
        {
            asks.push("runs as root in its container".to_owned());
        }
        let usual = Limits::default();
        if container.limits.memory > usual.memory {
            asks.push(format!(
                "uses up to {} of memory",
                base::text::bytes(container.limits.memory)
            ));
        }
        if container.limits.cpus > usual.cpus {
            asks.push(format!("uses up to {} CPUs", container.limits.cpus));
        }
        if container.limits.pids > usual.pids {
            asks.push(format!("runs up to {} processes", container.limits.pids));
        }
        for ask in asks {
            if !self.asks_for.contains(&ask) {
                self.asks_for.push(ask);
            }
        }
    }
}

fn mount_in_words(mount: &Mount, permitted: &[String]) -> Option<String> {
    let how = if mount.read_only {
        "reads"
    } else {
        "reads and writes"
    };
    match &mount.source {
        Source::Path(path) => Some(format!("{how} {} (at {})", path.display(), mount.target)),
        Source::Volume(name) if permitted.contains(name) => Some(format!(
            "{how} the volume {name} of yours, which may be there already (at {})",
            mount.target
        )),
        Source::Volume(name) => Some(format!("keeps data in the volume {name} (at {})", mount.target)),
        Source::Tmpfs | Source::Secret(_) => None,
    }
}
