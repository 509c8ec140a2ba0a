//! SSH to the hosts of users: who answers there, how their `ssh_config` says they are reached, and one connection to each
//! over which many streams are opened. The only room that names russh.
//!
//! Deliberately absent: the environment (home folder, agent and files are options), passwords, what flows in the
//! streams, and any knowledge of Docker. `ProxyCommand`, GSSAPI and keys that only hardware can use without an agent
//! stay with the system's `ssh` ([`System`]), and errors say so.

mod ask;
pub mod config;
mod error;
mod file;
mod guard;
mod host;
mod keys;
pub mod known_hosts;
mod login;
mod open;
mod pattern;
mod process;
mod session;
pub mod sftp;
mod stream;
mod system;
mod wire;

pub use ask::{Ask, LockedKey, Nobody, Stranger, Trust};
pub use config::{Files, Target, Variables};
pub use error::Error;
pub use host::{Client, Host, Output};
pub use open::Options;
pub use process::{Input, Outputs, Piece, Running};
pub use session::Limits;
pub use sftp::Sftp;
pub use stream::{Exit, Stream};
pub use system::{System, SystemStream};
