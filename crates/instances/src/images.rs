//! Images: made sure of before anything is made of them, and named by id from then on, so that what was looked at is
//! what runs even when a tag moves meanwhile.

use std::sync::Arc;

use base::names::{ImageRef, ServerName};
use catalog::plan::Container;
use engine::Engine;
use engine::ops::images::{Pull, Tally};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{Error, labels};

/// Checks the publisher's signature of an image: before it is pulled, and before each start. Says why it must not run.
pub type SignatureCheck = Arc<dyn Fn(Signed) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// An image whose signature is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// For which server.
    pub server: ServerName,
    /// The catalog whose entry it is of; `None`: not known.
    pub catalog: Option<String>,
    /// As the plan names it.
    pub reference: String,
    /// It was made here, from a package.
    pub is_built: bool,
    /// `repository@sha256:…` as registries know what is on the engine, none for what was never in one; `None` before
    /// it is pulled.
    pub digests: Option<Vec<String>>,
}

/// An image that is on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// As the plan names it.
    pub reference: String,
    /// The engine's id (`sha256:…`): the same content has the same id wherever it came from.
    pub id: String,
    /// `repository@sha256:…` as registries know it; none for an image that was never in one.
    pub digests: Vec<String>,
    /// The user that it names; empty for root.
    pub user: String,
    /// Its environment.
    pub env: Vec<String>,
    /// The program that is always run.
    pub entrypoint: Vec<String>,
    /// What is run, or the entrypoint's arguments, where nobody says anything else.
    pub command: Vec<String>,
}

/// What happens while an image is fetched or built.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Bytes of all layers so far, and as far as known of how many.
    Pulling {
        /// Moved.
        moved: u64,
        /// Announced.
        total: u64,
    },
    /// A line of a build.
    Building(String),
}

impl Image {
    /// The digest by which the image can be pinned (`repository@sha256:…`): of the reference's own repository if it
    /// is known there.
    pub fn pin(&self) -> Option<&str> {
        let repository = ImageRef::parse(&self.reference).ok();
        let repository = familiar(repository.as_ref()?.repository());
        // One of another repository's names the same image, but nobody could pull it by the name that was asked for.
        let own = self.digests.iter().find(|digest| {
            digest
                .split_once('@')
                .is_some_and(|(name, _)| familiar(name) == repository)
        });
        own.map(String::as_str)
    }

    /// What exactly would run: the image's content and the plan, without values of secrets. Two equal fingerprints
    /// mean that lists of tools asked of the one hold for the other.
    pub fn fingerprint(&self, container: &Container) -> String {
        // A plan is made of texts, numbers and lists of them: it can't fail to be JSON.
        let plan = serde_json::to_string(container).unwrap_or_default();
        labels::short_hash(format!("{}\n{plan}", self.id))
    }

    fn read(reference: &str, inspect: &Value) -> Option<Self> {
        let texts = |value: &Value| -> Vec<String> {
            let texts = value.as_array().into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Some(Self {
            reference: reference.to_owned(),
            id: inspect["Id"].as_str()?.to_owned(),
            digests: texts(&inspect["RepoDigests"]),
            user: inspect["Config"]["User"].as_str().unwrap_or_default().to_owned(),
            env: texts(&inspect["Config"]["Env"]),
            entrypoint: texts(&inspect["Config"]["Entrypoint"]),
            command: texts(&inspect["Config"]["Cmd"]),
        })
    }
}

/// A repository's name as engines show it.
fn familiar(repository: &str) -> &str {
    let name = repository.strip_prefix("docker.io/").unwrap_or(repository);
    name.strip_prefix("library/").unwrap_or(name)
}

/// The image as it is on the engine; `None` if it is not there.
pub(crate) async fn look(engine: &Engine, server: &str, image: &ImageRef) -> Result<Option<Image>, Error> {
    match engine.image_inspect(image).await {
        Ok(inspect) => Image::read(image.as_str(), &inspect)
            .map(Some)
            .ok_or_else(|| Error::plan(server, format!("the engine does not tell the id of {image}"))),
        Err(engine::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(Error::engine("look at the image", server, error)),
    }
}

/// Pulls an image, telling how far it is to whoever listens.
pub(crate) async fn pull(
    engine: &Engine,
    server: &str,
    image: &ImageRef,
    progress: Option<&mpsc::Sender<Progress>>,
) -> Result<(), Error> {
    let failed = |error: engine::Error| Error::Pull {
        server: server.to_owned(),
        image: image.to_string(),
        advice: advice(&error),
        cause: base::text::clean(&error.to_string()).into_owned(),
    };
    let pull = Pull {
        image: image.clone(),
        platform: None,
    };
    let mut events = std::pin::pin!(engine.image_pull(&pull).await.map_err(failed)?);
    let mut tally = Tally::default();
    while let Some(event) = events.next().await {
        tally.add(&event.map_err(failed)?);
        if let Some(progress) = progress {
            let now = Progress::Pulling {
                moved: tally.moved(),
                total: tally.total(),
            };
            // Who does not keep up misses a figure; the next one says more.
            drop(progress.try_send(now));
        }
    }
    Ok(())
}

fn advice(error: &engine::Error) -> &'static str {
    match error {
        engine::Error::NotFound { .. } => {
            "check its name; if its repository is private, log in with `docker login` first"
        }
        engine::Error::Refused(_) => "the guard's policy decides where images may come from",
        engine::Error::Daemon { message, .. }
            if message.contains("denied") || message.contains("unauthorized") =>
        {
            "log in to its registry with `docker login`, or check its name"
        }
        _ => "check that the engine reaches the registry, or load the image by hand (`docker load`)",
    }
}
