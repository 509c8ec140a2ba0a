//! What a modern request over HTTP says in its headers has to be what its body says.

use serde_json::{Value, json};

use crate::http::{Wire, code};
use crate::rig::{MODERN, Rig};

#[tokio::test]
async fn headers_have_to_say_what_the_body_says() {
    let rig = Rig::new();
    let wire = Wire::new(&rig).await;
    let call = |arguments: Value| json!({"name": "echo", "arguments": arguments});
    for (headers, method, params, wanted) in [
        (vec![], "tools/list", json!({}), (200, 0)),
        (
            vec![("mcp-protocol-version", "")],
            "tools/list",
            json!({}),
            (400, -32020),
        ),
        (
            vec![("mcp-protocol-version", "2025-11-25")],
            "tools/list",
            json!({}),
            (400, -32020),
        ),
        (vec![("mcp-method", "")], "tools/list", json!({}), (400, -32020)),
        (
            vec![("mcp-method", "tools/call")],
            "tools/list",
            json!({}),
            (400, -32020),
        ),
        (
            vec![("mcp-method", "TOOLS/LIST")],
            "tools/list",
            json!({}),
            (400, -32020),
        ),
        (
            vec![("mcp-method", "  tools/list ")],
            "tools/list",
            json!({}),
            (200, 0),
        ),
        (vec![], "tools/call", call(json!({})), (200, 0)),
        (
            vec![("mcp-name", "")],
            "tools/call",
            call(json!({})),
            (400, -32020),
        ),
        (
            vec![("mcp-name", "remove")],
            "tools/call",
            call(json!({})),
            (400, -32020),
        ),
        (
            vec![("mcp-name", "=?base64?ZWNobw==?=")],
            "tools/call",
            call(json!({})),
            (200, 0),
        ),
        (
            vec![("mcp-name", "=?base64?ZWNobw?=")],
            "tools/call",
            call(json!({})),
            (400, -32020),
        ),
        (
            vec![("mcp-name", "")],
            "resources/read",
            json!({"uri": "fake://a"}),
            (400, -32020),
        ),
        (vec![], "resources/read", json!({"uri": "fake://a"}), (200, 0)),
        (vec![], "prompts/get", json!({"name": "greet"}), (200, 0)),
        (vec![], "server/discover", json!({}), (200, 0)),
        (vec![], "nonsense", json!({}), (404, -32601)),
        (vec![], "ping", json!({}), (404, -32601)),
    ] {
        let answer = wire.modern(&headers, method, params).await;
        assert_eq!(code(&answer), wanted, "{headers:?} {method}: {}", answer.body);
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn mirrored_parameters_have_to_agree() {
    let rig = Rig::new();
    let wire = Wire::new(&rig).await;
    for (headers, arguments, wanted) in [
        (
            vec![("mcp-param-region", "us")],
            json!({"region": "us"}),
            (200, 0),
        ),
        (vec![], json!({"region": "us"}), (400, -32020)),
        (
            vec![("mcp-param-region", "eu")],
            json!({"region": "us"}),
            (400, -32020),
        ),
        (vec![("mcp-param-region", "us")], json!({}), (400, -32020)),
        (vec![("mcp-param-other", "us")], json!({}), (200, 0)),
    ] {
        let params = json!({"name": "echo", "arguments": arguments});
        let answer = wire.modern(&headers, "tools/call", params).await;
        assert_eq!(code(&answer), wanted, "{headers:?}: {}", answer.body);
    }
    assert!(rig.end().await);
}

#[tokio::test]
async fn metadata_is_required() {
    let rig = Rig::new();
    let wire = Wire::new(&rig).await;
    let version = ("mcp-protocol-version", MODERN);
    let method = ("mcp-method", "tools/list");
    let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(code(&wire.post(&[version, method], bare).await), (400, -32602));
    let discover = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}"#;
    assert_eq!(code(&wire.post(&[], discover).await), (400, -32602));
    // A client of this era may send a stale session id; it means nothing.
    assert_eq!(
        wire.modern(&[("mcp-session-id", "stale")], "tools/list", json!({}))
            .await
            .status,
        200
    );
    assert_eq!(
        wire.post(
            &[version],
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#
        )
        .await
        .status,
        202
    );
    assert!(rig.end().await);
}
