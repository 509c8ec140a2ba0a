//! The bridge: Dockmaster itself in a container on another host, where it goes on when whoever installed it is away.
//!
//! Here is how it gets there and how one speaks with it: an image of an executable and nothing else, a container in which
//! everything is shut that it does not need, its upgrade and its end, programs run in it, and streams into it. All of it
//! goes through the Engine API of that host, behind guards made for it alone; no port is opened. Deliberately absent: what
//! is said on the streams, keys, what the bridge serves, and where any of that is kept.

mod container;
mod error;
mod executable;
mod far;
mod guards;
mod stream;

pub use container::{HOME, Place};
pub use error::Error;
pub use executable::{Architecture, Executable};
pub use far::{Bridge, Left, State};
pub use guards::MADE_BY;

/// The first argument of an executable that is to be a bridge, or a part of one.
pub const ARGUMENT: &str = "bridge";
