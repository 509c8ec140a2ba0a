//! `server inspect`: what a server is, what it needs, and what it would get.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use base::names::ServerName;
use catalog::plan::{Plan, Target};
use catalog::schema;
use serde::Serialize;
use serde_json::json;

use super::desk::Desk;
use super::{indented, newer};
use crate::cli::{InProfile, Json};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::shelf::Found;
use crate::{fleet, output, registry};

/// What is shown of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// What is known here.
    Known,
    /// The same, and what its registry has.
    Updates,
    /// Exactly what would run.
    Plan,
}

/// Whether a built-in server is.
fn is_switched_on(settings: &Settings, name: &str) -> bool {
    match name {
        "files" => settings.config.files.enabled,
        _ => settings.config.docker.enabled,
    }
}

pub(super) async fn inspect(
    settings: &Settings,
    server: &str,
    shown: Shown,
    profile: &InProfile,
    json: Json,
) -> Result<Exit> {
    let desk = Desk::open(settings, profile)?;
    let found = desk.find(server)?;
    let setup = desk.setup(found.entry.name.as_str());
    let is_on = setup.is_some() || found.is_built_in() && is_switched_on(settings, found.entry.name.as_str());
    let planned = desk.plan(&found, &setup.cloned().unwrap_or_default()).await?;
    if shown == Shown::Plan {
        return match planned {
            Ok(plan) => {
                output::json(&plan)?;
                Ok(Exit::Done)
            }
            Err(lacks) => bail!("there is no plan yet:\n{}", indented(&fleet::list(&lacks))),
        };
    }
    let news = match shown {
        Shown::Updates => news(&desk, &found.entry.name).await?,
        Shown::Known | Shown::Plan => None,
    };
    if json.json {
        let (plan, lacks) = match planned {
            Ok(plan) => (Some(plan), Vec::new()),
            Err(lacks) => (None, lacks),
        };
        output::json(&json!({
            "name": found.entry.name.as_str(),
            "catalog": found.catalog,
            "kind": found.entry.kind_name(),
            "about": found.entry.about,
            "enabled": is_on,
            "setup": setup,
            "secrets": found.entry.secrets,
            "config": found.entry.config.schema,
            "tools": found.entry.tools,
            "plan": plan,
            "lacks": lacks,
            "news": news,
        }))?;
        return Ok(Exit::Done);
    }
    output::line(&told(&found, is_on, &planned))?;
    match (news, shown) {
        (Some(news), _) => output::line(&news.told(&found.entry.name))?,
        (None, Shown::Updates) => output::line(&format!("newest: {}", newer::CAN_NOT_MOVE))?,
        (None, _) => {}
    }
    Ok(Exit::Done)
}

/// What a registry has for an image, or a package.
#[derive(Serialize)]
struct News {
    /// Of an image with the tag.
    name: String,
    /// The digest, or version, that runs.
    pinned: Option<String>,
    /// What the name means now.
    newest: String,
    /// What differs, in words; empty if nothing does.
    changes: Vec<String>,
}

/// `None`: it has nothing that could change.
async fn news(desk: &Desk<'_>, name: &ServerName) -> Result<Option<News>> {
    let registries = registry::client(desk.settings)?;
    let Some(offer) = newer::offer(desk, &registries, name).await? else {
        return Ok(None);
    };
    let changes = if offer.is_no_news() {
        Vec::new()
    } else {
        newer::changes(&desk.store, &registries, &offer).await
    };
    Ok(Some(News {
        name: offer.what,
        pinned: offer.old,
        newest: offer.new,
        changes,
    }))
}

impl News {
    fn told(&self, server: &ServerName) -> String {
        let pinned = self.pinned.as_deref().unwrap_or("not yet");
        if self.pinned.as_ref() == Some(&self.newest) {
            return format!("pinned: {pinned}, the newest of {}", clean(&self.name));
        }
        format!(
            "pinned: {pinned}\nnewest: {}, by the name {}\n{}\ntake it with: dockmaster server update {server}",
            self.newest,
            clean(&self.name),
            indented(&self.changes.join("\n")),
        )
    }
}

fn clean(text: &str) -> String {
    base::text::clean(text).into_owned()
}

fn told(found: &Found<'_>, is_on: bool, planned: &Result<Plan, Vec<catalog::Lack>>) -> String {
    let entry = found.entry;
    let mut text = format!("{} ({}, from {})\n", entry.name, entry.kind_name(), found.catalog);
    if let Some(description) = &entry.about.description {
        _ = writeln!(text, "{}", indented(clean(description).trim()));
    }
    _ = writeln!(text, "switched on: {}", if is_on { "yes" } else { "no" });
    for need in &entry.secrets {
        let required = if need.required { "needed" } else { "optional" };
        let about = need
            .description
            .as_deref()
            .map(|about| format!(": {}", clean(about).replace('\n', " ")))
            .unwrap_or_default();
        _ = writeln!(text, "secret {} ({required}){about}", need.name);
    }
    for key in entry.config.schema.iter().flat_map(schema::keys) {
        _ = writeln!(text, "configuration: {key}");
    }
    if !entry.tools.is_empty() {
        let names: Vec<_> = entry.tools.iter().map(|tool| tool.name.as_str()).collect();
        _ = writeln!(text, "tools: {}", clean(&names.join(", ")));
    }
    match planned {
        Ok(plan) => {
            match &plan.target {
                Target::Container(container) => {
                    _ = writeln!(text, "image: {}", clean(&container.image));
                }
                Target::Remote(remote) => _ = writeln!(text, "url: {}", clean(&remote.url)),
                Target::Process(process) => {
                    _ = writeln!(text, "process: {}", clean(&process.command.join(" ")));
                }
                Target::Tools(tools) => {
                    for tool in tools {
                        _ = writeln!(text, "tool: {} ({})", clean(&tool.name), tool.kind());
                    }
                }
                Target::PerCall(_) | Target::BuiltIn => {}
            }
            if plan.asks_for.is_empty() {
                text.push_str("asks for: nothing beyond the lockdown\n");
            }
            for ask in &plan.asks_for {
                _ = writeln!(text, "asks for: {ask}");
            }
            for note in &plan.notes {
                _ = writeln!(text, "note: {note}");
            }
        }
        Err(lacks) => {
            for lack in lacks {
                _ = writeln!(text, "lacks: {lack}");
            }
        }
    }
    text.pop();
    text
}
