//! Looking at images: the list, one of them, and how it was made.

use super::{digest, trouble};
use crate::ctx::Ctx;
use crate::error::ToolError;
use crate::list::List;
use crate::values::Filters;
use crate::{fields, pick};
use base::names::ImageRef;
use engine::ops::images::ImageQuery;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};

/// Bytes shown of one step of a history; the rest is in `full`.
const STEP: usize = 200;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListImages {
    /// Intermediate ones too.
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    all: bool,
    #[schemars(description = "{\"reference\":\"web*\",\"dangling\":true}")]
    #[serde(default)]
    filters: Filters,
    #[schemars(extend("hidden" = true))]
    limit: Option<u32>,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for ListImages {
    const SPEC: Spec = Spec::new(Toolset::Standard, "list_images", "List images.")
        .reads()
        .aliases(&["docker_list_images", "image_list"]);

    fn about(&self) -> String {
        "list images".to_owned()
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let query = ImageQuery {
            all: self.all,
            filters: self.filters.to_engine(),
        };
        let images = ctx.engine().image_list(&query).await?;
        if images.is_empty() {
            return Ok(Answer::text("no image matches"));
        }
        let now = base::clock::now().as_second();
        let list = List {
            kind: "image",
            header: &["image", "id", "size", "age"],
            limit: self.limit,
        };
        Ok(list.of(&images, |image| row(image, now)))
    }
}

fn row(image: &Value, now: i64) -> Vec<String> {
    let listed =
        |pointer: &'static str| pick::texts(image, pointer).filter(|name| !name.starts_with("<none>"));
    let mut names: Vec<&str> = listed("/RepoTags").collect();
    if names.is_empty() {
        // Pulled by digest, it has no tag and yet a name.
        names.extend(listed("/RepoDigests"));
    }
    let name = if names.is_empty() {
        "<none>".to_owned()
    } else {
        names.join(", ")
    };
    vec![
        name,
        pick::short_id(pick::text(image, "/Id")).to_owned(),
        base::text::bytes(pick::count(image, "/Size")),
        base::text::ago(now - pick::number(image, "/Created")),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InspectImage {
    #[schemars(with = "String")]
    image: ImageRef,
    #[schemars(description = "Paths: Config.Cmd")]
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    full: bool,
    #[schemars(extend("hidden" = true))]
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for InspectImage {
    const SPEC: Spec = Spec::new(Toolset::Standard, "inspect_image", "Details of an image.")
        .reads()
        .aliases(&["docker_inspect_image", "image_inspect"]);

    fn about(&self) -> String {
        format!("inspect image {}", self.image)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let mut details = ctx
            .engine()
            .image_inspect(&self.image)
            .await
            .map_err(|error| trouble::here(&self.image, error))?;
        // Before anything is chosen from it: a projection must not be a way round the redaction.
        base::redact::json(&mut details);
        let answer = if !self.fields.is_empty() {
            Answer::text(fields::project(&details, &self.fields)?).narrow("fewer fields")
        } else if self.full {
            Answer::json(pick::without_empty(details)).narrow("fields")
        } else {
            digest::of(&details).into()
        };
        Ok(answer.untrusted(format!("details of image {}", self.image)))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageHistory {
    #[schemars(with = "String")]
    image: ImageRef,
    /// Steps in full length.
    #[serde(default)]
    full: bool,
    #[expect(dead_code, reason = "pages are answered before the tool is reached")]
    cursor: Option<String>,
}

impl Call<Ctx> for ImageHistory {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "image_history",
        "Steps that made an image, the last first.",
    )
    .reads()
    .aliases(&["docker_history", "docker_image_history"]);

    fn about(&self) -> String {
        format!("show the history of image {}", self.image)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let layers = ctx
            .engine()
            .image_history(&self.image)
            .await
            .map_err(|error| trouble::here(&self.image, error))?;
        let now = base::clock::now().as_second();
        let rows = layers.iter().map(|layer| {
            let step = step(pick::text(layer, "/CreatedBy"), pick::text(layer, "/Comment"));
            let step = if self.full {
                step.as_str()
            } else {
                base::text::cut(&step, STEP)
            };
            vec![
                base::text::bytes(pick::count(layer, "/Size")),
                base::text::ago(now - pick::number(layer, "/Created")),
                step.to_owned(),
            ]
        });
        Ok(Answer::table(&["size", "age", "step"], rows)
            .untrusted(format!("history of image {}", self.image)))
    }
}

/// `/bin/sh -c #(nop)  CMD ["sh"]` was written `CMD ["sh"]`, and `/bin/sh -c make` was `RUN make`.
fn step(created_by: &str, comment: &str) -> String {
    let step = match created_by.strip_prefix("/bin/sh -c ") {
        Some(rest) => match rest.strip_prefix("#(nop)") {
            Some(instruction) => instruction.trim_start().to_owned(),
            None => format!("RUN {rest}"),
        },
        None if created_by.is_empty() => comment.to_owned(),
        None => created_by.to_owned(),
    };
    base::redact::text(&step).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_name_what_has_a_name() {
        for (image, expected) in [
            (
                json!({"RepoTags": ["a:1", "b:2"], "RepoDigests": null}),
                "a:1, b:2",
            ),
            (
                json!({"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}),
                "<none>",
            ),
            (
                json!({"RepoTags": null, "RepoDigests": ["a@sha256:00"]}),
                "a@sha256:00",
            ),
            (json!({"RepoTags": []}), "<none>"),
        ] {
            assert_eq!(row(&image, 0)[0], expected, "{image}");
        }
        let image =
            json!({"Id": "sha256:0123456789abcdef", "Size": 2048, "Created": 100, "RepoTags": ["a:1"]});
        assert_eq!(row(&image, 100 + 7_200), ["a:1", "0123456789ab", "2 KiB", "2h"]);
    }

    #[test]
    fn steps_as_they_were_written() {
        for (created_by, comment, expected) in [
            ("/bin/sh -c #(nop)  CMD [\"sh\"]", "", "CMD [\"sh\"]"),
            ("/bin/sh -c make all", "", "RUN make all"),
            (
                "RUN /bin/sh -c make # buildkit",
                "buildkit.dockerfile.v0",
                "RUN /bin/sh -c make # buildkit",
            ),
            ("", "Imported from -", "Imported from -"),
        ] {
            assert_eq!(step(created_by, comment), expected);
        }
    }
}
