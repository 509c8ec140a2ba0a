//! Instances on the real engine: shell scripts of a small image stand in for servers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests fail loudly, and say on which engine they did not run"
)]

mod here;

mod calls;
mod egress;
mod images;
mod life;
mod lockdown;
mod reap;
mod socket;
