//! Clients with roots of their own, which reach what these and the configured ones have in common.

use super::{SECRET, place, unframed};
use files_server::{Files, FilesServer, Options, Root};
use serde_json::{Value, json};
use server_kit::Service as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn server(root: &Path, client_roots: bool) -> FilesServer {
    Files::server(Options {
        roots: vec![Root {
            path: root.to_owned(),
            write: true,
        }],
        named: super::named(),
        hard_links: false,
        answer_tokens: 8_000,
        client_roots,
        search_time: super::SEARCH,
        elsewhere: Vec::new(),
    })
}

/// What comes of a call by a client with roots, which names these where they are given.
async fn answer(server: &FilesServer, tool: &str, arguments: &Value, roots: Option<&[&Path]>) -> Value {
    let mut params = json!({
        "name": tool,
        "arguments": arguments,
        "_meta": { "io.modelcontextprotocol/clientCapabilities": { "roots": {} } },
    });
    if let Some(roots) = roots {
        let address = |root: &&Path| json!({ "uri": format!("file://{}", root.display()), "name": "x" });
        let all: Vec<Value> = roots.iter().map(address).collect();
        params["inputResponses"] = json!({ "roots": { "roots": all } });
    }
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let answer = server.answer(&params).await.unwrap();
    serde_json::from_str(answer.get()).unwrap()
}

async fn text(server: &FilesServer, tool: &str, arguments: Value, roots: &[&Path]) -> String {
    let answer = answer(server, tool, &arguments, Some(roots)).await;
    let text = answer["content"][0]["text"].as_str().unwrap();
    let mark = if answer["isError"] == true { "error: " } else { "" };
    format!("{mark}{}", unframed(text))
}

#[tokio::test]
async fn a_client_is_asked_and_confined() {
    let dir = place();
    let root = dir.path().join("root");
    let sub = root.join("sub");
    fs_err::write(root.join("above"), "above").unwrap();
    symlink("../above", sub.join("up")).unwrap();
    let files = server(&root, true);
    let read = |path: &str| json!({ "path": path });
    let asked = answer(&files, "read_file", &read("above"), None).await;
    assert_eq!(
        asked,
        json!({"resultType": "input_required", "inputRequests": {"roots": {"method": "roots/list"}}})
    );
    // A page of an answer, and a tool that is none, need no roots.
    let page = answer(&files, "read_file", &json!({ "cursor": "page-none" }), None).await;
    assert!(page["inputRequests"].is_null(), "{page}");

    // The whole root, a part of it, and nothing of it.
    assert_eq!(text(&files, "read_file", read("above"), &[&root]).await, "above");
    assert_eq!(
        text(&files, "read_file", read("above"), &[dir.path()]).await,
        "above"
    );
    assert_eq!(text(&files, "read_file", read("inside"), &[&sub]).await, "inside");
    let path = sub.join("inside");
    let whole = read(path.to_str().unwrap());
    assert_eq!(text(&files, "read_file", whole.clone(), &[&sub]).await, "inside");
    let above = root.join("above");
    let above = above.to_str().unwrap();
    for (tool, arguments) in [
        ("read_file", read(above)),
        ("read_file", read("up")),
        ("read_file", read("../above")),
        ("write_file", json!({ "path": above, "content": "x" })),
        ("write_file", json!({ "path": "up/x", "content": "x" })),
        ("delete_file", read(above)),
        ("move_file", json!({ "source": "inside", "destination": above })),
        ("move_file", json!({ "source": above, "destination": "new" })),
        ("copy_file", json!({ "source": above, "destination": "new" })),
        ("list_directory", read(root.to_str().unwrap())),
        (
            "search_content",
            json!({ "path": root.to_str().unwrap(), "pattern": "above" }),
        ),
    ] {
        let refused = text(&files, tool, arguments, &[&sub]).await;
        assert!(refused.starts_with("error: "), "{tool}: {refused}");
    }
    assert_eq!(fs_err::read_to_string(root.join("above")).unwrap(), "above");
    let found = text(
        &files,
        "search_content",
        json!({ "path": ".", "pattern": "above" }),
        &[&sub],
    )
    .await;
    assert!(found.ends_with("[0 lines in 0 files]"), "{found}");

    let outside = dir.path().join("outside");
    for (tool, arguments) in [
        ("read_file", read("above")),
        ("write_file", json!({ "path": above, "content": "x" })),
        ("restore_file", json!({})),
        ("empty_trash", json!({})),
    ] {
        let refused = text(&files, tool, arguments, &[&outside]).await;
        assert!(
            refused
                .starts_with("error: refused: no files can be reached, for the client's own roots (file://")
                && refused.contains("have nothing in common")
                && refused.contains("client_roots = false"),
            "{tool}: {refused}"
        );
    }
    let shown = text(&files, "list_allowed_directories", json!({}), &[&sub]).await;
    assert!(
        shown.contains(sub.to_str().unwrap()) && shown.contains("have in common"),
        "{shown}"
    );
    let shown = text(&files, "list_allowed_directories", json!({}), &[&outside]).await;
    assert!(shown.contains("have nothing in common"), "{shown}");
    // Where the configuration says so, nobody is asked, and nothing is confined.
    let free = server(&root, false);
    let answer = answer(&free, "read_file", &read("above"), None).await;
    assert_eq!(unframed(answer["content"][0]["text"].as_str().unwrap()), "above");
    assert_eq!(
        text(&free, "read_file", read("above"), &[&outside]).await,
        "above"
    );
}

#[tokio::test]
async fn the_trash_of_a_part_is_its_own() {
    let dir = place();
    let root = dir.path().join("root");
    let sub = root.join("sub");
    fs_err::write(root.join("above"), "above").unwrap();
    let files = server(&root, true);
    let delete = json!({ "path": "inside" });
    let moved = text(&files, "delete_file", delete, &[&sub]).await;
    let id = moved.split("with id ").nth(1).unwrap().split(' ').next().unwrap();
    text(&files, "delete_file", json!({ "path": "above" }), &[&root]).await;
    let trash = text(&files, "restore_file", json!({}), &[&sub]).await;
    assert!(
        trash.contains("sub/inside") && !trash.contains("above"),
        "{trash}"
    );
    let trash = text(&files, "restore_file", json!({}), &[&root]).await;
    assert!(trash.contains("above") && !trash.contains("inside"), "{trash}");
    // Nor does it show from above.
    let tree = text(
        &files,
        "directory_tree",
        json!({ "path": ".", "all": true }),
        &[&root],
    )
    .await;
    assert!(!tree.contains("trash"), "{tree}");
    let listed = text(&files, "list_directory", json!({ "path": "sub" }), &[&root]).await;
    assert!(!listed.contains("trash"), "{listed}");
    let hidden = format!("sub/.dockmaster-trash/{id}/item");
    let refused = text(&files, "read_file", json!({ "path": hidden }), &[&root]).await;
    assert!(refused.contains("belongs to the trash"), "{refused}");
    text(&files, "restore_file", json!({ "id": id }), &[&sub]).await;
    assert_eq!(fs_err::read_to_string(sub.join("inside")).unwrap(), "inside");
}

/// A link that leads now outside, now into the root, as long as this value is there.
struct Swapping {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Swapping {
    fn of(link: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, link) = (Arc::clone(&stop), link.to_owned());
        let thread = std::thread::spawn(move || {
            let spare = link.with_file_name("spare");
            for target in ["outside", "root/sub"].into_iter().cycle() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                symlink(target, &spare).unwrap();
                fs_err::rename(&spare, &link).unwrap();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Swapping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        // A test that fails already says why.
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// The client's root is now a directory of the configured one, now another outside that has a file of the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_changes_its_place_meanwhile() {
    let dir = place();
    let root = dir.path().join("root");
    fs_err::write(root.join("sub/secret"), "inside").unwrap();
    let link = dir.path().join("link");
    let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
    symlink("root/sub", &good).unwrap();
    symlink("outside", &bad).unwrap();
    symlink("root/sub", &link).unwrap();
    let swapping = Swapping::of(&link);
    let files = server(&root, true);
    let (mut inside, mut refused) = (0, 0);
    let began = Instant::now();
    let path = link.join("secret");
    while began.elapsed() < Duration::from_secs(30) && (inside < 200 || refused < 200) {
        let arguments = json!({ "path": path.to_str().unwrap() });
        let answer = text(&files, "read_file", arguments, &[&link]).await;
        assert!(!answer.contains(SECRET), "{answer}");
        if answer == "inside" {
            inside += 1;
        } else {
            refused += 1;
        }
    }
    drop(swapping);
    assert!(inside > 0 && refused > 0, "{inside} inside, {refused} refused");
}
