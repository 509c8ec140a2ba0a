//! `monitor_container_logs`: the part of a log that was asked for.

use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::logs::{self, Cursor, LogPage, LogQuery, Which};
use crate::values::When;
use base::names::ContainerRef;
use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};

/// Lines without further ado.
const DEFAULT_TAIL: u32 = 100;
/// Room in the answer for frame, cursor and remarks.
const FRAME: usize = 700;
/// A pattern is compiled into at most this much; more is an attack or a mistake.
const MAX_PATTERN: usize = 1 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MonitorContainerLogs {
    #[schemars(with = "String")]
    container: ContainerRef,
    /// Default 100; or all.
    #[serde(default)]
    #[schemars(schema_with = "server_kit::schema::text")]
    #[schemars(extend("about" = "The last so many lines that fit the rest, 100 unless given; or all."))]
    tail: Option<Tail>,
    /// 10m, or a date.
    #[schemars(extend("about" = "A time ago such as 10m, or a date."))]
    since: Option<When>,
    #[schemars(extend("about" = "Likewise."))]
    until: Option<When>,
    #[schemars(extend("about" = "A regular expression; the whole log is searched."))]
    grep: Option<String>,
    #[serde(default)]
    stream: Which,
    #[serde(default)]
    timestamps: bool,
    #[schemars(extend("about" = "Of the last answer, to read on."))]
    cursor: Option<String>,
}

#[derive(Clone, Copy)]
enum Tail {
    All,
    Last(u32),
}

impl<'de> Deserialize<'de> for Tail {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom("it is a number of lines, or all");
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) if text == "all" => Ok(Self::All),
            serde_json::Value::String(text) => text.parse().map(Self::Last).map_err(|_| wrong()),
            serde_json::Value::Number(number) => number
                .as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .map(Self::Last)
                .ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

impl Call<Ctx> for MonitorContainerLogs {
    const SPEC: Spec = Spec::new(Toolset::Standard, "monitor_container_logs", "A container's log.")
        .reads()
        .aliases(&[
            "docker_logs",
            "docker_container_logs",
            "get_container_logs",
            "container_logs",
        ]);

    fn about(&self) -> String {
        format!("read the log of container {}", self.container)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let query = LogQuery {
            tail: match self.tail {
                Some(Tail::All) => None,
                Some(Tail::Last(lines)) => Some(lines),
                // With a beginning given, reading begins there.
                None if self.since.is_some() && self.grep.is_none() => None,
                None => Some(DEFAULT_TAIL),
            },
            since: self.since,
            until: self.until,
            grep: self.grep.as_deref().map(pattern).transpose()?,
            which: self.stream,
            timestamps: self.timestamps,
            cursor: self.cursor.as_deref().map(Cursor::parse).transpose()?,
        };
        let room = ctx.state().core.pages.budget().saturating_sub(FRAME);
        let page = logs::read(ctx.engine(), &self.container, &query, room).await?;
        Ok(answer(&self.container, page, &query))
    }
}

pub(crate) fn pattern(text: &str) -> Result<Regex, ToolError> {
    RegexBuilder::new(text)
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(MAX_PATTERN)
        .build()
        .map_err(|error| {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            ToolError::arguments(format!("parameter grep: {}", base::text::cut(reason, 200)))
                .fix("escape literal ( ) [ ] { } . * + ? with a backslash")
        })
}

fn answer(container: &ContainerRef, page: LogPage, query: &LogQuery) -> Answer {
    let answer = if page.lines == 0 {
        Answer::text(match &query.grep {
            Some(_) => "no line matches",
            None => "no output",
        })
    } else {
        Answer::text(page.text).untrusted(format!("log of container {container}"))
    };
    let answer = match (page.from_start, page.left_out) {
        (Some(cursor), left_out) if left_out > 0 => answer.note(format!(
            "[{left_out} lines before these; cursor {cursor} reads from the first of them]"
        )),
        _ => answer,
    };
    match (page.next, page.tired) {
        (Some(cursor), true) => answer.note(format!(
            "[the log is long and goes on; cursor {cursor} reads on, since shortens it]"
        )),
        (Some(cursor), false) => answer.note(format!(
            "[more; cursor {cursor} reads on; tail, since or grep narrow]"
        )),
        (None, _) => answer,
    }
}
