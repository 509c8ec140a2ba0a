//! The audits of bridges, joined to the one on this side: each row once, with the host in its principal
//! (`gateway@prod`), whoever fetches it and however often that breaks off.

use std::time::Duration;

use anyhow::{Context, Result};
use bridge::Bridge;
use futures_util::future::join_all;
use store::{Row, Seq, Store};

use super::{Record, reach};
use crate::settings::Settings;

/// Rows of one fetch.
pub(crate) const ROWS: usize = 2_000;
/// How long the fetches from one host may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fetches from all hosts with a bridge, side by side; gives what went wrong, a line for each host.
pub(crate) async fn fetch_all(settings: &Settings, store: &Store) -> Vec<String> {
    let fetches = Record::hosts(settings).into_iter().map(|host| async move {
        let fetched = async {
            let (bridge, record) = reach::of(settings, &host).await?;
            fetch(store, &host, &bridge, &record.id).await
        };
        let late = || anyhow::anyhow!("it did not answer within {} s", PATIENCE.as_secs());
        let fetched = tokio::time::timeout(PATIENCE, fetched).await;
        let error = fetched.unwrap_or_else(|_| Err(late())).err()?;
        Some(format!(
            "what the bridge on {host} wrote down is not here yet: {error:#}"
        ))
    });
    join_all(fetches).await.into_iter().flatten().collect()
}

/// Fetches what a bridge has written down since the last time.
pub(crate) async fn fetch(store: &Store, host: &str, bridge: &Bridge, id: &str) -> Result<()> {
    store.ready().await?;
    let mut last = store.audit().join(id, &[])?;
    loop {
        let (from, most) = (last.0.to_string(), ROWS.to_string());
        let said = bridge.ask(&["audit", &from, &most], &[]).await?;
        let text = std::str::from_utf8(&said).context("the bridge's audit is no text")?;
        let rows = text.lines().map(|line| {
            let mut row: Row = serde_json::from_str(line).context("the bridge's audit can't be read")?;
            row.entry.principal = format!("{}@{host}", row.entry.principal);
            Ok(row)
        });
        let rows: Vec<Row> = rows.collect::<Result<_>>()?;
        let joined: Seq = store.audit().join(id, &rows)?;
        if rows.len() < ROWS || joined == last {
            return Ok(());
        }
        last = joined;
    }
}
