//! `catalog list|show|search|import|update|remove`.

pub(crate) mod intake;

use anyhow::{Result, bail};
use catalog::Entry;
use serde_json::json;
use store::Store;

use crate::cli::{Catalog, Json};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::shelf::{Found, Imported, OURS, OWN, Shelf, Shelved};
use crate::{control, fleet, output};

/// Does one of them.
pub(crate) async fn run(settings: &Settings, command: Catalog) -> Result<Exit> {
    let store = Store::open(settings.database());
    match command {
        Catalog::List(json) => list(&Shelf::open(settings, &store)?, json)?,
        Catalog::Show { catalog, json } => show(settings, &store, catalog.as_deref(), json)?,
        Catalog::Search { words, limit, json } => {
            search(&Shelf::open(settings, &store)?, &words, limit, json)?;
        }
        Catalog::Import { source, called, yes } => {
            if intake::import(settings, &store, &source, called.name.as_deref(), yes).await? {
                control::renew(settings).await?;
            }
        }
        Catalog::Update { catalog, yes } => intake::update(settings, &store, catalog.as_deref(), yes).await?,
        Catalog::Remove { catalog } => remove(settings, &store, &catalog)?,
    }
    store.close().await;
    Ok(Exit::Done)
}

fn list(shelf: &Shelf, json: Json) -> Result<()> {
    let shown = |shelved: &Shelved| match shelved.name.as_str() {
        OURS => "comes with dockmaster".to_owned(),
        OWN => "the configuration".to_owned(),
        _ => shelved.source.clone(),
    };
    if json.json {
        let all: Vec<_> = shelf
            .catalogs
            .iter()
            .map(|shelved| {
                json!({
                    "name": shelved.name,
                    "servers": shelved.catalog.entries.len(),
                    "faults": shelved.catalog.faults,
                    "source": shown(shelved),
                    "read_at": shelved.read_at,
                })
            })
            .collect();
        return Ok(output::json(&all)?);
    }
    let rows: Vec<_> = shelf
        .catalogs
        .iter()
        .filter(|shelved| shelved.name != OWN || !shelved.catalog.entries.is_empty())
        .map(|shelved| {
            [
                shelved.name.clone(),
                shelved.catalog.entries.len().to_string(),
                shelved.catalog.faults.len().to_string(),
                shelved
                    .read_at
                    .map_or_else(String::new, |at| at.strftime("%Y-%m-%d").to_string()),
                shown(shelved),
            ]
        })
        .collect();
    Ok(output::line(&output::columns(
        ["CATALOG", "SERVERS", "FAULTS", "READ", "FROM"],
        &rows,
    ))?)
}

fn show(settings: &Settings, store: &Store, catalog: Option<&str>, json: Json) -> Result<()> {
    let shelf = Shelf::open(settings, store)?;
    if let Some(name) = catalog
        && !shelf.catalogs.iter().any(|shelved| shelved.name == name)
    {
        let names: Vec<_> = shelf
            .catalogs
            .iter()
            .map(|shelved| shelved.name.as_str())
            .collect();
        bail!("there is no catalog {name:?}; there are {}", names.join(", "));
    }
    let entries: Vec<_> = shelf
        .entries()
        .filter(|found| catalog.is_none_or(|name| found.catalog == name))
        .collect();
    if json.json {
        return Ok(output::json(
            &entries.iter().map(|found| record(found)).collect::<Vec<_>>(),
        )?);
    }
    let on: Vec<_> = fleet::enabled(settings)
        .map(|enabled| enabled.name.as_str())
        .collect();
    let rows: Vec<_> = entries
        .iter()
        .map(|found| {
            let entry = found.entry;
            [
                entry.name.to_string(),
                found.catalog.to_owned(),
                entry.kind_name().to_owned(),
                if on.contains(&entry.name.as_str()) {
                    "on".to_owned()
                } else {
                    String::new()
                },
                summary(entry),
            ]
        })
        .collect();
    output::line(&output::columns(
        ["SERVER", "CATALOG", "KIND", "", "ABOUT"],
        &rows,
    ))?;
    for shelved in &shelf.catalogs {
        if catalog.is_none_or(|name| name == shelved.name) {
            for fault in &shelved.catalog.faults {
                output::note(&format!("{}: {fault}", shelved.name))?;
            }
        }
    }
    Ok(())
}

/// Title and the first sentence, on one line.
pub(crate) fn summary(entry: &Entry) -> String {
    let text = entry.about.description.as_deref().unwrap_or_default();
    let text = base::text::clean(text);
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let sentence = line.split_inclusive(". ").next().unwrap_or_default();
    let title = base::text::clean(entry.title()).replace('\n', " ");
    match base::text::cut(sentence.trim(), 100) {
        "" => title,
        about => format!("{title}: {about}"),
    }
}

fn record(found: &Found<'_>) -> serde_json::Value {
    let entry = found.entry;
    json!({
        "name": entry.name.as_str(),
        "catalog": found.catalog,
        "kind": entry.kind_name(),
        "about": entry.about,
        "secrets": entry.secrets,
        "config": entry.config.schema,
        "tools": entry.tools.iter().map(|tool| &tool.name).collect::<Vec<_>>(),
        "notes": entry.notes,
    })
}

fn search(shelf: &Shelf, words: &[String], limit: usize, json: Json) -> Result<()> {
    let entries: Vec<_> = shelf.entries().collect();
    let index = catalog::search::Index::new(entries.iter().map(|found| found.entry));
    let found: Vec<_> = index
        .find(&words.join(" "), limit)
        .into_iter()
        .filter_map(|hit| entries.get(hit.place))
        .collect();
    if json.json {
        return Ok(output::json(
            &found.iter().map(|found| record(found)).collect::<Vec<_>>(),
        )?);
    }
    if found.is_empty() {
        return Ok(output::note(
            "nothing was found; `dockmaster catalog show` lists everything",
        )?);
    }
    let rows: Vec<_> = found
        .iter()
        .map(|found| {
            [
                found.entry.name.to_string(),
                found.catalog.to_owned(),
                summary(found.entry),
            ]
        })
        .collect();
    Ok(output::line(&output::columns(
        ["SERVER", "CATALOG", "ABOUT"],
        &rows,
    ))?)
}

fn remove(settings: &Settings, store: &Store, name: &str) -> Result<()> {
    if [OURS, OWN].contains(&name) {
        bail!("{name} is always there; only catalogs that were imported can be removed");
    }
    let shelf = Shelf::open(settings, store)?;
    let used: Vec<_> = fleet::enabled(settings)
        .filter(|enabled| {
            shelf
                .meant(enabled.name, enabled.setup)
                .is_ok_and(|found| found.catalog == name)
        })
        .map(|enabled| enabled.name.as_str())
        .collect();
    if !used.is_empty() {
        bail!(
            "{} of {name} are switched on; `dockmaster server disable` them before",
            used.join(", ")
        );
    }
    if !Imported::forget(store, name)? {
        bail!("there is no catalog {name:?}; `dockmaster catalog list` lists them");
    }
    Ok(output::line(&format!("removed {name}"))?)
}
