//! What the built-in MCP servers have in common: a table of typed tools, and the way of a call through it.
//!
//! A tool is a struct of its parameters ([`tool::Call`]); a server is a [`Table`] of them and what they work on
//! ([`Service`]). From these come the list, the call with errors that say what to do, answers within a budget of
//! tokens, what a call would do before it is made, and the reference. Over a stream rmcp speaks the protocol;
//! a host in the same process calls [`Service::answer`] and spares the stream.
//!
//! Deliberately absent: what tools do, permission checks (the gateway's), transports other than a given stream, and
//! any reading of files or the environment.

pub mod answer;
mod calls;
mod core;
pub mod error;
pub mod hosts;
pub mod near;
pub mod pages;
pub mod params;
mod progress;
pub mod random;
pub mod reference;
mod roots;
pub mod schema;
mod table;
pub mod tool;
pub mod values;

pub use crate::core::{Core, Plain, ServeError, Undo, serve};
pub use answer::Answer;
pub use calls::{Beside, Service, done};
pub use error::{Code, ToolError};
pub use progress::Progress;
pub use rmcp;
pub use table::Table;
pub use tool::{Call, Context, Spec, Tool, Toolset};
