//! TLS to a daemon: own authorities, client certificates, and, where it was asked for, no proof of who answers.
//! How sessions are set up is `fetch`'s.

use super::connect::{Connect, Duplex, tcp};
use crate::Endpoint;
use crate::EndpointError;
use crate::endpoint::{Authority, Tls, Verify};
use fetch::tls::{Connector, Identity, Settings, Trust};
use futures_util::future::BoxFuture;
use std::io;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Opens TLS streams; the files are read at the first one.
pub(super) struct TlsConnect(Arc<Shared>);

struct Shared {
    authority: Authority,
    tls: Tls,
    ready: OnceCell<Connector>,
}

impl TlsConnect {
    pub(super) fn new(authority: Authority, tls: Tls) -> Self {
        Self(Arc::new(Shared {
            authority,
            tls,
            ready: OnceCell::new(),
        }))
    }
}

impl Connect for TlsConnect {
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let connector = shared.ready.get_or_try_init(|| prepare(&shared)).await?;
            let stream = tcp(&shared.authority).await?;
            let stream = connector.connect(&shared.authority.host, stream).await?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

async fn prepare(shared: &Shared) -> io::Result<Connector> {
    let loaded = Connector::load(settings(&shared.tls)).await;
    loaded.map_err(|error| {
        io::Error::other(EndpointError::Tls {
            address: Endpoint::Tcp(shared.authority.clone()).to_string(),
            reason: error.to_string(),
        })
    })
}

fn settings(tls: &Tls) -> Settings {
    Settings {
        trust: match (tls.verify, &tls.ca) {
            (Verify::Nothing, _) => Trust::Anyone,
            (Verify::Certificate, Some(file)) => Trust::Only(file.clone()),
            (Verify::Certificate, None) => Trust::System(Vec::new()),
        },
        identity: tls.identity.as_ref().map(|identity| Identity {
            certificate: identity.certificate.clone(),
            key: identity.key.clone(),
        }),
        protocols: Vec::new(),
    }
}
