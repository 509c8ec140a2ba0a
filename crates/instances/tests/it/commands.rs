//! Single commands whose pipes are somebody else's.

use std::time::Duration;

use catalog::plan::Container;
use engine::Output;
use instances::{Command, End, Input, Outputs, Signalled, Start};
use tokio::io::AsyncWriteExt;

use crate::here::{Rig, secrets, server, shell};

async fn begin(rig: &Rig, container: &Container) -> (Command, Input, Outputs) {
    let server = server();
    let start = Start {
        server: &server,
        container,
        share: "command",
        secrets: &secrets,
        stderr: None,
        progress: None,
    };
    rig.instances
        .command(start, Duration::from_secs(1))
        .await
        .unwrap()
}

/// Both outputs to their end, or until standard output holds a text.
async fn read(outputs: &mut Outputs, until: &str) -> (String, String) {
    let (mut out, mut err) = (String::new(), String::new());
    while let Some(piece) = outputs.next().await.unwrap() {
        match piece {
            Output::Stderr(bytes) => err.push_str(&String::from_utf8_lossy(&bytes)),
            Output::Stdout(bytes) | Output::Console(bytes) => out.push_str(&String::from_utf8_lossy(&bytes)),
        }
        if !until.is_empty() && out.contains(until) {
            break;
        }
    }
    (out, err)
}

#[tokio::test]
async fn both_outputs_input_and_exit() {
    let rig = Rig::new("command").await;
    let (command, mut input, mut outputs) = begin(&rig, &shell("cat; echo err >&2; exit 3")).await;
    input.write_all(b"hello\n").await.unwrap();
    input.shutdown().await.unwrap();
    let (out, err) = read(&mut outputs, "").await;
    assert_eq!((out.as_str(), err.as_str()), ("hello\n", "err\n"));
    let exited = command.exited().await;
    assert_eq!((exited.end, exited.code), (End::Itself, Some(3)));
    drop((command, input, outputs));
    rig.finish().await;
}

#[tokio::test]
async fn a_signal_reaches_all_and_the_last_words_are_read() {
    let rig = Rig::new("command-signal").await;
    let script = "trap 'echo outer; wait; exit 7' USR1; (trap 'echo inner; exit' USR1; while :; do sleep 0.1; done) & \
                  echo ready; while :; do sleep 0.1; done";
    let (command, _input, mut outputs) = begin(&rig, &shell(script)).await;
    read(&mut outputs, "ready").await;
    assert_eq!(command.signal("USR1").await.unwrap(), Signalled::All);
    let (out, _) = read(&mut outputs, "").await;
    assert!(out.contains("outer") && out.contains("inner"), "{out}");
    assert_eq!(command.exited().await.code, Some(7));
    drop(outputs);
    drop(command);
    rig.finish().await;
}

/// It may be gone before whoever sent the signal is.
#[tokio::test]
async fn a_signal_that_ends_it_at_once_has_reached_it() {
    let rig = Rig::new("command-ends").await;
    let ends = async |_| {
        let (command, _input, mut outputs) = begin(
            &rig,
            &shell("trap 'exit 6' USR1; echo ready; while :; do sleep 0.01; done"),
        )
        .await;
        read(&mut outputs, "ready").await;
        assert_eq!(command.signal("USR1").await.unwrap(), Signalled::All);
        assert_eq!(command.exited().await.code, Some(6));
    };
    futures_util::future::join_all((0..12).map(ends)).await;
    rig.finish().await;
}

#[tokio::test]
async fn the_end_comes_whether_or_not_it_listens() {
    let rig = Rig::new("command-end").await;
    let script = "trap 'echo last words; exit 4' TERM; echo ready; while :; do sleep 0.1; done";
    let (command, _input, mut outputs) = begin(&rig, &shell(script)).await;
    read(&mut outputs, "ready").await;
    let (exited, (out, _)) = tokio::join!(command.end(), read(&mut outputs, ""));
    assert_eq!((exited.code, out.as_str()), (Some(4), "last words\n"));

    let script =
        "trap '' TERM; (setsid sh -c 'while :; do sleep 1; done' &) ; echo ready; while :; do sleep 1; done";
    let (command, _input, mut outputs) = begin(&rig, &shell(script)).await;
    read(&mut outputs, "ready").await;
    let (exited, _) = tokio::join!(command.end(), read(&mut outputs, ""));
    assert_eq!(exited.end, End::Signal);
    assert!(rig.containers().await.is_empty());
    drop(outputs);
    rig.finish().await;
}

#[tokio::test]
async fn dropping_it_leaves_nothing() {
    let rig = Rig::new("command-drop").await;
    let begun = begin(&rig, &shell("trap '' TERM; while :; do sleep 1; done")).await;
    drop(begun);
    rig.finish().await;
}

/// The image's own entrypoint would take the command for its arguments.
#[tokio::test]
async fn nothing_of_the_image_runs() {
    let rig = Rig::new("command-image").await;
    let id = rig.scope.create("entry", serde_json::json!({})).await;
    let tag = rig.scope.image("entry");
    let (repo, version) = tag.rsplit_once(':').unwrap();
    let path = format!(
        "/commit?container={id}&repo={repo}&tag={version}&changes=ENTRYPOINT%20%5B%22%2Fbin%2Fecho%22%2C%22image%22%5D"
    );
    rig.scope.daemon().post(&path, &serde_json::json!({})).await.ok();
    rig.scope.daemon().delete(&format!("/containers/{id}")).await.ok();
    let container = Container {
        image: tag,
        ..shell("echo own")
    };
    let (command, _input, mut outputs) = begin(&rig, &container).await;
    let (out, _) = read(&mut outputs, "").await;
    assert_eq!(out, "own\n");
    drop((command, outputs));
    rig.finish().await;
}
