//! The engine crate against real engines, and against doubles that do what no real engine does on demand.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::large_futures,
    reason = "tests fail loudly, say on which engine, and are not deep in anybody's stack"
)]

mod here;

mod build_contexts;
mod containers;
mod contexts;
mod copies;
mod exec;
mod faults;
mod files;
mod gate;
mod guard;
mod guarded;
mod images;
mod links;
mod logins;
mod negotiation;
mod networks;
mod output;
mod restarts;
mod secrets;
mod system;
mod tls;
mod volumes;
