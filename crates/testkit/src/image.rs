//! The base image of all tests, made from the machine's own static busybox: tests must pass where no registry
//! can be reached.

use crate::Daemon;
use bytes::Bytes;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// The image that tests may assume: busybox with all its applets, `CMD ["/bin/sh"]`.
pub const IMAGE: &str = "dockmaster-test/busybox:1";

/// Makes sure that [`IMAGE`] is on the engine under test.
pub async fn image() -> &'static str {
    image_on(&Daemon::here()).await
}

/// Makes sure that [`IMAGE`] is on `daemon`.
pub async fn image_on(daemon: &Daemon) -> &'static str {
    let inspect = format!("/images/{IMAGE}/json");
    if daemon.get(&inspect).await.status == 200 {
        return IMAGE;
    }
    // Each test may be a process of its own: only one imports, else the losers leave untagged images.
    let path = std::env::temp_dir().join("dockmaster-test-image.lock");
    let take = move || {
        let file = fs_err::File::create(path)?.into_file();
        file.lock().map(|()| file)
    };
    let lock = tokio::task::spawn_blocking(take)
        .await
        .expect("taking a lock does not panic");
    let lock = lock.expect("the lock of the test image can be taken");
    if daemon.get(&inspect).await.status != 200 {
        let (name, tag) = IMAGE.split_once(':').expect("the name has a tag");
        let path = format!(
            "/images/create?fromSrc=-&repo={name}&tag={tag}\
             &changes=CMD%20%5B%22%2Fbin%2Fsh%22%5D&changes=ENV%20PATH%3D%2Fbin"
        );
        let imported = daemon
            .post_bytes(&path, "application/x-tar", root_filesystem())
            .await
            .ok()
            .text();
        // Podman 4 imports without a name, whatever the query says.
        if daemon.get(&inspect).await.status != 200 {
            let id = imported_id(&imported);
            daemon
                .post(
                    &format!("/images/{id}/tag?repo={name}&tag={tag}"),
                    &serde_json::Value::Null,
                )
                .await
                .ok();
        }
    }
    drop(lock);
    IMAGE
}

/// The id in the last line of an import's progress: `{"status":"sha256:…"}`.
fn imported_id(progress: &str) -> String {
    let last = progress.lines().last().unwrap_or_default();
    let last: serde_json::Value =
        serde_json::from_str(last).unwrap_or_else(|error| panic!("no progress ({error}): {progress}"));
    let id = last["status"].as_str().unwrap_or_default().trim();
    assert!(!id.is_empty(), "an import names its image: {progress}");
    id.trim_start_matches("sha256:").to_owned()
}

fn root_filesystem() -> Bytes {
    const BUSYBOX: &str = "/bin/busybox";
    assert!(
        Path::new(BUSYBOX).exists(),
        "{BUSYBOX} is missing: install busybox-static (scripts/test does)"
    );
    let applets = Command::new(BUSYBOX)
        .arg("--list")
        .output()
        .expect("busybox lists its applets");
    let applets = String::from_utf8(applets.stdout).expect("applet names are text");
    let mut archive = tar::Builder::new(Vec::new());
    for directory in ["bin/", "etc/", "root/", "tmp/"] {
        add(&mut archive, directory, 0o755, tar::EntryType::Directory, b"");
    }
    let busybox = fs_err::read(BUSYBOX).expect("busybox is readable");
    add(
        &mut archive,
        "bin/busybox",
        0o755,
        tar::EntryType::Regular,
        &busybox,
    );
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        let mut header = header(0o777, tar::EntryType::Symlink, 0);
        archive
            .append_link(&mut header, format!("bin/{applet}"), "busybox")
            .expect("an archive in memory takes every entry");
    }
    add(
        &mut archive,
        "etc/passwd",
        0o644,
        tar::EntryType::Regular,
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n",
    );
    add(
        &mut archive,
        "etc/group",
        0o644,
        tar::EntryType::Regular,
        b"root:x:0:\nnobody:x:65534:\n",
    );
    let mut bytes = archive.into_inner().expect("an archive in memory ends well");
    bytes.flush().expect("memory takes every byte");
    bytes.into()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, kind: tar::EntryType, content: &[u8]) {
    let mut header = header(mode, kind, content.len() as u64);
    archive
        .append_data(&mut header, path, content)
        .expect("an archive in memory takes every entry");
}

fn header(mode: u32, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_size(size);
    header
}
