//! The part of the command line that is about hosts: the Docker Engines that are known by name.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::guard::Mode;

use super::{Json, word};
use crate::settings::SshClient;

#[derive(Debug, Subcommand)]
pub(crate) enum Host {
    /// Make a host known: the connection is tried before anything is written
    #[command(after_help = "\
Examples:
  dockmaster host add prod ssh://deploy@prod
  dockmaster host add prod                             a Host of ~/.ssh/config
  dockmaster host add build --context build            a context of the docker CLI
  dockmaster host add lab tcp://lab:2376 --certificates ~/certs/lab
  dockmaster host add prod ssh://deploy@prod --mode read-only --label zone=eu")]
    Add {
        /// What it is called here
        name: String,
        #[arg(
            value_name = "ADDRESS",
            help = "Where its engine is: unix:///path, tcp://host:port, ssh://[user@]host[:port][/path/to/socket] [default: the Host of ~/.ssh/config that is called NAME]"
        )]
        endpoint: Option<String>,
        #[command(flatten)]
        wanted: Wanted,
        /// Don't try the connection
        #[arg(long)]
        untested: bool,
        #[command(flatten)]
        json: Json,
    },
    /// List the hosts and how they do; all are asked side by side, for at most 5 seconds
    List(Json),
    /// Show how a host is configured
    Show {
        /// Which
        name: String,
        #[command(flatten)]
        json: Json,
    },
    /// Try the connection to a host, and say how its engine does
    #[command(after_help = "Exits with 1 when something does not work.")]
    Test {
        /// Which
        name: String,
        #[command(flatten)]
        json: Json,
    },
    /// Change how a host is reached and what may be done there
    #[command(after_help = "\
Examples:
  dockmaster host edit prod --mode read-only
  dockmaster host edit prod ssh://root@prod:2222
  dockmaster host edit gpu1 --label gpu --no-label spare
  dockmaster host edit local --root /srv/work:rw")]
    Edit {
        /// Which
        name: String,
        /// Where its engine is from now on
        #[arg(value_name = "ADDRESS")]
        endpoint: Option<String>,
        #[command(flatten)]
        wanted: Wanted,
        /// Take a label away
        #[arg(long, value_name = "LABEL")]
        no_label: Vec<String>,
        /// Take a root away
        #[arg(long, value_name = "PATH")]
        no_root: Vec<PathBuf>,
    },
    /// Forget a host; nothing is done to it
    Remove {
        /// Which
        name: String,
        /// Also where servers are placed there, which can't run then
        #[arg(long, short)]
        yes: bool,
    },
    /// Put a bridge on a host: Dockmaster itself, in a container, which runs that host's servers and goes on without you
    #[command(after_help = "\
Examples:
  dockmaster host install prod
  dockmaster host install pi --executable dockmaster-aarch64")]
    Install {
        /// Which
        name: String,
        /// The Dockmaster to put there, linked statically [default: this one]
        #[arg(long, value_name = "PATH")]
        executable: Option<PathBuf>,
        /// The engine's socket over there [default: that of its address, or /var/run/docker.sock]
        #[arg(long, value_name = "PATH")]
        socket: Option<String>,
    },
    /// Replace the bridge on a host by this Dockmaster; the one before comes back when the new one does not work
    Upgrade {
        /// Which
        name: String,
        /// The Dockmaster to put there, linked statically [default: this one]
        #[arg(long, value_name = "PATH")]
        executable: Option<PathBuf>,
    },
    /// Take the bridge on a host away, with its servers' containers, its state, image and keys
    Uninstall {
        /// Which
        name: String,
        /// Forget it also where something could not be removed
        #[arg(long)]
        forget: bool,
    },
}

/// What `add` and `edit` take.
#[derive(Debug, Default, Args)]
pub(crate) struct Wanted {
    /// The context of the docker CLI that says where its engine is
    #[arg(long, value_name = "CONTEXT", conflicts_with = "endpoint")]
    pub(crate) context: Option<String>,
    /// The folder with ca.pem, cert.pem and key.pem, for tcp:// with TLS
    #[arg(long, value_name = "FOLDER")]
    pub(crate) certificates: Option<PathBuf>,
    /// Which client goes to an ssh:// address [default: own]
    #[arg(long, value_enum)]
    pub(crate) ssh: Option<SshClient>,
    /// How much of the engine is open [default: guarded]
    #[arg(long, value_parser = word::<Mode>(&["read-only", "no-destroy", "guarded", "open"]))]
    pub(crate) mode: Option<Mode>,
    /// What it is for, to place servers by: gpu, zone=eu
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Vec<String>,
    /// A directory over there that containers may mount; with :rw, also to write
    #[arg(long, value_name = "PATH[:rw]")]
    pub(crate) root: Vec<String>,
    /// A file with the guard's table, instead of [hosts.NAME.guard]
    #[arg(long, value_name = "FILE")]
    pub(crate) guard_file: Option<PathBuf>,
}
