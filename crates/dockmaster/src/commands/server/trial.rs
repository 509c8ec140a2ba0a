//! `server test`: one server by itself, started and asked for its tools.

use std::sync::Arc;

use anyhow::{Result, bail};
use base::KnownSecrets;
use catalog::Setup;
use catalog::entry::Kind;
use catalog::plan::Plan;
use catalog::tools::Tool;
use hosts::Hosts;
use serde_json::{Value, json};

use super::desk::Desk;
use super::indented;
use crate::assemble::{self, House};
use crate::cli::{InProfile, Json};
use crate::engines;
use crate::exit::Exit;
use crate::fleet::{self, Fleet, Notes};
use crate::output;
use crate::settings::Settings;
use crate::shelf::Found;

/// A house with one server in it. Its plan is that with which it is switched on, or a bridge would not know it.
async fn alone(desk: &Desk<'_>, found: &Found<'_>, setup: &Setup, names: Names) -> Result<(House, Plan)> {
    let entry = found.entry;
    let settings = desk.settings;
    if matches!(entry.kind, Kind::BuiltIn) {
        bail!(
            "{} is built in and needs no start; `dockmaster doctor` says whether it works",
            entry.name
        );
    }
    let plan = match desk.plan(found, setup).await? {
        Ok(plan) => plan,
        Err(lacks) => bail!(
            "{} can't run yet:\n{}",
            entry.name,
            indented(&fleet::list(&lacks))
        ),
    };
    let (engine, _) = engines::local(settings)?;
    let known = KnownSecrets::default();
    let hosts = engines::hosts(settings, Some(&engine), &Hosts::default(), &|_| false);
    let fleet = Arc::new(Fleet::open(
        settings,
        Some(&engine),
        hosts,
        &desk.store,
        known.clone(),
    )?);
    if plan.host.is_some() {
        // Set up as it is switched on, it runs where it runs then: behind a bridge, which is told of all that are.
        fleet.servers(settings, &desk.store).await?;
    }
    let server = fleet.server(settings, plan.clone(), Notes::of(entry));
    let server = match names {
        Names::AsClientsSee => server,
        Names::ItsOwn => gateway::Server {
            prefix: None,
            ..server
        },
    };
    let house = assemble::of_servers(settings, vec![server], known, Some(fleet))?;
    Ok((house, plan))
}

/// How tools are called.
#[derive(Clone, Copy)]
enum Names {
    AsClientsSee,
    ItsOwn,
}

/// The server's own names of the tools that it lists, set up like this.
pub(super) async fn tools(desk: &Desk<'_>, found: &Found<'_>, setup: &Setup) -> Result<Vec<String>> {
    let (house, _) = alone(desk, found, setup, Names::ItsOwn).await?;
    let tools = house
        .gateway
        .tools(&assemble::local_principal(desk.settings))
        .await;
    house.close().await;
    Ok(names(&tools?))
}

fn names(tools: &[wire::Raw]) -> Vec<String> {
    let name = |tool: &wire::Raw| {
        let definition: Value = serde_json::from_str(tool.get()).ok()?;
        definition["name"].as_str().map(str::to_owned)
    };
    tools.iter().filter_map(name).collect()
}

pub(super) async fn test(settings: &Settings, server: &str, profile: &InProfile, json: Json) -> Result<Exit> {
    let desk = Desk::open(settings, profile)?;
    let found = desk.find(server)?;
    let setup = desk.setup(found.entry.name.as_str()).cloned().unwrap_or_default();
    let (house, plan) = alone(&desk, &found, &setup, Names::AsClientsSee).await?;
    let name = &plan.server;
    let checked = match house.fleet.get() {
        Some(fleet) => fleet.check(&plan).await?,
        None => Vec::new(),
    };
    let started = std::time::Instant::now();
    let principal = assemble::local_principal(settings);
    let tools = house.gateway.tools(&principal).await;
    let elapsed = started.elapsed();
    let held = match &tools {
        Ok(_) => house.gateway.held(&principal, name.as_str()).await,
        Err(_) => Ok(Vec::new()),
    };
    house.close().await;
    let tools = match tools {
        Ok(tools) => tools,
        Err(error) => {
            let log = super::written(settings, name, 10).await;
            let log = log.map(|(lines, _)| lines).unwrap_or_default();
            let log = if log.is_empty() {
                String::new()
            } else {
                format!(
                    "\nits log (`dockmaster server logs {name}`) ends with:\n{}",
                    indented(&log.join("\n"))
                )
            };
            bail!("{name} does not work: {error}{log}");
        }
    };
    let (names, held) = (names(&tools), held?);
    let fails = checked.iter().filter(|(_, found)| found.is_err()).count();
    let exit = if fails == 0 { Exit::Done } else { Exit::Failed };
    if json.json {
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let held: Vec<_> = held.iter().map(|held| &held.tool).collect();
        let mut told =
            json!({"server": name.as_str(), "milliseconds": milliseconds, "tools": names, "held": held});
        if !checked.is_empty() {
            let one = |(tool, found): &(Tool, Result<String, String>)| json!({"tool": tool.name, "does": tool.kind(), "works": found.is_ok(), "found": found.as_ref().unwrap_or_else(|why| why)});
            told["checked"] = checked.iter().map(one).collect();
        }
        output::json(&told)?;
    } else if !checked.is_empty() {
        let rows: Vec<_> = checked
            .iter()
            .map(|(tool, found)| {
                let (state, found) = match found {
                    Ok(found) => ("ready", found),
                    Err(why) => ("fails", why),
                };
                [
                    tool.name.clone(),
                    tool.kind().to_owned(),
                    state.to_owned(),
                    found.clone(),
                ]
            })
            .collect();
        output::line(&output::columns(["TOOL", "DOES", "STATE", ""], &rows))?;
        match fails {
            0 => output::line(&format!(
                "{name} works: its file is in order, and each of its tools can be called"
            ))?,
            fails => output::note(&format!(
                "{fails} of the {} tools of {name} can't be called yet",
                checked.len()
            ))?,
        }
    } else {
        output::line(&format!(
            "{name} works: started and listed {} in {:.1} s",
            counted(names.len() + held.len()),
            elapsed.as_secs_f64()
        ))?;
        if !names.is_empty() {
            output::line(&indented(&names.join("\n")))?;
        }
        if !held.is_empty() {
            let held: Vec<_> = held
                .iter()
                .map(|held| base::text::clean(&held.tool).replace('\n', " "))
                .collect();
            output::line(&format!(
                "of them {} held back until approved (`dockmaster server approve {name}`):\n{}",
                if held.len() == 1 { "one is" } else { "these are" },
                indented(&held.join("\n"))
            ))?;
        }
    }
    Ok(exit)
}

/// So many tools, in words.
pub(super) fn counted(tools: usize) -> String {
    match tools {
        1 => "1 tool".to_owned(),
        tools => format!("{tools} tools"),
    }
}
