//! Signatures that cosign 2.5 and 3.1 made with a key that exists no more, of a manifest on a registry of a test.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEg8cnoOWM/7WDE5DcAG49I6BgCKQI
rrNKEwO+CQJNZd+q8EuLjUUKlLJy9FTxBssGjp4Jfr4ptrT8U4FStCofgA==
-----END PUBLIC KEY-----";
/// Of nothing.
const OTHER_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----";
const IMAGE: &str =
    "127.0.0.1:5999/dm/x@sha256:3255e191fc7f71262f72729e652c107437d701d99c014b7e65ed356e1dd4b369";
const PAYLOAD_TEXT: &str = r#"{"critical":{"identity":{"docker-reference":"127.0.0.1:5999/dm/x"},"image":{"docker-manifest-digest":"sha256:3255e191fc7f71262f72729e652c107437d701d99c014b7e65ed356e1dd4b369"},"type":"cosign container image signature"},"optional":null}"#;
const SIGNATURE: &str =
    "MEUCIQD/fS7rHID+M8GPayHghCQyXvjZMjlzSF3y1kAHW2wb5wIgMt5Ol0wNuRlga86lKfNS1tiKgHnedfpbEocc8GuJltI=";
const BUNDLE_TEXT: &str = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"UMEB6OinFDv/cfFvKcBoAi8EFNksyEVW+VNFigIbjJw="}},"dsseEnvelope":{"payload":"eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEiLCJzdWJqZWN0IjpbeyJkaWdlc3QiOnsic2hhMjU2IjoiMzI1NWUxOTFmYzdmNzEyNjJmNzI3MjllNjUyYzEwNzQzN2Q3MDFkOTljMDE0YjdlNjVlZDM1NmUxZGQ0YjM2OSJ9LCJhbm5vdGF0aW9ucyI6e319XSwicHJlZGljYXRlVHlwZSI6Imh0dHBzOi8vc2lnc3RvcmUuZGV2L2Nvc2lnbi9zaWduL3YxIiwicHJlZGljYXRlIjp7fX0=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"MEUCID6Dqd3T1rn8tbfE00LoD9A+JhJYkHCXC8TdozxcxFm6AiEAzJgCGCxVzwxV/vD9bNgiwtju0VTok4Hd2q0G+PqfgUY="}]}}"#;

struct Case {
    image: Reference,
    digest: Digest,
    publisher: Publisher,
}

impl Case {
    fn new(image: &str, keys: &[&str]) -> Self {
        let image = Reference::parse(image).unwrap();
        let Target::Digest(digest) = image.target.clone() else {
            panic!("by digest");
        };
        Self {
            image,
            digest,
            publisher: Publisher {
                keys: keys.iter().map(|key| PublicKey::from_pem(key).unwrap()).collect(),
                keyless: None,
            },
        }
    }

    fn told(&self, check: impl Fn(&Image<'_>) -> Finding) -> String {
        let image = Image {
            repository: &self.image.repository,
            digest: &self.digest,
            bytes: b"",
            publisher: &self.publisher,
        };
        match check(&image) {
            Finding::Good(key) => format!("good: {key}"),
            Finding::Bad(reason) => reason,
            Finding::Other => "passed over".to_owned(),
        }
    }
}

const GOOD: &str = "good: SHA256:UMEB6OinFDv/cfFvKcBoAi8EFNksyEVW+VNFigIbjJw=";

#[test]
fn payloads() {
    let other = IMAGE.replacen("sha256:3", "sha256:4", 1);
    let elsewhere = IMAGE.replace("/dm/x", "/dm/y");
    let changed = PAYLOAD_TEXT.replace("dm/x", "dm/y");
    let digest = IMAGE.split_once('@').unwrap().1;
    let of_another = format!("it is a signature of {digest}");
    for (image, keys, payload, signature, wanted) in [
        (IMAGE, &[KEY][..], PAYLOAD_TEXT, SIGNATURE, GOOD),
        (IMAGE, &[OTHER_KEY, KEY], PAYLOAD_TEXT, SIGNATURE, GOOD),
        (IMAGE, &[OTHER_KEY], PAYLOAD_TEXT, SIGNATURE, BY_NO_KEY),
        (IMAGE, &[], PAYLOAD_TEXT, SIGNATURE, BY_NO_KEY),
        (IMAGE, &[KEY], &changed, SIGNATURE, BY_NO_KEY),
        (IMAGE, &[KEY], PAYLOAD_TEXT, "", BY_NO_KEY),
        (
            IMAGE,
            &[KEY],
            PAYLOAD_TEXT,
            "no Base64!",
            "its signature is missing or no Base64",
        ),
        (&other, &[KEY], PAYLOAD_TEXT, SIGNATURE, &of_another),
        (
            &elsewhere,
            &[KEY],
            PAYLOAD_TEXT,
            SIGNATURE,
            "it was made for the repository 127.0.0.1:5999/dm/x, not for 127.0.0.1:5999/dm/y",
        ),
    ] {
        let annotations = BTreeMap::from([(
            "dev.cosignproject.cosign/signature".to_owned(),
            signature.to_owned(),
        )]);
        let told =
            Case::new(image, keys).told(|image| simple::check(image, payload.as_bytes(), &annotations));
        assert_eq!(told, wanted);
    }
    let keyless = BTreeMap::from([
        (
            "dev.cosignproject.cosign/signature".to_owned(),
            SIGNATURE.to_owned(),
        ),
        (
            "dev.sigstore.cosign/certificate".to_owned(),
            "-----BEGIN CERTIFICATE-----".to_owned(),
        ),
    ]);
    let told =
        Case::new(IMAGE, &[OTHER_KEY]).told(|image| simple::check(image, PAYLOAD_TEXT.as_bytes(), &keyless));
    assert_eq!(told, KEYLESS);
}

#[test]
fn bundles() {
    let other = IMAGE.replacen("sha256:3", "sha256:4", 1);
    let statement = |text: &str| {
        let mut bundle: serde_json::Value = serde_json::from_str(BUNDLE_TEXT).unwrap();
        bundle["dsseEnvelope"]["payload"] = STANDARD.encode(text).into();
        bundle.to_string()
    };
    let attestation =
        statement(r#"{"predicateType":"https://spdx.dev/Document","subject":[],"predicate":{}}"#);
    let forged = statement(
        r#"{"predicateType":"https://sigstore.dev/cosign/sign/v1","subject":[{"digest":{"sha256":"00"}}],"predicate":{}}"#,
    );
    let other_type = BUNDLE_TEXT.replace("vnd.in-toto+json", "x");
    let keyless = BUNDLE_TEXT.replace(r#""publicKey":{"hint":"#, r#""certificate":{"rawBytes":"#);
    let version = BUNDLE_TEXT.replace("v0.3", "v0.2");
    for (image, keys, bundle, wanted) in [
        (IMAGE, &[KEY][..], BUNDLE_TEXT, GOOD),
        (IMAGE, &[OTHER_KEY, KEY], BUNDLE_TEXT, GOOD),
        (IMAGE, &[OTHER_KEY], BUNDLE_TEXT, BY_NO_KEY),
        (&other, &[KEY], BUNDLE_TEXT, "it is a signature of something else"),
        (IMAGE, &[KEY], &attestation, "passed over"),
        (IMAGE, &[KEY], &forged, BY_NO_KEY),
        (IMAGE, &[KEY], &other_type, BY_NO_KEY),
        (IMAGE, &[OTHER_KEY], &keyless, KEYLESS),
        (
            IMAGE,
            &[KEY],
            &version,
            "it is a bundle of a version other than 0.3",
        ),
        (IMAGE, &[KEY], "{}", "it is no bundle"),
        (IMAGE, &[KEY], "", "it is no bundle"),
    ] {
        let told = Case::new(image, keys).told(|image| bundle::check(image, bundle.as_bytes()));
        assert_eq!(told, wanted, "{bundle}");
    }
}

#[test]
fn keys() {
    assert_eq!(
        PublicKey::from_pem(KEY).unwrap().id(),
        GOOD.trim_start_matches("good: ")
    );
    for (pem, wanted) in [
        ("", KeyError::Not("something else")),
        (
            "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----",
            KeyError::Not("a private key"),
        ),
        ("-----BEGIN CERTIFICATE-----", KeyError::Not("a certificate")),
        ("-----BEGIN PUBLIC KEY-----\nMFkw", KeyError::Damaged),
        (
            "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
            KeyError::Damaged,
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
            KeyError::Unknown,
        ),
    ] {
        assert_eq!(PublicKey::from_pem(pem).unwrap_err(), wanted, "{pem}");
    }
}
