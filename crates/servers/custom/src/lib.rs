//! Servers that are only a list of tools: a small MCP server of ours speaks for them, joined to the gateway by an in-memory
//! stream.
//!
//! [`serve()`] is the protocol, for any [`Toolbox`]; [`Declared`] is the toolbox of tools that the user declared in a file,
//! each a command, an HTTP request or a container for each call. It stands on the gateway's floor, as `instances` does, since
//! what it runs is a plan of `catalog`. Deliberately absent: the file and what is permitted (`catalog`), making containers
//! and commands on other machines ([`Containers`] and [`Commands`] are whoever can), permissions and the audit (`gateway`).

mod answer;
mod command;
mod declared;
mod request;
mod serve;

pub use answer::text;
pub use declared::{Commands, Containers, Declared, Outcome};
pub use serve::{Toolbox, serve};
