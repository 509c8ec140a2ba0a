//! Measures Dockmaster, the daemon under it and other programs of its kind on one machine in one run, and writes
//! the figures as Markdown. Called by `benches/run`, which builds and installs what this needs. `--only` names the
//! parts to measure, for a quick look: the page then has only those.
//!
//! It times whole exchanges as a client sees them, through pipes and sockets, with blocking calls on one thread. It
//! deliberately measures nothing inside the processes: what is reported, a user can feel.

#![expect(clippy::print_stderr, reason = "a program of minutes says how far it is")]

mod attach;
mod client;
mod container;
mod distance;
mod echo;
mod far;
mod figures;
mod fixture;
mod front;
mod http;
mod large;
mod machine;
mod measure;
mod page;
mod process;
mod relay;
mod report;
mod search;
mod sessions;
mod stdio;
mod subject;
mod twenty;

use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use tokio::runtime::Runtime;

const USAGE: &str = "usage: bench DOCKMASTER PEERS-FOLDER OUTPUT [--only PART,...]";

/// The parts, in their order on the page.
const PARTS: [&str; 9] = [
    "docker",
    "relay",
    "peers",
    "container",
    "twenty",
    "large",
    "sessions",
    "far",
    "search",
];

/// Where everything is.
pub(crate) struct Place<'a> {
    pub(crate) dockmaster: &'a str,
    pub(crate) peers: PathBuf,
    /// This executable, which is the trivial server as well.
    pub(crate) this: String,
    /// For what is made on the engine.
    pub(crate) runtime: Runtime,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "serve-echo").is_some() {
        return echo::main(arguments);
    }
    let dockmaster = arguments.next().context(USAGE)?;
    let peers = arguments.next().context(USAGE)?;
    let output = arguments.next().context(USAGE)?;
    let only: Vec<String> = match arguments.next().as_deref() {
        None => PARTS.map(str::to_owned).to_vec(),
        Some("--only") => arguments
            .next()
            .context(USAGE)?
            .split(',')
            .map(str::to_owned)
            .collect(),
        Some(_) => bail!(USAGE),
    };
    for part in &only {
        ensure!(
            PARTS.contains(&part.as_str()),
            "no part {part}; there are {}",
            PARTS.join(", ")
        );
    }

    let place = Place {
        dockmaster: &dockmaster,
        peers: peers.into(),
        this: std::env::current_exe()?.display().to_string(),
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?,
    };
    let machine = machine::describe(&mut http::Connection::unix(&machine::socket())?)?;
    let mut page = page::Page::default();
    for part in PARTS
        .into_iter()
        .filter(|part| only.iter().any(|wanted| wanted == part))
    {
        match part {
            "docker" => docker(&mut page, &place)?,
            "relay" => relay::measure(&mut page, &place),
            "peers" => relay::peers(&mut page, &place)?,
            "container" => container::measure(&mut page, &place)?,
            "twenty" => twenty::measure(&mut page, &place)?,
            "large" => large::measure(&mut page, &place)?,
            "sessions" => sessions::measure(&mut page, &place)?,
            "far" => far::measure(&mut page, &place)?,
            _ => search::measure(&mut page, &place)?,
        }
    }
    Ok(fs_err::write(output, page.finish(&machine))?)
}

fn docker(page: &mut page::Page, place: &Place) -> Result<()> {
    let fixture = place.runtime.block_on(fixture::Fixture::new())?;
    let measured = report::measure(page, place.dockmaster, &place.peers, &fixture);
    place.runtime.block_on(fixture.finish());
    measured
}
