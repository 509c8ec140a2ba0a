//! Replacing containers without losing them.

use crate::here::{server, settings, with};
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
async fn other_settings_and_the_rest_as_it_was() {
    let scope = Scope::new("recreate");
    scope.network("one").await;
    scope.network("two").await;
    let server = server().await;
    let wanted = with(
        settings(&scope, "web", &["sleep", "600"]).await,
        json!({
            "env": { "KEEP": "1", "CHANGE": "old" }, "volumes": ["/data"], "network": scope.name("one"),
            "aliases": ["www"], "memory": "64m", "start": true,
        }),
    );
    server.ok("create_container", wanted).await;
    let network = format!("/networks/{}/connect", scope.name("two"));
    scope
        .daemon()
        .post(&network, &json!({ "Container": scope.name("web") }))
        .await
        .ok();
    let exec = json!({ "container": scope.name("web"), "command": "echo kept > /data/file" });
    server.ok("execute_command_in_container", exec).await;
    let old = inspect(&scope, "web").await;
    let arguments = json!({
        "container": scope.name("web"), "stable": "300ms",
        "settings": { "env": { "CHANGE": "new" }, "memory": "96m", "labels": { "more": "x" } },
    });
    let answer = server
        .with_progress("recreate_container", arguments)
        .await
        .ok()
        .text();
    for step in [
        "renamed the old container",
        "created ",
        "stopped the old one",
        "started the new one",
        "removed the old",
    ] {
        assert!(answer.contains(step), "{step}: {answer}");
    }
    let new = inspect(&scope, "web").await;
    assert_ne!(new["Id"], old["Id"]);
    assert_eq!(new["Config"]["Env"], json!(["KEEP=1", "CHANGE=new", "PATH=/bin"]));
    assert_eq!(new["HostConfig"]["Memory"], 96 << 20);
    assert_eq!(new["Config"]["Labels"]["more"], "x");
    assert_eq!(new["Mounts"][0]["Name"], old["Mounts"][0]["Name"]);
    for network in ["one", "two"] {
        assert!(
            new["NetworkSettings"]["Networks"][scope.name(network)].is_object(),
            "{network}"
        );
    }
    assert!(
        new["NetworkSettings"]["Networks"][scope.name("one")]["Aliases"]
            .to_string()
            .contains("www")
    );
    let read = json!({ "container": scope.name("web"), "command": "cat /data/file" });
    assert!(
        server
            .ok("execute_command_in_container", read)
            .await
            .contains("kept")
    );
    assert!(!server.client.notifications("notifications/progress").is_empty());
    server.end().await;
    // To the new container the volume has a name, so it does not go with it, and it bears no label.
    let volume = new["Mounts"][0]["Name"].as_str().unwrap().to_owned();
    let daemon = scope.daemon().clone();
    scope.finish().await;
    daemon.delete(&format!("/volumes/{volume}")).await.ok();
}

#[tokio::test]
async fn a_new_one_that_fails_gives_way_to_the_old() {
    let scope = Scope::new("roll-back");
    let server = server().await;
    let wanted = with(
        settings(&scope, "web", &["sleep", "600"]).await,
        json!({ "volumes": ["/data"], "start": true }),
    );
    server.ok("create_container", wanted).await;
    let old = inspect(&scope, "web").await;
    for (change, part) in [
        (
            json!({ "command": ["sh", "-c", "echo bad config >&2; exit 5"] }),
            "bad config",
        ),
        (json!({ "command": ["no-such-program"] }), "starting the new one"),
        (
            json!({ "healthcheck": { "test": "echo unwell; false", "interval": "1s", "retries": 1 } }),
            "did not become healthy",
        ),
        (json!({ "privileged": true }), "guard refused"),
        (json!({ "network": "no-such-network" }), "no-such-network"),
    ] {
        let arguments =
            json!({ "container": scope.name("web"), "settings": change, "stable": "500ms", "timeout": "3s" });
        let error = server.fails("recreate_container", arguments).await;
        assert!(error.contains(part), "{part}: {error}");
        assert!(
            error.contains(&format!("the old container {} is back", scope.name("web"))),
            "{error}"
        );
        let now = inspect(&scope, "web").await;
        assert_eq!(
            (&now["Id"], &now["State"]["Running"]),
            (&old["Id"], &json!(true)),
            "{error}"
        );
        assert_eq!(now["Mounts"], old["Mounts"]);
        let all = server
            .ok(
                "list_containers",
                json!({ "all": true, "filters": { "label": scope.label() } }),
            )
            .await;
        assert_eq!(all.lines().count(), 2, "{all}");
    }
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn cancelled_in_the_middle_the_old_one_comes_back() {
    let scope = Scope::new("cancel-recreate");
    let server = server().await;
    let wanted = with(
        settings(&scope, "web", &["sleep", "600"]).await,
        json!({ "start": true }),
    );
    server.ok("create_container", wanted).await;
    let old = inspect(&scope, "web").await;
    let arguments = json!({ "container": scope.name("web"), "stable": "10m" });
    let params = json!({ "name": "recreate_container", "arguments": arguments });
    let call = server.client.start("tools/call", params).await;
    testkit::eventually("the new container to run", async || {
        let now = scope
            .daemon()
            .get(&format!("/containers/{}/json", scope.name("web")))
            .await;
        let now = now.json();
        (now["Id"].is_string() && now["Id"] != old["Id"] && now["State"]["Running"] == true).then_some(())
    })
    .await;
    server
        .client
        .notify("notifications/cancelled", json!({ "requestId": call.id }))
        .await;
    testkit::eventually("the old container to be back", async || {
        let now = scope
            .daemon()
            .get(&format!("/containers/{}/json", scope.name("web")))
            .await
            .json();
        (now["Id"] == old["Id"] && now["State"]["Running"] == true).then_some(())
    })
    .await;
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn one_that_removes_itself_is_left_alone() {
    let scope = Scope::new("auto-remove");
    let server = server().await;
    let wanted = with(
        settings(&scope, "web", &["sleep", "600"]).await,
        json!({ "auto_remove": true, "start": true }),
    );
    server.ok("create_container", wanted).await;
    let error = server
        .fails("recreate_container", json!({ "container": scope.name("web") }))
        .await;
    assert!(
        error.starts_with("conflict: ") && error.contains("auto_remove"),
        "{error}"
    );
    server.end().await;
    scope.finish().await;
}
