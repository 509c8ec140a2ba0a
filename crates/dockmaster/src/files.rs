//! The files server in this house: the roots of `[files]` on this machine, and those of each host, which are reached over
//! the host's SSH connection.

use std::sync::Arc;

use anyhow::Result;
use engine::Endpoint;
use engine::guard::Mode;
use files_server::{Elsewhere, Files, Named, Options, Root, Way};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gateway::Server;
use hosts::Hosts;
use ssh::Sftp;

use crate::assemble::within;
use crate::engines;
use crate::settings::{Host, LOCAL, Settings, Sharers};

/// The server where it is switched on: one for each set of roots, of which each profile has one.
pub(crate) fn servers(settings: &Settings, hosts: &Hosts) -> Result<Vec<Server>> {
    let all = all(settings, hosts)?.into_iter().map(|(profiles, options)| {
        let instructions = files_server::instructions(&options);
        let server = within("files", instructions, move || Files::server(options.clone()))?;
        Ok(Server { profiles, ..server })
    });
    all.collect()
}

/// Whether what is configured can be served, where it is switched on. Nothing is reached.
pub(crate) fn check(settings: &Settings) -> Result<()> {
    let hosts = engines::hosts(settings, None, &Hosts::default(), &|_| false);
    for (_, options) in all(settings, &hosts)? {
        for there in options.elsewhere {
            let endpoint = engines::find(settings, &there.host)?.endpoint;
            if !matches!(endpoint, Endpoint::Ssh(_)) {
                return Err(engines::faulty(
                    &format!("{}.roots", there.named.table),
                    &format_args!(
                        "files of {} are reached over SSH, and its engine is at {endpoint}",
                        there.host
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// What each server is made of, with the profiles that it is for; none where it is switched off.
fn all(settings: &Settings, hosts: &Hosts) -> Result<Vec<(Vec<String>, Options)>> {
    if !settings.config.files.enabled {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for sharers in Sharers::all(&settings.config) {
        let table = sharers.table();
        if let Some((host, table)) = sharers.unknown_host(&settings.config).zip(table.as_deref()) {
            let there = settings.config.hosts.names();
            let fault = format_args!("there is no host {host:?}; there are {there}");
            return Err(engines::faulty(&format!("{table}.roots"), &fault));
        }
        let options = options(&sharers.settings(settings), table.as_deref(), hosts)?;
        if !options.roots.is_empty() || !options.elsewhere.is_empty() {
            all.push((sharers.profiles, options));
        }
    }
    if all.is_empty() {
        return Err(engines::faulty(
            "files.roots",
            &"it names no directory, nor does any [hosts.NAME.files] or the roots of a profile, and the files server needs one",
        ));
    }
    Ok(all)
}

/// `table` names the roots, where it is a profile's.
fn options(settings: &Settings, table: Option<&str>, hosts: &Hosts) -> Result<Options> {
    let config = &settings.config.files;
    let named = named(table.unwrap_or("files"), LOCAL, settings.config.hosts.local.mode);
    let key = format!("{}.roots", named.table);
    let options = Options {
        roots: roots(&config.roots, settings.config.hosts.local.mode),
        named,
        hard_links: config.hard_links,
        answer_tokens: settings.config.docker.answer_tokens as usize,
        client_roots: config.client_roots,
        search_time: config.search_timeout.duration(),
        elsewhere: elsewhere(settings, table, hosts)?,
    };
    options
        .check(&engines::own_files(settings))
        .map_err(|unfit| engines::faulty(&key, &unfit))?;
    Ok(options)
}

/// Whose files, in words.
pub(crate) fn about(settings: &Settings) -> String {
    let here = (!settings.config.files.roots.is_empty()).then_some("this machine");
    let places: Vec<&str> = here
        .into_iter()
        .chain(away(settings).map(|(name, _)| name))
        .collect();
    match places.split_last() {
        Some((last, [])) => format!("Files of {last}"),
        Some((last, others)) => format!("Files of {} and {last}", others.join(", ")),
        None => "Files, but no roots are configured".to_owned(),
    }
}

/// The other hosts with files.
fn away(settings: &Settings) -> impl Iterator<Item = (&str, &Host)> {
    let all = settings.config.hosts.all();
    all.filter(|(name, host)| *name != LOCAL && !host.files.roots.is_empty())
}

fn elsewhere(settings: &Settings, table: Option<&str>, hosts: &Hosts) -> Result<Vec<Elsewhere>> {
    let there = away(settings).map(|(name, host)| {
        let own = format!("hosts.{name}.files");
        let named = named(table.unwrap_or(&own), name, host.mode);
        let key = format!("{}.roots", named.table);
        let there = Elsewhere {
            host: name.to_owned(),
            roots: roots(&host.files.roots, host.mode),
            named,
            hard_links: host.files.hard_links,
            way: Arc::new(OfHost {
                hosts: hosts.clone(),
                name: name.to_owned(),
            }),
        };
        there.check().map_err(|unfit| engines::faulty(&key, &unfit))?;
        Ok(there)
    });
    there.collect()
}

fn named(table: &str, host: &str, mode: Mode) -> Named {
    Named {
        table: table.to_owned(),
        read_only_by: (mode == Mode::ReadOnly).then(|| format!("hosts.{host}.mode")),
    }
}

/// On a host in this mode: where nothing may be changed, no file is.
fn roots(roots: &[engine::guard::Root], mode: Mode) -> Vec<Root> {
    let fit = |root: &engine::guard::Root| Root {
        path: root.path.clone(),
        write: root.write && mode != Mode::ReadOnly,
    };
    roots.iter().map(fit).collect()
}

/// The files of a host; nothing is connected before somebody wants them.
#[derive(Debug)]
struct OfHost {
    hosts: Hosts,
    name: String,
}

impl Way for OfHost {
    fn sftp(&self) -> BoxFuture<'_, Result<Sftp, String>> {
        async {
            let host = self.hosts.get(&self.name).map_err(|error| error.to_string())?;
            match host.ssh()? {
                Some(client) => client.sftp().await,
                None => Err(format!(
                    "the files of {} can't be reached: its endpoint is not ssh://",
                    self.name
                )),
            }
        }
        .boxed()
    }
}
