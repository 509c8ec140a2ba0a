//! How everything that a plan touches is at one moment. Two looks that differ mean that a plan is stale.

use super::wanted::Wanted;
use super::{PROJECT, SPEC};
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::pick;
use base::names::ImageRef;
use engine::Filters;
use engine::ops::containers::ContainerQuery;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What exists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Now {
    /// Containers of the project, and others that have a name that is wanted.
    pub(super) containers: BTreeMap<String, NowContainer>,
    /// Networks likewise: id, and whether the project owns it.
    pub(super) networks: BTreeMap<String, NowObject>,
    /// Volumes likewise.
    pub(super) volumes: BTreeMap<String, NowObject>,
    /// The ids that the wanted images have.
    pub(super) images: BTreeMap<String, String>,
    /// Full names of what the plan was about, for the second look.
    names: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NowContainer {
    pub(super) id: String,
    pub(super) owned: bool,
    pub(super) running: bool,
    pub(super) image: String,
    pub(super) image_id: String,
    pub(super) spec: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NowObject {
    pub(super) id: String,
    pub(super) owned: bool,
}

impl Now {
    /// Looks at the engine.
    pub(super) async fn look(ctx: &Ctx, wanted: &Wanted) -> Result<Self, ToolError> {
        let names = wanted
            .containers
            .iter()
            .map(|container| container.name.to_string())
            .chain(wanted.networks.iter().map(|network| network.name.to_string()))
            .chain(wanted.volumes.iter().map(|volume| volume.name.to_string()))
            .collect();
        let images = wanted
            .containers
            .iter()
            .filter_map(|container| container.settings.image.clone())
            .collect();
        Self::look_for(ctx, &wanted.project, names, images).await
    }

    /// Looks again at the same things.
    pub(super) async fn again(&self, ctx: &Ctx, project: &str) -> Result<Self, ToolError> {
        let images = self
            .images
            .keys()
            .filter_map(|image| ImageRef::parse(image).ok())
            .collect();
        Self::look_for(ctx, project, self.names.clone(), images).await
    }

    async fn look_for(
        ctx: &Ctx,
        project: &str,
        names: BTreeSet<String>,
        wanted_images: Vec<ImageRef>,
    ) -> Result<Self, ToolError> {
        let engine = ctx.engine();
        let query = ContainerQuery {
            all: true,
            ..ContainerQuery::default()
        };
        let listed = Filters::new();
        let containers = engine.container_list(&query).await?;
        let networks = engine.network_list(&listed).await?;
        let volumes = engine.volume_list(&listed).await?;
        let mut images = BTreeMap::new();
        for image in wanted_images {
            // A missing image is found out here, before anything is planned on it.
            let found = engine.image_inspect(&image).await?;
            images.insert(image.to_string(), pick::text(&found, "/Id").to_owned());
        }
        let owned = |object: &Value| object["Labels"][PROJECT] == project;
        let mut now = Self {
            images,
            ..Self::default()
        };
        for container in &containers {
            let name = pick::container_name(container);
            if owned(container) || names.contains(name) {
                now.containers
                    .insert(name.to_owned(), NowContainer::of(container, owned(container)));
            }
        }
        for network in &networks {
            let name = pick::text(network, "/Name");
            if owned(network) || names.contains(name) {
                let id = pick::text(network, "/Id").to_owned();
                now.networks.insert(
                    name.to_owned(),
                    NowObject {
                        id,
                        owned: owned(network),
                    },
                );
            }
        }
        for volume in &volumes {
            let name = pick::text(volume, "/Name");
            if owned(volume) || names.contains(name) {
                now.volumes.insert(
                    name.to_owned(),
                    NowObject {
                        id: name.to_owned(),
                        owned: owned(volume),
                    },
                );
            }
        }
        now.names = names;
        Ok(now)
    }

    /// What is different now, in words; empty if nothing is.
    pub(super) fn differences(&self, now: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        compare("container", &self.containers, &now.containers, &mut differences);
        compare("network", &self.networks, &now.networks, &mut differences);
        compare("volume", &self.volumes, &now.volumes, &mut differences);
        compare("image", &self.images, &now.images, &mut differences);
        differences
    }
}

impl NowContainer {
    fn of(listed: &Value, owned: bool) -> Self {
        Self {
            id: pick::text(listed, "/Id").to_owned(),
            owned,
            running: pick::text(listed, "/State") == "running",
            image: pick::text(listed, "/Image").to_owned(),
            image_id: pick::text(listed, "/ImageID").to_owned(),
            spec: listed["Labels"][SPEC].as_str().unwrap_or_default().to_owned(),
        }
    }
}

fn compare<T: PartialEq>(
    kind: &str,
    before: &BTreeMap<String, T>,
    now: &BTreeMap<String, T>,
    differences: &mut Vec<String>,
) {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for name in names {
        match (before.get(name), now.get(name)) {
            (Some(_), None) => differences.push(format!("{kind} {name} is gone")),
            (None, Some(_)) => differences.push(format!("{kind} {name} is new")),
            (before, now) if before != now => differences.push(format!("{kind} {name} has changed")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let object = |id: &str| NowObject {
            id: id.into(),
            owned: true,
        };
        let before = Now {
            networks: [("a".into(), object("1")), ("b".into(), object("2"))].into(),
            ..Now::default()
        };
        let after = Now {
            networks: [("b".into(), object("3")), ("c".into(), object("4"))].into(),
            ..Now::default()
        };
        assert_eq!(before.differences(&before), Vec::<String>::new());
        let expected = ["network a is gone", "network b has changed", "network c is new"];
        assert_eq!(before.differences(&after), expected);
    }
}
