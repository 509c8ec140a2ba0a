//! What containers give over time, on every engine: logs, statistics, exports, attached streams.

use crate::containers::{new, on_each, reference};
use crate::here::is_podman;
use base::names::ContainerRef;
use engine::ops::containers::{Attach, LogQuery, Outputs, Tail, WaitFor};
use engine::{Engine, Error, Output, Tty};
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde_json::Value;
use std::pin::pin;
use std::time::{Duration, Instant};
use testkit::Scope;
use tokio::io::AsyncWriteExt;

async fn ran(engine: &Engine, scope: &Scope, what: &str, script: &str, tty: Tty) -> ContainerRef {
    let mut container = new(scope, what, &["sh", "-c", script]);
    container.body.tty = Some(tty == Tty::Yes);
    let id = engine.container_create(container).await.unwrap().id;
    engine.container_start(&id).await.unwrap();
    engine.container_wait(&id, WaitFor::NotRunning).await.unwrap();
    id
}

/// All of standard output, and all of standard error.
pub(crate) async fn texts(outputs: impl Stream<Item = Result<Output, Error>>) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut outputs = pin!(outputs);
    while let Some(output) = outputs.next().await {
        match output.unwrap() {
            Output::Stdout(bytes) | Output::Console(bytes) => out.extend_from_slice(&bytes),
            Output::Stderr(bytes) => err.extend_from_slice(&bytes),
        }
    }
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

async fn logs(engine: &Engine, container: &ContainerRef, query: &LogQuery) -> (String, String) {
    let tty = engine.container_tty(container).await.unwrap();
    texts(engine.container_logs(container, query, tty).await.unwrap()).await
}

fn pair(out: &str, err: &str) -> (String, String) {
    (out.to_owned(), err.to_owned())
}

#[tokio::test]
async fn logs_by_output_number_and_time() {
    on_each("logs", async |engine, scope| {
        let script = "echo one; echo two; sleep 1.1; echo err >&2; sleep 0.2; echo three";
        let web = ran(&engine, &scope, "web", script, Tty::No).await;
        let all = LogQuery::default();
        assert_eq!(
            logs(&engine, &web, &all).await,
            pair("one\ntwo\nthree\n", "err\n")
        );
        let only = |outputs| LogQuery {
            outputs,
            ..LogQuery::default()
        };
        assert_eq!(
            logs(&engine, &web, &only(Outputs::Stdout)).await,
            pair("one\ntwo\nthree\n", "")
        );
        assert_eq!(
            logs(&engine, &web, &only(Outputs::Stderr)).await,
            pair("", "err\n")
        );
        let tail = |lines| LogQuery {
            tail: Tail::Lines(lines),
            ..LogQuery::default()
        };
        assert_eq!(logs(&engine, &web, &tail(1)).await, pair("three\n", ""));
        assert_eq!(logs(&engine, &web, &tail(0)).await, pair("", ""));

        let timed = logs(
            &engine,
            &web,
            &LogQuery {
                timestamps: true,
                ..LogQuery::default()
            },
        )
        .await;
        let time = |text: &str| {
            text.split_once(' ')
                .unwrap()
                .0
                .parse::<jiff::Timestamp>()
                .unwrap()
        };
        let of_err = time(&timed.1);
        let since = LogQuery {
            since: Some(of_err),
            ..LogQuery::default()
        };
        assert_eq!(logs(&engine, &web, &since).await, pair("three\n", "err\n"));
        let until = LogQuery {
            until: Some(of_err - Duration::from_millis(500)),
            ..LogQuery::default()
        };
        // Podman 4 takes everything for later.
        if !is_podman(&engine).await {
            assert_eq!(logs(&engine, &web, &until).await, pair("one\ntwo\n", ""));
        }
        // A container that has ended does not keep anyone who follows it.
        let follow = LogQuery {
            follow: true,
            ..LogQuery::default()
        };
        assert_eq!(
            logs(&engine, &web, &follow).await,
            pair("one\ntwo\nthree\n", "err\n")
        );
        scope
    })
    .await;
}

#[tokio::test]
async fn a_terminal_is_not_guessed_from_its_first_byte() {
    on_each("tty", async |engine, scope| {
        let script = r"printf '\001\000\000\000\000\000\000\002hi'; echo; echo err >&2";
        let web = ran(&engine, &scope, "web", script, Tty::Yes).await;
        let expected = "\u{1}\0\0\0\0\0\0\u{2}hi\r\nerr\r\n";
        assert_eq!(
            logs(&engine, &web, &LogQuery::default()).await,
            pair(expected, "")
        );
        scope
    })
    .await;
}

#[tokio::test]
async fn a_log_that_is_followed_arrives_as_it_is_written() {
    on_each("follow", async |engine, scope| {
        let id = scope
            .run(
                "web",
                &[
                    "sh",
                    "-c",
                    "sleep 0.3; echo first; sleep 0.3; echo second; sleep 600",
                ],
            )
            .await;
        let web = reference(&id);
        let query = LogQuery {
            follow: true,
            ..LogQuery::default()
        };
        let mut log = pin!(engine.container_logs(&web, &query, Tty::No).await.unwrap());
        for expected in ["first\n", "second\n"] {
            assert_eq!(
                log.next().await.unwrap().unwrap(),
                Output::Stdout(expected.into())
            );
        }
        scope
    })
    .await;
}

#[tokio::test]
async fn a_long_log_passes_in_pieces() {
    on_each("long", async |engine, scope| {
        let web = ran(&engine, &scope, "web", "seq 1 60000", Tty::No).await;
        let log = engine
            .container_logs(&web, &LogQuery::default(), Tty::No)
            .await
            .unwrap();
        let mut log = pin!(log);
        let (mut lines, mut largest) = (0, 0);
        while let Some(output) = log.next().await {
            let output = output.unwrap();
            largest = largest.max(output.bytes().len());
            lines += output.bytes().split(|byte| *byte == b'\n').count() - 1;
        }
        assert_eq!(lines, 60_000);
        assert!(largest < 1 << 20, "{largest} bytes in one piece");
        scope
    })
    .await;
}

#[tokio::test]
async fn a_log_that_can_not_be_read() {
    on_each("none", async |engine, scope| {
        let body = serde_json::json!({ "Cmd": ["true"], "HostConfig": { "LogConfig": { "Type": "none" } } });
        let web = reference(&scope.create("web", body).await);
        engine.container_start(&web).await.unwrap();
        let result = match engine.container_logs(&web, &LogQuery::default(), Tty::No).await {
            Ok(log) => log.try_collect::<Vec<_>>().await,
            Err(error) => Err(error),
        };
        let text = result.map_or_else(|error| error.to_string(), |outputs| format!("{outputs:?}"));
        assert!(
            text.contains("does not support reading") || text.contains("is not logging output"),
            "{text}"
        );
        scope
    })
    .await;
}

#[tokio::test]
async fn statistics_as_stream_and_as_pair() {
    on_each("stats", async |engine, scope| {
        let web = reference(&scope.run("web", &["sh", "-c", "while :; do :; done"]).await);
        let used = |sample: &Value| sample["cpu_stats"]["cpu_usage"]["total_usage"].as_u64().unwrap();
        let start = Instant::now();
        let [first, second] = engine
            .container_stats_pair(&web, Duration::from_millis(200))
            .await
            .unwrap();
        assert!(used(&second) > used(&first), "{first} {second}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

        let stats = engine.container_stats(&web).await.unwrap();
        let samples: Vec<Value> = stats.take(2).try_collect().await.unwrap();
        assert!(used(&samples[1]) > used(&samples[0]));
        scope
    })
    .await;
}

#[tokio::test]
async fn a_file_system_as_tar() {
    on_each("export", async |engine, scope| {
        let web = reference(&scope.create("web", serde_json::json!({})).await);
        let export = engine.container_export(&web).await.unwrap();
        let bytes = export.map_ok(|bytes| bytes.to_vec()).try_concat().await.unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let paths: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().into_owned())
            .collect();
        assert!(
            paths.iter().any(|path| path.ends_with("bin/busybox")),
            "{} entries",
            paths.len()
        );
        scope
    })
    .await;
}

#[tokio::test]
async fn attached_to_input_and_outputs() {
    on_each("attach", async |engine, scope| {
        for tty in [Tty::No, Tty::Yes] {
            let mut container = new(
                &scope,
                "web",
                &["sh", "-c", "read a; echo got $a; read b || echo end >&2; exit 4"],
            );
            container.name = None;
            container.body.open_stdin = Some(true);
            container.body.stdin_once = Some(true);
            container.body.tty = Some(tty == Tty::Yes);
            let web = engine.container_create(container).await.unwrap().id;
            let attach = Attach {
                stdin: true,
                ..Attach::default()
            };
            let (mut input, outputs) = engine.container_attach(&web, attach, tty).await.unwrap().split();
            engine.container_start(&web).await.unwrap();
            input.write_all(b"hello\n").await.unwrap();
            if tty == Tty::Yes {
                engine.container_resize(&web, 40, 120).await.unwrap();
                // On a terminal the end of input is a character.
                input.write_all(b"\x04").await.unwrap();
            } else {
                input.shutdown().await.unwrap();
            }
            let (out, err) = texts(outputs).await;
            if tty == Tty::Yes {
                assert!(
                    out.contains("got hello\r\n") && out.ends_with("end\r\n"),
                    "{out:?}"
                );
            } else {
                assert_eq!((out, err), pair("got hello\n", "end\n"));
            }
            assert_eq!(
                engine
                    .container_wait(&web, WaitFor::NotRunning)
                    .await
                    .unwrap()
                    .code,
                4
            );
        }
        scope
    })
    .await;
}
