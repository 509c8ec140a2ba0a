//! How a host does: asked of its engine and its machine when somebody wants to know, and kept for some seconds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base::names::{HostName, ServerName};
use engine::guard::Mode;
use engine::ops::containers::ContainerQuery;
use engine::{Engine, Filters};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::host::{Host, Opened};
use crate::machine::Machine;

/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(5);
/// What containers bear that run servers for Dockmaster.
const OURS: &str = "dockmaster.managed";
/// The label that names the server.
const SERVER: &str = "dockmaster.server";
/// Most servers of a host that are named.
const NAMED: usize = 24;
/// Most of it that is shown of a stranger's word.
const WORD: usize = 120;

/// What was found out.
pub(crate) struct Known {
    at: Instant,
    health: Health,
}

/// A host, and how it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// What it is called.
    pub name: HostName,
    /// Where it is.
    pub place: String,
    /// How much of it is open.
    pub mode: Mode,
    /// What it is for.
    pub labels: Vec<String>,
    /// How it does.
    pub health: Health,
}

/// How a host does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Health {
    /// Nobody has used it, and nobody asked.
    Unused,
    /// It answers.
    Up(Box<Facts>),
    /// It does not.
    Down {
        /// Why, for a person.
        why: String,
    },
}

/// What a host says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Seconds since it was asked.
    pub seconds_ago: u64,
    /// How long a question and its answer take on a connection that is there.
    pub round_trip_ms: f64,
    /// The engine's version.
    pub engine: String,
    /// The version of the API that is spoken with it.
    pub api: String,
    /// The operating system, in words.
    pub system: String,
    /// `x86_64`, …
    pub architecture: String,
    /// Processors.
    pub cpus: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Containers, running or not.
    pub containers: u64,
    /// Those that run.
    pub running: u64,
    /// Those that run servers of Dockmaster's, of whichever gateway.
    pub ours: u64,
    /// The servers that these are of, by name; of very many the first 24.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Images.
    pub images: u64,
    /// By how much its clock is ahead of ours; the way of the answer counts half.
    pub clock_ahead_ms: i64,
    /// The machine beneath, where it can be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

impl Facts {
    /// Bytes of memory that new programs could have: all of it, where nobody tells what is left.
    pub fn memory_free(&self) -> u64 {
        self.machine
            .as_ref()
            .map_or(self.memory, |machine| machine.memory_available)
    }
}

impl Host {
    /// How it does, as known for at most 5 seconds, or asked now, for at most `limit`. Who asks while another asks gets the
    /// same answer.
    pub async fn state(&self, limit: Duration) -> State {
        let health = match timeout(limit, self.health(limit)).await {
            Ok(health) => health,
            Err(_) => late(limit),
        };
        self.with(health)
    }

    /// What is known of it without asking anybody.
    pub fn state_unasked(&self) -> State {
        let known = self.known.try_lock();
        let health = known.ok().and_then(|known| known.as_ref().map(Known::health));
        self.with(health.unwrap_or(Health::Unused))
    }

    fn with(&self, health: Health) -> State {
        State {
            name: self.name().clone(),
            place: self.place().to_owned(),
            mode: self.mode(),
            labels: self.labels().to_vec(),
            health,
        }
    }

    async fn health(&self, limit: Duration) -> Health {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.at.elapsed() < FRESH) {
            return known.health();
        }
        let asked = match self.open() {
            // The lock's owner ends in time, so that those who wait for it do.
            Ok(opened) => timeout(limit, ask(&opened)).await.map_err(|_| late(limit)),
            Err(why) => Err(Health::Down { why }),
        };
        let health = match asked {
            Ok(Ok(facts)) => Health::Up(Box::new(facts)),
            Ok(Err(error)) => Health::Down {
                why: error.to_string(),
            },
            Err(down) => down,
        };
        *known = Some(Known {
            at: Instant::now(),
            health: health.clone(),
        });
        health
    }
}

impl Known {
    fn health(&self) -> Health {
        let mut health = self.health.clone();
        if let Health::Up(facts) = &mut health {
            facts.seconds_ago = self.at.elapsed().as_secs();
        }
        health
    }
}

fn late(limit: Duration) -> Health {
    Health::Down {
        why: format!("no answer within {limit:?}"),
    }
}

async fn ask(opened: &Opened) -> Result<Facts, engine::Error> {
    let engine = &opened.engine;
    // The first request connects, which its time is no measure of.
    let begun = base::clock::now();
    let info = engine.system_info().await?;
    let ended = base::clock::now();
    let folder = text(&info, "DockerRootDir");
    let machine = async {
        match &opened.look {
            Some(look) => look.look(folder).await,
            None => None,
        }
    };
    let (ping, ours, machine) = tokio::join!(engine.system_ping(), ours(engine), machine);
    let memory = number(&info, "MemTotal");
    let ours = ours?;
    Ok(Facts {
        seconds_ago: 0,
        round_trip_ms: ping?.took.as_secs_f64() * 1000.0,
        engine: text(&info, "ServerVersion"),
        api: engine.api_version().await?.to_string(),
        system: text(&info, "OperatingSystem"),
        architecture: text(&info, "Architecture"),
        cpus: number(&info, "NCPU"),
        memory,
        containers: number(&info, "Containers"),
        running: number(&info, "ContainersRunning"),
        ours: ours.len() as u64,
        servers: servers(&ours),
        images: number(&info, "Images"),
        clock_ahead_ms: ahead(&info, begun, ended).unwrap_or_default(),
        // An engine in a virtual machine is on another machine than its socket.
        machine: machine.filter(|machine| machine.memory == memory),
    })
}

async fn ours(engine: &Engine) -> Result<Vec<Value>, engine::Error> {
    let query = ContainerQuery {
        filters: Filters::new().with("label", OURS),
        ..ContainerQuery::default()
    };
    engine.container_list(&query).await
}

/// The names of the servers that these containers are of.
fn servers(containers: &[Value]) -> Vec<String> {
    let names = containers.iter().filter_map(|container| {
        let name = container.get("Labels")?.get(SERVER)?.as_str()?;
        ServerName::parse(name).ok().map(String::from)
    });
    let names: BTreeSet<String> = names.collect();
    names.into_iter().take(NAMED).collect()
}

/// By how many milliseconds the engine's clock is ahead.
fn ahead(info: &Value, begun: jiff::Timestamp, ended: jiff::Timestamp) -> Option<i64> {
    let theirs: jiff::Timestamp = info.get("SystemTime")?.as_str()?.parse().ok()?;
    let (begun, ended) = (begun.as_millisecond(), ended.as_millisecond());
    Some(theirs.as_millisecond() - begun - (ended - begun) / 2)
}

fn text(info: &Value, name: &str) -> String {
    let text = info.get(name).and_then(Value::as_str).unwrap_or_default();
    let text = base::text::clean(text).replace(['\n', '\t'], " ");
    base::text::cut(&text, WORD).to_owned()
}

fn number(info: &Value, name: &str) -> u64 {
    info.get(name).and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn clocks_are_compared_at_half_the_way() {
        let at = |text: &str| -> jiff::Timestamp { text.parse().unwrap() };
        let check = |theirs: Value, expected| {
            let info = json!({"SystemTime": theirs});
            let found = ahead(&info, at("2026-11-22T07:00:00Z"), at("2026-11-22T07:00:01Z"));
            assert_eq!(found, expected, "{theirs}");
        };
        check(json!("2026-11-22T07:00:00.5Z"), Some(0));
        check(json!("2026-11-22T09:00:10.5+02:00"), Some(10_000));
        check(json!("2026-11-22T06:59:59.123456789Z"), Some(-1_377));
        check(json!("yesterday"), None);
        check(Value::Null, None);
    }
}
