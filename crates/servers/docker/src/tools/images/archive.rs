//! Images and file systems as files of this machine.

use super::transfer::follow;
use super::trouble;
use crate::ctx::Ctx;
use crate::error::{Code, Kind, ToolError};
use crate::host::{self, Replace};
use crate::pick;
use crate::values::Words;
use base::names::ImageRef;
use bytes::Bytes;
use engine::Error;
use engine::guard::Access;
use engine::ops::images::{Import, TransferEvent};
use futures_util::Stream;
use policy::Effect;
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::io;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

/// Bytes read at once: large enough that the file system's calls do not count.
const CHUNK: usize = 256 << 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveImages {
    /// One or several.
    images: Words,
    /// File of this machine.
    path: String,
    #[serde(default)]
    overwrite: bool,
}

impl Call<Ctx> for SaveImages {
    const SPEC: Spec = Spec::new(Toolset::Full, "save_images", "Write images into a tar file.")
        .aliases(&["docker_save", "image_save"]);

    fn effect(&self) -> Effect {
        if self.overwrite {
            Effect::Destroy
        } else {
            Effect::Change
        }
    }

    fn about(&self) -> String {
        let images = self.images.clone().into_list().join(", ");
        format!("save {images} to {}{}", self.path, replacing(self.overwrite))
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let images = self.images.into_list();
        let images: Vec<ImageRef> = images
            .iter()
            .map(|name| ImageRef::parse(name))
            .collect::<Result<_, _>>()?;
        if images.is_empty() {
            return Err(ToolError::arguments("parameter images: it is empty"));
        }
        let replace = if self.overwrite {
            Replace::Yes
        } else {
            Replace::Never
        };
        let tar = ctx
            .engine()
            .image_save(&images)
            .await
            .map_err(|error| missing(&images, error))?;
        let (path, size) = host::write(&ctx, &self.path, replace, tar).await?;
        let count = if images.len() == 1 {
            images[0].to_string()
        } else {
            format!("{} images", images.len())
        };
        Ok(Answer::text(format!(
            "saved {count} to {} ({})",
            path.display(),
            base::text::bytes(size)
        )))
    }
}

fn missing(images: &[ImageRef], error: Error) -> ToolError {
    match (images, &error) {
        ([image], Error::NotFound { .. }) => trouble::here(image, error),
        (_, Error::NotFound { message, .. }) => ToolError::new(
            Code::NotFound,
            format!("not all of these images are on this engine: {message}"),
        )
        .fix("list_images shows what is here"),
        _ => error.into(),
    }
}

fn replacing(overwrite: bool) -> &'static str {
    if overwrite {
        ", replacing what is there"
    } else {
        ""
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadImages {
    #[schemars(description = "Tar file of this machine, as save_images writes it")]
    path: String,
}

impl Call<Ctx> for LoadImages {
    const SPEC: Spec = Spec::new(Toolset::Full, "load_images", "Read images from a tar file.")
        // A tag in it that is another image's moves.
        .disturbs()
        .idempotent()
        .aliases(&["docker_load", "image_load"]);

    fn about(&self) -> String {
        format!("load images from {}", self.path)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let (size, tar) = read(&ctx, &self.path).await?;
        ctx.progress(0.0, None, format!("reading {}", base::text::bytes(size)))
            .await;
        let said = said(&ctx, ctx.engine().image_load(tar).await, &self.path).await?;
        let loaded: Vec<&str> = said
            .iter()
            .filter_map(|line| line.strip_prefix("Loaded image"))
            .collect();
        let names: Vec<&str> = loaded
            .iter()
            .map(|rest| rest.trim_start_matches(" ID").trim_start_matches(": "))
            .collect();
        Ok(match names.as_slice() {
            [] => Answer::text(format!("nothing in {} was new", self.path)),
            names => Answer::text(format!("loaded {}", names.join(", "))),
        })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportImage {
    /// Tar file of this machine that holds a file system.
    path: String,
    /// Name for the new image.
    #[schemars(with = "String")]
    image: ImageRef,
    message: Option<String>,
    /// Dockerfile instructions: CMD, ENV, LABEL ...
    #[serde(default)]
    changes: Vec<String>,
    platform: Option<String>,
}

impl Call<Ctx> for ImportImage {
    const SPEC: Spec = Spec::new(
        Toolset::Full,
        "import_image",
        "Make an image of a file system in a tar file.",
    )
    .disturbs()
    .aliases(&["docker_import", "image_import"]);

    fn about(&self) -> String {
        format!("import {} as image {}", self.path, self.image)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let mut changes = self.changes;
        if let Some((name, value)) = ctx.scope_label() {
            changes.push(format!("LABEL {}={}", quoted(name), quoted(value)));
        }
        let import = Import {
            reference: Some(self.image.clone()),
            message: self.message,
            changes,
            platform: self.platform,
        };
        let (size, tar) = read(&ctx, &self.path).await?;
        ctx.progress(0.0, None, format!("reading {}", base::text::bytes(size)))
            .await;
        let said = said(&ctx, ctx.engine().image_import(&import, tar).await, &self.path).await?;
        let id = said.last().map_or("", |id| pick::short_id(id));
        Ok(Answer::text(format!(
            "imported {} as {} (id {id})",
            self.path, self.image
        )))
    }
}

/// Opens a file of this machine that the guard allows to be read: its size and its content.
async fn read(
    ctx: &Ctx,
    path: &str,
) -> Result<(u64, impl Stream<Item = io::Result<Bytes>> + Send + use<>), ToolError> {
    let place = host::allowed(ctx, path, Access::Read).await?;
    let failed = |cause: io::Error| {
        let code = if cause.kind() == io::ErrorKind::NotFound {
            Code::NotFound
        } else {
            Code::Failed
        };
        ToolError::new(code, format!("can't read {}: {cause}", place.display())).about(Kind::Path, path)
    };
    let file = File::open(&place).await.map_err(failed)?;
    let about = file.metadata().await.map_err(failed)?;
    if !about.is_file() {
        return Err(ToolError::arguments(format!(
            "{} is no regular file",
            place.display()
        )));
    }
    Ok((about.len(), ReaderStream::with_capacity(file, CHUNK)))
}

/// A word of a Dockerfile instruction.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What the daemon says while it reads an archive.
async fn said<S>(ctx: &Ctx, begun: Result<S, Error>, path: &str) -> Result<Vec<String>, ToolError>
where
    S: Stream<Item = Result<TransferEvent, Error>> + Send,
{
    let outcome = match begun {
        Ok(events) => follow(ctx, "read", events).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(done) => Ok(done.said),
        Err(Error::Daemon { message, .. }) => Err(ToolError::new(Code::Failed, format!("{path}: {message}"))
            .fix("the file must be a tar archive (gzip, bzip2 and xz are understood too)")),
        Err(error) => Err(error.into()),
    }
}
