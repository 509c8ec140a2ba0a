//! Which version of the API goes before each path, whoever writes the request.

use crate::here::{at, options};
use base::names::ContainerRef;
use engine::ops::containers::{ContainerQuery, NewContainer};
use engine::{ApiVersion, Engine, Error, Options, Request, path};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::{DaemonDouble, Reply, Seen, all_engines};

/// A daemon of this version that answers everything with an empty object.
fn daemon(version: &'static str) -> DaemonDouble {
    DaemonDouble::start(move |seen| match seen.path() {
        "/_ping" => Reply::ping(version),
        "/containers/create" => Reply::json(201, &json!({ "Id": "a1", "Warnings": [] })),
        _ => Reply::json(200, &json!({})),
    })
}

fn targets(double: &DaemonDouble) -> Vec<String> {
    double.seen().into_iter().map(|seen: Seen| seen.target).collect()
}

#[tokio::test]
async fn the_older_side_decides_and_is_asked_once() {
    for (version, prefix) in [
        ("1.41", "/v1.41"),
        ("1.45", "/v1.45"),
        ("1.51", "/v1.51"),
        ("1.99", "/v1.51"),
    ] {
        let double = daemon(version);
        let engine = at(&double.endpoint());
        let web = ContainerRef::parse("web").unwrap();
        engine.container_inspect(&web).await.unwrap();
        engine.container_start(&web).await.unwrap();
        // This one is written by bollard.
        engine.container_create(NewContainer::default()).await.unwrap();
        assert_eq!(
            targets(&double),
            [
                "/_ping".to_owned(),
                format!("{prefix}/containers/web/json"),
                format!("{prefix}/containers/web/start"),
                format!("{prefix}/containers/create?platform="),
            ]
        );
        assert_eq!(format!("/v{}", engine.api_version().await.unwrap()), prefix);
    }
}

#[tokio::test]
async fn a_fixed_version_is_not_negotiated() {
    let double = daemon("1.99");
    let version = ApiVersion::Fixed("1.44".parse().unwrap());
    let engine = Engine::open(Options {
        api_version: version,
        ..options(&double.endpoint())
    })
    .unwrap();
    engine.raw(Request::get(path!["info"])).await.unwrap();
    assert_eq!(targets(&double), ["/v1.44/info"]);
}

#[tokio::test]
async fn calls_at_once_negotiate_once() {
    let double = daemon("1.45");
    let engine = at(&double.endpoint());
    let calls = (0..16).map(|_| engine.raw(Request::get(path!["info"])));
    for answer in futures_util::future::join_all(calls).await {
        answer.unwrap();
    }
    let pings = targets(&double)
        .iter()
        .filter(|target| *target == "/_ping")
        .count();
    assert_eq!(pings, 1);
}

#[tokio::test]
async fn daemons_that_can_not_be_spoken_with() {
    let check = async |double: DaemonDouble, expected: &str| {
        let error = at(&double.endpoint())
            .container_list(&ContainerQuery::default())
            .await
            .unwrap_err();
        assert!(
            !error.may_have_happened() || matches!(error, Error::Protocol { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
        assert!(targets(&double).iter().all(|target| target == "/_ping"));
    };
    check(daemon("1.24"), "speaks API 1.24 and 1.41 or newer is needed").await;
    check(daemon("banana"), "is not a version of the Engine API").await;
    let web_server = DaemonDouble::start(|_| Reply::Full {
        status: 404,
        headers: vec![],
        body: "no".into(),
    });
    check(web_server, "is this a Docker Engine?").await;
}

#[tokio::test]
async fn another_daemon_at_the_same_place_is_asked_again() {
    // After a downgrade the daemon refuses what was negotiated before.
    let pings = AtomicUsize::new(0);
    let double = DaemonDouble::start(move |seen| match seen.target.as_str() {
        "/_ping" if pings.fetch_add(1, Ordering::SeqCst) == 0 => Reply::ping("1.45"),
        "/_ping" => Reply::ping("1.41"),
        "/v1.45/info" => Reply::error(
            400,
            "client version 1.45 is too new. Maximum supported API version is 1.41",
        ),
        _ => Reply::json(200, &json!({})),
    });
    let engine = at(&double.endpoint());
    let error = engine.raw(Request::get(path!["info"])).await.unwrap_err();
    assert!(matches!(error, Error::Daemon { status: 400, .. }), "{error}");
    engine.raw(Request::get(path!["info"])).await.unwrap();
    assert_eq!(
        targets(&double),
        ["/_ping", "/v1.45/info", "/_ping", "/v1.41/info"]
    );
}

#[tokio::test]
async fn real_engines_agree() {
    for daemon in all_engines() {
        let (major, minor) = daemon.api_version().await;
        let spoken = at(&daemon.endpoint()).api_version().await.unwrap();
        let expected = (major, minor).min((1, 51));
        assert_eq!(
            (u32::from(spoken.major), u32::from(spoken.minor)),
            expected,
            "{}",
            daemon.endpoint()
        );
    }
}
