//! Sigstore bundles, version 0.3: a statement in a signed envelope (DSSE), or a signature of the manifest itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::keyless::{Entry, Evidence, Made, Refused};
use super::{Finding, Image};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
const STATEMENT_KINDS: [&str; 2] = [
    "https://in-toto.io/Statement/v1",
    "https://in-toto.io/Statement/v0.1",
];
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
    certificate: Option<Certificate>,
    /// As bundles before version 0.3 have it; readers of 0.3 are asked to take it.
    x509_certificate_chain: Option<Chain>,
    #[serde(default)]
    tlog_entries: Vec<Value>,
    timestamp_verification_data: Option<Stamps>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Stamps {
    #[serde(default)]
    rfc3161_timestamps: Vec<Stamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stamp {
    signed_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    raw_bytes: String,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<Certificate>,
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
    #[serde(rename = "_type", default)]
    kind: String,
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
    let evidence = || bundle.verification_material.evidence();
    match (bundle.dsse_envelope, bundle.message_signature) {
        (Some(envelope), None) => envelope.check(image, evidence),
        (None, Some(message)) => {
            let signature = STANDARD.decode(message.signature).unwrap_or_default();
            let made = Made {
                message: image.bytes,
                signature: &signature,
                enveloped: None,
            };
            image
                .signer(made, evidence)
                .map_or_else(Finding::Bad, Finding::Good)
        }
        _ => bad("it holds not exactly one signature"),
    }
}

impl Material {
    /// `None` if the signature is not keyless.
    fn evidence(self) -> Option<Result<Evidence, Refused>> {
        let in_chain = |chain: Chain| chain.certificates.into_iter().next();
        let certificate = self
            .certificate
            .or_else(|| self.x509_certificate_chain.and_then(in_chain))?;
        let mut entries = self.tlog_entries.into_iter();
        let stamps = self
            .timestamp_verification_data
            .unwrap_or_default()
            .rfc3161_timestamps;
        let read = || {
            let entry = match (entries.next(), entries.next()) {
                (Some(entry), None) => Entry::of_bundle(entry)?,
                (None, _) => return Err(Refused::NotLogged),
                (Some(_), Some(_)) => return Err(Refused::Entry("there are several")),
            };
            let stamps = stamps
                .iter()
                .map(|stamp| STANDARD.decode(&stamp.signed_timestamp));
            Ok(Evidence {
                certificate: STANDARD
                    .decode(certificate.raw_bytes)
                    .map_err(|_| Refused::Certificate("it is no Base64"))?,
                entry,
                stamps: stamps
                    .collect::<Result<_, _>>()
                    .map_err(|_| Refused::Stamp("it is no Base64"))?,
            })
        };
        Some(read())
    }
}

impl Envelope {
    fn check(
        &self,
        image: &Image<'_>,
        evidence: impl FnOnce() -> Option<Result<Evidence, Refused>>,
    ) -> Finding {
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
        let [one] = self.signatures.as_slice() else {
            return bad("it holds not exactly one signature");
        };
        let signature = STANDARD.decode(&one.sig).unwrap_or_default();
        let made = Made {
            message: &message,
            signature: &signature,
            enveloped: Some(&payload),
        };
        let signer = match image.signer(made, evidence) {
            Ok(signer) => signer,
            Err(reason) => return Finding::Bad(reason),
        };
        if self.payload_type != STATEMENT {
            return bad("what was signed is a statement of another kind");
        }
        let Some(statement) = statement else {
            return bad("what was signed is no statement about an image");
        };
        if !STATEMENT_KINDS.contains(&statement.kind.as_str()) {
            return bad("what was signed is a statement of a version that is not known here");
        }
        let names = |subject: &Subject| {
            subject
                .digest
                .get("sha256")
                .is_some_and(|hex| hex == image.digest.hex())
        };
        if statement.subject.iter().any(names) {
            Finding::Good(signer)
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
