//! `[shell]`: where commands run, and which.

use std::collections::BTreeMap;

use base::Span;
use catalog::setup::{Destination, Memory};
use engine::guard::Root;
use serde::Deserialize;
use shell_server::rules::Rule;

/// `[shell]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Shell {
    pub(crate) enabled: bool,
    pub(crate) runner: Place,
    pub(crate) image: String,
    pub(crate) roots: Vec<Root>,
    pub(crate) network: Reach,
    pub(crate) hosts: Vec<Destination>,
    pub(crate) memory: Memory,
    pub(crate) cpus: f64,
    pub(crate) pids: u32,
    pub(crate) user: Option<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) path: String,
    pub(crate) allow: Option<Vec<Rule>>,
    pub(crate) deny: Vec<Rule>,
    pub(crate) scripts: bool,
    pub(crate) variables: Vec<String>,
    pub(crate) timeout: Span,
}

impl Default for Shell {
    fn default() -> Self {
        Self {
            enabled: false,
            runner: Place::default(),
            image: "docker.io/library/debian:stable-slim".to_owned(),
            roots: Vec::new(),
            network: Reach::default(),
            hosts: Vec::new(),
            memory: Memory(2 << 30),
            cpus: 1.0,
            pids: 512,
            user: None,
            environment: BTreeMap::new(),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            allow: None,
            deny: Vec::new(),
            scripts: false,
            variables: Vec::new(),
            timeout: Span::seconds(2 * 60),
        }
    }
}

impl Shell {
    /// What only several keys, or a value by itself, make wrong: the key, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.timeout.duration() > shell_server::LONGEST {
            let fault = format!(
                "{} is more than 1h, the most that run_command waits; start_command starts what goes on",
                self.timeout
            );
            return Err(("shell.timeout", fault));
        }
        Ok(())
    }
}

/// Where commands run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// Each in a container.
    #[default]
    Container,
    /// On this host.
    Host,
}

/// What containers reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reach {
    /// Nothing but the named hosts.
    #[default]
    None,
    /// Everything.
    Open,
}
