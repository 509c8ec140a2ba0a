//! A real daemon that goes away, comes back, and hangs.

use crate::here::options;
use engine::ops::containers::ContainerQuery;
use engine::{Engine, Error, Filters, Options};
use futures_util::StreamExt;
use std::pin::pin;
use std::time::{Duration, Instant};
use testkit::OwnEngine;

/// The daemon of this test and a client of it with this time limit; `None`, with a word why, where none can be had.
async fn own(timeout: Duration) -> Option<(OwnEngine, Engine)> {
    match OwnEngine::start().await {
        Ok(daemon) => {
            let engine = Engine::open(Options {
                timeout,
                ..options(&daemon.endpoint())
            });
            Some((daemon, engine.unwrap()))
        }
        Err(why) => {
            eprintln!("not tried on a daemon of its own: {why}");
            None
        }
    }
}

async fn list(engine: &Engine) -> Result<usize, Error> {
    let query = ContainerQuery {
        all: true,
        ..ContainerQuery::default()
    };
    engine.container_list(&query).await.map(|list| list.len())
}

#[tokio::test]
async fn a_daemon_that_was_restarted_is_found_again() {
    let Some((mut daemon, engine)) = own(Duration::from_secs(20)).await else {
        return;
    };
    for crash in [false, true] {
        assert_eq!(list(&engine).await.unwrap(), 0);
        let mut events = pin!(
            engine
                .system_events(&engine::ops::system::EventQuery::default())
                .await
                .unwrap()
        );
        if crash {
            daemon.kill().await;
        } else {
            daemon.stop().await;
        }

        // What was under way ends, with an error or with the stream, and does not wait for ever.
        let end = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
        let end = end.expect("a stream from a daemon that has gone ends");
        assert!(!matches!(end, Some(Ok(_))), "{end:?}");

        let start = Instant::now();
        let error = list(&engine).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

        // The same handle, which has an old connection in its pool.
        daemon.launch().await;
        assert_eq!(list(&engine).await.unwrap(), 0);
        let name = base::names::VolumeName::parse(if crash { "two" } else { "one" }).unwrap();
        let volume = engine::models::VolumeCreateRequest {
            name: Some(name.to_string()),
            ..engine::models::VolumeCreateRequest::default()
        };
        engine.volume_create(&volume).await.unwrap();
    }
    let volumes = engine.volume_list(&Filters::new()).await.unwrap();
    assert_eq!(volumes.len(), 2, "{volumes:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_that_hangs_costs_its_time_limit_and_recovers() {
    let Some((mut daemon, engine)) = own(Duration::from_secs(2)).await else {
        return;
    };
    assert_eq!(list(&engine).await.unwrap(), 0);
    daemon.freeze().await;
    let start = Instant::now();
    let calls = (0..8).map(|_| list(&engine));
    for answer in futures_util::future::join_all(calls).await {
        let error = answer.unwrap_err();
        assert!(
            matches!(error, Error::Timeout { .. }) && !error.may_have_happened(),
            "{error}"
        );
    }
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(1900)..Duration::from_secs(6)).contains(&took),
        "{took:?}"
    );
    daemon.thaw().await;
    assert_eq!(list(&engine).await.unwrap(), 0);
    daemon.stop().await;
}
