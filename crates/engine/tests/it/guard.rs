//! The guard before real engines: that what it refuses would have been done, and that what it allows is done.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::containers::{on_each, reference};
use crate::here::is_podman;
use base::names::{ContainerRef, NetworkRef, VolumeName};
use engine::guard::{DaemonPlace, Guard, Label, Mode, Policy, Root, Rule, Surroundings};
use engine::{Engine, Error, Options, Request, path};
use serde_json::{Value, json};
use testkit::Scope;

/// The same engine under this policy.
fn under(engine: &Engine, policy: Policy) -> Engine {
    let surroundings = Surroundings {
        host: "local".to_owned(),
        daemon: DaemonPlace::Local,
        ..Surroundings::default()
    };
    Engine::open(Options {
        guard: Guard::new(policy, surroundings),
        ..engine.options().clone()
    })
    .unwrap()
}

fn guarded(engine: &Engine) -> Engine {
    under(engine, Policy::default())
}

fn writable(root: &Path) -> Policy {
    Policy {
        roots: vec![Root {
            path: root.to_owned(),
            write: true,
        }],
        ..Policy::default()
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, wanted: Rule) {
    match result {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.rule, wanted, "{refusal}"),
        other => panic!("{other:?} instead of a refusal by {wanted}"),
    }
}

/// `POST /containers/create` with a body as it stands here.
fn create(scope: &Scope, what: &str, body: &str) -> Request {
    Request::post(path!["containers", "create"])
        .query("name", scope.name(what))
        .whole("application/json", body.to_owned())
}

/// A body with the scope's label; `fields` is more of it, as JSON.
fn body(scope: &Scope, fields: &str) -> String {
    let labels = scope.labels();
    format!(
        "{{\"Image\":\"{}\",\"Cmd\":[\"sleep\",\"600\"],\"StopSignal\":\"SIGKILL\",\"Labels\":{labels},{fields}}}",
        testkit::IMAGE
    )
}

async fn host_config(scope: &Scope, what: &str) -> Value {
    let path = format!("/containers/{}/json", scope.name(what));
    scope.daemon().get(&path).await.ok().json()["HostConfig"].take()
}

#[tokio::test]
async fn spellings_that_the_daemon_obeys() {
    on_each("spellings", async |engine, scope| {
        // Podman's decoder and its defaults are its own; what the guard refuses there it refuses all the same.
        let obeys = !is_podman(&engine).await;
        for (what, fields) in [
            ("plain", "\"HostConfig\":{\"Privileged\":true}"),
            ("case", "\"hostCONFIG\":{\"privileged\":true}"),
            ("fold", "\"Ho\u{17f}tConfig\":{\"Privileged\":true}"),
            ("escaped", "\"HostConfig\":{\"Priv\\u0069leged\":true}"),
            (
                "last",
                "\"HostConfig\":{\"Privileged\":false},\"HostConfig\":{\"Privileged\":true}",
            ),
            (
                "merged",
                "\"HostConfig\":{\"Privileged\":true},\"hostconfig\":{\"Memory\":0}",
            ),
        ] {
            let text = body(&scope, fields);
            let result = guarded(&engine).raw(create(&scope, what, &text)).await;
            let Err(Error::Refused(refusal)) = result else {
                panic!("{fields}: {result:?}");
            };
            assert!(
                matches!(refusal.rule, Rule::Privileged | Rule::Body),
                "{fields}: {refusal}"
            );
            if obeys {
                engine.raw(create(&scope, what, &text)).await.unwrap();
                assert_eq!(host_config(&scope, what).await["Privileged"], true, "{fields}");
            }
        }
        scope
    })
    .await;
}

#[tokio::test]
async fn parameters_in_the_body_of_a_form() {
    on_each("form", async |engine, scope| {
        let id = scope.run("web", &["sleep", "600"]).await;
        let id = reference(&id);
        // Harmless by its query; the daemon takes the parameter from the body.
        let kill = || {
            Request::post(path!["containers", &id, "kill"])
                .query("signal", "CONT")
                .whole("application/x-www-form-urlencoded", "signal=KILL")
        };
        refused(guarded(&engine).raw(kill()).await, Rule::Header);
        let state = engine.container_inspect(&id).await.unwrap()["State"]["Running"].take();
        assert_eq!(state, true);
        if !is_podman(&engine).await {
            engine.raw(kill()).await.unwrap();
            testkit::eventually("the end of the container", || async {
                let state = engine.container_inspect(&id).await.unwrap();
                (state["State"]["Running"] == false).then_some(())
            })
            .await;
        }
        scope
    })
    .await;
}

#[tokio::test]
async fn directories_under_a_root_and_links_out_of_it() {
    on_each("roots", async |engine, scope| {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        fs_err::create_dir_all(&part).unwrap();
        fs_err::write(part.join("file"), "inside").unwrap();
        let under = under(&engine, writable(dir.path()));
        let mounted = |source: &Path| {
            let source = source.display();
            body(
                &scope,
                &format!("\"HostConfig\":{{\"Binds\":[\"{source}:/mnt\"]}}"),
            )
        };
        refused(
            guarded(&engine).raw(create(&scope, "web", &mounted(&part))).await,
            Rule::Bind,
        );
        refused(
            under
                .raw(create(&scope, "web", &mounted(Path::new("/etc"))))
                .await,
            Rule::Bind,
        );
        under.raw(create(&scope, "web", &mounted(&part))).await.unwrap();
        let web = reference(&scope.name("web"));
        under.container_start(&web).await.unwrap();
        let (_, archive) = under.files_get(&web, "/mnt/file").await.unwrap();
        drop(archive);

        // The directory becomes a link. The daemon would follow it at the next start.
        let stop = engine::ops::containers::Stop {
            timeout: Some(0),
            signal: None,
        };
        under.container_stop(&web, stop).await.unwrap();
        fs_err::remove_dir_all(&part).unwrap();
        symlink("/etc", &part).unwrap();
        refused(under.container_start(&web).await, Rule::Bind);
        refused(under.container_restart(&web, stop).await, Rule::Bind);
        refused(
            under.raw(create(&scope, "again", &mounted(&part))).await,
            Rule::Bind,
        );
        scope
    })
    .await;
}

#[tokio::test]
async fn directories_disguised_as_volumes() {
    on_each("disguised", async |engine, scope| {
        let name = scope.name("etc");
        let volume = || {
            Request::post(path!["volumes", "create"]).json(&json!({
                "Name": name, "Labels": scope.labels(),
                "DriverOpts": {"type": "none", "o": "bind,ro", "device": "/etc"}
            }))
        };
        let guarded = guarded(&engine);
        refused(guarded.raw(volume()).await, Rule::Bind);
        // Someone else made it.
        engine.raw(volume()).await.unwrap();
        let mounted = body(
            &scope,
            &format!("\"HostConfig\":{{\"Binds\":[\"{name}:/mnt:ro\"]}}"),
        );
        refused(guarded.raw(create(&scope, "web", &mounted)).await, Rule::Bind);
        engine.raw(create(&scope, "web", &mounted)).await.unwrap();
        let from = body(
            &scope,
            &format!("\"HostConfig\":{{\"VolumesFrom\":[\"{}\"]}}", scope.name("web")),
        );
        refused(
            guarded.raw(create(&scope, "taker", &from)).await,
            Rule::VolumesFrom,
        );
        // Its files are the host's.
        let web = reference(&scope.name("web"));
        let read = guarded.files_get(&web, "/mnt/hostname").await;
        refused(read.map(|_| ()), Rule::ExecIntoUnsafe);
        scope
    })
    .await;
}

#[tokio::test]
async fn acting_in_containers_that_others_made() {
    on_each("unsafe", async |engine, scope| {
        let guarded = guarded(&engine);
        for (what, host, wanted) in [
            ("plain", json!({}), None),
            (
                "quiet",
                json!({"SecurityOpt": ["no-new-privileges"], "CapDrop": ["ALL"]}),
                None,
            ),
            (
                "privileged",
                json!({"Privileged": true}),
                Some(Rule::ExecIntoUnsafe),
            ),
            ("pid", json!({"PidMode": "host"}), Some(Rule::ExecIntoUnsafe)),
            (
                "network",
                json!({"NetworkMode": "host"}),
                Some(Rule::ExecIntoUnsafe),
            ),
            (
                "capable",
                json!({"CapAdd": ["SYS_ADMIN"]}),
                Some(Rule::ExecIntoUnsafe),
            ),
            (
                "bound",
                json!({"Binds": ["/etc:/mnt:ro"]}),
                Some(Rule::ExecIntoUnsafe),
            ),
        ] {
            let id = scope
                .create(what, json!({"Cmd": ["sleep", "600"], "HostConfig": host}))
                .await;
            let id = reference(&id);
            // Looking and starting stay possible. Where the daemon itself is confined it can't start all of them.
            guarded.container_inspect(&id).await.unwrap();
            let started = guarded.container_start(&id).await;
            assert!(!matches!(started, Err(Error::Refused(_))), "{what}: {started:?}");
            if started.is_err() {
                assert!(wanted.is_some(), "{what}: {started:?}");
                let attach = engine::ops::containers::Attach::default();
                let attached = guarded.container_attach(&id, attach, engine::Tty::No).await;
                refused(attached.map(|_| ()), Rule::ExecIntoUnsafe);
                continue;
            }
            let exec = Request::post(path!["containers", &id, "exec"]).json(&json!({"Cmd": ["true"]}));
            let made: Result<Value, Error> = guarded.json(exec).await;
            match wanted {
                None => assert!(made.unwrap()["Id"].is_string(), "{what}"),
                Some(rule) => {
                    refused(made, rule);
                    // One made by someone else can't be started either.
                    let exec =
                        Request::post(path!["containers", &id, "exec"]).json(&json!({"Cmd": ["true"]}));
                    let made: Value = engine.json(exec).await.unwrap();
                    let exec = base::names::ExecId::parse(made["Id"].as_str().unwrap()).unwrap();
                    refused(guarded.exec_start_detached(&exec).await, rule);
                }
            }
            guarded.container_kill(&id, None).await.unwrap();
        }
        scope
    })
    .await;
}

#[tokio::test]
async fn the_hosts_network_by_its_id() {
    on_each("host-network", async |engine, scope| {
        if is_podman(&engine).await {
            // It has no network of that name.
            return scope;
        }
        let host = NetworkRef::parse("host").unwrap();
        let network = engine.network_inspect(&host).await.unwrap();
        let id = network["Id"].as_str().unwrap();
        for name in ["host", id, &id[..12]] {
            let text = body(&scope, &format!("\"HostConfig\":{{\"NetworkMode\":\"{name}\"}}"));
            refused(
                guarded(&engine).raw(create(&scope, "web", &text)).await,
                Rule::Namespace,
            );
        }
        // Under the name of another network: the engine goes by the id.
        let fields =
            format!("\"NetworkingConfig\":{{\"EndpointsConfig\":{{\"bridge\":{{\"networkid\":\"{id}\"}}}}}}");
        let text = body(&scope, &fields);
        refused(
            guarded(&engine).raw(create(&scope, "web", &text)).await,
            Rule::Namespace,
        );
        scope
    })
    .await;
}

#[tokio::test]
async fn ports_without_an_address() {
    on_each("ports", async |engine, scope| {
        for (what, bindings) in [
            ("none", "[{\"HostPort\":\"0\"}]"),
            ("all", "[{\"HostIp\":\"0.0.0.0\"}]"),
            ("mapped", "[{\"HostIp\":\"::ffff:0.0.0.0\"}]"),
            ("empty", "[]"),
            ("null", "null"),
        ] {
            let fields = format!("\"ExposedPorts\":{{\"80/tcp\":{{}}}},\"HostConfig\":{{\"PortBindings\":{{\"80/tcp\":{bindings}}}}}");
            refused(
                guarded(&engine).raw(create(&scope, what, &body(&scope, &fields))).await,
                Rule::Publish,
            );
        }
        let fields = "\"ExposedPorts\":{\"80/tcp\":{}},\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\"}]}}";
        guarded(&engine).raw(create(&scope, "own", &body(&scope, fields))).await.unwrap();
        scope
    })
    .await;
}

#[tokio::test]
async fn a_host_confined_to_a_label() {
    on_each("confined", async |engine, scope| {
        let ours = reference(
            &scope
                .create("ours", json!({"Labels": {"dmt.team": "blue"}}))
                .await,
        );
        let theirs = reference(
            &scope
                .create("theirs", json!({"Labels": {"dmt.team": "red"}}))
                .await,
        );
        let volume = VolumeName::parse(&scope.volume("theirs").await).unwrap();
        let network = NetworkRef::parse(&scope.network("theirs").await).unwrap();
        let policy = Policy {
            label: Some(Label::parse("dmt.team=blue").unwrap()),
            ..Policy::default()
        };
        let blue = under(&engine, policy);

        blue.container_inspect(&ours).await.unwrap();
        refused(blue.container_inspect(&theirs).await, Rule::Scope);
        refused(blue.container_start(&theirs).await, Rule::Scope);
        refused(blue.volume_inspect(&volume).await, Rule::Scope);
        refused(blue.network_inspect(&network).await, Rule::Scope);
        // By name as well as by id.
        let name = reference(&scope.name("ours"));
        blue.container_rename(&name, &reference(&scope.name("mine")))
            .await
            .unwrap();
        let found = blue.container_inspect(&ours).await.unwrap();
        assert_eq!(found["Name"], format!("/{}", scope.name("mine")));

        let list = |label: &str| {
            Request::get(path!["containers", "json"])
                .query("all", "true")
                .query_json("filters", &json!({"label": [label]}))
        };
        refused(
            blue.raw(Request::get(path!["containers", "json"])).await,
            Rule::Scope,
        );
        refused(blue.raw(list("dmt.team=red")).await, Rule::Scope);
        let listed: Vec<Value> = blue.json(list("dmt.team=blue")).await.unwrap();
        assert!(listed.iter().all(|one| one["Labels"]["dmt.team"] == "blue"));
        assert!(listed.iter().any(|one| one["Id"] == ours.as_str()));

        let made = body(&scope, "\"Tty\":false");
        refused(blue.raw(create(&scope, "new", &made)).await, Rule::Scope);
        scope
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there() {
    on_each("missing", async |engine, scope| {
        let nobody = ContainerRef::parse(&scope.name("nobody")).unwrap();
        let guarded = guarded(&engine);
        let read = guarded.files_get(&nobody, "/etc/hostname").await.map(|_| ());
        // The guard itself finds out; to the caller that is no different from what the daemon says.
        match read {
            Err(Error::NotFound { .. }) => {}
            Err(Error::Refused(refusal)) => assert!(refusal.is_not_found(), "{refusal}"),
            other => panic!("{other:?}"),
        }
        let error = guarded.container_kill(&nobody, None).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        scope
    })
    .await;
}

#[tokio::test]
async fn the_modes_on_a_real_engine() {
    on_each("modes", async |engine, scope| {
        let id = reference(&scope.run("web", &["sleep", "600"]).await);
        let outcomes: BTreeMap<&str, [bool; 4]> = BTreeMap::from([
            ("GET", [true, true, true, true]),
            ("POST", [false, true, true, true]),
            ("DELETE", [false, false, true, true]),
        ]);
        for (index, mode) in [Mode::ReadOnly, Mode::NoDestroy, Mode::Guarded, Mode::Open]
            .into_iter()
            .enumerate()
        {
            let engine = under(
                &engine,
                Policy {
                    mode,
                    ..Policy::default()
                },
            );
            for (method, wanted) in &outcomes {
                let request = match *method {
                    "GET" => Request::get(path!["containers", &id, "json"]),
                    "POST" => Request::post(path!["containers", &id, "pause"]),
                    // A volume that is not there: the daemon says so, where it is asked.
                    _ => Request::delete(path!["volumes", "dmt-nowhere"]),
                };
                let got = engine.raw(request).await;
                let sent = !matches!(got, Err(Error::Refused(_)));
                assert_eq!(sent, wanted[index], "{method} in {mode}: {got:?}");
                // A busy daemon may fail to pause it, which is its own affair.
                if *method == "POST" && got.is_ok() {
                    engine.container_unpause(&id).await.unwrap();
                }
            }
        }
        scope
    })
    .await;
}
