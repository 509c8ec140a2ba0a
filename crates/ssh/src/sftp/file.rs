//! Open files: read and written in parts, several of them on their way at a time, so that a long way costs its time once
//! and not for each part.

use super::packet::{self, Attributes, Packet, Reply};
use super::{Answer, EOF, Fault, Inner, done, fault};
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Parts on their way at a time.
const AHEAD: usize = 16;

/// An open file or directory. Dropped, it is closed over there.
pub struct Handle {
    inner: Arc<Inner>,
    raw: Bytes,
    is_closed: bool,
}

impl Handle {
    pub(super) fn new(inner: Arc<Inner>, raw: Bytes) -> Self {
        Self {
            inner,
            raw,
            is_closed: false,
        }
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// What is known of the file that was opened, whatever its name means by now.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn stat(&self) -> Result<Attributes, Fault> {
        super::attributes(self.ask(packet::FSTAT).await?.come().await?)
    }

    /// Sets permissions.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn set_mode(&self, mode: u32) -> Result<(), Fault> {
        let attributes = Attributes {
            mode: Some(mode),
            ..Attributes::default()
        };
        let packet = Packet::new(packet::FSETSTAT)
            .bytes(&self.raw)
            .attributes(&attributes);
        done(self.inner.begin(packet).await?.come().await?)
    }

    /// Reads from the beginning on.
    pub fn reading(self) -> Reading {
        Reading {
            handle: self,
            at: 0,
            next: 0,
            ahead: VecDeque::new(),
            width: 1,
            rest: Bytes::new(),
        }
    }

    /// Writes from the beginning on.
    pub fn writing(self) -> Writing {
        Writing {
            handle: self,
            at: 0,
            ahead: VecDeque::new(),
        }
    }

    async fn ask(&self, kind: u8) -> Result<Answer, Fault> {
        self.inner.begin(Packet::new(kind).bytes(&self.raw)).await
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.is_closed {
            self.inner.let_go(std::mem::take(&mut self.raw));
        }
    }
}

/// A file that is read.
pub struct Reading {
    handle: Handle,
    /// Where what is given next stands in the file.
    at: u64,
    /// Where what is asked for next begins.
    next: u64,
    ahead: VecDeque<(u32, Answer)>,
    width: usize,
    rest: Bytes,
}

impl Reading {
    /// What comes next, at most `most` bytes; empty at the end.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn read(&mut self, most: usize) -> Result<Bytes, Fault> {
        while self.rest.is_empty() {
            let part = self.handle.inner.part;
            while self.ahead.len() < self.width {
                let packet = Packet::new(packet::READ)
                    .bytes(&self.handle.raw)
                    .u64(self.next)
                    .u32(part);
                self.ahead
                    .push_back((part, self.handle.inner.begin(packet).await?));
                self.next += u64::from(part);
            }
            let Some((asked, answer)) = self.ahead.pop_front() else {
                break;
            };
            match answer.come().await? {
                Reply::Data(bytes) if bytes.is_empty() || bytes.len() > asked as usize => {
                    return Err(Fault::Odd);
                }
                Reply::Data(bytes) => {
                    // Who reads on gets more on the way each time; who reads a few bytes costs a few.
                    self.width = (self.width * 2).min(AHEAD);
                    if bytes.len() < asked as usize {
                        // What follows was asked for from a later place on.
                        self.from(self.at + bytes.len() as u64);
                    }
                    self.rest = bytes;
                }
                Reply::Status { code: EOF, .. } => {
                    // The file may grow; whoever asks again asks over there.
                    self.from(self.at);
                    break;
                }
                other => return Err(fault(other)),
            }
        }
        let taken = self.rest.split_to(self.rest.len().min(most));
        self.at += taken.len() as u64;
        Ok(taken)
    }

    /// Goes on at another place, counted from the beginning.
    pub fn seek(&mut self, at: u64) {
        self.rest = Bytes::new();
        self.from(at);
        self.at = at;
    }

    /// Where it is, counted from the beginning.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// What is known of the file.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn stat(&self) -> Result<Attributes, Fault> {
        self.handle.stat().await
    }

    fn from(&mut self, next: u64) {
        self.ahead.clear();
        self.width = 1;
        self.next = next;
    }
}

/// A file that is written.
pub struct Writing {
    handle: Handle,
    at: u64,
    ahead: VecDeque<Answer>,
}

impl Writing {
    /// Writes what follows. What goes wrong may be told by a later call.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for part in bytes.chunks(self.handle.inner.part as usize) {
            if self.ahead.len() >= AHEAD {
                self.one().await?;
            }
            let packet = Packet::new(packet::WRITE)
                .bytes(&self.handle.raw)
                .u64(self.at)
                .bytes(part);
            self.ahead.push_back(self.handle.inner.begin(packet).await?);
            self.at += part.len() as u64;
        }
        Ok(())
    }

    /// Waits until all of it is written and, where the far side can say so (`fsync@openssh.com`), on its disk; then
    /// closes the file, and gives its size.
    ///
    /// # Errors
    /// [`Fault`]; some of it may be written then.
    pub async fn finish(mut self) -> Result<u64, Fault> {
        while !self.ahead.is_empty() {
            self.one().await?;
        }
        if self.handle.inner.extensions.fsync {
            let packet = super::extended("fsync@openssh.com").bytes(&self.handle.raw);
            match done(self.handle.inner.begin(packet).await?.come().await?) {
                // File systems that have nothing to write.
                Ok(()) | Err(Fault::Unsupported) => {}
                Err(fault) => return Err(fault),
            }
        }
        let closing = self.handle.ask(packet::CLOSE).await?;
        self.handle.is_closed = true;
        done(closing.come().await?)?;
        Ok(self.at)
    }

    /// Sets permissions.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn set_mode(&self, mode: u32) -> Result<(), Fault> {
        self.handle.set_mode(mode).await
    }

    async fn one(&mut self) -> Result<(), Fault> {
        match self.ahead.pop_front() {
            Some(answer) => done(answer.come().await?),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
