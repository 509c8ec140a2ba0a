//! What is particular to the pipe: beginning, end, and lines that are no messages.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Scope;

use crate::harness::Dockmaster;

const VERSION: &str = "2025-11-25";

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_input_ends_it() {
    let client = Dockmaster::new().client(&[]);
    client.initialize(VERSION).await;
    let begun = Instant::now();
    assert!(client.close().await.success());
    assert!(begun.elapsed() < Duration::from_secs(3));
    // Also when nothing was said at all.
    assert!(Dockmaster::new().client(&[]).close().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it() {
    for signal in ["TERM", "INT"] {
        let client = Dockmaster::new().client(&[]);
        client.initialize(VERSION).await;
        let killed = std::process::Command::new("kill")
            .args(["-s", signal, &client.pid().to_string()])
            .status();
        assert!(killed.unwrap().success());
        testkit::eventually("the end of the process", async || {
            client.is_closed().then_some(())
        })
        .await;
        assert!(client.close().await.success(), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_has_nothing_but_messages() {
    let client = Dockmaster::new().client(&["--print-client", "--log-level", "trace"]);
    client.initialize(VERSION).await;
    client.call("list_containers", json!({})).await.ok();
    assert_eq!(client.strays(), Vec::<String>::new());
    assert!(client.stderr().contains("mcpServers"));
    assert!(!client.stderr().contains("bollard"), "{}", client.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_no_json_is_answered_and_the_next_one_served() {
    let client = Dockmaster::new().client(&[]);
    client.initialize(VERSION).await;
    client
        .send_line("{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\":")
        .await;
    let stray: Value = serde_json::from_str(&client.stray().await).unwrap();
    assert_eq!(stray["error"]["code"], -32700, "{stray}");
    client.call("list_containers", json!({})).await.ok();
}

/// What runs in a container when the client goes away is stopped, and nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_middle_of_a_call() {
    let scope = Scope::new("gone");
    let id = scope.run("gone", &["sleep", "120"]).await;
    let dockmaster = Dockmaster::new();
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let call = json!({"name": "execute_command_in_container", "arguments": {"container": id, "command": ["sleep", "111"]}});
    let pending = client.start("tools/call", call).await;
    let running = async || {
        let top = scope.daemon().get(&format!("/containers/{id}/top")).await.text();
        top.contains("sleep 111").then_some(())
    };
    testkit::eventually("the command", running).await;
    let begun = Instant::now();
    drop(pending);
    client.close().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let stopped = async || running().await.is_none().then_some(());
    testkit::eventually("the end of the command", stopped).await;
    assert_eq!(dockmaster.audit().len(), 1);
    scope.finish().await;
}
