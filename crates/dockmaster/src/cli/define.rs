//! The part of the command line that defines servers of one's own: `server add` and `server remove`.

use std::path::PathBuf;

use catalog::plan::{RemoteTransport, Sharing};
use catalog::setup::{Destination, Memory, MountSpec};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::InProfile;

/// Examples of `server add`.
pub(super) const EXAMPLES: &str = "\
Examples:
  dockmaster server add notes --image ghcr.io/acme/notes-mcp:1 --volume notes:/data --enable
  dockmaster server add search --npm @acme/search-mcp@2 --secret API_KEY=search.key --reach api.example.com:443
  dockmaster server add issues --url https://mcp.example.com/mcp --secret TOKEN=issues.token --header 'Authorization: Bearer $TOKEN'
  dockmaster server add mine --enable -- python3 /home/me/my_server.py --verbose
  dockmaster server add helpers --tools ./helpers.toml

What stands behind -- is the command of a server on this machine, or else the arguments of the image or package.
The definition is written to the configuration as [servers.NAME]; a wrong one changes nothing.";

/// A server of one's own.
#[derive(Debug, Args)]
pub(crate) struct Definition {
    /// What it is called
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) given: Given,
    #[command(flatten)]
    pub(crate) told: Told,
    /// Put it in the place of the definition that is there
    #[arg(long)]
    pub(crate) replace: bool,
    /// Switch it on, too
    #[arg(long)]
    pub(crate) enable: bool,
    /// Agree to what it asks for beyond the lockdown
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) profile: InProfile,
}

/// What it is: one of these, or the command behind `--`.
#[derive(Debug, Args)]
#[command(next_help_heading = "What it is")]
pub(crate) struct Source {
    /// A container of this image
    #[arg(long, value_name = "IMAGE", group = "source")]
    pub(crate) image: Option<String>,
    /// A container made for this npm package: NAME or NAME@VERSION
    #[arg(long, value_name = "PACKAGE", group = "source")]
    pub(crate) npm: Option<String>,
    /// A container made for this PyPI package: NAME or NAME==VERSION
    #[arg(long, value_name = "PACKAGE", group = "source")]
    pub(crate) pypi: Option<String>,
    /// A server elsewhere, by HTTP
    #[arg(long, value_name = "URL", group = "source")]
    pub(crate) url: Option<String>,
    /// A file that declares its tools one by one: commands, HTTP requests, containers
    #[arg(long, value_name = "FILE", group = "source")]
    pub(crate) tools: Option<PathBuf>,
    /// Command and arguments on this machine, which `instances.commands` has to permit; arguments of an image or package
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// What it is given.
#[derive(Debug, Args)]
#[command(next_help_heading = "What it is given")]
pub(crate) struct Given {
    /// A variable of its environment; $VAR is one of --secret
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) env: Vec<(String, String)>,
    /// A variable that holds a secret, by the name under which `secret set` keeps it
    #[arg(long, value_name = "VAR=SECRET", value_parser = pair)]
    pub(crate) secret: Vec<(String, String)>,
    /// A file in memory that holds a secret, by its absolute path in the container
    #[arg(long, value_name = "PATH=SECRET", value_parser = pair)]
    pub(crate) secret_file: Vec<(String, String)>,
    /// A header of requests to the URL; $VAR is one of --secret
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// How the URL is spoken to [default: streamable-http, falling back]
    #[arg(long, value_parser = named::<RemoteTransport>(&["streamable-http", "sse"]))]
    pub(crate) transport: Option<RemoteTransport>,
    /// A mount: a path under the guard's roots, or the name of a volume
    #[arg(long, value_name = "SOURCE:TARGET[:ro]")]
    pub(crate) volume: Vec<MountSpec>,
    /// A host that it has to reach; without any it has no network
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) reach: Vec<Destination>,
    /// As whom it runs
    #[arg(long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<String>,
    /// Where it runs
    #[arg(long, value_name = "FOLDER")]
    pub(crate) working_dir: Option<PathBuf>,
    /// Most memory, when more than usual: 4GiB
    #[arg(long)]
    pub(crate) memory: Option<Memory>,
    /// A capability that it can't do without
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) capability: Vec<String>,
    /// It writes outside /tmp and its volumes
    #[arg(long)]
    pub(crate) writable_root: bool,
    /// It drives Docker, through a filtered socket
    #[arg(long)]
    pub(crate) docker_socket: bool,
    /// A further package to install with an npm or PyPI package
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) with: Vec<String>,
    /// The package's program, when it is not the one that the package names first
    #[arg(long)]
    pub(crate) program: Option<String>,
    /// Who may share a running copy
    #[arg(long, value_parser = named::<Sharing>(&["everyone", "principal", "session", "call"]))]
    pub(crate) sharing: Option<Sharing>,
}

/// How it is shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "How it is shown")]
pub(crate) struct Told {
    /// What stands before the names of its tools
    #[arg(long)]
    pub(crate) prefix: Option<catalog::setup::Prefix>,
    /// Its title
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// What it does
    #[arg(long)]
    pub(crate) description: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write 'NAME: VALUE'".to_owned()),
    }
}

/// One of the names by which the configuration knows the values of a type.
fn named<T: serde::de::DeserializeOwned + Clone + Send + Sync + 'static>(
    names: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value::<T>(name.into()))
}
