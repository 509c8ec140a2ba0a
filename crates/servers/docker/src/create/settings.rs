//! What can be set when a container is made: the options of `docker run` that people use, typed.

use super::words::{Device, Gpus, Healthcheck, Restart, Tmpfs, Ulimit};
use crate::schema;
use crate::values::{Command, Pairs, Ports, Size, Span, Volume};
use base::names::{ContainerRef, ImageRef};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Every setting may be left out, so that the same type says what to make and what to change.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    #[schemars(with = "Option<String>")]
    pub(crate) image: Option<ImageRef>,
    #[schemars(with = "Option<String>")]
    pub(crate) name: Option<ContainerRef>,
    pub(crate) command: Option<Command>,
    #[schemars(schema_with = "schema::text")]
    pub(crate) entrypoint: Option<Command>,
    pub(crate) env: Option<Pairs>,
    #[schemars(description = "[ip:]host:container[/udp]; default ip 127.0.0.1")]
    pub(crate) ports: Option<Ports>,
    #[schemars(description = "source:/target[:ro]")]
    pub(crate) volumes: Option<Vec<Volume>>,
    pub(crate) labels: Option<Pairs>,
    pub(crate) start: Option<bool>,
    #[schemars(description = "Run to the end, return output")]
    pub(crate) wait: Option<bool>,
    pub(crate) network: Option<String>,
    pub(crate) aliases: Option<Vec<String>>,
    pub(crate) ip: Option<std::net::IpAddr>,
    #[schemars(with = "Option<String>")]
    pub(crate) restart: Option<Restart>,
    #[schemars(
        schema_with = "schema::any",
        description = "Command, or {test,interval,timeout,retries,start_period}"
    )]
    pub(crate) healthcheck: Option<Healthcheck>,
    pub(crate) memory: Option<Size>,
    #[schemars(extend("hidden" = true))]
    pub(crate) memory_swap: Option<Size>,
    pub(crate) cpus: Option<f64>,
    pub(crate) pids_limit: Option<i64>,
    #[schemars(extend("hidden" = true))]
    pub(crate) shm_size: Option<Size>,
    #[schemars(schema_with = "schema::map")]
    pub(crate) ulimits: Option<BTreeMap<String, Ulimit>>,
    pub(crate) workdir: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) cap_add: Option<Vec<String>>,
    pub(crate) cap_drop: Option<Vec<String>>,
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) devices: Option<Vec<Device>>,
    #[schemars(with = "Option<String>")]
    pub(crate) gpus: Option<Gpus>,
    pub(crate) privileged: Option<bool>,
    pub(crate) security_opt: Option<Vec<String>>,
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) tmpfs: Option<Vec<Tmpfs>>,
    pub(crate) dns: Option<Vec<String>>,
    pub(crate) extra_hosts: Option<Vec<String>>,
    #[schemars(extend("hidden" = true))]
    pub(crate) sysctls: Option<Pairs>,
    #[schemars(extend("hidden" = true))]
    pub(crate) group_add: Option<Vec<String>>,
    #[schemars(extend("hidden" = true))]
    pub(crate) pid: Option<String>,
    #[schemars(extend("hidden" = true))]
    pub(crate) ipc: Option<String>,
    pub(crate) init: Option<bool>,
    pub(crate) read_only: Option<bool>,
    #[schemars(extend("hidden" = true))]
    pub(crate) stop_signal: Option<String>,
    pub(crate) stop_timeout: Option<Span>,
    pub(crate) platform: Option<String>,
    #[schemars(extend("hidden" = true))]
    pub(crate) runtime: Option<String>,
    #[schemars(extend("hidden" = true))]
    pub(crate) tty: Option<bool>,
    pub(crate) stdin: Option<bool>,
    #[schemars(extend("hidden" = true))]
    pub(crate) log_driver: Option<String>,
    #[schemars(extend("hidden" = true))]
    pub(crate) log_options: Option<Pairs>,
    pub(crate) auto_remove: Option<bool>,
}

impl Settings {
    /// Name and image for a person: "web from nginx:1.27".
    pub(crate) fn shown(&self) -> String {
        let image = self.image.as_ref().map_or("?", ImageRef::as_str);
        match &self.name {
            Some(name) => format!("{name} from {image}"),
            None => format!("from {image}"),
        }
    }

    /// What a person should see before agreeing: everything that reaches out of the container.
    pub(crate) fn reaches(&self) -> String {
        let mut reaches = Vec::new();
        if self.privileged == Some(true) {
            reaches.push("privileged".to_owned());
        }
        for volume in self.volumes.iter().flatten() {
            if let crate::values::Source::Host(path) = &volume.source {
                reaches.push(format!("mounts {path}"));
            }
        }
        if self.network.as_deref() == Some("host") {
            reaches.push("network of the host".to_owned());
        }
        let ports: Vec<String> = self
            .ports
            .iter()
            .flat_map(|ports| &ports.0)
            .filter_map(|port| port.host.map(|host| format!("{}:{host}", port.address)))
            .collect();
        if !ports.is_empty() {
            reaches.push(format!("publishes {}", ports.join(", ")));
        }
        if reaches.is_empty() {
            String::new()
        } else {
            format!(" ({})", reaches.join("; "))
        }
    }
}
