//! What happens without a request: changed lists, watched resources, log messages.

use serde_json::{Value, json};
use testkit::{McpClient, eventually};

use crate::rig::{Fake, MODERN, Over, Rig, TOKEN};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

fn note(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

#[tokio::test]
async fn a_changed_list_is_announced_and_read_anew() {
    let rig = Rig::before(Fake::with_tools(&["echo"], 10), |_| {});
    let authority = rig.http().await;
    let http = McpClient::http(&authority, "/mcp", Some(TOKEN));
    http.initialize("2025-11-25").await;
    http.listen();
    let pipe = rig.client(Over::Stdio, "2025-06-18", json!({})).await;
    let modern = McpClient::http(&authority, "/mcp", Some(TOKEN));
    modern.modern(MODERN, &json!({}));
    let listening = modern
        .start(
            "subscriptions/listen",
            json!({"notifications": {"toolsListChanged": true}}),
        )
        .await;
    let other = McpClient::http(&authority, "/mcp", Some(TOKEN));
    other.modern(MODERN, &json!({}));
    let elsewhere = other
        .start(
            "subscriptions/listen",
            json!({"notifications": {"promptsListChanged": true}}),
        )
        .await;
    for client in [&modern, &other] {
        client
            .notification("notifications/subscriptions/acknowledged")
            .await;
    }
    assert_eq!(pipe.tools().await.len(), 1);

    rig.fake.set_tools(&["echo", "text"]);
    // Until the GET stream is there, a notification has nowhere to go.
    eventually("the change on the stream", async || {
        rig.fake
            .send(&note("notifications/tools/list_changed", &json!({})))
            .await;
        http.notifications("notifications/tools/list_changed").pop()
    })
    .await;
    pipe.notification("notifications/tools/list_changed").await;
    let tagged = modern.notification("notifications/tools/list_changed").await;
    assert_eq!(tagged["_meta"][SUBSCRIPTION], listening.id);
    assert_eq!(pipe.tools().await.len(), 2);
    assert!(
        other.notifications("notifications/tools/list_changed").is_empty(),
        "not asked for"
    );
    let acknowledged = other
        .notification("notifications/subscriptions/acknowledged")
        .await;
    assert_eq!(acknowledged["notifications"], json!({"promptsListChanged": true}));
    assert_eq!(acknowledged["_meta"][SUBSCRIPTION], elsewhere.id);
    assert!(listening.is_open() && elsewhere.is_open());
    assert!(rig.end().await);
    // The gateway's end is the subscription's.
    assert_eq!(listening.answer().await.unwrap()["_meta"][SUBSCRIPTION], 1);
}

#[tokio::test]
async fn a_resource_is_watched_once_for_all() {
    let rig = Rig::new();
    let one = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let two = rig.client(Over::Stdio, "2025-03-26", json!({})).await;
    let three = rig.client(Over::Stdio, MODERN, json!({})).await;
    let watched = json!({"uri": "fake://a"});
    for client in [&one, &one, &two] {
        assert_eq!(
            client.request("resources/subscribe", watched.clone()).await,
            Ok(json!({}))
        );
    }
    let filter = json!({"notifications": {"resourceSubscriptions": ["fake://a", 7]}});
    let listening = three.start("subscriptions/listen", filter).await;
    let acknowledged = three
        .notification("notifications/subscriptions/acknowledged")
        .await;
    assert_eq!(
        acknowledged["notifications"],
        json!({"resourceSubscriptions": ["fake://a"]})
    );
    assert_eq!(rig.fake.lines_of("resources/subscribe").len(), 1);

    for uri in ["fake://b", "fake://a"] {
        rig.fake
            .send(&note(
                "notifications/resources/updated",
                &json!({"uri": uri, "vendor": 1}),
            ))
            .await;
    }
    for client in [&one, &two, &three] {
        let mut seen = client.notification("notifications/resources/updated").await;
        seen.as_object_mut().unwrap().remove("_meta");
        assert_eq!(seen, json!({"uri": "fake://a", "vendor": 1}));
        assert_eq!(client.notifications("notifications/resources/updated").len(), 1);
    }

    one.request("resources/unsubscribe", watched).await.unwrap();
    three
        .notify("notifications/cancelled", json!({"requestId": listening.id}))
        .await;
    // A client that leaves watches no more.
    drop(two);
    rig.fake.until("resources/unsubscribe", 1).await;
    assert!(rig.end().await);
}

#[tokio::test]
async fn log_messages_come_from_the_level_that_was_set() {
    let rig = Rig::new();
    let (loud, silent) = (
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
    );
    loud.request("logging/setLevel", json!({"level": "warning"}))
        .await
        .unwrap();
    // No server is started for it; one that starts is told.
    assert_eq!(rig.fake.starts(), 0);
    loud.tools().await;
    assert!(rig.fake.until("logging/setLevel", 1).await[0].contains("warning"));
    for level in ["info", "error"] {
        let params = json!({"level": level, "data": format!("DB_PASSWORD=hunter2 {level}")});
        rig.fake.send(&note("notifications/message", &params)).await;
    }
    let seen = loud.notification("notifications/message").await;
    assert_eq!(
        seen,
        json!({"level": "error", "data": "DB_PASSWORD=[redacted] error"})
    );
    loud.request("ping", json!({})).await.unwrap();
    assert_eq!(loud.notifications("notifications/message").len(), 1);
    assert!(silent.notifications("notifications/message").is_empty());
    assert!(rig.end().await);
}

/// What a server goes on to say of a call that was given up is nobody else's.
#[tokio::test]
async fn what_is_logged_of_a_call_that_was_given_up_reaches_nobody() {
    let rig = Rig::new();
    let (one, other) = (
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
    );
    for client in [&one, &other] {
        client
            .request("logging/setLevel", json!({"level": "info"}))
            .await
            .unwrap();
    }
    let said = |data: &str| note("notifications/message", &json!({"level": "info", "data": data}));
    let call = one
        .start("tools/call", json!({"name": "slow", "arguments": {}}))
        .await;
    eventually("the call", async || (rig.fake.parked() == 1).then_some(())).await;
    one.notify("notifications/cancelled", json!({"requestId": call.id}))
        .await;
    rig.fake.until("notifications/cancelled", 1).await;
    rig.fake.send(&said("of the call")).await;
    // The server has answered, so nothing more can be about it.
    rig.fake.release().await;
    rig.fake.send(&said("of the server")).await;
    let seen = other.notification("notifications/message").await;
    assert_eq!(seen["data"], "of the server");
    assert_eq!(other.notifications("notifications/message").len(), 1);
    assert!(rig.end().await);
}

#[tokio::test]
async fn one_client_watches_so_many_and_no_more() {
    let rig = Rig::within(|limits| limits.watched = 2);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    for (uri, accepted) in [
        ("fake://1", true),
        ("fake://2", true),
        ("fake://2", true),
        ("fake://3", false),
    ] {
        let answer = client.request("resources/subscribe", json!({"uri": uri})).await;
        assert_eq!(answer.is_ok(), accepted, "{uri}");
    }
    assert!(rig.end().await);
}
