//! The named engines: which there are, what may be done there, and how they do.
//!
//! A [`Host`] is a name with a guard's mode and labels, and an engine that is opened by the first who uses it. Nothing is
//! connected before that, nothing runs for a host that nobody looks at, and an engine that nobody has used for long is
//! let go, with its connections. How a host does is asked when somebody wants to know, and kept for some seconds
//! ([`Host::state`]); of many hosts side by side, each within its own time limit ([`Hosts::states`]). [`Hosts::choose`]
//! finds the one with a label that has the most memory free.
//!
//! Deliberately absent: how an engine is reached (`engine`, `ssh`; whoever makes a host brings a function that opens it),
//! the configuration, and decisions on who may use which host.

mod choose;
mod host;
mod machine;
mod state;

pub use choose::{NoHost, Wish};
pub use host::{AGAIN, Host, Hosts, IDLE, Open, Opened, Spec, Unknown};
pub use machine::{Look, Machine};
pub use state::{Facts, Health, State};
