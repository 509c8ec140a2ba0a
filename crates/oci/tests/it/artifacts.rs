//! Artifacts, what refers to them, and signatures as they lie in a registry.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use oci::sign::{Layout, PublicKey, Publisher, Verdict};
use oci::{Artifact, Layer, Reference, Registries, media};
use testkit::Registry;

use crate::{anyone, reference};

fn artifact(kind: &str, text: &'static str) -> Artifact {
    Artifact {
        kind: kind.to_owned(),
        layers: vec![Layer {
            media_type: "application/json".to_owned(),
            content: Bytes::from_static(text.as_bytes()),
            annotations: BTreeMap::from([(
                "org.opencontainers.image.title".to_owned(),
                "catalog.json".to_owned(),
            )]),
        }],
        annotations: BTreeMap::from([(
            "org.opencontainers.image.created".to_owned(),
            "2026-01-01T00:00:00Z".to_owned(),
        )]),
        subject: None,
    }
}

#[tokio::test]
async fn a_catalog_comes_back_as_it_was() {
    let registry = Registry::start().await;
    let client = anyone();
    let place = reference(&registry, "test/catalog:1");
    let catalog = artifact(media::MCP_CATALOG, r#"{"registry":{}}"#);
    let pushed = client.push_artifact(&place, catalog.clone()).await.unwrap();
    let pulled = client.pull_artifact(&place, &[media::MCP_CATALOG]).await.unwrap();
    assert_eq!(pulled.descriptor.digest, pushed.digest);
    assert_eq!(
        (pulled.artifact.kind, pulled.artifact.layers),
        (catalog.kind, catalog.layers)
    );
    assert_eq!(pulled.artifact.annotations, catalog.annotations);
    let told = client
        .pull_artifact(&place, &[media::MCP_PROFILE])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        told.contains(&format!(
            "it is {}, not {}",
            media::MCP_CATALOG,
            media::MCP_PROFILE
        )),
        "{told}"
    );
}

#[tokio::test]
async fn referrers_are_kept_by_tag_where_there_is_no_list() {
    let registry = Registry::start().await;
    let client = anyone();
    let image = reference(&registry, "test/image:1");
    let subject = client
        .push_artifact(&image, artifact("application/x-image", "{}"))
        .await
        .unwrap();
    assert!(
        client
            .referrers(&image.repository, &subject.digest)
            .await
            .unwrap()
            .is_empty()
    );
    let mut pushed = Vec::new();
    for text in [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":2}"#] {
        let mut about = artifact("application/x-note", text);
        about.subject = Some(subject.clone());
        let digest = client
            .push_artifact(&reference(&registry, "test/image:note"), about)
            .await
            .unwrap()
            .digest;
        if !pushed.contains(&digest) {
            pushed.push(digest);
        }
    }
    let found = client
        .referrers(&image.repository, &subject.digest)
        .await
        .unwrap();
    let digests: Vec<_> = found.iter().map(|entry| entry.digest.clone()).collect();
    assert_eq!(digests, pushed);
    assert!(
        found
            .iter()
            .all(|entry| entry.artifact_type.as_deref() == Some("application/x-note"))
    );
}

/// A key pair, and what cosign would write with it.
struct Signer {
    pair: rcgen::KeyPair,
}

impl Signer {
    fn new() -> Self {
        Self {
            pair: rcgen::KeyPair::generate().unwrap(),
        }
    }

    fn key(&self) -> PublicKey {
        PublicKey::from_pem(&self.pem()).unwrap()
    }

    fn pem(&self) -> String {
        let der = rcgen::PublicKeyData::subject_public_key_info(&self.pair);
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(rcgen::SigningKey::sign(&self.pair, message).unwrap())
    }

    /// The layout of cosign 2: a tag with a signed payload.
    async fn sign_by_tag(&self, client: &Registries, image: &Reference, named: &Reference) {
        let digest = client.manifest(image).await.unwrap().descriptor.digest;
        let payload = serde_json::json!({"critical": {
            "identity": {"docker-reference": named.repository.to_string()},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }, "optional": null});
        let payload = Bytes::from(payload.to_string());
        let signature = self.sign(&payload);
        let holder = Artifact {
            kind: "application/vnd.oci.image.config.v1+json".to_owned(),
            layers: vec![Layer {
                media_type: "application/vnd.dev.cosign.simplesigning.v1+json".to_owned(),
                content: payload,
                annotations: BTreeMap::from([("dev.cosignproject.cosign/signature".to_owned(), signature)]),
            }],
            annotations: BTreeMap::new(),
            subject: None,
        };
        let tag = Reference {
            repository: image.repository.clone(),
            target: oci::Target::Tag(format!("sha256-{}.sig", digest.hex())),
        };
        client.push_artifact(&tag, holder).await.unwrap();
    }

    /// The layout of cosign 3: a bundle that refers to the image; here its signature is of the manifest itself.
    async fn sign_by_bundle(&self, client: &Registries, image: &Reference) {
        let fetched = client.manifest(image).await.unwrap();
        let bundle = serde_json::json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "x"}},
            "messageSignature": {"messageDigest": {"algorithm": "SHA2_256"}, "signature": self.sign(&fetched.bytes)},
        });
        let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
        let holder = Artifact {
            kind: kind.to_owned(),
            layers: vec![Layer {
                media_type: kind.to_owned(),
                content: Bytes::from(bundle.to_string()),
                annotations: BTreeMap::new(),
            }],
            annotations: BTreeMap::new(),
            subject: Some(fetched.descriptor),
        };
        let tag = Reference {
            repository: image.repository.clone(),
            target: oci::Target::Tag("bundle".to_owned()),
        };
        client.push_artifact(&tag, holder).await.unwrap();
    }
}

#[tokio::test]
async fn signatures_of_both_layouts() {
    let registry = Registry::start().await;
    let client = anyone();
    let (good, other) = (Signer::new(), Signer::new());
    let image = reference(&registry, "test/signed:1");
    client
        .push_artifact(&image, artifact("application/x-image", "{}"))
        .await
        .unwrap();
    let verdict = async |keys: &[PublicKey]| {
        let publisher = Publisher {
            keys: keys.to_vec(),
            keyless: None,
        };
        client.verify(&image, &publisher).await.unwrap().verdict
    };
    assert_eq!(verdict(&[good.key()]).await, Verdict::NotSigned);

    good.sign_by_tag(&client, &image, &reference(&registry, "test/elsewhere"))
        .await;
    let Verdict::Bad(flaws) = verdict(&[good.key()]).await else {
        panic!("made for another repository");
    };
    assert!(flaws[0].reason.contains("test/elsewhere"), "{flaws:?}");

    good.sign_by_tag(&client, &image, &image).await;
    let Verdict::Signed(proofs) = verdict(&[other.key(), good.key()]).await else {
        panic!("signed");
    };
    assert_eq!(
        (proofs.len(), proofs[0].layout, proofs[0].by.as_str()),
        (1, Layout::Payload, good.key().id())
    );
    assert!(matches!(verdict(&[other.key()]).await, Verdict::Bad(flaws) if flaws.len() == 1));
    assert!(matches!(verdict(&[]).await, Verdict::Bad(_)));

    other.sign_by_bundle(&client, &image).await;
    let Verdict::Signed(proofs) = verdict(&[other.key()]).await else {
        panic!("signed");
    };
    assert_eq!((proofs.len(), proofs[0].layout), (1, Layout::Bundle));
    assert!(
        matches!(verdict(&[good.key(), other.key()]).await, Verdict::Signed(proofs) if proofs.len() == 2)
    );
}

/// Signed by real cosign, of two generations: version 2 stores a signed payload, version 3 a bundle.
#[tokio::test]
async fn signatures_of_real_cosign() {
    let programs = testkit::programs("DOCKMASTER_TEST_COSIGN");
    if programs.is_empty() {
        eprintln!(
            "without cosign: `scripts/tools cosign` gets it, DOCKMASTER_TEST_COSIGN names the programs"
        );
    }
    for (n, program) in programs.iter().enumerate() {
        let registry = Registry::start().await;
        let client = anyone();
        let folder = tempfile::tempdir().unwrap();
        let image = reference(&registry, &format!("test/cosign{n}:1"));
        let pushed = client
            .push_artifact(&image, artifact("application/x-image", "{}"))
            .await
            .unwrap();
        let run = async |arguments: &[&str]| {
            let mut command = tokio::process::Command::new(program);
            command
                .args(arguments)
                .current_dir(folder.path())
                .env("COSIGN_PASSWORD", "")
                .env("HOME", folder.path());
            let output = command.kill_on_drop(true).output().await.unwrap();
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        assert!(run(&["generate-key-pair"]).await.0);
        let by_digest = image.at(pushed.digest.clone()).to_string();
        let plain = ["--allow-insecure-registry", "--allow-http-registry"];
        // Version 3 has a file that names the services to be used; version 2 does not know it.
        let how: &[&str] = if run(&["signing-config", "create", "--out", "none.json"]).await.0 {
            &["--signing-config", "none.json"]
        } else {
            &["--tlog-upload=false"]
        };
        let sign = [
            &["sign", "--yes", "--key", "cosign.key"][..],
            how,
            &plain[..],
            &[by_digest.as_str()],
        ]
        .concat();
        let (is_signed, said) = run(&sign).await;
        assert!(is_signed, "{program:?}: {said}");
        let key = fs_err::read_to_string(folder.path().join("cosign.pub")).unwrap();
        let by = |key| Publisher {
            keys: vec![key],
            keyless: None,
        };
        let publisher = by(PublicKey::from_pem(&key).unwrap());
        let checked = client.verify(&image, &publisher).await.unwrap();
        assert!(
            matches!(&checked.verdict, Verdict::Signed(proofs) if proofs.len() == 1),
            "{program:?}: {checked:?}"
        );
        let checked = client.verify(&image, &by(Signer::new().key())).await.unwrap();
        assert!(
            matches!(checked.verdict, Verdict::Bad(_)),
            "{program:?}: {checked:?}"
        );
    }
}
