//! Much of everything: large files, many files.

use super::{MOST_READ, Over, Served, named, text};
use files_server::{Files, Options, Root};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_sparse_gigabyte() {
    let over = Over::Nothing;
    let dir = tempfile::tempdir().unwrap();
    let files = over.server(dir.path()).await;
    let file = fs_err::File::create(dir.path().join("sparse")).unwrap();
    file.set_len(1 << 30).unwrap();
    let began = Instant::now();
    let read = text(&files, "read_file", json!({ "path": "sparse" })).await;
    assert!(
        read.len() <= 32_000 && read.contains(" of 1073741824; offset="),
        "{}",
        read.len()
    );
    let end = text(
        &files,
        "read_file",
        json!({ "path": "sparse", "encoding": "base64", "offset": -2 }),
    )
    .await;
    assert_eq!(end, "AAA=\n[base64 of bytes 1073741823-1073741824 of 1073741824]");
    let line = text(
        &files,
        "read_file",
        json!({ "path": "sparse", "encoding": "text" }),
    )
    .await;
    assert!(line.contains("line 1 goes on"), "{}", base::text::cut(&line, 200));
    let found = text(&files, "search_content", json!({ "path": ".", "pattern": "x" })).await;
    assert!(found.ends_with("[0 lines in 0 files]"), "{found}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn many_files() {
    let over = Over::Nothing;
    let dir = tempfile::tempdir().unwrap();
    let files = over.server(dir.path()).await;
    for folder in 0..100 {
        let folder = dir.path().join(format!("d{folder:02}"));
        fs_err::create_dir(&folder).unwrap();
        for file in 0..1_000 {
            fs_err::write(
                folder.join(format!("f{file:03}")),
                if file == 7 { "needle\n" } else { "hay\n" },
            )
            .unwrap();
        }
    }
    let found = text(
        &files,
        "search_content",
        json!({ "path": ".", "pattern": "needle", "output": "files" }),
    )
    .await;
    assert!(found.ends_with("[100 files]"), "{}", found.len());
    let names = text(&files, "search_files", json!({ "path": ".", "pattern": "f999" })).await;
    assert!(names.ends_with("[100 files]"), "{}", names.len());
    let tree = text(&files, "directory_tree", json!({ "path": "." })).await;
    assert!(
        tree.len() <= 32_000 && tree.contains("; cursor page-"),
        "{}",
        tree.len()
    );
    // All names of one directory, page by page and part by part.
    let (mut count, mut after) = (0, json!(null));
    loop {
        let list = text(
            &files,
            "list_directory",
            json!({ "path": "d00", "limit": 300, "after": after }),
        )
        .await;
        count += list.lines().filter(|line| line.contains("\tfile\t")).count();
        let Some(rest) = list.rsplit_once("; after=") else {
            break;
        };
        after = json!(rest.1.trim_end_matches(" goes on]"));
    }
    assert_eq!(count, 1_000);
}

/// More than may be asked for at once: what is advised then is not a higher limit.
#[tokio::test]
async fn more_than_a_search_shows() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("lines"), "needle\n".repeat(20_001)).unwrap();
    let files = Over::Nothing.server(dir.path()).await;
    let search =
        |limit: Option<usize>| json!({ "path": ".", "pattern": "needle", "output": "count", "limit": limit });
    for (limit, end) in [
        (
            None,
            "\t500\n[500 lines in 1 file shown; there are more: narrow the search, or give a higher limit]",
        ),
        (
            Some(20_000),
            "\t20000\n[20000 lines in 1 file shown; there are more, and 20000 is the highest limit: narrow path, glob or pattern]",
        ),
    ] {
        let found = text(&files, "search_content", search(limit)).await;
        assert!(found.ends_with(end), "{found}");
    }
    fs_err::write(dir.path().join("lines"), "needle\n".repeat(20_000)).unwrap();
    let found = text(&files, "search_content", search(Some(20_000))).await;
    assert!(found.ends_with("[20000 lines in 1 file]"), "{found}");
}

/// Everything comes over a network, so a search is content with less, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn more_names_than_are_looked_at_over_sftp() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..50_001 {
        fs_err::write(dir.path().join(number.to_string()), "").unwrap();
    }
    let files = Over::Sftp.with(dir.path(), false, true).await;
    let found = text(&files, "search_files", json!({ "path": ".", "pattern": "none" })).await;
    assert!(
        found.ends_with("[0 files; not all was searched: 50,000 names were looked at over SFTP; narrow it]"),
        "{found}"
    );
}

/// Nor are more bytes read than the way there is good for.
#[tokio::test(flavor = "multi_thread")]
async fn more_bytes_than_are_read_over_sftp() {
    let dir = tempfile::tempdir().unwrap();
    let hay = "hay, and more hay\n".repeat((1 << 20) / 18);
    for number in 0..2 * MOST_READ {
        fs_err::write(dir.path().join(number.to_string()), &hay).unwrap();
    }
    let files = Over::Sftp.with(dir.path(), false, true).await;
    let found = text(
        &files,
        "search_content",
        json!({ "path": ".", "pattern": "needle" }),
    )
    .await;
    assert!(
        found.ends_with(&format!(
            "[0 lines in 0 files; not all was searched: {MOST_READ} MiB were read over SFTP; narrow it]"
        )),
        "{found}"
    );
}

/// A search ends when its time is over, and says so.
#[tokio::test]
async fn longer_than_a_search_may_take() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..2_000 {
        fs_err::write(dir.path().join(number.to_string()), "hay").unwrap();
    }
    let files = Files::server(Options {
        roots: vec![Root {
            path: dir.path().to_owned(),
            write: false,
        }],
        named: named(),
        hard_links: false,
        answer_tokens: 8_000,
        client_roots: true,
        search_time: Duration::from_millis(1),
        elsewhere: Vec::new(),
    });
    let served = Served {
        server: files,
        host: None,
        _sshd: None,
    };
    let needle = json!({ "path": ".", "pattern": "needle" });
    for tool in ["search_content", "search_files"] {
        let found = text(&served, tool, needle.clone()).await;
        assert!(
            found.contains("not all was searched in 0.001 s: narrow it"),
            "{found}"
        );
    }
}
