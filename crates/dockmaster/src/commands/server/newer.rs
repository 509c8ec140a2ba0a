//! What a registry has for a server's image or package now, and how that differs from what the server is pinned to: the
//! images' configurations, and the tools of both as far as they are known here.
//!
//! Only read: taking it is `server update`. What images and servers say is a stranger's, and shown cleaned.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::names::{ImageRef, ServerName};
use catalog::Entry;
use catalog::entry::{Image, Kind};
use catalog::plan::{Build, Container, Plan, Target};
use oci::{Descriptor, Digest, Reference, Registries};
use serde_json::{Value, json};
use store::Store;
use tokio::time::timeout;

use super::desk::Desk;
use crate::commands::images;
use crate::fleet::{PIN, VERSION};

/// How long a registry may take to tell what differs; without an answer it is told that nothing is known.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is said of a server for which there is nothing newer, ever.
pub(super) const CAN_NOT_MOVE: &str =
    "it has no image with a tag that could move, and no package without a version";
/// Bytes of a value that are shown.
const SHOWN: usize = 120;

/// A server with what it is pinned to, and what that would be now.
pub(super) struct Offer {
    pub(super) server: ServerName,
    container: Container,
    pub(super) plan: Plan,
    /// An image as the catalog or the user names it, with a tag and without a digest; or the name of a package.
    pub(super) what: String,
    pin: Pin,
    /// A digest, or a version.
    pub(super) old: Option<String>,
    pub(super) new: String,
}

/// What is pinned.
enum Pin {
    /// The digest of an image.
    Digest,
    /// The version of a package that names none.
    Version(Build),
}

impl Offer {
    /// It is what the server has.
    pub(super) fn is_no_news(&self) -> bool {
        self.old.as_ref() == Some(&self.new)
    }

    /// The container at a digest or version.
    fn at(&self, pinned: &str) -> Container {
        match &self.pin {
            Pin::Digest => Container {
                image: format!("{}@{pinned}", self.what),
                ..self.container.clone()
            },
            Pin::Version(build) => images::at(&self.container, build, pinned),
        }
    }

    /// The container, with what is offered.
    pub(super) fn taken(&self) -> Container {
        self.at(&self.new)
    }

    /// Pins what is offered.
    pub(super) fn keep(&self, store: &Store) -> Result<()> {
        let pins = store.documents();
        match &self.pin {
            Pin::Digest => pins.put(PIN, &self.what, &self.new)?,
            Pin::Version(build) => pins.put(VERSION, &build.pin(), &self.new)?,
        }
        Ok(())
    }
}

/// What the registry has for a server; `None` if it is no container, or of an image or package that can't change.
pub(super) async fn offer(
    desk: &Desk<'_>,
    registries: &Registries,
    name: &ServerName,
) -> Result<Option<Offer>> {
    let found = desk.find(name.as_str())?;
    let setup = desk.setup(name.as_str()).cloned().unwrap_or_default();
    let planned = desk.plan(&found, &setup).await?;
    let Ok(plan) = planned else {
        // What lacks is told by `server list`; the image of the entry may be looked at another time.
        return Ok(None);
    };
    let Target::Container(container) = &plan.target else {
        return Ok(None);
    };
    let pins = desk.store.documents();
    if let Some(build) = &container.build {
        if names_a_version(found.entry) {
            return Ok(None);
        }
        let old = pins.get(VERSION, &build.pin())?.map(|pin| pin.text);
        let new = images::on_engine_of(desk.settings, &desk.store, &plan, async |instances| {
            Ok(images::newest(&instances, name, build).await?)
        })
        .await?;
        return Ok(Some(Offer {
            server: name.clone(),
            what: build.package.clone(),
            pin: Pin::Version(build.clone()),
            container: container.clone(),
            old,
            new,
            plan,
        }));
    }
    let image = container.image.split('@').next().unwrap_or_default().to_owned();
    let old = pins.get(PIN, &image)?.map(|pin| pin.text);
    if container.image.contains('@') && old.is_none() || ImageRef::parse(&image)?.is_id() {
        return Ok(None);
    }
    let tag = Reference::parse(&image)?;
    let now = registries.resolve(&tag).await?;
    let now = now.with_context(|| format!("the registry has no {image} any more"))?;
    Ok(Some(Offer {
        server: name.clone(),
        container: container.clone(),
        what: image,
        pin: Pin::Digest,
        old,
        new: now.digest.to_string(),
        plan,
    }))
}

/// Its package has the version that the entry names, whatever there is.
fn names_a_version(entry: &Entry) -> bool {
    matches!(&entry.kind, Kind::Container { image: Image::Package(package), .. } if package.version.is_some())
}

/// What differs, a line for each matter. That something can't be told is a line, too.
pub(super) async fn changes(store: &Store, registries: &Registries, offer: &Offer) -> Vec<String> {
    let Some(old) = &offer.old else {
        return vec!["it was not pinned, so what changed is not known".to_owned()];
    };
    let mut lines = match &offer.pin {
        Pin::Digest => of_images(registries, &offer.what, old, &offer.new).await,
        Pin::Version(_) => Vec::new(),
    };
    match tools(store, offer, old).await {
        Ok(line) => lines.push(line),
        Err(error) => lines.push(format!("tools: can't be told: {error:#}")),
    }
    lines
}

async fn of_images(registries: &Registries, image: &str, old: &str, new: &str) -> Vec<String> {
    let read = async {
        let (before, now) = tokio::try_join!(config(registries, image, old), config(registries, image, new))?;
        Ok::<_, anyhow::Error>(differences(&before, &now))
    };
    match timeout(PATIENCE, read).await {
        Ok(Ok(lines)) => lines,
        Ok(Err(error)) => vec![format!("what changed can't be told: {error:#}")],
        Err(_) => vec![format!(
            "what changed can't be told: the registry took more than {} s",
            PATIENCE.as_secs()
        )],
    }
}

/// The configuration of an image, of an index that for this machine's processor.
async fn config(registries: &Registries, image: &str, digest: &str) -> Result<Value> {
    let digest = Digest::parse(digest).with_context(|| format!("{digest:?} is no digest"))?;
    let named = Reference::parse(image)?.at(digest);
    let mut fetched = registries.manifest(&named).await?;
    if fetched.manifest.is_index() {
        let index: Value = serde_json::from_slice(&fetched.bytes)?;
        let own = of_this_machine(&index).context("its index names no image for Linux")?;
        fetched = registries.manifest(&named.at(own)).await?;
    }
    let Some(wanted) = &fetched.manifest.config else {
        bail!("{named} is no image");
    };
    let wanted: &Descriptor = wanted;
    let bytes = registries.blob(&named.repository, wanted).await?;
    serde_json::from_slice(&bytes).with_context(|| format!("the configuration of {named} is no JSON"))
}

/// Of an index: the image for this machine's processor, or else the first for Linux.
fn of_this_machine(index: &Value) -> Option<Digest> {
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let images = index["manifests"].as_array()?;
    let for_linux = || images.iter().filter(|image| image["platform"]["os"] == "linux");
    let chosen = for_linux()
        .find(|image| image["platform"]["architecture"] == own)
        .or_else(|| for_linux().next())?;
    Digest::parse(chosen["digest"].as_str()?)
}

/// What two image configurations say differently (OCI image specification, "Image Configuration").
fn differences(before: &Value, now: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let whole = [("created", "created"), ("architecture", "architecture")];
    let run = [
        ("entrypoint", "Entrypoint"),
        ("command", "Cmd"),
        ("user", "User"),
        ("working folder", "WorkingDir"),
        ("stop signal", "StopSignal"),
    ];
    let pairs = whole
        .map(|(word, key)| (word, &before[key], &now[key]))
        .into_iter()
        .chain(run.map(|(word, key)| (word, &before["config"][key], &now["config"][key])));
    for (word, old, new) in pairs {
        let is_none = |value: &Value| matches!(value, Value::Null) || *value == "" || *value == json!([]);
        if old != new && !(is_none(old) && is_none(new)) {
            lines.push(format!("{word}: {} -> {}", shown(old), shown(new)));
        }
    }
    let environment = |config: &Value| -> BTreeMap<String, String> {
        let list = config["config"]["Env"].as_array().into_iter().flatten();
        list.filter_map(Value::as_str)
            .map(|text| text.split_once('=').unwrap_or((text, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    // Names only: a value may be anything.
    lines.extend(named("environment", &environment(before), &environment(now)));
    for (word, key) in [("volumes", "Volumes"), ("ports", "ExposedPorts")] {
        let names = |config: &Value| -> BTreeMap<String, String> {
            let names = config["config"][key].as_object().into_iter().flatten();
            names.map(|(name, _)| (name.clone(), String::new())).collect()
        };
        lines.extend(named(word, &names(before), &names(now)));
    }
    let labels = |config: &Value| -> BTreeMap<String, String> {
        let labels = config["config"]["Labels"].as_object().into_iter().flatten();
        labels.map(|(name, value)| (name.clone(), shown(value))).collect()
    };
    let (old, new) = (labels(before), labels(now));
    for key in ["version", "revision", "source"] {
        let key = format!("org.opencontainers.image.{key}");
        if old.get(&key) != new.get(&key) {
            let of = |labels: &BTreeMap<String, String>| {
                labels.get(&key).map_or_else(|| "none".to_owned(), Clone::clone)
            };
            lines.push(format!("{key}: {} -> {}", of(&old), of(&new)));
        }
    }
    let layers = |config: &Value| -> Vec<String> {
        let layers = config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
        layers.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (old, new) = (layers(before), layers(now));
    let known: BTreeSet<_> = old.iter().collect();
    let same = new.iter().filter(|layer| known.contains(layer)).count();
    lines.push(format!("content: {same} of {} layers are the same", new.len()));
    lines
}

/// Names that came, went, or stand for something else.
fn named(what: &str, before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    let mut marks = Vec::new();
    for (name, value) in now {
        match before.get(name) {
            None => marks.push(format!("+ {}", clean(name))),
            Some(old) if old != value => marks.push(format!("~ {}", clean(name))),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    marks.extend(gone.map(|name| format!("- {}", clean(name))));
    (!marks.is_empty()).then(|| format!("{what}: {}", marks.join(", ")))
}

/// The tools of both, by what they say of themselves, if both have been listed here.
async fn tools(store: &Store, offer: &Offer, old: &str) -> Result<String> {
    let listed = async |pinned: &str| -> Result<Option<BTreeMap<String, String>>> {
        let mut plan = offer.plan.clone();
        if let Target::Container(container) = &mut plan.target {
            *container = offer.at(pinned);
        }
        let Ok(fingerprint) = serde_json::to_string(&plan) else {
            return Ok(None);
        };
        let text = store.definitions().lists(fingerprint).await?;
        Ok(text.and_then(|text| definitions(&text)))
    };
    Ok(match (listed(old).await?, listed(&offer.new).await?) {
        (Some(before), Some(now)) => {
            named("tools", &before, &now).unwrap_or_else(|| format!("tools: the same {}", now.len()))
        }
        _ => format!(
            "tools: known once it has run; those that are new or changed wait for `dockmaster server approve {}`",
            offer.server
        ),
    })
}

/// Tools by name with their definitions in one spelling, of lists as the gateway keeps them.
fn definitions(lists: &str) -> Option<BTreeMap<String, String>> {
    let lists: Value = serde_json::from_str(lists).ok()?;
    let tools = lists["tools"].as_array()?;
    let definition = |tool: &Value| {
        let raw = wire::to_raw(tool);
        Some((tool["name"].as_str()?.to_owned(), wire::canonical(&raw)))
    };
    Some(tools.iter().filter_map(definition).collect())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    }
}

fn clean(text: &str) -> String {
    base::text::clean(base::text::cut(text, SHOWN)).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_and_values_of_the_environment_are_not() {
        let before = json!({
            "created": "2025-01-02T03:04:05Z",
            "architecture": "amd64",
            "config": {
                "Env": ["PATH=/bin", "KEY=s3cret", "OLD=1"],
                "Entrypoint": ["/server"],
                "Labels": {"org.opencontainers.image.version": "1.0"},
                "Volumes": {"/data": {}},
            },
            "rootfs": {"diff_ids": ["sha256:a", "sha256:b"]},
        });
        let now = json!({
            "created": "2026-01-02T03:04:05Z",
            "architecture": "amd64",
            "config": {
                "Env": ["PATH=/bin", "KEY=another", "NEW=\u{1b}[31m"],
                "Entrypoint": ["/server", "--all\u{202e}"],
                "User": "1000",
                "Labels": {"org.opencontainers.image.version": "1.1"},
            },
            "rootfs": {"diff_ids": ["sha256:a", "sha256:c", "sha256:d"]},
        });
        insta::assert_snapshot!(differences(&before, &now).join("\n"), @r#"
        created: 2025-01-02T03:04:05Z -> 2026-01-02T03:04:05Z
        entrypoint: ["/server"] -> ["/server","--all"]
        user: none -> 1000
        environment: ~ KEY, + NEW, - OLD
        volumes: - /data
        org.opencontainers.image.version: 1.0 -> 1.1
        content: 1 of 3 layers are the same
        "#);
        let same = differences(&before, &before);
        assert_eq!(same, ["content: 2 of 2 layers are the same"]);
        assert_eq!(
            differences(&Value::Null, &json!([1])).len(),
            1,
            "nonsense is no panic"
        );
    }

    #[test]
    fn of_an_index_this_machines_image() {
        let digest = |c: &str| format!("sha256:{}", c.repeat(64));
        let image = |os: &str, arch: &str, c: &str| json!({"digest": digest(c), "platform": {"os": os, "architecture": arch}});
        let index = json!({"manifests": [
            image("unknown", "unknown", "0"),
            image("windows", "amd64", "1"),
            image("linux", "riscv64", "2"),
            image("linux", "amd64", "3"),
            image("linux", "arm64", "4"),
        ]});
        let chosen = of_this_machine(&index).unwrap().to_string();
        let wanted = match std::env::consts::ARCH {
            "x86_64" => "3",
            "aarch64" => "4",
            _ => "2",
        };
        assert_eq!(chosen, digest(wanted));
        assert!(of_this_machine(&json!({"manifests": [image("windows", "amd64", "1")]})).is_none());
    }
}
