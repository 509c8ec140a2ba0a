//! Completion: names of hosts, and of a host's containers, images, networks and volumes, for the arguments of prompts and
//! templates.

use crate::ctx::Ctx;
use crate::elsewhere::{self, LOCAL};
use crate::pick;
use crate::resources::{self, OfHost};
use engine::ops::containers::ContainerQuery;
use engine::ops::images::ImageQuery;
use engine::{Error, Filters};
use server_kit::hosts::HOST;
use server_kit::rmcp::model::{CompleteRequestParams, CompletionInfo, Reference};
use std::time::Duration;

/// Somebody waits at a keyboard.
const PATIENCE: Duration = Duration::from_secs(2);

/// What names are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Containers,
    Images,
    Networks,
    Volumes,
    Projects,
}

/// What is to be completed, and on which host.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Hosts,
    Names(Names, OfHost<'a>),
}

/// The names that begin like what was typed, then those that contain it. A host that can't be reached, or not in time, has
/// none: that is what a keyboard can live with.
pub(crate) async fn complete(ctx: &Ctx, request: &CompleteRequestParams) -> CompletionInfo {
    let Some(wanted) = wanted(&request.r#ref, &request.argument.name) else {
        return CompletionInfo::default();
    };
    let found = match wanted {
        Wanted::Hosts => elsewhere::names(ctx.state().options.elsewhere.as_ref()),
        Wanted::Names(names, host) => {
            let context = request.context.as_ref();
            let host = match host {
                OfHost::Local => Some(LOCAL),
                OfHost::Fixed(host) => Some(host),
                OfHost::Argument => context
                    .and_then(|context| context.get_argument(HOST))
                    .map(|host| host.trim())
                    .filter(|host| !host.is_empty()),
            };
            // Of a prompt it may be left out.
            let host = host.or_else(|| matches!(request.r#ref, Reference::Prompt(_)).then_some(LOCAL));
            names_on(ctx, host, names).await.unwrap_or_default()
        }
    };
    let mut fitting = fitting(found, &request.argument.value);
    let total = u32::try_from(fitting.len()).ok();
    let more = fitting.len() > CompletionInfo::MAX_VALUES;
    fitting.truncate(CompletionInfo::MAX_VALUES);
    CompletionInfo::with_pagination(fitting, total, more).unwrap_or_default()
}

fn wanted<'a>(reference: &'a Reference, argument: &str) -> Option<Wanted<'a>> {
    let names = match (reference, argument) {
        (Reference::Resource(template), "name") => {
            let host = resources::names_containers(&template.uri)?;
            return Some(Wanted::Names(Names::Containers, host));
        }
        (Reference::Resource(template), HOST) => {
            return resources::names_host(&template.uri).then_some(Wanted::Hosts);
        }
        (Reference::Prompt(_), HOST) => return Some(Wanted::Hosts),
        (Reference::Prompt(_), "container") => Names::Containers,
        (Reference::Prompt(_), "image") => Names::Images,
        (Reference::Prompt(_), "network") => Names::Networks,
        (Reference::Prompt(_), "volume") => Names::Volumes,
        (Reference::Prompt(_), "project") => Names::Projects,
        _ => return None,
    };
    Some(Wanted::Names(names, OfHost::Argument))
}

/// The names on this host; `None` if it can't say them in time.
async fn names_on(ctx: &Ctx, host: Option<&str>, wanted: Names) -> Option<Vec<String>> {
    let host = elsewhere::one(ctx.state().options.elsewhere.as_ref(), host?).ok()?;
    let ctx = ctx.on(host);
    tokio::time::timeout(PATIENCE, names(&ctx, wanted))
        .await
        .ok()?
        .ok()
}

async fn names(ctx: &Ctx, wanted: Names) -> Result<Vec<String>, Error> {
    let engine = ctx.engine();
    let all = ContainerQuery {
        all: true,
        ..ContainerQuery::default()
    };
    let owned = |name: &str| name.to_owned();
    let mut names: Vec<String> = match wanted {
        Names::Containers => engine
            .container_list(&all)
            .await?
            .iter()
            .map(pick::container_name)
            .map(owned)
            .collect(),
        Names::Images => {
            let images = engine.image_list(&ImageQuery::default()).await?;
            images
                .iter()
                .flat_map(|image| pick::texts(image, "/RepoTags"))
                .map(owned)
                .collect()
        }
        Names::Networks => {
            let networks = engine.network_list(&Filters::new()).await?;
            networks
                .iter()
                .map(|network| pick::text(network, "/Name"))
                .map(owned)
                .collect()
        }
        Names::Volumes => {
            let volumes = engine.volume_list(&Filters::new()).await?;
            volumes
                .iter()
                .map(|volume| pick::text(volume, "/Name"))
                .map(owned)
                .collect()
        }
        Names::Projects => {
            let containers = engine.container_list(&all).await?;
            containers
                .iter()
                .filter_map(|container| container["Labels"][crate::plan::PROJECT].as_str())
                .map(owned)
                .collect()
        }
    };
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn fitting(names: Vec<String>, typed: &str) -> Vec<String> {
    let typed = typed.to_lowercase();
    let (begin, rest): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| name.to_lowercase().starts_with(&typed));
    let contain = rest
        .into_iter()
        .filter(|name| name.to_lowercase().contains(&typed));
    begin.into_iter().chain(contain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit() {
        let names = ["cache", "shop-web", "web", "WEB-2"].map(str::to_owned).to_vec();
        assert_eq!(fitting(names.clone(), "we"), ["web", "WEB-2", "shop-web"]);
        assert_eq!(fitting(names, "").len(), 4);
    }

    #[test]
    fn arguments_that_can_be_completed() {
        let here = Reference::for_resource("docker://containers/{name}/logs");
        let there = Reference::for_resource("docker://{host}/containers/{name}/logs");
        let half = Reference::for_resource("docker://prod/containers/{name}/logs");
        let events = Reference::for_resource("docker://{host}/events");
        let prompt = Reference::for_prompt("triage_container");
        let containers = |host| Some(Wanted::Names(Names::Containers, host));
        for (reference, argument, expected) in [
            (&here, "name", containers(OfHost::Local)),
            (&here, "host", None),
            (&here, "other", None),
            (&there, "name", containers(OfHost::Argument)),
            (&there, "host", Some(Wanted::Hosts)),
            (&half, "name", containers(OfHost::Fixed("prod"))),
            (&half, "host", None),
            (&events, "host", Some(Wanted::Hosts)),
            (&events, "name", None),
            (&prompt, "host", Some(Wanted::Hosts)),
            (&prompt, "container", containers(OfHost::Argument)),
            (
                &prompt,
                "project",
                Some(Wanted::Names(Names::Projects, OfHost::Argument)),
            ),
            (&prompt, "goal", None),
        ] {
            assert_eq!(wanted(reference, argument), expected, "{argument}");
        }
    }
}
