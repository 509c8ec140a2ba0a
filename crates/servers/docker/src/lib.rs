//! The Docker server: an ordinary MCP server whose tools drive one Docker Engine.
//!
//! Its job is to be complete and cheap: every operation that an agent needs, in few tokens, with answers and errors
//! that a model can act on. It reaches Docker only through `engine`, whose guard judges each request as it is sent.
//!
//! Deliberately absent: permissions and confirmation (they are the gateway's, which asks [`describe`] what a call
//! would do), audit, transports other than a given stream, and any reading of the environment or files of its own.

mod completion;
mod create;
mod ctx;
pub mod describe;
mod diagnose;
mod elsewhere;
mod error;
mod exec;
mod explain;
mod fields;
mod host;
mod list;
mod logs;
mod pick;
mod plan;
mod prompts;
mod read;
mod recreate;
mod reference;
mod resources;
mod server;
mod status;
mod synonyms;
mod tools;
mod values;

pub use elsewhere::{Elsewhere, Far};
pub use reference::reference;
pub use server::{DockerServer, Options, instructions};
pub use server_kit::ServeError;
pub use server_kit::tool::{Toolset, UnknownToolset};
