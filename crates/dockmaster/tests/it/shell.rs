//! The shell server through the executable: commands in containers and on this host, who is asked, and what is written down.

use serde_json::{Value, json};

use crate::harness::Dockmaster;
use crate::servers::{containers, gone};

const VERSION: &str = "2025-11-25";

/// Whether any process of this machine has a word among its arguments.
fn is_running(word: &str) -> bool {
    let entries = fs_err::read_dir("/proc").unwrap();
    entries.flatten().any(|entry| {
        let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())
    })
}

async fn contained(further: &str) -> Dockmaster {
    let image = testkit::image().await;
    let toml = format!(
        "[docker]\nenabled = false\n[shell]\nenabled = true\nimage = \"{image}\"\nmemory = \"64MiB\"\n{further}"
    );
    Dockmaster::new().configured(&toml)
}

fn kill(pid: u32) {
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_in_containers() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs_err::write(folder.path().join("file"), "content\n").unwrap();
    let root = folder.path().display();
    let dockmaster = contained(&format!(
        "roots = [{{ path = \"{root}\" }}]\nallow = [\"cat **\", \"sleep\"]\n"
    ))
    .await;
    let client = dockmaster.client(&[]);
    let hello = client.initialize(VERSION).await;
    let told = hello["instructions"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains(&format!("Folders: {root} (read-only)")), "{told}");
    let text = client
        .call(
            "run_command",
            json!({"command": ["cat", "file", "/etc/hostname"]}),
        )
        .await
        .ok()
        .text();
    assert!(text.contains("content\n") && text.contains("exit 0"), "{text}");
    let refused = client
        .call("run_command", json!({"command": ["sh", "-c", "cat file"]}))
        .await
        .failure();
    assert!(
        refused.starts_with("refused: not run in a container of"),
        "{refused}"
    );
    client
        .call("start_command", json!({"command": ["sleep", "1000"]}))
        .await
        .ok();
    assert!(!containers("shell").await.is_empty());
    client.close().await;
    gone("shell").await;
    let rows = dockmaster.audit();
    let row = rows.iter().find(|row| row["tool"] == "run_command").unwrap();
    assert_eq!(
        (&row["server"], &row["arguments"]["command"][0]),
        (&json!("shell"), &json!("cat"))
    );
}

/// The roots of a profile are what its commands have.
#[tokio::test(flavor = "multi_thread")]
async fn containers_have_the_roots_of_the_profile() {
    let (everybody, work) = (
        tempfile::tempdir_in("/var/tmp").unwrap(),
        tempfile::tempdir_in("/var/tmp").unwrap(),
    );
    for folder in [&everybody, &work] {
        fs_err::write(folder.path().join("file"), "content").unwrap();
    }
    let dockmaster = contained(&format!(
        "roots = [{{ path = \"{}\" }}]\n[policy]\nask = \"never\"\n[profiles.work]\nroots = [{{ path = \"{}\", write = true }}]\n",
        everybody.path().display(),
        work.path().display()
    ))
    .await;
    for (profile, own, other) in [("default", &everybody, &work), ("work", &work, &everybody)] {
        let client = dockmaster.client(&["--profile", profile]);
        client.initialize(VERSION).await;
        for (folder, says) in [(own, "content"), (other, "No such file")] {
            let cat = json!({"command": ["cat", folder.path().join("file")]});
            let text = client.call("run_command", cat).await.text();
            assert!(text.contains(says), "{profile}: {text}");
        }
        let touch = json!({"command": ["touch", own.path().join(profile)]});
        let text = client.call("run_command", touch).await.text();
        assert_eq!(text.contains("exit 0"), profile == "work", "{text}");
        client.close().await;
    }
    gone("shell").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_leaves_no_command() {
    let dockmaster = contained("").await;
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    client
        .call("start_command", json!({"command": ["sleep", "2000"]}))
        .await
        .ok();
    let of_this = containers("shell").await;
    let left: Vec<Value> = of_this
        .into_iter()
        .filter(|one| {
            one["Command"]
                .as_str()
                .is_some_and(|command| command.contains("2000"))
        })
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    kill(client.pid());
    client.close().await;
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    testkit::eventually("the end of what was left", async || {
        let now = containers("shell").await;
        (!now.iter().any(|one| one["Id"] == left[0]["Id"])).then_some(())
    })
    .await;
    client.close().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn commands_on_this_host() {
    let toml = "[docker]\nenabled = false\n[policy]\nask = \"never\"\n[shell]\nenabled = true\nrunner = \"host\"\nscripts = true\n\
                environment = { OWN = \"given\" }\n";
    let dockmaster = Dockmaster::new().configured(toml);
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let text = client
        .call("run_command", json!({"script": "env | sort | grep -v PWD\npwd"}))
        .await
        .ok()
        .text();
    let home = dockmaster.home().display();
    let expected = format!(
        "HOME={home}\nLANG=C.UTF-8\nOWN=given\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nTERM=dumb\n{home}\n"
    );
    assert!(text.contains(&expected), "{text}");
    let long = format!("{}", 4_000_000 + std::process::id());
    let script = format!("(setsid sh -c 'trap \"\" TERM HUP; sleep {long}; sleep {long}' &); sleep {long}");
    client.call("start_command", json!({"script": script})).await.ok();
    testkit::eventually("the command", async || is_running(&long).then_some(())).await;
    // Nobody tells its keeper but the end of the socket.
    kill(client.pid());
    client.close().await;
    testkit::eventually("its end", async || (!is_running(&long)).then_some(())).await;
    let rows = dockmaster.audit();
    assert!(rows.iter().all(|row| row["server"] == "host-shell"), "{rows:?}");
    assert_eq!(rows.len(), 2);
}

/// On another host, over SSH: a server of its own beside that for containers, each call asked about and written down.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn commands_on_another_host() {
    let sshd = testkit::Sshd::start("").await;
    let toml = |policy: &str| {
        format!(
            "[docker]\nenabled = false\n[policy]\nask = \"{policy}\"\n[shell]\nenabled = true\nrunner = \"host\"\nscripts = true\n\
             [hosts.far]\nendpoint = \"{{endpoint}}\"\n[hosts.far.shell]\nrunner = \"host\"\nroots = [{{ path = \"/usr\" }}]\n"
        )
    };
    let dockmaster = crate::files::with_far(&sshd, &toml("never"));
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let run = json!({"script": "pwd; echo $TERM", "host": "far"});
    let text = client.call("run_command", run.clone()).await.ok().text();
    assert!(
        text.contains("/usr\ndumb\n") && text.contains("exit 0") && text.contains("[host far]"),
        "{text}"
    );
    let outside = json!({"command": ["id"], "workdir": "/etc", "host": "far"});
    let refused = client.call("run_command", outside).await.failure();
    assert!(
        refused.contains("is in no folder that commands have"),
        "{refused}"
    );
    let long = format!("{}", 6_000_000 + std::process::id());
    let script = format!("(setsid sleep {long} &); sleep {long}");
    client
        .call("start_command", json!({"script": script, "host": "far"}))
        .await
        .ok();
    testkit::eventually("the command", async || is_running(&long).then_some(())).await;
    // Nobody tells the far side but the end of the connection.
    kill(client.pid());
    client.close().await;
    testkit::eventually("its end", async || (!is_running(&long)).then_some(())).await;
    let rows = dockmaster.audit();
    assert!(
        rows.iter()
            .all(|row| row["server"] == "host-shell" && row["arguments"]["host"] == "far"),
        "{rows:?}"
    );

    let dockmaster = crate::files::with_far(&sshd, &toml("destroy"));
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let refused = client.call("run_command", run).await.failure();
    assert!(refused.contains("on host far"), "{refused}");
    client.close().await;
}

/// In containers on another host's engine, with that host's folders.
#[tokio::test(flavor = "multi_thread")]
async fn commands_in_containers_on_another_host() {
    let sshd = testkit::Sshd::start("").await;
    let image = testkit::image().await;
    let (near, far) = (
        tempfile::tempdir_in("/var/tmp").unwrap(),
        tempfile::tempdir_in("/var/tmp").unwrap(),
    );
    for (folder, content) in [(&near, "near"), (&far, "far away")] {
        fs_err::write(folder.path().join("file"), content).unwrap();
    }
    let (near_root, far_root) = (near.path().display(), far.path().display());
    let dockmaster = crate::files::with_far(
        &sshd,
        &format!(
            "[docker]\nenabled = false\n[shell]\nenabled = true\nimage = \"{image}\"\nmemory = \"64MiB\"\n\
             roots = [{{ path = \"{near_root}\" }}]\ndeny = [\"rm\"]\n[hosts.far]\nendpoint = \"{{endpoint}}\"\n\
             [hosts.far.guard]\nsymlinks = \"lexical\"\n\
             [hosts.far.shell]\nrunner = \"container\"\nroots = [{{ path = \"{far_root}\" }}]\n\
             [hosts.gone]\nendpoint = \"unix:///nowhere/docker.sock\"\n[hosts.gone.shell]\nrunner = \"container\"\n"
        ),
    );
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let run = |command: &[&str], host: Value| {
        let mut arguments = json!({ "command": command });
        if !host.is_null() {
            arguments["host"] = host;
        }
        client.call("run_command", arguments)
    };
    let there = run(&["cat", "file"], json!("far")).await.ok().text();
    assert!(
        there.contains("far away") && there.contains("[host far]"),
        "{there}"
    );
    let here = run(&["cat", "file"], Value::Null).await.ok().text();
    assert!(here.contains("near") && here.contains("[host local]"), "{here}");
    // Neither has the other's folders, nor may it write where it may only read; and the rules hold there, too.
    let other = format!("{near_root}/file");
    let text = run(&["cat", &other], json!("far")).await.ok().text();
    assert!(text.contains("No such file"), "{text}");
    let text = run(&["touch", "new"], json!("far")).await.ok().text();
    assert!(text.contains("Read-only file system"), "{text}");
    let refused = run(&["rm", "file"], json!("far")).await.failure();
    assert!(
        refused.contains(&format!("in a container of {image} on far")),
        "{refused}"
    );
    let away = run(&["id"], json!("gone")).await.failure();
    assert!(
        away.contains("on gone: can't look at the image")
            && away.contains("can't reach the Docker Engine at unix:///nowhere/docker.sock"),
        "{away}"
    );
    let long = json!({ "command": ["sleep", "3000"], "host": "far" });
    client.call("start_command", long).await.ok();
    let listed = client.call("list_commands", json!({})).await.ok().text();
    assert!(listed.contains(" on far"), "{listed}");
    assert!(!containers("shell").await.is_empty());
    client.close().await;
    gone("shell").await;
    let rows = dockmaster.audit();
    assert!(rows.iter().all(|row| row["server"] == "shell"), "{rows:?}");
}

/// What `[shell]` says holds from a reload on, in a gateway that runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_takes_what_the_configuration_says() {
    let image = testkit::image().await;
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs_err::write(folder.path().join("file"), "content").unwrap();
    let mut dockmaster = Dockmaster::new().configured("[docker]\nenabled = false\n");
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    assert_eq!(client.tools().await, Vec::<Value>::new());
    let file = folder.path().join("file");
    let cat = json!({ "command": ["cat", file] });
    let root = folder.path().display();
    for (lines, expected) in [
        ("enabled = true\n".to_owned(), "No such file"),
        (
            format!("enabled = true\nroots = [{{ path = \"{root}\" }}]\n"),
            "content",
        ),
        (
            "enabled = true\ndeny = [\"cat\"]\n".to_owned(),
            "refused: not run",
        ),
        (
            "enabled = true\nallow = [\"cat **\"]\n".to_owned(),
            "No such file",
        ),
    ] {
        dockmaster = dockmaster.configured(&format!(
            "[docker]\nenabled = false\n[shell]\nimage = \"{image}\"\nmemory = \"64MiB\"\n{lines}"
        ));
        let reloaded = dockmaster.run(&["gateway", "reload"]);
        assert_eq!(reloaded.code(), 0, "{}", reloaded.transcript());
        let text = client.call("run_command", cat.clone()).await.text();
        assert!(text.contains(expected), "{lines}: {text}");
    }
    // A command that runs ends with the server that is taken away.
    let long = json!({ "command": ["cat"] });
    client.call("start_command", long).await.ok();
    dockmaster = dockmaster.configured("[docker]\nenabled = false\n");
    let reloaded = dockmaster.run(&["gateway", "reload"]);
    assert_eq!(reloaded.code(), 0, "{}", reloaded.transcript());
    client.try_call("run_command", cat).await.unwrap_err();
    gone("shell").await;
    client.close().await;
}

/// On the host a command can do anything, so a person is asked before each, and told where.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_on_the_host() {
    let toml = "[docker]\nenabled = false\n[shell]\nenabled = true\nrunner = \"host\"\nallow = [\"id\"]\n";
    let dockmaster = Dockmaster::new().configured(toml);
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let refused = client
        .call("run_command", json!({"command": ["id"]}))
        .await
        .failure();
    assert!(
        refused.contains("to do this on this host: run id needs a person's yes"),
        "{refused}"
    );
    // About what can't be done nobody is asked.
    let unfit = client.call("run_command", json!({"command": 5})).await.failure();
    assert!(
        unfit.starts_with("invalid_arguments: parameter command"),
        "{unfit}"
    );
    client.close().await;
    let rows = dockmaster.audit();
    assert_eq!(
        (&rows[0]["server"], &rows[0]["decision"]),
        (&json!("host-shell"), &json!("unable to ask"))
    );
    assert_eq!(rows[1]["decision"], "none");
}

#[test]
fn rules_that_mean_nothing_are_faults_of_the_configuration() {
    for (line, fault) in [
        ("allow = [\"\"]", "a rule has at least a program"),
        ("deny = [\"** x\"]", "a rule begins with a program"),
        ("deny = [3]", "a rule is text"),
        ("runner = \"moon\"", "unknown variant `moon`"),
        ("script = true", "script"),
    ] {
        let dockmaster = Dockmaster::new().configured(&format!("[shell]\nenabled = true\n{line}\n"));
        let ended = dockmaster.run(&["tools", "list"]);
        assert_ne!(ended.code(), 0, "{line}");
        assert!(ended.stderr().contains(fault), "{line}: {}", ended.transcript());
    }
}
