//! Signatures of publishers: which keys or identities have to have signed which images, as the table `[signers.NAME]`
//! says it, and the check that `instances` makes before an image is pulled and before it runs.
//!
//! What was found signed once stays so: the digest is what was signed, and is remembered with the keys (or
//! identity, issuer and trusted root), so that a start needs no registry. Files are read at each check, so that one that is gone or replaced counts at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base::names::ImageRef;
use engine::guard::ImagePattern;
use fs_err as fs;
use futures_util::FutureExt;
use instances::{SignatureCheck, Signed};
use oci::sign::keyless::TrustedRoot;
use oci::sign::{Keyless, PublicKey, Publisher, Verdict};
use oci::{Digest, Reference, Registries};
use serde::Deserialize;
use store::Store;

use crate::registry;
use crate::settings::Settings;
use crate::shelf::Shelf;

/// The kind of document that remembers what was found signed.
const FOUND: &str = "signature";

/// `[signers.NAME]`: whose signature what has to bear.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Signer {
    /// Files with public keys in PEM; a signature by any of them will do.
    pub(crate) keys: Vec<PathBuf>,
    /// Who may have signed without a key, in which `*` stands for any text.
    pub(crate) identity: Option<String>,
    /// Who has to have vouched for that identity.
    pub(crate) issuer: Option<String>,
    /// File with the authorities and logs that make it believable.
    pub(crate) trusted_root: Option<PathBuf>,
    /// Images that have to be signed.
    pub(crate) images: Vec<ImagePattern>,
    /// Catalogs of which all images have to be.
    pub(crate) catalogs: Vec<String>,
    /// Servers of which the images have to be.
    pub(crate) servers: Vec<String>,
}

/// The check, if the configuration names signers.
pub(crate) fn check(settings: &Settings, store: &Store) -> Result<Option<SignatureCheck>> {
    if settings.config.signers.is_empty() {
        return Ok(None);
    }
    let desk = Arc::new(Desk {
        settings: settings.clone(),
        store: store.clone(),
        registries: registry::client(settings)?,
    });
    Ok(Some(Arc::new(move |image| {
        let desk = Arc::clone(&desk);
        async move { desk.check(&image).await.map_err(|error| format!("{error:#}")) }.boxed()
    })))
}

struct Desk {
    settings: Settings,
    store: Store,
    registries: Registries,
}

impl Desk {
    /// Every signer that applies has to have signed.
    async fn check(&self, image: &Signed) -> Result<()> {
        for (name, signer) in self.wanted(image)? {
            self.check_one(name, signer, image)
                .await
                .with_context(|| format!("[signers.{name}] wants it signed"))?;
        }
        Ok(())
    }

    fn wanted(&self, image: &Signed) -> Result<BTreeMap<&str, &Signer>> {
        let signers = &self.settings.config.signers;
        let named = ImageRef::parse(&image.reference)?;
        let repository = match Reference::of(&named) {
            Ok(reference) => reference.repository.to_string(),
            // The id of an image, which no registry knows and no pattern means.
            Err(_) => String::new(),
        };
        let server = image.server.as_str();
        let by_catalog = signers.values().any(|signer| !signer.catalogs.is_empty());
        let catalogs = match &image.catalog {
            Some(catalog) => vec![catalog.clone()],
            // It may be of any catalog that has its name.
            None if by_catalog => {
                let known = Shelf::open(&self.settings, &self.store)?;
                known.having(server).map(|shelved| shelved.name.clone()).collect()
            }
            None => Vec::new(),
        };
        let applies = |signer: &Signer| {
            signer.images.iter().any(|pattern| pattern.matches(&repository))
                || signer.servers.iter().any(|name| name == server)
                || signer.catalogs.iter().any(|catalog| catalogs.contains(catalog))
        };
        let wanted = signers
            .iter()
            .filter(|(_, signer)| applies(signer))
            .map(|(name, signer)| (name.as_str(), signer));
        Ok(wanted.collect())
    }

    async fn check_one(&self, name: &str, signer: &Signer, image: &Signed) -> Result<()> {
        if image.is_built {
            bail!("it is made here from a package, and packages bear no signature that can be checked");
        }
        let publisher = publisher(&self.settings, signer)?;
        let reference = Self::reference(image)?;
        let keyless = publisher.keyless.as_ref().map(Keyless::id);
        let mut ids: Vec<_> = publisher.keys.iter().map(PublicKey::id).collect();
        ids.extend(keyless.as_deref());
        let remembered =
            |digest: &Digest| format!("{name} {}@{digest} {}", reference.repository, ids.join(" "));
        if let oci::Target::Digest(digest) = &reference.target
            && self.store.documents().get(FOUND, &remembered(digest))?.is_some()
        {
            return Ok(());
        }
        let checked = self.registries.verify(&reference, &publisher).await?;
        match &checked.verdict {
            Verdict::Signed(_) => {
                let verdict = checked.verdict.to_string();
                self.store
                    .documents()
                    .put(FOUND, &remembered(&checked.digest), &verdict)?;
                Ok(())
            }
            other => bail!("{} is {other}", checked.digest),
        }
    }

    /// Before a pull what the name means there; afterwards exactly what is here.
    fn reference(image: &Signed) -> Result<Reference> {
        let named = Reference::parse(&image.reference)?;
        let Some(digests) = &image.digests else {
            return Ok(named);
        };
        let own = digests.iter().find_map(|digest| {
            let reference = Reference::parse(digest).ok()?;
            (reference.repository == named.repository).then_some(reference)
        });
        own.context(
            "the image here was never in its registry, so nobody can have signed it there; remove it, and it is pulled",
        )
    }
}

/// Whose signature will do.
fn publisher(settings: &Settings, signer: &Signer) -> Result<Publisher> {
    let mut keys = Vec::new();
    for file in &signer.keys {
        let (path, pem) = read(settings, file)?;
        keys.push(PublicKey::from_pem(&pem).with_context(|| path.display().to_string())?);
    }
    let keyless = match (&signer.identity, &signer.issuer, &signer.trusted_root) {
        (None, None, None) => None,
        (Some(identity), Some(issuer), Some(file)) => {
            let (path, text) = read(settings, file)?;
            let root = TrustedRoot::from_json(&text).with_context(|| path.display().to_string())?;
            Some(Keyless::new(identity, issuer, root)?)
        }
        _ => bail!(
            "identity, issuer and trusted_root go together: a signature without a key is checked by all three"
        ),
    };
    if keys.is_empty() && keyless.is_none() {
        bail!(
            "it names no keys and no identity; write keys = [\"/path/to/cosign.pub\"], or identity, issuer and trusted_root for \
             signatures without a key"
        );
    }
    Ok(Publisher { keys, keyless })
}

/// Relative paths are beside the file that names them.
fn read(settings: &Settings, file: &Path) -> Result<(PathBuf, String)> {
    let path = match (file.strip_prefix("~"), &settings.folders.home) {
        (Ok(below), Some(home)) => home.join(below),
        _ => settings
            .file
            .parent()
            .map_or_else(|| file.to_owned(), |folder| folder.join(file)),
    };
    let text = fs::read_to_string(&path)?;
    Ok((path, text))
}
