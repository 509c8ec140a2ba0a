//! SSH to the hosts of users: who answers there, how their `ssh_config` says they are reached, and sessions over which
//! streams are opened. The only room that names russh.
//!
//! Deliberately absent: the environment (home folder, agent and files are options), passwords, what flows in the
//! streams, and any knowledge of Docker.

pub mod config;
mod error;
pub mod known_hosts;
mod pattern;

pub use config::{Files, Target};
pub use error::Error;
