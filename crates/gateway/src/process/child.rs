//! The pipes of a child, and its end: closed input, a grace, SIGTERM to its group, a grace, SIGKILL to its group.

use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout};
#[cfg(unix)]
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// How often it is looked whether a group has gone.
#[cfg(unix)]
const LOOK: Duration = Duration::from_millis(20);
/// How long a process whose output has ended is given to be found dead.
const SOON: Duration = Duration::from_millis(100);
/// How long the rest of standard error is read after the end.
const REST: Duration = Duration::from_secs(1);

/// Both ends of what stream and driver tell each other.
pub(super) struct Ends {
    /// The stream was dropped.
    gone: CancellationToken,
    /// The process has ended.
    exited: CancellationToken,
}

/// Standard input and output as one stream. Its output is at its end when the process is, even where another process
/// that it left behind still holds the pipe.
pub(super) struct Pipes {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    exited: Pin<Box<WaitForCancellationFutureOwned>>,
    _gone: DropGuard,
}

pub(super) fn stream(stdin: ChildStdin, stdout: ChildStdout) -> (Pipes, Ends) {
    let ends = Ends {
        gone: CancellationToken::new(),
        exited: CancellationToken::new(),
    };
    let pipes = Pipes {
        stdin: Some(stdin),
        stdout,
        exited: Box::pin(ends.exited.clone().cancelled_owned()),
        _gone: ends.gone.clone().drop_guard(),
    };
    (pipes, ends)
}

impl AsyncRead for Pipes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stdout).poll_read(cx, buf) {
            // What it wrote before its end was read above.
            Poll::Pending if self.exited.as_mut().poll(cx).is_ready() => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl AsyncWrite for Pipes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Only dropping it closes a pipe.
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

/// Runs until the process has ended, by itself or because the stream was dropped. Gives what it ended with in the first
/// case.
pub(super) async fn drive(
    mut child: Child,
    ends: Ends,
    noise: impl Future<Output = ()>,
    grace: Duration,
) -> Option<ExitStatus> {
    let group = Group::of(&child);
    let life = async {
        let ended = tokio::select! {
            biased;
            status = child.wait() => status.ok(),
            // Whoever reads to the end of its output drops the stream, perhaps before the process is found dead.
            () = ends.gone.cancelled() => match timeout(SOON, child.wait()).await {
                Ok(status) => status.ok().filter(|status| !status.success()),
                Err(_) => None,
            },
        };
        // That a process which was told to end has ended is found out at once.
        if ended.is_none() && timeout(grace, child.wait()).await.is_err() {
            group.tell_to_end(&mut child);
            if timeout(grace, child.wait()).await.is_err() {
                group.kill(&mut child);
                // Only a process that the kernel itself holds outlives this.
                if timeout(grace, child.wait()).await.is_err() {
                    tracing::warn!("a server's process does not end, not even killed");
                }
            }
        }
        ends.exited.cancel();
        group.clear(grace).await;
        ended
    };
    tokio::pin!(noise);
    tokio::pin!(life);
    tokio::select! {
        ended = &mut life => {
            // What it said last is often why it ended; a process left behind may hold the pipe for ever.
            let _silent = timeout(REST, noise).await;
            ended
        }
        () = &mut noise => life.await,
    }
}

/// The process group of a child, whose number is the child's.
#[cfg(unix)]
struct Group(Option<rustix::process::Pid>);

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }

    fn tell_to_end(&self, _: &mut Child) {
        self.signal(rustix::process::Signal::TERM);
    }

    fn kill(&self, _: &mut Child) {
        self.signal(rustix::process::Signal::KILL);
    }

    /// Whether there was anyone to signal.
    fn signal(&self, signal: rustix::process::Signal) -> bool {
        self.0
            .is_some_and(|group| rustix::process::kill_process_group(group, signal).is_ok())
    }

    /// Ends what the child left behind in its group. The number belongs to the group as long as it has a member.
    async fn clear(&self, grace: Duration) {
        if !self.signal(rustix::process::Signal::TERM) {
            return;
        }
        let empty = async {
            while self
                .0
                .is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
            {
                sleep(LOOK).await;
            }
        };
        if timeout(grace, empty).await.is_err() {
            self.signal(rustix::process::Signal::KILL);
        }
    }
}

/// Other systems have no groups; the child alone is ended, and at once.
#[cfg(not(unix))]
struct Group;

#[cfg(not(unix))]
impl Group {
    fn of(_: &Child) -> Self {
        Self
    }

    fn tell_to_end(&self, child: &mut Child) {
        self.kill(child);
    }

    fn kill(&self, child: &mut Child) {
        if let Err(error) = child.start_kill() {
            tracing::debug!("a server's process can't be killed: {error}");
        }
    }

    async fn clear(&self, _: Duration) {}
}
