//! `create_directory`, `move_file` and `copy_file`.

use super::{LONG, QUICK, count};
use crate::copy;
use crate::fault::Fault;
use crate::roots::Access;
use crate::server::Ctx;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::{Answer, Call, Spec, ToolError, Toolset};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateDirectory {
    path: String,
}

impl Call<Ctx> for CreateDirectory {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "create_directory",
        "Create a directory, and those above it.",
    )
    .adds()
    .idempotent()
    .aliases(&["make_directory", "mkdir"]);

    fn about(&self) -> String {
        format!("create directory {}", self.path)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let spot = ctx.roots().find(&self.path, Access::Write)?;
        ctx.blocking(QUICK, move |_| {
            let name = spot.shown();
            let made = spot
                .place
                .make_dirs(&spot.at)
                .map_err(|fault| fault.during("create", &name))?;
            Ok(Answer::text(if made {
                format!("created {name}")
            } else {
                format!("{name} is there already")
            }))
        })
        .await
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveFile {
    source: String,
    destination: String,
}

impl Call<Ctx> for MoveFile {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "move_file",
        "Move or rename a file or directory. Replaces nothing.",
    )
    .disturbs()
    .aliases(&["rename_file"]);

    fn about(&self) -> String {
        format!("move {} to {}", self.source, self.destination)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let from = ctx.roots().find(&self.source, Access::Write)?;
        let to = ctx.roots().find(&self.destination, Access::Write)?;
        if !from.beside(&to) {
            return Err(ToolError::arguments(format!(
                "{} and {} are in two roots",
                from.shown(),
                to.shown()
            ))
            .fix("copy_file copies from one to the other; delete_file removes what was copied"));
        }
        ctx.blocking(QUICK, move |_| {
            // Which of the two paths is at fault, the fault doesn't say.
            let what = format!("move {} to", from.shown());
            from.place
                .rename(&from.at, &to.at)
                .map_err(|fault: Fault| fault.during(&what, &to.shown()))?;
            Ok(Answer::text(format!("moved {} to {}", from.shown(), to.shown())))
        })
        .await
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyFile {
    source: String,
    destination: String,
}

impl Call<Ctx> for CopyFile {
    const SPEC: Spec = Spec::new(
        Toolset::Standard,
        "copy_file",
        "Copy a file, or a directory with all in it. Replaces nothing.",
    )
    .adds()
    .aliases(&["copy_directory"]);

    fn about(&self) -> String {
        format!("copy {} to {}", self.source, self.destination)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let from = ctx.roots().find(&self.source, Access::Read)?;
        let to = ctx.roots().find(&self.destination, Access::Write)?;
        ctx.blocking(LONG, move |limit| {
            let copied = copy::copy(&from, &to, limit)?;
            let mut text = format!(
                "copied {} to {}: {}, {}",
                from.shown(),
                to.shown(),
                count(copied.files, "file"),
                base::text::bytes(copied.bytes)
            );
            if copied.left_out > 0 {
                text.push_str("; left out ");
                text.push_str(&count(copied.left_out, "pipe, socket or device"));
            }
            Ok(Answer::text(text))
        })
        .await
    }
}
