//! An entry of Rekor: the log's word that a signature was there at a time.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use pki_types::CertificateDer;
use pki_types::pem::PemObject as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::proof::Proof;
use super::refused::Refused;
use super::root::{Log, LogId, TrustedRoot};
use super::{Made, moment, shown, stamp};

/// An entry with what shows that it is in the log: the log's signature over it and the time (`SignedEntryTimestamp`), or a
/// proof.
#[derive(Debug)]
pub(in crate::sign) struct Entry {
    /// The log's own JSON of what it logged, in Base64.
    body: String,
    /// Seconds since 1970.
    time: i64,
    index: i64,
    /// The log's id in lower-case hexadecimal digits.
    log: String,
    promise: Option<Vec<u8>>,
    proof: Option<Proof>,
}

/// As cosign writes it beside a signed payload, in `dev.sigstore.cosign/bundle`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Annotation {
    signed_entry_timestamp: String,
    payload: AnnotationPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnnotationPayload {
    body: String,
    integrated_time: i64,
    log_index: i64,
    #[serde(rename = "logID")]
    log: String,
}

/// As it stands in a Sigstore bundle.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BundleEntry {
    #[serde(default, deserialize_with = "number")]
    log_index: i64,
    log_id: LogId,
    #[serde(default, deserialize_with = "number")]
    integrated_time: i64,
    inclusion_promise: Option<InclusionPromise>,
    inclusion_proof: Option<Proof>,
    canonicalized_body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InclusionPromise {
    signed_entry_timestamp: String,
}

/// What the log logged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    kind: String,
    api_version: String,
    spec: Value,
}

#[derive(Deserialize)]
struct HashedRekord {
    data: Data,
    signature: LoggedSignature,
}

#[derive(Deserialize)]
struct Data {
    hash: Hash,
}

#[derive(Deserialize)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedSignature {
    content: String,
    public_key: LoggedKey,
}

#[derive(Deserialize)]
struct LoggedKey {
    content: String,
}

/// What Rekor 2 logs, whatever was signed.
#[derive(Deserialize)]
struct HashedRekord2 {
    #[serde(rename = "hashedRekordV002")]
    inner: Inner2,
}

#[derive(Deserialize)]
struct Inner2 {
    data: Data2,
    signature: Signature2,
}

#[derive(Deserialize)]
struct Data2 {
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
struct Signature2 {
    content: String,
    verifier: Verifier2,
}

#[derive(Deserialize)]
struct Verifier2 {
    #[serde(rename = "x509Certificate")]
    certificate: Certificate2,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate2 {
    raw_bytes: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dsse {
    payload_hash: Hash,
    signatures: Vec<DsseSignature>,
}

#[derive(Deserialize)]
struct DsseSignature {
    signature: String,
    verifier: String,
}

impl Entry {
    /// Reads the annotation `dev.sigstore.cosign/bundle`.
    pub(in crate::sign) fn of_annotation(text: &str) -> Result<Self, Refused> {
        let Annotation {
            signed_entry_timestamp,
            payload,
        } = serde_json::from_str(text).map_err(|_| {
            Refused::Entry("the annotation dev.sigstore.cosign/bundle is not what cosign writes")
        })?;
        Ok(Self {
            body: payload.body,
            time: payload.integrated_time,
            index: payload.log_index,
            log: payload.log,
            promise: promise(&signed_entry_timestamp)?,
            proof: None,
        })
    }

    /// Reads an entry of a bundle's `tlogEntries`.
    pub(in crate::sign) fn of_bundle(entry: Value) -> Result<Self, Refused> {
        let entry: BundleEntry = serde_json::from_value(entry)
            .map_err(|_| Refused::Entry("it is not what bundles of version 0.3 hold"))?;
        let id = STANDARD.decode(entry.log_id.key_id);
        let id = id.map_err(|_| Refused::Entry("its log's id is no Base64"))?;
        let given = entry.inclusion_promise.map(|given| given.signed_entry_timestamp);
        Ok(Self {
            body: entry.canonicalized_body,
            time: entry.integrated_time,
            index: entry.log_index,
            log: hex(&id),
            promise: promise(given.as_deref().unwrap_or_default())?,
            proof: entry.inclusion_proof,
        })
    }

    /// Checks that the entry is in a log of the root; gives the time at which this signature was there, and further such
    /// times. Without the log's word for it there have to be stamps, and all of them have to be good.
    pub(super) fn proven(
        &self,
        root: &TrustedRoot,
        stamps: &[Vec<u8>],
        signature: &[u8],
    ) -> Result<(Timestamp, Vec<Timestamp>), Refused> {
        if let Some(promise) = &self.promise {
            return Ok((self.promised(root, promise)?, Vec::new()));
        }
        let proof = self.proof.as_ref().ok_or(Refused::NotProven)?;
        let moments = stamps
            .iter()
            .map(|stamp| stamp::check(stamp, signature, &root.stamping))
            .collect::<Result<Vec<_>, _>>()?;
        let (first, others) = moments.split_first().ok_or(Refused::NoTime)?;
        for moment in &moments {
            let log = self
                .logs(root, *moment)?
                .next()
                .ok_or(Refused::LogNotInForce(*moment))?;
            proof.check(&self.content()?, log)?;
        }
        Ok((*first, others.to_vec()))
    }

    /// The time that a log of the root has signed with this entry.
    fn promised(&self, root: &TrustedRoot, promise: &[u8]) -> Result<Timestamp, Refused> {
        // Both stand in the signed text between quotes: Base64 and hexadecimal digits need no escapes there.
        self.content()?;
        let moment = moment(self.time)?;
        let log = self
            .logs(root, moment)?
            .next()
            .ok_or(Refused::LogNotInForce(moment))?;
        if log.key.has_signed(self.signed_text().as_bytes(), promise) {
            Ok(moment)
        } else {
            Err(Refused::Promise)
        }
    }

    /// The logs that this entry can be of, of those that were in force at that moment.
    fn logs<'a>(
        &self,
        root: &'a TrustedRoot,
        moment: Timestamp,
    ) -> Result<impl Iterator<Item = &'a Log>, Refused> {
        let own: Vec<_> = root.logs.iter().filter(|log| hex(&log.id) == self.log).collect();
        if own.is_empty() {
            return Err(Refused::UnknownLog(shown(&self.log)));
        }
        Ok(own.into_iter().filter(move |log| log.in_force.contains(moment)))
    }

    /// Checks that the entry is about this signature, what it is of, and this certificate.
    pub(super) fn is_about(&self, made: Made<'_>, certificate: &[u8]) -> Result<(), Refused> {
        let body: Body =
            serde_json::from_slice(&self.content()?).map_err(|_| Refused::Entry("its body is no entry"))?;
        let unreadable = |_| Refused::Entry("its body is not what its kind says");
        match (body.kind.as_str(), body.api_version.as_str(), made.enveloped) {
            // Of an envelope it logs what was signed, or the payload in its envelope.
            ("hashedrekord", "0.0.1", _) => {
                let logged: HashedRekord = serde_json::from_value(body.spec).map_err(unreadable)?;
                is_of(&logged.data.hash, made.message)?;
                is_same(&logged.signature.content, made.signature)?;
                is_by(&logged.signature.public_key.content, certificate)
            }
            ("hashedrekord", "0.0.2", _) => {
                let logged: HashedRekord2 = serde_json::from_value(body.spec).map_err(unreadable)?;
                let HashedRekord2 { inner: logged } = logged;
                let digest = STANDARD.decode(logged.data.digest).unwrap_or_default();
                if logged.data.algorithm != "SHA2_256" || digest != Sha256::digest(made.message).as_slice() {
                    return Err(Refused::OtherEntry("payload"));
                }
                is_same(&logged.signature.content, made.signature)?;
                let by = STANDARD.decode(logged.signature.verifier.certificate.raw_bytes);
                if by.is_ok_and(|by| by == certificate) {
                    Ok(())
                } else {
                    Err(Refused::OtherEntry("certificate"))
                }
            }
            ("dsse", "0.0.1", Some(payload)) => {
                let logged: Dsse = serde_json::from_value(body.spec).map_err(unreadable)?;
                is_of(&logged.payload_hash, payload)?;
                let [one] = logged.signatures.as_slice() else {
                    return Err(Refused::OtherEntry("number of signatures"));
                };
                is_same(&one.signature, made.signature)?;
                is_by(&one.verifier, certificate)
            }
            (kind, version, _) => Err(Refused::EntryKind(shown(&format!("{kind} {version}")))),
        }
    }

    fn content(&self) -> Result<Vec<u8>, Refused> {
        STANDARD
            .decode(&self.body)
            .map_err(|_| Refused::Entry("its body is no Base64"))
    }

    /// What the log signs: these four, as canonical JSON (RFC 8785).
    fn signed_text(&self) -> String {
        let Self {
            body,
            time,
            index,
            log,
            ..
        } = self;
        format!(r#"{{"body":"{body}","integratedTime":{time},"logID":"{log}","logIndex":{index}}}"#)
    }
}

/// `None` if there is none.
fn promise(text: &str) -> Result<Option<Vec<u8>>, Refused> {
    let promise = STANDARD
        .decode(text)
        .map_err(|_| Refused::Entry("the log's signature is no Base64"))?;
    Ok(Some(promise).filter(|promise| !promise.is_empty()))
}

fn is_of(hash: &Hash, content: &[u8]) -> Result<(), Refused> {
    if hash.algorithm == "sha256" && hash.value == hex(&Sha256::digest(content)) {
        Ok(())
    } else {
        Err(Refused::OtherEntry("payload"))
    }
}

fn is_same(logged: &str, signature: &[u8]) -> Result<(), Refused> {
    if STANDARD.decode(logged).is_ok_and(|logged| logged == signature) {
        Ok(())
    } else {
        Err(Refused::OtherEntry("signature"))
    }
}

/// The log keeps the certificate as PEM, in Base64 once more.
fn is_by(logged: &str, certificate: &[u8]) -> Result<(), Refused> {
    let pem = STANDARD.decode(logged).unwrap_or_default();
    if CertificateDer::from_pem_slice(&pem).is_ok_and(|logged| logged.as_ref() == certificate) {
        Ok(())
    } else {
        Err(Refused::OtherEntry("certificate"))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// JSON of protocol buffers writes 64-bit numbers as text; readers take both.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}
