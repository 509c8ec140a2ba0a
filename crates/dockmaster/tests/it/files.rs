//! The files server in the executable: the whole way of a call, on real files.

use serde_json::json;

use crate::harness::Dockmaster;

fn configured(write: bool) -> (Dockmaster, tempfile::TempDir) {
    let work = tempfile::tempdir().unwrap();
    let root = work.path().display();
    let dockmaster = Dockmaster::new().configured(&format!(
        "[docker]\nenabled = false\n\n[files]\nenabled = true\nroots = [{{ path = \"{root}\", write = {write} }}]\n"
    ));
    (dockmaster, work)
}

#[test]
fn files_are_read_and_changed_where_that_is_allowed() {
    let (dockmaster, work) = configured(true);
    let file = work.path().join("notes.txt");
    let path = format!("path={}", file.display());
    let call = |arguments: &[&str]| dockmaster.run(&[&["tools", "call"], arguments].concat());
    let made = call(&["write_file", "--arg", &path, "--arg", "content=one"]);
    assert_eq!(
        (made.code(), made.stdout().contains("created")),
        (0, true),
        "{}",
        made.transcript()
    );
    let read = call(&["read_file", "--arg", &path]);
    assert!(read.stdout().contains("\none\n"), "{}", read.transcript());
    // What can't be taken back needs a person.
    let asked = call(&["delete_file", "--arg", &path, "--arg", "permanent=true"]);
    assert!(asked.code() != 0 && file.exists(), "{}", asked.transcript());
    let deleted = call(&["delete_file", "--arg", &path]);
    assert!(deleted.code() == 0 && !file.exists(), "{}", deleted.transcript());
    let outside = call(&["read_file", "--arg", "path=/etc/hostname"]);
    assert!(outside.code() != 0, "{}", outside.transcript());
    assert!(
        outside.transcript().contains("is in none of the roots"),
        "{}",
        outside.transcript()
    );
    let tools: Vec<String> = dockmaster
        .audit()
        .iter()
        .map(|row| row["tool"].as_str().unwrap().to_owned())
        .collect();
    assert!(tools.iter().any(|tool| tool.contains("read_file")), "{tools:?}");
}

#[test]
fn off_unless_switched_on_and_only_with_roots_that_fit() {
    let listed = Dockmaster::new().run(&["tools", "list"]).stdout();
    assert!(!listed.contains("read_file"), "{listed}");
    let (dockmaster, work) = configured(false);
    let listed = dockmaster.run(&["tools", "list"]).stdout();
    assert!(
        listed.contains("\nread_file ") && !listed.contains("create_container"),
        "{listed}"
    );
    let path = format!("path={}/x", work.path().display());
    let refused = dockmaster.run(&[
        "tools",
        "call",
        "write_file",
        "--arg",
        &path,
        "--arg",
        "content=x",
    ]);
    assert!(
        refused.transcript().contains("[files] roots"),
        "{}",
        refused.transcript()
    );
    let servers = dockmaster.run(&["server", "list"]).stdout();
    assert!(servers.contains("files"), "{servers}");
    // Neither the folder of the configuration, nor that of a file that says what runs.
    let elsewhere = tempfile::tempdir().unwrap();
    let tools = json!(elsewhere.path().join("tools.toml").to_str().unwrap());
    for (root, more) in [
        (None, String::new()),
        (
            Some(elsewhere.path()),
            format!("[servers.own]\ntools = {tools}\n"),
        ),
    ] {
        let dockmaster = Dockmaster::new();
        let root = json!(root.unwrap_or(dockmaster.home()).to_str().unwrap());
        let own = dockmaster.configured(&format!(
            "[files]\nenabled = true\nroots = [{{ path = {root} }}]\n{more}"
        ));
        let faulty = own.run(&["tools", "list"]);
        assert!(faulty.code() != 0, "{}", faulty.transcript());
        assert!(
            faulty
                .stderr()
                .contains("where dockmaster keeps its configuration or state"),
            "{}",
            faulty.transcript()
        );
    }
}
