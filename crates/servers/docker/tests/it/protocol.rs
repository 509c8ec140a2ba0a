//! The MCP side: the session, the lists, both eras.

use crate::here::{Setup, server};
use docker_server::{DockerServer, Toolset, describe, reference};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use server_kit::Service as _;

#[tokio::test]
async fn a_session_of_the_elder_era() {
    let server = Setup {
        toolset: Toolset::Standard,
        ..Setup::default()
    }
    .join();
    let answer = server.client.initialize("2025-11-25").await;
    assert_eq!(answer["protocolVersion"], "2025-11-25");
    assert_eq!(answer["serverInfo"]["name"], "docker");
    for capability in ["tools", "resources", "prompts", "completions"] {
        assert!(
            answer["capabilities"][capability].is_object(),
            "{capability}: {answer}"
        );
    }
    assert_eq!(answer["capabilities"]["resources"]["subscribe"], true);
    assert!(
        answer["instructions"]
            .as_str()
            .is_some_and(|text| text.len() < 600)
    );
    server.end().await;
}

#[tokio::test]
async fn the_modern_era() {
    let server = Setup::default().join();
    server.client.modern("2026-07-28", &json!({}));
    let discovered = server.client.request("server/discover", json!({})).await.unwrap();
    assert!(
        discovered["supportedVersions"].to_string().contains("2026-07-28"),
        "{discovered}"
    );
    let list = server.client.request("tools/list", json!({})).await.unwrap();
    assert!(
        list["ttlMs"].as_u64().is_some_and(|ttl| ttl > 0),
        "{}",
        list["ttlMs"]
    );
    assert!(
        server
            .client
            .call("list_containers", json!({ "all": true }))
            .await
            .ok()
            .text()
            .len()
            > 1
    );
    server.end().await;
}

#[tokio::test]
async fn a_host_in_the_same_process_gets_the_same_answers_without_a_stream() {
    let server = Setup::default().join();
    server.client.modern("2026-07-28", &json!({}));
    let within = DockerServer::new(Setup::default().options());
    for params in [
        json!({"name": "version", "arguments": {}}),
        json!({"name": "version"}),
        json!({"name": "version", "arguments": null}),
        json!({"name": "version", "_meta": {"a": 1}, "task": {}}),
        json!({"name": "inspect_container", "arguments": {"container": "no such\tthing"}}),
        json!({"name": "inspect_container", "arguments": {"container": 7}}),
        json!({"name": "inspect_container", "arguments": {"container": "a", "odd": "ü"}}),
        json!({"name": "docker_inspect", "arguments": {"container": "nosuchcontainer"}}),
        json!({"name": "inspect_contaner", "arguments": {}}),
    ] {
        let streamed = async || match server.client.request("tools/call", params.clone()).await {
            Ok(result) => Ok(result),
            Err(error) => Err((error.code, error.message)),
        };
        let before = streamed().await;
        let answer = within.answer(&to_raw_value(&params).unwrap()).await;
        let parse = |raw: &serde_json::value::RawValue| serde_json::from_str::<Value>(raw.get()).unwrap();
        let without = match answer {
            Ok(result) => Ok(parse(&result)),
            Err(error) => {
                let error = parse(&error);
                let message = error["message"].as_str().unwrap().to_owned();
                Err((error["code"].as_i64().unwrap(), message))
            }
        };
        // What the engine tells, such as the number of its containers, may have changed in between.
        if without != before {
            assert_eq!(without, streamed().await, "{params}");
        }
    }
    for params in [
        "{}",
        r#"{"name":7}"#,
        "[]",
        r#"{"name":"version","arguments":[]}"#,
    ] {
        let params = serde_json::value::RawValue::from_string(params.to_owned()).unwrap();
        let error = within.answer(&params).await.unwrap_err();
        assert!(error.get().contains("-32602"), "{error}");
    }
    server.end().await;
}

#[tokio::test]
async fn lists_fit_their_budget_on_the_wire() {
    for (toolset, count, tokens) in [(Toolset::Standard, 31, 3_200), (Toolset::Compact, 5, 1_300)] {
        let server = Setup {
            toolset,
            ..Setup::default()
        }
        .start()
        .await;
        let list = server.client.request("tools/list", json!({})).await.unwrap();
        let counted = base::text::tokens(list.to_string().len());
        assert_eq!(list["tools"].as_array().map(Vec::len), Some(count), "{toolset}");
        assert!(counted <= tokens, "{toolset}: {counted} tokens");
        server.end().await;
    }
}

#[tokio::test]
async fn the_list_is_the_same_every_time() {
    let server = server().await;
    let first = server.client.request("tools/list", json!({})).await.unwrap();
    let second = server.client.request("tools/list", json!({})).await.unwrap();
    assert_eq!(first.to_string(), second.to_string());
    server.end().await;
}

#[tokio::test]
async fn every_listed_tool_is_known_to_who_decides() {
    let server = server().await;
    for tool in server.client.tools().await {
        let name = tool["name"].as_str().unwrap().to_owned();
        assert_eq!(describe::canonical(&name).as_ref(), Some(&name));
        let read_only = tool["annotations"]["readOnlyHint"] == true;
        let worst = describe::effect(&name, &json!("no arguments at all"));
        assert_eq!(read_only, worst == policy::Effect::Read, "{name}");
        assert!(
            reference().contains(&format!("### {name}\n")),
            "{name} is not in the reference"
        );
    }
    server.end().await;
}

#[tokio::test]
async fn requests_that_reach_no_tool() {
    let server = server().await;
    let error = server
        .client
        .try_call("list_contianers", json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.code, -32602);
    assert!(
        error.message.contains("did you mean list_containers?"),
        "{}",
        error.message
    );
    let error = server
        .client
        .request("nonsense/method", json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.code, -32601);
    server.end().await;
}

#[tokio::test]
async fn what_is_no_json_harms_nobody() {
    let server = server().await;
    for line in [
        "{",
        "[]",
        "nonsense",
        r#"{"jsonrpc":"2.0","id":null}"#,
        r#"{"jsonrpc":"2.0","method":5,"id":99}"#,
    ] {
        server.client.send_line(line).await;
    }
    assert!(server.ok("list_containers", json!({})).await.len() > 1);
    server.end().await;
}

#[tokio::test]
async fn a_stream_that_ends_at_once_is_no_error() {
    Setup::default().join().end().await;
}

#[tokio::test]
async fn slow_calls_delay_no_others() {
    let scope = testkit::Scope::new("overlap");
    let id = scope.run("slow", &["sleep", "600"]).await;
    let server = server().await;
    let slow = server.client.start(
        "tools/call",
        json!({ "name": "wait_container", "arguments": { "container": id } }),
    );
    let slow = slow.await;
    assert!(
        server
            .ok("list_containers", json!({}))
            .await
            .contains(&scope.name("slow"))
    );
    assert!(slow.is_open());
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn sixty_four_calls_at_once() {
    let scope = testkit::Scope::new("many-calls");
    let id = scope.run("web", &["sleep", "600"]).await;
    let server = server().await;
    let calls = (0..64).map(|n| {
        let tool = if n % 2 == 0 {
            "inspect_container"
        } else {
            "monitor_container_logs"
        };
        server.client.call(tool, json!({ "container": id }))
    });
    for answer in futures_util::future::join_all(calls).await {
        answer.ok();
    }
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn prompts_fit_the_toolset() {
    let scope = testkit::Scope::new("prompts");
    let id = scope
        .run("web", &["sh", "-c", "echo i am not well >&2; exit 3"])
        .await;
    for (toolset, tool) in [
        (Toolset::Full, "plan_containers"),
        (Toolset::Standard, "create_container"),
        (Toolset::Compact, "run-container"),
    ] {
        let server = Setup {
            toolset,
            ..Setup::default()
        }
        .start()
        .await;
        let prompt = |name: &str, arguments: Value| {
            server
                .client
                .request("prompts/get", json!({ "name": name, "arguments": arguments }))
        };
        let deploy = prompt(
            "deploy_containers",
            json!({ "project": "shop", "goal": "a web shop" }),
        )
        .await
        .unwrap();
        let deploy = deploy["messages"][0]["content"]["text"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(deploy.contains(tool) && deploy.contains("a web shop"), "{deploy}");
        let triage = prompt("triage_container", json!({ "container": id }))
            .await
            .unwrap();
        let triage = triage["messages"][0]["content"]["text"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            triage.contains("i am not well") && triage.contains("untrusted"),
            "{triage}"
        );
        let error = prompt("deploy_containers", json!({ "project": "shop" }))
            .await
            .unwrap_err();
        assert!(error.message.contains("goal"), "{}", error.message);
        server.end().await;
    }
    scope.finish().await;
}

#[tokio::test]
async fn names_are_completed() {
    let scope = testkit::Scope::new("completion");
    let name = scope.name("findme");
    scope.run("findme", &["sleep", "600"]).await;
    let server = server().await;
    for reference in [
        json!({ "type": "ref/resource", "uri": "docker://containers/{name}/logs" }),
        json!({ "type": "ref/prompt", "name": "triage_container" }),
    ] {
        let argument = if reference["type"] == "ref/prompt" {
            "container"
        } else {
            "name"
        };
        let params =
            json!({ "ref": reference, "argument": { "name": argument, "value": &name[..name.len() - 3] } });
        let answer = server
            .client
            .request("completion/complete", params)
            .await
            .unwrap();
        assert_eq!(answer["completion"]["values"], json!([name]));
    }
    server.end().await;
    scope.finish().await;
}
