//! Whose question it is that a server asks in the middle of calls, and who is asked.

use std::sync::{Arc, Mutex};

use serde_json::json;
use testkit::{McpClient, eventually};

use crate::actor::{Actor, Manner};
use crate::meetings::{all, answers, heard, retry, rig};
use crate::rig::{Fake, MODERN, OTHER_TOKEN, Over, Rig, TOKEN, text};

#[tokio::test]
async fn clients_whose_questions_could_be_mixed_up_get_instances_of_their_own() {
    let (rig, actor) = rig(Manner::Legacy);
    let (one, two) = (
        rig.client(Over::Stdio, "2025-11-25", all()).await,
        rig.client(Over::Stdio, "2025-11-25", all()).await,
    );
    one.respond(|_, _| None);
    let ask = json!({"name": "ask", "arguments": {"wants": [{"method": "roots/list"}]}});
    let first = one.start("tools/call", ask.clone()).await;
    eventually("the first question", async || one.server_requests().pop()).await;
    // From now on the server is known to ask.
    two.respond(|method, params| Some(answers(method, params)));
    let result = two.request("tools/call", ask).await.unwrap();
    assert_eq!(heard(&result)["got"][0]["roots"][0]["uri"], "file:///a");
    assert_eq!(actor.starts(), 2);
    assert_eq!(one.server_requests().len(), 1);
    assert!(first.is_open());
    drop(one);
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_question_waits_until_it_is_known_whose_it_is() {
    let (rig, actor) = rig(Manner::Legacy);
    let (one, two) = (
        rig.client(Over::Stdio, "2025-11-25", all()).await,
        rig.client(Over::Stdio, "2025-11-25", all()).await,
    );
    // Neither asks nor ends.
    let nothing = json!({"name": "ask", "arguments": {"wants": []}});
    let first = one.start("tools/call", nothing).await;
    let call = actor.until("tools/call").await;
    two.respond(|method, params| Some(answers(method, params)));
    let ask = json!({"name": "ask", "arguments": {"wants": [{"method": "roots/list"}]}});
    let second = two.start("tools/call", ask).await;
    eventually("both calls", async || {
        (actor.seen("tools/call").len() == 2).then_some(())
    })
    .await;
    actor.send(json!({"jsonrpc": "2.0", "id": call["id"], "result": text("done")}));
    let result = second.answer().await.unwrap();
    assert_eq!(heard(&result)["got"][0]["roots"][0]["uri"], "file:///a");
    assert_eq!(actor.starts(), 1);
    first.answer().await.unwrap();
    assert!(rig.end().await);
}

/// That a call was given up does not tell whose question it was: its server may not have heard of it, or work on.
#[tokio::test(start_paused = true)]
async fn a_question_of_a_call_that_was_given_up_is_put_to_nobody_else() {
    let question = json!({"jsonrpc": "2.0", "id": "whose", "method": "roots/list"});
    for (asks_first, answers_late) in [(true, false), (false, false), (true, true), (false, true)] {
        let actor = Actor::new(Manner::Legacy);
        let server = actor.server();
        let rig = Rig::before(Fake::new(), |parts| {
            parts.servers = vec![server];
            // The call is given up well before a question has waited for too long.
            parts.limits.drain = std::time::Duration::from_secs(1);
            parts.limits.list = std::time::Duration::from_secs(10);
        });
        // Of two principals.
        let (one, two) = (
            rig.client(Over::Stdio, "2025-11-25", all()).await,
            rig.client(Over::Http, "2025-11-25", all()).await,
        );
        two.respond(|method, params| Some(answers(method, params)));
        let nothing = json!({"name": "ask", "arguments": {"wants": []}});
        let first = one.start("tools/call", nothing.clone()).await;
        let call = actor.until("tools/call").await;
        let second = two.start("tools/call", nothing).await;
        eventually("both calls", async || {
            (actor.seen("tools/call").len() == 2).then_some(())
        })
        .await;
        if asks_first {
            actor.send(question.clone());
        }
        drop(one);
        let cancelled = actor.until("notifications/cancelled").await;
        assert_eq!(cancelled["params"]["requestId"], call["id"]);
        if !asks_first {
            actor.send(question.clone());
        }
        if answers_late {
            actor.send(json!({"jsonrpc": "2.0", "id": call["id"], "result": text("done")}));
        }
        let answer = eventually("an answer", async || actor.answer_to("whose")).await;
        if answers_late {
            // What is asked still can only be the other's.
            assert_eq!(answer["result"]["roots"][0]["uri"], "file:///a", "{answer}");
        } else {
            let why = answer["error"]["message"].as_str().unwrap();
            assert!(why.contains("several clients"), "{asks_first}: {answer}");
            assert_eq!(two.server_requests().len(), 0);
        }
        assert!(second.is_open());
        drop((first, second, two));
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn a_parked_call_leaves_room_for_the_questions_of_others() {
    let (rig, actor) = rig(Manner::Legacy);
    let authority = rig.http().await;
    let client = |token| {
        let client = McpClient::http(&authority, "/mcp", Some(token));
        client.modern(MODERN, &all());
        client
    };
    let (ann, bob) = (client(TOKEN), client(OTHER_TOKEN));
    let params = json!({"name": "ask", "arguments": {"wants": [{"method": "roots/list"}]}});
    let parked = ann.request("tools/call", params.clone()).await.unwrap();
    assert_eq!(parked["resultType"], "input_required");
    // The same principal may share the instance: it is the same person who answers.
    for (client, starts) in [(&ann, 1), (&bob, 2)] {
        let asked = client.request("tools/call", params.clone()).await.unwrap();
        let result = client
            .request("tools/call", retry(&params, &asked, answers))
            .await
            .unwrap();
        assert_eq!(heard(&result)["got"][0]["roots"][0]["uri"], "file:///a");
        assert_eq!(actor.starts(), starts);
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_server_of_one_session_may_ask_at_any_time() {
    for sharing in [gateway::Sharing::Session, gateway::Sharing::Everyone] {
        let actor = Actor::new(Manner::Legacy);
        let server = gateway::Server {
            sharing,
            ..actor.server()
        };
        let rig = Rig::before(Fake::new(), |parts| parts.servers = vec![server]);
        let client = rig.client(Over::Stdio, "2025-11-25", all()).await;
        client.respond(|method, params| Some(answers(method, params)));
        client
            .request("tools/call", json!({"name": "echo"}))
            .await
            .unwrap();
        actor.send(json!({"jsonrpc": "2.0", "id": "out/0", "method": "roots/list"}));
        let answer = eventually("an answer", async || actor.answer_to("out/0")).await;
        if sharing == gateway::Sharing::Session {
            assert_eq!(answer["result"]["roots"][0]["uri"], "file:///a", "{answer}");
            client.notify("notifications/roots/list_changed", json!({})).await;
            actor.until("notifications/roots/list_changed").await;
        } else {
            let why = answer["error"]["message"].as_str().unwrap();
            assert!(why.contains("no call of a client is at work"), "{answer}");
        }
        assert!(rig.end().await);
    }
}

/// What a legacy server asks in one go a modern client is asked in one go.
#[tokio::test]
async fn questions_that_come_together_go_together() {
    let (rig, _) = rig(Manner::Legacy);
    let client = rig.client(Over::Stdio, MODERN, all()).await;
    let form = json!({"message": "name?", "requestedSchema": {"type": "object", "properties": {}}});
    let wants = json!([
        {"method": "elicitation/create", "params": form},
        {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}},
        {"method": "roots/list"},
    ]);
    let params = json!({"name": "ask", "arguments": {"wants": wants}});
    let asked = client.request("tools/call", params.clone()).await.unwrap();
    assert_eq!(asked["inputRequests"].as_object().unwrap().len(), 3, "{asked}");
    let done = client
        .request("tools/call", retry(&params, &asked, answers))
        .await
        .unwrap();
    assert_eq!(heard(&done)["got"].as_array().unwrap().len(), 3, "{done}");
    assert!(rig.end().await);
}

/// What a client tells of its progress with a server's request goes to that server, under the server's own token.
#[tokio::test]
async fn progress_with_a_question_reaches_who_asked() {
    let (rig, actor) = rig(Manner::Legacy);
    let client = rig.client(Over::Stdio, "2025-11-25", all()).await;
    let params = json!({"messages": [], "maxTokens": 1, "_meta": {"progressToken": "theirs", "vendor": 1}});
    let wants = json!([{"method": "sampling/createMessage", "params": params}]);
    let arguments = json!({"wants": wants});
    let questions = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&questions);
    client.respond(move |_, params| {
        kept.lock().unwrap().push(params.clone());
        None
    });
    let calling = client
        .start("tools/call", json!({"name": "ask", "arguments": arguments}))
        .await;
    let asked = eventually("the question", async || questions.lock().unwrap().pop()).await;
    let token = &asked["_meta"]["progressToken"];
    assert_eq!(asked["_meta"]["vendor"], 1);
    assert_ne!(token, "theirs");
    // One that nobody gave out goes nowhere.
    for token in [&json!(999), token] {
        let told = json!({"progressToken": token, "progress": 1, "total": 2, "vendor": {"big": 12_345_678_901_234_567_890_u64}});
        client.notify("notifications/progress", told).await;
    }
    let told = actor.until("notifications/progress").await;
    let theirs = json!({"progressToken": "theirs", "progress": 1, "total": 2, "vendor": {"big": 12_345_678_901_234_567_890_u64}});
    assert_eq!(told["params"], theirs);
    assert_eq!(actor.seen("notifications/progress").len(), 1);
    // The token is the number of the request.
    let answer = json!({"jsonrpc": "2.0", "id": token, "result": answers("sampling/createMessage", &asked)});
    client.send_line(&answer.to_string()).await;
    assert_eq!(heard(&calling.answer().await.unwrap())["got"][0]["model"], "m");
    assert!(rig.end().await);
}
