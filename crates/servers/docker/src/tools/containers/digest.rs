//! A container in at most 400 tokens: what it is, how it does, how it is reached, what it was given.

use super::list::ports;
use crate::read::{Or, Text, Tree};
use crate::{pick, status};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use server_kit::answer::Digest;
use std::collections::BTreeMap;

/// Bytes of the whole: 400 tokens, less what the frame takes.
const WHOLE: usize = 1_480;
/// Bytes of one line each, so that an ordinary container fits.
const COMMAND: usize = 160;
const ENVIRONMENT: usize = 320;
const LABELS: usize = 240;
const MOUNTS: usize = 260;
const NETWORKS: usize = 140;

/// What a digest is made of, of what `GET /containers/{id}/json` gives. All that is not named here is skipped where it
/// stands: a digest shows a tenth of it. Texts are redacted while they are read, so none is shown as it came.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Details {
    id: Text,
    name: Text,
    created: Text,
    path: Text,
    args: Tree,
    restart_count: Or<i64>,
    mounts: Or<Vec<Mount>>,
    state: Or<State>,
    config: Or<Config>,
    host_config: Or<Host>,
    network_settings: Or<NetworkSettings>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Mount {
    r#type: Text,
    name: Text,
    source: Text,
    destination: Text,
    #[serde(rename = "RW")]
    writable: Or<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct State {
    status: Text,
    running: Or<bool>,
    #[serde(rename = "OOMKilled")]
    out_of_memory: Or<bool>,
    exit_code: Or<i64>,
    error: Text,
    started_at: Text,
    finished_at: Text,
    health: Or<Health>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Health {
    status: Text,
    failing_streak: Or<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Config {
    image: Text,
    env: Tree,
    labels: Tree,
    working_dir: Text,
    user: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Host {
    network_mode: Text,
    restart_policy: Or<RestartPolicy>,
    memory: Or<i64>,
    nano_cpus: Or<i64>,
    cpu_quota: Or<i64>,
    cpu_period: Or<i64>,
    pids_limit: Or<i64>,
    privileged: Or<bool>,
    auto_remove: Or<bool>,
    readonly_rootfs: Or<bool>,
    publish_all_ports: Or<bool>,
    init: Or<bool>,
    pid_mode: Text,
    ipc_mode: Text,
    #[serde(rename = "UTSMode")]
    uts_mode: Text,
    userns_mode: Text,
    cap_add: Tree,
    cap_drop: Tree,
    security_opt: Tree,
    device_requests: Or<Vec<IgnoredAny>>,
    devices: Or<Vec<IgnoredAny>>,
    log_config: Or<LogConfig>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RestartPolicy {
    name: Text,
    maximum_retry_count: Or<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct LogConfig {
    r#type: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NetworkSettings {
    ports: Tree,
    networks: Or<BTreeMap<String, Network>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(rename = "IPAddress")]
    address: Text,
}

/// The digest of a container.
pub(super) fn of(details: &Details) -> Digest {
    let Details {
        config,
        host_config: host,
        ..
    } = details;
    Digest::new()
        .line("name", details.name.strip_prefix('/').unwrap_or(&details.name))
        .line("id", pick::short_id(&details.id))
        .line("image", base::text::cut(&config.image, 120))
        .line("state", details.state())
        .line("health", health(&details.state.health))
        .line("special", base::text::cut(&special(host), 160))
        .line("created", moment(&details.created))
        .line("command", command(details))
        .line("ports", ports_of(&details.network_settings.ports.0))
        .list("networks", networks(details), NETWORKS)
        .list("mounts", details.mounts.iter().map(mount), MOUNTS)
        .list(
            "env",
            pick::texts(&config.env.0, "").map(|entry| base::text::cut(entry, 60)),
            ENVIRONMENT,
        )
        .list("labels", pick::members(&config.labels.0, "").map(label), LABELS)
        .line("workdir", base::text::cut(&config.working_dir, 60))
        .line("user", base::text::cut(&config.user, 40))
        .line("restart", restart(&host.restart_policy))
        .line("limits", limits(host))
        .within(WHOLE, "… fields or full=true shows the rest")
}

/// The state of a container, of what `GET /containers/{id}/json` gave.
pub(crate) fn state(details: &Value) -> String {
    Details::deserialize(details).unwrap_or_default().state()
}

impl Details {
    /// `running for 3h` or `exited 137 (killed …) 5m ago`.
    fn state(&self) -> String {
        let state = &self.state;
        let mut text = state.status.to_string();
        if *state.running {
            if let Some(seconds) = seconds_since(&state.started_at) {
                text = format!("{text} for {}", base::text::ago(seconds));
            }
        } else if !matches!(&*text, "" | "created") {
            let code = *state.exit_code;
            text = format!("{text} {code}");
            if let Some(meaning) = status::exit_meaning(code, *state.out_of_memory).filter(|_| code != 0) {
                text = format!("{text} ({meaning})");
            }
            if let Some(seconds) = seconds_since(&state.finished_at) {
                text = format!("{text} {} ago", base::text::ago(seconds));
            }
        }
        if !state.error.is_empty() {
            text = format!("{text}; error: {}", base::text::cut(&state.error, 200));
        }
        match *self.restart_count {
            0 => text,
            restarts => format!("{text}; restarted {restarts} times"),
        }
    }
}

fn health(health: &Health) -> String {
    match *health.failing_streak {
        0 => health.status.to_string(),
        streak => format!("{}, {streak} checks failed in a row", &*health.status),
    }
}

fn command(details: &Details) -> String {
    let words: Vec<&str> = std::iter::once(&*details.path)
        .chain(pick::texts(&details.args.0, ""))
        .collect();
    base::text::cut(&words.join(" "), COMMAND).to_owned()
}

/// Ports of an inspection come as a map of `80/tcp` to bindings; the list's form is the one people know.
pub(crate) fn published(details: &Value) -> String {
    ports_of(details.pointer("/NetworkSettings/Ports").unwrap_or(&Value::Null))
}

fn ports_of(bindings: &Value) -> String {
    let mut list = Vec::new();
    for (key, bindings) in pick::members(bindings, "") {
        let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
        let inner: u16 = port.parse().unwrap_or_default();
        let bindings = bindings.as_array().map_or(&[][..], Vec::as_slice);
        if bindings.is_empty() {
            list.push(json!({ "PrivatePort": inner, "Type": protocol }));
        }
        for binding in bindings {
            let outer: u16 = pick::text(binding, "/HostPort").parse().unwrap_or_default();
            let address = pick::text(binding, "/HostIp");
            list.push(json!({ "IP": address, "PrivatePort": inner, "PublicPort": outer, "Type": protocol }));
        }
    }
    ports(&list)
}

fn networks(details: &Details) -> impl Iterator<Item = String> {
    let mode = &*details.host_config.network_mode;
    let shared =
        (mode == "host" || mode == "none" || mode.starts_with("container:")).then(|| mode.to_owned());
    let networks = details.network_settings.networks.iter();
    let joined = networks
        .filter(|(name, _)| *name != "host" && *name != "none")
        .map(|(name, network)| format!("{name} {}", &*network.address).trim_end().to_owned());
    shared.into_iter().chain(joined)
}

/// `volume data -> /data`, `/srv/www -> /www ro`.
fn mount(mount: &Mount) -> String {
    let source = match &*mount.r#type {
        "volume" => {
            // Anonymous volumes are named by 64 digits.
            let name = match &*mount.name {
                name if name.len() == 64 => pick::short_id(name),
                name => name,
            };
            format!("volume {}", base::text::cut(name, 60))
        }
        "bind" => base::text::cut(&mount.source, 80).to_owned(),
        other => other.to_owned(),
    };
    let target = base::text::cut(&mount.destination, 80);
    let access = if *mount.writable { "" } else { " ro" };
    format!("{source} -> {target}{access}")
}

fn label((name, value): (&str, &Value)) -> String {
    let value = value.as_str().unwrap_or_default();
    format!("{}={}", base::text::cut(name, 60), base::text::cut(value, 40))
}

fn restart(policy: &RestartPolicy) -> String {
    match (&*policy.name, *policy.maximum_retry_count) {
        ("" | "no", _) => String::new(),
        (name, 0) => name.to_owned(),
        (name, retries) => format!("{name}:{retries}"),
    }
}

fn limits(host: &Host) -> String {
    // The engine takes -1 for "no limit" in some of them.
    let count = |number: &Or<i64>| u64::try_from(**number).unwrap_or_default();
    let mut limits = Vec::new();
    match count(&host.memory) {
        0 => {}
        memory => limits.push(format!("memory {}", base::text::bytes(memory))),
    }
    let nano = count(&host.nano_cpus);
    let (quota, period) = (count(&host.cpu_quota), count(&host.cpu_period));
    if nano > 0 {
        limits.push(format!("cpus {}", thousandths(nano / 1_000_000)));
    } else if quota > 0 {
        limits.push(format!("cpus {}", thousandths(quota * 1_000 / period.max(1))));
    }
    match count(&host.pids_limit) {
        0 => {}
        pids => limits.push(format!("pids {pids}")),
    }
    limits.join(", ")
}

/// `1500` is `1.5`.
fn thousandths(count: u64) -> String {
    let text = format!("{}.{:03}", count / 1_000, count % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What sets a container apart from a plain one, above all what weakens its walls.
fn special(host: &Host) -> String {
    let mut special = Vec::new();
    for (is_set, word) in [
        (&host.privileged, "privileged"),
        (&host.auto_remove, "removed when it ends"),
        (&host.readonly_rootfs, "read-only root"),
        (&host.publish_all_ports, "all ports published"),
        (&host.init, "init"),
    ] {
        if **is_set {
            special.push(word.to_owned());
        }
    }
    for (mode, word) in [
        (&host.pid_mode, "pid"),
        (&host.ipc_mode, "ipc"),
        (&host.uts_mode, "uts"),
        (&host.userns_mode, "userns"),
    ] {
        if !matches!(&**mode, "" | "private" | "shareable") {
            special.push(format!("{word} {}", &**mode));
        }
    }
    for (list, word) in [
        (&host.cap_add, "cap_add"),
        (&host.cap_drop, "cap_drop"),
        (&host.security_opt, "security_opt"),
    ] {
        let values: Vec<&str> = pick::texts(&list.0, "").collect();
        if !values.is_empty() {
            special.push(format!("{word} {}", values.join("+")));
        }
    }
    if !host.device_requests.is_empty() {
        special.push("gpus".to_owned());
    }
    if !host.devices.is_empty() {
        special.push(format!("{} devices", host.devices.len()));
    }
    match &*host.log_config.r#type {
        "" | "json-file" => {}
        driver => special.push(format!("log driver {driver}")),
    }
    special.join(", ")
}

/// Seconds since a moment of the engine; `None` for its year 1, which means "never".
pub(crate) fn seconds_since(moment: &str) -> Option<i64> {
    let moment: Timestamp = moment.parse().ok()?;
    if moment.as_second() <= 0 {
        return None;
    }
    Some((base::clock::now().as_second() - moment.as_second()).max(0))
}

/// A moment to the second.
fn moment(text: &str) -> String {
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Value {
        json!({
            "Id": "0123456789abcdef", "Name": "/web", "Created": "2026-11-05T10:00:00.123456789Z",
            "Path": "nginx", "Args": ["-g", "daemon off;"], "RestartCount": 2,
            "State": {
                "Status": "exited", "Running": false, "ExitCode": 137, "OOMKilled": true,
                "FinishedAt": "0001-01-01T00:00:00Z",
                "Health": { "Status": "unhealthy", "FailingStreak": 3 },
            },
            "Config": {
                "Image": "nginx:1.27", "User": "www", "WorkingDir": "/srv",
                "Env": ["PATH=/bin", "DB_PASSWORD=[redacted]"],
                "Labels": { "app": "shop" },
            },
            "HostConfig": {
                "Memory": 536_870_912, "NanoCpus": 1_500_000_000_u64, "PidsLimit": 100,
                "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 3 },
                "NetworkMode": "shop", "Privileged": true, "CapAdd": ["NET_ADMIN"],
                "LogConfig": { "Type": "journald", "Config": { "tag": "shop" } },
            },
            "Mounts": [
                { "Type": "volume", "Name": "data", "Destination": "/data", "RW": true },
                { "Type": "bind", "Source": "/srv/www", "Destination": "/www", "RW": false },
            ],
            "NetworkSettings": {
                "Ports": {
                    "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "8080" }],
                    "443/tcp": null,
                },
                "Networks": { "shop": { "IPAddress": "172.18.0.2", "Aliases": ["web"] } },
            },
        })
    }

    fn digest_of(container: &Value) -> String {
        of(&Details::deserialize(container).unwrap()).into_text()
    }

    #[test]
    fn digest() {
        insta::assert_snapshot!(digest_of(&container()), @r#"
        name: web
        id: 0123456789ab
        image: nginx:1.27
        state: exited 137 (killed by the kernel: out of memory); restarted 2 times
        health: unhealthy, 3 checks failed in a row
        special: privileged, cap_add NET_ADMIN, log driver journald
        created: 2026-11-05T10:00:00Z
        command: nginx -g daemon off;
        ports: 127.0.0.1:8080->80, 443
        networks: shop 172.18.0.2
        mounts: volume data -> /data, /srv/www -> /www ro
        env: PATH=/bin, DB_PASSWORD=[redacted]
        labels: app=shop
        workdir: /srv
        user: www
        restart: on-failure:3
        limits: memory 512 MiB, cpus 1.5, pids 100
        "#);
    }

    #[test]
    fn what_is_special_is_shown() {
        let special = json!({
            "AutoRemove": true, "ReadonlyRootfs": true, "PublishAllPorts": true, "Init": true, "PidMode": "host",
            "IpcMode": "host", "UTSMode": "host", "UsernsMode": "host", "CapDrop": ["CHOWN"],
            "SecurityOpt": ["label=disable"], "DeviceRequests": [{ "Count": -1 }],
            "Devices": [{ "PathOnHost": "/dev/null" }], "NetworkMode": "container:db", "PidsLimit": null,
            "CpuQuota": 50_000, "Memory": -1,
        });
        for (name, value) in special.as_object().into_iter().flatten() {
            let mut one = container();
            // Nanoseconds of a processor stand before its quota.
            one["HostConfig"]["NanoCpus"] = json!(if name == "CpuQuota" { 0 } else { 1_500_000_000_u64 });
            let without = digest_of(&one);
            one["HostConfig"][name] = value.clone();
            assert_ne!(digest_of(&one), without, "{name}");
        }
        let mut running = container();
        running["State"] = json!({
            "Status": "running", "Running": true, "StartedAt": "2020-11-05T10:00:00Z", "Error": "odd",
            "Health": { "Status": "starting", "FailingStreak": 0, "Log": [{ "Output": "x" }] },
        });
        let text = digest_of(&running);
        assert!(
            text.contains("state: running for ") && text.contains("; error: odd"),
            "{text}"
        );
        assert!(text.contains("health: starting\n"), "{text}");
    }

    #[test]
    fn what_is_not_there_is_not_shown() {
        let all_null: Value = container()
            .as_object()
            .unwrap()
            .keys()
            .map(|name| (name.clone(), Value::Null))
            .collect();
        for empty in [json!({}), all_null] {
            assert_eq!(digest_of(&empty), "");
        }
        // Not what an engine answers: an error, never a digest that is silently empty.
        for wrong in [
            json!("text"),
            json!({ "State": 1 }),
            json!({ "Config": { "Image": {} } }),
        ] {
            assert!(Details::deserialize(wrong).is_err());
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        const SECRET: &str = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
        let secret = json!({
            "Name": SECRET, "Path": SECRET, "Args": ["--password", "hunter2", SECRET],
            "State": { "Status": SECRET, "Error": SECRET, "Health": { "Status": SECRET } },
            "Config": {
                "Image": SECRET, "Env": ["DB_PASSWORD=hunter2", SECRET], "WorkingDir": SECRET, "User": SECRET,
                "Labels": { "api_key": "hunter2", "a": SECRET },
            },
            "HostConfig": {
                "NetworkMode": format!("container:{SECRET}"), "PidMode": SECRET, "CapAdd": [SECRET],
                "LogConfig": { "Type": SECRET }, "RestartPolicy": { "Name": SECRET },
            },
            "Mounts": [{ "Type": SECRET }, { "Type": "volume", "Name": SECRET }, { "Type": "bind", "Source": SECRET }],
            "NetworkSettings": { "Networks": { "a": { "IPAddress": SECRET } } },
        });
        let text = digest_of(&secret);
        assert!(text.contains(base::redact::REDACTED), "{text}");
        assert!(!text.contains("ghp_") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_digest_is_small_whatever_the_container() {
        let mut container = container();
        let many = |text: &str| {
            (0..500)
                .map(|n| format!("{text}{n}={}", "x".repeat(300)))
                .collect::<Vec<_>>()
        };
        container["Config"]["Env"] = json!(many("SETTING"));
        container["Config"]["Labels"] = many("label")
            .into_iter()
            .map(|label| (label, json!("y".repeat(500))))
            .collect();
        container["Args"] = json!(many("arg"));
        container["Config"]["Image"] = json!("i".repeat(500));
        container["Config"]["WorkingDir"] = json!("w".repeat(500));
        container["HostConfig"]["CapAdd"] = json!(many("CAP"));
        container["State"]["Error"] = json!("e".repeat(2_000));
        container["Mounts"] = many("/m")
            .into_iter()
            .map(|path| json!({ "Type": "bind", "Source": path, "Destination": path, "RW": true }))
            .collect();
        container["NetworkSettings"]["Networks"] = many("net")
            .into_iter()
            .map(|name| (name, json!({ "IPAddress": "10.0.0.1" })))
            .collect();
        let digest = digest_of(&container);
        assert!(digest.len() <= WHOLE, "{} bytes:\n{digest}", digest.len());
    }
}
