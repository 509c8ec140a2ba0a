//! Cursors, which are good for the call that they came from and for no other.

use super::{Over, Served, error, text};
use serde_json::{Value, json};

/// Two directories with more names than fit into one answer.
async fn served() -> (tempfile::TempDir, Served) {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["a", "b"] {
        let folder = dir.path().join(folder);
        fs_err::create_dir(&folder).unwrap();
        for number in 0..900 {
            let name = format!("{number:03}-{}", "long".repeat(20));
            fs_err::write(folder.join(name), "needle\n").unwrap();
        }
    }
    let files = Over::Nothing.server(dir.path()).await;
    (dir, files)
}

fn cursor(answer: &str) -> Value {
    let (_, rest) = answer.rsplit_once("; cursor ").unwrap();
    json!(rest.split([';', ']']).next().unwrap())
}

#[tokio::test]
async fn what_is_no_cursor_is_refused() {
    let (_dir, files) = served().await;
    for (tool, mut arguments) in [
        ("list_directory", json!({ "path": "a" })),
        ("directory_tree", json!({ "path": "a" })),
        ("search_files", json!({ "path": "a", "pattern": "*" })),
        ("search_content", json!({ "path": "a", "pattern": "x" })),
    ] {
        arguments["cursor"] = json!("garbage");
        let refused = error(&files, tool, arguments.clone()).await;
        assert!(
            refused
                .starts_with("invalid_arguments: parameter cursor: \"garbage\" is no cursor: leave it out"),
            "{tool}: {refused}"
        );
        // As it was, whether or not it looks like one that there could be.
        for stale in ["page-", "page-x-1", "page-1-2"] {
            arguments["cursor"] = json!(stale);
            let refused = error(&files, tool, arguments.clone()).await;
            assert_eq!(
                refused,
                format!(
                    "stale: cursor {stale:?} is not known any more\n\
                     fix: call the tool again without cursor; pages are kept for ten minutes"
                )
            );
        }
        arguments["cursor"] = json!("");
        text(&files, tool, arguments).await;
    }
}

#[tokio::test]
async fn a_page_is_for_its_tool_alone() {
    let (_dir, files) = served().await;
    let cursor = cursor(&text(&files, "directory_tree", json!({ "path": "b" })).await);
    let asked = json!({ "path": "a", "cursor": cursor });
    let refused = error(&files, "list_directory", asked).await;
    assert!(
        refused.contains("it is of an answer of directory_tree, not of list_directory"),
        "{refused}"
    );
    text(&files, "directory_tree", json!({ "cursor": cursor })).await;
}
