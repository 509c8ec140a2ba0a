//! The measurements, one function each.

use crate::figures::Series;
use crate::http::Connection;
use crate::process::memory;
use crate::stdio::{Server, check};
use crate::subject::{Call, Subject};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Environment = [(String, String)];

/// From spawning a server to its whole answer to `tools/list`.
pub(crate) struct Start {
    pub(crate) times: Series,
    pub(crate) list_bytes: usize,
    pub(crate) tools: usize,
    /// MiB, a second after the list was answered.
    pub(crate) idle: f64,
}

pub(crate) fn start(command: &[String], environment: &Environment, starts: usize) -> Result<Start> {
    let mut times = Series::default();
    let mut last = None;
    for _ in 0..starts {
        let (server, answer) = times.time(|| {
            let mut server = Server::start(command, environment)?;
            let answer = server.request("tools/list", &json!({}))?;
            anyhow::Ok((server, answer))
        })?;
        last = Some((server, answer));
    }
    let (server, answer) = last.context("at least one start")?;
    std::thread::sleep(Duration::from_secs(1));
    let tools = &answer.message["result"]["tools"];
    Ok(Start {
        times,
        list_bytes: answer.bytes,
        tools: tools.as_array().map_or(0, Vec::len),
        idle: memory(server.pid()).0,
    })
}

/// One tool called again and again.
pub(crate) struct Calls {
    pub(crate) times: Series,
    pub(crate) text_bytes: usize,
    pub(crate) answer_bytes: usize,
}

/// Calls a tool `count` times; `between` runs before each call, so that a second thing can be measured under the
/// same circumstances.
pub(crate) fn calls(
    server: &mut Server,
    call: &Call,
    count: usize,
    mut between: impl FnMut() -> Result<()>,
) -> Result<Calls> {
    let first = server.call(call.tool, &call.arguments)?;
    server.call(call.tool, &call.arguments)?;
    let mut times = Series::default();
    for _ in 0..count {
        between()?;
        times.time(|| server.call(call.tool, &call.arguments))?;
    }
    Ok(Calls {
        times,
        text_bytes: first.text().len(),
        answer_bytes: first.bytes,
    })
}

/// `GET path` on the daemon's socket, over one kept connection; gives a function that does it once more.
pub(crate) fn daemon<'a>(
    connection: &'a mut Connection,
    path: &'a str,
    times: &'a mut Series,
) -> impl FnMut() -> Result<()> + 'a {
    move || {
        let answer = times.time(|| connection.get(path))?;
        ensure!(
            answer.status == 200,
            "the daemon answered {} to {path}",
            answer.status
        );
        Ok(())
    }
}

/// All log lines asked for at once.
pub(crate) struct Logs {
    pub(crate) text_bytes: usize,
    pub(crate) answer_bytes: usize,
    pub(crate) milliseconds: f64,
    pub(crate) before: f64,
    pub(crate) highest: f64,
}

pub(crate) fn logs(subject: &Subject, environment: &Environment) -> Result<Logs> {
    let mut server = Server::start(&subject.command, environment)?;
    server.request("tools/list", &json!({}))?;
    let before = memory(server.pid()).0;
    let start = Instant::now();
    let answer = server.call(subject.logs.tool, &subject.logs.arguments)?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let highest = memory(server.pid()).1;
    Ok(Logs {
        text_bytes: answer.text().len(),
        answer_bytes: answer.bytes,
        milliseconds,
        before,
        highest,
    })
}

/// Many calls side by side.
pub(crate) struct Flood {
    pub(crate) per_second: f64,
    pub(crate) failed: usize,
}

pub(crate) const WIDE: usize = 64;

pub(crate) fn flood_stdio(server: &mut Server, call: &Call, count: usize) -> Result<Flood> {
    server.flood(call.tool, &call.arguments, WIDE, WIDE)?;
    let start = Instant::now();
    let failed = server.flood(call.tool, &call.arguments, WIDE, count)?;
    Ok(Flood {
        per_second: rate(count, start),
        failed,
    })
}

/// `WIDE` threads with a connection each, `count` requests in all; `once` says whether one succeeded.
pub(crate) fn flood_connections(
    open: impl Fn() -> Result<Connection> + Sync,
    once: impl Fn(&mut Connection) -> Result<()> + Sync,
    count: usize,
) -> Result<Flood> {
    let mut connections = Vec::new();
    for _ in 0..WIDE {
        let mut connection = open()?;
        once(&mut connection)?;
        connections.push(connection);
    }
    let start = Instant::now();
    let once = &once;
    let failed = std::thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                scope.spawn(move || {
                    (0..count / WIDE)
                        .filter(|_| once(&mut connection).is_err())
                        .count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(count / WIDE))
            .sum()
    });
    Ok(Flood {
        per_second: rate(count / WIDE * WIDE, start),
        failed,
    })
}

#[expect(clippy::cast_precision_loss, reason = "some thousand requests")]
fn rate(count: usize, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

/// The gateway over HTTP, as a process of its own; ends with this value.
pub(crate) struct Gateway {
    child: Child,
    authority: String,
    headers: String,
    /// Ids of one session must differ.
    next: AtomicU64,
}

impl Gateway {
    pub(crate) fn start(dockmaster: &str, environment: &Environment) -> Result<Self> {
        let token = "bench-token-of-no-value-0123456789abcdef";
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new(dockmaster)
            .args([
                "gateway",
                "run",
                "--transport",
                "http",
                "--port",
                &port.to_string(),
            ])
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("DOCKMASTER_TOKEN", token)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let authority = format!("127.0.0.1:{port}");
        let mut gateway = Self {
            child,
            authority,
            headers: format!("Authorization: Bearer {token}\r\n"),
            next: 1.into(),
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut connection = loop {
            match gateway.open() {
                Ok(connection) => break connection,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "bench", "version": "1" },
        } });
        let answer = connection.post(
            "/mcp",
            &gateway.authority,
            &gateway.headers,
            &initialize.to_string(),
        )?;
        ensure!(
            answer.status == 200,
            "initialize: {}",
            String::from_utf8_lossy(&answer.body)
        );
        let session = answer.session.context("the gateway opens a session")?;
        let session = format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-06-18\r\n");
        gateway.headers.push_str(&session);
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
        connection.post("/mcp", &gateway.authority, &gateway.headers, &initialized)?;
        Ok(gateway)
    }

    pub(crate) fn open(&self) -> Result<Connection> {
        Connection::tcp(&self.authority)
    }

    pub(crate) fn call(&self, connection: &mut Connection, call: &Call) -> Result<()> {
        let params = json!({ "name": call.tool, "arguments": call.arguments });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        let answer = connection.post("/mcp", &self.authority, &self.headers, &message.to_string())?;
        let text = String::from_utf8_lossy(&answer.body);
        // An answer is JSON or one event that holds it.
        let json = text
            .lines()
            .find_map(|line| line.strip_prefix("data:").filter(|data| data.contains("result")))
            .unwrap_or(&text);
        let message: Value = serde_json::from_str(json).with_context(|| text.clone().into_owned())?;
        check(&message)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A gateway that has ended by itself is all the same to us.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
