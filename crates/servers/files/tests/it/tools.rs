//! What the tools do when all is well, and what they say when it is not.

use super::{Over, call, error, text};
use files_server::{Files, Options, Root};
use serde_json::json;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

both!(reading_writing_and_editing);

async fn reading_writing_and_editing(over: Over) {
    let dir = tempfile::tempdir().unwrap();
    let files = over.server(dir.path()).await;
    let path = dir.path().join("a.txt");
    let shown = path.to_str().unwrap();
    let made = text(
        &files,
        "write_file",
        json!({ "path": shown, "content": "one\ntwo\nthree\n" }),
    )
    .await;
    assert_eq!(made, format!("created {shown}: 14 B"));
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
    // A relative path is taken from the one root; other names of parameters are understood.
    let read = text(
        &files,
        "read_file",
        json!({ "file_path": "a.txt", "start_line": 2, "limit": 1 }),
    )
    .await;
    assert_eq!(read, "two\n[lines 2-2 of 3; offset=3 reads on]");
    let edit =
        json!({ "path": shown, "edits": [{ "oldText": "two\n", "newText": "2\n2b\n" }], "dryRun": true });
    let diff = text(&files, "edit_file", edit).await;
    assert_eq!(
        diff,
        format!(
            "--- {shown}\n+++ {shown}\n@@ -1,3 +1,4 @@\n one\n-two\n+2\n+2b\n three\n[nothing was written: dry_run]"
        )
    );
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    text(
        &files,
        "edit_file",
        json!({ "path": shown, "old_string": "two\n", "new_string": "2\n" }),
    )
    .await;
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "one\n2\nthree\n");
    // The mode stays, and nothing is left beside it.
    assert_eq!(
        fs_err::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o750
    );
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
    let taken = error(
        &files,
        "write_file",
        json!({ "path": shown, "content": "", "overwrite": false }),
    )
    .await;
    assert!(taken.starts_with("conflict: can't write"), "{taken}");
    let lost = error(&files, "read_file", json!({ "path": "none.txt" })).await;
    assert!(
        lost.starts_with("not_found: ") && lost.contains("fix: list_directory"),
        "{lost}"
    );
    let wrong = error(&files, "read_file", json!({ "path": "a.txt", "offset": "x" })).await;
    assert!(
        wrong.starts_with("invalid_arguments: parameter offset"),
        "{wrong}"
    );
    let read = text(
        &files,
        "write_file",
        json!({ "path": "b", "content": "AAEC/w==", "encoding": "base64" }),
    )
    .await;
    assert!(read.ends_with("4 B"), "{read}");
    let read = text(&files, "read_file", json!({ "path": "b" })).await;
    assert_eq!(read, "AAEC/w==\n[base64 of bytes 1-4 of 4]");
}

#[tokio::test]
async fn images_are_images() {
    let dir = tempfile::tempdir().unwrap();
    let files = Over::Nothing.server(dir.path()).await;
    fs_err::write(dir.path().join("x.dat"), b"\x89PNG\r\n\x1a\n....").unwrap();
    let params = json!({ "name": "read_file", "arguments": { "path": "x.dat" } }).to_string();
    let params = serde_json::value::RawValue::from_string(params).unwrap();
    let answer = server_kit::Service::answer(&files.server, &params).await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(answer.get()).unwrap();
    assert_eq!(answer["content"][1]["type"], "image");
    assert_eq!(answer["content"][1]["mimeType"], "image/png");
    assert_eq!(answer["content"][1]["data"], "iVBORw0KGgouLi4u");
}

both!(a_root_that_may_only_be_read);

async fn a_root_that_may_only_be_read(over: Over) {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("a"), "x").unwrap();
    let files = over.with(dir.path(), false, false).await;
    for (tool, arguments) in [
        ("write_file", json!({ "path": "a", "content": "" })),
        (
            "edit_file",
            json!({ "path": "a", "old_text": "x", "new_text": "y" }),
        ),
        ("create_directory", json!({ "path": "d" })),
        ("move_file", json!({ "source": "a", "destination": "b" })),
        ("copy_file", json!({ "source": "a", "destination": "b" })),
        ("delete_file", json!({ "path": "a" })),
    ] {
        let refused = error(&files, tool, arguments).await;
        assert!(
            refused.contains("may only be read\nfix: only the owner"),
            "{tool}: {refused}"
        );
    }
    assert_eq!(text(&files, "read_file", json!({ "path": "a" })).await, "x");
    let roots = text(&files, "list_allowed_directories", json!({})).await;
    assert_eq!(roots, format!("path\taccess\n{}\tread", dir.path().display()));
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
}

both!(moving_copying_and_the_trash);

async fn moving_copying_and_the_trash(over: Over) {
    let dir = tempfile::tempdir().unwrap();
    let files = over.server(dir.path()).await;
    let at = |name: &str| dir.path().join(name);
    text(&files, "create_directory", json!({ "path": "d/e" })).await;
    fs_err::write(at("d/e/f"), "content").unwrap();
    symlink("e/f", at("d/link")).unwrap();
    text(&files, "copy_file", json!({ "from": "d", "to": "copy" })).await;
    assert_eq!(fs_err::read_to_string(at("copy/link")).unwrap(), "content");
    let into = error(
        &files,
        "copy_file",
        json!({ "source": "d", "destination": "d/e/again" }),
    )
    .await;
    assert!(into.starts_with("invalid_arguments"), "{into}");
    let taken = error(
        &files,
        "move_file",
        json!({ "source": "d", "destination": "copy" }),
    )
    .await;
    assert!(taken.starts_with("conflict") && at("d/e/f").exists(), "{taken}");
    text(
        &files,
        "move_file",
        json!({ "source": "d/e/f", "destination": "g" }),
    )
    .await;
    assert!(at("g").exists() && !at("d/e/f").exists());
    let deleted = text(&files, "delete_file", json!({ "path": "copy" })).await;
    let id = deleted.rsplit_once("id ").unwrap().1.split(' ').next().unwrap();
    assert!(!at("copy").exists());
    let trash = text(&files, "restore_file", json!({})).await;
    assert!(
        trash.contains(id) && trash.contains(at("copy").to_str().unwrap()),
        "{trash}"
    );
    // Nobody sees it otherwise.
    let list = text(&files, "list_directory", json!({ "path": "." })).await;
    assert!(!list.contains("trash"), "{list}");
    let found = text(
        &files,
        "search_files",
        json!({ "path": ".", "pattern": "f", "all": true }),
    )
    .await;
    assert!(found.ends_with("[0 files]"), "{found}");
    for path in [".dockmaster-trash", ".dockmaster-trash/x/item"] {
        let refused = error(&files, "list_directory", json!({ "path": path })).await;
        assert!(refused.starts_with("refused: "), "{refused}");
    }
    text(&files, "restore_file", json!({ "id": id })).await;
    assert_eq!(fs_err::read_to_string(at("copy/e/f")).unwrap(), "content");
    text(&files, "delete_file", json!({ "path": "g" })).await;
    let kept = text(&files, "empty_trash", json!({ "older_than": "1h" })).await;
    assert_eq!(kept, "removed 0 items from the trash");
    let emptied = text(&files, "empty_trash", json!({})).await;
    assert_eq!(emptied, "removed 1 item from the trash");
    let gone = error(&files, "restore_file", json!({ "id": id })).await;
    assert!(gone.starts_with("not_found: "), "{gone}");
    text(
        &files,
        "delete_file",
        json!({ "path": "copy", "permanent": true }),
    )
    .await;
    assert!(!at("copy").exists());
    let root = error(&files, "delete_file", json!({ "path": "." })).await;
    assert!(root.contains("it is the root itself"), "{root}");
}

both!(listing_and_finding);

async fn listing_and_finding(over: Over) {
    let dir = tempfile::tempdir().unwrap();
    let files = over.server(dir.path()).await;
    for (path, content) in [
        (".gitignore", "target/\n*.log\n"),
        ("src/main.rs", "fn main() {\n    needle();\n}\n"),
        ("src/keep.log", "needle\n"),
        ("src/.gitignore", "!keep.log\n"),
        ("target/out.rs", "needle\n"),
        ("b.log", "needle\n"),
        (".hidden", "needle\n"),
        ("binary", "needle\n\0needle\n"),
        ("README.md", "a Needle\r\nb\n"),
    ] {
        fs_err::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        fs_err::write(dir.path().join(path), content).unwrap();
    }
    let root = dir.path().to_str().unwrap();
    let tree = text(&files, "directory_tree", json!({ "path": root })).await;
    assert_eq!(
        tree,
        format!("{root}/\n  README.md\n  binary\n  src/\n    keep.log\n    main.rs")
    );
    let lines = text(
        &files,
        "search_content",
        json!({ "path": root, "pattern": "needle" }),
    )
    .await;
    assert_eq!(
        lines,
        format!("{root}/src/keep.log\n1:needle\n{root}/src/main.rs\n2:    needle();\n[2 lines in 2 files]")
    );
    let wide = json!({ "path": root, "pattern": "needle", "context": 21 });
    let refused = error(&files, "search_content", wide).await;
    assert!(refused.contains("more than 20"), "{refused}");
    let context = json!({ "path": "src/main.rs", "pattern": "needle()", "literal": true, "context": 1 });
    let lines = text(&files, "grep", context).await;
    assert_eq!(
        lines,
        format!("{root}/src/main.rs\n1-fn main() {{\n2:    needle();\n3-}}\n[1 line in 1 file]")
    );
    let names = json!({ "path": root, "pattern": "NEEDLE", "ignore_case": true, "output": "files", "glob": "*.{md,rs}" });
    let names = text(&files, "search_content", names).await;
    assert_eq!(names, format!("{root}/README.md\n{root}/src/main.rs\n[2 files]"));
    let all = json!({ "path": root, "pattern": "needle", "all": true, "output": "count" });
    let all = text(&files, "search_content", all).await;
    assert_eq!(all.lines().last().unwrap(), "[5 lines in 5 files]");
    let few = json!({ "path": root, "pattern": "needle", "limit": 1 });
    let few = text(&files, "search_content", few).await;
    assert!(
        few.ends_with("[1 line in 1 file shown; there are more: narrow the search, or give a higher limit]"),
        "{few}"
    );
    let found = json!({ "path": root, "pattern": "src/**/*.rs" });
    assert_eq!(
        text(&files, "search_files", found).await,
        format!("{root}/src/main.rs\n[1 file]")
    );
    let found = json!({ "path": root, "pattern": "*", "excludePatterns": ["src"] });
    let found = text(&files, "search_files", found).await;
    assert_eq!(found, format!("{root}/README.md\n{root}/binary\n[2 files]"));
    let list = text(
        &files,
        "list_directory",
        json!({ "path": "src", "limit": 1, "after": ".gitignore" }),
    )
    .await;
    assert!(
        list.contains("\nkeep.log\tfile\t7 B\t") && list.ends_with("[1 of 3; after=keep.log goes on]"),
        "{list}"
    );
    let bad = error(&files, "search_content", json!({ "path": root, "pattern": "(" })).await;
    assert!(bad.starts_with("invalid_arguments: parameter pattern"), "{bad}");
}

both!(searches_that_do_not_fit);

async fn searches_that_do_not_fit(over: Over) {
    let dir = tempfile::tempdir().unwrap();
    let files = over.server(dir.path()).await;
    let root = dir.path().to_str().unwrap();
    for name in ["a.rs", "b.rs"] {
        fs_err::write(dir.path().join(name), "").unwrap();
    }
    let few = json!({ "path": root, "pattern": "*.rs", "all": true, "limit": 1 });
    let few = text(&files, "search_files", few).await;
    assert!(few.contains("[1 file shown; there are more: "), "{few}");
    for tool in ["search_files", "search_content"] {
        let much = json!({ "path": root, "pattern": "needle", "limit": 150_000 });
        let much = error(&files, tool, much).await;
        assert!(
            much.starts_with("invalid_arguments: ")
                && much.contains("parameter limit: 150000 is more than 20000")
                && much.contains("fix: give a limit of at most 20000; narrow path"),
            "{much}"
        );
    }
    for (pattern, why) in [
        ("[", "unclosed character class"),
        ("a[b", "unclosed character class"),
        ("{a", "unclosed alternate group"),
        ("[z-a]", "invalid range"),
        (" ", "it is empty"),
    ] {
        let bad = error(
            &files,
            "search_files",
            json!({ "path": root, "pattern": pattern }),
        )
        .await;
        assert!(
            bad.starts_with("invalid_arguments: parameter pattern: ")
                && bad.contains(why)
                && bad.contains("\nfix: write a glob such as"),
            "{pattern}: {bad}"
        );
    }
    let bad = json!({ "path": root, "pattern": "needle", "glob": "[" });
    let bad = error(&files, "search_content", bad).await;
    assert!(bad.starts_with("invalid_arguments: parameter glob: "), "{bad}");
}

both!(waiting_for_changes);

async fn waiting_for_changes(over: Over) {
    let dir = tempfile::tempdir().unwrap();
    let files = over.server(dir.path()).await;
    fs_err::write(dir.path().join("old"), "").unwrap();
    let nothing = text(&files, "watch_files", json!({ "path": ".", "timeout": "1s" })).await;
    assert!(nothing.starts_with("nothing changed"), "{nothing}");
    // Changes until the watcher, who may not have begun when the first came, has seen one.
    let changing = async {
        for count in 1.. {
            fs_err::write(dir.path().join(format!("new-{count}")), "").unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let watching = call(&files, "watch_files", json!({ "path": ".", "timeout": 60 }));
    let (seen, failed) = tokio::select! {
        answer = watching => answer,
        () = changing => unreachable!("there is always another number"),
    };
    assert!(
        !failed && seen.contains("created\t") && seen.contains("/new-"),
        "{seen}"
    );
}

#[test]
fn roots_that_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["work/ro", "own/state"] {
        fs_err::create_dir_all(at(name)).unwrap();
    }
    symlink(at("own"), at("alias")).unwrap();
    let fits = |roots: &[(&str, bool)]| {
        let options = Options {
            roots: roots
                .iter()
                .map(|(path, write)| Root {
                    path: at(path),
                    write: *write,
                })
                .collect(),
            named: super::named(),
            hard_links: false,
            answer_tokens: 1_000,
            client_roots: true,
            search_time: super::SEARCH,
            elsewhere: Vec::new(),
        };
        options
            .check(&[at("own/state")])
            .map_err(|unfit| unfit.to_string())
    };
    assert_eq!(fits(&[("work", true)]), Ok(()));
    assert_eq!(fits(&[("work", false), ("work/ro", true)]), Ok(()));
    for (roots, expected) in [
        (
            &[("work", true), ("work/ro", false)][..],
            "which may only be read",
        ),
        (&[("work/ro", false), ("work", true)], "which may only be read"),
        (&[("own", false)], "keeps its configuration or state"),
        (&[("alias", false)], "keeps its configuration or state"),
        (&[("own/state/deeper", false)], "keeps its configuration or state"),
        (&[(".", false)], "keeps its configuration or state"),
        (&[("work", true), ("work", true)], "twice"),
        (&[("work/../own", true)], "without .."),
    ] {
        let unfit = fits(roots).unwrap_err();
        assert!(unfit.contains(expected), "{roots:?}: {unfit}");
    }
    drop(Files::server(Options {
        roots: Vec::new(),
        named: super::named(),
        hard_links: false,
        answer_tokens: 1_000,
        client_roots: true,
        search_time: super::SEARCH,
        elsewhere: Vec::new(),
    }));
}
