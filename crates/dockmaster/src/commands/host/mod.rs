//! `host add|list|show|test|edit|remove`.

mod bridge;
pub(crate) mod states;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use base::names::HostName;
use catalog::Place;
use engine::Endpoint;
use engine::discover::Found;
use engine::guard::Root;
use hosts::Hosts;
use serde_json::json;
use toml_edit::{Array, InlineTable, Value};

use crate::bridges::states::Whom;
use crate::bridges::{self, Record};
use crate::cli::{HostCommand, Wanted};
use crate::exit::{Exit, Failure};
use crate::settings::{Edit, Host, LOCAL, Settings, is_label};
use crate::{control, doctor, engines, fleet, output, remote};

/// How long a host may take to say how it does, connecting included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does one of them.
pub(crate) async fn run(settings: &Settings, command: HostCommand) -> Result<Exit> {
    match command {
        HostCommand::Add {
            name,
            endpoint,
            wanted,
            untested,
            json,
        } => add(settings, &name, endpoint, wanted, untested, json.json).await,
        HostCommand::List(json) => list(settings, json.json).await,
        HostCommand::Show { name, json } => show(settings, &name, json.json).await,
        HostCommand::Test { name, json } => test(settings, &name, json.json).await,
        HostCommand::Edit {
            name,
            endpoint,
            wanted,
            no_label,
            no_root,
        } => {
            let change = Change {
                endpoint,
                wanted,
                no_label,
                no_root,
            };
            edit(settings, &name, &change).await
        }
        HostCommand::Remove { name, yes } => remove(settings, &name, yes).await,
        HostCommand::Install {
            name,
            executable,
            socket,
        } => bridge::install(settings, &name, executable, socket).await,
        HostCommand::Upgrade { name, executable } => bridge::upgrade(settings, &name, executable).await,
        HostCommand::Uninstall { name, forget } => bridge::uninstall(settings, &name, forget).await,
    }
}

/// What is to be different about a host.
#[derive(Default)]
struct Change {
    endpoint: Option<String>,
    wanted: Wanted,
    no_label: Vec<String>,
    no_root: Vec<std::path::PathBuf>,
}

async fn add(
    settings: &Settings,
    name: &str,
    endpoint: Option<String>,
    wanted: Wanted,
    untested: bool,
    json: bool,
) -> Result<Exit> {
    let name = HostName::parse(name)?;
    let name = name.as_str();
    if let Some(host) = settings.config.hosts.get(name) {
        if name == LOCAL {
            bail!("{LOCAL} is always there; `dockmaster host edit {LOCAL}` changes it");
        }
        let place = place_of(host);
        bail!("there is a host {name} already ({place}); `dockmaster host edit {name}` changes it");
    }
    let endpoint = match (endpoint, &wanted.context) {
        (None, None) => Some(from_ssh_config(settings, name)?),
        (endpoint, _) => endpoint,
    };
    let change = Change {
        endpoint,
        wanted,
        ..Change::default()
    };
    let mut edit = settings.edit()?;
    edit.table(&["hosts", name])?;
    change.write(settings, name, &Host::default(), &mut edit)?;
    let then = edit.then(settings)?;
    // An address that is none, or a context that is not there, is an error before anything is tried.
    let (_, found) = engines::of(&then, name)?;
    let mut checks = Vec::new();
    if !untested {
        checks = doctor::of_host(&then, name).await;
        if doctor::has_fault(&checks) {
            tell(name, &found, &checks, json, false)?;
            let message = format!("{name} was not added; `--untested` adds it without trying the connection");
            return Err(Failure::new(Exit::Failed, message).into());
        }
    }
    edit.save()?;
    tell(name, &found, &checks, json, true)?;
    warn_of_roots(&then, name, &found)?;
    control::renew(settings).await?;
    Ok(Exit::Done)
}

fn tell(name: &str, found: &Found, checks: &[doctor::Check], json: bool, added: bool) -> Result<()> {
    if json {
        let endpoint = found.endpoint.to_string();
        return Ok(output::json(
            &json!({"name": name, "endpoint": endpoint, "added": added, "checks": checks}),
        )?);
    }
    for check in checks {
        output::line(&doctor::shown(check))?;
    }
    if added {
        output::line(&format!("added {name}: {}", found.endpoint))?;
    }
    Ok(())
}

/// The address of a host that is called as in `ssh_config`.
fn from_ssh_config(settings: &Settings, name: &str) -> Result<String> {
    if remote::ssh_config_knows(settings, name)? {
        return Ok(format!("ssh://{name}"));
    }
    let context = format!("`dockmaster host add {name} --context {name}`");
    bail!(
        "where is it? ~/.ssh/config has no Host {name}; say so in an address (`dockmaster host add {name} ssh://user@{name}`), \
         or with a context of the docker CLI ({context})"
    )
}

/// Where a host is, as the configuration says it.
fn place_of(host: &Host) -> String {
    match (&host.endpoint, &host.context) {
        (Some(endpoint), _) => base::redact::text(endpoint).into_owned(),
        (None, Some(context)) => format!("context {context}"),
        (None, None) => "found".to_owned(),
    }
}

/// Asks all of them side by side.
async fn list(settings: &Settings, json: bool) -> Result<Exit> {
    let hosts = engines::hosts(settings, None, &Hosts::default(), &|_| false);
    let (states, bridges) = tokio::join!(
        hosts.states(in_order(&hosts), PATIENCE),
        bridges::states::all(settings, &hosts, Whom::All, PATIENCE)
    );
    if json {
        let with_bridge = states.iter().map(|state| -> Result<_> {
            let mut row = serde_json::to_value(state)?;
            let bridge = bridges.iter().find(|bridge| row["name"] == bridge.host);
            if let (Some(bridge), Some(row)) = (bridge, row.as_object_mut()) {
                row.insert("bridge".to_owned(), serde_json::to_value(bridge)?);
            }
            Ok(row)
        });
        output::json(&with_bridge.collect::<Result<Vec<_>>>()?)?;
    } else {
        output::line(&states::table(&states))?;
        for bridge in bridges {
            output::line(&bridge.line())?;
        }
    }
    Ok(Exit::Done)
}

/// All hosts, the one at hand first.
pub(crate) fn in_order(hosts: &Hosts) -> Vec<Arc<hosts::Host>> {
    let mut all: Vec<_> = hosts.all().cloned().collect();
    all.sort_by_key(|host| host.name().as_str() != LOCAL);
    all
}

async fn show(settings: &Settings, name: &str, json: bool) -> Result<Exit> {
    let host = engines::known(settings, name)?;
    let found = engines::find(settings, name);
    let (endpoint, origin) = match &found {
        Ok(found) => (found.endpoint.to_string(), found.origin.to_string()),
        Err(error) => (place_of(host), format!("{error:#}")),
    };
    let table = crate::settings::table::dotted(&["hosts", name]) + ".";
    let written: Vec<_> = settings
        .shown()
        .into_iter()
        .filter(|shown| shown.key.starts_with(&table))
        .filter(|shown| matches!(shown.origin, crate::settings::Origin::File { .. }))
        .collect();
    let bridge = match Record::read(settings, name)? {
        Some(_) => {
            let hosts = engines::hosts(settings, None, &Hosts::default(), &|_| false);
            bridges::states::of(settings, &hosts, name, Whom::All, PATIENCE).await
        }
        None => None,
    };
    if json {
        output::json(&json!({
            "name": name, "endpoint": endpoint, "origin": origin, "ssh": host.ssh, "mode": host.mode,
            "labels": host.labels, "servers": users(settings, name), "may_run": candidates(settings, host), "settings": written, "bridge": bridge,
        }))?;
        return Ok(Exit::Done);
    }
    output::line(&format!("{name}: {endpoint} ({origin})\nmode {}", host.mode))?;
    if !host.labels.is_empty() {
        output::line(&format!("labels {}", host.labels.join(" ")))?;
    }
    if let Some(bridge) = bridge {
        output::line(&bridge.line())?;
    }
    let users = users(settings, name);
    if !users.is_empty() {
        output::line(&format!("runs {}", users.join(", ")))?;
    }
    let candidates = candidates(settings, host);
    if !candidates.is_empty() {
        output::line(&format!("may run {}", candidates.join(", ")))?;
    }
    for shown in written {
        output::line(&format!("  {} = {}  # {}", shown.key, shown.value, shown.origin))?;
    }
    Ok(Exit::Done)
}

async fn test(settings: &Settings, name: &str, json: bool) -> Result<Exit> {
    engines::known(settings, name)?;
    let mut checks = doctor::of_host(settings, name).await;
    let hosts = engines::hosts(settings, None, &Hosts::default(), &|_| false);
    if let Some(told) = bridges::states::of(settings, &hosts, name, Whom::All, PATIENCE).await {
        checks.push(doctor::of_bridge(&told));
    }
    if json {
        output::json(&checks)?;
    } else {
        for check in &checks {
            output::line(&doctor::shown(check))?;
        }
    }
    Ok(if doctor::has_fault(&checks) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

async fn edit(settings: &Settings, name: &str, change: &Change) -> Result<Exit> {
    let host = engines::known(settings, name)?;
    let mut edit = settings.edit()?;
    change.write(settings, name, host, &mut edit)?;
    let then = edit.then(settings)?;
    let (_, found) = engines::of(&then, name)?;
    if !edit.save()? {
        output::note("nothing was to be changed")?;
        return Ok(Exit::Done);
    }
    output::line(&format!("changed {name}: {}", found.endpoint))?;
    if !change.wanted.root.is_empty() {
        warn_of_roots(&then, name, &found)?;
    }
    control::renew(settings).await?;
    Ok(Exit::Done)
}

async fn remove(settings: &Settings, name: &str, yes: bool) -> Result<Exit> {
    engines::known(settings, name)?;
    if name == LOCAL {
        bail!("{LOCAL} can't be removed: it is the engine that is there without any configuration");
    }
    if Record::read(settings, name)?.is_some() && !yes {
        bail!(
            "there is a bridge on {name}; take it away before (`dockmaster host uninstall {name}`), or remove the host all the \
             same with --yes: the bridge goes on over there, and nobody here reaches it"
        );
    }
    let users = users(settings, name);
    if !users.is_empty() && !yes {
        bail!(
            "servers are placed on {name}: {}; place them elsewhere before (`dockmaster server enable SERVER --host {LOCAL}`), or \
             remove it all the same with --yes: they can't run then",
            users.join(", ")
        );
    }
    let mut edit = settings.edit()?;
    edit.remove(&["hosts", name]);
    edit.save()?;
    output::line(&format!("removed {name}; what runs there was left as it is"))?;
    control::renew(settings).await?;
    Ok(Exit::Done)
}

/// The servers that are placed on a host: `memory (profile work)`.
fn users(settings: &Settings, name: &str) -> Vec<String> {
    let placed = fleet::enabled(settings).filter(|enabled| is_placed_on(enabled, name));
    placed
        .map(|enabled| format!("{} (profile {})", enabled.name, enabled.profile))
        .collect()
}

/// The servers that are placed by a label that this host has, or wherever there is memory.
fn candidates(settings: &Settings, host: &Host) -> Vec<String> {
    let fitting = fleet::enabled(settings).filter(|enabled| match &enabled.setup.host {
        Some(Place::Where(wish)) => wish.is_for(&host.labels),
        _ => false,
    });
    fitting
        .map(|enabled| format!("{} (profile {})", enabled.name, enabled.profile))
        .collect()
}

fn is_placed_on(enabled: &fleet::Enabled<'_>, name: &str) -> bool {
    matches!(&enabled.setup.host, Some(Place::On(host)) if host.as_str() == name)
}

/// Links over there can't be followed from here, so roots are of use only to who takes paths as they are spelled.
fn warn_of_roots(settings: &Settings, name: &str, found: &Found) -> Result<()> {
    let host = engines::known(settings, name)?;
    let is_remote = !matches!(found.endpoint, Endpoint::Unix(_));
    if is_remote && !host.guard.roots.is_empty() && host.guard.symlinks != engine::guard::Symlinks::Lexical {
        let table = crate::settings::table::dotted(&["hosts", name, "guard"]);
        output::note(&format!(
            "links over there can't be followed from here, so mounts below its roots are refused unless [{table}] has \
             symlinks = \"lexical\", which takes paths as they are spelled; see docs/guard.md"
        ))?;
    }
    Ok(())
}

impl Change {
    /// Writes it into the table of a host that is `before` now.
    fn write(&self, settings: &Settings, name: &str, before: &Host, edit: &mut Edit) -> Result<()> {
        let key = |key: &'static str| ["hosts", name, key];
        let wanted = &self.wanted;
        if let Some(endpoint) = &self.endpoint {
            edit.remove(&key("context"));
            edit.set(&key("endpoint"), address(name, endpoint)?)?;
        }
        if let Some(context) = &wanted.context {
            edit.remove(&key("endpoint"));
            edit.remove(&key("certificates"));
            edit.set(&key("context"), context.as_str())?;
        }
        if let Some(folder) = &wanted.certificates {
            edit.set(&key("certificates"), path_text(folder)?)?;
        }
        if let Some(ssh) = wanted.ssh {
            let word = serde_json::to_value(ssh)?;
            edit.set(&key("ssh"), word.as_str().unwrap_or_default())?;
        }
        if let Some(mode) = wanted.mode {
            edit.set(&key("mode"), mode.as_str())?;
        }
        self.labels(name, before, edit)?;
        if let Some(file) = &wanted.guard_file {
            edit.set(&key("guard_file"), path_text(file)?)?;
        }
        self.roots(settings, name, before, edit)
    }

    fn labels(&self, name: &str, before: &Host, edit: &mut Edit) -> Result<()> {
        let wanted = &self.wanted.label;
        for label in wanted {
            if !is_label(label) {
                bail!("{label:?} is no label; write a word such as gpu, or name=value such as zone=eu");
            }
        }
        for label in &self.no_label {
            if !before.labels.contains(label) {
                bail!(
                    "{name} has no label {label:?}; it has: {}",
                    before.labels.join(", ")
                );
            }
        }
        if wanted.is_empty() && self.no_label.is_empty() {
            return Ok(());
        }
        let mut labels = before.labels.clone();
        labels.retain(|label| !self.no_label.contains(label));
        labels.extend(
            wanted
                .iter()
                .filter(|label| !before.labels.contains(label))
                .cloned(),
        );
        edit.set_list(&["hosts", name, "labels"], &labels)
    }

    fn roots(&self, settings: &Settings, name: &str, before: &Host, edit: &mut Edit) -> Result<()> {
        if self.wanted.root.is_empty() && self.no_root.is_empty() {
            return Ok(());
        }
        if let Some(file) = self.wanted.guard_file.as_ref().or(before.guard_file.as_ref()) {
            bail!(
                "the guard of {name} is the file {}; write its roots there",
                file.display()
            );
        }
        let mut roots = before.guard.roots.clone();
        for gone in &self.no_root {
            let count = roots.len();
            roots.retain(|root| root.path != *gone);
            if roots.len() == count {
                bail!("{} is no root of {name}", gone.display());
            }
        }
        for text in &self.wanted.root {
            let new = root(text, name, settings)?;
            roots.retain(|root| root.path != new.path);
            roots.push(new);
        }
        let path = ["hosts", name, "guard", "roots"];
        let values = roots.iter().map(|root| {
            let mut table = InlineTable::new();
            table.insert("path", path_text(&root.path)?.into());
            if root.write {
                table.insert("write", true.into());
            }
            Ok(Value::InlineTable(table))
        });
        let values: Array = values.collect::<Result<Vec<_>>>()?.into_iter().collect();
        edit.set(&path, values)
    }
}

/// `/srv/work`, or `/srv/work:rw`. On another host it is a path of that one, from `/` on.
fn root(text: &str, host: &str, settings: &Settings) -> Result<Root> {
    let (path, write) = match text.strip_suffix(":rw") {
        Some(path) => (path, true),
        None => (text.strip_suffix(":ro").unwrap_or(text), false),
    };
    if host != LOCAL && !path.starts_with('/') {
        bail!(
            "the root {path:?} is no path from / on, and means nothing on {host}; write the whole path over there"
        );
    }
    let path = match (path.strip_prefix("~/"), &settings.folders.home) {
        (Some(below), Some(home)) => home.join(below),
        _ => std::path::absolute(path)?,
    };
    Ok(Root::new(path, write)?)
}

/// An address as it is written into the file: with its scheme.
fn address(name: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.starts_with('/') {
        return Ok(format!("unix://{text}"));
    }
    if !text.contains("://") {
        bail!(
            "{text:?} has no scheme: write ssh://{text} for an engine behind SSH, tcp://{text} for one that listens on \
             a port; or `dockmaster host add {name} --context {text}` for a context of the docker CLI"
        );
    }
    Endpoint::parse(text)?;
    Ok(text.to_owned())
}

fn path_text(path: &Path) -> Result<String> {
    let absolute = if path.starts_with("~") {
        path.to_owned()
    } else {
        std::path::absolute(path)?
    };
    match absolute.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!(
            "{} is not UTF-8, which a configuration file has to be",
            path.display()
        ),
    }
}
