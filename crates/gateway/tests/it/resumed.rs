//! What is cut off and goes on: streams and sessions of servers by HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use testkit::{Peer, Step, answer, eventually, send};

use crate::remote::{Talk, body, events, json_answer, modern, remote, result, usual};

#[tokio::test]
async fn a_stream_that_was_cut_goes_on() {
    let gets = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&gets);
    let peer = Peer::start(move |seen| {
        if let Some(steps) = usual(seen, "s") {
            return steps;
        }
        let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {}});
        match (seen.line(), seen.header("last-event-id")) {
            ("GET /mcp", Some("2")) => vec![answer("503 Service Unavailable", "", "")],
            ("GET /mcp", Some("1")) if count.fetch_add(1, Ordering::SeqCst) == 0 => {
                vec![answer("503 Service Unavailable", "", "")]
            }
            ("GET /mcp", Some("1")) => {
                let done = json!({"jsonrpc": "2.0", "id": 2, "result": {}});
                vec![events(&format!("id: 3\ndata: {done}\n\n")), Step::Close]
            }
            _ => vec![
                send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 900\r\n\r\n"),
                send(format!(
                    "retry: 10\nid: 1\ndata:\n\ndata: {note}\n\nid: 2\ndata: cut"
                )),
                Step::Close,
            ],
        }
    })
    .await;
    let mut talk = Talk::with(&remote(&peer));
    talk.begin().await;
    talk.say(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call"}))
        .await;
    assert_eq!(talk.hear().await.0["method"], "notifications/message");
    let (answer, related) = talk.hear().await;
    assert_eq!((answer["id"].as_u64(), related), (Some(2), Some(2)), "{answer}");
    assert_eq!(gets.load(Ordering::SeqCst), 2);
    assert!(talk.hung_up.is_empty(), "it broke; nobody closed it");
    assert_eq!(
        peer.seen()
            .iter()
            .filter(|seen| body(seen)["method"] == "tools/call")
            .count(),
        1
    );
    talk.end().await;
}

#[tokio::test]
async fn a_session_that_was_forgotten_begins_again() {
    let sessions = Arc::new(AtomicUsize::new(0));
    let peer = Peer::start(move |seen| {
        if body(seen)["method"] == "initialize" {
            let number = sessions.fetch_add(1, Ordering::SeqCst) + 1;
            return usual(seen, &format!("s{number}")).unwrap();
        }
        if let Some(steps) = usual(seen, "") {
            return steps;
        }
        let current = sessions.load(Ordering::SeqCst);
        let known = seen.header("mcp-session-id") == Some(format!("s{current}").as_str());
        match body(seen)["method"].as_str() {
            Some("forget") => {
                // From now on the present number is unknown.
                vec![answer(
                    "404 Not Found",
                    "Content-Type: text/plain\r\n",
                    "no such session",
                )]
                .into_iter()
                .filter(|_| current == 1)
                .chain((current > 1).then(|| json_answer(&result(seen))))
                .collect()
            }
            _ if known => vec![json_answer(&result(seen))],
            _ => vec![answer(
                "400 Bad Request",
                "",
                "Bad Request: No valid session ID provided",
            )],
        }
    })
    .await;
    let mut talk = Talk::with(&remote(&peer));
    talk.begin().await;
    assert_eq!(talk.ask(2, "tools/list").await["result"]["session"], "s1");
    assert_eq!(talk.ask(3, "forget").await["result"]["session"], "s2");
    assert_eq!(talk.ask(4, "tools/list").await["result"]["session"], "s2");
    assert_eq!(talk.renewals, 1, "what the server was told has to be told again");
    let hellos: Vec<_> = peer
        .seen()
        .into_iter()
        .filter(|seen| body(seen)["method"] == "initialize")
        .collect();
    assert_eq!(hellos.len(), 2);
    assert_eq!(hellos[0].body, hellos[1].body);
    assert_eq!(hellos[1].header("mcp-session-id"), None);
    let ready = peer
        .seen()
        .into_iter()
        .filter(|seen| body(seen)["method"] == "notifications/initialized");
    let ready: Vec<_> = ready
        .map(|seen| seen.header("mcp-session-id").unwrap().to_owned())
        .collect();
    assert_eq!(ready, ["s1", "s2"]);
    talk.end().await;
}

#[tokio::test]
async fn a_subscription_is_opened_again() {
    let times = AtomicUsize::new(0);
    let peer = Peer::start(move |_| {
        let number = times.fetch_add(1, Ordering::SeqCst);
        let note = |text: &str| {
            events(&format!(
                "data: {}\n\n",
                json!({"jsonrpc": "2.0", "method": text})
            ))
        };
        match number {
            0 => vec![note("notifications/subscriptions/acknowledged"), Step::Close],
            1 => vec![answer("502 Bad Gateway", "", "")],
            2 => vec![note("notifications/tools/list_changed"), Step::Hang],
            _ => vec![],
        }
    })
    .await;
    let mut talk = Talk::with(&remote(&peer));
    talk.say(modern(9, "subscriptions/listen")).await;
    assert_eq!(
        talk.hear().await.0["method"],
        "notifications/subscriptions/acknowledged"
    );
    let (changed, related) = talk.hear().await;
    assert_eq!(
        (changed["method"].as_str(), related),
        (Some("notifications/tools/list_changed"), Some(9))
    );
    let bodies: Vec<_> = peer.seen().into_iter().map(|seen| seen.body).collect();
    assert!(bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]));
    talk.end().await;
    eventually("the stream is closed", || async {
        (peer.left() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_stream_of_the_session_is_kept_open() {
    let times = AtomicUsize::new(0);
    let peer = Peer::start(move |seen| {
        let note = |text: &str| json!({"jsonrpc": "2.0", "method": text});
        match seen.line() {
            "GET /mcp" if times.fetch_add(1, Ordering::SeqCst) == 0 => {
                vec![
                    events(&format!(
                        "retry: 1\nid: a\ndata: {}\n\n",
                        note("notifications/one")
                    )),
                    Step::Close,
                ]
            }
            "GET /mcp" => {
                assert_eq!(seen.header("last-event-id"), Some("a"));
                vec![
                    events(&format!("data: {}\n\n", note("notifications/two"))),
                    Step::Hang,
                ]
            }
            _ => usual(seen, "s").unwrap(),
        }
    })
    .await;
    let mut talk = Talk::with(&remote(&peer));
    talk.begin().await;
    for method in ["notifications/one", "notifications/two"] {
        let (note, related) = talk.hear().await;
        assert_eq!((note["method"].as_str(), related), (Some(method), None));
    }
    talk.end().await;
    eventually("it is closed", || async { (peer.left() == 1).then_some(()) }).await;
}
