//! How the gateway does, for `gateway status`.

use serde::Serialize;

/// A snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Legacy HTTP sessions that are open.
    pub sessions: usize,
    /// Calls since the start.
    pub calls: u64,
    /// Calls at work now.
    pub calls_at_work: u64,
    /// Calls that the rules or a person refused.
    pub calls_refused: u64,
    /// Calls that failed.
    pub calls_failed: u64,
    /// The servers.
    pub servers: Vec<ServerStatus>,
}

/// How one server does.
#[derive(Debug, Clone, Serialize)]
pub struct ServerStatus {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: ServerState,
    /// Tools that it listed last; 0 before the first list.
    pub tools: usize,
    /// How often it was started.
    pub starts: u64,
    /// Calls that were passed to it.
    pub calls: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// Not connected, and nothing wrong: it starts with the first call that needs it.
    Stopped,
    /// Connected.
    Ready,
    /// Not connected since something went wrong; the next call tries again.
    Failed,
}
