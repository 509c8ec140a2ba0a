//! `server update`: newer images of switched-on servers, by what their tags mean at their registries now.

use anyhow::{Context, Result, bail};
use base::KnownSecrets;

use super::desk::Desk;
use super::indented;
use super::newer::{Offer, changes, offer};
use crate::cli::InProfile;
use crate::commands::images;
use crate::exit::Exit;
use crate::fleet::{Fleet, PIN};
use crate::settings::Settings;
use crate::{assemble, control, output, registry};

/// Takes newer images, after a yes for each.
pub(super) async fn update(
    settings: &Settings,
    servers: &[String],
    yes: bool,
    profile: &InProfile,
) -> Result<Exit> {
    let desk = Desk::open(settings, profile)?;
    let registries = registry::client(settings)?;
    let on = desk.names();
    if let Some(unknown) = servers
        .iter()
        .find(|server| !on.iter().any(|name| name.as_str() == *server))
    {
        bail!("{unknown} is not switched on in the profile {}", desk.profile);
    }
    if on.is_empty() {
        output::note(&format!(
            "nothing is switched on in the profile {}; `dockmaster server enable SERVER` before",
            desk.profile
        ))?;
    }
    let mut failed = false;
    let mut refused = false;
    let mut taken = false;
    let mut broken = None;
    for name in on {
        if !servers.is_empty() && !servers.iter().any(|server| server == name.as_str()) {
            continue;
        }
        match offer(&desk, &registries, name).await {
            Ok(None) => output::line(&format!("{name}: it has no image with a tag that could move"))?,
            Ok(Some(offer)) if offer.is_no_news() => {
                output::line(&format!("{name}: {} is the newest ({})", offer.image, offer.new))?;
            }
            Ok(Some(offer)) => {
                let old = offer.old.as_deref().unwrap_or("not pinned");
                output::line(&format!(
                    "{name}: {}\n  old: {old}\n  new: {}",
                    offer.image, offer.new
                ))?;
                let changes = changes(&desk.store, &registries, &offer).await;
                output::line(&indented(&changes.join("\n")))?;
                let agreed = if yes {
                    Some(true)
                } else {
                    output::agree("Take it?")?
                };
                match agreed {
                    Some(true) => {
                        // Those before this one run newer images already, and the gateways have to know.
                        if let Err(error) = take(settings, &desk, &offer).await {
                            broken = Some(error);
                            break;
                        }
                        taken = true;
                    }
                    Some(false) => refused = true,
                    None => {
                        output::note("hint: here is no terminal to ask at; --yes takes what is newer")?;
                        refused = true;
                    }
                }
            }
            Err(error) => {
                output::note(&format!("{name}: {error:#}"))?;
                failed = true;
            }
        }
    }
    if taken {
        control::renew(settings).await?;
    }
    if let Some(error) = broken {
        return Err(error);
    }
    Ok(match (failed, refused) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Refused,
        (false, false) => Exit::Done,
    })
}

/// Fetches it, checked as any image is, and pins it.
async fn take(settings: &Settings, desk: &Desk<'_>, offer: &Offer) -> Result<()> {
    let (engine, _) = assemble::engine(settings)?;
    let fleet = Fleet::open(settings, Some(&engine), &desk.store, KnownSecrets::default())?;
    let instances = fleet.runner().context("there is no engine")?;
    let fetched = images::get(&instances, &offer.server, &offer.taken()).await;
    fleet.close(assemble::SHUTDOWN).await;
    fetched?;
    desk.store.documents().put(PIN, &offer.image, &offer.new)?;
    let server = &offer.server;
    output::line(&format!(
        "  taken; `dockmaster server test {server}` says whether it works, and tools that have changed wait for \
         `dockmaster server approve {server}`"
    ))?;
    Ok(())
}
