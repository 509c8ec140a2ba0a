//! Calls for other hosts: of the same engine behind another guard, of one that is not there, and of one that accepts and
//! never answers.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Scope;

use crate::harness::Dockmaster;
use crate::terminal::Terminal;

const VERSION: &str = "2025-11-25";

/// A gateway that knows some hosts; the listener belongs to the one that never answers.
fn among_hosts() -> (Dockmaster, UnixListener) {
    let dockmaster = Dockmaster::new();
    let silent = dockmaster.home().join("silent.sock");
    let listener = UnixListener::bind(&silent).unwrap();
    let engine = testkit::endpoint();
    let toml = format!(
        "[hosts.look]\nendpoint = '{engine}'\nmode = 'read-only'\n[hosts.work]\nendpoint = '{engine}'\n\
         [hosts.dead]\nendpoint = 'unix:///nowhere/docker.sock'\n[hosts.silent]\nendpoint = 'unix://{}'\n",
        silent.display()
    );
    (dockmaster.configured(&toml), listener)
}

fn call(dockmaster: &Dockmaster, tool: &str, arguments: &Value) -> (i32, String) {
    let ended = dockmaster.run(&["tools", "call", tool, &arguments.to_string()]);
    (ended.code(), ended.stdout() + &ended.stderr())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_all_hosts_say_which_did_not_answer() {
    let scope = Scope::new("everywhere");
    let id = scope.run("web", &["sleep", "60"]).await;
    let (dockmaster, _silent) = among_hosts();
    let begun = Instant::now();
    let filters = json!({"label": scope.label()});
    let (code, said) = call(
        &dockmaster,
        "list_containers",
        &json!({"host": "*", "filters": filters}),
    );
    assert_eq!(code, 0, "{said}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let name = scope.name("web");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "host\tname\timage\tstatus\tports", "{said}");
    for host in ["local", "look", "work"] {
        assert!(said.contains(&format!("\n{host}\t{name}\t")), "{said}");
    }
    assert!(
        said.contains("[dead did not answer: can't reach the Docker Engine at unix:///nowhere/docker.sock"),
        "{said}"
    );
    assert!(
        said.contains("[silent did not answer: no answer within 10s]"),
        "{said}"
    );
    let (code, said) = call(
        &dockmaster,
        "inspect_container",
        &json!({"host": "*", "container": id}),
    );
    assert_eq!(code, 1);
    assert!(
        said.contains("inspect_container is for one host at a time"),
        "{said}"
    );
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_name_their_host_and_its_guard_judges_them() {
    let scope = Scope::new("writes");
    let (dockmaster, _silent) = among_hosts();
    let name = scope.name("data");
    let volume = |host: &str| json!({"host": host, "name": name, "labels": scope.labels()});
    let (code, said) = call(&dockmaster, "create_volume", &volume("look"));
    assert_eq!(code, 1, "{said}");
    for part in [
        "on host look: ",
        "(rule mode)",
        "`[hosts.look] mode = \"no-destroy\"` in HOME/dm/config.toml",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = call(&dockmaster, "create_volume", &volume("work"));
    assert!(
        code == 0 && said.contains(&format!("created volume {name}")) && said.contains("[host work]"),
        "{said}"
    );
    // With others about, the local host is named, too.
    let (_, said) = call(&dockmaster, "create_volume", &json!({"name": name}));
    assert!(
        said.contains("exists already") && said.contains("[host local]"),
        "{said}"
    );
    let (_, said) = call(&dockmaster, "inspect_volume", &json!({"volume": name}));
    assert!(!said.contains("[host "), "{said}");
    for (host, wanted) in [
        (
            "wrok",
            "there is no host \"wrok\"; there are: dead, local, look, silent, work",
        ),
        ("wrok", "did you mean work?"),
        (
            "dead",
            "on host dead: can't reach the Docker Engine at unix:///nowhere/docker.sock",
        ),
    ] {
        let (code, said) = call(&dockmaster, "list_volumes", &json!({"host": host}));
        assert!(code == 1 && said.contains(wanted), "{said}");
    }
    let (_, said) = call(&dockmaster, "list_volumes", &json!({"host": 1}));
    assert!(
        said.contains("unknown parameter") && said.contains("host"),
        "{said}"
    );

    // Who is asked is told where.
    let remove = json!({"volume": name, "host": "work"}).to_string();
    let mut terminal = Terminal::run(&dockmaster, &["tools", "call", "remove_volume", &remove]);
    terminal.expect(&format!("remove volume {name} and all data in it on host work"));
    terminal.type_line(&name);
    assert_eq!(terminal.end(), 0);
    let audit = dockmaster.audit();
    let removed = audit.iter().find(|row| row["tool"] == "remove_volume").unwrap();
    assert_eq!(removed["arguments"]["host"], "work", "{removed}");
    scope.finish().await;
}

/// Tools have the parameter where there is a choice, and only there.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_may_come_and_go_while_the_gateway_runs() {
    let dockmaster = Dockmaster::new();
    let client = dockmaster.client(&[]);
    client.initialize(VERSION).await;
    let with_host = async || {
        let tools = client.tools().await;
        let has = |tool: &Value| tool["inputSchema"]["properties"].get("host").is_some();
        (tools.iter().filter(|tool| has(tool)).count(), tools.len())
    };
    assert_eq!(with_host().await.0, 0);
    let refused = client
        .call("list_volumes", json!({"host": "second"}))
        .await
        .failure();
    assert!(
        refused.contains("there is no host \"second\", only local"),
        "{refused}"
    );
    client.call("list_volumes", json!({"host": "local"})).await.ok();

    let added = dockmaster.run(&["host", "add", "second", &testkit::endpoint()]);
    assert!(
        added.stderr().contains("has taken it over"),
        "{}",
        added.transcript()
    );
    let (with, all) = with_host().await;
    assert!(with == all && all > 0, "{with} of {all}");
    client.call("list_volumes", json!({"host": "second"})).await.ok();
    let status = dockmaster.run(&["gateway", "status", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout()).unwrap();
    let health = |name: &str| {
        let hosts = status[0]["hosts"].as_array().unwrap();
        hosts.iter().find(|host| host["name"] == name).unwrap()["health"]["is"].clone()
    };
    assert_eq!(health("second"), "up", "{status}");
    let shown = dockmaster.run(&["gateway", "status"]).stdout();
    assert!(
        shown.contains("FREE MEMORY") && shown.contains("second"),
        "{shown}"
    );

    // A call that is at work on it goes on; the next finds it gone.
    let watching = client
        .start(
            "tools/call",
            json!({"name": "get_events", "arguments": {"host": "second", "wait": "2s"}}),
        )
        .await;
    assert_eq!(dockmaster.run(&["host", "remove", "second"]).code(), 0);
    let gone = client
        .call("list_volumes", json!({"host": "second"}))
        .await
        .failure();
    assert!(gone.contains("there is no host \"second\", only local"), "{gone}");
    watching.answer().await.unwrap();
    assert_eq!(with_host().await.0, 0);
    client.close().await;
}

/// On an engine of its own, where there is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_engine_is_a_host() {
    let Some(other) = testkit::all_engines().into_iter().nth(1) else {
        eprintln!("there is no second engine here; scripts/engine up trixie starts one");
        return;
    };
    let scope = Scope::on(other.clone(), "second");
    let volume = scope.volume("only-there").await;
    let dockmaster = Dockmaster::new();
    let added = dockmaster.run(&["host", "add", "second", &other.endpoint()]);
    assert_eq!(added.code(), 0, "{}", added.transcript());
    let (_, there) = call(
        &dockmaster,
        "inspect_volume",
        &json!({"host": "second", "volume": volume}),
    );
    assert!(there.contains(&format!("name: {volume}")), "{there}");
    let (code, here) = call(&dockmaster, "inspect_volume", &json!({"volume": volume}));
    assert!(code == 1 && here.contains("not_found"), "{here}");
    let (_, both) = call(&dockmaster, "get_docker_version", &json!({"host": "*"}));
    assert!(both.contains("local\t") && both.contains("second\t"), "{both}");
    let listed = dockmaster.run(&["host", "list"]).stdout();
    assert!(listed.contains("second") && !listed.contains("down"), "{listed}");
    scope.finish().await;
}
