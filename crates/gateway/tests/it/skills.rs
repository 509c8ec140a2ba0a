//! Skills of several servers at one endpoint.

use std::sync::Arc;

use base::names::ServerName;
use gateway::{Link, Server, Wire};
use serde_json::{Value, json};
use testkit::McpClient;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use crate::rig::{Fake, Knows, MODERN, Over, Rig};

const EXTENSION: &str = "io.modelcontextprotocol/skills";
const GREET: &str = "skill://greet/SKILL.md";

/// A server with two skills, each on a page of its own: `greet`, which all of them have, and one of its own name. It lists
/// none of their files as resources.
fn teacher(name: &'static str, is_modern: bool, is_broken: bool) -> Server {
    let connect = move |_| {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let link = Link {
            wire: Wire::Pipe(Box::new(theirs)),
            driver: Some(Box::pin(async move {
                teach(ours, name, is_modern, is_broken).await;
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

async fn teach(stream: DuplexStream, name: &str, is_modern: bool, is_broken: bool) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let message: Value = serde_json::from_str(&line).unwrap();
        if message["id"].is_null() {
            continue;
        }
        let mut answer = match lesson(name, is_modern, is_broken, &message) {
            Ok(result) => json!({"result": result}),
            Err(code) => json!({"error": {"code": code, "message": "no"}}),
        };
        answer["jsonrpc"] = "2.0".into();
        answer["id"] = message["id"].clone();
        writer.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }
}

fn lesson(name: &str, is_modern: bool, is_broken: bool, message: &Value) -> Result<Value, i64> {
    let params = &message["params"];
    let own = format!("skill://{name}/SKILL.md");
    let skill = |uri: &str| json!({"uri": uri, "frontmatter": {"name": uri}, "resources": [{"uri": uri, "digest": "d", "size": 1}]});
    let capabilities =
        json!({"resources": {}, "extensions": {EXTENSION: {"directoryRead": true, "of": name}}});
    match message["method"].as_str().unwrap() {
        "server/discover" if is_modern => {
            Ok(json!({"supportedVersions": [MODERN], "capabilities": capabilities}))
        }
        "initialize" if !is_modern => {
            Ok(json!({"protocolVersion": "2025-11-25", "capabilities": capabilities}))
        }
        "resources/list" => Ok(json!({"resources": []})),
        "skills/list" | "skills/get" if is_broken => Err(-32603),
        "skills/list" if params["cursor"].is_null() => {
            Ok(json!({"skills": [skill(GREET)], "nextCursor": "a:b"}))
        }
        "skills/list" if params["cursor"] == "a:b" => Ok(json!({"skills": [skill(&own)], "vendor": 1})),
        "skills/get" if params["uri"] == GREET || params["uri"] == *own => {
            Ok(json!({"skill": skill(params["uri"].as_str().unwrap()), "by": name}))
        }
        "resources/directory/read" if params["uri"] == "skill://greet" => {
            Ok(json!({"resources": [{"uri": "skill://greet/a", "name": "a"}]}))
        }
        "resources/read" if params["uri"] == GREET => {
            Ok(json!({"contents": [{"uri": GREET, "text": format!("Greet as {name} does.")}]}))
        }
        "skills/list" | "skills/get" | "resources/directory/read" => Err(-32602),
        _ => Err(-32601),
    }
}

/// Every skill that is listed, page by page.
async fn all(client: &McpClient) -> Vec<String> {
    let (mut found, mut params) = (Vec::new(), json!({}));
    for _ in 0..20 {
        let page = client.request("skills/list", params).await.unwrap();
        for skill in page["skills"].as_array().unwrap() {
            assert_eq!(skill["uri"], skill["resources"][0]["uri"]);
            found.push(skill["uri"].as_str().unwrap().to_owned());
        }
        if page["nextCursor"].is_null() {
            return found;
        }
        params = json!({"cursor": page["nextCursor"]});
    }
    panic!("it has no end: {found:?}");
}

#[tokio::test]
async fn skills_of_several_servers_are_all_there() {
    for version in ["2025-11-25", MODERN] {
        let servers = vec![
            teacher("ann", true, false),
            teacher("bad", true, true),
            teacher("bob", false, false),
        ];
        let rig = Rig::before(Fake::new(), |parts| parts.servers = servers);
        let client = rig.client(Over::Stdio, version, json!({})).await;
        let skills = all(&client).await;
        assert_eq!(
            skills,
            [
                "skill://dockmaster.ann/greet/SKILL.md",
                "skill://dockmaster.ann/ann/SKILL.md",
                "skill://dockmaster.bob/greet/SKILL.md",
                "skill://dockmaster.bob/bob/SKILL.md",
            ]
        );
        for (uri, name) in [(&skills[0], "ann"), (&skills[2], "bob")] {
            let got = client.request("skills/get", json!({"uri": uri})).await.unwrap();
            assert_eq!(
                (&got["skill"]["uri"], got["by"].as_str()),
                (&json!(uri), Some(name))
            );
            assert_eq!(got["ttlMs"].is_u64(), version == MODERN);
            // Its files are read without having been listed.
            let read = client
                .request("resources/read", json!({"uri": uri}))
                .await
                .unwrap();
            assert_eq!(read["contents"][0]["text"], format!("Greet as {name} does."));
            assert_eq!(read["contents"][0]["uri"], **uri);
            let folder = uri.strip_suffix("/SKILL.md").unwrap();
            let files = client
                .request("resources/directory/read", json!({"uri": folder}))
                .await
                .unwrap();
            assert_eq!(files["resources"][0]["uri"], format!("{folder}/a"));
        }
        for uri in [
            GREET,
            "skill://dockmaster.none/greet/SKILL.md",
            "skill://dockmaster.ann/x",
        ] {
            let error = client
                .request("skills/get", json!({"uri": uri}))
                .await
                .unwrap_err();
            assert_eq!(error.code, -32602, "{uri}: {error}");
        }
        let error = client
            .request("skills/list", json!({"cursor": "none of ours"}))
            .await
            .unwrap_err();
        assert_eq!(error.code, -32602);
        assert!(
            rig.rows.seen().contains(&"bob/skills.list allow ok".to_owned()),
            "{:?}",
            rig.rows.seen()
        );
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn skills_are_offered_as_all_their_servers_do() {
    let rig = Rig::before(Fake::new(), |parts| {
        parts.servers = vec![teacher("ann", true, false), teacher("bob", true, false)];
    });
    let client = rig.client(Over::Stdio, MODERN, json!({})).await;
    client.request("resources/list", json!({})).await.unwrap();
    let found = client.request("server/discover", json!({})).await.unwrap();
    assert_eq!(
        found["capabilities"]["extensions"][EXTENSION],
        json!({"directoryRead": true})
    );
    assert!(rig.end().await);
    // Alone, a server's skills keep their names, and what it says of them stays.
    let rig = Rig::before(Fake::new(), |parts| {
        parts.servers = vec![teacher("ann", true, false)];
    });
    let client = rig.client(Over::Stdio, MODERN, json!({})).await;
    assert_eq!(all(&client).await, [GREET, "skill://ann/SKILL.md"]);
    let found = client.request("server/discover", json!({})).await.unwrap();
    assert_eq!(
        found["capabilities"]["extensions"][EXTENSION],
        json!({"directoryRead": true, "of": "ann"})
    );
    let got = client.request("skills/get", json!({"uri": GREET})).await.unwrap();
    assert_eq!(got["skill"]["uri"], GREET);
    assert!(rig.end().await);
}
