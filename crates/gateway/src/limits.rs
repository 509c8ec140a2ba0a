//! The bounds within which the gateway works; each has a default that suits one user's machine.

use std::time::Duration;

/// Bounds on size, number and time.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most bytes of one message from a client (a line, an HTTP body).
    pub message_bytes: usize,
    /// Most bytes of one message from a server.
    pub answer_bytes: usize,
    /// Most text of one tool result, in tokens of 4 bytes; what is over it is kept for a while and can be read
    /// as a resource. Servers that page for themselves should stay below it: it is a backstop.
    pub answer_tokens: usize,
    /// How long the rest of a long answer, cut for [`Self::answer_tokens`], is kept.
    pub kept_for: Duration,
    /// Most bytes of such rests kept altogether, and as many of results that are there before their client asks for them
    /// (tasks); the oldest give way.
    pub kept_bytes: usize,
    /// Most requests of one connection or session at work at a time.
    pub in_flight: usize,
    /// Most items on a page of a list.
    pub page: usize,
    /// How long starting a server and its handshake may take.
    pub start: Duration,
    /// How long a list or another small request to a server may take.
    pub list: Duration,
    /// How long one call may take, whatever progress it reports.
    pub call: Duration,
    /// Most servers that start at a time.
    pub starts: usize,
    /// Most instances of servers altogether; the longest idle one makes room.
    pub instances: usize,
    /// Most bytes of memory that instances may use altogether, as far as their [`crate::Life::bytes`] say.
    pub instance_bytes: u64,
    /// After how long without work an instance is stopped.
    pub idle_stop: Duration,
    /// How often an idle instance is asked whether it still answers.
    pub ping: Duration,
    /// How long a person may think about a confirmation.
    pub confirm: Duration,
    /// Most confirmations that wait for a retry at a time.
    pub parked: usize,
    /// How long requests that are at work may go on after the end of input or the order to stop.
    pub drain: Duration,
    /// Most Streamable HTTP sessions; the longest idle one gives way.
    pub sessions: usize,
    /// After how long without any request a session ends.
    pub session_idle: Duration,
    /// Most events that one session keeps for a client whose connection broke; the oldest give way.
    pub replay_events: usize,
    /// Most bytes of such events.
    pub replay_bytes: usize,
    /// How long the events of a stream that has ended are kept.
    pub replay_for: Duration,
    /// Most HTTP connections at a time. When three quarters are taken, silent streams of clients that know how to come
    /// back (2025-11-25) are ended.
    pub connections: usize,
    /// How long an HTTP client may take to send head and body of a request.
    pub receive: Duration,
    /// After how long without an answer an HTTP response begins as a stream, so that nobody in between gives up.
    pub quiet: Duration,
    /// How often a comment goes out on a silent stream.
    pub keep_alive: Duration,
    /// Most resources one client watches.
    pub watched: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 4 << 20,
            answer_bytes: 64 << 20,
            // A quarter above the 8,000 that our own servers keep to.
            answer_tokens: 10_000,
            kept_for: Duration::from_mins(10),
            kept_bytes: 16 << 20,
            in_flight: 256,
            page: 500,
            start: Duration::from_secs(30),
            list: Duration::from_secs(30),
            call: Duration::from_mins(15),
            starts: 8,
            instances: 100,
            instance_bytes: u64::MAX,
            idle_stop: Duration::from_mins(10),
            ping: Duration::from_mins(1),
            confirm: Duration::from_mins(5),
            parked: 1_000,
            drain: Duration::from_secs(5),
            sessions: 1_000,
            session_idle: Duration::from_mins(30),
            replay_events: 256,
            replay_bytes: 1 << 20,
            replay_for: Duration::from_mins(5),
            connections: 2_000,
            receive: Duration::from_secs(30),
            quiet: Duration::from_secs(5),
            keep_alive: Duration::from_secs(15),
            watched: 100,
        }
    }
}
