//! What commands have bridges do with one server: the end of its log, and its restart. Asked are the bridges of the hosts
//! that it is placed on, side by side, each within a time limit; one that fails is a line of its own.

use std::time::Duration;

use anyhow::Result;
use base::KnownSecrets;
use base::names::ServerName;
use futures_util::future::join_all;

use super::{Record, reach, versions};
use crate::fleet;
use crate::settings::Settings;

/// How long one bridge may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most lines that one is asked for.
const LINES: usize = 10_000;

/// What bridges said: by host what came, and what went wrong in words.
pub(crate) struct Said<T> {
    pub(crate) done: Vec<(String, T)>,
    pub(crate) faults: Vec<String>,
}

/// The last lines that a server has written over there, each host's oldest first, without secrets: a bridge takes them out
/// when they are written, and what is `known` here is looked for once more.
pub(crate) async fn logs(
    settings: &Settings,
    server: &ServerName,
    lines: usize,
    known: &KnownSecrets,
) -> Said<Vec<String>> {
    let most = lines.min(LINES).to_string();
    let said = ask_all(settings, server, &["logs", server.as_str(), &most]).await;
    let lines_of = |text: Vec<u8>| lines_of(&text, known);
    Said {
        done: said
            .done
            .into_iter()
            .map(|(host, text)| (host, lines_of(text)))
            .collect(),
        faults: said.faults,
    }
}

fn lines_of(text: &[u8], known: &KnownSecrets) -> Vec<String> {
    let spotter = known.spotter();
    let clean = |line: &str| {
        let line = base::redact::text(&base::text::clean(line)).replace('\n', " ");
        spotter.replace(&line).unwrap_or(line)
    };
    String::from_utf8_lossy(text).lines().map(clean).collect()
}

/// Stops a server over there; its next use starts it anew.
pub(crate) async fn restart(settings: &Settings, server: &ServerName) -> Said<()> {
    let said = ask_all(settings, server, &["restart", server.as_str()]).await;
    Said {
        done: said.done.into_iter().map(|(host, _)| (host, ())).collect(),
        faults: said.faults,
    }
}

async fn ask_all(settings: &Settings, server: &ServerName, words: &[&str]) -> Said<Vec<u8>> {
    let hosts = Record::hosts(settings).into_iter();
    let asked = hosts
        .filter(|host| may_run_on(settings, server, host))
        .map(|host| async move {
            let asking = async {
                let (bridge, record) = reach::of(settings, &host).await?;
                versions::fit(&host, &record.version)?;
                Ok(bridge.ask(words, &[]).await?)
            };
            let late = || {
                Err(anyhow::anyhow!(
                    "it did not answer within {} s",
                    PATIENCE.as_secs()
                ))
            };
            let said: Result<Vec<u8>> = tokio::time::timeout(PATIENCE, asking)
                .await
                .unwrap_or_else(|_| late());
            (host, said)
        });
    let mut all = Said {
        done: Vec::new(),
        faults: Vec::new(),
    };
    for (host, said) in join_all(asked).await {
        match said {
            Ok(said) => all.done.push((host, said)),
            Err(error) => all.faults.push(format!("the bridge on {host}: {error:#}")),
        }
    }
    all
}

/// Whether some profile places the server on this host, or may.
fn may_run_on(settings: &Settings, server: &ServerName, host: &str) -> bool {
    let known = settings.config.hosts.get(host);
    let labels = known.map(|known| known.labels.as_slice()).unwrap_or_default();
    let mut placed = fleet::enabled(settings).filter(|enabled| enabled.name == server);
    placed.any(|enabled| {
        let place = enabled.setup.host.as_ref();
        place.is_some_and(|place| place.may_be(host, labels))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_of_before_tells_no_secret_either() {
        let known: KnownSecrets = [base::Secret::new("s3cret&value")].into_iter().collect();
        let told = b"a s3cret&value\nb czNjcmV0JnZhbHVl\nc s3cret%26value\nd ghp_0123456789abcdefghijklmnopqrstuvwxyz\ne\x1b[2J\n";
        let lines = lines_of(told, &known);
        assert_eq!(lines.len(), 5);
        for told in ["s3cret", "czNjcmV0", "ghp_0123", "\u{1b}"] {
            assert!(!lines.concat().contains(told), "{told}: {lines:?}");
        }
    }
}
