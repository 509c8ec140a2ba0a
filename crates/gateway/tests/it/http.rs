//! What only HTTP has: who is let in, headers, sessions, streams.

use std::time::Duration;

use base::Secret;
use gateway::{BindError, HttpOptions, Key, Principal};
use serde_json::{Value, json};
use testkit::{HttpAnswer, McpClient, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{LEGACY, MODERN, OTHER_TOKEN, Over, Rig, TOKEN};

const BEARER: (&str, &str) = ("authorization", "Bearer token-of-ann-0123456789");
const JSON: (&str, &str) = ("content-type", "application/json");
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const HELLO: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;

/// An endpoint, for requests written by hand.
pub(crate) struct Wire {
    pub(crate) authority: String,
}

impl Wire {
    pub(crate) async fn new(rig: &Rig) -> Self {
        Self {
            authority: rig.http().await,
        }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> HttpAnswer {
        McpClient::http(&self.authority, path, None)
            .exchange(method, headers, body)
            .await
    }

    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
        let mut all = vec![BEARER, JSON, ACCEPT];
        all.retain(|(name, _)| !headers.iter().any(|(other, _)| name == other));
        all.extend_from_slice(headers);
        self.send("POST", "/mcp", &all, body).await
    }

    /// A modern request: its headers as they should be, but for `headers`.
    pub(crate) async fn modern(&self, headers: &[(&str, &str)], method: &str, params: Value) -> HttpAnswer {
        let name = params["name"]
            .as_str()
            .or(params["uri"].as_str())
            .map(ToOwned::to_owned);
        let mut all = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
        if let Some(name) = &name {
            all.push(("mcp-name", name));
        }
        all.retain(|(name, _)| !headers.iter().any(|(other, _)| name == other));
        all.extend(headers.iter().filter(|(_, value)| !value.is_empty()));
        self.post(&all, &modern(method, params)).await
    }

    pub(crate) async fn session(&self) -> String {
        self.post(&[], HELLO)
            .await
            .header("mcp-session-id")
            .unwrap()
            .to_owned()
    }
}

fn modern(method: &str, mut params: Value) -> String {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

pub(crate) fn code(answer: &HttpAnswer) -> (u16, i64) {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    (answer.status, body["error"]["code"].as_i64().unwrap_or_default())
}

#[tokio::test]
async fn who_is_let_in() {
    let rig = Rig::new();
    let wire = Wire::new(&rig).await;
    for (headers, status) in [
        (vec![BEARER], 200),
        (vec![BEARER, ("host", "localhost")], 200),
        (
            vec![
                BEARER,
                ("host", "localhost:1"),
                ("origin", "http://127.0.0.1:3000"),
            ],
            200,
        ),
        (vec![BEARER, ("host", "evil.example")], 403),
        (vec![BEARER, ("origin", "http://evil.example")], 403),
        (vec![BEARER, ("origin", "null")], 403),
        (vec![("authorization", "")], 401),
        (vec![("authorization", "Bearer nonsense")], 401),
        (
            vec![("authorization", "Bearer nonsense"), ("host", "evil.example")],
            403,
        ),
    ] {
        let answer = wire.post(&headers, HELLO).await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
        if status != 200 {
            assert_eq!(code(&answer).1, -32600, "plain JSON-RPC");
        }
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let answer = wire.send("GET", "/status", &[], "").await;
    assert_eq!(answer.status, 401);
    let answer = wire.send("GET", "/status", &[BEARER], "").await;
    let status: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &status["servers"][0]["name"]),
        (200, &json!("fake"))
    );
    let answer = wire.send("GET", "/health", &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    assert!(rig.end().await);
}

#[tokio::test]
async fn probes_of_clients_are_answered_at_once() {
    let rig = Rig::new();
    let wire = Wire::new(&rig).await;
    // What Codex asks before it speaks.
    for (method, path, status) in [
        ("GET", "/.well-known/oauth-protected-resource", 404),
        ("GET", "/.well-known/oauth-protected-resource/mcp", 404),
        ("GET", "/.well-known/oauth-authorization-server/mcp", 404),
        ("GET", "/.well-known/openid-configuration", 404),
        ("GET", "/mcp/.well-known/openid-configuration", 404),
        ("POST", "/register", 404),
        ("GET", "/", 404),
        ("GET", "/mcp", 405),
    ] {
        let answer = wire
            .send(method, path, &[("mcp-protocol-version", "2024-11-05")], "")
            .await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
    for method in ["PUT", "OPTIONS", "HEAD"] {
        assert_eq!(
            wire.send(method, "/mcp", &[BEARER], "").await.status,
            405,
            "{method}"
        );
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn what_is_sent_has_to_be_json_of_a_size() {
    let rig = Rig::within(|limits| limits.message_bytes = 1_000);
    let wire = Wire::new(&rig).await;
    let long = json!({"jsonrpc": "2.0", "id": 1, "method": "x".repeat(2_000)}).to_string();
    for (headers, body, wanted) in [
        (vec![("content-type", "text/plain")], HELLO, (415, -32600)),
        (
            vec![("content-type", "application/json; charset=utf-8")],
            HELLO,
            (200, 0),
        ),
        (vec![("accept", "text/html")], HELLO, (406, -32600)),
        (vec![("accept", "application/json")], HELLO, (200, 0)),
        (vec![("accept", "*/*")], HELLO, (200, 0)),
        (vec![], long.as_str(), (413, -32600)),
        (vec![], "", (400, -32700)),
        (vec![], "{", (400, -32700)),
        (vec![], "[]", (400, -32600)),
        (vec![], "7", (400, -32600)),
        (
            vec![],
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
            (400, -32602),
        ),
        (vec![("mcp-protocol-version", "1999-01-01")], HELLO, (400, -32022)),
        (
            vec![("mcp-protocol-version", "1999-01-01")],
            r#"{"jsonrpc":"2.0","method":"n"}"#,
            (400, -32022),
        ),
    ] {
        let answer = wire.post(&headers, body).await;
        assert_eq!(code(&answer), wanted, "{headers:?} {body}");
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn sessions_live_and_die() {
    let rig = Rig::new();
    let wire = Wire::new(&rig).await;
    let id = wire.session().await;
    let of = |id: &'static str| [("mcp-session-id", id)];
    let id: &'static str = id.leak();
    assert_eq!(wire.post(&of(id), PING).await.status, 200);
    // Gemini sends no version after the handshake, Codex another one.
    assert_eq!(
        wire.post(&[of(id)[0], ("mcp-protocol-version", "2024-11-05")], PING)
            .await
            .status,
        200
    );
    assert_eq!(
        wire.post(
            &of(id),
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#
        )
        .await
        .status,
        202
    );
    assert_eq!(
        wire.post(&of(id), r#"{"jsonrpc":"2.0","id":9,"result":{}}"#)
            .await
            .status,
        202
    );
    assert_eq!(wire.post(&[], PING).await.status, 400);
    assert_eq!(wire.post(&of("nonsense"), PING).await.status, 404);
    // The id of another principal is none.
    let bob = ("authorization", "Bearer token-of-bob-0123456789");
    assert!(bob.1.ends_with(OTHER_TOKEN));
    assert_eq!(wire.post(&[bob, of(id)[0]], PING).await.status, 404);
    assert_eq!(
        wire.send("DELETE", "/mcp", &[bob, of(id)[0]], "").await.status,
        404
    );
    assert_eq!(
        wire.send("GET", "/mcp", &[bob, of(id)[0], ACCEPT], "")
            .await
            .status,
        404
    );

    assert_eq!(rig.gateway.status().sessions, 1);
    assert_eq!(
        wire.send("DELETE", "/mcp", &[BEARER, of(id)[0]], "").await.status,
        204
    );
    assert_eq!(wire.post(&of(id), PING).await.status, 404);
    assert_eq!(
        wire.send("DELETE", "/mcp", &[BEARER, of(id)[0]], "").await.status,
        404
    );
    assert_eq!(rig.gateway.status().sessions, 0);
    assert!(rig.end().await);
}

#[tokio::test]
async fn sessions_are_bounded_in_number_and_time() {
    let rig = Rig::within(|limits| limits.sessions = 2);
    let wire = Wire::new(&rig).await;
    let (first, second) = (wire.session().await, wire.session().await);
    let of = |id: &str| [("mcp-session-id".to_owned(), id.to_owned())];
    let ping = async |id: &str| {
        let header = of(id);
        wire.post(&[(&header[0].0, &header[0].1)], PING).await.status
    };
    assert_eq!(ping(&first).await, 200);
    let third = wire.session().await;
    assert_eq!(
        (ping(&first).await, ping(&second).await, ping(&third).await),
        (200, 404, 200),
        "the idlest gave way"
    );
    assert!(rig.end().await);

    let rig = Rig::within(|limits| limits.session_idle = Duration::from_millis(40));
    let wire = Wire::new(&rig).await;
    wire.session().await;
    eventually("the end of the session", async || {
        (rig.gateway.status().sessions == 0).then_some(())
    })
    .await;
    assert!(rig.end().await);
}

#[tokio::test]
async fn plain_json_unless_something_comes_first() {
    let rig = Rig::within(|limits| {
        limits.quiet = Duration::from_millis(100);
        limits.keep_alive = Duration::from_millis(20);
    });
    let wire = Wire::new(&rig).await;
    let plain = wire.modern(&[], "tools/call", json!({"name": "echo"})).await;
    assert_eq!(plain.header("content-type"), Some("application/json"));
    let reported = json!({"name": "report", "_meta": {"progressToken": 1}});
    let streamed = wire.modern(&[], "tools/call", reported.clone()).await;
    assert_eq!(streamed.header("content-type"), Some("text/event-stream"));
    assert_eq!(streamed.header("x-accel-buffering"), Some("no"));
    let events: Vec<_> = streamed
        .body
        .split("\n\n")
        .filter(|event| !event.is_empty())
        .collect();
    assert_eq!(events.len(), 4);
    assert!(
        events
            .iter()
            .all(|event| event.starts_with("event: message\ndata: {")),
        "{events:?}"
    );
    assert!(events[3].contains("reported"));
    // Who takes no stream gets the answer alone, and who takes nothing else gets it in a stream.
    let alone = wire
        .modern(&[("accept", "application/json")], "tools/call", reported)
        .await;
    assert_eq!(alone.header("content-type"), Some("application/json"));
    let stream_only = wire
        .modern(
            &[("accept", "text/event-stream")],
            "tools/call",
            json!({"name": "echo"}),
        )
        .await;
    assert_eq!(stream_only.header("content-type"), Some("text/event-stream"));

    // A slow answer comes as a stream, kept alive by comments.
    let fake = rig.fake.clone();
    let (slow, ()) = tokio::join!(wire.modern(&[], "tools/call", json!({"name": "slow"})), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        fake.release().await;
    });
    assert_eq!(slow.header("content-type"), Some("text/event-stream"));
    assert!(
        slow.body.starts_with(":\n\n") && slow.body.contains("released"),
        "{}",
        slow.body
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn batches_of_a_session() {
    let rig = Rig::new();
    let authority = rig.http().await;
    let wire = Wire { authority };
    for version in LEGACY {
        let hello = HELLO.replace("2025-11-25", version);
        let id = wire
            .post(&[], &hello)
            .await
            .header("mcp-session-id")
            .unwrap()
            .to_owned();
        let batch = format!(
            r#"[{PING},{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"change"}}}}]"#
        );
        let answer = wire.post(&[("mcp-session-id", &id)], &batch).await;
        if version > "2025-03-26" {
            assert_eq!(answer.status, 400, "{version}");
            continue;
        }
        let answers: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answers.as_array().unwrap().len(), 2, "{version}");
        let only_notes = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#;
        assert_eq!(
            wire.post(&[("mcp-session-id", &id)], only_notes).await.status,
            202
        );
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn addresses_that_are_refused() {
    let rig = Rig::new();
    let key = |token: &str| {
        vec![Key {
            principal: Principal::new("ann"),
            token: Secret::new(token),
        }]
    };
    let options = |address: &str, keys| HttpOptions {
        address: address.parse().unwrap(),
        keys,
        hosts: vec![],
        origins: vec![],
        sse: false,
        links: None,
    };
    let refused = async |options| rig.gateway.bind(options).await.err().unwrap();
    assert!(matches!(
        refused(options("127.0.0.1:0", vec![])).await,
        BindError::NoKey
    ));
    assert!(matches!(
        refused(options("127.0.0.1:0", key("short"))).await,
        BindError::ShortKey(_)
    ));
    assert!(matches!(
        refused(options("0.0.0.0:0", key(TOKEN))).await,
        BindError::OpenAddress(_)
    ));
    let taken = rig.http().await;
    let error = refused(options(&taken, key(TOKEN))).await;
    assert!(error.to_string().contains("can't be listened at"), "{error}");
    assert!(rig.end().await);
}

#[tokio::test]
async fn many_calls_at_once() {
    let rig = Rig::new();
    let authority = rig.http().await;
    for version in ["2025-11-25", MODERN] {
        let client = McpClient::http(&authority, "/mcp", Some(TOKEN));
        if version == MODERN {
            client.modern(version, &json!({}));
        } else {
            client.initialize(version).await;
        }
        let mut calls = Vec::new();
        for at in 0..64 {
            calls.push(
                client
                    .start("tools/call", json!({"name": "echo", "arguments": {"at": at}}))
                    .await,
            );
        }
        for (at, call) in calls.into_iter().enumerate() {
            let answer = call.answer().await.unwrap();
            assert!(
                answer["content"][0]["text"]
                    .as_str()
                    .unwrap()
                    .contains(&format!("\"at\":{at}}}"))
            );
        }
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn order_to_stop_lets_requests_end() {
    for version in ["2025-11-25", MODERN] {
        let rig = Rig::new();
        let client = rig.client(Over::Http, version, json!({})).await;
        let slow = client.start("tools/call", json!({"name": "slow"})).await;
        rig.fake.until("tools/call", 1).await;
        let fake = rig.fake.clone();
        let (ended, answer) = tokio::join!(rig.end(), async {
            fake.release().await;
            slow.answer().await
        });
        assert!(ended);
        assert_eq!(answer.unwrap()["content"][0]["text"], "released", "{version}");
    }
    let rig = Rig::within(|limits| limits.drain = Duration::from_millis(50));
    let client = rig.client(Over::Http, "2025-11-25", json!({})).await;
    let slow = client.start("tools/call", json!({"name": "slow"})).await;
    rig.fake.until("tools/call", 1).await;
    assert!(rig.end().await, "but not for ever");
    assert!(slow.answer().await.is_err());
}

#[tokio::test]
async fn who_sends_slowly_is_not_waited_for() {
    let rig = Rig::within(|limits| limits.receive = Duration::from_millis(50));
    let authority = rig.http().await;
    for (sent, wanted) in [
        ("POST /mcp HTTP/1.1\r\nhost: localhost\r\n", ""),
        (
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token-of-ann-0123456789\r\n\
             content-type: application/json\r\ncontent-length: 100\r\n\r\n{",
            "HTTP/1.1 408 ",
        ),
    ] {
        let mut stream = tokio::net::TcpStream::connect(&authority).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(testkit::PATIENCE, stream.read_to_end(&mut answer))
            .await
            .unwrap()
            .ok();
        assert!(String::from_utf8_lossy(&answer).starts_with(wanted), "{sent}");
    }
    assert!(rig.end().await);
}
