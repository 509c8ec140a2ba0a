//! The tools that the suite names, and what each wants of its client before it answers.

use serde_json::{Map, Value, json};

use crate::content::IMAGE;
use crate::fixture::{Outcome, fail};

/// The head of a WAV file without samples.
const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

pub(crate) fn tools() -> Vec<Value> {
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
        "test_reconnection",
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

pub(crate) fn call(params: &Value, got: &Map<String, Value>) -> Outcome {
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
        "test_reconnection" => vec![text("The stream was closed, and this came after it.")],
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
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state"
            if !matches!(params["requestState"].as_str(), None | Some("fixture-state")) =>
        {
            return fail(-32602, "that is not the state that was given out");
        }
        tool if tool.starts_with("test_input_required_result_") => {
            vec![text(&format!("got {got}"))]
        }
        other => return fail(-32602, format!("no tool {other}")),
    };
    Ok(json!({"content": content}))
}

pub(crate) type Wanted = (Vec<(&'static str, Value)>, Option<&'static str>);

/// What the client has to bring before this tool or prompt can go on, and the state that goes with it.
#[expect(clippy::too_many_lines, reason = "one table of what the suite names")]
pub(crate) fn wants(params: &Value, got: &Map<String, Value>, state: Option<&str>) -> Option<Wanted> {
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
