//! Resources, prompts and completion of hosts beside the local one: the same engine behind another guard, one that is not
//! there, and one that accepts and never answers.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use crate::here::{Server, Setup};
use docker_server::{Elsewhere, Far};
use engine::guard::Mode;
use serde_json::{Value, json};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::Scope;

const SILENT: &str = "silent";

#[derive(Debug)]
struct Others {
    silent: String,
}

impl Elsewhere for Others {
    fn names(&self) -> Vec<String> {
        ["dead", "look", SILENT].map(str::to_owned).to_vec()
    }

    fn host(&self, name: &str) -> Result<Far, String> {
        let endpoint = match name {
            "look" => testkit::endpoint(),
            "dead" => "unix:///nowhere/docker.sock".to_owned(),
            SILENT => self.silent.clone(),
            _ => return Err(format!("there is no host {name:?}; there are: local, look")),
        };
        let setup = Setup {
            endpoint,
            mode: Mode::ReadOnly,
            ..Setup::default()
        };
        Ok(Far {
            engine: setup.options().engine,
            scope_label: None,
        })
    }
}

/// A server among hosts, which itself has no engine; the folder holds the socket of the silent host.
struct Among {
    server: Server,
    _folder: tempfile::TempDir,
    _listener: UnixListener,
}

async fn among_hosts() -> Among {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("silent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let others: Arc<dyn Elsewhere> = Arc::new(Others {
        silent: format!("unix://{}", socket.display()),
    });
    let server = Setup {
        // What is answered can't come from here.
        endpoint: "unix:///nowhere/at/all.sock".to_owned(),
        elsewhere: Some(others),
        ..Setup::default()
    };
    Among {
        server: server.start().await,
        _folder: folder,
        _listener: listener,
    }
}

async fn list(server: &Server, method: &str, member: &str, field: &str) -> Vec<String> {
    let list = server.client.request(method, json!({})).await.unwrap();
    let items = list[member].as_array().unwrap().iter();
    items
        .map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn resources_of_a_host() {
    let scope = Scope::new("far-resources");
    let id = scope
        .run(
            "web",
            &["sh", "-c", "while :; do echo hello from there; sleep 0.2; done"],
        )
        .await;
    let among = among_hosts().await;
    let server = &among.server;
    assert_eq!(
        list(
            server,
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate"
        )
        .await,
        [
            "docker://containers/{name}/logs",
            "docker://containers/{name}/stats",
            "docker://{host}/containers/{name}/logs",
            "docker://{host}/containers/{name}/stats",
            "docker://{host}/events",
        ]
    );
    let logs = format!("docker://look/containers/{id}/logs");
    for (uri, part) in [
        (logs.clone(), "hello from there"),
        (format!("docker://look/containers/{id}/stats"), "iB of "),
        ("docker://look/events".to_owned(), "start"),
    ] {
        testkit::eventually(part, async || {
            let read = server.client.request("resources/read", json!({ "uri": uri }));
            let read = read.await.unwrap();
            assert_eq!(read["contents"][0]["uri"], uri);
            let text = read["contents"][0]["text"].as_str().unwrap();
            text.contains(part).then_some(())
        })
        .await;
    }
    server
        .client
        .request("resources/subscribe", json!({ "uri": logs }))
        .await
        .unwrap();
    testkit::eventually("news of a host's container", async || {
        let news = server.client.notifications("notifications/resources/updated");
        (news
            .iter()
            .filter(|params: &&Value| params["uri"] == logs)
            .count()
            >= 2)
            .then_some(())
    })
    .await;
    for (uri, code, part) in [
        (
            "docker://look/containers/no-such-container/logs",
            -32002,
            "on host look: no container is called",
        ),
        ("docker://lock/events", -32002, "did you mean look?"),
        (
            "docker://dead/containers/web/logs",
            -32603,
            "on host dead: can't reach the Docker Engine at unix:///nowhere/docker.sock",
        ),
    ] {
        for method in ["resources/read", "resources/subscribe"] {
            let error = server
                .client
                .request(method, json!({ "uri": uri }))
                .await
                .unwrap_err();
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(part), "{error}");
        }
    }
    among.server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn the_modern_eras_subscription_to_a_host() {
    let scope = Scope::new("far-listen");
    let id = scope
        .run("web", &["sh", "-c", "while :; do echo again; sleep 0.2; done"])
        .await;
    let others: Arc<dyn Elsewhere> = Arc::new(Others {
        silent: String::new(),
    });
    let server = Setup {
        endpoint: "unix:///nowhere/at/all.sock".to_owned(),
        elsewhere: Some(others),
        ..Setup::default()
    }
    .join();
    server.client.modern("2026-07-28", &json!({}));
    server.client.request("server/discover", json!({})).await.unwrap();
    let uri = format!("docker://look/containers/{id}/logs");
    let asked = [uri.as_str(), "docker://nobody/events"];
    let filter = json!({ "notifications": { "resourceSubscriptions": asked } });
    let listening = server.client.start("subscriptions/listen", filter).await;
    let accepted = server
        .client
        .notification("notifications/subscriptions/acknowledged")
        .await;
    assert_eq!(accepted["notifications"]["resourceSubscriptions"], json!([uri]));
    testkit::eventually("news", async || {
        let news = server.client.notifications("notifications/resources/updated");
        (news.iter().filter(|params: &&Value| params["uri"] == uri).count() >= 2).then_some(())
    })
    .await;
    assert!(listening.is_open());
    server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn prompts_for_a_host() {
    let scope = Scope::new("far-prompts");
    let id = scope
        .run("web", &["sh", "-c", "echo i am not well; exit 3"])
        .await;
    let among = among_hosts().await;
    let client = &among.server.client;
    let prompts = client.request("prompts/list", json!({})).await.unwrap();
    for prompt in prompts["prompts"].as_array().unwrap() {
        let host = prompt["arguments"].as_array().unwrap().last().unwrap();
        assert_eq!(host["name"], "host", "{prompt}");
        assert_ne!(host["required"], true, "{prompt}");
    }
    let get = async |name: &str, arguments: Value| {
        let params = json!({ "name": name, "arguments": arguments });
        let prompt = client.request("prompts/get", params).await?;
        Ok::<_, testkit::RpcError>(
            prompt["messages"][0]["content"]["text"]
                .as_str()
                .unwrap()
                .to_owned(),
        )
    };
    let triage = testkit::eventually("the log", async || {
        let said = get("triage_container", json!({ "container": id, "host": "look" })).await;
        said.ok().filter(|text| text.contains("i am not well"))
    })
    .await;
    for part in [
        format!("container {id} on the host look."),
        "Give host=look with every call of a Docker tool.".to_owned(),
    ] {
        assert!(triage.contains(&part), "{triage}");
    }
    let project = json!({ "project": "shop", "goal": "a web shop", "host": "look" });
    let deploy = get("deploy_containers", project).await.unwrap();
    assert!(
        deploy.starts_with("Deploy this with Docker on the host look, as project shop:")
            && deploy.contains("How:\nGive host=look with every call of a Docker tool.\n1. "),
        "{deploy}"
    );
    // What is left out, or left empty, means the local one, which is not there.
    for host in [json!(null), json!(""), json!("local")] {
        let arguments = json!({ "container": id, "host": host });
        let error = get("triage_container", arguments).await.unwrap_err();
        assert!(error.message.contains("unix:///nowhere/at/all.sock"), "{error}");
    }
    let error = get("triage_container", json!({ "container": id, "host": "lok" }))
        .await
        .unwrap_err();
    assert_eq!(error.code, -32602);
    assert!(error.message.contains("did you mean look?"), "{error}");
    among.server.end().await;
    scope.finish().await;
}

#[tokio::test]
async fn completion_of_hosts_and_of_what_is_there() {
    let scope = Scope::new("far-completion");
    let name = scope.name("findme");
    scope.run("findme", &["sleep", "600"]).await;
    let among = among_hosts().await;
    let typed = &name[..name.len() - 3];
    let template = json!({ "type": "ref/resource", "uri": "docker://{host}/containers/{name}/logs" });
    let half = json!({ "type": "ref/resource", "uri": "docker://look/containers/{name}/logs" });
    let prompt = json!({ "type": "ref/prompt", "name": "triage_container" });
    let on = |host: &str| json!({ "arguments": { "host": host } });
    let nothing: &[&str] = &[];
    for (reference, argument, typed, context, expected) in [
        (&template, "host", "lo", None, &["local", "look"][..]),
        (&prompt, "host", "", None, &["local", "dead", "look", SILENT]),
        (&prompt, "host", "EN", None, &[SILENT]),
        (&template, "name", typed, Some(on("look")), &[&name]),
        (&half, "name", typed, None, &[&name]),
        (&prompt, "container", typed, Some(on("look")), &[&name]),
        // Without a host a template means none, and a prompt the local one, which is not there.
        (&template, "name", typed, None, nothing),
        (&prompt, "container", typed, None, nothing),
        (&prompt, "container", typed, Some(on("dead")), nothing),
        (&prompt, "container", typed, Some(on("nobody")), nothing),
        (&prompt, "container", typed, Some(on(SILENT)), nothing),
    ] {
        let mut params = json!({ "ref": reference, "argument": { "name": argument, "value": typed } });
        if let Some(context) = &context {
            params["context"] = context.clone();
        }
        let began = Instant::now();
        let answer = among.server.client.request("completion/complete", params).await;
        let values = &answer.unwrap()["completion"]["values"];
        assert_eq!(*values, json!(expected), "{argument} of {reference}, {context:?}");
        // The request itself is given a minute.
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
    among.server.end().await;
    scope.finish().await;
}

/// Without other hosts nobody hears of them.
#[tokio::test]
async fn one_host_is_named_nowhere() {
    let server = crate::here::server().await;
    let templates = list(
        &server,
        "resources/templates/list",
        "resourceTemplates",
        "uriTemplate",
    )
    .await;
    assert!(
        templates.iter().all(|uri| !uri.contains("{host}")),
        "{templates:?}"
    );
    let prompts = server.client.request("prompts/list", json!({})).await.unwrap();
    assert!(!prompts.to_string().contains("\"host\""), "{prompts}");
    let error = server
        .client
        .request("resources/read", json!({ "uri": "docker://prod/events" }))
        .await
        .unwrap_err();
    assert_eq!(error.code, -32002);
    assert!(
        error.message.contains("there is no host \"prod\", only local"),
        "{error}"
    );
    // It has a name all the same.
    let read = server
        .client
        .request("resources/read", json!({ "uri": "docker://local/events" }));
    assert!(read.await.is_ok());
    server.end().await;
}
