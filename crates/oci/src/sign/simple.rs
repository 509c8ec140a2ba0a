//! Signed payloads: JSON that names repository and digest, signed as the bytes that it is.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{BY_NO_KEY, Finding, Image, KEYLESS};
use crate::Reference;

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
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
    let Some(key) = image.signer(payload, &signature) else {
        let is_keyless = annotations.get(CERTIFICATE).is_some_and(|text| !text.is_empty());
        return bad(if is_keyless { KEYLESS } else { BY_NO_KEY });
    };
    // Signed by a good key from here on; but for what?
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
    Finding::Good(key)
}

fn shown(text: &str) -> String {
    let text = base::text::clean(text).replace('\n', " ");
    base::text::cut(&text, 120).to_owned()
}
