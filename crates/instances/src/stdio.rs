//! A container's standard input and output as one stream of bytes; its standard error goes aside.
//!
//! Both outputs come over one connection. It is read only when somebody reads the stream, so a server that writes
//! more than is taken is held up by the engine, and nothing piles up here. The writing side needs nothing of the
//! reading side, so neither can hold up the other.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use engine::{Demux, Hijacked, Output, Tty};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::stderr::Stderr;

/// How much is read at a time.
const CHUNK: usize = 16 << 10;
/// After so many pieces of standard error others get their turn: a flood of it must not hold a worker of the runtime.
const TURNS: usize = 64;

/// The server's end of its pipes: what is written goes to its standard input, what is read is its standard output.
/// Shutting down the writing side ends the input. Dropping it ends the instance.
pub struct Stdio {
    pipes: Arc<Pipes>,
    rest: Bytes,
}

/// What the stream and the owner of the container share.
pub(crate) struct Pipes {
    wire: Mutex<Wire>,
    pub(crate) stderr: Stderr,
    /// Somebody wants the instance to end.
    pub(crate) end: CancellationToken,
    /// The outputs have ended.
    pub(crate) silent: CancellationToken,
}

struct Wire {
    /// `None` once the owner has taken it.
    stream: Option<Hijacked>,
    demux: Demux,
    buffer: Box<[u8]>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

// What a server said may hold secrets, and is long: neither shows in a debug text.
impl fmt::Debug for Stdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stdio").field(&self.pipes).finish()
    }
}

impl fmt::Debug for Pipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipes")
            .field("ending", &self.end.is_cancelled())
            .field("silent", &self.silent.is_cancelled())
            .finish_non_exhaustive()
    }
}

impl Pipes {
    pub(crate) fn new(stream: Hijacked, stderr: Stderr) -> Self {
        let wire = Wire {
            stream: Some(stream),
            demux: Demux::new(Tty::No),
            buffer: vec![0; CHUNK].into(),
            reader: None,
            writer: None,
        };
        Self {
            wire: Mutex::new(wire),
            stderr,
            end: CancellationToken::new(),
            silent: CancellationToken::new(),
        }
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the server's input and reads its outputs to their end; standard output is nobody's any more. Whoever
    /// holds the [`Stdio`] sees its end.
    pub(crate) async fn close_and_drain(&self) {
        let (stream, mut demux) = {
            let mut wire = self.wire();
            let demux = std::mem::replace(&mut wire.demux, Demux::new(Tty::No));
            let stream = wire.stream.take();
            for waker in [wire.reader.take(), wire.writer.take()].into_iter().flatten() {
                waker.wake();
            }
            (stream, demux)
        };
        let Some(mut stream) = stream else {
            return;
        };
        let mut buffer = vec![0; CHUNK];
        let mut open = stream.shutdown().await.is_ok();
        while open {
            while let Ok(Some(output)) = demux.take() {
                if let Output::Stderr(bytes) = output {
                    self.stderr.push(&bytes);
                }
            }
            match stream.read(&mut buffer).await {
                Ok(length @ 1..) => demux.feed(buffer.get(..length).unwrap_or_default()),
                _ => open = false,
            }
        }
        self.silent.cancel();
    }

    /// The next piece of standard output; an empty one at its end.
    fn poll_output(&self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        for _ in 0..TURNS {
            match ready!(self.poll_any(cx))? {
                Some(Output::Stdout(bytes) | Output::Console(bytes)) => return Poll::Ready(Ok(bytes)),
                Some(Output::Stderr(_)) => {}
                None => return Poll::Ready(Ok(Bytes::new())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The next piece of either output; none at their end. Standard error goes aside as well.
    pub(crate) fn poll_any(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Output>>> {
        let mut wire = self.wire();
        let wire = &mut *wire;
        loop {
            if let Some(output) = wire.demux.take().map_err(io::Error::other)? {
                if let Output::Stderr(bytes) = &output {
                    self.stderr.push(bytes);
                }
                return Poll::Ready(Ok(Some(output)));
            }
            let Some(stream) = &mut wire.stream else {
                return Poll::Ready(Ok(None));
            };
            let mut buffer = ReadBuf::new(&mut wire.buffer);
            let Poll::Ready(read) = Pin::new(stream).poll_read(cx, &mut buffer) else {
                remember(&mut wire.reader, cx);
                return Poll::Pending;
            };
            read?;
            if buffer.filled().is_empty() {
                self.silent.cancel();
                return Poll::Ready(Ok(None));
            }
            wire.demux.feed(buffer.filled());
        }
    }

    pub(crate) fn poll_input<T>(
        &self,
        cx: &mut Context<'_>,
        act: impl FnOnce(Pin<&mut Hijacked>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut wire = self.wire();
        let wire = &mut *wire;
        let Some(stream) = &mut wire.stream else {
            let gone = io::Error::new(io::ErrorKind::BrokenPipe, "the server is being stopped");
            return Poll::Ready(Err(gone));
        };
        let result = act(Pin::new(stream), cx);
        if result.is_pending() {
            remember(&mut wire.writer, cx);
        }
        result
    }
}

fn remember(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

impl Stdio {
    pub(crate) fn new(pipes: Arc<Pipes>) -> Self {
        Self {
            pipes,
            rest: Bytes::new(),
        }
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        self.pipes.end.cancel();
    }
}

impl AsyncRead for Stdio {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            self.rest = ready!(self.pipes.poll_output(cx))?;
        }
        let length = self.rest.len().min(buf.remaining());
        buf.put_slice(self.rest.get(..length).unwrap_or_default());
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stdio {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.pipes.poll_input(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipes.poll_input(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipes.poll_input(cx, AsyncWrite::poll_shutdown)
    }
}
