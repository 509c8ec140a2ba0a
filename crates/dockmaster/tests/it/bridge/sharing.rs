//! Who shares a server behind a bridge: the same as without one.

use serde_json::json;
use testkit::{McpClient, eventually};

use super::Bridged;
use super::passing::{web, with_talker};
use super::talker::{Ear, all, answer};
use crate::servers::gone;

/// The number of the call, and the container.
async fn count(ear: &Ear) -> (u32, String) {
    let said = ear.call("count").await;
    let parts: Vec<_> = said.split(' ').collect();
    match parts.as_slice() {
        ["call", number, "at", place] => (number.parse().unwrap(), (*place).to_owned()),
        _ => panic!("{said}"),
    }
}

/// Counts of two clients of one gateway over HTTP and of one over stdio, each called twice, and in how many containers.
async fn counts(bridged: &Bridged) -> ([u32; 6], usize) {
    let web = web(bridged).await;
    let client = || McpClient::http(&web.authority, "/mcp", Some(&web.token()));
    let (one, two) = (Ear::legacy(client()).await, Ear::legacy(client()).await);
    let other = Ear::legacy(bridged.client(&[])).await;
    let mut numbers = Vec::new();
    let mut places = std::collections::BTreeSet::new();
    for ear in [&one, &two, &other, &one, &two, &other] {
        let (number, place) = count(ear).await;
        numbers.push(number);
        places.insert(place);
    }
    other.client.close().await;
    web.stop().await;
    (numbers.try_into().unwrap(), places.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_at_what_is_another_s() {
    for (sharing, wanted) in [
        ("everyone", ([1, 2, 3, 4, 5, 6], 1)),
        // Over HTTP it is the bearer of the token, over stdio the local user.
        ("principal", ([1, 2, 1, 3, 4, 2], 2)),
        ("session", ([1, 1, 1, 2, 2, 2], 3)),
        ("call", ([1; 6], 6)),
    ] {
        let name = format!("shared-{sharing}");
        let bridged = with_talker(&name, &format!("sharing = '{sharing}'\n")).await;
        bridged.install();
        assert_eq!(counts(&bridged).await, wanted, "{sharing}");
        if sharing == "call" {
            gone(&name).await;
        }
        bridged.uninstall().await;
        gone(&name).await;
    }
}

/// What a server logs outside of any call is heard by those who share it, and by nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_outside_of_calls_is_for_those_who_share() {
    for (sharing, wanted) in [
        ("everyone", [true, true, true]),
        ("principal", [true, true, false]),
        ("session", [true, false, false]),
    ] {
        let name = format!("logger-{sharing}");
        let bridged = with_talker(&name, &format!("sharing = '{sharing}'\n")).await;
        bridged.install();
        let web = web(&bridged).await;
        let client = || McpClient::http(&web.authority, "/mcp", Some(&web.token()));
        let (one, two) = (Ear::legacy(client()).await, Ear::legacy(client()).await);
        let other = Ear::legacy(bridged.client(&[])).await;
        let all = [&one, &two, &other];
        for (ear, is_http) in [(&one, true), (&two, true), (&other, false)] {
            ear.watch(is_http).await;
            ear.log_errors().await;
            ear.call("count").await;
        }
        let heard = |ear: &Ear| !ear.client.notifications("notifications/message").is_empty();
        eventually("what is logged", async || {
            one.call("later").await;
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let has_come = all.iter().zip(wanted).all(|(ear, wanted)| heard(ear) || !wanted);
            has_come.then_some(())
        })
        .await;
        assert_eq!(all.map(heard), wanted, "{sharing}");
        other.client.close().await;
        web.stop().await;
        bridged.uninstall().await;
        gone(&name).await;
    }
}

/// Two clients share a server that does not say in which call it asks, and both of their calls are at work: neither may be
/// asked what is the other's, nor hear what is said in the other's call.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_in_a_call_is_asked_of_nobody_else() {
    for sharing in ["everyone", "principal"] {
        let name = format!("asker-{sharing}");
        let bridged = with_talker(&name, &format!("sharing = '{sharing}'\n")).await;
        bridged.install();
        asked_of_nobody_else(&bridged).await;
        bridged.uninstall().await;
        gone(&name).await;
    }
}

async fn asked_of_nobody_else(bridged: &Bridged) {
    let web = web(bridged).await;
    let client = async || {
        let client = McpClient::http(&web.authority, "/mcp", Some(&web.token()));
        client.initialize_with(super::VERSION, all()).await;
        let level = json!({"level": "error"});
        client.request("logging/setLevel", level).await.unwrap();
        client
    };
    let (one, two) = (client().await, client().await);
    one.respond(|method, params| Some(answer(method, params)));
    let both = json!({"name": "both", "arguments": {}});
    let first = one.start("tools/call", both.clone()).await;
    eventually("the first call at work", async || {
        let said = two.call("waits", json!({})).await.text();
        (said == "1 wait, 0 cancelled").then_some(())
    })
    .await;
    let second = two.start("tools/call", both).await.answer().await.unwrap();
    assert_eq!(second["content"][0]["text"], "second");
    // The second call has ended, and only the first is left that may be meant.
    let first = first.answer().await.unwrap();
    let heard = "{~action~:~accept~,~content~:{~said~:~whose?~}}";
    let said = first["content"][0]["text"].as_str().unwrap();
    assert!(said.starts_with(heard), "{first}");
    assert_eq!(two.server_requests(), Vec::<serde_json::Value>::new());
    for client in [&one, &two] {
        assert_eq!(
            client.notifications("notifications/message"),
            Vec::<serde_json::Value>::new()
        );
    }
    web.stop().await;
}
