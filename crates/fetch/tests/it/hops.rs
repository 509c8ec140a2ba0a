//! Redirects.

use crate::peer::{Peer, answer, client, here};
use base::Secret;
use fetch::{Addresses, Client, Method, Options, Plain, Redirects, Request};

fn redirect(status: &str, to: &str) -> crate::peer::Step {
    answer(status, &format!("Location: {to}\r\n"), "")
}

#[tokio::test]
async fn a_redirect_is_the_answer_unless_asked() {
    let peer = Peer::start(|_| vec![redirect("302 Found", "/there")]).await;
    let response = client()
        .send(Request::get(&peer.url("/")).unwrap())
        .await
        .unwrap();
    assert_eq!(
        (response.status().as_u16(), response.header("location")),
        (302, Some("/there"))
    );
    assert_eq!(peer.seen().len(), 1);
}

#[tokio::test]
async fn only_redirects_that_change_nothing() {
    let peer = Peer::start(|seen| match seen.path() {
        "/307" => vec![redirect("307 Temporary Redirect", "/302")],
        _ => vec![redirect("302 Found", "/there")],
    })
    .await;
    let request = Request::new(Method::POST, &peer.url("/307"))
        .unwrap()
        .body("a/b", "x");
    let response = client()
        .send(request.redirects(Redirects::Unchanged(1)))
        .await
        .unwrap();
    assert_eq!((response.status().as_u16(), response.url().path()), (302, "/302"));
    assert_eq!(peer.seen()[1].body, b"x");
}

#[tokio::test]
async fn methods_and_bodies() {
    for (status, method, after, body) in [
        ("301 Moved Permanently", Method::POST, "GET", ""),
        ("302 Found", Method::POST, "GET", ""),
        ("303 See Other", Method::PUT, "GET", ""),
        ("307 Temporary Redirect", Method::POST, "POST", "x"),
        ("308 Permanent Redirect", Method::PUT, "PUT", "x"),
    ] {
        let peer = Peer::start(move |seen| match seen.path() {
            "/a/b" => vec![redirect(status, "../c?d")],
            _ => vec![answer("200 OK", "", "end")],
        })
        .await;
        let request = Request::new(method, &peer.url("/a/b"))
            .unwrap()
            .body("text/plain", "x");
        let response = client()
            .send(request.redirects(Redirects::Follow(2)))
            .await
            .unwrap();
        assert_eq!(response.url().path(), "/c");
        let seen = peer.seen();
        assert_eq!(
            (seen[1].path(), seen[1].head.split(' ').next()),
            ("/c?d", Some(after)),
            "{status}"
        );
        assert_eq!(String::from_utf8_lossy(&seen[1].body), body, "{status}");
    }
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let other = Peer::start(|_| vec![answer("200 OK", "", "other")]).await;
    let there = other.url("/there");
    let peer = Peer::start(move |seen| match seen.path() {
        "/same" => vec![redirect("307 Temporary Redirect", "/there")],
        "/other" => vec![redirect("307 Temporary Redirect", &there)],
        _ => vec![answer("200 OK", "", "same")],
    })
    .await;
    for (path, kept) in [("/same", true), ("/other", false)] {
        let request = Request::get(&peer.url(path)).unwrap();
        let request = request.bearer(&Secret::new("abc")).unwrap();
        let request = request.secret_header("X-Thing", &Secret::new("def")).unwrap();
        let request = request
            .header("X-Api-Key", "ghi")
            .unwrap()
            .header("X-Open", "1")
            .unwrap();
        client()
            .send(request.redirects(Redirects::Follow(1)))
            .await
            .unwrap();
        let seen = if kept { peer.seen() } else { other.seen() };
        let seen = seen.last().unwrap();
        for name in ["authorization", "x-thing", "x-api-key"] {
            assert_eq!(seen.header(name).is_some(), kept, "{name} {path}");
        }
        assert_eq!(seen.header("x-open"), Some("1"));
    }
}

#[tokio::test]
async fn each_hop_is_judged() {
    let peer = Peer::start(|seen| match seen.path() {
        "/metadata" => vec![redirect("302 Found", "http://169.254.169.254/latest")],
        "/loop" => vec![redirect("302 Found", "/loop")],
        "/file" => vec![redirect("302 Found", "file:///etc/passwd")],
        "/user" => vec![redirect("302 Found", "http://me:pw@127.0.0.1/")],
        _ => vec![redirect("302 Found", "http://[::bad")],
    })
    .await;
    let client = Client::new(Options {
        addresses: Addresses::Private,
        plain: Plain::Permitted,
        ..here()
    });
    for (path, reason) in [
        (
            "/metadata",
            "169.254.169.254 has the address 169.254.169.254, which is a cloud's metadata service",
        ),
        ("/loop", "too many redirects"),
        ("/file", "only https and http addresses can be fetched"),
        ("/user", "the address contains a user name or password"),
        ("/bad", "its Location is no URL"),
    ] {
        let request = Request::get(&peer.url(path))
            .unwrap()
            .redirects(Redirects::Follow(3));
        let error = client.send(request).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{path}: {error}");
        assert!(!error.contains("pw"), "{error}");
    }
    assert_eq!(
        peer.seen().iter().filter(|seen| seen.path() == "/loop").count(),
        4
    );
}
