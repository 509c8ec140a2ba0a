//! A gateway before a small server with the names that the official conformance suite asks for:
//!
//! ```text
//! cargo run -p gateway --example conformance -- 127.0.0.1:8899 a-token-of-16-characters
//! npx @modelcontextprotocol/conformance@0.2.0-alpha.12 server --url http://127.0.0.1:8899/mcp --requirements 2025-11-25
//! ```
//!
//! With a third argument `legacy` the server behind speaks the legacy era, else the modern one; the gateway is the same.
//!
//! The suite sends no token, so something has to add the `Authorization` header to its requests; a preloaded script
//! that wraps undici's dispatcher does.

mod jobs;

use std::collections::HashMap;
use std::sync::Arc;

use base::Secret;
use base::names::ServerName;
use futures_util::future::BoxFuture;
use gateway::{
    CancellationToken, Describe, Gateway, HttpOptions, Journal, Key, Link, Parts, Principal, Server, Wire,
};
use policy::Effect;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use self::jobs::Jobs;

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
    let era = if arguments.next().as_deref() == Some("legacy") {
        Era::Legacy
    } else {
        Era::Modern
    };
    let gateway = Gateway::new(Parts {
        servers: vec![Server::new(
            ServerName::parse("fixture")?,
            Box::new(move |_| {
                let (ours, theirs) = tokio::io::duplex(64 << 10);
                let link = Link {
                    wire: Wire::Pipe(Box::new(theirs)),
                    driver: Some(Box::pin(async move {
                        serve(ours, era).await;
                        None
                    })),
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
        sse: false,
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

/// How the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Era {
    Legacy,
    Modern,
}

/// The server: a line in, lines out.
async fn serve(stream: DuplexStream, era: Era) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let mut fixture = Fixture {
        era,
        open: HashMap::new(),
        listening: None,
        jobs: Jobs::new(era == Era::Modern),
    };
    loop {
        let due = fixture.jobs.due().map(tokio::time::Instant::from_std);
        let is_due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let answers = tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) => fixture.answers(&line),
                _ => return,
            },
            () = is_due => fixture.jobs.tick(),
        };
        for answer in answers {
            if writer.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

struct Fixture {
    era: Era,
    /// Calls that wait for answers of the client, by their ids (legacy).
    open: HashMap<String, Open>,
    /// The subscription to changes (modern).
    listening: Option<Value>,
    jobs: Jobs,
}

struct Open {
    id: Value,
    params: Value,
    method: String,
    wanted: Vec<String>,
    got: Map<String, Value>,
    state: Option<String>,
}

impl Fixture {
    fn answers(&mut self, line: &str) -> Vec<Value> {
        let message: Value = serde_json::from_str(line).unwrap_or_default();
        let (id, params) = (&message["id"], &message["params"]);
        let Some(method) = message["method"].as_str() else {
            let of_job = self.jobs.answered(&message);
            return of_job.unwrap_or_else(|| self.answered(&message));
        };
        if id.is_null() {
            return vec![];
        }
        if let Some(sent) = self.jobs.request(id, method, params) {
            return sent;
        }
        let mut sent = Vec::new();
        let mut capabilities = json!({
            "tools": {"listChanged": true}, "resources": {"subscribe": true}, "prompts": {"listChanged": true},
            "completions": {}, "logging": {},
        });
        self.jobs.capabilities(&mut capabilities);
        let outcome = match method {
            "server/discover" if self.era == Era::Modern => {
                Ok(json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities}))
            }
            "initialize" if self.era == Era::Legacy => Ok(json!({
                "protocolVersion": "2025-11-25",
                "capabilities": capabilities,
                "serverInfo": {"name": "fixture", "version": "1.0"},
            })),
            "subscriptions/listen" if self.era == Era::Modern => {
                let tag = json!({"io.modelcontextprotocol/subscriptionId": id});
                self.jobs.listen(id, params);
                if params["notifications"]["toolsListChanged"] == true {
                    self.listening = Some(id.clone());
                }
                let acknowledged = json!({"_meta": tag, "notifications": params["notifications"]});
                return vec![note("notifications/subscriptions/acknowledged", &acknowledged)];
            }
            "tools/list" => {
                let mut tools = tools();
                tools.extend(self.jobs.tools());
                Ok(json!({"tools": tools}))
            }
            "tools/call" | "prompts/get" => {
                sent.extend(self.before(params));
                return self.step(sent, id, method, params, &Map::new(), None);
            }
            "resources/list" => Ok(json!({"resources": [
                {"uri": "test://static-text", "name": "text", "mimeType": "text/plain"},
                {"uri": "test://static-binary", "name": "binary", "mimeType": "image/png"},
                {"uri": "test://watched-resource", "name": "watched", "mimeType": "text/plain"},
            ]})),
            "resources/templates/list" => Ok(json!({"resourceTemplates": [
                {"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"},
            ]})),
            "resources/read" => read(params["uri"].as_str().unwrap_or_default(), self.era),
            "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel" => Ok(json!({})),
            "prompts/list" => Ok(json!({"prompts": prompts()})),
            "completion/complete" => {
                Ok(json!({"completion": {"values": ["paris", "park", "party"], "total": 150}}))
            }
            other => fail(-32601, format!("no {other}")),
        };
        sent.push(self.response(id, outcome));
        sent
    }

    fn response(&self, id: &Value, outcome: Outcome) -> Value {
        match outcome {
            Ok(mut result) => {
                if self.era == Era::Modern && result["resultType"].is_null() {
                    result["resultType"] = "complete".into();
                }
                json!({"jsonrpc": "2.0", "id": id, "result": result})
            }
            Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
        }
    }

    /// A tool or a prompt, as far as it comes with what the client has brought.
    fn step(
        &mut self,
        mut sent: Vec<Value>,
        id: &Value,
        method: &str,
        params: &Value,
        got: &Map<String, Value>,
        state: Option<&str>,
    ) -> Vec<Value> {
        let (got, state) = match self.era {
            Era::Legacy => (got.clone(), state),
            Era::Modern => (
                params["inputResponses"].as_object().cloned().unwrap_or_default(),
                params["requestState"].as_str(),
            ),
        };
        match wants(params, &got, state) {
            None if method == "prompts/get" => sent.push(self.response(id, prompt(params, &got))),
            None => sent.push(self.response(id, call(params, &got))),
            Some((wanted, state)) if self.era == Era::Modern => {
                let requests: Map<_, _> = wanted
                    .into_iter()
                    .map(|(key, what)| (key.to_owned(), what))
                    .collect();
                let mut result = json!({"resultType": "input_required", "inputRequests": requests});
                if let Some(state) = state {
                    result["requestState"] = state.into();
                }
                sent.push(self.response(id, Ok(result)));
            }
            Some((wanted, state)) => {
                for (key, what) in &wanted {
                    sent.push(json!({"jsonrpc": "2.0", "id": format!("{key}@{id}"), "method": what["method"], "params": what["params"]}));
                }
                let open = Open {
                    id: id.clone(),
                    params: params.clone(),
                    method: method.to_owned(),
                    wanted: wanted.into_iter().map(|(key, _)| key.to_owned()).collect(),
                    got,
                    state: state.map(ToOwned::to_owned),
                };
                self.open.insert(id.to_string(), open);
            }
        }
        sent
    }

    /// The client answered something that the server asked it (legacy).
    fn answered(&mut self, message: &Value) -> Vec<Value> {
        let asked = message["id"].as_str().and_then(|id| id.split_once('@'));
        let Some((key, call)) = asked else { return vec![] };
        let Some(mut open) = self.open.remove(call) else {
            return vec![];
        };
        if !message["error"].is_null() {
            let why = json!({"content": [{"type": "text", "text": format!("the client refuses: {}", message["error"]["message"])}], "isError": true});
            return vec![self.response(&open.id, Ok(why))];
        }
        open.got.insert(key.to_owned(), message["result"].clone());
        if open.wanted.iter().all(|key| open.got.contains_key(key)) {
            return self.step(
                vec![],
                &open.id,
                &open.method,
                &open.params,
                &open.got,
                open.state.as_deref(),
            );
        }
        self.open.insert(call.to_owned(), open);
        vec![]
    }

    /// What a tool sends before its answer.
    fn before(&self, params: &Value) -> Vec<Value> {
        let meta = &params["_meta"];
        let token = &meta["progressToken"];
        let changed = |method: &str| {
            let params = self.listening.as_ref().map_or_else(
                || json!({}),
                |id| json!({"_meta": {"io.modelcontextprotocol/subscriptionId": id}}),
            );
            vec![note(method, &params)]
        };
        let wants_logs = self.era == Era::Legacy || !meta["io.modelcontextprotocol/logLevel"].is_null();
        match params["name"].as_str().unwrap_or_default() {
            "test_tool_with_progress" if !token.is_null() => [0, 50, 100]
                .map(|at| {
                    let params = json!({"progressToken": token, "progress": at, "total": 100});
                    note("notifications/progress", &params)
                })
                .to_vec(),
            "test_tool_with_logging" | "test_logging_tool" if wants_logs => [
                "Tool execution started",
                "Tool processing data",
                "Tool execution completed",
            ]
            .map(|text| note("notifications/message", &json!({"level": "info", "data": text})))
            .to_vec(),
            "test_trigger_tool_change" => changed("notifications/tools/list_changed"),
            "test_trigger_prompt_change" => changed("notifications/prompts/list_changed"),
            _ => vec![],
        }
    }
}

fn note(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn fail(code: i64, message: impl Into<String>) -> Outcome {
    Err(json!({"code": code, "message": message.into()}))
}

type Wanted = (Vec<(&'static str, Value)>, Option<&'static str>);

/// What the client has to bring before this tool or prompt can go on, and the state that goes with it.
#[expect(clippy::too_many_lines, reason = "one table of what the suite names")]
fn wants(params: &Value, got: &Map<String, Value>, state: Option<&str>) -> Option<Wanted> {
    let form = |message: &str, field: &str, kind: &str| {
        let schema = json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]});
        json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
    };
    let sampling = |text: &str, most: u64| {
        let message = json!({"role": "user", "content": {"type": "text", "text": text}});
        json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": most}})
    };
    let roots = json!({"method": "roots/list", "params": {}});
    let ask_name = form("What is your name?", "name", "string");
    let arguments = &params["arguments"];
    let (wanted, new) = match params["name"].as_str().unwrap_or_default() {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => {
            (vec![("user_name", ask_name)], None)
        }
        "test_input_required_result_sampling" => (
            vec![(
                "capital_question",
                sampling("What is the capital of France?", 100),
            )],
            None,
        ),
        "test_input_required_result_list_roots" => (vec![("client_roots", roots)], None),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => (
            vec![("confirm", form("Please confirm", "ok", "boolean"))],
            Some("fixture-state"),
        ),
        "test_input_required_result_multiple_inputs" => (
            vec![
                ("user_name", ask_name),
                ("greeting", sampling("Generate a greeting", 50)),
                ("client_roots", roots),
            ],
            Some("fixture-state"),
        ),
        "test_input_required_result_multi_round" if state == Some("round-2") => (
            vec![(
                "step2",
                form("Step 2: What is your favorite color?", "color", "string"),
            )],
            Some("round-2"),
        ),
        "test_input_required_result_multi_round"
            if state == Some("round-1") && is_answer(got.get("step1")) =>
        {
            return Some((
                vec![(
                    "step2",
                    form("Step 2: What is your favorite color?", "color", "string"),
                )],
                Some("round-2"),
            ));
        }
        "test_input_required_result_multi_round" => (
            vec![("step1", form("Step 1: What is your name?", "name", "string"))],
            Some("round-1"),
        ),
        "test_input_required_result_capabilities" => {
            let capabilities = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
            let mut wanted = Vec::new();
            if !capabilities["sampling"].is_null() {
                wanted.push(("greeting", sampling("Generate a greeting", 50)));
            }
            if !capabilities["elicitation"].is_null() || capabilities.is_null() {
                wanted.push(("user_name", ask_name));
            }
            (wanted, None)
        }
        "test_input_required_result_prompt" => (
            vec![(
                "user_context",
                form("What context should the prompt use?", "context", "string"),
            )],
            None,
        ),
        "test_sampling" => (
            vec![(
                "answer",
                sampling(arguments["prompt"].as_str().unwrap_or_default(), 100),
            )],
            None,
        ),
        "test_elicitation" => {
            let field = |about: &str| json!({"type": "string", "description": about});
            let schema = json!({
                "type": "object",
                "properties": {"username": field("User's response"), "email": field("User's email address")},
                "required": ["username", "email"],
            });
            let params = json!({"message": arguments["message"], "requestedSchema": schema});
            (
                vec![(
                    "answer",
                    json!({"method": "elicitation/create", "params": params}),
                )],
                None,
            )
        }
        "test_elicitation_sep1034_defaults" => (
            vec![(
                "answer",
                schema_form(&json!({
                    "name": {"type": "string", "default": "John Doe"},
                    "age": {"type": "integer", "default": 30},
                    "score": {"type": "number", "default": 95.5},
                    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
                    "verified": {"type": "boolean", "default": true},
                })),
            )],
            None,
        ),
        "test_elicitation_sep1330_enums" => {
            let titled =
                |values: [[&str; 2]; 3]| values.map(|[value, title]| json!({"const": value, "title": title}));
            let options = ["option1", "option2", "option3"];
            (
                vec![(
                    "answer",
                    schema_form(&json!({
                        "untitledSingle": {"type": "string", "enum": options},
                        "titledSingle": {"type": "string", "oneOf": titled([["value1", "First Option"], ["value2", "Second Option"], ["value3", "Third Option"]])},
                        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
                        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
                        "titledMulti": {"type": "array", "items": {"anyOf": titled([["value1", "First Choice"], ["value2", "Second Choice"], ["value3", "Third Choice"]])}},
                    })),
                )],
                None,
            )
        }
        _ => return None,
    };
    let is_there = wanted.iter().all(|(key, _)| is_answer(got.get(*key)));
    (!is_there).then_some((wanted, new))
}

/// A form with these fields.
fn schema_form(fields: &Value) -> Value {
    json!({"method": "elicitation/create", "params": {
        "message": "Please look through the fields", "requestedSchema": {"type": "object", "properties": fields, "required": []},
    }})
}

fn is_answer(answer: Option<&Value>) -> bool {
    answer.is_some_and(|answer| {
        answer["action"].is_string() || answer["role"].is_string() || answer["roots"].is_array()
    })
}

type Outcome = Result<Value, Value>;

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
        "test_sampling",
        "test_elicitation",
        "test_elicitation_sep1034_defaults",
        "test_elicitation_sep1330_enums",
        "test_input_required_result_elicitation",
        "test_input_required_result_sampling",
        "test_input_required_result_list_roots",
        "test_input_required_result_request_state",
        "test_input_required_result_tampered_state",
        "test_input_required_result_multiple_inputs",
        "test_input_required_result_multi_round",
        "test_input_required_result_capabilities",
        "test_streaming_elicitation",
        "test_missing_capability",
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

fn call(params: &Value, got: &Map<String, Value>) -> Outcome {
    let got = &Value::Object(got.clone());
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
        "test_missing_capability" => {
            if params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["sampling"].is_null() {
                let data = json!({"requiredCapabilities": {"sampling": {}}});
                return Err(json!({"code": -32021, "message": "this tool needs sampling", "data": data}));
            }
            vec![text("sampling was declared")]
        }
        "test_sampling" => {
            let said = got["answer"]["content"]["text"].as_str().unwrap_or_default();
            vec![text(&format!("LLM response: {said}"))]
        }
        "test_elicitation" => vec![text(&format!("User response: {}", got["answer"]))],
        "test_elicitation_sep1034_defaults" | "test_elicitation_sep1330_enums" => {
            let (action, content) = (&got["answer"]["action"], &got["answer"]["content"]);
            vec![text(&format!(
                "Elicitation completed: action={}, content={content}",
                action.as_str().unwrap_or_default()
            ))]
        }
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => {
            let name = got["user_name"]["content"]["name"]
                .as_str()
                .unwrap_or("whoever you are");
            vec![text(&format!("Hello, {name}!"))]
        }
        "test_input_required_result_request_state" if params["requestState"] == "fixture-state" => {
            vec![text("state-ok")]
        }
        "test_input_required_result_request_state" if !params["requestState"].is_null() => {
            return fail(-32602, "that is not the state that was given out");
        }
        tool if tool.starts_with("test_input_required_result_") => {
            vec![text(&format!("got {got}"))]
        }
        other => return fail(-32602, format!("no tool {other}")),
    };
    Ok(json!({"content": content}))
}

fn read(uri: &str, era: Era) -> Outcome {
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
            let Some(id) = id else {
                let code = if era == Era::Legacy { -32002 } else { -32602 };
                return Err(
                    json!({"code": code, "message": format!("no resource {uri}"), "data": {"uri": uri}}),
                );
            };
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
        {"name": "test_input_required_result_prompt", "description": "asks for its context"},
    ])
}

fn prompt(params: &Value, got: &Map<String, Value>) -> Outcome {
    let got = &Value::Object(got.clone());
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
        "test_input_required_result_prompt" => {
            let context = got["user_context"]["content"]["context"]
                .as_str()
                .unwrap_or_default();
            vec![text(&format!("In the context of {context}."))]
        }
        other => return fail(-32602, format!("no prompt {other}")),
    };
    let messages: Vec<_> = content
        .into_iter()
        .map(|content| json!({"role": "user", "content": content}))
        .collect();
    Ok(json!({"messages": messages}))
}
