//! Blobs, manifests and tags.

use bytes::Bytes;
use oci::{Descriptor, Digest, Error, Target, media};
use testkit::Registry;

use crate::{anyone, reference, repository};

#[tokio::test]
async fn blobs() {
    let registry = Registry::start().await;
    let client = anyone();
    let here = repository(&registry, "test/blobs");
    let content = Bytes::from_static(b"some content");
    let digest = Digest::of(&content);
    assert!(!client.has_blob(&here, &digest).await.unwrap());
    let described = client
        .push_blob(&here, media::BYTES, content.clone())
        .await
        .unwrap();
    assert_eq!(
        described,
        client
            .push_blob(&here, media::BYTES, content.clone())
            .await
            .unwrap()
    );
    assert!(client.has_blob(&here, &digest).await.unwrap());
    assert_eq!(client.blob(&here, &described).await.unwrap(), content);
    let empty = client.push_blob(&here, media::BYTES, Bytes::new()).await.unwrap();
    assert!(client.blob(&here, &empty).await.unwrap().is_empty());

    let missing = Descriptor::of(media::BYTES, b"never pushed");
    assert!(client.blob(&here, &missing).await.unwrap_err().is_not_found());
    let mut wrong = described.clone();
    wrong.size += 1;
    let told = client.blob(&here, &wrong).await.unwrap_err().to_string();
    assert!(told.contains("it has 12 bytes, and 13 were described"), "{told}");
    wrong.size = 5;
    assert!(
        client.blob(&here, &wrong).await.is_err(),
        "more than was described is not read"
    );
    wrong.size = 2 << 20;
    let told = client.blob(&here, &wrong).await.unwrap_err().to_string();
    assert!(
        told.contains("it has 2097152 bytes, and 1048576 are the limit"),
        "{told}"
    );
}

#[tokio::test]
async fn large_blobs_go_in_pieces_and_come_as_streams() {
    let registry = Registry::start().await;
    let client = anyone();
    let here = repository(&registry, "test/pieces");
    // More than two pieces, exactly one, and nothing.
    for size in [9_000_001_usize, 4 << 20, 0] {
        let content: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let described = client
            .push_blob_from(&here, media::BYTES, content.as_slice())
            .await
            .unwrap();
        assert_eq!(
            (described.digest.clone(), described.size),
            (Digest::of(&content), size as u64)
        );
        let mut found = Vec::new();
        client.blob_into(&here, &described, &mut found).await.unwrap();
        assert!(found == content, "{size}");
    }
}

#[tokio::test]
async fn a_blob_is_taken_over_from_another_repository() {
    let registry = Registry::start().await;
    let client = anyone();
    let (one, other) = (
        repository(&registry, "test/one"),
        repository(&registry, "test/other"),
    );
    let described = client
        .push_blob(&one, media::BYTES, Bytes::from_static(b"shared"))
        .await
        .unwrap();
    assert!(client.mount_blob(&other, &one, &described.digest).await.unwrap());
    assert_eq!(&client.blob(&other, &described).await.unwrap()[..], b"shared");
    let missing = Digest::of(b"missing");
    assert!(!client.mount_blob(&other, &one, &missing).await.unwrap());
}

#[tokio::test]
async fn manifests_and_tags() {
    let registry = Registry::start().await;
    let client = anyone();
    let here = repository(&registry, "test/manifests");
    let config = client
        .push_blob(&here, media::EMPTY, Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let text = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [], "annotations": null,
        "unknown": {"kept": true},
    });
    let text = Bytes::from(text.to_string());
    let first = reference(&registry, "test/manifests:1");
    assert_eq!(client.resolve(&first).await.unwrap(), None);
    assert!(client.manifest(&first).await.unwrap_err().is_not_found());
    let digest = client
        .put_manifest(&first, media::MANIFEST, text.clone())
        .await
        .unwrap();
    assert_eq!(digest, Digest::of(&text));
    let resolved = client.resolve(&first).await.unwrap().unwrap();
    assert_eq!((&resolved.digest, resolved.size), (&digest, text.len() as u64));
    let by_digest = first.at(digest.clone());
    for place in [&first, &by_digest] {
        let fetched = client.manifest(place).await.unwrap();
        assert_eq!((&fetched.descriptor.digest, &fetched.bytes), (&digest, &text));
        assert_eq!(fetched.descriptor.media_type, media::MANIFEST);
    }
    for n in 2..=12 {
        let tag = reference(&registry, &format!("test/manifests:{n}"));
        client
            .put_manifest(&tag, media::MANIFEST, text.clone())
            .await
            .unwrap();
    }
    let mut tags = client.tags(&here).await.unwrap();
    tags.sort_by_key(|tag| tag.parse::<u32>().unwrap());
    assert_eq!(tags, (1..=12).map(|n| n.to_string()).collect::<Vec<_>>());

    let elsewhere = first.at(Digest::of(b"other"));
    assert!(matches!(
        client
            .put_manifest(&elsewhere, media::MANIFEST, text.clone())
            .await,
        Err(Error::Digest { .. })
    ));
    client.delete(&by_digest).await.unwrap();
    assert!(client.delete(&by_digest).await.unwrap_err().is_not_found());
    assert_eq!(client.resolve(&first).await.unwrap(), None);
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let registry = Registry::start().await;
    let client = anyone();
    let told = |error: Error| error.to_string().replace(registry.authority(), "HOST");
    let missing = client
        .manifest(&reference(&registry, "test/none:1"))
        .await
        .unwrap_err();
    insta::assert_snapshot!(told(missing), @"HOST/test/none: reading 1 failed: the registry answered 404 Not Found: manifest unknown (MANIFEST_UNKNOWN); check the name, and that it was pushed");
    let incomplete = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "config": Descriptor::of(media::EMPTY, b"never pushed"), "layers": [],
    });
    let incomplete = Bytes::from(incomplete.to_string());
    let refused = client
        .put_manifest(&reference(&registry, "test/none:1"), media::MANIFEST, incomplete)
        .await;
    let refused = told(refused.unwrap_err());
    assert!(refused.contains("blob unknown to registry"), "{refused}");
    let large = Bytes::from(vec![b' '; 5 << 20]);
    assert!(
        client
            .put_manifest(&reference(&registry, "test/none:1"), media::MANIFEST, large)
            .await
            .is_err()
    );
    client.ping(registry.authority()).await.unwrap();
    // A port where nothing listens.
    let nowhere = client.ping("127.0.0.1:1").await.unwrap_err().to_string();
    assert!(
        nowhere.contains("asking whether it is a registry failed"),
        "{nowhere}"
    );
    assert!(matches!(reference(&registry, "x").target, Target::Tag(tag) if tag == "latest"));
}
