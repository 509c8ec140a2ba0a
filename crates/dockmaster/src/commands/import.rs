//! `import docker-mcp`.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base::names::ServerName;
use catalog::Setup;
use catalog::docker_mcp::{self, Files, Imported, KnownCatalog};
use fs_err as fs;
use secrets::SecretName;
use store::Store;

use super::agreement::agree;
use super::catalog::intake::Arrival;
use super::profile::{profile_name, put};
use crate::cli::Import;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::shelf::{self, Shelf, catalog_name};
use crate::{control, fleet, keep, output};

/// What a refusal, or a failure before anything is changed, says.
const NOTHING: &str = "nothing was taken over";

/// Takes over what there is, once what its servers ask for is agreed to. What is here already stays.
pub(crate) async fn run(settings: &Settings, command: Import) -> Result<Exit> {
    let Import::DockerMcp {
        folder,
        secrets,
        catalogs: take_catalogs,
        yes,
        profile,
    } = command;
    let folder = match folder {
        Some(folder) => folder,
        None => docker_folder(settings)?,
    };
    if !folder.is_dir() {
        bail!(
            "there is no folder {}; --folder names the one with registry.yaml in it",
            folder.display()
        );
    }
    let profile = match &profile.profile {
        Some(name) => profile_name(name)?,
        None => settings.config.gateway.profile.clone(),
    };
    let file = |name: &str| optional(&folder.join(name));
    let (registry, config, tools, catalogs) = (
        file("registry.yaml")?,
        file("config.yaml")?,
        file("tools.yaml")?,
        file("catalog.json")?,
    );
    let secrets = match &secrets {
        Some(path) => Some(fs::read_to_string(path)?),
        None => file(".env")?,
    };
    let found = docker_mcp::import(&Files {
        registry: registry.as_deref(),
        config: config.as_deref(),
        tools: tools.as_deref(),
        secrets: secrets.as_deref(),
        catalogs: catalogs.as_deref(),
    });
    if found.servers.is_empty() && found.secrets.is_empty() && found.faults.is_empty() {
        bail!("nothing of docker mcp was found in {}", folder.display());
    }

    let store = Store::open(settings.database());
    let known = Shelf::open(settings, &store)?;
    let (arrivals, left) = if take_catalogs {
        catalogs_of(settings, &store, &known, &found).await?
    } else {
        (Vec::new(), found.catalogs.iter().collect())
    };
    let mut shelf = Shelf::open(settings, &store)?;
    for arrival in &arrivals {
        shelf.add(&arrival.name, &arrival.imported, &arrival.catalog);
    }
    let servers = Servers::plan(settings, &store, &shelf, &profile, &found)?;

    // Nothing was changed so far, and nothing is unless all of it is agreed to.
    let mut asks = servers.asks.clone();
    asks.extend(arrivals.iter().flat_map(|arrival| arrival.change.asks.clone()));
    agree("what would be switched on", &asks, yes, NOTHING)?;
    for arrival in &arrivals {
        arrival.change.prepare(settings, &store, NOTHING).await?;
    }

    take_secrets(settings, &found).await?;
    for arrival in &arrivals {
        arrival.keep(settings, &store, &known)?;
    }
    servers.switch_on(settings, &profile)?;
    for catalog in left {
        if let Some(place) = &catalog.place {
            output::note(&format!(
                "catalog {}: `dockmaster catalog import {place}` takes it in",
                catalog.name
            ))?;
        }
    }
    tell_rest(&found)?;
    store.close().await;
    control::renew(settings).await?;
    Ok(if found.faults.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// The servers of a set-up, looked up here.
#[derive(Default)]
struct Servers<'a> {
    /// What is not switched on yet.
    new: Vec<(&'a ServerName, Setup)>,
    /// What is, and stays as it is.
    there: Vec<&'a str>,
    /// In no catalog.
    unknown: Vec<&'a str>,
    /// What the new ones ask for beyond the lockdown.
    asks: Vec<String>,
}

impl<'a> Servers<'a> {
    fn plan(
        settings: &Settings,
        store: &Store,
        shelf: &Shelf,
        profile: &str,
        found: &'a Imported,
    ) -> Result<Self> {
        let around = fleet::around(settings, store, profile)?;
        let there = settings.config.profiles.get(profile);
        let mut servers = Self::default();
        for (name, setup) in &found.servers {
            if there.is_some_and(|there| there.servers.contains_key(name)) {
                servers.there.push(name.as_str());
                continue;
            }
            let mut setup = setup.clone();
            match shelf.meant(name, &setup) {
                Ok(found) => {
                    found.pin(&mut setup)?;
                    if let Ok(plan) = found.plan(&setup, &around) {
                        let asks = plan.asks_for.iter().map(|ask| format!("{name}: {ask}"));
                        servers.asks.extend(asks);
                    }
                }
                Err(_) => servers.unknown.push(name.as_str()),
            }
            servers.new.push((name, setup));
        }
        Ok(servers)
    }

    fn switch_on(&self, settings: &Settings, profile: &str) -> Result<()> {
        let mut edit = settings.edit()?;
        for (name, setup) in &self.new {
            put(&mut edit, profile, name, setup)?;
        }
        edit.save()?;
        for name in &self.there {
            output::line(&format!(
                "server {name}: is switched on already, and stays as it is"
            ))?;
        }
        for (name, _) in &self.new {
            output::line(&format!("server {name}: switched on in the profile {profile}"))?;
        }
        if !self.unknown.is_empty() {
            output::note(&format!(
                "no catalog here has {}; import the one that does with `dockmaster catalog import`",
                self.unknown.join(", ")
            ))?;
        }
        Ok(())
    }
}

/// What was not understood, and what a person should know.
fn tell_rest(found: &Imported) -> Result<()> {
    for fault in &found.faults {
        output::note(&format!("left out: {fault}"))?;
    }
    for note in &found.notes {
        output::note(&format!("note: {}", note.text))?;
    }
    Ok(())
}

/// Reads the catalogs that are not here, without keeping any; and those that can't be read.
async fn catalogs_of<'a>(
    settings: &Settings,
    store: &Store,
    shelf: &Shelf,
    found: &'a Imported,
) -> Result<(Vec<Arrival>, Vec<&'a KnownCatalog>)> {
    let (mut arrivals, mut left) = (Vec::new(), Vec::new());
    for catalog in &found.catalogs {
        let Some(place) = &catalog.place else { continue };
        let name = match catalog_name(&catalog.name) {
            Ok(name) => name,
            Err(error) => {
                output::note(&format!("catalog {:?} was not taken in: {error}", catalog.name))?;
                left.push(catalog);
                continue;
            }
        };
        let came = arrivals.iter().any(|arrival: &Arrival| arrival.name == name);
        if came || shelf::Imported::kept(store, &name)?.is_some() {
            output::line(&format!("catalog {name}: is here already, and stays as it is"))?;
            continue;
        }
        match Arrival::fetch(settings, store, shelf, place, Some(&name)).await {
            Ok(arrival) => arrivals.push(arrival),
            Err(error) => {
                output::note(&format!("catalog {name} was not taken in: {error:#}"))?;
                left.push(catalog);
            }
        }
    }
    Ok((arrivals, left))
}

async fn take_secrets(settings: &Settings, found: &Imported) -> Result<()> {
    let sources = keep::sources(settings)?;
    for (name, value) in &found.secrets {
        let Ok(name) = SecretName::parse(name) else {
            output::note(&format!("left out: a secret can't be called {name:?}"))?;
            continue;
        };
        if sources.get(&name).await?.is_some() {
            output::line(&format!("secret {name}: there is one already, which stays"))?;
        } else {
            let place = sources.set(&name, value).await?;
            output::line(&format!("secret {name}: stored in {place}"))?;
        }
    }
    Ok(())
}

fn docker_folder(settings: &Settings) -> Result<PathBuf> {
    let config = settings.environment.path(crate::env::Var::DockerConfig);
    let home = settings.folders.home.as_deref().map(|home| home.join(".docker"));
    let folder = config
        .or(home)
        .context("there is no home folder; --folder names the one of docker mcp")?;
    Ok(folder.join("mcp"))
}

fn optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
