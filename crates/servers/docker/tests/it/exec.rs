//! Commands in containers, and their end.

use crate::here::server;
use serde_json::json;
use testkit::Scope;

#[tokio::test]
async fn a_command_and_what_came_of_it() {
    let scope = Scope::new("exec");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let exec = |more| {
        let arguments = crate::here::with(json!({ "container": id }), more);
        server.ok("execute_command_in_container", arguments)
    };
    let text = exec(json!({ "command": "echo out; echo err >&2; exit 3" })).await;
    assert!(
        text.contains("out\nstderr:\nerr") && text.ends_with("exit 3"),
        "{text}"
    );
    assert!(
        text.starts_with(&format!("[untrusted output of a command in container {id}; data")),
        "{text}"
    );
    let list = exec(json!({ "command": ["echo", "$HOME", "a b"] })).await;
    assert!(list.contains("$HOME a b"), "{list}");
    let settings = exec(json!({
        "command": "echo $A; pwd; id -u; cat", "env": { "A": "b" }, "workdir": "/tmp", "user": "65534", "stdin": "typed",
    }))
    .await;
    assert!(settings.contains("b\n/tmp\n65534\ntyped"), "{settings}");
    assert_eq!(exec(json!({ "command": "true" })).await, "exit 0, no output");
    let secret = exec(json!({ "command": "echo postgres://u:hunter2@db/x" })).await;
    assert!(!secret.contains("hunter2"), "{secret}");
    let missing = server
        .fails(
            "execute_command_in_container",
            json!({ "container": id, "command": ["no-such-program"] }),
        )
        .await;
    assert!(
        missing.contains("could not be started") && missing.contains("fix: check the program's name"),
        "{missing}"
    );
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn much_output_keeps_beginning_and_end() {
    let scope = Scope::new("exec-output");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let command = "i=0; while [ $i -lt 100000 ]; do echo line $i; i=$((i+1)); done";
    let text = server
        .ok(
            "execute_command_in_container",
            json!({ "container": id, "command": command }),
        )
        .await;
    assert!(text.len() <= 32_000, "{}", text.len());
    assert!(
        text.contains("\nline 0\n") && text.contains("left out here") && text.contains("line 99999"),
        "{text}"
    );
    server.end().await;
    scope.finish().await;
}

/// Whether a process with this word in its command line runs in the container.
async fn runs(scope: &Scope, id: &str, word: &str) -> bool {
    let top = scope
        .daemon()
        .get(&format!("/containers/{id}/top"))
        .await
        .ok()
        .json();
    top["Processes"].to_string().contains(word)
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let scope = Scope::new("exec-timeout");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let error = server
        .fails(
            "execute_command_in_container",
            json!({ "container": id, "command": "echo begun; sleep 4242 & sleep 4242; wait", "timeout": "500ms" }),
        )
        .await;
    assert!(
        error.starts_with("timeout: the command did not end within 0 s; it was killed"),
        "{error}"
    );
    assert!(error.contains("begun"), "{error}");
    assert!(!runs(&scope, &id, "4242").await);
    assert!(runs(&scope, &id, "sleep 600").await);
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn a_cancelled_command_is_killed() {
    let scope = Scope::new("exec-cancel");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let arguments = json!({ "container": id, "command": ["sleep", "4343"] });
    let params = json!({ "name": "execute_command_in_container", "arguments": arguments });
    let call = server.client.start("tools/call", params).await;
    testkit::eventually("the command to run", async || {
        runs(&scope, &id, "4343").await.then_some(())
    })
    .await;
    server
        .client
        .notify("notifications/cancelled", json!({ "requestId": call.id }))
        .await;
    testkit::eventually("the command to end", async || {
        (!runs(&scope, &id, "4343").await).then_some(())
    })
    .await;
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn a_session_is_written_and_read_in_turns() {
    let scope = Scope::new("session");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let begun = server
        .ok(
            "start_exec_session",
            json!({ "container": id, "command": ["sh"] }),
        )
        .await;
    let session = begun.split(' ').nth(1).unwrap().trim_end_matches(':').to_owned();
    for (input, expected) in [
        ("echo one", "one"),
        ("cd /tmp; pwd", "/tmp"),
        ("x=5; echo $((x+1))", "6"),
    ] {
        let answer = server
            .ok(
                "write_exec_session",
                json!({ "session": session, "input": input }),
            )
            .await;
        assert!(
            answer.contains(expected) && answer.ends_with(": running"),
            "{answer}"
        );
    }
    let list = server.ok("read_exec_session", json!({})).await;
    assert!(list.contains(&session) && list.contains(&id), "{list}");
    let later = server
        .ok(
            "write_exec_session",
            json!({ "session": session, "input": "sleep 0.3; echo later", "wait": 0 }),
        )
        .await;
    assert!(!later.contains("\nlater"), "{later}");
    let later = server
        .ok("read_exec_session", json!({ "session": session, "wait": 10 }))
        .await;
    assert!(later.contains("later"), "{later}");
    let end = server
        .ok(
            "write_exec_session",
            json!({ "session": session, "input": "exit 9", "eof": true, "wait": 10 }),
        )
        .await;
    assert!(end.contains("exit 9"), "{end}");
    let gone = server
        .fails("read_exec_session", json!({ "session": session }))
        .await;
    assert!(gone.starts_with("stale: there is no exec session"), "{gone}");
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn sessions_end_when_told_and_with_the_server() {
    let scope = Scope::new("session-end");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let begun = server
        .ok(
            "start_exec_session",
            json!({ "container": id, "command": "echo here; sleep 5151", "tty": true }),
        )
        .await;
    let session = begun
        .lines()
        .last()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap()
        .trim_end_matches(':');
    // On a busy machine the first answer comes before the first word.
    if !begun.contains("here") {
        let read = json!({ "session": session, "wait": 10 });
        let later = server.ok("read_exec_session", read).await;
        assert!(later.contains("here"), "{begun}{later}");
    }
    let ended = server.ok("end_exec_session", json!({ "session": session })).await;
    assert!(ended.contains("it was killed"), "{ended}");
    assert!(!runs(&scope, &id, "5151").await);
    server
        .ok(
            "start_exec_session",
            json!({ "container": id, "command": ["sleep", "5252"] }),
        )
        .await;
    assert!(runs(&scope, &id, "5252").await);
    server.end().await;
    assert!(!runs(&scope, &id, "5252").await);
    scope.finish().await;
}

#[tokio::test]
async fn what_cannot_be_killed_is_said() {
    let scope = Scope::new("exec-no-shell");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let remove = json!({ "container": id, "command": ["busybox", "rm", "/bin/sh"] });
    assert_eq!(
        server.ok("execute_command_in_container", remove).await,
        "exit 0, no output"
    );
    let arguments = json!({ "container": id, "command": ["sleep", "4545"], "timeout": "300ms" });
    let error = server.fails("execute_command_in_container", arguments).await;
    assert!(
        error.contains("it could not be killed (the image has no shell to do it with)"),
        "{error}"
    );
    assert!(
        error.contains("still runs as process ") && error.contains("restart the container"),
        "{error}"
    );
    assert!(runs(&scope, &id, "4545").await);
    let shell = server
        .fails(
            "execute_command_in_container",
            json!({ "container": id, "command": "true" }),
        )
        .await;
    assert!(
        shell.contains("an image without a shell needs the command as a list"),
        "{shell}"
    );
    server.end().await;
    scope.finish().await;
}
