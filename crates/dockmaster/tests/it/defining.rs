//! `server add` and `server remove`: what is written, what is refused, and that what was added works.

use serde_json::json;

use crate::harness::Dockmaster;

fn configuration(dockmaster: &Dockmaster) -> String {
    fs_err::read_to_string(dockmaster.file("config.toml")).unwrap_or_default()
}

#[test]
fn what_is_written_is_what_was_said() {
    let written = |arguments: &[&str]| {
        let dockmaster = Dockmaster::new().configured("# Mine.\n[policy]\nask = \"never\" # for now\n");
        let ended = dockmaster.run(&[&["server", "add", "mine"], arguments].concat());
        assert_eq!(ended.code(), 0, "{}", ended.transcript());
        let text = configuration(&dockmaster);
        let rest = text
            .strip_prefix("# Mine.\n[policy]\nask = \"never\" # for now\n")
            .unwrap();
        format!("{}\n{rest}", ended.transcript())
    };
    insta::assert_snapshot!(written(&["--image", "ghcr.io/acme/notes:1", "--volume", "notes:/data", "--reach", "api.example.com:443", "--user", "1000", "--memory", "1g", "--", "--verbose", "a b"]), @r#"
    exit 0
    | mine is defined: [servers.mine] in HOME/dm/config.toml
    ! it will ask for:
    !   reaches api.example.com:443
    !   keeps data in the volume notes (at /data)
    ! next: dockmaster server test mine, then dockmaster server enable mine


    [servers.mine]
    args = ["--verbose", "a b"]
    hosts = ["api.example.com:443"]
    image = "ghcr.io/acme/notes:1"
    memory = 1073741824
    user = "1000"
    volumes = ["notes:/data"]
    "#);
    insta::assert_snapshot!(written(&["--npm", "@acme/search@2.1.0", "--secret", "KEY=search.key", "--env", "MODE=fast=yes", "--title", "Search"]), @r#"
    exit 0
    | mine is defined: [servers.mine] in HOME/dm/config.toml
    ! next: dockmaster server test mine, then dockmaster server enable mine


    [servers.mine]
    env = { "MODE" = "fast=yes" }
    npm = "@acme/search@2.1.0"
    secrets = { "KEY" = "search.key" }
    title = "Search"
    "#);
    insta::assert_snapshot!(written(&["--url", "https://mcp.example.com/mcp", "--header", "Authorization: Bearer $TOKEN", "--secret", "TOKEN=t", "--transport", "sse"]), @r#"
    exit 0
    | mine is defined: [servers.mine] in HOME/dm/config.toml
    ! it will ask for:
    !   is not run here: what the agent gives its tools is sent to mcp.example.com:443
    ! next: dockmaster server test mine, then dockmaster server enable mine


    [servers.mine]
    headers = { "Authorization" = "Bearer $TOKEN" }
    secrets = { "TOKEN" = "t" }
    transport = "sse"
    url = "https://mcp.example.com/mcp"
    "#);
    insta::assert_snapshot!(written(&["--", "/usr/bin/python3", "-c", "print('it''s')"]), @r#"
    exit 0
    | mine is defined: [servers.mine] in HOME/dm/config.toml
    ! mine can't run yet:
    !   mine is a program on this machine, outside any container, which is not permitted: write [instances] commands = true
    ! next: dockmaster server test mine, then dockmaster server enable mine


    [servers.mine]
    command = ["/usr/bin/python3", "-c", "print('it''s')"]
    "#);
}

#[test]
fn a_wrong_definition_changes_nothing() {
    let dockmaster = Dockmaster::new().configured("[servers.there]\nimage = \"busybox\"\n");
    let before = configuration(&dockmaster);
    let refused = |arguments: &[&str], exit: i32, words: &str| {
        let ended = dockmaster.run(&[&["server", "add"], arguments].concat());
        assert_eq!(ended.code(), exit, "{}", ended.transcript());
        assert!(ended.stderr().contains(words), "{}", ended.transcript());
        assert_eq!(configuration(&dockmaster), before);
    };
    refused(&["new"], 1, "exactly one of");
    refused(&["new", "--image", "a", "--npm", "b"], 2, "cannot be used with");
    refused(
        &["new", "--image", "Not An Image"],
        1,
        "is not an image reference",
    );
    refused(&["new", "--url", "ftp://example.com"], 1, "can't be used");
    refused(
        &["new", "--url", "https://example.com", "--", "x"],
        1,
        "exactly one of",
    );
    refused(&["new", "--image", "a", "--header", "A: b"], 1, "belong to a url");
    refused(
        &["new", "--image", "a", "--volume", "nowhere"],
        2,
        "the target is missing",
    );
    refused(&["new", "--image", "a", "--env", "=b"], 2, "NAME=VALUE");
    refused(
        &["new", "--image", "a", "--env", "A B=c"],
        1,
        "is not a variable's name",
    );
    refused(&["../up", "--image", "a"], 1, "can't be called");
    refused(&["docker", "--image", "a"], 1, "is the name of a built-in server");
    refused(
        &["there", "--image", "b"],
        1,
        "--replace puts this one in its place",
    );
    refused(
        &["new", "--secret", "T=t", "--", "run", "$T"],
        1,
        "holds a secret",
    );
}

#[test]
fn replacing_keeps_comments_and_removing_needs_a_word() {
    let dockmaster = Dockmaster::new().configured(
        "[servers.mine]\n# Why this one.\nimage = \"busybox\" # small\nuser = \"1000\"\n\n[profiles.default.servers.mine]\n",
    );
    let replaced = dockmaster.run(&["server", "add", "mine", "--replace", "--image", "busybox:2"]);
    assert_eq!(replaced.code(), 0, "{}", replaced.transcript());
    insta::assert_snapshot!(configuration(&dockmaster), @r#"
    [servers.mine]
    image = "busybox:2" # small

    [profiles.default.servers.mine]
    "#);
    let refused = dockmaster.run(&["server", "remove", "mine"]);
    insta::assert_snapshot!(refused.transcript(), @"
    exit 1
    ! error: mine is switched on in the profile default; --disable switches it off, too. Nothing was changed
    ");
    let removed = dockmaster.run(&["server", "remove", "mine", "--disable"]);
    assert_eq!(removed.code(), 0, "{}", removed.transcript());
    let left = configuration(&dockmaster);
    assert!(!left.contains("mine"), "{left}");
    let absent = dockmaster.run(&["server", "remove", "mine"]);
    assert_eq!(absent.code(), 1, "{}", absent.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_added_and_switched_on_answers() {
    let image = testkit::image().await;
    let dockmaster = Dockmaster::new().configured("[instances]\ncommands = true\n");
    let script = dockmaster.home().join("server.sh");
    fs_err::write(&script, crate::servers::SCRIPT).unwrap();
    let text = crate::servers::SCRIPT;
    for (name, arguments) in [
        ("contained", &["--image", image, "--", "sh", "-c", text][..]),
        ("local", &["--", "sh", script.to_str().unwrap()]),
    ] {
        let arguments = [&["server", "add", name, "--enable", "--yes"], arguments].concat();
        let added = dockmaster.run(&arguments);
        assert_eq!(added.code(), 0, "{}", added.transcript());
    }
    // What a person has to agree to is not agreed to by defining it.
    let asked = dockmaster.run(&["server", "add", "other", "--enable", "--", "sh", "-c", "exit 0"]);
    assert_eq!(asked.code(), 77, "{}", asked.transcript());
    assert!(
        asked
            .stderr()
            .contains("other was neither defined nor switched on: there is no terminal to agree at"),
        "{}",
        asked.transcript()
    );
    let shown = dockmaster.run(&["config", "show"]);
    assert!(
        !shown.stdout().contains("servers.other"),
        "{}",
        shown.transcript()
    );

    let client = dockmaster.client(&[]);
    client.initialize("2025-11-25").await;
    for name in ["contained", "local"] {
        let who = client
            .call(&format!("{name}_whoami"), json!({}))
            .await
            .ok()
            .text();
        assert!(who.contains("uid "), "{who}");
    }
    client.close().await;
    crate::servers::gone("contained").await;
}
