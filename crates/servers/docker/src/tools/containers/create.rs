//! `create_container`: everything that `docker create` and `docker run` can.

use crate::create::{self, Settings};
use crate::ctx::Ctx;
use crate::error::ToolError;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::json;
use server_kit::Answer;
use server_kit::schema;
use server_kit::{Call, Spec, Toolset};
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct CreateContainer(Settings);

impl JsonSchema for CreateContainer {
    fn schema_name() -> Cow<'static, str> {
        schema::unnamed()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Settings::json_schema(generator);
        schema.insert("required".to_owned(), json!(["image"]));
        schema
    }
}

impl Call<Ctx> for CreateContainer {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "create_container",
        "Create a container; options as in docker run.",
    )
    .adds()
    .aliases(&[
        "docker_create_container",
        "container_create",
        "docker_run_container",
        "run_container",
    ]);

    fn about(&self) -> String {
        let verb = if self.starts() {
            "create and start"
        } else {
            "create"
        };
        format!("{verb} container {}{}", self.0.shown(), self.0.reaches())
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        if self.0.wait == Some(true) {
            return create::run_to_end(&ctx, &self.0).await;
        }
        if self.starts() {
            let made = create::create_and_start(&ctx, &self.0).await?;
            return Ok(create::report(&ctx, &made, "created and started").await);
        }
        let made = create::create(&ctx, &self.0).await?;
        Ok(create::report(&ctx, &made, "created").await)
    }
}

impl CreateContainer {
    fn starts(&self) -> bool {
        self.0.start == Some(true) || self.0.wait == Some(true)
    }
}
