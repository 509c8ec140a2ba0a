//! Tools that take their time, as tasks in the shape of either era. Nothing here waits: who runs it asks when something
//! is [`due`](Jobs::due), and sends what [`tick`](Jobs::tick) gives.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const RELATED: &str = "io.modelcontextprotocol/related-task";
const NAMES: [&str; 6] = [
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];
/// An hour and a bit; what it is does not matter.
const TTL_MS: u64 = 3_700_000;

/// The tools' jobs.
pub(crate) struct Jobs {
    is_modern: bool,
    all: HashMap<String, Job>,
    next: u64,
    /// Subscriptions by the jobs that they name (modern).
    listening: HashMap<String, Value>,
}

struct Job {
    tool: String,
    arguments: Value,
    created: String,
    due: Instant,
    /// What the client is asked for, by key, and what it said.
    asked: Vec<(String, Option<Value>)>,
    is_cancelled: bool,
    is_told: bool,
    /// Requests that wait for the result (legacy).
    waiting: Vec<Value>,
}

impl Job {
    fn is_waiting(&self) -> bool {
        self.asked.iter().any(|(_, answer)| answer.is_none())
    }

    fn status(&self, is_modern: bool) -> &'static str {
        match &*self.tool {
            _ if self.is_cancelled => "cancelled",
            _ if self.is_waiting() => "input_required",
            _ if self.due > Instant::now() => "working",
            "protocol_error_job" => "failed",
            "failing_job" if !is_modern => "failed",
            _ => "completed",
        }
    }

    fn is_over(&self) -> bool {
        self.is_cancelled || (!self.is_waiting() && self.due <= Instant::now())
    }

    fn outcome(&self) -> Result<Value, Value> {
        let said = |text: String| json!({"content": [{"type": "text", "text": text}]});
        match &*self.tool {
            "protocol_error_job" => Err(json!({"code": -32603, "message": "the job broke down"})),
            "failing_job" => {
                let mut result = said("the job failed".to_owned());
                result["isError"] = true.into();
                Ok(result)
            }
            "test_tool_with_task" => Ok(said(format!("Hello, {}!", self.arguments["user_name"]))),
            _ => {
                let answers: Map<_, _> = self
                    .asked
                    .iter()
                    .map(|(key, answer)| (key.clone(), answer.clone().unwrap_or_default()))
                    .collect();
                Ok(said(format!("{} done: {}", self.tool, Value::from(answers))))
            }
        }
    }
}

impl Jobs {
    pub(crate) fn new(is_modern: bool) -> Self {
        Self {
            is_modern,
            all: HashMap::new(),
            next: 1,
            listening: HashMap::new(),
        }
    }

    /// What it adds to the capabilities of its server.
    pub(crate) fn capabilities(&self, all: &mut Value) {
        if self.is_modern {
            all["extensions"] = json!({EXTENSION: {}});
        } else {
            all["tasks"] = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
        }
    }

    pub(crate) fn tools(&self) -> Vec<Value> {
        let mut tools =
            vec![json!({"name": "greet", "description": "says hello", "inputSchema": {"type": "object"}})];
        tools.extend(NAMES.map(|name| {
            let mut tool = json!({"name": name, "description": format!("{name}, in its own time"), "inputSchema": {"type": "object"}});
            if !self.is_modern {
                tool["execution"] = json!({"taskSupport": "required"});
            }
            tool
        }));
        tools
    }

    /// The messages that answer a request; `None`: it is none of these.
    pub(crate) fn request(&mut self, id: &Value, method: &str, params: &Value) -> Option<Vec<Value>> {
        let task = params["taskId"].as_str().unwrap_or_default();
        let capabilities = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        match method {
            "tools/call" => self.call(id, params),
            "tasks/result" if self.is_modern => None,
            "tasks/get" | "tasks/cancel" | "tasks/update"
                if self.is_modern && capabilities["extensions"][EXTENSION].is_null() =>
            {
                Some(vec![undeclared(
                    id,
                    "this client did not say that it takes tasks",
                )])
            }
            "tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/update"
                if !self.all.contains_key(task) =>
            {
                Some(vec![error(id, -32602, "no such task")])
            }
            "tasks/get" => Some(vec![self.answer(id, self.detailed(task))]),
            "tasks/cancel" => {
                let job = self.all.get_mut(task)?;
                job.is_cancelled |= !job.is_over();
                let mut sent = self.tell(task);
                let result = if self.is_modern {
                    json!({})
                } else {
                    self.task(task)
                };
                sent.push(self.answer(id, result));
                sent.extend(self.settle(task));
                Some(sent)
            }
            "tasks/update" if self.is_modern => {
                let job = self.all.get_mut(task)?;
                for (key, answer) in &mut job.asked {
                    if let Some(given) = params["inputResponses"].get(&**key) {
                        answer.get_or_insert_with(|| given.clone());
                    }
                }
                let mut sent = vec![self.answer(id, json!({}))];
                sent.extend(self.tell(task));
                Some(sent)
            }
            "tasks/result" if !self.is_modern => {
                self.all.get_mut(task)?.waiting.push(id.clone());
                let mut sent = Vec::new();
                for (key, answer) in &self.all.get(task)?.asked {
                    if answer.is_none() {
                        sent.push(json!({
                            "jsonrpc": "2.0", "id": format!("{task}/{key}"), "method": "elicitation/create",
                            "params": {"_meta": {RELATED: {"taskId": task}}, "message": key, "requestedSchema": form()},
                        }));
                    }
                }
                sent.extend(self.settle(task));
                Some(sent)
            }
            "tasks/list" if !self.is_modern => {
                let mut names: Vec<_> = self.all.keys().collect();
                names.sort();
                let tasks: Vec<_> = names.into_iter().map(|name| self.task(name)).collect();
                Some(vec![self.answer(id, json!({"tasks": tasks}))])
            }
            _ => None,
        }
    }

    /// A subscription begins; it may name jobs.
    pub(crate) fn listen(&mut self, id: &Value, params: &Value) {
        for task in params["notifications"]["taskIds"]
            .as_array()
            .into_iter()
            .flatten()
        {
            self.listening
                .insert(task.as_str().unwrap_or_default().to_owned(), id.clone());
        }
    }

    /// The client answered something; `None`: it was not asked here.
    pub(crate) fn answered(&mut self, message: &Value) -> Option<Vec<Value>> {
        let (task, key) = message["id"].as_str()?.split_once('/')?;
        let job = self.all.get_mut(task)?;
        let (_, answer) = job.asked.iter_mut().find(|(asked, _)| asked == key)?;
        let said = if message["error"].is_null() {
            &message["result"]
        } else {
            &message["error"]
        };
        *answer = Some(said.clone());
        let mut sent = self.tell(task);
        sent.extend(self.settle(task));
        Some(sent)
    }

    /// When to look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        let open = self.all.values().filter(|job| !job.is_told && !job.is_waiting());
        open.map(|job| job.due).min()
    }

    /// What is due to be said.
    pub(crate) fn tick(&mut self) -> Vec<Value> {
        let over = self.all.iter().filter(|(_, job)| job.is_over() && !job.is_told);
        let over: Vec<_> = over.map(|(name, _)| name.clone()).collect();
        let mut sent = Vec::new();
        for task in over {
            sent.extend(self.tell(&task));
            sent.extend(self.settle(&task));
        }
        sent
    }

    fn call(&mut self, id: &Value, params: &Value) -> Option<Vec<Value>> {
        let (name, arguments) = (params["name"].as_str()?, &params["arguments"]);
        if name == "greet" {
            let text = format!("Hello, {}!", arguments["name"].as_str().unwrap_or("you"));
            return Some(vec![
                self.answer(id, json!({"content": [{"type": "text", "text": text}]})),
            ]);
        }
        if !NAMES.contains(&name) {
            return None;
        }
        let meta = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        let takes_tasks = if self.is_modern {
            !meta["extensions"][EXTENSION].is_null()
        } else {
            params["task"].is_object()
        };
        let mut arguments = arguments.clone();
        if name == "test_tool_with_task" && self.is_modern {
            let said = &params["inputResponses"]["user_name"]["content"]["name"];
            if said.is_null() {
                let wanted = json!({"user_name": {"method": "elicitation/create", "params": {
                    "message": "What is your name?", "requestedSchema": form(),
                }}});
                let result = json!({"resultType": "input_required", "inputRequests": wanted});
                return Some(vec![self.answer(id, result)]);
            }
            arguments = json!({"user_name": said});
        }
        let seconds = match name {
            "slow_compute" => arguments["seconds"].as_f64().unwrap_or(1.0),
            "failing_job" => 0.3,
            "protocol_error_job" => 0.1,
            _ => 0.0,
        };
        let keys: &[&str] = match name {
            "confirm_delete" => &["confirm"],
            "multi_input" => &["first", "second"],
            _ => &[],
        };
        let job = Job {
            tool: name.to_owned(),
            arguments,
            created: base::clock::now().to_string(),
            due: Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0)),
            asked: keys.iter().map(|key| ((*key).to_owned(), None)).collect(),
            is_cancelled: false,
            is_told: false,
            waiting: Vec::new(),
        };
        if !takes_tasks && !self.is_modern {
            return Some(vec![error(id, -32601, "this tool is called as a task only")]);
        }
        if !takes_tasks && (name != "slow_compute") {
            return Some(vec![undeclared(id, "this tool answers by a task only")]);
        }
        if !takes_tasks {
            return Some(vec![self.answer(id, job.outcome().unwrap_or_default())]);
        }
        let task = format!("job-{}", self.next);
        self.next += 1;
        self.all.insert(task.clone(), job);
        let mut shown = self.task(&task);
        // Each begins at work.
        shown["status"] = "working".into();
        if self.is_modern {
            shown["resultType"] = "task".into();
        } else {
            shown = json!({"task": shown});
        }
        Some(vec![self.answer(id, shown)])
    }

    fn task(&self, task: &str) -> Value {
        let Some(job) = self.all.get(task) else {
            return Value::Null;
        };
        let (ttl, pause) = if self.is_modern {
            ("ttlMs", "pollIntervalMs")
        } else {
            ("ttl", "pollInterval")
        };
        json!({
            "taskId": task, "status": job.status(self.is_modern), "createdAt": job.created, "lastUpdatedAt": job.created,
            ttl: TTL_MS, pause: 50,
        })
    }

    /// With what came of it (modern).
    fn detailed(&self, task: &str) -> Value {
        let mut shown = self.task(task);
        let Some(job) = self.all.get(task).filter(|_| self.is_modern) else {
            return shown;
        };
        match (job.status(true), job.outcome()) {
            ("completed", Ok(result)) => shown["result"] = result,
            ("failed", Err(error)) => shown["error"] = error,
            ("input_required", _) => {
                let open = job.asked.iter().filter(|(_, answer)| answer.is_none());
                let open: Map<_, _> = open
                    .map(|(key, _)| {
                        let request = json!({"method": "elicitation/create", "params": {"message": key, "requestedSchema": form()}});
                        (key.clone(), request)
                    })
                    .collect();
                shown["inputRequests"] = open.into();
            }
            _ => {}
        }
        shown
    }

    /// Says how a job stands, to who wants to know.
    fn tell(&mut self, task: &str) -> Vec<Value> {
        let mut params = self.detailed(task);
        let method = if self.is_modern {
            "notifications/tasks"
        } else {
            "notifications/tasks/status"
        };
        if let Some(job) = self.all.get_mut(task) {
            job.is_told |= job.is_over();
        }
        if self.is_modern {
            let Some(listening) = self.listening.get(task) else {
                return vec![];
            };
            params["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": listening});
        }
        vec![json!({"jsonrpc": "2.0", "method": method, "params": params})]
    }

    /// Answers who waits for the result of a job that is over.
    fn settle(&mut self, task: &str) -> Vec<Value> {
        let Some(job) = self.all.get_mut(task).filter(|job| job.is_over()) else {
            return vec![];
        };
        let waiting = std::mem::take(&mut job.waiting);
        let (outcome, is_cancelled) = (job.outcome(), job.is_cancelled);
        waiting
            .iter()
            .map(|id| match &outcome {
                _ if is_cancelled => error(id, -32603, "the job was cancelled"),
                Ok(result) => {
                    let mut result = result.clone();
                    result["_meta"] = json!({RELATED: {"taskId": task}});
                    json!({"jsonrpc": "2.0", "id": id, "result": result})
                }
                Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
            })
            .collect()
    }

    fn answer(&self, id: &Value, mut result: Value) -> Value {
        if self.is_modern && result["resultType"].is_null() {
            result["resultType"] = "complete".into();
        }
        json!({"jsonrpc": "2.0", "id": id, "result": result})
    }
}

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

/// The client would have to declare tasks (modern).
fn undeclared(id: &Value, message: &str) -> Value {
    let mut refused = error(id, -32021, message);
    refused["error"]["data"] = json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}});
    refused
}

fn form() -> Value {
    json!({"type": "object", "properties": {"name": {"type": "string"}}})
}
