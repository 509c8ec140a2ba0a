//! Running copies of servers in containers: made from a plan, locked down, reached over the engine's attach stream,
//! found again after a crash, and removed by id.
//!
//! The order of a life is the order of the modules: an [`Instances`] holds a `claim` (its gateway's id and the lock
//! that proves it alive), an image is made sure of (`images`), the plan becomes a request with everything shut that
//! the plan does not open (`lockdown`), and a task owns the container from before it exists until it is gone
//! (`running`). Every request to the engine goes through a guard made for that one plan (`guards`).
//!
//! Deliberately absent: when a copy is started or stopped and who may share it (`gateway`), what is planned
//! (`catalog`), and the protocol that goes over the stream.

mod build;
mod call;
mod claim;
mod command;
mod door;
mod egress;
mod error;
mod files;
mod guards;
mod images;
mod instances;
mod labels;
mod list;
mod lockdown;
mod newest;
mod reap;
mod running;
#[cfg(unix)]
mod socket;
mod start;
mod stderr;
mod stdio;

pub use call::{Bounds, Called, Printed};
pub use command::{Command, Input, Outputs, Reached as Signalled};
pub use egress::{Reached, Traffic, Verdict};
#[cfg(unix)]
pub use egress::{Relay, RelayError, relay::ARGUMENT as RELAY, relay::run as run_relay};
pub use error::Error;
pub use images::{Image, Progress, SignatureCheck, Signed};
pub use instances::{Grace, Instances, Options, Terms};
pub use list::{Listed, Usage, list};
pub use reap::Reaped;
pub use running::{End, Exited, OutOfMemory, Running};
pub use start::Start;
pub use stdio::Stdio;
