//! Bridges on engines of other kinds and ages, and on one that ends and comes back.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Daemon, OwnEngine, Relay, all_engines, image_on};

use super::Bridged;
use super::life::COUNTER;
use crate::harness::{Dockmaster, Ended};

/// The counter on an engine that is not the one at hand.
async fn on(daemon: &Daemon) -> Bridged {
    let image = image_on(daemon).await;
    let toml = format!(
        "[hosts.far]\nendpoint = '{}'\n[servers.counter]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", '''{COUNTER}''']\n\
         [profiles.default.servers.counter]\nhost = 'far'\n",
        daemon.endpoint()
    );
    Bridged::on(daemon.clone(), Dockmaster::new().configured(&toml), "counter")
}

impl Bridged {
    fn calls(&self, wanted: &str) {
        let called = self.run(&["tools", "call", "count"]);
        assert_eq!(called.stdout(), format!("{wanted}\n"), "{}", called.transcript());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_every_other_engine() {
    let others: Vec<Daemon> = all_engines().into_iter().skip(1).collect();
    if others.is_empty() {
        eprintln!("there is no other engine here; scripts/engine up trixie, or podman, starts one");
    }
    for daemon in others {
        let bridged = on(&daemon).await;
        bridged.install();
        bridged.calls("call 1");
        bridged.calls("call 2");
        let upgraded = bridged.small(&["host", "upgrade", "far"]);
        assert_eq!(upgraded.code(), 0, "{}", upgraded.transcript());
        bridged.calls("call 1");
        let id = bridged.id();
        let images = daemon.get("/images/json").await.ok().json();
        let own = images.as_array().into_iter().flatten().filter(|image| {
            let label = image["Labels"]["dockmaster.bridge-image"].as_str();
            label == Some(id.as_str())
        });
        assert_eq!(own.count(), 1, "the image before is gone: {images}");
        bridged.uninstall().await;
    }
}

/// The daemon goes away while the gateway runs, and the bridge comes back with it; or why that can't be tried here.
async fn comes_back(arguments: &[&'static str], is_crash: bool) -> Result<(), &'static str> {
    let mut engine = OwnEngine::start_with(arguments).await?;
    let bridged = on(&engine.daemon()).await;
    bridged.install();
    let id = bridged.id();
    let client = bridged.client(&[]);
    client.initialize(super::VERSION).await;
    let count = async || client.call("count", serde_json::json!({})).await.text();
    assert_eq!(count().await, "call 1");
    assert_eq!(count().await, "call 2");
    if is_crash {
        engine.kill().await;
    } else {
        engine.stop().await;
    }
    let failed = client.try_call("count", serde_json::json!({})).await;
    let said = failed.map_or_else(|error| error.to_string(), |answer| answer.text());
    assert!(!said.starts_with("call "), "{said}");
    engine.launch().await;
    // Its servers are made anew.
    testkit::eventually("the next call", async || {
        let answer = client.try_call("count", serde_json::json!({})).await.ok()?;
        (answer.text() == "call 1").then_some(())
    })
    .await;
    client.close().await;
    let uninstalled = bridged.small(&["host", "uninstall", "far"]);
    if uninstalled.code() == 0 {
        assert_eq!(bridged.left(&id).await, Vec::<String>::new());
        return Ok(());
    }
    // 20.10 loses count of its mounts, and has to be told once more.
    let told = uninstalled.stderr();
    let words = "it can be removed once that engine is restarted";
    assert!(!is_crash && told.contains(words), "{}", uninstalled.transcript());
    engine.stop().await;
    engine.launch().await;
    bridged.uninstall().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_restarted_brings_its_bridge_back() {
    if let Err(why) = comes_back(&[], false).await {
        eprintln!("no engine of its own can be started: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_crashes_brings_its_bridge_back() {
    if let Err(why) = comes_back(&[], true).await {
        eprintln!("no engine of its own can be started: {why}");
    }
}

/// It lets its containers run, whose mounted socket is then that of nobody.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_keeps_its_containers_is_found_again() {
    if let Err(why) = comes_back(&["--live-restore"], false).await {
        eprintln!("no engine of its own can be started: {why}");
    }
}

/// The containers of a bridge that run and in which a gateway answers.
async fn serving(daemon: &Daemon, id: &str) -> Vec<String> {
    let mut serving = Vec::new();
    for one in of_bridge(daemon, id).await {
        let exec = json!({"Cmd": ["/dockmaster", "bridge", "hello"], "AttachStdout": true});
        let name = one["Names"][0].as_str().unwrap();
        let made = daemon.post(&format!("/containers{name}/exec"), &exec).await;
        let Some(exec) = made.json()["Id"].as_str().map(str::to_owned) else {
            continue;
        };
        // Until it has ended.
        daemon.post(&format!("/exec/{exec}/start"), &json!({})).await.ok();
        let ended = daemon.get(&format!("/exec/{exec}/json")).await.ok().json();
        if ended["ExitCode"] == 0 {
            serving.push(name.to_owned());
        }
    }
    serving
}

async fn of_bridge(daemon: &Daemon, id: &str) -> Vec<Value> {
    let path =
        format!("/containers/json?all=1&filters=%7B%22label%22%3A%5B%22dockmaster.bridge%3D{id}%22%5D%7D");
    daemon.get(&path).await.ok().json().as_array().unwrap().clone()
}

/// An upgrade is killed before one of its requests, and then its engine is restarted: one bridge comes back, and the next use
/// puts it right.
async fn broken_off(daemon_of: &mut OwnEngine, bridged: &Bridged, (step, nth): (&str, usize)) {
    let daemon = daemon_of.daemon();
    let id = bridged.id();
    let relay = Relay::holding_at(&daemon, step.replace("ID", &id).leak(), nth);
    let config = bridged.file("config.toml");
    let direct = fs_err::read_to_string(&config).unwrap();
    fs_err::write(&config, direct.replace(&daemon.endpoint(), &relay.endpoint())).unwrap();
    let mut upgrade = bridged
        .small_command(&["host", "upgrade", "far"])
        .spawn()
        .unwrap();
    relay.held().await;
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    drop(relay);
    fs_err::write(&config, direct).unwrap();

    daemon_of.stop().await;
    daemon_of.launch().await;
    testkit::eventually("one that serves", async || {
        (serving(&daemon, &id).await.len() == 1).then_some(())
    })
    .await;
    let running = of_bridge(&daemon, &id).await;
    let running = running.iter().filter(|one| one["State"] == "running").count();
    // Of two that come back one waits for the other's end.
    assert_eq!(running, if nth == 2 { 2 } else { 1 }, "{step}");

    let called = bridged.run(&["tools", "call", "count"]);
    assert_eq!(called.stdout(), "call 1\n", "{step}: {}", called.transcript());
    assert!(
        called
            .stderr()
            .contains("an upgrade of the bridge on far was broken off"),
        "{step}: {}",
        called.transcript()
    );
    let names: Vec<_> = of_bridge(&daemon, &id).await;
    assert_eq!(names.len(), 1, "{step}: {names:?}");
    assert_eq!(
        serving(&daemon, &id).await,
        [format!("/dockmaster.bridge-{id}")],
        "{step}"
    );
    let again = bridged.run(&["tools", "call", "count"]);
    assert_eq!(again.stdout(), "call 2\n", "{step}: {}", again.transcript());
    assert!(
        !again.stderr().contains("broken off"),
        "{step}: {}",
        again.transcript()
    );
}

/// Breaks it off before each of these requests, given by a part of it and how often that comes; or why that can't be tried here.
async fn every_step_broken_off(steps: &[(&str, usize)]) -> Result<(), &'static str> {
    let mut engine = OwnEngine::start().await?;
    let bridged = on(&engine.daemon()).await;
    bridged.install();
    for step in steps {
        broken_off(&mut engine, &bridged, *step).await;
    }
    let upgraded = bridged.small(&["host", "upgrade", "far"]);
    assert_eq!(upgraded.code(), 0, "{}", upgraded.transcript());
    bridged.calls("call 1");
    bridged.uninstall().await;
    Ok(())
}

/// An upgrade that stands still while it brings its image, as long as the relay is there. Others know nothing of that.
async fn held_upgrade(daemon: &Daemon, bridged: &Bridged) -> (Relay, Child) {
    let relay = Relay::holding(daemon, "/images/create");
    let config = bridged.file("config.toml");
    let direct = fs_err::read_to_string(&config).unwrap();
    fs_err::write(&config, direct.replace(&daemon.endpoint(), &relay.endpoint())).unwrap();
    let mut upgrade = bridged.small_command(&["host", "upgrade", "far"]);
    let upgrade = upgrade
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    relay.held().await;
    fs_err::write(&config, direct).unwrap();
    (relay, upgrade)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_upgrades_take_turns() {
    let daemon = all_engines().swap_remove(0);
    let bridged = on(&daemon).await;
    bridged.install();
    let (relay, first) = held_upgrade(&daemon, &bridged).await;
    let mut second = bridged.small_command(&["host", "upgrade", "far"]);
    let mut second = second
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(second.try_wait().unwrap().is_none(), "it waits for the first");
    // The first fails, and takes along what it had brought.
    drop(relay);
    let first = Ended::new(first.wait_with_output().unwrap(), &bridged);
    assert_eq!(first.code(), 1, "{}", first.transcript());
    let second = Ended::new(second.wait_with_output().unwrap(), &bridged);
    assert_eq!(second.code(), 0, "{}", second.transcript());
    bridged.calls("call 1");
    bridged.uninstall().await;
}

/// Bringing an image to a host can take minutes.
#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_while_an_upgrade_brings_its_image() {
    let daemon = all_engines().swap_remove(0);
    let bridged = on(&daemon).await;
    bridged.install();
    bridged.calls("call 1");
    let (relay, mut upgrade) = held_upgrade(&daemon, &bridged).await;
    bridged.calls("call 2");
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    drop(relay);
    bridged.calls("call 3");
    bridged.uninstall().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_broken_off_early_leaves_one_bridge() {
    let broken_off = every_step_broken_off(&[
        // The one before is stopped.
        ("/stop HTTP", 1),
        // The new one is started, to be tried out.
        ("/start HTTP", 1),
        // It is asked how it does.
        ("/exec HTTP", 1),
    ]);
    if let Err(why) = broken_off.await {
        eprintln!("no engine of its own can be started: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_broken_off_late_leaves_one_bridge() {
    let broken_off = every_step_broken_off(&[
        // The one before goes aside.
        ("/rename?name=", 1),
        // What takes its place is made.
        ("create?name=dockmaster.bridge-ID&", 1),
        // What was tried out is removed, then the one before.
        ("DELETE /v1", 1),
        ("DELETE /v1", 2),
    ]);
    if let Err(why) = broken_off.await {
        eprintln!("no engine of its own can be started: {why}");
    }
}
