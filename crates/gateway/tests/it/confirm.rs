//! Permissions at call time, and asking a person in both eras.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::Secret;
use futures_util::future::BoxFuture;
use gateway::{CancellationToken, Confirmer, Direct, Principal, Question, Reply};
use policy::{AskBefore, Preset, Rules, WhenUnable};
use serde_json::{Value, json};
use testkit::{McpClient, eventually};

use crate::rig::{LEGACY, MODERN, OTHER_TOKEN, Over, Rig, TOKEN};

fn accepts(field: &'static str, value: impl Into<Value>) -> impl FnMut(&str, &Value) -> Option<Value> + Send {
    let value = value.into();
    move |method, _| {
        assert_eq!(method, "elicitation/create");
        let mut form = serde_json::Map::new();
        form.insert(field.to_owned(), value.clone());
        Some(json!({"action": "accept", "content": form}))
    }
}

#[tokio::test]
async fn what_is_denied_is_hidden_and_refused() {
    let rig = Rig::ruled(Rules {
        preset: Preset::ReadOnly,
        ..Rules::default()
    });
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    let names: Vec<_> = client
        .tools()
        .await
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"echo".to_owned()));
    for hidden in ["change", "remove", "wipe"] {
        assert!(!names.contains(&hidden.to_owned()), "{hidden} is hidden");
        let refusal = client.call(hidden, json!({})).await.failure();
        assert!(
            refusal.starts_with(&format!("fake/{hidden} is not permitted: ")),
            "{refusal}"
        );
        assert!(refusal.contains("[policy]"), "it says how to allow: {refusal}");
    }
    // An alias is no way round.
    assert!(
        client
            .call("rm", json!({}))
            .await
            .failure()
            .starts_with("fake/remove is not permitted")
    );
    assert_eq!(rig.rows.last().decision, "deny");
    assert!(rig.fake.lines_of("tools/call").is_empty());
    assert!(rig.end().await);
}

#[tokio::test]
async fn what_is_judged_is_what_is_sent() {
    let rig = Rig::ruled(Rules {
        preset: Preset::ReadOnly,
        ..Rules::default()
    });
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    for (at, params) in [
        r#"{"name":"echo","name":"remove","arguments":{}}"#,
        r#"{"name":"echo","Name":"remove","arguments":{}}"#,
        r#"{"name":"echo","arguments":{},"arguments":{"a":1}}"#,
        r#"{"name":"remove","arguments":{"really":false,"really":true}}"#,
        r#"{"name":"remove","arguments":{"deep":[{"x":1,"x":2}]}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let line = format!(r#"{{"jsonrpc":"2.0","id":"dup{at}","method":"tools/call","params":{params}}}"#);
        client.send_line(&line).await;
        let answer = eventually("the refusal", async || {
            client
                .strays()
                .into_iter()
                .find(|line| line.contains(&format!("\"dup{at}\"")))
        });
        let answer = answer.await;
        assert!(answer.contains("-32602"), "{params}: {answer}");
    }
    assert!(rig.fake.lines_of("tools/call").is_empty());
    assert!(rig.end().await);
}

#[tokio::test]
async fn reading_and_prompts_have_permissions_too() {
    let rules: Rules =
        serde_json::from_value(json!({"deny": ["fake/resources.read", "fake/prompts.get"]})).unwrap();
    let rig = Rig::ruled(rules);
    let client = rig.client(Over::Stdio, "2025-11-25", json!({})).await;
    for (method, params) in [
        ("resources/read", json!({"uri": "fake://a"})),
        ("prompts/get", json!({"name": "greet"})),
    ] {
        let error = client.request(method, params).await.unwrap_err();
        assert!(error.message.contains("is not permitted"), "{error}");
    }
    assert_eq!(rig.rows.seen().len(), 2);
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_legacy_client_is_asked_in_the_middle_of_the_call() {
    for over in [Over::Stdio, Over::Http] {
        for version in ["2025-06-18", "2025-11-25"] {
            let rig = Rig::new();
            let client = rig.client(over, version, json!({"elicitation": {}})).await;
            client.respond(accepts("confirm", true));
            let done = client.call("remove", json!({"name": "web"})).await.ok();
            assert_eq!(done.text(), "remove done");
            let asked = client.server_requests().pop().unwrap();
            let message = asked["params"]["message"].as_str().unwrap();
            assert!(
                message.starts_with("testkit 1 wants to remove web (fake/remove). Allow it? ["),
                "{message}"
            );
            assert_eq!(asked["params"].get("mode").is_some(), version == "2025-11-25");
            assert_eq!(rig.rows.seen(), ["fake/remove confirmed ok"]);
            assert!(rig.end().await);
        }
    }
}

#[tokio::test]
async fn losing_data_takes_a_typed_name() {
    let rig = Rig::new();
    let client = rig
        .client(Over::Http, "2025-11-25", json!({"elicitation": {"form": {}}}))
        .await;
    for (typed, succeeds) in [("db-data", true), ("db", false)] {
        client.respond(accepts("name", typed));
        let answer = client.call("wipe", json!({"name": "db-data"})).await;
        assert_eq!(!answer.is_error(), succeeds, "{}", answer.text());
    }
    let asked = client.server_requests().pop().unwrap();
    assert!(
        asked["params"]["message"]
            .as_str()
            .unwrap()
            .contains("type the name \"db-data\""),
        "{asked}"
    );
    assert_eq!(rig.fake.lines_of("tools/call").len(), 1);
    assert!(rig.end().await);
}

#[tokio::test]
async fn anything_but_yes_is_no() {
    let rig = Rig::new();
    let client = rig
        .client(Over::Stdio, "2025-11-25", json!({"elicitation": {}}))
        .await;
    for (answer, decision, words) in [
        (
            json!({"action": "decline"}),
            "declined",
            "the person declined to remove web",
        ),
        (
            json!({"action": "accept", "content": {"confirm": false}}),
            "declined",
            "the person declined",
        ),
        (
            json!({"action": "cancel"}),
            "unanswered",
            "nobody confirmed to remove web",
        ),
        (json!({"nonsense": 1}), "unanswered", "nobody confirmed"),
    ] {
        let reply = answer.clone();
        client.respond(move |_, _| Some(reply.clone()));
        let refusal = client.call("remove", json!({"name": "web"})).await.failure();
        assert!(refusal.contains(words), "{answer}: {refusal}");
        assert_eq!(rig.rows.last().decision, decision);
    }
    assert!(rig.fake.lines_of("tools/call").is_empty());
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_person_who_does_not_answer_costs_a_time_limit() {
    let rig = Rig::within(|limits| limits.confirm = Duration::from_millis(50));
    let client = rig
        .client(Over::Stdio, "2025-11-25", json!({"elicitation": {}}))
        .await;
    assert!(
        client
            .call("remove", json!({}))
            .await
            .failure()
            .contains("nobody confirmed")
    );
    client.notification("notifications/cancelled").await;
    assert!(rig.end().await);
}

#[tokio::test]
async fn cancelling_while_a_person_thinks() {
    let rig = Rig::new();
    let client = rig
        .client(Over::Stdio, "2025-11-25", json!({"elicitation": {}}))
        .await;
    let call = client.start("tools/call", json!({"name": "remove"})).await;
    eventually("the question", async || client.server_requests().pop()).await;
    client
        .notify("notifications/cancelled", json!({"requestId": call.id}))
        .await;
    // The question is taken back.
    client.notification("notifications/cancelled").await;
    eventually("the row", async || rig.rows.seen().pop()).await;
    assert_eq!(rig.rows.seen(), ["fake/remove ask cancelled"]);
    assert!(call.is_open());
    assert!(rig.end().await);
}

#[tokio::test]
async fn who_can_not_be_asked_is_refused_unless_the_rules_allow() {
    let unable = [
        ("2024-11-05", json!({"elicitation": {}})),
        ("2025-03-26", json!({"elicitation": {}})),
        ("2025-06-18", json!({})),
        ("2025-11-25", json!({"elicitation": {"url": {}}})),
        (MODERN, json!({})),
    ];
    for (when_unable, allowed) in [(WhenUnable::Refuse, false), (WhenUnable::Allow, true)] {
        let rig = Rig::ruled(Rules {
            when_unable,
            ..Rules::default()
        });
        for (version, capabilities) in unable.clone() {
            for over in [Over::Stdio, Over::Http] {
                let client = rig.client(over, version, capabilities.clone()).await;
                let answer = client.call("remove", json!({"name": "web"})).await;
                assert_eq!(
                    !answer.is_error(),
                    allowed,
                    "{version} {over:?}: {}",
                    answer.text()
                );
                if !allowed {
                    assert!(
                        answer.text().contains("when_unable = \"allow\""),
                        "{}",
                        answer.text()
                    );
                }
            }
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn what_is_to_be_asked_is_a_matter_of_rules() {
    for (ask, change, remove) in [
        (AskBefore::Never, true, true),
        (AskBefore::Destroy, true, false),
        (AskBefore::Change, false, false),
    ] {
        let rig = Rig::ruled(Rules {
            ask,
            ..Rules::default()
        });
        let client = rig.client(Over::Stdio, LEGACY[0], json!({})).await;
        assert_eq!(
            !client.call("change", json!({})).await.is_error(),
            change,
            "{ask:?}"
        );
        assert_eq!(
            !client.call("remove", json!({})).await.is_error(),
            remove,
            "{ask:?}"
        );
        // The arguments decide, not the name.
        assert!(!client.call("remove", json!({"really": false})).await.is_error());
        assert!(rig.end().await);
    }
}

/// The state with which the call is to be made again.
async fn asked(client: &McpClient, arguments: Value) -> String {
    let result = client
        .request("tools/call", json!({"name": "remove", "arguments": arguments}))
        .await
        .unwrap();
    assert_eq!(result["resultType"], "input_required", "{result}");
    let question = &result["inputRequests"]["confirm"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["mode"], "form");
    result["requestState"].as_str().unwrap().to_owned()
}

fn retry(arguments: &Value, state: &str, action: &str) -> Value {
    let answer = json!({"action": action, "content": {"confirm": true}});
    json!({"name": "remove", "arguments": arguments, "requestState": state, "inputResponses": {"confirm": answer}})
}

#[tokio::test]
async fn a_modern_client_asks_and_calls_again() {
    for over in [Over::Stdio, Over::Http] {
        let rig = Rig::new();
        let client = rig.client(over, MODERN, json!({"elicitation": {}})).await;
        let web = json!({"name": "web", "n": 1});
        let state = asked(&client, web.clone()).await;
        assert!(
            client.server_requests().is_empty(),
            "no requests from server to client"
        );
        // The same arguments in another order are the same.
        let again = json!({"n": 1, "name": "web"});
        let done = client
            .request("tools/call", retry(&again, &state, "accept"))
            .await
            .unwrap();
        assert_eq!(done["content"][0]["text"], "remove done");
        assert_eq!(done["resultType"], "complete");

        // One yes is one call.
        let replay = client
            .request("tools/call", retry(&web, &state, "accept"))
            .await
            .unwrap_err();
        assert!(
            replay.code == -32602 && replay.message.contains("used already"),
            "{replay}"
        );

        let state = asked(&client, web.clone()).await;
        let declined = client
            .request("tools/call", retry(&web, &state, "decline"))
            .await
            .unwrap();
        assert_eq!(declined["isError"], true);
        let replay = client
            .request("tools/call", retry(&web, &state, "accept"))
            .await
            .unwrap_err();
        assert!(replay.message.contains("used already"), "{replay}");
        assert_eq!(
            rig.rows.seen()[..2],
            [
                "fake/remove ask asked".to_owned(),
                "fake/remove confirmed ok".to_owned()
            ]
        );
        assert_eq!(rig.fake.lines_of("tools/call").len(), 1);
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn a_yes_holds_for_one_call_of_one_principal() {
    let rig = Rig::new();
    let authority = rig.http().await;
    let client = |token| {
        let client = McpClient::http(&authority, "/mcp", Some(token));
        client.modern(MODERN, &json!({"elicitation": {}}));
        client
    };
    let (ann, bob) = (client(TOKEN), client(OTHER_TOKEN));
    let web = json!({"name": "web"});
    let state = asked(&ann, web.clone()).await;
    let (rest, last) = state.split_at(state.len() - 1);
    let forged = format!("{rest}{}", if last == "A" { "E" } else { "A" });
    for (who, client, params) in [
        ("another principal", &bob, retry(&web, &state, "accept")),
        (
            "another call",
            &ann,
            retry(&json!({"name": "db"}), &state, "accept"),
        ),
        ("a changed state", &ann, retry(&web, &forged, "accept")),
        ("no state of ours", &ann, retry(&web, "nonsense", "accept")),
    ] {
        let error = client.request("tools/call", params).await.unwrap_err();
        assert!(
            error.code == -32602 && error.message.contains("requestState is not accepted"),
            "{who}: {error}"
        );
    }
    // An answer without state, or a state without answer, is asked anew.
    for member in ["requestState", "inputResponses"] {
        let mut params = retry(&web, &state, "accept");
        params.as_object_mut().unwrap().remove(member);
        let result = ann.request("tools/call", params).await.unwrap();
        assert_eq!(result["resultType"], "input_required", "without {member}");
    }
    assert!(rig.fake.lines_of("tools/call").is_empty());
    assert!(
        ann.request("tools/call", retry(&web, &state, "accept"))
            .await
            .is_ok()
    );
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_yes_expires() {
    let rig = Rig::within(|limits| limits.confirm = Duration::from_millis(1));
    let client = rig.client(Over::Http, MODERN, json!({"elicitation": {}})).await;
    let state = asked(&client, json!({})).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let error = client
        .request("tools/call", retry(&json!({}), &state, "accept"))
        .await
        .unwrap_err();
    assert!(error.message.contains("expired"), "{error}");
    assert!(rig.end().await);
}

struct Person {
    reply: Reply,
    seen: Mutex<Vec<Question>>,
}

impl Confirmer for Person {
    fn confirm<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Reply> {
        self.seen.lock().unwrap().push(question.clone());
        Box::pin(std::future::ready(self.reply))
    }
}

fn direct(tool: &str, arguments: Value, confirmer: Option<Arc<dyn Confirmer>>) -> Direct {
    let Value::Object(arguments) = arguments else {
        panic!("an object")
    };
    Direct {
        principal: Principal::new("cli"),
        client: "gate 1.0".to_owned(),
        tool: tool.to_owned(),
        arguments,
        confirmer,
        progress: None,
        cancel: CancellationToken::new(),
    }
}

#[tokio::test]
async fn calls_from_the_command_line_go_the_same_way() {
    let rig = Rig::with(|parts| parts.secrets.learn([Secret::new("a very secret value")]));
    for (reply, succeeds) in [(Reply::Yes, true), (Reply::No, false), (Reply::WrongName, false)] {
        let person = Arc::new(Person {
            reply,
            seen: Mutex::default(),
        });
        let result = rig
            .gateway
            .call(direct("wipe", json!({"name": "db"}), Some(person.clone())))
            .await
            .unwrap();
        assert_eq!(!result.get().contains("isError"), succeeds, "{}", result.get());
        assert_eq!(person.seen.lock().unwrap()[0].type_back.as_deref(), Some("db"));
    }
    let refused = rig
        .gateway
        .call(direct("wipe", json!({"name": "db"}), None))
        .await
        .unwrap();
    assert!(refused.get().contains("isError"));
    let echoed = rig
        .gateway
        .call(direct("echo", json!({"x": "a very secret value"}), None))
        .await
        .unwrap();
    assert!(!echoed.get().contains("very secret"), "{}", echoed.get());
    let error = rig
        .gateway
        .call(direct("nonsense", json!({}), None))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.to_string().as_str()),
        (Some(-32602), "there is no tool \"nonsense\"")
    );
    assert_eq!(rig.rows.seen().len(), 6);

    let (sender, mut progress) = tokio::sync::mpsc::channel(10);
    let reported = Direct {
        progress: Some(sender),
        ..direct("report", json!({}), None)
    };
    assert!(rig.gateway.call(reported).await.is_ok());
    assert!(
        progress
            .recv()
            .await
            .unwrap()
            .get()
            .contains(r#""progress":1,"total":3"#)
    );
    assert!(rig.gateway.tools(&Principal::new("cli")).await.unwrap().len() == 11);
    assert!(rig.end().await);
}
