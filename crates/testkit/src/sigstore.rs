//! A Sigstore of one test: an authority that gives certificates of minutes, logs of signatures, a log of certificates and an
//! authority that stamps times, which write what Fulcio, Rekor (1 and 2), a CT log and a TSA write. Real cosign accepts it (the test
//! `signatures_of_a_private_sigstore` of `oci`). It asks nobody who he is: a test says so.

mod stamp;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use stamp::{TIME_STAMPING, content, first, oid, wrapped};

/// When everything happens, in seconds since 1970: 2026-01-01T12:00:00Z.
pub const NOON: i64 = 1_767_268_800;
/// The media type of a signature's bundle.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

const ISSUER: &[u64] = &[1, 3, 6, 1, 4, 1, 57264, 1, 8];
const OLD_ISSUER: &[u64] = &[1, 3, 6, 1, 4, 1, 57264, 1, 1];
const SCTS: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
const PURPOSES: &[u64] = &[2, 5, 29, 37];
const SERIAL: &[u8] = &[0x17; 20];

/// Who the log says it is in its checkpoints.
const ORIGIN: &str = "rekor.example - 1";
/// The same of the log of Rekor 2; its key is named by it.
pub const ORIGIN_2: &str = "log2026-1.rekor.example";

/// Authority and logs.
#[derive(Debug)]
pub struct Sigstore {
    root: CertifiedIssuer<'static, KeyPair>,
    between: CertifiedIssuer<'static, KeyPair>,
    log: KeyPair,
    log_2: KeyPair,
    certificate_log: KeyPair,
    stamping_root: CertifiedIssuer<'static, KeyPair>,
    stamping: CertifiedIssuer<'static, KeyPair>,
}

/// What a certificate says of its holder.
#[derive(Debug, Clone)]
pub struct Holder {
    /// A URI if it contains `://`, else an e-mail address.
    pub name: String,
    /// The issuer, as it is written today.
    pub issuer: Option<String>,
    /// The issuer, as it was written first.
    pub old_issuer: Option<String>,
    /// Whether the certificate is for signing code.
    pub is_for_code: bool,
    /// Whether the log of certificates has signed for it.
    pub has_sct: bool,
    /// From when to when it is valid, in seconds since 1970.
    pub valid: (i64, i64),
    /// Of its key.
    pub algorithm: &'static SignatureAlgorithm,
}

impl Holder {
    /// Somebody with a certificate as it should be, valid for ten minutes around [`NOON`].
    pub fn new(name: &str, issuer: &str) -> Self {
        Self {
            name: name.to_owned(),
            issuer: Some(issuer.to_owned()),
            old_issuer: Some(issuer.to_owned()),
            is_for_code: true,
            has_sct: true,
            valid: (NOON - 300, NOON + 300),
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

/// A keyless signature with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Keyless {
    /// In DER.
    pub certificate: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The log's entry, as cosign writes it into an annotation.
    pub entry: Value,
}

impl Default for Sigstore {
    fn default() -> Self {
        Self::new()
    }
}

impl Sigstore {
    /// Makes all keys.
    pub fn new() -> Self {
        let pair = |algorithm| KeyPair::generate_for(algorithm).expect("the library makes keys");
        let root = CertifiedIssuer::self_signed(authority("root"), pair(&rcgen::PKCS_ECDSA_P384_SHA384))
            .expect("its parameters are good");
        let mut params = authority("between");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let between = CertifiedIssuer::signed_by(params, pair(&rcgen::PKCS_ECDSA_P384_SHA384), &root)
            .expect("its parameters are good");
        let stamping_root =
            CertifiedIssuer::self_signed(authority("stamping root"), pair(&rcgen::PKCS_ECDSA_P384_SHA384))
                .expect("its parameters are good");
        let mut params = authority("stamping");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Go's reader wants it to be critical (RFC 3161 section 2.3), which the library does not make it.
        let mut purpose = CustomExtension::from_oid_content(PURPOSES, wrapped(0x30, &oid(TIME_STAMPING)));
        purpose.set_criticality(true);
        params.custom_extensions = vec![purpose];
        params.serial_number = Some(SerialNumber::from_slice(SERIAL));
        let stamping =
            CertifiedIssuer::signed_by(params, pair(&rcgen::PKCS_ECDSA_P256_SHA256), &stamping_root)
                .expect("its parameters are good");
        Self {
            root,
            between,
            log: pair(&rcgen::PKCS_ECDSA_P256_SHA256),
            log_2: pair(&rcgen::PKCS_ED25519),
            certificate_log: pair(&rcgen::PKCS_ECDSA_P256_SHA256),
            stamping_root,
            stamping,
        }
    }

    /// The certificates of the authority, the root last, in PEM.
    pub fn chain_pem(&self) -> String {
        [&self.between, &self.root]
            .map(|issuer| pem("CERTIFICATE", issuer.der()))
            .concat()
    }

    /// The key of the log of signatures, in PEM.
    pub fn log_pem(&self) -> String {
        pem("PUBLIC KEY", &self.log.subject_public_key_info())
    }

    /// The key of the log of Rekor 2, in PEM.
    pub fn log_2_pem(&self) -> String {
        pem("PUBLIC KEY", &self.log_2.subject_public_key_info())
    }

    /// The certificates of the authority that stamps times, its own first and the root last, in PEM.
    pub fn stamping_pem(&self) -> String {
        [&self.stamping, &self.stamping_root]
            .map(|issuer| pem("CERTIFICATE", issuer.der()))
            .concat()
    }

    /// The key of the log of certificates, in PEM.
    pub fn certificate_log_pem(&self) -> String {
        pem("PUBLIC KEY", &self.certificate_log.subject_public_key_info())
    }

    /// What names them to others: `trusted_root.json`.
    pub fn trusted_root(&self) -> Value {
        let log = |key: &KeyPair, id: &[u8], details: &str| {
            json!({
                "baseUrl": "https://log.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.subject_public_key_info()),
                    "keyDetails": details,
                    "validFor": {"start": "2025-01-01T00:00:00Z"},
                },
                "logId": {"keyId": STANDARD.encode(id)},
            })
        };
        let ecdsa = |key: &KeyPair| {
            let id = Sha256::digest(key.subject_public_key_info());
            log(key, &id, "PKIX_ECDSA_P256_SHA_256")
        };
        let authority = |chain: [&CertifiedIssuer<'static, KeyPair>; 2]| {
            let certificates = chain.map(|issuer| json!({"rawBytes": STANDARD.encode(issuer.der())}));
            json!({
                "subject": {"organization": "example", "commonName": "root"},
                "uri": "https://authority.example",
                "certChain": {"certificates": certificates},
                "validFor": {"start": "2025-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"},
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [ecdsa(&self.log), log(&self.log_2, &self.log_2_id(), "PKIX_ED25519")],
            "certificateAuthorities": [authority([&self.between, &self.root])],
            "ctlogs": [ecdsa(&self.certificate_log)],
            "timestampAuthorities": [authority([&self.stamping, &self.stamping_root])],
        })
    }

    /// The digest of name and key (signed notes, C2SP).
    fn log_2_id(&self) -> Vec<u8> {
        let key = self.log_2.public_key_raw();
        Sha256::digest([ORIGIN_2.as_bytes(), b"\n\x01", key].concat()).to_vec()
    }

    /// Signs these bytes, and logs that.
    pub fn sign(&self, holder: &Holder, message: &[u8]) -> Keyless {
        let (certificate, key) = self.certificate(holder);
        let signature = key.sign(message).expect("the key signs");
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hex(&Sha256::digest(message))}},
                "signature": {
                    "content": STANDARD.encode(&signature),
                    "publicKey": {"content": STANDARD.encode(pem("CERTIFICATE", &certificate))},
                },
            },
        });
        Keyless {
            entry: self.entry(&body, NOON),
            certificate,
            signature,
        }
    }

    /// Signs a statement in an envelope and logs that, as cosign 3 does; gives the bundle.
    pub fn sign_statement(&self, holder: &Holder, statement: &Value) -> Value {
        let Enveloped {
            envelope,
            signature,
            certificate,
            ..
        } = self.envelope(holder, statement);
        let hash = |text: &str| json!({"algorithm": "sha256", "value": hex(&Sha256::digest(text))});
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": hash(&envelope.to_string()),
                "payloadHash": hash(&statement.to_string()),
                "signatures": [{
                    "signature": STANDARD.encode(signature),
                    "verifier": STANDARD.encode(pem("CERTIFICATE", &certificate)),
                }],
            },
        });
        let entry = self.entry(&body, NOON);
        json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(&certificate)},
                "tlogEntries": [self.bundled("dsse", &entry)],
            },
            "dsseEnvelope": envelope,
        })
    }

    /// The same with Rekor 2, whose entries have no time; so it is stamped.
    pub fn sign_statement_2(&self, holder: &Holder, statement: &Value) -> Value {
        let Enveloped {
            envelope,
            message,
            signature,
            certificate,
        } = self.envelope(holder, statement);
        let raw = STANDARD.encode(&certificate);
        let body = json!({
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {"hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(&message))},
                "signature": {
                    "content": STANDARD.encode(&signature),
                    "verifier": {"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": &raw}},
                },
            }},
        });
        let stamp = STANDARD.encode(self.stamp(&signature, NOON));
        json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": &raw},
                "tlogEntries": [self.entry_2(&body)],
                "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": stamp}]},
            },
            "dsseEnvelope": envelope,
        })
    }

    fn envelope(&self, holder: &Holder, statement: &Value) -> Enveloped {
        let (payload, kind) = (statement.to_string(), "application/vnd.in-toto+json");
        let message = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len()).into_bytes();
        let (certificate, key) = self.certificate(holder);
        let signature = key.sign(&message).expect("the key signs");
        let envelope = json!({
            "payload": STANDARD.encode(&payload),
            "payloadType": kind,
            "signatures": [{"sig": STANDARD.encode(&signature)}],
        });
        Enveloped {
            envelope,
            message,
            signature,
            certificate,
        }
    }

    /// An entry of Rekor 2 as it stands in a bundle, the second of two in the log.
    pub fn entry_2(&self, body: &Value) -> Value {
        let body = body.to_string();
        let hash = |parts: &[&[u8]]| Sha256::digest(parts.concat());
        let other = hash(&[&[0], b"another entry"]);
        let root = STANDARD.encode(hash(&[&[1], &other, &hash(&[&[0], body.as_bytes()])]));
        let note = format!("{ORIGIN_2}\n2\n{root}\n");
        let id = self.log_2_id();
        let signature = self.log_2.sign(note.as_bytes()).expect("the key signs");
        let signature = STANDARD.encode([&id[..4], &signature].concat());
        json!({
            "logIndex": "1",
            "logId": {"keyId": STANDARD.encode(&id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": root,
                "treeSize": "2",
                "hashes": [STANDARD.encode(other)],
                "checkpoint": {"envelope": format!("{note}\n\u{2014} {ORIGIN_2} {signature}\n")},
            },
            "canonicalizedBody": STANDARD.encode(body),
        })
    }

    /// An entry of the log, signed; as cosign writes it into an annotation.
    pub fn entry(&self, body: &Value, time: i64) -> Value {
        let payload = json!({
            "body": STANDARD.encode(body.to_string()),
            "integratedTime": time,
            "logID": hex(&Sha256::digest(self.log.subject_public_key_info())),
            "logIndex": 0,
        });
        // Its keys stand in order, and there is nothing in it that could be written in two ways.
        let promise = self
            .log
            .sign(payload.to_string().as_bytes())
            .expect("the key signs");
        json!({"SignedEntryTimestamp": STANDARD.encode(promise), "Payload": payload})
    }

    /// A certificate with its key.
    pub fn certificate(&self, holder: &Holder) -> (Vec<u8>, KeyPair) {
        let key = KeyPair::generate_for(holder.algorithm).expect("the library makes keys");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(&[0x42; 20]));
        set_period(&mut params, holder.valid);
        let name = holder.name.as_str().try_into().expect("names are ASCII");
        params.subject_alt_names = vec![if holder.name.contains("://") {
            SanType::URI(name)
        } else {
            SanType::Rfc822Name(name)
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![if holder.is_for_code {
            ExtendedKeyUsagePurpose::CodeSigning
        } else {
            ExtendedKeyUsagePurpose::ClientAuth
        }];
        params.use_authority_key_identifier_extension = true;
        let old = holder.old_issuer.iter();
        let old =
            old.map(|issuer| CustomExtension::from_oid_content(OLD_ISSUER, issuer.clone().into_bytes()));
        let new = holder.issuer.iter();
        let new =
            new.map(|issuer| CustomExtension::from_oid_content(ISSUER, wrapped(0x0c, issuer.as_bytes())));
        params.custom_extensions.extend(old.chain(new));
        let issuer: &Issuer<'_, KeyPair> = &self.between;
        let issue = |params: &CertificateParams| {
            let certificate = params.signed_by(&key, issuer).expect("its parameters are good");
            certificate.der().to_vec()
        };
        if holder.has_sct {
            let scts = self.scts(&issue(&params), holder.valid.0);
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(SCTS, wrapped(0x04, &scts)));
        }
        (issue(&params), key)
    }

    /// The list of one SCT for a certificate that has none yet.
    fn scts(&self, certificate: &[u8], time: i64) -> Vec<u8> {
        let signed_part = first(content(certificate));
        let milliseconds = (time * 1000).to_be_bytes();
        let issuing_key = Sha256::digest(self.between.key().subject_public_key_info());
        let length = signed_part.len().to_be_bytes();
        let message = [
            &[0, 0][..],
            &milliseconds,
            &[0, 1],
            &issuing_key,
            &length[length.len() - 3..],
            signed_part,
            &[0, 0],
        ];
        let signature = self
            .certificate_log
            .sign(&message.concat())
            .expect("the key signs");
        let log = Sha256::digest(self.certificate_log.subject_public_key_info());
        let sct = [&[0][..], &log, &milliseconds, &[0, 0, 4, 3], &sized(&signature)].concat();
        sized(&sized(&sct))
    }

    /// An entry as it stands in a bundle, with the proof that it is in a log which holds nothing else.
    fn bundled(&self, kind: &str, entry: &Value) -> Value {
        let payload = &entry["Payload"];
        let body = payload["body"]
            .as_str()
            .and_then(|body| STANDARD.decode(body).ok());
        let root = Sha256::digest([&[0][..], &body.unwrap_or_default()].concat());
        let log = Sha256::digest(self.log.subject_public_key_info());
        let note = format!("{ORIGIN}\n1\n{}\n", STANDARD.encode(root));
        let signature = self.log.sign(note.as_bytes()).expect("the key signs");
        let signature = STANDARD.encode([&log[..4], &signature].concat());
        json!({
            "logIndex": "0",
            "logId": {"keyId": STANDARD.encode(log)},
            "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": payload["integratedTime"].to_string(),
            "inclusionPromise": {"signedEntryTimestamp": entry["SignedEntryTimestamp"]},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": STANDARD.encode(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": format!("{note}\n\u{2014} {} {signature}\n", "rekor.example")},
            },
            "canonicalizedBody": payload["body"],
        })
    }
}

/// A signed envelope, and of what the signature is.
struct Enveloped {
    envelope: Value,
    message: Vec<u8>,
    signature: Vec<u8>,
    certificate: Vec<u8>,
}

/// The statement that the manifest of this digest is signed.
pub fn statement(digest_hex: &str) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest_hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
}

impl Keyless {
    /// What stands beside the signed payload in a manifest.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let name = |last: &str| format!("dev.sigstore.cosign/{last}");
        BTreeMap::from([
            (
                "dev.cosignproject.cosign/signature".to_owned(),
                STANDARD.encode(&self.signature),
            ),
            (name("certificate"), pem("CERTIFICATE", &self.certificate)),
            (name("bundle"), self.entry.to_string()),
        ])
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let year = 365 * 24 * 3600;
    set_period(&mut params, (NOON - year, NOON + 10 * year));
    params
}

fn set_period(params: &mut CertificateParams, (from, to): (i64, i64)) {
    let moment = |seconds: i64| {
        let seconds = u64::try_from(seconds).expect("nothing is older than 1970");
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    (params.not_before, params.not_after) = (moment(from), moment(to));
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// With its length, of two bytes, before it.
fn sized(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), content].concat()
}
