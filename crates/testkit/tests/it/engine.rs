//! Daemon, image, scope and registry on a real engine.

use bytes::Bytes;
use serde_json::{Value, json};
use testkit::{Daemon, Registry, Scope, all_engines, image_on};

#[tokio::test]
async fn the_test_image_runs_on_every_engine() {
    for daemon in all_engines() {
        image_on(&daemon).await;
        let scope = Scope::on(daemon.clone(), "testkit-image");
        let id = scope
            .run("hello", &["sh", "-c", "echo hello from $(whoami)"])
            .await;
        let ended = daemon
            .post(&format!("/containers/{id}/wait"), &Value::Null)
            .await
            .ok()
            .json();
        assert_eq!(ended["StatusCode"], 0, "{}", daemon.endpoint());
        let logs = daemon.get(&format!("/containers/{id}/logs?stdout=1")).await.ok();
        assert!(logs.text().ends_with("hello from root\n"), "{}", logs.text());
        scope.finish().await;
    }
}

/// What bears the scope's label.
async fn survivors(daemon: &Daemon, label: &str) -> usize {
    let filters = format!("%7B%22label%22%3A%5B%22{}%22%5D%7D", label.replace('=', "%3D"));
    let mut count = 0;
    for path in [
        "/containers/json?all=1&filters=",
        "/networks?filters=",
        "/images/json?filters=",
    ] {
        count += daemon
            .get(&format!("{path}{filters}"))
            .await
            .ok()
            .json()
            .as_array()
            .map_or(0, Vec::len);
    }
    let volumes = daemon
        .get(&format!("/volumes?filters={filters}"))
        .await
        .ok()
        .json();
    count + volumes["Volumes"].as_array().map_or(0, Vec::len)
}

async fn fill(scope: &Scope) {
    scope.run("sleeper", &["sleep", "1000"]).await;
    scope.network("net").await;
    scope.volume("vol").await;
    let tag = scope.tag("copy").await;
    let build = format!(
        "/commit?container={}&repo={}",
        scope.name("sleeper"),
        scope.image("commit").replace(":1", "")
    );
    scope
        .daemon()
        .post(&build, &json!({ "Labels": scope.labels() }))
        .await
        .ok();
    assert_eq!(
        scope.daemon().get(&format!("/images/{tag}/json")).await.status,
        200
    );
    assert_eq!(survivors(scope.daemon(), &scope.label()).await, 4);
}

#[tokio::test]
async fn a_finished_scope_leaves_nothing() {
    let scope = Scope::new("testkit-finish");
    fill(&scope).await;
    let (daemon, label, tag) = (scope.daemon().clone(), scope.label(), scope.image("copy"));
    scope.finish().await;
    assert_eq!(survivors(&daemon, &label).await, 0);
    assert_eq!(daemon.get(&format!("/images/{tag}/json")).await.status, 404);
}

#[tokio::test]
async fn a_dropped_scope_leaves_nothing() {
    let scope = Scope::new("testkit-drop");
    fill(&scope).await;
    let (daemon, label) = (scope.daemon().clone(), scope.label());
    drop(scope);
    assert_eq!(survivors(&daemon, &label).await, 0);
}

/// Pushes a tag to `registry` and gives what the daemon said.
async fn push(scope: &Scope, registry: &Registry, credentials: &Value) -> String {
    let image = scope.tag("pushed").await;
    let repository = format!("{}/{}", registry.authority(), image.replace(":1", ""));
    let daemon = scope.daemon();
    daemon
        .post(
            &format!("/images/{image}/tag?repo={repository}&tag=1"),
            &Value::Null,
        )
        .await
        .ok();
    let auth = base64url(credentials.to_string().as_bytes());
    let answer = daemon
        .push(&format!("/images/{repository}/push?tag=1"), &auth)
        .await;
    daemon.delete(&format!("/images/{repository}:1")).await.ok();
    answer.text()
}

#[tokio::test]
async fn the_registry_asks_for_the_password_it_was_given() {
    let scope = Scope::new("testkit-registry");
    let open = Registry::start().await;
    assert!(push(&scope, &open, &json!({})).await.contains("digest: sha256"));

    let closed = Registry::start_with_password().await;
    let refused = push(&scope, &closed, &json!({})).await;
    assert!(refused.contains("no basic auth credentials"), "{refused}");
    let (user, password) = (Registry::CREDENTIALS.user, Registry::CREDENTIALS.password);
    let accepted = push(
        &scope,
        &closed,
        &json!({ "username": user, "password": password }),
    )
    .await;
    assert!(accepted.contains("digest: sha256"), "{accepted}");
    scope.finish().await;
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (word >> (18 - 6 * place)) as usize & 63;
            text.push(if place <= chunk.len() {
                ALPHABET[index].into()
            } else {
                '='
            });
        }
    }
    text
}

#[tokio::test]
async fn a_body_of_bytes_reaches_the_daemon() {
    let daemon = Daemon::here();
    let refused = daemon
        .post_bytes("/images/load", "application/x-tar", Bytes::from_static(b"no tar"))
        .await;
    assert!(
        refused.status >= 400 || refused.text().contains("error"),
        "{}",
        refused.text()
    );
    assert!(daemon.api_version().await >= (1, 41));
}
