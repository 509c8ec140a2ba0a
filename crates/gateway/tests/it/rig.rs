//! A scripted server, a gateway before it, and clients.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base::Secret;
use base::names::ServerName;
use futures_util::future::BoxFuture;
use gateway::{
    CancellationToken, Connect, Describe, Gateway, HttpOptions, Journal, Key, Limits, Link, Parts, Principal,
    Server, Wire,
};
use policy::{Effect, Rules};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store::Entry;
use testkit::{McpClient, eventually};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) const TOKEN: &str = "token-of-ann-0123456789";
pub(crate) const OTHER_TOKEN: &str = "token-of-bob-0123456789";
pub(crate) const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The fake's tools.
const TOOLS: [&str; 11] = [
    "echo", "raw", "fail", "slow", "report", "die", "text", "say", "change", "remove", "wipe",
];
pub(crate) const MODERN: &str = "2026-07-28";

/// A server whose tools do what their arguments say.
#[derive(Clone)]
pub(crate) struct Fake(Arc<State>);

struct State {
    /// Every message that came in, as it was written.
    lines: Mutex<Vec<String>>,
    starts: AtomicUsize,
    /// No connection is made while it is set.
    is_down: AtomicBool,
    /// Ids of calls to `slow` that have not been answered.
    parked: Mutex<VecDeque<Value>>,
    /// To the connection that is open.
    out: Mutex<Option<mpsc::Sender<String>>>,
    tools: Mutex<Vec<Value>>,
    page: usize,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self::with_tools(&TOOLS, 100)
    }

    pub(crate) fn with_tools(names: &[&str], page: usize) -> Self {
        let tools = names.iter().map(|name| tool(name)).collect();
        Self(Arc::new(State {
            lines: Mutex::default(),
            starts: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            parked: Mutex::default(),
            out: Mutex::default(),
            tools: Mutex::new(tools),
            page,
        }))
    }

    pub(crate) fn server(&self, name: &str) -> Server {
        let fake = self.clone();
        let connect: Connect = Box::new(move |_| {
            let fake = fake.clone();
            Box::pin(async move {
                if fake.0.is_down.load(Ordering::SeqCst) {
                    return Err(io::Error::other("the fake is down"));
                }
                fake.0.starts.fetch_add(1, Ordering::SeqCst);
                let (ours, theirs) = tokio::io::duplex(4 << 10);
                Ok(Link {
                    wire: Wire::Pipe(Box::new(theirs)),
                    driver: Some(Box::pin(async move {
                        fake.run(ours).await;
                        None
                    })),
                })
            })
        });
        Server {
            instructions: Some(format!("About {name}.")),
            ..Server::new(ServerName::parse(name).unwrap(), connect, Arc::new(Knows))
        }
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.0.is_down.store(is_down, Ordering::SeqCst);
    }

    pub(crate) fn starts(&self) -> usize {
        self.0.starts.load(Ordering::SeqCst)
    }

    pub(crate) fn set_tools(&self, names: &[&str]) {
        *self.0.tools.lock().unwrap() = names.iter().map(|name| tool(name)).collect();
    }

    /// Messages of this method that came in, as they were written.
    pub(crate) fn lines_of(&self, method: &str) -> Vec<String> {
        let mark = format!("\"method\":\"{method}\"");
        self.0
            .lines
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains(&mark))
            .cloned()
            .collect()
    }

    /// Every message that came in.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lines.lock().unwrap().clone()
    }

    /// Waits until so many messages of this method came in.
    pub(crate) async fn until(&self, method: &str, count: usize) -> Vec<String> {
        eventually(method, async || {
            Some(self.lines_of(method)).filter(|lines| lines.len() >= count)
        })
        .await
    }

    /// Answers the call to `slow` that waits the longest.
    pub(crate) async fn release(&self) {
        let id = eventually("a parked call", async || {
            self.0.parked.lock().unwrap().pop_front()
        })
        .await;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "result": text("released")}).to_string())
            .await;
    }

    pub(crate) fn parked(&self) -> usize {
        self.0.parked.lock().unwrap().len()
    }

    /// Sends any line.
    pub(crate) async fn send(&self, line: &str) {
        let out = self
            .0
            .out
            .lock()
            .unwrap()
            .clone()
            .expect("the server is connected");
        out.send(line.to_owned()).await.unwrap();
    }

    async fn run(self, stream: DuplexStream) {
        let (reader, mut writer) = tokio::io::split(stream);
        let (out, mut queue) = mpsc::channel(100);
        *self.0.out.lock().unwrap() = Some(out);
        let mut lines = BufReader::new(reader).lines();
        loop {
            let answers = tokio::select! {
                line = lines.next_line() => match line {
                    Ok(Some(line)) => self.take(line),
                    _ => return,
                },
                Some(line) = queue.recv() => Some(vec![line]),
            };
            let Some(answers) = answers else { return };
            for line in answers {
                if writer.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The lines that answer it; `None` ends the connection.
    fn take(&self, line: String) -> Option<Vec<String>> {
        let message: Value = serde_json::from_str(&line).unwrap();
        let raw: Option<Box<RawValue>> = serde_json::from_str::<RawMessage>(&line)
            .ok()
            .and_then(|message| message.params);
        self.0.lines.lock().unwrap().push(line);
        let (id, params) = (&message["id"], &message["params"]);
        if id.is_null() || message["method"].is_null() {
            return Some(vec![]);
        }
        let result = |result: Value| {
            Some(vec![
                json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string(),
            ])
        };
        let error = |code: i64, text: &str| {
            let error = json!({"code": code, "message": text, "data": {"why": [1, 2]}});
            Some(vec![
                json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string(),
            ])
        };
        match message["method"].as_str().unwrap_or_default() {
            "initialize" => result(json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}, "prompts": {},
                    "completions": {}, "logging": {}},
                "serverInfo": {"name": "fake", "version": "1"},
            })),
            "tools/list" => {
                let tools = self.0.tools.lock().unwrap().clone();
                let from = params["cursor"]
                    .as_str()
                    .map_or(0, |cursor| cursor.parse().unwrap());
                let page: Vec<_> = tools.iter().skip(from).take(self.0.page).cloned().collect();
                let next = from + page.len();
                let mut list = json!({"tools": page});
                if next < tools.len() {
                    list["nextCursor"] = next.to_string().into();
                }
                result(list)
            }
            "resources/list" => result(json!({"resources": [{"uri": "fake://a", "name": "a"}]})),
            "resources/templates/list" => {
                result(json!({"resourceTemplates": [{"uriTemplate": "fake://{x}", "name": "x"}]}))
            }
            "resources/read" => match params["uri"].as_str() {
                Some("fake://a") => result(json!({"contents": [{"uri": "fake://a", "text": "A"}]})),
                _ => error(-32002, "no such resource"),
            },
            "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel" => result(json!({})),
            "prompts/list" => result(json!({"prompts": [{"name": "greet"}]})),
            "prompts/get" => result(json!({
                "messages": [{"role": "user", "content": {"type": "text", "text": format!("hello {}", params["arguments"]["who"])}}],
            })),
            "completion/complete" => {
                result(json!({"completion": {"values": ["one", "two"], "hasMore": false}}))
            }
            "tools/call" => self.call(id, params, raw.as_deref()),
            other => error(-32601, other),
        }
    }

    fn call(&self, id: &Value, params: &Value, raw: Option<&RawValue>) -> Option<Vec<String>> {
        let arguments = &params["arguments"];
        let answer = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        let done = |what: &str| Some(vec![answer(&text(what).to_string())]);
        match params["name"].as_str().unwrap_or_default() {
            // All the params that came in, as text.
            "echo" => done(raw.unwrap().get()),
            // A result or an error that the test wrote.
            "raw" => Some(vec![answer(arguments["result"].as_str().unwrap())]),
            "fail" => Some(vec![format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{}}}"#,
                arguments["error"].as_str().unwrap()
            )]),
            "slow" => {
                self.0.parked.lock().unwrap().push_back(id.clone());
                Some(vec![])
            }
            "report" => {
                let token = &params["_meta"]["progressToken"];
                let mut lines = vec![];
                for progress in 1..=3 {
                    let params =
                        json!({"progressToken": token, "progress": progress, "total": 3, "vendor": {"x": 1}});
                    lines.push(
                        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
                            .to_string(),
                    );
                }
                lines.push(answer(&text("reported").to_string()));
                Some(lines)
            }
            "die" => None,
            "text" => {
                done(&"0123456789 word\n".repeat(arguments["lines"].as_u64().unwrap().try_into().unwrap()))
            }
            // Lines before the answer.
            "say" => {
                let lines = arguments["lines"].as_array().unwrap().iter();
                let mut lines: Vec<_> = lines.map(|line| line.as_str().unwrap().to_owned()).collect();
                lines.push(answer(&text("said").to_string()));
                Some(lines)
            }
            other => done(&format!("{other} done")),
        }
    }
}

#[derive(serde::Deserialize)]
struct RawMessage {
    params: Option<Box<RawValue>>,
}

fn tool(name: &str) -> Value {
    let mut tool = json!({
        "name": name,
        "description": format!("does {name}"),
        "inputSchema": {"type": "object"},
        "vendor": {"keeps": 12_345_678_901_234_567_u64},
    });
    if name == "echo" {
        tool["inputSchema"]["properties"] = json!({"region": {"type": "string", "x-mcp-header": "Region"}});
    }
    tool
}

pub(crate) fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

/// What is known of the fake's tools.
pub(crate) struct Knows;

impl Describe for Knows {
    fn canonical(&self, tool: &str) -> Option<String> {
        match tool {
            "rm" => Some("remove".to_owned()),
            "unlisted" => Some(tool.to_owned()),
            _ => TOOLS.contains(&tool).then(|| tool.to_owned()),
        }
    }

    fn effect(&self, tool: &str, arguments: &Value) -> Effect {
        match tool {
            "remove" if arguments["really"] == json!(false) => Effect::Read,
            "remove" | "wipe" => Effect::Destroy,
            "change" => Effect::Change,
            _ => Effect::Read,
        }
    }

    fn about(&self, tool: &str, arguments: &Value) -> String {
        format!("{tool} {}", arguments["name"].as_str().unwrap_or("something"))
    }

    fn data_loss(&self, tool: &str, arguments: &Value) -> Option<String> {
        (tool == "wipe").then(|| arguments["name"].as_str().unwrap_or("it").to_owned())
    }
}

/// Keeps rows in memory, or refuses to.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    rows: Arc<Mutex<Vec<Entry>>>,
    is_broken: Arc<AtomicBool>,
}

impl Rows {
    pub(crate) fn set_broken(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
    }

    /// `server/tool decision outcome`, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        let rows = self.rows.lock().unwrap();
        rows.iter()
            .map(|row| format!("{}/{} {} {}", row.server, row.tool, row.decision, row.outcome))
            .collect()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.rows.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Entry {
        self.rows
            .lock()
            .unwrap()
            .last()
            .cloned()
            .expect("a row was written")
    }
}

impl Journal for Rows {
    fn append(&self, entry: Entry) -> BoxFuture<'_, Result<(), store::Error>> {
        Box::pin(async move {
            if self.is_broken.load(Ordering::SeqCst) {
                return Err(store::Error::Closed);
            }
            self.rows.lock().unwrap().push(entry);
            Ok(())
        })
    }
}

/// A gateway with a fake behind it.
pub(crate) struct Rig {
    pub(crate) fake: Fake,
    pub(crate) rows: Rows,
    pub(crate) gateway: Gateway,
    stop: CancellationToken,
    tasks: Mutex<JoinSet<io::Result<()>>>,
}

/// How a client reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Stdio,
    Http,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Parts)) -> Self {
        Self::before(Fake::new(), change)
    }

    /// With bounds of its own.
    pub(crate) fn within(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(|parts| change(&mut parts.limits))
    }

    pub(crate) fn ruled(rules: Rules) -> Self {
        Self::with(|parts| parts.rules = rules)
    }

    pub(crate) fn before(fake: Fake, change: impl FnOnce(&mut Parts)) -> Self {
        let rows = Rows::default();
        let mut parts = Parts {
            servers: vec![fake.server("fake")],
            secrets: [Secret::new(TOKEN)].into_iter().collect(),
            ..Parts::new(Arc::new(rows.clone()), "gate", "1.0")
        };
        change(&mut parts);
        let gateway = Gateway::new(parts).unwrap();
        Self {
            fake,
            rows,
            gateway,
            stop: CancellationToken::new(),
            tasks: Mutex::default(),
        }
    }

    /// A client without handshake.
    pub(crate) async fn connect(&self, over: Over) -> McpClient {
        match over {
            Over::Stdio => self.stdio(),
            Over::Http => McpClient::http(&self.http().await, "/mcp", Some(TOKEN)),
        }
    }

    /// A client that has shaken hands, or speaks the modern era.
    pub(crate) async fn client(&self, over: Over, version: &str, capabilities: Value) -> McpClient {
        let client = self.connect(over).await;
        if version == MODERN {
            client.modern(version, &capabilities);
        } else {
            let answer = client.initialize_with(version, capabilities).await;
            assert_eq!(answer["protocolVersion"], version);
        }
        client
    }

    pub(crate) fn stdio(&self) -> McpClient {
        let (ours, theirs) = tokio::io::duplex(16 << 10);
        let (reader, writer) = tokio::io::split(theirs);
        let (gateway, stop) = (self.gateway.clone(), self.stop.clone());
        self.tasks.lock().unwrap().spawn(async move {
            gateway
                .serve_stdio(Principal::new("local"), reader, writer, stop)
                .await
        });
        let (reader, writer) = tokio::io::split(ours);
        McpClient::over(reader, writer)
    }

    /// Serves HTTP; the authority.
    pub(crate) async fn http(&self) -> String {
        self.http_with(|_| {}).await
    }

    pub(crate) async fn http_with(&self, change: impl FnOnce(&mut HttpOptions)) -> String {
        let mut options = HttpOptions {
            address: "127.0.0.1:0".parse().unwrap(),
            keys: vec![
                Key {
                    principal: Principal::new("ann"),
                    token: Secret::new(TOKEN),
                },
                Key {
                    principal: Principal::new("bob"),
                    token: Secret::new(OTHER_TOKEN),
                },
            ],
            hosts: vec![],
            origins: vec![],
            sse: false,
            links: None,
        };
        change(&mut options);
        let server = self.gateway.bind(options).await.unwrap();
        let authority = server.address().to_string();
        let stop = self.stop.clone();
        self.tasks.lock().unwrap().spawn(async move {
            server.serve(stop).await;
            Ok(())
        });
        authority
    }

    /// Ends everything; whether it ended in time.
    pub(crate) async fn end(self) -> bool {
        self.stop.cancel();
        let mut tasks = self.tasks.into_inner().unwrap();
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap().unwrap();
        }
        self.gateway.shutdown(std::time::Duration::from_secs(5)).await
    }
}
