//! The resources and prompts that the suite names.

use serde_json::{Map, Value, json};

use crate::fixture::{Era, Outcome, fail};

/// One red pixel, as PNG.
pub(crate) const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

pub(crate) fn read(uri: &str, era: Era) -> Outcome {
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

pub(crate) fn prompts() -> Value {
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

pub(crate) fn prompt(params: &Value, got: &Map<String, Value>) -> Outcome {
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
