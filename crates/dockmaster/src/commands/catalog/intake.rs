//! Catalogs that come from elsewhere: taken in, and read again; what servers that are switched on would ask for then is
//! agreed to before anything is kept.

use std::path::Path;

use anyhow::{Context, Result, bail};
use catalog::plan::Plan;
use catalog::{Entry, read};
use store::Store;

use crate::commands::agreement::agree;
use crate::commands::images;
use crate::settings::{Edit, Settings};
use crate::shelf::{Found, Imported, OURS, OWN, Shelf, Shelved, catalog_name};
use crate::{control, fleet, output, registry};

/// Most pages of a registry that are read at one import.
const PAGES: usize = 500;

/// Takes in a catalog from a file, a folder, a URL or a registry; whether servers that are switched on are of it.
pub(super) async fn import(
    settings: &Settings,
    store: &Store,
    source: &str,
    name: Option<&str>,
    yes: bool,
) -> Result<bool> {
    let shelf = Shelf::open(settings, store)?;
    let arrival = Arrival::fetch(settings, store, &shelf, source, name).await?;
    let otherwise = format!("the catalog {} was not taken in", arrival.name);
    let change = &arrival.change;
    agree("what is switched on", &change.asks, yes, &otherwise)?;
    change.prepare(settings, store, &otherwise).await?;
    arrival.keep(settings, store, &shelf)?;
    Ok(arrival.change.reaches)
}

/// A catalog that was read and is not kept yet.
pub(crate) struct Arrival {
    pub(crate) name: String,
    pub(crate) imported: Imported,
    pub(crate) catalog: read::Catalog,
    pub(crate) change: Change,
}

impl Arrival {
    /// Reads one. Its name is the given one, its own, or that of where it is.
    ///
    /// # Errors
    /// It can't be read, no server of it can, or there is one of its name.
    pub(crate) async fn fetch(
        settings: &Settings,
        store: &Store,
        shelf: &Shelf,
        source: &str,
        name: Option<&str>,
    ) -> Result<Self> {
        let imported = fetch_catalog(settings, source).await?;
        let catalog = imported.read()?;
        let proposal = name
            .map(str::to_owned)
            .or_else(|| catalog.name.clone())
            .unwrap_or_else(|| stem(source));
        let name = catalog_name(&proposal)?;
        if Imported::kept(store, &name)?.is_some() {
            bail!(
                "there is a catalog {name} already; `dockmaster catalog update {name}` reads it again, --name keeps both"
            );
        }
        if catalog.entries.is_empty() {
            match catalog.faults.first() {
                Some(fault) => bail!("no server in {source} can be read; the first: {fault}"),
                None => bail!("there is no server in {source}"),
            }
        }
        let change = Change::of(settings, store, shelf, &name, None, &catalog)?;
        Ok(Self {
            name,
            imported,
            catalog,
            change,
        })
    }

    /// Keeps it; `before` has what was there before.
    pub(crate) fn keep(&self, settings: &Settings, store: &Store, before: &Shelf) -> Result<()> {
        let Self { name, catalog, .. } = self;
        let mut edit = settings.edit()?;
        pin_those_on(settings, before, &mut edit, |server| {
            catalog.get(server).is_some()
        })?;
        edit.save()?;
        self.imported.keep(store, name)?;
        let servers = catalog.entries.len();
        let plural = if servers == 1 { "" } else { "s" };
        output::line(&format!("imported {name}: {servers} server{plural}"))?;
        for fault in &catalog.faults {
            output::note(&format!("left out: {fault}"))?;
        }
        let is_known = |entry: &&Entry| before.find(entry.name.as_str()).is_ok();
        let hidden: Vec<_> = catalog
            .entries
            .iter()
            .filter(is_known)
            .map(|entry| entry.name.as_str())
            .collect();
        if !hidden.is_empty() {
            let shown = hidden.iter().take(8).copied().collect::<Vec<_>>().join(", ");
            let more = if hidden.len() > 8 { ", …" } else { "" };
            output::note(&format!(
                "{} of them have names that other catalogs have too ({shown}{more}); write {name}/NAME for those of this one",
                hidden.len()
            ))?;
        }
        Ok(())
    }
}

/// The last part of a path or URL, without its extension; of `weather/server.json` the part before, as every one is
/// called so.
fn stem(source: &str) -> String {
    let source = source.split(['?', '#']).next().unwrap_or(source);
    let source = source.trim_end_matches('/');
    let own = ["/server.json", "/server.yaml"];
    let folder = own.iter().find_map(|name| source.strip_suffix(name));
    let source = folder.unwrap_or(source);
    let last = source.rsplit('/').next().unwrap_or(source);
    last.split(['.', ':', '@']).next().unwrap_or(last).to_owned()
}

async fn fetch_catalog(settings: &Settings, source: &str) -> Result<Imported> {
    if let Some(reference) = registry::reference(source) {
        let kinds = [oci::media::MCP_CATALOG];
        let (text, _) = registry::pull(settings, &reference?, &kinds).await?;
        return Ok(Imported::from_text(source.to_owned(), text));
    }
    if !source.starts_with("https://") && !source.starts_with("http://") {
        let path = Path::new(source);
        return Imported::from_path(path).with_context(|| format!("can't read {source}"));
    }
    // It may be on a private network, as it is the user who names it.
    let client = fetch::Client::new(fetch::Options {
        user_agent: concat!("dockmaster/", env!("CARGO_PKG_VERSION")).to_owned(),
        addresses: fetch::Addresses::Private,
        plain: fetch::Plain::Loopback,
        ..fetch::Options::default()
    });
    let get = async |url: &str| -> Result<String> {
        let request = fetch::Request::get(url)?;
        Ok(client.send(request).await?.success().await?.text().await?)
    };
    let text = get(source).await?;
    let mut next = read::registry(&text).ok().and_then(|page| page.next);
    let mut imported = Imported::from_text(source.to_owned(), text);
    let mut pages = 1;
    while let Some(cursor) = next {
        if pages == PAGES {
            bail!("{source} goes on after {PAGES} pages; nothing was imported");
        }
        let joint = if source.contains('?') { '&' } else { '?' };
        let text = get(&format!("{source}{joint}cursor={}", encoded(&cursor))).await?;
        next = read::registry(&text)
            .map_err(|bad| anyhow::anyhow!("page {pages} of {source}: {bad}"))?
            .next;
        imported.push(text);
        pages += 1;
    }
    Ok(imported)
}

fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes()
        .map(|byte| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

pub(super) async fn update(
    settings: &Settings,
    store: &Store,
    wanted: Option<&str>,
    yes: bool,
) -> Result<()> {
    let shelf = Shelf::open(settings, store)?;
    let imported: Vec<_> = shelf
        .catalogs
        .iter()
        .filter(|shelved| ![OURS, OWN].contains(&shelved.name.as_str()))
        .filter(|shelved| wanted.is_none_or(|wanted| wanted == shelved.name))
        .collect();
    if let (Some(wanted), true) = (wanted, imported.is_empty()) {
        bail!("there is no imported catalog {wanted:?}; `dockmaster catalog list` lists them");
    }
    if imported.is_empty() {
        output::note("no catalog was taken in from elsewhere; `dockmaster catalog import` does that")?;
    }
    let mut reached = false;
    let mut failed = None;
    for shelved in imported {
        match update_one(settings, store, &shelf, shelved, yes).await {
            Ok(of_those_on) => reached |= of_those_on,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    // Those before the one that failed are taken over, and the gateways have to know.
    if reached {
        control::renew(settings).await?;
    }
    failed.map_or(Ok(()), Err)
}

/// Reads one again; whether switched-on servers are of it.
async fn update_one(
    settings: &Settings,
    store: &Store,
    shelf: &Shelf,
    shelved: &Shelved,
    yes: bool,
) -> Result<bool> {
    let name = &shelved.name;
    let stays = format!("the catalog {name} stays as it is");
    let fresh = fetch_catalog(settings, &shelved.source)
        .await
        .with_context(|| stays.clone())?;
    let (before, after) = (&*shelved.catalog, fresh.read()?);
    let mut changes = Vec::new();
    for entry in &after.entries {
        match before.get(entry.name.as_str()) {
            None => changes.push(format!("+ {}", entry.name)),
            Some(old) if old != entry => {
                changes.push(format!("~ {}{}", entry.name, mark(settings, entry)));
                let details = catalog::changes(old, entry);
                changes.extend(details.into_iter().map(|line| format!("    {line}")));
            }
            Some(_) => {}
        }
    }
    let goes = |server: &str| before.get(server).is_some() && after.get(server).is_none();
    for entry in &before.entries {
        if goes(entry.name.as_str()) {
            changes.push(format!("- {}{}", entry.name, mark(settings, entry)));
        }
    }
    let count = changes.iter().filter(|line| !line.starts_with(' ')).count();
    output::line(&format!("{name}: {count} changes"))?;
    for change in changes {
        output::line(&format!("  {change}"))?;
    }
    let change = Change::of(settings, store, shelf, name, Some(before), &after)?;
    agree("what is switched on", &change.asks, yes, &stays)?;
    change.prepare(settings, store, &stays).await?;
    // One that is gone here must not become another catalog's of its name.
    let mut edit = settings.edit()?;
    pin_those_on(settings, shelf, &mut edit, goes)?;
    edit.save()?;
    fresh.keep(store, name)?;
    Ok(change.reaches)
}

/// What it means for servers that are switched on that a catalog comes, or says something else.
pub(crate) struct Change {
    /// What they would ask for beyond what they ask for now.
    pub(crate) asks: Vec<String>,
    /// Those that would run another image.
    wanted: Vec<Plan>,
    /// There are any.
    pub(crate) reaches: bool,
}

impl Change {
    fn of(
        settings: &Settings,
        store: &Store,
        shelf: &Shelf,
        name: &str,
        before: Option<&read::Catalog>,
        after: &read::Catalog,
    ) -> Result<Self> {
        let mut around = fleet::around(settings, store, "")?;
        let mut change = Self {
            asks: Vec::new(),
            wanted: Vec::new(),
            reaches: false,
        };
        for entry in &after.entries {
            let old = before.and_then(|before| before.get(entry.name.as_str()));
            if old == Some(entry) {
                continue;
            }
            for enabled in fleet::enabled(settings).filter(|enabled| *enabled.name == entry.name) {
                // A name may mean the entry of another catalog; then this one does not run.
                let is_meant = match shelf.meant(enabled.name, enabled.setup) {
                    Ok(found) => found.catalog == name,
                    Err(_) => enabled
                        .setup
                        .catalog
                        .as_ref()
                        .is_none_or(|catalog| catalog.as_str() == name),
                };
                if !is_meant {
                    continue;
                }
                enabled.profile.clone_into(&mut around.profile);
                let plan = |entry| Found { catalog: name, entry }.plan(enabled.setup, &around).ok();
                let plans = Plans {
                    before: old.and_then(plan),
                    now: plan(entry),
                };
                change.asks.extend(plans.further_asks());
                change.wanted.extend(plans.other_images());
                change.reaches = true;
            }
        }
        // Two profiles may ask for the same.
        change.asks.sort();
        change.asks.dedup();
        Ok(change)
    }

    /// Makes sure of the images of those that would run another one: what they ran until now still runs if this fails.
    pub(crate) async fn prepare(&self, settings: &Settings, store: &Store, otherwise: &str) -> Result<()> {
        for plan in &self.wanted {
            images::prepare(settings, store, plan).await.with_context(|| {
                format!(
                    "{otherwise}; `dockmaster server disable {}` leaves that server out of it",
                    plan.server
                )
            })?;
        }
        Ok(())
    }
}

/// Writes down for servers that are switched on which imported catalog they are of, where `comes` says that their name
/// is about to mean something else too.
pub(crate) fn pin_those_on(
    settings: &Settings,
    shelf: &Shelf,
    edit: &mut Edit,
    comes: impl Fn(&str) -> bool,
) -> Result<()> {
    for enabled in fleet::enabled(settings) {
        let mut setup = enabled.setup.clone();
        if setup.catalog.is_none()
            && comes(enabled.name.as_str())
            && let Ok(found) = shelf.meant(enabled.name, &setup)
        {
            found.pin(&mut setup)?;
            if let Some(catalog) = &setup.catalog {
                let path = [
                    "profiles",
                    enabled.profile,
                    "servers",
                    enabled.name.as_str(),
                    "catalog",
                ];
                edit.set(&path, catalog.as_str())?;
            }
        }
    }
    Ok(())
}

fn mark(settings: &Settings, entry: &Entry) -> &'static str {
    if fleet::enabled(settings).any(|enabled| *enabled.name == entry.name) {
        " (is switched on)"
    } else {
        ""
    }
}

/// What a switched-on server would run before a change of its catalog and after it, where it can run at all.
struct Plans {
    before: Option<Plan>,
    now: Option<Plan>,
}

impl Plans {
    /// What it would ask for that it did not ask for before.
    fn further_asks(&self) -> impl Iterator<Item = String> {
        let known = self.before.as_ref().map(|plan| plan.asks_for.as_slice());
        let now = self.now.iter();
        now.flat_map(|plan| plan.asks_for.iter().map(move |ask| (plan, ask)))
            .filter(move |(_, ask)| !known.unwrap_or_default().contains(ask))
            .map(|(plan, ask)| format!("{}: {ask}", plan.server))
    }

    /// The new plan, if it runs other images than the one before.
    fn other_images(self) -> Option<Plan> {
        let Self { before, now } = self;
        now.filter(|now| before.is_none_or(|before| images::differ(&before, now)))
    }
}
