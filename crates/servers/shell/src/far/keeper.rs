//! The keeper of a host's commands: one shell over there for each connection, which hears of every command before it begins,
//! and ends them all when the connection does.

use super::{Lines, script};
use ssh::Input;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Orders that wait to be sent.
const WAITING: usize = 256;
/// How long a keeper may take to begin, and to hear of a command.
const BEGIN: Duration = Duration::from_secs(10);

/// See the module. Dropped, it ends what it still keeps.
pub(super) struct Keeper {
    orders: mpsc::Sender<Order>,
    _task: JoinSet<()>,
}

struct Order {
    line: String,
    sent: Option<oneshot::Sender<()>>,
}

impl Keeper {
    /// One over this host's connection.
    pub(super) async fn begin(host: &Arc<ssh::Host>) -> Result<Self, String> {
        let token = super::token();
        let mut running = host
            .start(script::BOOT)
            .await
            .map_err(|error| error.to_string())?;
        let line = script::keeper(&token) + "\n";
        let begin = async {
            running
                .input
                .write_all(line.as_bytes())
                .await
                .map_err(|error| error.to_string())?;
            Lines::new(&token).next(&mut running.outputs).await
        };
        let started = timeout(BEGIN, begin).await;
        started.map_err(|_| format!("a shell over there said nothing in {} s", BEGIN.as_secs()))??;
        let (orders, waiting) = mpsc::channel(WAITING);
        let mut task = JoinSet::new();
        // It writes nothing any more, but its outputs have to be held for its channel to stay.
        let outputs = running.outputs;
        task.spawn(async move {
            send(running.input, waiting).await;
            drop(outputs);
        });
        Ok(Self { orders, _task: task })
    }

    /// Whether its connection is there, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.orders.is_closed()
    }

    /// Has it know a command, before that begins. Whether it does.
    pub(super) async fn add(&self, group: u32, token: &str) -> bool {
        let (sent, is_sent) = oneshot::channel();
        let order = Order {
            line: format!("add {group} {token}\n"),
            sent: Some(sent),
        };
        let told = async { self.orders.send(order).await.is_ok() && is_sent.await.is_ok() };
        timeout(BEGIN, told).await.unwrap_or_default()
    }

    /// Tells it something, without waiting. Whether it will hear of it.
    pub(super) fn tell(&self, line: String) -> bool {
        self.orders.try_send(Order { line, sent: None }).is_ok()
    }
}

async fn send(mut input: Input, mut waiting: mpsc::Receiver<Order>) {
    while let Some(Order { line, sent }) = waiting.recv().await {
        if input.write_all(line.as_bytes()).await.is_err() || input.flush().await.is_err() {
            return;
        }
        if let Some(sent) = sent {
            // Who asked may have given up.
            let _ = sent.send(());
        }
    }
}
