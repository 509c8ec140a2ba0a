//! Scripted servers that misbehave in one way each, with all that one wants to know of their lives.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base::names::ServerName;
use gateway::{
    CallError, CancellationToken, Connect, Describe, Direct, Gateway, Life, Link, Origin, Parts, Principal,
    Server, ServerStatus, Share, Wire,
};
use policy::Effect;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use crate::rig::Rows;

/// In which way a server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Good,
    /// Never answers `initialize`.
    Hangs,
    /// Ends at once.
    Exits,
    /// Writes without end, and reads nothing.
    Floods,
    /// Answers everything but calls.
    Mute,
    /// Ends in the middle of each call.
    Dies,
    /// Answers each call with more than the gateway takes.
    Huge,
    /// Lists two tools of one name.
    Twins,
    /// Says that its list has changed whenever it is listed.
    Restless,
    /// After the first call it reads nothing any more.
    Stops,
}

#[derive(Clone)]
pub(crate) struct Bot(Arc<State>);

struct State {
    mode: Mutex<Mode>,
    tools: Mutex<Vec<Value>>,
    starts: AtomicUsize,
    live: AtomicUsize,
    calls: AtomicUsize,
    lists: AtomicUsize,
    pings: AtomicUsize,
    parked: AtomicBool,
    shares: Mutex<Vec<Share>>,
    more: Value,
}

impl Bot {
    /// With one tool, `use`.
    pub(crate) fn new(mode: Mode) -> Self {
        Self::with(mode, &["use"], json!({}))
    }

    /// `more`: `prompts`, `resources`, `resourceTemplates`, `instructions`, `answer`.
    pub(crate) fn with(how: Mode, tools: &[&str], more: Value) -> Self {
        let tools = tools
            .iter()
            .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
        Self(Arc::new(State {
            mode: Mutex::new(how),
            tools: Mutex::new(tools.collect()),
            starts: AtomicUsize::default(),
            live: AtomicUsize::default(),
            calls: AtomicUsize::default(),
            lists: AtomicUsize::default(),
            pings: AtomicUsize::default(),
            parked: AtomicBool::default(),
            shares: Mutex::default(),
            more,
        }))
    }

    pub(crate) fn server(&self, name: &str) -> Server {
        let bot = self.clone();
        let connect: Connect = Box::new(move |share| {
            let bot = bot.clone();
            Box::pin(async move {
                bot.0.starts.fetch_add(1, Ordering::SeqCst);
                bot.0.shares.lock().unwrap().push(share);
                let (ours, theirs) = tokio::io::duplex(4 << 10);
                Ok(Link {
                    wire: Wire::Pipe(Box::new(theirs)),
                    driver: Some(Box::pin(async move {
                        bot.0.live.fetch_add(1, Ordering::SeqCst);
                        bot.run(ours).await;
                        bot.0.live.fetch_sub(1, Ordering::SeqCst);
                        None
                    })),
                })
            })
        });
        Server {
            origin: Origin::Catalog,
            ..Server::new(ServerName::parse(name).unwrap(), connect, Arc::new(Knows))
        }
    }

    /// With times and bounds of its own.
    pub(crate) fn living(&self, name: &str, life: Life) -> Server {
        Server {
            life,
            ..self.server(name)
        }
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        *self.0.mode.lock().unwrap() = mode;
    }

    pub(crate) fn set_tools(&self, tools: &[Value]) {
        *self.0.tools.lock().unwrap() = tools.to_vec();
    }

    /// Calls are not answered while it is set.
    pub(crate) fn park(&self, is_parked: bool) {
        self.0.parked.store(is_parked, Ordering::SeqCst);
    }

    pub(crate) fn starts(&self) -> usize {
        self.0.starts.load(Ordering::SeqCst)
    }

    pub(crate) fn live(&self) -> usize {
        self.0.live.load(Ordering::SeqCst)
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn lists(&self) -> usize {
        self.0.lists.load(Ordering::SeqCst)
    }

    pub(crate) fn pings(&self) -> usize {
        self.0.pings.load(Ordering::SeqCst)
    }

    pub(crate) fn shares(&self) -> Vec<Share> {
        self.0.shares.lock().unwrap().clone()
    }

    fn mode(&self) -> Mode {
        *self.0.mode.lock().unwrap()
    }

    async fn run(&self, stream: DuplexStream) {
        let (reader, mut writer) = tokio::io::split(stream);
        if self.mode() == Mode::Exits {
            return;
        }
        if self.mode() == Mode::Floods {
            while writer
                .write_all(b"[INFO] still starting, please wait ...\n")
                .await
                .is_ok()
            {
                // Paused time goes on when nothing else does.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            return;
        }
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let message: Value = serde_json::from_str(&line).unwrap();
            let (id, mode) = (&message["id"], self.mode());
            if id.is_null() {
                continue;
            }
            let mut lines = vec![];
            let result = match message["method"].as_str().unwrap() {
                _ if mode == Mode::Hangs => continue,
                _ if mode == Mode::Stops && self.calls() > 0 => continue,
                "initialize" => self.hello(),
                "tools/list" => {
                    self.0.lists.fetch_add(1, Ordering::SeqCst);
                    if mode == Mode::Restless {
                        lines.push(
                            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned(),
                        );
                    }
                    let mut tools = self.0.tools.lock().unwrap().clone();
                    if mode == Mode::Twins {
                        let mut twin = tools[0].clone();
                        twin["description"] = "the second".into();
                        tools.push(twin);
                    }
                    json!({"tools": tools})
                }
                "ping" => {
                    self.0.pings.fetch_add(1, Ordering::SeqCst);
                    json!({})
                }
                "tools/call" => {
                    self.0.calls.fetch_add(1, Ordering::SeqCst);
                    match mode {
                        Mode::Mute => continue,
                        Mode::Dies => return,
                        Mode::Huge => json!({"content": [{"type": "text", "text": "x".repeat(1 << 20)}]}),
                        _ => {
                            while self.0.parked.load(Ordering::SeqCst) {
                                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                            }
                            let given = &self.0.more["answer"];
                            if given.is_null() {
                                crate::rig::text("used")
                            } else {
                                given.clone()
                            }
                        }
                    }
                }
                "prompts/get" => json!({"messages": []}),
                "resources/read" => {
                    json!({"contents": [{"uri": message["params"]["uri"], "text": "content"}]})
                }
                other => {
                    let member = other.split('/').next().unwrap();
                    let member = if other == "resources/templates/list" {
                        "resourceTemplates"
                    } else {
                        member
                    };
                    json!({member: self.0.more[member]})
                }
            };
            lines.push(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string());
            for line in lines {
                if writer.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }

    fn hello(&self) -> Value {
        let mut capabilities = json!({"tools": {"listChanged": true}});
        for name in ["prompts", "resources"] {
            if !self.0.more[name].is_null() {
                capabilities[name] = json!({});
            }
        }
        let mut hello = json!({
            "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "serverInfo": {"name": "bot", "version": "1"},
        });
        if let Some(instructions) = self.0.more.get("instructions") {
            hello["instructions"] = instructions.clone();
        }
        hello
    }
}

/// Nothing is known of the tools but that they do no harm.
struct Knows;

impl Describe for Knows {
    fn canonical(&self, _tool: &str) -> Option<String> {
        None
    }

    fn effect(&self, _tool: &str, _arguments: &Value) -> Effect {
        Effect::Read
    }

    fn about(&self, tool: &str, _arguments: &Value) -> String {
        tool.to_owned()
    }

    fn data_loss(&self, _tool: &str, _arguments: &Value) -> Option<String> {
        None
    }
}

/// A gateway before these servers.
pub(crate) fn gateway(servers: Vec<Server>, change: impl FnOnce(&mut Parts)) -> Gateway {
    let mut parts = Parts {
        servers,
        ..Parts::new(Arc::new(Rows::default()), "gate", "1.0")
    };
    change(&mut parts);
    Gateway::new(parts).unwrap()
}

/// Calls a tool as that principal; the text of the result, or the error.
pub(crate) async fn call(gateway: &Gateway, principal: &str, tool: &str) -> Result<String, String> {
    let direct = Direct {
        principal: Principal::new(principal),
        client: "test".to_owned(),
        tool: tool.to_owned(),
        arguments: serde_json::Map::new(),
        confirmer: None,
        progress: None,
        cancel: CancellationToken::new(),
    };
    let result: Result<_, CallError> = gateway.call(direct).await;
    let result = result.map_err(|error| error.message)?;
    let result: Value = serde_json::from_str(result.get()).unwrap();
    let blocks = result["content"].as_array().unwrap().iter();
    let text: Vec<_> = blocks.map(|block| block["text"].as_str().unwrap()).collect();
    Ok(text.join("\n"))
}

/// The names of the tools that the local user sees.
pub(crate) async fn tools(gateway: &Gateway) -> Vec<String> {
    let tools = gateway.tools(&Principal::new("local")).await.unwrap();
    let names = tools
        .iter()
        .map(|tool| serde_json::from_str::<Value>(tool.get()).unwrap()["name"].clone());
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// How one server does.
pub(crate) fn status(gateway: &Gateway, server: &str) -> ServerStatus {
    let status = gateway.status();
    status
        .servers
        .into_iter()
        .find(|status| status.name == server)
        .unwrap()
}
