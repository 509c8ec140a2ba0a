//! `server enable`: what a server asks for is agreed to, its image pinned, its place in the profile written.

use anyhow::{Context, Result, bail};
use base::KnownSecrets;
use base::names::ServerName;
use catalog::plan::{Plan, Target};

use super::desk::Desk;
use super::indented;
use super::setup::set;
use crate::cli::InProfile;
use crate::commands::profile::put;
use crate::exit::{Exit, Failure};
use crate::fleet::{self, Fleet, PIN};
use crate::settings::Settings;
use crate::{assemble, control, output};

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
    let mut lacking = false;
    for server in servers {
        let found = desk.shelf.find(server)?;
        let entry = found.entry;
        let name = &entry.name;
        if matches!(entry.kind, catalog::entry::Kind::BuiltIn) {
            bail!("{name} is built in; its switch is `[{name}] enabled` in the configuration");
        }
        let mut setup = desk.setup(name.as_str()).cloned().unwrap_or_default();
        set(entry, &mut setup, config)?;
        // Asked for with every secret taken as given, so that a person agrees before anything is stored.
        let around = fleet::around(settings, &desk.store, &desk.profile)?;
        let planned = catalog::plan(entry, &setup, &around);
        if let Ok(plan) = &planned {
            agree(name, plan, yes)?;
            pin(settings, &desk, plan).await?;
        }
        let mut edit = settings.edit()?;
        put(&mut edit, &desk.profile, name, &setup)?;
        edit.save()?;
        output::line(&format!(
            "{name} is switched on in the profile {} (from {})",
            desk.profile, found.catalog
        ))?;
        if let Err(lacks) = desk.plan(entry, &setup).await? {
            lacking = true;
            output::note(&format!("it can't run yet:\n{}", indented(&fleet::list(&lacks))))?;
        } else if let Ok(plan) = &planned {
            for note in &plan.notes {
                output::note(&format!("note: {note}"))?;
            }
        }
    }
    control::renew(settings).await?;
    Ok(if lacking { Exit::Failed } else { Exit::Done })
}

/// What a server asks for beyond the lockdown is agreed to by a person, or by `--yes`.
fn agree(name: &ServerName, plan: &Plan, yes: bool) -> Result<()> {
    if plan.asks_for.is_empty() {
        return Ok(());
    }
    let asks = indented(&plan.asks_for.join("\n"));
    output::note(&format!("{name} asks for:\n{asks}"))?;
    if yes {
        return Ok(());
    }
    match output::agree("Agree?")? {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::new(Exit::Refused, format!("{name} was not switched on")).into()),
        None => {
            let message = format!(
                "{name} was not switched on: there is no terminal to agree at; --yes agrees to what it asks for"
            );
            Err(Failure::new(Exit::Refused, message).into())
        }
    }
}

/// Fetches the image and writes down its digest, so that what was agreed to is what runs.
async fn pin(settings: &Settings, desk: &Desk<'_>, plan: &Plan) -> Result<()> {
    let Target::Container(container) = &plan.target else {
        return Ok(());
    };
    if container.build.is_some() || container.image.contains('@') {
        return Ok(());
    }
    let (engine, _) = assemble::engine(settings)?;
    let fleet = Fleet::open(settings, Some(&engine), &desk.store, KnownSecrets::default())?;
    let instances = fleet.runner().context("there is no engine")?;
    let image = instances.image(&plan.server, container, None).await;
    fleet.close(assemble::SHUTDOWN).await;
    match image {
        Ok(image) => {
            if let Some(digest) = image.pin().and_then(|pin| pin.split_once('@')) {
                desk.store.documents().put(PIN, &container.image, digest.1)?;
            }
        }
        Err(error @ instances::Error::Signature { .. }) => {
            return Err(anyhow::Error::from(error).context(format!("{} was not switched on", plan.server)));
        }
        // It is fetched at the first start, when the engine or the registry may answer again.
        Err(error) => output::note(&format!("its image is not fetched and pinned yet: {error}"))?,
    }
    Ok(())
}
