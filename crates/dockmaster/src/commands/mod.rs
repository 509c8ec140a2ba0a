//! The commands: each reads settings, calls one thing below, and shows what came of it.

mod agreement;
mod arguments;
mod audit;
mod catalog;
mod config;
mod gateway;
mod generate;
pub(crate) mod host;
pub(crate) mod images;
mod import;
pub(crate) mod moment;
mod profile;
mod secret;
mod server;
pub(crate) mod status;
mod tools;
mod version;

use anyhow::{Context, Result};

use self::server::allow::Change;

use crate::cli::{Cli, Command, Gateway, Global, Tools};
use crate::env::Environment;
use crate::exit::Exit;
use crate::output;
use crate::settings::{Overrides, Settings};

/// Does what the command line says.
pub(crate) fn run(cli: Cli, environment: &Environment) -> Result<Exit> {
    let Cli { global, command } = cli;
    let read = |overrides| read(&global, overrides, environment.clone());
    match command {
        Command::Gateway(Gateway::Run(arguments)) => {
            let mut settings = read(arguments.overrides())?;
            // It goes on when the person has gone.
            settings.is_attended = false;
            block_on(crate::serve::run(&settings, arguments.print_client))
        }
        Command::Gateway(Gateway::Status { address, json }) => {
            let settings = read(address.overrides())?;
            block_on(gateway::status(&settings, address, json))
        }
        Command::Gateway(Gateway::Reload) => {
            let settings = read(Overrides::default())?;
            block_on(gateway::reload(&settings))
        }
        Command::Gateway(Gateway::ClientConfig { transport, address }) => {
            let settings = read(Overrides {
                transport,
                ..address.overrides()
            })?;
            gateway::client_config(&settings)
        }
        Command::Tools(Tools::List { listing, json }) => {
            let settings = read(Overrides {
                toolset: listing.toolset,
                ..Overrides::default()
            })?;
            block_on(tools::list(&settings, json))
        }
        Command::Tools(Tools::Inspect { name, json }) => {
            let settings = read(Overrides::default())?;
            block_on(tools::inspect(&settings, &name, json))
        }
        Command::Tools(Tools::Enable { tools, profile }) => {
            let settings = read(Overrides::default())?;
            block_on(server::allow::run(&settings, Change::Enable, &tools, &profile))
        }
        Command::Tools(Tools::Disable { tools, profile }) => {
            let settings = read(Overrides::default())?;
            block_on(server::allow::run(&settings, Change::Disable, &tools, &profile))
        }
        Command::Tools(Tools::Call(call)) => {
            let settings = read(Overrides::default())?;
            block_on(tools::call(&settings, &call))
        }
        Command::Server(command) => block_on(server::run(&read(Overrides::default())?, command)),
        Command::Catalog(command) => block_on(catalog::run(&read(Overrides::default())?, command)),
        Command::Host(command) => block_on(host::run(&read(Overrides::default())?, command)),
        Command::Profile(command) => block_on(profile::run(&read(Overrides::default())?, command)),
        Command::Secret(command) => block_on(secret::run(&read(Overrides::default())?, command)),
        Command::Import(command) => block_on(import::run(&read(Overrides::default())?, command)),
        Command::Audit(command) => audit::run(&read(Overrides::default())?, command),
        Command::Doctor(json) => {
            let settings = read(Overrides::default());
            block_on(crate::doctor::run(settings, json))
        }
        Command::Config(command) => config::run(&read(Overrides::default())?, &command),
        Command::Version(json) => version::run(json),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { folder } => generate::man(folder.as_deref()),
    }
}

fn read(global: &Global, overrides: Overrides, environment: Environment) -> Result<Settings> {
    let mut settings = Settings::read(global.config.as_deref(), overrides, environment)?;
    settings.is_attended = output::person_can_answer();
    Ok(settings)
}

/// Runs on one thread. A call costs it tens of microseconds and mostly waits for somebody else; handing it from thread to
/// thread costs more than it takes. What takes long (hashing, files, the audit) has threads of its own.
fn block_on(work: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("can't start the runtime")?;
    let ended = runtime.block_on(work);
    // Whatever owns work has waited for it; what is left is a read of standard input, which nothing can end.
    runtime.shutdown_background();
    ended
}
