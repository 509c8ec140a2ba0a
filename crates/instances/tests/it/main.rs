//! Instances on the real engine: shell scripts of a small image stand in for servers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::large_futures,
    reason = "tests fail loudly, and are not deep in anybody's stack"
)]

mod here;

mod calls;
mod egress;
mod images;
mod life;
mod lockdown;
mod reap;
mod socket;
