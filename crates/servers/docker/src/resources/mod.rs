//! Resources: a container's log and figures, and the engine's events, read or watched.
//!
//! Reading one is calling the tool that gives the same; only the watching is done here, in [`watch`].

pub(crate) mod watch;

use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::tools::TABLE;
use base::names::ContainerRef;
use serde_json::json;
use server_kit::rmcp::model::{JsonObject, ResourceTemplate};
use std::fmt;

/// The prefix of what belongs to a container.
const CONTAINERS: &str = "docker://containers/";
/// The engine's events.
const EVENTS: &str = "docker://events";

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    /// The last lines of a container's log.
    Logs(ContainerRef),
    /// What a container uses.
    Stats(ContainerRef),
    /// What happened in the engine of late.
    Events,
}

impl Resource {
    /// The resource of this address, `None` if there is none.
    pub(crate) fn parse(uri: &str) -> Option<Self> {
        if uri == EVENTS {
            return Some(Self::Events);
        }
        let (name, what) = uri.strip_prefix(CONTAINERS)?.split_once('/')?;
        let container = ContainerRef::parse(name).ok()?;
        match what {
            "logs" => Some(Self::Logs(container)),
            "stats" => Some(Self::Stats(container)),
            _ => None,
        }
    }

    /// Its content now.
    pub(crate) async fn read(&self, ctx: &Ctx) -> Result<String, ToolError> {
        let (tool, arguments) = match self {
            Self::Logs(container) => ("monitor_container_logs", json!({ "container": container })),
            Self::Stats(container) => ("get_container_stats", json!({ "container": container })),
            Self::Events => ("get_events", json!({})),
        };
        let tool = TABLE
            .find(tool)
            .ok_or_else(|| ToolError::new(Code::Internal, format!("{self} has no tool to read it with")))?;
        let arguments: JsonObject = arguments.as_object().cloned().unwrap_or_default();
        let answer = tool.run(ctx.clone(), arguments).await?;
        Ok(ctx.state().core.pages.first(answer))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logs(container) => write!(f, "{CONTAINERS}{container}/logs"),
            Self::Stats(container) => write!(f, "{CONTAINERS}{container}/stats"),
            Self::Events => f.write_str(EVENTS),
        }
    }
}

/// Resources that are there without naming a container.
pub(crate) fn listed() -> Vec<server_kit::rmcp::model::Resource> {
    vec![
        server_kit::rmcp::model::Resource::new(EVENTS, "events")
            .with_description("What happened in the engine of late. Can be subscribed to.")
            .with_mime_type("text/plain"),
    ]
}

/// Resources of containers.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = |what: &str, description: &str| {
        ResourceTemplate::new(format!("{CONTAINERS}{{name}}/{what}"), what)
            .with_description(description)
            .with_mime_type("text/plain")
    };
    vec![
        template(
            "logs",
            "The last 100 lines of a container's log. Can be subscribed to.",
        ),
        template("stats", "What a container uses now. Can be subscribed to."),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (uri, is_one) in [
            ("docker://containers/web/logs", true),
            ("docker://containers/web/stats", true),
            ("docker://events", true),
            ("docker://containers/web/env", false),
            ("docker://containers/../logs", false),
            ("docker://containers/a%2fb/logs", false),
            ("docker://containers/web", false),
            ("file:///etc/passwd", false),
            ("", false),
        ] {
            let resource = Resource::parse(uri);
            assert_eq!(resource.is_some(), is_one, "{uri}");
            if let Some(resource) = resource {
                assert_eq!(resource.to_string(), uri);
            }
        }
    }
}
