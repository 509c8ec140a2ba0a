//! Signatures of images and artifacts, as cosign makes them with a key or keyless.
//!
//! Two layouts are in the field and both are read: the tag `sha256-….sig` with signed payloads ("simple signing"), and
//! bundles (version 0.3) that refer to the image. What counts is a signature by one of the given keys, or by the wanted
//! identity as [`keyless`] checks it, over a statement that names exactly this digest; the first layout names the
//! repository, too, and it has to be this one. Attestations (bills of materials, provenance) are no signatures and are
//! passed over, even if they are signed by the right key.

mod bundle;
mod key;
pub mod keyless;
mod simple;

use std::fmt;

pub use key::{KeyError, PublicKey};
pub use keyless::Keyless;
use keyless::{Evidence, Made, Refused};

use crate::client::{Action, At, Registries};
use crate::{Descriptor, Digest, Error, Fetched, Reference, Repository, Target, media};

/// Whose signature is wanted. One by any of the keys will do, or one by the identity; without either none counts.
#[derive(Debug, Clone, Default)]
pub struct Publisher {
    /// Keys.
    pub keys: Vec<PublicKey>,
    /// The identity behind keyless signatures.
    pub keyless: Option<Keyless>,
}

/// What was found out about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The image; what a tag pointed to at that moment. What is used afterwards has to be this.
    pub digest: Digest,
    /// Whether it is signed.
    pub verdict: Verdict,
}

/// Whether an image is signed by the publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// By these, at least one.
    Signed(Vec<Proof>),
    /// There is no signature at all.
    NotSigned,
    /// There are signatures, and none counts; each with its reason.
    Bad(Vec<Flaw>),
}

/// A signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Who made it: [`PublicKey::id`], or identity and issuer.
    pub by: String,
    /// How it is stored.
    pub layout: Layout,
    /// The manifest that holds it.
    pub found_in: Digest,
}

/// A signature that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The manifest that holds it.
    pub found_in: Digest,
    /// Why it does not count.
    pub reason: String,
}

/// How a signature is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A signed payload, its signature beside it in an annotation.
    Payload,
    /// A sigstore bundle.
    Bundle,
}

/// Most manifests and layers that are looked into for signatures of one image.
const MOST: usize = 100;
/// Most bytes of one signature with all that belongs to it. A keyless bundle has some 10 KB.
const LARGEST: u64 = 1 << 20;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const PAYLOAD_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";

/// What signatures are checked against.
struct Image<'a> {
    repository: &'a Repository,
    digest: &'a Digest,
    /// The manifest's own bytes; some bundles sign them directly.
    bytes: &'a [u8],
    publisher: &'a Publisher,
}

/// What one signature turned out to be.
enum Finding {
    /// By this key or identity.
    Good(String),
    Bad(String),
    /// Not a signature of an image.
    Other,
}

impl Registries {
    /// Looks for signatures of an image and checks them.
    ///
    /// # Errors
    /// The registry failed, so that nothing is known; never a missing or bad signature.
    pub async fn verify(&self, image: &Reference, publisher: &Publisher) -> Result<Checked, Error> {
        let fetched = self.manifest(image).await?;
        let digest = fetched.descriptor.digest.clone();
        let image = Image {
            repository: &image.repository,
            digest: &digest,
            bytes: &fetched.bytes,
            publisher,
        };
        let (mut proofs, mut flaws) = (Vec::new(), Vec::new());
        for holder in self.holders(&image).await? {
            let found_in = holder.descriptor.digest.clone();
            for layer in holder.manifest.layers.iter().take(MOST) {
                let Some((layout, finding)) = self.check(&image, layer).await? else {
                    continue;
                };
                let found_in = found_in.clone();
                match finding {
                    Finding::Good(by) => proofs.push(Proof { by, layout, found_in }),
                    Finding::Bad(reason) => flaws.push(Flaw { found_in, reason }),
                    Finding::Other => {}
                }
            }
        }
        let verdict = match (proofs.is_empty(), flaws.is_empty()) {
            (false, _) => Verdict::Signed(proofs),
            (true, false) => Verdict::Bad(flaws),
            (true, true) => Verdict::NotSigned,
        };
        Ok(Checked { digest, verdict })
    }

    /// The manifests that may hold signatures of an image.
    async fn holders(&self, image: &Image<'_>) -> Result<Vec<Fetched>, Error> {
        let mut holders = Vec::new();
        let tag = Reference {
            repository: image.repository.clone(),
            target: Target::Tag(format!("sha256-{}.sig", image.digest.hex())),
        };
        match self.manifest(&tag).await {
            Ok(holder) => holders.push(holder),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        let referrers = self.referrers(image.repository, image.digest).await?;
        let candidates: Vec<Descriptor> = referrers.into_iter().filter(may_hold_signatures).collect();
        if candidates.len() > MOST {
            let at = At::new(
                image.repository,
                &[Action::Pull],
                format!("looking for signatures of {}", image.digest),
            );
            return Err(at.content(format!("more than {MOST} manifests could hold one")));
        }
        for candidate in candidates {
            let place = Reference {
                repository: image.repository.clone(),
                target: Target::Digest(candidate.digest),
            };
            match self.manifest(&place).await {
                // Lists name what was deleted since.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
                Ok(holder) => {
                    let is_about = holder
                        .manifest
                        .subject
                        .as_ref()
                        .is_some_and(|subject| subject.digest == *image.digest);
                    if is_about {
                        holders.push(holder);
                    }
                }
            }
        }
        Ok(holders)
    }

    async fn check(&self, image: &Image<'_>, layer: &Descriptor) -> Result<Option<(Layout, Finding)>, Error> {
        let layout = match layer.media_type.as_str() {
            PAYLOAD => Layout::Payload,
            kind if kind.starts_with(BUNDLE) => Layout::Bundle,
            _ => return Ok(None),
        };
        if layer.size > LARGEST {
            let reason = format!("it has {} bytes, more than any signature needs", layer.size);
            return Ok(Some((layout, Finding::Bad(reason))));
        }
        let content = self.blob(image.repository, layer).await?;
        let finding = match layout {
            Layout::Payload => simple::check(image, &content, &layer.annotations),
            Layout::Bundle => bundle::check(image, &content),
        };
        Ok(Some((layout, finding)))
    }
}

/// By the kind that a list gives; it can be missing or that of the empty configuration.
fn may_hold_signatures(referrer: &Descriptor) -> bool {
    match referrer.artifact_type.as_deref() {
        None | Some("" | media::EMPTY | PAYLOAD_ARTIFACT) => true,
        Some(kind) => kind.starts_with(BUNDLE),
    }
}

impl Image<'_> {
    /// Who of those that are wanted made this signature. What it brings along when it is keyless (`None` if it is not)
    /// is read only when no key made it.
    fn signer(
        &self,
        made: Made<'_>,
        evidence: impl FnOnce() -> Option<Result<Evidence, Refused>>,
    ) -> Result<String, String> {
        let made_it = |key: &&PublicKey| key.has_signed(made.message, made.signature);
        if let Some(key) = self.publisher.keys.iter().find(made_it) {
            return Ok(key.id().to_owned());
        }
        match (evidence(), &self.publisher.keyless) {
            (None, _) => Err(BY_NO_KEY.to_owned()),
            (Some(_), None) => Err(KEYLESS.to_owned()),
            (Some(evidence), Some(keyless)) => evidence
                .and_then(|evidence| keyless.signer(made, &evidence))
                .map_err(|refused| refused.to_string()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed(proofs) => {
                let mut signers: Vec<&str> = proofs.iter().map(|proof| proof.by.as_str()).collect();
                signers.sort_unstable();
                signers.dedup();
                write!(f, "signed by {}", signers.join(" and "))
            }
            Self::NotSigned => f.write_str("not signed"),
            Self::Bad(flaws) => {
                f.write_str("no signature counts: ")?;
                let reasons: Vec<&str> = flaws.iter().map(|flaw| flaw.reason.as_str()).collect();
                f.write_str(&reasons.join("; "))
            }
        }
    }
}

const BY_NO_KEY: &str = "it was not made by any of the given keys, or was changed";
const KEYLESS: &str = "it is keyless (made with a short-lived certificate), and identity, issuer and trusted root to check it by are not given";

#[cfg(test)]
mod tests;
