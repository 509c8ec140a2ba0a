//! A command whose outputs are read as they come, each by itself.
//!
//! The bounds are those of every stream: [`Outputs`] that nobody reads hold the connection up for a little and are then
//! ended. Deliberately absent: what the text of a command may be, and signals. SSH has a request for those (RFC 4254
//! §6.9), but no answer to it, and OpenSSH obeys only where it separates privileges: never for root, nor for forced
//! commands. Whoever wants a command to end runs something over there that ends it.

use crate::stream::{Event, Exit, Incoming, Outgoing, Stream};
use crate::system::{Pipe, Process};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use tokio_util::sync::DropGuard;

/// A command on a host. When both parts are dropped its channel is closed (with the system's `ssh` when the outputs are);
/// that alone ends no command that neither reads nor writes.
#[derive(Debug)]
pub struct Running {
    /// Its stdin. Shutting it down ends the input.
    pub input: Input,
    /// What it writes.
    pub outputs: Outputs,
}

/// The stdin of a command.
pub struct Input(To);

enum To {
    Channel {
        outgoing: Outgoing,
        _open: Arc<DropGuard>,
    },
    Process(Pipe),
}

/// What a command writes, and how it ends.
pub struct Outputs(From);

enum From {
    Channel(Channel),
    Process(Box<Process>),
}

/// What comes over a connection of ours.
struct Channel {
    incoming: Incoming,
    is_over: bool,
    _open: Arc<DropGuard>,
}

/// Something that a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It wrote this to stdout.
    Stdout(Bytes),
    /// It wrote this to stderr.
    Stderr(Bytes),
    /// It ended. What it has left running may go on to write.
    Exit(Exit),
}

impl Running {
    pub(crate) fn of(stream: Stream) -> Self {
        let open = stream.open;
        Self {
            input: Input(To::Channel {
                outgoing: stream.outgoing,
                _open: Arc::clone(&open),
            }),
            outputs: Outputs(From::Channel(Channel {
                incoming: stream.incoming,
                is_over: false,
                _open: open,
            })),
        }
    }

    pub(crate) fn of_process(input: Pipe, process: Process) -> Self {
        Self {
            input: Input(To::Process(input)),
            outputs: Outputs(From::Process(Box::new(process))),
        }
    }
}

impl Outputs {
    /// What comes next; `None` once the far side has closed both outputs. Giving it up loses nothing.
    ///
    /// # Errors
    /// The connection broke, or nothing was read for too long; by the system's `ssh` also what
    /// [`System::start`](crate::System::start) says.
    pub async fn next(&mut self) -> io::Result<Option<Piece>> {
        match &mut self.0 {
            From::Channel(channel) => channel.next().await,
            From::Process(process) => process.next().await,
        }
    }
}

impl Channel {
    async fn next(&mut self) -> io::Result<Option<Piece>> {
        while !self.is_over {
            let piece = match self.incoming.events.recv().await {
                Some(Event::Data(bytes)) => Piece::Stdout(bytes),
                Some(Event::Complaint(bytes)) => Piece::Stderr(bytes),
                Some(Event::Exit(exit)) => return Ok(Some(Piece::Exit(exit))),
                Some(Event::Eof) => continue,
                Some(Event::Closed) => {
                    self.is_over = true;
                    break;
                }
                None => {
                    self.is_over = true;
                    self.incoming.broken()?;
                    break;
                }
            };
            if let Piece::Stdout(bytes) | Piece::Stderr(bytes) = &piece {
                self.incoming.taken(bytes.len());
            }
            return Ok(Some(piece));
        }
        Ok(None)
    }
}

impl Input {
    fn to(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        Pin::new(match &mut self.0 {
            To::Channel { outgoing, .. } => outgoing,
            To::Process(pipe) => pipe,
        })
    }
}

impl AsyncWrite for Input {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.to().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to().poll_shutdown(cx)
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Outputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outputs").finish_non_exhaustive()
    }
}
