//! Bodies pass as they came; ids, tokens, cancellation and failures are kept apart.

use std::time::Duration;

use gateway::{Limits, Parts};
use serde_json::{Value, json};
use testkit::eventually;

use crate::rig::{Fake, LEGACY, MODERN, Over, Rig};

#[tokio::test]
async fn results_and_arguments_pass_as_they_were_written() {
    let result = r#"{ "z":1, "content":[{"type":"hologram","n":12345678901234567890123,"a":{}} ],"isError":false, "x":1.50, "a":[ ] }"#;
    let arguments =
        r#"{"result":"{\"content\":[]}", "z":1.0,"big":98765432109876543210987,"a":{"ü":"\u0041"}}"#;
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, "2025-06-18", json!({})).await;
    let call = json!({"name": "raw", "arguments": {"result": result}});
    let line = format!(r#"{{"jsonrpc":"2.0","id":"r","method":"tools/call","params":{call}}}"#);
    client.send_line(&line).await;
    assert_eq!(
        client.stray().await,
        format!(r#"{{"jsonrpc":"2.0","id":"r","result":{result}}}"#)
    );

    let params = format!(r#"{{"vendor":{{"k":[1,  2]}},"name":"raw","arguments":{arguments}}}"#);
    client
        .send_line(&format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#
        ))
        .await;
    let seen = rig.fake.until("tools/call", 2).await;
    assert!(seen[1].contains(&format!(r#""params":{params}"#)), "{}", seen[1]);
    assert!(rig.end().await);
}

#[tokio::test]
async fn tool_definitions_pass_whole() {
    let rig = Rig::new();
    for version in LEGACY.into_iter().chain([MODERN]) {
        let client = rig.client(Over::Stdio, version, json!({})).await;
        let tools = client.tools().await;
        assert_eq!(tools[0]["vendor"], json!({"keeps": 12_345_678_901_234_567_u64}));
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn errors_pass_with_their_data() {
    let rig = Rig::new();
    let error = r#"{"code":-32011,"message":"full","data":{"left":12345678901234567890123},"extra":1}"#;
    let client = rig.client(Over::Stdio, "2025-06-18", json!({})).await;
    let call = json!({"name": "fail", "arguments": {"error": error}});
    client
        .send_line(&format!(
            r#"{{"jsonrpc":"2.0","id":"e","method":"tools/call","params":{call}}}"#
        ))
        .await;
    assert_eq!(
        client.stray().await,
        format!(r#"{{"jsonrpc":"2.0","id":"e","error":{error}}}"#)
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn what_belongs_to_one_hop_stays_there() {
    let rig = Rig::new();
    let client = rig.client(Over::Http, MODERN, json!({"elicitation": {}})).await;
    let params = json!({
        "name": "echo", "arguments": {"a": 1}, "requestState": "x", "inputResponses": {},
        "_meta": {"progressToken": "mine", "traceparent": "00-1-2-01", "io.modelcontextprotocol/logLevel": "info"},
    });
    client.request("tools/call", params).await.unwrap();
    let seen: Value = serde_json::from_str(&rig.fake.lines_of("tools/call")[0]).unwrap();
    let seen = &seen["params"];
    assert_eq!(seen["_meta"]["traceparent"], "00-1-2-01");
    assert!(seen["_meta"]["progressToken"].is_u64());
    assert_eq!(seen["_meta"].as_object().unwrap().len(), 2);
    assert_eq!(
        seen.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["name", "arguments", "_meta"]
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn progress_comes_under_the_clients_token() {
    for version in LEGACY.into_iter().chain([MODERN]) {
        for over in [Over::Stdio, Over::Http] {
            let rig = Rig::new();
            let client = rig.client(over, version, json!({})).await;
            let params = json!({"name": "report", "_meta": {"progressToken": "tok \u{e9}"}});
            assert!(client.request("tools/call", params).await.is_ok());
            let seen = eventually("three notifications", async || {
                Some(client.notifications("notifications/progress")).filter(|seen| seen.len() == 3)
            });
            for (at, note) in seen.await.into_iter().enumerate() {
                let wanted = json!({"progressToken": "tok \u{e9}", "progress": at + 1, "total": 3, "vendor": {"x": 1}});
                assert_eq!(note, wanted, "{version} {over:?}");
            }
            // Without a token there is none.
            client.call("report", json!({})).await;
            assert_eq!(client.notifications("notifications/progress").len(), 3);
            assert!(rig.end().await);
        }
    }
}

#[tokio::test]
async fn a_slow_call_delays_no_other() {
    for (over, version) in [
        (Over::Stdio, "2025-11-25"),
        (Over::Http, "2025-11-25"),
        (Over::Http, MODERN),
    ] {
        let rig = Rig::new();
        let client = rig.client(over, version, json!({})).await;
        let slow = client.start("tools/call", json!({"name": "slow"})).await;
        let mut quick = Vec::new();
        for _ in 0..64 {
            quick.push(client.start("tools/call", json!({"name": "change"})).await);
        }
        for call in quick {
            assert_eq!(call.answer().await.unwrap()["content"][0]["text"], "change done");
        }
        assert!(slow.is_open());
        rig.fake.release().await;
        assert_eq!(slow.answer().await.unwrap()["content"][0]["text"], "released");
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn equal_ids_of_two_clients_do_not_meet() {
    let rig = Rig::new();
    let (one, other) = (
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
        rig.client(Over::Stdio, "2025-11-25", json!({})).await,
    );
    let first = one.start("tools/call", json!({"name": "slow"})).await;
    rig.fake.until("tools/call", 1).await;
    let second = other.start("tools/call", json!({"name": "slow"})).await;
    assert_eq!(first.id, second.id);
    rig.fake.release().await;
    assert!(first.answer().await.is_ok());
    assert!(second.is_open());
    rig.fake.release().await;
    assert!(second.answer().await.is_ok());
    assert!(rig.end().await);
}

#[tokio::test]
async fn an_id_in_use_is_refused() {
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let call = r#"{"jsonrpc":"2.0","id":"twice","method":"tools/call","params":{"name":"slow"}}"#;
    client.send_line(call).await;
    client.send_line(call).await;
    let refused = client.stray().await;
    assert!(
        refused.contains("-32600") && refused.contains("still at work"),
        "{refused}"
    );
    rig.fake.release().await;
    assert!(rig.end().await);
}

#[tokio::test]
async fn cancelling_reaches_the_server() {
    for (over, version) in [
        (Over::Stdio, "2024-11-05"),
        (Over::Stdio, MODERN),
        (Over::Http, "2025-11-25"),
    ] {
        let rig = Rig::new();
        let client = rig.client(over, version, json!({})).await;
        let slow = client.start("tools/call", json!({"name": "slow"})).await;
        rig.fake.until("tools/call", 1).await;
        client
            .notify(
                "notifications/cancelled",
                json!({"requestId": slow.id, "reason": "enough"}),
            )
            .await;
        rig.fake.until("notifications/cancelled", 1).await;
        eventually("the row", async || rig.rows.seen().into_iter().next()).await;
        assert_eq!(
            rig.rows.seen(),
            ["fake/slow allow cancelled"],
            "{over:?} {version}"
        );
        // The late answer finds nobody, and nothing else is disturbed.
        rig.fake.release().await;
        assert_eq!(client.call("change", json!({})).await.ok().text(), "change done");
        if over == Over::Stdio {
            assert!(slow.is_open(), "a cancelled request gets no answer");
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn closing_the_response_cancels_in_the_modern_era_only() {
    let rig = Rig::new();
    for (version, cancelled) in [(MODERN, 1), ("2025-11-25", 1)] {
        let client = rig.client(Over::Http, version, json!({})).await;
        let before = rig.fake.lines_of("tools/call").len();
        let slow = client.start("tools/call", json!({"name": "slow"})).await;
        rig.fake.until("tools/call", before + 1).await;
        slow.hang_up();
        if version == MODERN {
            rig.fake.until("notifications/cancelled", 1).await;
        } else {
            // Its answer is written down like any other, though nobody hears it.
            rig.fake.release().await;
            eventually("the row", async || {
                rig.rows
                    .seen()
                    .last()
                    .filter(|row| row.ends_with("allow ok"))
                    .cloned()
            })
            .await;
        }
        assert_eq!(
            rig.fake.lines_of("notifications/cancelled").len(),
            cancelled,
            "{version}"
        );
        // The one that the modern client gave up still waits in the fake.
        while rig.fake.parked() > 0 {
            rig.fake.release().await;
        }
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_server_that_dies_fails_its_calls_and_comes_back() {
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let slow = client.start("tools/call", json!({"name": "slow"})).await;
    rig.fake.until("tools/call", 1).await;
    let error = client.try_call("die", json!({})).await.unwrap_err();
    assert_eq!(error.code, -32603);
    assert!(
        error
            .message
            .contains("server fake ended while it worked on tools/call"),
        "{error}"
    );
    assert!(slow.answer().await.is_err());
    assert_eq!(client.call("change", json!({})).await.ok().text(), "change done");
    assert_eq!(rig.fake.starts(), 2);
    assert_eq!(rig.gateway.status().servers[0].starts, 2);
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let rig = Rig::new();
    rig.fake.set_down(true);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let error = client.try_call("echo", json!({})).await.unwrap_err();
    assert_eq!(error.message, "server fake can't be started: the fake is down");
    assert!(client.request("tools/list", json!({})).await.is_err());
    rig.fake.set_down(false);
    assert!(client.try_call("echo", json!({})).await.is_ok());
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_call_has_a_time_limit() {
    let rig = Rig::within(|limits| limits.call = Duration::from_millis(50));
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let error = client.try_call("slow", json!({})).await.unwrap_err();
    assert!(
        error.message.contains("did not answer tools/call within"),
        "{error}"
    );
    rig.fake.until("notifications/cancelled", 1).await;
    assert!(rig.end().await);
}

#[tokio::test]
async fn noise_of_a_server_is_survived() {
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let lines = [
        "Starting server...",
        "",
        "{",
        "[]",
        r#"{"jsonrpc":"2.0","id":999,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"x","result":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/unheard-of","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"none","progress":1}}"#,
        r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{}}"#,
    ];
    assert_eq!(
        client.call("say", json!({"lines": lines})).await.ok().text(),
        "said"
    );
    eventually("answers to the server's requests", async || {
        let lines = rig.fake.all();
        let has = |text: &str| lines.iter().any(|line| line.contains(text));
        (has(r#""id":"p","result":{}"#) && has(r#""id":"s","error":{"code":-32601"#)).then_some(())
    })
    .await;
    assert_eq!(rig.fake.starts(), 1);
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection_only() {
    let rig = Rig::within(|limits| limits.answer_bytes = 10_000);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let error = client
        .try_call("text", json!({"lines": 1_000}))
        .await
        .unwrap_err();
    assert!(error.message.contains("ended while"), "{error}");
    assert_eq!(client.call("change", json!({})).await.ok().text(), "change done");
    assert!(rig.end().await);
}

#[tokio::test]
async fn all_pages_are_read_and_given_out_in_ours() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let rig = Rig::before(Fake::with_tools(&names, 3), |parts| parts.limits.page = 2);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let page = client.request("tools/list", json!({})).await.unwrap();
    assert_eq!(page["tools"].as_array().unwrap().len(), 2);
    let listed: Vec<_> = client
        .tools()
        .await
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, names);
    assert_eq!(rig.fake.lines_of("tools/list").len(), 3, "lists are remembered");
    assert!(rig.end().await);
}

#[tokio::test]
async fn names_that_two_servers_have_get_prefixes() {
    let (one, other) = (
        Fake::with_tools(&["echo", "change"], 10),
        Fake::with_tools(&["echo", "text"], 10),
    );
    let second = other.clone();
    let rig = Rig::before(one, |parts: &mut Parts| {
        parts.servers.push(second.server("second"));
    });
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let listed: Vec<_> = client
        .tools()
        .await
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, ["fake_echo", "change", "second_echo", "text"]);
    client.call("second_echo", json!({})).await.ok();
    assert_eq!(rig.rows.last().server, "second");
    assert!(other.until("tools/call", 1).await[0].contains(r#""name":"echo""#));
    let hello = rig.connect(Over::Stdio).await.initialize("2025-11-25").await;
    assert_eq!(
        hello["instructions"],
        "## fake\nAbout fake.\n\n## second\nAbout second."
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn one_server_that_is_down_does_not_hide_the_other() {
    let other = Fake::with_tools(&["text"], 10);
    let second = other.clone();
    let rig = Rig::before(Fake::new(), |parts: &mut Parts| {
        parts.servers.push(second.server("second"));
        parts.limits = Limits {
            start: Duration::from_secs(2),
            ..Limits::default()
        };
    });
    rig.fake.set_down(true);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    assert_eq!(client.tools().await.len(), 1);
    rig.fake.set_down(false);
    assert_eq!(client.tools().await.len(), 12);
    assert!(rig.end().await);
}

#[tokio::test]
async fn names_that_are_not_listed_are_found() {
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    assert_eq!(
        client.call("unlisted", json!({})).await.ok().text(),
        "unlisted done"
    );
    assert_eq!(
        client.call("rm", json!({"really": false})).await.ok().text(),
        "remove done"
    );
    assert_eq!(
        rig.rows.seen(),
        ["fake/unlisted allow ok", "fake/remove allow ok"]
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_name_that_is_none_is_answered_with_those_near_it() {
    let rig = Rig::ruled(policy::Rules {
        preset: policy::Preset::ReadOnly,
        ..policy::Rules::default()
    });
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    for (name, wanted) in [
        ("repot", r#"there is no tool "repot"; near it: report"#),
        ("Ecco", r#"there is no tool "Ecco"; near it: echo"#),
        // What the rules hide is not given away.
        ("removed", r#"there is no tool "removed""#),
        ("far-away", r#"there is no tool "far-away""#),
    ] {
        let error = client.try_call(name, json!({})).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (-32602, wanted));
    }
    assert!(rig.end().await);
}
