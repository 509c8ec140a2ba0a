//! What a plan depends on where its server is placed on another host: that host's roots, and what can't be had there.

use std::borrow::Cow;

use super::Around;
use crate::lack::{Lack, LackSort};
use crate::place::{Fitting, Place};
use crate::plan::{Container, Mount, Network, Root, Source, Target};
use crate::setup::Setup;
use crate::tools::{Does, Tool};

/// What plans depend on of another host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct There {
    /// Folders of it that may be mounted.
    pub roots: Vec<Root>,
    /// What it is for.
    pub labels: Vec<String>,
    /// Who is on its machine.
    pub beside: Beside,
    /// Whether commands may run on the machine itself.
    pub runs_commands: bool,
    /// Nothing on it may be changed, so nothing is run there.
    pub is_read_only: bool,
}

/// Which Dockmaster is on the machine of a host, and can give its containers what is Dockmaster's own: a proxy, a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Beside {
    /// This one, as far as the host's address tells.
    #[default]
    Us,
    /// A bridge.
    Bridge,
    /// None.
    Nobody,
}

/// What plans depend on, seen from where the server is placed.
pub(super) struct Placed<'a> {
    pub(super) around: Cow<'a, Around>,
    /// What commands do there, if it may be another host than the one at hand.
    elsewhere: Option<Commands>,
    /// The host, if it may be one without any Dockmaster beside it.
    alone: Option<String>,
    /// The host, if it may be one without this Dockmaster beside it.
    away: Option<String>,
}

/// Whether declared tools may run commands where their server is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commands {
    Permitted,
    Refused,
    /// Nobody knows on which of several hosts.
    Unnamed,
}

/// Seen from where `setup` places the server.
///
/// # Errors
/// There is no such host.
pub(super) fn around<'a>(setup: &Setup, around: &'a Around) -> Result<Placed<'a>, Lack> {
    match &setup.host {
        None => Ok(Placed::here(around)),
        Some(Place::On(name)) if name.as_str() == around.host => Ok(Placed::here(around)),
        Some(Place::On(name)) => {
            let Some(there) = around.others.get(name.as_str()) else {
                let what = format!("there is no host {name}");
                let mend = format!("dockmaster host add {name} ssh://user@{name}");
                return Err(Lack::new(LackSort::Place, what, mend));
            };
            if there.is_read_only {
                let what = format!("the mode of the host {name} is read-only, so no server runs there");
                let mend = format!("dockmaster host edit {name} --mode guarded");
                return Err(Lack::new(LackSort::Place, what, mend));
            }
            let commands = if there.runs_commands {
                Commands::Permitted
            } else {
                Commands::Refused
            };
            let host = (name.as_str(), &there.roots, there.beside);
            Ok(Placed::there(around, &[host], commands))
        }
        Some(Place::Where(wish)) => among(wish, around),
    }
}

/// On whichever of those that fit.
fn among<'a>(wish: &Fitting, around: &'a Around) -> Result<Placed<'a>, Lack> {
    let fits = |labels: &[String]| wish.label.as_ref().is_none_or(|label| labels.contains(label));
    let here = fits(&around.labels).then_some((around.host.as_str(), &around.roots, Beside::Us));
    let here = here.filter(|_| !around.is_read_only);
    let others = around
        .others
        .iter()
        .filter(|(_, there)| fits(&there.labels) && !there.is_read_only);
    let others = others.map(|(name, there)| (name.as_str(), &there.roots, there.beside));
    let fitting: Vec<_> = here.into_iter().chain(others).collect();
    if fitting.is_empty() {
        let label = wish.label.as_deref().unwrap_or_default();
        let what = format!("no host that may be changed has the label {label:?}");
        let mend = format!("dockmaster host edit NAME --label {label}");
        return Err(Lack::new(LackSort::Place, what, mend));
    }
    Ok(Placed::there(around, &fitting, Commands::Unnamed))
}

impl<'a> Placed<'a> {
    fn here(around: &'a Around) -> Self {
        Self {
            around: Cow::Borrowed(around),
            elsewhere: None,
            alone: None,
            away: None,
        }
    }

    /// On one of these hosts. Whichever is chosen has to do: only roots that all of them have count, and what one of them
    /// lacks is lacking.
    fn there(around: &Around, hosts: &[(&str, &Vec<Root>, Beside)], commands: Commands) -> Self {
        let first = |is: fn(Beside) -> bool| {
            let found = hosts.iter().find(|(.., beside)| is(*beside));
            found.map(|(name, ..)| (*name).to_owned())
        };
        let alone = first(|beside| beside == Beside::Nobody);
        let away = alone.clone().or_else(|| first(|beside| beside != Beside::Us));
        let mut roots = hosts
            .first()
            .map(|(_, roots, _)| (*roots).clone())
            .unwrap_or_default();
        roots.retain(|root| hosts.iter().all(|(_, roots, _)| roots.contains(root)));
        let around = Around {
            host: away.clone().or_else(|| first(|_| true)).unwrap_or_default(),
            roots,
            ..around.clone()
        };
        Self {
            around: Cow::Owned(around),
            elsewhere: Some(commands),
            alone,
            away,
        }
    }

    /// What a server can't have where it is placed.
    pub(super) fn lacks(&self, server: &str, target: &Target) -> Vec<Lack> {
        let containers: Vec<&Container> = match target {
            Target::Container(container) => vec![container],
            Target::PerCall(tools) => tools.iter().map(|tool| &tool.container).collect(),
            Target::Tools(tools) => match self.contained(server, tools) {
                Ok(containers) => containers,
                Err(lack) => return vec![lack],
            },
            Target::Remote(_) | Target::Process(_) | Target::BuiltIn => {
                let what = format!("{server} is no container, so it can't be placed on a host");
                return vec![Lack::new(LackSort::Place, what, "take `host` out of its table")];
            }
        };
        let is_declared = matches!(target, Target::Tools(_));
        let alone = if is_declared { &self.away } else { &self.alone };
        // A bridge has them run on the same machine, but for what is run from here.
        let install = |host: &str| {
            if is_declared {
                String::new()
            } else {
                format!("dockmaster host install {host}; or ")
            }
        };
        let mut lacks = Vec::new();
        let mut lack = |host: &str, what: &str, mend: &str| {
            let what = format!("{server} can't run on {host}: {what}");
            let lack = Lack::new(LackSort::Place, what, mend);
            if !lacks.contains(&lack) {
                lacks.push(lack);
            }
        };
        for container in containers {
            if let (Network::Hosts(_), Some(host)) = (&container.network, alone) {
                let why = if is_declared {
                    "what is declared in a file is run from here"
                } else {
                    "there is no bridge there"
                };
                lack(
                    host,
                    &format!(
                        "it may reach only the hosts that it declares, through a proxy of Dockmaster's on the same machine, \
                         and {why}"
                    ),
                    &format!(
                        "{}run it here, or, if it is to be trusted with every host, give it network = \"open\"",
                        install(host)
                    ),
                );
            }
            let is_file = |mount: &Mount| matches!(mount.source, Source::Secret(_));
            for (is_wanted, what) in [
                (
                    container.docker_socket,
                    "it needs a Docker socket, and a filtered one is given to containers on the same machine only",
                ),
                (
                    container.mounts.iter().any(is_file),
                    "it wants a secret as a file, and one in memory is given to containers on the same machine only",
                ),
            ] {
                if let (true, Some(host)) = (is_wanted, alone) {
                    lack(host, what, &format!("{}run it here", install(host)));
                }
            }
        }
        lacks
    }

    /// The host whose machine commands run on, if that is not this one.
    pub(super) fn machine(&self) -> Option<&str> {
        self.elsewhere.map(|_| self.around.host.as_str())
    }

    /// The containers of declared tools, or why these can't be placed.
    fn contained<'t>(&self, server: &str, tools: &'t [Tool]) -> Result<Vec<&'t Container>, Lack> {
        let Some(permitted) = self.elsewhere else {
            return Ok(Vec::new());
        };
        let (mut containers, mut commands) = (Vec::new(), Vec::new());
        for tool in tools {
            match &tool.does {
                Does::Container(contained) => containers.push(&contained.container),
                Does::Command(_) => commands.push(tool.name.as_str()),
                Does::Http(_) => {}
            }
        }
        let lack = |what, mend: String| Err(Lack::new(LackSort::Place, what, mend));
        let (names, host) = (commands.join(", "), &self.around.host);
        match (containers.as_slice(), commands.as_slice(), permitted) {
            ([], [], _) => lack(
                format!(
                    "no tool of {server} runs in a container, or is a command, so there is nothing to place on a host"
                ),
                "take `host` out of its table".to_owned(),
            ),
            (_, [], _) | (_, _, Commands::Permitted) => Ok(containers),
            (_, _, Commands::Refused) => lack(
                format!(
                    "{names} of {server} can't run on {host}: commands on the machine itself are not permitted there"
                ),
                format!(
                    "write [shell] enabled = true and [hosts.{host}.shell] runner = \"host\", for which its endpoint has to be \
                     ssh:// and by which the shell server runs commands there as well; or have it run in a container"
                ),
            ),
            (_, _, Commands::Unnamed) => lack(
                format!(
                    "{names} of {server} can't be placed by a label or by memory: commands run on a host that is named"
                ),
                "write host = \"NAME\" in its table, or have it run in a container".to_owned(),
            ),
        }
    }

    /// What a server does not do where it is placed.
    pub(super) fn note(&self, target: &Target) -> Option<String> {
        let Target::Tools(tools) = target else {
            return None;
        };
        let requests = tools.iter().filter(|tool| matches!(tool.does, Does::Http(_)));
        let names: Vec<_> = requests.map(|tool| tool.name.as_str()).collect();
        (self.elsewhere.is_some() && !names.is_empty()).then(|| {
            format!(
                "the requests of {} are sent from this machine; only containers and commands run on the host",
                names.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use base::names::HostName;

    use super::*;

    fn there(roots: &[&str], labels: &[&str], beside: Beside) -> There {
        There {
            roots: roots
                .iter()
                .map(|path| Root {
                    path: path.into(),
                    write: false,
                })
                .collect(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            beside,
            runs_commands: false,
            is_read_only: false,
        }
    }

    #[test]
    fn roots_are_those_of_where_it_runs() {
        let seen = Around {
            roots: there(&["/here"], &[], Beside::Us).roots,
            labels: vec!["gpu".to_owned()],
            others: [
                (
                    "prod".to_owned(),
                    there(&["/srv", "/data"], &["eu", "far"], Beside::Nobody),
                ),
                ("second".to_owned(), there(&["/data"], &["eu"], Beside::Us)),
                (
                    "third".to_owned(),
                    there(&["/srv"], &["far", "on"], Beside::Bridge),
                ),
                (
                    "shut".to_owned(),
                    There {
                        is_read_only: true,
                        ..there(&["/srv"], &["far", "shut"], Beside::Nobody)
                    },
                ),
            ]
            .into(),
            ..Around::default()
        };
        let label = |label: &str| {
            Some(Place::Where(Fitting {
                label: Some(label.to_owned()),
                memory: None,
            }))
        };
        let on = |name: &str| Some(Place::On(HostName::parse(name).unwrap()));
        let check = |host: Option<Place>, expected: &str| {
            let setup = Setup {
                host,
                ..Setup::default()
            };
            let found = match around(&setup, &seen) {
                Ok(placed) => {
                    let roots: Vec<_> = placed
                        .around
                        .roots
                        .iter()
                        .map(|root| root.path.display().to_string())
                        .collect();
                    let (host, alone) = (&placed.around.host, &placed.alone);
                    format!("{host} {} {alone:?} {:?}", roots.join(" "), placed.away)
                }
                Err(lack) => lack.to_string(),
            };
            assert_eq!(found, expected);
        };
        check(None, "local /here None None");
        check(on("local"), "local /here None None");
        check(on("prod"), "prod /srv /data Some(\"prod\") Some(\"prod\")");
        check(on("second"), "second /data None None");
        check(
            on("lab"),
            "there is no host lab: dockmaster host add lab ssh://user@lab",
        );
        check(label("gpu"), "local /here None None");
        check(
            on("shut"),
            "the mode of the host shut is read-only, so no server runs there: dockmaster host edit shut --mode guarded",
        );
        check(
            label("shut"),
            "no host that may be changed has the label \"shut\": dockmaster host edit NAME --label shut",
        );
        // Whichever of them is chosen: one is another machine, and both have this root.
        check(label("eu"), "prod /data Some(\"prod\") Some(\"prod\")");
        check(label("on"), "third /srv None Some(\"third\")");
        // One with a bridge, and one without.
        check(label("far"), "prod /srv Some(\"prod\") Some(\"prod\")");
        check(
            label("none"),
            "no host that may be changed has the label \"none\": dockmaster host edit NAME --label none",
        );
        check(
            Some(Place::Where(Fitting {
                label: None,
                memory: None,
            })),
            "prod  Some(\"prod\") Some(\"prod\")",
        );
    }

    #[test]
    fn what_a_server_lacks_where_it_is_placed() {
        let socket = Container {
            docker_socket: true,
            ..Container::default()
        };
        let file = Container {
            mounts: vec![Mount {
                source: Source::Secret("key".to_owned()),
                target: "/run/key".to_owned(),
                read_only: true,
            }],
            ..Container::default()
        };
        let reaching = Container {
            network: Network::Hosts(Vec::new()),
            ..Container::default()
        };
        for (beside, expected) in [
            (Beside::Us, ["", "", ""]),
            (Beside::Bridge, ["", "", ""]),
            (
                Beside::Nobody,
                [
                    "it needs a Docker socket, and a filtered one is given to containers on the same machine only",
                    "it wants a secret as a file, and one in memory is given to containers on the same machine only",
                    "it may reach only the hosts that it declares, through a proxy of Dockmaster's on the same machine, and \
                     there is no bridge there",
                ],
            ),
        ] {
            let roots = Vec::new();
            let placed = Placed::there(
                &Around::default(),
                &[("prod", &roots, beside)],
                Commands::Permitted,
            );
            let found = [&socket, &file, &reaching].map(|container| {
                let lacks = placed.lacks("s", &Target::Container(container.clone()));
                lacks.first().map(|lack| lack.what.clone()).unwrap_or_default()
            });
            let expected = expected.map(|why| match why {
                "" => String::new(),
                why => format!("s can't run on prod: {why}"),
            });
            assert_eq!(found, expected);
        }
    }
}
