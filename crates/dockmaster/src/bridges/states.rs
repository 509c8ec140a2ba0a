//! How bridges are, for `host list`, `host show`, `host test` and `gateway status`.

use std::time::Duration;

use bridge::Bridge;
use futures_util::future::join_all;
use hosts::Hosts;
use serde::{Deserialize, Serialize};

use super::{Record, versions};
use crate::settings::Settings;

/// The bridge on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) host: String,
    /// Of the Dockmaster in it.
    pub(crate) version: String,
    /// What its engine says of its container, or why nothing is known: `running`, `exited`, `not asked`.
    pub(crate) state: String,
    /// What is to be done about it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Told {
    /// On one line.
    pub(crate) fn line(&self) -> String {
        let fix = self
            .fix
            .as_ref()
            .map(|fix| format!(": {fix}"))
            .unwrap_or_default();
        format!("bridge on {}: {} {}{fix}", self.host, self.version, self.state)
    }
}

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    All,
    /// Those that are connected already.
    Used,
}

/// All bridges that were installed from here, asked side by side, each for at most `limit`.
pub(crate) async fn all(settings: &Settings, hosts: &Hosts, whom: Whom, limit: Duration) -> Vec<Told> {
    let asked = Record::hosts(settings)
        .into_iter()
        .map(|host| async move { of(settings, hosts, &host, whom, limit).await });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The bridge of one host.
pub(crate) async fn of(
    settings: &Settings,
    hosts: &Hosts,
    host: &str,
    whom: Whom,
    limit: Duration,
) -> Option<Told> {
    let told = |version: &str, state: String, fix: Option<String>| Told {
        host: host.to_owned(),
        version: version.to_owned(),
        state,
        fix,
    };
    let record = match Record::read(settings, host) {
        Ok(record) => record?,
        Err(error) => return Some(told("", format!("{error:#}"), None)),
    };
    let version = record.version.as_str();
    let unfit = versions::fit(host, version).err().map(|error| error.to_string());
    let Ok(found) = hosts.get(host) else {
        return Some(told(
            version,
            "its host is not configured any more".to_owned(),
            None,
        ));
    };
    if whom == Whom::Used && !found.is_open() {
        return Some(told(version, "not asked".to_owned(), unfit));
    }
    let engine = match found.engine() {
        Ok(engine) => engine,
        Err(error) => return Some(told(version, error, None)),
    };
    let bridge = Bridge::new(&engine, &record.id);
    Some(match tokio::time::timeout(limit, bridge.state()).await {
        Err(_) => told(version, format!("no answer within {} s", limit.as_secs()), None),
        Ok(Err(error)) => told(version, error.to_string(), None),
        Ok(Ok(None)) => told(
            version,
            "gone".to_owned(),
            Some(format!(
                "`dockmaster host uninstall {host}` forgets it, and `dockmaster host install {host}` makes another one"
            )),
        ),
        Ok(Ok(Some(state))) if state.running => told(version, state.status, unfit),
        Ok(Ok(Some(state))) => told(
            version,
            state.status,
            Some(format!("`dockmaster host upgrade {host}` starts it anew")),
        ),
    })
}
