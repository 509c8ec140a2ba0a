//! A relay between the code under test and a real engine: it sees what is sent, can keep a request back so that the
//! engine never answers it, and tells when the other side hung up.

use crate::daemon::Daemon;
use crate::{eventually, http1::Stream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// A socket in front of an engine. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Relay {
    folder: tempfile::TempDir,
    talks: Talks,
    _accepting: JoinSet<()>,
}

/// What is held.
struct Held {
    part: &'static str,
    /// How often it has to be sent yet.
    left: AtomicUsize,
}

impl Held {
    /// Whether it is to be held for what was sent just now.
    fn is_in(&self, sent: &[u8]) -> bool {
        let part = self.part.as_bytes();
        let found = sent.windows(part.len().max(1)).filter(|window| *window == part);
        found.fold(false, |is_held, _| {
            is_held || self.left.fetch_sub(1, Ordering::SeqCst) == 1
        })
    }
}

/// What is known of a connection.
#[derive(Debug, Default)]
struct Talk {
    sent: Vec<u8>,
    hung_up: bool,
    /// What it is held for was sent.
    is_held: bool,
}

type Talks = Arc<Mutex<Vec<Talk>>>;

impl Relay {
    /// In front of `daemon`, passing everything on.
    pub fn before(daemon: &Daemon) -> Self {
        Self::holding(daemon, "")
    }

    /// In front of `daemon`. On a connection on which `part` was sent nothing goes on to the engine any more, that request
    /// included; it stays open until the other side hangs up. An empty part holds nothing.
    pub fn holding(daemon: &Daemon, part: &'static str) -> Self {
        Self::holding_at(daemon, part, 1)
    }

    /// The same from the time on at which `part` was sent that often, on whichever connections.
    pub fn holding_at(daemon: &Daemon, part: &'static str, nth: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(socket(&folder)).expect("a socket in a folder of ours");
        let (talks, daemon) = (Talks::default(), daemon.clone());
        let mut accepting = JoinSet::new();
        let all = Arc::clone(&talks);
        let held = Arc::new(Held {
            part,
            left: AtomicUsize::new(nth),
        });
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let index = with(&all, |talks| {
                    talks.push(Talk::default());
                    talks.len() - 1
                });
                let engine = daemon.connect().await;
                connections.spawn(relay(client, engine, Arc::clone(&all), index, Arc::clone(&held)));
            }
        });
        Self {
            folder,
            talks,
            _accepting: accepting,
        }
    }

    /// Where it listens, as `DOCKER_HOST` writes it.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", socket(&self.folder).display())
    }

    /// All that was sent, connection after connection.
    pub fn sent(&self) -> String {
        with(&self.talks, |talks| {
            let sent = talks.iter().map(|talk| String::from_utf8_lossy(&talk.sent));
            sent.collect::<Vec<_>>().join("\n")
        })
    }

    /// Waits until a connection is held.
    pub async fn held(&self) {
        eventually("a request that is held", async || {
            with(&self.talks, |talks| talks.iter().any(|talk| talk.is_held)).then_some(())
        })
        .await;
    }

    /// Waits until `part` has been sent on a connection that is still open.
    pub async fn open(&self, part: &str) {
        eventually(&format!("a request with {part}"), async || self.seen(part, false)).await;
    }

    /// Waits until the connection on which `part` was sent has been closed by who opened it.
    pub async fn closed(&self, part: &str) {
        eventually(&format!("the end of the request with {part}"), async || {
            self.seen(part, true)
        })
        .await;
    }

    fn seen(&self, part: &str, hung_up: bool) -> Option<()> {
        let found = with(&self.talks, |talks| {
            talks
                .iter()
                .any(|talk| talk.hung_up == hung_up && holds(&talk.sent, part))
        });
        found.then_some(())
    }
}

fn socket(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("relay.sock")
}

fn with<T>(talks: &Mutex<Vec<Talk>>, act: impl FnOnce(&mut Vec<Talk>) -> T) -> T {
    act(&mut talks.lock().unwrap_or_else(PoisonError::into_inner))
}

fn holds(sent: &[u8], part: &str) -> bool {
    !part.is_empty() && sent.windows(part.len()).any(|window| window == part.as_bytes())
}

async fn relay(client: UnixStream, engine: Box<dyn Stream>, talks: Talks, index: usize, held: Arc<Held>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = tokio::io::split(engine);
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let read = from_client.read(&mut buffer).await.unwrap_or_default();
            let passes = with(&talks, |talks| {
                let talk = &mut talks[index];
                // What came before was searched: it may be a whole image.
                let new = talk.sent.len().saturating_sub(held.part.len().saturating_sub(1));
                talk.sent.extend_from_slice(&buffer[..read]);
                talk.hung_up |= read == 0;
                talk.is_held |= held.is_in(&talk.sent[new..]);
                !talk.is_held
            });
            if read == 0 && passes {
                // It may still listen, as who has said all to a command does.
                drop(to_engine.shutdown().await);
                return std::future::pending().await;
            }
            if read == 0 || (passes && to_engine.write_all(&buffer[..read]).await.is_err()) {
                return;
            }
        }
    };
    let down = tokio::io::copy(&mut from_engine, &mut to_client);
    tokio::select! {
        () = up => {}
        // What the engine still had to say found nobody, before the end of what the client says was read.
        ended = down => with(&talks, |talks| talks[index].hung_up |= ended.is_err()),
    }
}
