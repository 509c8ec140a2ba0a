//! The server itself: messages in, messages out, in the words of either era. Nothing here waits, and nothing knows how
//! messages travel.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::content::{prompt, prompts, read};
use crate::jobs::Jobs;
use crate::tools::{call, tools, wants};

/// A result, or an error object.
pub(crate) type Outcome = Result<Value, Value>;

/// How the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Legacy,
    Modern,
}

/// What it keeps in a conversation.
pub(crate) struct Fixture {
    era: Era,
    /// Calls that wait for answers of the client, by their ids (legacy).
    open: HashMap<String, Open>,
    /// Subscriptions to changed lists, and what each is for (modern).
    listening: Vec<(Value, Value)>,
    pub(crate) jobs: Jobs,
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
    pub(crate) fn new(era: Era) -> Self {
        Self {
            era,
            open: HashMap::new(),
            listening: Vec::new(),
            jobs: Jobs::new(era == Era::Modern),
        }
    }

    /// The messages that a message is answered with.
    pub(crate) fn answers(&mut self, message: &Value) -> Vec<Value> {
        let (id, params) = (&message["id"], &message["params"]);
        let Some(method) = message["method"].as_str() else {
            let of_job = self.jobs.answered(message);
            return of_job.unwrap_or_else(|| self.answered(message));
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
                self.listening.push((id.clone(), params["notifications"].clone()));
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
            "ping" | "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel"
                if self.era == Era::Legacy =>
            {
                Ok(json!({}))
            }
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
        let changed = |method: &str, kind: &str| match self.era {
            Era::Legacy => vec![note(method, &json!({}))],
            Era::Modern => {
                let wanted = self.listening.iter().filter(|(_, filter)| filter[kind] == true);
                let tag = |id: &Value| json!({"_meta": {"io.modelcontextprotocol/subscriptionId": id}});
                wanted.map(|(id, _)| note(method, &tag(id))).collect()
            }
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
            "test_trigger_tool_change" => changed("notifications/tools/list_changed", "toolsListChanged"),
            "test_trigger_prompt_change" => {
                changed("notifications/prompts/list_changed", "promptsListChanged")
            }
            _ => vec![],
        }
    }
}

fn note(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

pub(crate) fn fail(code: i64, message: impl Into<String>) -> Outcome {
    Err(json!({"code": code, "message": message.into()}))
}
