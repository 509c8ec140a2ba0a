//! Values as callers write them: "8080:80", "512m", "1m30s", `["sh", "-c", "…"]`, `{"A": "b"}`.
//!
//! Each type accepts the short form people type and the structured form programs send, and turns it into one
//! meaning at the edge. What can't be understood is an error that shows the accepted form.

mod command;
mod filters;
mod ports;
mod volume;
mod when;

pub(crate) use command::Command;
pub(crate) use filters::Filters;
pub(crate) use ports::Ports;
pub(crate) use server_kit::values::{Pairs, Size, Span, Words};
pub(crate) use volume::{Access, Source, Volume};
pub(crate) use when::When;

#[cfg(test)]
mod tests;
