//! A container in at most 400 tokens: what it is, how it does, how it is reached, what it was given.

use super::list::ports;
use crate::answer::Digest;
use crate::only::Only;
use crate::{pick, status};
use jiff::Timestamp;
use serde::de::DeserializeSeed;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Bytes of the whole: 400 tokens, less what the frame takes.
const WHOLE: usize = 1_480;
/// Bytes of one line each, so that an ordinary container fits.
const COMMAND: usize = 160;
const ENVIRONMENT: usize = 320;
const LABELS: usize = 240;
const MOUNTS: usize = 260;
const NETWORKS: usize = 140;

/// What a digest is made of: these members of what `GET /containers/{id}/json` gives, and no others.
pub(super) struct Details(pub(super) Value);

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.deserialize(deserializer).map(Self)
    }
}

const READ: Only = Only::Members(&[
    ("Id", Only::All),
    ("Name", Only::All),
    ("Created", Only::All),
    ("Path", Only::All),
    ("Args", Only::All),
    ("RestartCount", Only::All),
    (
        "Mounts",
        Only::Each(&[
            ("Type", Only::All),
            ("Name", Only::All),
            ("Source", Only::All),
            ("Destination", Only::All),
            ("RW", Only::All),
        ]),
    ),
    (
        "State",
        Only::Members(&[
            ("Status", Only::All),
            ("Running", Only::All),
            ("OOMKilled", Only::All),
            ("ExitCode", Only::All),
            ("Error", Only::All),
            ("StartedAt", Only::All),
            ("FinishedAt", Only::All),
            (
                "Health",
                Only::Members(&[("Status", Only::All), ("FailingStreak", Only::All)]),
            ),
        ]),
    ),
    (
        "Config",
        Only::Members(&[
            ("Image", Only::All),
            ("Env", Only::All),
            ("Labels", Only::All),
            ("WorkingDir", Only::All),
            ("User", Only::All),
        ]),
    ),
    (
        "HostConfig",
        Only::Members(&[
            ("NetworkMode", Only::All),
            ("RestartPolicy", Only::All),
            ("Memory", Only::All),
            ("NanoCpus", Only::All),
            ("CpuQuota", Only::All),
            ("CpuPeriod", Only::All),
            ("PidsLimit", Only::All),
            ("Privileged", Only::All),
            ("AutoRemove", Only::All),
            ("ReadonlyRootfs", Only::All),
            ("PublishAllPorts", Only::All),
            ("Init", Only::All),
            ("PidMode", Only::All),
            ("IpcMode", Only::All),
            ("UTSMode", Only::All),
            ("UsernsMode", Only::All),
            ("CapAdd", Only::All),
            ("CapDrop", Only::All),
            ("SecurityOpt", Only::All),
            ("DeviceRequests", Only::All),
            ("Devices", Only::All),
            ("LogConfig", Only::Members(&[("Type", Only::All)])),
        ]),
    ),
    (
        "NetworkSettings",
        Only::Members(&[
            ("Ports", Only::All),
            ("Networks", Only::Each(&[("IPAddress", Only::All)])),
        ]),
    ),
]);

/// The digest of what `GET /containers/{id}/json` gave, redacted before.
pub(crate) fn of(details: &Value) -> Digest {
    let config = details.get("Config").unwrap_or(&Value::Null);
    let host = details.get("HostConfig").unwrap_or(&Value::Null);
    Digest::new()
        .line("name", pick::container_name(details))
        .line("id", pick::short_id(pick::text(details, "/Id")))
        .line("image", base::text::cut(pick::text(config, "/Image"), 120))
        .line("state", state(details))
        .line("health", health(details))
        .line("special", base::text::cut(&special(host), 160))
        .line("created", moment(pick::text(details, "/Created")))
        .line("command", command(details))
        .line("ports", published(details))
        .list("networks", networks(details), NETWORKS)
        .list("mounts", pick::list(details, "/Mounts").iter().map(mount), MOUNTS)
        .list(
            "env",
            pick::texts(config, "/Env").map(|entry| base::text::cut(entry, 60)),
            ENVIRONMENT,
        )
        .list("labels", pick::members(config, "/Labels").map(label), LABELS)
        .line("workdir", base::text::cut(pick::text(config, "/WorkingDir"), 60))
        .line("user", base::text::cut(pick::text(config, "/User"), 40))
        .line("restart", restart(host))
        .line("limits", limits(host))
        .within(WHOLE, "… fields or full=true shows the rest")
}

/// `running since 2026-11-05T10:00 (3h), pid 17` or `exited 137 (killed …) 5m ago, out of memory`.
pub(crate) fn state(details: &Value) -> String {
    let mut text = pick::text(details, "/State/Status").to_owned();
    let out_of_memory = pick::yes(details, "/State/OOMKilled");
    if pick::yes(details, "/State/Running") {
        if let Some(seconds) = seconds_since(pick::text(details, "/State/StartedAt")) {
            text = format!("{text} for {}", base::text::ago(seconds));
        }
    } else if text != "created" {
        let code = pick::number(details, "/State/ExitCode");
        text = format!("{text} {code}");
        if let Some(meaning) = status::exit_meaning(code, out_of_memory).filter(|_| code != 0) {
            text = format!("{text} ({meaning})");
        }
        if let Some(seconds) = seconds_since(pick::text(details, "/State/FinishedAt")) {
            text = format!("{text} {} ago", base::text::ago(seconds));
        }
    }
    let error = pick::text(details, "/State/Error");
    if !error.is_empty() {
        text = format!("{text}; error: {}", base::text::cut(error, 200));
    }
    match pick::number(details, "/RestartCount") {
        0 => text,
        restarts => format!("{text}; restarted {restarts} times"),
    }
}

fn health(details: &Value) -> String {
    let status = pick::text(details, "/State/Health/Status");
    match pick::number(details, "/State/Health/FailingStreak") {
        0 => status.to_owned(),
        streak => format!("{status}, {streak} checks failed in a row"),
    }
}

fn command(details: &Value) -> String {
    let words: Vec<&str> = std::iter::once(pick::text(details, "/Path"))
        .chain(pick::texts(details, "/Args"))
        .collect();
    base::text::cut(&words.join(" "), COMMAND).to_owned()
}

/// Ports of an inspection come as a map of `80/tcp` to bindings; the list's form is the one people know.
pub(crate) fn published(details: &Value) -> String {
    let mut list = Vec::new();
    for (key, bindings) in pick::members(details, "/NetworkSettings/Ports") {
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

fn networks(details: &Value) -> impl Iterator<Item = String> {
    let mode = pick::text(details, "/HostConfig/NetworkMode");
    let shared =
        (mode == "host" || mode == "none" || mode.starts_with("container:")).then(|| mode.to_owned());
    let joined = pick::members(details, "/NetworkSettings/Networks")
        .filter(|(name, _)| *name != "host" && *name != "none")
        .map(|(name, network)| {
            format!("{name} {}", pick::text(network, "/IPAddress"))
                .trim_end()
                .to_owned()
        })
        .collect::<Vec<_>>();
    shared.into_iter().chain(joined)
}

/// `volume data -> /data`, `/srv/www -> /www ro`.
fn mount(mount: &Value) -> String {
    let source = match pick::text(mount, "/Type") {
        "volume" => {
            let name = pick::text(mount, "/Name");
            // Anonymous volumes are named by 64 digits.
            let name = if name.len() == 64 {
                pick::short_id(name)
            } else {
                name
            };
            format!("volume {}", base::text::cut(name, 60))
        }
        "bind" => base::text::cut(pick::text(mount, "/Source"), 80).to_owned(),
        other => other.to_owned(),
    };
    let target = base::text::cut(pick::text(mount, "/Destination"), 80);
    let access = if pick::yes(mount, "/RW") { "" } else { " ro" };
    format!("{source} -> {target}{access}")
}

fn label((name, value): (&str, &Value)) -> String {
    let value = value.as_str().unwrap_or_default();
    format!("{}={}", base::text::cut(name, 60), base::text::cut(value, 40))
}

fn restart(host: &Value) -> String {
    match (
        pick::text(host, "/RestartPolicy/Name"),
        pick::number(host, "/RestartPolicy/MaximumRetryCount"),
    ) {
        ("" | "no", _) => String::new(),
        (name, 0) => name.to_owned(),
        (name, retries) => format!("{name}:{retries}"),
    }
}

fn limits(host: &Value) -> String {
    let mut limits = Vec::new();
    match pick::count(host, "/Memory") {
        0 => {}
        memory => limits.push(format!("memory {}", base::text::bytes(memory))),
    }
    let nano = pick::count(host, "/NanoCpus");
    let (quota, period) = (pick::count(host, "/CpuQuota"), pick::count(host, "/CpuPeriod"));
    if nano > 0 {
        limits.push(format!("cpus {}", thousandths(nano / 1_000_000)));
    } else if quota > 0 {
        limits.push(format!("cpus {}", thousandths(quota * 1_000 / period.max(1))));
    }
    match pick::number(host, "/PidsLimit") {
        ..=0 => {}
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
fn special(host: &Value) -> String {
    let mut special = Vec::new();
    for (pointer, word) in [
        ("/Privileged", "privileged"),
        ("/AutoRemove", "removed when it ends"),
        ("/ReadonlyRootfs", "read-only root"),
        ("/PublishAllPorts", "all ports published"),
        ("/Init", "init"),
    ] {
        if pick::yes(host, pointer) {
            special.push(word.to_owned());
        }
    }
    for (pointer, word) in [
        ("/PidMode", "pid"),
        ("/IpcMode", "ipc"),
        ("/UTSMode", "uts"),
        ("/UsernsMode", "userns"),
    ] {
        let mode = pick::text(host, pointer);
        if !matches!(mode, "" | "private" | "shareable") {
            special.push(format!("{word} {mode}"));
        }
    }
    for (pointer, word) in [
        ("/CapAdd", "cap_add"),
        ("/CapDrop", "cap_drop"),
        ("/SecurityOpt", "security_opt"),
        ("/DeviceRequests", "gpus"),
    ] {
        let list = pick::list(host, pointer);
        if !list.is_empty() {
            let values: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            special.push(format!("{word} {}", values.join("+")).trim_end().to_owned());
        }
    }
    let devices = pick::list(host, "/Devices").len();
    if devices > 0 {
        special.push(format!("{devices} devices"));
    }
    match pick::text(host, "/LogConfig/Type") {
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

    #[test]
    fn digest() {
        insta::assert_snapshot!(of(&container()).into_text(), @r#"
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
    fn what_is_read_is_all_that_a_digest_needs() {
        let mut running = container();
        running["State"] = json!({
            "Status": "running", "Running": true, "StartedAt": "2026-11-05T10:00:00Z", "Error": "odd",
            "Health": { "Status": "starting", "FailingStreak": 0, "Log": [{ "Output": "x" }] },
        });
        let mut quota = container();
        quota["HostConfig"]["NanoCpus"] = json!(0);
        quota["HostConfig"]["CpuQuota"] = json!(50_000);
        quota["HostConfig"]["CpuPeriod"] = json!(200_000);
        let mut shared = container();
        shared["HostConfig"]["NetworkMode"] = json!("container:db");
        // One by one: all together are more than a line takes.
        let special = json!({
            "AutoRemove": true, "ReadonlyRootfs": true, "PublishAllPorts": true, "Init": true, "PidMode": "host",
            "IpcMode": "host", "UTSMode": "host", "UsernsMode": "host", "CapDrop": ["CHOWN"],
            "SecurityOpt": ["label=disable"], "DeviceRequests": [{ "Count": -1 }],
            "Devices": [{ "PathOnHost": "/dev/null" }],
        });
        let special = special.as_object().into_iter().flatten().map(|(name, value)| {
            let mut one = container();
            one["HostConfig"][name] = value.clone();
            assert_ne!(of(&one).into_text(), of(&container()).into_text(), "{name}");
            one
        });
        for whole in [container(), running, quota, shared].into_iter().chain(special) {
            let Details(read) = serde_json::from_value(whole.clone()).unwrap();
            assert_eq!(of(&read).into_text(), of(&whole).into_text());
            for skipped in [
                "/HostConfig/LogConfig/Config",
                "/NetworkSettings/Networks/shop/Aliases",
            ] {
                assert!(whole.pointer(skipped).is_some() && read.pointer(skipped).is_none());
            }
        }
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
        let digest = of(&container).into_text();
        assert!(digest.len() <= WHOLE, "{} bytes:\n{digest}", digest.len());
    }
}
