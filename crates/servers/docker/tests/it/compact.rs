//! The compact tools on the real engine: they do what the canonical ones do.

use crate::here::{Setup, server, server_with_root};
use docker_server::Toolset;
use serde_json::json;
use testkit::{IMAGE, Registry, Scope};

#[tokio::test]
async fn the_list_holds_five_tools_with_the_documented_parameters() {
    let server = Setup {
        toolset: Toolset::Compact,
        ..Setup::default()
    }
    .start()
    .await;
    let tools = server.client.tools().await;
    let listed: Vec<(String, Vec<String>)> = tools
        .iter()
        .map(|tool| {
            let properties = tool["inputSchema"]["properties"].as_object().unwrap();
            (
                tool["name"].as_str().unwrap().to_owned(),
                properties.keys().cloned().collect(),
            )
        })
        .collect();
    let expected = [
        ("build-image", "path dockerfile tag build_args target no_cache"),
        (
            "run-container",
            "image name ports volumes environment command detach",
        ),
        ("manage-container", "container_id action force timeout"),
        ("image-operations", "image action registry auth force"),
        ("network-management", "name action driver options containers"),
    ];
    assert_eq!(listed.len(), expected.len());
    for ((name, parameters), (expected_name, expected)) in listed.iter().zip(expected) {
        assert_eq!(
            (name.as_str(), parameters.join(" ").as_str()),
            (expected_name, expected)
        );
    }
    server.end().await;
}

#[tokio::test]
async fn a_container_is_run_and_managed() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("file"), "from the host").unwrap();
    testkit::image().await;
    let (scope, server) = (Scope::new("compact-run"), server_with_root(folder.path()).await);
    let name = scope.name("web");
    let run = json!({
        "image": IMAGE, "name": name, "environment": { "WHO": "somebody" }, "detach": true,
        "volumes": [{ "host_path": folder.path(), "container_path": "/data", "mode": "ro" }],
        "command": "echo $WHO; cat /data/file; echo; touch /data/x; sleep 1000",
    });
    let started = server.ok("run-container", run.clone()).await;
    assert!(
        started.starts_with(&format!("created and started {name}")),
        "{started}"
    );
    let again = server.fails("run-container", run).await;
    assert!(again.starts_with("name_in_use: "), "{again}");

    let manage = async |action: &str| {
        server
            .ok(
                "manage-container",
                json!({ "container_id": name, "action": action }),
            )
            .await
    };
    testkit::eventually("the output", async || {
        let logs = manage("logs").await;
        let expected = ["somebody", "from the host", "Read-only file system"];
        expected.iter().all(|words| logs.contains(words)).then_some(())
    })
    .await;
    assert!(manage("stats").await.contains(&name));
    assert!(manage("inspect").await.contains("state: running"));
    assert!(manage("pause").await.contains("paused"));
    assert!(manage("unpause").await.contains("resumed"));
    assert!(manage("kill").await.contains("SIGKILL"));
    let stop = json!({ "container_id": name, "action": "stop", "timeout": 1, "force": false });
    server.ok("manage-container", stop).await;
    let restart = json!({ "container_id": name, "action": "restart", "timeout": 1 });
    server.ok("manage-container", restart).await;
    let error = server
        .fails(
            "manage-container",
            json!({ "container_id": name, "action": "pause", "force": true }),
        )
        .await;
    assert!(
        error.starts_with("invalid_arguments: parameter force means nothing for action pause"),
        "{error}"
    );
    let error = server
        .fails(
            "manage-container",
            json!({ "container_id": name, "action": "explode" }),
        )
        .await;
    assert!(
        error.starts_with("invalid_arguments: parameter action: "),
        "{error}"
    );
    let remove = json!({ "container_id": name, "action": "remove", "force": true });
    assert_eq!(
        server.ok("manage-container", remove).await,
        format!("removed {name}")
    );

    let output = json!({ "image": IMAGE, "name": name, "command": ["echo", "done"], "detach": false });
    let output = server.ok("run-container", output).await;
    assert!(output.contains("done") && output.contains("exited 0"), "{output}");
    server
        .ok(
            "manage-container",
            json!({ "container_id": name, "action": "remove" }),
        )
        .await;
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn host_paths_stay_under_the_guard() {
    let (scope, server) = (Scope::new("compact-guard"), server().await);
    testkit::image().await;
    let run = json!({
        "image": IMAGE, "name": scope.name("x"), "volumes": [{ "host_path": "/etc", "container_path": "/x" }],
    });
    let error = server.fails("run-container", run).await;
    assert!(error.starts_with("refused: "), "{error}");
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn images_are_built_pushed_pulled_and_removed() {
    let (registry, folder) = (Registry::start().await, tempfile::tempdir().unwrap());
    let (scope, server) = (
        Scope::new("compact-images"),
        server_with_root(folder.path()).await,
    );
    let (base, image) = (testkit::image().await, scope.image("built"));
    let label = format!("LABEL {}=\"{}\"", Scope::KEY, scope.value());
    fs_err::write(
        folder.path().join("Dockerfile"),
        format!("FROM {base}\n{label}\nARG A\nENV A=$A\n"),
    )
    .unwrap();
    let build = json!({ "path": folder.path(), "tag": image, "build_args": { "A": "1" }, "no_cache": true });
    assert!(
        server
            .ok("build-image", build)
            .await
            .starts_with(&format!("built {image} (id "))
    );

    let host = registry.authority();
    let operate = async |arguments| server.ok("image-operations", arguments).await;
    let pushed = operate(json!({ "image": image, "action": "push", "registry": host, "auth": host })).await;
    assert!(
        pushed.starts_with(&format!("pushed {host}/{image} (")),
        "{pushed}"
    );
    assert!(
        pushed.ends_with(&format!("before: tag image {image} as {host}/{image}")),
        "{pushed}"
    );
    operate(json!({ "image": format!("{host}/{image}"), "action": "remove" })).await;
    let pulled = operate(json!({ "image": image, "action": "pull", "registry": host })).await;
    assert!(pulled.contains(&format!("{host}/{image}")), "{pulled}");
    let other = scope.image("other");
    let tagged = operate(json!({ "image": image, "action": "tag", "registry": other })).await;
    assert_eq!(tagged, format!("{image} is also called {other}"));
    operate(json!({ "image": other, "action": "remove", "force": true })).await;
    let error = server
        .fails(
            "image-operations",
            json!({ "image": image, "action": "push", "registry": host, "auth": "me:hunter2" }),
        )
        .await;
    assert!(
        error.contains("never through a tool") && !error.contains("hunter2"),
        "{error}"
    );
    operate(json!({ "image": format!("{host}/{image}"), "action": "remove" })).await;
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn a_network_is_made_joined_left_and_removed() {
    let (scope, server) = (Scope::new("compact-network"), server().await);
    for name in ["one", "two"] {
        scope.run(name, &["sleep", "1000"]).await;
    }
    let (name, containers) = (scope.name("net"), [scope.name("one"), scope.name("two")]);
    let manage = async |arguments| server.ok("network-management", arguments).await;
    let create = json!({ "name": name, "action": "create", "driver": "bridge", "containers": containers });
    let created = manage(create.clone()).await;
    assert!(
        created.contains(&format!("connected {} to {name}", containers[1])),
        "{created}"
    );
    assert!(
        created.contains(&format!("before: create network {name}")),
        "{created}"
    );
    let error = server.fails("network-management", create).await;
    assert!(error.starts_with("name_in_use: "), "{error}");

    let error = server
        .fails(
            "network-management",
            json!({ "name": name, "action": "disconnect", "containers": [containers[0], "dmt-nobody"] }),
        )
        .await;
    assert!(
        error.starts_with("not_found: disconnect container dmt-nobody from network "),
        "{error}"
    );
    let done = format!(
        "done before: disconnect container {} from network {name}",
        containers[0]
    );
    assert!(error.contains(&done), "{error}");
    manage(json!({ "name": name, "action": "connect", "containers": [containers[0]] })).await;
    manage(json!({ "name": name, "action": "disconnect", "containers": containers })).await;
    assert_eq!(
        manage(json!({ "name": name, "action": "remove" })).await,
        format!("removed network {name}")
    );
    scope.finish().await;
    server.end().await;
}
