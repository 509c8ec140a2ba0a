//! The engine's body for a new container (`POST /containers/create`), made from settings.
//!
//! Plain JSON rather than a model: recreating starts from what the engine says of the old container, and no field
//! of it may get lost on the way.

use super::settings::Settings;
use super::words::command;
use crate::error::ToolError;
use crate::values::{Access, Pairs, Ports, Size, Source, Volume};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Networks that are no networks of their own: they take neither aliases nor addresses.
const SHARED: [&str; 4] = ["default", "bridge", "host", "none"];

/// The body, from nothing or from an existing container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body(Map<String, Value>);

impl Body {
    /// The body that a container was or could have been made with: `Config`, `HostConfig` and networks of its
    /// inspection.
    pub(crate) fn of(config: Map<String, Value>, host: Value, networks: Map<String, Value>) -> Self {
        let mut body = config;
        body.insert("HostConfig".to_owned(), host);
        let networking = Map::from_iter([("EndpointsConfig".to_owned(), Value::Object(networks))]);
        body.insert("NetworkingConfig".to_owned(), networking.into());
        Self(body)
    }

    /// The JSON to send.
    pub(crate) fn json(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Puts a label on it.
    pub(crate) fn label(&mut self, name: &str, value: &str) {
        object(&mut self.0, "Labels").insert(name.to_owned(), value.into());
    }

    /// Applies every setting that is given; the others stay as they are.
    ///
    /// # Errors
    /// Settings that contradict each other.
    pub(crate) fn apply(&mut self, settings: &Settings) -> Result<(), ToolError> {
        self.process(settings)?;
        self.resources(settings)?;
        self.isolation(settings);
        if let Some(ports) = &settings.ports {
            self.publish(ports);
        }
        if let Some(volumes) = &settings.volumes {
            let mounts: Vec<Value> = volumes.iter().map(mount).collect();
            self.host("Mounts", Some(mounts));
        }
        if let Some(tmpfs) = &settings.tmpfs {
            let map: Map<String, Value> = tmpfs
                .iter()
                .map(|tmpfs| (tmpfs.target.clone(), tmpfs.options.clone().into()))
                .collect();
            self.host("Tmpfs", Some(map));
        }
        self.network(settings)
    }

    /// What runs, and how it is kept running.
    fn process(&mut self, settings: &Settings) -> Result<(), ToolError> {
        self.set(
            "Image",
            settings.image.as_ref().map(base::names::ImageRef::as_str),
        );
        if let Some(words) = &settings.command {
            self.set("Cmd", Some(command(words, "command")?));
        }
        if let Some(words) = &settings.entrypoint {
            self.set("Entrypoint", Some(command(words, "entrypoint")?));
        }
        if let Some(env) = &settings.env {
            self.environment(env);
        }
        if let Some(labels) = &settings.labels {
            for (name, value) in labels.iter() {
                self.label(name, value);
            }
        }
        self.set("WorkingDir", settings.workdir.as_ref());
        self.set("User", settings.user.as_ref());
        self.set("Hostname", settings.hostname.as_ref());
        self.set("Tty", settings.tty);
        self.set("OpenStdin", settings.stdin);
        self.set("StopSignal", settings.stop_signal.as_ref());
        self.set(
            "StopTimeout",
            settings.stop_timeout.map(crate::values::Span::seconds),
        );
        self.set(
            "Healthcheck",
            settings.healthcheck.as_ref().map(super::words::Healthcheck::body),
        );
        self.host(
            "RestartPolicy",
            settings.restart.as_ref().map(super::words::Restart::body),
        );
        self.host("AutoRemove", settings.auto_remove);
        self.host("Init", settings.init);
        if settings.log_driver.is_some() || settings.log_options.is_some() {
            let options: Map<String, Value> = settings.log_options.as_ref().map(map).unwrap_or_default();
            let driver = settings.log_driver.clone().unwrap_or_default();
            self.host("LogConfig", Some(json!({ "Type": driver, "Config": options })));
        }
        Ok(())
    }

    fn resources(&mut self, settings: &Settings) -> Result<(), ToolError> {
        self.host("Memory", settings.memory.map(|Size(bytes)| bytes.max(0)));
        self.host("MemorySwap", settings.memory_swap.map(|Size(bytes)| bytes));
        self.host("ShmSize", settings.shm_size.map(|Size(bytes)| bytes));
        self.host("PidsLimit", settings.pids_limit);
        self.host("NanoCpus", settings.cpus.map(nano_cpus).transpose()?);
        let limits = settings.ulimits.as_ref().map(super::words::Ulimits::body);
        self.host("Ulimits", limits);
        self.host(
            "DeviceRequests",
            settings.gpus.as_ref().map(super::words::Gpus::body),
        );
        let devices = settings
            .devices
            .as_ref()
            .map(|list| list.iter().map(super::words::Device::body).collect::<Vec<_>>());
        self.host("Devices", devices);
        self.host("Runtime", settings.runtime.as_ref());
        Ok(())
    }

    fn isolation(&mut self, settings: &Settings) {
        self.host("Privileged", settings.privileged);
        self.host("ReadonlyRootfs", settings.read_only);
        self.host("CapAdd", settings.cap_add.as_ref());
        self.host("CapDrop", settings.cap_drop.as_ref());
        self.host("SecurityOpt", settings.security_opt.as_ref());
        self.host("GroupAdd", settings.group_add.as_ref());
        self.host("PidMode", settings.pid.as_ref());
        self.host("IpcMode", settings.ipc.as_ref());
        self.host("Dns", settings.dns.as_ref());
        self.host("ExtraHosts", settings.extra_hosts.as_ref());
        self.host("Sysctls", settings.sysctls.as_ref().map(map));
    }

    /// New values replace old ones of the same name; the rest stays.
    fn environment(&mut self, env: &Pairs) {
        let mut entries: Vec<Value> = self
            .0
            .get("Env")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        entries.retain(|entry| {
            let name = entry
                .as_str()
                .unwrap_or_default()
                .split('=')
                .next()
                .unwrap_or_default();
            !env.iter().any(|(new, _)| new == name)
        });
        entries.extend(env.to_list().into_iter().map(Value::from));
        self.set("Env", Some(entries));
    }

    fn publish(&mut self, ports: &Ports) {
        let mut bindings: Map<String, Value> = Map::new();
        for port in &ports.0 {
            object(&mut self.0, "ExposedPorts").insert(port.key(), json!({}));
            let binding = json!({
                "HostIp": port.address.to_string(),
                "HostPort": port.host.map(|host| host.to_string()).unwrap_or_default(),
            });
            match bindings.get_mut(&port.key()).and_then(Value::as_array_mut) {
                Some(list) => list.push(binding),
                None => drop(bindings.insert(port.key(), json!([binding]))),
            }
        }
        self.host("PortBindings", Some(bindings));
    }

    fn network(&mut self, settings: &Settings) -> Result<(), ToolError> {
        let addressed = settings.aliases.is_some() || settings.ip.is_some();
        let Some(network) = &settings.network else {
            if addressed {
                return Err(ToolError::arguments("aliases and ip need a network")
                    .fix("give network, the name of a network made by create_network"));
            }
            return Ok(());
        };
        let shared = SHARED.contains(&network.as_str()) || network.starts_with("container:");
        if shared && addressed {
            return Err(
                ToolError::arguments(format!("network {network} takes neither aliases nor ip"))
                    .fix("create a network of your own with create_network"),
            );
        }
        self.host("NetworkMode", Some(network));
        let mut endpoints = Map::new();
        if !shared {
            let mut endpoint = Map::new();
            if let Some(aliases) = &settings.aliases {
                endpoint.insert("Aliases".to_owned(), aliases.clone().into());
            }
            match settings.ip {
                Some(std::net::IpAddr::V4(ip)) => {
                    endpoint.insert("IPAMConfig".to_owned(), json!({ "IPv4Address": ip.to_string() }));
                }
                Some(std::net::IpAddr::V6(ip)) => {
                    endpoint.insert("IPAMConfig".to_owned(), json!({ "IPv6Address": ip.to_string() }));
                }
                None => {}
            }
            endpoints.insert(network.clone(), endpoint.into());
        }
        self.0.insert(
            "NetworkingConfig".to_owned(),
            json!({ "EndpointsConfig": endpoints }),
        );
        Ok(())
    }

    fn set(&mut self, key: &str, value: Option<impl Serialize>) {
        put(&mut self.0, key, value);
    }

    fn host(&mut self, key: &str, value: Option<impl Serialize>) {
        if value.is_some() {
            put(object(&mut self.0, "HostConfig"), key, value);
        }
    }
}

fn put(into: &mut Map<String, Value>, key: &str, value: Option<impl Serialize>) {
    // What is put here is text, numbers, lists and maps of them; these always become JSON.
    if let Some(Ok(value)) = value.map(serde_json::to_value) {
        into.insert(key.to_owned(), value);
    }
}

/// The object of this name, made if it is missing or `null`.
fn object<'a>(within: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = within.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it was made an object above"),
    }
}

fn map(pairs: &Pairs) -> Map<String, Value> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

/// A mount as the engine takes it. Not the older `Binds`: they make a missing path of the host as root.
fn mount(volume: &Volume) -> Value {
    let read_only = volume.access == Access::ReadOnly;
    match &volume.source {
        Source::Host(path) => {
            json!({ "Type": "bind", "Source": path, "Target": volume.target, "ReadOnly": read_only })
        }
        Source::Named(name) => {
            json!({ "Type": "volume", "Source": name, "Target": volume.target, "ReadOnly": read_only })
        }
        Source::Anonymous => json!({ "Type": "volume", "Target": volume.target, "ReadOnly": read_only }),
    }
}

/// Processors as the engine takes them, in thousand millionths.
pub(crate) fn nano_cpus(cpus: f64) -> Result<i64, ToolError> {
    if !(0.0..=4096.0).contains(&cpus) {
        return Err(ToolError::arguments(
            "parameter cpus: it is a number of processors, such as 1.5",
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most 4096 thousand million, far below 2^53"
    )]
    let nano = (cpus * 1e9).round() as i64;
    Ok(nano)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(settings: Value) -> Result<Value, String> {
        let settings: Settings = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        let mut body = Body::default();
        body.apply(&settings).map_err(|error| error.to_string())?;
        Ok(Value::Object(body.0))
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "the snapshot is one value")]
    fn everything_reaches_its_place() {
        let body = body(json!({
            "image": "nginx:1.27", "command": "nginx -g 'daemon off;'", "env": { "A": "1" },
            "ports": ["8080:80", "127.0.0.1:53:53/udp"], "volumes": ["data:/data", "/srv:/srv:ro"],
            "labels": { "app": "shop" }, "network": "shop", "aliases": ["www"], "ip": "172.20.0.5",
            "restart": "on-failure:3", "healthcheck": "true", "memory": "512m", "cpus": 1.5, "pids_limit": 100,
            "ulimits": { "nofile": 1024 }, "cap_drop": ["ALL"], "gpus": "all", "tmpfs": ["/run:size=1m"],
            "extra_hosts": ["db:10.0.0.1"], "init": true, "read_only": true, "stop_timeout": "30s",
            "log_driver": "local", "log_options": { "max-size": "10m" }, "sysctls": { "net.core.somaxconn": 1024 },
        }));
        insta::assert_json_snapshot!(body.unwrap(), @r#"
        {
          "Image": "nginx:1.27",
          "Cmd": [
            "nginx",
            "-g",
            "daemon off;"
          ],
          "Env": [
            "A=1"
          ],
          "Labels": {
            "app": "shop"
          },
          "StopTimeout": 30,
          "Healthcheck": {
            "Test": [
              "CMD-SHELL",
              "true"
            ]
          },
          "HostConfig": {
            "RestartPolicy": {
              "Name": "on-failure",
              "MaximumRetryCount": 3
            },
            "Init": true,
            "LogConfig": {
              "Type": "local",
              "Config": {
                "max-size": "10m"
              }
            },
            "Memory": 536870912,
            "PidsLimit": 100,
            "NanoCpus": 1500000000,
            "Ulimits": [
              {
                "Name": "nofile",
                "Soft": 1024,
                "Hard": 1024
              }
            ],
            "DeviceRequests": [
              {
                "Driver": "",
                "Count": -1,
                "Capabilities": [
                  [
                    "gpu"
                  ]
                ]
              }
            ],
            "ReadonlyRootfs": true,
            "CapDrop": [
              "ALL"
            ],
            "ExtraHosts": [
              "db:10.0.0.1"
            ],
            "Sysctls": {
              "net.core.somaxconn": "1024"
            },
            "PortBindings": {
              "80/tcp": [
                {
                  "HostIp": "127.0.0.1",
                  "HostPort": "8080"
                }
              ],
              "53/udp": [
                {
                  "HostIp": "127.0.0.1",
                  "HostPort": "53"
                }
              ]
            },
            "Mounts": [
              {
                "Type": "volume",
                "Source": "data",
                "Target": "/data",
                "ReadOnly": false
              },
              {
                "Type": "bind",
                "Source": "/srv",
                "Target": "/srv",
                "ReadOnly": true
              }
            ],
            "Tmpfs": {
              "/run": "size=1m"
            },
            "NetworkMode": "shop"
          },
          "ExposedPorts": {
            "80/tcp": {},
            "53/udp": {}
          },
          "NetworkingConfig": {
            "EndpointsConfig": {
              "shop": {
                "Aliases": [
                  "www"
                ],
                "IPAMConfig": {
                  "IPv4Address": "172.20.0.5"
                }
              }
            }
          }
        }
        "#);
    }

    #[test]
    fn existing_settings_stay() {
        let old = json!({ "Env": ["A=1", "B=2"], "Labels": { "x": "y" } });
        let Value::Object(old) = old else {
            panic!("an object")
        };
        let mut body = Body::of(old, json!({ "Memory": 5 }), Map::new());
        let settings: Settings =
            serde_json::from_value(json!({ "env": { "B": "3" }, "labels": { "z": "w" } })).unwrap();
        body.apply(&settings).unwrap();
        let body = Value::Object(body.0);
        assert_eq!(body["Env"], json!(["A=1", "B=3"]));
        assert_eq!(body["Labels"], json!({ "x": "y", "z": "w" }));
        assert_eq!(body["HostConfig"], json!({ "Memory": 5 }));
    }

    #[test]
    fn contradictions_are_errors() {
        for (settings, part) in [
            (json!({ "ip": "10.0.0.1" }), "need a network"),
            (json!({ "network": "host", "aliases": ["x"] }), "takes neither"),
            (json!({ "cpus": -1.0 }), "number of processors"),
            (json!({ "command": "echo 'x" }), "not closed"),
            (json!({ "network_mode": "x" }), "unknown field"),
        ] {
            let error = body(settings).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
