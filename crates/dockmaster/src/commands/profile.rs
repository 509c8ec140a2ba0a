//! `profile list|create|show|use|remove|export|import|push|pull`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context, Result, bail};
use base::names::ServerName;
use catalog::read::{Catalog, Own};
use catalog::{Around, Setup};
use fs_err as fs;
use serde::Serialize;
use serde_json::json;
use store::Store;

use super::agreement::agree;
use super::catalog::intake::pin_those_on;
use super::images;
use crate::cli::Profile;
use crate::exit::Exit;
use crate::settings::{Edit, Settings};
use crate::shelf::{Imported, Shelf, catalog_name};
use crate::{control, fleet, output, registry};

/// The profile of a configuration that names none.
const DEFAULT: &str = "default";
/// Most bytes of a document.
const MOST: u64 = 4 << 20;

/// Does one of them.
pub(crate) async fn run(settings: &Settings, command: Profile) -> Result<Exit> {
    let profiles = &settings.config.profiles;
    let used = &settings.config.gateway.profile;
    let changes = matches!(
        command,
        Profile::Remove { .. } | Profile::Pull { .. } | Profile::Import { .. }
    );
    match command {
        Profile::List(json) => {
            let mut names: Vec<&String> = profiles.keys().collect();
            if !profiles.contains_key(used) {
                names.insert(0, used);
            }
            let count = |name: &String| profiles.get(name).map_or(0, |profile| profile.servers.len());
            if json.json {
                let all: Vec<_> = names
                    .iter()
                    .map(|name| json!({"name": name, "servers": count(name), "used": *name == used}))
                    .collect();
                output::json(&all)?;
            } else {
                let rows: Vec<_> = names
                    .iter()
                    .map(|name| {
                        let mark = if *name == used { "used" } else { "" };
                        [(*name).clone(), count(name).to_string(), mark.to_owned()]
                    })
                    .collect();
                output::line(&output::columns(["PROFILE", "SERVERS", ""], &rows))?;
            }
        }
        Profile::Create { name } => {
            let name = profile_name(&name)?;
            if profiles.contains_key(&name) {
                bail!("there is a profile {name} already");
            }
            let mut edit = settings.edit()?;
            edit.table(&["profiles", &name, "servers"])?;
            edit.save()?;
            output::line(&format!(
                "made {name}; `dockmaster server enable SERVER --profile {name}` fills it"
            ))?;
        }
        Profile::Show { name, json } => show(settings, name.as_ref().unwrap_or(used), json.json)?,
        Profile::Use { name } => {
            known(settings, &name)?;
            let mut edit = settings.edit()?;
            edit.set(&["gateway", "profile"], name.as_str())?;
            edit.save()?;
            output::line(&format!("{name} is used by gateways that start from now on"))?;
            output::note("one that runs keeps the profile that it was started with")?;
        }
        Profile::Remove { name } => {
            known(settings, &name)?;
            if name == *used {
                let other = profiles.keys().find(|other| **other != name);
                let other = other.map_or(DEFAULT, String::as_str);
                if other == name {
                    bail!("{name} is the profile that is used, and there is no other that could be");
                }
                bail!("{name} is the profile that is used; `dockmaster profile use {other}` before");
            }
            let mut edit = settings.edit()?;
            edit.remove(&["profiles", &name]);
            edit.save()?;
            output::line(&format!("removed {name}"))?;
        }
        Profile::Export { name, output: file } => export(settings, &name, file.as_deref())?,
        Profile::Push { name, place } => push(settings, &name, &place).await?,
        Profile::Pull { place, called, yes } => pull(settings, &place, called.name.as_deref(), yes).await?,
        Profile::Import { file, called, yes } => {
            import(
                settings,
                &file.display().to_string(),
                &document(&file)?,
                called.name.as_deref(),
                yes,
            )?;
        }
    }
    if changes {
        control::renew(settings).await?;
    }
    Ok(Exit::Done)
}

fn show(settings: &Settings, name: &str, json: bool) -> Result<()> {
    known(settings, name)?;
    let profile = settings.config.profiles.get(name).cloned().unwrap_or_default();
    if json {
        let mut shown = json!({"name": name, "servers": profile.servers});
        if let Some(roots) = &profile.roots {
            shown["roots"] = json!(roots);
        }
        return Ok(output::json(&shown)?);
    }
    if let Some(roots) = &profile.roots {
        let table = BTreeMap::from([("roots", roots)]);
        output::line(&format!("{}\n", toml::to_string(&table)?.trim_end()))?;
    }
    if profile.servers.is_empty() {
        output::note(&format!(
            "nothing is switched on in the profile {name}; `dockmaster server enable SERVER --profile {name}` fills it"
        ))?;
        return Ok(());
    }
    let servers: BTreeMap<_, _> = profile.servers.iter().collect();
    output::line(toml::to_string(&servers)?.trim_end())?;
    Ok(())
}

/// A name that a profile may have: as servers are named.
pub(crate) fn profile_name(text: &str) -> Result<String> {
    match ServerName::parse(text) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => bail!(
            "a profile can't be called {:?}; use letters, digits, '_', '.' and '-', the first a letter or digit",
            base::text::cut(text, 80)
        ),
    }
}

fn known(settings: &Settings, name: &str) -> Result<()> {
    let profiles = &settings.config.profiles;
    // The one that is used, and the one that is used if nobody says anything, need not be written anywhere.
    let unwritten = [settings.config.gateway.profile.as_str(), DEFAULT];
    if profiles.contains_key(name) || unwritten.contains(&name) {
        return Ok(());
    }
    let names: Vec<_> = profiles.keys().map(String::as_str).collect();
    if names.is_empty() {
        bail!("there is no profile {name:?}, and no other; `dockmaster profile create {name}` makes it");
    }
    bail!("there is no profile {name:?}; there are {}", names.join(", "))
}

/// A profile as a document, and what was left out of it because it may be a secret.
fn exported(settings: &Settings, name: &str) -> Result<(catalog::profile::Profile, Vec<String>)> {
    known(settings, name)?;
    let profile = settings.config.profiles.get(name).cloned().unwrap_or_default();
    let servers = profile.servers.into_iter().map(|(name, setup)| {
        let own = settings.config.servers.get(&name).cloned();
        (name, catalog::profile::Server { setup, own })
    });
    Ok(catalog::profile::Profile::export(name, servers.collect()))
}

fn export(settings: &Settings, name: &str, file: Option<&Path>) -> Result<()> {
    let (document, left_out) = exported(settings, name)?;
    match file {
        None => output::line(document.to_text().trim_end())?,
        Some(path) => {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
            file.write_all(document.to_text().as_bytes())?;
        }
    }
    tell_left_out(&left_out)
}

fn tell_left_out(places: &[String]) -> Result<()> {
    for place in places {
        output::note(&format!("left out, since it may be a secret: {place}"))?;
    }
    Ok(())
}

async fn push(settings: &Settings, name: &str, place: &str) -> Result<()> {
    let reference = registry::only_reference(place)?;
    let (document, left_out) = exported(settings, name)?;
    let kind = catalog::profile::MEDIA_TYPE;
    let pushed = registry::push(settings, &reference, kind, "profile.json", document.to_text()).await?;
    output::line(&format!("pushed {name} to {place}\n{}", pushed.digest))?;
    tell_left_out(&left_out)
}

async fn pull(settings: &Settings, place: &str, name: Option<&str>, yes: bool) -> Result<()> {
    let reference = registry::only_reference(place)?;
    let kinds = [catalog::profile::MEDIA_TYPE, oci::media::MCP_PROFILE];
    let (text, descriptor) = registry::pull(settings, &reference, &kinds).await?;
    import(settings, place, &text, name, yes)?;
    Ok(output::line(&descriptor.digest.to_string())?)
}

/// The text of a file, or of standard input.
fn document(file: &Path) -> Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().take(MOST).read_to_string(&mut text)?;
    } else {
        fs::File::open(file)?.take(MOST).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// Makes a profile of a document that came from `place`, whose author is a stranger: nobody's server is replaced, and
/// whatever it sets up is agreed to before it is written.
fn import(settings: &Settings, place: &str, text: &str, name: Option<&str>, yes: bool) -> Result<()> {
    let (own_name, mut servers, notes) = read(text).with_context(|| format!("{place} is no profile"))?;
    let name = profile_name(
        name.or(own_name.as_deref())
            .context("it has no name; --name gives it one")?,
    )?;
    if settings.config.profiles.contains_key(&name) {
        bail!("there is a profile {name} already; --name gives the new one another name");
    }
    let store = Store::open(settings.database());
    let known = Shelf::open(settings, &store)?;
    let mut then = settings.clone();
    for (server, what) in &servers {
        if let Some(own) = &what.own {
            refuse_known(settings, &known, server, own)?;
            then.config.servers.insert(server.clone(), own.clone());
        }
    }
    let mut shelf = Shelf::open(&then, &store)?;
    let brought = definitions(&shelf, &store, place, text, &name, &servers)?;
    if let Some((imported, catalog)) = &brought {
        shelf.add(&name, imported, catalog);
    }
    let around = fleet::around(&then, &store, &name)?;
    let mut asks = Vec::new();
    let mut unknown = Vec::new();
    for (server, what) in &mut servers {
        asks.extend(asked(&around, &shelf, server, what)?);
        match shelf.meant(server, &what.setup) {
            Ok(found) => found.pin(&mut what.setup)?,
            Err(_) => unknown.push(server.to_string()),
        }
    }
    agree(&format!("the profile {name}"), &asks, yes, "nothing was changed")?;
    let mut edit = settings.edit()?;
    if let Some((imported, catalog)) = brought {
        let has = |server: &str| catalog.get(server).is_some();
        pin_those_on(settings, &known, &mut edit, has)?;
        imported.keep(&store, &catalog_name(&name)?)?;
        output::note(&format!("the definitions that came along are the catalog {name}"))?;
    }
    edit.table(&["profiles", &name, "servers"])?;
    for (server, what) in &servers {
        put(&mut edit, &name, server, &what.setup)?;
        if let Some(own) = &what.own
            && !settings.config.servers.contains_key(server)
        {
            put_table(&mut edit, &["servers", server.as_str()], own)?;
        }
    }
    edit.save()?;
    output::line(&format!("made {name} with {} servers", servers.len()))?;
    if !unknown.is_empty() {
        output::note(&format!(
            "no catalog here has {}; import the one that does with `dockmaster catalog import`",
            unknown.join(", ")
        ))?;
    }
    for note in notes {
        output::note(&note)?;
    }
    Ok(())
}

/// A definition of the document's own may not take the place of a server that is known here by its name, in whichever
/// profile.
fn refuse_known(settings: &Settings, shelf: &Shelf, server: &ServerName, own: &Own) -> Result<()> {
    let advice = "give it another name in the document, or leave it out there. Nothing was changed";
    match settings.config.servers.get(server) {
        Some(other) if other == own => return Ok(()),
        Some(_) => bail!(
            "there is another server of your own that is called {server}; rename one of them. Nothing was changed"
        ),
        None => {}
    }
    if let Some(shelved) = shelf.having(server.as_str()).next() {
        bail!(
            "the document describes a {server} of its own, and the catalog {} has one of that name; {advice}",
            shelved.name
        );
    }
    if let Some(enabled) = fleet::enabled(settings).find(|enabled| enabled.name == server) {
        bail!(
            "the document describes a {server} of its own, and one of that name is switched on in the profile {}; {advice}",
            enabled.profile
        );
    }
    Ok(())
}

/// What a person has to agree to before a server of a document is switched on: how the document describes it and sets it
/// up, which secrets it is given, and what it asks for beyond the lockdown.
fn asked(
    around: &Around,
    shelf: &Shelf,
    server: &ServerName,
    what: &catalog::profile::Server,
) -> Result<Vec<String>> {
    let mut asks = Vec::new();
    if let Some(own) = &what.own {
        asks.push(format!("is {}", inline(&toml::Value::try_from(own)?)));
    }
    if what.setup != Setup::default() {
        asks.push(format!(
            "is set up with {}",
            inline(&toml::Value::try_from(&what.setup)?)
        ));
    }
    if let Ok(found) = shelf.meant(server, &what.setup)
        && let Ok(plan) = found.plan(&what.setup, around)
    {
        // The definitions that came along.
        if found.catalog == around.profile {
            let images: Vec<_> = images::of(&plan).collect();
            if !images.is_empty() {
                asks.push(format!("runs {}", images.join(", ")));
            }
        }
        if !plan.secrets.is_empty() {
            asks.push(format!("is given the secrets {}", plan.secrets.join(", ")));
        }
        asks.extend(plan.asks_for);
    }
    Ok(asks.into_iter().map(|ask| format!("{server}: {ask}")).collect())
}

/// A profile of `docker mcp` brings its servers' definitions along; they are wanted if no catalog here has one of them.
fn definitions(
    shelf: &Shelf,
    store: &Store,
    place: &str,
    text: &str,
    name: &str,
    servers: &Servers,
) -> Result<Option<(Imported, Catalog)>> {
    let mut unknown = servers
        .iter()
        .filter(|(server, what)| shelf.meant(server, &what.setup).is_err())
        .map(|(server, _)| server.as_str());
    let Ok(catalog) = catalog::read::catalog(text) else {
        return Ok(None);
    };
    if !unknown.any(|server| catalog.get(server).is_some()) {
        return Ok(None);
    }
    let name = catalog_name(name)?;
    if Imported::kept(store, &name)?.is_some() {
        bail!(
            "there is a catalog {name} already, and the document brings definitions for another one of its name; --name \
             gives both another name. Nothing was changed"
        );
    }
    Ok(Some((
        Imported::from_text(place.to_owned(), text.to_owned()),
        catalog,
    )))
}

type Servers = BTreeMap<ServerName, catalog::profile::Server>;

/// A document of ours, or of `docker mcp`.
fn read(text: &str) -> Result<(Option<String>, Servers, Vec<String>)> {
    let bad = |bad: catalog::node::Bad| anyhow::anyhow!("{bad}");
    match catalog::profile::Profile::parse(text) {
        Ok(profile) => Ok((Some(profile.name), profile.servers, Vec::new())),
        Err(ours) => {
            let Ok(theirs) = catalog::profile::docker(text) else {
                return Err(bad(ours));
            };
            let mut notes: Vec<_> = theirs
                .faults
                .iter()
                .map(|fault| format!("left out: {fault}"))
                .collect();
            notes.extend(theirs.notes.iter().map(|note| format!("note: {}", note.text)));
            let servers = theirs
                .servers
                .into_iter()
                .map(|(name, setup)| (name, catalog::profile::Server { setup, own: None }));
            Ok((theirs.name, servers.collect(), notes))
        }
    }
}

/// Writes how a server is set up into a profile.
pub(crate) fn put(edit: &mut Edit, profile: &str, server: &ServerName, setup: &Setup) -> Result<()> {
    put_table(edit, &["profiles", profile, "servers", server.as_str()], setup)
}

/// Writes each key of `what` into the table at a path.
pub(crate) fn put_table(edit: &mut Edit, path: &[&str], what: &impl Serialize) -> Result<()> {
    edit.table(path)?;
    let table = toml::Table::try_from(what).context("it can't be written as TOML")?;
    for (key, value) in table {
        let text = inline(&value);
        let value: toml_edit::Value = text
            .parse()
            .with_context(|| format!("{key} can't be written as TOML"))?;
        edit.set(&[path, &[key.as_str()]].concat(), value)?;
    }
    Ok(())
}

/// A value on one line, tables too.
fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| format!("{} = {}", toml::Value::String(key.clone()), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        toml::Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
