//! Keyless signatures in a registry, in both layouts, and what real cosign says of the same.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use oci::sign::keyless::TrustedRoot;
use oci::sign::{Keyless, Layout, Publisher, Verdict};
use oci::{Artifact, Descriptor, Layer, Reference, Registries, Target, media};
use serde_json::{Value, json};
use testkit::Registry;
use testkit::sigstore::{BUNDLE, Holder, ORIGIN_2, Sigstore, statement};

use crate::{anyone, reference};

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn publisher(identity: &str, root: &Value) -> Publisher {
    let root = TrustedRoot::from_json(&root.to_string()).unwrap();
    Publisher {
        keys: Vec::new(),
        keyless: Some(Keyless::new(identity, ISSUER, root).unwrap()),
    }
}

/// Something to be signed.
async fn push(client: &Registries, image: &Reference) -> Descriptor {
    let artifact = artifact("application/x-image", "application/json", b"{}".to_vec());
    client.push_artifact(image, artifact).await.unwrap()
}

fn artifact(kind: &str, layer: &str, content: Vec<u8>) -> Artifact {
    Artifact {
        kind: kind.to_owned(),
        layers: vec![Layer {
            media_type: layer.to_owned(),
            content: Bytes::from(content),
            annotations: BTreeMap::new(),
        }],
        annotations: BTreeMap::new(),
        subject: None,
    }
}

/// As cosign 2 stores a signature: a tag with a signed payload.
async fn sign_by_tag(client: &Registries, image: &Reference, signed: &Descriptor, by: (&Sigstore, &Holder)) {
    let payload = json!({"critical": {
        "identity": {"docker-reference": image.repository.to_string()},
        "image": {"docker-manifest-digest": signed.digest},
        "type": "cosign container image signature",
    }, "optional": null});
    let payload = payload.to_string().into_bytes();
    let annotations = by.0.sign(by.1, &payload).annotations();
    let kind = "application/vnd.dev.cosign.simplesigning.v1+json";
    let mut holder = artifact("application/vnd.oci.image.config.v1+json", kind, payload);
    holder.layers[0].annotations = annotations;
    let tag = Reference {
        repository: image.repository.clone(),
        target: Target::Tag(format!("sha256-{}.sig", signed.digest.hex())),
    };
    client.push_artifact(&tag, holder).await.unwrap();
}

/// As cosign 3 stores a signature: a bundle that refers to the image.
async fn sign_by_bundle(client: &Registries, image: &Reference, signed: &Descriptor, bundle: &Value) {
    let mut holder = artifact(BUNDLE, BUNDLE, bundle.to_string().into_bytes());
    holder.subject = Some(Descriptor {
        annotations: BTreeMap::new(),
        artifact_type: None,
        media_type: media::MANIFEST.to_owned(),
        ..signed.clone()
    });
    let annotations = [
        ("dev.sigstore.bundle.content", "dsse-envelope"),
        (
            "dev.sigstore.bundle.predicateType",
            "https://sigstore.dev/cosign/sign/v1",
        ),
    ];
    holder.annotations = annotations
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let tag = Reference {
        repository: image.repository.clone(),
        target: Target::Tag("bundle".to_owned()),
    };
    client.push_artifact(&tag, holder).await.unwrap();
}

#[tokio::test]
async fn keyless_signatures_of_both_layouts() {
    let (registry, client, sigstore) = (Registry::start().await, anyone(), Sigstore::new());
    let (ours, theirs) = (
        Holder::new(WORKFLOW, ISSUER),
        Holder::new("https://github.com/evil", ISSUER),
    );
    let image = reference(&registry, "test/keyless:1");
    let signed = push(&client, &image).await;
    let root = sigstore.trusted_root();
    let wanted = publisher(WORKFLOW, &root);
    let verdict = async |publisher: &Publisher| client.verify(&image, publisher).await.unwrap().verdict;
    let told = async |publisher: &Publisher| verdict(publisher).await.to_string();
    assert_eq!(verdict(&wanted).await, Verdict::NotSigned);

    sign_by_tag(&client, &image, &signed, (&sigstore, &theirs)).await;
    assert_eq!(
        told(&wanted).await,
        format!("no signature counts: it was made by https://github.com/evil, not by {WORKFLOW}")
    );
    sign_by_tag(
        &client,
        &reference(&registry, "test/elsewhere:1"),
        &signed,
        (&sigstore, &ours),
    )
    .await;
    sign_by_tag(&client, &image, &signed, (&sigstore, &ours)).await;
    let Verdict::Signed(proofs) = verdict(&wanted).await else {
        panic!("signed");
    };
    assert_eq!((proofs.len(), proofs[0].layout), (1, Layout::Payload));
    assert_eq!(told(&wanted).await, format!("signed by {WORKFLOW} ({ISSUER})"));
    let other = publisher(WORKFLOW, &Sigstore::new().trusted_root());
    assert!(matches!(verdict(&other).await, Verdict::Bad(_)));
    let keys_only = told(&Publisher::default()).await;
    assert!(
        keys_only.contains("identity, issuer and trusted root"),
        "{keys_only}"
    );

    let bundle = sigstore.sign_statement(&ours, &statement(signed.digest.hex()));
    sign_by_bundle(&client, &image, &signed, &bundle).await;
    assert!(matches!(verdict(&wanted).await, Verdict::Signed(proofs) if proofs.len() == 2));
}

/// Each fault of a bundle alone.
#[tokio::test]
async fn bundles_that_do_not_count() {
    let (registry, client, sigstore) = (Registry::start().await, anyone(), Sigstore::new());
    let image = reference(&registry, "test/bundles:1");
    let signed = push(&client, &image).await;
    let wanted = publisher(WORKFLOW, &sigstore.trusted_root());
    let made = |change: &dyn Fn(&mut Value)| {
        let mut statement = statement(signed.digest.hex());
        change(&mut statement);
        sigstore.sign_statement(&Holder::new(WORKFLOW, ISSUER), &statement)
    };
    let (good, other) = (made(&|_| {}), made(&|_| {}));
    let elsewhere = made(&|statement| statement["subject"][0]["digest"]["sha256"] = "0".repeat(64).into());
    let untyped = made(&|statement| statement["_type"] = "".into());
    let attestation = made(&|statement| statement["predicateType"] = "https://spdx.dev/Document".into());
    let with = |path: &str, value: Value| {
        let mut bundle = good.clone();
        *bundle.pointer_mut(path).unwrap() = value;
        bundle
    };
    let entries = "/verificationMaterial/tlogEntries";
    let certificate = "/verificationMaterial/certificate/rawBytes";
    let second = json!([
        good.pointer(entries).unwrap()[0],
        other.pointer(entries).unwrap()[0]
    ]);
    for (bundle, reason) in [
        (elsewhere, "it is a signature of something else"),
        (untyped, "a statement of a version that is not known"),
        (attestation, "not signed"),
        (with(entries, json!([])), "no entry of a transparency log"),
        (with(entries, second), "there are several"),
        (with(entries, json!([{}])), "not what bundles of version 0.3 hold"),
        (
            with(&format!("{entries}/0/inclusionPromise"), Value::Null),
            "neither its log entry has a signed time",
        ),
        (
            with(&format!("{entries}/0/integratedTime"), "1767268801".into()),
            "not signed by the log's key",
        ),
        (
            with(certificate, other.pointer(certificate).unwrap().clone()),
            "about another certificate",
        ),
        (
            with(
                "/dsseEnvelope/signatures",
                other.pointer("/dsseEnvelope/signatures").unwrap().clone(),
            ),
            "about another signature",
        ),
        (
            with("/dsseEnvelope/signatures", json!([])),
            "not exactly one signature",
        ),
        (
            with("/dsseEnvelope/payload", "e30=".into()),
            "about another payload",
        ),
        (with(certificate, "%".into()), "no Base64"),
    ] {
        // A registry of one signature each: referrers are kept by the digest of what they are about.
        let place = reference(
            &registry,
            &format!(
                "test/bundles{}:1",
                reason.replace(|c: char| !c.is_ascii_lowercase(), "")
            ),
        );
        let subject = push(&client, &place).await;
        assert_eq!(subject.digest, signed.digest);
        sign_by_bundle(&client, &place, &subject, &bundle).await;
        let verdict = client.verify(&place, &wanted).await.unwrap().verdict;
        let told = verdict.to_string();
        assert!(
            !matches!(verdict, Verdict::Signed(_)) && told.contains(reason),
            "{reason}: {told}"
        );
    }
}

/// What the other tests write is what cosign writes: it accepts and refuses the same, with a trusted root of its own
/// making.
#[tokio::test]
async fn signatures_of_a_private_sigstore() {
    let programs = testkit::programs("DOCKMASTER_TEST_COSIGN");
    let Some(cosign) = programs.last() else {
        eprintln!(
            "without cosign: `scripts/tools cosign` gets it, DOCKMASTER_TEST_COSIGN names the programs"
        );
        return;
    };
    let (registry, client, sigstore) = (Registry::start().await, anyone(), Sigstore::new());
    let folder = tempfile::tempdir().unwrap();
    let root = own_root(cosign, folder.path(), &sigstore).await;
    for (n, layout) in [Layout::Payload, Layout::Bundle, Layout::Bundle]
        .into_iter()
        .enumerate()
    {
        let image = reference(&registry, &format!("test/judged-{n}:1"));
        let signed = push(&client, &image).await;
        let holder = Holder::new(WORKFLOW, ISSUER);
        if layout == Layout::Payload {
            sign_by_tag(&client, &image, &signed, (&sigstore, &holder)).await;
        } else {
            let statement = statement(signed.digest.hex());
            let bundle = match n {
                1 => sigstore.sign_statement(&holder, &statement),
                _ => sigstore.sign_statement_2(&holder, &statement),
            };
            sign_by_bundle(&client, &image, &signed, &bundle).await;
        }
        let by_digest = image.at(signed.digest.clone()).to_string();
        for (identity, is_good) in [(WORKFLOW, true), ("https://github.com/evil", false)] {
            let verify = [
                "verify",
                "--trusted-root",
                "root.json",
                "--allow-insecure-registry",
                "--allow-http-registry",
            ];
            let who = [
                "--certificate-identity",
                identity,
                "--certificate-oidc-issuer",
                ISSUER,
                &by_digest,
            ];
            let stamps = ["--use-signed-timestamps"];
            let stamps = if n == 2 { &stamps[..] } else { &[] };
            let (accepts, said) = run(cosign, folder.path(), &[&verify[..], stamps, &who].concat()).await;
            assert_eq!(accepts, is_good, "{n} {identity}: {said}");
            let verdict = client
                .verify(&image, &publisher(identity, &root))
                .await
                .unwrap()
                .verdict;
            assert_eq!(
                matches!(verdict, Verdict::Signed(_)),
                is_good,
                "{n} {identity}: {verdict}"
            );
        }
    }
}

/// The trusted root as cosign writes it.
async fn own_root(cosign: &Path, folder: &Path, sigstore: &Sigstore) -> Value {
    for (name, text) in [
        ("chain.pem", sigstore.chain_pem()),
        ("rekor.pub", sigstore.log_pem()),
        ("rekor2.pub", sigstore.log_2_pem()),
        ("ctfe.pub", sigstore.certificate_log_pem()),
        ("tsa.pem", sigstore.stamping_pem()),
    ] {
        fs_err::write(folder.join(name), text).unwrap();
    }
    let rekor_2 = format!(
        "--rekor=url=https://{ORIGIN_2},public-key=rekor2.pub,start-time=2025-01-01T00:00:00Z,origin={ORIGIN_2}"
    );
    let create = [
        "trusted-root",
        "create",
        "--fulcio=url=https://fulcio.example,certificate-chain=chain.pem",
        "--rekor=url=https://rekor.example,public-key=rekor.pub,start-time=2025-01-01T00:00:00Z",
        &rekor_2,
        "--tsa=url=https://tsa.example,certificate-chain=tsa.pem",
        "--ctfe=url=https://ctfe.example,public-key=ctfe.pub,start-time=2025-01-01T00:00:00Z",
        "--out=root.json",
    ];
    let (is_made, said) = run(cosign, folder, &create).await;
    assert!(is_made, "{said}");
    serde_json::from_str(&fs_err::read_to_string(folder.join("root.json")).unwrap()).unwrap()
}

async fn run(cosign: &Path, folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = tokio::process::Command::new(cosign);
    command.args(arguments).current_dir(folder).env("HOME", folder);
    let output = command.kill_on_drop(true).output().await.unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
