//! The scripted daemon.

use bytes::Bytes;
use serde_json::json;
use testkit::{Daemon, DaemonDouble, Reply, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

#[tokio::test]
async fn it_answers_as_scripted_and_keeps_what_it_saw() {
    let double = DaemonDouble::start(|request| match request.path() {
        "/_ping" => Reply::ping("1.99"),
        "/containers/json" => Reply::json(200, &json!([])),
        _ => Reply::error(404, "no such thing"),
    });
    let daemon = Daemon::at(double.socket());
    assert_eq!(daemon.get("/_ping").await.text(), "OK");
    assert_eq!(daemon.get("/v1.41/containers/json?all=1").await.json(), json!([]));
    let refused = daemon.post("/v1.41/containers/x/start", &json!({ "a": 1 })).await;
    assert_eq!(
        (refused.status, refused.json()),
        (404, json!({ "message": "no such thing" }))
    );

    let seen = double.seen();
    let lines: Vec<String> = seen
        .iter()
        .map(|seen| format!("{} {}", seen.method, seen.target))
        .collect();
    assert_eq!(
        lines,
        [
            "GET /_ping",
            "GET /v1.41/containers/json?all=1",
            "POST /v1.41/containers/x/start"
        ]
    );
    assert_eq!(seen[2].body, Bytes::from_static(b"{\"a\":1}"));
    assert_eq!(seen[2].header("content-type"), Some("application/json"));
}

/// What a client reads until the end of the stream, or until the double has sent it all and hangs.
async fn read(reply: Reply, expected: &str) -> String {
    let double = DaemonDouble::start(move |_| reply.clone());
    let mut stream = UnixStream::connect(double.socket()).await.unwrap();
    stream
        .write_all(b"POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await
        .unwrap();
    eventually("the request", async || {
        double.seen().first().map(|seen| seen.body.clone())
    })
    .await;
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(expected) || expected.is_empty() {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            read => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
        }
    }
    text
}

#[tokio::test]
async fn it_misbehaves_on_request() {
    let chunks = || vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    assert_eq!(read(Reply::Close, "").await, "");
    let cut = read(Reply::Cut { chunks: chunks() }, "").await;
    assert!(cut.ends_with("3\r\none\r\n3\r\ntwo\r\n"), "{cut}");
    let endless = read(Reply::Endless { chunks: chunks() }, "two\r\n").await;
    assert!(endless.starts_with("HTTP/1.1 200"), "{endless}");
    let upgrade = Reply::Upgrade {
        content_type: "application/vnd.docker.raw-stream".into(),
        bytes: "raw".into(),
    };
    let upgraded = read(upgrade, "").await;
    assert!(
        upgraded.starts_with("HTTP/1.1 101") && upgraded.ends_with("\r\n\r\nraw"),
        "{upgraded}"
    );
}
