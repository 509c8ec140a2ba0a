//! Commands in real containers and on this host.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail loudly")]

mod containers;
mod far;
mod here;
mod host;
mod hosts;
mod tools;
