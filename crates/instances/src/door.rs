//! A way in for one instance: a listener whose connections are served side by side, within a bound, and end with the
//! instance. The proxy and the filtered Docker socket are such.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After an accept that failed (out of file handles, mostly): others may give some back.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(crate) trait Listener: Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next one. Dropped while it waits, it loses none.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

#[cfg(unix)]
impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// What is served for one instance, and its common end. A handle: clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    ended: CancellationToken,
    tasks: TaskTracker,
    most: usize,
    tunnels: Arc<Semaphore>,
}

impl Door {
    /// One that closes with the token and has at most so many connections at a time, and as many tunnels.
    pub(crate) fn new(ended: CancellationToken, most: usize) -> Self {
        Self {
            ended,
            tasks: TaskTracker::new(),
            most,
            tunnels: Arc::new(Semaphore::new(most)),
        }
    }

    /// Serves until the door closes, and then waits for its own tasks, which end with it. Connections beyond the bound
    /// wait.
    pub(crate) async fn serve<L: Listener, F>(&self, listener: L, connection: impl Fn(L::Stream) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let room = Arc::new(Semaphore::new(self.most));
        loop {
            let next = async {
                // Nobody closes the semaphore.
                let permit = Arc::clone(&room).acquire_owned().await.ok();
                (listener.next().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                next = next => next,
                () = self.ended.cancelled() => break,
            };
            match accepted {
                Ok(stream) => {
                    let serving = connection(stream);
                    self.spawn(async move {
                        serving.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!("a connection of an instance can't be accepted: {error}");
                    sleep(PAUSE).await;
                }
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Room for what goes on when a connection was upgraded, after which it counts as a connection no more. `None`:
    /// there are as many as may be.
    pub(crate) fn tunnel(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.tunnels).try_acquire_owned().ok()
    }

    /// Runs a task that ends with the instance.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = ended.cancelled() => {}
            }
        });
    }
}

/// Listens at a socket that whoever a container runs as may use. Its folder lets nobody else in.
#[cfg(unix)]
pub(crate) fn socket(path: &std::path::Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let listener = bind(path)?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// The path of a socket has to be short (`unix(7)`, `sun_path`), and that of a volume need not be: so by its folder's handle.
#[cfg(target_os = "linux")]
fn bind(path: &std::path::Path) -> io::Result<UnixListener> {
    use std::os::fd::AsRawFd;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let folder = fs_err::File::open(folder)?;
    let near = format!("/proc/self/fd/{}", folder.as_raw_fd());
    UnixListener::bind(std::path::Path::new(&near).join(name))
}

#[cfg(all(unix, not(target_os = "linux")))]
fn bind(path: &std::path::Path) -> io::Result<UnixListener> {
    UnixListener::bind(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_path_of_a_socket_may_be_long() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("x".repeat(200));
        fs_err::create_dir(&folder).unwrap();
        let path = folder.join("y");
        let _listener = socket(&path).unwrap();
        assert!(fs_err::metadata(&path).unwrap().file_type().is_socket());
    }

    #[test]
    fn tunnels_are_bounded() {
        let door = Door::new(CancellationToken::new(), 2);
        let held = [door.tunnel(), door.tunnel()];
        assert!(held.iter().all(Option::is_some) && door.tunnel().is_none());
        drop(held);
        assert!(door.clone().tunnel().is_some());
    }
}
