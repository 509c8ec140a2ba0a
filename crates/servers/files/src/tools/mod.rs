//! All tools, in the order in which they are listed.

mod change;
mod list;
mod read;
mod remove;
mod search;
mod watch;
mod write;

use crate::server::Ctx;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use server_kit::pages::Pages;
use server_kit::{Table, Tool};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// The tool that lists the roots.
pub(crate) const WHICH: &str = "list_allowed_directories";

/// Every tool that can be called.
pub(crate) static TABLE: Table<Ctx> = Table(&[&[
    Tool::of::<read::ReadFile>(),
    Tool::of::<write::WriteFile>(),
    Tool::of::<write::EditFile>(),
    Tool::of::<change::CreateDirectory>(),
    Tool::of::<change::MoveFile>(),
    Tool::of::<change::CopyFile>(),
    Tool::of::<remove::DeleteFile>(),
    Tool::of::<remove::RestoreFile>(),
    Tool::of::<remove::EmptyTrash>(),
    Tool::of::<list::ListDirectory>(),
    Tool::of::<list::DirectoryTree>(),
    Tool::of::<list::GetFileInfo>(),
    Tool::of::<search::SearchFiles>(),
    Tool::of::<search::SearchContent>(),
    Tool::of::<watch::WatchFiles>(),
    Tool::of::<list::ListAllowedDirectories>(),
]]);

/// How long something quick may take: a disk that sleeps, a network's file system.
const QUICK: Duration = Duration::from_secs(30);
/// How long copying and removing may take.
const LONG: Duration = Duration::from_mins(10);

/// A moment, in seconds.
fn moment(time: Option<SystemTime>) -> String {
    time.and_then(|time| jiff::Timestamp::try_from(time).ok())
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// A parameter that no tool reads, since pages are answered before one is reached: what gets here is a page that is only
/// described, or no cursor at all.
#[derive(Debug)]
struct Cursor;

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // Some clients write what they leave out as an empty text.
        if text.is_empty() || Pages::is_cursor(&text) {
            return Ok(Self);
        }
        Err(D::Error::custom(format_args!(
            "{:?} is no cursor: leave it out, or pass the one of the last answer as it was",
            base::text::cut(&text, 60)
        )))
    }
}

impl JsonSchema for Cursor {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// "1 file", "2 files".
fn count(number: usize, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        _ => format!("{number} {of}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_a_closed_object_with_a_name() {
        for tool in TABLE.all() {
            let name = tool.spec.name;
            assert!(base::names::ToolName::parse(name).is_ok(), "{name}");
            assert_eq!(tool.schema()["additionalProperties"], false, "{name}");
        }
        let listed: Vec<_> = TABLE.all().map(Tool::listed).collect();
        let tokens = base::text::tokens(serde_json::to_string(&listed).unwrap().len());
        assert!(tokens <= 2_200, "{tokens}");
    }
}
