//! Completion: names of containers, images, networks and volumes for the arguments of prompts and templates.

use crate::ctx::Ctx;
use crate::pick;
use engine::ops::containers::ContainerQuery;
use engine::ops::images::ImageQuery;
use engine::{Error, Filters};
use server_kit::rmcp::model::{CompletionInfo, Reference};
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

/// The names that begin like `typed`, then those that contain it.
pub(crate) async fn complete(
    ctx: &Ctx,
    reference: &Reference,
    argument: &str,
    typed: &str,
) -> CompletionInfo {
    let Some(wanted) = wanted(reference, argument) else {
        return CompletionInfo::default();
    };
    let Ok(Ok(names)) = tokio::time::timeout(PATIENCE, names(ctx, wanted)).await else {
        // No names is what a keyboard can live with.
        return CompletionInfo::default();
    };
    let mut fitting = fitting(names, typed);
    let total = u32::try_from(fitting.len()).ok();
    let more = fitting.len() > CompletionInfo::MAX_VALUES;
    fitting.truncate(CompletionInfo::MAX_VALUES);
    CompletionInfo::with_pagination(fitting, total, more).unwrap_or_default()
}

fn wanted(reference: &Reference, argument: &str) -> Option<Names> {
    match (reference, argument) {
        (Reference::Resource(template), "name") if template.uri.starts_with("docker://containers/") => {
            Some(Names::Containers)
        }
        (Reference::Prompt(_), "container") => Some(Names::Containers),
        (Reference::Prompt(_), "image") => Some(Names::Images),
        (Reference::Prompt(_), "network") => Some(Names::Networks),
        (Reference::Prompt(_), "volume") => Some(Names::Volumes),
        (Reference::Prompt(_), "project") => Some(Names::Projects),
        _ => None,
    }
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
        let template = Reference::for_resource("docker://containers/{name}/logs");
        let prompt = Reference::for_prompt("triage_container");
        for (reference, argument, expected) in [
            (&template, "name", Some(Names::Containers)),
            (&template, "other", None),
            (&prompt, "container", Some(Names::Containers)),
            (&prompt, "project", Some(Names::Projects)),
            (&prompt, "goal", None),
        ] {
            assert_eq!(wanted(reference, argument), expected, "{argument}");
        }
    }
}
