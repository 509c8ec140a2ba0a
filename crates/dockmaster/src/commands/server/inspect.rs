//! `server inspect`: what a server is, what it needs, and what it would get.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use catalog::plan::{Plan, Target};
use catalog::schema;
use serde_json::json;

use super::desk::Desk;
use super::indented;
use crate::cli::{InProfile, Json};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::shelf::Found;
use crate::{fleet, output};

pub(super) async fn inspect(
    settings: &Settings,
    server: &str,
    plan: bool,
    profile: &InProfile,
    json: Json,
) -> Result<Exit> {
    let desk = Desk::open(settings, profile)?;
    let found = desk.shelf.find(server)?;
    let setup = desk.setup(found.entry.name.as_str());
    let planned = desk
        .plan(found.entry, &setup.cloned().unwrap_or_default())
        .await?;
    if plan {
        return match planned {
            Ok(plan) => {
                output::json(&plan)?;
                Ok(Exit::Done)
            }
            Err(lacks) => bail!("there is no plan yet:\n{}", indented(&fleet::list(&lacks))),
        };
    }
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
            "enabled": setup.is_some(),
            "setup": setup,
            "secrets": found.entry.secrets,
            "config": found.entry.config.schema,
            "tools": found.entry.tools,
            "plan": plan,
            "lacks": lacks,
        }))?;
        return Ok(Exit::Done);
    }
    output::line(&told(&found, setup.is_some(), &planned))?;
    Ok(Exit::Done)
}

fn told(found: &Found<'_>, is_on: bool, planned: &Result<Plan, Vec<catalog::Lack>>) -> String {
    let entry = found.entry;
    let clean = |text: &str| base::text::clean(text).into_owned();
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
            .map(clean)
            .unwrap_or_default()
            .replace('\n', " ");
        _ = writeln!(text, "secret {} ({required}): {about}", need.name);
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
