//! What the tests of several rooms share: the real engine and a scope on it that cleans up behind itself, an engine
//! that a test may kill, three hosts behind SSH, a base image made without any registry, a registry, a Sigstore, a scripted stand-in for a daemon, a relay in front of
//! one, an MCP client that speaks raw JSON-RPC, and what is logged.
//!
//! Nothing here goes through the code under test: the fixtures talk to the daemon and to MCP servers with
//! their own few lines of HTTP, so a fault in `engine` or `gateway` cannot hide itself by making its own
//! fixture wrong too. For the same reason this crate depends on no other room. It never ships; a fixture that
//! fails panics with what it tried, which is what a test wants.
//!
//! Some variables of the environment are read, all optional:
//! `DOCKER_HOST` (the engine to test against, default the usual socket), `DOCKMASTER_TEST_ENGINES` (sockets of
//! further engines, separated by colons), `DOCKMASTER_TEST_HOSTS` (what `scripts/hosts up` prints), `DOCKMASTER_TEST_RUN` (put into every label, so that the runner
//! can find what a killed test left) and `DOCKMASTER_TEST_COSIGN` (cosign programs, separated by colons).
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a fixture that fails must fail the test, loudly"
)]

mod child;
mod daemon;
mod double;
mod hosts;
mod http1;
mod image;
mod logged;
mod mcp;
mod own;
mod peer;
mod registry;
mod relay;
mod scope;
pub mod sigstore;
mod sshd;

pub use child::OwnChild;
pub use daemon::{Answer, Daemon, all_engines, endpoint};
pub use double::{DaemonDouble, Reply, Seen};
pub use hosts::ThreeHosts;
pub use image::{IMAGE, image, image_on};
pub use logged::Logged;
pub use mcp::{HttpAnswer, McpClient, Pending, RpcError, ToolAnswer};
pub use own::OwnEngine;
pub use peer::{Later, Over, Peer, PeerStream, Seen as PeerSeen, Step, answer, send};
pub use registry::{Credentials, Registry};
pub use relay::Relay;
pub use scope::Scope;
pub use sshd::Sshd;

use std::time::Duration;

/// No fixture waits longer than this for anything; a test that needs more is stuck.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Polls `condition` every 20 ms until it gives a value; panics with `what` after [`PATIENCE`].
pub async fn eventually<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited {PATIENCE:?} in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Programs of others that a variable names, separated by colons; none where it is unset.
pub fn programs(variable_name: &str) -> Vec<std::path::PathBuf> {
    let paths = variable(variable_name).unwrap_or_default();
    std::env::split_paths(&paths)
        .filter(|path| path.is_absolute())
        .collect()
}

/// One variable of the environment, `None` where it is unset or empty.
fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "fixtures have no executable above them that could pass this down"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
