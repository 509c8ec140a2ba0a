//! A stand-in for a Docker daemon whose answers a test writes itself, for what no real engine does on demand:
//! hanging, breaking off in mid-body, speaking an API version that is not to be had.

use bytes::Bytes;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Bytes,
}

impl Seen {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The path without API version and query: `/containers/json` of `/v1.41/containers/json?all=1`.
    pub fn path(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        match path
            .strip_prefix("/v1.")
            .and_then(|rest| rest.find('/').map(|slash| &rest[slash..]))
        {
            Some(rest) => rest,
            None => path,
        }
    }
}

/// What the double does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A whole answer.
    Full {
        /// The status.
        status: u16,
        /// Headers beside `Content-Length`.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// A chunked body that never ends.
    Endless {
        /// Sent at once, one chunk each.
        chunks: Vec<Bytes>,
    },
    /// A chunked body whose connection closes after these chunks, before the end was announced.
    Cut {
        /// Sent at once, one chunk each.
        chunks: Vec<Bytes>,
    },
    /// `101 Switching Protocols`, then these bytes, then the end of the stream.
    Upgrade {
        /// The `Content-Type`, which tells a raw stream from a multiplexed one.
        content_type: String,
        /// What the stream carries.
        bytes: Bytes,
    },
    /// No answer, the connection stays open.
    Hang,
    /// No answer, the connection closes.
    Close,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self::Full {
            status,
            headers,
            body: body.to_string().into(),
        }
    }

    /// The daemon's form of an error.
    pub fn error(status: u16, message: &str) -> Self {
        Self::json(status, &serde_json::json!({ "message": message }))
    }

    /// What `/_ping` answers on an engine of this API version.
    pub fn ping(api_version: &str) -> Self {
        let headers = vec![
            ("api-version".to_owned(), api_version.to_owned()),
            ("content-type".to_owned(), "text/plain".to_owned()),
        ];
        Self::Full {
            status: 200,
            headers,
            body: "OK".into(),
        }
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A daemon that a test scripts; ends with this value.
#[derive(Debug)]
pub struct DaemonDouble {
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl DaemonDouble {
    /// Starts a double that answers each request as `script` says.
    pub fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("the folder is ours");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(script), Arc::clone(&seen)));
        Self {
            folder,
            seen,
            _tasks: tasks,
        }
    }

    /// The socket's path.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// The double as `DOCKER_HOST` would name it.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// A folder of this double's own, for further files of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: UnixListener, script: Arc<Script>, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
    }
}

async fn serve(stream: UnixStream, script: Arc<Script>, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        let reply = script(&request);
        // A client that has gone is no fault of the double.
        if write_reply(stream.get_mut(), &request, reply).await.is_none() {
            return;
        }
    }
}

async fn read_request(stream: &mut BufReader<UnixStream>) -> Option<Seen> {
    let first = read_line(stream).await?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream).await?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen {
        method,
        target,
        headers,
        body: Bytes::new(),
    };
    let mut body = Vec::new();
    if seen.header("transfer-encoding") == Some("chunked") {
        loop {
            let length =
                usize::from_str_radix(read_line(stream).await?.split(';').next()?.trim(), 16).ok()?;
            let start = body.len();
            body.resize(start + length, 0);
            stream.read_exact(&mut body[start..]).await.ok()?;
            read_line(stream).await?;
            if length == 0 {
                break;
            }
        }
    } else if let Some(length) = seen.header("content-length") {
        body.resize(length.parse().ok()?, 0);
        stream.read_exact(&mut body).await.ok()?;
    }
    seen.body = body.into();
    Some(seen)
}

async fn read_line(stream: &mut BufReader<UnixStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// `None` when the connection is to close.
async fn write_reply(stream: &mut UnixStream, request: &Seen, reply: Reply) -> Option<()> {
    match reply {
        Reply::Full {
            status,
            headers,
            body,
        } => {
            let lines: String = headers
                .iter()
                .map(|(name, value)| [name, ": ", value, "\r\n"].concat())
                .collect();
            let head = format!(
                "HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n{lines}\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.ok()?;
            if request.method != "HEAD" {
                stream.write_all(&body).await.ok()?;
            }
            Some(())
        }
        Reply::Endless { chunks } => {
            write_chunks(stream, &chunks).await?;
            std::future::pending().await
        }
        Reply::Cut { chunks } => {
            write_chunks(stream, &chunks).await?;
            None
        }
        Reply::Upgrade { content_type, bytes } => {
            let head = format!(
                "HTTP/1.1 101 UPGRADED\r\ncontent-type: {content_type}\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&bytes).await.ok()?;
            None
        }
        Reply::Hang => std::future::pending().await,
        Reply::Close => None,
    }
}

async fn write_chunks(stream: &mut UnixStream, chunks: &[Bytes]) -> Option<()> {
    let head =
        "HTTP/1.1 200 Scripted\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.ok()?;
    for chunk in chunks {
        stream
            .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
            .await
            .ok()?;
        stream.write_all(chunk).await.ok()?;
        stream.write_all(b"\r\n").await.ok()?;
    }
    Some(())
}
