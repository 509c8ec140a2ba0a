//! Cancelled calls, as the engine sees them: the request ends at once, and the server goes on.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use crate::here::{Server, Setup, settings};
use crate::images::own;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Daemon, Relay, Scope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Long enough for a busy machine, and far below every time limit of a request.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn server_behind(relay: &Relay) -> Server {
    Setup {
        endpoint: relay.endpoint(),
        ..Setup::default()
    }
    .start()
    .await
}

/// Calls `tool`, cancels it when a request with `part` has been sent, and wants that request closed at once.
async fn check(relay: &Relay, tool: &str, arguments: Value, part: &str) {
    let server = server_behind(relay).await;
    let params = json!({ "name": tool, "arguments": arguments });
    let pending = server.client.start("tools/call", params).await;
    relay.open(part).await;
    server
        .client
        .notify("notifications/cancelled", json!({ "requestId": pending.id }))
        .await;
    tokio::time::timeout(AT_ONCE, relay.closed(part))
        .await
        .unwrap_or_else(|_| {
            let answered = !pending.is_open();
            panic!("{tool}: the request with {part} goes on; answered before it was cancelled: {answered}; sent: {}", relay.sent())
        });
    // The server answers others, and ends without waiting for what was cancelled.
    server.ok("ping_engine", json!({})).await;
    tokio::time::timeout(AT_ONCE, server.end())
        .await
        .unwrap_or_else(|_| panic!("{tool}: the server waits for it"));
}

/// A registry that says that it is one, and nothing more.
async fn mute_registry(tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.spawn(say_v2_only(connection));
        }
    });
    authority
}

async fn say_v2_only(mut connection: TcpStream) {
    let mut sent = Vec::new();
    let mut answered = 0;
    // Ends with the connection; a TLS greeting holds no line and gets no answer but the end.
    while connection.read_buf(&mut sent).await.is_ok_and(|read| read > 0) {
        if sent.first() == Some(&0x16) {
            return;
        }
        let text = String::from_utf8_lossy(&sent).into_owned();
        let heads = text.matches("GET /v2/ HTTP/1.1\r\n").count();
        if text.ends_with("\r\n\r\n") && heads > answered {
            answered = heads;
            let _ = connection
                .write_all(b"HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
    }
}

#[tokio::test]
async fn a_cancelled_push_is_closed_at_once() {
    let scope = Scope::new("cancel-push");
    let mut tasks = JoinSet::new();
    let registry = mute_registry(&mut tasks).await;
    let relay = Relay::before(&Daemon::here());
    let server = server_behind(&relay).await;
    let local = own(&scope, "pushed").await;
    let remote = format!("{registry}/{local}");
    server
        .ok("tag_image", json!({ "image": local, "target": remote }))
        .await;
    server.end().await;
    check(&relay, "push_image", json!({ "image": remote }), "/push?").await;
    // With the registry's end the engine gives up too, and the image can go.
    drop(tasks);
    testkit::eventually("the removal of the image", async || {
        let removed = Daemon::here().delete(&format!("/images/{remote}")).await;
        (removed.status == 200).then_some(())
    })
    .await;
    scope.finish().await;
}

#[tokio::test]
async fn a_cancelled_prune_is_closed_at_once() {
    let scope = Scope::new("cancel-prune");
    scope.create("stopped", json!({ "Cmd": ["true"] })).await;
    scope.network("idle").await;
    let filters = json!({ "label": scope.label() });
    for (tool, part) in [
        ("prune_containers", "/containers/prune?"),
        ("prune_networks", "/networks/prune?"),
    ] {
        let relay = Relay::holding(&Daemon::here(), part);
        let arguments = json!({ "filters": filters, "dry_run": false });
        check(&relay, tool, arguments, part).await;
    }
    scope.finish().await;
}

#[tokio::test]
async fn a_cancelled_wait_is_closed_at_once() {
    let scope = Scope::new("cancel-wait");
    let container = scope.run("busy", &["sleep", "1000"]).await;
    for (condition, part) in [("exit", "/wait?"), ("removed", "condition=removed")] {
        let relay = Relay::before(&Daemon::here());
        let arguments = json!({ "container": container, "condition": condition, "timeout": "10m" });
        check(&relay, "wait_container", arguments, part).await;
    }
    let relay = Relay::before(&Daemon::here());
    let arguments = json!({ "container": container, "log": "never said", "timeout": "10m" });
    check(&relay, "wait_container", arguments, "/logs?").await;
    let state = scope.daemon().get(&format!("/containers/{container}/json")).await;
    assert_eq!(state.json()["State"]["Running"], true, "only the wait ends");
    scope.finish().await;
}

/// Creating with `wait` waits for the end in the same call.
#[tokio::test]
async fn a_cancelled_run_closes_its_wait() {
    let scope = Scope::new("cancel-run-wait");
    let relay = Relay::before(&Daemon::here());
    let mut arguments = settings(&scope, "long", &["sleep", "1000"]).await;
    arguments["wait"] = true.into();
    check(&relay, "create_container", arguments, "/wait?").await;
    scope.finish().await;
}
