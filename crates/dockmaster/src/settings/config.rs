//! The configuration file as types. Defaults stand here; what each key means is told in the table of settings, and a
//! test holds the two together.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use base::names::ServerName;
use base::{Size, Span};
use catalog::Setup;
use catalog::read::Own;
use catalog::setup::Memory;
use docker_server::Toolset;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::hosts::Hosts;
use super::roots::ProfileRoot;
use super::shell::Shell;
use crate::signatures::Signer;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) gateway: Gateway,
    pub(crate) policy: policy::Rules,
    pub(crate) screening: Screening,
    pub(crate) docker: Docker,
    pub(crate) shell: Shell,
    pub(crate) files: Files,
    pub(crate) instances: Instances,
    pub(crate) profiles: BTreeMap<String, Profile>,
    pub(crate) servers: BTreeMap<ServerName, Own>,
    pub(crate) signers: BTreeMap<String, Signer>,
    pub(crate) secrets: Secrets,
    pub(crate) hosts: Hosts,
    pub(crate) audit: Audit,
}

impl Config {
    /// Puts back what a gateway takes once, when it starts, and gives the names of what was put back.
    pub(crate) fn keep_what_holds_for_good(&mut self, began: &Self) -> Vec<&'static str> {
        fn keep<T: Clone + PartialEq>(now: &mut T, began: &T) -> bool {
            let differs = now != began;
            now.clone_from(began);
            differs
        }
        let (host, began_host) = (&mut self.hosts.local, &began.hosts.local);
        let (bounds, began_bounds) = (&mut self.instances, &began.instances);
        [
            (keep(&mut self.gateway, &began.gateway), "[gateway]"),
            (
                keep(&mut self.docker.answer_tokens, &began.docker.answer_tokens),
                "docker.answer_tokens",
            ),
            (keep(&mut bounds.most, &began_bounds.most), "instances.most"),
            (keep(&mut bounds.memory, &began_bounds.memory), "instances.memory"),
            (
                keep(&mut host.endpoint, &began_host.endpoint),
                "hosts.local.endpoint",
            ),
            (keep(&mut host.ssh, &began_host.ssh), "hosts.local.ssh"),
            (
                keep(&mut host.api_version, &began_host.api_version),
                "hosts.local.api_version",
            ),
            (keep(&mut self.audit, &began.audit), "audit.file"),
        ]
        .into_iter()
        .filter_map(|(differs, name)| differs.then_some(name))
        .collect()
    }
}

/// `[gateway]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gateway {
    pub(crate) transport: Transport,
    #[serde(deserialize_with = "address")]
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
    pub(crate) sse: bool,
    pub(crate) profile: String,
    pub(crate) call_timeout: Span,
    pub(crate) confirm_timeout: Span,
    #[serde(deserialize_with = "message_size")]
    pub(crate) message_size: Size,
    #[serde(deserialize_with = "message_size")]
    pub(crate) answer_size: Size,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) sessions: NonZeroUsize,
    pub(crate) session_idle: Span,
    #[serde(deserialize_with = "at_least_one")]
    pub(crate) events: NonZeroUsize,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            host: Ipv4Addr::LOCALHOST.into(),
            port: 8811,
            hosts: Vec::new(),
            origins: Vec::new(),
            sse: false,
            profile: "default".to_owned(),
            call_timeout: Span::seconds(15 * 60),
            confirm_timeout: Span::seconds(5 * 60),
            message_size: Size(4 << 20),
            answer_size: Size(64 << 20),
            sessions: NonZeroUsize::MIN.saturating_add(999),
            session_idle: Span::seconds(30 * 60),
            events: NonZeroUsize::MIN.saturating_add(255),
        }
    }
}

/// How clients reach the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// Standard input and output of the process, which the client starts
    #[default]
    Stdio,
    /// Streamable HTTP, with a bearer token
    Http,
}

/// `[screening]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Screening {
    pub(crate) hidden: Treatment,
    pub(crate) instructions: Treatment,
    pub(crate) secrets: Treatment,
    pub(crate) first_sight: FirstSight,
}

/// What happens with something suspicious.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Treatment {
    Pass,
    #[default]
    Mark,
    Refuse,
}

/// What happens with the tools of a server that was never approved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FirstSight {
    #[default]
    Approve,
    Hold,
}

impl Screening {
    /// As the gateway has it.
    pub(crate) fn parts(self) -> (gateway::Screening, gateway::FirstSight) {
        let treated = |treatment| match treatment {
            Treatment::Pass => gateway::Treatment::Pass,
            Treatment::Mark => gateway::Treatment::Mark,
            Treatment::Refuse => gateway::Treatment::Refuse,
        };
        let screening = gateway::Screening {
            hidden: treated(self.hidden),
            instructions: treated(self.instructions),
            secrets: treated(self.secrets),
        };
        let first_sight = match self.first_sight {
            FirstSight::Approve => gateway::FirstSight::Approve,
            FirstSight::Hold => gateway::FirstSight::Hold,
        };
        (screening, first_sight)
    }
}

/// `[docker]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Docker {
    pub(crate) enabled: bool,
    #[serde(deserialize_with = "by_name")]
    pub(crate) toolset: Toolset,
    pub(crate) answer_tokens: u32,
    pub(crate) credentials_for: Option<Vec<String>>,
}

impl Default for Docker {
    fn default() -> Self {
        Self {
            enabled: true,
            toolset: Toolset::default(),
            answer_tokens: 8_000,
            credentials_for: None,
        }
    }
}

/// `[files]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Files {
    pub(crate) enabled: bool,
    pub(crate) roots: Vec<engine::guard::Root>,
    pub(crate) hard_links: bool,
    pub(crate) client_roots: bool,
    pub(crate) search_timeout: Span,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            enabled: false,
            roots: Vec::new(),
            hard_links: false,
            client_roots: true,
            search_timeout: Span::seconds(60),
        }
    }
}

/// `[instances]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Instances {
    pub(crate) most: usize,
    pub(crate) memory: Memory,
    pub(crate) idle_stop: Span,
    pub(crate) start_timeout: Span,
    pub(crate) list_timeout: Span,
    pub(crate) commands: bool,
    pub(crate) node_image: String,
    pub(crate) python_image: String,
}

impl Default for Instances {
    fn default() -> Self {
        Self {
            most: 32,
            memory: Memory(64 << 30),
            idle_stop: Span::seconds(10 * 60),
            start_timeout: Span::seconds(60),
            list_timeout: Span::seconds(30),
            commands: false,
            node_image: catalog::NODE.to_owned(),
            python_image: catalog::PYTHON.to_owned(),
        }
    }
}

/// `[profiles.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Profile {
    /// In which the files and shell servers work for its clients; `None`: where they do for everybody.
    pub(crate) roots: Option<Vec<ProfileRoot>>,
    pub(crate) servers: BTreeMap<ServerName, Setup>,
}

/// `[secrets]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Secrets {
    pub(crate) sources: Option<Vec<String>>,
}

/// `[audit]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Audit {
    pub(crate) file: Option<PathBuf>,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        de::Error::custom(format!(
            "{text:?} is not an IP address; for this machine alone write 127.0.0.1"
        ))
    })
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroUsize, D::Error> {
    let number = usize::deserialize(deserializer)?;
    NonZeroUsize::new(number).ok_or_else(|| de::Error::custom("it is at least 1"))
}

/// The most bytes of a message: what no client or server gets by without, to what this process can hold several of.
fn message_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    let size = Size::deserialize(deserializer)?;
    if !(64 << 10..=1 << 30).contains(&size.0) {
        return Err(de::Error::custom(format!("{size} is not from 64 KiB to 1 GiB")));
    }
    Ok(size)
}

/// Reads what is written as text, with the type's own message when it can't.
fn by_name<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(de::Error::custom)
}
