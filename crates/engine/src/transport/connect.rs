//! The kinds of connections: Unix socket, TCP, TLS, Windows pipe, and whatever a caller brings (an SSH channel).

use super::tls::TlsConnect;
use crate::endpoint::Authority;
use crate::{Endpoint, EndpointError};
use futures_util::future::BoxFuture;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

pub use fetch::Duplex;

/// Opens streams to one engine. The seam for transports that this crate does not have, such as SSH.
pub trait Connect: Send + Sync + 'static {
    /// Opens one more stream. Called again for every connection that the pool lacks, and after each break.
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>>;

    /// How long that may take, TLS handshake included. The system's own limit for TCP is over two minutes. Whoever goes
    /// several steps, each with a limit of its own and an error that names it, allows for all of them; the deadline of the
    /// request holds all the same.
    fn limit(&self) -> Duration {
        Duration::from_secs(10)
    }
}

impl<F> Connect for F
where
    F: Fn() -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> + Send + Sync + 'static,
{
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        self()
    }
}

/// What opens streams to `endpoint`.
pub(super) fn for_endpoint(endpoint: &Endpoint) -> Result<Arc<dyn Connect>, EndpointError> {
    match endpoint {
        Endpoint::Unix(path) => unix(path.clone(), endpoint),
        Endpoint::Tcp(authority) => {
            let authority = authority.clone();
            Ok(Arc::new(move || {
                let authority = authority.clone();
                let stream: BoxFuture<'static, io::Result<Box<dyn Duplex>>> =
                    Box::pin(async move { Ok(Box::new(tcp(&authority).await?) as Box<dyn Duplex>) });
                stream
            }))
        }
        Endpoint::Tls(authority, tls) => Ok(Arc::new(TlsConnect::new(authority.clone(), (**tls).clone()))),
        Endpoint::Npipe(path) => pipe(path, endpoint),
        Endpoint::Ssh(_) => Err(EndpointError::Unsupported {
            address: endpoint.to_string(),
            reason: "its streams have to be brought (Engine::open_over)",
        }),
    }
}

/// Opens a TCP connection. Small writes are sent at once, because an exec session is typed into key by key; and a
/// host that vanished is noticed within a minute, because what follows a log may rightly hear nothing for days.
pub(super) async fn tcp(authority: &Authority) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((authority.host.as_str(), authority.port)).await?;
    fetch::attend(&stream)?;
    Ok(stream)
}

#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems have no such sockets and fail here"
)]
fn unix(path: PathBuf, _: &Endpoint) -> Result<Arc<dyn Connect>, EndpointError> {
    Ok(Arc::new(move || {
        let path = path.clone();
        let stream: BoxFuture<'static, io::Result<Box<dyn Duplex>>> = Box::pin(async move {
            let socket = tokio::net::UnixStream::connect(path).await?;
            let stream = super::unix::Stream::new(socket)?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        });
        stream
    }))
}

#[cfg(not(unix))]
fn unix(_: PathBuf, endpoint: &Endpoint) -> Result<Arc<dyn Connect>, EndpointError> {
    Err(EndpointError::Unsupported {
        address: endpoint.to_string(),
        reason: "this system has no Unix sockets; use npipe:// or tcp://",
    })
}

#[cfg(windows)]
fn pipe(path: &str, _: &Endpoint) -> Result<Arc<dyn Connect>, EndpointError> {
    use tokio::net::windows::named_pipe::ClientOptions;
    /// `ERROR_PIPE_BUSY`: every instance of the pipe has a client; the server is about to make another.
    const BUSY: i32 = 231;
    let path = path.to_owned();
    Ok(Arc::new(move || {
        let path = path.clone();
        let stream: BoxFuture<'static, io::Result<Box<dyn Duplex>>> = Box::pin(async move {
            loop {
                match ClientOptions::new().open(&path) {
                    Ok(pipe) => return Ok(Box::new(pipe) as Box<dyn Duplex>),
                    Err(error) if error.raw_os_error() == Some(BUSY) => {
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        });
        stream
    }))
}

#[cfg(not(windows))]
fn pipe(_: &str, endpoint: &Endpoint) -> Result<Arc<dyn Connect>, EndpointError> {
    Err(EndpointError::Unsupported {
        address: endpoint.to_string(),
        reason: "named pipes exist on Windows alone; use unix:// or tcp://",
    })
}
