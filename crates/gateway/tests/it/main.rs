//! The gateway between a server that speaks raw JSON and clients of every protocol revision, over pipes in memory
//! and over HTTP on the loopback.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test builds on fails loudly"
)]

mod actor;
mod approved;
mod asked;
mod audit;
mod bots;
mod changes;
mod confirm;
mod downstream;
mod eras;
mod events;
mod far;
mod headers;
mod http;
mod inner;
mod life;
mod limits;
mod meetings;
mod old_remote;
#[cfg(unix)]
mod process;
mod relay;
mod remote;
mod resumed;
mod rig;
mod skills;
mod tasks;
mod together;
mod wires;
