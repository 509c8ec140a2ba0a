//! The fixtures against the real things they stand for.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod double;
mod engine;
mod mcp;
