//! What the floor above puts together: servers, rules, journal, bounds.

use std::io;
use std::sync::Arc;

use base::Secret;
use futures_util::future::BoxFuture;
use policy::Effect;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::{Journal, Limits};

/// All that a gateway is made of.
pub struct Parts {
    /// The servers, in the order in which they are listed. Their names are different.
    pub servers: Vec<Server>,
    /// What may be done.
    pub rules: policy::Rules,
    /// Where each call is written down.
    pub journal: Arc<dyn Journal>,
    /// Bounds.
    pub limits: Limits,
    /// Values that never leave, and never reach a tool: the bearer token, registry passwords.
    pub secrets: Vec<Secret>,
    /// The name under which the gateway introduces itself: "dockmaster".
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An MCP server behind the gateway.
pub struct Server {
    /// Its name, in permissions and in the audit.
    pub name: base::names::ServerName,
    /// Reaches it. Called again when the stream before has ended.
    pub connect: Connect,
    /// Knows its tools before it runs.
    pub describe: Arc<dyn Describe>,
    /// What it tells models about itself; known without starting it, so the handshake waits for nothing.
    pub instructions: Option<String>,
}

/// Opens a connection to a server.
pub type Connect = Box<dyn Fn() -> BoxFuture<'static, io::Result<Link>> + Send + Sync>;

/// A connection to a server.
pub struct Link {
    /// What carries the messages.
    pub wire: Wire,
    /// Work that has to go on for the connection to live (an in-memory server, a child process's watcher). The
    /// gateway runs it as a task of its own and waits for it at shutdown. It should end when the wire does.
    pub driver: Option<BoxFuture<'static, ()>>,
}

/// What carries messages between gateway and server.
pub enum Wire {
    /// Newline-delimited JSON-RPC in both directions.
    Pipe(Box<dyn ByteStream>),
    /// Messages, each by itself: for transports such as HTTP, on which an answer comes on the stream of its
    /// request. The transport ends when `to_server` has no sender left, and the connection is dead when
    /// `from_server` has none.
    ///
    /// A failure of the transport (a status, a broken stream) comes back as the JSON-RPC error answer of the
    /// request that it befell.
    Messages {
        /// Takes messages to the server.
        to_server: mpsc::Sender<ToServer>,
        /// Gives what the server sends.
        from_server: mpsc::Receiver<FromServer>,
    },
}

/// A message to a server.
#[derive(Debug)]
pub struct ToServer {
    /// Its JSON text on one line, without a line end.
    pub line: Vec<u8>,
    /// What HTTP mirrors of its body in the modern era: `Mcp-Name` and `Mcp-Param-…`. The transport adds
    /// `Mcp-Method` and `MCP-Protocol-Version` itself.
    pub headers: Vec<(String, String)>,
}

/// A message from a server.
#[derive(Debug)]
pub struct FromServer {
    /// Its JSON text.
    pub line: Vec<u8>,
    /// The request of ours on whose stream it came; `None`: it came on the stream of the session, or of nothing.
    pub related: Option<wire::Id>,
}

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// What is known of a server's tools without asking it. What it says is trusted, so it comes from us (the
/// built-in servers) or from a catalog, never from the server itself.
pub trait Describe: Send + Sync {
    /// The tool's own name for `tool`, which may be an alias or a name that is not listed; `None` if there is no
    /// such tool.
    fn canonical(&self, tool: &str) -> Option<String>;

    /// What a call with these arguments does at worst.
    fn effect(&self, tool: &str, arguments: &Value) -> Effect;

    /// One line for the person who confirms: "remove container web (force)".
    fn about(&self, tool: &str, arguments: &Value) -> String;

    /// A name that the person has to type back, because the call loses data for good.
    fn data_loss(&self, tool: &str, arguments: &Value) -> Option<String>;
}
