//! Servers by HTTP+SSE, and those that speak neither transport.

use std::sync::Arc;

use gateway::{Remote, RemoteTransport};
use serde_json::json;
use testkit::{Peer, Step, answer};
use tokio::sync::mpsc;

use crate::remote::{Talk, body, events, modern, remote};

/// A server of 2024-11-05: answers come on the one stream, which ends after the second.
async fn old_server(endpoint: &'static str) -> Peer {
    let (queue, posted) = mpsc::channel::<String>(8);
    let posted = Arc::new(tokio::sync::Mutex::new(posted));
    Peer::start(move |seen| {
        let queue = queue.clone();
        match seen.line() {
            "GET /mcp" => {
                let mut steps = vec![events(&format!("event: endpoint\ndata: {endpoint}\n\n"))];
                for _ in 0..2 {
                    let posted = Arc::clone(&posted);
                    steps.push(Step::Then(Box::pin(async move {
                        let message = posted.lock().await.recv().await.unwrap();
                        format!("event: message\ndata: {message}\n\n").into_bytes()
                    })));
                }
                steps.push(Step::Close);
                steps
            }
            "POST /messages?id=1" => {
                let message = body(seen);
                let result = if message["method"] == "initialize" {
                    json!({"protocolVersion": "2025-06-18"})
                } else {
                    json!({"tools": []})
                };
                let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
                let wants_answer = message["id"].is_number();
                vec![
                    answer("202 Accepted", "", "Accepted"),
                    Step::Then(Box::pin(async move {
                        if wants_answer {
                            queue.send(reply).await.unwrap();
                        }
                        Vec::new()
                    })),
                ]
            }
            _ => vec![answer(
                "404 Not Found",
                "Content-Type: application/json\r\n",
                "{\"detail\":\"Not Found\"}",
            )],
        }
    })
    .await
}

#[tokio::test]
async fn http_and_sse() {
    for transport in [RemoteTransport::Sse, RemoteTransport::StreamableHttp] {
        let peer = old_server("/messages?id=1").await;
        let mut talk = Talk::with(&Remote {
            transport,
            ..remote(&peer)
        });
        // What a gateway tries first.
        talk.say(modern(0, "server/discover")).await;
        assert!(talk.hear().await.0["error"].is_object());
        talk.begin().await;
        talk.say(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}))
            .await;
        let (answer, related) = talk.hear().await;
        assert_eq!((&answer["result"]["tools"], related), (&json!([]), None));
        // The stream ends, and so does the link.
        assert!(talk.from.recv().await.is_none());
        talk.end().await;
        let posts: Vec<_> = peer
            .seen()
            .into_iter()
            .filter(|seen| seen.path() == "/messages?id=1")
            .collect();
        let methods: Vec<_> = posts
            .iter()
            .map(|seen| body(seen)["method"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(methods, ["initialize", "notifications/initialized", "tools/list"]);
        assert!(
            posts
                .iter()
                .all(|seen| seen.header("authorization") == Some("Bearer t0ken"))
        );
        assert!(peer.seen().iter().all(|seen| !seen.line().starts_with("DELETE")));
    }
}

#[tokio::test]
async fn credentials_do_not_follow_an_endpoint_elsewhere() {
    let peer = old_server("http://127.0.0.2:1/messages?id=1").await;
    let mut talk = Talk::with(&Remote {
        transport: RemoteTransport::Sse,
        ..remote(&peer)
    });
    let text = talk.ask(1, "initialize").await["error"]["message"].to_string();
    assert!(text.contains("which is not its own origin"), "{text}");
    talk.end().await;
}

#[tokio::test]
async fn a_server_of_neither_transport_is_told_as_it_first_answered() {
    let peer = Peer::start(|seen| match seen.line() {
        "GET /mcp" => vec![answer("200 OK", "Content-Type: text/html\r\n", "<html>")],
        _ => vec![answer("404 Not Found", "Content-Type: text/html\r\n", "<html>")],
    })
    .await;
    let mut talk = Talk::with(&remote(&peer));
    let answer = talk.ask(1, "initialize").await;
    assert_eq!(answer["error"]["data"]["status"], 404);
    talk.end().await;
}
