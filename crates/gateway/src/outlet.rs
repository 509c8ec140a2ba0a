//! The way out to a client: a bounded queue of messages, and the task that writes them to a pipe.

use hyper::StatusCode;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use wire::Message;

/// Messages that wait for a client to read. When it is full, answers wait and notifications are dropped.
const QUEUE: usize = 64;
/// Waiting messages leave in one write up to this size.
const WRITE: usize = 256 << 10;

/// A message on its way, as one line of JSON.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Empty: no message but word that the client may be sent away for a while.
    pub(crate) line: Vec<u8>,
    /// It answers the request that the queue is for (HTTP), so nothing follows; the status that it has when it
    /// goes out alone.
    pub(crate) last: Option<StatusCode>,
}

impl From<Outgoing> for Vec<u8> {
    fn from(message: Outgoing) -> Self {
        message.line
    }
}

/// Where messages to one client go.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    queue: mpsc::Sender<Outgoing>,
    /// The client comes back by itself for the rest of a stream that ends before the answer.
    polls: bool,
}

/// The client is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Outlet {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Outgoing>) {
        Self::to(false)
    }

    /// One to a client that comes back by itself for the rest of a stream, if it `polls` (2025-11-25, over HTTP).
    pub(crate) fn to(polls: bool) -> (Self, mpsc::Receiver<Outgoing>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        (Self { queue, polls }, receiver)
    }

    /// Sends `message` once there is room.
    pub(crate) async fn send(&self, message: &Message) -> Result<(), Gone> {
        self.send_line(message.to_line(), None).await
    }

    pub(crate) async fn send_line(&self, line: Vec<u8>, last: Option<StatusCode>) -> Result<(), Gone> {
        self.queue.send(Outgoing { line, last }).await.map_err(|_| Gone)
    }

    /// Sends a message that may be lost: a client that does not read its progress must not hold up the server's
    /// other clients.
    pub(crate) fn offer(&self, line: Vec<u8>) {
        if self.queue.try_send(Outgoing { line, last: None }).is_err() {
            tracing::debug!("a client does not read; a notification was dropped");
        }
    }

    /// Ends the response that carries the stream, not the stream. A client that does not come back by itself is kept.
    pub(crate) fn hang_up(&self) {
        if self.polls {
            self.offer(Vec::new());
        }
    }

    /// Ends when nobody reads any more.
    pub(crate) async fn closed(&self) {
        self.queue.closed().await;
    }
}

/// Writes what comes out of `queue` as lines, until all its senders are gone or the pipe breaks.
pub(crate) async fn write_lines<T: Into<Vec<u8>>>(
    mut writer: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<T>,
) -> std::io::Result<()> {
    let mut block = Vec::new();
    while let Some(first) = queue.recv().await {
        push(&mut block, first.into());
        while block.len() < WRITE
            && let Ok(next) = queue.try_recv()
        {
            push(&mut block, next.into());
        }
        writer.write_all(&block).await?;
        writer.flush().await?;
        // One huge answer must not keep its memory for good.
        if block.capacity() > WRITE {
            block = Vec::new();
        }
        block.clear();
    }
    writer.shutdown().await
}

fn push(block: &mut Vec<u8>, line: Vec<u8>) {
    if block.is_empty() {
        *block = line;
    } else {
        block.extend_from_slice(&line);
    }
    block.push(b'\n');
}
