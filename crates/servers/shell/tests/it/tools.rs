//! The tools, on this host.

use serde_json::json;
use server_kit::Service;

use crate::here::{allow, call, failed, free, on_host, said};
use crate::host::{is_gone, is_running, seconds};

#[tokio::test]
async fn run_to_the_end() {
    let server = on_host(free());
    for (arguments, expected) in [
        (json!({"command": ["echo", "a b", "$HOME"]}), "a b $HOME\nexit 0"),
        (json!({"command": ["true"]}), "no output\nexit 0"),
        (json!({"command": ["cat"], "stdin": "über\n"}), "über\nexit 0"),
        (json!({"command": ["cat"]}), "no output\nexit 0"),
        (
            json!({"script": "echo out\necho err >&2\nexit 3"}),
            "out\nstderr:\nerr\nexit 3",
        ),
        (
            json!({"script": "kill -SEGV $$"}),
            "no output\nended by SIGSEGV (exit 139)",
        ),
        (json!({"script": "printf 'a\\377b\\n'"}), "a\u{fffd}b\nexit 0"),
        (
            json!({"script": "import os\nprint(os.environ['APP'], os.getcwd())", "shell": "python3", "env": {"APP": "x"}, "workdir": "/tmp"}),
            "x /tmp\nexit 0",
        ),
        (
            json!({"script": "head -c 20 /dev/zero; echo end"}),
            "end\nsome of it is no text: bytes without a character are left out or shown as \u{fffd}\nexit 0",
        ),
    ] {
        assert_eq!(
            said(&server, "run_command", arguments.clone()).await,
            expected,
            "{arguments}"
        );
    }
    assert_eq!(
        said(&server, "list_commands", json!({})).await,
        "no command is running"
    );
}

#[tokio::test]
async fn what_is_not_run_says_why() {
    let server = on_host(allow(&["echo", "ls **"]));
    for (arguments, expected) in [
        (
            json!({"command": ["id"]}),
            "refused: not run on this host: no rule of [shell] allow covers it; allowed are \"echo\", \"ls **\"\n\
             fix: use what is allowed, or have a person add a rule to `allow` of [shell]",
        ),
        (
            json!({"script": "echo x"}),
            "refused: not run on this host: it is text for sh, and no pattern over such text would be a boundary, so it \
             is refused as a whole\n\
             fix: give a command as a list of words; or have a person set `scripts = true` in [shell]",
        ),
        (
            json!({"command": ["echo"], "env": {"LD_PRELOAD": "/tmp/x.so"}}),
            "refused: the variable LD_PRELOAD may not be set: it could change what an allowed command does\n\
             fix: leave it out, or have a person add it to `variables` of [shell]",
        ),
        (
            json!({}),
            "invalid_arguments: one of `command` and `script` is needed, and not both\n\
             fix: command is a list of words: [\"ls\", \"-l\"]; script is text for a shell",
        ),
        (
            json!({"command": []}),
            "invalid_arguments: the command is empty\nfix: its first word is a program: [\"ls\", \"-l\"]",
        ),
        (
            json!({"command": ["echo"], "timeout": "2h"}),
            "invalid_arguments: parameter timeout: it is more than 1h, the most that run_command waits\n\
             fix: give 1h or less, or use start_command, whose commands may take longer",
        ),
        (
            json!({"command": ["echo"], "workdir": "/tmp/../etc"}),
            "invalid_arguments: parameter workdir: \"/tmp/../etc\" is no absolute path without `..`",
        ),
        (
            json!({"command": "ls -l"}),
            "invalid_arguments: parameter command: it is text \"ls -l\", expected a list\n\
             fix: command accepts a list of text",
        ),
    ] {
        assert_eq!(
            failed(&server, "run_command", arguments.clone()).await,
            expected,
            "{arguments}"
        );
    }
    assert_eq!(
        said(
            &server,
            "run_command",
            json!({"command": ["echo", "x"], "env": {"APP_X": "1"}})
        )
        .await,
        "x\nexit 0"
    );
}

/// A gateway has secrets in its environment, and the tests have a PATH of cargo's.
#[tokio::test]
async fn nothing_of_our_own_environment_gets_in() {
    let own = std::env::vars().find(|(name, _)| name == "CARGO_MANIFEST_DIR");
    assert!(own.is_some(), "there is something to get in");
    let server = on_host(free());
    let env = said(
        &server,
        "run_command",
        json!({"script": "env | cut -d= -f1 | sort | tr '\\n' ' '"}),
    )
    .await;
    assert_eq!(env, "LANG PATH PWD \nexit 0");
}

#[tokio::test]
async fn time_runs_out_for_the_whole_tree() {
    let server = on_host(free());
    let long = seconds(11);
    let script = format!(
        "echo begun; (setsid sh -c 'trap \"\" TERM; sleep {long}; sleep {long}' &); trap '' TERM; sleep {long}; sleep {long}"
    );
    let text = failed(&server, "run_command", json!({"script": script, "timeout": "1s"})).await;
    assert!(
        text.starts_with("timeout: its time of 1.0 s was over, so it was ended: ended by SIGKILL"),
        "{text}"
    );
    assert!(text.contains("its output:\nbegun"), "{text}");
    assert!(!is_running(&long));
}

#[tokio::test]
async fn a_cancelled_call_ends_its_command() {
    let server = on_host(free());
    let long = seconds(12);
    let script = format!("(setsid sleep {long} &); sleep {long}");
    let call = call(&server, "run_command", json!({"script": script}));
    let started = async {
        testkit::eventually("start", async || is_running(&long).then_some(())).await;
    };
    tokio::select! {
        (text, _) = call => unreachable!("it goes on: {text}"),
        () = started => {}
    }
    is_gone(&long).await;
    testkit::eventually("the end", async || {
        let list = said(&server, "list_commands", json!({})).await;
        (!list.contains("running for")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_is_answered_within_budget_and_read_on() {
    let server = on_host(free());
    let script = "i=0; head -c 50000000 /dev/zero | tr '\\0' 'x' | fold -w 999; echo; echo last >&2; \
                  head -c 50000000 /dev/zero | tr '\\0' 'y' | fold -w 999; echo; echo END";
    let (text, failed) = call(&server, "run_command", json!({"script": script})).await;
    assert!(!failed && text.len() <= 16_000, "{} bytes: {text}", text.len());
    assert!(
        text.contains("xxx") && text.contains("END") && text.contains("stderr:\nlast"),
        "{text}"
    );
    assert!(text.contains("MiB left out here"), "{text}");
    let cursor = text.split("cursor ").nth(1).unwrap().split(' ').next().unwrap();
    let (next, _) = call(&server, "read_output", json!({"command": "c1", "cursor": cursor})).await;
    assert!(
        next.contains("xxx") && next.contains("and there is more"),
        "{next}"
    );
    assert!(next.len() <= 16_000);
}

#[tokio::test]
async fn a_command_over_several_calls() {
    let server = on_host(free());
    let script = "echo ready; while read -r line; do echo \"got $line\"; done; echo over; exit 4";
    let text = said(&server, "start_command", json!({"script": script, "wait": "10s"})).await;
    assert!(text.starts_with("ready\ncommand c1: running for "), "{text}");
    let text = said(
        &server,
        "send_input",
        json!({"command": "c1", "input": "one\n", "wait": "10s"}),
    )
    .await;
    assert!(text.starts_with("got one\ncommand c1: running for "), "{text}");
    let list = said(&server, "list_commands", json!({})).await;
    assert!(list.contains("c1\tsh -c 'echo ready; while"), "{list}");
    said(
        &server,
        "send_input",
        json!({"command": "c1", "eof": true, "wait": "10s"}),
    )
    .await;
    let text = testkit::eventually("its end", async || {
        let text = said(
            &server,
            "read_output",
            json!({"command": "c1", "cursor": "0-0", "wait": "1s"}),
        )
        .await;
        text.contains("exit 4").then_some(text)
    })
    .await;
    assert!(
        text.starts_with("ready\ngot one\nover\ncommand c1: exit 4; cursor 19-0")
            || text.starts_with("ready\ngot one\nover\ncommand c1: exit 4"),
        "{text}"
    );
    assert_eq!(
        failed(&server, "send_input", json!({"command": "c1", "input": "x"})).await,
        "conflict: command c1: its input is closed\nfix: read its output: it may have ended"
    );
    said(&server, "end_command", json!({"command": "c1"})).await;
    assert_eq!(
        failed(&server, "read_output", json!({"command": "c1"})).await,
        "not_found: there is no command \"c1\"\nfix: there is none: start_command makes one"
    );
}

#[tokio::test]
async fn one_that_takes_no_notice_is_ended() {
    let server = on_host(free());
    let long = seconds(13);
    let script = format!("trap 'echo heard' TERM; trap '' INT; echo ready; while :; do sleep {long}; done");
    said(&server, "start_command", json!({"script": script, "wait": "10s"})).await;
    let text = said(
        &server,
        "signal_command",
        json!({"command": "c1", "signal": "SIGINT"}),
    )
    .await;
    assert_eq!(text, "SIGINT was sent to all processes of command c1");
    let text = failed(
        &server,
        "signal_command",
        json!({"command": "c1", "signal": "BOO"}),
    )
    .await;
    assert!(
        text.starts_with("invalid_arguments: parameter signal: \"BOO\" is no signal; use HUP"),
        "{text}"
    );
    let text = said(&server, "end_command", json!({"command": "c1"})).await;
    assert!(
        text.contains("command c1: ended as told: ended by SIGKILL (exit 137)"),
        "{text}"
    );
    assert!(!is_running(&long));
}

#[tokio::test]
async fn the_end_of_the_server_is_that_of_its_commands() {
    let server = on_host(free());
    let long = seconds(14);
    let script = format!("(setsid sleep {long} &); sleep {long}");
    said(&server, "start_command", json!({"script": script})).await;
    testkit::eventually("start", async || is_running(&long).then_some(())).await;
    server.core().close().await;
    assert!(!is_running(&long));
}

#[tokio::test]
async fn one_that_does_not_read_holds_nobody_up() {
    let server = on_host(free());
    let text = said(
        &server,
        "start_command",
        json!({"command": ["sleep", seconds(15)]}),
    )
    .await;
    assert!(text.contains("command c1: running"), "{text}");
    let big = "x".repeat(1 << 20);
    let mut last = String::new();
    for _ in 0..20 {
        let (text, failed) = call(
            &server,
            "send_input",
            json!({"command": "c1", "input": big, "wait": 0}),
        )
        .await;
        last = text;
        if failed {
            break;
        }
    }
    assert!(
        last.starts_with("conflict: command c1: it does not read its input"),
        "{last}"
    );
    server.core().close().await;
}
