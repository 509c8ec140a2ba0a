//! `server list|add|remove|enable|disable|inspect|config|logs|update|restart|test|approve`.

mod add;
pub(crate) mod allow;
mod approve;
mod desk;
mod enable;
mod inspect;
mod list;
mod newer;
mod setup;
mod trial;
mod update;

use anyhow::{Result, bail};
use base::KnownSecrets;
use base::names::ServerName;
use secrets::SecretName;
use store::Store;

use self::desk::Desk;
use crate::bridges::{Record, errands};
use crate::cli::{InProfile, Server};
use crate::control::{self, Order, Reply};
use crate::exit::{Exit, Failure};
use crate::logs::Logs;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::{fleet, keep, output};

/// Characters of the time that a line of a log begins with: `2026-01-31T12:00:00Z`.
const TIME: usize = 20;

/// Does one of them.
pub(crate) async fn run(settings: &Settings, command: Server) -> Result<Exit> {
    match command {
        Server::List(asked) => list::list(settings, &asked.profile, asked.json).await,
        Server::Add(definition) => Box::pin(add::add(settings, &definition)).await,
        Server::Remove { server, disable } => add::remove(settings, &server, disable).await,
        Server::Enable {
            servers,
            config,
            host,
            yes,
            profile,
        } => enable::enable(settings, &servers, &config, host.as_deref(), yes, &profile).await,
        Server::Disable { servers, profile } => disable(settings, &servers, &profile).await,
        Server::Inspect {
            server,
            plan,
            updates,
            asked,
        } => {
            let shown = match (plan, updates) {
                (true, _) => inspect::Shown::Plan,
                (false, true) => inspect::Shown::Updates,
                (false, false) => inspect::Shown::Known,
            };
            inspect::inspect(settings, &server, shown, &asked.profile, asked.json).await
        }
        Server::Config {
            server,
            values,
            unset,
            yes,
            profile,
        } => setup::config(settings, &server, &values, &unset, yes, &profile).await,
        Server::Logs { server, tail } => logs(settings, &server, tail).await,
        Server::Update {
            servers,
            yes,
            profile,
        } => update::update(settings, &servers, yes, &profile).await,
        Server::Restart { server } => restart(settings, &server).await,
        Server::Test { server, asked } => trial::test(settings, &server, &asked.profile, asked.json).await,
        Server::Approve { server, tools, yes } => approve::approve(settings, &server, &tools, yes).await,
    }
}

async fn disable(settings: &Settings, servers: &[String], profile: &InProfile) -> Result<Exit> {
    let desk = Desk::open(settings, profile)?;
    for server in servers {
        if desk.find(server).is_ok_and(|found| found.is_built_in()) {
            bail!("{server} is built in; its switch is `[{server}] enabled` in the configuration");
        }
        if desk.setup(server).is_none() {
            bail!(
                "{server} is not switched on in the profile {}; nothing was changed",
                desk.profile
            );
        }
    }
    let mut edit = settings.edit()?;
    for server in servers {
        edit.remove(&["profiles", &desk.profile, "servers", server]);
    }
    edit.save()?;
    for server in servers {
        output::line(&format!(
            "{server} is switched off in the profile {}",
            desk.profile
        ))?;
    }
    control::renew(settings).await?;
    Ok(Exit::Done)
}

/// The last lines that it wrote, here and in bridges, and why what it wrote over there is not among them.
async fn written(
    settings: &Settings,
    server: &ServerName,
    tail: usize,
) -> Result<(Vec<String>, Vec<String>)> {
    let mut lines = Logs::new(settings.folders.state.join("logs"), KnownSecrets::default())
        .tail(server.as_str(), tail)?;
    let far = match secrets_of(settings, server).await {
        Ok(secrets) => errands::logs(settings, server, tail, &secrets).await,
        // Nothing comes from over there that could not be looked through.
        Err(error) => errands::Said {
            done: Vec::new(),
            faults: vec![format!("{error:#}")],
        },
    };
    if !far.done.is_empty() {
        lines.extend(far.done.into_iter().flat_map(|(_, lines)| lines));
        // Each begins with its time; those of one time stay as they came.
        lines.sort_by(|one, other| one.get(..TIME).cmp(&other.get(..TIME)));
        lines.drain(..lines.len().saturating_sub(tail));
    }
    Ok((lines, far.faults))
}

async fn logs(settings: &Settings, server: &str, tail: usize) -> Result<Exit> {
    let server = ServerName::parse(server)?;
    let (lines, faults) = written(settings, &server, tail).await?;
    for fault in &faults {
        output::note(&format!("what {server} wrote over there is not here: {fault}"))?;
    }
    if lines.is_empty() && faults.is_empty() {
        let store = Store::open(settings.database());
        if Shelf::open(settings, &store)?
            .find(server.as_str())?
            .is_built_in()
        {
            bail!(
                "{server} is built in and writes no log of its own; `--log-level debug` has the gateway log more"
            );
        }
        output::note(&format!("{server} has written nothing to its standard error"))?;
    }
    for line in lines {
        output::line(&line)?;
    }
    Ok(Exit::Done)
}

/// The values of a server's secrets, as far as they can be had, where others than this machine may tell them.
async fn secrets_of(settings: &Settings, server: &ServerName) -> Result<KnownSecrets> {
    let (store, known) = (Store::open(settings.database()), KnownSecrets::default());
    if Record::hosts(settings).is_empty() {
        return Ok(known);
    }
    let shelf = Shelf::open(settings, &store)?;
    let Ok(found) = shelf.find(server.as_str()) else {
        return Ok(known);
    };
    let sources = keep::sources(settings)?;
    for enabled in fleet::enabled(settings).filter(|enabled| enabled.name == server) {
        for name in enabled.setup.secret_names(found.entry) {
            if let Ok(name) = SecretName::parse(name) {
                known.learn(sources.get(&name).await.ok().flatten());
            }
        }
    }
    Ok(known)
}

/// Has every gateway that runs, and every bridge, stop its instances of a server.
async fn restart(settings: &Settings, server: &str) -> Result<Exit> {
    let server = ServerName::parse(server)?;
    let order = Order::Restart {
        server: server.to_string(),
    };
    let far = errands::restart(settings, &server).await;
    for fault in &far.faults {
        output::note(&format!("{server} was not stopped over there: {fault}"))?;
    }
    let replies = control::ask(settings, &order).await;
    // What could not be asked may well run it.
    let unsure = !far.faults.is_empty();
    let no_other = || Failure::new(Exit::Unavailable, format!("{server} was stopped nowhere"));
    if replies.is_empty() && far.done.is_empty() {
        if unsure {
            return Err(no_other().into());
        }
        let message = format!(
            "no gateway runs, so {server} does not either; what is configured now holds from the next `dockmaster gateway run`"
        );
        return Err(Failure::new(Exit::Unavailable, message).into());
    }
    let asked = replies.len();
    let mut restarted = 0;
    for reply in replies {
        match reply {
            Reply::Restarted(true) => restarted += 1,
            Reply::Restarted(false) | Reply::Renewed { .. } | Reply::Status(_) => {}
            Reply::Failed(why) => bail!("{server}: {why}"),
        }
    }
    if restarted == 0 && far.done.is_empty() {
        if unsure {
            return Err(no_other().into());
        }
        bail!(
            "none of the {asked} gateways that run has a server {server}; `dockmaster gateway status` shows which they have"
        );
    }
    let here = match restarted {
        0 => None,
        1 => Some("one gateway".to_owned()),
        _ => Some(format!("{restarted} gateways")),
    };
    let there = far.done.iter().map(|(host, ())| format!("the bridge on {host}"));
    let places: Vec<String> = here.into_iter().chain(there).collect();
    output::line(&format!(
        "{server} was stopped in {}; its next use starts it anew",
        places.join(" and ")
    ))?;
    Ok(Exit::Done)
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
