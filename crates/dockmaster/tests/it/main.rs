//! Tests of the executable: what it prints, and how it serves clients, against a real engine.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on must fail"
)]

mod calls;
mod config;
mod everything;
mod harness;
mod servers;
mod serving;
mod stdio;
mod terminal;
mod transcripts;
mod web;
