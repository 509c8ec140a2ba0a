//! The keeper of a host's commands: one shell over there, which hears of every command before it begins,
//! and ends them all when its connection does.

use super::{BEGIN, Lines, script};
use ssh::{Client, Running};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Orders that wait to be sent.
const WAITING: usize = 256;

/// See the module. Dropped, it ends what it still keeps.
pub(super) struct Keeper {
    orders: mpsc::Sender<Order>,
    _task: JoinSet<()>,
}

/// Whether a keeper knows of a command.
pub(super) enum Added {
    Known,
    /// It was gone before, and never heard of it.
    Never,
    /// It has not said so.
    Perhaps,
}

struct Order {
    line: String,
    /// Who waits until it knows of this process group.
    known: Option<(u32, oneshot::Sender<()>)>,
}

impl Keeper {
    /// One over there.
    pub(super) async fn begin(client: &Client) -> Result<Self, String> {
        let token = super::token();
        let mut running = client.start(script::BOOT).await?;
        let mut lines = Lines::new(&token);
        lines.begin(&mut running, &script::keeper(&token)).await?;
        let (orders, waiting) = mpsc::channel(WAITING);
        let mut task = JoinSet::new();
        task.spawn(talk(running, lines, waiting));
        Ok(Self { orders, _task: task })
    }

    /// Whether its connection is there, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.orders.is_closed()
    }

    /// Has it know a command, before that begins.
    pub(super) async fn add(&self, group: u32, token: &str) -> Added {
        let (known, is_known) = oneshot::channel();
        let order = Order {
            line: format!("add {group} {token}\n"),
            known: Some((group, known)),
        };
        let told = async {
            match self.orders.send(order).await {
                Err(_) => Added::Never,
                Ok(()) => is_known.await.map_or(Added::Perhaps, |()| Added::Known),
            }
        };
        timeout(BEGIN, told).await.unwrap_or(Added::Perhaps)
    }

    /// Tells it something, without waiting. Whether it will hear of it.
    pub(super) fn tell(&self, line: String) -> bool {
        self.orders.try_send(Order { line, known: None }).is_ok()
    }
}

/// Until it is given up, or its connection breaks.
async fn talk(mut running: Running, mut lines: Lines, mut orders: mpsc::Receiver<Order>) {
    let mut asked: Vec<(u32, oneshot::Sender<()>)> = Vec::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(Order { line, known }) = order else { return };
                let input = &mut running.input;
                if input.write_all(line.as_bytes()).await.is_err() || input.flush().await.is_err() {
                    return;
                }
                asked.retain(|(_, known)| !known.is_closed());
                asked.extend(known);
            }
            said = lines.next(&mut running.outputs) => {
                let Ok(said) = said else { return };
                let group = said.strip_prefix("has ").and_then(|group| group.parse().ok());
                let known = asked.iter().position(|(of, _)| Some(*of) == group);
                if let Some((_, known)) = known.map(|known| asked.swap_remove(known)) {
                    // Who asked may have given up.
                    let _ = known.send(());
                }
            }
        }
    }
}
