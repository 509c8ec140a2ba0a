//! Commands in running containers, on every engine.

use crate::containers::{on_each, reference};
use crate::here::is_podman;
use crate::output::texts;
use base::names::{ContainerRef, ExecId};
use engine::models::ExecConfig;
use engine::{Engine, Error, Tty};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

fn config(command: &[&str]) -> ExecConfig {
    ExecConfig {
        cmd: Some(command.iter().map(ToString::to_string).collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    }
}

async fn run(engine: &Engine, web: &ContainerRef, command: &[&str]) -> (String, String, Option<i64>) {
    let exec = engine.exec_create(web, config(command)).await.unwrap();
    let (_input, outputs) = engine.exec_start(&exec, Tty::No).await.unwrap().split();
    let (out, err) = texts(outputs).await;
    (out, err, engine.exec_exit_code(&exec).await.unwrap())
}

/// Sends text through `cat`, and reads it back after the input was ended.
pub(crate) async fn cat_until_the_input_ends(engine: &Engine, container: &str) {
    let web = reference(container);
    let cat = ExecConfig {
        attach_stdin: Some(true),
        ..config(&["cat"])
    };
    let exec = engine.exec_create(&web, cat).await.unwrap();
    let (mut input, outputs) = engine.exec_start(&exec, Tty::No).await.unwrap().split();
    // More than all buffers on the way hold, so that reading and writing must go on side by side.
    let sent = "0123456789abcdef".repeat(64 * 1024);
    let write = async {
        input.write_all(sent.as_bytes()).await.unwrap();
        input.shutdown().await.unwrap();
    };
    let ((out, err), ()) = tokio::join!(texts(outputs), write);
    assert_eq!((out.len(), err.as_str()), (sent.len(), ""));
    assert!(out == sent);
    assert_eq!(engine.exec_exit_code(&exec).await.unwrap(), Some(0));
}

#[tokio::test]
async fn outputs_and_exit_codes() {
    on_each("exec", async |engine, scope| {
        let web = reference(&scope.run("web", &["sleep", "600"]).await);
        let (out, err, code) = run(&engine, &web, &["sh", "-c", "echo out; echo err >&2; exit 5"]).await;
        assert_eq!((out.as_str(), err.as_str(), code), ("out\n", "err\n", Some(5)));
        cat_until_the_input_ends(&engine, web.as_str()).await;
        scope
    })
    .await;
}

#[tokio::test]
async fn a_command_with_a_terminal() {
    on_each("exec-tty", async |engine, scope| {
        let web = reference(&scope.run("web", &["sleep", "600"]).await);
        let tty = ExecConfig {
            tty: Some(true),
            attach_stdin: Some(true),
            ..config(&["sh", "-c", "read x; stty size; echo err >&2"])
        };
        let exec = engine.exec_create(&web, tty).await.unwrap();
        let (mut input, outputs) = engine.exec_start(&exec, Tty::Yes).await.unwrap().split();
        engine.exec_resize(&exec, 33, 101).await.unwrap();
        let inspect = engine.exec_inspect(&exec).await.unwrap();
        assert_eq!(Tty::of(&inspect), Tty::Yes);
        assert!(engine.exec_state(&exec).await.unwrap().running);
        input.write_all(b"\n").await.unwrap();
        let (out, err) = texts(outputs).await;
        assert!(
            out.contains("33 101\r\n") && out.ends_with("err\r\n") && err.is_empty(),
            "{out:?} {err:?}"
        );
        assert_eq!(engine.exec_exit_code(&exec).await.unwrap(), Some(0));
        scope
    })
    .await;
}

#[tokio::test]
async fn a_command_that_is_left_alone() {
    on_each("exec-detached", async |engine, scope| {
        let web = reference(&scope.run("web", &["sleep", "600"]).await);
        let exec = engine
            .exec_create(&web, config(&["sh", "-c", "exit 6"]))
            .await
            .unwrap();
        assert_eq!(engine.exec_state(&exec).await.unwrap().pid, 0);
        engine.exec_start_detached(&exec).await.unwrap();
        // Podman takes a command that was left alone for running until five minutes after its end.
        let expected = (!is_podman(&engine).await).then_some(6);
        assert_eq!(engine.exec_exit_code(&exec).await.unwrap(), expected);

        let long = engine.exec_create(&web, config(&["sleep", "600"])).await.unwrap();
        engine.exec_start_detached(&long).await.unwrap();
        let state = testkit::eventually("its process", || async {
            Some(engine.exec_state(&long).await.unwrap()).filter(|state| state.pid > 0)
        })
        .await;
        assert!(state.running);
        scope
    })
    .await;
}

#[tokio::test]
async fn commands_that_can_not_run() {
    on_each("exec-refused", async |engine, scope| {
        let web = reference(&scope.run("web", &["sleep", "600"]).await);
        let exec = engine
            .exec_create(&web, config(&["/no/such/program"]))
            .await
            .unwrap();
        let told = match engine.exec_start(&exec, Tty::No).await {
            Ok(attached) => texts(attached.split().1).await.0,
            Err(error) => error.to_string(),
        };
        // Podman says it in its own log, and here nothing.
        let silent = is_podman(&engine).await && told.is_empty();
        assert!(told.contains("no such file or directory") || silent, "{told}");

        let none = ExecId::parse(&"ab".repeat(32)).unwrap();
        for error in [
            engine.exec_inspect(&none).await.unwrap_err(),
            engine.exec_start(&none, Tty::No).await.unwrap_err(),
            engine
                .exec_create(&reference(&scope.name("none")), config(&["true"]))
                .await
                .unwrap_err(),
        ] {
            assert!(matches!(error, Error::NotFound { .. }), "{error}");
        }

        let stopped = reference(&scope.create("stopped", serde_json::json!({})).await);
        let error = engine.exec_create(&stopped, config(&["true"])).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        engine.container_pause(&web).await.unwrap();
        let error = engine.exec_create(&web, config(&["true"])).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        engine.container_unpause(&web).await.unwrap();
        scope
    })
    .await;
}

#[tokio::test]
async fn many_commands_at_once() {
    on_each("exec-many", async |engine, scope| {
        let web = reference(&scope.run("web", &["sleep", "600"]).await);
        let commands = (0..12).map(|number| {
            let (engine, web) = (&engine, &web);
            async move {
                let script = format!("echo {number}; exit {number}");
                run(engine, web, &["sh", "-c", &script]).await
            }
        });
        let all = futures_util::future::join_all(commands);
        let all = tokio::time::timeout(Duration::from_secs(50), all).await.unwrap();
        for (number, (out, err, code)) in (0..).zip(all) {
            assert_eq!(
                (out, err.as_str(), code),
                (format!("{number}\n"), "", Some(number))
            );
        }
        scope
    })
    .await;
}
