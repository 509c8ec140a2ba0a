//! Small servers of either era that want something of their client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base::names::ServerName;
use gateway::{Link, Server, Wire};
use serde_json::{Value, json};
use testkit::eventually;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;

use crate::rig::{Knows, MODERN, text};

/// How a server behaves at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Modern,
    Legacy,
    /// Legacy, and it ends at what it does not know before `initialize`.
    Touchy,
    /// Legacy, and it keeps silent at what it does not know.
    Silent,
}

#[derive(Clone)]
pub(crate) struct Actor(Arc<State>);

struct State {
    manner: Manner,
    lines: Mutex<Vec<Value>>,
    starts: Mutex<usize>,
    out: Mutex<Option<mpsc::Sender<Value>>>,
    /// Calls that wait for the client's answer to a request of ours, by its id.
    asked: Mutex<HashMap<String, Value>>,
}

impl Actor {
    pub(crate) fn new(manner: Manner) -> Self {
        Self(Arc::new(State {
            manner,
            lines: Mutex::default(),
            starts: Mutex::default(),
            out: Mutex::default(),
            asked: Mutex::default(),
        }))
    }

    pub(crate) fn server(&self) -> Server {
        let actor = self.clone();
        let connect = move |_| {
            let actor = actor.clone();
            *actor.0.starts.lock().unwrap() += 1;
            let (ours, theirs) = tokio::io::duplex(4 << 10);
            let link = Link {
                wire: Wire::Pipe(Box::new(theirs)),
                driver: Some(Box::pin(async move {
                    actor.run(ours).await;
                    None
                })),
            };
            Box::pin(std::future::ready(Ok(link))) as _
        };
        Server::new(
            ServerName::parse("actor").unwrap(),
            Box::new(connect),
            Arc::new(Knows),
        )
    }

    pub(crate) fn starts(&self) -> usize {
        *self.0.starts.lock().unwrap()
    }

    /// Messages of this method that came in.
    pub(crate) fn seen(&self, method: &str) -> Vec<Value> {
        let lines = self.0.lines.lock().unwrap();
        lines
            .iter()
            .filter(|line| line["method"] == method)
            .cloned()
            .collect()
    }

    /// The client's answer to a request of ours.
    pub(crate) fn answer_to(&self, id: &str) -> Option<Value> {
        let lines = self.0.lines.lock().unwrap();
        lines
            .iter()
            .find(|line| line["id"] == id && line["method"].is_null())
            .cloned()
    }

    pub(crate) async fn until(&self, method: &str) -> Value {
        eventually(method, async || self.seen(method).pop()).await
    }

    /// Sends any message.
    pub(crate) fn send(&self, message: Value) {
        let out = self.0.out.lock().unwrap();
        out.as_ref()
            .expect("the server is connected")
            .try_send(message)
            .unwrap();
    }

    async fn run(self, stream: DuplexStream) {
        let (reader, mut writer) = tokio::io::split(stream);
        let (out, mut queue) = mpsc::channel(1_000);
        *self.0.out.lock().unwrap() = Some(out);
        let mut lines = BufReader::new(reader).lines();
        let mut greeted = self.0.manner == Manner::Modern;
        loop {
            tokio::select! {
                line = lines.next_line() => {
                    let Ok(Some(line)) = line else { return };
                    let message: Value = serde_json::from_str(&line).unwrap();
                    self.0.lines.lock().unwrap().push(message.clone());
                    greeted |= message["method"] == "initialize";
                    match self.0.manner {
                        Manner::Touchy if !greeted => return,
                        Manner::Silent if !greeted => {}
                        _ => self.take(&message),
                    }
                }
                Some(message) = queue.recv() => {
                    if writer.write_all(format!("{message}\n").as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn take(&self, message: &Value) {
        let (id, method) = (&message["id"], message["method"].as_str());
        let Some(method) = method else {
            return self.answered(message);
        };
        if id.is_null() {
            return;
        }
        let is_modern = self.0.manner == Manner::Modern;
        let capabilities = json!({
            "tools": {"listChanged": true}, "resources": {"subscribe": true, "listChanged": true}, "prompts": {},
            "logging": {}, "completions": {},
        });
        let result = match method {
            "server/discover" if is_modern => {
                json!({"supportedVersions": [MODERN], "capabilities": capabilities, "instructions": "Be kind."})
            }
            "initialize" if !is_modern => {
                json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {"name": "actor", "version": "1"}})
            }
            "subscriptions/listen" if is_modern => {
                return self.send(json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
                    "_meta": {"io.modelcontextprotocol/subscriptionId": id}, "notifications": message["params"]["notifications"],
                }}));
            }
            // The test answers.
            "resources/subscribe" | "resources/unsubscribe" if message["params"]["uri"] == "slow:a" => return,
            "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" if !is_modern => json!({}),
            "tools/list" => {
                let tools = ["ask", "visit", "log"]
                    .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
                json!({"tools": tools, "ttlMs": 7, "cacheScope": "public"})
            }
            "resources/read" => {
                let (code, data) = if is_modern {
                    (-32602, json!({"uri": message["params"]["uri"]}))
                } else {
                    (-32002, Value::Null)
                };
                return self.fail(id, code, "no such resource", data);
            }
            "tools/call" => return self.call(id, &message["params"]),
            "vendor/do" => json!({"did": message["params"]}),
            other => return self.fail(id, -32601, other, Value::Null),
        };
        self.answer(id, result);
    }

    fn answer(&self, id: &Value, mut result: Value) {
        if self.0.manner == Manner::Modern {
            if result["resultType"].is_null() {
                result["resultType"] = "complete".into();
            }
            result["_meta"]["io.modelcontextprotocol/serverInfo"] = json!({"name": "actor"});
        }
        self.send(json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn fail(&self, id: &Value, code: i64, message: &str, data: Value) {
        let mut error = json!({"code": code, "message": message});
        if !data.is_null() {
            error["data"] = data;
        }
        self.send(json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }

    fn call(&self, id: &Value, params: &Value) {
        let arguments = &params["arguments"];
        let is_modern = self.0.manner == Manner::Modern;
        match params["name"].as_str().unwrap_or_default() {
            // Asks the client for each of `wants`, and answers with what it got.
            "ask" if is_modern && params["inputResponses"].is_null() => {
                let wants = arguments["wants"].as_array().unwrap().iter().enumerate();
                let wants: serde_json::Map<_, _> =
                    wants.map(|(at, want)| (format!("k{at}"), want.clone())).collect();
                self.answer(id, json!({"resultType": "input_required", "inputRequests": wants, "requestState": "theirs ü"}));
            }
            "ask" if is_modern => {
                let got: Vec<_> = params["inputResponses"].as_object().unwrap().values().collect();
                self.answer(
                    id,
                    text(&json!({"got": got, "state": params["requestState"]}).to_string()),
                );
            }
            "ask" => {
                for (at, want) in arguments["wants"].as_array().unwrap().iter().enumerate() {
                    let asked = format!("{id}/{at}");
                    let waiting = json!({"call": id, "of": arguments["wants"].as_array().unwrap().len()});
                    self.0.asked.lock().unwrap().insert(asked.clone(), waiting);
                    let mut request = json!({"jsonrpc": "2.0", "id": asked, "method": want["method"]});
                    if !want["params"].is_null() {
                        request["params"] = want["params"].clone();
                    }
                    self.send(request);
                }
            }
            "visit" if arguments["done"] == true => self.answer(id, text("visited")),
            "visit" => {
                let visit = json!({"mode": "url", "elicitationId": "v1", "url": "https://example.com/", "message": "sign in"});
                self.fail(id, -32042, "sign in first", json!({"elicitations": [visit]}));
            }
            "log" => {
                for level in ["debug", "error"] {
                    self.send(json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "data": level}}));
                }
                self.answer(id, text("logged"));
            }
            _ => self.answer(id, text(&params.to_string())),
        }
    }

    /// The client answered what we asked it.
    fn answered(&self, message: &Value) {
        let asked = message["id"].as_str().unwrap_or_default();
        let Some(waiting) = self.0.asked.lock().unwrap().get(asked).cloned() else {
            return;
        };
        let mut open = self.0.asked.lock().unwrap();
        let got = if message["error"].is_null() {
            message["result"].clone()
        } else {
            message["error"].clone()
        };
        open.insert(
            asked.to_owned(),
            json!({"call": waiting["call"], "of": waiting["of"], "got": got}),
        );
        let call = &waiting["call"];
        let of_call: Vec<_> = (0..waiting["of"].as_u64().unwrap())
            .filter_map(|at| open.get(&format!("{call}/{at}"))?.get("got").cloned())
            .collect();
        if of_call.len() as u64 == waiting["of"].as_u64().unwrap() {
            drop(open);
            self.answer(call, text(&json!({"got": of_call}).to_string()));
        }
    }
}
