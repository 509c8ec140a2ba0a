//! The executable: commands, configuration, output and exit codes; it wires the rooms below together.
//!
//! Nothing else reads the environment, prints or exits. Deliberately absent: anything that a room below could do;
//! commands here read settings, call one thing, and show what came of it.

mod assemble;
mod bridges;
mod cli;
mod clients;
mod commands;
mod confirm;
mod control;
mod doctor;
mod engines;
mod env;
mod exit;
mod files;
mod fleet;
mod folders;
mod keep;
mod logging;
mod logs;
mod output;
mod percall;
mod permissions;
mod placed;
mod private;
mod progress;
#[cfg(test)]
mod reference;
mod refusals;
mod registry;
#[cfg(unix)]
mod relay;
mod remote;
mod serve;
mod settings;
mod shelf;
mod shell;
mod signatures;
mod stdio;
mod token;
mod toolfile;
mod user;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::env::Environment;

/// The C library's keeps what a thousand sessions have used for as long as a byte above it is in use; this one gives it
/// back to the system.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(unix)]
    if let Some(ended) = relay::asked_for() {
        return ended;
    }
    #[cfg(unix)]
    if let Some(ended) = bridges::inside::asked_for() {
        return ended;
    }
    if let Some(ended) = shell::asked_for() {
        return ended;
    }
    let cli = Cli::parse();
    let environment = Environment::of_process();
    logging::start(cli.global.log_level, cli.command.log_level(), &environment);
    let ended = commands::run(cli, &environment);
    exit::report(ended)
}
