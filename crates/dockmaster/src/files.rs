//! The files server in this house: the roots of `[files]` on this machine, and those of each host, which are reached over
//! the host's SSH connection.

use std::sync::Arc;

use anyhow::Result;
use engine::Endpoint;
use engine::guard::Mode;
use files_server::{Elsewhere, Files, Options, Root, Way};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gateway::Server;
use hosts::Hosts;
use ssh::Sftp;

use crate::assemble::within;
use crate::engines;
use crate::settings::{Host, LOCAL, Settings};

/// The server, where it is switched on.
pub(crate) fn server(settings: &Settings, hosts: &Hosts) -> Result<Option<Server>> {
    if !settings.config.files.enabled {
        return Ok(None);
    }
    let options = options(settings, hosts)?;
    let instructions = files_server::instructions(&options);
    within("files", instructions, move || Files::server(options.clone())).map(Some)
}

/// Whether what is configured can be served, where it is switched on. Nothing is reached.
pub(crate) fn check(settings: &Settings) -> Result<()> {
    if !settings.config.files.enabled {
        return Ok(());
    }
    let hosts = engines::hosts(settings, None, &Hosts::default(), &|_| false);
    options(settings, &hosts)?;
    for (name, _) in away(settings) {
        let endpoint = engines::find(settings, name)?.endpoint;
        if !matches!(endpoint, Endpoint::Ssh(_)) {
            return Err(engines::faulty(
                &format!("hosts.{name}.files"),
                &format_args!("its files are reached over SSH, and its engine is at {endpoint}"),
            ));
        }
    }
    Ok(())
}

fn options(settings: &Settings, hosts: &Hosts) -> Result<Options> {
    let config = &settings.config.files;
    let options = Options {
        roots: roots(&config.roots, settings.config.hosts.local.mode),
        hard_links: config.hard_links,
        answer_tokens: settings.config.docker.answer_tokens as usize,
        client_roots: config.client_roots,
        elsewhere: elsewhere(settings, hosts)?,
    };
    if options.roots.is_empty() && options.elsewhere.is_empty() {
        return Err(engines::faulty(
            "files.roots",
            &"it names no directory, nor does any [hosts.NAME.files], and the files server needs one",
        ));
    }
    options
        .check(&engines::own_files(settings))
        .map_err(|unfit| engines::faulty("files.roots", &unfit))?;
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

fn elsewhere(settings: &Settings, hosts: &Hosts) -> Result<Vec<Elsewhere>> {
    let there = away(settings).map(|(name, host)| {
        let there = Elsewhere {
            host: name.to_owned(),
            roots: roots(&host.files.roots, host.mode),
            hard_links: host.files.hard_links,
            way: Arc::new(OfHost {
                hosts: hosts.clone(),
                name: name.to_owned(),
            }),
        };
        let key = format!("hosts.{name}.files.roots");
        there.check().map_err(|unfit| engines::faulty(&key, &unfit))?;
        Ok(there)
    });
    there.collect()
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
