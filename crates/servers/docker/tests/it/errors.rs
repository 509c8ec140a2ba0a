//! Errors that a model can act on.

use crate::here::{Setup, server, settings, with};
use engine::guard::Mode;
use serde_json::json;
use std::time::Duration;
use testkit::{DaemonDouble, Reply, Scope};

#[tokio::test]
async fn arguments_that_do_not_fit() {
    let server = server().await;
    for (tool, arguments, expected) in [
        (
            "start_container",
            json!({}),
            "invalid_arguments: parameter container is missing\nfix: container accepts text",
        ),
        (
            "start_container",
            json!({ "container": 5 }),
            "invalid_arguments: parameter container: it is the number `5`, expected text\nfix: container accepts text",
        ),
        (
            "list_containers",
            json!({ "al": true }),
            "invalid_arguments: unknown parameter \"al\"\nfix: did you mean all?",
        ),
        (
            "inspect_container",
            json!({ "container": "../../images/json" }),
            "invalid_arguments: parameter container: \"../../images/json\" is not a valid container name or id: use \
             letters, digits, '_', '.' and '-', the first a letter or digit",
        ),
    ] {
        assert_eq!(server.fails(tool, arguments).await, expected);
    }
    let error = server
        .fails("create_container", json!({ "image": "x", "privilegd": true }))
        .await;
    assert!(error.contains("did you mean privileged?"), "{error}");
    server.end().await;
}

#[tokio::test]
async fn an_argument_of_ten_megabytes() {
    let server = server().await;
    let error = server
        .fails("start_container", json!({ "container": "x".repeat(10 << 20) }))
        .await;
    assert!(error.contains("it is too long") && error.len() < 500, "{error}");
    let error = server
        .fails(
            "start_container",
            json!({ "container": "web", "x".repeat(1 << 20): 1 }),
        )
        .await;
    assert!(
        error.contains("unknown parameter") && error.len() < 500,
        "{error}"
    );
    server.end().await;
}

#[tokio::test]
async fn what_does_not_exist() {
    let scope = Scope::new("missing");
    scope.run("webserver", &["sleep", "600"]).await;
    let name = scope.name("webserver");
    let server = server().await;
    let wrong = name.replace("server", "sevrer");
    let error = server
        .fails("stop_container", json!({ "container": wrong }))
        .await;
    assert!(
        error.starts_with(&format!("not_found: no container is called {wrong}")),
        "{error}"
    );
    assert!(error.contains(&format!("did you mean {name} (up")), "{error}");
    let error = server
        .fails(
            "create_container",
            json!({ "image": "dockmaster-test/busybix:1" }),
        )
        .await;
    assert!(
        error.starts_with("not_found: image dockmaster-test/busybix:1 is not on this engine"),
        "{error}"
    );
    assert!(
        error.contains("pull_image") && error.contains("did you mean dockmaster-test/busybox:1"),
        "{error}"
    );
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn names_that_are_taken() {
    let scope = Scope::new("conflict");
    scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let name = scope.name("web");
    let error = server
        .fails("create_container", settings(&scope, "web", &["true"]).await)
        .await;
    assert!(
        error.starts_with(&format!(
            "name_in_use: the name {name} is taken by a container that is running"
        )),
        "{error}"
    );
    assert!(error.contains(&format!("use {name} as it is")), "{error}");
    let error = server
        .fails("remove_container", json!({ "container": name }))
        .await;
    assert!(
        error.starts_with("conflict: ") && error.contains("fix: stop it first, or pass force=true"),
        "{error}"
    );
    let error = server
        .fails("unpause_container", json!({ "container": name }))
        .await;
    assert!(error.contains("is not paused"), "{error}");
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn hosts_that_may_only_be_looked_at() {
    let scope = Scope::new("read-only");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = Setup {
        mode: Mode::ReadOnly,
        ..Setup::default()
    }
    .start()
    .await;
    server.ok("inspect_container", json!({ "container": id })).await;
    for (tool, arguments) in [
        ("stop_container", json!({ "container": id })),
        ("create_container", settings(&scope, "new", &["true"]).await),
        (
            "execute_command_in_container",
            json!({ "container": id, "command": "true" }),
        ),
    ] {
        let error = server.fails(tool, arguments).await;
        assert!(
            error.starts_with("refused: ") && error.contains("mode = "),
            "{tool}: {error}"
        );
    }
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn an_engine_that_is_not_there() {
    let server = Setup {
        endpoint: "unix:///nonexistent/docker.sock".into(),
        ..Setup::default()
    }
    .start()
    .await;
    let error = server.fails("list_containers", json!({})).await;
    assert!(
        error.starts_with("unreachable: can't reach the Docker Engine"),
        "{error}"
    );
    server.end().await;
}

#[tokio::test]
async fn an_engine_that_hangs() {
    let double = DaemonDouble::start(|seen| match seen.path() {
        path if path.ends_with("/_ping") => Reply::ping("1.41"),
        _ => Reply::Hang,
    });
    let setup = Setup {
        endpoint: double.endpoint(),
        timeout: Duration::from_millis(300),
        ..Setup::default()
    };
    let server = setup.start().await;
    let error = server.fails("list_containers", json!({})).await;
    assert!(
        error.starts_with("timeout: ") && error.contains("nothing has been changed"),
        "{error}"
    );
    let error = server
        .fails("start_container", json!({ "container": "web" }))
        .await;
    assert!(error.contains("may have happened all the same"), "{error}");
    server.end().await;
}

#[tokio::test]
async fn secrets_in_errors_are_hidden() {
    let double = DaemonDouble::start(|seen| match seen.path() {
        path if path.ends_with("/_ping") => Reply::ping("1.41"),
        _ => Reply::error(
            500,
            "cannot fetch https://user:hunter2@registry.example/x \u{1b}[31mred",
        ),
    });
    let server = Setup {
        endpoint: double.endpoint(),
        ..Setup::default()
    }
    .start()
    .await;
    let error = server.fails("list_containers", json!({})).await;
    assert!(
        !error.contains("hunter2") && !error.contains('\u{1b}') && error.contains("red"),
        "{error}"
    );
    server.end().await;
}

#[tokio::test]
async fn restarts_with_an_image_that_is_gone() {
    let scope = Scope::new("bad-image");
    scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let wanted = with(
        json!({ "container": scope.name("web") }),
        json!({ "image": "nope/nope:9" }),
    );
    let error = server.fails("recreate_container", wanted).await;
    assert!(error.starts_with("not_found: image nope/nope:9"), "{error}");
    let list = server
        .ok(
            "list_containers",
            json!({ "filters": { "label": scope.label() } }),
        )
        .await;
    assert!(
        list.contains(&scope.name("web")) && list.contains("up "),
        "{list}"
    );
    server.end().await;
    scope.finish().await;
}
