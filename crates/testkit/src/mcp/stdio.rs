//! Newline-delimited JSON over a child's stdin and stdout, or over any stream in memory.

use super::{Link, McpClient, SharedInbox};
use crate::{OwnChild, PATIENCE};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;

type Writer = Arc<tokio::sync::Mutex<Option<Box<dyn AsyncWrite + Send + Unpin>>>>;

pub(super) struct Stream {
    writer: Writer,
    child: Option<OwnChild>,
    pid: Option<u32>,
    stderr: Arc<Mutex<String>>,
}

impl McpClient {
    /// Starts `command` as a server that speaks over stdio; it is killed when the client is dropped.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let reader = child.stdout.take().expect("stdout is piped");
        let writer = child.stdin.take().expect("stdin is piped");
        let errors = child.stderr.take().expect("stderr is piped");
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(collect(errors, Arc::clone(&stderr)));
        Self::join(reader, writer, Some(OwnChild(child)), stderr, tasks)
    }

    /// A client of a server at the other end of these streams, for example the halves of `tokio::io::duplex`.
    pub fn over(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self::join(reader, writer, None, Arc::default(), JoinSet::new())
    }

    fn join(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        child: Option<OwnChild>,
        stderr: Arc<Mutex<String>>,
        mut tasks: JoinSet<()>,
    ) -> Self {
        let inbox = SharedInbox::new();
        let writer: Writer = Arc::new(tokio::sync::Mutex::new(Some(Box::new(writer))));
        tasks.spawn(read(reader, Arc::clone(&writer), inbox.clone()));
        let pid = child.as_ref().and_then(|child| child.id());
        Self::new(
            Link::Stream(Stream {
                writer,
                child,
                pid,
                stderr,
            }),
            inbox,
            tasks,
        )
    }
}

impl Stream {
    pub(super) async fn send(&self, line: &str) {
        write(&self.writer, line).await;
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.expect("this client started no process")
    }

    pub(super) fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn close(mut self) -> ExitStatus {
        self.writer.lock().await.take();
        let mut child = self.child.take().expect("this client started no process");
        tokio::time::timeout(PATIENCE, child.wait())
            .await
            .unwrap_or_else(|_| panic!("the server still runs {PATIENCE:?} after its input ended"))
            .expect("a child can be waited for")
    }
}

async fn write(writer: &Writer, line: &str) {
    if let Some(writer) = writer.lock().await.as_mut() {
        // A server that has died is noticed by the reader, with a better message.
        writer.write_all(format!("{line}\n").as_bytes()).await.ok();
        writer.flush().await.ok();
    }
}

async fn read(reader: impl AsyncRead + Unpin, writer: Writer, inbox: SharedInbox) {
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(reply) = inbox.take(&line) {
            write(&writer, &reply.to_string()).await;
        }
    }
    inbox.close();
}

async fn collect(mut errors: impl AsyncRead + Unpin, into: Arc<Mutex<String>>) {
    let mut buffer = [0; 4096];
    while let Ok(read) = errors.read(&mut buffer).await
        && read > 0
    {
        into.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}
