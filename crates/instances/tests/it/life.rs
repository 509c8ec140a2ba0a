//! From the start of a server to the removal of its container, whatever the server does.

use std::time::{Duration, Instant};

use engine::guard::Policy;
use instances::{End, OutOfMemory};
use testkit::{Scope, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::here::{Lines, Rig, shell};

/// Answers each line with itself.
const ECHO: &str = "while read -r line; do echo \"$line\"; done";

#[tokio::test]
async fn bytes_go_both_ways_and_the_end_of_input_ends_it() {
    let rig = Rig::new("echo").await;
    let mut running = rig.start(ECHO).await;
    let mut lines = Lines::of(&mut running);
    for line in ["{\"a\":1}", "ü and \u{1F980}", "x"] {
        lines.say(line).await;
        assert_eq!(lines.hear().await, line);
    }
    let shown = format!("{running:?} {:?}", lines.0.get_ref());
    assert!(shown.len() < 1000, "nothing of what it said: {shown}");
    lines.0.get_mut().shutdown().await.unwrap();
    assert_eq!(lines.hear().await, "", "the server has ended");
    let exited = running.exited().await;
    assert_eq!((exited.end, exited.code), (End::Itself, Some(0)));
    running.stop().await;
    assert!(rig.containers().await.is_empty());
    rig.finish().await;
}

#[tokio::test]
async fn on_every_engine() {
    for daemon in testkit::all_engines() {
        let rig = Rig::on(Scope::on(daemon, "engines"), Policy::default(), |_| {}).await;
        let mut running = rig
            .start("echo oops >&2; id -u; grep CapBnd /proc/self/status; exec cat")
            .await;
        let mut lines = Lines::of(&mut running);
        assert_eq!(lines.hear().await, "65532");
        assert_eq!(lines.hear().await, "CapBnd:\t0000000000000000");
        lines.say("hello").await;
        assert_eq!(lines.hear().await, "hello");
        let exited = running.stop().await;
        assert_eq!((exited.end, exited.code), (End::Input, Some(0)));
        assert_eq!(exited.stderr, ["oops"]);
        rig.finish().await;
    }
}

#[tokio::test]
async fn what_is_said_at_once_is_not_lost() {
    let rig = Rig::new("at-once").await;
    let mut running = rig.start("echo hello; echo oops >&2; exit 3").await;
    let lines = Lines::of(&mut running);
    assert_eq!(lines.rest().await, "hello\n");
    let exited = running.exited().await;
    assert_eq!((exited.end, exited.code), (End::Itself, Some(3)));
    assert_eq!(exited.stderr, ["oops"]);
    assert_eq!(
        exited.to_string(),
        "it ended by itself with exit code 3; its last words: oops"
    );
    rig.finish().await;
}

#[tokio::test]
async fn one_that_ignores_everything_is_killed() {
    let rig = Rig::new("stubborn").await;
    let mut running = rig
        .start("trap '' TERM INT HUP; echo up; while :; do sleep 1; done")
        .await;
    let mut lines = Lines::of(&mut running);
    assert_eq!(lines.hear().await, "up");
    let start = Instant::now();
    let exited = running.stop().await;
    assert_eq!((exited.end, exited.code), (End::Signal, Some(137)));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(lines.hear().await, "", "whoever still reads sees the end");
    assert!(lines.0.get_mut().write_all(b"x").await.is_err());
    assert!(rig.containers().await.is_empty());
    rig.finish().await;
}

#[tokio::test]
async fn dropping_the_stream_or_the_handle_ends_it() {
    let rig = Rig::new("dropped").await;
    let mut kept = rig.start(ECHO).await;
    drop(kept.take_stdio());
    assert_eq!(kept.exited().await.end, End::Input);
    drop(rig.start(ECHO).await);
    let none = async || rig.containers().await.is_empty().then_some(());
    eventually("both are gone", none).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_flood_on_standard_error_harms_nobody() {
    let rig = Rig::new("flood").await;
    let (sink, mut told) = mpsc::channel(16);
    let script = "echo first; i=0; while [ $i -lt 200000 ]; do echo line-$i-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; i=$((i+1)); done; echo last";
    let mut running = rig.start_with(&shell(script), Some(sink)).await.unwrap();
    // Nobody reads the sink meanwhile.
    assert_eq!(Lines::of(&mut running).rest().await, "first\nlast\n");
    let exited = running.exited().await;
    assert_eq!(exited.code, Some(0));
    assert_eq!(
        exited.stderr.last().unwrap(),
        "line-199999-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    );
    assert!(told.recv().await.unwrap().starts_with("line-0-"));
    rig.finish().await;
}

#[tokio::test]
async fn a_flood_on_standard_output_is_held_up_until_it_is_read() {
    let rig = Rig::new("held-up").await;
    let script = "dd if=/dev/zero bs=65536 count=800 2>/dev/null; echo done >&2; cat";
    let mut running = rig.start(script).await;
    let mut pipes = running.take_stdio().unwrap();
    // It writes 50 MB that nobody takes: the engine holds it up within its own few megabytes.
    let writes = async || {
        let stats = format!("/containers/{}/top", running.id());
        let top = rig.scope.daemon().get(&stats).await.text();
        top.contains("dd if=").then_some(())
    };
    eventually("it writes", writes).await;
    pipes.write_all(b"meanwhile\n").await.expect("its input is free");
    assert!(!running.stderr().contains(&"done".to_owned()));
    let whole = 800 * 65536 + "meanwhile\n".len();
    let mut read = Vec::with_capacity(whole);
    while read.len() < whole {
        assert_ne!(pipes.read_buf(&mut read).await.unwrap(), 0);
    }
    assert!(read.ends_with(b"\0meanwhile\n"));
    running.stop().await;
    rig.finish().await;
}

#[tokio::test]
async fn one_that_uses_too_much_memory_is_told_of() {
    let rig = Rig::new("memory").await;
    let mut running = rig.start("echo up; x=x; while :; do x=$x$x; done").await;
    assert!(Lines::of(&mut running).rest().await.starts_with("up"));
    let exited = running.exited().await;
    // Engine 20.10 on cgroup v1 and Podman lose the kernel's word now and then, so the flag of one run proves nothing.
    assert_ne!(exited.out_of_memory, OutOfMemory::No, "{exited:?}");
    assert_eq!(exited.code, Some(137), "{exited:?}");
    assert!(exited.to_string().contains("raise `memory`"), "{exited}");
    rig.finish().await;
}

#[tokio::test]
async fn closing_ends_all_and_refuses_more() {
    let rig = Rig::new("closing").await;
    let one = rig.start(ECHO).await;
    let two = rig.start("trap '' TERM; while :; do sleep 1; done").await;
    assert_eq!(rig.containers().await.len(), 2);
    assert!(rig.instances.close(Duration::from_secs(30)).await);
    assert!(rig.containers().await.is_empty());
    assert_eq!(one.exited().await.end, End::Input);
    assert_eq!(two.exited().await.end, End::Signal);
    let refused = rig.try_start(&shell(ECHO)).await.unwrap_err();
    assert!(refused.to_string().contains("shutting down"), "{refused}");
    assert_eq!(
        fs_err::read_dir(rig.state.path().join("instances"))
            .unwrap()
            .count(),
        0,
        "who left nothing needs no lock"
    );
    rig.finish().await;
}
