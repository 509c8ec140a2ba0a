//! The container to be replaced, and the body of its successor: what was set for it stays, what came from its image
//! gives way to what the new image says.

use crate::create::{Body, Settings};
use crate::ctx::Ctx;
use crate::error::{Code, Kind, ToolError};
use crate::pick;
use base::names::{ContainerRef, ImageRef};
use serde_json::{Map, Value, json};

/// Settings that an image can give and a container can override.
const FROM_IMAGE: [&str; 9] = [
    "Cmd",
    "Entrypoint",
    "WorkingDir",
    "User",
    "Healthcheck",
    "StopSignal",
    "ExposedPorts",
    "Volumes",
    "Shell",
];
/// What the engine finds out about an endpoint, as opposed to what was asked for.
const FOUND_OUT: [&str; 9] = [
    "NetworkID",
    "EndpointID",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "DNSNames",
];

/// What is known of the container to be replaced.
pub(super) struct Old {
    pub(super) id: String,
    pub(super) name: ContainerRef,
    pub(super) running: bool,
    /// Networks beyond the first, which older engines don't take when a container is made.
    pub(super) further_networks: Vec<(String, Value)>,
    pub(super) warnings: Vec<String>,
    details: Value,
}

impl Old {
    /// Looks at the container.
    pub(super) async fn read(ctx: &Ctx, container: &ContainerRef) -> Result<Self, ToolError> {
        let details = ctx.engine().container_inspect(container).await?;
        let name = ContainerRef::parse(pick::container_name(&details))?;
        if pick::yes(&details, "/HostConfig/AutoRemove") {
            return Err(ToolError::new(
                Code::Conflict,
                format!(
                    "{name} was made to be removed when it stops (auto_remove), so it can't be kept meanwhile"
                ),
            )
            .about(Kind::Container, &name)
            .fix("remove it and create a new one"));
        }
        Ok(Self {
            id: pick::text(&details, "/Id").to_owned(),
            running: pick::yes(&details, "/State/Running"),
            further_networks: Vec::new(),
            warnings: Vec::new(),
            name,
            details,
        })
    }

    /// The body of the successor.
    pub(super) async fn body(&mut self, ctx: &Ctx, settings: &Settings) -> Result<Body, ToolError> {
        let old_image = self.image(ctx, pick::text(&self.details, "/Image")).await;
        if let Some(new) = &settings.image {
            // Asked now, while nothing is changed yet.
            ctx.engine().image_inspect(new).await?;
        }
        let mut config = match self.details["Config"].clone() {
            Value::Object(config) => config,
            _ => Map::new(),
        };
        match old_image {
            Some(image) => leave_to_image(&mut config, &image["Config"]),
            None => self.warnings.push(
                "warning: the old image is gone, so settings that came from it are kept as if they had been set".to_owned(),
            ),
        }
        // The engine's own choice for a container without one.
        if pick::text(&self.details, "/Config/Hostname") == pick::short_id(&self.id) {
            config.remove("Hostname");
        }
        let host = leave_to_engine(self.host_config(settings), cgroup_default(ctx).await);
        let first = self.networks(settings);
        let mut body = Body::of(config, host, first);
        body.apply(settings)?;
        Ok(body)
    }

    async fn image(&self, ctx: &Ctx, id: &str) -> Option<Value> {
        ctx.engine().image_inspect(&ImageRef::parse(id).ok()?).await.ok()
    }

    /// `HostConfig`, with the volumes that have no name of their own named, so that the new container has them too.
    fn host_config(&self, settings: &Settings) -> Value {
        let mut host = match self.details["HostConfig"].clone() {
            Value::Object(host) => host,
            _ => Map::new(),
        };
        host.retain(|_, value| !value.is_null());
        if settings.volumes.is_some() {
            // Replaced as a whole.
            host.remove("Binds");
            host.remove("Mounts");
        }
        // All volumes there are now, whether they were asked for by name, by image or by path alone.
        let mut mounts: Vec<Value> = host
            .get("Mounts")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let bound: Vec<String> = pick::texts(&Value::Object(host.clone()), "/Binds")
            .filter_map(|bind| bind.split(':').nth(1).map(str::to_owned))
            .collect();
        let replaced: Vec<&str> = settings
            .volumes
            .iter()
            .flatten()
            .map(|volume| volume.target.as_str())
            .collect();
        for mount in pick::list(&self.details, "/Mounts") {
            let target = pick::text(mount, "/Destination");
            let is_volume = pick::text(mount, "/Type") == "volume";
            if !is_volume || bound.iter().any(|bound| bound == target) || replaced.contains(&target) {
                continue;
            }
            let anonymous = pick::text(mount, "/Name").len() == 64;
            if settings.volumes.is_some() && !anonymous {
                continue;
            }
            mounts.retain(|mount| pick::text(mount, "/Target") != target);
            mounts.push(json!({
                "Type": "volume",
                "Source": pick::text(mount, "/Name"),
                "Target": target,
                "ReadOnly": !pick::yes(mount, "/RW"),
            }));
        }
        if !mounts.is_empty() {
            host.insert("Mounts".to_owned(), mounts.into());
        }
        Value::Object(host)
    }

    /// The endpoint of the first network; the others are remembered.
    fn networks(&mut self, settings: &Settings) -> Map<String, Value> {
        let mut first = Map::new();
        if settings.network.is_some() {
            return first;
        }
        let mode = pick::text(&self.details, "/HostConfig/NetworkMode").to_owned();
        let short = pick::short_id(&self.id).to_owned();
        let endpoints: Vec<(String, Value)> = pick::members(&self.details, "/NetworkSettings/Networks")
            .filter(|(name, _)| !matches!(*name, "host" | "none"))
            .map(|(name, endpoint)| (name.to_owned(), asked_for(endpoint, &short)))
            .collect();
        for (name, endpoint) in endpoints {
            let is_first = name == mode || mode == "default" && name == "bridge";
            if is_first {
                first.insert(name, endpoint);
            } else {
                self.further_networks.push((name, endpoint));
            }
        }
        first
    }
}

/// The engine's own choice of a cgroup namespace, which it tells as if it had been set.
async fn cgroup_default(ctx: &Ctx) -> &'static str {
    match ctx.engine().system_info().await {
        Ok(info) if pick::text(&info, "/CgroupVersion") == "2" => "private",
        _ => "host",
    }
}

/// Removes what the engine chose itself: asked for by name, the guard would have to judge it as a wish.
fn leave_to_engine(mut host: Value, cgroup_default: &str) -> Value {
    if let Value::Object(host) = &mut host {
        if host
            .get("CgroupnsMode")
            .is_some_and(|mode| mode == cgroup_default)
        {
            host.remove("CgroupnsMode");
        }
        // Lists of its own; only an empty one was a wish.
        for paths in ["MaskedPaths", "ReadonlyPaths"] {
            if host
                .get(paths)
                .and_then(Value::as_array)
                .is_some_and(|list| !list.is_empty())
            {
                host.remove(paths);
            }
        }
    }
    host
}

/// Removes from a container's settings what it has only because its image says so.
fn leave_to_image(config: &mut Map<String, Value>, image: &Value) {
    for key in FROM_IMAGE {
        if config
            .get(key)
            .is_some_and(|value| value.is_null() || *value == image[key])
        {
            config.remove(key);
        }
    }
    let inherited: Vec<&str> = pick::texts(image, "/Env").collect();
    if let Some(Value::Array(env)) = config.get_mut("Env") {
        env.retain(|entry| !inherited.contains(&entry.as_str().unwrap_or_default()));
    }
    if let Some(Value::Object(labels)) = config.get_mut("Labels") {
        labels.retain(|name, value| image["Labels"].get(name) != Some(value));
    }
    if let (Some(Value::Object(ports)), Some(exposed)) =
        (config.get_mut("ExposedPorts"), image["ExposedPorts"].as_object())
    {
        ports.retain(|port, _| !exposed.contains_key(port));
    }
    config.retain(|_, value| !value.is_null());
}

/// The part of an endpoint that somebody chose.
fn asked_for(endpoint: &Value, short_id: &str) -> Value {
    let mut endpoint = endpoint.as_object().cloned().unwrap_or_default();
    endpoint
        .retain(|key, value| !value.is_null() && !FOUND_OUT.contains(&key.as_str()) && key != "MacAddress");
    if let Some(Value::Array(aliases)) = endpoint.get_mut("Aliases") {
        // The engine adds the id of the container itself.
        aliases.retain(|alias| alias.as_str() != Some(short_id));
    }
    endpoint.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_the_image_is_left_to_the_image() {
        let image = json!({
            "Cmd": ["nginx"], "Env": ["PATH=/bin", "VERSION=1"], "Labels": { "a": "image" },
            "ExposedPorts": { "80/tcp": {} }, "WorkingDir": "/srv", "Entrypoint": null,
        });
        let Value::Object(mut config) = json!({
            "Cmd": ["nginx"], "Env": ["PATH=/bin", "VERSION=2", "MINE=1"], "Labels": { "a": "image", "b": "mine" },
            "ExposedPorts": { "80/tcp": {}, "443/tcp": {} }, "WorkingDir": "/other", "Entrypoint": null, "Tty": false,
        }) else {
            panic!("an object")
        };
        leave_to_image(&mut config, &image);
        let expected = json!({
            "Env": ["VERSION=2", "MINE=1"], "Labels": { "b": "mine" }, "ExposedPorts": { "443/tcp": {} },
            "WorkingDir": "/other", "Tty": false,
        });
        assert_eq!(Value::Object(config), expected);
    }

    #[test]
    fn volumes_without_a_name_are_handed_on() {
        let anonymous = "a".repeat(64);
        let old = Old {
            id: "1".into(),
            name: ContainerRef::parse("web").unwrap(),
            running: true,
            further_networks: Vec::new(),
            warnings: Vec::new(),
            details: json!({
                "HostConfig": { "Binds": ["named:/named"], "Mounts": null },
                "Mounts": [
                    { "Type": "volume", "Name": anonymous, "Destination": "/anonymous", "RW": true },
                    { "Type": "volume", "Name": "named", "Destination": "/named", "RW": true },
                    { "Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": true },
                ],
            }),
        };
        let expected =
            json!([{ "Type": "volume", "Source": anonymous, "Target": "/anonymous", "ReadOnly": false }]);
        assert_eq!(old.host_config(&Settings::default())["Mounts"], expected);
        let volumes: Settings = serde_json::from_value(json!({ "volumes": ["new:/anonymous"] })).unwrap();
        let host = old.host_config(&volumes);
        assert_eq!((&host["Binds"], &host["Mounts"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn endpoints_keep_what_was_chosen() {
        let endpoint = json!({
            "IPAMConfig": { "IPv4Address": "10.0.0.5" }, "Aliases": ["www", "0123456789ab"], "NetworkID": "x",
            "IPAddress": "10.0.0.5", "Links": null, "DriverOpts": null, "MacAddress": "02:42:0a:00:00:05",
        });
        let expected = json!({ "IPAMConfig": { "IPv4Address": "10.0.0.5" }, "Aliases": ["www"] });
        assert_eq!(asked_for(&endpoint, "0123456789ab"), expected);
    }
}
