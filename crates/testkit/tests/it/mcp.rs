//! The MCP client against peers of a few lines.

use serde_json::{Value, json};
use testkit::{McpClient, RpcError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

/// A server in memory that answers each line by `answer`; several lines are sent in turn.
fn server(answer: impl Fn(Value) -> Vec<String> + Send + 'static) -> (McpClient, JoinSet<()>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(near);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (reader, mut writer) = tokio::io::split(far);
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let message = serde_json::from_str(&line).unwrap_or(Value::Null);
            for reply in answer(message) {
                writer.write_all(format!("{reply}\n").as_bytes()).await.unwrap();
            }
        }
    });
    (McpClient::over(reader, writer), tasks)
}

fn result(message: &Value, result: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string()
}

#[tokio::test]
async fn requests_notifications_and_questions_find_their_places() {
    let (client, _server) = server(|message| match message["method"].as_str() {
        Some("initialize") => vec![result(&message, &json!({ "protocolVersion": "2025-06-18" }))],
        Some("tools/call") => vec![
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1 } })
                .to_string(),
            json!({ "jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": {} }).to_string(),
            result(
                &message,
                &json!({ "content": [{ "type": "text", "text": message["params"]["name"] }] }),
            ),
        ],
        Some("notifications/initialized") => vec![],
        Some(_) => vec![
            json!({ "jsonrpc": "2.0", "id": message["id"], "error": { "code": -32601, "message": "no" } })
                .to_string(),
        ],
        // The reply to the question comes back as a stray, for the test to see.
        None => vec![message.to_string()],
    });
    client.respond(|method, _| (method == "elicitation/create").then(|| json!({ "action": "accept" })));

    assert_eq!(
        client.initialize("2025-06-18").await["protocolVersion"],
        "2025-06-18"
    );
    assert_eq!(client.call("echo", json!({})).await.ok().text(), "echo");
    assert_eq!(
        client.notification("notifications/progress").await,
        json!({ "progress": 1 })
    );
    assert_eq!(client.server_requests()[0]["method"], "elicitation/create");
    let reply: Value = serde_json::from_str(&client.stray().await).unwrap();
    assert_eq!(
        reply,
        json!({ "jsonrpc": "2.0", "id": "q1", "result": { "action": "accept" } })
    );
    let refused = client.request("nope", json!({})).await;
    assert_eq!(
        refused,
        Err(RpcError {
            code: -32601,
            message: "no".into(),
            data: Value::Null
        })
    );
}

#[tokio::test]
async fn a_modern_request_carries_its_metadata() {
    let (client, _server) = server(|message| vec![result(&message, &message["params"]["_meta"])]);
    client.modern("2026-07-28", &json!({ "elicitation": {} }));
    let meta = client
        .request("server/discover", json!({ "_meta": { "progressToken": 7 } }))
        .await
        .unwrap();
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(
        meta["io.modelcontextprotocol/clientCapabilities"],
        json!({ "elicitation": {} })
    );
    assert_eq!(meta["progressToken"], 7);
}

#[tokio::test]
async fn a_child_is_spoken_to_and_ends_with_its_input() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "read line; echo banner; echo '{\"id\":1,\"result\":42}'; echo sorry >&2; cat >/dev/null; exit 3",
    ]);
    let client = McpClient::spawn(command);
    assert_eq!(client.request("anything", json!({})).await, Ok(json!(42)));
    assert_eq!(client.stray().await, "banner");
    testkit::eventually("stderr", async || (client.stderr() == "sorry\n").then_some(())).await;
    assert_eq!(client.close().await.code(), Some(3));
}

/// One HTTP answer for each connection, and the request that came in.
async fn http_server(
    answers: Vec<&'static str>,
) -> (String, tokio::sync::mpsc::Receiver<String>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).await.unwrap();
            }
            sender.send(head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (authority, receiver, tasks)
}

#[tokio::test]
async fn http_answers_come_as_json_as_events_or_as_errors() {
    let (authority, mut requests, _server) = http_server(vec![
        "HTTP/1.1 200 OK\r\nmcp-session-id: s1\r\ncontent-type: application/json\r\ncontent-length: 19\r\n\r\n{\"id\":1,\"result\":1}",
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\ndata: {\"method\":\"m\",\"params\":2}\n\nevent: message\ndata: {\"id\":2,\ndata: \"result\":3}\n\n",
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno",
    ])
    .await;
    let client = McpClient::http(&authority, "/mcp", Some("t0"));
    client.modern("2026-07-28", &json!({}));
    assert_eq!(
        client.request("tools/call", json!({ "name": "echo" })).await,
        Ok(json!(1))
    );
    let head = requests.recv().await.unwrap();
    for header in [
        "authorization: Bearer t0",
        "mcp-method: tools/call",
        "mcp-name: echo",
        "mcp-protocol-version: 2026-07-28",
    ] {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    assert_eq!(client.session().as_deref(), Some("s1"));
    assert_eq!(client.request("b", json!({})).await, Ok(json!(3)));
    assert_eq!(client.notifications("m"), [json!(2)]);
    assert!(requests.recv().await.unwrap().contains("mcp-session-id: s1"));
    assert_eq!(client.request("c", json!({})).await.unwrap_err().code, 401);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_is_read() {
    let (authority, mut requests, _server) = http_server(vec![
        "HTTP/1.1 413 Too Large\r\ntransfer-encoding: chunked\r\nX-Why: size\r\n\r\n3\r\ntoo\r\n4\r\n big\r\n0\r\n\r\n",
    ])
    .await;
    let client = McpClient::http(&authority, "/mcp", None);
    let answer = client
        .exchange("POST", &[("Host", "example")], &"x".repeat(10_000_000))
        .await;
    assert_eq!(
        (answer.status, answer.body.as_str(), answer.header("x-why")),
        (413, "too big", Some("size"))
    );
    let head = requests.recv().await.unwrap();
    assert!(
        head.contains("Host: example\r\n") && head.contains("content-length: 10000000\r\n"),
        "{head}"
    );
}
