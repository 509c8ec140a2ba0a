//! What runs, for whoever looks: told by the engine and the labels, so that any process can ask.

use std::time::Duration;

use base::names::ContainerRef;
use engine::ops::containers::ContainerQuery;
use engine::{Engine, Filters};
use futures_util::future::join_all;
use serde_json::Value;

use crate::instances::Instances;
use crate::labels::{self, Kind};
use crate::{Error, guards};

/// How far apart the two looks are from which the use of processors is told.
const APART: Duration = Duration::from_millis(200);

/// A container of a server, of any gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whose copy it is.
    pub server: String,
    /// The gateway process that started it.
    pub gateway: String,
    /// A hash of who shares it.
    pub share: String,
    /// The image as the plan names it.
    pub image: String,
    /// What exactly runs.
    pub fingerprint: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// As the engine says it: `running`, `exited`, `created`.
    pub state: String,
    /// What it uses; `None` for one that does not run.
    pub usage: Option<Usage>,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Bytes, without what the kernel could drop at once.
    pub memory: u64,
    /// The bound.
    pub memory_limit: u64,
    /// Processors' worth of time, now.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u64,
}

impl Instances {
    /// All containers of servers on this engine, other gateways' included.
    ///
    /// # Errors
    /// That the engine does not answer.
    pub async fn list(&self) -> Result<Vec<Listed>, Error> {
        listed(&self.inner.engine).await
    }
}

/// The same without an [`Instances`], for commands that only look.
///
/// # Errors
/// That the engine does not answer.
pub async fn list(engine: &Engine) -> Result<Vec<Listed>, Error> {
    listed(&engine.behind(guards::keeper(&engine.options().guard))).await
}

async fn listed(engine: &Engine) -> Result<Vec<Listed>, Error> {
    let query = ContainerQuery {
        all: true,
        filters: Filters::new().with("label", labels::of_kind(Kind::Instance)),
        ..ContainerQuery::default()
    };
    let found = engine.container_list(&query).await;
    let found = found.map_err(|error| Error::host("list the servers that run", error))?;
    Ok(join_all(found.iter().map(|entry| one(engine, entry))).await)
}

async fn one(engine: &Engine, entry: &Value) -> Listed {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let label = |key: &str| text(&entry["Labels"][key]);
    let id = text(&entry["Id"]);
    let state = text(&entry["State"]);
    let usage = match ContainerRef::parse(&id) {
        Ok(id) if state == "running" => usage(engine, &id).await,
        _ => None,
    };
    Listed {
        name: text(&entry["Names"][0]).trim_start_matches('/').to_owned(),
        server: label(labels::SERVER),
        gateway: label(labels::GATEWAY),
        share: label(labels::SHARE),
        image: label(labels::IMAGE),
        fingerprint: label(labels::FINGERPRINT),
        created: label(labels::CREATED),
        id,
        state,
        usage,
    }
}

/// `None` too for one that ends meanwhile.
async fn usage(engine: &Engine, id: &ContainerRef) -> Option<Usage> {
    let [first, second] = engine.container_stats_pair(id, APART).await.ok()?;
    read(&first, &second)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds of processor time, for a figure with two digits"
)]
fn read(first: &Value, second: &Value) -> Option<Usage> {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let memory = &second["memory_stats"];
    let used = memory["usage"].as_u64()?;
    // Control groups of version 1 and 2 call it differently.
    let droppable = memory["stats"]["total_inactive_file"]
        .as_u64()
        .or_else(|| memory["stats"]["inactive_file"].as_u64());
    let spent = |stats: &Value| number(&stats["cpu_stats"]["cpu_usage"]["total_usage"]);
    let passed = |stats: &Value| number(&stats["cpu_stats"]["system_cpu_usage"]);
    let spent = spent(second).saturating_sub(spent(first));
    let passed = passed(second).saturating_sub(passed(first));
    let processors = number(&second["cpu_stats"]["online_cpus"]).max(1);
    Some(Usage {
        memory: used.saturating_sub(droppable.unwrap_or(0)),
        memory_limit: number(&memory["limit"]),
        cpus: if passed == 0 {
            0.0
        } else {
            spent as f64 / passed as f64 * processors as f64
        },
        pids: number(&second["pids_stats"]["current"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stats(spent: u64, passed: u64, file: &str) -> Value {
        json!({
            "cpu_stats": {"cpu_usage": {"total_usage": spent}, "system_cpu_usage": passed, "online_cpus": 2},
            "memory_stats": {"usage": 5000, "limit": 9000, "stats": {file: 1000}},
            "pids_stats": {"current": 3},
        })
    }

    #[test]
    fn usage_of_either_version_of_control_groups() {
        for file in ["total_inactive_file", "inactive_file"] {
            let usage = read(&stats(100, 1000, file), &stats(300, 1400, file)).unwrap();
            let expected = Usage {
                memory: 4000,
                memory_limit: 9000,
                cpus: 1.0,
                pids: 3,
            };
            assert_eq!(usage, expected);
        }
        assert_eq!(
            read(&json!({}), &json!({"memory_stats": {}})),
            None,
            "it has ended"
        );
    }
}
