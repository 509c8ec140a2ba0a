//! Servers by HTTP, against a peer that answers as the test says.

use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use fetch::{Addresses, Client, Options, Plain};
use gateway::{FromServer, Remote, RemoteHeader, RemoteLimits, RemoteTransport, ToServer, Wire};
use serde_json::{Value, json};
use testkit::{Peer, PeerSeen, Step, answer, eventually, send};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Both ends of a link whose driver runs.
pub(crate) struct Talk {
    /// How often it was said that the session was begun anew.
    pub(crate) renewals: usize,
    /// Requests whose streams the server closed before their answers.
    pub(crate) hung_up: Vec<u64>,
    pub(crate) to: mpsc::Sender<ToServer>,
    pub(crate) from: mpsc::Receiver<FromServer>,
    pub(crate) driver: JoinHandle<Option<String>>,
}

pub(crate) fn remote(peer: &Peer) -> Remote {
    Remote {
        server: "far".to_owned(),
        url: peer.url("/mcp"),
        transport: RemoteTransport::StreamableHttp,
        headers: vec![RemoteHeader {
            name: "Authorization".to_owned(),
            value: Secret::new("Bearer t0ken"),
            secret: Some("far.token".to_owned()),
        }],
        client: Client::new(Options {
            addresses: Addresses::Private,
            plain: Plain::Loopback,
            ..Options::default()
        }),
        limits: RemoteLimits::default(),
        speaks_for: None,
    }
}

impl Talk {
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    pub(crate) fn with(remote: &Remote) -> Self {
        let link = remote.link().unwrap();
        let Wire::Messages {
            to_server,
            from_server,
            ..
        } = link.wire
        else {
            panic!("a remote server takes messages");
        };
        Self {
            to: to_server,
            from: from_server,
            driver: tokio::spawn(link.driver.unwrap()),
            renewals: 0,
            hung_up: Vec::new(),
        }
    }

    pub(crate) async fn say(&self, message: Value) {
        self.say_with(message, &[]).await;
    }

    pub(crate) async fn say_with(&self, message: Value, headers: &[(&str, &str)]) {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let message = ToServer {
            line: message.to_string().into_bytes(),
            headers: headers.collect(),
        };
        self.to.send(message).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> (Value, Option<u64>) {
        let heard = tokio::time::timeout(Duration::from_secs(30), self.from.recv()).await;
        let heard = heard.expect("something comes").expect("the link lives");
        match heard {
            FromServer::Message { line, related } => {
                assert!(!line.contains(&b'\n'));
                let message = serde_json::from_slice(&line).unwrap();
                (message, related.and_then(|id| id.as_u64()))
            }
            FromServer::Renewed => {
                self.renewals += 1;
                Box::pin(self.hear()).await
            }
            FromServer::HungUp(id) => {
                self.hung_up.extend(id.as_u64());
                Box::pin(self.hear()).await
            }
        }
    }

    /// The answer to a legacy request; nothing else may come before.
    pub(crate) async fn ask(&mut self, id: u64, method: &str) -> Value {
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": method}))
            .await;
        let (answer, related) = self.hear().await;
        assert_eq!((answer["id"].as_u64(), related), (Some(id), Some(id)), "{answer}");
        answer
    }

    pub(crate) async fn begin(&mut self) {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}});
        self.say(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}))
            .await;
        let (hello, _) = self.hear().await;
        assert_eq!(hello["result"]["protocolVersion"], "2025-06-18", "{hello}");
        self.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
    }

    pub(crate) async fn end(self) {
        drop(self.to);
        self.driver.await.unwrap();
    }
}

pub(crate) fn body(seen: &PeerSeen) -> Value {
    serde_json::from_slice(&seen.body).unwrap_or_default()
}

pub(crate) fn json_answer(body: &str) -> Step {
    answer("200 OK", "Content-Type: application/json\r\n", body)
}

pub(crate) fn events(text: &str) -> Step {
    send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{text}"
    ))
}

pub(crate) fn result(seen: &PeerSeen) -> String {
    json!({"jsonrpc": "2.0", "id": body(seen)["id"], "result": {"session": seen.header("mcp-session-id")}})
        .to_string()
}

/// What a legacy server does about the usual; `None` for the rest.
pub(crate) fn usual(seen: &PeerSeen, session: &str) -> Option<Vec<Step>> {
    let hello = || {
        let result = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}});
        let hello = json!({"jsonrpc": "2.0", "id": body(seen)["id"], "result": result}).to_string();
        let headers = format!("Content-Type: application/json\r\nMcp-Session-Id: {session}\r\n");
        vec![answer("200 OK", &headers, &hello)]
    };
    match (seen.line(), body(seen)["method"].as_str().unwrap_or_default()) {
        ("POST /mcp", "initialize") => Some(hello()),
        ("POST /mcp", method) if method.starts_with("notifications/") => {
            Some(vec![answer("202 Accepted", "", "")])
        }
        ("POST /mcp", "") => Some(vec![answer("202 Accepted", "", "")]),
        ("GET /mcp", _) if seen.header("last-event-id").is_none() => {
            Some(vec![answer("405 Method Not Allowed", "", "")])
        }
        ("DELETE /mcp", _) => Some(vec![answer("200 OK", "", "")]),
        _ => None,
    }
}

#[tokio::test]
async fn a_session_from_beginning_to_end() {
    let peer =
        Peer::start(|seen| usual(seen, "s1").unwrap_or_else(|| vec![json_answer(&result(seen))])).await;
    let mut talk = Talk::with(&remote(&peer));
    talk.begin().await;
    for id in 2..5 {
        assert_eq!(talk.ask(id, "tools/list").await["result"]["session"], "s1");
    }
    eventually("the stream of the session was asked for", || async {
        peer.seen()
            .iter()
            .any(|seen| seen.line() == "GET /mcp")
            .then_some(())
    })
    .await;
    talk.end().await;
    let seen = peer.seen();
    assert_eq!(seen.last().unwrap().line(), "DELETE /mcp");
    for (at, seen) in seen.iter().enumerate() {
        assert_eq!(seen.header("authorization"), Some("Bearer t0ken"));
        let session = (at > 0).then_some("s1");
        assert_eq!(seen.header("mcp-session-id"), session);
        assert_eq!(
            seen.header("mcp-protocol-version"),
            session.and(Some("2025-06-18"))
        );
        if seen.line() == "POST /mcp" {
            assert_eq!(seen.header("accept"), Some("application/json, text/event-stream"));
            assert_eq!(seen.header("content-type"), Some("application/json"));
            assert_eq!(seen.header("mcp-method"), None);
        }
    }
    assert_eq!(body(&seen[1])["method"], "notifications/initialized");
}

#[tokio::test]
async fn what_comes_on_the_stream_of_a_request_belongs_to_it() {
    let peer = Peer::start(|seen| {
        usual(seen, "s").unwrap_or_else(|| {
            let first = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}});
            let ask = json!({"jsonrpc": "2.0", "id": "q", "method": "roots/list"});
            let text = format!(
                ": hi\n\ndata: {first}\n\ndata: nonsense\n\ndata: {ask}\n\nevent: x\ndata: {first}\n\n"
            );
            vec![
                events(&text),
                send(format!(
                    "data: {{\ndata: \"jsonrpc\": \"2.0\",\ndata: {}\n\n",
                    &result(seen)[17..]
                )),
                Step::Close,
            ]
        })
    })
    .await;
    let mut talk = Talk::with(&remote(&peer));
    talk.begin().await;
    talk.say(json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call"}))
        .await;
    let (progress, related) = talk.hear().await;
    assert_eq!(
        (progress["method"].as_str(), related),
        (Some("notifications/progress"), Some(7))
    );
    let (question, related) = talk.hear().await;
    assert_eq!((question["id"].as_str(), related), (Some("q"), Some(7)));
    let (answer, related) = talk.hear().await;
    assert_eq!((answer["id"].as_u64(), related), (Some(7), Some(7)), "{answer}");
    talk.say(json!({"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}))
        .await;
    eventually("our answer arrives", || async {
        peer.seen()
            .iter()
            .any(|seen| body(seen)["id"] == "q")
            .then_some(())
    })
    .await;
    talk.end().await;
}

pub(crate) fn modern(id: u64, method: &str) -> Value {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"_meta": meta, "name": "t"}})
}

#[tokio::test]
async fn the_modern_era() {
    let peer = Peer::start(|seen| match body(seen)["method"].as_str().unwrap_or_default() {
        "slow" => vec![events(": wait\n\n"), Step::Hang],
        "unknown" => {
            let error =
                json!({"jsonrpc": "2.0", "id": body(seen)["id"], "error": {"code": -32601, "message": "no"}});
            vec![answer(
                "404 Not Found",
                "Content-Type: application/json\r\n",
                &error.to_string(),
            )]
        }
        "wrong" => {
            let error =
                json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32020, "message": "mismatch"}});
            vec![answer(
                "400 Bad Request",
                "Content-Type: application/json\r\n",
                &error.to_string(),
            )]
        }
        _ => vec![json_answer(&result(seen))],
    })
    .await;
    let mut talk = Talk::with(&remote(&peer));
    talk.say_with(
        modern(1, "tools/call"),
        &[("Mcp-Name", "t"), ("Mcp-Param-X", "=?base64?w6Q=?=")],
    )
    .await;
    assert_eq!(talk.hear().await.0["id"], 1);
    let seen = peer.seen().remove(0);
    for (name, value) in [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "t"),
        ("mcp-param-x", "=?base64?w6Q=?="),
    ] {
        assert_eq!(seen.header(name), Some(value));
    }
    for (method, code) in [("unknown", -32601), ("wrong", -32020)] {
        talk.say(modern(2, method)).await;
        let (answer, _) = talk.hear().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(2), &json!(code))
        );
    }
    // Cancelling closes the stream, and is told in no other way.
    talk.say(modern(3, "slow")).await;
    eventually("it is at work", || async {
        (peer.seen().len() == 4).then_some(())
    })
    .await;
    talk.say(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}}))
        .await;
    eventually("the stream is closed", || async {
        (peer.left() == 1).then_some(())
    })
    .await;
    assert_eq!(peer.seen().len(), 4);
    // No session, so nothing to take leave of.
    talk.end().await;
    assert_eq!(peer.seen().len(), 4);
}

/// Each fault harms its request alone, and is told in words that help.
#[tokio::test]
async fn faults() {
    let peer = Peer::start(|seen| {
        if let Some(steps) = usual(seen, "s") {
            return steps;
        }
        let page = "Content-Type: text/html\r\n";
        match body(seen)["method"].as_str().unwrap_or_default() {
            "html" => vec![answer("200 OK", page, "<html>")],
            "html-error" => vec![answer("502 Bad Gateway", page, "<html>")],
            "text" => vec![answer("200 OK", "Content-Type: text/plain\r\n", "hello")],
            "nothing" => vec![answer("202 Accepted", "", "")],
            "garbage" => vec![json_answer("{\"jsonrpc\":")],
            "other" => vec![json_answer(
                "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}",
            )],
            "cut" => vec![
                send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"),
                Step::Close,
            ],
            "cut-events" => vec![events("data: {}\n\n"), Step::Close],
            "closed" => vec![Step::Close],
            "endless" => vec![events("data: "), send("x".repeat(200_000)), Step::Hang],
            "large" => vec![json_answer(&"x".repeat(200_000))],
            "401" => {
                let wants = "WWW-Authenticate: Bearer realm=\"x\", scope=\"read\"\r\n";
                vec![answer("401 Unauthorized", wants, "{\"error\":\"invalid_token\"}")]
            }
            "403" => vec![answer("403 Forbidden", "", "not you")],
            "429" => vec![answer("429 Too Many Requests", "Retry-After: 7\r\n", "")],
            "redirect" => vec![answer("302 Found", "Location: https://login.example/\r\n", "")],
            _ => vec![json_answer(&result(seen))],
        }
    })
    .await;
    let mut options = remote(&peer);
    options.limits.message_bytes = 100_000;
    options.limits.stream_bytes = 150_000;
    let mut talk = Talk::with(&options);
    talk.begin().await;
    let mut told = Vec::new();
    for (id, method) in [
        "html",
        "html-error",
        "text",
        "nothing",
        "garbage",
        "cut",
        "cut-events",
        "closed",
        "endless",
        "large",
        "401",
        "403",
        "429",
        "redirect",
    ]
    .into_iter()
    .zip(10..)
    .map(|(method, id)| (id, method))
    {
        let error = talk.ask(id, method).await["error"].clone();
        assert_eq!(error["code"], -32603);
        let text = error["message"]
            .as_str()
            .unwrap()
            .replace(&peer.url(""), "http://far");
        told.push(format!("{method} {}: {text}", error["data"]["status"]));
        assert_eq!(talk.ask(id + 100, "tools/list").await["result"]["session"], "s");
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    html null: server far at http://far/mcp answers with text/html, which is neither JSON nor a stream of events; check that its address is that of an MCP server; whether the request took effect is not known
    html-error 502: server far at http://far/mcp answered 502 Bad Gateway: (a page of HTML); whether the request took effect is not known
    text null: server far at http://far/mcp answers with text/plain, which is neither JSON nor a stream of events; check that its address is that of an MCP server; whether the request took effect is not known
    nothing null: server far at http://far/mcp gives no answer (202 Accepted); whether the request took effect is not known
    garbage null: server far at http://far/mcp sends JSON that is no answer to the request; whether the request took effect is not known
    cut null: server far at http://far/mcp did not end its answer: the exchange broke off: error reading a body from connection: end of file before message length reached; whether the request took effect is not known
    cut-events null: server far at http://far/mcp ended the stream before its answer; whether the request took effect is not known
    closed null: server far can't be used: http://far/mcp: the exchange broke off: client error (SendRequest): connection closed before message completed; whether the request took effect is not known
    endless null: server far at http://far/mcp sends too much: an event has more than 100000 bytes; whether the request took effect is not known
    large null: server far at http://far/mcp sends too much: the answer has more than 150000 bytes; whether the request took effect is not known
    401 401: server far at http://far/mcp wants a login (401 Unauthorized): it asks for Bearer realm="x", scope="read": {"error":"invalid_token"}; the headers sent were Authorization (from secret far.token): check that their values still hold
    403 403: server far at http://far/mcp does not permit this (403 Forbidden): not you; the headers sent were Authorization (from secret far.token): check that their values still hold
    429 429: server far at http://far/mcp answered 429 Too Many Requests; try again after 7 s
    redirect 302: server far at http://far/mcp answered 302 Found and redirects to https://login.example/; if that is its new address, configure it
    "#);
    talk.say(json!({"jsonrpc": "2.0", "id": 50, "method": "other"}))
        .await;
    assert_eq!(talk.hear().await.0["method"], "notifications/x");
    let text = talk.hear().await.0["error"]["message"].to_string();
    assert!(
        text.contains("sends JSON that is no answer to the request"),
        "{text}"
    );
    talk.end().await;
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let peer = Peer::start(|_| vec![]).await;
    let options = remote(&peer);
    drop(peer);
    let mut talk = Talk::with(&options);
    let answer = talk.ask(1, "initialize").await;
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("no connection to 127.0.0.1:"), "{text}");
    assert_eq!(answer["error"]["data"]["mayHaveHappened"], false);
    talk.end().await;
}

#[tokio::test]
async fn requests_beyond_the_bound_wait() {
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let peer = Peer::start(move |seen| {
        usual(seen, "s").unwrap_or_else(|| {
            let gate = Arc::clone(&gate);
            vec![
                Step::Then(Box::pin(async move {
                    gate.notified().await;
                    Vec::new()
                })),
                json_answer(&result(seen)),
            ]
        })
    })
    .await;
    let mut options = remote(&peer);
    options.limits.requests = 2;
    let mut talk = Talk::with(&options);
    talk.begin().await;
    let calls = || {
        peer.seen()
            .iter()
            .filter(|seen| body(seen)["method"] == "tools/call")
            .count()
    };
    for id in 2..5 {
        talk.say(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call"}))
            .await;
    }
    eventually("two are at work", || async { (calls() == 2).then_some(()) }).await;
    // What is no request passes by.
    talk.say(json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}))
        .await;
    eventually("the notification arrives", || async {
        let told = |seen: &PeerSeen| body(seen)["method"] == "notifications/roots/list_changed";
        peer.seen().iter().any(told).then_some(())
    })
    .await;
    assert_eq!(calls(), 2);
    for _ in 0..3 {
        go.notify_one();
        talk.hear().await;
    }
    assert_eq!(calls(), 3);
    talk.end().await;
}

#[tokio::test]
async fn what_is_configured_wrongly() {
    let peer = Peer::start(|_| vec![]).await;
    let right = remote(&peer);
    let header = |name: &str, value: &str| {
        vec![RemoteHeader {
            name: name.to_owned(),
            value: Secret::new(value),
            secret: None,
        }]
    };
    for (url, headers, reason) in [
        (
            "far",
            vec![],
            "its address is no URL: relative URL without a base",
        ),
        (
            "ftp://far.example",
            vec![],
            "it is reached by https or http, not by ftp",
        ),
        (
            "https://far.example",
            header("Mcp-Session-Id", "x"),
            "the header Mcp-Session-Id is the transport's own",
        ),
        (
            "https://far.example",
            header("HOST", "x"),
            "the header HOST is the transport's own",
        ),
        (
            "https://far.example",
            header("a b", "x"),
            "\"a b\" is no name of a header",
        ),
        (
            "https://far.example",
            header("X-Key", "a\r\nHost: b"),
            "the value of header X-Key has characters that no header can carry, such as a line end",
        ),
    ] {
        let wrong = Remote {
            url: url.to_owned(),
            headers,
            ..right.clone()
        };
        let error = wrong.link().err().unwrap();
        assert_eq!((error.server.as_str(), error.reason.as_str()), ("far", reason));
    }
}
