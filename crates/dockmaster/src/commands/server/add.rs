//! `server add` and `server remove`: servers of one's own, as tables `[servers.NAME]` of the configuration.
//!
//! A definition is judged as the configuration's reader and the planner judge it before anything is written, so a wrong
//! one changes nothing. Deliberately absent: switching it on, which is `server enable`'s.

use anyhow::{Context, Result, bail};
use base::names::ServerName;
use catalog::read::{self, Own};
use catalog::{Entry, Lack, LackSort, Setup};
use store::Store;

use super::{enable, indented};
use crate::cli::Definition;
use crate::commands::agreement::agree;
use crate::commands::profile::put_table;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::shelf::{Found, OURS, OWN, Shelf};
use crate::{control, fleet, output, toolfile};

pub(super) async fn add(settings: &Settings, definition: &Definition) -> Result<Exit> {
    let name = ServerName::parse(&definition.name).with_context(|| {
        format!(
            "a server can't be called {:?}; nothing was changed",
            definition.name
        )
    })?;
    let own = own(definition);
    let is_there = settings.config.servers.contains_key(&name);
    if is_there && !definition.replace {
        bail!(
            "there is a server {name} of your own already; --replace puts this one in its place. Nothing was changed"
        );
    }
    let store = Store::open(settings.database());
    let shelf = Shelf::open(settings, &store)?;
    let ours = shelf.catalogs.iter().find(|shelved| shelved.name == OURS);
    let built_in = ours.and_then(|shelved| shelved.catalog.get(name.as_str()));
    if built_in.is_some_and(|entry| matches!(entry.kind, catalog::entry::Kind::BuiltIn)) {
        bail!("{name} is the name of a built-in server; choose another. Nothing was changed");
    }
    let wrong = |why: &dyn std::fmt::Display| {
        anyhow::anyhow!("{name} can't be defined so: {why}\nNothing was changed")
    };
    let tools = toolfile::read(settings, &own).map_err(|why| wrong(&why))?;
    let entry = read::own(&name, &own, tools.as_ref()).map_err(|fault| wrong(&fault.what))?;
    let asks = judge(settings, &store, definition.profile.profile.as_deref(), &entry)?;

    if definition.enable && !definition.yes && !output::person_can_answer() {
        // Nobody can agree to it, which is better known before anything is written.
        let otherwise = format!("{name} was neither defined nor switched on");
        agree(name.as_str(), &asks, false, &otherwise)?;
    }
    write(settings, &name, &own)?;
    let done = if is_there { "is defined anew" } else { "is defined" };
    output::line(&format!(
        "{name} {done}: [servers.{name}] in {}",
        settings.file.display()
    ))?;
    if let Some(hidden) = shelf.having(name.as_str()).find(|shelved| shelved.name != OWN) {
        output::note(&format!(
            "the catalog {} has a {name}, too; the name alone means yours from now on, and {}/{name} the other",
            hidden.name, hidden.name
        ))?;
    }
    let is_on = fleet::enabled(settings).any(|enabled| *enabled.name == name);
    if is_on {
        control::renew(settings).await?;
    }
    let wanted = definition.enable || !is_on && wants_it_on(&name)?;
    if wanted {
        let mut now = settings.again()?;
        now.is_attended = settings.is_attended;
        let servers = [name.to_string()];
        return enable::enable(&now, &servers, &[], None, definition.yes, &definition.profile)
            .await
            .with_context(|| {
                format!("{name} is defined; once what is wrong is mended: dockmaster server enable {name}")
            });
    }
    if !asks.is_empty() {
        output::note(&format!("it will ask for:\n{}", indented(&asks.join("\n"))))?;
    }
    output::note(&if is_on {
        format!("next: dockmaster server test {name}")
    } else {
        format!("next: dockmaster server test {name}, then dockmaster server enable {name}")
    })?;
    Ok(Exit::Done)
}

pub(super) async fn remove(settings: &Settings, server: &str, disable: bool) -> Result<Exit> {
    let name = ServerName::parse(server)?;
    if !settings.config.servers.contains_key(&name) {
        bail!(
            "you have no server {name} of your own; `dockmaster config show` lists [servers.*]. Nothing was changed"
        );
    }
    let profiles: Vec<_> = fleet::enabled(settings)
        .filter(|enabled| *enabled.name == name && is_meant(enabled.setup))
        .map(|enabled| enabled.profile)
        .collect();
    if !profiles.is_empty() && !disable {
        bail!(
            "{name} is switched on in the profile {}; --disable switches it off, too. Nothing was changed",
            profiles.join(", ")
        );
    }
    let mut edit = settings.edit()?;
    edit.remove(&["servers", name.as_str()]);
    for profile in &profiles {
        edit.remove(&["profiles", profile, "servers", name.as_str()]);
    }
    edit.save()?;
    output::line(&format!("{name} is removed"))?;
    control::renew(settings).await?;
    Ok(Exit::Done)
}

/// Whether a set-up means the server of one's own, and not the one of a catalog that it names.
fn is_meant(setup: &Setup) -> bool {
    setup
        .catalog
        .as_ref()
        .is_none_or(|catalog| catalog.as_str() == OWN)
}

/// The definition as the configuration has it.
fn own(definition: &Definition) -> Own {
    let (source, given, told) = (&definition.source, &definition.given, &definition.told);
    let is_container = source.image.is_some() || source.npm.is_some() || source.pypi.is_some();
    let (args, command) = if is_container {
        (source.command.clone(), Vec::new())
    } else {
        (Vec::new(), source.command.clone())
    };
    Own {
        image: source.image.clone(),
        npm: source.npm.clone(),
        pypi: source.pypi.clone(),
        url: source.url.clone(),
        // The file is meant from where the command is given, and kept by its whole path.
        tools: source.tools.as_ref().map(|file| {
            let whole = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            whole.display().to_string()
        }),
        command,
        args,
        with: given.with.clone(),
        program: given.program.clone(),
        transport: given.transport,
        headers: given.header.iter().cloned().collect(),
        env: given.env.iter().cloned().collect(),
        secrets: given.secret.iter().cloned().collect(),
        secret_files: given.secret_file.iter().cloned().collect(),
        volumes: given.volume.iter().map(ToString::to_string).collect(),
        hosts: (!given.reach.is_empty()).then(|| given.reach.clone()),
        user: given.user.clone(),
        working_dir: given
            .working_dir
            .as_ref()
            .map(|folder| folder.display().to_string()),
        capabilities: given.capability.clone(),
        writable_root: given.writable_root,
        docker_socket: given.docker_socket,
        memory: given.memory,
        sharing: given.sharing,
        prefix: told.prefix.clone(),
        title: told.title.clone(),
        description: told.description.clone(),
        config: None,
    }
}

/// What a server will ask for; what is missing beside the definition is told.
///
/// # Errors
/// The definition itself can't be run.
fn judge(settings: &Settings, store: &Store, profile: Option<&str>, entry: &Entry) -> Result<Vec<String>> {
    let profile = profile.unwrap_or(&settings.config.gateway.profile);
    let around = fleet::around(settings, store, profile)?;
    let found = Found { catalog: OWN, entry };
    let lacks = match found.plan(&Setup::default(), &around) {
        Ok(plan) => return Ok(plan.asks_for),
        Err(lacks) => lacks,
    };
    let is_wrong = |lack: &&Lack| matches!(lack.sort, LackSort::Entry | LackSort::Setup);
    let wrong: Vec<Lack> = lacks.iter().filter(is_wrong).cloned().collect();
    if !wrong.is_empty() {
        bail!(
            "{} can't be defined so; nothing was changed:\n{}",
            entry.name,
            indented(&fleet::list(&wrong))
        );
    }
    output::note(&format!(
        "{} can't run yet:\n{}",
        entry.name,
        indented(&fleet::list(&lacks))
    ))?;
    Ok(Vec::new())
}

/// Writes a definition; of one that was there what is not in the new one goes, and comments beside what stays do.
fn write(settings: &Settings, name: &ServerName, own: &Own) -> Result<()> {
    let mut edit = settings.edit()?;
    let path = ["servers", name.as_str()];
    let now = toml::Table::try_from(own).context("it can't be written as TOML")?;
    let before: Vec<String> = edit
        .get(&path)
        .and_then(|item| item.as_table_like())
        .map(|table| table.iter().map(|(key, _)| key.to_owned()).collect())
        .unwrap_or_default();
    for key in before.iter().filter(|key| !now.contains_key(*key)) {
        edit.remove(&["servers", name.as_str(), key]);
    }
    put_table(&mut edit, &path, own)?;
    edit.save()?;
    Ok(())
}

/// Whether a person, if there is one, wants the server switched on now.
fn wants_it_on(name: &ServerName) -> Result<bool> {
    Ok(output::agree(&format!("Switch {name} on now?"))? == Some(true))
}
