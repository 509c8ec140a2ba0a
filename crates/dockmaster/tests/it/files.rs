//! The files server in the executable: the whole way of a call, on real files.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::Sshd;

use crate::harness::Dockmaster;
use crate::web::Web;

/// Dockmaster with these lines and a host `far` behind an sshd, where somebody with its keys may log in.
pub(crate) fn with_far(sshd: &Sshd, toml: &str) -> Dockmaster {
    let endpoint = format!("ssh://{}@127.0.0.1:{}", Sshd::user(), sshd.port());
    let dockmaster = Dockmaster::new().configured(&toml.replace("{endpoint}", &endpoint));
    dockmaster.let_in_by(sshd);
    dockmaster
}

/// The mode of a host is that of its files, and of commands on it, too.
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_may_be_changed_no_file_is() {
    let sshd = Sshd::start("Subsystem sftp internal-sftp").await;
    let work = tempfile::tempdir().unwrap();
    let root = work.path().display();
    let dockmaster = with_far(
        &sshd,
        &format!(
            "[docker]\nenabled = false\n[policy]\nask = 'never'\n[files]\nenabled = true\n\
             roots = [{{ path = '{root}', write = true }}]\n[shell]\nenabled = true\nrunner = 'host'\n[hosts.far]\nendpoint = '{{endpoint}}'\nmode = 'read-only'\n\
             [hosts.far.files]\nroots = [{{ path = '{root}', write = true }}]\n[hosts.far.shell]\nrunner = 'host'\n"
        ),
    );
    let file = |name: &str| work.path().join(name);
    let write = |name: &str| json!({"path": file(name), "content": "a"});
    let touch = |name: &str| json!({"command": ["touch", file(name)]});
    let on_far = |mut arguments: Value| {
        arguments["host"] = json!("far");
        arguments
    };
    let client = dockmaster.client(&[]);
    client.initialize("2025-11-25").await;
    client.call("write_file", write("one")).await.ok();
    client.call("run_command", touch("two")).await.ok();
    let read = json!({"path": file("one"), "host": "far"});
    assert!(client.call("read_file", read).await.ok().text().contains('a'));
    let refused = client.call("write_file", on_far(write("three"))).await.failure();
    assert!(refused.contains("may only be read"), "{refused}");
    let refused = client.call("run_command", on_far(touch("four"))).await.failure();
    assert!(
        refused.contains("the mode of the host far is read-only"),
        "{refused}"
    );
    assert!(client.close().await.success());

    let client = dockmaster.client(&["--mode", "read-only"]);
    client.initialize("2025-11-25").await;
    client.call("write_file", write("five")).await.failure();
    let refused = client.call("run_command", touch("six")).await.failure();
    assert!(
        refused.contains("the mode of the host local is read-only"),
        "{refused}"
    );
    assert!(client.close().await.success());
    let mut there: Vec<_> = fs_err::read_dir(work.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    there.sort();
    assert_eq!(there, ["one", "two"]);
}

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

/// A profile with roots of its own has these and no others, here and elsewhere, for files and for commands.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_has_roots_of_its_own() {
    let sshd = Sshd::start("Subsystem sftp internal-sftp").await;
    let (everybody, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&everybody, &work] {
        fs_err::write(folder.path().join("notes"), "content").unwrap();
    }
    let (ours, theirs) = (everybody.path().display(), work.path().display());
    let dockmaster = with_far(
        &sshd,
        &format!(
            "[docker]\nenabled = false\n[policy]\nask = 'never'\n[files]\nenabled = true\nroots = [{{ path = '{ours}' }}]\n\
             [shell]\nenabled = true\nrunner = 'host'\n[profiles.work]\nroots = [{{ path = '{theirs}', write = true }}]\n\
             [profiles.far]\nroots = [{{ path = '{theirs}' }}, {{ host = 'far', path = '{theirs}' }}]\n[profiles.other]\n\
             [hosts.far]\nendpoint = '{{endpoint}}'\n[hosts.far.files]\nroots = [{{ path = '{ours}' }}]\n[hosts.far.shell]\nrunner = 'host'\n"
        ),
    );
    let web = Web::start(dockmaster, &["--port", "0"]).await;
    let read = |folder: &tempfile::TempDir| json!({ "path": folder.path().join("notes") });
    let on_far = |mut arguments: Value| {
        arguments["host"] = json!("far");
        arguments
    };
    let run = |folder: &tempfile::TempDir| json!({"command": ["cat", "notes"], "directory": folder.path()});
    for (profile, here, far, runs_on_far) in [
        (None, &everybody, Some(&everybody), true),
        (Some("other"), &everybody, Some(&everybody), true),
        (Some("work"), &work, None, false),
        (Some("far"), &work, Some(&work), true),
    ] {
        let client = web.client_at(profile);
        client.initialize("2025-11-25").await;
        for folder in [&everybody, &work] {
            let is_reached = folder.path() == here.path();
            let text = client.call("read_file", read(folder)).await.text();
            assert_eq!(text.contains("content"), is_reached, "{profile:?}: {text}");
            let is_reached = far.is_some_and(|far| folder.path() == far.path());
            let text = client.call("read_file", on_far(read(folder))).await.text();
            assert_eq!(text.contains("content"), is_reached, "{profile:?} on far: {text}");
            // Without roots commands on the host itself are confined by nothing, which is so where no profile has any.
            let is_reached = profile.is_none_or(|profile| profile == "other") || folder.path() == work.path();
            let text = client.call("run_command", run(folder)).await.text();
            assert_eq!(text.contains("content"), is_reached, "{profile:?} runs: {text}");
            let text = client.call("run_command", on_far(run(folder))).await.text();
            assert_eq!(
                text.contains("content"),
                is_reached && runs_on_far,
                "{profile:?} runs on far: {text}"
            );
        }
        let new = json!({"path": here.path().join("new"), "content": "a"});
        let wrote = client.call("write_file", new).await;
        match profile {
            Some("work") => assert!(wrote.ok().text().contains("created")),
            Some("far") => assert!(wrote.failure().contains("[profiles.far] roots")),
            _ => assert!(wrote.failure().contains("[files] roots")),
        }
    }
    let dockmaster = web.stop().await;
    let shown = dockmaster.run(&["profile", "show", "work"]).stdout();
    assert!(shown.contains("write = true"), "{shown}");
    let listed = dockmaster.run(&["server", "list", "--profile", "work"]).stdout();
    assert!(listed.contains("Files of this machine\n"), "{listed}");
    // It is the profile that is used, too, with nothing said at the call.
    let client = dockmaster.client(&["--profile", "work"]);
    client.initialize("2025-11-25").await;
    client.call("read_file", read(&work)).await.ok();
    client.call("read_file", read(&everybody)).await.failure();
    client.close().await;
}

/// Where secrets lie as files is no root, wherever that is.
#[test]
fn no_root_holds_the_folder_of_secrets() {
    let memory = tempfile::tempdir().unwrap();
    let root = memory.path().display();
    let dockmaster = Dockmaster::new().configured(&format!(
        "[docker]\nenabled = false\n[files]\nenabled = true\nroots = [{{ path = '{root}' }}]\n"
    ));
    assert_eq!(dockmaster.run(&["tools", "list"]).code(), 0);
    let faulty = dockmaster.run_with(
        &["tools", "list"],
        &[("DOCKMASTER_MEMORY", memory.path().to_str().unwrap())],
    );
    assert_eq!(faulty.code(), 78, "{}", faulty.transcript());
}

#[test]
fn roots_of_profiles_that_can_not_be() {
    for (roots, fault) in [
        ("[{ path = 'srv' }]", "srv is not an absolute path without .."),
        (
            "[{ path = '/srv', host = 'nope' }]",
            "profiles.work.roots: there is no host \"nope\"; there are local",
        ),
        ("[{ path = '/' }]", "profiles.work.roots: / holds"),
        (
            "[]",
            "profiles.work.roots: it names no folder of this machine, and by shell.runner",
        ),
    ] {
        let dockmaster = Dockmaster::new().configured(&format!(
            "[docker]\nenabled = false\n[files]\nenabled = true\nroots = [{{ path = '/srv' }}]\n\
             [shell]\nenabled = true\nrunner = 'host'\n[profiles.work]\nroots = {roots}\n"
        ));
        let faulty = dockmaster.run(&["tools", "list"]);
        assert_eq!(faulty.code(), 78, "{}", faulty.transcript());
        assert!(faulty.stderr().contains(fault), "{}", faulty.transcript());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_another_host() {
    let sshd = Sshd::start("Subsystem sftp internal-sftp").await;
    let work = tempfile::tempdir().unwrap();
    fs_err::write(work.path().join("notes.txt"), "one").unwrap();
    let root = work.path().display();
    let toml = |write: bool| {
        format!(
            "[docker]\nenabled = false\n[files]\nenabled = true\n[hosts.far]\nendpoint = \"{{endpoint}}\"\n\
             [hosts.far.files]\nroots = [{{ path = \"{root}\", write = {write} }}]\n"
        )
    };
    let dockmaster = with_far(&sshd, &toml(true));
    let call = |arguments: &[&str]| dockmaster.run(&[&["tools", "call"], arguments].concat());
    let listed = dockmaster.run(&["server", "list"]);
    assert!(
        listed.stdout().contains("Files of far\n"),
        "{}",
        listed.transcript()
    );
    let read = call(&["read_file", "--arg", "path=notes.txt", "--arg", "host=far"]);
    assert!(read.stdout().contains("\none\n"), "{}", read.transcript());
    let path = format!("path={root}/notes.txt");
    let edited = call(&[
        "edit_file",
        "--arg",
        &path,
        "--arg",
        "host=far",
        "--arg",
        "old_text=one",
        "--arg",
        "new_text=two",
    ]);
    assert!(edited.stdout().contains("[host far]"), "{}", edited.transcript());
    assert_eq!(
        fs_err::read_to_string(work.path().join("notes.txt")).unwrap(),
        "two"
    );
    // What can't be taken back needs a person, who is told where.
    let asked = call(&[
        "delete_file",
        "--arg",
        &path,
        "--arg",
        "host=far",
        "--arg",
        "permanent=true",
    ]);
    assert!(
        asked.code() != 0 && work.path().join("notes.txt").exists(),
        "{}",
        asked.transcript()
    );
    assert!(
        asked.transcript().contains("for good on host far"),
        "{}",
        asked.transcript()
    );
    let unnamed = call(&["read_file", "--arg", &path]);
    assert!(
        unnamed.stderr().contains("name one of far"),
        "{}",
        unnamed.transcript()
    );
    let rows = dockmaster.audit();
    assert!(
        rows.iter().any(|row| row["arguments"]["host"] == "far"),
        "{rows:?}"
    );

    // A gateway that runs takes what the configuration says from then on.
    let client = dockmaster.client(&[]);
    client.initialize("2025-11-25").await;
    let write = json!({ "path": "new", "content": "x", "host": "far" });
    client.call("write_file", write.clone()).await.ok();
    let read_only = toml(false).replace(
        "{endpoint}",
        &format!("ssh://{}@127.0.0.1:{}", Sshd::user(), sshd.port()),
    );
    let dockmaster = dockmaster.configured(&read_only);
    let reloaded = dockmaster.run(&["gateway", "reload"]);
    assert_eq!(reloaded.code(), 0, "{}", reloaded.transcript());
    let refused = client.call("write_file", write).await.failure();
    assert!(refused.contains("`[hosts.far.files] roots"), "{refused}");
    client.close().await;
}

#[test]
fn roots_of_hosts_that_do_not_fit() {
    let far = "[hosts.far]\nendpoint = 'ssh://nowhere'\n";
    for (lines, fault) in [
        (
            format!("{far}[hosts.far.files]\nroots = [{{ path = 'srv' }}]\n"),
            "`hosts.far.files.roots`: srv is not an absolute path",
        ),
        (
            format!("{far}[hosts.far.files]\nroots = [{{ path = '/a' }}, {{ path = '/a' }}]\n"),
            "hosts.far.files.roots: /a is named twice",
        ),
        (
            "[hosts.local.files]\nhard_links = true\n".to_owned(),
            "the files of this machine are those of [files]",
        ),
        (far.to_owned(), "nor does any [hosts.NAME.files]"),
        (
            format!("{far}[hosts.far.files]\nroot = '/a'\n"),
            "unknown key `hosts.far.files.root`",
        ),
    ] {
        let dockmaster = Dockmaster::new().configured(&format!("[files]\nenabled = true\n{lines}"));
        let faulty = dockmaster.run(&["tools", "list"]);
        assert!(
            faulty.code() != 0 && faulty.stderr().contains(fault),
            "{lines}: {}",
            faulty.transcript()
        );
    }
}

/// The answer of a client that has this directory open.
fn open(folder: &Path) -> Value {
    json!({ "roots": [{ "uri": format!("file://{}", folder.display()), "name": "work" }] })
}

/// A configured root with the folders `one` and `two`, each with a file `name`.
fn two_folders() -> (Dockmaster, tempfile::TempDir) {
    let (dockmaster, work) = configured(true);
    for folder in ["one", "two"] {
        fs_err::create_dir(work.path().join(folder)).unwrap();
        fs_err::write(work.path().join(folder).join("name"), folder).unwrap();
    }
    (dockmaster, work)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_is_confined_to_the_folders_that_it_has_open() {
    let (dockmaster, work) = two_folders();
    let (one, two) = (work.path().join("one"), work.path().join("two"));
    // One without such folders is not asked.
    let plain = dockmaster.client(&[]);
    plain.initialize("2025-11-25").await;
    let read = |folder: &Path| json!({ "path": folder.join("name") });
    plain.call("read_file", read(&one)).await.ok();
    assert_eq!(plain.server_requests(), Vec::<Value>::new());
    plain.close().await;

    for version in ["2024-11-05", "2025-11-25"] {
        let client = dockmaster.client(&[]);
        let says = Arc::new(Mutex::new(open(&one)));
        let answer = Arc::clone(&says);
        client.respond(move |method, _| (method == "roots/list").then(|| answer.lock().unwrap().clone()));
        let roots = json!({ "roots": { "listChanged": true } });
        client.initialize_with(version, roots).await;
        let text = client.call("read_file", read(&one)).await.ok().text();
        assert!(text.contains("\none\n"), "{version}: {text}");
        let refused = client.call("read_file", read(&two)).await.failure();
        assert!(
            refused.contains("in none of the roots that this client shares"),
            "{version}: {refused}"
        );
        // With progress the call goes another way to the server.
        let with_progress = |folder: &Path| {
            json!({
                "name": "search_content",
                "arguments": { "path": folder, "pattern": "o" },
                "_meta": { "progressToken": 1 },
            })
        };
        let found = client.request("tools/call", with_progress(&one)).await.unwrap();
        assert!(
            found.to_string().contains("1 line in 1 file"),
            "{version}: {found}"
        );
        let found = client.request("tools/call", with_progress(&two)).await.unwrap();
        assert_eq!(found["isError"], true, "{version}: {found}");
        // What it opens counts from the next call on.
        *says.lock().unwrap() = open(&two);
        client.notify("notifications/roots/list_changed", json!({})).await;
        let text = client.call("read_file", read(&two)).await.ok().text();
        assert!(text.contains("\ntwo\n"), "{version}: {text}");
        client.call("read_file", read(&one)).await.failure();
        *says.lock().unwrap() = json!({ "roots": [] });
        let refused = client.call("read_file", read(&one)).await.failure();
        assert!(refused.contains("own roots (none)"), "{version}: {refused}");
        *says.lock().unwrap() = json!("nonsense");
        let refused = client.call("read_file", read(&one)).await.failure();
        assert!(refused.contains("answer to roots/list"), "{version}: {refused}");
        let asked = client.server_requests();
        assert!(
            asked.iter().all(|asked| asked["method"] == "roots/list"),
            "{asked:?}"
        );
        client.close().await;
    }
}

/// Over HTTP it is asked on the stream that answers its call, whether or not it has opened one besides; a call that wants
/// to become a task is confined as any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_over_http_is_confined_to_the_folders_that_it_has_open() {
    let (dockmaster, work) = two_folders();
    let (one, two) = (work.path().join("one"), work.path().join("two"));
    let web = Web::start(dockmaster, &[]).await;
    let read = |folder: &Path| json!({ "path": folder.join("name") });
    for (version, listens) in [("2025-03-26", false), ("2025-11-25", false), ("2025-11-25", true)] {
        let client = web.client();
        let says = open(&one);
        client.respond(move |method, _| (method == "roots/list").then(|| says.clone()));
        client.initialize_with(version, json!({ "roots": {} })).await;
        if listens {
            client.listen();
        }
        let text = client.call("read_file", read(&one)).await.ok().text();
        assert!(text.contains("\none\n"), "{version}: {text}");
        let refused = client.call("read_file", read(&two)).await.failure();
        assert!(
            refused.contains("in none of the roots that this client shares"),
            "{version}: {refused}"
        );
        let as_task = |folder: &Path| json!({ "name": "read_file", "arguments": read(folder), "task": { "ttl": 60_000 } });
        let text = client.request("tools/call", as_task(&one)).await.unwrap();
        assert!(
            text["isError"] != true && text["content"][0]["text"].as_str().unwrap().contains("\none\n"),
            "{version}: {text}"
        );
        let refused = client.request("tools/call", as_task(&two)).await.unwrap();
        assert!(
            refused["isError"] == true && refused.to_string().contains("in none of the roots"),
            "{version}: {refused}"
        );
        let asked = client.server_requests();
        assert!(
            asked.len() == 4 && asked.iter().all(|asked| asked["method"] == "roots/list"),
            "{version}: {asked:?}"
        );
        // It can't be asked where it takes no stream, and is refused then.
        let token = format!("Bearer {}", web.token());
        let session = client.session().unwrap();
        let headers = [
            ("authorization", token.as_str()),
            ("mcp-session-id", &session),
            ("mcp-protocol-version", version),
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ];
        let call = json!({ "jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": { "name": "read_file", "arguments": read(&one) } });
        let answer = client.exchange("POST", &headers, &call.to_string()).await;
        assert!(
            answer
                .body
                .contains("over HTTP it can if it accepts `text/event-stream`"),
            "{version}: {}",
            answer.body
        );
    }
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_is_confined_to_the_folders_that_it_has_open() {
    let (dockmaster, work) = two_folders();
    let (one, two) = (work.path().join("one"), work.path().join("two"));
    let client = dockmaster.client(&[]);
    client.modern("2026-07-28", &json!({ "roots": {}, "elicitation": {} }));
    // Calls until there is an answer, with what is wanted on the way; gives the methods of that, too.
    let call = async |tool: &str, arguments: Value| {
        let (mut asked, mut params) = (Vec::new(), json!({ "name": tool, "arguments": arguments }));
        loop {
            let result = client.request("tools/call", params.clone()).await.unwrap();
            if result["resultType"] != "input_required" {
                return (asked, result);
            }
            let wanted = result["inputRequests"].as_object().unwrap();
            let answers = wanted.iter().map(|(key, request)| {
                let method = request["method"].as_str().unwrap();
                asked.push(method.to_owned());
                if method == "roots/list" {
                    return (key.clone(), open(&one));
                }
                let properties = request["params"]["requestedSchema"]["properties"].as_object();
                let filled = properties.into_iter().flatten().map(|(name, schema)| {
                    let is_yes = schema["type"] == "boolean";
                    let answer = if is_yes {
                        json!(true)
                    } else {
                        json!(arguments["path"])
                    };
                    (name.clone(), answer)
                });
                let content = filled.collect::<serde_json::Map<_, _>>();
                (key.clone(), json!({ "action": "accept", "content": content }))
            });
            params["inputResponses"] = Value::Object(answers.collect());
            params["requestState"] = result["requestState"].clone();
        }
    };
    let path = |folder: &Path| json!({ "path": folder.join("name") });
    let (asked, read) = call("read_file", path(&one)).await;
    assert_eq!(asked, ["roots/list"], "{read}");
    assert!(
        read["content"][0]["text"].as_str().unwrap().contains("\none\n"),
        "{read}"
    );
    let (_, refused) = call("read_file", path(&two)).await;
    assert_eq!(refused["isError"], true, "{refused}");
    // After a person's yes it is asked for its folders all the same.
    let gone = |folder: &Path| json!({ "path": folder.join("name"), "permanent": true });
    let (asked, refused) = call("delete_file", gone(&two)).await;
    assert_eq!(asked, ["elicitation/create", "roots/list"], "{refused}");
    assert!(
        refused["isError"] == true && two.join("name").exists(),
        "{refused}"
    );
    let (_, deleted) = call("delete_file", gone(&one)).await;
    assert!(
        deleted["isError"] != true && !one.join("name").exists(),
        "{deleted}"
    );
    client.close().await;
}
