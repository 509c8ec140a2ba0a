//! What is only so for files of other hosts: which host is meant, a way that breaks, and races.

use super::{Direct, Over, Served, call, error, far, text};
use files_server::{Elsewhere, Files, Options, Root};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::Sshd;

fn root(path: &std::path::Path) -> Vec<Root> {
    vec![Root {
        path: path.to_owned(),
        write: true,
    }]
}

fn served(server: files_server::FilesServer, host: Option<&'static str>) -> Served {
    Served {
        server,
        host,
        _sshd: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_that_is_named() {
    let (near, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs_err::write(near.path().join("file"), "near").unwrap();
    fs_err::write(there.path().join("file"), "far").unwrap();
    let sshd = Sshd::start("Subsystem sftp internal-sftp").await;
    let options = Options {
        roots: root(near.path()),
        named: super::named(),
        hard_links: false,
        answer_tokens: 8_000,
        client_roots: true,
        search_time: super::SEARCH,
        elsewhere: vec![Elsewhere {
            host: "far".to_owned(),
            roots: root(there.path()),
            named: files_server::Named {
                table: "hosts.far.files".to_owned(),
                read_only_by: None,
            },
            hard_links: false,
            way: Arc::new(Direct::to(&sshd)),
        }],
    };
    let both = served(Files::server(options), None);
    let path = json!({ "path": "file" });
    assert_eq!(text(&both, "read_file", path).await, "near");
    let answer = text(&both, "read_file", json!({ "path": "file", "host": "far" })).await;
    assert_eq!(answer, "far\n[host far]");
    // What changes something says where, also where that was not said.
    let answer = text(&both, "write_file", json!({ "path": "new", "content": "x" })).await;
    assert!(answer.ends_with("\n[host local]"), "{answer}");
    let answer = error(&both, "read_file", json!({ "path": "file", "host": "fra" })).await;
    assert!(
        answer.contains("there is no host \"fra\" here") && answer.contains("did you mean far?"),
        "{answer}"
    );
    let outside = near.path().join("file");
    let answer = error(&both, "read_file", json!({ "path": outside, "host": "far" })).await;
    assert!(answer.contains("add to `[hosts.far.files] roots`"), "{answer}");
    let answer = text(&both, "list_allowed_directories", json!({})).await;
    let expected = format!(
        "host\tpath\taccess\nlocal\t{}\tread and write\nfar\t{}\tread and write",
        near.path().display(),
        there.path().display()
    );
    assert_eq!(answer, expected);

    let only = served(far(root(there.path()), false, Arc::new(Direct::to(&sshd))), None);
    let answer = error(&only, "read_file", json!({ "path": "file" })).await;
    assert!(
        answer.contains("parameter host is missing") && answer.contains("name one of far"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_goes_away_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("file"), "here").unwrap();
    let mut sshd = Sshd::start("Subsystem sftp internal-sftp").await;
    let way = Arc::new(Direct::to(&sshd));
    let files = served(
        far(root(dir.path()), false, Arc::<Direct>::clone(&way) as _),
        Some("far"),
    );
    assert_eq!(text(&files, "read_file", json!({ "path": "file" })).await, "here");
    way.0.close().await;
    let answer = error(&files, "read_file", json!({ "path": "file" })).await;
    assert!(
        answer.starts_with("unreachable: ") && answer.contains("dockmaster host test"),
        "{answer}"
    );
    sshd.stop().await;
    let files = served(
        far(root(dir.path()), false, Arc::new(Direct::to(&sshd))),
        Some("far"),
    );
    let answer = error(&files, "list_directory", json!({ "path": "." })).await;
    assert!(answer.contains("Connection refused"), "{answer}");
    sshd.run().await;
    let answer = text(&files, "list_directory", json!({ "path": "." })).await;
    assert!(answer.contains("file\tfile\t4 B"), "{answer}");
    // Without SFTP, and where the root is not there.
    let none = Sshd::start("").await;
    let files = served(
        far(root(dir.path()), false, Arc::new(Direct::to(&none))),
        Some("far"),
    );
    let answer = error(&files, "list_directory", json!({ "path": "." })).await;
    assert!(answer.contains("the subsystem sftp"), "{answer}");
    let missing = served(
        far(root(&dir.path().join("none")), false, Arc::new(Direct::to(&sshd))),
        Some("far"),
    );
    let answer = error(&missing, "list_directory", json!({ "path": "." })).await;
    assert!(answer.starts_with("not_found: "), "{answer}");
}

/// Nothing of the protocol's makes this sure; that it takes a lucky moment in each of many looks makes it rare.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_swapped_in_a_loop_is_not_read() {
    const SECRET: &str = "the secret outside";
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs_err::create_dir_all(root.join("swap")).unwrap();
    fs_err::create_dir(dir.path().join("outside")).unwrap();
    fs_err::write(dir.path().join("outside/secret"), SECRET).unwrap();
    fs_err::write(root.join("swap/secret"), "inside").unwrap();
    fs_err::write(root.join("plain"), "inside").unwrap();
    symlink("../outside", root.join("link")).unwrap();
    symlink("../outside/secret", root.join("file-link")).unwrap();
    let files = Over::Sftp.with(&root, false, true).await;
    let stop = Arc::new(AtomicBool::new(false));
    let swapping = std::thread::spawn({
        let (root, stop) = (root.clone(), Arc::clone(&stop));
        move || {
            let mut swaps = 0_u32;
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            let exchange = |one: &str, other: &str| {
                let (one, other) = (root.join(one), root.join(other));
                rustix::fs::renameat_with(rustix::fs::CWD, one, rustix::fs::CWD, other, flags).is_ok()
            };
            while !stop.load(Ordering::Relaxed) {
                swaps += u32::from(exchange("swap", "link"));
                swaps += u32::from(exchange("plain", "file-link"));
            }
            swaps
        }
    });
    let until = Instant::now() + Duration::from_secs(3);
    let mut refused = 0;
    while Instant::now() < until {
        for (tool, arguments) in [
            ("read_file", json!({ "path": "swap/secret" })),
            ("read_file", json!({ "path": "plain" })),
            (
                "search_content",
                json!({ "path": "swap", "pattern": "secret|inside", "all": true }),
            ),
        ] {
            let (answer, failed) = call(&files, tool, arguments).await;
            assert!(!answer.contains(SECRET), "{tool}: {answer}");
            refused += u32::from(failed);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapping.join().unwrap();
    assert!(swaps > 100 && refused > 3, "{swaps} swaps, {refused} refused");
}
