//! Bridges on engines of other kinds and ages, and on one that ends and comes back.

use testkit::{Daemon, OwnEngine, all_engines, image_on};

use super::Bridged;
use super::life::COUNTER;
use crate::harness::Dockmaster;

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
