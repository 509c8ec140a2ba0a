//! Files into and out of containers.

use crate::here::{server, server_with_root};
use serde_json::json;
use testkit::Scope;

#[tokio::test]
async fn text_in_and_out() {
    let scope = Scope::new("files");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let put = server
        .ok(
            "copy_files_to_container",
            json!({ "container": id, "destination": "/tmp/run.sh", "content": "echo ran\n", "mode": "755" }),
        )
        .await;
    assert!(put.contains("/tmp/run.sh: 1 file, 9 B"), "{put}");
    let ran = server
        .ok(
            "execute_command_in_container",
            json!({ "container": id, "command": ["/bin/sh", "/tmp/run.sh"] }),
        )
        .await;
    assert!(ran.contains("ran"), "{ran}");
    let stat = server
        .ok(
            "stat_container_path",
            json!({ "container": id, "path": "/tmp/run.sh" }),
        )
        .await;
    assert!(stat.contains("file, 9 B, mode 755"), "{stat}");
    let get = server
        .ok(
            "copy_files_from_container",
            json!({ "container": id, "source": "/tmp/run.sh" }),
        )
        .await;
    assert!(
        get.contains("untrusted content of /tmp/run.sh") && get.contains("echo ran"),
        "{get}"
    );
    let list = server
        .ok(
            "copy_files_from_container",
            json!({ "container": id, "source": "/tmp" }),
        )
        .await;
    assert!(list.contains("755\t9 B\ttmp/run.sh"), "{list}");
    let diff = server.ok("diff_container", json!({ "container": id })).await;
    assert!(diff.contains("A /tmp/run.sh"), "{diff}");
    for (tool, arguments, part) in [
        (
            "copy_files_from_container",
            json!({ "container": id, "source": "/nothing" }),
            "not_found",
        ),
        (
            "stat_container_path",
            json!({ "container": id, "path": "/nothing" }),
            "not_found",
        ),
        (
            "copy_files_from_container",
            json!({ "container": id, "source": "/bin/busybox" }),
            "is not text",
        ),
        (
            "copy_files_to_container",
            json!({ "container": id, "destination": "/tmp/" , "content": "x" }),
            "names a directory",
        ),
        (
            "copy_files_to_container",
            json!({ "container": id, "destination": "/tmp/x" }),
            "either source or content",
        ),
        (
            "copy_files_to_container",
            json!({ "container": id, "destination": "/no/such/folder/x", "content": "x" }),
            "folder",
        ),
    ] {
        let error = server.fails(tool, arguments).await;
        assert!(error.contains(part), "{tool}: {error}");
    }
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn the_hosts_files_only_under_its_roots() {
    let scope = Scope::new("host-files");
    let id = scope.run("web", &["sleep", "600"]).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs_err::create_dir_all(root.join("site/css")).unwrap();
    fs_err::write(root.join("site/index.html"), "hello").unwrap();
    fs_err::write(root.join("site/css/a.css"), "b {}").unwrap();
    let server = server_with_root(&root).await;
    let site = root.join("site").display().to_string();
    let put = server
        .ok(
            "copy_files_to_container",
            json!({ "container": id, "source": site, "destination": "/srv" }),
        )
        .await;
    assert!(put.contains("2 files"), "{put}");
    let target = root.join("back").display().to_string();
    let get = server
        .ok(
            "copy_files_from_container",
            json!({ "container": id, "source": "/srv", "destination": target }),
        )
        .await;
    assert!(get.contains("2 files"), "{get}");
    assert_eq!(
        fs_err::read_to_string(root.join("back/css/a.css")).unwrap(),
        "b {}"
    );
    let again = server
        .fails(
            "copy_files_from_container",
            json!({ "container": id, "source": "/srv/index.html", "destination": root.join("back/index.html") }),
        )
        .await;
    assert!(again.contains("exists already"), "{again}");
    let tar = root.join("all.tar");
    let export = server
        .ok("export_container", json!({ "container": id, "destination": tar }))
        .await;
    assert!(export.contains("all.tar"), "{export}");
    assert!(fs_err::metadata(&tar).unwrap().len() > 1_000_000);
    let twice = server
        .fails("export_container", json!({ "container": id, "destination": tar }))
        .await;
    assert!(twice.contains("overwrite=true"), "{twice}");
    assert_eq!(fs_err::read_dir(&root).unwrap().count(), 3);
    for (tool, arguments) in [
        (
            "copy_files_to_container",
            json!({ "container": id, "source": "/etc/passwd", "destination": "/tmp/" }),
        ),
        (
            "copy_files_from_container",
            json!({ "container": id, "source": "/bin/busybox", "destination": "/usr/local/bin/x" }),
        ),
        (
            "export_container",
            json!({ "container": id, "destination": "/var/tmp/x.tar" }),
        ),
        (
            "copy_files_from_container",
            json!({ "container": id, "source": "/srv", "destination": root.join("../elsewhere") }),
        ),
    ] {
        let error = server.fails(tool, arguments.clone()).await;
        assert!(error.starts_with("refused: "), "{arguments}: {error}");
    }
    server.end().await;
    scope.finish().await;
}
