//! `server config`: how a server is configured, read and written as its schema wants it.

use anyhow::{Context, Result, bail};
use catalog::{Entry, Setup, schema};
use serde_json::Value;

use super::desk::Desk;
use super::indented;
use crate::cli::InProfile;
use crate::commands::agreement::agree;
use crate::commands::images;
use crate::commands::profile::put;
use crate::exit::{Exit, Failure};
use crate::settings::Settings;
use crate::{control, fleet, output};

/// Puts `KEY=VALUE`s into a configuration; values are read as the entry's schema wants them.
pub(super) fn set(entry: &Entry, setup: &mut Setup, values: &[String]) -> Result<()> {
    for value in values {
        let Some((key, text)) = value.split_once('=') else {
            return Err(Failure::new(Exit::Usage, format!("{value:?} has no '='; write KEY=VALUE")).into());
        };
        let Some(schema) = &entry.config.schema else {
            bail!("{} has nothing to configure", entry.name);
        };
        known(entry, schema, key)?;
        let read = schema::value_of(schema, key, text);
        let mut place = &mut setup.config;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                place.insert(part.to_owned(), read);
                break;
            }
            let inner = place
                .entry(part)
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
            place = inner
                .as_object_mut()
                .with_context(|| format!("{key}: {part} is a value, not a table"))?;
        }
    }
    Ok(())
}

/// Fails for a key that the schema does not have, such as one that is misspelt, unless it takes any.
fn known(entry: &Entry, schema: &Value, key: &str) -> Result<()> {
    let takes_any = ["additionalProperties", "patternProperties"]
        .iter()
        .any(|word| schema.get(word).is_some_and(|says| *says != Value::Bool(false)));
    let keys = schema::keys(schema);
    let below = |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'));
    let is_known = |known: &String| known == key || below(known, key) || below(key, known);
    if takes_any || keys.is_empty() || keys.iter().any(is_known) {
        return Ok(());
    }
    bail!(
        "{} has no {:?} to configure; it has {}. Nothing was changed",
        entry.name,
        base::text::cut(key, 80),
        base::text::clean(&keys.join(", "))
    )
}

pub(super) async fn config(
    settings: &Settings,
    server: &str,
    values: &[String],
    unset: &[String],
    yes: bool,
    profile: &InProfile,
) -> Result<Exit> {
    let desk = Desk::open(settings, profile)?;
    let found = desk.find(server)?;
    let name = &found.entry.name;
    let Some(setup) = desk.setup(name.as_str()) else {
        bail!(
            "{name} is not switched on in the profile {}; `dockmaster server enable {name}` before",
            desk.profile
        );
    };
    // Whichever catalog was named here: what runs is that of the set-up.
    let found = desk.shelf.meant(name, setup)?;
    if values.is_empty() && unset.is_empty() {
        output::json(&setup.config)?;
        return Ok(Exit::Done);
    }
    let mut changed = setup.clone();
    set(found.entry, &mut changed, values)?;
    for key in unset {
        if changed.config.remove(key).is_none() {
            bail!("{name} has no {key} configured; nothing was changed");
        }
    }
    // What the schema refuses is not written; what is still missing may come with the next command.
    let around = fleet::around(settings, &desk.store, &desk.profile)?;
    let (before, now) = (found.plan(setup, &around), found.plan(&changed, &around));
    let wrong: Vec<_> = now
        .as_ref()
        .err()
        .into_iter()
        .flatten()
        .filter(|lack| {
            values.iter().any(|value| {
                let key = value.split('=').next().unwrap_or_default();
                lack.sort == catalog::LackSort::Config && lack.what.contains(key)
            })
        })
        .cloned()
        .collect();
    if !wrong.is_empty() {
        bail!("nothing was changed:\n{}", indented(&fleet::list(&wrong)));
    }
    let agreed = before
        .as_ref()
        .map(|plan| plan.asks_for.clone())
        .unwrap_or_default();
    let mut asks: Vec<_> = now.iter().flat_map(|plan| plan.asks_for.clone()).collect();
    asks.retain(|ask| !agreed.contains(ask));
    agree(name.as_str(), &asks, yes, "nothing was changed")?;
    // Else the image is there since the server was switched on.
    if let Ok(plan) = &now
        && before
            .as_ref()
            .map_or(true, |before| images::differ(before, plan))
    {
        images::prepare(settings, &desk.store, plan)
            .await
            .context("nothing was changed")?;
    }
    let mut edit = settings.edit()?;
    if changed.config.is_empty() {
        edit.remove(&["profiles", &desk.profile, "servers", name.as_str(), "config"]);
    }
    put(&mut edit, &desk.profile, name, &changed)?;
    edit.save()?;
    output::line(&format!("{name} is configured"))?;
    for lack in now.err().unwrap_or_default() {
        output::note(&format!("it can't run yet: {lack}"))?;
    }
    control::renew(settings).await?;
    Ok(Exit::Done)
}
