//! Streamable HTTP of both eras: each message is a POST, answered with JSON or with server-sent events.

use super::{Link, McpClient, RpcError, SharedInbox};
use crate::http1::{self, Address};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// An HTTP answer, whole.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl HttpAnswer {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Clone)]
pub(super) struct Http {
    address: Address,
    path: String,
    token: Option<String>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    session: Option<String>,
    version: Option<String>,
}

impl McpClient {
    /// A client of the endpoint `http://authority/path`, with a bearer token or without.
    pub fn http(authority: &str, path: &str, token: Option<&str>) -> Self {
        let link = Http {
            address: Address::Tcp(authority.to_owned()),
            path: path.to_owned(),
            token: token.map(str::to_owned),
            state: Arc::default(),
        };
        Self::new(Link::Http(link), SharedInbox::new(), JoinSet::new())
    }

    /// The legacy session that the server opened.
    pub fn session(&self) -> Option<String> {
        self.over_http().state().session.clone()
    }

    /// Opens the stream on which a legacy server sends what answers no request.
    pub fn listen(&self) {
        let listening = self.over_http().clone().listen(self.inbox.clone());
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn(listening);
    }

    /// Sends any HTTP request to the endpoint, with these headers and no others, and gives the whole answer.
    /// `Host` is filled in unless it is among them.
    pub async fn exchange(&self, method: &str, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
        let link = self.over_http();
        let mut request = Request::builder().method(method).uri(&link.path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", link.address.host());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.to_owned())))
            .expect("the headers are valid");
        http1::exchange(&link.address, request, whole)
            .await
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn over_http(&self) -> &Http {
        match &self.link {
            Link::Http(http) => http,
            Link::Stream(_) => panic!("this client speaks over stdio"),
        }
    }
}

impl Http {
    /// The protocol version that the header names from here on.
    pub(super) fn speak(&self, version: &str) {
        self.state().version = Some(version.to_owned());
    }

    /// Sends one message and takes in all that comes back on its response.
    pub(super) async fn post_message(self, message: Value, inbox: SharedInbox) {
        let id = message["id"].as_u64();
        if let Err(error) = self.post(&message, &inbox).await
            && let Some(id) = id
        {
            inbox.fail(id, error);
        }
    }

    async fn post(&self, message: &Value, inbox: &SharedInbox) -> Result<(), RpcError> {
        let request = self
            .request("POST", message)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(message.to_string())))
            .expect("the headers are valid");
        let read = async |response: http::Response<Incoming>| {
            if let Some(session) = response
                .headers()
                .get("mcp-session-id")
                .and_then(|value| value.to_str().ok())
            {
                self.state().session = Some(session.to_owned());
            }
            let status = response.status().as_u16();
            if is_event_stream(&response) {
                return self
                    .events(response.into_body(), inbox)
                    .await
                    .map(|()| (status, String::new()));
            }
            whole(response).await.map(|answer| (status, answer.body))
        };
        let (status, body) = http1::exchange(&self.address, request, read)
            .await
            .map_err(|error| http_error(0, error))?;
        if !body.is_empty() {
            self.deliver(&body, inbox).await;
        }
        // An error of HTTP that carries no JSON-RPC of this id would leave the request open for ever.
        if status >= 400 {
            Err(http_error(status, body))
        } else {
            Ok(())
        }
    }

    async fn listen(self, inbox: SharedInbox) {
        let request = self
            .request("GET", &Value::Null)
            .body(Full::new(Bytes::new()))
            .expect("the headers are valid");
        let read = async |response: http::Response<Incoming>| self.events(response.into_body(), &inbox).await;
        // The stream may end at any time; what a test misses then, it says itself.
        http1::exchange(&self.address, request, read).await.ok();
    }

    /// Takes in server-sent events until the stream ends.
    async fn events(&self, mut body: Incoming, inbox: &SharedInbox) -> Result<(), String> {
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("the event stream broke: {error}"))?;
            let Ok(data) = frame.into_data() else { continue };
            buffer.extend_from_slice(&data);
            while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = buffer.drain(..end + 2).collect();
                let event = String::from_utf8_lossy(&event);
                let data: Vec<&str> = event
                    .lines()
                    .filter_map(|line| line.strip_prefix("data:"))
                    .collect();
                let data = data.join("\n");
                if !data.trim().is_empty() {
                    self.deliver(data.trim(), inbox).await;
                }
            }
        }
        Ok(())
    }

    async fn deliver(&self, text: &str, inbox: &SharedInbox) {
        if let Some(reply) = inbox.take(text) {
            // The answer to a server's request is a message like any other.
            Box::pin(self.post(&reply, inbox)).await.ok();
        }
    }

    fn request(&self, method: &str, message: &Value) -> http::request::Builder {
        let state = self.state();
        let mut request = Request::builder()
            .method(method)
            .uri(&self.path)
            .header("host", self.address.host())
            .header("accept", "application/json, text/event-stream");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(session) = &state.session {
            request = request.header("mcp-session-id", session);
        }
        if let Some(version) = &state.version {
            request = request.header("mcp-protocol-version", version);
        }
        let modern = state.version.as_deref() >= Some("2026");
        if let Some(method) = message["method"].as_str().filter(|_| modern) {
            request = request.header("mcp-method", method);
            let params = &message["params"];
            if let Some(name) = params["name"].as_str().or_else(|| params["uri"].as_str()) {
                request = request.header("mcp-name", name);
            }
        }
        request
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_event_stream(response: &http::Response<Incoming>) -> bool {
    let content_type = response
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|content_type| content_type.starts_with("text/event-stream"))
}

async fn whole(response: http::Response<Incoming>) -> Result<HttpAnswer, String> {
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| format!("broken body: {error}"))?;
    Ok(HttpAnswer {
        status,
        headers,
        body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    })
}

/// An error below JSON-RPC, with the HTTP status as its code (0: no answer at all).
fn http_error(status: u16, message: String) -> RpcError {
    RpcError {
        code: status.into(),
        message,
        data: Value::Null,
    }
}
