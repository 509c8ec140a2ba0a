//! Broken, huge and hasty input over the pipe; answers that are too long.

use std::time::Duration;

use gateway::{CancellationToken, Principal};
use serde_json::{Value, json};
use testkit::{McpClient, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{LEGACY, MODERN, Over, Rig};

#[tokio::test]
async fn bad_lines_are_answered_and_the_next_is_read() {
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    for (at, (line, code, id)) in [
        ("{", "-32700", ""),
        ("nonsense", "-32700", ""),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "-32600", ""),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "-32600", ""),
        (
            r#"{"jsonrpc":"1.0","id":"v","method":"ping"}"#,
            "-32600",
            r#""id":"v","#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"p","method":"ping","params":[]}"#,
            "-32602",
            r#""id":"p","#,
        ),
        ("[]", "-32600", ""),
        (r#"[{"jsonrpc":"2.0","id":"b","method":"ping"}]"#, "-32600", ""),
    ]
    .into_iter()
    .enumerate()
    {
        client.send_line(line).await;
        let seen = eventually("an error", async || client.strays().get(at).cloned()).await;
        assert!(
            seen.starts_with(&format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"#)),
            "{line}: {seen}"
        );
    }
    // Blank lines are no messages.
    client.send_line("").await;
    client.send_line("  ").await;
    assert_eq!(client.request("ping", json!({})).await, Ok(json!({})));
    assert_eq!(client.strays().len(), 8);
    assert!(rig.end().await);
}

#[tokio::test]
async fn ten_megabytes_are_refused_by_their_id_and_the_next_is_read() {
    for over in [Over::Stdio, Over::Http] {
        let rig = Rig::new();
        let client = rig.client(over, "2025-11-25", json!({})).await;
        let call = json!({"name": "echo", "arguments": {"x": "y".repeat(10 << 20)}});
        let error = client.request("tools/call", call).await.unwrap_err();
        assert!(
            error.code == -32600 && error.message.contains("at most 4194304"),
            "{over:?}: {error}"
        );
        assert_eq!(client.call("change", json!({})).await.ok().text(), "change done");
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn an_over_long_line_that_is_no_request_is_answered_to_nobody() {
    let rig = Rig::within(|limits| limits.message_bytes = 1_000);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    client.send_line(&"y".repeat(2_000)).await;
    let seen: Value = serde_json::from_str(&client.stray().await).unwrap();
    assert_eq!(
        (&seen["id"], &seen["error"]["code"]),
        (&Value::Null, &json!(-32600))
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn batches_belong_to_two_revisions() {
    for version in LEGACY {
        let rig = Rig::new();
        let client = rig.client(Over::Stdio, version, json!({})).await;
        client
            .send_line(concat!(
                r#"[{"jsonrpc":"2.0","id":"a","method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},"#,
                r#"{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"change"}},7]"#
            ))
            .await;
        let answer: Value = serde_json::from_str(&client.stray().await).unwrap();
        if version > "2025-03-26" {
            assert_eq!(answer["error"]["code"], -32600, "{version}");
        } else {
            let answers = answer.as_array().unwrap();
            assert_eq!(answers.len(), 3, "{version}: {answers:?}");
            let of = |id: &str| answers.iter().find(|answer| answer["id"] == id).unwrap();
            assert_eq!(of("a")["result"], json!({}));
            assert_eq!(of("b")["result"]["content"][0]["text"], "change done");
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn so_many_requests_at_a_time() {
    let rig = Rig::within(|limits| limits.in_flight = 2);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let (first, second) = (
        client.start("tools/call", json!({"name": "slow"})).await,
        client.start("tools/call", json!({"name": "slow"})).await,
    );
    let error = client.request("tools/list", json!({})).await.unwrap_err();
    assert!(error.message.contains("2 requests are at work"), "{error}");
    rig.fake.release().await;
    rig.fake.release().await;
    assert!(first.answer().await.is_ok() && second.answer().await.is_ok());
    assert!(client.request("tools/list", json!({})).await.is_ok());
    assert!(rig.end().await);
}

/// Sends `lines`, ends the input, and gives all that comes back.
async fn piped(rig: &Rig, lines: &[&str], release: usize) -> Vec<Value> {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (reader, writer) = tokio::io::split(theirs);
    let serving = rig
        .gateway
        .serve_stdio(Principal::new("local"), reader, writer, CancellationToken::new());
    let (mut reader, mut writer) = tokio::io::split(ours);
    let talking = async {
        for line in lines {
            writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
        writer.shutdown().await.unwrap();
        for _ in 0..release {
            rig.fake.release().await;
        }
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (served, answers) = tokio::join!(serving, talking);
    served.unwrap();
    answers
}

const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}}}}"#;

#[tokio::test]
async fn the_end_of_input_lets_work_end() {
    let rig = Rig::new();
    let slow = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow"}}"#;
    let answers = piped(&rig, &[HELLO, slow], 1).await;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[1]["result"]["content"][0]["text"], "released");
    assert!(rig.end().await);
}

#[tokio::test]
async fn the_end_of_input_does_not_wait_for_ever() {
    let rig = Rig::within(|limits| limits.drain = Duration::from_millis(50));
    let slow = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow"}}"#;
    let answers = piped(&rig, &[HELLO, slow], 0).await;
    assert_eq!(
        answers[1]["error"]["message"],
        "the call was cancelled before it ended"
    );
    rig.fake.until("notifications/cancelled", 1).await;
    assert!(rig.end().await);
}

#[tokio::test]
async fn nobody_can_answer_after_the_end_of_input() {
    let rig = Rig::new();
    let remove = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"remove"}}"#;
    let answers = piped(&rig, &[HELLO, remove], 0).await;
    let refused = answers
        .iter()
        .find(|answer| answer["id"] == 2 && answer.get("method").is_none())
        .unwrap();
    assert!(
        refused["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("nobody confirmed"),
        "{refused}"
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn subscriptions_end_with_the_input() {
    let rig = Rig::new();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"_meta": meta, "notifications": {"toolsListChanged": true}});
    let listen =
        json!({"jsonrpc": "2.0", "id": "s", "method": "subscriptions/listen", "params": params}).to_string();
    let answers = piped(&rig, &[&listen], 0).await;
    assert_eq!(answers[0]["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(answers[1]["result"]["resultType"], "complete");
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let rig = Rig::new();
    let (ours, theirs) = tokio::io::duplex(1 << 10);
    let (reader, writer) = tokio::io::split(theirs);
    let (stop, gateway) = (CancellationToken::new(), rig.gateway.clone());
    let mut tasks = tokio::task::JoinSet::new();
    let stopped = stop.clone();
    tasks.spawn(async move {
        gateway
            .serve_stdio(Principal::new("deaf"), reader, writer, stopped)
            .await
    });
    let (unread, mut writer) = tokio::io::split(ours);
    writer.write_all(format!("{HELLO}\n").as_bytes()).await.unwrap();
    for id in 2..100 {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "text", "arguments": {"lines": 100}}});
        writer.write_all(format!("{call}\n").as_bytes()).await.unwrap();
    }
    rig.fake.until("tools/call", 98).await;
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    assert_eq!(client.call("change", json!({})).await.ok().text(), "change done");
    drop((unread, writer));
    stop.cancel();
    assert!(tasks.join_next().await.unwrap().unwrap().is_ok());
    assert!(rig.end().await);
}

/// All pages of the rest of an answer, from that one on.
async fn rest(client: &McpClient, first: &str) -> String {
    let (mut text, mut uri) = (String::new(), first.to_owned());
    loop {
        let read = client
            .request("resources/read", json!({"uri": uri}))
            .await
            .unwrap();
        let page = read["contents"][0]["text"].as_str().unwrap();
        let Some((page, next)) = page.rsplit_once("\n[page ") else {
            text.push_str(page);
            return text;
        };
        text.push_str(page);
        next.rsplit_once(' ')
            .unwrap()
            .1
            .trim_end_matches(']')
            .clone_into(&mut uri);
    }
}

#[tokio::test]
async fn long_answers_are_cut_and_the_rest_can_be_read() {
    let whole = "0123456789 word\n".repeat(1_000);
    for version in LEGACY.into_iter().chain([MODERN]) {
        // 1,000 tokens are 4,000 bytes.
        let rig = Rig::within(|limits| limits.answer_tokens = 1_000);
        let client = rig.client(Over::Stdio, version, json!({})).await;
        assert_eq!(
            client.call("text", json!({"lines": 250})).await.ok().text(),
            "0123456789 word\n".repeat(250)
        );

        let answer = client.call("text", json!({"lines": 1_000})).await.ok();
        let blocks = answer.0["content"].as_array().unwrap();
        let has_link = blocks.iter().any(|block| block["type"] == "resource_link");
        assert_eq!(has_link, version >= "2025-06-18", "{version}");
        let note = blocks[1]["text"].as_str().unwrap();
        assert!(
            note.starts_with("[cut: 1000 of about 4000 tokens. The rest is at dockmaster://answer/"),
            "{note}"
        );

        let first = note
            .split(' ')
            .find(|word| word.starts_with("dockmaster://"))
            .unwrap();
        let text = format!(
            "{}{}",
            blocks[0]["text"].as_str().unwrap(),
            rest(&client, first).await
        );
        assert!(
            text == whole,
            "{version}: {} of {} bytes",
            text.len(),
            whole.len()
        );
        let gone = client
            .request("resources/read", json!({"uri": "dockmaster://answer/0/1"}))
            .await
            .unwrap_err();
        assert!(gone.message.contains("is not kept"), "{gone}");
        assert!(rig.end().await);
    }
}

/// Escapes, several blocks, one of them too long for what is left, and half of a surrogate pair, which is no way round.
#[tokio::test]
async fn long_answers_full_of_escapes_are_cut_and_come_back_whole() {
    // 100 tokens are 400 bytes.
    let rig = Rig::within(|limits| limits.answer_tokens = 100);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let first = "\\u00e9\\n\\\"".repeat(50);
    let second = "\\ud83d\\ude00€\\t".repeat(200);
    let result = format!(
        r#"{{"content":[{{"type":"text","text":"{first}"}},{{"type":"image","data":"QUJD","mimeType":"image/png"}},{{"type":"text","text":"{second}\ud800"}},{{"type":"text","text":"end"}}]}}"#
    );
    let answer = client.call("raw", json!({"result": result})).await.ok();
    let blocks = answer.0["content"].as_array().unwrap();
    let kinds: Vec<_> = blocks
        .iter()
        .map(|block| block["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["text", "image", "text", "text", "resource_link"]);
    let (shown, more) = (
        blocks[0]["text"].as_str().unwrap(),
        blocks[2]["text"].as_str().unwrap(),
    );
    assert_eq!(shown, "é\n\"".repeat(50));
    assert!(shown.len() + more.len() <= 400, "{}", more.len());
    let note = blocks[3]["text"].as_str().unwrap();
    // 2,150 bytes of text, of which one is cut off in the middle of a character.
    assert!(note.starts_with("[cut: 100 of about "), "{note}");
    let first = blocks[4]["uri"].as_str().unwrap();
    let text = format!("{shown}{more}{}", rest(&client, first).await);
    let whole = format!("{shown}{}\u{fffd}end", "😀€\t".repeat(200));
    assert_eq!(text, whole);
    assert!(rig.end().await);
}

#[tokio::test]
async fn what_is_no_text_is_not_cut() {
    let rig = Rig::within(|limits| limits.answer_tokens = 100);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let result = json!({
        "content": [
            {"type": "text", "text": "short"},
            {"type": "image", "data": "QUJD".repeat(1_000), "mimeType": "image/png"},
        ],
        "structuredContent": {"list": (0..1_000).collect::<Vec<_>>()},
    });
    assert_eq!(
        client
            .call("raw", json!({"result": result.to_string()}))
            .await
            .ok()
            .0,
        result
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn order_to_stop_drains() {
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let slow = client.start("tools/call", json!({"name": "slow"})).await;
    rig.fake.until("tools/call", 1).await;
    let fake = rig.fake.clone();
    let (ended, answer) = tokio::join!(rig.end(), async {
        fake.release().await;
        slow.answer().await
    });
    assert!(ended);
    assert_eq!(answer.unwrap()["content"][0]["text"], "released");
}
