//! The gateway: MCP servers behind one endpoint, with permissions, confirmations, screening and an audit trail.
//!
//! Clients of every protocol revision from 2024-11-05 to 2026-07-28 come in over stdio ([`Gateway::serve_stdio`])
//! or Streamable HTTP ([`Gateway::bind`]); the CLI calls directly ([`Gateway::call`]). Whoever asks, a call takes
//! the one way that `call.rs` shows from top to bottom. Behind, each server is a stream of messages
//! ([`Server`]); bodies are relayed as they came.
//!
//! Deliberately absent: what servers exist and how they are started (the floor above passes [`Server`]s), what
//! may be done (crate `policy` decides), where rows are kept (`store`), and anything about Docker. What
//! the two eras of the protocol say differently is converted by `wire::bridge`.

mod budget;
mod call;
mod caller;
mod capabilities;
mod confirm;
mod core;
mod dispatch;
mod events;
mod extension;
mod find;
mod http;
mod index;
mod input;
mod journal;
mod legacy;
mod limits;
mod lines;
mod lists;
mod memory;
mod mildest;
mod modern;
mod names;
mod near;
mod outlet;
mod overlong;
mod parts;
mod pins;
mod pipe;
mod process;
mod remote;
mod screen;
mod seal;
mod session;
mod set;
mod skills;
mod status;
mod tasks;
mod upstream;

pub use caller::{Principal, View};
pub use confirm::{Confirmer, Question, Reply};
pub use core::{CallError, Direct, Gateway};
pub use http::{BindError, GatewayLink, HttpOptions, HttpServer, Key, Links};
pub use journal::Journal;
pub use limits::Limits;
pub use memory::{Definition, Memory};
pub use parts::{
    ByteStream, Calls, Connect, Describe, Driver, FirstSight, FromServer, Life, Link, Origin, PREPARING,
    Parts, Prepare, Screening, Server, Share, Sharing, ToServer, Treatment, Wire,
};
pub use pins::Held;
pub use process::{Process, StderrSink};
pub use remote::{Namesake, Remote, RemoteError, RemoteHeader, RemoteLimits, RemoteTransport};
pub use status::{HistoryEntry, InstanceStatus, ServerState, ServerStatus, Status, What};
pub use tokio_util::sync::CancellationToken;
