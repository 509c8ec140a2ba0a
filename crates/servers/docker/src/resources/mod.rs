//! Resources: a container's log and figures, and the engine's events, read or watched.
//!
//! Reading one is calling the tool that gives the same; only the watching is done here, in [`watch`].

pub(crate) mod watch;

use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::tools::TABLE;
use base::names::{ContainerRef, HostName};
use serde_json::json;
use server_kit::rmcp::model::{JsonObject, ResourceTemplate};
use std::fmt;

/// What all addresses begin with.
const SCHEME: &str = "docker://";
/// Stands before the name of a container.
const CONTAINERS: &str = "containers";
/// The engine's events.
const EVENTS: &str = "events";

/// One resource. Its address is `docker://containers/NAME/logs`, `docker://containers/NAME/stats` or `docker://events`; with
/// the name of a host behind the scheme it is that host's. Which of both it is follows from the number of parts, so that a
/// host and a container may have any name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// The host that the address names.
    pub(crate) host: Option<HostName>,
    pub(crate) what: What,
}

/// What a resource tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
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
        let parts: Vec<&str> = uri.strip_prefix(SCHEME)?.split('/').collect();
        let (host, parts) = match parts.as_slice() {
            [EVENTS] | [CONTAINERS, _, _] => (None, parts.as_slice()),
            [host, rest @ ..] => (Some(HostName::parse(host).ok()?), rest),
            [] => return None,
        };
        let what = match parts {
            [EVENTS] => What::Events,
            [CONTAINERS, name, what] => {
                let container = ContainerRef::parse(name).ok()?;
                match *what {
                    "logs" => What::Logs(container),
                    "stats" => What::Stats(container),
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(Self { host, what })
    }

    /// Its content now, of the host that `ctx` is for.
    pub(crate) async fn read(&self, ctx: &Ctx) -> Result<String, ToolError> {
        let (tool, arguments) = match &self.what {
            What::Logs(container) => ("monitor_container_logs", json!({ "container": container })),
            What::Stats(container) => ("get_container_stats", json!({ "container": container })),
            What::Events => ("get_events", json!({})),
        };
        let tool = TABLE
            .find(tool)
            .ok_or_else(|| ToolError::new(Code::Internal, format!("{self} has no tool to read it with")))?;
        let arguments: JsonObject = arguments.as_object().cloned().unwrap_or_default();
        let answer = tool.run(ctx.clone(), arguments).await?;
        Ok(ctx.state().core.pages.first("", answer))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        match &self.what {
            What::Logs(container) => write!(f, "{CONTAINERS}/{container}/logs"),
            What::Stats(container) => write!(f, "{CONTAINERS}/{container}/stats"),
            What::Events => f.write_str(EVENTS),
        }
    }
}

/// Resources that are there without naming a container.
pub(crate) fn listed() -> Vec<server_kit::rmcp::model::Resource> {
    vec![
        server_kit::rmcp::model::Resource::new(format!("{SCHEME}{EVENTS}"), "events")
            .with_description("What happened in the engine of late. Can be subscribed to.")
            .with_mime_type("text/plain"),
    ]
}

/// Resources of containers, and of other hosts where there are any.
pub(crate) fn templates(has_others: bool) -> Vec<ResourceTemplate> {
    let template = |path: &str, name: &str, description: &str| {
        ResourceTemplate::new(format!("{SCHEME}{path}"), name)
            .with_description(format!("{description} Can be subscribed to."))
            .with_mime_type("text/plain")
    };
    let mut templates = vec![
        template(
            "containers/{name}/logs",
            "logs",
            "The last 100 lines of a container's log.",
        ),
        template("containers/{name}/stats", "stats", "What a container uses now."),
    ];
    if has_others {
        templates.extend([
            template(
                "{host}/containers/{name}/logs",
                "logs on a host",
                "The last 100 lines of the log of a container on a host.",
            ),
            template(
                "{host}/containers/{name}/stats",
                "stats on a host",
                "What a container on a host uses now.",
            ),
            template(
                "{host}/events",
                "events on a host",
                "What happened in the engine of a host of late.",
            ),
        ]);
    }
    templates
}

/// What belongs to which host among the arguments of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OfHost<'a> {
    /// The local one.
    Local,
    /// The one that the argument `host` names.
    Argument,
    /// This one.
    Fixed(&'a str),
}

/// Whose containers the argument `name` of a template names; `None`: it has no such argument, or is none of ours. Clients may
/// have filled the host in already.
pub(crate) fn names_containers(template: &str) -> Option<OfHost<'_>> {
    let parts: Vec<&str> = template.strip_prefix(SCHEME)?.split('/').collect();
    match parts.as_slice() {
        [CONTAINERS, _, _] => Some(OfHost::Local),
        ["{host}", CONTAINERS, _, _] => Some(OfHost::Argument),
        [host, CONTAINERS, _, _] => Some(OfHost::Fixed(host)),
        _ => None,
    }
}

/// Whether a template has the argument `host`.
pub(crate) fn names_host(template: &str) -> bool {
    template
        .strip_prefix(SCHEME)
        .is_some_and(|path| path.starts_with("{host}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (uri, host) in [
            ("docker://containers/web/logs", Some(None)),
            ("docker://containers/web/stats", Some(None)),
            ("docker://events", Some(None)),
            ("docker://prod/containers/web/logs", Some(Some("prod"))),
            ("docker://prod-1.eu/containers/web/stats", Some(Some("prod-1.eu"))),
            ("docker://prod/events", Some(Some("prod"))),
            ("docker://local/events", Some(Some("local"))),
            // A host and a container may have the names of our own parts.
            ("docker://containers/containers/logs", Some(None)),
            (
                "docker://containers/containers/containers/logs",
                Some(Some("containers")),
            ),
            ("docker://containers/events", Some(Some("containers"))),
            ("docker://events/containers/events/stats", Some(Some("events"))),
            ("docker://events/events", Some(Some("events"))),
            ("docker://containers/web/env", None),
            ("docker://prod/containers/web/env", None),
            ("docker://containers/../logs", None),
            ("docker://../containers/web/logs", None),
            ("docker://*/events", None),
            ("docker:///events", None),
            ("docker://a b/events", None),
            ("docker://prod/containers/a/b/logs", None),
            ("docker://containers/a%2fb/logs", None),
            ("docker://pr%6fd/events", None),
            ("docker://containers/web", None),
            ("docker://prod", None),
            ("docker://", None),
            ("file:///etc/passwd", None),
            ("", None),
        ] {
            let resource = Resource::parse(uri);
            let found = resource.as_ref().map(|it| it.host.as_ref().map(HostName::as_str));
            assert_eq!(found, host, "{uri}");
            if let Some(resource) = resource {
                assert_eq!(resource.to_string(), uri);
            }
        }
    }

    #[test]
    fn hosts_of_templates() {
        for template in templates(true) {
            let (uri, is_far) = (template.uri_template.as_str(), template.name.contains("host"));
            assert_eq!(names_host(uri), is_far, "{uri}");
            let expected = match (uri.contains("{name}"), is_far) {
                (false, _) => None,
                (true, true) => Some(OfHost::Argument),
                (true, false) => Some(OfHost::Local),
            };
            assert_eq!(names_containers(uri), expected, "{uri}");
            // What is filled in is an address.
            let filled = uri.replace("{host}", "prod").replace("{name}", "web");
            assert!(Resource::parse(&filled).is_some(), "{filled}");
        }
        let half = names_containers("docker://prod/containers/{name}/logs");
        assert_eq!(half, Some(OfHost::Fixed("prod")));
        assert_eq!(names_containers("file:///{name}/containers/a/b"), None);
    }
}
