//! Making containers.

use crate::here::{Setup, server, settings, with};
use serde_json::{Value, json};
use testkit::Scope;

async fn inspect(scope: &Scope, what: &str) -> Value {
    scope
        .daemon()
        .get(&format!("/containers/{}/json", scope.name(what)))
        .await
        .ok()
        .json()
}

#[tokio::test]
async fn all_that_docker_run_can() {
    let scope = Scope::new("create");
    let network = scope.network("net").await;
    let volume = scope.volume("data").await;
    let server = server().await;
    let wanted = with(
        settings(&scope, "web", &["sleep", "600"]).await,
        json!({
            "env": { "MODE": "fast", "COUNT": 3 },
            "ports": ["8080", "127.0.0.1::53/udp"],
            "volumes": [format!("{volume}:/data:ro"), "/cache"],
            "network": scope.name("net"), "aliases": ["www"],
            "restart": "on-failure:3",
            "healthcheck": { "test": "true", "interval": "10s", "retries": 2 },
            "memory": "64m", "cpus": 0.5, "pids_limit": 50, "shm_size": "16m",
            "ulimits": { "nofile": "512:1024" },
            "workdir": "/tmp", "user": "65534", "hostname": "webhost",
            "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"],
            "tmpfs": ["/run:size=1m"], "dns": ["10.0.0.53"], "extra_hosts": ["db:10.0.0.9"],
            "init": true, "read_only": true, "stop_signal": "SIGKILL", "tty": false, "stdin": true,
            "log_driver": "json-file", "log_options": { "max-size": "1m" },
            "entrypoint": [], "start": true,
        }),
    );
    let answer = server.ok("create_container", wanted).await;
    assert!(
        answer.starts_with(&format!("created and started {}", scope.name("web"))),
        "{answer}"
    );
    assert!(
        answer.contains("state: running") && answer.contains("127.0.0.1:"),
        "{answer}"
    );
    let made = inspect(&scope, "web").await;
    let (config, host) = (&made["Config"], &made["HostConfig"]);
    for (found, expected) in [
        (&config["Env"][0], json!("MODE=fast")),
        (&config["Env"][1], json!("COUNT=3")),
        (&config["WorkingDir"], json!("/tmp")),
        (&config["User"], json!("65534")),
        (&config["Hostname"], json!("webhost")),
        (&config["StopTimeout"], json!(1)),
        (&config["Healthcheck"]["Interval"], json!(10_000_000_000_i64)),
        (&config["OpenStdin"], json!(true)),
        (&host["PortBindings"]["8080/tcp"][0]["HostIp"], json!("127.0.0.1")),
        (&host["Memory"], json!(67_108_864)),
        (&host["NanoCpus"], json!(500_000_000)),
        (&host["PidsLimit"], json!(50)),
        (&host["ShmSize"], json!(16_777_216)),
        (&host["Ulimits"][0]["Hard"], json!(1024)),
        (&host["RestartPolicy"]["MaximumRetryCount"], json!(3)),
        (&host["CapDrop"], json!(["ALL"])),
        (&host["ReadonlyRootfs"], json!(true)),
        (&host["Init"], json!(true)),
        (&host["ExtraHosts"], json!(["db:10.0.0.9"])),
        (&host["Dns"], json!(["10.0.0.53"])),
        (&host["LogConfig"]["Config"]["max-size"], json!("1m")),
        (&host["Tmpfs"]["/run"], json!("size=1m")),
        (
            &made["NetworkSettings"]["Networks"][scope.name("net")]["NetworkID"],
            json!(network),
        ),
    ] {
        assert_eq!(*found, expected);
    }
    let mounts = made["Mounts"].as_array().unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount["Name"] == volume.as_str() && mount["RW"] == false),
        "{mounts:?}"
    );
    assert!(
        mounts.iter().any(|mount| mount["Destination"] == "/cache"),
        "{mounts:?}"
    );
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn run_and_read_the_output() {
    let scope = Scope::new("run");
    let server = server().await;
    let ok = with(
        settings(&scope, "ok", &["echo", "hello there"]).await,
        json!({ "wait": true, "auto_remove": true }),
    );
    let answer = server.ok("create_container", ok).await;
    assert!(
        answer.contains("hello there") && answer.contains("exited 0; removed"),
        "{answer}"
    );
    let list = server
        .ok(
            "list_containers",
            json!({ "all": true, "filters": { "label": scope.label() } }),
        )
        .await;
    assert_eq!(list, "no container");
    let bad = with(
        settings(&scope, "bad", &["sh", "-c", "echo it broke >&2; exit 4"]).await,
        json!({ "wait": true, "auto_remove": true }),
    );
    let error = server.fails("create_container", bad).await;
    assert!(
        error.contains("exited 4; removed") && error.contains("it broke"),
        "{error}"
    );
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn a_command_as_text() {
    let scope = Scope::new("command");
    let server = server().await;
    for (command, expected) in [
        ("echo 'two  blanks'", "two  blanks"),
        ("cd /tmp && pwd", "/tmp"),
        ("printf %s $PATH", "/bin"),
    ] {
        let wanted = with(
            settings(&scope, "text", &[]).await,
            json!({ "command": command, "wait": true, "auto_remove": true }),
        );
        let answer = server.ok("create_container", wanted).await;
        assert!(answer.contains(expected), "{command}: {answer}");
    }
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn a_failed_start_leaves_nothing_behind() {
    let scope = Scope::new("no-halves");
    let server = server().await;
    let holder = with(
        settings(&scope, "holder", &["sleep", "600"]).await,
        json!({ "ports": ["80"], "start": true }),
    );
    server.ok("create_container", holder).await;
    let port = inspect(&scope, "holder").await["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"].clone();
    let port = port.as_str().unwrap();
    let taken = with(
        settings(&scope, "second", &["sleep", "600"]).await,
        json!({ "ports": [format!("{port}:80")], "start": true }),
    );
    let error = server.fails("create_container", taken).await;
    let holder = scope.name("holder");
    assert!(error.starts_with("port_in_use: "), "{error}");
    assert!(
        error.contains(&format!("port {port} of the host is held by container {holder}")),
        "{error}"
    );
    assert!(error.contains("the new container was removed again"), "{error}");
    assert!(
        error.contains(&format!("fix: choose another host port, or stop {holder}")),
        "{error}"
    );
    let program = with(
        settings(&scope, "second", &["no-such-program"]).await,
        json!({ "start": true }),
    );
    let error = server.fails("create_container", program).await;
    assert!(
        error.contains("removed again") && error.contains("fix: the image has no such program"),
        "{error}"
    );
    let left = scope
        .daemon()
        .get(&format!("/containers/{}/json", scope.name("second")))
        .await;
    assert_eq!(left.status, 404);
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn a_port_of_the_host_that_no_container_publishes() {
    let scope = Scope::new("host-port");
    // On the engine's own network, which need not be this process's.
    let listen = "for p in 18471 18472 18473 18474; do echo $p; nc -l -p $p; done";
    let host = json!({ "Cmd": ["sh", "-c", listen], "HostConfig": { "NetworkMode": "host" } });
    let listener = scope.create("listener", host).await;
    scope
        .daemon()
        .post(&format!("/containers/{listener}/start"), &Value::Null)
        .await
        .ok();
    let server = server().await;
    let port = testkit::eventually("a port that is listened on", async || {
        let log = server
            .ok("monitor_container_logs", json!({ "container": listener }))
            .await;
        log.lines()
            .rfind(|line| line.starts_with("184"))
            .map(str::to_owned)
    })
    .await;
    let wanted = with(
        settings(&scope, "web", &["sleep", "600"]).await,
        json!({ "ports": [format!("{port}:80")], "start": true }),
    );
    let error = server.fails("create_container", wanted).await;
    assert!(
        error.starts_with("port_in_use: ") && error.contains("or a container on its network"),
        "{error}"
    );
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn a_cancelled_run_takes_its_container_with_it() {
    let scope = Scope::new("cancel-run");
    let server = server().await;
    let wanted = with(
        settings(&scope, "long", &["sleep", "600"]).await,
        json!({ "wait": true, "auto_remove": true }),
    );
    let call = server
        .client
        .start(
            "tools/call",
            json!({ "name": "create_container", "arguments": wanted }),
        )
        .await;
    testkit::eventually("the container to run", async || {
        let running = scope
            .daemon()
            .get(&format!("/containers/{}/json", scope.name("long")))
            .await;
        (running.status == 200 && running.json()["State"]["Running"] == true).then_some(())
    })
    .await;
    server
        .client
        .notify("notifications/cancelled", json!({ "requestId": call.id }))
        .await;
    testkit::eventually("the removal of the container", async || {
        let gone = scope
            .daemon()
            .get(&format!("/containers/{}/json", scope.name("long")))
            .await;
        (gone.status == 404).then_some(())
    })
    .await;
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn everything_made_bears_the_label_of_the_scope() {
    let scope = Scope::new("scope-label");
    let server = Setup {
        scope_label: Some("team=red".into()),
        ..Setup::default()
    }
    .start()
    .await;
    server
        .ok("create_container", settings(&scope, "web", &["true"]).await)
        .await;
    assert_eq!(inspect(&scope, "web").await["Config"]["Labels"]["team"], "red");
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn what_the_guard_forbids_names_the_line_that_would_allow_it() {
    let scope = Scope::new("guard");
    let server = server().await;
    for (more, part) in [
        (json!({ "privileged": true }), "privileged = true"),
        (json!({ "volumes": ["/etc:/host"] }), "[hosts.local.guard]"),
        (json!({ "network": "host" }), "namespaces"),
        (json!({ "pid": "host" }), "namespaces"),
        (json!({ "ports": ["0.0.0.0:8080:80"] }), "publish"),
        (json!({ "cap_add": ["SYS_ADMIN"] }), "capabilities"),
        (json!({ "gpus": "all" }), "gpus = true"),
    ] {
        let wanted = with(settings(&scope, "web", &["true"]).await, more.clone());
        let error = server.fails("create_container", wanted).await;
        assert!(
            error.starts_with("refused: ") && error.contains(part),
            "{more}: {error}"
        );
    }
    server.end().await;
    scope.finish().await;
}
