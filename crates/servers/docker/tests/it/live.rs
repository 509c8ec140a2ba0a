//! What comes by itself: progress, and news of watched resources.

use crate::here::{Setup, server};
use serde_json::{Value, json};
use testkit::Scope;

#[tokio::test]
async fn waiting_reports_progress() {
    let scope = Scope::new("progress");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let answer = server
        .with_progress("wait_container", json!({ "container": id, "timeout": "2500ms" }))
        .await
        .failure();
    assert!(answer.starts_with("timeout: "), "{answer}");
    let reports = server.client.notifications("notifications/progress");
    let done: Vec<f64> = reports
        .iter()
        .filter_map(|report| report["progress"].as_f64())
        .collect();
    assert!(done.len() >= 2 && done.is_sorted_by(|a, b| a < b), "{reports:?}");
    assert!(
        reports
            .iter()
            .all(|report| report["progressToken"] == "p" && report["message"].is_string())
    );
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn resources_are_read() {
    let scope = Scope::new("resources");
    let id = scope
        .run("web", &["sh", "-c", "echo hello resource; sleep 600"])
        .await;
    let server = server().await;
    let templates = server
        .client
        .request("resources/templates/list", json!({}))
        .await
        .unwrap();
    assert_eq!(templates["resourceTemplates"].as_array().map(Vec::len), Some(2));
    let list = server.client.request("resources/list", json!({})).await.unwrap();
    assert_eq!(list["resources"][0]["uri"], "docker://events");
    for (uri, part) in [
        (format!("docker://containers/{id}/logs"), "hello resource"),
        (format!("docker://containers/{id}/stats"), "iB of "),
        ("docker://events".to_owned(), "start"),
    ] {
        let text = testkit::eventually(part, async || {
            let read = server
                .client
                .request("resources/read", json!({ "uri": uri }))
                .await
                .unwrap();
            let text = read["contents"][0]["text"].as_str().unwrap().to_owned();
            text.contains(part).then_some(text)
        })
        .await;
        assert!(text.len() <= 32_000, "{uri}");
    }
    for uri in [
        "docker://containers/no-such-container/logs",
        "docker://else",
        "file:///etc/passwd",
    ] {
        let error = server
            .client
            .request("resources/read", json!({ "uri": uri }))
            .await
            .unwrap_err();
        assert_eq!(error.code, -32002, "{uri}: {error}");
    }
    server.end().await;
    scope.finish().await;
}

/// How often the client was told of this resource.
fn told(server: &crate::here::Server, uri: &str) -> usize {
    let news = server.client.notifications("notifications/resources/updated");
    news.iter().filter(|params: &&Value| params["uri"] == uri).count()
}

#[tokio::test]
async fn subscribers_are_told_but_not_flooded() {
    let scope = Scope::new("subscribe");
    let id = scope
        .run("web", &["sh", "-c", "while :; do echo again; sleep 0.05; done"])
        .await;
    let server = server().await;
    let logs = format!("docker://containers/{id}/logs");
    let stats = format!("docker://containers/{id}/stats");
    for uri in [logs.as_str(), &stats, "docker://events"] {
        server
            .client
            .request("resources/subscribe", json!({ "uri": uri }))
            .await
            .unwrap();
    }
    let began = std::time::Instant::now();
    testkit::eventually("three pieces of news", async || {
        (told(&server, &logs) >= 3).then_some(())
    })
    .await;
    let most = 2 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(
        told(&server, &logs) <= most,
        "{} in {:?}",
        told(&server, &logs),
        began.elapsed()
    );
    testkit::eventually("figures", async || (told(&server, &stats) >= 1).then_some(())).await;
    scope.run("other", &["true"]).await;
    testkit::eventually("an event", async || {
        (told(&server, "docker://events") >= 1).then_some(())
    })
    .await;
    server
        .client
        .request("resources/unsubscribe", json!({ "uri": logs }))
        .await
        .unwrap();
    let error = server
        .client
        .request(
            "resources/subscribe",
            json!({ "uri": "docker://containers/no-such-container/logs" }),
        )
        .await
        .unwrap_err();
    assert!(
        error.message.contains("no container is called"),
        "{}",
        error.message
    );
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn the_modern_eras_subscription() {
    let scope = Scope::new("listen");
    let id = scope
        .run("web", &["sh", "-c", "while :; do echo again; sleep 0.2; done"])
        .await;
    let server = Setup::default().join();
    server.client.modern("2026-07-28", &json!({}));
    server.client.request("server/discover", json!({})).await.unwrap();
    let uri = format!("docker://containers/{id}/logs");
    let filter = json!({ "notifications": { "resourceSubscriptions": [uri, "docker://nothing"] } });
    let listening = server.client.start("subscriptions/listen", filter).await;
    let accepted = server
        .client
        .notification("notifications/subscriptions/acknowledged")
        .await;
    assert_eq!(accepted["notifications"]["resourceSubscriptions"], json!([uri]));
    testkit::eventually("news", async || (told(&server, &uri) >= 2).then_some(())).await;
    assert!(listening.is_open());
    server.end().await;
    scope.finish().await;
}
