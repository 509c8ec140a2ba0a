//! The tools, in containers.

use serde_json::json;
use shell_server::rules::Scripts;

use crate::here::{Rig, allow, call, failed, free, said};

#[tokio::test]
async fn each_command_has_a_container_of_its_own() {
    let rig = Rig::new("shell").await;
    fs_err::write(rig.folder.path().join("file"), "content\n").unwrap();
    let server = rig.server(free(), vec![rig.root(false)]);
    let path = rig.folder.path().display().to_string();
    for (arguments, expected) in [
        (json!({"command": ["cat", "file"]}), "content\nexit 0".to_owned()),
        (json!({"script": "pwd; echo x > /tmp/left; cat; exit 3", "stdin": "in\n"}), format!("{path}\nin\nexit 3")),
        (json!({"script": "ls /tmp"}), "no output\nexit 0".to_owned()),
        (json!({"script": "kill -9 $$"}), "no output\nended by SIGKILL (exit 137); if nobody killed it, it used more memory than it may (`memory` of [shell])".to_owned()),
    ] {
        assert_eq!(said(&server, "run_command", arguments.clone()).await, expected, "{arguments}");
    }
    rig.finish(server).await;
}

#[tokio::test]
async fn nothing_of_the_host_but_its_roots() {
    let rig = Rig::new("shell-locked").await;
    let server = rig.server(free(), vec![rig.root(false)]);
    let path = rig.folder.path().display().to_string();
    let script = format!(
        "touch {path}/x 2>/dev/null && echo wrote root; touch /x 2>/dev/null && echo wrote system; \
         ls /sys/class/net; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; id -u; env | sort"
    );
    let text = said(&server, "run_command", json!({"script": script})).await;
    assert_eq!(
        text,
        format!(
            "lo\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n65532\nHOME=/tmp\nHOSTNAME={}\nPATH=/bin\nPWD={path}\nSHLVL=1\nexit 0",
            text.lines()
                .find_map(|line| line.strip_prefix("HOSTNAME="))
                .unwrap()
        )
    );
    // What is no root is not there, whatever it is called.
    let other = tempfile::tempdir_in("/var/tmp").unwrap();
    fs_err::write(other.path().join("secret"), "x").unwrap();
    let text = said(
        &server,
        "run_command",
        json!({"command": ["cat", other.path().join("secret")]}),
    )
    .await;
    assert!(text.contains("No such file"), "{text}");
    let text = failed(
        &server,
        "run_command",
        json!({"command": ["ls"], "workdir": other.path()}),
    )
    .await;
    assert!(text.starts_with("refused: the working directory"), "{text}");
    let text = failed(
        &server,
        "run_command",
        json!({"command": ["ls"], "workdir": format!("{path}/../..")}),
    )
    .await;
    assert!(text.starts_with("invalid_arguments: parameter workdir"), "{text}");
    rig.finish(server).await;
}

#[tokio::test]
async fn a_root_that_the_guard_does_not_know_is_refused() {
    let rig = Rig::new("shell-guard").await;
    let mut root = rig.root(false);
    root.path = "/etc".into();
    let server = rig.server(free(), vec![root]);
    let text = failed(&server, "run_command", json!({"command": ["ls"]})).await;
    assert!(text.contains("/etc"), "{text}");
    rig.finish(server).await;
}

#[tokio::test]
async fn folders_for_writing_keep_their_owner() {
    let rig = Rig::new("shell-write").await;
    let server = rig.server(free(), vec![rig.root(true)]);
    let text = said(
        &server,
        "run_command",
        json!({"script": "echo made > made; stat -c %u made"}),
    )
    .await;
    let owner = std::os::unix::fs::MetadataExt::uid(&fs_err::metadata(rig.folder.path()).unwrap());
    assert_eq!(text, format!("{owner}\nexit 0"));
    assert_eq!(
        fs_err::read_to_string(rig.folder.path().join("made")).unwrap(),
        "made\n"
    );
    rig.finish(server).await;
}

#[tokio::test]
async fn time_runs_out_and_calls_are_cancelled() {
    let rig = Rig::new("shell-time").await;
    let server = rig.server(free(), Vec::new());
    let script = "echo begun; trap '' TERM; (setsid sleep 1000 &); while :; do sleep 1; done";
    let text = failed(&server, "run_command", json!({"script": script, "timeout": 1})).await;
    assert!(
        text.starts_with("timeout: its time of 1.0 s was over, so it was ended"),
        "{text}"
    );
    assert!(text.contains("its output:\nbegun"), "{text}");

    let running = call(&server, "run_command", json!({"script": script}));
    let started = testkit::eventually("a container", async || {
        let list = rig.containers().await;
        list.iter().any(|one| one["State"] == "running").then_some(())
    });
    tokio::select! {
        (text, _) = running => unreachable!("it goes on: {text}"),
        () = started => {}
    }
    testkit::eventually("its end", async || {
        rig.containers().await.is_empty().then_some(())
    })
    .await;
    rig.finish(server).await;
}

#[tokio::test]
async fn a_command_over_several_calls() {
    let rig = Rig::new("shell-background").await;
    let server = rig.server(free(), Vec::new());
    let script = "trap 'echo usr; exit 6' USR1; echo ready; while read -r line; do echo \"got $line\"; done; while :; do sleep 0.1; done";
    let text = said(&server, "start_command", json!({"script": script, "wait": "20s"})).await;
    assert!(text.starts_with("ready\ncommand c1: running"), "{text}");
    let text = said(
        &server,
        "send_input",
        json!({"command": "c1", "input": "ä\n", "wait": "20s"}),
    )
    .await;
    assert!(text.starts_with("got ä\ncommand c1"), "{text}");
    said(
        &server,
        "send_input",
        json!({"command": "c1", "eof": true, "wait": 0}),
    )
    .await;
    let text = said(
        &server,
        "signal_command",
        json!({"command": "c1", "signal": "USR1"}),
    )
    .await;
    assert_eq!(text, "SIGUSR1 was sent to all processes of command c1");
    testkit::eventually("its end", async || {
        let text = said(
            &server,
            "read_output",
            json!({"command": "c1", "cursor": "0-0", "wait": "1s"}),
        )
        .await;
        text.contains("exit 6").then_some(())
    })
    .await;
    said(&server, "start_command", json!({"command": ["sleep", "1000"]})).await;
    // The end of the server ends it.
    rig.finish(server).await;
}

#[tokio::test]
async fn a_flood_is_answered_within_budget() {
    let rig = Rig::new("shell-flood").await;
    let server = rig.server(free(), Vec::new());
    let script =
        "echo START; dd if=/dev/zero bs=1000000 count=100 2>/dev/null | tr '\\0' 'x'; echo; echo END";
    let (text, failed) = call(&server, "run_command", json!({"script": script, "timeout": "5m"})).await;
    assert!(!failed && text.len() <= 16_000, "{} bytes", text.len());
    assert!(
        text.contains("START") && text.contains("END"),
        "beginning and end are there"
    );
    rig.finish(server).await;
}

#[tokio::test]
async fn rules_hold_in_containers() {
    let rig = Rig::new("shell-rules").await;
    let server = rig.server(allow(&["echo"]), Vec::new());
    assert_eq!(
        said(&server, "run_command", json!({"command": ["echo", "x"]})).await,
        "x\nexit 0"
    );
    for argv in [
        vec!["./echo"],
        vec!["/bin/echo"],
        vec!["sh", "-c", "echo"],
        vec!["busybox", "echo"],
    ] {
        let text = failed(&server, "run_command", json!({"command": argv})).await;
        assert!(text.starts_with("refused: not run in a container of"), "{text}");
    }
    assert_eq!(allow(&[]).scripts, Scripts::Refused);
    let text = failed(
        &server,
        "run_command",
        json!({"command": ["echo"], "env": {"PATH": "/tmp"}}),
    )
    .await;
    assert!(text.starts_with("refused: the variable PATH"), "{text}");
    rig.finish(server).await;
}

#[tokio::test]
async fn what_is_not_in_the_image() {
    let rig = Rig::new("shell-missing").await;
    let server = rig.server(free(), Vec::new());
    let text = said(&server, "run_command", json!({"command": ["no-such-program"]})).await;
    assert!(
        text.contains("no-such-program") && text.contains("exit 127"),
        "{text}"
    );
    rig.finish(server).await;
}
