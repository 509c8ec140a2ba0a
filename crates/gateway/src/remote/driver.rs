//! Takes messages in order and runs their exchanges side by side; when the link is dropped, ends them all and takes
//! leave.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use wire::{Id, method};

use super::exchange;
use super::failure::Failure;
use super::post::{Post, What};
use super::session::Shared;
use crate::parts::ToServer;

/// Most exchanges at a time, those that wait for a slot included.
const EXCHANGES: usize = 1024;
/// How long a legacy server may go on with a request that was cancelled before its stream is closed.
const AFTER_CANCEL: Duration = Duration::from_secs(10);

/// Runs until the link is dropped or the connection is over.
pub(super) async fn run(shared: Arc<Shared>, mut to_server: mpsc::Receiver<ToServer>) {
    let mut exchanges = Exchanges::default();
    loop {
        tokio::select! {
            biased;
            () = shared.out.closed() => break,
            () = shared.over.cancelled() => break,
            Some(ended) = exchanges.tasks.join_next_with_id() => {
                let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
                exchanges.requests.retain(|_, request| request.handle.id() != task);
            }
            message = to_server.recv() => match message.map(Post::new) {
                Some(Some(post)) => exchanges.begin(&shared, post).await,
                Some(None) => tracing::debug!(server = shared.remote.server, "a message that is none"),
                None => break,
            },
        }
    }
    exchanges.tasks.shutdown().await;
    shared.goodbye().await;
}

#[derive(Default)]
struct Exchanges {
    tasks: JoinSet<()>,
    requests: HashMap<Id, Running>,
}

struct Running {
    handle: AbortHandle,
    is_modern: bool,
}

impl Exchanges {
    async fn begin(&mut self, shared: &Arc<Shared>, post: Post) {
        if self.tasks.len() >= EXCHANGES {
            if let Some((id, _)) = post.request() {
                shared.answer(id, Failure::Busy.fault(shared)).await;
            }
            return;
        }
        let task = Arc::clone(shared);
        match &post.what {
            What::Request { id, modern, .. } => {
                let (id, is_modern) = (id.clone(), modern.is_some());
                let handle = if post.is(method::LISTEN) {
                    self.tasks
                        .spawn(async move { exchange::subscription(&task, &post).await })
                } else {
                    self.tasks
                        .spawn(async move { exchange::request(&task, &post).await })
                };
                self.requests.insert(id, Running { handle, is_modern });
            }
            // What follows may only come after the server has read this, and a second connection could overtake it.
            What::Initialized => {
                exchange::tell(shared, &post).await;
                if shared.session().endpoint.is_none() {
                    self.tasks.spawn(async move { exchange::standing(&task).await });
                }
            }
            What::Cancel(id) => {
                let running = id.as_ref().and_then(|id| self.requests.remove(id));
                match running {
                    // Closing the stream is what cancels (2026-07-28, Streamable HTTP, "Cancellation").
                    Some(running) if running.is_modern => running.handle.abort(),
                    Some(running) => {
                        self.tasks.spawn(async move {
                            exchange::tell(&task, &post).await;
                            tokio::time::sleep(AFTER_CANCEL).await;
                            running.handle.abort();
                        });
                    }
                    None => {}
                }
            }
            What::Notification | What::Response => {
                self.tasks
                    .spawn(async move { exchange::tell(&task, &post).await });
            }
        }
    }
}
