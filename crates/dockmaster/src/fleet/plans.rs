//! What is switched on, and what plans depend on.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use base::names::ServerName;
use catalog::{Around, Entry, Known, Lack, Processes, Setup};
use engine::guard::Mode;
use futures_util::future::join_all;
use secrets::{SecretName, Sources};
use store::Store;

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
    Known::These(with_value(sources, setup.secret_names(entry)).await)
}

/// Which of those have a value that a server can do without. Nobody asks for the others before it starts.
pub(super) async fn known_optional(sources: &Sources, entry: &Entry, setup: &Setup) -> Known {
    Known::OfOptional(with_value(sources, setup.optional_secrets(entry)).await)
}

async fn with_value(sources: &Sources, names: BTreeSet<&str>) -> BTreeSet<String> {
    let asked = names.into_iter().map(async |name| {
        let parsed = SecretName::parse(name).ok()?;
        // A source that fails is told when the server starts; here it counts as lacking.
        let value = sources.get(&parsed).await;
        let value =
            value.inspect_err(|error| tracing::warn!("the secret {name} can't be looked up: {error}"));
        value.ok().flatten().map(|_| name.to_owned())
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What is missing, one to a line.
pub(crate) fn list(lacks: &[Lack]) -> String {
    lacks
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
