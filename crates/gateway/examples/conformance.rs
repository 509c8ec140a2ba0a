//! A gateway before a small server with the names that the official conformance suite asks for:
//!
//! ```text
//! cargo run -p gateway --example conformance -- 127.0.0.1:8899 a-token-of-16-characters
//! npx @modelcontextprotocol/conformance@0.2.0-alpha.12 server --url http://127.0.0.1:8899/mcp --requirements 2025-11-25
//! ```
//!
//! The suite sends no token, so something has to add the `Authorization` header to its requests; a preloaded script
//! that wraps undici's dispatcher does.

use std::sync::Arc;

use base::Secret;
use base::names::ServerName;
use futures_util::future::BoxFuture;
use gateway::{
    CancellationToken, Describe, Gateway, HttpOptions, Journal, Key, Link, Parts, Principal, Server, Wire,
};
use policy::Effect;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

/// One red pixel, as PNG.
const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
/// The head of a WAV file without samples.
const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8899".to_owned())
        .parse()?;
    let token = Secret::new(
        arguments
            .next()
            .unwrap_or_else(|| "conformance-conformance".to_owned()),
    );
    let gateway = Gateway::new(Parts {
        servers: vec![Server::new(
            ServerName::parse("fixture")?,
            Box::new(|_| {
                let (ours, theirs) = tokio::io::duplex(64 << 10);
                let link = Link {
                    wire: Wire::Pipe(Box::new(theirs)),
                    driver: Some(Box::pin(serve(ours))),
                };
                Box::pin(std::future::ready(Ok(link)))
            }),
            Arc::new(Harmless),
        )],
        secrets: [token.clone()].into_iter().collect(),
        ..Parts::new(Arc::new(Forgets), "conformance", "1.0")
    })?;
    let options = HttpOptions {
        address,
        keys: vec![Key {
            principal: Principal::new("suite"),
            token,
        }],
        hosts: vec![],
        origins: vec![],
    };
    gateway.bind(options).await?.serve(CancellationToken::new()).await;
    Ok(())
}

/// The suite's calls need no trace.
struct Forgets;

impl Journal for Forgets {
    fn append(&self, _entry: store::Entry) -> BoxFuture<'_, Result<(), store::Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Nothing here does any harm.
struct Harmless;

impl Describe for Harmless {
    fn canonical(&self, _tool: &str) -> Option<String> {
        None
    }

    fn effect(&self, _tool: &str, _arguments: &Value) -> Effect {
        Effect::Read
    }

    fn about(&self, tool: &str, _arguments: &Value) -> String {
        format!("call {tool}")
    }

    fn data_loss(&self, _tool: &str, _arguments: &Value) -> Option<String> {
        None
    }
}

/// The server: a line in, lines out.
async fn serve(stream: DuplexStream) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        for answer in answers(&line) {
            if writer.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn answers(line: &str) -> Vec<Value> {
    let message: Value = serde_json::from_str(line).unwrap_or_default();
    let (id, params) = (&message["id"], &message["params"]);
    if id.is_null() {
        return vec![];
    }
    let mut sent = Vec::new();
    let outcome = match message["method"].as_str().unwrap_or_default() {
        "initialize" => Ok(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {
                "tools": {}, "resources": {"subscribe": true}, "prompts": {}, "completions": {}, "logging": {},
            },
            "serverInfo": {"name": "fixture", "version": "1.0"},
        })),
        "tools/list" => Ok(json!({"tools": tools()})),
        "tools/call" => {
            sent.extend(before(params));
            call(params)
        }
        "resources/list" => Ok(json!({"resources": [
            {"uri": "test://static-text", "name": "text", "mimeType": "text/plain"},
            {"uri": "test://static-binary", "name": "binary", "mimeType": "image/png"},
            {"uri": "test://watched-resource", "name": "watched", "mimeType": "text/plain"},
        ]})),
        "resources/templates/list" => Ok(json!({"resourceTemplates": [
            {"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"},
        ]})),
        "resources/read" => read(params["uri"].as_str().unwrap_or_default()),
        "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel" => Ok(json!({})),
        "prompts/list" => Ok(json!({"prompts": prompts()})),
        "prompts/get" => prompt(params),
        "completion/complete" => {
            Ok(json!({"completion": {"values": ["paris", "park", "party"], "total": 150}}))
        }
        other => Err((-32601, format!("no {other}"))),
    };
    sent.push(match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err((code, message)) => {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
        }
    });
    sent
}

type Outcome = Result<Value, (i64, String)>;

fn tools() -> Vec<Value> {
    let names = [
        "test_simple_text",
        "test_image_content",
        "test_audio_content",
        "test_embedded_resource",
        "test_multiple_content_types",
        "test_tool_with_progress",
        "test_error_handling",
        "test_tool_with_logging",
        "test_logging_tool",
        "test_trigger_tool_change",
        "test_trigger_prompt_change",
    ];
    let plain = names.map(|name| {
        json!({"name": name, "description": format!("{name} of the suite"), "inputSchema": {"type": "object"}})
    });
    let mut tools = plain.to_vec();
    tools.push(json!({
        "name": "json_schema_2020_12_tool",
        "description": "has a schema with keywords of JSON Schema 2020-12",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {"address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }},
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": false,
        },
    }));
    tools.push(json!({
        "name": "test_x_mcp_header",
        "description": "has a parameter that HTTP clients repeat in a header",
        "inputSchema": {
            "type": "object",
            "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
        },
    }));
    tools
}

fn call(params: &Value) -> Outcome {
    let text = |text: &str| json!({"type": "text", "text": text});
    let embedded = || {
        json!({"type": "resource", "resource": {
            "uri": "test://embedded-resource", "mimeType": "text/plain", "text": "This is an embedded resource content.",
        }})
    };
    let image = || json!({"type": "image", "data": IMAGE, "mimeType": "image/png"});
    let content = match params["name"].as_str().unwrap_or_default() {
        "test_simple_text" => vec![text("This is a simple text response for testing.")],
        "test_image_content" => vec![image()],
        "test_audio_content" => vec![json!({"type": "audio", "data": AUDIO, "mimeType": "audio/wav"})],
        "test_embedded_resource" => vec![embedded()],
        "test_multiple_content_types" => vec![text("Multiple content types test:"), image(), embedded()],
        "test_error_handling" => {
            let content = [text("This tool intentionally returns an error for testing")];
            return Ok(json!({"content": content, "isError": true}));
        }
        "test_tool_with_progress"
        | "test_tool_with_logging"
        | "test_logging_tool"
        | "test_trigger_tool_change"
        | "test_trigger_prompt_change"
        | "json_schema_2020_12_tool"
        | "test_x_mcp_header" => vec![text("done")],
        other => return Err((-32602, format!("no tool {other}"))),
    };
    Ok(json!({"content": content}))
}

/// What a tool sends before its answer.
fn before(params: &Value) -> Vec<Value> {
    let token = &params["_meta"]["progressToken"];
    let note = |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
    let log = |text: &str| note("notifications/message", json!({"level": "info", "data": text}));
    match params["name"].as_str().unwrap_or_default() {
        "test_tool_with_progress" if !token.is_null() => [0, 50, 100]
            .map(|at| {
                note(
                    "notifications/progress",
                    json!({"progressToken": token, "progress": at, "total": 100}),
                )
            })
            .to_vec(),
        "test_tool_with_logging" | "test_logging_tool" => [
            "Tool execution started",
            "Tool processing data",
            "Tool execution completed",
        ]
        .map(log)
        .to_vec(),
        "test_trigger_tool_change" => vec![note("notifications/tools/list_changed", json!({}))],
        "test_trigger_prompt_change" => vec![note("notifications/prompts/list_changed", json!({}))],
        _ => vec![],
    }
}

fn read(uri: &str) -> Outcome {
    let contents = match uri {
        "test://static-text" => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource."})
        }
        "test://static-binary" => json!({"uri": uri, "mimeType": "image/png", "blob": IMAGE}),
        "test://watched-resource" => json!({"uri": uri, "mimeType": "text/plain", "text": "watched"}),
        _ => {
            let id = uri
                .strip_prefix("test://template/")
                .and_then(|rest| rest.strip_suffix("/data"));
            let id = id.ok_or_else(|| (-32002, format!("no resource {uri}")))?;
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            json!({"uri": uri, "mimeType": "application/json", "text": data.to_string()})
        }
    };
    Ok(json!({"contents": [contents]}))
}

fn prompts() -> Value {
    let argument =
        |name: &str| json!({"name": name, "description": format!("argument {name}"), "required": true});
    json!([
        {"name": "test_simple_prompt", "description": "without arguments"},
        {"name": "test_prompt_with_arguments", "description": "with arguments", "arguments": [argument("arg1"), argument("arg2")]},
        {"name": "test_prompt_with_embedded_resource", "description": "with a resource", "arguments": [argument("resourceUri")]},
        {"name": "test_prompt_with_image", "description": "with an image"},
    ])
}

fn prompt(params: &Value) -> Outcome {
    let (text, arguments) = (
        |text: &str| json!({"type": "text", "text": text}),
        &params["arguments"],
    );
    let word = |name: &str| arguments[name].as_str().unwrap_or_default();
    let content = match params["name"].as_str().unwrap_or_default() {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            vec![text(&format!(
                "Prompt with arguments: arg1='{}', arg2='{}'",
                word("arg1"),
                word("arg2")
            ))]
        }
        "test_prompt_with_embedded_resource" => vec![
            json!({"type": "resource", "resource": {
                "uri": word("resourceUri"), "mimeType": "text/plain", "text": "Embedded resource content for testing.",
            }}),
            text("Please process the embedded resource above."),
        ],
        "test_prompt_with_image" => vec![
            json!({"type": "image", "data": IMAGE, "mimeType": "image/png"}),
            text("Please analyze the image above."),
        ],
        other => return Err((-32602, format!("no prompt {other}"))),
    };
    let messages: Vec<_> = content
        .into_iter()
        .map(|content| json!({"role": "user", "content": content}))
        .collect();
    Ok(json!({"messages": messages}))
}
