//! What servers of either era tell clients of either era about what is watched.

use serde_json::{Value, json};
use testkit::eventually;

use crate::actor::Manner;
use crate::meetings::{SERVERS, rig};
use crate::rig::{MODERN, Over};

#[tokio::test]
async fn changes_are_told_of_in_either_era() {
    for manner in SERVERS {
        let (rig, actor) = rig(manner);
        let old = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
        let new = rig.client(Over::Stdio, MODERN, json!({})).await;
        old.request("resources/subscribe", json!({"uri": "a:b"}))
            .await
            .unwrap();
        let filter = json!({"notifications": {"resourceSubscriptions": ["a:b"], "toolsListChanged": true}});
        let _listening = new.start("subscriptions/listen", filter).await;
        new.notification("notifications/subscriptions/acknowledged").await;
        let tag = |params: Value| {
            let mut params = params;
            if manner == Manner::Modern {
                let listen = actor.seen("subscriptions/listen").pop().unwrap();
                params["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": listen["id"]});
            }
            params
        };
        for (method, params) in [
            ("notifications/tools/list_changed", json!({})),
            ("notifications/resources/updated", json!({"uri": "a:b"})),
        ] {
            actor.send(json!({"jsonrpc": "2.0", "method": method, "params": tag(params.clone())}));
            assert_eq!(old.notification(method).await, params);
            assert_eq!(new.notification(method).await["uri"], params["uri"]);
        }
        old.request("resources/unsubscribe", json!({"uri": "a:b"}))
            .await
            .unwrap();
        assert!(rig.end().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_its_server_ends_is_opened_again() {
    let (rig, actor) = rig(Manner::Modern);
    let old = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    old.request("tools/list", json!({})).await.unwrap();
    let uri = json!({"uri": "a:b"});
    old.request("resources/subscribe", uri.clone()).await.unwrap();
    let listening = async |count| {
        eventually("subscriptions", async || {
            Some(actor.seen("subscriptions/listen")).filter(|seen| seen.len() == count)
        })
        .await
    };
    let wanted = |listen: &Value| listen["params"]["notifications"].clone();
    let first = listening(2).await;
    let lists = actor.seen("tools/list").len();
    for listen in &first {
        actor.send(json!({"jsonrpc": "2.0", "id": listen["id"], "result": {"resultType": "complete"}}));
    }
    let all = listening(4).await;
    let (before, after) = all.split_at(2);
    assert!(
        before
            .iter()
            .all(|listen| after.iter().any(|again| wanted(again) == wanted(listen)))
    );
    // What has changed meanwhile nobody told.
    assert_eq!(old.notification("notifications/resources/updated").await, uri);
    eventually("the lists", async || {
        (actor.seen("tools/list").len() > lists).then_some(())
    })
    .await;
    // What is watched already needs no other.
    let new = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    new.request("resources/subscribe", uri).await.unwrap();
    assert_eq!(actor.seen("subscriptions/listen").len(), 4);
    assert!(rig.end().await);
}

/// Two want to watch the same; the server refuses the first, and takes the second.
#[tokio::test]
async fn a_watch_that_fails_is_not_taken_for_anothers() {
    let (rig, actor) = rig(Manner::Legacy);
    let (one, two) = (
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
    );
    let uri = json!({"uri": "slow:a"});
    let first = one.start("resources/subscribe", uri.clone()).await;
    let asked = actor.until("resources/subscribe").await;
    let second = two.start("resources/subscribe", uri.clone()).await;
    two.request("ping", json!({})).await.unwrap();
    let error = json!({"code": -32603, "message": "not now"});
    actor.send(json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}));
    assert_eq!(first.answer().await.unwrap_err().message, "not now");
    let again = eventually("the second", async || {
        let seen = actor.seen("resources/subscribe");
        seen.get(1).cloned()
    })
    .await;
    actor.send(json!({"jsonrpc": "2.0", "id": again["id"], "result": {}}));
    second.answer().await.unwrap();
    actor.send(json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": uri}));
    assert_eq!(two.notification("notifications/resources/updated").await, uri);
    // The server knows; a third need not tell it.
    one.request("resources/subscribe", uri).await.unwrap();
    assert_eq!(actor.seen("resources/subscribe").len(), 2);
    assert!(rig.end().await);
}

/// One ends the last watch while another begins one: what the server hears in the end is that somebody watches.
#[tokio::test]
async fn a_watch_does_not_overtake_the_end_of_the_one_before() {
    let (rig, actor) = rig(Manner::Legacy);
    let (one, two) = (
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
    );
    let uri = json!({"uri": "slow:a"});
    let answer = |asked: &Value| actor.send(json!({"jsonrpc": "2.0", "id": asked["id"], "result": {}}));
    let first = one.start("resources/subscribe", uri.clone()).await;
    answer(&actor.until("resources/subscribe").await);
    first.answer().await.unwrap();
    one.request("resources/unsubscribe", uri.clone()).await.unwrap();
    let ended = actor.until("resources/unsubscribe").await;
    let second = two.start("resources/subscribe", uri.clone()).await;
    two.request("ping", json!({})).await.unwrap();
    assert_eq!(
        actor.seen("resources/subscribe").len(),
        1,
        "the server still works on the end of the first"
    );
    answer(&ended);
    let again = eventually("the second", async || {
        actor.seen("resources/subscribe").get(1).cloned()
    })
    .await;
    answer(&again);
    second.answer().await.unwrap();
    actor.send(json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": uri}));
    assert_eq!(two.notification("notifications/resources/updated").await, uri);
    assert_eq!(actor.seen("resources/unsubscribe").len(), 1);
    assert!(rig.end().await);
}
