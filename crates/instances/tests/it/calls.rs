//! Containers of a single call, and what runs.

use std::time::Duration;

use catalog::plan::Container;
use instances::{Bounds, Called, Start};

use crate::here::{Rig, secrets, server, shell};

async fn call(rig: &Rig, container: &Container, bounds: Bounds) -> Called {
    let server = server();
    let start = Start {
        server: &server,
        container,
        share: "call",
        secrets: &secrets,
        stderr: None,
        progress: None,
    };
    rig.instances.call(start, bounds).await.unwrap()
}

#[tokio::test]
async fn outputs_apart_and_the_exit_code() {
    let rig = Rig::new("call").await;
    let bounds = Bounds {
        time: Duration::from_secs(30),
        output: 10_000,
    };
    let called = call(&rig, &shell("cat; echo out; printf 'err\\n' >&2; exit 3"), bounds).await;
    assert_eq!(
        (called.stdout.bytes.as_slice(), called.stdout.more),
        (&b"out\n"[..], 0)
    );
    assert_eq!(called.stderr.bytes, b"err\n", "where a tool says why it failed");
    assert_eq!((called.exited.code, called.timed_out), (Some(3), false));

    let flood = "dd if=/dev/zero bs=1000 count=1000 2>/dev/null";
    let called = call(&rig, &shell(flood), bounds).await;
    assert_eq!((called.stdout.bytes.len(), called.stdout.more), (10_000, 990_000));
    rig.finish().await;
}

#[tokio::test]
async fn one_that_does_not_end_is_ended() {
    let rig = Rig::new("call-time").await;
    let bounds = Bounds {
        time: Duration::from_secs(3),
        output: 1000,
    };
    let called = call(&rig, &shell("echo begun; while :; do sleep 1; done"), bounds).await;
    assert!(called.timed_out);
    assert_eq!(called.stdout.bytes, b"begun\n");
    assert!(rig.containers().await.is_empty());
    rig.finish().await;
}

#[tokio::test]
async fn what_runs_is_listed_with_what_it_uses() {
    let rig = Rig::new("list").await;
    let running = rig.start("while :; do :; done").await;
    let listed = rig.instances.list().await.unwrap();
    let one = listed.iter().find(|one| one.id == running.id().as_str()).unwrap();
    assert_eq!(
        (
            one.name.as_str(),
            one.server.as_str(),
            one.gateway.as_str(),
            one.state.as_str()
        ),
        (running.name(), "fake", rig.instances.gateway(), "running")
    );
    assert_eq!(one.fingerprint, running.fingerprint());
    let usage = one.usage.unwrap();
    assert_eq!(usage.memory_limit, 64 << 20);
    assert!(
        usage.memory > 0 && usage.memory < 64 << 20 && usage.pids > 0,
        "{usage:?}"
    );
    assert!(usage.cpus > 0.0, "{usage:?}");
    running.stop().await;
    rig.finish().await;
}
