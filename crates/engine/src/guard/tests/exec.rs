//! Acting in containers that exist.

use super::*;

/// Containers, each with one thing that the policy would not give it.
pub(super) fn engine() -> Known {
    let mount = |kind: &str, source: &str| json!([{"Type": kind, "Source": source, "Name": "v", "RW": true, "Propagation": "rprivate"}]);
    let masks = json!({
        "Privileged": false, "NetworkMode": "bridge", "IpcMode": "private", "CgroupnsMode": "host",
        "MaskedPaths": [
            "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
            "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"
        ],
        "ReadonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        "LogConfig": {"Type": "syslog"}, "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}
    });
    let unsafe_host = |host: Value| state(&host, &json!([]));
    let in_network = |name: &str| json!({"Id": "c0ffee", "HostConfig": {}, "Mounts": [], "NetworkSettings": {"Networks": {name: {}}}});
    known([
        (
            container("safe"),
            state(
                &masks,
                &json!([{"Type": "volume", "Name": "data", "RW": true}, {"Type": "tmpfs"}]),
            ),
        ),
        (
            container("privileged"),
            unsafe_host(json!({"Privileged": true, "MaskedPaths": null})),
        ),
        (container("pid"), unsafe_host(json!({"PidMode": "host"}))),
        (container("net"), unsafe_host(json!({"NetworkMode": "host"}))),
        (container("caps"), unsafe_host(json!({"CapAdd": ["SYS_ADMIN"]}))),
        (
            container("device"),
            unsafe_host(json!({"Devices": [{"PathOnHost": "/dev/sda"}]})),
        ),
        (
            container("gpu"),
            unsafe_host(json!({"DeviceRequests": [{"Driver": "", "Capabilities": [["gpu"]]}]})),
        ),
        (
            container("seccomp"),
            unsafe_host(json!({"SecurityOpt": ["seccomp=unconfined"]})),
        ),
        (container("unmasked"), unsafe_host(json!({"MaskedPaths": []}))),
        (container("bind"), state(&json!({}), &mount("bind", "/"))),
        (
            container("socket"),
            state(&json!({}), &mount("bind", "/var/run/docker.sock")),
        ),
        (
            container("disguised"),
            state(&json!({}), &mount("volume", "/var/lib/docker/volumes/v/_data")),
        ),
        (container("macvlan"), in_network("lan")),
        (container("silent"), json!({"Id": "c0ffee"})),
        (container("nameless"), json!({"HostConfig": {}})),
        (volume("data"), json!({"Driver": "local", "Options": null})),
        (
            volume("v"),
            json!({"Driver": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}),
        ),
        (network("lan"), json!({"Id": "ab", "Driver": "macvlan"})),
        (
            Object::Exec("e1".to_owned()),
            json!({"ContainerID": "safe", "ProcessConfig": {"privileged": false}}),
        ),
        (
            Object::Exec("e2".to_owned()),
            json!({"ContainerID": "privileged", "ProcessConfig": {"privileged": false}}),
        ),
        (
            Object::Exec("e3".to_owned()),
            json!({"ContainerID": "safe", "ProcessConfig": {"privileged": true}}),
        ),
    ])
}

/// Every way into a container.
fn ways(name: &str) -> Vec<Ask> {
    vec![
        post(format!("/containers/{name}/exec")).json(&json!({"Cmd": ["sh"], "AttachStdin": true})),
        post(format!("/containers/{name}/attach?stream=1&stdin=1")).header("upgrade", "tcp"),
        get(format!("/containers/{name}/attach/ws?stream=1")).header("upgrade", "websocket"),
        ask(Method::PUT, format!("/containers/{name}/archive?path=%2F")).stream(),
        get(format!("/containers/{name}/archive?path=%2Fhost%2Fetc%2Fshadow")),
        ask(Method::HEAD, format!("/containers/{name}/archive?path=%2Fhost")),
        get(format!("/containers/{name}/export")),
    ]
}

#[test]
fn ways_into_containers() {
    for (name, wanted) in [
        ("safe", None),
        ("nobody", Some(Rule::NotFound)),
        ("silent", Some(Rule::ExecIntoUnsafe)),
        ("nameless", Some(Rule::Lookup)),
        ("privileged", Some(Rule::ExecIntoUnsafe)),
        ("pid", Some(Rule::ExecIntoUnsafe)),
        ("net", Some(Rule::ExecIntoUnsafe)),
        ("caps", Some(Rule::ExecIntoUnsafe)),
        ("device", Some(Rule::ExecIntoUnsafe)),
        ("gpu", Some(Rule::ExecIntoUnsafe)),
        ("seccomp", Some(Rule::ExecIntoUnsafe)),
        ("unmasked", Some(Rule::ExecIntoUnsafe)),
        ("bind", Some(Rule::ExecIntoUnsafe)),
        ("socket", Some(Rule::ExecIntoUnsafe)),
        ("disguised", Some(Rule::ExecIntoUnsafe)),
        ("macvlan", Some(Rule::ExecIntoUnsafe)),
    ] {
        for ask in ways(name) {
            check_with("", &ask, &engine(), wanted);
            let open = if wanted == Some(Rule::ExecIntoUnsafe) {
                None
            } else {
                wanted
            };
            check_with("exec_into_unsafe = true", &ask, &engine(), open);
        }
    }
}

#[test]
fn a_rename_between_look_and_use_does_not_matter() {
    for ask in ways("safe") {
        let verdict = ask.judged(&policy(""), &local(), &engine()).unwrap();
        let path = verdict.path.unwrap();
        assert!(path.starts_with("/containers/c0ffee/"), "{path}");
        let rest = |path: &str| path.splitn(4, '/').nth(3).map(str::to_owned);
        assert_eq!(rest(&path), rest(ask.target.split('?').next().unwrap()));
    }
}

#[test]
fn the_policy_that_made_it_may_use_it() {
    for (text, name) in [
        ("privileged = true", "privileged"),
        ("namespaces = [\"pid\"]", "pid"),
        ("capabilities = [\"SYS_ADMIN\"]", "caps"),
        ("devices = [\"/dev/sda\"]", "device"),
        ("gpus = true", "gpu"),
        ("network_drivers = [\"macvlan\"]", "macvlan"),
        ("unmasked_paths = true", "unmasked"),
    ] {
        for ask in ways(name) {
            check_with(text, &ask, &engine(), None);
        }
    }
}

#[test]
fn privileged_processes() {
    let exec = |body: Value| post("/containers/safe/exec").json(&body);
    for (ask, wanted) in [
        (exec(json!({"Cmd": ["sh"]})), None),
        (
            exec(json!({"Cmd": ["sh"], "Privileged": false, "User": "root", "Env": ["A=b"]})),
            None,
        ),
        (
            exec(json!({"Cmd": ["sh"], "Privileged": true})),
            Some(Rule::ExecPrivileged),
        ),
        (
            exec(json!({"Cmd": ["sh"], "privileGed": true})),
            Some(Rule::ExecPrivileged),
        ),
        (
            exec(json!({"Cmd": ["sh"], "CapAdd": ["ALL"]})),
            Some(Rule::UnknownField),
        ),
        (
            post("/exec/e1/start")
                .json(&json!({"Detach": false, "Tty": true}))
                .header("upgrade", "tcp"),
            None,
        ),
        (
            post("/exec/e2/start").json(&json!({"Detach": true})),
            Some(Rule::ExecIntoUnsafe),
        ),
        (
            post("/exec/e3/start").json(&json!({"Detach": true})),
            Some(Rule::ExecPrivileged),
        ),
        (
            post("/exec/e9/start").json(&json!({"Detach": true})),
            Some(Rule::NotFound),
        ),
        (post("/exec/e2/start"), Some(Rule::ExecIntoUnsafe)),
    ] {
        check_with("", &ask, &engine(), wanted);
    }
}

#[test]
fn checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "checkpoints = true\nroots = [{{ path = \"{}\", write = true }}]",
        dir.path().display()
    );
    let open = percent_encoding::utf8_percent_encode(
        dir.path().to_str().unwrap(),
        percent_encoding::NON_ALPHANUMERIC,
    );
    let make = |dir: &str| {
        post("/containers/safe/checkpoints").json(&json!({"CheckpointID": "a", "CheckpointDir": dir}))
    };
    for (text, ask, wanted) in [
        ("", make(""), Some(Rule::Checkpoint)),
        ("", get("/containers/safe/checkpoints"), Some(Rule::Checkpoint)),
        (
            "",
            delete("/containers/safe/checkpoints/a"),
            Some(Rule::Checkpoint),
        ),
        (
            "",
            post("/containers/safe/start?checkpoint=a"),
            Some(Rule::Checkpoint),
        ),
        (
            "",
            post("/containers/safe/start?checkpoint-dir=%2Fetc"),
            Some(Rule::Checkpoint),
        ),
        (&text, make(""), None),
        (&text, make(dir.path().to_str().unwrap()), None),
        (&text, make("/etc"), Some(Rule::Bind)),
        (
            &text,
            get("/containers/safe/checkpoints?dir=%2Fetc"),
            Some(Rule::Bind),
        ),
        (
            &text,
            delete("/containers/safe/checkpoints/a?dir=%2Fetc"),
            Some(Rule::Bind),
        ),
        (
            &text,
            post("/containers/safe/start?checkpoint=a&checkpoint-dir=%2Fetc"),
            Some(Rule::Bind),
        ),
        (
            &text,
            post(format!(
                "/containers/safe/start?checkpoint=a&checkpoint-dir={open}"
            )),
            None,
        ),
    ] {
        check_with(text, &ask, &engine(), wanted);
    }
}
