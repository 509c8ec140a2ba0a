//! Servers whose tools are a container for each call: there is no MCP server in them, so a small one of ours speaks for
//! them, joined to the gateway by an in-memory stream.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use base::names::ServerName;
use catalog::plan::PerCall;
use futures_util::FutureExt;
use gateway::{Link, Wire};
use instances::{Bounds, Called, Instances, Printed, Start};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use wire::edit::Object;
use wire::{Fault, Frame, Id, Message, Raw, Request, code, method, to_raw};

/// Bytes on their way, in each direction.
const PIPE: usize = 64 << 10;
/// How long one call may take; the gateway's own limit may be shorter.
const TIME: Duration = Duration::from_mins(15);
/// Bytes of each output that are answered.
const OUTPUT: usize = 1 << 20;

/// What there is to speak for.
pub(crate) struct Calls {
    pub(crate) server: ServerName,
    pub(crate) tools: Vec<PerCall>,
    pub(crate) instances: Instances,
    pub(crate) secrets: BTreeMap<String, Secret>,
}

/// A connection to it.
pub(crate) fn link(tools: Calls) -> Link {
    let (near, far) = tokio::io::duplex(PIPE);
    let serving = async move {
        if let Err(error) = serve(Arc::new(tools), far).await {
            tracing::debug!("a server of single calls ended: {error}");
        }
    };
    Link {
        wire: Wire::Pipe(Box::new(near)),
        driver: Some(serving.map(|()| None).boxed()),
    }
}

async fn serve(tools: Arc<Calls>, stream: tokio::io::DuplexStream) -> std::io::Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).lines();
    let (answer, mut answers) = mpsc::channel::<Vec<u8>>(64);
    let mut calls = JoinSet::new();
    let mut at_work: BTreeMap<String, AbortHandle> = BTreeMap::new();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                match wire::parse(line.as_bytes(), &wire::Limits::default()) {
                    Ok(Frame::Single(Message::Request(request))) => {
                        let (tools, answer, id) = (Arc::clone(&tools), answer.clone(), request.id.to_string());
                        let handle = calls.spawn(async move {
                            let (id, outcome) = respond(&tools, request).await;
                            drop(answer.send(Message::response(Some(id), outcome).to_line()).await);
                        });
                        at_work.insert(id, handle);
                    }
                    Ok(Frame::Single(Message::Notification(note))) if note.method == method::CANCELLED => {
                        let id = note.params.as_deref().and_then(|raw| Object::parse(raw).ok());
                        let id = id.and_then(|params| Some(Id::from_raw(params.get("requestId")?)?.to_string()));
                        if let Some(handle) = id.and_then(|id| at_work.remove(&id)) {
                            // Giving up the call ends and removes its container.
                            handle.abort();
                        }
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            Some(mut line) = answers.recv() => {
                line.push(b'\n');
                write.write_all(&line).await?;
            }
            Some(_) = calls.join_next() => at_work.retain(|_, handle| !handle.is_finished()),
        }
    }
    calls.shutdown().await;
    Ok(())
}

async fn respond(tools: &Calls, request: Request) -> (Id, Result<Raw, Fault>) {
    let outcome = match request.method.as_str() {
        method::INITIALIZE => Ok(to_raw(&json!({
            "protocolVersion": wire::Version::LATEST_LEGACY.as_str(),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": tools.server.as_str(), "version": env!("CARGO_PKG_VERSION")},
        }))),
        method::PING => Ok(to_raw(&json!({}))),
        method::TOOLS_LIST => Ok(to_raw(
            &json!({"tools": tools.tools.iter().map(definition).collect::<Vec<_>>()}),
        )),
        method::TOOLS_CALL => call(tools, request.params.as_ref()).await,
        other => Err(Fault::new(
            code::METHOD_NOT_FOUND,
            format!("there is no method {:?}", base::text::cut(other, 100)),
        )),
    };
    (request.id, outcome)
}

fn definition(tool: &PerCall) -> Value {
    let mut definition = json!({
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.input_schema,
    });
    if let (Some(annotations), Some(object)) = (&tool.annotations, definition.as_object_mut()) {
        object.insert("annotations".to_owned(), annotations.clone());
    }
    definition
}

async fn call(tools: &Calls, params: Option<&Raw>) -> Result<Raw, Fault> {
    let invalid = |message: String| Fault::new(code::INVALID_PARAMS, message);
    let params: Map<String, Value> = params
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let tool = tools.tools.iter().find(|tool| tool.name == name);
    let tool = tool.ok_or_else(|| invalid(format!("there is no tool {:?}", base::text::cut(name, 100))))?;
    let empty = Map::new();
    let arguments = params
        .get("arguments")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let container = match catalog::call::fill(tool, arguments) {
        Ok(container) => container,
        Err(lacks) => return Ok(answer(&crate::fleet::list(&lacks), true)),
    };
    let secret = |name: &str| tools.secrets.get(name).cloned();
    let start = Start {
        server: &tools.server,
        container: &container,
        share: "call",
        secrets: &secret,
        stderr: None,
        progress: None,
    };
    let bounds = Bounds {
        time: TIME,
        output: OUTPUT,
    };
    match tools.instances.call(start, bounds).await {
        Ok(called) => Ok(result(&called)),
        Err(error) => Ok(answer(&format!("{name} was not run: {error}"), true)),
    }
}

/// Standard output as it came; standard error beside it when there is any, since it says why a tool failed.
fn result(called: &Called) -> Raw {
    let failed = called.timed_out || called.exited.code != Some(0);
    let mut text = printed(&called.stdout);
    let stderr = printed(&called.stderr);
    if !stderr.trim().is_empty() {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str("[standard error]\n");
        text.push_str(&stderr);
    }
    if called.timed_out {
        text.push_str("\n[its time was up, and it was ended]");
    } else if failed {
        _ = write!(text, "\n[{}]", called.exited);
    }
    answer(&text, failed)
}

fn printed(printed: &Printed) -> String {
    let mut text = String::from_utf8_lossy(&printed.bytes).into_owned();
    if printed.more > 0 {
        _ = write!(text, "\n[{} further bytes were left out]", printed.more);
    }
    text
}

fn answer(text: &str, failed: bool) -> Raw {
    let mut result = json!({"content": [{"type": "text", "text": text}]});
    if failed {
        result["isError"] = Value::Bool(true);
    }
    to_raw(&result)
}
