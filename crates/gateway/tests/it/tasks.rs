//! Calls whose answer comes later, wherever old and new clients meet old and new servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::names::ServerName;
use gateway::{Link, Server, Sharing, Wire};
use serde_json::{Value, json};
use testkit::{McpClient, eventually};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use self::jobs::Jobs;
use crate::rig::{Fake, Knows, MODERN, OTHER_TOKEN, Over, Rig, TOKEN};

// The same tools that the official suite uses.
#[path = "../../examples/conformance/jobs.rs"]
mod jobs;

const OLD: &str = "2025-11-25";
const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const RELATED: &str = "io.modelcontextprotocol/related-task";
/// Whether server and client are modern.
const MEETINGS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

fn takes_tasks() -> Value {
    json!({"elicitation": {}, "extensions": {EXTENSION: {}}})
}

/// A server that has nothing but jobs.
fn worker(name: &str, is_modern: bool) -> Server {
    forgetful(name, is_modern, &Arc::default())
}

/// The same; while `forgets` is set it gives no results.
fn forgetful(name: &str, is_modern: bool, forgets: &Arc<AtomicBool>) -> Server {
    let forgets = Arc::clone(forgets);
    let connect = move |_| {
        let forgets = Arc::clone(&forgets);
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let link = Link {
            wire: Wire::Pipe(Box::new(theirs)),
            driver: Some(Box::pin(async move {
                work(ours, is_modern, &forgets).await;
                None
            })),
        };
        Box::pin(std::future::ready(Ok(link))) as _
    };
    Server::new(
        ServerName::parse(name).unwrap(),
        Box::new(connect),
        Arc::new(Knows),
    )
}

async fn work(stream: DuplexStream, is_modern: bool, forgets: &AtomicBool) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let mut jobs = Jobs::new(is_modern);
    loop {
        let due = jobs.due().map(tokio::time::Instant::from_std);
        let is_due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let sent = tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) if forgets.load(Ordering::SeqCst) && line.contains("\"tasks/result\"") => vec![],
                Ok(Some(line)) => answers(&mut jobs, is_modern, &serde_json::from_str(&line).unwrap()),
                _ => return,
            },
            () = is_due => jobs.tick(),
        };
        for message in sent {
            if writer.write_all(format!("{message}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn answers(jobs: &mut Jobs, is_modern: bool, message: &Value) -> Vec<Value> {
    let (id, params) = (&message["id"], &message["params"]);
    let Some(method) = message["method"].as_str() else {
        return jobs.answered(message).unwrap_or_default();
    };
    if let Some(sent) = jobs.request(id, method, params) {
        return sent;
    }
    let mut capabilities = json!({"tools": {}});
    jobs.capabilities(&mut capabilities);
    let result = match method {
        _ if id.is_null() => return vec![],
        "server/discover" if is_modern => {
            json!({"supportedVersions": [MODERN], "capabilities": capabilities})
        }
        "initialize" if !is_modern => json!({"protocolVersion": OLD, "capabilities": capabilities}),
        "subscriptions/listen" => {
            jobs.listen(id, params);
            let params = json!({
                "_meta": {"io.modelcontextprotocol/subscriptionId": id}, "notifications": params["notifications"],
            });
            return vec![json!({
                "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params,
            })];
        }
        "tools/list" => json!({"tools": jobs.tools()}),
        other => {
            return vec![json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": other}})];
        }
    };
    vec![json!({"jsonrpc": "2.0", "id": id, "result": result})]
}

fn before(servers: Vec<Server>) -> Rig {
    Rig::before(Fake::new(), |parts| parts.servers = servers)
}

/// A client of either era, at a gateway that knows its servers.
async fn client(rig: &Rig, is_modern: bool) -> McpClient {
    let version = if is_modern { MODERN } else { OLD };
    let client = rig.client(Over::Stdio, version, takes_tasks()).await;
    client.request("tools/list", json!({})).await.unwrap();
    client
}

/// Calls, and gives the task that the call became.
async fn begin(client: &McpClient, is_modern: bool, tool: &str, arguments: Value) -> Value {
    let mut params = json!({"name": tool, "arguments": arguments});
    if is_modern {
        let task = client.request("tools/call", params).await.unwrap();
        assert_eq!(task["resultType"], "task", "{task}");
        assert!(task["ttlMs"].is_u64() && task["ttl"].is_null(), "{task}");
        return task;
    }
    params["task"] = json!({"ttl": 60_000});
    let result = client.request("tools/call", params).await.unwrap();
    let task = result["task"].clone();
    assert!(task["ttl"].is_u64() && task["ttlMs"].is_null(), "{result}");
    task
}

/// How the task stands.
async fn get(client: &McpClient, task: &Value) -> Value {
    client
        .request("tasks/get", json!({"taskId": task["taskId"]}))
        .await
        .unwrap()
}

async fn until(client: &McpClient, task: &Value, status: &str) -> Value {
    eventually(status, async || {
        Some(get(client, task).await).filter(|found| found["status"] == status)
    })
    .await
}

/// What came of it.
async fn outcome(client: &McpClient, is_modern: bool, task: &Value) -> Result<Value, Value> {
    if is_modern {
        return eventually("the outcome", async || {
            let found = get(client, task).await;
            assert_eq!(found["resultType"], "complete", "{found}");
            match found["status"].as_str().unwrap() {
                "completed" => Some(Ok(found["result"].clone())),
                "failed" => Some(Err(found["error"].clone())),
                _ => None,
            }
        })
        .await;
    }
    let result = client
        .request("tasks/result", json!({"taskId": task["taskId"]}))
        .await;
    result.map_err(|error| json!({"code": error.code, "message": error.message}))
}

#[tokio::test]
async fn a_result_comes_later() {
    for (server, modern) in MEETINGS {
        let rig = before(vec![worker("worker", server)]);
        let client = client(&rig, modern).await;
        let task = begin(&client, modern, "slow_compute", json!({"seconds": 0.2})).await;
        assert_eq!(task["status"], "working");
        let found = get(&client, &task).await;
        assert_eq!(found["taskId"], task["taskId"]);
        assert_eq!(found["ttlMs"].is_u64(), modern, "{found}");
        let result = outcome(&client, modern, &task).await.unwrap();
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("slow_compute done"), "{server} {modern}: {text}");
        let related = if modern {
            Value::Null
        } else {
            task["taskId"].clone()
        };
        assert_eq!(result["_meta"][RELATED]["taskId"], related, "{result}");
        assert_eq!(rig.rows.last().tool, "slow_compute");
        assert_eq!(rig.rows.last().outcome, "ok");

        let failing = begin(&client, modern, "failing_job", json!({})).await;
        let result = outcome(&client, modern, &failing).await.unwrap();
        assert_eq!(result["isError"], true, "{server} {modern}");
        let status = &get(&client, &failing).await["status"];
        assert_eq!(status, if modern { "completed" } else { "failed" });

        let broken = begin(&client, modern, "protocol_error_job", json!({})).await;
        let error = outcome(&client, modern, &broken).await.unwrap_err();
        assert_eq!(error["message"], "the job broke down", "{server} {modern}");
        if !modern {
            let listed = client.request("tasks/list", json!({})).await.unwrap();
            let listed = listed["tasks"].as_array().unwrap().clone();
            let ids: Vec<_> = listed.iter().map(|task| task["taskId"].clone()).collect();
            assert_eq!(ids, [&task, &failing, &broken].map(|task| task["taskId"].clone()));
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn a_task_asks_its_client() {
    for (server, modern) in MEETINGS {
        let rig = before(vec![worker("worker", server)]);
        let client = client(&rig, modern).await;
        for (tool, keys) in [
            ("confirm_delete", &["confirm"][..]),
            ("multi_input", &["first", "second"]),
        ] {
            client.respond(|_, params| {
                Some(json!({"action": "accept", "content": {"said": params["message"], "of": params["_meta"][RELATED]["taskId"]}}))
            });
            let task = begin(&client, modern, tool, json!({})).await;
            if modern {
                let mut left = keys.len();
                while left > 0 {
                    let found = eventually("all that is wanted", async || {
                        let found = get(&client, &task).await;
                        let wanted = found["inputRequests"].as_object().map(serde_json::Map::len);
                        (wanted == Some(left)).then_some(found)
                    })
                    .await;
                    assert_eq!(found["status"], "input_required");
                    let (key, request) = found["inputRequests"].as_object().unwrap().iter().next().unwrap();
                    assert_eq!(request["method"], "elicitation/create");
                    let said = json!({"action": "accept", "content": {"said": request["params"]["message"]}});
                    let params =
                        json!({"taskId": task["taskId"], "inputResponses": {key: said, "unasked": 7}});
                    let told = client.request("tasks/update", params).await.unwrap();
                    assert_eq!(told["resultType"], "complete");
                    assert!(told["taskId"].is_null(), "{told}");
                    left -= 1;
                }
            }
            let result = outcome(&client, modern, &task).await.unwrap();
            let text = result["content"][0]["text"].as_str().unwrap();
            let said: Value = serde_json::from_str(text.split_once(": ").unwrap().1).unwrap();
            for key in keys {
                assert_eq!(said[key]["content"]["said"], *key, "{server} {modern}: {text}");
                if !modern {
                    assert_eq!(said[key]["content"]["of"], task["taskId"], "{text}");
                }
            }
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn a_task_is_cancelled() {
    for (server, modern) in MEETINGS {
        let rig = before(vec![worker("worker", server)]);
        let client = client(&rig, modern).await;
        let task = begin(&client, modern, "slow_compute", json!({"seconds": 60})).await;
        let params = json!({"taskId": task["taskId"]});
        let told = client.request("tasks/cancel", params.clone()).await.unwrap();
        let status = if modern { Value::Null } else { "cancelled".into() };
        assert_eq!(told["status"], status, "{server} {modern}: {told}");
        until(&client, &task, "cancelled").await;
        if modern {
            let told = client.request("tasks/cancel", params).await.unwrap();
            assert_eq!(told["resultType"], "complete");
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn a_task_is_its_principals_alone_and_its_name_unique() {
    for server in [false, true] {
        let rig = before(vec![worker("one", server), worker("two", server)]);
        let authority = rig.http().await;
        let connect = async |token| {
            let client = McpClient::http(&authority, "/mcp", Some(token));
            client.initialize_with(OLD, takes_tasks()).await;
            client.request("tools/list", json!({})).await.unwrap();
            client
        };
        let (ann, bob) = (connect(TOKEN).await, connect(OTHER_TOKEN).await);
        let one = begin(&ann, false, "one_slow_compute", json!({"seconds": 60})).await;
        let two = begin(&ann, false, "two_failing_job", json!({})).await;
        assert_ne!(one["taskId"], two["taskId"]);
        assert_eq!(outcome(&ann, false, &two).await.unwrap()["isError"], true);
        assert_eq!(get(&ann, &one).await["status"], "working");
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            let error = bob
                .request(method, json!({"taskId": one["taskId"]}))
                .await
                .unwrap_err();
            assert_eq!(error.code, -32602, "{error}");
        }
        let listed = bob.request("tasks/list", json!({})).await.unwrap();
        assert_eq!(listed["tasks"], json!([]));
        // The same name for another's task is no way to the first.
        let other = begin(&bob, false, "one_failing_job", json!({})).await;
        assert_eq!(outcome(&bob, false, &other).await.unwrap()["isError"], true);
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn word_of_a_task_reaches_who_made_it() {
    for (server, modern) in MEETINGS {
        let rig = before(vec![worker("worker", server)]);
        let (maker, other) = (client(&rig, modern).await, client(&rig, modern).await);
        let task = begin(&maker, modern, "slow_compute", json!({"seconds": 0.3})).await;
        let method = if modern {
            "notifications/tasks"
        } else {
            "notifications/tasks/status"
        };
        if modern {
            let filter = json!({"notifications": {"taskIds": [task["taskId"], "unknown"]}});
            let _listening = maker.start("subscriptions/listen", filter).await;
            let granted = maker
                .notification("notifications/subscriptions/acknowledged")
                .await;
            assert_eq!(granted["notifications"]["taskIds"], json!([task["taskId"]]));
            let told = eventually("the end", async || {
                let told = maker.notifications(method);
                told.into_iter().find(|told| told["status"] == "completed")
            })
            .await;
            assert_eq!(told["taskId"], task["taskId"]);
            assert!(told["result"]["content"].is_array(), "{server}: {told}");
        } else {
            let told = maker.notification(method).await;
            assert_eq!(told["taskId"], task["taskId"], "{server}: {told}");
            assert_eq!(told["ttlMs"], Value::Null, "{told}");
        }
        other.request("tools/list", json!({})).await.unwrap();
        assert!(other.notifications(method).is_empty());
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn clients_that_take_no_tasks_get_the_result_all_the_same() {
    // A legacy client that did not ask for a task, at a server that does it by a task only.
    let rig = before(vec![worker("worker", true)]);
    let old = client(&rig, false).await;
    old.respond(|_, params| Some(json!({"action": "accept", "content": {"said": params["message"]}})));
    let plain = async |client: &McpClient, tool: &str| {
        let params = json!({"name": tool, "arguments": {"seconds": 0}});
        client.request("tools/call", params).await
    };
    assert_eq!(plain(&old, "failing_job").await.unwrap()["isError"], true);
    let asked = plain(&old, "confirm_delete").await.unwrap();
    assert!(
        asked["content"][0]["text"].as_str().unwrap().contains("confirm"),
        "{asked}"
    );
    let broken = plain(&old, "protocol_error_job").await.unwrap_err();
    assert_eq!(broken.message, "the job broke down");
    // A modern one is told that it has to take one.
    let unable = rig.client(Over::Stdio, MODERN, json!({})).await;
    assert_eq!(plain(&unable, "failing_job").await.unwrap_err().code, -32021);
    let error = unable
        .request("tasks/get", json!({"taskId": "x"}))
        .await
        .unwrap_err();
    assert_eq!(error.code, -32021);
    assert_eq!(
        error.data["requiredCapabilities"],
        json!({"extensions": {EXTENSION: {}}})
    );
    let filter = json!({"notifications": {"taskIds": ["x"]}});
    let error = unable.request("subscriptions/listen", filter).await.unwrap_err();
    assert_eq!(error.code, -32021);
    assert!(rig.end().await);

    // A modern client that takes none, at a legacy server that wants its tools called as tasks.
    let rig = before(vec![worker("worker", false)]);
    let unable = rig.client(Over::Stdio, MODERN, json!({})).await;
    unable.request("tools/list", json!({})).await.unwrap();
    let result = plain(&unable, "slow_compute").await.unwrap();
    assert!(result["content"][0]["text"].is_string(), "{result}");
    assert!(result["_meta"][RELATED].is_null(), "{result}");
    assert_eq!(plain(&unable, "failing_job").await.unwrap()["isError"], true);
    assert!(rig.end().await);
}

#[tokio::test]
async fn an_answer_that_is_there_at_once_is_a_task_where_one_was_wanted() {
    let rig = before(vec![worker("worker", true)]);
    let old = client(&rig, false).await;
    let listed = old.request("tools/list", json!({})).await.unwrap();
    assert_eq!(listed["tools"][0]["execution"]["taskSupport"], "optional");
    let task = begin(&old, false, "greet", json!({"name": "Ann"})).await;
    assert_eq!(task["status"], "working");
    assert_eq!(get(&old, &task).await["status"], "completed");
    let result = outcome(&old, false, &task).await.unwrap();
    assert_eq!(result["content"][0]["text"], "Hello, Ann!");
    assert_eq!(result["_meta"][RELATED]["taskId"], task["taskId"]);
    let error = old
        .request("tasks/cancel", json!({"taskId": task["taskId"]}))
        .await
        .unwrap_err();
    assert_eq!(error.code, -32602);
    assert!(rig.end().await);
}

/// That no result came says nothing of the task.
#[tokio::test]
async fn a_result_that_does_not_come_is_asked_for_again() {
    let forgets = Arc::new(AtomicBool::new(true));
    let rig = Rig::before(Fake::new(), |parts| {
        parts.servers = vec![forgetful("worker", false, &forgets)];
        parts.limits.list = std::time::Duration::from_secs(1);
    });
    let client = client(&rig, true).await;
    let task = begin(&client, true, "slow_compute", json!({"seconds": 0})).await;
    let params = json!({"taskId": task["taskId"]});
    let error = client.request("tasks/get", params).await.unwrap_err();
    assert!(
        error.message.contains("did not answer tasks/result within 1 s"),
        "{error}"
    );
    forgets.store(false, Ordering::SeqCst);
    let result = outcome(&client, true, &task).await.unwrap();
    assert!(result["content"][0]["text"].is_string(), "{result}");
    assert!(rig.end().await);
}

#[tokio::test]
async fn results_that_are_kept_for_clients_have_bounds() {
    let rig = Rig::before(Fake::new(), |parts| {
        parts.servers = vec![worker("worker", true)];
        parts.limits.kept_bytes = 500;
    });
    let old = client(&rig, false).await;
    let name = "x".repeat(300);
    let mut tasks = Vec::new();
    for _ in 0..2 {
        tasks.push(begin(&old, false, "greet", json!({"name": name})).await);
    }
    let error = outcome(&old, false, &tasks[0]).await.unwrap_err();
    assert!(
        error["message"].as_str().unwrap().contains("there is no task"),
        "{error}"
    );
    assert!(outcome(&old, false, &tasks[1]).await.is_ok());
    let listed = old.request("tasks/list", json!({})).await.unwrap();
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1, "{listed}");
    // What is too long to be kept is given at once.
    let params = json!({"name": "greet", "arguments": {"name": "x".repeat(600)}, "task": {}});
    let result = old.request("tools/call", params).await.unwrap();
    assert!(
        result["task"].is_null() && result["content"].is_array(),
        "{result}"
    );
    assert!(outcome(&old, false, &tasks[1]).await.is_ok());
    assert!(rig.end().await);
}

#[tokio::test(start_paused = true)]
async fn results_are_kept_for_as_long_as_was_told() {
    let rig = before(vec![worker("worker", true)]);
    let old = client(&rig, false).await;
    let task = begin(&old, false, "greet", json!({})).await;
    let life = std::time::Duration::from_millis(task["ttl"].as_u64().unwrap());
    let rest = std::time::Duration::from_mins(1);
    tokio::time::advance(life.checked_sub(rest).unwrap()).await;
    assert!(outcome(&old, false, &task).await.is_ok());
    tokio::time::advance(rest).await;
    let listed = old.request("tasks/list", json!({})).await.unwrap();
    assert_eq!(listed["tasks"], json!([]));
    assert_eq!(outcome(&old, false, &task).await.unwrap_err()["code"], -32602);
    assert!(rig.end().await);
}

/// However often its clients listen, the gateway follows a task once.
#[tokio::test]
async fn a_task_is_followed_once() {
    let rig = before(vec![worker("worker", true)]);
    let maker = client(&rig, true).await;
    let task = begin(&maker, true, "slow_compute", json!({"seconds": 60})).await;
    let at_work = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = at_work();
    let filter = json!({"notifications": {"taskIds": vec![task["taskId"].clone(); 50]}});
    let _listening = maker.start("subscriptions/listen", filter).await;
    maker
        .notification("notifications/subscriptions/acknowledged")
        .await;
    assert!(at_work() < before + 10, "{before} before, now {}", at_work());
    assert!(rig.end().await);
}

#[tokio::test]
async fn an_instance_lives_as_long_as_its_task() {
    let server = Server {
        sharing: Sharing::Call,
        ..worker("worker", false)
    };
    let rig = before(vec![server]);
    let old = client(&rig, false).await;
    let one = begin(&old, false, "slow_compute", json!({"seconds": 0.1})).await;
    let two = begin(&old, false, "slow_compute", json!({"seconds": 0.1})).await;
    assert_ne!(one["taskId"], two["taskId"], "each instance counts from one");
    for task in [&one, &two] {
        let result = outcome(&old, false, task).await.unwrap();
        assert_eq!(result["_meta"][RELATED]["taskId"], task["taskId"]);
    }
    let of_calls = async || {
        let status = rig.gateway.status();
        let live = status.servers[0].instances.iter();
        let left = live.filter(|instance| instance.owner.starts_with("call")).count();
        (left == 0).then_some(())
    };
    eventually("the instances to end", of_calls).await;
    let error = outcome(&old, false, &one).await.unwrap_err();
    assert_eq!(error["code"], -32602);
    assert!(rig.end().await);
}

#[tokio::test]
async fn tasks_are_offered_where_there_are_any() {
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, OLD, json!({})).await;
    client.request("tools/list", json!({})).await.unwrap();
    let second = rig.connect(Over::Stdio).await;
    let told = second.initialize_with(OLD, json!({})).await;
    assert!(told["capabilities"]["tasks"].is_null(), "{told}");
    assert!(rig.end().await);
    for server in [false, true] {
        let rig = before(vec![worker("worker", server)]);
        let _known = client_of(&rig).await;
        let old = rig.connect(Over::Stdio).await;
        let told = old.initialize_with(OLD, json!({})).await;
        assert!(
            told["capabilities"]["tasks"]["requests"]["tools"]["call"].is_object(),
            "{told}"
        );
        assert!(told["capabilities"]["extensions"].is_null(), "{told}");
        assert!(told["capabilities"]["prompts"].is_null(), "{told}");
        let new = rig.client(Over::Stdio, MODERN, json!({})).await;
        let told = new.request("server/discover", json!({})).await.unwrap();
        assert!(
            told["capabilities"]["extensions"][EXTENSION].is_object(),
            "{told}"
        );
        assert!(told["capabilities"]["tasks"].is_null(), "{told}");
        assert!(rig.end().await);
    }
}

async fn client_of(rig: &Rig) -> McpClient {
    client(rig, false).await
}
