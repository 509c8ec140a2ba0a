//! `build_image`: a directory of this machine and its Dockerfile become an image.

use super::{bases, follow};
use crate::ctx::Ctx;
use crate::error::{Code, ToolError};
use crate::host::allowed;
use crate::pick;
use crate::tools::images::trouble;
use crate::values::{Pairs, Words};
use base::names::ImageRef;
use engine::context::{BuildContext, Dockerfile};
use engine::guard::Access;
use engine::ops::images::{Build, BuildFailure, Cache};
use engine::tarball::{Limits, TarStream};
use engine::{Engine, Error};
use schemars::JsonSchema;
use serde::Deserialize;
use server_kit::Answer;
use server_kit::{Call, Spec, Toolset};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between reports while the context is being sent.
const TELL: Duration = Duration::from_secs(1);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuildImage {
    /// Host directory.
    path: String,
    dockerfile: Option<String>,
    #[schemars(with = "Option<String>")]
    tag: Option<Words>,
    #[serde(default)]
    build_args: Pairs,
    target: Option<String>,
    #[serde(default)]
    no_cache: bool,
    /// Look for newer base images.
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    pull: bool,
    #[serde(default)]
    #[schemars(extend("hidden" = true))]
    labels: Pairs,
    #[schemars(extend("hidden" = true))]
    platform: Option<String>,
    /// For RUN steps.
    #[schemars(extend("hidden" = true))]
    network: Option<String>,
}

impl Call<Ctx> for BuildImage {
    const SPEC: Spec = Spec::new(Toolset::Standard, "build_image", "Build an image.")
        // A tag that was another image's moves.
        .disturbs()
        // Base images come from registries, and steps may fetch anything.
        .open_world()
        .aliases(&["docker_build_image", "docker_build", "image_build"]);

    fn about(&self) -> String {
        let tags = self
            .tag
            .clone()
            .map_or_else(|| "an image".to_owned(), |tags| tags.into_list().join(", "));
        format!("build {tags} from {}", self.path)
    }

    async fn run(self, ctx: Ctx) -> Result<Answer, ToolError> {
        let begun = Instant::now();
        let tags = self.tags()?;
        let context = self.context(&ctx).await?;
        let build = self.build(&ctx, tags, &context);
        let events = send(&ctx, &build, context.stream())
            .await
            .map_err(|error| about_dockerfile(error, &build));
        let (progress, failure) = follow::follow(&ctx, events?).await?;
        if let Some(failure) = failure {
            return Err(explain(&ctx, &progress, &failure).await);
        }
        let Some(id) = &progress.image else {
            return Err(ToolError::new(
                Code::Internal,
                "the engine ended the build without naming an image",
            ));
        };
        let mut text = match build.tags.as_slice() {
            [] => format!("built {}", pick::short_id(id)),
            tags => format!("built {} (id {})", join(tags), pick::short_id(id)),
        };
        if let Some(size) = size(ctx.engine(), id).await {
            text = format!("{text}, {}", base::text::bytes(size));
        }
        text = format!("{text}, in {:.1} s", begun.elapsed().as_secs_f64());
        if let Some((_, total, _)) = progress.step {
            text = format!("{text}; {total} steps, {} cached", progress.cached);
        }
        let warnings = progress
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}"));
        Ok(warnings.fold(Answer::text(text), Answer::note))
    }
}

fn join(tags: &[ImageRef]) -> String {
    let tags: Vec<&str> = tags.iter().map(ImageRef::as_str).collect();
    tags.join(", ")
}

impl BuildImage {
    fn tags(&self) -> Result<Vec<ImageRef>, ToolError> {
        let tags = self.tag.clone().map(Words::into_list).unwrap_or_default();
        let tags: Vec<ImageRef> = tags
            .iter()
            .map(|tag| ImageRef::parse(tag))
            .collect::<Result<_, _>>()?;
        match tags.iter().find(|tag| tag.is_id() || tag.digest().is_some()) {
            Some(tag) => Err(ToolError::arguments(format!(
                "parameter tag: {tag} is an id or digest, not a name"
            ))),
            None => Ok(tags),
        }
    }

    /// The context, after the guard has allowed both the directory and a Dockerfile outside of it.
    async fn context(&self, ctx: &Ctx) -> Result<BuildContext, ToolError> {
        let directory = allowed(ctx, &self.path, Access::Read).await?;
        let dockerfile = match self.dockerfile.clone() {
            None => Dockerfile::Default,
            Some(given) => locate(ctx, directory.clone(), given.into()).await?,
        };
        BuildContext::open(&directory, dockerfile, Limits::GENEROUS)
            .await
            .map_err(|error| unusable(&error))
    }

    fn build(self, ctx: &Ctx, tags: Vec<ImageRef>, context: &BuildContext) -> Build {
        let mut labels = self.labels;
        if let Some((name, value)) = ctx.scope_label() {
            labels.push(name, value);
        }
        Build {
            tags,
            dockerfile: context.dockerfile().to_owned(),
            registries: bases::registries(context.dockerfile_text(), self.build_args.iter()),
            args: self.build_args.into_map(),
            labels: labels.into_map(),
            target: self.target,
            platform: self.platform,
            network: self.network,
            cache: Cache {
                ignore: self.no_cache,
                pull: self.pull,
            },
        }
    }
}

async fn locate(ctx: &Ctx, directory: PathBuf, given: PathBuf) -> Result<Dockerfile, ToolError> {
    let found = tokio::task::spawn_blocking(move || Dockerfile::locate(&directory, &given)).await;
    match found {
        Ok(Ok(Dockerfile::Outside(path))) => {
            let path = allowed(ctx, &path.to_string_lossy(), Access::Read).await?;
            Ok(Dockerfile::Outside(path))
        }
        Ok(found) => found.map_err(|error| unusable(&error)),
        Err(lost) => Err(ToolError::new(Code::Internal, lost.to_string())),
    }
}

fn unusable(error: &engine::context::Error) -> ToolError {
    use engine::context::Error as Context;
    let code = match error {
        Context::NoDockerfile { .. } => Code::NotFound,
        Context::Directory { cause, .. } | Context::Dockerfile { cause, .. }
            if cause.kind() == std::io::ErrorKind::NotFound =>
        {
            Code::NotFound
        }
        _ => Code::InvalidArguments,
    };
    ToolError::new(code, error.to_string())
}

/// Sends the context, and tells how much of it is on its way until the engine begins to build.
async fn send(
    ctx: &Ctx,
    build: &Build,
    context: TarStream,
) -> Result<
    impl futures_util::Stream<Item = Result<engine::ops::images::BuildEvent, Error>> + Send + use<>,
    Error,
> {
    let sent = context.progress().clone();
    let mut answer = std::pin::pin!(ctx.engine().image_build(build, context));
    loop {
        match tokio::time::timeout(TELL, &mut answer).await {
            Ok(answer) => return answer,
            Err(_) if ctx.has_listener() => {
                let totals = sent.totals();
                let message = format!(
                    "sending {} files, {}",
                    totals.files,
                    base::text::bytes(totals.bytes)
                );
                ctx.progress(0.0, None, message).await;
            }
            Err(_) => {}
        }
    }
}

/// What is wrong with a Dockerfile or a parameter comes before the first step.
fn about_dockerfile(error: Error, build: &Build) -> ToolError {
    let (Error::Daemon { message, .. } | Error::NotFound { message, .. }) = &error else {
        return error.into();
    };
    let error = ToolError::new(Code::InvalidArguments, message.clone());
    // "failed to reach build target third", and from Engine 23 on "target stage "third" could not be found".
    let is_stage = message.contains("build target") || message.contains("target stage");
    match (&build.target, is_stage) {
        (Some(target), true) => error.fix(format!(
            "{target} is no stage of {}; leave target out to build the last",
            build.dockerfile
        )),
        _ => error,
    }
}

/// A base image that can't be had is a matter of its registry, everything else one of the step.
async fn explain(ctx: &Ctx, progress: &follow::Progress, failure: &BuildFailure) -> ToolError {
    let instruction = progress
        .step
        .as_ref()
        .map_or("", |(_, _, instruction)| instruction.as_str());
    let base = instruction.strip_prefix("FROM ").and_then(|rest| {
        let image = rest.split_whitespace().find(|word| !word.starts_with("--"))?;
        ImageRef::parse(image).ok()
    });
    if let Some(image) = base
        && let Some(error) = trouble::from_message(ctx, &image, &failure.message).await
    {
        return error.during(progress.shown_step(200).unwrap_or_default());
    }
    follow::failed(progress, failure)
}

async fn size(engine: &Engine, id: &str) -> Option<u64> {
    let details = engine.image_inspect(&ImageRef::parse(id).ok()?).await.ok()?;
    Some(pick::count(&details, "/Size"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_a_build_would_do() {
        let described = |arguments: serde_json::Value| crate::describe::about("build_image", &arguments);
        assert_eq!(
            described(serde_json::json!({"path": "/src", "tag": ["a:1", "b:1"]})),
            "build a:1, b:1 from /src"
        );
        assert_eq!(
            described(serde_json::json!({"path": "/src"})),
            "build an image from /src"
        );
    }

    #[test]
    fn a_missing_dockerfile_is_not_found() {
        let error = unusable(&engine::context::Error::NoDockerfile {
            path: Path::new("/src").into(),
        });
        assert_eq!(error.code, Code::NotFound);
    }
}
