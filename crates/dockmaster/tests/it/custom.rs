//! Servers of one's own: the examples of docs/custom-servers.md, run as they stand there, and what happens when they fail.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{McpClient, Peer, Pending, Scope, answer};

use crate::harness::{Dockmaster, Ended};
use crate::servers::{containers, gone, store_secret};

const VERSION: &str = "2025-11-25";

/// An example of the document.
fn example(name: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/custom-servers.md");
    let page = fs_err::read_to_string(page).unwrap();
    let mark = format!("<!-- example: {name} -->\n```");
    let (_, rest) = page
        .split_once(&mark)
        .unwrap_or_else(|| panic!("there is no example {name}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Dockmaster with a file of tools, added and switched on.
fn with_tools(dockmaster: &Dockmaster, name: &str, file: &str) {
    let path = dockmaster.home().join(format!("{name}.toml"));
    fs_err::write(&path, file).unwrap();
    let added = dockmaster.run(&[
        "server",
        "add",
        name,
        "--tools",
        path.to_str().unwrap(),
        "--enable",
        "--yes",
    ]);
    assert_eq!(added.code(), 0, "{}", added.transcript());
}

/// A command line of the document.
fn typed(dockmaster: &Dockmaster, line: &str) -> Ended {
    let folder = dockmaster.home().join("image");
    let words = line.split_whitespace();
    let words: Vec<String> = words
        .map(|word| word.replace("$PWD", folder.to_str().unwrap()))
        .collect();
    assert_eq!(words.first().map(String::as_str), Some("dockmaster"), "{line}");
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    dockmaster.run(&words)
}

/// Those that run with this among their words.
fn processes(word: &str) -> usize {
    let all = fs_err::read_dir("/proc").unwrap().filter_map(Result::ok);
    all.filter_map(|folder| fs_err::read(folder.path().join("cmdline")).ok())
        .filter(|line| line.split(|byte| *byte == 0).any(|one| one == word.as_bytes()))
        .count()
}

async fn cancel(client: &McpClient, call: &Pending) {
    client
        .notify("notifications/cancelled", json!({"requestId": call.id}))
        .await;
}

async fn ended(word: &str) {
    testkit::eventually("the end of the command's processes", async || {
        (processes(word) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_commands() {
    let dockmaster = Dockmaster::new().configured("[instances]\ncommands = true\n");
    with_tools(&dockmaster, "helpers", &example("command"));
    let notes = dockmaster.home().join("notes");
    fs_err::create_dir_all(&notes).unwrap();
    fs_err::write(notes.join("a.md"), "first\n--help; $(id) \"two\"\n").unwrap();

    let tested = dockmaster.run(&["server", "test", "helpers"]);
    assert_eq!(tested.code(), 0, "{}", tested.transcript());
    assert!(tested.stdout().contains("/wc"), "{}", tested.transcript());

    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let counted = client
        .call("count_words", json!({"text": "one two\nthree; $(id)"}))
        .await;
    assert_eq!(counted.ok().text().trim(), "4");
    let found = client
        .call("search_notes", json!({"words": "--help; $(id) \""}))
        .await
        .ok()
        .text();
    assert_eq!(found, "notes/a.md:2:--help; $(id) \"two\"\n");
    // grep ends with 1 when it finds nothing.
    let none = client.call("search_notes", json!({"words": "nowhere"})).await;
    assert_eq!(none.failure(), "[it ended with exit code 1]");
    let wrong = client.call("search_notes", json!({"word": "x"})).await.failure();
    assert!(
        wrong.contains("words is missing") && wrong.contains("word is"),
        "{wrong}"
    );
    client.close().await;
    let rows = dockmaster.audit();
    assert!(
        rows.iter()
            .any(|row| row["server"] == "helpers" && row["tool"] == "count_words"),
        "{rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_http() {
    let peer = Peer::start(|seen| {
        let body = match seen.path() {
            path if path.starts_with("/v1/Los%20Angeles%2FCA/forecast") => r#"{"high": 21.5}"#.to_owned(),
            path if path.starts_with("/v1/odd") => r#"{"high": "hot"}"#.to_owned(),
            "/v1/reports" => String::from_utf8_lossy(&seen.body).into_owned(),
            _ => {
                // It says back what it was sent, as many do.
                let said = format!(
                    "no such page for {}",
                    seen.header("authorization").unwrap_or("nobody")
                );
                return vec![answer("404 Not Found", "", &said)];
            }
        };
        vec![answer("200 OK", "Content-Type: application/json\r\n", &body)]
    })
    .await;
    let dockmaster = Dockmaster::new();
    store_secret(&dockmaster, "weather.key", "s3cret-value-of-the-weather");
    let file = example("http").replace("127.0.0.1:8080", &format!("127.0.0.1:{}", peer.port));
    with_tools(&dockmaster, "weather", &file);
    let tested = dockmaster.run(&["server", "test", "weather"]);
    assert_eq!(tested.code(), 0, "{}", tested.transcript());
    let probes = peer.seen();
    assert!(
        probes
            .iter()
            .all(|seen| seen.line() == "HEAD /" && seen.header("authorization").is_none()),
        "{probes:?}"
    );

    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let forecast = client
        .call("forecast", json!({"city": "Los Angeles/CA", "days": 3}))
        .await
        .ok();
    assert_eq!(forecast.0["structuredContent"], json!({"high": 21.5}));
    let asked = peer.seen().pop().unwrap();
    assert_eq!(
        asked.line(),
        "GET /v1/Los%20Angeles%2FCA/forecast?days=3&units=metric"
    );
    assert_eq!(
        asked.header("authorization"),
        Some("Bearer s3cret-value-of-the-weather")
    );
    let quotes = "fine\", \"admin\": true, \"x\": \"";
    let report = client
        .call("report_weather", json!({"city": "Ys", "how": quotes}))
        .await
        .ok()
        .text();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report, json!({"city": "Ys", "text": format!("It is {quotes}.")}));

    let count = peer.seen().len();
    for (city, words) in [
        ("../admin", "city has a part . or .."),
        ("%2e%2e", "city has a part . or .."),
        ("", "city is empty"),
    ] {
        let refused = client.call("forecast", json!({"city": city})).await.failure();
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(peer.seen().len(), count, "nothing was sent");
    let odd = client.call("forecast", json!({"city": "odd"})).await.failure();
    assert!(odd.contains("is not what its schema promises: high is"), "{odd}");
    let absent = client
        .call("forecast", json!({"city": "nowhere"}))
        .await
        .failure();
    assert!(
        absent.contains("404 Not Found") && !absent.contains("s3cret"),
        "{absent}"
    );
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_containers() {
    let image = testkit::image().await;
    let dockmaster = Dockmaster::new();
    let file = example("container").replace("docker.io/library/busybox:1.37", image);
    with_tools(&dockmaster, "boxed-tools", &file);
    let tested = dockmaster.run(&["server", "test", "boxed-tools"]);
    assert_eq!(tested.code(), 0, "{}", tested.transcript());
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let sum = client.call("checksum", json!({"text": "abc"})).await.ok().text();
    assert!(
        sum.starts_with("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        "{sum}"
    );
    let sorted = client
        .call(
            "sort_lines",
            json!({"lines": ["b 1; id", "-n 2", "a $(id) 3"], "column": 1}),
        )
        .await
        .ok()
        .text();
    assert_eq!(sorted, "-n 2\na $(id) 3\nb 1; id\n");
    client.close().await;
    gone("boxed-tools").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_an_image_and_of_a_command() {
    let image = testkit::image().await;
    let scope = Scope::new("custom");
    let tag = scope.name("hello");
    let dockmaster = Dockmaster::new();
    let folder = dockmaster.home().join("image");
    fs_err::create_dir_all(&folder).unwrap();
    let dockmaster = dockmaster.configured(&format!(
        "[instances]\ncommands = true\n[hosts.local.guard]\nroots = [{{ path = \"{}\" }}]\n",
        folder.display()
    ));
    fs_err::write(folder.join("server.sh"), example("server.sh")).unwrap();
    let recipe = example("Dockerfile").replace("docker.io/library/busybox:1.37", image);
    fs_err::write(folder.join("Dockerfile"), recipe).unwrap();
    for line in example("image").lines().chain(example("local").lines()) {
        let mut line = line.replace("hello-mcp:1", &tag);
        if line.contains("build_image") {
            line = format!("{line} --arg labels={}", scope.labels());
        }
        let done = typed(&dockmaster, &line);
        assert_eq!(done.code(), 0, "{line}\n{}", done.transcript());
    }
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    for name in ["hello_hello", "here_hello"] {
        let said = client.call(name, json!({})).await.ok().text();
        assert!(said.starts_with("Hello from "), "{said}");
    }
    client.close().await;
    gone("hello").await;
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_late_or_cancelled_leaves_nothing() {
    let image = testkit::image().await;
    let peer = Arc::new(Peer::start(|_| vec![testkit::Step::Hang]).await);
    let dockmaster = Dockmaster::new().configured("[instances]\ncommands = true\n");
    let word = format!("9{}", std::process::id());
    let file = format!(
        r#"
[tools.late]
description = "Takes too long."
destructive = false
timeout = "1s"
command = ["sh", "-c", "echo begun; sleep {word} & sleep {word}"]
[tools.slow]
description = "Takes long."
destructive = false
command = ["sh", "-c", "sleep {word} & sleep {word}"]
[tools.left]
description = "Leaves something behind."
destructive = false
command = ["sh", "-c", "sleep {word} & echo done"]
[tools.boxed]
description = "Takes long in a container."
destructive = false
container = {{ image = "{image}", command = ["sleep", "600"] }}
[tools.asked]
description = "Asks who never answers."
destructive = false
http = {{ url = "http://127.0.0.1:{}/", private = true }}
[tools.loud]
description = "Says a lot, and fails."
destructive = false
max_output = 1000
command = ["sh", "-c", "yes a | head -c 100000; echo the reason >&2; exit 3"]
"#,
        peer.port
    );
    with_tools(&dockmaster, "lasting", &file);
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let late = client.call("late", json!({})).await.failure();
    assert!(late.starts_with("begun\n[its time was up after 1 s"), "{late}");
    ended(&word).await;
    assert_eq!(client.call("left", json!({})).await.ok().text(), "done\n");
    ended(&word).await;
    let loud = client.call("loud", json!({})).await.failure();
    assert!(
        loud.contains("[99000 further bytes were left out]")
            && loud.ends_with("[standard error]\nthe reason\n[it ended with exit code 3]"),
        "{loud}"
    );

    let slow = client
        .start("tools/call", json!({"name": "slow", "arguments": {}}))
        .await;
    testkit::eventually("both sleeps", async || (processes(&word) == 2).then_some(())).await;
    cancel(&client, &slow).await;
    ended(&word).await;
    let boxed = client
        .start("tools/call", json!({"name": "boxed", "arguments": {}}))
        .await;
    testkit::eventually("its container", async || {
        (!containers("lasting").await.is_empty()).then_some(())
    })
    .await;
    cancel(&client, &boxed).await;
    gone("lasting").await;
    let asked = client
        .start("tools/call", json!({"name": "asked", "arguments": {}}))
        .await;
    testkit::eventually("the request", async || (!peer.seen().is_empty()).then_some(())).await;
    cancel(&client, &asked).await;
    testkit::eventually("the end of the request", async || {
        (peer.left() == 1).then_some(())
    })
    .await;
    // What the end of the gateway finds running ends with it.
    let _slow = client
        .start("tools/call", json!({"name": "slow", "arguments": {}}))
        .await;
    testkit::eventually("both sleeps", async || (processes(&word) == 2).then_some(())).await;
    client.close().await;
    ended(&word).await;
}

#[test]
fn a_wrong_file_changes_nothing_and_a_wrong_tool_is_told_of() {
    let dockmaster = Dockmaster::new().configured("");
    let path = dockmaster.home().join("t.toml");
    let add = |file: &str| {
        fs_err::write(&path, file).unwrap();
        dockmaster.run(&["server", "add", "mine", "--tools", path.to_str().unwrap()])
    };
    insta::assert_snapshot!(add("[tools.a]\ncommand = [\"sh\", \"-c\", \"{{x}}\"]\n[tools.b]\ndescription = \"b\"\nhttp.url = \"https://{{x}}/\"\n").transcript(), @r#"
    exit 1
    ! error: mine can't be defined so: HOME/t.toml:
    !   tools.a: it has no description, which is all that a model knows of it
    !   tools.a: command[2] names {{x}}, which input does not declare; it declares: none
    !   tools.a: command[2]: sh takes what stands behind -c for code, so no argument can fill it; hand it over behind the code (["sh", "-c", "wc -w < \"$1\"", "--", "{{file}}"]), in env, or by stdin
    !   tools.b: http.url names {{x}}, which input does not declare; it declares: none
    !   tools.b: http.url: which host is asked can't be filled in; places begin behind the / after it
    ! Nothing was changed
    "#);
    insta::assert_snapshot!(add("[tools.a]\ndescription = \"a\"\ncomand = [\"ls\"]\n").transcript(), @"
    exit 1
    ! error: mine can't be defined so: HOME/t.toml: line 3: unknown field `comand`, expected one of `title`, `description`, `read_only`, `destructive`, `idempotent`, `open_world`, `input`, `input_file`, `output`, `timeout`, `max_output`, `command`, `env`, `working_dir`, `stdin`, `http`, `container`
    ! Nothing was changed
    ");
    assert_eq!(
        fs_err::read_to_string(dockmaster.file("config.toml")).unwrap(),
        ""
    );
    let added = add(
        "[tools.a]\ndescription = \"a\"\ncommand = [\"no-such-program\"]\n[tools.b]\ndescription = \"b\"\nhttp = { url = \"http://127.0.0.1:1/x\", private = true }\n",
    );
    insta::assert_snapshot!(added.transcript(), @"
    exit 0
    | mine is defined: [servers.mine] in HOME/dm/config.toml
    ! mine can't run yet:
    !   a of mine is a program on this machine, outside any container, which is not permitted: write [instances] commands = true
    ! next: dockmaster server test mine, then dockmaster server enable mine
    ");
    let config = fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    fs_err::write(
        dockmaster.file("config.toml"),
        format!("[instances]\ncommands = true\n{config}"),
    )
    .unwrap();
    insta::assert_snapshot!(dockmaster.run(&["server", "test", "mine"]).transcript(), @"
    exit 1
    | TOOL  DOES          STATE
    | a     command       fails  there is no program no-such-program on the PATH /usr/bin:/bin
    | b     HTTP request  fails  127.0.0.1:1 does not answer: http://127.0.0.1:1/: no connection to 127.0.0.1:1: Connection refused (os error 111); is the server running, and can this machine reach it?
    ! 2 of the 2 tools of mine can't be called yet
    ");
    insta::assert_snapshot!(dockmaster.run(&["server", "inspect", "mine"]).transcript(), @"
    exit 0
    | mine (tools, from own)
    | switched on: no
    | tools: a, b
    | tool: a (command)
    | tool: b (HTTP request)
    | asks for: a runs no-such-program on this machine with your rights, outside any container
    | asks for: b sends what the agent gives it to 127.0.0.1:1, which may be in a private network
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_up_and_changed_definitions_wait() {
    let dockmaster = Dockmaster::new().configured("[instances]\ncommands = true\n");
    let tool = |said: &str, about: &str| {
        format!(
            "[tools.say]\ndescription = \"{about}\"\nread_only = true\ncommand = [\"echo\", \"{said}\"]\n"
        )
    };
    with_tools(&dockmaster, "saying", &tool("one", "Says it."));
    let path = dockmaster.home().join("saying.toml");
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    assert_eq!(client.call("say", json!({})).await.ok().text(), "one\n");
    fs_err::write(&path, tool("two", "Says it.")).unwrap();
    let reloaded = dockmaster.run(&["gateway", "reload"]);
    assert_eq!(reloaded.code(), 0, "{}", reloaded.transcript());
    assert_eq!(client.call("say", json!({})).await.ok().text(), "two\n");
    fs_err::write(&path, tool("three", "Says it otherwise.")).unwrap();
    assert_eq!(dockmaster.run(&["gateway", "reload"]).code(), 0);
    let names = testkit::eventually("the changed tool held back", async || {
        let names: Vec<_> = client
            .tools()
            .await
            .iter()
            .map(|tool| tool["name"].clone())
            .collect();
        (!names.contains(&json!("say"))).then_some(names)
    })
    .await;
    assert!(!names.is_empty());
    let approved = dockmaster.run(&["server", "approve", "saying", "--yes"]);
    assert_eq!(approved.code(), 0, "{}", approved.transcript());
    client.close().await;
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    assert_eq!(client.call("say", json!({})).await.ok().text(), "three\n");
    client.close().await;
}

/// What arguments may be stands in a file of its own, and a variable that only the configuration names is a secret.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_in_a_file_and_a_secret_of_the_configuration() {
    let dockmaster = Dockmaster::new().configured("[instances]\ncommands = true\n");
    let file = dockmaster.home().join("greet.toml");
    let tools = concat!(
        "[tools.greet]\ndescription = \"Greets.\"\nread_only = true\ninput_file = \"greet.json\"\n",
        "command = [\"sh\", \"-c\", 'echo \"Hello $1, $WORD\"', \"--\", \"{{name}}\"]\nenv = { WORD = \"$KEY\" }\n",
    );
    fs_err::write(&file, tools).unwrap();
    let file = file.to_str().unwrap();
    let add = |code: i32, said: &str| {
        let arguments = [
            "server",
            "add",
            "greeter",
            "--tools",
            file,
            "--secret",
            "KEY=greeter.key",
        ];
        let added = dockmaster.run(&arguments);
        assert_eq!(added.code(), code, "{}", added.transcript());
        assert!(added.transcript().contains(said), "{}", added.transcript());
    };
    add(
        1,
        "tools.greet: input_file greet.json can't be read: there is no such file",
    );
    let schema = dockmaster.home().join("greet.json");
    fs_err::write(&schema, "{\"type\": \"object\",").unwrap();
    add(1, "tools.greet: input_file greet.json is no JSON");
    let wanted = json!({
        "type": "object", "required": ["name"], "properties": {"name": {"type": "string", "maxLength": 5}},
    });
    fs_err::write(&schema, wanted.to_string()).unwrap();
    add(0, "greeter is defined");

    let lacks = dockmaster.run(&["server", "test", "greeter"]).transcript();
    assert!(lacks.contains("dockmaster secret set greeter.key"), "{lacks}");
    crate::servers::store_secret(&dockmaster, "greeter.key", "s3same-as-ever");
    let on = dockmaster.run(&["server", "enable", "greeter", "--yes"]);
    assert_eq!(on.code(), 0, "{}", on.transcript());
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let listed = client.tools().await;
    let greet = listed.iter().find(|tool| tool["name"] == "greet").unwrap();
    assert_eq!(greet["inputSchema"]["properties"], wanted["properties"]);
    let greeted = client.call("greet", json!({"name": "$(id)"})).await.ok();
    assert_eq!(greeted.text(), "Hello $(id), [redacted]\n");
    let long = client
        .call("greet", json!({"name": "far too long"}))
        .await
        .failure();
    assert!(long.contains("name"), "{long}");
    client.close().await;
}

/// The example of a command on a host: over there, as data, within its time, and written down.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn commands_run_on_the_host_that_is_named() {
    let sshd = testkit::Sshd::start("SetEnv WHERE=there").await;
    let logs = tempfile::tempdir().unwrap();
    fs_err::write(logs.path().join("access.log"), "one\ntwo\nthree\n").unwrap();
    let word = format!("{}", 7_000_000 + std::process::id());
    let odd = "it's $HOME `id` \\ \"$n\" ;&";
    let tools = example("host").replace("/var/log", logs.path().to_str().unwrap())
        + &format!(
            "\n[tools.echo]\ndescription = \"d\"\nread_only = true\ncommand = [\"printf\", \"%s|%s\", \"a {{{{text}}}}\", \"--\", \
             \"{{{{text}}}}\"]\ninput.properties.text.type = \"string\"\n\
             [tools.about]\ndescription = \"d\"\nread_only = true\ncommand = [\"sh\", \"-c\", \"cat; echo $KEPT $PATH; pwd; echo err >&2; \
             exit 3\"]\nenv = {{ KEPT = \"kept\" }}\nstdin = \"in\\n\"\n\
             [tools.linger]\ndescription = \"d\"\nread_only = true\ntimeout = \"1s\"\ncommand = [\"sh\", \"-c\", \
             \"setsid sleep {word} & sleep {word}\"]\n"
        );
    let config = example("host-config").replace("ssh://deploy@prod", "{endpoint}");
    let dockmaster = crate::files::with_far(&sshd, &format!("[docker]\nenabled = false\n{config}"));
    fs_err::write(dockmaster.home().join("dm/logs.toml"), &tools).unwrap();

    let inspected = dockmaster.run(&["server", "inspect", "logs"]);
    assert!(
        inspected
            .stdout()
            .contains("tail_log runs tail on prod with the rights of who logs in there"),
        "{}",
        inspected.transcript()
    );
    let tested = dockmaster.run(&["server", "test", "logs"]);
    assert!(
        tested.stdout().contains("/tail on prod"),
        "{}",
        tested.transcript()
    );

    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let two = json!({"file": "access.log", "lines": 2});
    assert_eq!(client.call("tail_log", two).await.ok().text(), "two\nthree\n");
    let echoed = client.call("echo", json!({"text": odd})).await.ok().text();
    assert_eq!(echoed, format!("a {odd}|--{odd}|"));
    let about = client.call("about", json!({})).await.failure();
    let home = std::process::Command::new("sh")
        .args(["-c", "cd && pwd"])
        .output()
        .unwrap();
    let home = String::from_utf8(home.stdout).unwrap();
    let expected = format!(
        "in\nkept /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n{home}[standard error]\nerr\n[exit 3]"
    );
    assert_eq!(about, expected);
    let late = client.call("linger", json!({})).await.failure();
    assert!(
        late.contains("its time was up after 1 s, and it was ended"),
        "{late}"
    );
    testkit::eventually("the end of the tree", async || {
        (processes(&word) == 0).then_some(())
    })
    .await;
    // A file that is not there is the program's own error.
    let none = client.call("tail_log", json!({"file": "none"})).await.failure();
    assert!(none.contains("[exit 1]"), "{none}");
    client.close().await;
    let rows = dockmaster.audit();
    assert!(
        rows.iter().all(|row| row["server"] == "logs") && rows.len() == 5,
        "{rows:?}"
    );

    // Without the switch nothing runs, and what would switch it on is said.
    let config = fs_err::read_to_string(dockmaster.home().join("dm/config.toml")).unwrap();
    let off = config.replace("runner = \"host\"", "runner = \"container\"");
    fs_err::write(dockmaster.home().join("dm/config.toml"), off).unwrap();
    let refused = dockmaster.run(&["tools", "call", "tail_log", "--arg", "file=access.log"]);
    assert!(
        refused
            .stderr()
            .contains("about, echo, linger, tail_log of logs can't run on prod")
            && refused.stderr().contains("[hosts.prod.shell] runner = \"host\""),
        "{}",
        refused.transcript()
    );
}
