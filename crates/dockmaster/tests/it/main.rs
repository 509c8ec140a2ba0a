//! Tests of the executable: what it prints, and how it serves clients, against a real engine.

mod harness;
mod serving;
mod stdio;
mod transcripts;
mod web;
