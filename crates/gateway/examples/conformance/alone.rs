//! The server by itself over Streamable HTTP, as plainly as the suite lets it be: sessions and streams that can be taken
//! up again in the legacy era, requests that stand for themselves in the modern one. It is what the gateway is measured
//! against, so nothing of the gateway is in it but the words of `wire`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use wire::code;
use wire::edit::Object;
use wire::header::{METHOD, Mirrored, NAME, PROTOCOL_VERSION, SESSION_ID, decode};
use wire::meta::{Ability, RequestMeta};

use crate::fixture::{Era, Fixture};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// How often it is looked whether a job is done.
const TICK: Duration = Duration::from_millis(20);
/// Messages that a stream holds for its client.
const QUEUE: usize = 256;
/// The tool whose stream is closed before its answer (SEP-1699).
const RECONNECTING: &str = "test_reconnection";

/// Serves `/mcp` until the process ends.
pub(crate) async fn serve(address: SocketAddr, era: Era) -> io::Result<()> {
    let site = Arc::new(Site {
        era,
        sessions: Mutex::default(),
        all: Talk::new(era),
    });
    let app = axum::Router::new().route("/mcp", any(answer)).with_state(site);
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, app).await
}

struct Site {
    era: Era,
    /// Legacy.
    sessions: Mutex<HashMap<String, Arc<Talk>>>,
    /// Modern: nobody has a conversation of their own.
    all: Arc<Talk>,
}

/// One conversation with the server.
struct Talk(Mutex<Lines>);

struct Lines {
    fixture: Fixture,
    next: u64,
    /// Requests by the numbers that the server knows them by: clients may use the same ones.
    open: HashMap<u64, Stream>,
    /// The stream of GET.
    general: Option<Sender<Value>>,
    /// Streams that were closed before their ends, by the event to go on after.
    left: HashMap<String, Receiver<Value>>,
}

struct Stream {
    id: Value,
    to: Sender<Value>,
}

impl Talk {
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the conversation, and that with the process"
    )]
    fn new(era: Era) -> Arc<Self> {
        let talk = Arc::new(Self(Mutex::new(Lines {
            fixture: Fixture::new(era),
            next: 1,
            open: HashMap::new(),
            general: None,
            left: HashMap::new(),
        })));
        let of = Arc::downgrade(&talk);
        tokio::spawn(async move {
            while let Some(talk) = of.upgrade() {
                talk.tick();
                drop(talk);
                tokio::time::sleep(TICK).await;
            }
        });
        talk
    }

    fn tick(&self) {
        let mut lines = self.lock();
        if lines.fixture.jobs.due().is_some_and(|due| due <= Instant::now()) {
            let said = lines.fixture.jobs.tick();
            lines.send(said, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the server a request; what comes of it, to its answer.
    fn ask(&self, mut request: Value) -> Receiver<Value> {
        let mut lines = self.lock();
        let number = lines.next;
        lines.next += 1;
        let id = std::mem::replace(&mut request["id"], number.into());
        let (to, stream) = channel(QUEUE);
        lines.open.insert(number, Stream { id, to });
        let said = lines.fixture.answers(&request);
        lines.send(said, Some(number));
        stream
    }

    /// Gives it anything else.
    fn tell(&self, message: &Value) {
        let mut lines = self.lock();
        let said = lines.fixture.answers(message);
        lines.send(said, None);
    }
}

impl Lines {
    /// Each message to the stream that it belongs to; those of no request belong to `of`.
    fn send(&mut self, said: Vec<Value>, of: Option<u64>) {
        for mut message in said {
            if message["method"].is_null() {
                if let Some(Stream { id, to }) = message["id"]
                    .as_u64()
                    .and_then(|number| self.open.remove(&number))
                {
                    message["id"] = id;
                    drop(to.try_send(message));
                }
                continue;
            }
            let tag = message["params"]["_meta"][SUBSCRIPTION].as_u64();
            let asked_in = || message["id"].as_str()?.split_once('@')?.1.parse().ok();
            let number = tag.or_else(asked_in).or(of);
            let to = match number.and_then(|number| self.open.get(&number)) {
                Some(stream) => {
                    if tag.is_some() {
                        message["params"]["_meta"][SUBSCRIPTION] = stream.id.clone();
                    }
                    Some(&stream.to)
                }
                None => self.general.as_ref(),
            };
            if let Some(to) = to {
                drop(to.try_send(message));
            }
        }
    }
}

async fn answer(State(site): State<Arc<Site>>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    if !is_local(&headers, "host") || !is_local(&headers, "origin") {
        return StatusCode::FORBIDDEN.into_response();
    }
    match (site.era, method) {
        (era, Method::POST) => {
            let Ok(message) = serde_json::from_slice::<Value>(&body) else {
                return refused(
                    StatusCode::BAD_REQUEST,
                    &Value::Null,
                    code::PARSE_ERROR,
                    "no JSON",
                    None,
                );
            };
            match era {
                Era::Legacy => legacy(&site, &headers, message),
                Era::Modern => modern(&site, &headers, message).await,
            }
        }
        (Era::Legacy, Method::GET) => match session(&site, &headers) {
            Ok(talk) => listen(&talk, text(&headers, "last-event-id")),
            Err(refused) => refused.into_response(),
        },
        (Era::Legacy, Method::DELETE) => {
            let id = text(&headers, SESSION_ID).unwrap_or_default();
            let ended = lock(&site.sessions).remove(id).is_some();
            let status = if ended {
                StatusCode::NO_CONTENT
            } else {
                StatusCode::NOT_FOUND
            };
            status.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Whether a header that names a host names this machine, or is missing: a page elsewhere must not reach us by a name of
/// its own.
fn is_local(headers: &HeaderMap, header: &str) -> bool {
    let Some(value) = headers.get(header) else {
        return true;
    };
    let value = value.to_str().unwrap_or_default();
    let host = value.split_once("://").map_or(value, |(_, rest)| rest);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn session(site: &Site, headers: &HeaderMap) -> Result<Arc<Talk>, StatusCode> {
    let Some(id) = text(headers, SESSION_ID) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    let found = lock(&site.sessions).get(id).cloned();
    found.ok_or(StatusCode::NOT_FOUND)
}

fn legacy(site: &Site, headers: &HeaderMap, message: Value) -> Response {
    if message["method"] == "initialize" {
        let talk = Talk::new(Era::Legacy);
        let mut hello = talk.ask(message);
        let answer = hello.try_recv().unwrap_or_default();
        let mut sessions = lock(&site.sessions);
        let id = format!("session-{}", sessions.len() + 1);
        sessions.insert(id.clone(), talk);
        return ([(SESSION_ID, id)], whole(StatusCode::OK, &answer)).into_response();
    }
    let talk = match session(site, headers) {
        Ok(talk) => talk,
        Err(refused) => return refused.into_response(),
    };
    if message["id"].is_null() || message["method"].is_null() {
        talk.tell(&message);
        return StatusCode::ACCEPTED.into_response();
    }
    let leaves = message["params"]["name"] == RECONNECTING;
    let mut said = talk.ask(message);
    let mut lines = talk.lock();
    let first = format!("event-{}", lines.next);
    lines.next += 1;
    let start = format!("id: {first}\nretry: 50\ndata:\n\n");
    if leaves {
        lines.left.insert(first, said);
        let (_, nothing) = channel(QUEUE);
        return events(start, nothing);
    }
    drop(lines);
    match said.try_recv() {
        Ok(answer) if answer["method"].is_null() => whole(StatusCode::OK, &answer),
        Ok(first) => events(start + &event(&first), said),
        Err(_) => events(start, said),
    }
}

fn listen(talk: &Talk, last: Option<&str>) -> Response {
    let mut lines = talk.lock();
    if let Some(said) = last.and_then(|last| lines.left.remove(last)) {
        return events(String::new(), said);
    }
    let (to, said) = channel(QUEUE);
    lines.general = Some(to);
    events(String::new(), said)
}

async fn modern(site: &Site, headers: &HeaderMap, message: Value) -> Response {
    let (id, method) = (
        message["id"].clone(),
        message["method"].as_str().unwrap_or_default().to_owned(),
    );
    if id.is_null() || method.is_empty() {
        return StatusCode::ACCEPTED.into_response();
    }
    if let Err((code, why, data)) = check(headers, &method, &message["params"]) {
        return refused(StatusCode::BAD_REQUEST, &id, code, &why, data);
    }
    let mut said = site.all.ask(message);
    let Some(first) = said.recv().await else {
        return StatusCode::ACCEPTED.into_response();
    };
    if !first["method"].is_null() {
        let start = event(&complete(&method, first));
        return events_of(start, said, move |message| complete(&method, message));
    }
    let status = match first["error"]["code"].as_i64() {
        Some(code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(code::MISSING_CLIENT_CAPABILITY) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    whole(status, &complete(&method, first))
}

type Wrong = (i64, String, Option<Value>);

/// What a modern request says of itself, and that its headers say the same (2026-07-28, Streamable HTTP).
fn check(headers: &HeaderMap, method: &str, params: &Value) -> Result<(), Wrong> {
    let raw = wire::to_raw(params);
    let empty = Object::empty();
    let object = Object::parse(&raw).unwrap_or(empty);
    let meta = RequestMeta::of(&object);
    let version = text(headers, PROTOCOL_VERSION);
    if meta.version().is_some_and(|named| version != Some(&*named)) {
        return Err(mismatch(PROTOCOL_VERSION));
    }
    let declared = meta.modern().map_err(|fault| {
        let requested = fault.data().unwrap_or_default()["requested"].clone();
        let data = json!({"supported": ["2026-07-28"], "requested": requested});
        let is_version = fault.code() == Some(code::UNSUPPORTED_VERSION);
        (
            fault.code().unwrap_or_default(),
            fault.message(),
            is_version.then_some(data),
        )
    })?;
    if text(headers, METHOD) != Some(method) {
        return Err(mismatch(METHOD));
    }
    let subject = match method {
        "tools/call" | "prompts/get" => &params["name"],
        "resources/read" => &params["uri"],
        // A client that takes none is told that first.
        "tasks/get" | "tasks/update" | "tasks/cancel" if declared.capabilities.has(Ability::Tasks) => {
            &params["taskId"]
        }
        _ => return Ok(()),
    };
    let named = text(headers, NAME).and_then(decode);
    if subject.is_string() && named.as_deref() != subject.as_str() {
        return Err(mismatch(NAME));
    }
    let tools = crate::tools::tools();
    let tool = tools
        .iter()
        .find(|tool| method == "tools/call" && tool["name"] == *subject);
    let mirrored = tool.map(|tool| Mirrored::of_schema(&tool["inputSchema"]).unwrap_or_default());
    let differs = |one: &Mirrored| !one.agrees(&params["arguments"], text(headers, &one.header));
    match mirrored.into_iter().flatten().find(differs) {
        Some(one) => Err(mismatch(&one.header)),
        None => Ok(()),
    }
}

fn mismatch(header: &str) -> Wrong {
    let why = format!("header mismatch: {header} does not say what the body says");
    (code::HEADER_MISMATCH, why, None)
}

/// With what results of the modern era have to bear.
fn complete(method: &str, mut message: Value) -> Value {
    if let Some(result) = message.get_mut("result") {
        result["_meta"]["io.modelcontextprotocol/serverInfo"] = json!({"name": "fixture", "version": "1.0"});
        if method.ends_with("/list") || matches!(method, "server/discover" | "resources/read") {
            result["ttlMs"] = 0.into();
            result["cacheScope"] = "private".into();
        }
    }
    message
}

fn refused(status: StatusCode, id: &Value, code: i64, why: &str, data: Option<Value>) -> Response {
    let mut error = json!({"code": code, "message": why});
    if let Some(data) = data {
        error["data"] = data;
    }
    whole(status, &json!({"jsonrpc": "2.0", "id": id, "error": error}))
}

fn whole(status: StatusCode, message: &Value) -> Response {
    (
        status,
        [("content-type", "application/json")],
        message.to_string(),
    )
        .into_response()
}

fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

/// A stream of `start` and what is said, to its end.
fn events(start: String, said: Receiver<Value>) -> Response {
    events_of(start, said, std::convert::identity)
}

fn events_of(
    start: String,
    said: Receiver<Value>,
    shape: impl Fn(Value) -> Value + Send + Sync + 'static,
) -> Response {
    let all = stream::unfold(
        (Some(start), said, shape),
        |(start, mut said, shape)| async move {
            let next = match start.filter(|start| !start.is_empty()) {
                Some(start) => start,
                None => event(&shape(said.recv().await?)),
            };
            Some((Ok::<_, Infallible>(Bytes::from(next)), (None, said, shape)))
        },
    );
    let headers = [("content-type", "text/event-stream"), ("x-accel-buffering", "no")];
    (headers, Body::from_stream(all)).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
