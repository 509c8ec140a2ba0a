//! Bundles of Rekor 2: a proof that the entry is in the log, and a stamped time.

use super::*;

/// What a bundle of Rekor 2 turns out to be, with one thing in it changed.
fn told_2(sigstore: &Sigstore, change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let statement = testkit::sigstore::statement(&"0".repeat(64));
    let mut bundle = sigstore.sign_statement_2(&Holder::new(WORKFLOW, GITHUB), &statement);
    let mut root = sigstore.trusted_root();
    change(&mut bundle, &mut root);
    let root = TrustedRoot::from_json(&root.to_string()).unwrap();
    let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let (envelope, material) = (&bundle["dsseEnvelope"], &bundle["verificationMaterial"]);
    let (payload, kind) = (bytes(&envelope["payload"]), "application/vnd.in-toto+json");
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend(&payload);
    let signature = bytes(&envelope["signatures"][0]["sig"]);
    let made = Made {
        message: &message,
        signature: &signature,
        enveloped: Some(&payload),
    };
    let stamps = material["timestampVerificationData"]["rfc3161Timestamps"]
        .as_array()
        .unwrap();
    let evidence = Entry::of_bundle(material["tlogEntries"][0].clone()).map(|entry| Evidence {
        certificate: bytes(&material["certificate"]["rawBytes"]),
        entry,
        stamps: stamps
            .iter()
            .map(|stamp| bytes(&stamp["signedTimestamp"]))
            .collect(),
    });
    let keyless = Keyless::new(WORKFLOW, GITHUB, root).unwrap();
    let found = evidence.and_then(|evidence| keyless.signer(made, &evidence));
    found.unwrap_or_else(|refused| format!("refused: {refused}"))
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of all that can be wrong with one bundle"
)]
fn entries_with_a_proof_and_a_stamped_time() {
    const ENTRY: &str = "/verificationMaterial/tlogEntries/0";
    const STAMPS: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    let (sigstore, other) = (Sigstore::new(), Sigstore::new());
    let check = |change: &dyn Fn(&mut Value, &mut Value), wanted: &str| {
        assert_eq!(told_2(&sigstore, change), wanted);
    };
    let signature = |bundle: &Value| {
        let text = bundle["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap();
        STANDARD.decode(text).unwrap()
    };
    let stamps = |bundle: &mut Value, stamps: &[Vec<u8>]| {
        let stamps = stamps
            .iter()
            .map(|stamp| json!({"signedTimestamp": STANDARD.encode(stamp)}));
        *bundle.pointer_mut(STAMPS).unwrap() = stamps.collect();
    };
    let set = |bundle: &mut Value, path: &str, value: Value| {
        *bundle.pointer_mut(&format!("{ENTRY}{path}")).unwrap() = value;
    };
    check(&|_, _| {}, &format!("{WORKFLOW} ({GITHUB})"));

    // The time.
    check(
        &|bundle, _| stamps(bundle, &[]),
        "refused: neither its log entry has a signed time (SET) nor it a time stamp (RFC 3161), so nothing shows when it was made",
    );
    let bad = |why: &str| format!("refused: its time stamp (RFC 3161) does not count: {why}");
    check(
        &|bundle, _| stamps(bundle, &[sigstore.stamp(b"another", NOON)]),
        &bad("it is of another signature"),
    );
    let by_none = bad("it is not by a time stamping authority of the trusted root");
    check(
        &|bundle, _| stamps(bundle, &[other.stamp(&signature(bundle), NOON)]),
        &by_none,
    );
    check(
        &|_, root| root["timestampAuthorities"] = other.trusted_root()["timestampAuthorities"].clone(),
        &by_none,
    );
    check(
        // An authority that gives certificates is none that stamps, whoever signs.
        &|_, root| root["timestampAuthorities"] = root["certificateAuthorities"].clone(),
        &by_none,
    );
    check(
        &|_, root| root["timestampAuthorities"] = json!([]),
        &bad("the trusted root has no time stamping authority that was in force then"),
    );
    check(
        &|_, root| root["timestampAuthorities"][0]["validFor"]["end"] = "2026-01-01T11:59:59Z".into(),
        &bad("the trusted root has no time stamping authority that was in force then"),
    );
    let changed = |from: &[u8], to: &[u8], stamp: Vec<u8>| {
        let at = stamp
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
        [&stamp[..at], to, &stamp[at + from.len()..]].concat()
    };
    check(
        &|bundle, _| {
            let stamp = sigstore.stamp(&signature(bundle), NOON);
            stamps(bundle, &[changed(b"20260101120000Z", b"20260101120001Z", stamp)]);
        },
        &bad("it is not signed for what it says"),
    );
    check(
        &|bundle, _| {
            // Its last byte is the signature's.
            let mut stamp = sigstore.stamp(&signature(bundle), NOON);
            *stamp.last_mut().unwrap() ^= 1;
            stamps(bundle, &[stamp]);
        },
        &by_none,
    );
    check(
        &|bundle, _| {
            let stamp = sigstore.stamp(&signature(bundle), NOON);
            stamps(bundle, &[stamp[..stamp.len() - 1].to_vec()]);
        },
        &bad("it can't be read"),
    );
    let late = "refused: it was logged on 2026-01-01T12:05:01Z, when its certificate was not valid";
    check(
        &|bundle, _| stamps(bundle, &[sigstore.stamp(&signature(bundle), NOON + 301)]),
        late,
    );
    check(
        &|bundle, _| {
            let both = [NOON, NOON + 301].map(|time| sigstore.stamp(&signature(bundle), time));
            stamps(bundle, &both);
        },
        late,
    );

    // The log.
    let bad = |why: &str| format!("refused: the proof that its entry is in the log does not count: {why}");
    let nowhere = bad("it does not lead from the entry to the root of the log");
    check(
        &|bundle, _| set(bundle, "/inclusionProof/logIndex", "0".into()),
        &nowhere,
    );
    check(
        &|bundle, _| set(bundle, "/inclusionProof/logIndex", "2".into()),
        &nowhere,
    );
    check(
        &|bundle, _| set(bundle, "/inclusionProof/hashes", json!([])),
        &nowhere,
    );
    let hash = STANDARD.encode([7; 32]);
    check(
        &|bundle, _| set(bundle, "/inclusionProof/hashes/0", hash.clone().into()),
        &nowhere,
    );
    check(
        &|bundle, _| set(bundle, "/inclusionProof/hashes", json!(vec![hash.clone(); 65])),
        &bad("it can't be read"),
    );
    check(
        &|bundle, _| set(bundle, "/canonicalizedBody", STANDARD.encode("{}").into()),
        &nowhere,
    );
    check(
        &|bundle, _| set(bundle, "/inclusionProof", Value::Null),
        "refused: its log entry has neither the log's signature (SET) nor a proof that it is in the log",
    );
    check(
        &|bundle, _| {
            let path = "/inclusionProof/checkpoint/envelope";
            let note = bundle
                .pointer(&format!("{ENTRY}{path}"))
                .unwrap()
                .as_str()
                .unwrap();
            let note = note.replace("\n2\n", "\n3\n");
            set(bundle, path, note.into());
        },
        &bad("its checkpoint is not signed by the log"),
    );
    check(
        &|_, root| root["tlogs"][1]["publicKey"] = other.trusted_root()["tlogs"][1]["publicKey"].clone(),
        &bad("its checkpoint is not signed by the log"),
    );
    check(
        &|_, root| root["tlogs"][1]["publicKey"]["validFor"]["start"] = "2026-01-02T00:00:00Z".into(),
        "refused: its log entry is of 2026-01-01T12:00:00Z, when the trusted root did not trust that log",
    );
    for (field, about) in [
        ("/data/digest", "payload"),
        ("/data/algorithm", "payload"),
        ("/signature/content", "signature"),
        ("/signature/verifier/x509Certificate/rawBytes", "certificate"),
    ] {
        check(
            &|bundle, _| {
                let text = bundle
                    .pointer(&format!("{ENTRY}/canonicalizedBody"))
                    .unwrap()
                    .as_str()
                    .unwrap();
                let mut body: Value = serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap();
                *body
                    .pointer_mut(&format!("/spec/hashedRekordV002{field}"))
                    .unwrap() = "AAAA".into();
                *bundle.pointer_mut(ENTRY).unwrap() = sigstore.entry_2(&body);
            },
            &format!("refused: its log entry is about another {about}"),
        );
    }
}

proptest! {
    /// Whatever becomes of a time stamp on the way, it never says another time.
    #[test]
    fn time_stamps_that_were_changed(at in 0_usize..4000, byte in any::<u8>(), length in 0_usize..4000) {
        static MADE: std::sync::OnceLock<(TrustedRoot, Vec<u8>)> = std::sync::OnceLock::new();
        let (root, stamp) = MADE.get_or_init(|| {
            let sigstore = Sigstore::new();
            let root = TrustedRoot::from_json(&sigstore.trusted_root().to_string()).unwrap();
            (root, sigstore.stamp(MESSAGE, NOON))
        });
        let mut changed = stamp.clone();
        let at = at % changed.len();
        changed[at] = byte;
        if let Ok(moment) = stamp::check(&changed, MESSAGE, &root.stamping) {
            prop_assert_eq!(moment.as_second(), NOON);
        }
        let cut = &stamp[..length % stamp.len()];
        prop_assert!(stamp::check(cut, MESSAGE, &root.stamping).is_err());
    }
}
