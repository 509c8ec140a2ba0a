//! What comes back from the daemon over time: bytes, JSON lines, the two outputs of a container, and a raw
//! connection in both directions.
//!
//! Every stream owns its connection: dropping it closes the connection, and that is how the daemon learns that
//! nobody listens. What is held in memory has a bound everywhere.

mod demux;
mod hijack;
mod lines;

pub use demux::{Demux, Output, Tty, demux};
pub use hijack::Hijacked;
pub(crate) use lines::Lines;

use crate::error::Fate;
use crate::{Error, Request};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

/// Most bytes of an answer that is read as a whole.
const BODY_LIMIT: usize = 64 << 20;

/// A streamed answer.
#[derive(Debug)]
pub(crate) struct Chunks {
    body: Incoming,
    what: String,
    idle: Option<Duration>,
    fate: Fate,
}

impl Chunks {
    pub(crate) fn new(body: Incoming, about: &About) -> Self {
        Self {
            body,
            what: about.what.clone(),
            idle: about.idle,
            fate: about.fate,
        }
    }

    /// The next piece as it arrived, `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let frame = match self.idle {
                None => self.body.frame().await,
                Some(idle) => match tokio::time::timeout(idle, self.body.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => {
                        return Some(Err(Error::Timeout {
                            what: self.what.clone(),
                            after: idle,
                            fate: self.fate,
                        }));
                    }
                },
            };
            match frame?.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) if !data.is_empty() => return Some(Ok(data)),
                // Trailers and empty pieces say nothing.
                Ok(_) => {}
                Err(error) => {
                    return Some(Err(Error::Broken {
                        what: self.what.clone(),
                        cause: crate::error::causes(&error),
                        fate: self.fate,
                    }));
                }
            }
        }
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// All of it, at most 64 MiB.
    pub(crate) async fn whole(self) -> Result<Bytes, Error> {
        self.at_most(BODY_LIMIT).await
    }

    /// All of it; more than `limit` bytes are an error.
    pub(crate) async fn at_most(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        while let Some(data) = self.next().await {
            let data = data?;
            if body.len() + data.len() > limit {
                return Err(Error::TooLarge {
                    what: self.what,
                    limit,
                });
            }
            body.extend_from_slice(&data);
        }
        Ok(body.freeze())
    }

    /// The pieces as a stream, which ends after the first error.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        futures_util::stream::unfold(Some(self), |chunks| async {
            let mut chunks = chunks?;
            let item = chunks.next().await?;
            let rest = item.is_ok().then_some(chunks);
            Some((item, rest))
        })
    }
}

/// What stays known of a request while its answer is read.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) what: String,
    pub(crate) idle: Option<Duration>,
    pub(crate) fate: Fate,
}

impl About {
    pub(crate) fn of(request: &Request) -> Self {
        let fate = if request.is_read() {
            Fate::Unchanged
        } else {
            Fate::Unknown
        };
        Self {
            what: request.what(),
            idle: request.idle,
            fate,
        }
    }
}

/// What comes from a raw connection, to its end.
pub(crate) fn read_all<R>(source: R, what: String) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<R>
where
    R: AsyncRead + Send + Unpin,
{
    ReaderStream::new(source).map_err(move |error| Error::Broken {
        what: what.clone(),
        cause: error.to_string(),
        fate: Fate::Unknown,
    })
}
