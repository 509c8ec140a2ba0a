//! Reaching a bridge: what an upgrade that was broken off has left is put right first, by whoever comes next.

use std::io;

use anyhow::{Context, Result};
use bridge::Bridge;
use fetch::{Dial, Duplex};
use futures_util::future::BoxFuture;

use super::Record;
use crate::engines;
use crate::settings::Settings;

/// The bridge on a host, with its record; for commands.
pub(crate) async fn of(settings: &Settings, host: &str) -> Result<(Bridge, Record)> {
    let record = Record::read(settings, host)?.context("it was uninstalled just now")?;
    let (engine, _) = engines::of(settings, host)?;
    let bridge = Bridge::new(&engine, &record.id);
    let _one = Record::lock(settings, host).await?;
    let record = mend(settings, host, &bridge).await?;
    Ok((bridge, record))
}

/// Puts right what an upgrade that was broken off has left, says so, and gives what is known of the bridge then. For whoever
/// holds the lock of its record, so that no upgrade is at work.
pub(crate) async fn mend(settings: &Settings, host: &str, bridge: &Bridge) -> Result<Record> {
    let mended = bridge.mend().await.with_context(|| {
        format!("an upgrade of the bridge on {host} was broken off, and what it left can't be put right")
    })?;
    let record = Record::read(settings, host)?;
    let mut record = record.with_context(|| format!("the bridge on {host} was uninstalled just now"))?;
    if mended {
        if let Some(state) = bridge.state().await? {
            record.version = state.version;
            record.save(settings, host)?;
        }
        tracing::error!(
            "an upgrade of the bridge on {host} was broken off; the one before goes on, Dockmaster {}, and \
             `dockmaster host upgrade {host}` does the upgrade again",
            record.version
        );
    }
    Ok(record)
}

/// Opens streams into a bridge.
pub(crate) struct Door {
    pub(crate) settings: Settings,
    pub(crate) host: String,
    pub(crate) bridge: Bridge,
}

impl Dial for Door {
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        let (settings, host, bridge) = (self.settings.clone(), self.host.clone(), self.bridge.clone());
        Box::pin(async move {
            let mended = async {
                let _one = Record::lock(&settings, &host).await?;
                mend(&settings, &host, &bridge).await
            };
            mended
                .await
                .map_err(|error| io::Error::other(format!("{error:#}")))?;
            bridge.dial().await
        })
    }
}
