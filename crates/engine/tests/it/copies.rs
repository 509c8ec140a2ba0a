//! Copies in and out, beside those of `docker cp`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use crate::here::{is_podman, on};
use base::names::ContainerRef;
use engine::Engine;
use engine::tarball::{CopyError, EntryKind, HostItem, Limits, Overwrite, What, read};
use serde_json::json;
use std::path::{Path, PathBuf};
use testkit::{Daemon, IMAGE, Scope, all_engines, image_on};
use tokio::process::Command;

/// A host folder with something of each kind to copy: `f`, `d/{x,sub/y,link}`, `e` (empty).
fn host() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs_err::create_dir_all(root.join("d/sub")).unwrap();
    fs_err::create_dir_all(root.join("e")).unwrap();
    fs_err::write(root.join("f"), "file").unwrap();
    fs_err::write(root.join("d/x"), "x").unwrap();
    fs_err::write(root.join("d/sub/y"), "y").unwrap();
    fs_err::os::unix::fs::symlink("x", root.join("d/link")).unwrap();
    folder
}

/// Targets for copies in: `dir/`, `dir/old`, `full/d` (a file where a directory would go), `to-dir` → `dir`.
async fn prepare(engine: &Engine, container: &ContainerRef) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("t");
    for dir in ["t/dir", "t/full"] {
        fs_err::create_dir_all(folder.path().join(dir)).unwrap();
    }
    fs_err::write(root.join("dir/old"), "old").unwrap();
    fs_err::write(root.join("full/d"), "in the way").unwrap();
    fs_err::os::unix::fs::symlink("dir", root.join("to-dir")).unwrap();
    fs_err::os::unix::fs::symlink("dir/old", root.join("to-old")).unwrap();
    engine
        .copy_in(container, item(&root, "t"), "/", Limits::GENEROUS)
        .await
        .unwrap();
}

fn item(path: &Path, written: &str) -> What {
    What::Host(HostItem {
        path: path.to_path_buf(),
        written: written.to_owned(),
    })
}

async fn docker_cp(daemon: &Daemon, from: &str, to: &str) -> Result<(), String> {
    let output = Command::new("docker")
        .args(["cp", "--quiet", from, to])
        .env("DOCKER_HOST", daemon.endpoint())
        .output()
        .await
        .expect("the docker CLI is installed (scripts/test does)");
    output
        .status
        .success()
        .then_some(())
        .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// All below `/t` of a container, with kinds, modes and contents.
async fn inside(engine: &Engine, container: &ContainerRef) -> Vec<String> {
    let (_, archive) = engine.files_get(container, "/t").await.unwrap();
    let contents = read(archive, Limits::GENEROUS).await.unwrap();
    let mut lines: Vec<_> = contents
        .entries
        .iter()
        .map(|entry| {
            let mode = if matches!(entry.kind, EntryKind::Symlink(_)) {
                0
            } else {
                entry.mode
            };
            format!(
                "{} {:?} {mode:o} {}",
                entry.path,
                entry.kind,
                String::from_utf8_lossy(&entry.content)
            )
        })
        .collect();
    lines.sort();
    lines
}

/// All below a folder of the host, with modes and contents.
fn outside(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs_err::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777;
            if meta.is_dir() {
                lines.push(format!("{name}/ {mode:o}"));
                folders.push(path);
            } else if meta.is_symlink() {
                lines.push(format!(
                    "{name} -> {}",
                    fs_err::read_link(&path).unwrap().display()
                ));
            } else {
                lines.push(format!(
                    "{name} {mode:o} {}",
                    fs_err::read_to_string(&path).unwrap()
                ));
            }
        }
    }
    lines.sort();
    lines
}

async fn container(scope: &Scope, what: &str) -> ContainerRef {
    ContainerRef::parse(&scope.create(what, json!({ "Image": IMAGE })).await).unwrap()
}

#[tokio::test]
async fn copies_in_as_docker_cp_makes_them() {
    let cases = [
        ("f", "/t/dir"),
        ("f", "/t/dir/"),
        ("f", "/t/dir/."),
        ("f", "/t/dir/old"),
        ("f", "/t/dir/old/"),
        ("f", "/t/new"),
        ("f", "/t/new/"),
        ("f", "/t/none/new"),
        ("f", "t/new"),
        ("f", "/t/to-dir"),
        ("f", "/t/to-old"),
        ("d", "/t/dir"),
        ("d/", "/t/dir"),
        ("d/.", "/t/dir"),
        ("d", "/t/new"),
        ("d", "/t/new/"),
        ("d/.", "/t/new"),
        ("d", "/t/dir/old"),
        ("d", "/t/full"),
        ("d", "/t/to-dir"),
        ("e", "/t/dir"),
        ("e/.", "/t/new"),
        ("d/link", "/t/dir"),
    ];
    let files = host();
    let root = fs_err::canonicalize(files.path()).unwrap();
    for daemon in all_engines() {
        let scope = Scope::on(daemon, "copies-in");
        image_on(scope.daemon()).await;
        let engine = on(scope.daemon());
        if is_podman(&engine).await {
            eprintln!("not compared on Podman, which calls every path a link and so misleads the docker CLI");
            continue;
        }
        for (at, (from, to)) in cases.iter().enumerate() {
            let (ours, theirs) = (
                container(&scope, &format!("o{at}")).await,
                container(&scope, &format!("t{at}")).await,
            );
            for container in [&ours, &theirs] {
                prepare(&engine, container).await;
            }
            let written = root.join(from).display().to_string()
                + from.strip_prefix("d").filter(|end| *end == "/").unwrap_or("");
            let path = root.join(from.trim_end_matches("/.").trim_end_matches('/'));
            let our_outcome = engine
                .copy_in(&ours, item(&path, &written), to, Limits::GENEROUS)
                .await;
            let from_cli = format!("{}/{from}", root.display());
            let their_outcome = docker_cp(scope.daemon(), &from_cli, &format!("{theirs}:{to}")).await;
            assert_eq!(
                our_outcome.is_ok(),
                their_outcome.is_ok(),
                "{from} -> {to}: {our_outcome:?} {their_outcome:?}"
            );
            assert_eq!(
                inside(&engine, &ours).await,
                inside(&engine, &theirs).await,
                "{from} -> {to}"
            );
        }
        scope.finish().await;
    }
}

#[tokio::test]
async fn copies_out_as_docker_cp_makes_them() {
    // What is in the container is what `host` makes, below `/t`.
    let cases = [
        ("/t/f", "dir"),
        ("/t/f", "dir/"),
        ("/t/f", "old"),
        ("/t/f", "old/"),
        ("/t/f", "new"),
        ("/t/f", "new/"),
        ("/t/f", "none/new"),
        ("t/f", "new"),
        ("/t/d", "dir"),
        ("/t/d/", "dir"),
        ("/t/d/.", "dir"),
        ("/t/d", "new"),
        ("/t/d/.", "new"),
        ("/t/d", "new/"),
        ("/t/d", "old"),
        ("/t/e", "dir"),
        ("/t/e/.", "new"),
        ("/t/none", "new"),
    ];
    let files = host();
    for daemon in all_engines() {
        let scope = Scope::on(daemon, "copies-out");
        image_on(scope.daemon()).await;
        let engine = on(scope.daemon());
        let web = container(&scope, "web").await;
        engine
            .copy_in(&web, item(files.path(), "/h"), "/t", Limits::GENEROUS)
            .await
            .unwrap();
        for (from, to) in cases {
            let (ours, theirs) = (target(), target());
            let ours_root = fs_err::canonicalize(ours.path()).unwrap();
            let written = format!("{}/{to}", ours_root.display());
            let item = HostItem {
                path: ours_root.join(to.trim_end_matches('/')),
                written,
            };
            let our_outcome = engine
                .copy_out(&web, from, &item, Overwrite::Files, Limits::GENEROUS)
                .await;
            // What Podman sends of `dir/.` has no entry for the directory, and the docker CLI makes none.
            if from.ends_with("/.") && to == "new" && is_podman(&engine).await {
                our_outcome.unwrap();
                assert!(ours_root.join(to).is_dir(), "{from} -> {to}");
                continue;
            }
            let to_cli = format!("{}/{to}", theirs.path().display());
            let their_outcome = docker_cp(scope.daemon(), &format!("{web}:{from}"), &to_cli).await;
            assert_eq!(
                our_outcome.is_ok(),
                their_outcome.is_ok(),
                "{from} -> {to}: {our_outcome:?} {their_outcome:?}"
            );
            assert_eq!(outside(ours.path()), outside(theirs.path()), "{from} -> {to}");
        }
        scope.finish().await;
    }
}

/// A host folder to copy into: `dir/`, `old`.
fn target() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("dir")).unwrap();
    fs_err::write(folder.path().join("old"), "old").unwrap();
    folder
}

#[tokio::test]
async fn memory_in_and_a_link_out() {
    let scope = Scope::new("copies");
    image_on(scope.daemon()).await;
    let engine = on(scope.daemon());
    let web = container(&scope, "web").await;
    let what = What::Content {
        name: "conf".to_owned(),
        content: "a=1\n".into(),
        mode: 0o640,
    };
    let copied = engine
        .copy_in(&web, what.clone(), "/tmp", Limits::GENEROUS)
        .await
        .unwrap();
    assert_eq!(
        (copied.to.as_str(), copied.what.files, copied.what.bytes),
        ("/tmp/conf", 1, 4)
    );
    let copied = engine
        .copy_in(&web, what, "/tmp/other", Limits::GENEROUS)
        .await
        .unwrap();
    assert_eq!(copied.to, "/tmp/other");
    let stat = engine.file_stat(&web, "/tmp/other").await.unwrap();
    assert_eq!((stat.size, stat.mode), (4, 0o640));

    // `docker cp` would make a link to a path that is not here.
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    fs_err::os::unix::fs::symlink("/tmp/conf", &link).unwrap();
    engine
        .copy_in(&web, item(&link, "link"), "/tmp/link", Limits::GENEROUS)
        .await
        .unwrap();
    let out = fs_err::canonicalize(folder.path()).unwrap();
    let to = HostItem {
        path: out.clone(),
        written: out.display().to_string(),
    };
    fs_err::remove_file(&link).unwrap();
    let copied = engine
        .copy_out(&web, "/tmp/link", &to, Overwrite::Never, Limits::GENEROUS)
        .await
        .unwrap();
    assert_eq!(
        (copied.what.files, PathBuf::from(&copied.to)),
        (1, out.join("link"))
    );
    assert_eq!(fs_err::read_to_string(out.join("link")).unwrap(), "a=1\n");

    let again = engine
        .copy_out(&web, "/tmp/link", &to, Overwrite::Never, Limits::GENEROUS)
        .await
        .unwrap_err();
    assert!(again.to_string().starts_with("link exists already"), "{again}");
    let missing = ContainerRef::parse(&scope.name("missing")).unwrap();
    let error = engine
        .copy_in(&missing, item(&out, "x"), "/tmp", Limits::GENEROUS)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CopyError::Engine(engine::Error::NotFound { .. })),
        "{error}"
    );
    scope.finish().await;
}

/// A fault of what is sent is told, although it shows only as a request that broke off.
#[tokio::test]
async fn a_limit_is_told_as_such() {
    let files = host();
    let scope = Scope::new("copies-limit");
    image_on(scope.daemon()).await;
    let engine = on(scope.daemon());
    let web = container(&scope, "web").await;
    let limits = Limits {
        entries: 2,
        ..Limits::GENEROUS
    };
    let error = engine
        .copy_in(&web, item(files.path(), "x"), "/t", limits)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("more than 2 files and directories at"),
        "{error}"
    );
    scope.finish().await;
}
