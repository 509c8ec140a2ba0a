//! The shell server: commands, in containers made for one each, on this host or on others, and what the configuration says of them.
//!
//! Deliberately absent: permissions and confirmation (they are the gateway's), audit, reading the environment.

mod container;
mod far;
#[cfg(target_os = "linux")]
mod host;
mod jobs;
mod output;
pub mod rules;
pub mod runner;
mod server;
mod signal;
mod tools;

pub use container::Containers;
pub use far::{Far, FindClient, Keeping};
#[cfg(target_os = "linux")]
pub use host::{Host, KEEPER, KeeperError, run_keeper};
pub use server::{Ctx, Options, Place, ShellServer, instructions};
pub use signal::{Signal, UnknownSignal};
pub use tools::start::LONGEST;
