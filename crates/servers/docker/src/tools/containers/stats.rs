//! `get_container_stats`: what containers use right now, computed, one line each.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::pick;
use base::names::ContainerRef;
use engine::ops::containers::ContainerQuery;
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::time::Duration;

/// Use of processors is told from two samples.
const BETWEEN_SAMPLES: Duration = Duration::from_millis(500);
/// So many containers are sampled at once.
const AT_ONCE: usize = 16;
/// More running containers than this are not sampled in one call.
const MOST: usize = 100;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetContainerStats {
    #[schemars(with = "Option<String>")]
    #[schemars(extend("about" = "One container; all running ones without it."))]
    container: Option<ContainerRef>,
}

impl Call<Ctx> for GetContainerStats {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "get_container_stats",
        "CPU, memory, network, disk use now.",
    )
    .reads()
    .aliases(&["docker_stats", "docker_container_stats", "container_stats"]);

    fn about(&self) -> String {
        match &self.container {
            Some(container) => format!("measure container {container}"),
            None => "measure all running containers".to_owned(),
        }
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let rows = match self.container {
            Some(container) => {
                let samples = ctx
                    .engine()
                    .container_stats_pair(&container, BETWEEN_SAMPLES)
                    .await?;
                if pick::count(&samples[1], "/memory_stats/limit") == 0 {
                    return Ok(Answer::text(format!("{container} is not running")));
                }
                vec![row(container.as_str(), &samples)]
            }
            None => all(&ctx).await?,
        };
        if rows.is_empty() {
            return Ok(Answer::text("no container is running"));
        }
        Ok(
            Answer::table(&["name", "cpu", "memory", "net rx/tx", "disk r/w", "pids"], rows)
                .narrow("container"),
        )
    }
}

async fn all(ctx: &Ctx) -> Result<Vec<Vec<String>>, ToolError> {
    let running = ctx.engine().container_list(&ContainerQuery::default()).await?;
    let rows = stream::iter(running.into_iter().take(MOST)).map(|container| {
        let engine = ctx.engine().clone();
        async move {
            let name = pick::container_name(&container).to_owned();
            let id = ContainerRef::parse(pick::text(&container, "/Id")).ok()?;
            // One that has ended meanwhile has no figures and is no error.
            let samples = engine.container_stats_pair(&id, BETWEEN_SAMPLES).await.ok()?;
            Some(row(&name, &samples))
        }
    });
    Ok(rows
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await)
}

pub(crate) fn row(name: &str, samples: &[Value; 2]) -> Vec<String> {
    let stats = &samples[1];
    let memory = memory(stats);
    let limit = pick::count(stats, "/memory_stats/limit");
    let share = percent(memory, limit);
    let (received, sent) = network(stats);
    let (read, written) = disk(stats);
    let bytes = base::text::bytes;
    vec![
        name.to_owned(),
        cpu(samples),
        format!("{} of {} ({share})", bytes(memory), bytes(limit)),
        format!("{}/{}", bytes(received), bytes(sent)),
        format!("{}/{}", bytes(read), bytes(written)),
        pick::count(stats, "/pids_stats/current").to_string(),
    ]
}

/// Share of one processor between the two samples, as `docker stats` counts it: 200 % is two processors.
fn cpu([before, after]: &[Value; 2]) -> String {
    let passed = |pointer: &str| pick::count(after, pointer).saturating_sub(pick::count(before, pointer));
    let used = passed("/cpu_stats/cpu_usage/total_usage");
    let passed = passed("/cpu_stats/system_cpu_usage");
    let processors = match pick::count(after, "/cpu_stats/online_cpus") {
        0 => pick::list(after, "/cpu_stats/cpu_usage/percpu_usage")
            .len()
            .max(1) as u64,
        online => online,
    };
    percent(used.saturating_mul(processors), passed)
}

/// Tenths of a percent in integers.
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0%".to_owned();
    }
    let tenths = u128::from(part) * 1_000 / u128::from(whole);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// Without the page cache, which the kernel gives back: the figure of `docker stats`.
fn memory(stats: &Value) -> u64 {
    let usage = pick::count(stats, "/memory_stats/usage");
    let cache = match pick::count(stats, "/memory_stats/stats/inactive_file") {
        // cgroup v1 calls it otherwise.
        0 => pick::count(stats, "/memory_stats/stats/total_inactive_file"),
        inactive => inactive,
    };
    usage.saturating_sub(cache)
}

fn network(stats: &Value) -> (u64, u64) {
    pick::members(stats, "/networks").fold((0, 0), |(received, sent), (_, network)| {
        (
            received + pick::count(network, "/rx_bytes"),
            sent + pick::count(network, "/tx_bytes"),
        )
    })
}

fn disk(stats: &Value) -> (u64, u64) {
    pick::list(stats, "/blkio_stats/io_service_bytes_recursive")
        .iter()
        .fold((0, 0), |(read, written), entry| {
            let bytes = pick::count(entry, "/value");
            match pick::text(entry, "/op").to_ascii_lowercase().as_str() {
                "read" => (read + bytes, written),
                "write" => (read, written + bytes),
                _ => (read, written),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures() {
        let before =
            json!({ "cpu_stats": { "cpu_usage": { "total_usage": 1_000 }, "system_cpu_usage": 2_000 } });
        let after = json!({
            "cpu_stats": { "cpu_usage": { "total_usage": 3_000 }, "system_cpu_usage": 10_000, "online_cpus": 4 },
            "memory_stats": { "usage": 3 << 20, "limit": 1 << 30, "stats": { "inactive_file": 1 << 20 } },
            "networks": { "eth0": { "rx_bytes": 1024, "tx_bytes": 2048 }, "eth1": { "rx_bytes": 1024 } },
            "blkio_stats": { "io_service_bytes_recursive": [
                { "op": "Read", "value": 4096 }, { "op": "write", "value": 8192 }, { "op": "Total", "value": 9 },
            ] },
            "pids_stats": { "current": 7 },
        });
        let expected = [
            "web",
            "100.0%",
            "2 MiB of 1 GiB (0.1%)",
            "2 KiB/2 KiB",
            "4 KiB/8 KiB",
            "7",
        ];
        assert_eq!(row("web", &[before, after]), expected);
        assert_eq!(row("idle", &[json!({}), json!({})])[1], "0%");
    }
}
