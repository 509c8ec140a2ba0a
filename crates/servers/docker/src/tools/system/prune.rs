//! The prune tools. Each shows what it would remove unless it is told to remove it.

use super::sweep::{self, Order, reach, selection};
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::values::Filters;
use engine::ops::system::Sweep;
use policy::Effect;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};

fn yes() -> bool {
    true
}

fn effect(dry_run: bool) -> Effect {
    if dry_run { Effect::Read } else { Effect::Destroy }
}

/// `list unused images`, `remove unused images and …`.
fn about(dry_run: bool, what: &str) -> String {
    let verb = if dry_run { "list" } else { "remove" };
    format!("{verb} {what}")
}

macro_rules! prune {
    (
        $(#[$doc:meta])* $name:ident, $tool:literal, $description:literal, $aliases:expr,
        { $($(#[$field_doc:meta])* $field:ident: bool),* },
        about: $about:expr, sweeps: $sweeps:expr, loses: $loses:expr
    ) => {
        $(#[$doc])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_doc])* #[serde(default)] $field: bool,)*
            #[schemars(description = "label, until: {\"label\":\"a=b\",\"until\":\"24h\"}")]
            #[serde(default)]
            filters: Filters,
            #[schemars(description = "False removes; otherwise tells what would be removed")]
            #[serde(default = "yes")]
            dry_run: bool,
            #[schemars(description = "As the dry run gave it: removes exactly that, or nothing")]
            plan: Option<String>,
            #[expect(dead_code, reason = "pages are answered before the tool is reached")]
            cursor: Option<String>,
        }

        impl Call<Ctx> for $name {
            const SPEC: Spec = Spec::new(Toolset::Full, $tool, $description).aliases($aliases);

            fn effect(&self) -> Effect {
                effect(self.dry_run)
            }

            fn about(&self) -> String {
                let what: fn(&Self) -> String = $about;
                about(self.dry_run, &what(self))
            }

            fn data_loss(&self) -> Option<String> {
                let loses: fn(&Self) -> Option<&'static str> = $loses;
                loses(self).filter(|_| !self.dry_run).map(str::to_owned)
            }

            async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
                let sweeps: fn(&Self) -> Vec<Sweep> = $sweeps;
                let order = Order { dry_run: self.dry_run, plan: self.plan.as_deref() };
                sweep::run(&ctx, &sweeps(&self), &selection(&self.filters)?, order).await
            }
        }
    };
}

prune!(
    /// Images that no container uses.
    PruneImages, "prune_images", "Remove unused images.", &["docker_prune_images", "docker_image_prune"],
    { /** Tagged ones too. */ all: bool },
    about: |prune| if prune.all { "all images that no container uses" } else { "untagged images" }.to_owned(),
    sweeps: |prune| vec![Sweep::Images(reach(prune.all))],
    loses: |_| None
);

prune!(
    /// Networks without running containers.
    PruneNetworks, "prune_networks", "Remove networks that no running container is in.",
    &["docker_prune_networks", "docker_network_prune"],
    {},
    about: |_| "networks that no running container is in".to_owned(),
    sweeps: |_| vec![Sweep::Networks],
    loses: |_| None
);

prune!(
    /// Volumes without containers.
    PruneVolumes, "prune_volumes", "Remove volumes that no container has, with their data.",
    &["docker_prune_volumes", "docker_volume_prune"],
    { /** Named ones too. */ all: bool },
    about: |prune| {
        let which = if prune.all { "all volumes" } else { "anonymous volumes" };
        format!("{which} that no container has, with their data")
    },
    sweeps: |prune| vec![Sweep::Volumes(reach(prune.all))],
    loses: |prune| Some(if prune.all { "all unused volumes" } else { "anonymous volumes" })
);

prune!(
    /// Results of builds.
    PruneBuilds, "prune_builds", "Remove build cache.", &["docker_prune_builds", "docker_builder_prune"],
    { /** What other records need too. */ all: bool },
    about: |prune| if prune.all { "all build cache" } else { "build cache that nothing refers to" }.to_owned(),
    sweeps: |prune| vec![Sweep::BuildCache(reach(prune.all))],
    loses: |_| None
);

prune!(
    /// All of it.
    PruneSystem, "prune_system", "Remove stopped containers and unused networks, images and build cache.",
    &["docker_prune_system", "docker_system_prune"],
    {
        /** Tagged images and named volumes too. */ all: bool,
        /** Volumes too, with their data. */ volumes: bool
    },
    about: |prune| {
        let images = if prune.all { "images" } else { "untagged images" };
        let volumes = match (prune.volumes, prune.all) {
            (false, _) => "",
            (true, false) => ", and anonymous volumes with their data",
            (true, true) => ", and volumes with their data",
        };
        format!("stopped containers, unused networks, {images} and build cache{volumes}")
    },
    // Containers go last, so that what they hold stays until it has been shown: the removal takes what the look
    // found, and no more.
    sweeps: |prune| {
        let mut sweeps = vec![Sweep::Networks, Sweep::Images(reach(prune.all)), Sweep::BuildCache(reach(prune.all))];
        if prune.volumes {
            sweeps.push(Sweep::Volumes(reach(prune.all)));
        }
        sweeps.push(Sweep::Containers);
        sweeps
    },
    loses: |prune| prune.volumes.then_some(if prune.all { "all unused volumes" } else { "anonymous volumes" })
);

#[cfg(test)]
mod tests {
    use crate::describe;
    use policy::Effect;
    use serde_json::json;

    #[test]
    fn a_look_is_a_look_and_a_removal_is_named() {
        for (tool, arguments, effect, about, loses) in [
            (
                "prune_images",
                json!({}),
                Effect::Read,
                "list untagged images",
                None,
            ),
            (
                "prune_images",
                json!({"all": true, "dry_run": false}),
                Effect::Destroy,
                "remove all images that no container uses",
                None,
            ),
            (
                "prune_volumes",
                json!({"all": true}),
                Effect::Read,
                "list all volumes that no container has, with their data",
                None,
            ),
            (
                "prune_volumes",
                json!({"dry_run": false}),
                Effect::Destroy,
                "remove anonymous volumes that no container has, with their data",
                Some("anonymous volumes"),
            ),
            (
                "prune_system",
                json!({"all": true, "volumes": true, "dry_run": false}),
                Effect::Destroy,
                "remove stopped containers, unused networks, images and build cache, and volumes with their data",
                Some("all unused volumes"),
            ),
            (
                "prune_system",
                json!({"dry_run": false}),
                Effect::Destroy,
                "remove stopped containers, unused networks, untagged images and build cache",
                None,
            ),
        ] {
            assert_eq!(describe::effect(tool, &arguments), effect, "{tool} {arguments}");
            assert_eq!(describe::about(tool, &arguments), about);
            assert_eq!(describe::data_loss(tool, &arguments).as_deref(), loses);
        }
    }
}
