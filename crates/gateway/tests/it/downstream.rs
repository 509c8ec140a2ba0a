//! Where clients of HTTP come in, and what they find again when their connection broke.

use std::time::Duration;

use gateway::Server;
use serde_json::{Value, json};
use testkit::{HttpAnswer, McpClient, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Fake, MODERN, OTHER_TOKEN, Rig, TOKEN};

/// A connection of which the test reads as much as it wants.
pub(crate) struct Open {
    stream: TcpStream,
    text: String,
}

impl Open {
    /// Sends a request, and reads nothing yet.
    async fn request(
        authority: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Self {
        let more: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let more = more.concat();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {TOKEN}\r\n\
             Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n{more}\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(authority).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream,
            text: String::new(),
        }
    }

    /// Reads until `mark` has come `times`.
    pub(crate) async fn until(&mut self, mark: &str, times: usize) -> &str {
        let reading = async {
            while self.text.matches(mark).count() < times {
                let mut chunk = [0; 4_096];
                let count = self.stream.read(&mut chunk).await.unwrap();
                assert!(count > 0, "the end came before {mark:?}: {}", self.text);
                self.text.push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
        };
        let in_time = tokio::time::timeout(testkit::PATIENCE, reading).await;
        in_time.unwrap_or_else(|_| panic!("{mark:?} does not come"));
        &self.text
    }

    pub(crate) async fn end(mut self) -> String {
        let mut rest = Vec::new();
        tokio::time::timeout(testkit::PATIENCE, self.stream.read_to_end(&mut rest))
            .await
            .expect("the stream ends")
            .unwrap();
        self.text + &String::from_utf8_lossy(&rest)
    }

    fn ids(&self) -> Vec<String> {
        let ids = self.text.lines().filter_map(|line| line.strip_prefix("id: "));
        ids.map(str::to_owned).collect()
    }

    /// The id of the first event.
    fn first_id(&self) -> String {
        self.ids().into_iter().next().expect("an event with an id")
    }

    /// The id of the last event so far.
    fn last_id(&self) -> String {
        self.ids().pop().expect("an event with an id")
    }
}

/// A legacy session, spoken by hand.
pub(crate) struct Hand {
    authority: String,
    path: &'static str,
    session: String,
}

impl Hand {
    pub(crate) async fn new(rig: &Rig, version: &str) -> Self {
        Self::at(&rig.http().await, "/mcp", version).await
    }

    async fn at(authority: &str, path: &'static str, version: &str) -> Self {
        let params = json!({"protocolVersion": version, "capabilities": {"elicitation": {}}});
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string();
        let answer = exchange(authority, "POST", path, &[], &hello).await;
        let session = answer.header("mcp-session-id").unwrap().to_owned();
        Self {
            authority: authority.to_owned(),
            path,
            session,
        }
    }

    pub(crate) async fn post(&self, message: &Value) -> Open {
        let headers = [("Mcp-Session-Id", self.session.as_str())];
        Open::request(&self.authority, "POST", self.path, &headers, &message.to_string()).await
    }

    pub(crate) async fn call(&self, tool: &str) -> Open {
        self.post(&call(7, tool)).await
    }

    pub(crate) async fn get(&self, last: Option<&str>) -> Open {
        let mut headers = vec![("Mcp-Session-Id", self.session.as_str())];
        headers.extend(last.map(|last| ("Last-Event-ID", last)));
        Open::request(&self.authority, "GET", self.path, &headers, "").await
    }
}

pub(crate) fn call(id: u64, tool: &str) -> Value {
    let params = json!({"name": tool, "arguments": {"name": "box"}, "_meta": {"progressToken": "p"}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

async fn exchange(
    authority: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpAnswer {
    let token = format!("Bearer {TOKEN}");
    let mut all = vec![
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("authorization", token.as_str()),
    ];
    all.retain(|(name, _)| !headers.iter().any(|(other, _)| name == other));
    all.extend_from_slice(headers);
    McpClient::http(authority, path, None)
        .exchange(method, &all, body)
        .await
}

/// A gateway before `fake` and two more servers, one in the profile `work` alone.
fn three_servers() -> Rig {
    Rig::with(|parts| {
        let more = Fake::with_tools(&["more"], 100).server("more");
        let work = Fake::with_tools(&["dig"], 100).server("work-only");
        parts.servers.push(more);
        parts.servers.push(Server {
            profiles: vec!["work".to_owned()],
            ..work
        });
    })
}

#[tokio::test]
async fn a_path_shows_one_server_or_one_profile() {
    let rig = three_servers();
    let authority = rig.http().await;
    for (path, sees, not) in [
        ("/mcp", vec!["echo", "more"], vec!["dig"]),
        ("/mcp/server/more", vec!["more"], vec!["echo", "dig"]),
        ("/mcp/server/work-only", vec!["dig"], vec!["echo", "more"]),
        ("/mcp/profile/work", vec!["dig", "more", "echo"], vec![]),
        ("/mcp/profile/wor%6B", vec!["dig"], vec![]),
    ] {
        for version in ["2025-06-18", MODERN] {
            let client = McpClient::http(&authority, path, Some(TOKEN));
            if version == MODERN {
                client.modern(version, &json!({}));
            } else {
                client.initialize(version).await;
            }
            let tools = client.tools().await;
            let names: Vec<_> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
            for name in sees.iter().chain(&not) {
                assert_eq!(
                    names.contains(name),
                    sees.contains(name),
                    "{path} {version}: {names:?}"
                );
            }
            // Neither is what is not seen called.
            for name in sees.iter().chain(&["dig"]) {
                let called = client.try_call(name, json!({})).await;
                assert_eq!(
                    called.is_ok(),
                    sees.contains(name),
                    "{path} {version} {name}: {called:?}"
                );
            }
        }
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn what_is_not_there_is_said_to_those_who_may_know() {
    let rig = three_servers();
    let authority = rig.http().await;
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    for (path, status, text) in [
        ("/mcp/server/nope", 404, r#"there is no server \"nope\""#),
        ("/mcp/profile/nope", 404, r#"there is no profile \"nope\""#),
        ("/mcp/server/%0A%1B", 404, "there is no server"),
        ("/mcp/server/%FF", 404, "there is no server"),
        ("/mcp/server/", 404, "nothing is here"),
        ("/mcp/server/more/x", 404, "nothing is here"),
        ("/mcp/other/more", 404, "nothing is here"),
        ("/mcp/server/more", 200, "protocolVersion"),
    ] {
        let answer = exchange(&authority, "POST", path, &[], hello).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(text), "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
    // Without a token all names look the same, and so do probes.
    for path in ["/mcp/server/nope", "/mcp/server/more", "/mcp/profile/nope"] {
        let answer = exchange(&authority, "POST", path, &[("authorization", "")], hello).await;
        assert_eq!(answer.status, 401, "{path}");
        let answer = exchange(&authority, "GET", path, &[("authorization", "")], "").await;
        assert_eq!(answer.status, 405, "{path}");
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_session_belongs_to_its_path() {
    let rig = three_servers();
    let authority = rig.http().await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let paths = ["/mcp", "/mcp/server/more", "/mcp/profile/work"];
    for made in paths {
        let hand = Hand::at(&authority, made, "2025-11-25").await;
        let id = [("mcp-session-id", hand.session.as_str())];
        for (method, body, usual) in [("POST", ping, 200), ("DELETE", "", 204)] {
            for path in paths.into_iter().filter(|path| *path != made) {
                assert_eq!(
                    exchange(&authority, method, path, &id, body).await.status,
                    404,
                    "{made} {path}"
                );
                assert_eq!(
                    exchange(&authority, "GET", path, &id, "").await.status,
                    404,
                    "{made} {path}"
                );
            }
            assert_eq!(
                exchange(&authority, method, made, &id, body).await.status,
                usual,
                "{made}"
            );
        }
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn an_answer_is_found_again_when_its_stream_was_cut() {
    let rig = Rig::within(|limits| limits.quiet = Duration::from_millis(20));
    let hand = Hand::new(&rig, "2025-11-25").await;
    let mut stream = hand.call("slow").await;
    // The first event has an id and no data, and says how long to wait.
    let text = stream.until("data:\n\n", 1).await;
    assert!(text.contains("retry: 1000\ndata:\n\n"), "{text}");
    let begin = stream.first_id();
    drop(stream);
    rig.fake.release().await;

    // It can be fetched, and fetched again.
    for _ in 0..2 {
        let text = hand.get(Some(&begin)).await.end().await;
        assert!(
            text.starts_with("HTTP/1.1 200") && text.contains("text/event-stream"),
            "{text}"
        );
        assert!(text.contains("released") && text.contains(r#""id":7"#), "{text}");
    }
    let mut again = hand.get(Some(&begin)).await;
    again.until("released", 1).await;
    let last = again.last_id();
    let text = hand.get(Some(&last)).await.end().await;
    assert!(!text.contains("released"), "it was received: {text}");
    assert_eq!(rig.rows.seen(), ["fake/slow allow ok"], "one call was made");
    assert!(rig.end().await);
}

#[tokio::test]
async fn only_what_was_missed_comes_again() {
    let rig = Rig::new();
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let hand = Hand::new(&rig, version).await;
        let mut stream = hand.call("report").await;
        let text = stream.until("reported", 1).await;
        // Only the last legacy revision knows events without data.
        assert_eq!(text.contains("data:\n\n"), version == "2025-11-25", "{version}");
        let second = text
            .split("\n\n")
            .find(|event| event.contains(r#""progress":2"#))
            .and_then(|event| event.lines().find_map(|line| line.strip_prefix("id: ")))
            .unwrap()
            .to_owned();
        let text = hand.get(Some(&second)).await.end().await;
        assert!(!text.contains(r#""progress":2"#), "{version}: {text}");
        assert!(
            text.contains(r#""progress":3"#) && text.contains("reported"),
            "{version}: {text}"
        );
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_question_is_found_again_and_its_answer_counts() {
    let rig = Rig::new();
    let hand = Hand::new(&rig, "2025-11-25").await;
    let mut stream = hand.call("remove").await;
    stream.until("data:\n\n", 1).await;
    let begin = stream.first_id();
    drop(stream);
    let mut stream = hand.get(Some(&begin)).await;
    let text = stream.until("elicitation/create", 1).await;
    let line = text
        .lines()
        .find(|line| line.contains("elicitation/create"))
        .unwrap();
    let question: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
    let names: Vec<_> = question["params"]["requestedSchema"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    let answer = json!({"action": "accept", "content": {names[0]: true}});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": answer});
    assert!(hand.post(&answer).await.end().await.starts_with("HTTP/1.1 202"));
    let text = stream.end().await;
    assert!(text.contains("remove done"), "{text}");
    assert!(rig.end().await);
}

#[tokio::test]
async fn the_general_stream_goes_on_where_it_was() {
    let rig = Rig::new();
    let hand = Hand::new(&rig, "2025-11-25").await;
    let log = |text: &str| {
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "alert", "data": text}})
            .to_string()
    };
    let set_level =
        json!({"jsonrpc": "2.0", "id": 3, "method": "logging/setLevel", "params": {"level": "debug"}});
    hand.post(&set_level).await.end().await;
    hand.call("echo").await.end().await;
    let mut stream = hand.get(None).await;
    stream.until("data:\n\n", 1).await;
    rig.fake.send(&log("at first")).await;
    stream.until("at first", 1).await;
    let last = stream.last_id();
    drop(stream);
    rig.fake.send(&log("while away")).await;
    let mut stream = hand.get(Some(&last)).await;
    let text = stream.until("while away", 1).await;
    assert!(!text.contains("at first"), "it was received: {text}");
    // The stream is the same one as before.
    rig.fake.send(&log("now again")).await;
    stream.until("now again", 1).await;
    // Who comes without an id takes its place.
    let mut other = hand.get(None).await;
    other.until("data:\n\n", 1).await;
    stream.end().await;
    assert!(rig.end().await);
}

#[tokio::test]
async fn places_that_are_none() {
    let rig = Rig::new();
    let hand = Hand::new(&rig, "2025-11-25").await;
    let other = Hand::at(&hand.authority, "/mcp", "2025-11-25").await;
    let mut stream = hand.call("report").await;
    stream.until("reported", 1).await;
    let last = stream.last_id();
    for wrong in ["x", "99-1", "-1-1", "0-99999999999999999999999"] {
        let text = hand.get(Some(wrong)).await.end().await;
        assert!(
            text.starts_with("HTTP/1.1 400") && text.contains(r#""error""#),
            "{wrong:?}: {text}"
        );
    }
    let text = other.get(Some(&last)).await.end().await;
    assert!(
        text.starts_with("HTTP/1.1 400"),
        "events of one session are none of another's: {text}"
    );
    // A general stream that is gone is opened anew: what comes next is not lost.
    let mut anew = hand.get(Some("g99-1")).await;
    anew.until("data:\n\n", 1).await;
    // A client of the modern era has nothing to resume.
    let params = json!({"name": "report", "_meta": {
        "progressToken": 1,
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let headers = [
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/call"),
        ("mcp-name", "report"),
        ("last-event-id", "0-0"),
    ];
    let answer = exchange(&hand.authority, "POST", "/mcp", &headers, &body).await;
    assert!(answer.body.contains("reported"), "{}", answer.body);
    assert!(
        !answer.body.contains("id: ") && !answer.body.contains("retry:"),
        "{}",
        answer.body
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn silent_streams_make_room_when_connections_are_scarce() {
    let rig = Rig::within(|limits| {
        limits.quiet = Duration::from_millis(10);
        limits.keep_alive = Duration::from_millis(10);
        limits.connections = 8;
    });
    let authority = rig.http().await;
    let (new, old) = (
        Hand::at(&authority, "/mcp", "2025-11-25").await,
        Hand::at(&authority, "/mcp", "2025-06-18").await,
    );
    let mut stays = old.call("slow").await;
    stays.until(":\n\n", 1).await;
    let mut waits = new.call("slow").await;
    waits.until(":\n\n", 3).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(TcpStream::connect(&authority).await.unwrap());
    }
    waits.until("retry: 5000\n\n", 1).await;
    let last = waits.last_id();
    waits.end().await;
    drop(idle);
    // One that would not come back is left alone.
    let seen = stays.text.matches(":\n\n").count();
    stays.until(":\n\n", seen + 3).await;
    rig.fake.release().await;
    rig.fake.release().await;
    assert!(stays.end().await.contains("released"));
    eventually("the answer", async || {
        let text = new.get(Some(&last)).await.end().await;
        text.contains("released").then_some(())
    })
    .await;
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_session_lives_while_its_stream_is_read() {
    let rig = Rig::within(|limits| {
        limits.session_idle = Duration::from_millis(40);
        limits.keep_alive = Duration::from_millis(20);
    });
    let hand = Hand::new(&rig, "2025-11-25").await;
    let mut stream = hand.get(None).await;
    stream.until(":\n\n", 10).await;
    assert_eq!(rig.gateway.status().sessions, 1);
    drop(stream);
    eventually("the end of the session", async || {
        (rig.gateway.status().sessions == 0).then_some(())
    })
    .await;
    let text = hand.get(None).await.end().await;
    assert!(text.starts_with("HTTP/1.1 404"), "{text}");
    assert!(rig.end().await);
}

#[tokio::test]
async fn http_with_sse_of_the_first_revision() {
    let rig = Rig::new();
    let authority = rig.http_with(|options| options.sse = true).await;
    let mut stream = Open::request(&authority, "GET", "/sse", &[], "").await;
    let text = stream.until("\n\n", 1).await;
    assert!(
        text.contains("event: endpoint\ndata: /messages?session="),
        "{text}"
    );
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap()
        .to_owned();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2024-11-05"}});
    let post = async |headers: &[(&str, &str)], body: &str| {
        exchange(&authority, "POST", &path, headers, body).await.status
    };
    // Line breaks inside a message are no ends of messages.
    assert_eq!(post(&[], &format!("{hello:#}")).await, 202);
    stream.until(r#""protocolVersion":"2024-11-05""#, 1).await;
    let report = call(2, "report").to_string();
    assert_eq!(post(&[], &report).await, 202);
    let text = stream.until("reported", 1).await;
    assert_eq!(text.matches("notifications/progress").count(), 3, "{text}");

    let bob = format!("Bearer {OTHER_TOKEN}");
    let modern = json!({"jsonrpc": "2.0", "id": 3, "method": "server/discover", "params": {}}).to_string();
    for (headers, body, status) in [
        (vec![("authorization", "")], report.as_str(), 401),
        (vec![("authorization", bob.as_str())], report.as_str(), 404),
        (vec![("content-type", "text/plain")], report.as_str(), 415),
        (vec![], "{", 400),
        (vec![], modern.as_str(), 400),
    ] {
        assert_eq!(post(&headers, body).await, status, "{headers:?} {body}");
    }
    // The session goes with its stream.
    drop(stream);
    let ended = async || (post(&[], &report).await == 404).then_some(());
    eventually("the end of the session", ended).await;
    let answer = exchange(&authority, "POST", "/messages", &[], &report).await;
    assert_eq!(answer.status, 404);
    assert!(rig.end().await);

    // It has to be switched on.
    let rig = Rig::new();
    let authority = rig.http().await;
    for (method, path) in [("GET", "/sse"), ("POST", "/messages?session=1")] {
        assert_eq!(
            exchange(&authority, method, path, &[], "").await.status,
            404,
            "{path}"
        );
    }
    assert!(rig.end().await);
}
