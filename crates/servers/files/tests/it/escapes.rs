//! Ways out of a root, none of which leads anywhere.

use super::{Over, SECRET, call, error, place, text};
use serde_json::json;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn unchanged(dir: &Path) {
    assert_eq!(
        fs_err::read_to_string(dir.join("outside/secret")).unwrap(),
        SECRET
    );
    assert_eq!(fs_err::read_dir(dir.join("outside")).unwrap().count(), 1);
}

both!(paths_that_lead_out);

async fn paths_that_lead_out(over: Over) {
    let dir = place();
    let root = dir.path().join("root");
    let files = over.server(&root).await;
    symlink("../outside", root.join("dir")).unwrap();
    symlink("../outside/secret", root.join("file")).unwrap();
    symlink(dir.path().join("outside/secret"), root.join("absolute")).unwrap();
    symlink("../outside/new", root.join("dangling")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("/proc/self/cwd/Cargo.toml", root.join("proc")).unwrap();
    symlink("sub/inside", root.join("good")).unwrap();
    assert_eq!(
        text(&files, "read_file", json!({ "path": "good" })).await,
        "inside"
    );
    let outside = dir.path().join("outside/secret");
    for path in [
        "../outside/secret",
        "sub/../../outside/secret",
        "\\x2e\\x2e/outside/secret",
        "dir/secret",
        "file",
        "absolute",
        "dangling",
        "loop",
        "proc",
        "\u{ff0e}\u{ff0e}/outside/secret",
        "\u{2025}/outside/secret",
        "sub\u{2215}..\u{2215}..\u{2215}outside",
        "/proc/self/fd/3",
        "/proc/self/cwd",
        "/etc/passwd",
        outside.to_str().unwrap(),
    ] {
        for (tool, arguments) in [
            ("read_file", json!({ "path": path })),
            (
                "edit_file",
                json!({ "path": path, "old_text": "secret", "new_text": "x" }),
            ),
            (
                "copy_file",
                json!({ "source": "sub/inside", "destination": format!("{path}/x") }),
            ),
            (
                "move_file",
                json!({ "source": format!("{path}/x"), "destination": "moved" }),
            ),
            ("delete_file", json!({ "path": format!("{path}/x") })),
            ("create_directory", json!({ "path": format!("{path}/x/../../y") })),
            ("list_directory", json!({ "path": path })),
            ("search_content", json!({ "path": path, "pattern": "secret" })),
        ] {
            let answer = error(&files, tool, arguments).await;
            assert!(!answer.contains(SECRET), "{tool} {path}: {answer}");
        }
        call(&files, "write_file", json!({ "path": path, "content": "x" })).await;
        unchanged(dir.path());
    }
    let refused = error(&files, "read_file", json!({ "path": "dir/secret" })).await;
    assert!(
        refused.starts_with("refused: ") && refused.contains("leads out of the root"),
        "{refused}"
    );
    // A link is moved, copied and deleted as what it is.
    text(
        &files,
        "copy_file",
        json!({ "source": "dir", "destination": "copied" }),
    )
    .await;
    text(
        &files,
        "delete_file",
        json!({ "path": "copied", "permanent": true }),
    )
    .await;
    text(&files, "delete_file", json!({ "path": "dir" })).await;
    // And walks name links, but never follow them.
    symlink("../outside", root.join("dir")).unwrap();
    let found = text(
        &files,
        "search_content",
        json!({ "path": ".", "pattern": "secret", "all": true }),
    )
    .await;
    assert!(found.ends_with("[0 lines in 0 files]"), "{found}");
    unchanged(dir.path());
}

both!(hard_links_are_refused_unless_allowed);

async fn hard_links_are_refused_unless_allowed(over: Over) {
    let dir = place();
    let root = dir.path().join("root");
    fs_err::hard_link(dir.path().join("outside/secret"), root.join("hard")).unwrap();
    let files = over.server(&root).await;
    let refused = error(&files, "read_file", json!({ "path": "hard" })).await;
    assert!(
        refused.contains("2 names (hard links)") && refused.contains("hard_links = true"),
        "{refused}"
    );
    let copied = error(
        &files,
        "copy_file",
        json!({ "source": "hard", "destination": "copy" }),
    )
    .await;
    assert!(copied.contains("hard links"), "{copied}");
    let found = text(
        &files,
        "search_content",
        json!({ "path": ".", "pattern": "secret" }),
    )
    .await;
    assert!(
        found.ends_with("[0 lines in 0 files; 1 file can't be read, or may not be (hard links)]"),
        "{found}"
    );
    // Writing gives the name another file; the one outside stays.
    text(&files, "write_file", json!({ "path": "hard", "content": "mine" })).await;
    unchanged(dir.path());
    assert_eq!(text(&files, "read_file", json!({ "path": "hard" })).await, "mine");
    fs_err::hard_link(root.join("hard"), root.join("other")).unwrap();
    let files = over.with(&root, true, true).await;
    assert_eq!(text(&files, "read_file", json!({ "path": "hard" })).await, "mine");
}

both!(special_files_are_named_and_never_opened);

async fn special_files_are_named_and_never_opened(over: Over) {
    let dir = place();
    let root = dir.path().join("root");
    let files = over.server(&root).await;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let began = Instant::now();
    for name in ["pipe", "socket"] {
        for (tool, arguments) in [
            ("read_file", json!({ "path": name })),
            ("write_file", json!({ "path": name, "content": "x" })),
            (
                "edit_file",
                json!({ "path": name, "old_text": "a", "new_text": "b" }),
            ),
            ("search_content", json!({ "path": name, "pattern": "x" })),
        ] {
            let refused = error(&files, tool, arguments).await;
            assert!(refused.contains("pipe, socket or device"), "{tool}: {refused}");
        }
    }
    text(
        &files,
        "search_content",
        json!({ "path": ".", "pattern": "x", "all": true }),
    )
    .await;
    fs_err::rename(root.join("pipe"), root.join("sub/pipe")).unwrap();
    let copied = text(
        &files,
        "copy_file",
        json!({ "source": "sub", "destination": "copy" }),
    )
    .await;
    assert!(
        copied.ends_with("; left out 1 pipe, socket or device"),
        "{copied}"
    );
    fs_err::rename(root.join("sub/pipe"), root.join("pipe")).unwrap();
    let list = text(&files, "list_directory", json!({ "path": "." })).await;
    assert!(
        list.contains("pipe\tspecial\t") && list.contains("socket\tspecial\t"),
        "{list}"
    );
    assert!(began.elapsed() < Duration::from_secs(20));
}

both!(odd_names_can_be_given_back);

async fn odd_names_can_be_given_back(over: Over) {
    let dir = place();
    let root = dir.path().join("root");
    let files = over.server(&root).await;
    for name in [
        &b"new\nline"[..],
        b"\xff\xfe",
        b"back\\x41slash",
        "bidi\u{202e}txt".as_bytes(),
        b" ",
        b"-rf",
        "é\u{301}".as_bytes(),
    ] {
        fs_err::write(root.join("sub").join(OsStr::from_bytes(name)), "odd").unwrap();
    }
    let list = text(&files, "list_directory", json!({ "path": "sub" })).await;
    let names: Vec<&str> = list
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            " ",
            "-rf",
            "back\\x5cx41slash",
            "bidi\\xe2\\x80\\xaetxt",
            "inside",
            "new\\x0aline",
            "é\u{301}",
            "\\xff\\xfe"
        ]
    );
    for name in names.into_iter().filter(|name| *name != "inside") {
        let read = text(&files, "read_file", json!({ "path": format!("sub/{name}") })).await;
        assert_eq!(read, "odd", "{name}");
    }
}

/// While a thread swaps a directory and a file for links to the outside, everything that is read comes from inside,
/// and nothing is written outside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapping_in_a_loop_leads_nowhere() {
    let over = Over::Nothing;
    let dir = place();
    let root = dir.path().join("root");
    fs_err::create_dir(root.join("real")).unwrap();
    for (path, content) in [
        ("real/secret", "inside"),
        ("real/file", "inside"),
        ("plain", "inside"),
    ] {
        fs_err::write(root.join(path), content).unwrap();
    }
    symlink("../outside", root.join("link")).unwrap();
    symlink("../outside/secret", root.join("file-link")).unwrap();
    fs_err::create_dir(root.join("swap")).unwrap();
    fs_err::write(root.join("swap/secret"), "inside").unwrap();
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
    let files = over.server(&root).await;
    let until = Instant::now() + Duration::from_secs(4);
    let (mut read, mut refused) = (0, 0);
    while Instant::now() < until {
        for (tool, arguments) in [
            ("read_file", json!({ "path": "swap/secret" })),
            ("read_file", json!({ "path": "plain" })),
            (
                "search_content",
                json!({ "path": ".", "pattern": "secret|inside", "all": true }),
            ),
            (
                "search_content",
                json!({ "path": "swap", "pattern": "secret|inside", "all": true }),
            ),
            (
                "write_file",
                json!({ "path": "swap/written", "content": "written" }),
            ),
            (
                "write_file",
                json!({ "path": "swap/secret", "content": "inside" }),
            ),
            (
                "edit_file",
                json!({ "path": "swap/secret", "old_text": "the secret", "new_text": "x" }),
            ),
            ("create_directory", json!({ "path": "swap/made/deep" })),
            (
                "copy_file",
                json!({ "source": "real", "destination": "swap/copied" }),
            ),
            ("copy_file", json!({ "source": "swap", "destination": "taken" })),
            (
                "move_file",
                json!({ "source": "swap/secret", "destination": "stolen" }),
            ),
            (
                "move_file",
                json!({ "source": "stolen", "destination": "swap/secret" }),
            ),
            (
                "delete_file",
                json!({ "path": "swap/written", "permanent": true }),
            ),
            ("delete_file", json!({ "path": "taken", "permanent": true })),
            ("list_directory", json!({ "path": "swap" })),
            ("read_file", json!({ "path": "taken/secret" })),
        ] {
            let (answer, failed) = call(&files, tool, arguments).await;
            assert!(!answer.contains(SECRET), "{tool}: {answer}");
            if failed { refused += 1 } else { read += 1 }
        }
        unchanged(dir.path());
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapping.join().unwrap();
    unchanged(dir.path());
    // It was a race: both ways were met.
    assert!(
        swaps > 100 && read > 10 && refused > 10,
        "{swaps} swaps, {read} done, {refused} refused"
    );
}
