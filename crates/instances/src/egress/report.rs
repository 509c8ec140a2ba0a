//! What servers tried to reach: for the audit, and for whoever looks at how much goes through.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base::names::ServerName;
use tokio::sync::mpsc;

/// Destinations of one instance that are remembered as reported.
const REMEMBERED: usize = 1024;

/// A server wanted to reach something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Which server.
    pub server: ServerName,
    /// `host:port` as it asked, cleaned and cut.
    pub to: String,
    /// Whether it may.
    pub verdict: Verdict,
}

/// Whether a server may reach something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes; told the first time only.
    Permitted,
    /// No, and why; told each time.
    Refused(String),
}

/// How much went through a proxy.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    refused: AtomicU64,
}

impl Traffic {
    /// Bytes that the server sent through `CONNECT`, and requests' bodies.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes that came back.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Attempts that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, sent: u64, received: u64) {
        self.sent.fetch_add(sent, Ordering::Relaxed);
        self.received.fetch_add(received, Ordering::Relaxed);
    }
}

/// Tells of one instance.
#[derive(Debug)]
pub(super) struct Reporter {
    pub(super) server: ServerName,
    sink: Option<mpsc::Sender<Reached>>,
    pub(super) traffic: Arc<Traffic>,
    told: Mutex<HashSet<String>>,
}

impl Reporter {
    pub(super) fn new(
        server: ServerName,
        sink: Option<mpsc::Sender<Reached>>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self {
            server,
            sink,
            traffic,
            told: Mutex::default(),
        }
    }

    pub(super) async fn permitted(&self, to: &str) {
        let first = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.len() < REMEMBERED && told.insert(to.to_owned())
        };
        if first {
            self.tell(to, Verdict::Permitted).await;
        }
    }

    /// Waits until it is taken: a refusal that nobody wrote down would be none, and the only one who waits for it is
    /// the server that caused it.
    pub(super) async fn refused(&self, to: &str, why: &str) {
        self.traffic.refused.fetch_add(1, Ordering::Relaxed);
        self.tell(to, Verdict::Refused(why.to_owned())).await;
    }

    async fn tell(&self, to: &str, verdict: Verdict) {
        tracing::debug!(server = %self.server, to, ?verdict, "egress");
        let Some(sink) = &self.sink else {
            return;
        };
        let reached = Reached {
            server: self.server.clone(),
            to: to.to_owned(),
            verdict,
        };
        // Closed when the gateway ends, and the server with it.
        drop(sink.send(reached).await);
    }
}
