//! A server whose messages come each by itself, as over HTTP.

use std::sync::Arc;

use base::names::ServerName;
use gateway::{FromServer, Link, Server, ToServer, Wire};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::rig::{Fake, Knows, Over, Rig, text};

/// Answers each message by itself, on the stream of its request.
async fn serve(mut incoming: mpsc::Receiver<ToServer>, outgoing: mpsc::Sender<FromServer>) {
    while let Some(ToServer { line, .. }) = incoming.recv().await {
        assert!(!line.ends_with(b"\n"), "a message, not a line of a stream");
        let message: Value = serde_json::from_slice(&line).unwrap();
        let result = match message["method"].as_str().unwrap() {
            "server/discover" => {
                let error = json!({"code": -32601, "message": "what?"});
                let answer = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
                let line = answer.to_string().into_bytes();
                let related = serde_json::from_value(message["id"].clone()).ok();
                outgoing
                    .send(FromServer::Message { line, related })
                    .await
                    .unwrap();
                continue;
            }
            "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}),
            "tools/call" if message["params"]["name"] == "die" => return,
            "tools/call" => text("far"),
            method => {
                assert!(method.starts_with("notifications/"), "{method}");
                continue;
            }
        };
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        let message = FromServer::Message {
            line: answer.to_string().into_bytes(),
            related: serde_json::from_value(message["id"].clone()).ok(),
        };
        outgoing.send(message).await.unwrap();
    }
}

#[tokio::test]
async fn messages_each_by_itself() {
    let connect = |_| {
        let (to_server, incoming) = mpsc::channel(8);
        let (outgoing, from_server) = mpsc::channel(8);
        let link = Link {
            wire: Wire::Messages {
                to_server,
                from_server,
                speaks_for: None,
            },
            driver: Some(Box::pin(async move {
                serve(incoming, outgoing).await;
                None
            })),
        };
        Box::pin(std::future::ready(Ok(link))) as _
    };
    let name = ServerName::parse("far").unwrap();
    let server = Server::new(name, Box::new(connect), Arc::new(Knows));
    let rig = Rig::before(Fake::new(), |parts| parts.servers = vec![server]);
    let client = rig.client(Over::Stdio, "2025-06-18", json!({})).await;
    let call = async |tool: &str| client.request("tools/call", json!({"name": tool})).await;
    assert_eq!(call("echo").await.unwrap(), text("far"));
    let fault = call("die").await.unwrap_err();
    assert!(fault.to_string().contains("server far ended"), "{fault}");
    assert_eq!(call("echo").await.unwrap(), text("far"), "it is connected again");
    assert!(rig.end().await);
}
