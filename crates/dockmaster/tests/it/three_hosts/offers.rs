//! Resources, prompts and completion of other hosts.

use serde_json::{Value, json};

use super::Far;

#[tokio::test(flavor = "multi_thread")]
async fn on_hosts_resources_prompts_and_completion_are_those_of_the_host() {
    let Some(far) = Far::new("", "", "") else { return };
    let client = far.gateway().await;
    // One that is behind another.
    let scope = far.scope("three", "offers");
    let id = scope
        .run(
            "web",
            &["sh", "-c", "while :; do echo hello from three; sleep 0.2; done"],
        )
        .await;
    let name = scope.name("web");
    let uri = format!("docker://three/containers/{name}/logs");
    testkit::eventually("the log", async || {
        let read = client
            .request("resources/read", json!({ "uri": uri }))
            .await
            .unwrap();
        read["contents"][0]["text"]
            .as_str()
            .unwrap()
            .contains("hello from three")
            .then_some(())
    })
    .await;
    // It is that host's and no other's.
    for other in ["docker://", "docker://two/"] {
        let uri = format!("{other}containers/{name}/logs");
        let error = client
            .request("resources/read", json!({ "uri": uri }))
            .await
            .unwrap_err();
        assert!(error.message.contains("no container is called"), "{error}");
    }
    client
        .request("resources/subscribe", json!({ "uri": uri }))
        .await
        .unwrap();
    testkit::eventually("news", async || {
        let news = client.notifications("notifications/resources/updated");
        news.iter()
            .any(|params: &Value| params["uri"] == uri)
            .then_some(())
    })
    .await;
    let arguments =
        json!({ "name": "triage_container", "arguments": { "container": name, "host": "three" } });
    let prompt = client
        .request("prompts/get", arguments)
        .await
        .unwrap()
        .to_string();
    assert!(
        prompt.contains("on the host three") && prompt.contains("hello from three"),
        "{prompt}"
    );
    let complete = async |host: &str| {
        let template = json!({ "type": "ref/resource", "uri": "docker://{host}/containers/{name}/logs" });
        let params = json!({
            "ref": template,
            "argument": { "name": "name", "value": name },
            "context": { "arguments": { "host": host } },
        });
        let answer = client.request("completion/complete", params).await.unwrap();
        answer["completion"]["values"].clone()
    };
    assert_eq!(complete("three").await, json!([name]));
    assert_eq!(complete("two").await, json!([]));
    // What was asked stands in the audit, with its host.
    let audit = far.dockmaster.audit();
    let read = audit.iter().find(|row| row["tool"] == "resources.read").unwrap();
    assert!(
        read["arguments"].to_string().contains("docker://three/"),
        "{read}"
    );

    // A link that breaks ends no subscription.
    let count = || {
        let news = client.notifications("notifications/resources/updated");
        news.iter().filter(|params: &&Value| params["uri"] == uri).count()
    };
    far.run(&["signal", "three", "dockerd", "KILL"]);
    far.run(&["start", "three", "dockerd"]);
    super::recovers(
        &client,
        "start_container",
        &json!({"host": "three", "container": id}),
        &["on host three"],
    )
    .await;
    let before = count();
    testkit::eventually("news after the daemon came back", async || {
        (count() > before + 1).then_some(())
    })
    .await;
    client.close().await;
    scope.finish().await;
}
