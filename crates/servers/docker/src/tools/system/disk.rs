//! `get_system_df`: what takes how much space.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::pick;
use engine::ops::system::{DiskUsage, Kind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};

/// The largest objects of each kind that are told in detail.
const LARGEST: usize = 15;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetSystemDf {
    #[serde(default)]
    details: bool,
}

impl Call<Ctx> for GetSystemDf {
    const SPEC: Spec = Spec::new(Toolset::Standard, "get_system_df", "Disk usage.")
        .reads()
        .aliases(&["docker_system_df", "docker_df"]);

    fn about(&self) -> String {
        "measure the engine's disk usage".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        ctx.progress(0.0, None, "measuring").await;
        let answer = ctx.engine().system_df(&Kind::ALL).await?;
        let usage = DiskUsage::read(&answer);
        let rows = Kind::ALL.map(|kind| {
            let usage = usage.of(kind);
            vec![
                word(kind).to_owned(),
                usage.count.to_string(),
                usage.active.to_string(),
                base::text::bytes(usage.bytes),
                base::text::bytes(usage.reclaimable),
            ]
        });
        let table = Answer::table(&["kind", "count", "in use", "size", "can be freed"], rows);
        if !self.details {
            return Ok(table);
        }
        let lines: Vec<String> = Kind::ALL
            .into_iter()
            .flat_map(|kind| largest(kind, &answer))
            .collect();
        Ok(lines.into_iter().fold(table, Answer::note))
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Images => "images",
        Kind::Containers => "containers",
        Kind::Volumes => "volumes",
        Kind::BuildCache => "build cache",
    }
}

/// A line with size, name and use of each of the largest objects.
fn largest(kind: Kind, answer: &Value) -> Vec<String> {
    let mut objects: Vec<(u64, String)> = kind
        .objects(answer)
        .iter()
        .map(|object| match kind {
            Kind::Images => {
                let name = pick::texts(object, "/RepoTags")
                    .next()
                    .filter(|tag| !tag.starts_with("<none>"));
                let name = name.unwrap_or_else(|| pick::short_id(pick::text(object, "/Id")));
                let shared = base::text::bytes(pick::count(object, "/SharedSize"));
                let users = pick::count(object, "/Containers");
                (
                    pick::count(object, "/Size"),
                    format!("{name} ({shared} shared, {users} containers)"),
                )
            }
            Kind::Containers => {
                let state = pick::text(object, "/State");
                (
                    pick::count(object, "/SizeRw"),
                    format!("{} ({state})", pick::container_name(object)),
                )
            }
            Kind::Volumes => {
                let users = pick::count(object, "/UsageData/RefCount");
                (
                    pick::count(object, "/UsageData/Size"),
                    format!("{} ({users} containers)", pick::text(object, "/Name")),
                )
            }
            Kind::BuildCache => {
                let what = base::text::cut(pick::text(object, "/Description"), 80);
                let used = if pick::yes(object, "/InUse") {
                    "in use"
                } else {
                    "not in use"
                };
                (pick::count(object, "/Size"), format!("{what} ({used})"))
            }
        })
        .collect();
    objects.sort_by(|one, other| other.cmp(one));
    let more = objects.len().saturating_sub(LARGEST);
    objects.truncate(LARGEST);
    let mut lines: Vec<String> = objects
        .into_iter()
        .map(|(size, what)| format!("{}\t{}\t{what}", word(kind), base::text::bytes(size)))
        .collect();
    if more > 0 {
        lines.push(format!("{}\t\tand {more} smaller", word(kind)));
    }
    let clean = |line: String| base::text::clean(&base::redact::text(&line)).replace('\n', " ");
    lines.into_iter().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_largest_come_first() {
        let answer = json!({"Volumes": [
            {"Name": "small", "UsageData": {"Size": 10, "RefCount": 0}},
            {"Name": "large", "UsageData": {"Size": 2048, "RefCount": 2}},
        ]});
        assert_eq!(
            largest(Kind::Volumes, &answer),
            [
                "volumes\t2 KiB\tlarge (2 containers)",
                "volumes\t10 B\tsmall (0 containers)"
            ]
        );
        let many: Vec<Value> = (0..20)
            .map(|n| json!({"Id": format!("sha256:{n:064}"), "Size": n}))
            .collect();
        let lines = largest(Kind::Images, &json!({ "Images": many }));
        assert_eq!(lines.len(), LARGEST + 1);
        assert_eq!(lines.last().unwrap(), "images\t\tand 5 smaller");
    }
}
