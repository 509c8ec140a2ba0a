//! `get_events`: what happened in a window of time, or what happens until enough has happened.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::pick;
use crate::values::{Filters, Span, When};
use engine::ops::system::EventQuery;
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::pin::pin;
use std::time::Duration;

/// Events of one answer when nothing is said.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
/// Longest time that is waited for events.
const MAX_WAIT: Duration = Duration::from_mins(5);
/// The engine remembers the last 256 events.
const DEFAULT_PAST: i64 = 600;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetEvents {
    /// 10m unless given; the engine remembers 256 events.
    since: Option<When>,
    /// Now unless given.
    until: Option<When>,
    /// Wait so long for further events, at most 5m.
    wait: Option<Span>,
    /// 100 unless given; the wait ends with it.
    limit: Option<usize>,
    #[schemars(description = "{\"type\":\"container\",\"event\":[\"die\",\"oom\"]}")]
    #[serde(default)]
    filters: Filters,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for GetEvents {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "get_events",
        "What happened in the engine, or happens now.",
    )
    .reads()
    .aliases(&["docker_events", "docker_system_events"]);

    fn about(&self) -> String {
        "read the engine's events".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let now = base::clock::now().as_second();
        let wait = self.wait.map_or(Duration::ZERO, |wait| wait.0.min(MAX_WAIT));
        // Asked to wait and nothing else, what counts is what comes now.
        let since = match (self.since, wait.is_zero()) {
            (Some(since), _) => since.0.as_second(),
            (None, true) => now - DEFAULT_PAST,
            (None, false) => now,
        };
        let until = match self.until {
            Some(until) => until.0.as_second(),
            // One more, because the engine takes the moment as exclusive and its clock may be a little behind.
            None => now + 1 + i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        };
        if until <= since {
            return Err(ToolError::arguments("until is not after since"));
        }
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        let query = EventQuery {
            since: Some(since),
            until: Some(until),
            filters: self.filters.to_engine(),
        };
        let events = ctx.engine().system_events(&query).await?;
        let mut events = pin!(events);
        let mut rows = Vec::new();
        // The engine ends the stream at `until`; should its clock be far behind, ours does.
        let patience = wait + Duration::from_secs(5);
        let deadline = tokio::time::Instant::now() + patience;
        let mut more = false;
        while let Ok(Some(event)) = tokio::time::timeout_at(deadline, events.next()).await {
            if rows.len() == limit {
                more = true;
                break;
            }
            rows.push(row(&event?));
            if !wait.is_zero() && ctx.has_listener() {
                ctx.progress(
                    f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX)),
                    None,
                    "an event came",
                )
                .await;
            }
            if rows.len() == limit && !wait.is_zero() {
                break;
            }
        }
        if rows.is_empty() {
            return Ok(Answer::text("no event in this time"));
        }
        let answer = Answer::table(&["time", "type", "event", "object", ""], rows)
            .untrusted("events of the engine")
            .narrow("filters, or less time");
        Ok(if more {
            answer.note(format!("[there are more; limit is {limit}]"))
        } else {
            answer
        })
    }
}

fn row(event: &Value) -> Vec<String> {
    let time = pick::number(event, "/time");
    let time = jiff::Timestamp::from_second(time).map_or_else(|_| time.to_string(), |time| time.to_string());
    let name = match (
        pick::text(event, "/Actor/Attributes/name"),
        pick::text(event, "/Actor/ID"),
    ) {
        ("", id) if id.len() >= 64 => pick::short_id(id),
        ("", id) => id,
        (name, _) => name,
    };
    // `exec_create: sh -c …` carries the whole command.
    let action = base::redact::text(pick::text(event, "/Action")).into_owned();
    let details = ["image", "exitCode", "signal", "container", "driver"]
        .into_iter()
        .filter_map(|key| {
            let value = event["Actor"]["Attributes"][key]
                .as_str()
                .filter(|value| !value.is_empty())?;
            let value = if key == "container" {
                pick::short_id(value)
            } else {
                base::text::cut(value, 80)
            };
            Some(format!("{key}={value}"))
        });
    let details: Vec<String> = details.collect();
    let mut row = vec![
        time,
        pick::text(event, "/Type").to_owned(),
        base::text::cut(&action, 120).to_owned(),
        base::text::cut(name, 120).to_owned(),
    ];
    if !details.is_empty() {
        row.push(details.join(" "));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_in_one_line() {
        for (event, expected) in [
            (
                json!({"Type": "container", "Action": "die", "time": 1_795_228_596,
                    "Actor": {"ID": "0a".repeat(32), "Attributes": {"name": "web", "image": "busybox:1", "exitCode": "137"}}}),
                vec![
                    "2026-11-21T02:36:36Z",
                    "container",
                    "die",
                    "web",
                    "image=busybox:1 exitCode=137",
                ],
            ),
            (
                json!({"Type": "network", "Action": "destroy", "time": 0,
                    "Actor": {"ID": "0123456789ab".repeat(6), "Attributes": {}}}),
                vec!["1970-01-01T00:00:00Z", "network", "destroy", "0123456789ab"],
            ),
        ] {
            assert_eq!(row(&event), expected);
        }
    }
}
