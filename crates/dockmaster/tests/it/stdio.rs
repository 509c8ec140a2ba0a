//! What is particular to the pipe: beginning, end, and lines that are no messages.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Scope;

use crate::harness::Dockmaster;

const VERSION: &str = "2025-11-25";

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_input_ends_it() {
    let dockmaster = Dockmaster::new();
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let begun = Instant::now();
    assert!(client.close().await.success());
    assert!(begun.elapsed() < Duration::from_secs(3));
    // Also when nothing was said at all.
    assert!(dockmaster.client(&[]).close().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it() {
    for signal in ["TERM", "INT"] {
        let dockmaster = Dockmaster::new();
        let client = dockmaster.client(&[]);
        client.initialize(VERSION).await;
        let killed = std::process::Command::new("kill")
            .args(["-s", signal, &client.pid().to_string()])
            .status();
        assert!(killed.unwrap().success());
        testkit::eventually("the end of the process", async || {
            client.is_closed().then_some(())
        })
        .await;
        assert!(client.close().await.success(), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_has_nothing_but_messages() {
    let dockmaster = Dockmaster::new();
    let client = dockmaster.client(&["--print-client", "--log-level", "trace"]);
    client.initialize(VERSION).await;
    client.call("list_containers", json!({})).await.ok();
    assert_eq!(client.strays(), Vec::<String>::new());
    assert!(client.stderr().contains("mcpServers"));
    assert!(!client.stderr().contains("bollard"), "{}", client.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_no_json_is_answered_and_the_next_one_served() {
    let dockmaster = Dockmaster::new();
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    client
        .send_line("{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\":")
        .await;
    let stray: Value = serde_json::from_str(&client.stray().await).unwrap();
    assert_eq!(stray["error"]["code"], -32700, "{stray}");
    client.call("list_containers", json!({})).await.ok();
}

/// What runs in a container when the client goes away is stopped, and nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_middle_of_a_call() {
    let scope = Scope::new("gone");
    let id = scope.run("gone", &["sleep", "120"]).await;
    let dockmaster = Dockmaster::new();
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let call = json!({"name": "execute_command_in_container", "arguments": {"container": id, "command": ["sleep", "111"]}});
    let pending = client.start("tools/call", call).await;
    let running = async || {
        let top = scope.daemon().get(&format!("/containers/{id}/top")).await.text();
        top.contains("sleep 111").then_some(())
    };
    testkit::eventually("the command", running).await;
    let begun = Instant::now();
    drop(pending);
    client.close().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let stopped = async || running().await.is_none().then_some(());
    testkit::eventually("the end of the command", stopped).await;
    assert_eq!(dockmaster.audit().len(), 1);
    scope.finish().await;
}

/// Clients differ in what they give: a pipe (tested everywhere else), a socket, a file, one pipe for both outputs.
#[cfg(unix)]
#[test]
fn every_kind_of_input_and_output_serves() {
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::Stdio;

    let lines = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
    ];
    let lines = lines.map(|line| line.to_string()).join("\n") + "\n";
    let answered = |text: &str, kind: &str| {
        let message = |line: &str| serde_json::from_str::<Value>(line).ok();
        let listed = text
            .lines()
            .filter_map(message)
            .find(|message| message["id"] == 2);
        let tools = &listed.unwrap_or_else(|| panic!("{kind}: {text}"))["result"]["tools"];
        assert_eq!(tools.as_array().map(Vec::len), Some(31), "{kind}");
    };

    let dockmaster = Dockmaster::new();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let end = || Stdio::from(OwnedFd::from(theirs.try_clone().unwrap()));
    let mut child = dockmaster
        .command(&["gateway", "run"])
        .stdin(end())
        .stdout(end())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(theirs);
    ours.write_all(lines.as_bytes()).unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    answered(&text, "a socket");
    assert!(child.wait().unwrap().success());

    let dockmaster = Dockmaster::new();
    let file = dockmaster.home().join("lines");
    fs_err::write(&file, &lines).unwrap();
    let ended = dockmaster
        .command(&["gateway", "run"])
        .stdin(std::fs::File::from(fs_err::File::open(&file).unwrap()))
        .output()
        .unwrap();
    answered(&String::from_utf8(ended.stdout).unwrap(), "a file");

    let dockmaster = Dockmaster::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut child = dockmaster
        .command(&["gateway", "run", "--log-level", "trace"])
        .stdin(std::fs::File::from(fs_err::File::open(&file).unwrap()))
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    text.clear();
    reader.read_to_string(&mut text).unwrap();
    answered(&text, "one pipe for both outputs");
    assert!(child.wait().unwrap().success());
}

/// Whoever shares the pipe goes on with it when the gateway has ended.
#[cfg(unix)]
#[test]
fn pipes_are_left_as_they_were() {
    use rustix::fs::{OFlags, fcntl_getfl};
    let dockmaster = Dockmaster::new();
    let (input, to_it) = std::io::pipe().unwrap();
    let (from_it, output) = std::io::pipe().unwrap();
    let mut running = dockmaster
        .command(&["gateway", "run"])
        .stdin(input.try_clone().unwrap())
        .stdout(output.try_clone().unwrap())
        .spawn()
        .unwrap();
    drop(to_it);
    assert!(running.wait().unwrap().success());
    for flags in [fcntl_getfl(&input), fcntl_getfl(&output)] {
        assert!(!flags.unwrap().contains(OFlags::NONBLOCK));
    }
    drop(from_it);
}
