//! `server update`: newer images of switched-on servers, by what their tags mean at their registries now.

use anyhow::{Context, Result, bail};
use base::KnownSecrets;
use base::names::{ImageRef, ServerName};
use catalog::plan::{Container, Plan, Target};
use oci::{Reference, Registries};

use super::desk::Desk;
use crate::cli::InProfile;
use crate::exit::Exit;
use crate::fleet::{Fleet, PIN};
use crate::settings::Settings;
use crate::{assemble, control, output, registry};

/// A server with the image that it is pinned to, and what the tag means now.
struct Offer {
    plan: Plan,
    container: Container,
    /// As the catalog or the user names it: with a tag and without a digest.
    image: String,
    old: Option<String>,
    new: String,
}

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
    let mut failed = false;
    let mut refused = false;
    let mut taken = false;
    for name in on {
        let is_named = servers.iter().any(|server| server == name.as_str());
        if !servers.is_empty() && !is_named {
            continue;
        }
        match offer(&desk, &registries, name).await {
            Ok(None) if is_named => output::line(&format!("{name}: its image has no tag that could move"))?,
            Ok(None) => {}
            Ok(Some(offer)) if offer.old.as_ref() == Some(&offer.new) => {
                output::line(&format!("{name}: {} is the newest ({})", offer.image, offer.new))?;
            }
            Ok(Some(offer)) => {
                let old = offer.old.as_deref().unwrap_or("not pinned");
                output::line(&format!(
                    "{name}: {}\n  old: {old}\n  new: {}",
                    offer.image, offer.new
                ))?;
                let agreed = if yes {
                    Some(true)
                } else {
                    output::agree("Take it?")?
                };
                match agreed {
                    Some(true) => {
                        take(settings, &desk, &offer).await?;
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
    Ok(match (failed, refused) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Refused,
        (false, false) => Exit::Done,
    })
}

/// What the registry has for a server; `None` if it is no container, or of an image that can't change.
async fn offer(desk: &Desk<'_>, registries: &Registries, name: &ServerName) -> Result<Option<Offer>> {
    let found = desk.shelf.find(name.as_str())?;
    let setup = desk.setup(name.as_str()).cloned().unwrap_or_default();
    let planned = desk.plan(found.entry, &setup).await?;
    let Ok(plan) = planned else {
        // What lacks is told by `server list`; the image of the entry may be looked at another time.
        return Ok(None);
    };
    let Target::Container(container) = &plan.target else {
        return Ok(None);
    };
    if container.build.is_some() {
        return Ok(None);
    }
    let pins = desk.store.documents();
    let image = container.image.split('@').next().unwrap_or_default().to_owned();
    let old = pins.get(PIN, &image)?.map(|pin| pin.text);
    if container.image.contains('@') && old.is_none() || ImageRef::parse(&image)?.is_id() {
        return Ok(None);
    }
    let tag = Reference::parse(&image)?;
    let now = registries.resolve(&tag).await?;
    let now = now.with_context(|| format!("the registry has no {image} any more"))?;
    Ok(Some(Offer {
        container: container.clone(),
        image,
        old,
        new: now.digest.to_string(),
        plan,
    }))
}

/// Fetches it, checked as any image is, and pins it.
async fn take(settings: &Settings, desk: &Desk<'_>, offer: &Offer) -> Result<()> {
    let (engine, _) = assemble::engine(settings)?;
    let fleet = Fleet::open(settings, Some(&engine), &desk.store, KnownSecrets::default())?;
    let wanted = Container {
        image: format!("{}@{}", offer.image, offer.new),
        ..offer.container.clone()
    };
    let instances = fleet.runner().context("there is no engine")?;
    let fetched = instances.image(&offer.plan.server, &wanted, None).await;
    fleet.close(assemble::SHUTDOWN).await;
    fetched?;
    desk.store.documents().put(PIN, &offer.image, &offer.new)?;
    let server = &offer.plan.server;
    output::line(&format!(
        "  taken; `dockmaster server test {server}` says whether it works, and tools that have changed wait for \
         `dockmaster server approve {server}`"
    ))?;
    Ok(())
}
