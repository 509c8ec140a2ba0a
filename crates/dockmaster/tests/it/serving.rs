//! What holds over either transport: revisions, confirmation, permissions, the audit, errors, many calls at once.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::{DaemonDouble, McpClient, OwnEngine, Reply, Scope, eventually};

use crate::harness::Dockmaster;
use crate::web::Web;

const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const MODERN: &str = "2026-07-28";
const ELICITATION: &str = "2025-11-25";

/// The transports, each with a gateway of its own behind it.
async fn both(toml: &str) -> (Dockmaster, McpClient, Web) {
    let stdio = Dockmaster::new().configured(toml);
    let client = stdio.client(&[]);
    let web = Web::start(Dockmaster::new().configured(toml), &[]).await;
    (stdio, client, web)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_is_served() {
    for version in LEGACY {
        let (_stdio, client, web) = both("").await;
        for client in [client, web.client()] {
            let answer = client.initialize(version).await;
            assert_eq!(answer["protocolVersion"], version);
            assert_eq!(answer["serverInfo"]["name"], "dockmaster");
            works(&client).await;
        }
    }
    let (_stdio, client, web) = both("").await;
    for client in [client, web.client()] {
        client.modern(MODERN, &json!({}));
        let answer = client.request("server/discover", json!({})).await.unwrap();
        let versions = answer["supportedVersions"].as_array().unwrap();
        assert!(versions.contains(&json!(MODERN)), "{answer}");
        works(&client).await;
    }
}

/// Lists and calls.
async fn works(client: &McpClient) {
    let tools = client.tools().await;
    assert!(
        tools.iter().any(|tool| tool["name"] == "list_containers"),
        "{tools:?}"
    );
    client.call("list_containers", json!({})).await.ok();
    let unknown = client.try_call("no_such_tool", json!({})).await.unwrap_err();
    assert_eq!(unknown.code, -32602, "{unknown}");
}

/// A container that a test removes through the gateway.
async fn container(scope: &Scope) -> String {
    testkit::image().await;
    scope.create("doomed", json!({"Cmd": ["sleep", "60"]})).await;
    scope.name("doomed")
}

/// Answers every question with this, and keeps the questions.
fn answer_with(client: &McpClient, answer: Value) -> Arc<Mutex<Vec<Value>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let questions = Arc::clone(&asked);
    client.respond(move |method, params| {
        if method != "elicitation/create" {
            return None;
        }
        questions.lock().unwrap().push(params.clone());
        Some(answer.clone())
    });
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_confirms_what_destroys() {
    for (answer, removed, decision) in [
        (
            json!({"action": "accept", "content": {"confirm": true}}),
            true,
            "confirmed",
        ),
        (
            json!({"action": "accept", "content": {"confirm": false}}),
            false,
            "declined",
        ),
        (json!({"action": "decline"}), false, "declined"),
        (json!({"action": "cancel"}), false, "unanswered"),
        (json!({"nonsense": true}), false, "unanswered"),
    ] {
        let scope = Scope::new("confirm");
        let name = container(&scope).await;
        let dockmaster = Dockmaster::new();
        let client = dockmaster.client(&[]);
        client
            .initialize_with(ELICITATION, json!({"elicitation": {"form": {}}}))
            .await;
        let asked = answer_with(&client, answer.clone());
        let result = client.call("remove_container", json!({"container": name})).await;
        assert_eq!(result.is_error(), !removed, "{answer}: {}", result.text());
        let question = asked.lock().unwrap()[0]["message"].as_str().unwrap().to_owned();
        assert!(
            question.contains(&name) && question.contains("testkit 1"),
            "{question}"
        );
        assert_eq!(
            scope
                .daemon()
                .get(&format!("/containers/{name}/json"))
                .await
                .status
                == 404,
            removed
        );
        assert!(client.close().await.success());
        let row = dockmaster.audit().pop().unwrap();
        assert_eq!(
            (&row["tool"], &row["decision"]),
            (&json!("remove_container"), &json!(decision)),
            "{row}"
        );
        scope.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_can_ask_nobody_is_refused() {
    let scope = Scope::new("unable");
    let name = container(&scope).await;
    for toml in ["", "[policy]\nwhen_unable = 'allow'\n"] {
        let dockmaster = Dockmaster::new().configured(toml);
        let client = dockmaster.client(&[]);
        client.initialize(ELICITATION).await;
        let result = client.call("remove_container", json!({"container": name})).await;
        if toml.is_empty() {
            let refusal = result.failure();
            assert!(refusal.contains("when_unable = \"allow\""), "{refusal}");
        } else {
            result.ok();
            client.close().await;
            assert_eq!(dockmaster.audit()[0]["decision"], "unable to ask, allowed");
        }
    }
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_modern_era_confirms_by_a_retry() {
    let scope = Scope::new("retry");
    let name = container(&scope).await;
    let (_stdio, client, web) = both("").await;
    for (client, confirm) in [(client, false), (web.client(), true)] {
        client.modern(MODERN, &json!({"elicitation": {"form": {}}}));
        let call = json!({"name": "remove_container", "arguments": {"container": name}});
        let asked = client.request("tools/call", call.clone()).await.unwrap();
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        let key = asked["inputRequests"]
            .as_object()
            .unwrap()
            .keys()
            .next()
            .unwrap()
            .clone();
        let mut retry = call;
        retry["requestState"] = asked["requestState"].clone();
        retry["inputResponses"] = json!({key: {"action": "accept", "content": {"confirm": confirm}}});
        let result = client.request("tools/call", retry).await.unwrap();
        assert_eq!(result["isError"] == true, !confirm, "{result}");
        let gone = scope
            .daemon()
            .get(&format!("/containers/{name}/json"))
            .await
            .status
            == 404;
        assert_eq!(gone, confirm);
    }
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_hold_at_the_call_whatever_is_listed() {
    let toml =
        "[policy]\npreset = 'read-only'\nallow = ['docker/create_volume']\ndeny = ['docker/list_images']\n";
    let (stdio, client, web) = both(toml).await;
    for client in [&client, &web.client()] {
        client.initialize(ELICITATION).await;
        let tools = client.tools().await;
        let listed = |name: &str| tools.iter().any(|tool| tool["name"] == name);
        assert!(listed("list_containers") && listed("create_volume"));
        assert!(!listed("list_images") && !listed("create_container"));
        for (tool, line) in [
            ("list_images", "deny = []"),
            (
                "create_network",
                "allow = [\"docker/create_volume\", \"docker/create_network\"]",
            ),
            // Aliases and unlisted names lead to the same tool, and to the same decision.
            ("container_create", "\"docker/create_container\""),
            ("docker_exec_command", "\"docker/execute_command_in_container\""),
        ] {
            let refusal = client.call(tool, json!({})).await.failure();
            assert!(refusal.contains(line), "{tool}: {refusal}");
        }
    }
    client.close().await;
    let decisions: Vec<_> = stdio.audit().iter().map(|row| row["decision"].clone()).collect();
    assert_eq!(decisions, ["deny"; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_names_the_file_and_the_line() {
    let dockmaster = Dockmaster::new();
    let client = dockmaster.client(&[]);
    client.initialize(ELICITATION).await;
    let image = testkit::image().await;
    let config = dockmaster.folder();
    for (arguments, wanted) in [
        (json!({"image": image, "privileged": true}), "privileged = true"),
        (
            json!({"image": image, "volumes": ["/etc:/host"]}),
            "[hosts.local.guard]",
        ),
        (
            json!({"image": image, "volumes": [format!("{}:/dm", config.display())]}),
            "refused",
        ),
    ] {
        let refusal = client.call("create_container", arguments.clone()).await.failure();
        assert!(refusal.contains(wanted), "{arguments}: {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_written_down() {
    let scope = Scope::new("secrets");
    let image = testkit::image().await;
    let dockmaster = Dockmaster::new();
    let token = "a-token-that-nobody-guesses";
    let mut command = dockmaster.command(&["gateway", "run"]);
    command
        .env("DOCKMASTER_TOKEN", token)
        .env("REGISTRY_USERNAME", "ann")
        .env("REGISTRY_PASSWORD", "reg-hunter2");
    let client = McpClient::spawn(command.into());
    client.initialize(ELICITATION).await;
    let arguments = json!({
        "name": scope.name("secrets"), "image": image, "labels": scope.labels(),
        "environment": {"DB_PASSWORD": "hunter2-in-env", "URL": "postgres://ann:hunter2-in-url@db/x", "PLAIN": "plain-value"},
        "command": ["echo", token, "reg-hunter2"],
    });
    client.call("create_container", arguments).await.ok();
    let inspected = client
        .call(
            "inspect_container",
            json!({"container": scope.name("secrets"), "full": true}),
        )
        .await
        .text();
    client.close().await;
    let audit = dockmaster.run(&["audit", "export"]).stdout();
    for secret in ["hunter2-in-env", "hunter2-in-url", token, "reg-hunter2"] {
        assert!(!audit.contains(secret), "{secret} is in the audit: {audit}");
        assert!(!inspected.contains(secret), "{secret} came out: {inspected}");
    }
    assert!(audit.contains("plain-value"));
    scope.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_of_each_kind() {
    let (_stdio, client, web) = both("").await;
    for client in [&client, &web.client()] {
        client.initialize(ELICITATION).await;
        for (tool, arguments, wanted) in [
            (
                "inspect_container",
                json!({"container": "no-such-thing"}),
                "no-such-thing",
            ),
            (
                "inspect_container",
                json!({"container": "../images/x"}),
                "container",
            ),
            ("inspect_container", json!({"container": 5}), "container"),
            ("inspect_container", json!({}), "container"),
            ("list_containers", json!({"al": true}), "al"),
            (
                "create_container",
                json!({"image": "dockmaster-test/no-such-image:1"}),
                "no-such-image",
            ),
            ("get_container_stats", json!({"container": ""}), "container"),
        ] {
            let failure = client.call(tool, arguments.clone()).await.failure();
            assert!(failure.contains(wanted), "{tool} {arguments}: {failure}");
        }
        let wrong = client
            .request("tools/call", json!({"name": "list_containers", "arguments": [1]}))
            .await
            .unwrap_err();
        assert_eq!(wrong.code, -32602);
        let wrong = client.request("no/such", json!({})).await.unwrap_err();
        assert_eq!(wrong.code, -32601);
        client.call("list_containers", json!({})).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_of_ten_megabytes_is_an_error_and_no_more() {
    let (_stdio, client, web) = both("").await;
    client.initialize(ELICITATION).await;
    let call = json!({"name": "list_containers", "arguments": {"filters": "x".repeat(10 << 20)}});
    let message = json!({"jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": call}).to_string();
    client.send_line(&message).await;
    let refused: Value = serde_json::from_str(&client.stray().await).unwrap();
    assert_eq!(refused["error"]["code"], -32600, "{refused}");
    client.call("list_containers", json!({})).await.ok();

    let client = web.client();
    client.initialize(ELICITATION).await;
    let bearer = format!("Bearer {}", web.token());
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let refused = client.exchange("POST", &headers, &message).await;
    assert_eq!(refused.status, 413, "{}", refused.body);
    assert!(
        refused.body.contains("`gateway.message_size`"),
        "{}",
        refused.body
    );
    client.call("list_containers", json!({})).await.ok();

    // Where the owner wants it, it is taken.
    let (_stdio, client, web) = both("[gateway]\nmessage_size = '16MiB'\n").await;
    client.initialize(ELICITATION).await;
    let of_web = web.client();
    of_web.initialize(ELICITATION).await;
    for client in [client, of_web] {
        let answer = client
            .call("list_containers", json!({"filters": "x".repeat(10 << 20)}))
            .await;
        assert!(
            answer.is_error(),
            "it reached the tool, which wants no text there"
        );
    }
}

/// The daemon dies while it answers: the call fails with what may have happened, and the next call is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_in_the_middle_of_a_call() {
    let dying = Arc::new(Mutex::new(true));
    let script = Arc::clone(&dying);
    let double = DaemonDouble::start(move |seen| match (seen.path(), *script.lock().unwrap()) {
        ("/_ping", _) => Reply::ping("1.41"),
        (_, true) => Reply::Close,
        ("/containers/json", false) => Reply::json(200, &json!([])),
        (_, false) => Reply::error(404, "no such thing"),
    });
    let dockmaster = Dockmaster::on(&double.endpoint());
    let client = dockmaster.client(&[]);
    client.initialize(ELICITATION).await;
    let failure = client.call("list_containers", json!({})).await.failure();
    assert!(failure.contains("containers/json"), "{failure}");
    let failure = client
        .call("start_container", json!({"container": "web"}))
        .await
        .failure();
    assert!(failure.to_lowercase().contains("may "), "{failure}");
    *dying.lock().unwrap() = false;
    client.call("list_containers", json!({})).await.ok();
}

/// The same on a real daemon: it stands still, is killed in the middle of a call, and is started again.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_daemon_that_is_killed_in_the_middle_of_a_call() {
    let mut daemon = match OwnEngine::start().await {
        Ok(daemon) => daemon,
        Err(why) => {
            eprintln!("not tried on a daemon of its own: {why}");
            return;
        }
    };
    let dockmaster = Dockmaster::on(&daemon.endpoint());
    let client = dockmaster.client(&[]);
    client.initialize(ELICITATION).await;
    client.call("list_containers", json!({})).await.ok();
    daemon.freeze().await;
    let call = client
        .start("tools/call", json!({"name": "list_images", "arguments": {}}))
        .await;
    daemon.kill().await;
    let answer = call.answer().await.unwrap();
    assert_eq!(answer["isError"], true, "{answer}");
    let failure = client.call("list_images", json!({})).await.failure();
    assert!(failure.starts_with("unreachable: "), "{failure}");
    daemon.launch().await;
    client.call("list_images", json!({})).await.ok();
    daemon.stop().await;
}

/// A daemon that never answers costs a time-out, and delays nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_hangs() {
    let double = DaemonDouble::start(|seen| match seen.path() {
        "/_ping" => Reply::ping("1.41"),
        "/containers/json" => Reply::json(200, &json!([])),
        _ => Reply::Hang,
    });
    let dockmaster = Dockmaster::on(&double.endpoint()).configured("[hosts.local]\ntimeout = '1s'\n");
    let client = dockmaster.client(&[]);
    client.initialize(ELICITATION).await;
    let slow = client
        .start("tools/call", json!({"name": "list_images", "arguments": {}}))
        .await;
    client.call("list_containers", json!({})).await.ok();
    assert!(slow.is_open());
    let answer = slow.answer().await.unwrap();
    assert_eq!(answer["isError"], true, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_calls_at_once() {
    let (stdio, client, web) = both("").await;
    for client in [&client, &web.client()] {
        client.initialize(ELICITATION).await;
        let mut pending = Vec::new();
        for _ in 0..64 {
            pending.push(
                client
                    .start("tools/call", json!({"name": "list_containers", "arguments": {}}))
                    .await,
            );
        }
        for call in pending {
            let answer = call.answer().await.unwrap();
            assert_ne!(answer["isError"], true, "{answer}");
        }
    }
    client.close().await;
    assert_eq!(stdio.audit().len(), 64);
    assert_eq!(stdio.run(&["audit", "verify"]).code(), 0);
}

/// A row that can't be written fails its call, and the next is served once it can.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_without_its_row() {
    let dockmaster = Dockmaster::new();
    fs_err::create_dir_all(dockmaster.file("dockmaster.db")).unwrap();
    let client = dockmaster.client(&[]);
    client.initialize(ELICITATION).await;
    let refused = client.try_call("list_containers", json!({})).await.unwrap_err();
    assert!(refused.message.contains("audit"), "{refused}");
    fs_err::remove_dir(dockmaster.file("dockmaster.db")).unwrap();
    client.call("list_containers", json!({})).await.ok();
    client.close().await;
    assert_eq!(dockmaster.audit().len(), 1);
}

/// Two gateways of one user share the audit.
#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_share_an_audit() {
    let dockmaster = Dockmaster::new();
    let clients = [dockmaster.client(&[]), dockmaster.client(&[])];
    for client in &clients {
        client.initialize(ELICITATION).await;
    }
    for _ in 0..5 {
        for client in &clients {
            client.call("list_networks", json!({})).await.ok();
        }
    }
    eventually("ten rows", async || {
        (dockmaster.audit().len() == 10).then_some(())
    })
    .await;
    assert_eq!(dockmaster.run(&["audit", "verify"]).code(), 0);
}
