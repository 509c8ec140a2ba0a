//! The process between the gateway and a command on this host. It is the subreaper of all that the command starts
//! (prctl(2), `PR_SET_CHILD_SUBREAPER`), so nothing gets out of its tree by a double fork or a session of its own, and it
//! ends that tree when it is told to, when the command ends, and when the gateway is gone, however that ended.
//!
//! It is this executable under another argument. Its standard input is one end of a socket: orders of three bytes come
//! in, lines of text go out. The command's own standard input is passed over that socket first. Only threads and blocking
//! calls: it has to be small, and it waits for children that no library knows of.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, wait};

use super::tree;

/// The first argument by which this executable is a keeper; then come the file, and the argv.
pub const ARGUMENT: &str = "__keep-command";
/// The order to send a signal to the tree; its number follows.
pub(super) const SIGNAL: u8 = b'S';
/// The order to end the tree; the grace in hundredths of a second follows, high byte first.
pub(super) const END: u8 = b'E';
/// What outlives a command, or its gateway, is told to end and has so long for it.
const GRACE: Duration = Duration::from_millis(500);

/// Why it could not keep anything.
#[derive(Debug)]
pub struct KeeperError(&'static str, io::Error);

impl fmt::Display for KeeperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't {}: {}", self.0, self.1)
    }
}

/// Keeps one command: starts it, waits, and ends its tree. `arguments` are the file, and the argv.
///
/// # Errors
/// It was not started by a gateway, or the system gives it no child.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<(), KeeperError> {
    let failed = |what| move |error: io::Error| KeeperError(what, error);
    let socket = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let socket = socket.map_err(failed("take the gateway's socket"))?;
    let telling = socket.try_clone().map_err(failed("take the gateway's socket"))?;
    let tell = Arc::new(Tell(Mutex::new(telling)));
    set_child_subreaper(Some(getpid())).map_err(|error| KeeperError("become a subreaper", error.into()))?;
    let input = receive(&socket).map_err(failed("take the command's input"))?;
    let (Some(file), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err(KeeperError("run nothing", io::ErrorKind::InvalidInput.into()));
    };
    let mut command = Command::new(file);
    command
        .arg0(name)
        .args(arguments)
        .stdin(Stdio::from(input))
        .process_group(0);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tell.line(&format!("failed {error}"));
            return Ok(());
        }
    };
    // The command's input is held by the command alone from here on.
    drop(command);
    let first = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    tell.line("started");
    std::thread::spawn(move || {
        obey(socket);
        tree::end(GRACE);
    });
    reap(first, &tell);
    tell.line("done");
    Ok(())
}

struct Tell(Mutex<UnixStream>);

impl Tell {
    fn line(&self, text: &str) {
        let mut socket = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The gateway may be gone; its end of the socket says so to whoever reads.
        let _gone = socket.write_all(format!("{}\n", text.replace('\n', " ")).as_bytes());
    }
}

/// The command's standard input.
fn receive(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let passed = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    passed.ok_or_else(|| io::Error::other("the gateway has sent none"))
}

/// Does what the gateway says, until it is gone.
fn obey(mut socket: UnixStream) {
    let mut order = [0; 3];
    while socket.read_exact(&mut order).is_ok() {
        match order {
            [SIGNAL, number, _] => {
                if let Some(signal) = tree::named(number) {
                    tree::signal(signal);
                }
            }
            [END, high, low] => {
                let hundredths = u64::from(u16::from_be_bytes([high, low]));
                tree::end(Duration::from_millis(hundredths * 10));
            }
            _ => {}
        }
    }
}

/// Waits for all children, the adopted ones as well, until there are none. When the first has ended the rest is ended.
fn reap(first: Option<Pid>, tell: &Arc<Tell>) {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == first => {
                match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => tell.line(&format!("code {code}")),
                    (None, Some(signal)) => tell.line(&format!("signal {signal}")),
                    (None, None) => continue,
                }
                let tell = Arc::clone(tell);
                // Without any left, the loop comes to its end by itself.
                std::thread::spawn(move || match tree::end(GRACE) {
                    0 => {}
                    left => tell.line(&format!("left {left}")),
                });
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // No child is left.
            Err(_) => return,
        }
    }
}
