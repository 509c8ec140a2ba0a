//! What a person sees.

use insta::assert_snapshot;
use serde_json::Value;
use testkit::{DaemonDouble, Reply, Scope};

use crate::harness::{Dockmaster, masked};

fn transcript(arguments: &[&str]) -> String {
    Dockmaster::new().run(arguments).transcript()
}

#[test]
fn help() {
    assert_snapshot!(transcript(&["-h"]), @"");
    assert_snapshot!(transcript(&["tools", "call", "--help"]), @"");
}

#[test]
fn what_is_not_understood() {
    assert_snapshot!(transcript(&["gatway"]), @"");
    assert_snapshot!(transcript(&["gateway", "run", "--toolset", "all"]), @"");
    assert_snapshot!(transcript(&["gateway", "run", "--port", "70000"]), @"");
    assert_snapshot!(transcript(&["audit", "list", "--since", "yesterday"]), @"");
    assert_snapshot!(transcript(&["tools", "call", "list_containers", "{"]), @"");
    assert_snapshot!(transcript(&["tools", "call", "list_containers", "--arg", "all"]), @"");
    assert_snapshot!(transcript(&["--config", "nowhere.toml", "config", "check"]), @"");
}

#[test]
fn version() {
    assert_snapshot!(transcript(&["version"]), @"");
    let json: Value = serde_json::from_str(&Dockmaster::new().run(&["version", "--json"]).stdout()).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["mcp"][4], "2026-07-28");
}

#[test]
fn config_show() {
    let configured = Dockmaster::new().configured("[gateway]\nport = 9000\n\n[policy]\ndeny = [\n  'docker/prune_*',\n]\n");
    let shown = configured.run(&["config", "show"]);
    let (head, _) = shown.stdout().split_once("\n[hosts.local.guard]").map(|(head, tail)| (head.to_owned(), tail.to_owned())).unwrap();
    assert_snapshot!(head, @"");
    // What it prints is a configuration that says the same.
    let again = Dockmaster::new().configured(&shown.stdout());
    let values = |dockmaster: &Dockmaster| -> Vec<Value> {
        let shown: Vec<Value> = serde_json::from_str(&dockmaster.run(&["config", "show", "--json"]).stdout()).unwrap();
        shown.into_iter().map(|value| value["value"].clone()).collect()
    };
    let (one, other) = (values(&configured), values(&again));
    assert_eq!(one[..one.len() - 1], other[..other.len() - 1]);
}

#[test]
fn config_path_and_check() {
    assert_snapshot!(transcript(&["config", "path"]), @"");
    assert_snapshot!(transcript(&["config", "path", "--json"]), @"");
    assert_snapshot!(transcript(&["config", "check"]), @"");
    let check = |toml: &str| Dockmaster::new().configured(toml).run(&["config", "check"]).transcript();
    assert_snapshot!(check("[docker]\ntoolset = 'compact'\n"), @"");
    assert_snapshot!(check("[docker]\ntool_set = 'compact'\n[policcy]\n"), @"");
    assert_snapshot!(check("[hosts.local]\nendpoint = 'docker'\n"), @"");
    assert_snapshot!(check("[hosts.local]\napi_version = 'new'\n"), @"");
    assert_snapshot!(check("[docker]\ncredentials_for = ['a b']\n"), @"");
    assert_snapshot!(transcript(&["config", "explain", "policy.ask"]), @"");
    assert_snapshot!(transcript(&["config", "explain", "nothing"]), @"");
}

/// A faulty configuration stops every command that heeds it.
#[test]
fn a_faulty_configuration() {
    let faulty = Dockmaster::new().configured("[policy]\nask = 'sometimes'\n");
    for arguments in [&["gateway", "run"][..], &["tools", "list"], &["audit", "list"], &["config", "show"]] {
        let ended = faulty.run(arguments);
        assert_eq!(ended.code(), 78, "{arguments:?}: {}", ended.transcript());
    }
    assert_snapshot!(faulty.run(&["tools", "list"]).transcript(), @"");
}

#[test]
fn doctor() {
    let dockmaster = Dockmaster::new();
    let ended = dockmaster.run(&["doctor"]);
    assert_eq!(ended.code(), 0, "{}", ended.transcript());
    let checks: Vec<Value> = serde_json::from_str(&dockmaster.run(&["doctor", "--json"]).stdout()).unwrap();
    let state = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap()["state"].clone();
    for name in ["configuration", "engine", "answers", "clock", "guard", "audit", "gateway"] {
        assert_eq!(state(name), "ok", "{name}: {checks:?}");
    }
}

#[test]
fn doctor_finds_faults() {
    let nowhere = Dockmaster::on("unix:///nonexistent/docker.sock");
    let shown = |dockmaster: &Dockmaster| {
        let ended = dockmaster.run(&["doctor"]);
        let faults = ended.stdout();
        let lines: Vec<_> = faults.lines().skip_while(|line| !line.starts_with("FAULT")).take(2).collect();
        format!("exit {}\n{}", ended.code(), lines.join("\n"))
    };
    assert_snapshot!(shown(&nowhere), @"");
    assert_snapshot!(shown(&Dockmaster::new().configured("[gateway]\nporrt = 1\n")), @"");
    assert_snapshot!(shown(&Dockmaster::on("unix://relative")), @"");

    let loose = Dockmaster::new().configured("");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs_err::set_permissions(loose.file("config.toml"), mode).unwrap();
    assert_snapshot!(shown(&loose), @"");

    let blocked = Dockmaster::new().configured("");
    fs_err::create_dir_all(blocked.file("dockmaster.db")).unwrap();
    assert_snapshot!(shown(&blocked), @"");
}

/// An engine that answers, but not as one.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_on_something_that_is_no_engine() {
    let double = DaemonDouble::start(|_| Reply::json(404, &serde_json::json!({"hello": "world"})));
    let ended = Dockmaster::on(&double.endpoint()).run(&["doctor", "--json"]);
    assert_eq!(ended.code(), 1, "{}", ended.transcript());
}

#[test]
fn tools_list_and_inspect() {
    let dockmaster = Dockmaster::new();
    let listed = |arguments: &[&str]| {
        let listed: Vec<Value> = serde_json::from_str(&dockmaster.run(arguments).stdout()).unwrap();
        listed.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(listed(&["tools", "list", "--json"]).contains(&"list_containers".to_owned()));
    assert!(listed(&["tools", "list", "--json", "--toolset", "compact"]).contains(&"run-container".to_owned()));
    assert!(dockmaster.run(&["tools", "list"]).stdout().contains("\nlist_containers "));
    assert_snapshot!(masked(&dockmaster.run(&["tools", "inspect", "rename_container"]).transcript()), @"");
    assert_eq!(dockmaster.run(&["tools", "inspect", "run-container", "--json"]).code(), 0);
    assert_snapshot!(dockmaster.run(&["tools", "inspect", "no_such"]).transcript(), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_call() {
    let scope = Scope::new("cli-call");
    let image = testkit::image().await;
    let name = scope.name("web");
    let dockmaster = Dockmaster::new();
    let call = |arguments: &[&str]| {
        dockmaster.run(&[&["tools", "call"], arguments].concat()).transcript().replace(&name, "NAME")
    };
    let labels = format!("labels={}", scope.labels());
    let created = call(&["create_container", "--arg", &format!("name={name}"), "--arg", &format!("image={image}"), "--arg", &labels]);
    assert!(created.starts_with("exit 0"), "{created}");
    assert!(call(&["list_containers", "{\"all\": true}"]).contains("NAME"));
    let json: Value = serde_json::from_str(&dockmaster.run(&["tools", "call", "get_docker_info", "--json"]).stdout()).unwrap();
    assert_eq!(json["content"][0]["type"], "text");

    let missing = call(&["inspect_container", "--arg", "container=no-such-thing"]);
    assert!(missing.starts_with("exit 1\n! "), "{missing}");
    assert_snapshot!(call(&["no_such_tool"]), @"");
    let unasked = call(&["remove_container", "--arg", &format!("container={name}")]);
    assert_snapshot!(unasked, @"");
    assert!(call(&["remove_container", "--yes", "--arg", &format!("container={name}")]).starts_with("exit 0"));
    let denied = Dockmaster::new().configured("[policy]\npreset = 'read-only'\n");
    assert_snapshot!(denied.run(&["tools", "call", "create_network", "{\"name\": \"x\"}"]).transcript(), @"");
    scope.finish().await;
}

#[test]
fn an_engine_that_is_not_there() {
    let nowhere = Dockmaster::on("unix:///nonexistent/docker.sock");
    let ended = nowhere.run(&["tools", "call", "list_containers"]);
    assert_eq!(ended.code(), 1, "{}", ended.transcript());
    assert!(ended.stderr().contains("/nonexistent/docker.sock"), "{}", ended.stderr());
}

#[test]
fn audit() {
    let dockmaster = Dockmaster::new();
    assert_snapshot!(dockmaster.run(&["audit", "list"]).transcript(), @"");
    assert_snapshot!(dockmaster.run(&["audit", "verify"]).transcript(), @"");
    for _ in 0..3 {
        dockmaster.run(&["tools", "call", "list_networks"]);
    }
    dockmaster.run(&["tools", "call", "no_such_tool"]);
    let user = dockmaster.audit()[0]["principal"].as_str().unwrap().to_owned();
    let list = |arguments: &[&str]| {
        let listed = dockmaster.run(&[&["audit", "list"], arguments].concat()).transcript();
        masked(&listed.replace(&user, "local:USER"))
    };
    assert_snapshot!(list(&[]), @"");
    assert_snapshot!(list(&["--tool", "list_networks", "--limit", "1"]), @"");
    assert_snapshot!(list(&["--until", "2020-01-01"]), @"");
    let json: Vec<Value> = serde_json::from_str(&dockmaster.run(&["audit", "list", "--json"]).stdout()).unwrap();
    assert_eq!(json.len(), 4);
    assert_snapshot!(masked(&dockmaster.run(&["audit", "verify"]).transcript()), @"");

    let file = dockmaster.file("export.jsonl");
    let export = || dockmaster.run(&["audit", "export", "--output", file.to_str().unwrap()]).transcript();
    assert_snapshot!(export(), @"");
    assert_snapshot!(export(), @"");
    assert_eq!(fs_err::read_to_string(&file).unwrap().lines().count(), 4);

    dockmaster.tamper("UPDATE audit SET decision = 'confirmed' WHERE seq = 2");
    assert_snapshot!(dockmaster.run(&["audit", "verify"]).transcript(), @"");
    dockmaster.tamper("DELETE FROM audit WHERE seq = 2");
    let report: Value = serde_json::from_str(&dockmaster.run(&["audit", "verify", "--json"]).stdout()).unwrap();
    assert_eq!(report["problem"], "row 2 is missing");
}

#[test]
fn what_clients_are_given() {
    let dockmaster = Dockmaster::new();
    assert_snapshot!(dockmaster.run(&["gateway", "client-config"]).transcript(), @"");
    let with_token = [("DOCKMASTER_TOKEN", "a-token-of-this-test")];
    let arguments = ["gateway", "client-config", "--transport", "http", "--port", "9000"];
    assert_snapshot!(dockmaster.run_with(&arguments, &with_token).transcript(), @"");
}

#[test]
fn completions_and_man_pages() {
    let dockmaster = Dockmaster::new();
    assert!(dockmaster.run(&["completions", "bash"]).stdout().contains("client-config"));
    assert!(dockmaster.run(&["man"]).stdout().starts_with(".ie"));
    let folder = dockmaster.file("man");
    assert_eq!(dockmaster.run(&["man", "--folder", folder.to_str().unwrap()]).code(), 0);
    assert!(folder.join("dockmaster-gateway-run.1").exists());
}

/// `dockmaster … | head`: a reader that stops reading is no failure.
#[test]
fn a_reader_that_has_had_enough() {
    let dockmaster = Dockmaster::new();
    let mut child = dockmaster.command(&["completions", "zsh"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
