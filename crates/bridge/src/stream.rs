//! A program in the bridge as one stream of bytes: what is written goes to its standard input, what is read is its
//! standard output. What it says on standard error is the reason when it ends before it has said anything.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use engine::{Demux, Hijacked, Output, Tty};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read at a time.
const CHUNK: usize = 16 << 10;
/// Most bytes of standard error that are kept.
const REASON: usize = 2 << 10;

pub(crate) struct Stream {
    wire: Hijacked,
    demux: Demux,
    buffer: Box<[u8]>,
    rest: Bytes,
    reason: Vec<u8>,
    has_spoken: bool,
}

impl Stream {
    pub(crate) fn new(wire: Hijacked) -> Self {
        Self {
            wire,
            demux: Demux::new(Tty::No),
            buffer: vec![0; CHUNK].into(),
            rest: Bytes::new(),
            reason: Vec::new(),
            has_spoken: false,
        }
    }

    /// The last that it said on standard error, fit to be shown.
    pub(crate) fn reason(&self) -> String {
        let text = String::from_utf8_lossy(&self.reason);
        let text = base::text::clean(text.trim()).replace('\n', "; ");
        text.strip_prefix("error: ").unwrap_or(&text).to_owned()
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.reason.extend_from_slice(bytes);
        let over = self.reason.len().saturating_sub(REASON);
        self.reason.drain(..over);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.rest.is_empty() {
                let piece = this.rest.len().min(buf.remaining());
                buf.put_slice(this.rest.get(..piece).unwrap_or_default());
                this.rest.advance(piece);
                return Poll::Ready(Ok(()));
            }
            match this.demux.take().map_err(io::Error::other)? {
                Some(Output::Stderr(bytes)) => {
                    this.hear(&bytes);
                    continue;
                }
                Some(Output::Stdout(bytes) | Output::Console(bytes)) => {
                    this.has_spoken |= !bytes.is_empty();
                    this.rest = bytes;
                    continue;
                }
                None => {}
            }
            let mut read = ReadBuf::new(&mut this.buffer);
            ready!(Pin::new(&mut this.wire).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                if this.has_spoken || this.reason.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                return Poll::Ready(Err(io::Error::other(this.reason())));
            }
            this.demux.feed(read.filled());
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
