//! Ping, info, disk usage, events and prunes on real engines.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use crate::here::{all_but_podman, image, on, options};
use engine::ops::images::RemoveImage;
use engine::ops::system::{DiskUsage, EventQuery, Kind, Reach, Selection, Sweep};
use engine::{Engine, Filters};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::{DaemonDouble, Reply, Scope, image_on};

#[tokio::test]
async fn every_engine_says_who_it_is() {
    for daemon in all_but_podman("measures, sweeps and tells in a way of its own").await {
        let engine = on(&daemon);
        let ping = engine.system_ping().await.unwrap();
        let version = engine.system_version().await.unwrap();
        assert_eq!(ping.api_version.as_deref(), version["ApiVersion"].as_str());
        assert_eq!(ping.os.as_deref(), Some("linux"));
        let info = engine.system_info().await.unwrap();
        assert_eq!(info["ServerVersion"], version["Version"]);
    }
}

/// Podman too, which has no state of the name `dead`.
#[tokio::test]
async fn stopped_containers_are_found_and_swept_on_every_engine() {
    for daemon in testkit::all_engines() {
        image_on(&daemon).await;
        let scope = Scope::on(daemon.clone(), "stopped");
        let id = scope.create("never", json!({ "Cmd": ["true"] })).await;
        let running = scope.run("busy", &["sleep", "1000"]).await;
        let engine = on(&daemon);
        let ours = Selection {
            labels: vec![scope.label()],
            until: None,
        };
        let unused = engine.unused(Sweep::Containers, &ours).await.unwrap();
        let found: Vec<&str> = unused.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(found, [id.as_str()], "{}", daemon.endpoint());
        let pruned = engine.prune(Sweep::Containers, &ours).await.unwrap();
        assert_eq!(pruned.removed, [id], "{}", daemon.endpoint());
        assert!(engine.unused(Sweep::Containers, &ours).await.unwrap().is_empty());
        let there = daemon.get(&format!("/containers/{running}/json")).await;
        assert_eq!(there.json()["State"]["Running"], true);
        scope.finish().await;
    }
}

/// Engine 20.10 measures for one client at a time, and refuses the others.
#[tokio::test]
async fn a_daemon_that_is_measuring_is_waited_for() {
    let asked = AtomicUsize::new(0);
    let double = DaemonDouble::start(move |seen| match seen.path() {
        "/_ping" => Reply::ping("1.41"),
        _ if asked.fetch_add(1, Ordering::SeqCst) < 2 => {
            Reply::error(500, "a disk usage operation is already running")
        }
        _ => Reply::json(200, &json!({ "LayersSize": 7 })),
    });
    let engine = Engine::open(options(&double.endpoint())).unwrap();
    assert_eq!(engine.system_df(&[]).await.unwrap(), json!({ "LayersSize": 7 }));
}

#[tokio::test]
async fn disk_usage_is_read_on_every_engine() {
    for daemon in all_but_podman("measures, sweeps and tells in a way of its own").await {
        image_on(&daemon).await;
        let scope = Scope::on(daemon.clone(), "df");
        let volume = scope.volume("data").await;
        let bind = json!({ "HostConfig": { "Binds": [format!("{volume}:/data")] }, "Cmd": ["sh", "-c", "echo 12345 >/data/x; sleep 1000"] });
        let id = scope.create("holder", bind).await;
        scope
            .daemon()
            .post(&format!("/containers/{id}/start"), &Value::Null)
            .await
            .ok();
        let engine = on(&daemon);
        let answer = engine.system_df(&Kind::ALL).await.unwrap();
        let usage = DiskUsage::read(&answer);
        assert!(usage.images.count >= 1 && usage.images.active >= 1, "{usage:?}");
        assert!(usage.images.bytes > 500_000, "{usage:?}");
        assert!(
            usage.containers.active >= 1 && usage.volumes.active >= 1,
            "{usage:?}"
        );
        let names = Kind::Volumes
            .objects(&answer)
            .iter()
            .map(|volume| &volume["Name"]);
        assert!(names.into_iter().any(|name| *name == volume), "{answer}");
        scope.finish().await;
    }
}

#[tokio::test]
async fn events_of_a_window_and_as_they_come() {
    for daemon in all_but_podman("measures, sweeps and tells in a way of its own").await {
        let scope = Scope::on(daemon.clone(), "events");
        let engine = on(&daemon);
        let filters = Filters::new().with("label", scope.label());
        let from_now = EventQuery {
            filters: filters.clone(),
            ..EventQuery::default()
        };
        let mut live = Box::pin(engine.system_events(&from_now).await.unwrap());
        let begun = base::clock::now().as_second();
        let id = scope.run("one", &["true"]).await;

        let first = tokio::time::timeout(Duration::from_secs(20), live.next())
            .await
            .unwrap();
        let first = first.unwrap().unwrap();
        assert_eq!(
            (&first["Action"], &first["Actor"]["ID"]),
            (&json!("create"), &json!(id))
        );
        drop(live);

        daemon
            .post(&format!("/containers/{id}/wait"), &Value::Null)
            .await
            .ok();
        let until = base::clock::now().as_second() + 1;
        let window = EventQuery {
            since: Some(begun - 1),
            until: Some(until),
            filters,
        };
        let events = engine.system_events(&window).await.unwrap();
        let events: Vec<Value> = events.map(Result::unwrap).collect().await;
        let actions: Vec<&str> = events
            .iter()
            .filter_map(|event| event["Action"].as_str())
            .collect();
        assert_eq!(actions, ["create", "start", "die"]);
        scope.finish().await;
    }
}

fn selection(scope: &Scope) -> Selection {
    Selection {
        labels: vec![scope.label()],
        until: None,
    }
}

/// What a look finds is what the removal takes, and then nothing is left.
async fn check_sweep(engine: &Engine, sweep: Sweep, selection: &Selection, expected: &[&str]) {
    let before_all = Selection {
        until: Some(1),
        ..selection.clone()
    };
    if !matches!(sweep, Sweep::Volumes(_)) {
        assert_eq!(
            engine.unused(sweep, &before_all).await.unwrap(),
            [],
            "{sweep:?}: nothing is that old"
        );
        assert!(
            engine.prune(sweep, &before_all).await.unwrap().removed.is_empty(),
            "{sweep:?}"
        );
    }
    let found = engine.unused(sweep, selection).await.unwrap();
    let mut names: Vec<&str> = found
        .iter()
        .flat_map(|object| &object.names)
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(names, expected, "{sweep:?}");
    let pruned = engine.prune(sweep, selection).await.unwrap();
    for object in &found {
        let taken = |name: &String| pruned.removed.contains(name);
        assert!(
            taken(&object.id) || object.names.iter().any(taken),
            "{sweep:?}: {object:?} {pruned:?}"
        );
    }
    assert_eq!(engine.unused(sweep, selection).await.unwrap(), [], "{sweep:?}");
}

#[tokio::test]
async fn containers_and_networks_are_swept() {
    for daemon in all_but_podman("measures, sweeps and tells in a way of its own").await {
        let scope = Scope::on(daemon.clone(), "sweep");
        let engine = on(&daemon);
        let (used, idle) = (scope.name("used"), scope.name("idle"));
        scope.network("used").await;
        scope.network("idle").await;
        let running = json!({ "Cmd": ["sleep", "1000"], "HostConfig": { "NetworkMode": used } });
        let id = scope.create("running", running).await;
        daemon
            .post(&format!("/containers/{id}/start"), &Value::Null)
            .await
            .ok();
        scope.create("created", json!({ "Cmd": ["true"] })).await;
        check_sweep(
            &engine,
            Sweep::Containers,
            &selection(&scope),
            &[&scope.name("created")],
        )
        .await;
        check_sweep(&engine, Sweep::Networks, &selection(&scope), &[&idle]).await;
        scope.finish().await;
    }
}

#[tokio::test]
async fn volumes_are_swept_alike_on_every_engine() {
    for daemon in all_but_podman("measures, sweeps and tells in a way of its own").await {
        let scope = Scope::on(daemon.clone(), "sweep-volumes");
        let engine = on(&daemon);
        let used = scope.volume("used").await;
        let idle = scope.volume("idle").await;
        let anonymous = json!({ "Labels": scope.labels() });
        let anonymous = daemon.post("/volumes/create", &anonymous).await.ok().json();
        let anonymous = anonymous["Name"].as_str().unwrap().to_owned();
        scope
            .create(
                "holder",
                json!({ "HostConfig": { "Binds": [format!("{used}:/data")] } }),
            )
            .await;
        check_sweep(
            &engine,
            Sweep::Volumes(Reach::Leftovers),
            &selection(&scope),
            &[&anonymous],
        )
        .await;
        check_sweep(
            &engine,
            Sweep::Volumes(Reach::Unused),
            &selection(&scope),
            &[&idle],
        )
        .await;
        scope.finish().await;
    }
}

#[tokio::test]
async fn images_are_swept() {
    for daemon in all_but_podman("measures, sweeps and tells in a way of its own").await {
        let scope = Scope::on(daemon.clone(), "sweep-images");
        let engine = on(&daemon);
        let idle = image(&scope, "idle").await;
        let used = image(&scope, "used").await;
        scope.create("holder", json!({ "Image": used.as_str() })).await;
        // One without a name: its only tag goes to another image.
        let other = image(&scope, "other").await;
        engine.image_tag(&idle, &other).await.unwrap();

        let leftovers = engine
            .unused(Sweep::Images(Reach::Leftovers), &selection(&scope))
            .await
            .unwrap();
        assert_eq!(leftovers.len(), 1, "{leftovers:?}");
        check_sweep(&engine, Sweep::Images(Reach::Leftovers), &selection(&scope), &[]).await;
        let mut names = [idle.as_str(), other.as_str()];
        names.sort_unstable();
        check_sweep(&engine, Sweep::Images(Reach::Unused), &selection(&scope), &names).await;
        engine
            .image_remove(
                &used,
                RemoveImage {
                    force: true,
                    ..RemoveImage::default()
                },
            )
            .await
            .unwrap();
        scope.finish().await;
    }
}

#[tokio::test]
async fn old_build_cache_is_none_at_all() {
    for daemon in all_but_podman("measures, sweeps and tells in a way of its own").await {
        let engine = on(&daemon);
        let ancient = Selection {
            until: Some(1),
            ..Selection::default()
        };
        for reach in [Reach::Leftovers, Reach::Unused] {
            assert_eq!(
                engine.unused(Sweep::BuildCache(reach), &ancient).await.unwrap(),
                []
            );
            assert!(
                engine
                    .prune(Sweep::BuildCache(reach), &ancient)
                    .await
                    .unwrap()
                    .removed
                    .is_empty()
            );
        }
    }
}
