//! Tests of the executable: what it prints, and how it serves clients, against a real engine.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on must fail"
)]

mod actors;
mod aliases;
mod artifacts;
mod bridge;
mod calls;
mod config;
mod confines;
mod custom;
mod defining;
mod egress;
mod elsewhere;
mod everything;
mod faults;
mod files;
mod harness;
mod hosts;
mod imports;
mod live;
mod packages;
mod placing;
mod reload;
#[cfg(unix)]
mod remote;
mod servers;
mod serving;
mod shell;
mod signed;
mod soak;
mod stdio;
mod strangers;
mod terminal;
#[cfg(target_os = "linux")]
mod three_hosts;
mod transcripts;
mod web;
