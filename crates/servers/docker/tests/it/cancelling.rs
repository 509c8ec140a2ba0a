//! Cancelled calls, as the engine sees them: the request ends at once, and the server goes on.
#![expect(clippy::panic, reason = "a test may fail loudly")]

use crate::here::{Server, Setup, settings};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Daemon, Relay, Scope};

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
        .unwrap_or_else(|_| panic!("{tool}: the request with {part} goes on"));
    // The server answers others, and ends without waiting for what was cancelled.
    server.ok("ping_engine", json!({})).await;
    tokio::time::timeout(AT_ONCE, server.end())
        .await
        .unwrap_or_else(|_| panic!("{tool}: the server waits for it"));
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
        let relay = Relay::holding(&Daemon::here(), part);
        let arguments = json!({ "container": container, "condition": condition, "timeout": "10m" });
        check(&relay, "wait_container", arguments, part).await;
    }
    let relay = Relay::holding(&Daemon::here(), "/logs?");
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
    let relay = Relay::holding(&Daemon::here(), "/wait?");
    let mut arguments = settings(&scope, "long", &["sleep", "1000"]).await;
    arguments["wait"] = true.into();
    check(&relay, "create_container", arguments, "/wait?").await;
    scope.finish().await;
}
