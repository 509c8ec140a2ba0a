//! The part of the command line that is about servers: catalogs, what is switched on, secrets, profiles.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Json;

#[derive(Debug, Subcommand)]
pub(crate) enum Catalog {
    /// List the catalogs
    List(Json),
    /// List the servers of a catalog, or of all
    Show {
        /// Only those of this catalog
        catalog: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Find servers by words in their names, descriptions, tags and tools
    #[command(after_help = "Example:\n  dockmaster catalog search browser")]
    Search {
        /// What to look for
        #[arg(required = true)]
        words: Vec<String>,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        json: Json,
    },
    /// Take in a catalog: a YAML or JSON file, a folder of server.yaml folders, a URL, or an artifact of a registry
    #[command(after_help = "\
Examples:
  dockmaster catalog import ./catalog.yaml
  dockmaster catalog import ./mcp-registry/servers --name community
  dockmaster catalog import https://example.com/catalog.yaml
  dockmaster catalog import oci://registry.example.com/team/catalog:1")]
    Import {
        /// Where it is
        source: String,
        #[command(flatten)]
        called: Called,
        /// Agree to what switched-on servers ask for that no catalog had before
        #[arg(long, short)]
        yes: bool,
    },
    /// Read a catalog again from where it came, and say what changed; what more a switched-on server asks for is agreed to
    Update {
        /// Only this one
        catalog: Option<String>,
        /// Agree to what switched-on servers ask for now
        #[arg(long, short)]
        yes: bool,
    },
    /// Forget a catalog; servers that are switched on from it have to be switched off before
    Remove {
        /// Which
        catalog: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// List the servers that are switched on, whether they could run, and how they do where a gateway runs
    List(Asked),
    /// Define a server of your own: an image, a package, a URL, or a command on this machine
    #[command(after_help = super::define::EXAMPLES)]
    Add(Box<super::define::Definition>),
    /// Forget a server of your own
    Remove {
        /// Which
        server: String,
        /// Switch it off in every profile before; how it was set up is forgotten, too
        #[arg(long)]
        disable: bool,
    },
    /// Switch servers on
    #[command(after_help = "\
Examples:
  dockmaster server enable memory
  dockmaster server enable arxiv-mcp-server --set storage_path=~/papers")]
    Enable {
        /// Which, by name; CATALOG/NAME where two catalogs have it
        #[arg(required = true)]
        servers: Vec<String>,
        /// A part of its configuration; the value is JSON where the server takes more than text
        // Not `--config`: that names the configuration file, here too.
        #[arg(id = "part", long = "set", value_name = "KEY=VALUE")]
        config: Vec<String>,
        /// Run its containers on this host; label=LABEL: on the one with that label that has the most memory free
        #[arg(long, value_name = "HOST")]
        host: Option<String>,
        /// Agree to what it asks for beyond the lockdown
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        profile: InProfile,
    },
    /// Switch servers off; how they were set up is forgotten
    Disable {
        /// Which
        #[arg(required = true)]
        servers: Vec<String>,
        #[command(flatten)]
        profile: InProfile,
    },
    /// Show what a server is, what it needs and what it would get
    #[command(after_help = "\
Examples:
  dockmaster server inspect github-official
  dockmaster server inspect memory --plan      the exact container that would run
  dockmaster server inspect memory --updates   what its registry has now, and what changed")]
    Inspect {
        /// Which, of a catalog or your own
        server: String,
        /// Print the plan: exactly what would run, as JSON
        #[arg(long)]
        plan: bool,
        /// Ask the registry what the image's tag means now, or which version of the package is the newest, and show what changed since it was pinned
        #[arg(long, conflicts_with = "plan")]
        updates: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Show or change how a server is configured
    #[command(after_help = "\
Examples:
  dockmaster server config arxiv-mcp-server
  dockmaster server config arxiv-mcp-server storage_path=~/papers
  dockmaster server config arxiv-mcp-server --unset storage_path")]
    Config {
        /// Which
        server: String,
        /// What to set; the value is JSON where the server takes more than text
        #[arg(value_name = "KEY=VALUE")]
        values: Vec<String>,
        /// What to remove
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
        /// Agree to what it asks for then
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        profile: InProfile,
    },
    /// Print what a server wrote to its standard error
    Logs {
        /// Which
        server: String,
        /// Only so many lines, the last
        #[arg(long, default_value_t = 100)]
        tail: usize,
    },
    /// Take newer images of switched-on servers, and newer versions of packages that name none: old and new are shown before they are pinned
    #[command(after_help = "\
Examples:
  dockmaster server update                     whatever is switched on and has a newer image
  dockmaster server update memory --yes")]
    Update {
        /// Only these
        servers: Vec<String>,
        /// Take them without asking
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        profile: InProfile,
    },
    /// Stop what runs of a server in the gateways that run; its next use starts it anew
    Restart {
        /// Which
        server: String,
    },
    /// Start a server, list its tools, and stop it again: says what is wrong if anything is
    Test {
        /// Which, switched on or not
        server: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Show tools whose definitions changed since they were approved, and approve them
    #[command(after_help = "\
Examples:
  dockmaster server approve memory             shows what changed, and asks
  dockmaster server approve memory --yes")]
    Approve {
        /// Which
        server: String,
        /// Only these tools
        tools: Vec<String>,
        /// Approve without asking
        #[arg(long, short)]
        yes: bool,
    },
}

/// Which profile is meant.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct InProfile {
    /// In this profile [default: the one that is used]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

/// Which profile is asked about, and how the answer is written.
#[derive(Debug, Clone, Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    pub(crate) profile: InProfile,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// What something that is taken in is called.
#[derive(Debug, Clone, Args)]
pub(crate) struct Called {
    /// What it is called here [default: its own name]
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Profile {
    /// List the profiles
    List(Json),
    /// Make an empty profile
    Create {
        /// Its name
        name: String,
    },
    /// Show what is switched on in a profile
    Show {
        /// Which [default: the one that is used]
        name: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Use a profile from now on
    Use {
        /// Which
        name: String,
    },
    /// Remove a profile and how its servers were set up
    Remove {
        /// Which
        name: String,
    },
    /// Print a profile as a document that `import` takes; it holds no secrets
    Export {
        /// Which
        name: String,
        /// Write to this file, which must not exist yet, instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Write a profile to a registry, as an OCI artifact; it holds no secrets
    #[command(after_help = "Example:\n  dockmaster profile push work oci://registry.example.com/team/work:1")]
    Push {
        /// Which
        name: String,
        /// Where to, as in the example
        place: String,
    },
    /// Make a profile from an artifact of a registry: ours, or one that `docker mcp` made
    #[command(after_help = "Example:\n  dockmaster profile pull oci://registry.example.com/team/work:1")]
    Pull {
        /// Where it is, as in the example; with a digest (`@sha256:…`) instead of the tag exactly that one
        place: String,
        #[command(flatten)]
        called: Called,
        /// Agree to how it sets servers up and to what they ask for
        #[arg(long, short)]
        yes: bool,
    },
    /// Make a profile from a document
    Import {
        /// The document, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        called: Called,
        /// Agree to how it sets servers up and to what they ask for
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    /// Store a secret; its value is asked for, or read from standard input
    #[command(after_help = "\
Examples:
  dockmaster secret set github.personal_access_token
  pass show github | dockmaster secret set github.personal_access_token")]
    Set {
        /// Its name, as catalogs write it
        name: String,
    },
    /// List the names of secrets and where they are; never a value
    List(Json),
    /// Remove a secret
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Take over switched-on servers, their configuration and secrets, and catalogs from `docker mcp`
    #[command(after_help = "\
Example:
  dockmaster import docker-mcp --secrets ~/mcp.env

What is there already stays as it is. What its servers ask for beyond the lockdown is agreed to before anything is changed.")]
    DockerMcp {
        /// Its folder [default: ~/.docker/mcp]
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
        /// A file with its secrets, a line `name=value` for each
        #[arg(long, value_name = "FILE")]
        secrets: Option<PathBuf>,
        /// Take in the catalogs that it knows, too: files, URLs, and artifacts of registries
        #[arg(long)]
        catalogs: bool,
        /// Agree to what its servers ask for beyond the lockdown
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        profile: InProfile,
    },
}
