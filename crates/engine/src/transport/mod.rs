//! Connections to one engine: how each kind is opened, and the pool that keeps them.
//!
//! This module moves HTTP messages and knows nothing of Docker. Each connection is a task of the tracker that the
//! transport owns; when the last handle to an engine is gone, the pool closes its idle connections and their tasks end.

mod connect;
mod connector;
mod tls;
#[cfg(unix)]
mod unix;

pub use connect::{Connect, Duplex};

use crate::{Endpoint, EndpointError};
use bytes::Bytes;
use connector::Connector;
use fetch::Tasks;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioTimer;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A body on its way to the daemon.
pub(crate) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// Idle connections that are kept. More than the calls that run side by side in practice; the rest are closed.
const IDLE_CONNECTIONS: usize = 16;
/// The daemon itself never closes idle connections; proxies before it do after a minute.
const IDLE_FOR: Duration = Duration::from_secs(50);

/// The pool.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    client: Client<Connector, Outgoing>,
}

impl Transport {
    /// Prepares to reach `endpoint`; nothing is opened yet.
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self, EndpointError> {
        connect::for_endpoint(endpoint).map(Self::over)
    }

    /// Prepares to reach an engine over streams that someone else opens.
    pub(crate) fn over(connect: Arc<dyn Connect>) -> Self {
        let client = Client::builder(Tasks::default())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(Connector::new(connect));
        Self { client }
    }

    /// Sends one request and waits for the head of its answer. A pooled connection that turns out to be closed
    /// before anything was written is replaced by a new one, once.
    pub(crate) async fn send(
        &self,
        request: http::Request<Outgoing>,
    ) -> Result<http::Response<Incoming>, Error> {
        self.client.request(request).await
    }
}
