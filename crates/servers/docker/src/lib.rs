//! The Docker server: an ordinary MCP server whose tools drive one Docker Engine.
//!
//! Its job is to be complete and cheap: every operation that an agent needs, in few tokens, with answers and errors
//! that a model can act on. It reaches Docker only through `engine`, whose guard judges each request as it is sent.
//!
//! Deliberately absent: permissions and confirmation (they are the gateway's, which asks [`describe`] what a call
//! would do), audit, transports other than a given stream, and any reading of the environment or files of its own.

mod answer;
mod ctx;
pub mod describe;
mod error;
mod explain;
mod near;
mod pages;
mod params;
mod random;
mod reference;
mod schema;
mod server;
mod tool;
mod tools;
mod values;

pub use reference::reference;
pub use server::{DockerServer, Options, ServeError};
pub use tool::{Toolset, UnknownToolset};
