//! Every protocol revision, over both transports, also mixed.

use serde_json::{Value, json};
use testkit::McpClient;

use crate::rig::{LEGACY, MODERN, Over, Rig};

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

#[tokio::test]
async fn legacy_revisions() {
    for over in [Over::Stdio, Over::Http] {
        let rig = Rig::new();
        for version in LEGACY {
            let client = rig.connect(over).await;
            let hello = client.initialize(version).await;
            assert_eq!(hello["protocolVersion"], version, "{over:?}");
            assert_eq!(hello["serverInfo"], json!({"name": "gate", "version": "1.0"}));
            assert_eq!(hello["instructions"], "About fake.");
            assert_eq!(client.request("ping", json!({})).await, Ok(json!({})));
            assert_eq!(
                client.request("logging/setLevel", json!({"level": "info"})).await,
                Ok(json!({}))
            );
            assert_eq!(client.tools().await.len(), 11);
            assert_eq!(client.call("change", json!({})).await.ok().text(), "change done");
            no_era(&client.request("tools/list", json!({})).await.unwrap());
            all_kinds(&client).await;
        }
        assert!(rig.end().await);
    }
}

/// Results of the legacy era carry nothing of the modern one.
fn no_era(result: &Value) {
    for member in ["resultType", "ttlMs", "cacheScope", "_meta"] {
        assert_eq!(result.get(member), None, "{member}");
    }
}

/// What is the same in all revisions.
async fn all_kinds(client: &McpClient) {
    let uris = |list: Value| list["resources"][0]["uri"].clone();
    assert_eq!(
        client.request("resources/list", json!({})).await.map(uris),
        Ok(json!("fake://a"))
    );
    let templates = client
        .request("resources/templates/list", json!({}))
        .await
        .unwrap();
    assert_eq!(templates["resourceTemplates"][0]["uriTemplate"], "fake://{x}");
    let read = client
        .request("resources/read", json!({"uri": "fake://a"}))
        .await
        .unwrap();
    assert_eq!(read["contents"][0]["text"], "A");
    let prompts = client.request("prompts/list", json!({})).await.unwrap();
    assert_eq!(prompts["prompts"][0]["name"], "greet");
    let prompt = client
        .request(
            "prompts/get",
            json!({"name": "greet", "arguments": {"who": "you"}}),
        )
        .await
        .unwrap();
    assert_eq!(prompt["messages"][0]["content"]["text"], "hello \"you\"");
    let reference = json!({"type": "ref/prompt", "name": "greet"});
    let completion = json!({"ref": reference, "argument": {"name": "who", "value": "o"}});
    let completed = client.request("completion/complete", completion).await.unwrap();
    assert_eq!(completed["completion"]["values"], json!(["one", "two"]));
}

#[tokio::test]
async fn modern_revision() {
    for over in [Over::Stdio, Over::Http] {
        let rig = Rig::new();
        let client = rig.client(over, MODERN, json!({})).await;
        let discovered = client.request("server/discover", json!({})).await.unwrap();
        assert_eq!(
            discovered["supportedVersions"],
            json!([
                "2026-07-28",
                "2025-11-25",
                "2025-06-18",
                "2025-03-26",
                "2024-11-05"
            ])
        );
        assert_eq!(rig.fake.starts(), 0, "discover waits for no server");
        assert_eq!(discovered["instructions"], "About fake.");
        all_kinds(&client).await;
        for (method, params, is_cacheable) in [
            ("server/discover", json!({}), true),
            ("tools/list", json!({}), true),
            ("resources/list", json!({}), true),
            ("resources/templates/list", json!({}), true),
            ("prompts/list", json!({}), true),
            ("resources/read", json!({"uri": "fake://a"}), true),
            ("prompts/get", json!({"name": "greet"}), false),
            ("tools/call", json!({"name": "change"}), false),
        ] {
            let result = client.request(method, params).await.unwrap();
            assert_eq!(result["resultType"], "complete", "{method}");
            assert_eq!(
                result["_meta"][SERVER_INFO],
                json!({"name": "gate", "version": "1.0"}),
                "{method}"
            );
            assert_eq!(result["ttlMs"].is_u64(), is_cacheable, "{method}");
            assert_eq!(result["cacheScope"] == "private", is_cacheable, "{method}");
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn modern_errors() {
    for over in [Over::Stdio, Over::Http] {
        let rig = Rig::new();
        let client = rig.client(over, MODERN, json!({})).await;
        for (method, params, code) in [
            ("initialize", json!({}), -32601),
            ("ping", json!({}), -32601),
            ("logging/setLevel", json!({"level": "info"}), -32601),
            ("resources/subscribe", json!({"uri": "fake://a"}), -32601),
            ("nonsense", json!({}), -32601),
            ("tools/call", json!({"name": "nonsense"}), -32602),
            ("tools/call", json!({"name": "echo", "arguments": []}), -32602),
            ("tools/list", json!({"cursor": "nonsense"}), -32602),
            // -32002 is not of this era.
            ("resources/read", json!({"uri": "fake://none"}), -32602),
            ("subscriptions/listen", json!({}), -32602),
        ] {
            let error = client.request(method, params).await.unwrap_err();
            assert_eq!(error.code, code, "{over:?} {method}: {error}");
        }
        // The server's own data stays; where there is none, the resource is named.
        let missing = client
            .request("resources/read", json!({"uri": "fake://none"}))
            .await
            .unwrap_err();
        assert_eq!(missing.data, json!({"why": [1, 2]}));
        let missing = client
            .request("resources/read", json!({"uri": "dockmaster://answer/0/1"}))
            .await
            .unwrap_err();
        assert_eq!(missing.data, json!({"uri": "dockmaster://answer/0/1"}));
        client.modern("1999-01-01", &json!({}));
        let error = client.request("tools/list", json!({})).await.unwrap_err();
        assert_eq!(error.code, -32022);
        assert_eq!(error.data["requested"], "1999-01-01");
        assert_eq!(error.data["supported"][0], MODERN);
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn legacy_errors() {
    for over in [Over::Stdio, Over::Http] {
        let rig = Rig::new();
        let client = rig.client(over, "2025-06-18", json!({})).await;
        for (method, params, code) in [
            ("nonsense", json!({}), -32601),
            ("tools/call", json!({"name": "nonsense"}), -32602),
            ("tools/call", json!({}), -32602),
            ("tools/list", json!({"cursor": 7}), -32602),
            ("logging/setLevel", json!({"level": "loud"}), -32602),
            ("resources/read", json!({"uri": "fake://none"}), -32002),
            (
                "completion/complete",
                json!({"ref": {"type": "ref/other"}}),
                -32602,
            ),
        ] {
            let error = client.request(method, params).await.unwrap_err();
            assert_eq!(error.code, code, "{over:?} {method}: {error}");
        }
        assert!(rig.end().await);
    }
}

#[tokio::test]
async fn both_eras_on_one_pipe() {
    let rig = Rig::new();
    rig.fake.set_down(true);
    let client = rig.stdio();
    // A client that is tired of waiting for discover sends initialize; both are answered, though no server runs.
    client.modern(MODERN, &json!({}));
    let discover = client.start("server/discover", json!({})).await;
    let hello =
        r#"{"jsonrpc":"2.0","id":"h","method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    client.send_line(hello).await;
    assert!(discover.answer().await.is_ok());
    assert!(client.stray().await.contains(r#""protocolVersion":"2025-11-25""#));

    rig.fake.set_down(false);
    assert_eq!(
        client.request("tools/list", json!({})).await.unwrap()["resultType"],
        "complete"
    );
    client
        .send_line(r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#)
        .await;
    let legacy = testkit::eventually("the legacy list", async || {
        client
            .strays()
            .into_iter()
            .find(|line| line.contains("\"tools\":["))
    });
    assert!(!legacy.await.contains("resultType"));
    assert!(rig.end().await);
}

#[tokio::test]
async fn both_eras_at_one_endpoint() {
    let rig = Rig::new();
    let authority = rig.http().await;
    let legacy = McpClient::http(&authority, "/mcp", Some(crate::rig::TOKEN));
    let modern = McpClient::http(&authority, "/mcp", Some(crate::rig::TOKEN));
    legacy.initialize("2025-11-25").await;
    modern.modern(MODERN, &json!({}));
    let (one, other) = tokio::join!(legacy.tools(), modern.tools());
    assert_eq!(one, other);
    assert_eq!(legacy.session().unwrap().len(), 32);
    assert_eq!(modern.session(), None);
    assert!(rig.end().await);
}

#[tokio::test]
async fn a_second_initialize_is_refused() {
    let rig = Rig::new();
    let client = rig.client(Over::Stdio, "2025-06-18", json!({})).await;
    let error = client
        .request("initialize", json!({"protocolVersion": "2025-06-18"}))
        .await
        .unwrap_err();
    assert_eq!(error.code, -32600);
    assert_eq!(client.tools().await.len(), 11);
    let early = rig.stdio();
    assert_eq!(
        early.request("tools/list", json!({})).await.unwrap_err().code,
        -32600
    );
    assert!(rig.end().await);
}
