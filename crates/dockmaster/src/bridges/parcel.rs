//! What a bridge works with, as it is sent to it: a configuration for what it shares with every gateway, and the servers
//! of its host as they were planned here, with the values of their secrets. It replaces the one before as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use base::Secret;
use base::names::ServerName;
use catalog::plan::{Container, Life, Network, PerCall, Plan, Sharing, Target};
use engine::guard::Mode;
use gateway::GatewayLink;
use policy::{AskBefore, Effect};
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item, Table, value};

use super::record::{self, Record};
use crate::settings::{LOCAL, Settings};

/// The form of parcels, and of all else that is said between a gateway and a bridge beside MCP. One that is higher means
/// something else.
pub(crate) const PROTOCOL: u32 = 1;
/// Where the gateway in a bridge listens, in a network of its own in which nobody else is.
pub(crate) const PORT: u16 = 8811;
/// Where the engine's socket is in a bridge.
pub(crate) const SOCKET: &str = "unix:///var/run/docker.sock";
/// Answers are cut on this side, which knows what its clients want.
const TOKENS: i64 = 16 << 20;
/// What a bridge calls whoever installed it.
const GATEWAY: &str = "gateway";

/// All that a bridge works with.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub(crate) protocol: u32,
    /// Of the bridge.
    pub(crate) id: String,
    /// Its `config.toml`.
    pub(crate) config: String,
    pub(crate) servers: Vec<Served>,
    /// SHA-256 hashes of the keys by which one is let in, in hexadecimal.
    #[serde(default)]
    pub(crate) keys: Vec<String>,
}

/// A server that a bridge serves.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Served {
    /// Of this plan and no other: the last part of its path.
    pub(crate) id: String,
    pub(crate) server: ServerName,
    pub(crate) runs: Runs,
    pub(crate) sharing: Sharing,
    #[serde(default)]
    pub(crate) life: Life,
    /// The tools that may be called; `None`: all.
    #[serde(default)]
    pub(crate) tools: Option<Vec<String>>,
    /// What its tools do, for permissions.
    #[serde(default)]
    pub(crate) effects: BTreeMap<String, Effect>,
    /// Values, by the names that the plan has for them.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, String>,
}

/// What runs for it.
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and nearly all are the large one"
)]
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Runs {
    Container(Container),
    PerCall(Vec<PerCall>),
}

impl Parcel {
    /// The last one that came here; `None` before the first, and anywhere but in a bridge.
    pub(crate) fn last(settings: &Settings) -> Result<Option<Self>> {
        if !settings.is_bridge() {
            return Ok(None);
        }
        match fs_err::read(Self::file(settings)) {
            Ok(text) => Ok(Some(
                serde_json::from_slice(&text).context("the parcel is damaged")?,
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where it lies in a bridge.
    pub(crate) fn file(settings: &Settings) -> PathBuf {
        settings.folders.state.join("parcel.json")
    }

    /// For the bridge of a host, with these servers.
    pub(crate) fn new(
        settings: &Settings,
        host: &str,
        record: &Record,
        mut servers: Vec<Served>,
    ) -> Result<Self> {
        let written = settings.as_written()?;
        for served in &mut servers {
            // Not in the configuration, where a bridge from before does not know the key.
            let lists = &mut served.life.list_timeout;
            lists.get_or_insert(written.config.instances.list_timeout);
        }
        Ok(Self {
            protocol: PROTOCOL,
            id: record.id.clone(),
            config: config(&written, host)?,
            servers,
            keys: Vec::new(),
        })
    }

    /// What it says, but for its keys.
    pub(crate) fn revision(&self) -> Result<String> {
        let bare = Self {
            keys: Vec::new(),
            ..self.clone()
        };
        Ok(record::hash(&serde_json::to_vec(&bare)?))
    }

    /// Whether the bridge has to reach hosts, for the server of this id or for any.
    pub(crate) fn needs_way_out(&self, id: Option<&str>) -> bool {
        let mut servers = self.servers.iter();
        servers.any(|served| id.is_none_or(|id| served.id == id) && served.has_hosts())
    }

    /// Who is let in.
    pub(crate) fn links(&self) -> Vec<GatewayLink> {
        let hashes = self.keys.iter().filter_map(|key| {
            let bytes: Option<Vec<u8>> = (0..key.len() / 2)
                .map(|at| u8::from_str_radix(key.get(2 * at..2 * at + 2)?, 16).ok())
                .collect();
            bytes?.try_into().ok()
        });
        let link = |hash| GatewayLink {
            principal: GATEWAY.to_owned(),
            hash,
        };
        hashes.map(link).collect()
    }

    /// The values of all secrets.
    pub(crate) fn secrets(&self) -> BTreeMap<String, Secret> {
        let all = self.servers.iter().flat_map(|served| &served.secrets);
        all.map(|(name, value)| (name.clone(), Secret::new(value.clone())))
            .collect()
    }
}

impl Served {
    /// The name of a plan; `None` for what a bridge can't run.
    pub(crate) fn id_of(plan: &Plan) -> Option<String> {
        if !matches!(plan.target, Target::Container(_) | Target::PerCall(_)) {
            return None;
        }
        let text = serde_json::to_vec(plan).ok()?;
        record::hash(&text).get(..16).map(str::to_owned)
    }

    /// A plan, and what it needs.
    pub(crate) fn new(
        plan: &Plan,
        effects: BTreeMap<String, Effect>,
        secrets: BTreeMap<String, Secret>,
    ) -> Option<Self> {
        let runs = match &plan.target {
            Target::Container(container) => Runs::Container(container.clone()),
            Target::PerCall(tools) => Runs::PerCall(tools.clone()),
            _ => return None,
        };
        let expose = |(name, value): (String, Secret)| (name, value.expose().to_owned());
        Some(Self {
            id: Self::id_of(plan)?,
            server: plan.server.clone(),
            runs,
            sharing: plan.sharing,
            life: plan.life,
            tools: plan.tools.clone(),
            effects,
            secrets: secrets.into_iter().map(expose).collect(),
        })
    }

    /// Whether it may reach hosts, which it does through the bridge.
    fn has_hosts(&self) -> bool {
        let containers: Vec<&Container> = match &self.runs {
            Runs::Container(container) => vec![container],
            Runs::PerCall(tools) => tools.iter().map(|tool| &tool.container).collect(),
        };
        let mut networks = containers.into_iter().map(|container| &container.network);
        networks.any(|network| matches!(network, Network::Hosts(hosts) if !hosts.is_empty()))
    }

    /// The plan, as it runs in the bridge.
    pub(crate) fn plan(self) -> Plan {
        Plan {
            server: self.server,
            target: match self.runs {
                Runs::Container(container) => Target::Container(container),
                Runs::PerCall(tools) => Target::PerCall(tools),
            },
            host: None,
            sharing: self.sharing,
            life: self.life,
            tools: self.tools,
            // Names are given on the other side.
            prefix: None,
            secrets: self.secrets.into_keys().collect(),
            asks_for: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// The configuration of the gateway in the bridge: the rules and the guard of this side, and nothing to be asked about,
/// since that is done here.
fn config(settings: &Settings, host: &str) -> Result<String> {
    let config = &settings.config;
    let rules = policy::Rules {
        ask: AskBefore::Never,
        ..config.policy.clone()
    };
    let of_host = config.hosts.get(host).context("there is no such host")?;
    let mode: Mode = of_host.mode;
    let mut text: DocumentMut = toml::to_string(&BTreeMap::from([("policy", rules)]))?.parse()?;
    let mut set = |path: [&str; 2], new: Item| {
        let table = text.entry(path[0]).or_insert_with(|| Item::Table(Table::new()));
        if let Some(table) = table.as_table_like_mut() {
            table.insert(path[1], new);
        }
    };
    set(["gateway", "transport"], value("http"));
    set(["gateway", "port"], value(i64::from(PORT)));
    set(["gateway", "call_timeout"], value("24h"));
    set(["docker", "enabled"], value(false));
    set(["docker", "answer_tokens"], value(TOKENS));
    let bounds = &config.instances;
    set(["instances", "most"], value(i64::try_from(bounds.most)?));
    set(["instances", "idle_stop"], value(bounds.idle_stop.to_string()));
    set(
        ["instances", "start_timeout"],
        value(bounds.start_timeout.to_string()),
    );
    let mut local = Table::new();
    local.insert("endpoint", value(SOCKET));
    local.insert("mode", value(mode.as_str()));
    if let Some(guard) = guard(settings, host)? {
        local.insert("guard", guard);
    }
    set(["hosts", LOCAL], Item::Table(local));
    Ok(text.to_string())
}

/// The guard of a host, as it is written.
fn guard(settings: &Settings, host: &str) -> Result<Option<Item>> {
    let of_host = settings.config.hosts.get(host);
    if let Some(file) = of_host.and_then(|host| host.guard_file.as_deref()) {
        let text: DocumentMut = fs_err::read_to_string(file)?.parse()?;
        return Ok(Some(Item::Table(text.as_table().clone())));
    }
    let text = match fs_err::read_to_string(&settings.file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let text: DocumentMut = text.parse()?;
    let guard = text
        .get("hosts")
        .and_then(|hosts| hosts.get(host))
        .and_then(|host| host.get("guard"));
    Ok(guard.cloned())
}

#[cfg(test)]
mod tests {
    use base::Span;
    use catalog::plan::{Limits, Mount, Part, Source, Value};

    use super::*;
    use crate::env::{Environment, Var};
    use crate::settings::Overrides;

    fn settings(toml: &str, folder: &std::path::Path) -> Settings {
        let file = folder.join("config.toml");
        fs_err::write(&file, toml).unwrap();
        let home = folder.to_str().unwrap();
        Settings::read(
            Some(&file),
            Overrides::default(),
            Environment::of([(Var::Home, home)]),
        )
        .unwrap()
    }

    #[test]
    fn rules_and_guard_go_along() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(
            "[policy]\npreset = \"no-destroy\"\ndeny = [\"memory/forget\"]\n[instances]\nidle_stop = \"1h\"\n\
             [hosts.\"a.b\"]\nendpoint = \"ssh://a\"\nmode = \"no-destroy\"\n[hosts.\"a.b\".guard]\nprivileged = true\n",
            folder.path(),
        );
        insta::assert_snapshot!(config(&settings, "a.b").unwrap(), @r#"
        [policy]
        preset = "no-destroy"
        allow = []
        deny = ["memory/forget"]
        ask = "never"
        when_unable = "refuse"

        [gateway]
        transport = "http"
        port = 8811
        call_timeout = "24h"

        [docker]
        enabled = false
        answer_tokens = 16777216

        [instances]
        most = 32
        idle_stop = "1h"
        start_timeout = "1m"

        [hosts]

        [hosts.local]
        endpoint = "unix:///var/run/docker.sock"
        mode = "no-destroy"
        [hosts.local.guard]
        privileged = true
        "#);
        assert!(config(&settings, "c").is_err());
        let text = config(&settings, "local").unwrap();
        assert!(
            text.contains("mode = \"guarded\"") && !text.contains("privileged"),
            "{text}"
        );
    }

    #[test]
    fn plans_come_back_as_they_were() {
        let container = Container {
            image: "memory@sha256:00".to_owned(),
            command: vec!["--x".to_owned()],
            env: vec![(
                "TOKEN".to_owned(),
                Value::Parts(vec![
                    Part::Text("a ".to_owned()),
                    Part::Secret("m.token".to_owned()),
                ]),
            )],
            mounts: vec![Mount {
                source: Source::Volume("data".to_owned()),
                target: "/data".to_owned(),
                read_only: false,
            }],
            network: Network::Open,
            limits: Limits::default(),
            ..Container::default()
        };
        let plan = Plan {
            server: ServerName::parse("memory").unwrap(),
            target: Target::Container(container),
            host: None,
            sharing: Sharing::Principal,
            life: Life {
                idle_stop: Some(Span::seconds(90)),
                ..Life::default()
            },
            tools: Some(vec!["read".to_owned()]),
            prefix: None,
            secrets: vec!["m.token".to_owned()],
            asks_for: Vec::new(),
            notes: Vec::new(),
        };
        let secrets = BTreeMap::from([("m.token".to_owned(), Secret::new("s3cret"))]);
        let effects = BTreeMap::from([("read".to_owned(), Effect::Read)]);
        let served = Served::new(&plan, effects, secrets).unwrap();
        let text = serde_json::to_string(&served).unwrap();
        let again: Served = serde_json::from_str(&text).unwrap();
        assert_eq!(again.secrets["m.token"], "s3cret");
        assert_eq!(again.plan(), plan);
        // What is not a container over there is nothing for a bridge.
        let here = Plan {
            target: Target::BuiltIn,
            ..plan
        };
        assert_eq!(Served::id_of(&here), None);
    }

    #[test]
    fn keys_are_read_or_nobody_is_let_in() {
        let parcel = |keys: &[&str]| Parcel {
            protocol: PROTOCOL,
            id: "one".to_owned(),
            config: String::new(),
            servers: Vec::new(),
            keys: keys.iter().map(ToString::to_string).collect(),
        };
        let hash = record::hash(b"key");
        let links = parcel(&[&hash, "", "zz", "00", &hash[1..], "\u{e9}\u{e9}"]).links();
        assert_eq!(links.len(), 1);
        assert_eq!(record::digits(&links[0].hash), hash);
        // Keys are no part of what a parcel says.
        assert_eq!(
            parcel(&[&hash]).revision().unwrap(),
            parcel(&[]).revision().unwrap()
        );
    }
}
