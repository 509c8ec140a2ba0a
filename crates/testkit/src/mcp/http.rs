//! Streamable HTTP of both eras: each message is a POST, answered with JSON or with server-sent events.

use super::{Link, McpClient, RpcError, SharedInbox};
use crate::PATIENCE;
use crate::http1::{self, Address};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

    /// Sends any HTTP request to the endpoint, with these headers, and gives the whole answer. `Host`,
    /// `Content-Length` and `Connection` are filled in unless they are among them, and nothing else is. A server
    /// may answer before it has read all of the body, and close.
    pub async fn exchange(&self, method: &str, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
        let link = self.over_http();
        let length = body.len().to_string();
        let usual = [
            ("host", link.address.host()),
            ("content-length", &length),
            ("connection", "close"),
        ];
        let is_said = |name: &str| headers.iter().any(|(said, _)| said.eq_ignore_ascii_case(name));
        let usual = usual.iter().filter(|(name, _)| !is_said(name));
        let lines: Vec<String> = usual
            .chain(headers)
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request = format!("{method} {} HTTP/1.1\r\n{}\r\n{body}", link.path, lines.concat());
        let stream = link
            .address
            .connect()
            .await
            .unwrap_or_else(|error| panic!("{method}: {error}"));
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut answer = Vec::new();
        let conversation = async {
            let (_, read) = tokio::join!(
                writer.write_all(request.as_bytes()),
                reader.read_to_end(&mut answer)
            );
            read
        };
        let ended = tokio::time::timeout(PATIENCE, conversation).await;
        ended
            .unwrap_or_else(|_| panic!("{method}: the answer has no end after {PATIENCE:?}"))
            .ok();
        parse(&answer)
            .unwrap_or_else(|| panic!("{method}: no answer, but {:?}", String::from_utf8_lossy(&answer)))
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

/// An answer that was read to the end of its connection.
fn parse(bytes: &[u8]) -> Option<HttpAnswer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = HttpAnswer {
        status,
        headers,
        body: String::new(),
    };
    let body = &bytes[end + 4..];
    let body = match answer.header("transfer-encoding") {
        Some("chunked") => unchunk(body)?,
        _ => body.to_vec(),
    };
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Some(answer)
}

fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?.trim(), 16).ok()?;
        body.extend_from_slice(bytes.get(line + 2..line + 2 + size)?);
        if size == 0 {
            return Some(body);
        }
        bytes = bytes.get(line + 2 + size + 2..)?;
    }
}

/// An error below JSON-RPC, with the HTTP status as its code (0: no answer at all).
fn http_error(status: u16, message: String) -> RpcError {
    RpcError {
        code: status.into(),
        message,
        data: Value::Null,
    }
}
