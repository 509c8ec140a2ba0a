//! A gateway before a server by HTTP: what both of them have to do with a connection that ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base::Secret;
use base::names::ServerName;
use gateway::{Namesake, Remote, Server};
use serde_json::{Value, json};
use testkit::{Logged, McpClient, Peer, PeerSeen, Step, answer, eventually, send};
use tokio::sync::Notify;

use crate::downstream::Hand;
use crate::remote::{body, events, json_answer, remote, usual};
use crate::rig::{Fake, Knows, MODERN, Rig, TOKEN, text};

/// A gateway before `peer` alone.
fn rig(peer: &Peer) -> Rig {
    rig_with(remote(peer))
}

fn rig_with(remote: Remote) -> Rig {
    let connect = move |_| {
        let link = remote.link().map_err(std::io::Error::other);
        Box::pin(std::future::ready(link)) as _
    };
    let name = ServerName::parse("far").unwrap();
    let server = Server::new(name, Box::new(connect), Arc::new(Knows));
    Rig::before(Fake::new(), |parts| {
        parts.servers = vec![server];
        // A stream begins at once, also where nothing is said yet.
        parts.limits.quiet = Duration::from_millis(20);
    })
}

fn reply(seen: &PeerSeen, result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": body(seen)["id"], "result": result}).to_string()
}

fn tools(names: &[&str]) -> Value {
    let tool = |name: &&str| json!({"name": name, "inputSchema": {"type": "object"}});
    json!({"resultType": "complete", "tools": names.iter().map(tool).collect::<Vec<_>>()})
}

/// What a legacy server with the tools `echo` and `text` does about the usual; `None` for calls and streams.
fn legacy(seen: &PeerSeen, session: &str) -> Option<Vec<Step>> {
    match body(seen)["method"].as_str().unwrap_or_default() {
        "server/discover" => Some(vec![answer("400 Bad Request", "", "what?")]),
        "initialize" => {
            let hello =
                json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}});
            let headers = format!("Content-Type: application/json\r\nMcp-Session-Id: {session}\r\n");
            Some(vec![answer("200 OK", &headers, &reply(seen, &hello))])
        }
        "tools/list" => Some(vec![json_answer(&reply(seen, &tools(&["echo", "text"])))]),
        _ => usual(seen, session),
    }
}

/// A step that waits for `gate`.
fn wait(gate: &Arc<Notify>) -> Step {
    let gate = Arc::clone(gate);
    Step::Then(Box::pin(async move {
        gate.notified().await;
        Vec::new()
    }))
}

/// 2025-11-25, Transports, "Sending Messages to the Server", item 6: a server may close the stream of a request whose
/// answer takes long.
#[tokio::test]
async fn a_stream_that_the_server_closes_is_closed_here_for_whom_comes_back() {
    let done = Arc::new(Notify::new());
    let (gate, call) = (Arc::clone(&done), Arc::new(std::sync::Mutex::new(Value::Null)));
    let peer = Peer::start(move |seen| {
        if let Some(steps) = legacy(seen, "s") {
            return steps;
        }
        if seen.header("last-event-id") == Some("1") {
            let id = call.lock().unwrap().clone();
            let done = json!({"jsonrpc": "2.0", "id": id, "result": text("at last")});
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
            return vec![
                send(head),
                wait(&gate),
                send(format!("id: 2\ndata: {done}\n\n")),
                Step::Close,
            ];
        }
        *call.lock().unwrap() = body(seen)["id"].clone();
        let step = json!({"progressToken": body(seen)["params"]["_meta"]["progressToken"], "progress": 1});
        let note = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": step});
        vec![
            events(&format!("retry: 10\nid: 1\ndata: {note}\n\n")),
            Step::Close,
        ]
    })
    .await;
    let rig = rig(&peer);
    let polls = Hand::new(&rig, "2025-11-25").await;
    let sent_away = polls.call("echo").await.end().await;
    assert!(
        sent_away.contains(r#""progress":1"#) && !sent_away.contains("at last"),
        "{sent_away}"
    );
    let rest = polls.get(Some(last_id(&sent_away))).await;
    done.notify_one();
    let rest = rest.end().await;
    assert!(rest.contains("at last") && rest.contains(r#""id":7"#), "{rest}");
    assert!(!rest.contains(r#""progress":1"#), "it was had: {rest}");

    // One of an older revision would take the end of its stream for the end of the call.
    let holds = Hand::new(&rig, "2025-06-18").await;
    let mut held = holds.call("echo").await;
    held.until(r#""progress":1"#, 1).await;
    done.notify_one();
    held.until("at last", 1).await;
    assert!(rig.end().await);
}

/// The id of the last event.
fn last_id(events: &str) -> &str {
    let mut ids = events.lines().filter_map(|line| line.strip_prefix("id: "));
    ids.next_back().expect("an event with an id")
}

/// A call whose response broke goes on, also when the server forgets the session meanwhile.
#[tokio::test]
async fn an_answer_is_found_again_after_the_session_was_renewed() {
    let (sessions, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, gate) = (Arc::clone(&sessions), Arc::clone(&done));
    let peer = Peer::start(move |seen| {
        let begun = body(seen)["method"] == "initialize";
        let number = count.fetch_add(usize::from(begun), Ordering::SeqCst) + usize::from(begun);
        if let Some(steps) = legacy(seen, &format!("s{number}")) {
            return steps;
        }
        let session = seen.header("mcp-session-id").unwrap_or_default();
        match body(seen)["params"]["name"].as_str() {
            // At work in the first session.
            Some("echo") => {
                let answer = reply(seen, &text("from the first"));
                vec![
                    events(": wait\n\n"),
                    wait(&gate),
                    send(format!("data: {answer}\n\n")),
                    Step::Close,
                ]
            }
            Some("text") if session == "s1" => vec![answer("404 Not Found", "", "no such session")],
            _ => vec![json_answer(&reply(seen, &text(session)))],
        }
    })
    .await;
    let rig = rig(&peer);
    let hand = Hand::new(&rig, "2025-11-25").await;
    let mut broken = hand.call("echo").await;
    let begin = last_id(broken.until("data:\n\n", 1).await).to_owned();
    drop(broken);
    let other = hand.post(&crate::downstream::call(8, "text")).await.end().await;
    assert!(other.contains("s2"), "{other}");
    assert_eq!(sessions.load(Ordering::SeqCst), 2);
    done.notify_one();
    let found = hand.get(Some(&begin)).await.end().await;
    assert!(
        found.contains("from the first") && found.contains(r#""id":7"#),
        "{found}"
    );
    assert!(rig.end().await);
}

/// A subscription that was cut has missed what changed meanwhile, so the lists are read again when it is open again.
#[tokio::test]
async fn lists_are_read_again_after_their_subscription_was_cut() {
    let (cut, changed) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (gate, has_changed) = (Arc::clone(&cut), Arc::clone(&changed));
    let peer = Peer::start(move |seen| {
        let message = body(seen);
        match message["method"].as_str().unwrap_or_default() {
            "server/discover" => {
                let capabilities = json!({"tools": {"listChanged": true}});
                let hello = json!({"supportedVersions": [MODERN], "capabilities": capabilities});
                vec![json_answer(&reply(seen, &hello))]
            }
            "tools/list" if has_changed.load(Ordering::SeqCst) => {
                vec![json_answer(&reply(seen, &tools(&["echo", "text"])))]
            }
            "tools/list" => vec![json_answer(&reply(seen, &tools(&["echo"])))],
            "subscriptions/listen" => {
                let tag = json!({"io.modelcontextprotocol/subscriptionId": message["id"]});
                let params = json!({"_meta": tag, "notifications": message["params"]["notifications"]});
                let word = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params});
                let then = if has_changed.load(Ordering::SeqCst) { Step::Hang } else { wait(&gate) };
                vec![events(&format!("data: {word}\n\n")), then, Step::Close]
            }
            other => panic!("{other}"),
        }
    })
    .await;
    let rig = rig(&peer);
    let client = McpClient::http(&rig.http().await, "/mcp", Some(TOKEN));
    client.modern(MODERN, &json!({}));
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let _listening = client.start("subscriptions/listen", filter).await;
    client
        .notification("notifications/subscriptions/acknowledged")
        .await;
    assert_eq!(client.tools().await.len(), 1);
    let asked = |method: &str| {
        peer.seen()
            .iter()
            .filter(|seen| body(seen)["method"] == method)
            .count()
    };
    eventually("the server is listened to", async || {
        (asked("subscriptions/listen") == 1).then_some(())
    })
    .await;
    changed.store(true, Ordering::SeqCst);
    cut.notify_one();
    client.notification("notifications/tools/list_changed").await;
    assert_eq!(client.tools().await.len(), 2);
    assert_eq!(
        asked("tools/list"),
        2,
        "once at the start, once when it was open again"
    );
    assert!(rig.end().await);
}

/// 2026-07-28, Streamable HTTP, "Schema Extension": who speaks HTTP leaves a tool out whose parameters can't be mirrored.
/// `wire` knows what is invalid.
#[tokio::test]
async fn a_tool_whose_parameters_cannot_be_mirrored_is_left_out() {
    for (is_modern, names) in [(true, &["echo", "text"][..]), (false, &["echo", "odd", "text"])] {
        let peer = Peer::start(move |seen| {
            let bad = json!({"type": "object", "properties": {"n": {"type": "number", "x-mcp-header": "N"}}});
            let mut listed = tools(&["echo", "odd", "text"]);
            listed["tools"][1]["inputSchema"] = bad;
            match body(seen)["method"].as_str().unwrap_or_default() {
                "tools/list" => vec![json_answer(&reply(seen, &listed))],
                "server/discover" if is_modern => {
                    let hello = json!({"supportedVersions": [MODERN], "capabilities": {"tools": {}}});
                    vec![json_answer(&reply(seen, &hello))]
                }
                _ => legacy(seen, "s").expect("no call comes"),
            }
        })
        .await;
        let logged = Logged::default();
        let _here = tracing::subscriber::set_default(logged.clone());
        let rig = rig(&peer);
        let client = rig.client(crate::rig::Over::Stdio, "2025-06-18", json!({})).await;
        let listed = client.tools().await;
        let listed: Vec<_> = listed.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(listed, names);
        let warned: Vec<_> = logged
            .lines()
            .into_iter()
            .filter(|line| line.starts_with("WARN"))
            .collect();
        if is_modern {
            assert_eq!(
                warned,
                [
                    r#"WARN the tool is left out: x-mcp-header stands at parameter "n", which is no string, integer or boolean server="far" tool="odd""#
                ]
            );
            let refused = client
                .request("tools/call", json!({"name": "odd", "arguments": {"n": 1}}))
                .await
                .unwrap_err();
            assert_eq!(refused.code, -32602, "{refused:?}");
        } else {
            assert!(warned.is_empty(), "{warned:?}");
        }
        assert!(rig.end().await);
    }
}

/// 2026-07-28, "Protocol Version Negotiation".
#[tokio::test]
async fn a_server_that_names_our_version_in_its_refusal_is_asked_again() {
    for (supported, is_asked_again) in [(json!([MODERN]), true), (json!(["2027-01-01"]), false)] {
        let refused = AtomicBool::new(false);
        let peer = Peer::start(move |seen| {
            if !refused.swap(true, Ordering::SeqCst) {
                let data = json!({"supported": supported, "requested": MODERN});
                let error = json!({"code": -32022, "message": "Unsupported protocol version", "data": data});
                let error = json!({"jsonrpc": "2.0", "id": body(seen)["id"], "error": error}).to_string();
                return vec![answer(
                    "400 Bad Request",
                    "Content-Type: application/json\r\n",
                    &error,
                )];
            }
            match body(seen)["method"].as_str().unwrap_or_default() {
                "server/discover" => {
                    let hello = json!({"supportedVersions": [MODERN], "capabilities": {"tools": {}}});
                    vec![json_answer(&reply(seen, &hello))]
                }
                "tools/list" => vec![json_answer(&reply(seen, &tools(&["echo"])))],
                _ => vec![answer("400 Bad Request", "", "what?")],
            }
        })
        .await;
        let rig = rig(&peer);
        let client = rig.client(crate::rig::Over::Stdio, "2025-06-18", json!({})).await;
        let listed = client.request("tools/list", json!({})).await;
        let methods: Vec<_> = peer
            .seen()
            .iter()
            .map(|seen| body(seen)["method"].clone())
            .collect();
        if is_asked_again {
            assert_eq!(listed.unwrap()["tools"][0]["name"], "echo");
            assert_eq!(methods, ["server/discover", "server/discover", "tools/list"]);
        } else {
            assert!(
                methods.starts_with(&[json!("server/discover"), json!("initialize")]),
                "{methods:?}"
            );
        }
        for seen in peer
            .seen()
            .iter()
            .filter(|seen| body(seen)["method"] == "server/discover")
        {
            assert_eq!(seen.header("mcp-protocol-version"), Some(MODERN));
        }
        assert!(rig.end().await);
    }
}

/// In a session of the legacy era another gateway could not tell apart the clients of this one, so there never is one:
/// neither where `server/discover` is refused, nor where it is slow, as a bridge is that has just been started.
#[tokio::test]
async fn another_gateway_is_never_spoken_with_in_the_legacy_era() {
    for is_slow in [false, true] {
        let peer = Peer::start(move |seen| {
            let hello = json!({"supportedVersions": [MODERN], "capabilities": {"tools": {}}});
            let modern = json_answer(&reply(seen, &hello));
            let slow = Step::Then(Box::pin(async {
                tokio::time::sleep(Duration::from_millis(2_500)).await;
                Vec::new()
            }));
            match body(seen)["method"].as_str().unwrap_or_default() {
                "server/discover" if is_slow => vec![slow, modern],
                _ => legacy(seen, "s").expect("no call comes"),
            }
        })
        .await;
        let mut remote = remote(&peer);
        remote.speaks_for = Some(Namesake {
            run: "run".into(),
            key: Secret::new("a key"),
        });
        let rig = rig_with(remote);
        let client = rig.client(crate::rig::Over::Stdio, "2025-06-18", json!({})).await;
        let called = client.request("tools/call", json!({"name": "echo"})).await;
        if !is_slow {
            let refused = called.unwrap_err().message;
            assert!(refused.contains("server/discover"), "{refused}");
        }
        let seen = peer.seen();
        let methods = seen.iter().map(|seen| body(seen)["method"].clone());
        let methods: Vec<_> = methods.collect();
        assert!(methods.contains(&json!("server/discover")), "{methods:?}");
        assert!(!methods.contains(&json!("initialize")), "{methods:?}");
        assert!(rig.end().await);
    }
}
