//! `server enable`: what a server asks for is agreed to, its image fetched or made, its place in the profile written.

use anyhow::{Context, Result, bail};
use base::names::{HostName, ServerName};
use catalog::place::Fitting;
use catalog::{LackSort, Place};

use super::desk::Desk;
use super::indented;
use super::setup::set;
use crate::cli::InProfile;
use crate::commands::agreement::agree;
use crate::commands::images;
use crate::commands::profile::put;
use crate::exit::Exit;
use crate::settings::{LOCAL, Settings, is_label};
use crate::shelf::Found;
use crate::{control, fleet, output};

/// Whether a server could run, now that it is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switched {
    Ready,
    Lacking,
}

pub(super) async fn enable(
    settings: &Settings,
    servers: &[String],
    config: &[String],
    host: Option<&str>,
    yes: bool,
    profile: &InProfile,
) -> Result<Exit> {
    let desk = Desk::open(settings, profile)?;
    let host = host.map(place).transpose()?;
    if servers.len() > 1 && !config.is_empty() {
        bail!("--set is for one server; enable the others by themselves");
    }
    // All are looked up before the first is changed.
    let mut found = Vec::new();
    for server in servers {
        let one = desk.find(server)?;
        let name = &one.entry.name;
        if one.is_built_in() {
            bail!("{name} is built in; its switch is `[{name}] enabled` in the configuration");
        }
        found.push((one, server.contains('/')));
    }
    let mut done = Vec::new();
    let mut failed = None;
    for (one, is_of_catalog) in &found {
        match switch_on(&desk, one, *is_of_catalog, config, host.as_ref(), yes).await {
            Ok(switched) => done.push(switched),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    // Those before the one that failed are on, and the gateways have to know.
    if !done.is_empty() {
        control::renew(settings).await?;
    }
    match failed {
        Some(error) => Err(error),
        None if done.contains(&Switched::Lacking) => Ok(Exit::Failed),
        None => Ok(Exit::Done),
    }
}

/// Where a person wants a server to run: a host, or `label=LABEL`; `None` is the engine at hand.
fn place(text: &str) -> Result<Option<Place>> {
    if text == LOCAL {
        return Ok(None);
    }
    if let Some(label) = text.strip_prefix("label=") {
        if !is_label(label) {
            bail!("{label:?} is no label; write a word such as gpu, or name=value such as zone=eu");
        }
        return Ok(Some(Place::Where(Fitting {
            label: Some(label.to_owned()),
            memory: None,
        })));
    }
    Ok(Some(Place::On(HostName::parse(text)?)))
}

/// `is_of_catalog`: the person named the catalog too.
async fn switch_on(
    desk: &Desk<'_>,
    found: &Found<'_>,
    is_of_catalog: bool,
    config: &[String],
    host: Option<&Option<Place>>,
    yes: bool,
) -> Result<Switched> {
    let settings = desk.settings;
    let (entry, name) = (found.entry, &found.entry.name);
    let mut setup = desk.setup(name.as_str()).cloned().unwrap_or_default();
    if is_of_catalog {
        setup.catalog = Some(ServerName::parse(found.catalog)?);
    }
    found.pin(&mut setup)?;
    set(entry, &mut setup, config)?;
    if let Some(host) = host {
        setup.host.clone_from(host);
    }
    // Asked for with every secret taken as given, so that a person agrees before anything is stored.
    let mut around = fleet::around(settings, &desk.store, &desk.profile)?;
    // A package that names no version gets the newest, each time that it is switched on.
    around.versions.clear();
    let planned = found.plan(&setup, &around);
    if let Err(lacks) = &planned
        && lacks.iter().any(|lack| lack.sort == LackSort::Place)
    {
        bail!("{name} was not switched on:\n{}", indented(&fleet::list(lacks)));
    }
    if let Ok(plan) = &planned {
        agree(
            name.as_str(),
            &plan.asks_for,
            yes,
            &format!("{name} was not switched on"),
        )?;
        images::prepare(settings, &desk.store, plan)
            .await
            .with_context(|| format!("{name} was not switched on"))?;
    }
    let mut edit = settings.edit()?;
    if setup.host.is_none() {
        edit.remove(&["profiles", &desk.profile, "servers", name.as_str(), "host"]);
    }
    put(&mut edit, &desk.profile, name, &setup)?;
    edit.save()?;
    let host = setup.host.as_ref().map(|host| format!("; it runs on {host}"));
    output::line(&format!(
        "{name} is switched on in the profile {} (from {}){}",
        desk.profile,
        found.catalog,
        host.unwrap_or_default()
    ))?;
    match desk.plan(found, &setup).await? {
        Err(lacks) => {
            output::note(&format!("it can't run yet:\n{}", indented(&fleet::list(&lacks))))?;
            Ok(Switched::Lacking)
        }
        Ok(plan) => {
            for note in &plan.notes {
                output::note(&format!("note: {note}"))?;
            }
            Ok(Switched::Ready)
        }
    }
}
