//! Secrets that a server is given as files: in memory, here as behind a bridge.

use std::process::Command;

use serde_json::{Value, json};
use testkit::{Daemon, Sshd, all_engines, eventually, image_on};

use super::{Bridged, MADE_BY, VERSION, all_of};
use crate::harness::{Dockmaster, EXECUTABLE, Ended};
use crate::servers::store_secret;

/// An MCP server that tells of its files and variables what shows that they are there, and tries to change one.
const READER: &str = r#"
reply() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$1" "$2"; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"method":"initialize"'*) reply "$id" '"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"reader","version":"1"}}' ;;
    *'"method":"tools/list"'*) reply "$id" '"result":{"tools":[{"name":"look","inputSchema":{"type":"object"}},{"name":"tell","inputSchema":{"type":"object"}}]}' ;;
    *'"name":"look"'*)
      said=$(for f in /run/secrets/key /etc/own; do printf '%s %s %s %s; ' "$(md5sum <$f | cut -c1-8)" "$(wc -c <$f)" "$(stat -f -c %T $f)" "$(stat -c %a $f)"; done)
      { echo x >/run/secrets/key; } 2>/dev/null && said="$said written; "
      reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"$said${#KEY} $(id -u)\"}]}" ;;
    *'"name":"tell"'*) reply "$id" "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"$(tail -n 1 /run/secrets/key | cut -d' ' -f1)\"}]}" ;;
    *'"id":'*) [ -z "$id" ] || reply "$id" '"error":{"code":-32601,"message":"no such method"}' ;;
  esac
done
"#;
/// Of two lines, as a key has them.
const KEY: &str = "-----BEGIN-----\nthirty-2-characters-of-a-key and äö";
const OWN: &str = "another value";
/// What the server says of them: no newline is added, and the variable of what is in a file is not there.
const SEEN: &str = "f335e53f 53 tmpfs 444; 562006a1 13 tmpfs 444; 0 1000";

/// The server `reader-…` on this engine, which is the host `far` at `endpoint`; its secrets have values.
async fn with_reader(daemon: &Daemon, endpoint: &str, placed: &str) -> (Dockmaster, String) {
    let image = image_on(daemon).await;
    let server = format!("reader-{}", std::process::id());
    let dockmaster = Dockmaster::new().configured(&format!(
        "[hosts.far]\nendpoint = '{endpoint}'\n[servers.{server}]\nimage = \"{image}\"\nuser = '1000'\n\
         args = [\"sh\", \"-c\", '''{READER}''']\nsecrets = {{ KEY = 'reader.key' }}\nsecret_files = {{ '/etc/own' = 'reader.own' }}\n\
         [profiles.default.servers.{server}]\nsecret_files = {{ '/run/secrets/key' = 'reader.key' }}\n{placed}\n"
    ));
    store_secret(&dockmaster, "reader.key", KEY);
    store_secret(&dockmaster, "reader.own", OWN);
    (dockmaster, server)
}

/// No value is in what the engine tells of its containers.
async fn is_told_nowhere(daemon: &Daemon, mark: &str) {
    let mut containers = 0;
    for (path, _) in all_of(daemon, mark).await {
        let Some(container) = path.strip_prefix("/containers/") else {
            continue;
        };
        let id = container.split('?').next().unwrap_or_default();
        let told = daemon.get(&format!("/containers/{id}/json")).await.ok().text();
        assert!(!told.contains(OWN) && !told.contains("thirty-2"), "{told}");
        containers += 1;
    }
    assert!(containers > 0, "{mark}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_reads_its_secrets_from_files_in_memory() {
    let daemon = Daemon::here();
    let (dockmaster, server) = with_reader(&daemon, &daemon.endpoint(), "").await;
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let inspected = dockmaster.run(&["server", "inspect", &server, "--plan", "--json"]);
    assert_eq!(inspected.code(), 0, "{}", inspected.transcript());
    let plan: Value = serde_json::from_str(&inspected.stdout()).unwrap();
    assert_eq!(plan["secrets"], json!(["reader.key", "reader.own"]), "{plan}");

    let mut command = dockmaster.command(&["gateway", "run"]);
    command.env("DOCKMASTER_MEMORY", memory.path());
    let client = testkit::McpClient::spawn(command.into());
    client.initialize(VERSION).await;
    assert_eq!(client.call("look", json!({})).await.text(), SEEN);
    // What it says of it is taken out, also when it is a part of several lines.
    assert_eq!(client.call("tell", json!({})).await.text(), "[redacted]");
    is_told_nowhere(&daemon, &format!("\"dockmaster.server\":\"{server}\"")).await;
    assert_eq!(fs_err::read_dir(memory.path()).unwrap().count(), 1);
    assert!(client.close().await.success());
    let left = fs_err::read_dir(memory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let left: Vec<_> = left.flat_map(|own| fs_err::read_dir(own).unwrap()).collect();
    assert!(left.is_empty(), "{left:?}");

    // Without a value it does not start, and says what to do.
    let removed = dockmaster.run(&["secret", "remove", "reader.own"]);
    assert_eq!(removed.code(), 0, "{}", removed.transcript());
    let tested = dockmaster.run(&["server", "test", &server]);
    assert_ne!(tested.code(), 0, "{}", tested.transcript());
    let words = format!(
        "{server} needs the secret reader.own, for the file /etc/own: dockmaster secret set reader.own"
    );
    assert!(tested.stderr().contains(&words), "{}", tested.transcript());
}

/// As when the engine lives in a mount namespace of its own.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_the_engine_does_not_see_are_told() {
    let daemon = Daemon::here();
    let (dockmaster, _) = with_reader(&daemon, &daemon.endpoint(), "").await;
    let memory = tempfile::tempdir().unwrap();
    let hidden = |arguments: &[&str]| {
        let of = dockmaster.command(&[]);
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg("mount -t tmpfs memory \"$0\" && exec \"$@\"")
            .arg(memory.path())
            .args(arguments)
            .env_clear()
            .envs(of.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("DOCKMASTER_MEMORY", memory.path());
        Ended::new(command.output().unwrap(), &dockmaster)
    };
    if hidden(&["true"]).code() != 0 {
        eprintln!("who runs this may make no mount namespace, so this is not tried");
        return;
    }
    let called = hidden(&[EXECUTABLE, "tools", "call", "look"]);
    assert_eq!(called.code(), 1, "{}", called.transcript());
    let told = called.stderr();
    assert!(
        told.contains("the engine does not find the files of its secrets"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_a_bridge_reads_its_secrets_from_files_in_memory() {
    // Behind a real sshd, as what is reached by a socket is this machine.
    let sshd = Sshd::start("").await;
    for daemon in all_engines() {
        let at = daemon.endpoint();
        let socket = at.strip_prefix("unix://").unwrap();
        let endpoint = format!("ssh://{}@127.0.0.1:{}{socket}", Sshd::user(), sshd.port());
        let (dockmaster, server) = with_reader(&daemon, &endpoint, "host = 'far'").await;
        dockmaster.let_in_by(&sshd);
        let bridged = Bridged::on(daemon, dockmaster, &server);
        let tested = bridged.run(&["server", "test", &server]);
        assert_eq!(tested.code(), 1, "{at}: {}", tested.transcript());
        let words =
            "one in memory is given to containers on the same machine only: dockmaster host install far";
        assert!(tested.stderr().contains(words), "{at}: {}", tested.transcript());
        bridged.install();
        let id = bridged.id();
        // It is tried out where it runs.
        let tested = bridged.run(&["server", "test", &server]);
        assert_eq!(tested.code(), 0, "{at}: {}", tested.transcript());
        let look = async || {
            let client = bridged.client(&[]);
            client.initialize(VERSION).await;
            let said = client.try_call("look", json!({})).await;
            assert!(client.close().await.success());
            said.map_or_else(|error| format!("{error:?}"), |answer| answer.text())
        };
        assert_eq!(look().await, SEEN, "{at}");
        is_told_nowhere(&bridged.daemon, &format!("\"{MADE_BY}\":\"{id}\"")).await;

        // Its volume is empty when it starts again, and filled anew.
        let bridge = format!("/containers/dockmaster.bridge-{id}");
        bridged
            .daemon
            .post(&format!("{bridge}/restart?t=20"), &json!({}))
            .await
            .ok();
        eventually("the bridge is back", async || {
            (look().await == SEEN).then_some(())
        })
        .await;
        // And by another container of the same bridge.
        let upgraded = bridged.small(&["host", "upgrade", "far"]);
        assert_eq!(upgraded.code(), 0, "{at}: {}", upgraded.transcript());
        assert_eq!(look().await, SEEN, "{at}");
        bridged.uninstall().await;
    }
}
