//! Volumes: making and removing them, and who uses them.

use crate::ctx::Ctx;
use crate::error::{Code, Kind, ToolError};
use crate::list::List;
use crate::tools::Tool;
use crate::values::{Filters, Pairs};
use crate::{pick, status};
use base::names::VolumeName;
use engine::Error;
use engine::models::VolumeCreateRequest;
use engine::ops::containers::ContainerQuery;
use engine::ops::volumes::RemoveVolume as How;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::answer::{Answer, Digest};
use server_kit::{Call, Spec, Toolset};

/// The tools of this group, in the order of the list.
pub(crate) const TOOLS: &[Tool] = &[
    Tool::of::<CreateVolume>(),
    Tool::of::<RemoveVolume>(),
    Tool::of::<ListVolumes>(),
    Tool::of::<InspectVolume>(),
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateVolume {
    #[schemars(with = "Option<String>")]
    name: Option<VolumeName>,
    driver: Option<String>,
    #[serde(default)]
    options: Pairs,
    #[serde(default)]
    labels: Pairs,
}

impl Call<Ctx> for CreateVolume {
    const SPEC: Spec = Spec::new(Toolset::Standard, "create_volume", "Create a volume.")
        .adds()
        .idempotent()
        .aliases(&["docker_create_volume", "volume_create"]);

    fn about(&self) -> String {
        let options = if self.options.is_empty() {
            ""
        } else {
            " with driver options"
        };
        match &self.name {
            Some(name) => format!("create volume {name}{options}"),
            None => format!("create a volume{options}"),
        }
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let mut labels = self.labels;
        if let Some((name, value)) = ctx.scope_label() {
            labels.push(name, value);
        }
        // The engine does not say whether it made the volume or had it.
        let there = match &self.name {
            Some(name) => match ctx.engine().volume_inspect(name).await {
                Ok(_) => true,
                // It would not answer the next question, either.
                Err(error @ (Error::Timeout { .. } | Error::Unreachable { .. })) => return Err(error.into()),
                Err(_) => false,
            },
            None => false,
        };
        let body = VolumeCreateRequest {
            name: self.name.map(String::from),
            driver: self.driver,
            driver_opts: (!self.options.is_empty()).then(|| self.options.into_map()),
            labels: (!labels.is_empty()).then(|| labels.into_map()),
            ..VolumeCreateRequest::default()
        };
        let made = ctx.engine().volume_create(&body).await.map_err(refused)?;
        let (name, driver) = (pick::text(&made, "/Name"), pick::text(&made, "/Driver"));
        Ok(Answer::text(if there {
            format!("volume {name} exists already (driver {driver}); it was left as it is")
        } else {
            format!("created volume {name} (driver {driver})")
        }))
    }
}

fn refused(error: Error) -> ToolError {
    let fix = match &error {
        Error::Daemon { message, .. } | Error::NotFound { message, .. } | Error::Conflict { message, .. } => {
            if message.contains("plugin") {
                Some(
                    "leave out driver for a volume of this machine; get_docker_info lists the drivers there are",
                )
            } else if message.contains("invalid option") {
                Some("the local driver knows the options type, o and device")
            } else {
                None
            }
        }
        _ => None,
    };
    let error = ToolError::from(error);
    match fix {
        Some(fix) => error.fix(fix),
        None => error,
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveVolume {
    #[schemars(with = "String")]
    volume: VolumeName,
    /// Also if its driver is gone.
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    force: bool,
}

impl Call<Ctx> for RemoveVolume {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "remove_volume",
        "Remove a volume and its data.",
    )
    .aliases(&["docker_remove_volume", "volume_remove"]);

    fn about(&self) -> String {
        let force = if self.force { " (force)" } else { "" };
        format!("remove volume {} and all data in it{force}", self.volume)
    }

    fn data_loss(&self) -> Option<String> {
        Some(self.volume.to_string())
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let how = if self.force { How::Forced } else { How::Orderly };
        match ctx.engine().volume_remove(&self.volume, how).await {
            Ok(()) => Ok(Answer::text(format!("removed volume {}", self.volume))),
            Err(error @ Error::Conflict { .. }) => Err(in_the_way(&ctx, &self.volume, error).await),
            Err(error) => Err(error.into()),
        }
    }
}

async fn in_the_way(ctx: &Ctx, volume: &VolumeName, error: Error) -> ToolError {
    let users = users(ctx, volume).await;
    if users.is_empty() {
        return error.into();
    }
    let word = if users.len() == 1 {
        "container"
    } else {
        "containers"
    };
    ToolError::new(
        Code::Conflict,
        format!("volume {volume} is used by {word} {}", users.join(", ")),
    )
    .about(Kind::Volume, volume)
    .fix("remove what uses it first; a stopped container keeps its volumes too")
}

/// The containers that have a volume, running or not: `web (up 3h)`.
async fn users(ctx: &Ctx, volume: &VolumeName) -> Vec<String> {
    let filters = engine::Filters::new().with("volume", volume.as_str());
    let query = ContainerQuery {
        all: true,
        filters,
        ..ContainerQuery::default()
    };
    let containers = ctx.engine().container_list(&query).await.unwrap_or_default();
    containers
        .iter()
        // The filter takes a mount's target as well, and a prefix of the name.
        .filter(|container| {
            pick::list(container, "/Mounts")
                .iter()
                .any(|mount| pick::text(mount, "/Name") == volume.as_str())
        })
        .map(|container| {
            format!(
                "{} ({})",
                pick::container_name(container),
                status::short(pick::text(container, "/Status"))
            )
        })
        .collect()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListVolumes {
    #[serde(default)]
    filters: Filters,
    #[schemars(extend("hidden" = true))]
    limit: Option<u32>,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for ListVolumes {
    const SPEC: Spec = Spec::new(Toolset::Standard, "list_volumes", "List volumes.")
        .reads()
        .aliases(&["docker_list_volumes", "volume_list"]);

    fn about(&self) -> String {
        "list volumes".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let volumes = ctx.engine().volume_list(&self.filters.to_engine()).await?;
        if volumes.is_empty() {
            return Ok(Answer::text("no volume matches"));
        }
        let list = List {
            kind: "volume",
            header: &["name", "driver", "age"],
            limit: self.limit,
        };
        Ok(list.of(&volumes, |volume| {
            vec![
                pick::text(volume, "/Name").to_owned(),
                pick::text(volume, "/Driver").to_owned(),
                age(pick::text(volume, "/CreatedAt")),
            ]
        }))
    }
}

fn age(created: &str) -> String {
    match created.parse::<jiff::Timestamp>() {
        Ok(made) => base::text::ago(base::clock::now().as_second() - made.as_second()),
        Err(_) => String::new(),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InspectVolume {
    #[schemars(with = "String")]
    volume: VolumeName,
    /// As the engine has it.
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    full: bool,
}

impl Call<Ctx> for InspectVolume {
    const SPEC: Spec = Spec::new(Toolset::Standard, "inspect_volume", "A volume, and who uses it.")
        .reads()
        .aliases(&["docker_inspect_volume", "volume_inspect"]);

    fn about(&self) -> String {
        format!("inspect volume {}", self.volume)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let mut details = ctx.engine().volume_inspect(&self.volume).await?;
        base::redact::json(&mut details);
        let answer = if self.full {
            Answer::json(pick::without_empty(details))
        } else {
            digest(&details)
                .list("used by", users(&ctx, &self.volume).await, 400)
                .into()
        };
        Ok(answer.untrusted(format!("details of volume {}", self.volume)))
    }
}

fn digest(details: &Value) -> Digest {
    let age = age(pick::text(details, "/CreatedAt"));
    Digest::new()
        .line("name", pick::text(details, "/Name"))
        .line("driver", pick::text(details, "/Driver"))
        .line("created", if age.is_empty() { age } else { format!("{age} ago") })
        .line(
            "scope",
            match pick::text(details, "/Scope") {
                "local" => "",
                scope => scope,
            },
        )
        .line("place", base::text::cut(pick::text(details, "/Mountpoint"), 200))
        .list("options", pick::members(details, "/Options").map(pair), 300)
        .list("labels", pick::members(details, "/Labels").map(pair), 240)
}

fn pair((name, value): (&str, &Value)) -> String {
    format!(
        "{}={}",
        base::text::cut(name, 80),
        base::text::cut(value.as_str().unwrap_or_default(), 80)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_volume_in_few_words() {
        let details = json!({
            "Name": "data", "Driver": "local", "Scope": "local", "Mountpoint": "/var/lib/docker/volumes/data/_data",
            "CreatedAt": "not a time", "Labels": null, "Options": {"o": "size=1g", "type": "tmpfs"},
        });
        insta::assert_snapshot!(digest(&details).into_text(), @r"
        name: data
        driver: local
        place: /var/lib/docker/volumes/data/_data
        options: o=size=1g, type=tmpfs
        ");
    }
}
