//! What is switched on, and what plans depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use base::names::ServerName;
use catalog::{Around, Entry, Known, Lack, Processes, Setup};
use engine::guard::Mode;
use futures_util::future::join_all;
use secrets::{SecretName, Sources};
use store::Store;
use tokio::time::timeout;

use crate::placed;
use crate::settings::Settings;

/// The kind of document that remembers which image a server was enabled with: name of the image → digest.
pub(crate) const PIN: &str = "image-pin";

/// The kind of document that remembers which version of a package a server was enabled with: name of the package →
/// version.
pub(crate) const VERSION: &str = "package-pin";

/// A server as it is switched on in a profile.
pub(crate) struct Enabled<'a> {
    pub(crate) profile: &'a str,
    pub(crate) name: &'a ServerName,
    pub(crate) setup: &'a Setup,
}

/// All that is switched on, by profile.
pub(crate) fn enabled(settings: &Settings) -> impl Iterator<Item = Enabled<'_>> {
    settings.config.profiles.iter().flat_map(|(profile, it)| {
        it.servers
            .iter()
            .map(move |(name, setup)| Enabled { profile, name, setup })
    })
}

/// What plans depend on. It reads the state file, which takes most of a millisecond: who makes several plans asks once, and
/// sets the profile for each.
pub(crate) fn around(settings: &Settings, store: &Store, profile: &str) -> Result<Around> {
    let guard = &settings.config.hosts.local.guard;
    let pins = |kind| -> Result<BTreeMap<String, String>> {
        let pins = store.documents().list(kind)?;
        Ok(pins.into_iter().map(|pin| (pin.name, pin.text)).collect())
    };
    Ok(Around {
        profile: profile.to_owned(),
        roots: placed::roots(guard),
        is_sensitive: engine::guard::is_sensitive,
        labels: settings.config.hosts.local.labels.clone(),
        is_read_only: settings.config.hosts.local.mode == Mode::ReadOnly,
        others: placed::others(settings),
        home: settings.folders.home.clone(),
        secrets: Known::Unasked,
        processes: if settings.config.instances.commands {
            Processes::Permitted
        } else {
            Processes::Refused {
                line: "[instances] commands = true".to_owned(),
            }
        },
        digests: pins(PIN)?,
        versions: pins(VERSION)?,
        bases: catalog::Bases {
            node: settings.config.instances.node_image.clone(),
            python: settings.config.instances.python_image.clone(),
        },
        ..Around::default()
    })
}

/// Which secrets have a value.
pub(crate) async fn known_secrets(sources: &Sources, entry: &Entry, setup: &Setup) -> Known {
    let names = setup.secret_names(entry);
    let answers = asked(sources, names, None).await;
    Known::These(
        answers
            .filter_map(|(name, has_value)| (has_value == Some(true)).then_some(name))
            .collect(),
    )
}

/// Which of these secrets, that servers can do without, have a value; all at once, for a short time. Nobody asks for
/// the others before their server starts. What a source does not say counts as having one, so that the start of the
/// server asks again, and tells why it can't be had, rather than that the server does without.
pub(super) async fn known_optional(sources: &Sources, names: BTreeSet<&str>) -> Known {
    let answers = asked(sources, names, Some(LOOKING)).await;
    Known::OfOptional(
        answers
            .filter_map(|(name, has_value)| (has_value != Some(false)).then_some(name))
            .collect(),
    )
}

/// How long secrets that servers can do without are looked for before a gateway goes on.
const LOOKING: Duration = Duration::from_secs(3);

/// Whether each has a value, as far as that could be found out.
async fn asked(
    sources: &Sources,
    names: BTreeSet<&str>,
    limit: Option<Duration>,
) -> impl Iterator<Item = (String, Option<bool>)> {
    let asked = names.into_iter().map(async |name| {
        let Ok(parsed) = SecretName::parse(name) else {
            return (name.to_owned(), Some(false));
        };
        let looked = timeout(limit.unwrap_or(Duration::MAX), sources.get(&parsed)).await;
        let has_value = match looked {
            Ok(Ok(value)) => Some(value.is_some()),
            Ok(Err(error)) => {
                tracing::warn!("the secret {name} can't be looked up: {error}");
                None
            }
            Err(_) => {
                tracing::warn!(
                    "looking up the secret {name} takes longer than {} s",
                    LOOKING.as_secs()
                );
                None
            }
        };
        (name.to_owned(), has_value)
    });
    join_all(asked).await.into_iter()
}

/// What is missing, one to a line.
pub(crate) fn list(lacks: &[Lack]) -> String {
    lacks
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
