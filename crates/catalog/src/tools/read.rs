//! From what stands in a file to tools: all that is wrong with it at once, each fault with its tool.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::file::{self, Declared, File};
use super::places::{Body, Node};
use super::text::{Text, is_name};
use super::{Command, Does, Http, InContainer, MOST_OUTPUT, MOST_TIME, OUTPUT, TIME, Tool, rules};
use crate::planner::is_variable_name;
use crate::schema;

/// A file that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tools {
    /// For people.
    pub title: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// By variable, the name of the secret that it means.
    pub secrets: BTreeMap<String, String>,
    /// In the order of their names.
    pub tools: Vec<Tool<file::Container>>,
}

/// Judges a file. `secrets` are further variables that `$NAME` may mean; `schema_file` gives the text of an `input_file`,
/// or why it can't be read.
///
/// # Errors
/// All that is wrong, one to an item: `tools.NAME: ...`.
pub fn read(
    file: &File,
    secrets: &BTreeMap<String, String>,
    schema_file: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Tools, Vec<String>> {
    let mut all = file.secrets.clone();
    all.extend(secrets.clone());
    let mut faults = Vec::new();
    for variable in all.keys().filter(|variable| !is_variable_name(variable)) {
        faults.push(format!("secrets: {variable:?} is not a variable's name"));
    }
    if file.tools.is_empty() {
        faults.push("it declares no tool: write [tools.NAME]".to_owned());
    }
    let mut tools = Vec::new();
    for (name, declared) in &file.tools {
        let mut reader = Reader {
            declared,
            secrets: &all,
            schema_file,
            input: Json::Null,
            faults: Vec::new(),
        };
        let tool = reader.tool(name);
        let shown = base::text::clean(base::text::cut(name, 80)).replace('\n', " ");
        faults.extend(
            reader
                .faults
                .iter()
                .map(|fault| format!("tools.{shown}: {fault}")),
        );
        tools.extend(tool);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Tools {
        title: file.title.clone(),
        description: file.description.clone(),
        secrets: all,
        tools,
    })
}

struct Reader<'a> {
    declared: &'a Declared,
    secrets: &'a BTreeMap<String, String>,
    schema_file: &'a dyn Fn(&str) -> Result<String, String>,
    input: Json,
    faults: Vec<String>,
}

/// Where secrets may stand, and where an argument that may be missing may.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Headers and environments: secrets may stand there, and what lacks its argument is left out.
    Hidden,
    /// What lacks its argument is left out.
    Open,
    /// Every argument in it has to be there.
    Whole,
}

impl Reader<'_> {
    fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    fn tool(&mut self, name: &str) -> Option<Tool<file::Container>> {
        let is_tool_name = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_tool_name) {
            self.fault("a tool's name has 1 to 64 letters, digits, '_', '-' and '.'");
        }
        if self.declared.description.trim().is_empty() {
            self.fault("it has no description, which is all that a model knows of it");
        }
        self.input = self.input();
        let definition = self.definition(name);
        let time = self.time();
        let output = self.declared.max_output.unwrap_or(OUTPUT);
        if output == 0 || output > MOST_OUTPUT {
            self.fault(format!("max_output is from 1 to {MOST_OUTPUT} bytes"));
        }
        let does = self.does()?;
        Some(Tool {
            name: name.to_owned(),
            definition,
            time,
            output,
            does,
        })
    }

    /// The schema of the arguments: an object, which takes nothing but what it names unless it says so.
    fn input(&mut self) -> Json {
        let given = match (&self.declared.input, &self.declared.input_file) {
            (Some(_), Some(_)) => {
                self.fault("input and input_file exclude each other");
                None
            }
            (Some(input), None) => Some(input.clone()),
            (None, Some(path)) => match (self.schema_file)(path) {
                Ok(text) => match serde_json::from_str(&text) {
                    Ok(schema) => Some(schema),
                    Err(error) => {
                        self.fault(format!("input_file {path} is no JSON: {error}"));
                        None
                    }
                },
                Err(why) => {
                    self.fault(format!("input_file {path} can't be read: {why}"));
                    None
                }
            },
            (None, None) => None,
        };
        let mut schema = if let Json::Object(schema) = given.unwrap_or_else(|| json!({})) {
            schema
        } else {
            self.fault("input is a JSON Schema, which is a table");
            Map::new()
        };
        if schema.get("type").is_none() {
            schema.insert("type".to_owned(), "object".into());
        }
        if schema.get("type") != Some(&json!("object")) {
            self.fault("input is the schema of an object: the arguments by name");
        }
        if !schema.contains_key("properties") {
            schema.insert("properties".to_owned(), json!({}));
        }
        // Where schemas are combined, properties may stand elsewhere.
        let combined = ["allOf", "anyOf", "oneOf", "$ref"];
        if !combined.iter().any(|word| schema.contains_key(*word))
            && !schema.contains_key("additionalProperties")
        {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        let schema = Json::Object(schema);
        for fault in schema::faults(&schema) {
            self.fault(format!("input: {fault}"));
        }
        schema
    }

    fn definition(&mut self, name: &str) -> Json {
        let declared = self.declared;
        let mut definition = json!({"name": name});
        let mut put = |key: &str, value: Json| {
            if let Some(object) = definition.as_object_mut() {
                object.insert(key.to_owned(), value);
            }
        };
        if let Some(title) = &declared.title {
            put("title", title.as_str().into());
        }
        put("description", declared.description.trim().into());
        put("inputSchema", self.input.clone());
        let mut output_faults = Vec::new();
        if let Some(output) = &declared.output {
            let mut output = output.clone();
            if let Some(schema) = output
                .as_object_mut()
                .filter(|schema| !schema.contains_key("type"))
            {
                schema.insert("type".to_owned(), "object".into());
            }
            // MCP 2025-11-25, server/tools: structured content is an object.
            if output.get("type") != Some(&json!("object")) {
                output_faults.push("output is the schema of an object".to_owned());
            }
            output_faults.extend(
                schema::faults(&output)
                    .iter()
                    .map(|fault| format!("output: {fault}")),
            );
            put("outputSchema", output);
        }
        if declared.read_only && declared.destructive == Some(true) {
            output_faults.push("what is read_only is not destructive".to_owned());
        }
        put(
            "annotations",
            json!({
                "readOnlyHint": declared.read_only,
                "destructiveHint": declared.destructive.unwrap_or(!declared.read_only),
                "idempotentHint": declared.idempotent,
                "openWorldHint": declared.open_world.unwrap_or(true),
            }),
        );
        self.faults.extend(output_faults);
        definition
    }

    fn time(&mut self) -> Duration {
        let Some(written) = &self.declared.timeout else {
            return TIME;
        };
        let digits = written
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(written.len());
        let (number, unit) = written.split_at(digits);
        let unit = match unit.trim() {
            "s" | "" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let seconds = unit.and_then(|unit| number.parse::<u64>().ok()?.checked_mul(unit));
        match seconds.map(Duration::from_secs) {
            Some(time) if time > Duration::ZERO && time <= MOST_TIME => time,
            _ => {
                self.fault("timeout is from 1s to 1h, written like 30s or 5m");
                TIME
            }
        }
    }

    fn does(&mut self) -> Option<Does<file::Container>> {
        let declared = self.declared;
        let ways = [
            declared.command.is_some(),
            declared.http.is_some(),
            declared.container.is_some(),
        ];
        if ways.iter().filter(|way| **way).count() != 1 {
            self.fault("exactly one of command, http and container says what it does");
            return None;
        }
        let is_command = declared.command.is_some();
        if !is_command
            && (!declared.env.is_empty() || declared.stdin.is_some() || declared.working_dir.is_some())
        {
            self.fault("env, stdin and working_dir here belong to a command; a container has its own");
        }
        if let Some(command) = &declared.command {
            let argv = self.argv(command)?;
            if argv.is_empty() {
                self.fault("its command is empty");
            }
            return Some(Does::Command(Command {
                argv,
                env: self.variables(&declared.env)?,
                working_dir: declared.working_dir.as_ref().map(Into::into),
                stdin: self.stdin(declared.stdin.as_deref()),
            }));
        }
        if let Some(http) = &declared.http {
            return self.http(http).map(Does::Http);
        }
        let container = declared.container.as_ref()?;
        if container.image.trim().is_empty() {
            self.fault("its container has no image");
        }
        let env = self.variables(&container.env)?;
        // What holds no argument is the container's own, and is filled when it is planned.
        let (of_call, _): (Vec<_>, Vec<_>) = env
            .into_iter()
            .partition(|(_, text)| text.arguments().next().is_some());
        for (name, text) in &of_call {
            if text.secrets().next().is_some() {
                self.fault(format!(
                    "env.{name} holds a secret and an argument; give them in two variables"
                ));
            }
        }
        let mut own = container.clone();
        own.env
            .retain(|name, _| !of_call.iter().any(|(other, _)| other == name));
        Some(Does::Container(InContainer {
            argv: self.argv(&container.command)?,
            env: of_call,
            stdin: self.stdin(container.stdin.as_deref()),
            container: own,
        }))
    }

    fn http(&mut self, http: &file::Http) -> Option<Http> {
        let mut bodies = Vec::new();
        if let Some(json) = &http.json {
            let mut faults = Vec::new();
            let node = Node::parse(json, &mut |written| {
                self.text("json", written, Place::Open, &mut faults)
            });
            self.faults.append(&mut faults);
            match node {
                Ok(node) => bodies.push(Body::Json(node)),
                Err(fault) => self.fault(format!("http.json: {fault}")),
            }
        }
        if let Some(form) = &http.form {
            bodies.push(Body::Form(self.map("http.form", form, Place::Open)?));
        }
        if let Some(text) = &http.text {
            bodies.push(Body::Text(self.one("http.text", text, Place::Open)?));
        }
        if bodies.len() > 1 {
            self.fault("json, form and text are three ways to write one body");
        }
        let body = bodies.pop().unwrap_or_default();
        let usual = if body == Body::None { "GET" } else { "POST" };
        let method = http.method.as_deref().unwrap_or(usual).to_ascii_uppercase();
        let url = self.one("http.url", &http.url, Place::Whole)?;
        let headers = self.map("http.headers", &http.headers, Place::Hidden)?;
        let query = self.map("http.query", &http.query, Place::Open)?;
        let http = Http {
            method,
            url,
            headers,
            query,
            body,
            private: http.private,
        };
        self.faults.extend(rules::http(&http));
        Some(http)
    }

    fn argv(&mut self, written: &[String]) -> Option<Vec<Text>> {
        let items = written.iter().enumerate();
        let items: Vec<_> = items
            .map(|(at, item)| self.one(&format!("command[{at}]"), item, Place::Open))
            .collect();
        let items = items.into_iter().collect::<Option<Vec<_>>>()?;
        self.faults.extend(rules::argv(&items));
        Some(items)
    }

    fn variables(&mut self, written: &BTreeMap<String, String>) -> Option<Vec<(String, Text)>> {
        for name in written.keys().filter(|name| !is_variable_name(name)) {
            self.fault(format!("{name:?} is not a variable's name"));
        }
        for name in written
            .keys()
            .filter(|name| rules::LOADER.iter().any(|loader| name.starts_with(loader)))
        {
            if written.get(name).is_some_and(|text| text.contains("{{")) {
                self.fault(format!(
                    "env.{name} decides which code runs, so no argument can fill it"
                ));
            }
        }
        self.map("env", written, Place::Hidden)
    }

    fn map(
        &mut self,
        what: &str,
        written: &BTreeMap<String, String>,
        place: Place,
    ) -> Option<Vec<(String, Text)>> {
        let mut pairs = Vec::new();
        for (name, text) in written {
            if name.contains("{{") {
                self.fault(format!("{what}: the name {name:?} can't be filled in"));
            }
            pairs.push(Some((
                name.clone(),
                self.one(&format!("{what}.{name}"), text, place)?,
            )));
        }
        pairs.into_iter().collect()
    }

    /// A fault in it is among the faults.
    fn stdin(&mut self, written: Option<&str>) -> Option<Text> {
        self.one("stdin", written?, Place::Open)
    }

    fn one(&mut self, what: &str, written: &str, place: Place) -> Option<Text> {
        let mut faults = Vec::new();
        let text = self.text(what, written, place, &mut faults);
        self.faults.append(&mut faults);
        match text {
            Ok(text) => Some(text),
            Err(fault) => {
                self.fault(format!("{what}: {fault}"));
                None
            }
        }
    }

    /// Reads a text, and looks whether what it names is declared.
    fn text(
        &self,
        what: &str,
        written: &str,
        place: Place,
        faults: &mut Vec<String>,
    ) -> Result<Text, String> {
        let text = Text::parse(written, &|name| self.secrets.contains_key(name))?;
        if place != Place::Hidden
            && let Some(name) = text.secrets().next()
        {
            faults.push(format!(
                "{what} holds the secret ${name}, which may only stand in headers and variables of an environment"
            ));
        }
        let properties = self.input.get("properties").and_then(Json::as_object);
        for name in text.arguments() {
            let property = properties.and_then(|all| all.get(name));
            let Some(property) = property else {
                let known: Vec<_> = properties
                    .into_iter()
                    .flat_map(Map::keys)
                    .map(String::as_str)
                    .collect();
                let known = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                faults.push(format!(
                    "{what} names {{{{{name}}}}}, which input does not declare; it declares: {known}"
                ));
                continue;
            };
            let required = self.input.get("required").and_then(Json::as_array);
            let is_there = required.is_some_and(|all| all.iter().any(|one| one == name))
                || property.get("default").is_some();
            if place == Place::Whole && !is_there {
                faults.push(format!(
                    "{what} needs {{{{{name}}}}}, so it has to be in required, or to have a default"
                ));
            }
        }
        debug_assert!(text.arguments().all(is_name), "only names are arguments");
        Ok(text)
    }
}
