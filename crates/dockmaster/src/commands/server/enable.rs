//! `server enable`: what a server asks for is agreed to, its image fetched or made, its place in the profile written.

use anyhow::{Context, Result, bail};
use base::names::ServerName;

use super::desk::Desk;
use super::indented;
use super::setup::set;
use crate::cli::InProfile;
use crate::commands::agreement::agree;
use crate::commands::images;
use crate::commands::profile::put;
use crate::exit::Exit;
use crate::settings::Settings;
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
    yes: bool,
    profile: &InProfile,
) -> Result<Exit> {
    let desk = Desk::open(settings, profile)?;
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
        match switch_on(&desk, one, *is_of_catalog, config, yes).await {
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

/// `is_of_catalog`: the person named the catalog too.
async fn switch_on(
    desk: &Desk<'_>,
    found: &Found<'_>,
    is_of_catalog: bool,
    config: &[String],
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
    // Asked for with every secret taken as given, so that a person agrees before anything is stored.
    let mut around = fleet::around(settings, &desk.store, &desk.profile)?;
    // A package that names no version gets the newest, each time that it is switched on.
    around.versions.clear();
    if let Ok(plan) = &found.plan(&setup, &around) {
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
    put(&mut edit, &desk.profile, name, &setup)?;
    edit.save()?;
    output::line(&format!(
        "{name} is switched on in the profile {} (from {})",
        desk.profile, found.catalog
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
