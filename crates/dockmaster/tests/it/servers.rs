//! Servers beside the built-in one: switched on by commands, run in containers, called by clients.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use testkit::{Daemon, Scope};

use crate::harness::Dockmaster;

const VERSION: &str = "2025-11-25";

/// An MCP server as a shell script: it lists `whoami` and `token`, and tells who it is and what it was given.
pub(crate) const SCRIPT: &str = r#"
reply() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$1" "$2"; }
echo "starting up as $(id -u) with $TOKEN" >&2
echo "this is no message"
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"method":"initialize"'*) reply "$id" '"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"script","version":"1"},"instructions":"ask whoami"}' ;;
    *'"method":"tools/list"'*) reply "$id" '"result":{"tools":[{"name":"whoami","description":"who","inputSchema":{"type":"object"}},{"name":"token","inputSchema":{"type":"object"}}]}' ;;
    *'"name":"whoami"'*) reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"uid $(id -u) of $(hostname) caps $(sed -n 's/CapEff:.//p' /proc/self/status) net $(ls /sys/class/net | tr '\n' ' ')\"}]}" ;;
    *'"name":"token"'*) reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"the token is $TOKEN\"}]}" ;;
    *'"id":'*) [ -n "$id" ] && reply "$id" '"error":{"code":-32601,"message":"no such method"}' ;;
  esac
done
"#;

/// A configuration with the script as a server of the user's own.
pub(crate) async fn script(name: &str, further: &str) -> Dockmaster {
    let image = testkit::image().await;
    let toml = format!(
        "[servers.{name}]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", '''{SCRIPT}''']\nsecrets = {{ TOKEN = \"script.token\" }}\n{further}"
    );
    Dockmaster::new().configured(&toml)
}

/// Stores a secret as a person would pipe it in.
pub(crate) fn store_secret(dockmaster: &Dockmaster, name: &str, value: &str) {
    let mut command = dockmaster.command(&["secret", "set", name]);
    let mut set = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut set.stdin.take().unwrap(), format!("{value}\n").as_bytes()).unwrap();
    assert!(set.wait().unwrap().success());
}

/// The containers that servers of this name run in.
pub(crate) async fn containers(server: &str) -> Vec<Value> {
    let filter = json!({"label": [format!("dockmaster.server={server}")]}).to_string();
    let filter = filter.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let daemon = Daemon::here();
    let list = daemon
        .get(&format!("/containers/json?all=1&filters={filter}"))
        .await
        .ok()
        .json();
    list.as_array().unwrap().clone()
}

pub(crate) async fn gone(server: &str) {
    testkit::eventually("the end of its containers", async || {
        containers(server).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_switched_on_set_up_and_called() {
    let dockmaster = script("script", "").await;
    let enabled = dockmaster.run(&["server", "enable", "script"]);
    insta::assert_snapshot!(enabled.transcript(), @"
        exit 1
        | script is switched on in the profile default (from own)
        ! it can't run yet:
        !   script needs the secret script.token, for TOKEN: dockmaster secret set script.token
        ");
    let list = dockmaster.run(&["server", "list"]);
    insta::assert_snapshot!(list.transcript(), @"
    exit 0
    | SERVER  KIND       STATE
    | docker  built-in   ready  Docker Engine
    | script  container  lacks  script needs the secret script.token, for TOKEN: dockmaster secret set script.token
    ");

    store_secret(&dockmaster, "script.token", "s3cret-value-of-the-script");
    let stored = dockmaster.run(&["secret", "list"]);
    assert!(
        stored.stdout().contains("script.token"),
        "{}",
        stored.transcript()
    );
    assert!(!stored.stdout().contains("s3cret"));
    assert_eq!(dockmaster.run(&["server", "list"]).code(), 0);

    let tested = dockmaster.run(&["server", "test", "script"]);
    assert_eq!(tested.code(), 0, "{}", tested.transcript());
    assert!(
        tested.stdout().contains("listed 2 tools"),
        "{}",
        tested.transcript()
    );
    gone("script").await;

    let client = dockmaster.client(&[]);
    let hello = client.initialize(VERSION).await;
    assert!(
        hello["instructions"].as_str().unwrap().contains("ask whoami"),
        "{hello}"
    );
    let names: Vec<_> = client
        .tools()
        .await
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        names.contains(&"whoami".to_owned()) && names.contains(&"list_containers".to_owned()),
        "{names:?}"
    );
    // The list was known from before: nothing has been started for it.
    assert_eq!(containers("script").await, Vec::<Value>::new());

    let who = client.call("whoami", json!({})).await.ok().text();
    assert!(who.contains("caps 0000000000000000 net lo "), "{who}");
    assert!(!who.contains("uid 0 "), "{who}");
    // The secret reached the server, and does not come out again.
    let token = client.call("token", json!({})).await.ok().text();
    assert_eq!(token, "the token is [redacted]");
    assert_eq!(containers("script").await.len(), 1);
    client.close().await;
    gone("script").await;

    let logs = dockmaster.run(&["server", "logs", "script"]);
    assert!(logs.stdout().contains("starting up as"), "{}", logs.transcript());
    assert!(!logs.stdout().contains("s3cret"), "{}", logs.transcript());
    let rows = dockmaster.audit();
    assert!(
        rows.iter()
            .any(|row| row["server"] == "script" && row["tool"] == "whoami"),
        "{rows:?}"
    );

    let off = dockmaster.run(&["server", "disable", "script"]);
    assert_eq!(off.code(), 0, "{}", off.transcript());
    let config = fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    assert!(
        config.contains("[servers.script]") && !config.contains("profiles.default.servers.script"),
        "{config}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_gateway_left_is_removed_by_the_next() {
    let dockmaster = script("orphan", "[profiles.default.servers.orphan]\n").await;
    store_secret(&dockmaster, "script.token", "another-value-of-the-script");
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    client.call("whoami", json!({})).await.ok();
    let left = containers("orphan").await;
    assert_eq!(left.len(), 1);
    let killed = std::process::Command::new("kill")
        .args(["-9", &client.pid().to_string()])
        .status();
    assert!(killed.unwrap().success());
    client.close().await;
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    testkit::eventually("the end of what was left", async || {
        let now = containers("orphan").await;
        (!now.iter().any(|container| container["Id"] == left[0]["Id"])).then_some(())
    })
    .await;
    client.close().await;
    gone("orphan").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_not_start_says_why_and_harms_nobody() {
    let image = testkit::image().await;
    let toml = format!(
        "[servers.broken]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", \"echo the disk is full >&2; exit 3\"]\n\
         [servers.lacking]\nurl = \"https://mcp.example.invalid/\"\nheaders = {{ Authorization = \"Bearer $KEY\" }}\nsecrets = {{ KEY = \"lacking.key\" }}\n\
         [profiles.default.servers.broken]\n[profiles.default.servers.lacking]\n[profiles.default.servers.unheard-of]\n"
    );
    let dockmaster = Dockmaster::new().configured(&toml);
    let list = dockmaster.run(&["server", "list"]);
    insta::assert_snapshot!(list.transcript(), @r#"
        exit 0
        | SERVER      KIND       STATE
        | docker      built-in   ready  Docker Engine
        | broken      container  ready  broken
        | lacking     remote     lacks  lacking needs the secret lacking.key, for KEY: dockmaster secret set lacking.key
        | unheard-of             lacks  no catalog has a server "unheard-of"; `dockmaster catalog search WORD` finds one
        "#);
    let tested = dockmaster.run(&["server", "test", "broken"]);
    assert_eq!(tested.code(), 1);
    let said = |shown: &str, what: &str| shown.matches(what).count();
    let shown = tested.stderr();
    assert_eq!(said(&shown, "broken can't be started: "), 1, "{shown}");
    // It may have the tool, so its reason is part of the answer.
    let shown = dockmaster.run(&["tools", "inspect", "its_tool"]).stderr();
    let why = "server broken, which may have it, does not work: it ended by itself with exit code 3";
    assert_eq!(
        (said(&shown, why), said(&shown, "the disk is full")),
        (1, 1),
        "{shown}"
    );
    let called = dockmaster.run(&["tools", "call", "its_tool"]);
    let shown = called.stderr();
    assert!(
        shown.contains("there is no tool \"its_tool\"; server broken, which may have it, does not work: "),
        "{}",
        called.transcript()
    );
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    client.call("list_containers", json!({})).await.ok();
    client.close().await;
    gone("broken").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_server_can_do_without_is_given_once_it_is_there() {
    let dockmaster = Dockmaster::new();
    let (image, server) = (testkit::image().await, "without");
    // A catalog fills in variables by their names.
    let script = SCRIPT.replace("$TOKEN", "${#TOKEN} characters");
    let entry = json!({
        "type": "server", "title": "Without", "description": "can do without", "image": image, "command": ["sh", "-c", script],
        "secrets": [{"name": "without.token", "env": "TOKEN", "required": false}],
    });
    let catalog = json!({"version": 3, "name": "optional", "registry": {server: entry}});
    let path = dockmaster.home().join("optional.yaml");
    fs_err::write(&path, catalog.to_string()).unwrap();
    for command in [
        &["catalog", "import", path.to_str().unwrap(), "--yes"][..],
        &["server", "enable", server, "--yes"],
    ] {
        let ended = dockmaster.run(command);
        assert_eq!(ended.code(), 0, "{}", ended.transcript());
    }
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let says = async |wanted: &str| assert_eq!(client.call("token", json!({})).await.text(), wanted);
    says("the token is 0 characters").await;
    // It is taken over by the gateway that runs.
    store_secret(&dockmaster, "without.token", "eleven&long");
    says("the token is 11 characters").await;
    let again = dockmaster.run(&["tools", "call", "token"]);
    assert_eq!(
        again.stdout(),
        "the token is 11 characters\n",
        "{}",
        again.transcript()
    );
    let removed = dockmaster.run(&["secret", "remove", "without.token"]);
    assert_eq!(removed.code(), 0, "{}", removed.transcript());
    says("the token is 0 characters").await;
    // Where nobody knows whether there is one, it does not go without.
    let folder = dockmaster.home().join("unreadable");
    fs_err::create_dir_all(folder.join("without.token")).unwrap();
    let config = fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    let sources = format!("[secrets]\nsources = [\"folder:{}\"]\n{config}", folder.display());
    fs_err::write(dockmaster.file("config.toml"), sources).unwrap();
    let reloaded = dockmaster.run(&["gateway", "reload"]);
    assert_eq!(reloaded.code(), 0, "{}", reloaded.transcript());
    let lacking = client.try_call("token", json!({})).await.unwrap_err();
    assert!(lacking.message.contains("without.token"), "{lacking:?}");
    assert!(client.close().await.success());
    gone(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_that_are_a_container_for_each_call() {
    let image = testkit::image().await;
    let folder = Scope::new("percall");
    let dockmaster = Dockmaster::new();
    let catalog = format!(
        "version: 3\nname: mine\nregistry:\n  shell:\n    type: poci\n    title: Shell\n    description: Says things.\n    tools:\n    - name: say\n      description: Says it\n      parameters:\n        type: object\n        properties:\n          words: {{ type: string }}\n        required: [words]\n      container:\n        image: {image}\n        command: [sh, -c, 'echo \"$1\"; echo aside >&2; test \"$1\" != bad', sh, '{{{{words}}}}']\n"
    );
    let path = dockmaster.home().join("mine.yaml");
    fs_err::write(&path, catalog).unwrap();
    let imported = dockmaster.run(&["catalog", "import", path.to_str().unwrap()]);
    insta::assert_snapshot!(imported.transcript(), @"
    exit 0
    | imported mine: 1 server
    ");
    let found = dockmaster.run(&["catalog", "search", "says"]);
    assert!(found.stdout().contains("shell"), "{}", found.transcript());
    let enabled = dockmaster.run(&["server", "enable", "shell", "--yes"]);
    assert_eq!(enabled.code(), 0, "{}", enabled.transcript());
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let said = client
        .call("say", json!({"words": "$(id); a 'b'"}))
        .await
        .ok()
        .text();
    assert!(said.starts_with("$(id); a 'b'\n"), "{said}");
    assert!(said.contains("aside"), "{said}");
    let failed = client.call("say", json!({"words": "bad"})).await.failure();
    assert!(failed.contains("exit code 1"), "{failed}");
    let wrong = client.call("say", json!({})).await.failure();
    assert!(wrong.contains("words"), "{wrong}");
    let planned = dockmaster.run(&["server", "inspect", "shell", "--plan", "--json"]);
    let plan: Value =
        serde_json::from_str(&planned.stdout()).unwrap_or_else(|_| panic!("{}", planned.transcript()));
    assert_eq!(plan["target"]["kind"], "per-call", "{plan}");
    assert_eq!(plan["target"]["tools"][0]["container"]["image"], image, "{plan}");
    client.close().await;
    gone("shell").await;
    folder.finish().await;
}

/// A `server.yaml`, a `server.json` and pages of a registry, each as it is found out there.
#[test]
fn single_servers_and_registries_are_taken_in() {
    let dockmaster = Dockmaster::new();
    let home = dockmaster.home();
    let write = |path: &str, text: &str| {
        let path = home.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        path.display().to_string()
    };
    let server_json = |name: &str| {
        json!({
            "name": format!("io.example/{name}"), "description": "Says things", "version": "1.0.0",
            "packages": [{
                "registryType": "oci", "identifier": "docker.io/example/says:1.0.0", "transport": {"type": "stdio"},
            }],
        })
    };
    let yaml =
        "name: talker\nimage: example/talker:1\ntype: server\nabout:\n  title: T\n  description: Talks.\n";
    let talker = write("talker/server.yaml", yaml);
    let says = write("says/server.json", &server_json("says").to_string());
    write("alone/server.json", &server_json("alone").to_string());
    let odd = write("odd/definition.yaml", &yaml.replace("talker", "odd"));

    // A registry of two pages, at an address of this machine.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let registry = format!("http://{}/v0.1/servers", listener.local_addr().unwrap());
    let pages = [
        ("GET /v0.1/servers ", "one", json!({"nextCursor": "a/b c"})),
        ("GET /v0.1/servers?cursor=a%2Fb%20c ", "two", json!({})),
    ];
    let pages = pages.map(|(asked, name, metadata)| {
        let page = json!({"servers": [{"server": server_json(name)}], "metadata": metadata});
        (asked, page.to_string())
    });
    let served = std::thread::spawn(move || {
        for (asked, page) in pages {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            assert!(head.starts_with(asked), "{head}");
            let length = page.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}"
            );
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });

    for (source, told, catalog, server) in [
        (talker.as_str(), "imported talker: 1 server", "talker", "talker"),
        (
            talker.trim_end_matches("/server.yaml"),
            "there is a catalog talker already",
            "talker",
            "talker",
        ),
        (&says, "imported says: 1 server", "says", "io.example.says"),
        (
            home.join("alone").to_str().unwrap(),
            "imported alone: 1 server",
            "alone",
            "io.example.alone",
        ),
        (&odd, "imported definition: 1 server", "definition", "odd"),
        (
            &registry,
            "imported servers: 2 servers",
            "servers",
            "io.example.two",
        ),
    ] {
        let taken = dockmaster.run(&["catalog", "import", source]);
        assert!(taken.transcript().contains(told), "{}", taken.transcript());
        let shown = dockmaster.run(&["catalog", "show", catalog]);
        assert!(shown.stdout().contains(server), "{}", shown.transcript());
    }
    served.join().unwrap();
    let plan = dockmaster.run(&["server", "inspect", "talker", "--plan"]);
    assert!(
        plan.stdout().contains("example/talker:1"),
        "{}",
        plan.transcript()
    );

    // Read again from where they came.
    fs_err::write(&talker, yaml.replace("talker:1", "talker:2")).unwrap();
    let updated = dockmaster.run(&["catalog", "update", "talker"]);
    assert!(updated.stdout().contains("~ talker"), "{}", updated.transcript());
    let empty = home.join("empty");
    fs_err::create_dir_all(&empty).unwrap();
    let refused = dockmaster.run(&["catalog", "import", empty.to_str().unwrap()]);
    assert!(
        refused
            .stderr()
            .contains("has no server.yaml or server.json in it"),
        "{}",
        refused.transcript()
    );
}

#[test]
fn catalogs_are_taken_in_and_forgotten() {
    let dockmaster = Dockmaster::new();
    let list = dockmaster.run(&["catalog", "list"]);
    insta::assert_snapshot!(list.transcript(), @"
exit 0
| CATALOG     SERVERS  FAULTS  READ  FROM
| dockmaster  15       0             comes with dockmaster
");
    let unknown = dockmaster.run(&["server", "enable", "no-such-server"]);
    insta::assert_snapshot!(unknown.transcript(), @r#"
    exit 1
    ! error: no catalog has a server "no-such-server"; `dockmaster catalog search WORD` finds one
    "#);
    let nowhere = dockmaster.run(&["catalog", "import", "/nonexistent/catalog.yaml"]);
    assert_eq!(nowhere.code(), 1);
    assert!(!Path::new(&dockmaster.file("config.toml")).exists());
    let plan = dockmaster.run(&["server", "inspect", "memory", "--plan"]);
    let plan: Value = serde_json::from_str(&plan.stdout()).unwrap();
    assert_eq!(plan["target"]["kind"], "container", "{plan}");
    let inspected = dockmaster.run(&["server", "inspect", "github-official"]);
    assert!(
        inspected.stdout().contains("github.personal_access_token"),
        "{}",
        inspected.transcript()
    );
}

#[test]
fn profiles() {
    let dockmaster = Dockmaster::new().configured("# mine\n[gateway]\nport = 9001 # here\n");
    for (arguments, code) in [
        (&["profile", "create", "work"][..], 0),
        (&["profile", "create", "work"], 1),
        (&["profile", "use", "nothing"], 1),
        (&["profile", "use", "work"], 0),
        (&["profile", "remove", "work"], 1),
    ] {
        let ended = dockmaster.run(arguments);
        assert_eq!(ended.code(), code, "{arguments:?}: {}", ended.transcript());
    }
    let config = fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    insta::assert_snapshot!(config, @r#"
        # mine
        [gateway]
        port = 9001 # here
        profile = "work"

        [profiles.work.servers]
        "#);
    let exported = dockmaster.run(&["profile", "export", "work"]);
    fs_err::write(dockmaster.home().join("work.toml"), exported.stdout()).unwrap();
    let imported = dockmaster.run(&["profile", "import", "work.toml", "--name", "copy"]);
    assert_eq!(imported.code(), 0, "{}", imported.transcript());
    let list = dockmaster.run(&["profile", "list"]);
    insta::assert_snapshot!(list.transcript(), @"
    exit 0
    | PROFILE  SERVERS
    | copy     0
    | work     0        used
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_set_up_while_it_is_switched_on() {
    let image = testkit::image().await;
    let schema = r#"{ type = "object", properties = { greeting = { type = "string" } } }"#;
    let dockmaster = Dockmaster::new().configured(&format!(
        "[servers.mine]\nimage = \"{image}\"\nargs = [\"echo\", \"{{{{mine.greeting}}}}\"]\nconfig = {schema}\n"
    ));
    let enabled = dockmaster.run(&["server", "enable", "mine", "--set", "greeting=hello"]);
    assert_eq!(enabled.code(), 0, "{}", enabled.transcript());
    let config = fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    assert!(
        config.contains(r#"config = { "greeting" = "hello" }"#),
        "{config}"
    );
}

#[test]
fn secrets_that_an_earlier_source_hides() {
    let dockmaster = Dockmaster::new();
    let variable = ("DOCKMASTER_SECRET_MY_TOKEN", "from-the-environment");
    let refused = dockmaster.run_with(&["secret", "remove", "my.token"], &[variable]);
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    assert!(
        refused.stderr().contains(
            "my.token was not removed: it is in the environment, which is only read; remove it there"
        ),
        "{}",
        refused.transcript()
    );
    let value = dockmaster.home().join("value");
    fs_err::write(&value, "stored-all-the-same").unwrap();
    let stored = dockmaster
        .command(&["secret", "set", "my.token"])
        .env(variable.0, variable.1)
        .stdin(fs_err::File::open(&value).unwrap().into_parts().0)
        .output()
        .unwrap();
    assert!(stored.status.success(), "{stored:?}");
    let told = String::from_utf8_lossy(&stored.stderr).into_owned();
    assert!(
        told.contains("comes before it in `secrets.sources` and has my.token too: that value counts"),
        "{told}"
    );
}

#[test]
fn commands_that_find_nothing_say_what_to_do_next() {
    let dockmaster = Dockmaster::new().configured(
        "[servers.mine]\nimage = \"example/mine:1\"\nargs = [\"{{mine.greeting}}\"]\n\
         config = { type = \"object\", properties = { greeting = { type = \"string\" } } }\n\
         [profiles.default.servers.mine]\n",
    );
    for (arguments, code, said) in [
        (&["catalog", "update"][..], 0, "`dockmaster catalog import`"),
        (&["catalog", "remove", "own"], 1, "own is always there"),
        (&["secret", "list"], 0, "`dockmaster secret set NAME`"),
        (&["secret", "remove", "nothing"], 1, "`dockmaster secret list`"),
        (
            &["profile", "create", "a b"],
            1,
            "a profile can't be called \"a b\"; use letters",
        ),
        (&["profile", "create", "work"], 0, "made work"),
        (&["profile", "use", "work"], 0, "work is used"),
        (
            &["profile", "show"],
            0,
            "`dockmaster server enable SERVER --profile work`",
        ),
        (
            &["server", "update"],
            0,
            "nothing is switched on in the profile work",
        ),
        (
            &["profile", "remove", "work"],
            1,
            "`dockmaster profile use default`",
        ),
        // It need not be written anywhere.
        (&["profile", "use", "default"], 0, "default is used"),
        (&["profile", "remove", "work"], 0, "removed work"),
        (
            &["profile", "remove", "default"],
            1,
            "default is the profile that is used, and there is no other that could be",
        ),
        (&["server", "test", "docker"], 1, "`dockmaster doctor`"),
        (&["server", "logs", "docker"], 1, "docker is built in"),
        (
            &["server", "logs", "nobody"],
            1,
            "`dockmaster catalog search WORD`",
        ),
        (&["server", "logs", "mine"], 0, "mine has written nothing"),
        (&["server", "disable", "docker"], 1, "`[docker] enabled`"),
        (&["server", "inspect", "docker"], 0, "switched on: yes"),
        (
            &["server", "inspect", "docker", "--updates"],
            0,
            "no image with a tag that could move",
        ),
        (
            &["server", "config", "mine", "gretting=x"],
            1,
            "it has greeting. Nothing was changed",
        ),
        (
            &["server", "inspect", "mine", "--plan", "--updates"],
            2,
            "cannot be used with",
        ),
    ] {
        let ended = dockmaster.run(arguments);
        let transcript = ended.transcript();
        assert_eq!(ended.code(), code, "{arguments:?}: {transcript}");
        assert!(transcript.contains(said), "{arguments:?}: {transcript}");
    }
}
