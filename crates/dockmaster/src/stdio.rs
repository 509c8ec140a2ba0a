//! Standard input and output as the protocol's two ends.
//!
//! Pipes and sockets, which is what clients give, are driven by the runtime itself: tokio's own standard input and
//! output hand each read and write to another thread and wait for it, which takes longer than many a call.

use tokio::io::{AsyncRead, AsyncWrite};

type Input = Box<dyn AsyncRead + Send + Unpin>;
type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// Both ends. What is neither a pipe nor a socket (a terminal, a file) is read and written by threads.
///
/// Needs the runtime. The third part is to be dropped last.
pub(crate) fn open() -> (Input, Output, AsBefore) {
    let before = AsBefore::now();
    #[cfg(unix)]
    if !shared_with_errors() {
        use std::io::{stdin, stdout};
        return (
            ends::input(&stdin()).unwrap_or_else(|| Box::new(tokio::io::stdin())),
            ends::output(&stdout()).unwrap_or_else(|| Box::new(tokio::io::stdout())),
            before,
        );
    }
    (
        Box::new(tokio::io::stdin()),
        Box::new(tokio::io::stdout()),
        before,
    )
}

/// Leaves both ends as they were found: whether they block belongs to the pipe, not to a process, and whoever has it
/// after us may not know what to do with one that does not.
pub(crate) struct AsBefore {
    #[cfg(unix)]
    flags: [Option<rustix::fs::OFlags>; 2],
}

impl AsBefore {
    fn now() -> Self {
        Self {
            #[cfg(unix)]
            flags: [
                rustix::fs::fcntl_getfl(std::io::stdin()).ok(),
                rustix::fs::fcntl_getfl(std::io::stdout()).ok(),
            ],
        }
    }
}

#[cfg(unix)]
impl Drop for AsBefore {
    fn drop(&mut self) {
        let [input, output] = self.flags;
        // Nothing can be done about one that is gone.
        if let Some(flags) = input {
            _ = rustix::fs::fcntl_setfl(std::io::stdin(), flags);
        }
        if let Some(flags) = output {
            _ = rustix::fs::fcntl_setfl(std::io::stdout(), flags);
        }
    }
}

/// Whether standard error is the same pipe: whoever prints there doesn't know what to do about one that is full.
#[cfg(unix)]
fn shared_with_errors() -> bool {
    use rustix::fs::fstat;
    let errors = fstat(std::io::stderr());
    let same = |one: rustix::io::Result<rustix::fs::Stat>| match (&errors, one) {
        (Ok(errors), Ok(one)) => (errors.st_dev, errors.st_ino) == (one.st_dev, one.st_ino),
        _ => false,
    };
    same(fstat(std::io::stdin())) || same(fstat(std::io::stdout()))
}

#[cfg(unix)]
mod ends {
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixStream as Socket;

    use rustix::fs::{FileType, fstat};
    use tokio::net::UnixStream;
    use tokio::net::unix::pipe;

    use super::{Input, Output};

    /// None: not a pipe or socket, or the runtime can't drive it.
    pub(super) fn input(end: &impl AsFd) -> Option<Input> {
        match kind(end)? {
            FileType::Fifo => Some(Box::new(pipe::Receiver::from_owned_fd(copy(end)?).ok()?)),
            FileType::Socket => Some(Box::new(socket(end)?)),
            _ => None,
        }
    }

    /// As [`input`].
    pub(super) fn output(end: &impl AsFd) -> Option<Output> {
        match kind(end)? {
            FileType::Fifo => Some(Box::new(pipe::Sender::from_owned_fd(copy(end)?).ok()?)),
            FileType::Socket => Some(Box::new(socket(end)?)),
            _ => None,
        }
    }

    fn kind(end: &impl AsFd) -> Option<FileType> {
        Some(FileType::from_raw_mode(fstat(end).ok()?.st_mode))
    }

    fn copy(end: &impl AsFd) -> Option<OwnedFd> {
        end.as_fd().try_clone_to_owned().ok()
    }

    fn socket(end: &impl AsFd) -> Option<UnixStream> {
        let socket = Socket::from(copy(end)?);
        // Only streams of this family: others have no address of it.
        socket.local_addr().ok()?;
        socket.set_nonblocking(true).ok()?;
        UnixStream::from_std(socket).ok()
    }
}
