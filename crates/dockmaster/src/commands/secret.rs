//! `secret set|list|remove`.

use std::io::{IsTerminal, Read as _};

use anyhow::{Context, Result, bail};
use base::Secret as Value;
use secrets::SecretName;
use serde_json::json;

use crate::cli::Secret;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::{control, keep, output};

/// Does one of them.
pub(crate) async fn run(settings: &Settings, command: Secret) -> Result<Exit> {
    let sources = keep::sources(settings)?;
    match command {
        Secret::Set { name } => {
            let name = SecretName::parse(&name)?;
            let value = value(&name)?;
            let place = sources.set(&name, &value).await?;
            output::line(&format!("stored {name} in {place}"))?;
            match sources.counts(&name).await {
                Ok(Some(first)) if first != place => output::note(&format!(
                    "{first} comes before it in `secrets.sources` and has {name} too: that value counts, not this one"
                ))?,
                Ok(_) => {}
                Err(fault) => output::note(&format!(
                    "whether a source before it has {name} too is not known: {fault}"
                ))?,
            }
            taken_over(settings).await?;
        }
        Secret::List(json) => {
            let listing = sources.list().await;
            if json.json {
                let entries: Vec<_> = listing
                    .entries
                    .iter()
                    .map(|entry| json!({"name": entry.name, "place": entry.place, "hidden": entry.is_hidden}))
                    .collect();
                output::json(&entries)?;
            } else if !listing.entries.is_empty() {
                let rows: Vec<_> = listing
                    .entries
                    .iter()
                    .map(|entry| {
                        let hidden = if entry.is_hidden {
                            "an earlier source has it too"
                        } else {
                            ""
                        };
                        [entry.name.clone(), entry.place.clone(), hidden.to_owned()]
                    })
                    .collect();
                output::line(&output::columns(["SECRET", "WHERE", ""], &rows))?;
            } else if listing.faults.is_empty() {
                output::note("no secret is stored; `dockmaster secret set NAME` stores one")?;
            }
            for fault in &listing.faults {
                output::note(&format!("not asked: {fault}"))?;
            }
            if !listing.faults.is_empty() {
                return Ok(Exit::Failed);
            }
        }
        Secret::Remove { name } => {
            let name = SecretName::parse(&name)?;
            let removed = sources.remove(&name).await?;
            match removed.from {
                Some(place) => output::line(&format!("removed {name} from {place}"))?,
                None if removed.still_in.is_empty() => {
                    bail!("there is no secret {name}; `dockmaster secret list` lists them")
                }
                None => bail!(
                    "{name} was not removed: it is in {}, which {} only read; remove it there",
                    removed.still_in.join(" and "),
                    if removed.still_in.len() == 1 { "is" } else { "are" }
                ),
            }
            for place in &removed.still_in {
                output::note(&format!(
                    "{name} is still in {place}, which is only read; remove it there"
                ))?;
            }
            taken_over(settings).await?;
        }
    }
    Ok(Exit::Done)
}

/// Has the gateways that run plan anew: a server that can do without a secret may have it from now on, or not any more.
async fn taken_over(settings: &Settings) -> Result<()> {
    if control::renew(settings).await?.done > 0 {
        output::note(
            "a server that runs keeps the value that it was started with; `dockmaster server restart NAME` ends that",
        )?;
    }
    Ok(())
}

/// From a person unseen, or from standard input, without the line end behind it.
fn value(name: &SecretName) -> Result<Value> {
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        text =
            output::unseen(&format!("value of {name} (not shown): ")).context("can't read the terminal")?;
    } else {
        let limit = secrets::LONGEST as u64 + 2;
        std::io::stdin()
            .take(limit)
            .read_to_string(&mut text)
            .context("can't read standard input")?;
    }
    let value = output::without_line_end(&text);
    if value.is_empty() {
        bail!("the value is empty; nothing was stored");
    }
    Ok(Value::new(value))
}
