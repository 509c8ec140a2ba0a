//! Registries as commands reach them: with the logins that the engine's pulls have, and for documents rather than images.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use engine::credentials::RegistryHost;
use futures_util::FutureExt;
use oci::{Artifact, Credentials, Descriptor, Layer, Limits, Login, Options, Reference, Registries};

use crate::engines;
use crate::settings::Settings;

/// What stands before a reference where paths and URLs could stand as well; `docker://` is how `docker mcp` writes it.
const SCHEMES: [&str; 2] = ["oci://", "docker://"];
/// The file name under which a document is found by programs that unpack artifacts.
const TITLE: &str = "org.opencontainers.image.title";

/// The reference behind `oci://`; `None` if the text is no such thing.
pub(crate) fn reference(text: &str) -> Option<Result<Reference>> {
    let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme))?;
    Some(Reference::parse(rest).map_err(Into::into))
}

/// As [`reference()`], where nothing else will do.
pub(crate) fn only_reference(text: &str) -> Result<Reference> {
    match reference(text) {
        Some(reference) => reference,
        None => bail!("{text:?} is no place in a registry; write oci://registry/repository:tag"),
    }
}

/// A client. It may reach private networks, as the registries are those that the user names.
pub(crate) fn client(settings: &Settings) -> Result<Registries> {
    let kept = engines::credentials(settings)?;
    let credentials = Credentials::new(move |host| {
        let kept = kept.clone();
        async move {
            let Some(host) = RegistryHost::parse(&host) else {
                return Ok(None);
            };
            let auth = kept
                .for_registry(&host)
                .await
                .map_err(|error| error.to_string())?;
            Ok(auth.and_then(|auth| Login::from_docker(&auth.json())))
        }
        .boxed()
    });
    Ok(Registries::new(Options {
        http: fetch::Client::new(fetch::Options {
            user_agent: concat!("dockmaster/", env!("CARGO_PKG_VERSION")).to_owned(),
            addresses: fetch::Addresses::Private,
            plain: fetch::Plain::Loopback,
            ..fetch::Options::default()
        }),
        credentials,
        insecure: BTreeSet::new(),
        limits: Limits::default(),
    }))
}

/// Writes a document as an artifact of this kind.
pub(crate) async fn push(
    settings: &Settings,
    reference: &Reference,
    kind: &str,
    title: &str,
    text: String,
) -> Result<Descriptor> {
    let artifact = Artifact {
        kind: kind.to_owned(),
        layers: vec![Layer {
            media_type: kind.to_owned(),
            content: Bytes::from(text),
            annotations: BTreeMap::from([(TITLE.to_owned(), title.to_owned())]),
        }],
        annotations: BTreeMap::new(),
        subject: None,
    };
    Ok(client(settings)?.push_artifact(reference, artifact).await?)
}

/// Reads a document that is an artifact of one of these kinds.
pub(crate) async fn pull(
    settings: &Settings,
    reference: &Reference,
    kinds: &[&str],
) -> Result<(String, Descriptor)> {
    let pulled = client(settings)?.pull_artifact(reference, kinds).await?;
    let layer = match pulled.artifact.layers.as_slice() {
        [layer] => layer,
        layers => bail!("it has {} parts, and a document has one", layers.len()),
    };
    let text = std::str::from_utf8(&layer.content).context("its document is not UTF-8 text")?;
    Ok((text.to_owned(), pulled.descriptor))
}
