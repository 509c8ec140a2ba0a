//! Tools on the engine as a whole, on the real one.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use crate::here::{Server, server};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::{Scope, image};

#[tokio::test]
async fn the_engine_in_few_words() {
    image().await;
    let server = server().await;
    let info = server.ok("get_docker_info", json!({})).await;
    for key in ["engine: ", "host: ", "resources: ", "containers: ", "storage: "] {
        assert!(info.contains(key), "{info}");
    }
    assert!(base::text::tokens(info.len()) <= 400, "{info}");
    let field = server
        .ok("get_docker_info", json!({ "fields": ["OSType"] }))
        .await;
    assert_eq!(field, "OSType: linux");
    assert!(
        server
            .ok("get_docker_info", json!({ "full": true }))
            .await
            .starts_with('{')
    );
    assert!(
        server
            .ok("get_docker_version", json!({}))
            .await
            .contains("\napi: 1.")
    );
    assert!(
        server
            .ok("ping_engine", json!({}))
            .await
            .contains(" answered in ")
    );
    let df = server.ok("get_system_df", json!({})).await;
    assert!(
        df.starts_with("kind\tcount\tin use\tsize\tcan be freed\nimages\t"),
        "{df}"
    );
    let details = server.ok("get_system_df", json!({ "details": true })).await;
    assert!(details.contains("shared, "), "{details}");
    server.end().await;
}

#[tokio::test]
async fn events_of_the_past_and_to_come() {
    let (scope, server) = (Scope::new("system-events"), server().await);
    let filters = json!({ "label": scope.label(), "event": ["create", "start", "die"] });
    let nothing = server
        .ok("get_events", json!({ "filters": filters, "since": "5s" }))
        .await;
    assert_eq!(nothing, "no event in this time");

    // Waiting ends with the first event that was waited for, long before its time.
    let begun = Instant::now();
    let wait = json!({ "filters": filters, "wait": "60s", "limit": 1 });
    let params = json!({ "name": "get_events", "arguments": wait });
    let pending = server.client.start("tools/call", params).await;
    scope.run("one", &["sh", "-c", "exit 3"]).await;
    let answer = pending.answer().await.unwrap();
    let text = answer["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("\tcontainer\tcreate\t{}", scope.name("one"))),
        "{text}"
    );
    assert!(begun.elapsed() < Duration::from_secs(50));

    server
        .ok("wait_container", json!({ "container": scope.name("one") }))
        .await;
    let past = server
        .ok("get_events", json!({ "filters": filters, "since": "60s" }))
        .await;
    let events: Vec<&str> = past
        .lines()
        .filter(|line| line.contains(&scope.name("one")))
        .collect();
    assert_eq!(events.len(), 3, "{past}");
    assert!(
        events[2].contains("\tdie\t") && events[2].contains("exitCode=3"),
        "{past}"
    );
    let limited = server
        .ok(
            "get_events",
            json!({ "filters": filters, "since": "60s", "limit": 2 }),
        )
        .await;
    assert!(limited.ends_with("[there are more; limit is 2]"), "{limited}");
    let wrong = server
        .fails("get_events", json!({ "since": "1m", "until": "2m" }))
        .await;
    assert!(
        wrong.starts_with("invalid_arguments: until is not after since"),
        "{wrong}"
    );
    scope.finish().await;
    server.end().await;
}

/// Looks, removes what was shown, and looks again.
async fn check_prune(server: &Server, tool: &str, more: &Value, scope: &Scope, expected: &[String]) {
    let arguments = |last: Value| {
        let mut arguments = json!({ "filters": { "label": scope.label() } });
        for (key, value) in more.as_object().into_iter().chain(last.as_object()).flatten() {
            arguments[key] = value.clone();
        }
        arguments
    };
    let shown = server.ok(tool, arguments(json!({}))).await;
    for name in expected {
        assert!(shown.contains(name), "{tool}: {name} is not in {shown}");
    }
    assert_eq!(shown.lines().count(), expected.len() + 2, "{tool}: {shown}");
    let plan = shown
        .split("plan=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();

    let stale = server
        .fails(tool, arguments(json!({ "dry_run": false, "plan": "plan-0" })))
        .await;
    assert!(stale.starts_with("stale: "), "{tool}: {stale}");
    let reported = server.client.notifications("notifications/progress").len();
    let removed = server
        .with_progress(tool, arguments(json!({ "dry_run": false, "plan": plan })))
        .await
        .ok()
        .text();
    assert!(server.client.notifications("notifications/progress").len() > reported);
    assert!(removed.starts_with("removed; "), "{tool}: {removed}");
    for name in expected {
        assert!(removed.contains(name), "{tool}: {name} is not in {removed}");
    }
    assert_eq!(
        server.ok(tool, arguments(json!({}))).await,
        "nothing to remove",
        "{tool}"
    );
}

#[tokio::test]
async fn prunes_show_first_and_remove_what_they_showed() {
    let (scope, server) = (Scope::new("system-prune"), server().await);
    scope.network("idle").await;
    check_prune(
        &server,
        "prune_networks",
        &json!({}),
        &scope,
        &[scope.name("idle")],
    )
    .await;

    let (kept, idle) = (scope.volume("kept").await, scope.volume("idle").await);
    scope
        .create(
            "holder",
            json!({ "HostConfig": { "Binds": [format!("{kept}:/data")] } }),
        )
        .await;
    assert_eq!(
        server
            .ok("prune_volumes", json!({ "filters": { "label": scope.label() } }))
            .await,
        "nothing to remove",
        "named volumes only with all=true"
    );
    check_prune(&server, "prune_volumes", &json!({ "all": true }), &scope, &[idle]).await;

    let id = scope.create("source", json!({ "Cmd": ["true"] })).await;
    let image = scope.image("idle");
    let commit = format!(
        "/commit?container={id}&repo={}&tag=1",
        image.trim_end_matches(":1")
    );
    scope
        .daemon()
        .post(&commit, &json!({ "Labels": scope.labels() }))
        .await
        .ok();
    check_prune(
        &server,
        "prune_images",
        &json!({ "all": true }),
        &scope,
        std::slice::from_ref(&image),
    )
    .await;

    scope.network("last").await;
    let expected = [scope.name("last"), scope.name("holder"), scope.name("source")];
    check_prune(&server, "prune_system", &json!({}), &scope, &expected).await;
    scope.finish().await;
    server.end().await;
}

#[tokio::test]
async fn a_prune_does_not_ignore_what_it_does_not_know() {
    let server = server().await;
    for (tool, arguments, expected) in [
        (
            "prune_images",
            json!({ "filters": { "label!": "keep" } }),
            "invalid_arguments: there is no filter \"label!\" here",
        ),
        (
            "prune_system",
            json!({ "filters": { "until": "soon" } }),
            "invalid_arguments: filter until: ",
        ),
        (
            "prune_volumes",
            json!({ "force": true }),
            "invalid_arguments: unknown parameter \"force\"",
        ),
        (
            "prune_builds",
            json!({ "dry_run": "no" }),
            "invalid_arguments: parameter dry_run: ",
        ),
    ] {
        let error = server.fails(tool, arguments.clone()).await;
        assert!(error.starts_with(expected), "{tool} {arguments}: {error}");
    }
    // Nothing is that old.
    let ancient = json!({ "filters": { "until": "1971-01-01" }, "all": true });
    assert_eq!(server.ok("prune_builds", ancient).await, "nothing to remove");
    server.end().await;
}
