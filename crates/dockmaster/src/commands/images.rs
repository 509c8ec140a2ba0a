//! The images of servers, fetched or made by the command that switches a server on or changes its package, so that its
//! first use starts at once; what came from a registry is pinned by its digest, a package that names no version by the newest.
//!
//! An image that can't be fetched may come another time, when the engine or the registry answers; one that can't be made
//! here keeps the command from doing what it was asked. Deliberately absent: what more there is at a registry (`server
//! update`).

use std::collections::BTreeSet;

use anyhow::Result;
use base::KnownSecrets;
use base::names::ServerName;
use catalog::plan::{Build, Container, Plan, Target};
use catalog::tools::{Does, Tool};
use hosts::Hosts;
use instances::Instances;
use store::Store;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::fleet::{Fleet, PIN, VERSION};
use crate::settings::Settings;
use crate::{assemble, engines, output, progress};

/// Reports of progress that may wait to be drawn.
const QUEUE: usize = 16;

/// What differs in two plans of a server as far as its images go.
pub(crate) fn differ(before: &Plan, now: &Plan) -> bool {
    let images =
        |plan| containers(plan).map(|container| (container.image.as_str(), container.build.as_ref()));
    images(before).ne(images(now))
}

/// Makes sure that a plan's images are there. What can't be fetched is told and no error.
///
/// # Errors
/// An image can't be made here, or bears no signature that it has to bear.
pub(crate) async fn prepare(settings: &Settings, store: &Store, plan: &Plan) -> Result<()> {
    let mut seen = BTreeSet::new();
    let wanted: Vec<_> = containers(plan)
        .filter(|container| seen.insert(&container.image))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    on_engine_of(settings, store, plan, async |instances| {
        for container in wanted {
            match container.build.as_ref().filter(|build| build.version.is_none()) {
                Some(build) => of_newest(&instances, store, &plan.server, container, build).await?,
                None => one(&instances, store, &plan.server, container).await?,
            }
        }
        Ok(())
    })
    .await
}

/// Does what needs the engine that a plan is placed on, and ends what was started for it.
pub(crate) async fn on_engine_of<T>(
    settings: &Settings,
    store: &Store,
    plan: &Plan,
    work: impl AsyncFnOnce(Instances) -> Result<T>,
) -> Result<T> {
    let (engine, _) = engines::local(settings)?;
    let hosts = engines::hosts(settings, Some(&engine), &Hosts::default(), &|_| false);
    let fleet = Fleet::open(settings, Some(&engine), hosts, store, KnownSecrets::default())?;
    let done = async { work(fleet.runner_of(plan).await?).await }.await;
    fleet.close(assemble::SHUTDOWN).await;
    done
}

/// The version of a package that is the newest now, with its progress where a person watches.
///
/// # Errors
/// Why it is not known.
pub(crate) async fn newest(
    instances: &Instances,
    server: &ServerName,
    build: &Build,
) -> Result<String, instances::Error> {
    let (tell, updates) = mpsc::channel(QUEUE);
    let work = async move { instances.newest(server, build, Some(&tell)).await };
    let doing = format!("looking up the newest version of {}", build.package);
    tokio::join!(work, progress::show_image(updates, doing)).0
}

/// A container whose package has this version.
pub(crate) fn at(container: &Container, build: &Build, version: &str) -> Container {
    let build = Build {
        version: Some(version.to_owned()),
        ..build.clone()
    };
    Container {
        image: build.image(),
        build: Some(build),
        ..container.clone()
    }
}

/// Makes the image of a package that names no version with the newest, and pins that. Where it can't be looked up, the one
/// that is pinned already stays.
async fn of_newest(
    instances: &Instances,
    store: &Store,
    server: &ServerName,
    container: &Container,
    build: &Build,
) -> Result<()> {
    let name = build.pin();
    let pinned = store.documents().get(VERSION, &name)?.map(|pin| pin.text);
    let version = match (newest(instances, server, build).await, pinned) {
        (Ok(version), _) => version,
        (Err(error), Some(pinned)) => {
            output::note(&format!("{pinned} of {} stays: {error}", build.package))?;
            pinned
        }
        (Err(error), None) => return Err(error.into()),
    };
    one(instances, store, server, &at(container, build, &version)).await?;
    store.documents().put(VERSION, &name, &version)?;
    Ok(())
}

/// Fetches or makes an image, with its progress where a person watches.
///
/// # Errors
/// Why it can't be had.
pub(crate) async fn get(
    instances: &Instances,
    server: &ServerName,
    container: &Container,
) -> Result<instances::Image, instances::Error> {
    let (tell, updates) = mpsc::channel(QUEUE);
    let work = async move {
        let getting = instances.image(server, container, Some(&tell));
        timeout(gateway::PREPARING, getting).await.unwrap_or_else(|_| {
            Err(instances::Error::Pull {
                server: server.to_string(),
                image: container.image.clone(),
                cause: format!(
                    "it is not there after {} minutes",
                    gateway::PREPARING.as_secs() / 60
                ),
                advice: "what was fetched is kept; try it again",
            })
        })
    };
    let doing = match container.build {
        Some(_) => "making",
        None => "fetching",
    };
    let shown = progress::show_image(updates, format!("{doing} the image of {server}"));
    tokio::join!(work, shown).0
}

async fn one(instances: &Instances, store: &Store, server: &ServerName, container: &Container) -> Result<()> {
    match get(instances, server, container).await {
        Ok(image) => {
            let digest = image.pin().and_then(|pin| pin.split_once('@'));
            if let Some((_, digest)) = digest
                && container.build.is_none()
                && !container.image.contains('@')
            {
                store.documents().put(PIN, &container.image, digest)?;
            }
        }
        Err(error @ instances::Error::Signature { .. }) => return Err(error.into()),
        Err(error) if container.build.is_some() => return Err(error.into()),
        Err(error) => output::note(&format!(
            "its image is not fetched and pinned yet, which its first use tries again: {error}"
        ))?,
    }
    Ok(())
}

/// The images of a plan, as it names them.
pub(crate) fn of(plan: &Plan) -> impl Iterator<Item = &str> {
    containers(plan).map(|container| container.image.as_str())
}

/// Whatever runs in a container, the tools that are one for each call included.
fn containers(plan: &Plan) -> impl Iterator<Item = &Container> {
    let found: Vec<&Container> = match &plan.target {
        Target::Container(container) => vec![container],
        Target::PerCall(tools) => tools.iter().map(|tool| &tool.container).collect(),
        Target::Tools(tools) => tools.iter().filter_map(contained).collect(),
        Target::Remote(_) | Target::Process(_) | Target::BuiltIn => Vec::new(),
    };
    found.into_iter()
}

/// The container that a declared tool runs in, if it does.
pub(crate) fn contained(tool: &Tool) -> Option<&Container> {
    match &tool.does {
        Does::Container(contained) => Some(&contained.container),
        Does::Command(_) | Does::Http(_) => None,
    }
}
