//! Joins [`Connect`] to the HTTP client's pool.

use super::connect::Connect;
use fetch::Stream;
use futures_util::future::BoxFuture;
use http::Uri;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Opens connections for the pool; the address of the request says nothing, as there is one engine.
#[derive(Clone)]
pub(super) struct Connector(Arc<dyn Connect>);

impl Connector {
    pub(super) fn new(connect: Arc<dyn Connect>) -> Self {
        Self(connect)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Stream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (connecting, limit) = (self.0.connect(), self.0.limit());
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(stream) => Ok(Stream::new(stream?)),
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no connection within {} s", limit.as_secs()),
                )),
            }
        })
    }
}
