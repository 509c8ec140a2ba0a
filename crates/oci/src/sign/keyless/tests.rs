//! Each check alone, against a Sigstore of the test's own (which real cosign accepts, see `tests/it`).

mod stamped;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::sigstore::{Holder, Keyless as Written, NOON, Sigstore};

use super::*;

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const GITHUB: &str = "https://token.actions.githubusercontent.com";
const MESSAGE: &[u8] = b"the payload";

/// A signature that counts, to be spoilt.
struct Case<'a> {
    sigstore: &'a Sigstore,
    written: Written,
    message: Vec<u8>,
    enveloped: Option<Vec<u8>>,
    root: Value,
    identity: String,
    issuer: String,
}

impl<'a> Case<'a> {
    fn new(sigstore: &'a Sigstore) -> Self {
        Self {
            sigstore,
            written: sigstore.sign(&Holder::new(WORKFLOW, GITHUB), MESSAGE),
            message: MESSAGE.to_vec(),
            enveloped: None,
            root: sigstore.trusted_root(),
            identity: WORKFLOW.to_owned(),
            issuer: GITHUB.to_owned(),
        }
    }

    /// Signed by another holder.
    fn by(&mut self, change: impl FnOnce(&mut Holder)) {
        let mut holder = Holder::new(WORKFLOW, GITHUB);
        change(&mut holder);
        self.written = self.sigstore.sign(&holder, MESSAGE);
    }

    /// Another body, logged all the same.
    fn body(&mut self, change: impl FnOnce(&mut Value)) {
        let text = self.written.entry["Payload"]["body"].as_str().unwrap();
        let mut body = serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap();
        change(&mut body);
        self.written.entry = self.sigstore.entry(&body, NOON);
    }

    fn logged(&mut self, time: i64) {
        let mut same = Value::Null;
        self.body(|body| same = body.clone());
        self.written.entry = self.sigstore.entry(&same, time);
    }

    fn told(&self) -> String {
        let root = TrustedRoot::from_json(&self.root.to_string()).unwrap();
        let keyless = Keyless::new(&self.identity, &self.issuer, root).unwrap();
        let made = Made {
            message: &self.message,
            signature: &self.written.signature,
            enveloped: self.enveloped.as_deref(),
        };
        let found = Entry::of_annotation(&self.written.entry.to_string()).and_then(|entry| {
            let certificate = self.written.certificate.clone();
            keyless.signer(
                made,
                &Evidence {
                    certificate,
                    entry,
                    stamps: Vec::new(),
                },
            )
        });
        found.unwrap_or_else(|refused| format!("refused: {refused}"))
    }
}

/// A case that `change` has spoilt, or not.
fn check_with(sigstore: &Sigstore, change: &dyn Fn(&mut Case<'_>), wanted: &str) {
    let mut case = Case::new(sigstore);
    change(&mut case);
    assert_eq!(case.told(), wanted);
}

#[test]
fn who_made_it() {
    let sigstore = Sigstore::new();
    let check = |change: &dyn Fn(&mut Case<'_>), wanted: &str| check_with(&sigstore, change, wanted);
    let good = format!("{WORKFLOW} ({GITHUB})");
    check(&|_| {}, &good);
    check(
        &|case| case.identity = "https://github.com/acme/*".to_owned(),
        &good,
    );
    check(
        &|case| case.identity = "https://github.com/evil/*".to_owned(),
        &format!("refused: it was made by {WORKFLOW}, not by https://github.com/evil/*"),
    );
    check(
        &|case| case.identity = WORKFLOW.trim_end_matches("main").to_owned(),
        &format!(
            "refused: it was made by {WORKFLOW}, not by {}",
            WORKFLOW.trim_end_matches("main")
        ),
    );
    // A question mark is one.
    check(
        &|case| case.identity = WORKFLOW.replace("acme", "ac?e"),
        &format!(
            "refused: it was made by {WORKFLOW}, not by {}",
            WORKFLOW.replace("acme", "ac?e")
        ),
    );
    check(
        &|case| case.identity = "*@*".to_owned(),
        &format!("refused: it was made by {WORKFLOW}, not by *@*"),
    );
    check(
        &|case| {
            case.by(|holder| holder.name = "anna@acme.example".to_owned());
            case.identity = "anna@acme.example".to_owned();
        },
        &format!("anna@acme.example ({GITHUB})"),
    );
    check(
        &|case| case.issuer = "https://accounts.example".to_owned(),
        &format!("refused: {GITHUB} vouched for who made it, not https://accounts.example"),
    );
    check(&|case| case.by(|holder| holder.issuer = None), &good);
    check(&|case| case.by(|holder| holder.old_issuer = None), &good);
    check(
        &|case| case.by(|holder| holder.issuer = Some("https://new.example".to_owned())),
        &format!("refused: https://new.example vouched for who made it, not {GITHUB}"),
    );
    check(
        &|case| case.by(|holder| (holder.issuer, holder.old_issuer) = (None, None)),
        &format!("refused: nobody that it names vouched for who made it, not {GITHUB}"),
    );
}

#[test]
fn the_signature_and_keys_of_every_kind() {
    let sigstore = Sigstore::new();
    let check = |change: &dyn Fn(&mut Case<'_>), wanted: &str| check_with(&sigstore, change, wanted);
    let good = format!("{WORKFLOW} ({GITHUB})");
    check(
        &|case| case.written.signature = sigstore.sign(&Holder::new(WORKFLOW, GITHUB), MESSAGE).signature,
        "refused: its log entry is about another signature",
    );
    check(
        &|case| {
            // Logged like this: the log does not look, or was deceived.
            case.written.signature = sigstore.sign(&Holder::new(WORKFLOW, GITHUB), MESSAGE).signature;
            let signature = STANDARD.encode(&case.written.signature);
            case.body(|body| body["spec"]["signature"]["content"] = signature.into());
        },
        "refused: it was not made by its certificate's key, or was changed",
    );
    for algorithm in [
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        check(&|case| case.by(|holder| holder.algorithm = algorithm), &good);
    }
    check(
        &|case| case.by(|holder| holder.algorithm = &rcgen::PKCS_ECDSA_P521_SHA512),
        "refused: its certificate can't be read: its key is of a kind that is not known here",
    );
}

#[test]
fn what_the_log_says() {
    let (sigstore, other) = (Sigstore::new(), Sigstore::new());
    let good = format!("{WORKFLOW} ({GITHUB})");
    let check = |change: &dyn Fn(&mut Case<'_>), wanted: &str| check_with(&sigstore, change, wanted);
    check(
        &|case| case.message = b"another payload".to_vec(),
        "refused: its log entry is about another payload",
    );
    check(
        &|case| case.body(|body| body["spec"]["data"]["hash"]["algorithm"] = "sha512".into()),
        "refused: its log entry is about another payload",
    );
    check(
        &|case| {
            let certificate = sigstore.sign(&Holder::new(WORKFLOW, GITHUB), MESSAGE).certificate;
            case.written.certificate = certificate;
        },
        "refused: its log entry is about another certificate",
    );
    check(
        &|case| case.body(|body| body["apiVersion"] = "0.0.3".into()),
        "refused: its log entry is of a kind that is not verified here: hashedrekord 0.0.3",
    );
    // What is signed of an envelope is logged like anything else, or as its payload.
    check(&|case| case.enveloped = Some(b"an envelope's".to_vec()), &good);
    check(
        &|case| case.body(|body| body["kind"] = "dsse".into()),
        "refused: its log entry is of a kind that is not verified here: dsse 0.0.1",
    );
    check(
        &|case| case.body(|body| body["spec"] = json!({})),
        "refused: its log entry can't be read: its body is not what its kind says",
    );
    check(
        &|case| case.body(|body| *body = json!([])),
        "refused: its log entry can't be read: its body is no entry",
    );
    for (field, value) in [
        ("integratedTime", json!(NOON + 1)),
        ("logIndex", json!(1)),
        ("body", json!("")),
    ] {
        check(
            &|case| case.written.entry["Payload"][field] = value.clone(),
            "refused: its log entry is not signed by the log's key, or was changed",
        );
    }
    check(
        &|case| {
            case.written.entry["SignedEntryTimestamp"] =
                other.entry(&json!({}), NOON)["SignedEntryTimestamp"].clone();
        },
        "refused: its log entry is not signed by the log's key, or was changed",
    );
    check(
        &|case| case.written.entry["SignedEntryTimestamp"] = "".into(),
        "refused: its log entry has neither the log's signature (SET) nor a proof that it is in the log",
    );
    check(
        &|case| case.written.entry["Payload"]["logID"] = "c0ffee\u{1b}".into(),
        "refused: its log entry is of the log c0ffee, which is not in the trusted root",
    );
    check(
        &|case| case.root["tlogs"] = other.trusted_root()["tlogs"].clone(),
        &format!(
            "refused: its log entry is of the log {}, which is not in the trusted root",
            Case::new(&sigstore).written.entry["Payload"]["logID"]
                .as_str()
                .unwrap()
        ),
    );
    check(
        &|case| case.root["tlogs"][0]["publicKey"]["validFor"]["end"] = "2025-12-31T00:00:00Z".into(),
        "refused: its log entry is of 2026-01-01T12:00:00Z, when the trusted root did not trust that log",
    );
    check(
        &|case| case.written.entry = json!({"Payload": {}}),
        "refused: its log entry can't be read: the annotation dev.sigstore.cosign/bundle is not what cosign writes",
    );
}

#[test]
fn the_certificate_and_its_time() {
    let (sigstore, other) = (Sigstore::new(), Sigstore::new());
    let check = |change: &dyn Fn(&mut Case<'_>), wanted: &str| check_with(&sigstore, change, wanted);
    let good = format!("{WORKFLOW} ({GITHUB})");
    for time in [NOON - 301, NOON + 301] {
        check(
            &|case| case.logged(time),
            &format!(
                "refused: it was logged on {}, when its certificate was not valid",
                Timestamp::from_second(time).unwrap()
            ),
        );
    }
    check(&|case| case.logged(NOON + 300), &good);
    check(
        &|case| case.root["certificateAuthorities"] = other.trusted_root()["certificateAuthorities"].clone(),
        "refused: no authority of the trusted root gave its certificate",
    );
    check(
        &|case| case.root["certificateAuthorities"][0]["validFor"]["end"] = "2026-01-01T00:00:00Z".into(),
        "refused: the trusted root has no certificate authority that was in force when it was logged, 2026-01-01T12:00:00Z",
    );
    check(
        &|case| {
            // Several authorities; the right one is the second.
            let theirs = other.trusted_root()["certificateAuthorities"][0].clone();
            case.root["certificateAuthorities"]
                .as_array_mut()
                .unwrap()
                .insert(0, theirs);
        },
        &good,
    );
    check(
        &|case| {
            // The root alone, without what is between.
            let certificates = &mut case.root["certificateAuthorities"][0]["certChain"]["certificates"];
            certificates.as_array_mut().unwrap().remove(0);
        },
        "refused: no authority of the trusted root gave its certificate",
    );
    check(
        &|case| {
            // What is between can itself be what is trusted.
            let certificates = &mut case.root["certificateAuthorities"][0]["certChain"]["certificates"];
            certificates.as_array_mut().unwrap().remove(1);
        },
        &good,
    );
    check(
        &|case| case.by(|holder| holder.is_for_code = false),
        "refused: its certificate is not for signing code",
    );
}

#[test]
fn the_log_of_certificates() {
    let (sigstore, other) = (Sigstore::new(), Sigstore::new());
    let check = |change: &dyn Fn(&mut Case<'_>), wanted: &str| check_with(&sigstore, change, wanted);
    let good = format!("{WORKFLOW} ({GITHUB})");
    let unknown = |why: &str| {
        format!(
            "refused: no log of certificates (CT) of the trusted root has signed that it knows its certificate: {why}"
        )
    };
    check(
        &|case| case.by(|holder| holder.has_sct = false),
        &unknown("it has no SCT"),
    );
    check(
        &|case| {
            case.by(|holder| holder.has_sct = false);
            case.root["ctlogs"] = json!([]);
        },
        &good,
    );
    check(
        &|case| case.root["ctlogs"] = other.trusted_root()["ctlogs"].clone(),
        &unknown("its SCTs are of other logs"),
    );
    check(
        &|case| case.root["ctlogs"][0]["publicKey"]["validFor"]["start"] = "2026-01-02T00:00:00Z".into(),
        &unknown("its SCT is of a time when that log was not trusted"),
    );
}

#[test]
fn an_sct_is_of_one_certificate() {
    let sigstore = Sigstore::new();
    let root = TrustedRoot::from_json(&sigstore.trusted_root().to_string()).unwrap();
    let logs = root.certificate_logs.as_ref().unwrap();
    let (bytes, _) = sigstore.certificate(&Holder::new(WORKFLOW, GITHUB));
    let (other, _) = sigstore.certificate(&Holder::new("https://github.com/evil", GITHUB));
    let (one, mut other) = (
        Certificate::parse(&bytes).unwrap(),
        Certificate::parse(&other).unwrap(),
    );
    let key = one.vouched_for(&root, moment(NOON).unwrap()).unwrap();
    assert_eq!(sct::check(&one, &key, logs), Ok(()));
    assert_eq!(sct::check(&other, &key, logs), Ok(()));
    other.scts = one.scts;
    let wanted = Refused::CertificateLog("its SCT is not by that log's key, or of another certificate");
    assert_eq!(sct::check(&other, &key, logs), Err(wanted.clone()));
    assert_eq!(sct::check(&one, b"another issuer's", logs), Err(wanted));
    let damaged = Refused::CertificateLog("its SCTs are damaged");
    for end in 0..one.scts.unwrap().len() {
        let mut cut = Certificate::parse(&bytes).unwrap();
        cut.scts = one.scts.map(|list| &list[..end]);
        assert_eq!(sct::check(&cut, &key, logs), Err(damaged.clone()), "{end}");
    }
}

#[test]
fn certificates_that_are_none() {
    let sigstore = Sigstore::new();
    let (good, _) = sigstore.certificate(&Holder::new(WORKFLOW, GITHUB));
    for end in 0..good.len() {
        assert!(Certificate::parse(&good[..end]).is_err(), "{end}");
    }
    let told = |bytes: &[u8]| Certificate::parse(bytes).err().unwrap().to_string();
    assert_eq!(
        told(b""),
        "its certificate can't be read: it is no certificate (X.509, version 3)"
    );
    assert!(certificate_of("no PEM").is_err());
    let twice = {
        let mut holder = Holder::new(WORKFLOW, GITHUB);
        holder.has_sct = false;
        let (bytes, _) = sigstore.certificate(&holder);
        // The last of the two issuers becomes one more of the first kind.
        let (new, old) = (b"\x83\xbf\x30\x01\x08", b"\x83\xbf\x30\x01\x01");
        let at = bytes.windows(5).position(|window| window == new).unwrap();
        [&bytes[..at], old, &bytes[at + 5..]].concat()
    };
    assert_eq!(
        told(&twice),
        "its certificate can't be read: it has an extension twice"
    );
}

#[test]
fn roots_and_identities() {
    let root = Sigstore::new().trusted_root();
    let told = |change: &dyn Fn(&mut Value)| {
        let mut root = root.clone();
        change(&mut root);
        TrustedRoot::from_json(&root.to_string())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(told(&|_| {}), "");
    for (change, wanted) in [
        (
            &(|root: &mut Value| {
                root["mediaType"] = "application/vnd.dev.sigstore.signingconfig.v0.2+json".into();
            }) as &dyn Fn(&mut Value),
            "not a trusted root",
        ),
        (
            &|root| root["tlogs"] = json!([]),
            "names no transparency log (Rekor)",
        ),
        (
            &|root| {
                root["tlogs"] = json!([{
                    "publicKey": {"rawBytes": "AAAA", "validFor": {"start": "2025-01-01T00:00:00Z"}},
                    "logId": {"keyId": "AAAA"},
                }]);
            },
            "names no transparency log (Rekor)",
        ),
        (
            &|root| root["certificateAuthorities"] = json!([]),
            "names no certificate authority (Fulcio)",
        ),
        (
            &|root| root["certificateAuthorities"][0]["certChain"]["certificates"] = json!([]),
            "certificateAuthorities[0]",
        ),
        (
            &|root| {
                root["certificateAuthorities"][0]["certChain"]["certificates"][1]["rawBytes"] = "AAAA".into();
            },
            "certificateAuthorities[0]",
        ),
        (
            &|root| root["certificateAuthorities"][0]["validFor"] = json!({}),
            "missing field `start`",
        ),
        (&|root| *root = json!({}), "this is no trusted_root.json"),
    ] {
        let said = told(change);
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let root = TrustedRoot::from_json(&root.to_string()).unwrap();
    for (identity, issuer, wanted) in [
        ("", GITHUB, IdentityError::Anybody(String::new())),
        ("**", GITHUB, IdentityError::Anybody("**".to_owned())),
        ("acme", GITHUB, IdentityError::Form("acme".to_owned())),
        (WORKFLOW, "", IdentityError::NoIssuer),
    ] {
        assert_eq!(
            Keyless::new(identity, issuer, root.clone()).err(),
            Some(wanted),
            "{identity}"
        );
    }
}

proptest! {
    /// What strangers wrote is refused in words, whatever it is.
    #[test]
    fn nothing_from_outside_panics(
        text in "\\PC{0,200}",
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        at in 0_usize..2000,
        byte in any::<u8>(),
    ) {
        let sigstore = sigstore();
        let _refused = Entry::of_annotation(&text);
        let _refused = certificate_of(&text);
        let _refused = TrustedRoot::from_json(&text);
        prop_assert!(Certificate::parse(&bytes).is_err());
        // A certificate with one byte changed is read or refused, and never believed.
        let mut changed = sigstore.1.clone();
        let at = at % changed.len();
        let was = std::mem::replace(&mut changed[at], byte);
        if let Ok(certificate) = Certificate::parse(&changed)
            && was != byte
        {
            let is_vouched_for = certificate.vouched_for(&sigstore.0, moment(NOON).unwrap()).is_ok();
            prop_assert!(!is_vouched_for, "byte {at} {was} {byte}");
        }
    }

    #[test]
    fn nor_do_lists_of_scts(list in proptest::collection::vec(any::<u8>(), 0..400)) {
        let sigstore = sigstore();
        let mut certificate = Certificate::parse(&sigstore.1).unwrap();
        certificate.scts = Some(&list);
        let logs = sigstore.0.certificate_logs.as_ref().unwrap();
        prop_assert!(sct::check(&certificate, b"key", logs).is_err());
    }
}

/// One root and one certificate for all cases of a property.
fn sigstore() -> &'static (TrustedRoot, Vec<u8>) {
    static MADE: std::sync::OnceLock<(TrustedRoot, Vec<u8>)> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        let sigstore = Sigstore::new();
        let root = TrustedRoot::from_json(&sigstore.trusted_root().to_string()).unwrap();
        (root, sigstore.certificate(&Holder::new(WORKFLOW, GITHUB)).0)
    })
}
