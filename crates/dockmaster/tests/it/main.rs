//! Tests of the executable: what it prints, and how it serves clients, against a real engine.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that can't go on must fail, and one that is left out says so"
)]

mod calls;
mod config;
mod everything;
mod harness;
mod serving;
mod stdio;
mod terminal;
mod transcripts;
mod web;
