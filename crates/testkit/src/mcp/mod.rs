//! An MCP client of raw JSON: it sends what a test says, exact or broken, and keeps all that comes back. It
//! knows the few things that every test needs (ids, the handshake of the legacy era, the metadata and headers
//! of the modern one) and deliberately validates nothing.

mod http;
mod stdio;

pub use http::HttpAnswer;

use crate::{PATIENCE, eventually};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

/// A JSON-RPC error as the server gave it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// The code.
    pub code: i64,
    /// The message.
    pub message: String,
    /// The data, or null.
    pub data: Value,
}

/// The result of `tools/call`.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolAnswer(pub Value);

impl ToolAnswer {
    /// All text blocks, joined by newlines.
    pub fn text(&self) -> String {
        let blocks = self.0["content"].as_array().into_iter().flatten();
        blocks
            .filter_map(|block| block["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Whether the tool says that it failed.
    pub fn is_error(&self) -> bool {
        self.0["isError"] == json!(true)
    }

    /// This answer; panics when the tool says that it failed.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "mostly called for the check alone"
    )]
    pub fn ok(self) -> Self {
        assert!(!self.is_error(), "the tool failed: {}", self.text());
        self
    }

    /// The text of a failure; panics when the tool succeeded.
    #[track_caller]
    pub fn failure(self) -> String {
        assert!(
            self.is_error(),
            "the tool should have failed, but said: {}",
            self.text()
        );
        self.text()
    }
}

/// A request on its way.
#[derive(Debug)]
pub struct Pending {
    /// The id it was sent with.
    pub id: u64,
    answer: oneshot::Receiver<Result<Value, RpcError>>,
    exchange: Option<AbortHandle>,
}

impl Pending {
    /// Waits for the answer; panics after [`PATIENCE`] or when the connection is gone.
    pub async fn answer(self) -> Result<Value, RpcError> {
        let id = self.id;
        tokio::time::timeout(PATIENCE, self.answer)
            .await
            .unwrap_or_else(|_| panic!("no answer to request {id} within {PATIENCE:?}"))
            .unwrap_or_else(|_| panic!("the connection ended before request {id} was answered"))
    }

    /// Whether the answer has not come yet.
    pub fn is_open(&self) -> bool {
        self.answer.is_empty() && !self.answer.is_terminated()
    }

    /// Closes the response stream of an HTTP request, which cancels it in the modern era.
    pub fn hang_up(self) {
        self.exchange
            .expect("only an HTTP request has a stream of its own")
            .abort();
    }
}

type Responder = Box<dyn FnMut(&str, &Value) -> Option<Value> + Send>;

/// Where incoming messages go.
struct Inbox {
    pending: HashMap<u64, oneshot::Sender<Result<Value, RpcError>>>,
    notifications: Vec<Value>,
    requests: Vec<Value>,
    strays: Vec<String>,
    responder: Responder,
    closed: bool,
}

#[derive(Clone)]
pub(crate) struct SharedInbox(Arc<Mutex<Inbox>>);

impl SharedInbox {
    fn new() -> Self {
        let responder: Responder = Box::new(|_, _| None);
        Self(Arc::new(Mutex::new(Inbox {
            pending: HashMap::new(),
            notifications: Vec::new(),
            requests: Vec::new(),
            strays: Vec::new(),
            responder,
            closed: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one message in; gives the reply to it when it is a request that the test answers.
    pub(crate) fn take(&self, text: &str) -> Option<Value> {
        let mut inbox = self.lock();
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            inbox.strays.push(text.to_owned());
            return None;
        };
        let id = message["id"].clone();
        if let Some(method) = message["method"].as_str() {
            if id.is_null() {
                inbox.notifications.push(message);
                return None;
            }
            inbox.requests.push(message.clone());
            let result = (inbox.responder)(method, &message["params"])?;
            return Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }));
        }
        let Some(waiting) = id.as_u64().and_then(|id| inbox.pending.remove(&id)) else {
            inbox.strays.push(text.to_owned());
            return None;
        };
        let error = &message["error"];
        let outcome = if error.is_null() {
            Ok(message["result"].clone())
        } else {
            Err(RpcError {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
                data: error["data"].clone(),
            })
        };
        // A test that no longer waits has dropped its end.
        waiting.send(outcome).ok();
        None
    }

    /// Ends one request that will never be answered with JSON-RPC.
    pub(crate) fn fail(&self, id: u64, error: RpcError) {
        if let Some(waiting) = self.lock().pending.remove(&id) {
            waiting.send(Err(error)).ok();
        }
    }

    /// The connection is gone: nothing that waits will be answered.
    pub(crate) fn close(&self) {
        let mut inbox = self.lock();
        inbox.closed = true;
        inbox.pending.clear();
    }
}

enum Link {
    Stream(stdio::Stream),
    Http(http::Http),
}

/// A client of one server.
pub struct McpClient {
    link: Link,
    inbox: SharedInbox,
    next: std::sync::atomic::AtomicU64,
    meta: Mutex<Option<Value>>,
    tasks: Mutex<JoinSet<()>>,
}

impl McpClient {
    /// Requests the elder era's handshake with this protocol version and no capabilities.
    pub async fn initialize(&self, version: &str) -> Value {
        self.initialize_with(version, json!({})).await
    }

    /// The elder era's handshake; gives the server's answer.
    pub async fn initialize_with(&self, version: &str, capabilities: Value) -> Value {
        let params = json!({
            "protocolVersion": version,
            "capabilities": capabilities,
            "clientInfo": { "name": "testkit", "version": "1" },
        });
        let answer = self
            .request("initialize", params)
            .await
            .expect("the server accepts initialize");
        if let Link::Http(http) = &self.link {
            http.speak(answer["protocolVersion"].as_str().unwrap_or(version));
        }
        self.notify("notifications/initialized", json!({})).await;
        answer
    }

    /// From here on every request is of the modern era (2026-07-28 and later).
    pub fn modern(&self, version: &str, capabilities: &Value) {
        *self.meta.lock().unwrap_or_else(PoisonError::into_inner) = Some(json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            "io.modelcontextprotocol/clientInfo": { "name": "testkit", "version": "1" },
        }));
        if let Link::Http(http) = &self.link {
            http.speak(version);
        }
    }

    /// Sends a request and waits for its answer.
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.start(method, params).await.answer().await
    }

    /// Sends a request without waiting.
    pub async fn start(&self, method: &str, mut params: Value) -> Pending {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let meta = self.meta.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Value::Object(meta)) = meta {
            for (key, value) in meta {
                params["_meta"][key] = value;
            }
        }
        let (sender, answer) = oneshot::channel();
        {
            let mut inbox = self.inbox.lock();
            assert!(!inbox.closed, "the connection ended before {method} was sent");
            inbox.pending.insert(id, sender);
        }
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let exchange = match &self.link {
            Link::Stream(stream) => {
                stream.send(&message.to_string()).await;
                None
            }
            Link::Http(http) => {
                let post = http.clone().post_message(message, self.inbox.clone());
                Some(
                    self.tasks
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .spawn(post),
                )
            }
        };
        Pending { id, answer, exchange }
    }

    /// Calls a tool; panics on a protocol error (a tool's own failure is an answer).
    pub async fn call(&self, tool: &str, arguments: Value) -> ToolAnswer {
        self.try_call(tool, arguments)
            .await
            .unwrap_or_else(|error| panic!("{tool}: {error}"))
    }

    /// Calls a tool; a protocol error is given back.
    pub async fn try_call(&self, tool: &str, arguments: Value) -> Result<ToolAnswer, RpcError> {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
            .await
            .map(ToolAnswer)
    }

    /// The whole tool list, all pages.
    pub async fn tools(&self) -> Vec<Value> {
        let mut tools = Vec::new();
        let mut params = json!({});
        loop {
            let page = self
                .request("tools/list", params)
                .await
                .expect("tools/list is answered");
            tools.extend(page["tools"].as_array().into_iter().flatten().cloned());
            match page["nextCursor"].as_str() {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => return tools,
            }
        }
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Value) {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        match &self.link {
            Link::Stream(stream) => stream.send(&message.to_string()).await,
            Link::Http(http) => http.clone().post_message(message, self.inbox.clone()).await,
        }
    }

    /// Sends any line over stdio, valid or not; the newline is added.
    pub async fn send_line(&self, line: &str) {
        match &self.link {
            Link::Stream(stream) => stream.send(line).await,
            Link::Http(_) => panic!("over HTTP there are no lines: use post"),
        }
    }

    /// How requests of the server (elicitation, sampling, roots, ping) are answered from here on: with the value
    /// as result, or not at all for `None`, which is also the state before the first call.
    pub fn respond(&self, responder: impl FnMut(&str, &Value) -> Option<Value> + Send + 'static) {
        self.inbox.lock().responder = Box::new(responder);
    }

    /// All requests that the server sent so far.
    pub fn server_requests(&self) -> Vec<Value> {
        self.inbox.lock().requests.clone()
    }

    /// The parameters of all notifications of this method so far.
    pub fn notifications(&self, method: &str) -> Vec<Value> {
        let inbox = self.inbox.lock();
        let of_method = inbox
            .notifications
            .iter()
            .filter(|message| message["method"] == method);
        of_method.map(|message| message["params"].clone()).collect()
    }

    /// Waits for the first notification of this method and gives its parameters.
    pub async fn notification(&self, method: &str) -> Value {
        eventually(method, async || self.notifications(method).into_iter().next()).await
    }

    /// Whatever arrived that answers no request: non-JSON, unknown ids.
    pub fn strays(&self) -> Vec<String> {
        self.inbox.lock().strays.clone()
    }

    /// Waits until something arrives that answers no request, and gives it.
    pub async fn stray(&self) -> String {
        eventually("a message without a known id", async || {
            self.strays().into_iter().next()
        })
        .await
    }

    /// Whether the server has ended the connection.
    pub fn is_closed(&self) -> bool {
        self.inbox.lock().closed
    }
}

impl std::fmt::Debug for McpClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("McpClient").finish_non_exhaustive()
    }
}

impl McpClient {
    fn new(link: Link, inbox: SharedInbox, tasks: JoinSet<()>) -> Self {
        Self {
            link,
            inbox,
            next: 1.into(),
            meta: Mutex::new(None),
            tasks: Mutex::new(tasks),
        }
    }

    fn stream(&self) -> &stdio::Stream {
        match &self.link {
            Link::Stream(stream) => stream,
            Link::Http(_) => panic!("a client over HTTP has no process"),
        }
    }

    /// The server's process id, where this client started it.
    pub fn pid(&self) -> u32 {
        self.stream().pid()
    }

    /// What the server wrote to stderr so far.
    pub fn stderr(&self) -> String {
        self.stream().stderr()
    }

    /// Closes the server's input, waits for its end and gives its status.
    pub async fn close(self) -> ExitStatus {
        match self.link {
            Link::Stream(stream) => stream.close().await,
            Link::Http(_) => panic!("a client over HTTP has no process"),
        }
    }
}
