//! `import docker-mcp`.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use catalog::docker_mcp::{self, Files, Imported, KnownCatalog};
use fs_err as fs;
use secrets::SecretName;
use store::Store;

use super::profile::{profile_name, put};
use crate::cli::Import;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::shelf::{self, Shelf, catalog_name};
use crate::{control, keep, output};

/// Takes over what there is. What is here already stays.
pub(crate) async fn run(settings: &Settings, command: Import) -> Result<Exit> {
    let Import::DockerMcp {
        folder,
        secrets,
        catalogs: take_catalogs,
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

    take_secrets(settings, &found).await?;
    let store = Store::open(settings.database());
    let left = if take_catalogs {
        catalogs_of(settings, &store, &found).await?
    } else {
        found.catalogs.iter().collect()
    };
    let shelf = Shelf::open(settings, &store)?;
    let there = settings
        .config
        .profiles
        .get(&profile)
        .map(|profile| &profile.servers);
    let mut edit = settings.edit()?;
    let mut unknown = Vec::new();
    for (name, setup) in &found.servers {
        if there.is_some_and(|servers| servers.contains_key(name)) {
            output::line(&format!(
                "server {name}: is switched on already, and stays as it is"
            ))?;
            continue;
        }
        let mut setup = setup.clone();
        match shelf.meant(name, &setup) {
            Ok(found) => found.pin(&mut setup)?,
            Err(_) => unknown.push(name.as_str()),
        }
        put(&mut edit, &profile, name, &setup)?;
        output::line(&format!("server {name}: switched on in the profile {profile}"))?;
    }
    edit.save()?;
    if !unknown.is_empty() {
        output::note(&format!(
            "no catalog here has {}; import the one that does with `dockmaster catalog import`",
            unknown.join(", ")
        ))?;
    }
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

/// Takes in the catalogs; returns those that could not be.
async fn catalogs_of<'a>(
    settings: &Settings,
    store: &Store,
    found: &'a Imported,
) -> Result<Vec<&'a KnownCatalog>> {
    let mut left = Vec::new();
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
        if shelf::Imported::kept(store, &name)?.is_some() {
            output::line(&format!("catalog {name}: is here already, and stays as it is"))?;
        } else if let Err(error) =
            super::catalog::intake::import(settings, store, place, Some(&name), false).await
        {
            output::note(&format!("catalog {name} was not taken in: {error:#}"))?;
            left.push(catalog);
        }
    }
    Ok(left)
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
