//! Bodies in both directions, limits, and connections that break.

use std::time::Duration;

use crate::peer::{Peer, Step, answer, client, here, send};
use bytes::Bytes;
use fetch::{Client, EventLimits, Kind, Limits, Method, Options, Request};
use futures_util::StreamExt;

#[tokio::test]
async fn a_connection_serves_again() {
    let peer = Peer::start(|seen| {
        vec![answer(
            "200 OK",
            "X-A: b\r\nContent-Type: Text/Plain; x=y\r\n",
            seen.path(),
        )]
    })
    .await;
    let client = client();
    for path in ["/a", "/b?c=d", "/e"] {
        let response = client.send(Request::get(&peer.url(path)).unwrap()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.header("x-a")),
            (200, Some("b"))
        );
        assert_eq!(response.media_type(), "text/plain");
        assert_eq!(response.text().await.unwrap(), path);
    }
    let seen = peer.seen();
    assert!(seen.iter().all(|seen| seen.connection == 0), "{seen:?}");
    assert_eq!(seen[0].header("user-agent"), Some("test/1"));
    assert_eq!(
        seen[0].header("host"),
        Some(format!("127.0.0.1:{}", peer.port).as_str())
    );
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_replaced() {
    let peer = Peer::start(|_| vec![answer("200 OK", "", "x"), Step::Close]).await;
    let client = client();
    for _ in 0..5 {
        let request = Request::new(Method::POST, &peer.url("/"))
            .unwrap()
            .body("text/plain", "body");
        let text = client.send(request).await.unwrap().text().await.unwrap();
        assert_eq!(text, "x");
        // The pool sees the end of the connection when its task runs.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn bodies_are_sent() {
    let peer = Peer::start(|seen| vec![answer("200 OK", "", &String::from_utf8_lossy(&seen.body))]).await;
    let pieces = || futures_util::stream::iter(["one ", "two"].map(|piece| Ok(Bytes::from(piece))));
    let post = || Request::new(Method::POST, &peer.url("/")).unwrap();
    for (request, body, kind) in [
        (post().body("text/plain", "bytes"), "bytes", "text/plain"),
        (
            post().json(&serde_json::json!({"a": 1})).unwrap(),
            "{\"a\":1}",
            "application/json",
        ),
        (post().stream("a/b", Some(7), pieces()), "one two", "a/b"),
        (
            post().stream("a/b", None, pieces()),
            "4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n",
            "a/b",
        ),
    ] {
        assert_eq!(client().send(request).await.unwrap().text().await.unwrap(), body);
        assert_eq!(peer.seen().last().unwrap().header("content-type"), Some(kind));
    }
}

#[tokio::test]
async fn a_body_comes_as_a_stream_and_dropping_it_closes_the_connection() {
    let peer = Peer::start(|seen| match seen.path() {
        "/gone" => vec![answer("200 OK", "", "gone")],
        _ => vec![send("HTTP/1.1 200 OK\r\n\r\none"), Step::Hang],
    })
    .await;
    let client = client();
    let response = client.send(Request::get(&peer.url("/")).unwrap()).await.unwrap();
    let mut stream = Box::pin(response.into_stream());
    assert_eq!(stream.next().await.unwrap().unwrap(), "one");
    drop(stream);
    let response = client
        .send(Request::get(&peer.url("/gone")).unwrap())
        .await
        .unwrap();
    assert_eq!(response.text().await.unwrap(), "gone");
    assert_eq!(peer.seen().last().unwrap().connection, 1);
}

/// Also to a server that has nothing more to say.
#[tokio::test]
async fn dropping_a_body_that_was_waited_for_closes_the_connection() {
    for said in ["", "one"] {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let begin = if said.is_empty() {
            String::new()
        } else {
            format!("{:x}\r\n{said}\r\n", said.len())
        };
        let peer = Peer::start(move |_| vec![send(format!("{head}{begin}")), Step::Hang]).await;
        let client = client();
        let response = client.send(Request::get(&peer.url("/")).unwrap()).await.unwrap();
        let mut stream = Box::pin(response.into_stream());
        if !said.is_empty() {
            assert_eq!(stream.next().await.unwrap().unwrap(), said);
        }
        let more = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
        assert!(more.is_err(), "{said:?}");
        drop(stream);
        testkit::eventually("the end of the connection", async || {
            (peer.left() == 1).then_some(())
        })
        .await;
    }
}

fn short() -> Limits {
    Limits {
        connect: Duration::from_secs(2),
        head: Duration::from_millis(200),
        idle: Duration::from_millis(200),
        body: 10,
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let peer = Peer::start(|seen| match seen.path() {
        "/silent" => vec![Step::Hang],
        "/stalls" => vec![
            send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome"),
            Step::Hang,
        ],
        "/cut" => vec![
            send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome"),
            Step::Close,
        ],
        "/cut-chunk" => vec![
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nso"),
            Step::Close,
        ],
        "/closed" => vec![Step::Close],
        "/garbage" => vec![send("SSH-2.0-x\r\n\r\n"), Step::Close],
        "/long" => vec![answer("200 OK", "", "12345678901")],
        "/endless" => vec![send("HTTP/1.1 200 OK\r\n\r\n"), send("12345678901"), Step::Hang],
        "/head" => vec![
            send(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(400_000))),
            Step::Hang,
        ],
        "/bad" => vec![answer("200 OK", "", "{\"a\":")],
        "/refused" => vec![answer(
            "401 Unauthorized",
            "",
            "no\u{1b}[31m\n  token=abcdefgh12345678",
        )],
        "/page" => vec![answer("502 Bad Gateway", "", " <html>")],
        _ => vec![],
    })
    .await;
    let client = Client::new(Options {
        limits: short(),
        ..here()
    });
    for (path, kind) in [
        ("/silent", "no answer within 200 ms"),
        ("/stalls", "no more of the answer within 200 ms"),
        ("/cut", "the exchange broke off: "),
        ("/cut-chunk", "the exchange broke off: "),
        ("/closed", "the exchange broke off: "),
        ("/garbage", "the exchange broke off: "),
        ("/head", "the exchange broke off: "),
        ("/long", "the answer has more than 10 bytes"),
        ("/endless", "the answer has more than 10 bytes"),
        ("/bad", "the answer is not the JSON that was expected"),
        ("/refused", "answered 401 Unauthorized: no token=[redacted]"),
        ("/page", "answered 502 Bad Gateway: (a page of HTML)"),
    ] {
        let request = Request::get(&peer.url(&format!("{path}?key=secret"))).unwrap();
        // The script goes by the path alone.
        let request = if path == "/silent" {
            request
        } else {
            Request::get(&peer.url(path)).unwrap()
        };
        let failed = async {
            let response = client.send(request).await?.success().await?;
            response.json::<serde_json::Value>().await
        };
        let error = failed.await.unwrap_err();
        assert!(error.to_string().contains(kind), "{path}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(error.may_have_happened(), "{path}: {error}");
    }
}

#[tokio::test]
async fn nobody_there() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = client()
        .send(Request::get(&format!("http://127.0.0.1:{port}/")).unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error.kind, Kind::Connect { .. }), "{error}");
    assert!(!error.may_have_happened());
}

#[tokio::test]
async fn a_large_body_on_its_way_is_waited_for() {
    let peer = Peer::start(|seen| vec![answer("200 OK", "", &seen.body.len().to_string())]).await;
    let client = Client::new(Options {
        limits: short(),
        ..here()
    });
    // Longer in all than the limit for an answer, but never silent for so long.
    let pieces = futures_util::stream::unfold(0, |at| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        (at < 8).then(|| (Ok(Bytes::from("x")), at + 1))
    });
    let request = Request::new(Method::PUT, &peer.url("/"))
        .unwrap()
        .stream("a/b", Some(8), pieces);
    assert_eq!(client.send(request).await.unwrap().text().await.unwrap(), "8");
}

#[tokio::test]
async fn events_come_one_by_one() {
    let peer = Peer::start(|_| {
        vec![
            send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 10\nid: 1\ndata: a\n\n"),
            send(": still there\n\nevent: b\ndata: c\n\ndata: "),
            send("x".repeat(100)),
            Step::Hang,
        ]
    })
    .await;
    let response = client()
        .send(Request::get(&peer.url("/")).unwrap())
        .await
        .unwrap();
    let mut events = response.events(EventLimits { event: 50 });
    let first = events.next().await.unwrap().unwrap();
    assert_eq!(
        (first.name.as_str(), first.data.as_str(), first.id.as_deref()),
        ("message", "a", Some("1"))
    );
    assert_eq!(
        (events.last_id(), events.retry()),
        (Some("1"), Some(Duration::from_millis(10)))
    );
    let second = events.next().await.unwrap().unwrap();
    assert_eq!((second.name.as_str(), second.data.as_str()), ("b", "c"));
    let error = events.next().await.unwrap_err();
    assert!(
        error.to_string().ends_with("an event has more than 50 bytes"),
        "{error}"
    );
}
