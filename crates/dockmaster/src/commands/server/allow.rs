//! `tools enable|disable SERVER/TOOL`: which tools of a server may be listed and called, written into the profile; those of
//! the built-in Docker server, which is in no profile, into the policy.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use catalog::Setup;

use super::desk::Desk;
use super::trial;
use crate::cli::InProfile;
use crate::exit::{Exit, Failure};
use crate::settings::{Edit, Settings};
use crate::shelf::Found;
use crate::{control, output};

/// The built-in server.
const DOCKER: &str = "docker";
/// Stands for every tool of a server.
const ALL: &str = "*";

/// What becomes of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// They may be called.
    Enable,
    /// They may not.
    Disable,
}

/// Does it for each `SERVER/TOOL`, or for none.
pub(crate) async fn run(
    settings: &Settings,
    change: Change,
    names: &[String],
    profile: &InProfile,
) -> Result<Exit> {
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        let Some((server, tool)) = name.split_once('/').filter(|(_, tool)| !tool.is_empty()) else {
            let message =
                format!("{name:?} names no tool; write SERVER/TOOL, or SERVER/* for all tools of a server");
            return Err(Failure::new(Exit::Usage, message).into());
        };
        wanted.entry(server).or_default().push(tool);
    }
    let desk = Desk::open(settings, profile)?;
    let mut said = Vec::new();
    // Tools are looked up before the file is opened for the change, which keeps others from changing it.
    let mut lists = Vec::new();
    for (server, tools) in &wanted {
        if *server == DOCKER {
            continue;
        }
        let found = desk.find(server)?;
        let name = found.entry.name.as_str();
        let Some(setup) = desk.setup(name) else {
            bail!(
                "{name} is not switched on in the profile {}; `dockmaster server enable {name}` before. Nothing was changed",
                desk.profile
            );
        };
        let list = changed(&desk, &found, setup, change, tools, &mut said).await?;
        lists.push((name.to_owned(), list));
    }
    let mut edit = settings.edit()?;
    if let Some(tools) = wanted.get(DOCKER) {
        docker(&mut edit, change, tools, &mut said)?;
    }
    for (server, list) in lists {
        let path = ["profiles", &desk.profile, "servers", &server, "tools"];
        match list {
            None => drop(edit.remove(&path)),
            Some(list) => edit.set_list(&path, &list)?,
        }
    }
    edit.save()?;
    for line in said {
        output::line(&line)?;
    }
    control::renew(settings).await?;
    Ok(Exit::Done)
}

/// The list of tools afterwards; `None`: all of them.
async fn changed(
    desk: &Desk<'_>,
    found: &Found<'_>,
    setup: &Setup,
    change: Change,
    tools: &[&str],
    said: &mut Vec<String>,
) -> Result<Option<Vec<String>>> {
    let entry = found.entry;
    let server = entry.name.as_str();
    if tools.contains(&ALL) {
        let (list, word) = match change {
            Change::Enable => (None, "on"),
            Change::Disable => (Some(Vec::new()), "off"),
        };
        said.push(format!("every tool of {server} is {word}"));
        return Ok(list);
    }
    match (change, &setup.tools) {
        (Change::Enable, None) => {
            said.push(format!("every tool of {server} is on already"));
            Ok(None)
        }
        (Change::Enable, Some(list)) => {
            let mut list = list.clone();
            let is_new = |tool: &&&str| !list.iter().any(|known| known == **tool);
            // Asked only where there is something to find out.
            let all = match tools.iter().find(is_new) {
                Some(_) => known(desk, found, setup).await.unwrap_or_default(),
                None => Vec::new(),
            };
            for tool in tools {
                if list.iter().any(|known| known == tool) {
                    said.push(format!("{server}/{tool} is on already"));
                    continue;
                }
                if !all.is_empty() && !all.iter().any(|known| known == tool) {
                    output::note(&format!(
                        "note: {server} lists no tool {tool} now; it has {}",
                        base::text::clean(&all.join(", "))
                    ))?;
                }
                list.push((*tool).to_owned());
                said.push(format!("{server}/{tool} is on"));
            }
            Ok(Some(list))
        }
        (Change::Disable, list) => {
            let mut list = match list {
                Some(list) => list.clone(),
                None => known(desk, found, setup).await?,
            };
            for tool in tools {
                let before = list.len();
                list.retain(|known| known != tool);
                match (before == list.len(), &setup.tools) {
                    (false, _) => said.push(format!("{server}/{tool} is off")),
                    (true, Some(_)) => said.push(format!("{server}/{tool} is off already")),
                    (true, None) => bail!(
                        "{server} has no tool {tool}; it has {}. Nothing was changed",
                        base::text::clean(&list.join(", "))
                    ),
                }
            }
            Ok(Some(list))
        }
    }
}

/// All tools of a server: asked of the server, or else as its catalog has them.
async fn known(desk: &Desk<'_>, found: &Found<'_>, setup: &Setup) -> Result<Vec<String>> {
    let entry = found.entry;
    let bare = Setup {
        tools: None,
        ..setup.clone()
    };
    let why = match trial::tools(desk, found, &bare).await {
        Ok(names) => return Ok(names),
        Err(why) => why,
    };
    let server = entry.name.as_str();
    if entry.tools.is_empty() {
        let message = format!(
            "which tools {server} has is not known, so none can be left out. Nothing was changed; list those that may be \
             called as `tools` under [profiles.{}.servers.{server}]",
            desk.profile
        );
        return Err(why.context(message));
    }
    output::note(&format!(
        "note: taken from the catalog, as {server} does not say: {why:#}"
    ))?;
    Ok(entry.tools.iter().map(|tool| tool.name.clone()).collect())
}

fn docker(edit: &mut Edit, change: Change, tools: &[&str], said: &mut Vec<String>) -> Result<()> {
    let mut denied = edit.list_of_texts(&["policy", "deny"])?;
    let before = denied.clone();
    for tool in tools {
        let tool = match *tool {
            ALL => ALL.to_owned(),
            tool => docker_server::describe::canonical(tool).ok_or_else(|| {
                anyhow::anyhow!(
                    "docker has no tool {tool}; `dockmaster tools list --toolset full` lists them. Nothing was changed"
                )
            })?,
        };
        let rule = format!("{DOCKER}/{tool}");
        let is_denied = denied.contains(&rule);
        match change {
            Change::Enable if is_denied => {
                denied.retain(|known| *known != rule);
                said.push(format!("{rule} is on, as far as the policy's preset allows it"));
            }
            Change::Disable if !is_denied => {
                denied.push(rule.clone());
                said.push(format!("{rule} is off: policy.deny names it"));
            }
            Change::Enable => said.push(format!(
                "{rule} is not denied by name; the policy's preset and patterns decide"
            )),
            Change::Disable => said.push(format!("{rule} is off already")),
        }
    }
    if denied != before {
        edit.set_list(&["policy", "deny"], &denied)?;
    }
    Ok(())
}
