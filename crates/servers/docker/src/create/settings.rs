//! What can be set when a container is made: the options of `docker run` that people use, typed.

use super::words::{Device, Gpus, Healthcheck, Restart, Tmpfs, Ulimits};
use crate::values::{Command, Pairs, Ports, Size, Span, Volume};
use base::names::{ContainerRef, ImageRef};
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::schema;

/// Every setting may be left out, so that the same type says what to make and what to change.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    #[schemars(with = "Option<String>")]
    #[schemars(extend("about" = "What to run; pull_image gets it first."))]
    pub(crate) image: Option<ImageRef>,
    #[schemars(with = "Option<String>")]
    #[schemars(extend("about" = "The engine makes one up if there is none."))]
    pub(crate) name: Option<ContainerRef>,
    #[schemars(extend("about" = "A list, or text that is split like a shell does; text with shell operators runs in `sh -c`."))]
    pub(crate) command: Option<Command>,
    #[schemars(schema_with = "schema::text")]
    #[schemars(extend("about" = "Like command; an empty list takes the image's away."))]
    pub(crate) entrypoint: Option<Command>,
    #[schemars(extend("about" = "An object, or a list of NAME=value."))]
    pub(crate) env: Option<Pairs>,
    #[schemars(description = "[ip:]host:container[/udp]; default ip 127.0.0.1")]
    #[schemars(extend("about" = "`[ip:]host:container[/udp]`, ranges too; without a host port the engine chooses. Published on 127.0.0.1 unless an ip is given. An object of container port to host port is understood."))]
    pub(crate) ports: Option<Ports>,
    #[schemars(description = "source:/target[:ro]")]
    #[schemars(extend("about" = "`source:/target[:ro]`; source is a volume or an absolute path of the host; without one the volume has no name. Objects with source, target, read_only are understood."))]
    pub(crate) volumes: Option<Vec<Volume>>,
    pub(crate) labels: Option<Pairs>,
    #[schemars(extend("about" = "Start it after creating; if that fails it is removed again."))]
    pub(crate) start: Option<bool>,
    #[schemars(description = "Run to the end, return output")]
    #[schemars(extend("about" = "Start it, wait for its end, return its output and exit code."))]
    pub(crate) wait: Option<bool>,
    #[schemars(extend("about" = "A network's name, or bridge, host, none, container:name."))]
    pub(crate) network: Option<String>,
    #[schemars(extend("about" = "Further names in that network."))]
    pub(crate) aliases: Option<Vec<String>>,
    #[schemars(extend("about" = "Its address in that network."))]
    pub(crate) ip: Option<std::net::IpAddr>,
    #[schemars(with = "Option<String>")]
    #[schemars(extend("about" = "no, always, unless-stopped, on-failure[:times]"))]
    pub(crate) restart: Option<Restart>,
    #[schemars(
        schema_with = "schema::any",
        description = "Command, or {test,interval,timeout,retries,start_period}"
    )]
    #[schemars(extend("about" = "A command as text or list, or an object with test, interval, timeout, retries, start_period."))]
    pub(crate) healthcheck: Option<Healthcheck>,
    #[schemars(extend("about" = "Limit, such as 512m."))]
    pub(crate) memory: Option<Size>,
    #[schemars(extend("hidden" = true))]
    #[schemars(extend("about" = "Memory and swap together; -1 is unlimited."))]
    pub(crate) memory_swap: Option<Size>,
    #[schemars(extend("about" = "Processors, such as 1.5."))]
    pub(crate) cpus: Option<f64>,
    pub(crate) pids_limit: Option<i64>,
    #[schemars(extend("hidden" = true))]
    #[schemars(extend("about" = "Of /dev/shm, such as 64m."))]
    pub(crate) shm_size: Option<Size>,
    #[schemars(schema_with = "schema::map")]
    #[schemars(extend("about" = "Soft and hard limit by name: {\"nofile\":\"1024:2048\"}"))]
    pub(crate) ulimits: Option<Ulimits>,
    pub(crate) workdir: Option<String>,
    #[schemars(extend("about" = "Name or number, with group if wanted: 1000:1000"))]
    pub(crate) user: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) cap_add: Option<Vec<String>>,
    pub(crate) cap_drop: Option<Vec<String>>,
    #[schemars(with = "Option<Vec<String>>")]
    #[schemars(extend("about" = "`/dev/host[:/dev/container][:rwm]`"))]
    pub(crate) devices: Option<Vec<Device>>,
    #[schemars(with = "Option<String>")]
    #[schemars(extend("about" = "all, a number, or device=0,1"))]
    pub(crate) gpus: Option<Gpus>,
    pub(crate) privileged: Option<bool>,
    pub(crate) security_opt: Option<Vec<String>>,
    #[schemars(with = "Option<Vec<String>>")]
    #[schemars(extend("about" = "`/target[:size=64m]`"))]
    pub(crate) tmpfs: Option<Vec<Tmpfs>>,
    #[schemars(extend("hidden" = true))]
    pub(crate) dns: Option<Vec<String>>,
    #[schemars(extend("about" = "name:ip"))]
    pub(crate) extra_hosts: Option<Vec<String>>,
    #[schemars(extend("hidden" = true))]
    pub(crate) sysctls: Option<Pairs>,
    #[schemars(extend("hidden" = true))]
    pub(crate) group_add: Option<Vec<String>>,
    #[schemars(extend("hidden" = true))]
    #[schemars(extend("about" = "Namespace: host, or container:name."))]
    pub(crate) pid: Option<String>,
    #[schemars(extend("hidden" = true))]
    #[schemars(extend("about" = "Namespace: host, private, shareable, container:name."))]
    pub(crate) ipc: Option<String>,
    #[schemars(extend("hidden" = true))]
    #[schemars(extend("about" = "A small first process that reaps others."))]
    pub(crate) init: Option<bool>,
    pub(crate) read_only: Option<bool>,
    #[schemars(extend("hidden" = true))]
    pub(crate) stop_signal: Option<String>,
    #[schemars(extend("about" = "How long a stop waits before it kills, such as 30s."))]
    pub(crate) stop_timeout: Option<Span>,
    #[schemars(extend("about" = "os/architecture of the image."))]
    pub(crate) platform: Option<String>,
    #[schemars(extend("hidden" = true))]
    pub(crate) runtime: Option<String>,
    #[schemars(extend("hidden" = true))]
    pub(crate) tty: Option<bool>,
    #[schemars(extend("about" = "Keep its input open."))]
    pub(crate) stdin: Option<bool>,
    #[schemars(extend("hidden" = true))]
    pub(crate) log_driver: Option<String>,
    #[schemars(extend("hidden" = true))]
    #[schemars(extend("about" = "Of the log driver: {\"max-size\":\"10m\"}"))]
    pub(crate) log_options: Option<Pairs>,
    #[schemars(extend("about" = "Remove it when it ends."))]
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
