//! Answers that no daemon should give: broken off, endless, too large, not what they ought to be. None may take the
//! process with it or be mistaken for a success.

use crate::here::at;
use base::names::{ContainerRef, ExecId};
use bytes::Bytes;
use engine::ops::containers::{ContainerQuery, LogQuery, NewContainer, WaitFor};
use engine::{Error, Request, Tty, path};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;
use std::pin::pin;
use std::time::Duration;
use testkit::{DaemonDouble, Reply};

/// A daemon that gives this answer to everything but the ping.
fn daemon(reply: Reply) -> DaemonDouble {
    DaemonDouble::start(move |seen| match seen.path() {
        "/_ping" => Reply::ping("1.41"),
        // The guard asks whose it is.
        "/exec/ab12/json" => Reply::json(200, &json!({"ContainerID": "web"})),
        _ => reply.clone(),
    })
}

fn full(status: u16, body: impl Into<Bytes>) -> Reply {
    Reply::Full {
        status,
        headers: vec![],
        body: body.into(),
    }
}

fn web() -> ContainerRef {
    ContainerRef::parse("web").unwrap()
}

#[tokio::test]
async fn statuses_become_errors_with_the_daemons_words() {
    for (reply, expected) in [
        (
            Reply::error(404, "No such container: web"),
            "not found: No such container: web (GET /containers/web/json)",
        ),
        (
            Reply::error(409, "it is paused"),
            "conflict: it is paused (GET /containers/web/json)",
        ),
        (
            Reply::error(500, "out of everything"),
            "the daemon answered 500 to GET /containers/web/json: out of everything",
        ),
        (
            full(502, "upstream gone\n"),
            "the daemon answered 502 to GET /containers/web/json: upstream gone",
        ),
        (
            full(503, ""),
            "the daemon answered 503 to GET /containers/web/json: Service Unavailable",
        ),
    ] {
        let double = daemon(reply);
        let error = at(&double.endpoint())
            .container_inspect(&web())
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn answers_that_make_no_sense() {
    for body in ["", "garbage", "{\"Id\":", "[1,2", "\u{0}\u{1}"] {
        let double = daemon(full(200, body));
        let engine = at(&double.endpoint());
        let error = engine.container_inspect(&web()).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{body:?}: {error}");
        let error = engine
            .container_create(NewContainer::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{body:?}: {error}");
        assert!(error.may_have_happened(), "the container may be there");
        let error = engine
            .container_wait(&web(), WaitFor::NotRunning)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{body:?}: {error}");
    }
    // An id is a name too, and what is no name does not come in.
    let double = daemon(Reply::json(
        201,
        &json!({ "Id": "../images/x", "Warnings": null }),
    ));
    let error = at(&double.endpoint())
        .container_create(NewContainer::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_broken_off() {
    let double = daemon(Reply::Cut {
        chunks: vec!["{\"Id\":\"a\"}".into()],
    });
    let engine = at(&double.endpoint());
    for error in [
        engine.container_inspect(&web()).await.unwrap_err(),
        engine
            .container_create(NewContainer::default())
            .await
            .unwrap_err(),
        engine
            .container_wait(&web(), WaitFor::NotRunning)
            .await
            .unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Broken { .. } | Error::Protocol { .. }),
            "{error}"
        );
    }
    let mut stats = pin!(engine.container_stats(&web()).await.unwrap());
    assert_eq!(stats.next().await.unwrap().unwrap(), json!({ "Id": "a" }));
    let error = stats.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error}");
    assert!(stats.next().await.is_none());
}

#[tokio::test]
async fn a_connection_that_speaks_no_http() {
    // What an SSH server, or a web server's TLS port, would say.
    for greeting in ["SSH-2.0-OpenSSH_9.2\r\n", "\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{16}"] {
        let double = DaemonDouble::start(|_| Reply::Close);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::io::AsyncWriteExt::write_all(&mut stream, greeting.as_bytes())
                    .await
                    .unwrap();
            }
        });
        let error = at(&endpoint)
            .container_list(&ContainerQuery::default())
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Broken { .. } | Error::Unreachable { .. }),
            "{error}"
        );
        drop(double);
    }
}

#[tokio::test]
async fn what_is_held_in_memory_has_a_bound() {
    let mebibyte = Bytes::from(vec![b' '; 1 << 20]);
    let double = daemon(Reply::Endless {
        chunks: vec![mebibyte; 65],
    });
    let engine = at(&double.endpoint());
    let error = engine.container_inspect(&web()).await.unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit, .. } if limit == 64 << 20),
        "{error}"
    );

    let mut line = vec![Bytes::from("{\"a\":\"")];
    line.extend(std::iter::repeat_n(Bytes::from(vec![b'x'; 1 << 20]), 17));
    let double = daemon(Reply::Endless { chunks: line });
    let lines = at(&double.endpoint())
        .lines(Request::get(path!["events"]))
        .await
        .unwrap();
    let error = pin!(lines).next().await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit, .. } if limit == 16 << 20),
        "{error}"
    );

    // A frame may announce 4 GiB; its pieces are passed on as they come.
    let frame = Bytes::from_static(b"\x01\0\0\0\xff\xff\xff\xffsome");
    let double = daemon(Reply::Endless { chunks: vec![frame] });
    let logs = at(&double.endpoint())
        .container_logs(&web(), &LogQuery::default(), Tty::No)
        .await
        .unwrap();
    let output = pin!(logs).next().await.unwrap().unwrap();
    assert_eq!(output.bytes(), "some");
}

#[tokio::test]
async fn an_upgrade_that_is_none() {
    let exec = ExecId::parse("ab12").unwrap();
    for (reply, expected) in [
        (full(200, "x"), "status 200 OK instead of 101"),
        (
            Reply::error(409, "Container web is not running"),
            "conflict: Container web is not running",
        ),
    ] {
        let double = daemon(reply);
        let error = at(&double.endpoint())
            .exec_start(&exec, Tty::No)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Frames that end in the middle are an error, an end between frames is the end.
    for (bytes, whole) in [
        (&b"\x01\0\0\0\0\0\0\x02hi"[..], true),
        (b"\x01\0\0\0\0\0\0\x09hi", false),
    ] {
        let double = daemon(Reply::Upgrade {
            content_type: "application/vnd.docker.raw-stream".to_owned(),
            bytes: bytes.into(),
        });
        let attached = at(&double.endpoint()).exec_start(&exec, Tty::No).await.unwrap();
        let (_input, outputs) = attached.split();
        let all: Result<Vec<_>, _> = outputs.try_collect().await;
        assert_eq!(all.is_ok(), whole, "{all:?}");
    }
}

#[tokio::test]
async fn a_stream_may_be_silent_within_its_readers_limit() {
    let double = daemon(Reply::Endless {
        chunks: vec!["{}".into(), " {}\r\n".into()],
    });
    let request = Request::get(path!["events"]).idle(Duration::from_millis(200));
    let lines = at(&double.endpoint()).lines(request).await.unwrap();
    let lines: Vec<_> = lines.collect().await;
    assert_eq!(lines.len(), 3);
    assert!(matches!(lines[2], Err(Error::Timeout { .. })), "{:?}", lines[2]);
}
