//! Artifacts: a manifest that says what it is, and layers with the content. Written as version 1.1 of the image
//! specification has it, with `{}` for a configuration, which is also how `docker mcp` writes catalogs and profiles (one
//! layer of JSON).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::client::{Action, At, Registries};
use crate::{Descriptor, Error, Manifest, Reference, media};

/// An artifact to be pushed.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// What it is: [`media::MCP_CATALOG`].
    pub kind: String,
    /// Its content, in order.
    pub layers: Vec<Layer>,
    /// Notes on the whole.
    pub annotations: BTreeMap<String, String>,
    /// What it is about, if it is about another manifest of the same repository.
    pub subject: Option<Descriptor>,
}

/// A part of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What it is.
    pub media_type: String,
    /// Its bytes.
    pub content: Bytes,
    /// Notes: its file name as `org.opencontainers.image.title`.
    pub annotations: BTreeMap<String, String>,
}

/// An artifact that was read, with the digest under which it is found again.
#[derive(Debug, Clone)]
pub struct PulledArtifact {
    /// The manifest's.
    pub descriptor: Descriptor,
    /// The artifact.
    pub artifact: Artifact,
}

/// Most layers of an artifact: each is a request.
const LAYERS: usize = 100;

impl Registries {
    /// Writes an artifact: layers, configuration, then the manifest under the reference's tag.
    ///
    /// # Errors
    /// [`Error`]. What was uploaded before a failure has no name, and the registry removes it in time.
    pub async fn push_artifact(
        &self,
        reference: &Reference,
        artifact: Artifact,
    ) -> Result<Descriptor, Error> {
        let repository = &reference.repository;
        let config = self
            .push_blob(repository, media::EMPTY, Bytes::from_static(b"{}"))
            .await?;
        let mut layers = Vec::with_capacity(artifact.layers.len());
        for layer in artifact.layers {
            let mut descriptor = self
                .push_blob(repository, &layer.media_type, layer.content)
                .await?;
            descriptor.annotations = layer.annotations;
            layers.push(descriptor);
        }
        // The specification wants one layer at least.
        if layers.is_empty() {
            layers.push(config.clone());
        }
        let subject = artifact.subject;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            artifact_type: Some(artifact.kind.clone()),
            config: Some(config),
            layers,
            manifests: Vec::new(),
            subject: subject.clone(),
            annotations: artifact.annotations.clone(),
        };
        let text = Bytes::from(serde_json::to_vec(&manifest).unwrap_or_default());
        let mut descriptor = Descriptor::of(media::MANIFEST, &text);
        let (_, took_note) = self.put(reference, media::MANIFEST, text).await?;
        descriptor.artifact_type = Some(artifact.kind);
        descriptor.annotations = artifact.annotations;
        if let Some(subject) = subject.filter(|_| !took_note) {
            self.note_referrer(repository, &subject.digest, descriptor.clone())
                .await?;
        }
        Ok(descriptor)
    }

    /// Reads an artifact that is of one of these kinds, whole.
    ///
    /// # Errors
    /// It is of another kind, has too many layers or a layer that is too large; other [`Error`]s.
    pub async fn pull_artifact(
        &self,
        reference: &Reference,
        kinds: &[&str],
    ) -> Result<PulledArtifact, Error> {
        let fetched = self.manifest(reference).await?;
        let at = At::new(
            &reference.repository,
            &[Action::Pull],
            format!("reading {}", reference.target),
        );
        let kind = fetched.manifest.kind().unwrap_or("an index of manifests");
        if !kinds.contains(&kind) {
            let kind = base::text::cut(&base::text::clean(kind), 100).to_owned();
            return Err(at.content(format!("it is {kind}, not {}", kinds.join(" or "))));
        }
        if fetched.manifest.layers.len() > LAYERS {
            return Err(at.content(format!("it has more than {LAYERS} layers")));
        }
        let kind = kind.to_owned();
        let total: u64 = fetched
            .manifest
            .layers
            .iter()
            .map(|layer| layer.size)
            .fold(0, u64::saturating_add);
        if total > self.limits().blob {
            let limit = self.limits().blob;
            return Err(at.content(format!(
                "its layers have {total} bytes together, and {limit} are the limit"
            )));
        }
        let mut layers = Vec::with_capacity(fetched.manifest.layers.len());
        for layer in &fetched.manifest.layers {
            layers.push(Layer {
                media_type: layer.media_type.clone(),
                content: self.blob(&reference.repository, layer).await?,
                annotations: layer.annotations.clone(),
            });
        }
        Ok(PulledArtifact {
            artifact: Artifact {
                kind,
                layers,
                annotations: fetched.manifest.annotations.clone(),
                subject: fetched.manifest.subject.clone(),
            },
            descriptor: fetched.descriptor,
        })
    }
}
