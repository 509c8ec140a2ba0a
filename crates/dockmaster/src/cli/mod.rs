//! The command line as types. What the help says stands here; `docs/cli.md`, completions and the man page are made
//! from it.

mod define;
mod hosts;
mod servers;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use docker_server::Toolset;
use engine::guard::Mode;
use policy::{AskBefore, Preset};
use serde::de::DeserializeOwned;

pub(crate) use define::Definition;
pub(crate) use hosts::{Host as HostCommand, Wanted};
pub(crate) use servers::{Catalog, Import, InProfile, Profile, Secret, Server};

use crate::commands::moment::Moment;
use crate::exit;
use crate::logging::LogLevel;
use crate::settings::{Overrides, Transport};

/// Docker for AI agents: one gateway between MCP clients and Docker Engines, with permissions and an audit trail
#[derive(Debug, Parser)]
#[command(
    name = "dockmaster",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
#[command(after_help = exit::CODES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::CODES))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  dockmaster gateway client-config            what to paste into an MCP client
  dockmaster gateway run --transport http     serve any number of clients
  dockmaster tools call list_containers       make one call, as a client would
  dockmaster catalog search github            find a server to run
  dockmaster server enable memory             switch it on, in a locked-down container
  dockmaster host add prod ssh://deploy@prod  another machine's engine
  dockmaster audit list --since 1h            who did what
  dockmaster doctor                           what is missing, and how to get it";

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration file [default: config.toml in the configuration folder; see `config path`]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// How much is logged, on standard error [default: warn or error]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Global options")]
    pub(crate) log_level: Option<LogLevel>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway, and see how it does
    #[command(subcommand)]
    Gateway(Gateway),
    /// List, inspect and call tools from the command line
    #[command(subcommand)]
    Tools(Tools),
    /// Switch servers on and off, set them up, see how they do
    #[command(subcommand)]
    Server(Server),
    /// See what servers there are, and take in further catalogs
    #[command(subcommand)]
    Catalog(Catalog),
    /// Docker Engines on this and other machines, by name
    #[command(subcommand)]
    Host(HostCommand),
    /// Named sets of servers
    #[command(subcommand)]
    Profile(Profile),
    /// Keep secrets for servers
    #[command(subcommand)]
    Secret(Secret),
    /// Take over what another program has set up
    #[command(subcommand)]
    Import(Import),
    /// See, check and export what was done
    #[command(subcommand)]
    Audit(Audit),
    /// Look for what is missing, and say how to get it
    #[command(after_help = "Exits with 1 when something needs to be done.")]
    Doctor(Json),
    /// Show and check the configuration
    #[command(subcommand)]
    Config(Config),
    /// Print the version
    Version(Json),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  dockmaster completions bash > /etc/bash_completion.d/dockmaster")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the man page, or write all man pages into a folder
    #[command(after_help = "Example:\n  dockmaster man | man -l -")]
    Man {
        /// Write one page for each command into this folder
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

impl Command {
    /// How much is logged when nothing is said: warnings, but for what says itself why something does not work.
    pub(crate) fn log_level(&self) -> LogLevel {
        match self {
            Self::Tools(Tools::Inspect { .. })
            | Self::Server(Server::Test { .. } | Server::Approve { .. }) => LogLevel::Error,
            _ => LogLevel::Warn,
        }
    }
}

/// For commands whose output a program may read.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Json {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Gateway {
    /// Serve MCP clients, over standard input and output or Streamable HTTP
    #[command(after_help = "\
Examples:
  dockmaster gateway run                                   for a client that starts it
  dockmaster gateway run --transport http --port 9000      for any number of clients
  dockmaster gateway run --preset read-only                look, but don't touch")]
    Run(Run),
    /// Ask the gateways that run how they do; with an address, the one that serves HTTP there
    Status {
        #[command(flatten)]
        address: Address,
        #[command(flatten)]
        json: Json,
    },
    /// Have the gateways that run go on as the configuration says now; changes by commands do so by themselves
    Reload,
    /// Print what to paste into an MCP client
    #[command(after_help = "\
Examples:
  dockmaster gateway client-config                         the client starts the gateway
  dockmaster gateway client-config --transport http        the client connects to a running one")]
    ClientConfig {
        /// How the client reaches the gateway [default: as configured]
        #[arg(long, value_enum)]
        transport: Option<Transport>,
        #[command(flatten)]
        address: Address,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// How clients reach the gateway [default: stdio]
    #[arg(long, value_enum)]
    pub(crate) transport: Option<Transport>,
    #[command(flatten)]
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) listing: Listing,
    /// The profile whose servers are offered [default: as configured, else default]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// What is allowed unless a list of the configuration says otherwise [default: full]
    #[arg(long, value_parser = word::<Preset>(&["read-only", "no-destroy", "full", "allow-list"]))]
    pub(crate) preset: Option<Preset>,
    /// Which calls a person has to confirm [default: destroy]
    #[arg(long, value_parser = word::<AskBefore>(&["destroy", "change", "never"]))]
    pub(crate) ask: Option<AskBefore>,
    /// How much of the engine is open [default: guarded]
    #[arg(long, value_parser = word::<Mode>(&["read-only", "no-destroy", "guarded", "open"]))]
    pub(crate) mode: Option<Mode>,
    /// Print what to paste into a client, with the token, on standard error
    #[arg(long)]
    pub(crate) print_client: bool,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Address {
    /// The address of Streamable HTTP [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<IpAddr>,
    /// Its port; 0 takes a free one [default: 8811]
    #[arg(long)]
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Listing {
    /// Which tools are listed; all can be called [default: standard]
    #[arg(long, value_parser = word::<Toolset>(&["standard", "compact", "full"]))]
    pub(crate) toolset: Option<Toolset>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tools {
    /// List the tools that may be used
    List {
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        json: Json,
    },
    /// Show what a tool does and takes
    #[command(after_help = "Example:\n  dockmaster tools inspect create_container")]
    Inspect {
        /// The tool, by any of its names
        name: String,
        #[command(flatten)]
        json: Json,
    },
    /// Let tools of a server be listed and called
    #[command(after_help = "\
Examples:
  dockmaster tools enable memory/read_graph
  dockmaster tools enable 'memory/*'                 all there are, and will be")]
    Enable {
        /// Which
        #[arg(required = true, value_name = "SERVER/TOOL")]
        tools: Vec<String>,
        #[command(flatten)]
        profile: InProfile,
    },
    /// Keep tools of a server from being listed and called
    #[command(after_help = "\
Example:
  dockmaster tools disable memory/delete_entities memory/delete_relations

When a tool of a server is disabled, those that the server gets later are not enabled by themselves.")]
    Disable {
        /// Which
        #[arg(required = true, value_name = "SERVER/TOOL")]
        tools: Vec<String>,
        #[command(flatten)]
        profile: InProfile,
    },
    /// Call a tool, on the same way as any client: permissions, confirmation, audit
    #[command(after_help = "\
Examples:
  dockmaster tools call list_containers --arg all=true
  dockmaster tools call create_container '{\"image\": \"nginx\", \"name\": \"web\"}'
  dockmaster tools call remove_container --arg container=web --yes
  echo '{\"image\": \"nginx\"}' | dockmaster tools call pull_image -")]
    Call(Call),
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// The tool, by any of its names
    pub(crate) name: String,
    /// Its arguments as a JSON object, or - to read them from standard input
    #[arg(value_name = "JSON")]
    pub(crate) arguments: Option<String>,
    /// One argument; the value is JSON where the tool takes more than text
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    pub(crate) args: Vec<String>,
    /// Answer every question with yes
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List calls, the newest last
    #[command(after_help = "\
Examples:
  dockmaster audit list --since 1h
  dockmaster audit list --tool remove_container --json")]
    List {
        /// How many, the newest
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        json: Json,
    },
    /// Check that no call was changed, removed or put in
    #[command(after_help = "\
Note the head that is printed somewhere else: --noted tells later whether the rows up to it are still the same,
even if the whole file was made anew. Exits with 65 when something was tampered with.")]
    Verify {
        /// A head that was printed earlier: a row with this hash has to be there
        #[arg(long, value_name = "HASH")]
        noted: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Write calls as JSON lines, oldest first, with their hashes
    #[command(after_help = "Example:\n  dockmaster audit export --since 2026-11-01 > november.jsonl")]
    Export {
        #[command(flatten)]
        filter: Filter,
        /// Write to this file, which must not exist yet, instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// From then on: how long ago (30m, 2h, 7d), a day (2026-11-21) or a moment (2026-11-21T10:00:00Z)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<Moment>,
    /// Before then, written likewise
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<Moment>,
    /// Only of this principal
    #[arg(long)]
    pub(crate) principal: Option<String>,
    /// Only to this server
    #[arg(long)]
    pub(crate) server: Option<String>,
    /// Only of this tool, by its canonical name
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Only with this decision: allow, confirmed, deny, declined, …
    #[arg(long)]
    pub(crate) decision: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print every value with where it came from
    Show(Json),
    /// Print where the configuration file is looked for
    Path(Json),
    /// Say what keys of the configuration, and variables, mean
    #[command(after_help = "Example:\n  dockmaster config explain policy")]
    Explain {
        /// Only those whose name begins with this
        name: Option<String>,
    },
    /// Check the configuration file
    #[command(after_help = "Exits with 78 when it is faulty.")]
    Check,
}

impl Run {
    /// What it says instead of the configuration.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            transport: self.transport,
            toolset: self.listing.toolset,
            profile: self.profile.clone(),
            preset: self.preset,
            ask: self.ask,
            mode: self.mode,
            ..self.address.overrides()
        }
    }
}

impl Address {
    pub(crate) fn overrides(self) -> Overrides {
        Overrides {
            host: self.host,
            port: self.port,
            ..Overrides::default()
        }
    }
}

/// One of these words, as the configuration reads it. A test compares the words with what the types accept.
fn word<T: FromWord>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(|word| T::from_word(&word))
}

trait FromWord: Clone + Send + Sync + 'static {
    fn from_word(word: &str) -> Result<Self, String>;
}

impl FromWord for Toolset {
    fn from_word(word: &str) -> Result<Self, String> {
        word.parse()
            .map_err(|error: docker_server::UnknownToolset| error.to_string())
    }
}

impl FromWord for Preset {
    fn from_word(word: &str) -> Result<Self, String> {
        read(word)
    }
}

impl FromWord for AskBefore {
    fn from_word(word: &str) -> Result<Self, String> {
        read(word)
    }
}

impl FromWord for Mode {
    fn from_word(word: &str) -> Result<Self, String> {
        read(word)
    }
}

fn read<T: DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(word.into()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The words that the help offers are those that the types accept: serde names them when it meets another.
    #[test]
    fn words_are_those_of_the_types() {
        fn check<T: DeserializeOwned>(argument: &str) {
            let command = Cli::command();
            let run = command
                .find_subcommand("gateway")
                .and_then(|gateway| gateway.find_subcommand("run"))
                .unwrap();
            let argument = run
                .get_arguments()
                .find(|known| known.get_long() == Some(argument))
                .unwrap();
            let offered: BTreeSet<_> = argument
                .get_possible_values()
                .iter()
                .map(|value| value.get_name().to_owned())
                .collect();
            let error = read::<T>("?").err().unwrap();
            let accepted: BTreeSet<_> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
            assert_eq!(offered, accepted, "{error}");
        }
        check::<Preset>("preset");
        check::<AskBefore>("ask");
        check::<Mode>("mode");
        check::<Transport>("transport");
        for toolset in Toolset::ALL {
            assert!(
                Cli::try_parse_from(["dockmaster", "gateway", "run", "--toolset", toolset.as_str()]).is_ok()
            );
        }
    }
}
