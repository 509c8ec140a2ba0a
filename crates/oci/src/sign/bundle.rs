//! Sigstore bundles, version 0.3: a statement in a signed envelope (DSSE), or a signature of the manifest itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{BY_NO_KEY, Finding, Image, KEYLESS};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
/// The statement that an image is signed, and says nothing more. Any other is an attestation.
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    #[serde(default)]
    verification_material: Material,
    dsse_envelope: Option<Envelope>,
    message_signature: Option<MessageSignature>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<serde_json::Value>,
    x509_certificate_chain: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Deserialize)]
struct MessageSignature {
    signature: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: std::collections::BTreeMap<String, String>,
}

pub(super) fn check(image: &Image<'_>, content: &[u8]) -> Finding {
    let bad = |reason: &str| Finding::Bad(reason.to_owned());
    let Ok(bundle) = serde_json::from_slice::<Bundle>(content) else {
        return bad("it is no bundle");
    };
    if bundle.media_type != MEDIA_TYPE {
        return bad("it is a bundle of a version other than 0.3");
    }
    let material = &bundle.verification_material;
    let is_keyless = material.certificate.is_some() || material.x509_certificate_chain.is_some();
    let unknown = || bad(if is_keyless { KEYLESS } else { BY_NO_KEY });
    match (bundle.dsse_envelope, bundle.message_signature) {
        (Some(envelope), None) => envelope.check(image, unknown),
        (None, Some(message)) => {
            let signature = STANDARD.decode(message.signature).unwrap_or_default();
            image
                .signer(image.bytes, &signature)
                .map_or_else(unknown, Finding::Good)
        }
        _ => bad("it holds not exactly one signature"),
    }
}

impl Envelope {
    fn check(&self, image: &Image<'_>, unknown: impl Fn() -> Finding) -> Finding {
        let bad = |reason: &str| Finding::Bad(reason.to_owned());
        let Ok(payload) = STANDARD.decode(&self.payload) else {
            return bad("its statement is no Base64");
        };
        // What it says of itself before it is verified decides only whether it is passed over.
        let statement: Option<Statement> = serde_json::from_slice(&payload).ok();
        if let Some(statement) = &statement
            && statement.predicate_type != SIGNED
        {
            return Finding::Other;
        }
        let message = pre_authentication(&self.payload_type, &payload);
        let signed = self
            .signatures
            .iter()
            .filter_map(|signature| STANDARD.decode(&signature.sig).ok());
        let Some(key) = signed
            .into_iter()
            .find_map(|signature| image.signer(&message, &signature))
        else {
            return unknown();
        };
        if self.payload_type != STATEMENT {
            return bad("what was signed is a statement of another kind");
        }
        let Some(statement) = statement else {
            return bad("what was signed is no statement about an image");
        };
        let names = |subject: &Subject| {
            subject
                .digest
                .get("sha256")
                .is_some_and(|hex| hex == image.digest.hex())
        };
        if statement.subject.iter().any(names) {
            Finding::Good(key)
        } else {
            bad("it is a signature of something else")
        }
    }
}

/// What is signed in an envelope (DSSE version 1): type and payload, each with its length, so that neither can be taken
/// for a part of the other.
fn pre_authentication(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}
