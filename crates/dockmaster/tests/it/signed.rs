//! Images that have to bear a publisher's signature, in a real registry, and newer images of a tag.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use oci::{Artifact, Layer, Reference, Registries, Target};
use serde_json::{Value, json};
use testkit::sigstore::{Holder, Sigstore};
use testkit::{Registry, Scope};

use crate::artifacts::registries;
use crate::confines::acting;
use crate::harness::Dockmaster;
use crate::servers::gone;

/// A key pair, and what cosign writes with it.
struct Publisher(rcgen::KeyPair);

impl Publisher {
    fn new() -> Self {
        Self(rcgen::KeyPair::generate().unwrap())
    }

    fn pem(&self) -> String {
        let der = rcgen::PublicKeyData::subject_public_key_info(&self.0);
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    async fn sign(&self, client: &Registries, image: &Reference) {
        sign(client, image, |payload| {
            let signature = STANDARD.encode(rcgen::SigningKey::sign(&self.0, payload).unwrap());
            [("dev.cosignproject.cosign/signature".to_owned(), signature)].into()
        })
        .await;
    }
}

/// Stores a signed payload as cosign does, with what stands beside it.
async fn sign(
    client: &Registries,
    image: &Reference,
    beside: impl FnOnce(&[u8]) -> BTreeMap<String, String>,
) {
    let digest = client.manifest(image).await.unwrap().descriptor.digest;
    let payload = json!({"critical": {
        "identity": {"docker-reference": image.repository.to_string()},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }, "optional": null});
    let payload = Bytes::from(payload.to_string());
    let holder = Artifact {
        kind: "application/vnd.oci.image.config.v1+json".to_owned(),
        layers: vec![Layer {
            media_type: "application/vnd.dev.cosign.simplesigning.v1+json".to_owned(),
            annotations: beside(&payload),
            content: payload,
        }],
        annotations: [].into(),
        subject: None,
    };
    let tag = Reference {
        repository: image.repository.clone(),
        target: Target::Tag(format!("sha256-{}.sig", digest.hex())),
    };
    client.push_artifact(&tag, holder).await.unwrap();
}

/// The base image in a registry, under a name of this test; gives the name.
async fn published(registry: &Registry, scope: &Scope) -> String {
    let image = format!("{}/{}", registry.authority(), scope.image("signed"));
    let (repository, tag) = image.rsplit_once(':').unwrap();
    let path = format!(
        "/images/{}/tag?repo={repository}&tag={tag}",
        testkit::image().await
    );
    scope.daemon().post(&path, &Value::Null).await.ok();
    push(scope, &image).await;
    image
}

/// Enabling is refused with these words, and leaves the configuration as it was.
fn refused(dockmaster: &Dockmaster, wanted: &str) {
    let enabled = dockmaster.run(&["server", "enable", "vouched", "--yes"]);
    assert_eq!(enabled.code(), 1, "{}", enabled.transcript());
    assert!(
        enabled.stderr().contains(wanted),
        "{wanted}: {}",
        enabled.transcript()
    );
    let config = fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    assert!(!config.contains("profiles"), "{config}");
}

async fn push(scope: &Scope, image: &str) {
    let (repository, tag) = image.rsplit_once(':').unwrap();
    let path = format!("/images/{repository}/push?tag={tag}");
    let answer = scope.daemon().push(&path, "e30=").await.ok().text();
    assert!(!answer.contains("errorDetail"), "{answer}");
}

fn digest(dockmaster: &Dockmaster) -> String {
    let plan = dockmaster.run(&["server", "inspect", "vouched", "--plan"]);
    let plan: Value = serde_json::from_str(&plan.stdout()).unwrap();
    let image = plan["target"]["image"].as_str().unwrap();
    image
        .split_once('@')
        .map(|(_, digest)| digest)
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_publisher_signed_is_pulled_and_run() {
    let (registry, scope) = (Registry::start().await, Scope::new("signed"));
    let image = published(&registry, &scope).await;
    let (repository, tag) = image.rsplit_once(':').unwrap();
    let signers = format!(
        "[signers.acme]\nkeys = [\"acme.pub\"]\nimages = [\"{}/dockmaster-test/*\"]\n",
        registry.authority()
    );
    let dockmaster = Dockmaster::new().configured(&acting("vouched", &image, "echo works", &signers));
    let (acme, other) = (Publisher::new(), Publisher::new());
    let (client, reference) = (registries(), Reference::parse(&image).unwrap());
    refused(&dockmaster, "acme.pub");
    fs_err::write(dockmaster.file("acme.pub"), acme.pem()).unwrap();
    refused(&dockmaster, "not signed");
    other.sign(&client, &reference).await;
    refused(&dockmaster, "no signature counts");
    acme.sign(&client, &reference).await;
    let enabled = dockmaster.run(&["server", "enable", "vouched", "--yes"]);
    assert_eq!(enabled.code(), 0, "{}", enabled.transcript());
    let first = digest(&dockmaster);
    assert!(first.starts_with("sha256:"), "{first}");
    let same = dockmaster.run(&["server", "update"]);
    assert!(same.stdout().contains("is the newest"), "{}", same.transcript());
    let news = || {
        let inspected = dockmaster.run(&["server", "inspect", "vouched", "--updates"]);
        assert_eq!(inspected.code(), 0, "{}", inspected.transcript());
        inspected.stdout()
    };
    let told = news();
    assert!(
        told.contains(&format!("pinned: {first}, the newest of ")),
        "{told}"
    );
    // So that its tools are known.
    assert_eq!(dockmaster.run(&["server", "test", "vouched"]).code(), 0);

    // The tag moves, first to what nobody has signed.
    let container = scope.create("second", json!({"Cmd": ["true"]})).await;
    scope
        .daemon()
        .post(
            &format!("/commit?container={container}&repo={repository}&tag={tag}&changes=ENV%20NEW%3Dvalue"),
            &json!({}),
        )
        .await
        .ok();
    push(&scope, &image).await;
    let told = news();
    for wanted in [
        format!("pinned: {first}\nnewest: sha256:"),
        "\n  created: ".to_owned(),
        "\n  environment: + NEW\n".to_owned(),
        "layers are the same".to_owned(),
        "tools: known once it has run".to_owned(),
        "take it with: dockmaster server update vouched".to_owned(),
    ] {
        assert!(told.contains(&wanted), "{wanted}: {told}");
    }
    let asked = dockmaster.run(&["server", "update", "vouched"]);
    assert_eq!(asked.code(), 77, "{}", asked.transcript());
    assert!(
        asked
            .stdout()
            .contains(&format!("  old: {first}\n  new: sha256:")),
        "{}",
        asked.transcript()
    );
    let unsigned = dockmaster.run(&["server", "update", "vouched", "--yes"]);
    assert_eq!(unsigned.code(), 1, "{}", unsigned.transcript());
    assert!(
        unsigned.stderr().contains("not signed"),
        "{}",
        unsigned.transcript()
    );
    assert_eq!(digest(&dockmaster), first);
    acme.sign(&client, &reference).await;
    let taken = dockmaster.run(&["server", "update", "vouched", "--yes"]);
    assert_eq!(taken.code(), 0, "{}", taken.transcript());
    assert_ne!(digest(&dockmaster), first);
    assert_eq!(dockmaster.run(&["server", "test", "vouched"]).code(), 0);
    // It moves back: what both list has been seen here.
    scope
        .daemon()
        .post(
            &format!("/images/{repository}@{first}/tag?repo={repository}&tag={tag}"),
            &Value::Null,
        )
        .await
        .ok();
    push(&scope, &image).await;
    let told = news();
    assert!(told.contains(&format!("newest: {first}")), "{told}");
    assert!(
        told.contains("\n  environment: - NEW\n") && told.contains("\n  tools: the same "),
        "{told}"
    );

    // What was found signed needs no registry any more; another key has to be asked about.
    drop(registry);
    let tested = dockmaster.run(&["server", "test", "vouched"]);
    assert_eq!(tested.code(), 0, "{}", tested.transcript());
    fs_err::write(dockmaster.file("acme.pub"), other.pem()).unwrap();
    let tested = dockmaster.run(&["server", "test", "vouched"]);
    assert_eq!(tested.code(), 1, "{}", tested.transcript());
    assert!(
        tested.stderr().contains("[signers.acme]"),
        "{}",
        tested.transcript()
    );
    gone("vouched").await;
    // The first image has no tag any more, by which the scope would find it.
    let path = format!("/images/{repository}@{first}");
    scope.daemon().delete(&path).await.ok();
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_catalog_has_its_own_signer() {
    let (registry, scope) = (Registry::start().await, Scope::new("signers"));
    let image = published(&registry, &scope).await;
    let (client, reference) = (registries(), Reference::parse(&image).unwrap());
    let dockmaster = Dockmaster::new().configured(
        "[signers.first]\nkeys = [\"first.pub\"]\ncatalogs = [\"one\", \"both\"]\n\
         [signers.second]\nkeys = [\"second.pub\"]\ncatalogs = [\"two\", \"both\"]\n",
    );
    let signers = ["first", "second"].map(|name| {
        let publisher = Publisher::new();
        fs_err::write(dockmaster.file(&format!("{name}.pub")), publisher.pem()).unwrap();
        publisher
    });
    for catalog in ["one", "two", "both", "unsigned"] {
        let text = format!("name: {catalog}\nregistry:\n  app:\n    type: server\n    image: {image}\n");
        let path = dockmaster.home().join(format!("{catalog}.yaml"));
        fs_err::write(&path, text).unwrap();
        let taken = dockmaster.run(&["catalog", "import", path.to_str().unwrap()]);
        assert_eq!(taken.code(), 0, "{}", taken.transcript());
    }
    let check = |catalog: &str, missing: Option<&str>| {
        let server = format!("{catalog}/app");
        let enabled = dockmaster.run(&["server", "enable", &server, "--yes", "--profile", catalog]);
        let transcript = enabled.transcript();
        assert_eq!(
            enabled.code(),
            i32::from(missing.is_some()),
            "{catalog}: {transcript}"
        );
        if let Some(missing) = missing {
            let wanted = format!("[signers.{missing}] wants it signed");
            assert!(transcript.contains(&wanted), "{catalog}: {transcript}");
        }
    };
    // The signature that a server of one catalog has to bear, that of another need not.
    check("unsigned", None);
    check("one", Some("first"));
    signers[0].sign(&client, &reference).await;
    check("one", None);
    check("two", Some("second"));
    check("both", Some("second"));
    // A signature takes the place of the one before under its tag, as the test writes it: both is refused for the other.
    signers[1].sign(&client, &reference).await;
    check("two", None);
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_wanted_identity_signed_is_run() {
    const IDENTITY: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1";
    const ISSUER: &str = "https://token.actions.githubusercontent.com";
    let (registry, scope) = (Registry::start().await, Scope::new("keyless"));
    let image = published(&registry, &scope).await;
    let (ours, theirs) = (Sigstore::new(), Sigstore::new());
    let holder = Holder::new(IDENTITY, ISSUER);
    let signers = format!(
        "[signers.acme]\nservers = [\"vouched\"]\nissuer = \"{ISSUER}\"\n\
         identity = \"https://github.com/acme/app/.github/workflows/*@refs/tags/v*\"\n"
    );
    let dockmaster = Dockmaster::new().configured(&acting("vouched", &image, "echo works", &signers));
    refused(&dockmaster, "identity, issuer and trusted_root go together");
    let mut config = fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    config.push_str("trusted_root = \"root.json\"\n");
    fs_err::write(dockmaster.file("config.toml"), config).unwrap();
    refused(&dockmaster, "root.json");
    fs_err::write(dockmaster.file("root.json"), "{}").unwrap();
    refused(&dockmaster, "no trusted_root.json");
    fs_err::write(dockmaster.file("root.json"), ours.trusted_root().to_string()).unwrap();
    refused(&dockmaster, "not signed");

    let (client, reference) = (registries(), Reference::parse(&image).unwrap());
    let signed_by = async |sigstore: &Sigstore, holder: &Holder| {
        sign(&client, &reference, |payload| {
            sigstore.sign(holder, payload).annotations()
        })
        .await;
    };
    signed_by(&theirs, &holder).await;
    refused(&dockmaster, "which is not in the trusted root");
    signed_by(&ours, &Holder::new("anna@evil.example", ISSUER)).await;
    refused(&dockmaster, "it was made by anna@evil.example, not by");
    Publisher::new().sign(&client, &reference).await;
    refused(&dockmaster, "not made by any of the given keys");
    signed_by(&ours, &holder).await;
    let enabled = dockmaster.run(&["server", "enable", "vouched", "--yes"]);
    assert_eq!(enabled.code(), 0, "{}", enabled.transcript());

    // What was found signed needs no registry any more; by another root it has to be asked about.
    drop(registry);
    let tested = dockmaster.run(&["server", "test", "vouched"]);
    assert_eq!(tested.code(), 0, "{}", tested.transcript());
    fs_err::write(dockmaster.file("root.json"), theirs.trusted_root().to_string()).unwrap();
    let tested = dockmaster.run(&["server", "test", "vouched"]);
    assert_eq!(tested.code(), 1, "{}", tested.transcript());
    assert!(
        tested.stderr().contains("[signers.acme]"),
        "{}",
        tested.transcript()
    );
    gone("vouched").await;
    scope.finish().await;
}
