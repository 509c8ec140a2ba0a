//! A server that sends exactly what the test says.

use std::sync::{Arc, Mutex};

use fetch::{Addresses, Client, Duplex, Options, Plain};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// What is done about a request.
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Waits until the client has gone.
    Hang,
    Close,
}

pub(crate) fn send(text: impl Into<String>) -> Step {
    Step::Send(text.into().into_bytes())
}

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Step {
    send(format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    ))
}

pub(crate) struct Peer {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Peer {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::over(None, script).await
    }

    pub(crate) async fn over(
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (all, script) = (Arc::clone(&seen), Arc::new(script));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut conversations = JoinSet::new();
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let (all, script, tls) = (Arc::clone(&all), Arc::clone(&script), tls.clone());
                conversations.spawn(async move {
                    let stream: Box<dyn Duplex> = match tls {
                        None => Box::new(stream),
                        // Clients that do not trust this server are what some tests are about.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                    };
                    converse(stream, connection, &all, &*script).await;
                });
                connection += 1;
            }
        });
        Self {
            port,
            seen,
            _tasks: tasks,
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

async fn converse(
    mut stream: Box<dyn Duplex>,
    connection: usize,
    all: &Mutex<Vec<Seen>>,
    script: &(dyn Fn(&Seen) -> Vec<Step> + Send + Sync),
) {
    let mut bytes = Vec::new();
    loop {
        let Some(seen) = request(&mut stream, &mut bytes, connection).await else {
            return;
        };
        all.lock().unwrap().push(seen.clone());
        for step in script(&seen) {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                Step::Hang => {
                    let mut rest = Vec::new();
                    drop(stream.read_to_end(&mut rest).await);
                    return;
                }
                Step::Close => return,
            }
        }
    }
}

async fn request(stream: &mut Box<dyn Duplex>, bytes: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|part| part == what);
    loop {
        if let Some(end) = find(bytes, b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let rest = &bytes[end + 4..];
            let mut seen = Seen {
                connection,
                head,
                body: Vec::new(),
            };
            let length = if seen.header("transfer-encoding") == Some("chunked") {
                find(rest, b"0\r\n\r\n").map(|at| at + 5)
            } else {
                let length = seen
                    .header("content-length")
                    .map_or(0, |length| length.parse().unwrap());
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

/// Options for servers of the test: this machine, without TLS.
pub(crate) fn here() -> Options {
    Options {
        user_agent: "test/1".to_owned(),
        addresses: Addresses::Private,
        plain: Plain::Loopback,
        ..Options::default()
    }
}

pub(crate) fn client() -> Client {
    Client::new(here())
}
