//! Instances on the real engine: shell scripts of a small image stand in for servers.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail loudly")]

mod here;

mod calls;
mod commands;
mod egress;
mod images;
mod life;
mod lockdown;
mod reap;
mod socket;
