//! Old and new clients meet old and new servers.

use gateway::Origin;
use serde_json::{Value, json};
use testkit::{Logged, McpClient};

use crate::actor::{Actor, Manner};
use crate::rig::{Fake, MODERN, OTHER_TOKEN, Over, Rig, TOKEN};

const CLIENTS: [&str; 2] = ["2025-11-25", MODERN];
pub(crate) const SERVERS: [Manner; 2] = [Manner::Legacy, Manner::Modern];

pub(crate) fn all() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}})
}

pub(crate) fn rig(manner: Manner) -> (Rig, Actor) {
    rig_from(Origin::BuiltIn, manner)
}

fn rig_from(origin: Origin, manner: Manner) -> (Rig, Actor) {
    let actor = Actor::new(manner);
    let mut server = actor.server();
    server.origin = origin;
    (
        Rig::before(Fake::new(), |parts| parts.servers = vec![server]),
        actor,
    )
}

/// Calls, and answers what is asked in the way of the client's era with what `answer` gives.
async fn call(
    client: &McpClient,
    version: &str,
    tool: &str,
    arguments: Value,
    answer: fn(&str, &Value) -> Value,
) -> Result<Value, Value> {
    let params = json!({"name": tool, "arguments": arguments});
    if version != MODERN {
        client.respond(move |method, params| Some(answer(method, params)));
        return fault(client.request("tools/call", params).await);
    }
    let mut next = params.clone();
    for _ in 0..5 {
        let result = fault(client.request("tools/call", next).await)?;
        if result["resultType"] != "input_required" {
            return Ok(result);
        }
        next = retry(&params, &result, answer);
    }
    panic!("it asks without end");
}

pub(crate) fn retry(params: &Value, asked: &Value, answer: fn(&str, &Value) -> Value) -> Value {
    let mut next = params.clone();
    next["requestState"] = asked["requestState"].clone();
    for (key, request) in asked["inputRequests"].as_object().unwrap() {
        next["inputResponses"][key] = answer(request["method"].as_str().unwrap(), &request["params"]);
    }
    next
}

fn fault(answer: Result<Value, testkit::RpcError>) -> Result<Value, Value> {
    answer.map_err(|error| json!({"code": error.code, "message": error.message}))
}

/// What the server heard, as its tool tells.
pub(crate) fn heard(result: &Value) -> Value {
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
}

pub(crate) fn answers(method: &str, params: &Value) -> Value {
    match method {
        "elicitation/create" if params["mode"] == "url" => json!({"action": "accept"}),
        "elicitation/create" => json!({"action": "accept", "content": {"said": params["message"]}}),
        "sampling/createMessage" => {
            json!({"role": "assistant", "content": {"type": "text", "text": "hm"}, "model": "m", "vendor": 12_345_678_901_234_567_890_u64})
        }
        "roots/list" => json!({"roots": [{"uri": "file:///a"}]}),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_a_server_wants_reaches_the_client_and_comes_back() {
    let form = json!({"method": "elicitation/create", "params": {"mode": "form", "message": "who?", "requestedSchema": {"type": "object", "properties": {}}}});
    let url = json!({"method": "elicitation/create", "params": {"mode": "url", "message": "go", "url": "https://example.com/", "elicitationId": "e1"}});
    let sampling =
        json!({"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 5, "tools": []}});
    let roots = json!({"method": "roots/list"});
    let accepted = json!({"action": "accept", "content": {"said": "who?"}});
    for manner in SERVERS {
        let (rig, _actor) = rig(manner);
        for over in [Over::Stdio, Over::Http] {
            for version in CLIENTS {
                let client = rig.client(over, version, all()).await;
                for (wants, got) in [
                    (json!([form]), json!([accepted])),
                    (json!([url]), json!([{"action": "accept"}])),
                    (
                        json!([sampling]),
                        json!([answers("sampling/createMessage", &json!({}))]),
                    ),
                    (json!([roots]), json!([{"roots": [{"uri": "file:///a"}]}])),
                    (
                        json!([roots, form]),
                        json!([{"roots": [{"uri": "file:///a"}]}, accepted]),
                    ),
                ] {
                    let result = call(&client, version, "ask", json!({"wants": wants}), answers)
                        .await
                        .unwrap();
                    let heard = heard(&result);
                    assert_eq!(heard["got"], got, "{manner:?}, {over:?}, {version}");
                    if manner == Manner::Modern {
                        assert_eq!(heard["state"], "theirs ü");
                    }
                    assert_eq!(result["resultType"].is_null(), version != MODERN, "{result}");
                }
            }
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn nobody_is_asked_for_what_they_did_not_declare() {
    for manner in SERVERS {
        let (rig, _actor) = rig(manner);
        for version in CLIENTS {
            let client = rig.client(Over::Stdio, version, json!({"elicitation": {}})).await;
            for (method, params) in [
                ("roots/list", json!({})),
                ("sampling/createMessage", json!({"messages": []})),
                ("elicitation/create", json!({"mode": "url"})),
                ("tools/list", json!({})),
            ] {
                let wants = json!({"wants": [{"method": method, "params": params}]});
                let told = match call(&client, version, "ask", wants, |_, _| panic!("it is asked")).await {
                    Ok(result) => heard(&result)["got"][0]["message"].as_str().unwrap().to_owned(),
                    Err(fault) => fault["message"].as_str().unwrap().to_owned(),
                };
                assert!(
                    told.contains("did not declare") || told.contains("do not offer"),
                    "{manner:?} {version}: {told}"
                );
            }
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn a_state_serves_its_owner_its_call_and_once() {
    for manner in SERVERS {
        let (rig, actor) = rig(manner);
        let authority = rig.http().await;
        let client = |token| {
            let client = McpClient::http(&authority, "/mcp", Some(token));
            client.modern(MODERN, &all());
            client
        };
        let (ann, bob) = (client(TOKEN), client(OTHER_TOKEN));
        let params = json!({"name": "ask", "arguments": {"wants": [{"method": "roots/list"}]}});
        let asked = ann.request("tools/call", params.clone()).await.unwrap();
        let good = retry(&params, &asked, answers);
        let refused = async |client: &McpClient, params: Value| {
            let error = client.request("tools/call", params).await.unwrap_err();
            assert_eq!(error.code, -32602, "{error}");
        };
        refused(&bob, good.clone()).await;
        let mut other = good.clone();
        other["arguments"]["wants"][0]["method"] = "x".into();
        refused(&ann, other).await;
        let mut changed = good.clone();
        changed["requestState"] = format!("{}x", asked["requestState"].as_str().unwrap()).into();
        refused(&ann, changed).await;
        let result = ann.request("tools/call", good.clone()).await.unwrap();
        assert_eq!(heard(&result)["got"][0]["roots"][0]["uri"], "file:///a");
        refused(&ann, good).await;
        let calls = actor.seen("tools/call").len();
        assert_eq!(calls, if manner == Manner::Modern { 2 } else { 1 });
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn an_answer_that_is_missing_is_asked_for_again() {
    let (rig, _actor) = rig(Manner::Legacy);
    let client = rig.client(Over::Http, MODERN, all()).await;
    let params = json!({"name": "ask", "arguments": {"wants": [{"method": "roots/list"}]}});
    let asked = client.request("tools/call", params.clone()).await.unwrap();
    let mut empty = params.clone();
    empty["requestState"] = asked["requestState"].clone();
    empty["inputResponses"] = json!({"unasked": 7});
    let again = client.request("tools/call", empty).await.unwrap();
    assert_eq!(again["inputRequests"], asked["inputRequests"]);
    assert_ne!(again["requestState"], asked["requestState"]);
    let result = client
        .request("tools/call", retry(&params, &again, answers))
        .await
        .unwrap();
    assert_eq!(heard(&result)["got"][0]["roots"][0]["uri"], "file:///a");
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_call_that_waits_too_long_is_cancelled() {
    let actor = Actor::new(Manner::Legacy);
    let server = actor.server();
    let rig = Rig::before(Fake::new(), |parts| {
        parts.servers = vec![server];
        parts.limits.confirm = std::time::Duration::from_millis(50);
    });
    let client = rig.client(Over::Http, MODERN, all()).await;
    let params = json!({"name": "ask", "arguments": {"wants": [{"method": "roots/list"}]}});
    let asked = client.request("tools/call", params.clone()).await.unwrap();
    let call = actor.seen("tools/call").pop().unwrap();
    let cancelled = actor.until("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], call["id"]);
    let error = client
        .request("tools/call", retry(&params, &asked, answers))
        .await
        .unwrap_err();
    assert_eq!(error.code, -32602, "{error}");
    assert!(rig.end().await);
}

#[tokio::test]
async fn visits_come_first_and_word_of_their_end() {
    let (rig, actor) = rig(Manner::Legacy);
    let old = rig.client(Over::Stdio, "2025-11-25", all()).await;
    let error = old
        .request("tools/call", json!({"name": "visit"}))
        .await
        .unwrap_err();
    assert_eq!(error.code, -32042);
    let stranger = rig.client(Over::Stdio, "2025-11-25", all()).await;
    actor.send(json!({"jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": {"elicitationId": "v1"}}));
    assert_eq!(
        old.notification("notifications/elicitation/complete").await,
        json!({"elicitationId": "v1"})
    );
    stranger.request("ping", json!({})).await.unwrap();
    assert!(
        stranger
            .notifications("notifications/elicitation/complete")
            .is_empty()
    );

    let new = rig.client(Over::Http, MODERN, all()).await;
    let params = json!({"name": "visit"});
    let asked = new.request("tools/call", params.clone()).await.unwrap();
    assert_eq!(
        asked["inputRequests"]["visit-1"]["params"]["url"],
        "https://example.com/"
    );
    let declined = retry(&params, &asked, |_, _| json!({"action": "decline"}));
    let result = new.request("tools/call", declined).await.unwrap();
    assert_eq!(result["isError"], true, "{result}");
    let asked = new.request("tools/call", params.clone()).await.unwrap();
    let again = new
        .request("tools/call", retry(&params, &asked, answers))
        .await
        .unwrap();
    assert_eq!(again["resultType"], "input_required", "the server still wants it");
    let unable = rig.client(Over::Http, MODERN, json!({})).await;
    let error = unable.request("tools/call", params).await.unwrap_err();
    assert_eq!(error.code, -32021);
    assert_eq!(
        error.data["requiredCapabilities"],
        json!({"elicitation": {"url": {}}})
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn each_era_hears_its_own_words() {
    for manner in SERVERS {
        let (rig, actor) = rig(manner);
        for version in CLIENTS {
            let client = rig.client(Over::Stdio, version, json!({"roots": {}})).await;
            let result = client
                .request(
                    "tools/call",
                    json!({"name": "echo", "_meta": {"traceparent": "00-1"}}),
                )
                .await
                .unwrap();
            assert_eq!(result["resultType"].is_null(), version != MODERN);
            assert!(result["_meta"].is_null() || version == MODERN, "{result}");
            let sent = heard(&result);
            assert_eq!(sent["_meta"]["traceparent"], "00-1");
            let said = |key: &str| sent["_meta"][format!("io.modelcontextprotocol/{key}")].clone();
            if manner == Manner::Modern {
                assert_eq!(said("protocolVersion"), MODERN);
                assert_eq!(said("clientCapabilities"), json!({"roots": {}}));
                assert_eq!(said("clientInfo")["name"], "testkit");
            } else {
                assert_eq!(sent["_meta"].as_object().unwrap().len(), 1);
            }
            let error = client
                .request("resources/read", json!({"uri": "a:b"}))
                .await
                .unwrap_err();
            assert_eq!(
                error.code,
                if version == MODERN { -32602 } else { -32002 },
                "{manner:?} {version}"
            );
            assert_eq!(error.message, "no such resource");
        }
        assert_eq!(actor.starts(), 1, "{manner:?}");
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn log_messages_follow_the_level_of_either_era() {
    for manner in SERVERS {
        let (rig, actor) = rig(manner);
        for version in CLIENTS {
            let client = rig.client(Over::Stdio, version, json!({})).await;
            let mut params = json!({"name": "log"});
            if version == MODERN {
                params["_meta"]["io.modelcontextprotocol/logLevel"] = "info".into();
            } else {
                client
                    .request("logging/setLevel", json!({"level": "info"}))
                    .await
                    .unwrap();
            }
            client.request("tools/call", params).await.unwrap();
            let seen = client.notifications("notifications/message");
            assert_eq!(
                seen,
                [json!({"level": "error", "data": "error"})],
                "{manner:?} {version}"
            );
            let call = actor.seen("tools/call").pop().unwrap();
            let level = &call["params"]["_meta"]["io.modelcontextprotocol/logLevel"];
            assert_eq!(*level == "info", manner == Manner::Modern, "{call}");
            // Who wants none gets none.
            let silent = rig.client(Over::Stdio, version, json!({})).await;
            silent
                .request("tools/call", json!({"name": "log"}))
                .await
                .unwrap();
            assert!(silent.notifications("notifications/message").is_empty());
        }
        if manner == Manner::Legacy {
            assert_eq!(actor.seen("logging/setLevel").len(), 1, "the level is told once");
        }
        assert!(rig.end().await);
    }
}

/// That a server has no such method is an answer like others: its client hears it, and nobody is warned.
#[tokio::test]
async fn a_method_that_a_server_does_not_know_is_no_warning() {
    let logged = Logged::default();
    let _here = tracing::subscriber::set_default(logged.clone());
    for manner in SERVERS {
        let before = logged.lines().len();
        let (rig, _actor) = rig_from(Origin::Catalog, manner);
        let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
        assert_eq!(client.tools().await.len(), 3);
        let unknown = client.request("vendor/undo", json!({})).await.unwrap_err();
        assert_eq!((unknown.code, unknown.message.as_str()), (-32601, "vendor/undo"));
        let lines = &logged.lines()[before..];
        let about: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("resources/templates/list"))
            .collect();
        assert_eq!(
            about,
            [r#"DEBUG it has no resources/templates/list server="actor""#]
        );
        for line in lines {
            assert!(!line.starts_with("WARN") && !line.starts_with("ERROR"), "{line}");
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn servers_that_do_not_know_the_question_are_greeted_anyway() {
    for (manner, starts) in [(Manner::Touchy, 2), (Manner::Silent, 1)] {
        let (rig, actor) = rig(manner);
        let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
        client
            .request("tools/call", json!({"name": "echo"}))
            .await
            .unwrap();
        assert_eq!(actor.starts(), starts, "{manner:?}");
        assert_eq!(actor.seen("notifications/cancelled").len(), 0, "{manner:?}");
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn what_only_an_extension_knows_goes_to_the_only_server() {
    for manner in SERVERS {
        let (rig, actor) = rig_from(Origin::Catalog, manner);
        for version in CLIENTS {
            let client = rig.client(Over::Stdio, version, json!({})).await;
            let params = json!({"a": 12_345_678_901_234_567_890_u64, "_meta": {"traceparent": "00-1"}});
            let result = client.request("vendor/do", params).await.unwrap();
            assert_eq!(
                result["did"]["a"], 12_345_678_901_234_567_890_u64,
                "{manner:?} {version}"
            );
            assert_eq!(result["did"]["_meta"]["traceparent"], "00-1");
            assert_eq!(result["resultType"].is_null(), version != MODERN, "{result}");
            assert_eq!(rig.rows.last().tool, "vendor.do");
            client.notify("notifications/vendor/told", json!({"n": 7})).await;
            assert_eq!(actor.until("notifications/vendor/told").await["params"]["n"], 7);
            // What the protocol has, but not in this era, is nobody's.
            let other = if version == MODERN { "ping" } else { "tasks/update" };
            let error = client.request(other, json!({"taskId": "x"})).await.unwrap_err();
            assert_eq!(error.code, -32601, "{error}");
        }
        assert!(rig.end().await);
    }
    // What the rules don't permit reaches no server, whether it wants an answer or not.
    for (denied, passes) in [("*/vendor.do", false), ("*/notifications.vendor.reset", true)] {
        let actor = Actor::new(Manner::Legacy);
        let mut server = actor.server();
        server.origin = Origin::Catalog;
        let rig = Rig::before(Fake::new(), |parts| {
            parts.servers = vec![server];
            parts.rules = serde_json::from_value(json!({ "deny": [denied] })).unwrap();
        });
        let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
        let done = client.request("vendor/do", json!({})).await;
        assert_eq!(done.is_ok(), passes, "{done:?}");
        assert_eq!(actor.seen("vendor/do").is_empty(), !passes);
        if passes {
            client.notify("notifications/vendor/reset", json!({})).await;
            client.notify("notifications/vendor/told", json!({})).await;
            actor.until("notifications/vendor/told").await;
            assert!(actor.seen("notifications/vendor/reset").is_empty());
        }
        assert!(rig.end().await);
    }
    // The built-in server knows no extensions, and which of two is meant nobody knows.
    for (origin, said) in [(Origin::BuiltIn, "no method"), (Origin::Catalog, "here are 2")] {
        let (one, two) = (Fake::new(), Fake::new());
        let mut servers = vec![one.server("one"), two.server("two")];
        for server in &mut servers {
            server.origin = origin;
        }
        let rig = Rig::before(Fake::new(), |parts| parts.servers = servers);
        let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
        let error = client.request("vendor/do", json!({})).await.unwrap_err();
        assert_eq!(error.code, -32601);
        assert!(error.message.contains(said), "{error}");
        assert!(one.lines_of("vendor/do").is_empty());
        assert!(rig.end().await);
    }
}
