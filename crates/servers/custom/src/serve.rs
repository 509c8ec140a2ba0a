//! The protocol: one stream, many calls at once, each of which can be given up.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use wire::edit::Object;
use wire::{Fault, Frame, Id, Message, Raw, Request, code, method, to_raw};

/// Answers that may wait to be written.
const QUEUE: usize = 64;

/// Tools without a server.
pub trait Toolbox: Send + Sync + 'static {
    /// What the server is called.
    fn name(&self) -> &str;

    /// The definitions of the tools, as `tools/list` gives them.
    fn definitions(&self) -> Vec<Value>;

    /// Calls a tool; `None` when there is none of that name. Giving up the future ends what it started.
    fn call<'a>(&'a self, tool: &'a str, arguments: &'a Map<String, Value>) -> Option<BoxFuture<'a, Raw>>;
}

/// Speaks for the tools until the stream ends. Calls that still run are given up then.
///
/// # Errors
/// The stream breaks.
pub async fn serve(tools: Arc<dyn Toolbox>, stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).lines();
    let (answer, mut answers) = mpsc::channel::<Vec<u8>>(QUEUE);
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
                            let (id, outcome) = respond(&*tools, request).await;
                            drop(answer.send(Message::response(Some(id), outcome).to_line()).await);
                        });
                        at_work.insert(id, handle);
                    }
                    Ok(Frame::Single(Message::Notification(note))) if note.method == method::CANCELLED => {
                        let id = note.params.as_deref().and_then(|raw| Object::parse(raw).ok());
                        let id = id.and_then(|params| Some(Id::from_raw(params.get("requestId")?)?.to_string()));
                        if let Some(handle) = id.and_then(|id| at_work.remove(&id)) {
                            // Giving up the call ends and removes what it started.
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

async fn respond(tools: &dyn Toolbox, request: Request) -> (Id, Result<Raw, Fault>) {
    let outcome = match request.method.as_str() {
        method::INITIALIZE => Ok(to_raw(&json!({
            "protocolVersion": wire::Version::LATEST_LEGACY.as_str(),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": tools.name(), "version": env!("CARGO_PKG_VERSION")},
        }))),
        method::PING => Ok(to_raw(&json!({}))),
        method::TOOLS_LIST => Ok(to_raw(&json!({"tools": tools.definitions()}))),
        method::TOOLS_CALL => call(tools, request.params.as_ref()).await,
        other => Err(Fault::new(
            code::METHOD_NOT_FOUND,
            format!("there is no method {:?}", base::text::cut(other, 100)),
        )),
    };
    (request.id, outcome)
}

async fn call(tools: &dyn Toolbox, params: Option<&Raw>) -> Result<Raw, Fault> {
    let params: Map<String, Value> = params
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let empty = Map::new();
    let arguments = params
        .get("arguments")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    match tools.call(name, arguments) {
        Some(call) => Ok(call.await),
        None => Err(Fault::new(
            code::INVALID_PARAMS,
            format!("there is no tool {:?}", base::text::cut(name, 100)),
        )),
    }
}
