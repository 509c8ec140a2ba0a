//! Files in containers, on every engine.

use crate::containers::{on_each, reference};
use crate::here::is_podman;
use bytes::Bytes;
use engine::Error;
use engine::ops::files::{FileKind, Unpack};
use futures_util::{TryStreamExt, stream};
use std::io::{self, Read};

/// A tar with one file, owned by 1234:4321.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o4751);
    header.set_uid(1234);
    header.set_gid(4321);
    archive.append_data(&mut header, name, content).unwrap();
    archive.into_inner().unwrap()
}

fn pieces(bytes: &[u8]) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + use<> {
    let pieces: Vec<_> = bytes
        .chunks(1000)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    stream::iter(pieces)
}

#[tokio::test]
async fn in_and_out_again() {
    on_each("files", async |engine, scope| {
        // Not running: files need no process.
        let web = reference(&scope.create("web", serde_json::json!({})).await);
        let content = vec![b'x'; 100_000];
        engine
            .files_put(
                &web,
                "/tmp",
                pieces(&archive("a b.txt", &content)),
                Unpack::default(),
            )
            .await
            .unwrap();

        let stat = engine.file_stat(&web, "/tmp/a b.txt").await.unwrap();
        assert_eq!(
            (stat.name.as_str(), stat.size, stat.mode),
            ("a b.txt", 100_000, 0o4751)
        );
        assert_eq!(stat.kind, FileKind::File);
        assert!(stat.modified.starts_with("1970-01-01T"), "{}", stat.modified);
        let stat = engine.file_stat(&web, "/tmp").await.unwrap();
        assert_eq!(stat.kind, FileKind::Directory);
        let stat = engine.file_stat(&web, "/bin/sh").await.unwrap();
        assert!(
            matches!(&stat.kind, FileKind::Symlink(to) if to.ends_with("busybox")),
            "{stat:?}"
        );

        let (stat, tar) = engine.files_get(&web, "/tmp/a b.txt").await.unwrap();
        assert_eq!(stat.size, 100_000);
        let bytes = tar.map_ok(|bytes| bytes.to_vec()).try_concat().await.unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut back = Vec::new();
        entry.read_to_end(&mut back).unwrap();
        assert!(back == content);
        scope
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there() {
    on_each("files-none", async |engine, scope| {
        let web = reference(&scope.create("web", serde_json::json!({})).await);
        let none = reference(&scope.name("none"));
        let tar = archive("x", b"x");
        let put =
            |container, directory| engine.files_put(container, directory, pieces(&tar), Unpack::default());
        for error in [
            engine.file_stat(&web, "/no/such/file").await.unwrap_err(),
            engine.file_stat(&none, "/tmp").await.unwrap_err(),
            engine
                .files_get(&web, "/no/such/file")
                .await
                .map(drop)
                .unwrap_err(),
            engine.files_get(&none, "/tmp").await.map(drop).unwrap_err(),
            put(&none, "/tmp").await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::NotFound { .. }), "{error}");
        }
        // Podman makes the directory.
        if !is_podman(&engine).await {
            let error = put(&web, "/no/such/directory").await.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{error}");
        }
        let error = engine.file_stat(&web, "/no/such/file").await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("Could not find the file /no/such/file in container"),
            "{error}"
        );
        scope
    })
    .await;
}

#[tokio::test]
async fn what_the_daemon_will_not_unpack() {
    on_each("files-refused", async |engine, scope| {
        let web = reference(&scope.create("web", serde_json::json!({})).await);
        let over = Unpack {
            keep_kinds: true,
            ..Unpack::default()
        };
        let error = engine
            .files_put(&web, "/", pieces(&archive("tmp", b"x")), over)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Daemon { .. }), "{error}");
        let error = engine
            .files_put(&web, "/tmp", pieces(b"no archive at all"), Unpack::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Daemon { .. }), "{error}");

        let sealed = serde_json::json!({ "HostConfig": { "ReadonlyRootfs": true } });
        let sealed = reference(&scope.create("sealed", sealed).await);
        let result = engine
            .files_put(&sealed, "/tmp", pieces(&archive("x", b"x")), Unpack::default())
            .await;
        // Podman writes below what the container sees as read-only.
        if !is_podman(&engine).await {
            let error = result.unwrap_err();
            assert!(error.to_string().contains("read-only"), "{error}");
        }
        scope
    })
    .await;
}

/// The daemon answers before it has read all, and closes; its answer must not be lost in the broken pipe.
#[tokio::test]
async fn a_large_archive_for_nobody_is_refused_with_words() {
    on_each("files-large", async |engine, scope| {
        let none = reference(&scope.name("none"));
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        let archive = stream::iter((0..64).map(move |_| Ok(chunk.clone())));
        let error = engine
            .files_put(&none, "/tmp", archive, Unpack::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        scope
    })
    .await;
}
