//! `server update`: newer images of switched-on servers, by what their tags mean at their registries now, and newer versions
//! of packages that name none.

use anyhow::{Result, bail};

use super::desk::Desk;
use super::indented;
use super::newer::{CAN_NOT_MOVE, Offer, changes, offer};
use crate::cli::InProfile;
use crate::commands::images;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::{control, output, registry};

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
            Ok(None) => output::line(&format!("{name}: {CAN_NOT_MOVE}"))?,
            Ok(Some(offer)) if offer.is_no_news() => {
                output::line(&format!("{name}: {} is the newest ({})", offer.what, offer.new))?;
            }
            Ok(Some(offer)) => {
                let old = offer.old.as_deref().unwrap_or("not pinned");
                output::line(&format!(
                    "{name}: {}\n  old: {old}\n  new: {}",
                    offer.what, offer.new
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

/// Fetches or makes it where its server is placed, checked as any image is, and pins it.
async fn take(settings: &Settings, desk: &Desk<'_>, offer: &Offer) -> Result<()> {
    images::on_engine_of(settings, &desk.store, &offer.plan, async |instances| {
        Ok(images::get(&instances, &offer.server, &offer.taken()).await?)
    })
    .await?;
    offer.keep(&desk.store)?;
    let server = &offer.server;
    output::line(&format!(
        "  taken; `dockmaster server test {server}` says whether it works, and tools that have changed wait for \
         `dockmaster server approve {server}`"
    ))?;
    Ok(())
}
