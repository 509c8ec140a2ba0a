//! A stream over a session: bytes both ways, with an end that can be told from a break.
//!
//! russh opens a channel's window again as data arrives, read or not, and holds the whole connection up once a channel's
//! queue is full. So each channel has a task that takes what arrives into a queue of its own: up to [`WAITING`] bytes,
//! beyond which the connection is held up, and after [`STALL`] without anything read the stream is ended, so that no
//! reader that has stopped can stop the others. A break of the connection is an error here, where russh's own reader
//! shows an end.

use crate::session::Session;
use bytes::{Buf as _, Bytes};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// Most bytes of a stream that wait to be read.
const WAITING: u32 = 4 << 20;
/// Most messages of a stream that wait to be read, for those that come in small pieces.
const MESSAGES: usize = 4096;
/// How long a full queue may hold the others up.
const STALL: Duration = Duration::from_secs(10);
/// Most bytes that are kept of what a command complains of.
const COMPLAINT: usize = 4 << 10;
/// How long saying goodbye to a channel may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// A stream to a socket, a port or a command on a host. Reading fails when the connection breaks, and, for a command, at
/// the end when it has failed. Dropped, it is closed over there too.
pub struct Stream {
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    pub(crate) open: Arc<DropGuard>,
    data: Bytes,
    is_command: bool,
    note: Option<String>,
    complaint: Vec<u8>,
    exit: Option<Exit>,
    end: End,
}

/// What arrives for a stream.
pub(crate) struct Incoming {
    pub(crate) events: mpsc::Receiver<Event>,
    /// Why the events ended before the channel did.
    fate: Fate,
    budget: Arc<Semaphore>,
    pub(crate) what: Arc<str>,
}

impl Incoming {
    /// So many bytes were taken, and others may come.
    pub(crate) fn taken(&self, bytes: usize) {
        self.budget.add_permits(bytes);
    }

    /// Once there are no more events: whether that is an end.
    pub(crate) fn broken(&self) -> io::Result<()> {
        self.fate.get().map_or(Ok(()), |reason| {
            let text = format!("{}: {reason}", self.what);
            Err(io::Error::new(io::ErrorKind::ConnectionReset, text))
        })
    }
}

/// What is sent over a stream.
pub(crate) struct Outgoing {
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    /// Ends when nothing can be written any more.
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    what: Arc<str>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With a code.
    Code(u32),
    /// By a signal, as SSH names it (`KILL`).
    Signal(String),
}

#[derive(Debug)]
pub(crate) enum Event {
    Data(Bytes),
    Complaint(Bytes),
    Exit(Exit),
    Eof,
    Closed,
}

type Fate = Arc<OnceLock<&'static str>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// The far side sends no more.
    Eof,
    /// The channel is gone.
    Closed,
}

/// What the opened channel is, and what goes with it.
pub(crate) struct Opened {
    pub(crate) read: ChannelReadHalf,
    pub(crate) write: ChannelWriteHalf<Msg>,
    /// What arrived while it was opened.
    pub(crate) early: Vec<ChannelMsg>,
    pub(crate) session: Arc<Session>,
    pub(crate) permit: OwnedSemaphorePermit,
    pub(crate) what: String,
    pub(crate) is_command: bool,
}

impl Stream {
    pub(crate) fn new(opened: Opened) -> Self {
        let (send, events) = mpsc::channel(MESSAGES);
        let budget = Arc::new(Semaphore::new(WAITING as usize));
        let (over, stop) = (CancellationToken::new(), CancellationToken::new());
        let fate = Fate::default();
        let what: Arc<str> = opened.what.into();
        let stream = Self {
            incoming: Incoming {
                events,
                fate: Arc::clone(&fate),
                budget: Arc::clone(&budget),
                what: Arc::clone(&what),
            },
            outgoing: Outgoing {
                writer: Box::pin(opened.write.make_writer()),
                over: Box::pin(over.clone().cancelled_owned()),
                what,
            },
            open: Arc::new(stop.clone().drop_guard()),
            data: Bytes::new(),
            is_command: opened.is_command,
            note: None,
            complaint: Vec::new(),
            exit: None,
            end: End::Open,
        };
        let session = Arc::clone(&opened.session);
        let pump = Pump {
            read: opened.read,
            write: opened.write,
            send,
            fate,
            budget,
            over,
            stop,
            session: opened.session,
            _permit: opened.permit,
        };
        session.tasks.spawn(pump.run(opened.early));
        stream
    }

    /// Words that go in front of the error when a command fails: what was tried before it.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// What a command has written to stderr so far, at most 4 KiB of it.
    pub fn complaint(&self) -> &[u8] {
        &self.complaint
    }

    /// How a command ended, once everything was read.
    pub fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref()
    }

    /// Waits until there is something to read, or the end. `Ok(false)` is the end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if !self.data.is_empty() {
                return Poll::Ready(Ok(true));
            }
            let is_over = self.end == End::Closed || self.end == End::Eof && !self.is_command;
            if is_over {
                return Poll::Ready(self.ended().map(|()| false));
            }
            match ready!(self.incoming.events.poll_recv(cx)) {
                Some(Event::Data(data)) => self.data = data,
                Some(Event::Complaint(text)) => {
                    let room = COMPLAINT.saturating_sub(self.complaint.len()).min(text.len());
                    self.complaint.extend_from_slice(&text.slice(..room));
                    self.incoming.taken(text.len());
                }
                Some(Event::Exit(exit)) => self.exit = Some(exit),
                Some(Event::Eof) => self.end = End::Eof,
                // Without an end of its own, too: a command that failed may not have sent one.
                Some(Event::Closed) => self.end = End::Closed,
                None => {
                    self.end = End::Closed;
                    self.incoming.broken()?;
                }
            }
        }
    }

    /// The end of a command that failed is an error, told once.
    fn ended(&mut self) -> io::Result<()> {
        let how = match &self.exit {
            Some(Exit::Code(0)) | None => return Ok(()),
            Some(Exit::Code(127)) => "it is not installed there".to_owned(),
            Some(Exit::Code(code)) => format!("it ended with {code}"),
            Some(Exit::Signal(name)) => format!("it was ended by signal {name}"),
        };
        if !std::mem::take(&mut self.is_command) {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&self.complaint);
        let complaint = base::text::clean(complaint.trim());
        let note = self.note.as_deref().unwrap_or_default();
        let what = &self.incoming.what;
        let text = match &*complaint {
            "" => format!("{note}{what}: {how}"),
            said => format!(
                "{note}{what}: {how}: {}",
                base::text::cut(said, 400).replace('\n', " ")
            ),
        };
        Err(io::Error::other(text))
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("what", &self.incoming.what)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if ready!(self.poll_data(cx))? {
            let count = self.data.len().min(buf.remaining());
            buf.put_slice(&self.data.slice(..count));
            self.data.advance(count);
            self.incoming.taken(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.outgoing).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.outgoing).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.outgoing).poll_shutdown(cx)
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.over.as_mut().poll(cx).is_ready() {
            let text = format!("{}: the far side has closed it", self.what);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, text)));
        }
        self.writer.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.writer.as_mut().poll_shutdown(cx)
    }
}

/// Takes what arrives for one stream, until it ends on either side.
struct Pump {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    send: mpsc::Sender<Event>,
    fate: Fate,
    budget: Arc<Semaphore>,
    over: CancellationToken,
    stop: CancellationToken,
    /// Keeps the connection for as long as a stream is on it.
    session: Arc<Session>,
    _permit: OwnedSemaphorePermit,
}

impl Pump {
    async fn run(mut self, early: Vec<ChannelMsg>) {
        let mut closed = false;
        for message in early {
            closed |= !self.take(message).await;
        }
        while !closed {
            let message = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                message = self.read.wait() => message,
            };
            let Some(message) = message else {
                let _ = self.fate.set("the connection to the host broke");
                break;
            };
            closed = !self.take(message).await;
        }
        self.over.cancel();
        // The far side keeps a channel until both sides have closed it. russh answers a close by itself.
        let _ = timeout(GOODBYE, self.write.close()).await;
        drop(self.session);
    }

    /// Whether more may come.
    async fn take(&mut self, message: ChannelMsg) -> bool {
        let event = match message {
            ChannelMsg::Data { data } => Event::Data(data),
            ChannelMsg::ExtendedData { data, .. } => Event::Complaint(data),
            ChannelMsg::ExitStatus { exit_status } => Event::Exit(Exit::Code(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => Event::Exit(Exit::Signal(name_of(&signal_name))),
            ChannelMsg::Eof => Event::Eof,
            ChannelMsg::Close => Event::Closed,
            _ => return true,
        };
        let bytes = match &event {
            Event::Data(data) | Event::Complaint(data) => data.len(),
            _ => 0,
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(WAITING);
        let more = !matches!(event, Event::Closed);
        let room = async {
            let permit = self.budget.acquire_many(bytes).await.ok()?;
            let slot = self.send.reserve().await.ok()?;
            permit.forget();
            slot.send(event);
            Some(more)
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            taken = timeout(STALL, room) => taken.unwrap_or_else(|_| {
                let reason = "it was ended here, because nothing of it was read for 10 s and the other streams of this \
                              host had to wait";
                let _ = self.fate.set(reason);
                None
            }).unwrap_or(false),
        }
    }
}

fn name_of(signal: &russh::Sig) -> String {
    match signal {
        russh::Sig::Custom(name) => base::text::cut(&base::text::clean(name), 32).to_owned(),
        known => format!("{known:?}"),
    }
}
