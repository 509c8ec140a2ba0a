//! The audit of the way out: each time that a server is kept from reaching something leaves a row, as a refused call does.

use std::sync::{Mutex, PoisonError};

use gateway::CancellationToken;
use instances::{Reached, Verdict};
use serde_json::json;
use store::{Entry, Store};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Refusals that may wait to be written; whoever is refused waits when there are more.
const QUEUE: usize = 64;
/// What stands in the audit in the place of a tool.
const TOOL: &str = "egress";

/// The task that writes them.
pub(crate) struct Refusals {
    ended: CancellationToken,
    task: Mutex<JoinSet<()>>,
}

impl Refusals {
    /// Takes what is sent from now on, until [`Self::close`].
    pub(crate) fn record(store: Store) -> (mpsc::Sender<Reached>, Self) {
        let (sender, mut reached) = mpsc::channel(QUEUE);
        let ended = CancellationToken::new();
        let told = ended.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let next = tokio::select! {
                    biased;
                    next = reached.recv() => next,
                    // What was sent before the end has been taken.
                    () = told.cancelled() => None,
                };
                let Some(reached) = next else { break };
                if let Some(row) = row(reached)
                    && let Err(error) = store.audit().append(row).await
                {
                    tracing::error!("a refusal was not written down: {error}");
                }
            }
        });
        let this = Self {
            ended,
            task: Mutex::new(task),
        };
        (sender, this)
    }

    /// Writes what is waiting, and ends.
    pub(crate) async fn close(&self) {
        self.ended.cancel();
        let mut task = std::mem::take(&mut *self.task.lock().unwrap_or_else(PoisonError::into_inner));
        while let Some(ended) = task.join_next().await {
            if let Err(error) = ended {
                tracing::error!("the task that writes refusals down has failed: {error}");
            }
        }
    }
}

/// What is permitted is no row: it is what the person agreed to.
fn row(reached: Reached) -> Option<Entry> {
    let Verdict::Refused(why) = reached.verdict else {
        return None;
    };
    let why = base::text::clean(&why).replace('\n', " ");
    let server = reached.server.to_string();
    Some(Entry {
        time: base::clock::now(),
        principal: format!("server:{server}"),
        client: String::new(),
        server,
        tool: TOOL.to_owned(),
        arguments: json!({"to": reached.to}),
        decision: "deny".to_owned(),
        outcome: base::text::cut(&format!("refused: {}: {why}", reached.to), 500).to_owned(),
        result_bytes: 0,
        milliseconds: 0,
    })
}
