//! Signed payloads: JSON that names repository and digest, signed as the bytes that it is.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::keyless::{Entry, Evidence, Made, Refused, certificate_of};
use super::{Finding, Image};
use crate::Reference;

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const ENTRY: &str = "dev.sigstore.cosign/bundle";
/// What the payload of an image's signature calls itself.
const KIND: &str = "cosign container image signature";

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Identity,
    image: Named,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// The payload has been compared with its digest; here it is compared with its signature, and then with the image.
pub(super) fn check(image: &Image<'_>, payload: &[u8], annotations: &BTreeMap<String, String>) -> Finding {
    let bad = |reason: &str| Finding::Bad(reason.to_owned());
    let Some(signature) = annotations
        .get(SIGNATURE)
        .and_then(|text| STANDARD.decode(text).ok())
    else {
        return bad("its signature is missing or no Base64");
    };
    let made = Made {
        message: payload,
        signature: &signature,
        enveloped: None,
    };
    let signer = match image.signer(made, || evidence(annotations)) {
        Ok(signer) => signer,
        Err(reason) => return Finding::Bad(reason),
    };
    // Signed by whom it should be from here on; but for what?
    let Ok(Payload { critical }) = serde_json::from_slice(payload) else {
        return bad("what was signed is no statement about an image");
    };
    if critical.kind != KIND {
        return bad("what was signed is a statement of another kind");
    }
    if critical.image.digest != image.digest.as_str() {
        return Finding::Bad(format!("it is a signature of {}", shown(&critical.image.digest)));
    }
    let named = Reference::parse(&critical.identity.reference).map(|reference| reference.repository);
    if named.as_ref().ok() != Some(image.repository) {
        return Finding::Bad(format!(
            "it was made for the repository {}, not for {}",
            shown(&critical.identity.reference),
            image.repository
        ));
    }
    Finding::Good(signer)
}

/// What stands beside a keyless signature; the authority's chain, too, but the trusted root has it.
fn evidence(annotations: &BTreeMap<String, String>) -> Option<Result<Evidence, Refused>> {
    let given = |name| {
        annotations
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    let pem = given(CERTIFICATE)?;
    let read = || {
        Ok(Evidence {
            certificate: certificate_of(pem)?,
            entry: Entry::of_annotation(given(ENTRY).ok_or(Refused::NotLogged)?)?,
            // Entries of this layout have the log's word for the time.
            stamps: Vec::new(),
        })
    };
    Some(read())
}

fn shown(text: &str) -> String {
    let text = base::text::clean(text).replace('\n', " ");
    base::text::cut(&text, 120).to_owned()
}
