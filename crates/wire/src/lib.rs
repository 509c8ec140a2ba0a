//! JSON-RPC and MCP as they are on the wire: envelopes whose bodies stay as they came, protocol revisions and
//! eras, names and codes, and the edits that a relay has to make.
//!
//! The envelope (`jsonrpc`, `id`, `method`) is parsed and checked; `params`, `result` and `error` are kept as
//! the peer wrote them ([`serde_json::value::RawValue`]), so unknown members, their order and big numbers pass
//! unharmed. All of it is pure.
//!
//! What one era says and the other says otherwise is in [`bridge`].
//!
//! Deliberately absent: I/O, sessions, time-outs, policy, and typed models of tools or results. Who asks for a
//! member of a body reads just that one (see [`edit`]).

pub mod bridge;
mod canonical;
pub mod code;
pub mod edit;
mod fault;
pub mod header;
mod id;
mod message;
pub mod meta;
pub mod method;
pub mod mrtr;
mod scan;
mod strict;
pub mod strings;
mod version;

pub use canonical::canonical;
pub use fault::Fault;
pub use id::Id;
pub use message::{Frame, Limits, Malformed, Message, Notification, Request, Response, parse};
pub use strict::strict_value;
pub use version::{Era, Version};

/// A JSON text that is kept as it came.
pub type Raw = Box<serde_json::value::RawValue>;

/// `value` as JSON text. What can't be written as JSON (there is nothing such among our own types) is `null`.
pub fn to_raw(value: &impl serde::Serialize) -> Raw {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| serde_json::value::RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests;
