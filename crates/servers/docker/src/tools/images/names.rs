//! Giving images names, and taking names and images away.

use super::trouble;
use crate::ctx::Ctx;
use crate::error::{Code, Kind, ToolError};
use crate::pick;
use base::names::{ContainerRef, ImageRef};
use engine::Error;
use engine::ops::images::{RemoveImage as How, Removed};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::sync::LazyLock;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveImage {
    #[schemars(with = "String")]
    image: ImageRef,
    #[serde(default)]
    force: bool,
}

impl Call<Ctx> for RemoveImage {
    const SPEC: Spec = Spec::new(Toolset::Standard, "remove_image", "Remove an image or tag.")
        .aliases(&["docker_remove_image", "image_remove"]);

    fn about(&self) -> String {
        let force = if self.force { " (force)" } else { "" };
        format!("remove image {}{force}", self.image)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let how = How {
            force: self.force,
            ..How::default()
        };
        match ctx.engine().image_remove(&self.image, how).await {
            Ok(removed) => Ok(Answer::text(shown(&self.image, &removed))),
            Err(Error::Conflict { message, .. }) => Err(in_the_way(&ctx, &self.image, &message).await),
            Err(error) => Err(trouble::here(&self.image, error)),
        }
    }
}

fn shown(image: &ImageRef, removed: &Removed) -> String {
    let untagged: Vec<&str> = removed
        .untagged
        .iter()
        .map(String::as_str)
        .filter(|name| !name.contains('@'))
        .collect();
    match (untagged.as_slice(), removed.deleted.len()) {
        ([], 0) => format!("removed {image}"),
        (names, 0) => format!(
            "untagged {}; the image stays, it has other names or users",
            names.join(", ")
        ),
        ([], layers) => format!("removed {image} ({layers} layers deleted)"),
        (names, layers) => format!("removed {} ({layers} layers deleted)", names.join(", ")),
    }
}

/// What keeps an image, by the daemon's words, with the name of the container that uses it.
async fn in_the_way(ctx: &Ctx, image: &ImageRef, message: &str) -> ToolError {
    static USER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"container ([0-9a-f]{12,64})\b").ok());
    let error = |cause: String| ToolError::new(Code::Conflict, cause).about(Kind::Image, image);
    if message.contains("referenced in multiple repositories") {
        return error(format!("the id {image} has several names"))
            .fix("remove its tags one by one, or pass force=true");
    }
    if message.contains("dependent child images") {
        return error(format!("other images are built on {image}")).fix("remove those images first");
    }
    let user = USER.as_ref().and_then(|pattern| {
        pattern
            .captures(message)?
            .get(1)?
            .as_str()
            .parse::<ContainerRef>()
            .ok()
    });
    let Some(user) = user else {
        return error(message.to_owned());
    };
    let details = ctx.engine().container_inspect(&user).await.unwrap_or_default();
    let name = match pick::container_name(&details) {
        "" => user.as_str(),
        name => name,
    };
    let state = pick::text(&details, "/State/Status");
    let cause = format!("image {image} is used by container {name} ({state})");
    let runs = message.contains("running container") || pick::yes(&details, "/State/Running");
    error(cause).fix(if runs {
        format!("stop and remove container {name} first")
    } else {
        format!("remove container {name} first; force=true takes only the name from the image")
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagImage {
    #[schemars(with = "String")]
    image: ImageRef,
    /// The new name, such as registry.example/team/web:2
    #[schemars(with = "String")]
    target: ImageRef,
}

impl Call<Ctx> for TagImage {
    const SPEC: Spec = Spec::new(Toolset::Full, "tag_image", "Give an image another name.")
        // A name that was another image's moves.
        .disturbs()
        .idempotent()
        .aliases(&["docker_tag", "docker_tag_image", "image_tag"]);

    fn about(&self) -> String {
        format!("tag image {} as {}", self.image, self.target)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        if self.target.is_id() || self.target.digest().is_some() {
            return Err(ToolError::arguments(format!(
                "parameter target: {} is an id or digest",
                self.target
            ))
            .fix("give a name with a tag, such as team/web:2"));
        }
        let tagged = ctx.engine().image_tag(&self.image, &self.target).await;
        tagged.map_err(|error| trouble::here(&self.image, error))?;
        let tag = self.target.tag().unwrap_or("latest");
        Ok(Answer::text(format!(
            "{} is also called {}:{tag}",
            self.image,
            self.target.repository()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_say_what_is_gone() {
        let image = ImageRef::parse("web:1").unwrap();
        let removed = |untagged: &[&str], deleted: usize| Removed {
            untagged: untagged.iter().map(|name| (*name).to_owned()).collect(),
            deleted: vec![String::new(); deleted],
        };
        for (removed, expected) in [
            (
                removed(&["web:1", "web@sha256:00"], 3),
                "removed web:1 (3 layers deleted)",
            ),
            (
                removed(&["web:1"], 0),
                "untagged web:1; the image stays, it has other names or users",
            ),
            (removed(&[], 2), "removed web:1 (2 layers deleted)"),
        ] {
            assert_eq!(shown(&image, &removed), expected);
        }
    }
}
