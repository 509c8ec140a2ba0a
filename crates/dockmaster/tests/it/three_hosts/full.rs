//! A host whose disk is full: the daemon's words come through whole, and nothing is half there in silence.

use serde_json::json;
use testkit::{Daemon, Registry};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Far, links};

const FULL: &str = "no space left on device";

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_a_full_disk_is_said() {
    let Some(far) = Far::new("", "", "") else { return };
    let scope = far.scope("two", "full");
    let id = scope.run("web", &["sleep", "600"]).await;
    let image = testkit::IMAGE;
    let client = far.gateway().await;
    let create = |what: &str| json!({"host": "two", "image": image, "name": scope.name(what), "labels": scope.labels(), "command": ["sleep", "60"], "start": true});
    let put = |destination: &str| json!({"host": "two", "container": id, "destination": destination, "content": "0123456789".repeat(40_000)});
    let registry = Registry::start().await;
    let (reference, _port) = pushed(&far, &registry).await;
    let pull = json!({"host": "two", "image": reference});

    far.run(&["fill", "two", "256"]);
    for (tool, arguments) in [
        ("copy_files_to_container", put("/much")),
        ("pull_image", pull.clone()),
    ] {
        let said = client.call(tool, arguments).await.failure();
        assert!(
            said.contains(FULL) && said.contains("on host two"),
            "{tool}: {said}"
        );
    }
    far.run(&["fill", "two"]);
    let said = client.call("create_container", create("none")).await.failure();
    assert!(said.contains(FULL) && said.contains("on host two"), "{said}");

    // Neither an image nor a container is half there.
    let daemon = far.daemon("two");
    let images = daemon.get("/images/json").await.ok().json().to_string();
    assert!(!images.contains(&reference), "{images}");
    let containers = daemon.get("/containers/json?all=1").await.ok().json().to_string();
    assert!(!containers.contains(&scope.name("none")), "{containers}");

    far.run(&["drain", "two"]);
    client.call("copy_files_to_container", put("/much")).await.ok();
    client.call("pull_image", pull).await.ok();
    client.call("create_container", create("some")).await.ok();
    daemon.delete(&format!("/images/{reference}")).await.ok();
    client.close().await;
    scope.finish().await;
}

/// The test image in a registry, under a name by which `two` reaches it: this machine's end of its link.
async fn pushed(far: &Far, registry: &Registry) -> (String, JoinSet<()>) {
    let here = Daemon::here();
    testkit::image().await;
    let name = format!("{}/full", registry.authority());
    here.post(
        &format!("/images/{}/tag?repo={name}&tag=1", testkit::IMAGE),
        &json!(null),
    )
    .await
    .ok();
    let sent = here
        .push(&format!("/images/{name}/push?tag=1"), "e30=")
        .await
        .ok();
    assert!(!sent.text().contains("error"), "{}", sent.text());
    here.delete(&format!("/images/{name}:1")).await.ok();
    let config = fs_err::read_to_string(far.ssh("config")).unwrap();
    let there = links::address(&config, "two");
    let near = format!("{}.1", there.rsplit_once('.').unwrap().0);
    let listener = TcpListener::bind(format!("{near}:0")).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (mut tasks, registry) = (JoinSet::new(), registry.authority().to_owned());
    tasks.spawn(async move {
        let mut served = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let registry = registry.clone();
            served.spawn(async move {
                if let Ok(mut far) = TcpStream::connect(registry).await {
                    drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                }
            });
        }
    });
    (format!("{near}:{port}/full:1"), tasks)
}
