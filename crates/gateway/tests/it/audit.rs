//! One row a call, and no answer without it.

use serde_json::json;
use store::Store;

use crate::rig::{MODERN, Over, Rig, TOKEN};

#[tokio::test]
async fn a_row_says_who_asked_what_and_how_it_ended() {
    let rig = Rig::new();
    let client = rig.client(Over::Http, "2025-11-25", json!({})).await;
    client
        .call("text", json!({"lines": 2, "password": "hunter2", "note": TOKEN}))
        .await
        .ok();
    let row = rig.rows.last();
    assert_eq!(
        (row.principal.as_str(), row.client.as_str()),
        ("ann", "testkit 1")
    );
    assert_eq!((row.server.as_str(), row.tool.as_str()), ("fake", "text"));
    assert_eq!(
        row.arguments,
        json!({"lines": 2, "password": "[redacted]", "note": "[redacted]"})
    );
    assert_eq!((row.decision.as_str(), row.outcome.as_str()), ("allow", "ok"));
    assert!(row.result_bytes > 30);

    client
        .try_call(
            "fail",
            json!({"error": r#"{"code":1,"message":"PASSWORD=hunter2 is wrong"}"#}),
        )
        .await
        .unwrap_err();
    assert_eq!(rig.rows.last().outcome, "failed: PASSWORD=[redacted] is wrong");
    client
        .call("raw", json!({"result": r#"{"content":[],"isError":true}"#}))
        .await;
    assert_eq!(rig.rows.last().outcome, "tool error");
    client.try_call("nonsense", json!({})).await.unwrap_err();
    let row = rig.rows.last();
    assert_eq!(
        (row.server.as_str(), row.tool.as_str(), row.decision.as_str()),
        ("", "nonsense", "none")
    );
    client
        .request("resources/read", json!({"uri": "fake://a"}))
        .await
        .unwrap();
    let row = rig.rows.last();
    assert_eq!(
        (row.tool.as_str(), row.arguments),
        ("resources.read", json!({"uri": "fake://a"}))
    );
    client
        .request("prompts/get", json!({"name": "greet", "arguments": {"who": "x"}}))
        .await
        .unwrap();
    let row = rig.rows.last();
    assert_eq!(
        (row.tool.as_str(), row.arguments),
        ("prompts.get", json!({"name": "greet", "arguments": {"who": "x"}}))
    );
    let status = rig.gateway.status();
    assert_eq!(
        (status.calls, status.calls_at_work, status.calls_failed),
        (6, 0, 3)
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_secret_in_what_a_client_names_stands_nowhere() {
    for (over, version) in [
        (Over::Stdio, "2025-11-25"),
        (Over::Http, "2025-11-25"),
        (Over::Http, MODERN),
    ] {
        let rig = Rig::new();
        let client = rig.client(over, version, json!({})).await;
        // The last is cut off where rows are.
        let long = format!("{}{TOKEN}", "x".repeat(195));
        for name in [TOKEN, &format!("nonsense-{TOKEN}"), &long] {
            let error = client.try_call(name, json!({})).await.unwrap_err();
            assert!(!error.message.contains(&TOKEN[..8]), "{error}");
        }
        let of = json!({"type": "ref/prompt", "name": TOKEN});
        let uri = format!("fake://{TOKEN}");
        for (method, params) in [
            ("prompts/get", json!({"name": TOKEN})),
            ("resources/read", json!({"uri": uri})),
            (
                "completion/complete",
                json!({"ref": of, "argument": {"name": "a", "value": "b"}}),
            ),
            (&format!("vendor/{TOKEN}"), json!({})),
        ] {
            let answer = client.request(method, params).await;
            assert!(!format!("{answer:?}").contains(TOKEN), "{method}: {answer:?}");
        }
        for line in rig.fake.all() {
            assert!(!line.contains(TOKEN), "the server is not told either: {line}");
        }
        for row in rig.rows.entries() {
            assert!(!format!("{row:?}").contains(&TOKEN[..8]), "{row:?}");
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn without_a_row_there_is_no_answer() {
    for (over, version) in [(Over::Stdio, "2025-11-25"), (Over::Http, MODERN)] {
        let rig = Rig::new();
        rig.rows.set_broken();
        let client = rig.client(over, version, json!({})).await;
        let error = client.try_call("change", json!({})).await.unwrap_err();
        assert_eq!(error.code, -32603);
        assert!(error.message.contains("the audit can't be written"), "{error}");
        assert!(
            error
                .message
                .contains("The call reached the server, but its answer is withheld"),
            "{error}"
        );
        let error = client.try_call("nonsense", json!({})).await.unwrap_err();
        assert!(error.message.contains("Nothing was done"), "{error}");
        assert!(
            client
                .request("resources/read", json!({"uri": "fake://a"}))
                .await
                .is_err()
        );
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn secrets_of_ours_neither_come_out_nor_go_in() {
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let echoed = client
        .call("echo", json!({"env": ["A=hunter2", format!("B={TOKEN}")]}))
        .await
        .ok()
        .text();
    assert!(echoed.contains(r#"["A=hunter2","B=[redacted]"]"#), "{echoed}");
    let leaked = json!({"content": [{"type": "text", "text": format!("x {TOKEN} y")}]}).to_string();
    assert_eq!(
        client.call("raw", json!({"result": leaked})).await.ok().text(),
        "x [redacted] y"
    );
    // Beside half of a surrogate pair, which many clients read, and as the name of a member. An escape hides it on its way in.
    let hidden = format!("\\u0074{}", &TOKEN[1..]);
    let leaked = format!(r#"{{"content":[{{"type":"text","text":"a\ud800 {hidden}"}}]}}"#);
    assert_eq!(
        client.call("raw", json!({"result": leaked})).await.ok().text(),
        "a\u{fffd} [redacted]"
    );
    let leaked = format!(r#"{{"content":[],"structuredContent":{{"by":{{"{hidden}":1}}}}}}"#);
    let named = client.call("raw", json!({"result": leaked})).await.ok();
    assert_eq!(named.0["structuredContent"], json!({"by": {"[redacted]": 1}}));
    let echoed = client.call("echo", json!({"by": {TOKEN: 1}})).await.ok().text();
    assert!(
        echoed.contains("[redacted]") && !echoed.contains(TOKEN),
        "{echoed}"
    );
    let leaked = json!({"code": 1, "message": format!("bad {TOKEN}")}).to_string();
    assert_eq!(
        client
            .try_call("fail", json!({"error": leaked}))
            .await
            .unwrap_err()
            .message,
        "bad [redacted]"
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn rows_stand_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("state.db"));
    let journal = std::sync::Arc::new(store.clone());
    let rig = Rig::with(|parts| parts.journal = journal);
    let client = rig.client(Over::Http, "2025-11-25", json!({})).await;
    let mut calls = Vec::new();
    for _ in 0..64 {
        calls.push(client.start("tools/call", json!({"name": "change"})).await);
    }
    for call in calls {
        call.answer().await.unwrap();
    }
    assert_eq!(store.audit().list(&store::Filter::default()).unwrap().len(), 64);
    store.close().await;
    assert!(
        client
            .try_call("change", json!({}))
            .await
            .unwrap_err()
            .message
            .contains("the audit can't be written")
    );
    assert!(rig.end().await);
}
