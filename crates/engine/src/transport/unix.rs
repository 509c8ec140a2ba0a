//! A stream over a Unix socket that waits for room to write only while there is none.
//!
//! Each time the other side takes something from a Unix socket, the kernel wakes whoever waits to write to it, be it
//! ever so empty. Tokio's stream always waits for both directions, so it is woken by each request once in vain, while the
//! daemon works on it; and the daemon pays for the waking.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

pub(super) struct Stream {
    socket: AsyncFd<UnixStream>,
    /// The same socket, while it is full.
    full: Option<AsyncFd<UnixStream>>,
}

impl Stream {
    pub(super) fn new(socket: tokio::net::UnixStream) -> io::Result<Self> {
        Ok(Self {
            // It stays non-blocking.
            socket: attend(socket.into_std()?, Interest::READABLE)?,
            full: None,
        })
    }

    /// `write` is tried now, and again when there is room.
    fn poll_writing(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut &UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.full.is_none() {
            match write(&mut self.socket.get_ref()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
        let full = match &mut self.full {
            Some(full) => full,
            none => none.insert(attend(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?),
        };
        loop {
            let mut guard = ready!(full.poll_write_ready(cx))?;
            if let Ok(done) = guard.try_io(|socket| write(&mut socket.get_ref())) {
                drop(guard);
                self.full = None;
                return Poll::Ready(done);
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "what takes its place is unsafe to call, and a UnixStream keeps its descriptor as long as it lives"
)]
fn attend(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled();
            let wanted = room.len();
            match guard.try_io(|socket| socket.get_ref().read(room)) {
                Ok(Ok(count)) => {
                    if 0 < count && count < wanted {
                        // That was all there is (epoll(7), "Do I need to continuously read"): saves a read in vain.
                        guard.clear_ready();
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_writing(cx, |socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_writing(cx, |socket| socket.write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A stream, and the other side of it.
    fn pair() -> (Stream, tokio::net::UnixStream) {
        let (here, there) = tokio::net::UnixStream::pair().unwrap();
        (Stream::new(here).unwrap(), there)
    }

    #[tokio::test]
    async fn much_goes_both_ways_at_once() {
        let (here, there) = pair();
        let sent: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
        let echo = async {
            let (mut from, mut to) = tokio::io::split(there);
            tokio::io::copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
        };
        let (mut from, mut to) = tokio::io::split(here);
        let writing = async {
            // Larger than what the socket takes, so it is full again and again.
            for part in sent.chunks(700_000) {
                to.write_all(part).await.unwrap();
            }
            to.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let (_, (), ()) = tokio::join!(from.read_to_end(&mut received), writing, echo);
        assert!(received == sent);
    }

    #[tokio::test]
    async fn who_is_gone_is_noticed() {
        let (mut here, there) = pair();
        drop(there);
        assert_eq!(here.read(&mut [0; 8]).await.unwrap(), 0);
        let error = here.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    /// A full socket whose other side goes away must not be waited for.
    #[tokio::test]
    async fn who_goes_while_one_waits_for_room_is_noticed() {
        let (mut here, there) = pair();
        let much = vec![0; 5_000_000];
        let going = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(there);
        };
        let (filled, ()) = tokio::join!(here.write_all(&much), going);
        assert!(filled.is_err());
    }

    /// The kernel tells what is waited for: `EPOLLOUT` is 4.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn room_is_waited_for_only_while_there_is_none() {
        let (mut here, mut there) = pair();
        assert_eq!(waits_to_write(&here), Some(false));
        let (part, mut sent) = (vec![0; 65_536], 0);
        while here.full.is_none() {
            let Ok(wrote) = tokio::time::timeout(Duration::from_millis(50), here.write(&part)).await else {
                break;
            };
            sent += wrote.unwrap();
        }
        assert!(here.full.is_some());
        let mut taken = vec![0; sent];
        there.read_exact(&mut taken).await.unwrap();
        here.write_all(b"more").await.unwrap();
        assert!(here.full.is_none());
        assert_eq!(waits_to_write(&here), Some(false));
    }

    #[cfg(target_os = "linux")]
    fn waits_to_write(stream: &Stream) -> Option<bool> {
        use std::os::fd::AsRawFd as _;

        let own = stream.socket.as_raw_fd().to_string();
        let infos = fs_err::read_dir("/proc/self/fdinfo").unwrap();
        infos.flatten().find_map(|info| {
            let text = fs_err::read_to_string(info.path()).ok()?;
            text.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                let is_it = words.next() == Some("tfd:") && words.next() == Some(&own);
                let events = words.nth(1).filter(|_| is_it)?;
                Some(u32::from_str_radix(events, 16).unwrap() & 4 != 0)
            })
        })
    }
}
