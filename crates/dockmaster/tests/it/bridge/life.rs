//! One bridge from its installation to its end: called through, left alone, upgraded, and taken away.

use std::process::Command;

use serde_json::Value;
use testkit::{Daemon, McpClient, Sshd};

use super::{Bridged, VERSION};
use crate::harness::Dockmaster;
use crate::remote::socket;
use crate::servers::{containers, gone, store_secret};

/// An MCP server that counts its calls: what it answers tells whether it is the same one still.
pub(super) const COUNTER: &str = r#"
reply() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$1" "$2"; }
n=0
if [ -n "$TOKEN" ]; then
  echo "plain $TOKEN, base64 $(printf %s "$TOKEN" | base64), URL $(printf %s "$TOKEN" | sed 's/&/%26/g')" >&2
fi
echo "the counter is at nought" >&2
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"method":"initialize"'*) reply "$id" '"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"counter","version":"1"}}' ;;
    *'"method":"tools/list"'*) reply "$id" '"result":{"tools":[{"name":"count","inputSchema":{"type":"object"}},{"name":"given","inputSchema":{"type":"object"}}]}' ;;
    *'"name":"count"'*) n=$((n+1)); reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"call $n\"}]}" ;;
    *'"name":"given"'*) reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"${#TOKEN} characters\"}]}" ;;
    *'"id":'*) [ -n "$id" ] && reply "$id" '"error":{"code":-32601,"message":"no such method"}' ;;
  esac
done
"#;

/// Two names of one engine, the other at `engine`; the server `NAME` is placed on `far`.
async fn with_far(name: &str, engine: &str) -> Bridged {
    let image = testkit::image().await;
    let dockmaster = Dockmaster::new().configured(&format!(
        "[hosts.far]\nendpoint = '{engine}'\n[servers.{name}]\nimage = \"{image}\"\nargs = [\"sh\", \"-c\", '''{COUNTER}''']\n\
         secrets = {{ TOKEN = \"counter.token\" }}\n[profiles.default.servers.{name}]\nhost = 'far'\n"
    ));
    store_secret(&dockmaster, "counter.token", "eleven&long");
    Bridged::new(dockmaster, name)
}

async fn call(client: &McpClient, tool: &str) -> String {
    match client.try_call(tool, serde_json::json!({})).await {
        Ok(answer) => answer.text(),
        Err(error) => format!("{error:?}; {}", client.stderr()),
    }
}

/// How many calls of `count` the bridge wrote down, as our own audit tells.
fn rows(audit: &[Value]) -> usize {
    let far = audit
        .iter()
        .filter(|row| row["principal"] == "gateway@far" && row["tool"] == "count");
    far.count()
}

/// And nobody but its engine reaches it.
async fn is_locked_down(daemon: &Daemon, name: &str) {
    let state = daemon.get(&format!("/containers/{name}/json")).await.ok().json();
    let host = &state["HostConfig"];
    assert_eq!(host["NetworkMode"], "none");
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["RestartPolicy"]["Name"], "always");
    assert!(
        host["PortBindings"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
    );
}

fn no_tool_gets_at_it(dockmaster: &Dockmaster, name: &str) {
    for arguments in [
        &[
            "tools",
            "call",
            "remove_container",
            "--arg",
            "host=far",
            "--arg",
            "force=true",
            "--arg",
        ][..],
        &["tools", "call", "stop_container", "--arg", "host=far", "--arg"],
    ] {
        let container = format!("container={name}");
        let refused = dockmaster.run(&[arguments, &[container.as_str(), "--yes"]].concat());
        assert!(
            format!("{}{}", refused.stdout(), refused.stderr()).contains("rule bridge"),
            "{}",
            refused.transcript()
        );
    }
}

/// What it writes is kept without its secrets, however it writes them: neither there nor here.
async fn tells_no_secret(dockmaster: &Dockmaster, daemon: &Daemon, name: &str) {
    let logs = dockmaster.run(&["server", "logs", "bridge", "--tail", "100"]);
    let kept = daemon
        .get(&format!(
            "/containers/{name}/archive?path=/var/lib/dockmaster/logs/bridge.log"
        ))
        .await
        .ok()
        .text();
    for text in [logs.stdout(), kept] {
        assert!(
            text.contains("plain ") && text.contains("base64 ") && text.contains("URL "),
            "{text}"
        );
        for told in ["eleven", "ZWxldmVu", "long"] {
            assert!(!text.contains(told), "{told}: {text}");
        }
    }
}

fn is_shown(dockmaster: &Dockmaster) {
    for command in [
        &["host", "list"][..],
        &["host", "show", "far"],
        &["gateway", "status"],
    ] {
        let shown = dockmaster.run(command);
        let line = format!("bridge on far: {} running", env!("CARGO_PKG_VERSION"));
        assert!(shown.stdout().contains(&line), "{}", shown.transcript());
    }
    let tested = dockmaster.run(&["host", "test", "far"]);
    assert!(tested.stdout().contains("bridge"), "{}", tested.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_goes_on_when_its_gateway_is_gone() {
    // Behind a real sshd, as hosts are.
    let sshd = Sshd::start("").await;
    let engine = format!("ssh://{}@127.0.0.1:{}{}", Sshd::user(), sshd.port(), socket());
    let dockmaster = with_far("bridge", &engine).await;
    dockmaster.let_in_by(&sshd);
    let installed = dockmaster.install();
    let id = dockmaster.id();
    let name = format!("dockmaster.bridge-{id}");
    assert!(installed.stdout().contains(&name), "{}", installed.transcript());
    let again = dockmaster.small(&["host", "install", "far"]);
    assert!(
        again.stderr().contains("there is a bridge on far already"),
        "{}",
        again.transcript()
    );

    let daemon = Daemon::here();
    is_locked_down(&daemon, &name).await;

    // A gateway that is killed takes nothing along.
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    assert_eq!(call(&client, "count").await, "call 1");
    assert_eq!(call(&client, "given").await, "11 characters");
    let made = containers("bridge").await;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["Labels"]["dockmaster.made-by-bridge"], id.as_str());
    let pid = rustix::process::Pid::from_raw(client.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    drop(client);
    assert_eq!(containers("bridge").await[0]["Id"], made[0]["Id"]);
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    assert_eq!(call(&client, "count").await, "call 2");

    // What the rules deny is denied over there, too.
    let mut config = fs_err::read_to_string(dockmaster.file("config.toml")).unwrap();
    config.push_str("[policy]\ndeny = [\"bridge/given\"]\n");
    fs_err::write(dockmaster.file("config.toml"), config).unwrap();
    let called = dockmaster.run(&["tools", "call", "count"]);
    assert_eq!(called.stdout(), "call 3\n", "{}", called.transcript());
    let told = daemon
        .get(&format!(
            "/containers/{name}/archive?path=/var/lib/dockmaster/config.toml"
        ))
        .await
        .ok()
        .text();
    assert!(told.contains("deny = [\"bridge/given\"]"), "{told}");

    no_tool_gets_at_it(&dockmaster, &name);

    // What it wrote down stands in the audit here, once, whoever looks.
    assert_eq!(rows(&dockmaster.audit()), 3);
    assert_eq!(rows(&dockmaster.audit()), 3);
    let verified = dockmaster.run(&["audit", "verify"]);
    assert_eq!(verified.code(), 0, "{}", verified.transcript());

    is_shown(&dockmaster);
    // It comes back when it is stopped with its engine.
    client.close().await;
    daemon
        .post(&format!("/containers/{name}/restart"), &Value::Null)
        .await
        .ok();
    let called = dockmaster.run(&["tools", "call", "count"]);
    assert_eq!(called.stdout(), "call 1\n", "{}", called.transcript());

    // An upgrade keeps what it knows, and makes a new key.
    let before = dockmaster.record();
    let upgraded = dockmaster.small(&["host", "upgrade", "far"]);
    assert_eq!(upgraded.code(), 0, "{}", upgraded.transcript());
    let after = dockmaster.record();
    assert_eq!(before["id"], after["id"]);
    assert_ne!(before["key"], after["key"]);
    let called = dockmaster.run(&["tools", "call", "count"]);
    assert_eq!(called.stdout(), "call 1\n", "{}", called.transcript());
    assert_eq!(rows(&dockmaster.audit()), 5);

    // What it writes can be read here, and it can be stopped from here.
    let logs = dockmaster.run(&["server", "logs", "bridge", "--tail", "2"]);
    let lines: Vec<_> = logs.stdout().lines().map(str::to_owned).collect();
    assert!(
        lines.len() == 2 && lines[1].ends_with("Z the counter is at nought"),
        "{}",
        logs.transcript()
    );
    tells_no_secret(&dockmaster, &daemon, &name).await;
    let restarted = dockmaster.run(&["server", "restart", "bridge"]);
    assert_eq!(
        restarted.stdout(),
        "bridge was stopped in the bridge on far; its next use starts it anew\n",
        "{}",
        restarted.transcript()
    );
    let called = dockmaster.run(&["tools", "call", "count"]);
    assert_eq!(called.stdout(), "call 1\n", "{}", called.transcript());

    dockmaster.uninstall().await;
    gone("bridge").await;
    assert!(!dockmaster.file("bridges/far.json").exists());
    // The gateway runs it by itself again.
    let called = dockmaster.run(&["tools", "call", "count"]);
    assert_eq!(called.stdout(), "call 1\n", "{}", called.transcript());
    gone("bridge").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_one_that_does_not_work_gives_way() {
    let dockmaster = with_far("steady", &testkit::endpoint()).await;
    dockmaster.install();

    let source = dockmaster.file("no.c");
    fs_err::write(&source, "int main(void) { return 3; }").unwrap();
    let wrong = dockmaster.file("no");
    let compiled = Command::new("cc")
        .arg("-static")
        .arg("-o")
        .args([&wrong, &source])
        .status();
    assert!(compiled.unwrap().success(), "the C compiler links statically");
    let upgraded = dockmaster.small(&["host", "upgrade", "far", "--executable", wrong.to_str().unwrap()]);
    assert_eq!(upgraded.code(), 1, "{}", upgraded.transcript());
    assert!(
        upgraded.stderr().contains("the one before is back"),
        "{}",
        upgraded.transcript()
    );
    let called = dockmaster.run(&["tools", "call", "count"]);
    assert_eq!(called.stdout(), "call 1\n", "{}", called.transcript());

    // One of another time says what to do.
    let path = dockmaster.file("bridges/far.json");
    let mut told = dockmaster.record();
    for (version, wanted) in [
        ("9.9.0", "upgrade this Dockmaster"),
        ("x", "`dockmaster host upgrade far`"),
    ] {
        told["version"] = version.into();
        fs_err::write(&path, told.to_string()).unwrap();
        let refused = dockmaster.run(&["tools", "call", "count"]);
        assert!(
            format!("{}{}", refused.stdout(), refused.stderr()).contains(wanted),
            "{}",
            refused.transcript()
        );
    }
    let upgraded = dockmaster.small(&["host", "upgrade", "far"]);
    assert_eq!(upgraded.code(), 0, "{}", upgraded.transcript());
    assert_eq!(dockmaster.run(&["tools", "call", "count"]).stdout(), "call 1\n");

    // A key that is old is replaced by the next connection, and nothing breaks.
    let mut told = dockmaster.record();
    let old = told["key"].clone();
    told["key_made"] = 0.into();
    fs_err::write(&path, told.to_string()).unwrap();
    assert_eq!(dockmaster.run(&["tools", "call", "count"]).stdout(), "call 2\n");
    assert_ne!(dockmaster.record()["key"], old);

    dockmaster.uninstall().await;
    gone("steady").await;
}

/// What is warm over there is there before anybody calls, keeps what it knows, and needs nobody here.
#[tokio::test(flavor = "multi_thread")]
async fn a_warm_one_over_there_keeps_what_it_knows() {
    for (further, second) in [("", "call 1\n"), ("warm = 1\n", "call 2\n")] {
        let dockmaster = with_far("warm", &testkit::endpoint()).await;
        let path = dockmaster.file("config.toml");
        let config = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, format!("{config}idle_stop = \"1s\"\n{further}")).unwrap();
        dockmaster.install();
        assert_eq!(dockmaster.run(&["tools", "call", "count"]).stdout(), "call 1\n");
        let before = containers("warm").await;
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        let after = containers("warm").await;
        let ids = |containers: &[Value]| containers.iter().map(|one| one["Id"].clone()).collect::<Vec<_>>();
        let kept = if further.is_empty() { vec![] } else { ids(&before) };
        assert_eq!(ids(&after), kept, "{further}");
        assert_eq!(
            dockmaster.run(&["tools", "call", "count"]).stdout(),
            second,
            "{further}"
        );
        dockmaster.uninstall().await;
        gone("warm").await;
    }
}

/// Tools that are a container for each call have it over there.
#[tokio::test(flavor = "multi_thread")]
async fn containers_of_single_calls_are_made_over_there() {
    let image = testkit::image().await;
    let dockmaster = Dockmaster::new().configured(&format!(
        "[hosts.far]\nendpoint = '{}'\n[profiles.default.servers.single]\nhost = 'far'\n",
        testkit::endpoint()
    ));
    let catalog = format!(
        "version: 3\nname: mine\nregistry:\n  single:\n    type: poci\n    title: Single\n    description: Says things.\n    tools:\n    - name: say\n      description: Says it\n      parameters: {{ type: object, properties: {{ words: {{ type: string }} }}, required: [words] }}\n      container:\n        image: {image}\n        command: [echo, '{{{{words}}}}']\n"
    );
    let file = dockmaster.home().join("mine.yaml");
    fs_err::write(&file, catalog).unwrap();
    let imported = dockmaster.run(&["catalog", "import", file.to_str().unwrap(), "--yes"]);
    assert_eq!(imported.code(), 0, "{}", imported.transcript());
    let dockmaster = Bridged::new(dockmaster, "single");
    dockmaster.install();
    for words in ["one", "two"] {
        let called = dockmaster.run(&["tools", "call", "say", "--arg", &format!("words={words}")]);
        assert_eq!(called.stdout().trim_end(), words, "{}", called.transcript());
    }
    let rows = dockmaster.audit();
    let far = rows
        .iter()
        .filter(|row| row["principal"] == "gateway@far" && row["tool"] == "say");
    assert_eq!(far.count(), 2, "{rows:?}");
    dockmaster.uninstall().await;
    gone("single").await;
}
