//! How the gateway does, for `gateway status`. Texts are cleaned by whoever shows them.

use serde::{Deserialize, Serialize};

/// A snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its name.
    pub name: String,
    /// The profiles that it is in; empty: all.
    pub profiles: Vec<String>,
    /// Where it is in its life: that of the liveliest of its instances.
    pub state: ServerState,
    /// Tools that it listed last; 0 before the first list.
    pub tools: usize,
    /// Tools that are held back until they are approved.
    pub held: usize,
    /// How often an instance was started.
    pub starts: u64,
    /// Calls that were passed to it.
    pub calls: u64,
    /// What went wrong last, if it did not start well since.
    pub last_error: Option<String>,
    /// After failures: in how many seconds a start is tried again, if somebody wants it.
    pub next_try_seconds: Option<u64>,
    /// Most bytes of memory that one of its instances may take; 0: it has no bound of ours.
    pub memory_bytes: u64,
    /// Its instances.
    pub instances: Vec<InstanceStatus>,
    /// The last starts and ends, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// How one running copy of a server does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Who shares it: "everyone", "principal ann", "session 3".
    pub owner: String,
    /// Where it is in its life.
    pub state: ServerState,
    /// Seconds since it was ready.
    pub up_seconds: u64,
    /// Seconds since the last use; `None`: in use.
    pub idle_seconds: Option<u64>,
    /// Calls that were passed to it.
    pub calls: u64,
}

/// Something that happened to an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub seconds_ago: u64,
    /// Who shared the instance.
    pub instance: String,
    /// What.
    pub what: What,
    /// Why; empty for a start.
    pub why: String,
}

/// What happens to instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It is ready.
    Started,
    /// It could not be started.
    Failed,
    /// It was stopped, for a reason of ours.
    Stopped,
    /// It ended, or stopped answering.
    Died,
}

/// Where a server or an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// Not running, and nothing wrong: it starts with the first call that needs it.
    Stopped,
    /// On its way.
    Starting,
    /// At work.
    Ready,
    /// Running, and nobody needs it at the moment.
    Idle,
    /// On its way out.
    Stopping,
    /// Not running since something went wrong.
    Failed,
}
