//! Measures Dockmaster, the daemon under it and other MCP servers for Docker on one machine in one run, and writes
//! the figures as Markdown. Called by `benches/run`, which builds and installs what this needs.
//!
//! It times whole exchanges as a client sees them, through pipes and sockets, with blocking calls on one thread. It
//! deliberately measures nothing inside the processes: what is reported, a user can feel.

#![expect(clippy::print_stderr, reason = "a program of minutes says how far it is")]

mod figures;
mod fixture;
mod http;
mod machine;
mod measure;
mod process;
mod report;
mod stdio;
mod subject;

use anyhow::{Context, Result};
use std::path::Path;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bench DOCKMASTER PEERS-FOLDER OUTPUT";
    let dockmaster = arguments.next().context(usage)?;
    let peers = arguments.next().context(usage)?;
    let output = arguments.next().context(usage)?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let fixture = runtime.block_on(fixture::Fixture::new())?;
    let report = report::write(&dockmaster, Path::new(&peers), &fixture);
    runtime.block_on(fixture.finish());
    Ok(fs_err::write(output, report?)?)
}
