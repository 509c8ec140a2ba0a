//! Commands on one of several hosts: who is asked hears where they run, and so does who gets the answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use server_kit::Service;
use shell_server::{Options, Place, ShellServer};

use crate::here::{call, failed, free, on_host, said};

/// What runs on `prod` runs on this host in truth.
fn with_prod(has_here: bool) -> ShellServer {
    let place = || Place {
        runner: Arc::new(crate::host::host()),
        roots: Vec::new(),
    };
    ShellServer::new(Options {
        here: has_here.then(place),
        elsewhere: vec![("prod".to_owned(), place())],
        rules: free(),
        variables: None,
        timeout: Duration::from_mins(1),
        answer_tokens: 4_000,
    })
}

#[tokio::test]
async fn a_command_names_its_host_in_every_answer() {
    let server = with_prod(true);
    let script = "trap '' USR1; echo ready; while read -r line; do echo \"got $line\"; done";
    for (host, id) in [("local", "c1"), ("prod", "c2@prod")] {
        let start = json!({"script": script, "host": host, "wait": "10s"});
        let text = said(&server, "start_command", start).await;
        assert!(text.contains(&format!("ready\ncommand {id}: running")), "{text}");
        for (tool, arguments) in [
            (
                "send_input",
                json!({"command": id, "input": "x\n", "wait": "10s"}),
            ),
            ("read_output", json!({"command": id, "cursor": "0-0"})),
            ("signal_command", json!({"command": id, "signal": "USR1"})),
            ("end_command", json!({"command": id})),
        ] {
            let text = said(&server, tool, arguments).await;
            assert!(text.contains(&format!("command {id}")), "{tool}: {text}");
            assert!(text.ends_with(&format!("\n[host {host}]")), "{tool}: {text}");
        }
    }
    let text = said(&server, "list_commands", json!({})).await;
    assert_eq!(text, "no command is running");
}

/// With one place there is nothing to tell.
#[tokio::test]
async fn a_command_of_the_only_place_names_none() {
    let server = on_host(free());
    said(&server, "start_command", json!({"command": ["cat"]})).await;
    for (tool, arguments) in [
        ("send_input", json!({"command": "c1", "input": "x\n"})),
        ("signal_command", json!({"command": "c1", "signal": "CONT"})),
        ("end_command", json!({"command": "c1"})),
    ] {
        let text = said(&server, tool, arguments).await;
        assert!(text.contains("command c1") && !text.contains("[host"), "{text}");
    }
}

/// A person's yes to one command is none to another.
#[tokio::test]
async fn an_id_without_its_host_reaches_nothing() {
    let server = with_prod(true);
    let start = json!({"command": ["cat"], "host": "prod"});
    said(&server, "start_command", start).await;
    said(&server, "start_command", json!({"command": ["cat"]})).await;
    for id in ["c1", "c1@", "c1@local", "c1@test", "c2@prod"] {
        let (text, failed) = call(&server, "send_input", json!({"command": id, "input": "x"})).await;
        let expected = format!(
            "not_found: there is no command {id:?}\nfix: there are c1@prod, c2; list_commands shows them"
        );
        assert_eq!((text, failed), (expected, true));
    }
    server.core().close().await;
}

#[test]
fn the_question_names_the_host() {
    let about = |tool: &str, arguments: &Value| ShellServer::about(tool, arguments);
    for (tool, arguments, elsewhere, here) in [
        (
            "send_input",
            json!({"input": "x"}),
            "type into command c1 on host prod: x",
            "type into command c1: x",
        ),
        (
            "signal_command",
            json!({"signal": "HUP"}),
            "send HUP to command c1 on host prod",
            "send HUP to command c1",
        ),
        (
            "end_command",
            json!({}),
            "end command c1 on host prod",
            "end command c1",
        ),
        (
            "read_output",
            json!({}),
            "read the output of command c1 on host prod",
            "read the output of command c1",
        ),
    ] {
        for name in ["command", "id", "commandId"] {
            let mut arguments = arguments.clone();
            arguments[name] = json!("c1@prod");
            assert_eq!(about(tool, &arguments), elsewhere);
            assert!(ShellServer::names_host(tool, &arguments), "{arguments}");
            arguments[name] = json!("c1");
            assert_eq!(about(tool, &arguments), here);
            assert!(!ShellServer::names_host(tool, &arguments), "{arguments}");
        }
    }
    let mut run = json!({"command": ["echo", "c1@prod"]});
    assert!(!ShellServer::names_host("run_command", &run));
    run["host"] = json!("prod");
    assert!(ShellServer::names_host("run_command", &run));
    assert!(!ShellServer::names_host("list_commands", &json!({})));
}

/// A server can't tell a host that is nowhere from one that the other server has.
#[tokio::test]
async fn a_host_of_the_other_server() {
    for (has_here, names) in [(true, "local, prod"), (false, "prod")] {
        let run = json!({"command": ["id"], "host": "staging"});
        let text = failed(&with_prod(has_here), "run_command", run).await;
        assert_eq!(
            text,
            format!(
                "not_found: there is no host \"staging\" here; hosts that run commands themselves are reached by the \
                 tools of the server `host-shell`, those that run them in containers by the tools of `shell`, so it may \
                 be a host of the other one\n\
                 fix: name one of {names}; or use the tools of the other server; a person adds a host that neither has \
                 with `[hosts.NAME.shell] runner`"
            )
        );
    }
}
