//! An HTTP server that sends exactly what the test says, byte by byte: for answers that no real server gives on demand.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub use crate::http1::Stream as PeerStream;

/// A future without borrows.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// What is put over each accepted connection (TLS); `None`: nobody to talk to.
pub type Over = Arc<dyn Fn(TcpStream) -> Later<Option<Box<dyn PeerStream>>> + Send + Sync>;

type Script = dyn Fn(&Seen) -> Vec<Step> + Send + Sync;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Number of the connection, from 0.
    pub connection: usize,
    /// Request line and headers, without the empty line at the end.
    pub head: String,
    /// The body, in chunks if it came so.
    pub body: Vec<u8>,
}

impl Seen {
    /// Method and target: `GET /x?y`.
    pub fn line(&self) -> &str {
        self.head.split(" HTTP/").next().unwrap_or_default()
    }

    /// The target.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// What is done about a request, in order.
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends what comes of this; empty bytes are a mere wait.
    Then(Later<Vec<u8>>),
    /// Waits until the client has gone.
    Hang,
    /// Closes the connection.
    Close,
}

/// Sends this text.
pub fn send(text: impl Into<String>) -> Step {
    Step::Send(text.into().into_bytes())
}

/// Sends an answer with a length. Each of `headers` ends with CRLF.
pub fn answer(status: &str, headers: &str, body: &str) -> Step {
    let length = body.len();
    send(format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    ))
}

/// The server.
pub struct Peer {
    /// Where it listens, on the loopback.
    pub port: u16,
    log: Arc<Log>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    left: AtomicUsize,
}

impl Peer {
    /// Listens; `script` says what is done about each request.
    pub async fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::over(None, script).await
    }

    /// The same over what `over` makes of each connection.
    pub async fn over(
        over: Option<Over>,
        script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("the loopback has a free port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let log = Arc::new(Log::default());
        let (shared, script): (_, Arc<Script>) = (Arc::clone(&log), Arc::new(script));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut conversations = JoinSet::new();
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let (log, script, over) = (Arc::clone(&shared), Arc::clone(&script), over.clone());
                conversations.spawn(async move {
                    let stream = match over {
                        None => Some(Box::new(stream) as Box<dyn PeerStream>),
                        Some(over) => over(stream).await,
                    };
                    if let Some(stream) = stream {
                        converse(stream, connection, &log, &*script).await;
                    }
                });
                connection += 1;
            }
        });
        Self {
            port,
            log,
            _tasks: tasks,
        }
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().expect("nobody panics with it").clone()
    }

    /// How many clients have left while they were kept waiting ([`Step::Hang`]).
    pub fn left(&self) -> usize {
        self.log.left.load(Ordering::SeqCst)
    }

    /// An address of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

async fn converse(mut stream: Box<dyn PeerStream>, connection: usize, log: &Log, script: &Script) {
    let mut bytes = Vec::new();
    while let Some(seen) = request(&mut stream, &mut bytes, connection).await {
        log.seen.lock().expect("nobody panics with it").push(seen.clone());
        for step in script(&seen) {
            let bytes = match step {
                Step::Send(bytes) => bytes,
                Step::Then(bytes) => bytes.await,
                Step::Hang => {
                    let mut rest = Vec::new();
                    drop(stream.read_to_end(&mut rest).await);
                    log.left.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Step::Close => return,
            };
            if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}

async fn request(stream: &mut Box<dyn PeerStream>, bytes: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|part| part == what);
    loop {
        if let Some(end) = find(bytes, b"\r\n\r\n") {
            let rest = &bytes[end + 4..];
            let mut seen = Seen {
                connection,
                head: String::from_utf8_lossy(&bytes[..end]).into_owned(),
                body: Vec::new(),
            };
            let length = if seen.header("transfer-encoding") == Some("chunked") {
                find(rest, b"0\r\n\r\n").map(|at| at + 5)
            } else {
                let length = seen.header("content-length").unwrap_or("0");
                let length = length.parse().expect("a length is a number");
                (rest.len() >= length).then_some(length)
            };
            if let Some(length) = length {
                seen.body = rest[..length].to_vec();
                bytes.drain(..end + 4 + length);
                return Some(seen);
            }
        }
        if stream.read_buf(bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
