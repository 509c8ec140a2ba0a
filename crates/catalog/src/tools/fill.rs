//! What exactly one call does: a tool, and the arguments that a model gave.

use std::path::PathBuf;

use base::Secret;
use serde_json::{Map, Value as Json};

use super::text::{Text, as_text};
use super::{Body, Command, Does, Http, InContainer, Tool, places};
use crate::plan::{Container, Value};
use crate::schema;

/// More bytes than these in one argument of a command are refused; Linux takes 128 KiB.
const MAX_ARGUMENT: usize = 120 << 10;
/// More bytes than these in all arguments and variables of a command are refused; Linux takes 2 MiB at most stack sizes.
const MAX_ARGUMENTS: usize = 1 << 20;

/// What is run for one call.
#[derive(Debug)]
pub enum Call {
    /// A program on this machine.
    Command {
        /// Program and arguments; no shell.
        argv: Vec<String>,
        /// Variables beside those that every command gets.
        env: Vec<(String, Secret)>,
        /// Where it runs.
        working_dir: Option<PathBuf>,
        /// Its standard input.
        stdin: Vec<u8>,
    },
    /// A request.
    Http(HttpCall),
    /// A container.
    Container {
        /// As it is made.
        container: Box<Container>,
        /// Its standard input; `None`: it has none.
        stdin: Option<Vec<u8>>,
    },
}

/// A request, ready to be sent.
#[derive(Debug)]
pub struct HttpCall {
    /// As HTTP writes it.
    pub method: String,
    /// Absolute, encoded.
    pub url: String,
    /// Name, value, and whether the value holds a secret.
    pub headers: Vec<(String, Secret, bool)>,
    /// Media type and bytes.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// It may go without TLS, to private networks and to this machine.
    pub private: bool,
}

/// Fills a tool with the arguments of a call. `secret` gives the values of secrets by name.
///
/// # Errors
/// All that is wrong with the arguments, each naming the one it is about.
pub fn fill(
    tool: &Tool,
    arguments: &Map<String, Json>,
    secret: &dyn Fn(&str) -> Option<Secret>,
) -> Result<Call, Vec<String>> {
    let arguments = schema::fill(tool.input(), arguments, &|_, _| true);
    let faults: Vec<String> = schema::check(tool.input(), &Json::Object(arguments.clone()))
        .into_iter()
        .map(|violation| match violation.path.as_str() {
            "" => violation
                .to_string()
                .replacen("the configuration", "the arguments", 1),
            _ => violation.to_string(),
        })
        .collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    match &tool.does {
        Does::Command(command) => of_command(tool, command, &arguments, secret),
        Does::Http(http) => of_http(http, &arguments, secret).map_err(|fault| vec![fault]),
        Does::Container(contained) => of_container(tool, contained, &arguments),
    }
}

fn of_command(
    tool: &Tool,
    command: &Command,
    arguments: &Map<String, Json>,
    secret: &dyn Fn(&str) -> Option<Secret>,
) -> Result<Call, Vec<String>> {
    let argv = argv(tool.input(), &command.argv, arguments)?;
    let mut env = Vec::new();
    for (name, text) in &command.env {
        let filled = text
            .fill_with(arguments, secret)
            .map_err(|name| vec![format!("the secret {name} has no value")])?;
        // A variable without its argument is left out.
        let Some(filled) = filled else { continue };
        whole(name, filled.text.expose()).map_err(|fault| vec![fault])?;
        env.push((name.clone(), filled.text));
    }
    let bytes: usize = argv.iter().map(String::len).sum();
    let bytes = bytes + env.iter().map(|(_, value)| value.expose().len()).sum::<usize>();
    if bytes > MAX_ARGUMENTS {
        return Err(vec![format!(
            "the arguments have {bytes} bytes; a command takes {MAX_ARGUMENTS}"
        )]);
    }
    Ok(Call::Command {
        argv,
        env,
        working_dir: command.working_dir.clone(),
        stdin: stdin(command.stdin.as_ref(), arguments).unwrap_or_default(),
    })
}

fn of_container(
    tool: &Tool,
    given: &InContainer<Container>,
    arguments: &Map<String, Json>,
) -> Result<Call, Vec<String>> {
    let mut container = given.container.clone();
    container.command = argv(tool.input(), &given.argv, arguments)?;
    for (name, text) in &given.env {
        let Some(value) = text.fill(arguments) else {
            continue;
        };
        whole(name, &value).map_err(|fault| vec![fault])?;
        container.env.retain(|(other, _)| other != name);
        container.env.push((name.clone(), Value::Plain(value)));
    }
    Ok(Call::Container {
        container: Box::new(container),
        stdin: stdin(given.stdin.as_ref(), arguments),
    })
}

fn stdin(text: Option<&Text>, arguments: &Map<String, Json>) -> Option<Vec<u8>> {
    // Without its argument it is empty.
    text.map(|text| text.fill(arguments).unwrap_or_default().into_bytes())
}

/// The argv of a call. An item without places stands as it is; one that is an argument alone becomes an item for each
/// value of a list, and none where the argument is not given.
pub(super) fn argv(
    schema: &Json,
    items: &[Text],
    arguments: &Map<String, Json>,
) -> Result<Vec<String>, Vec<String>> {
    let mut argv = Vec::new();
    let mut faults = Vec::new();
    let mut options_ended = false;
    for item in items {
        if let Some(literal) = item.as_literal() {
            options_ended |= literal == "--";
            argv.push(literal.to_owned());
            continue;
        }
        let name = item.arguments().next().unwrap_or_default();
        let values = match item.whole().and_then(|name| arguments.get(name)) {
            Some(Json::Array(values)) => values.iter().filter_map(as_text).collect(),
            _ => item.fill(arguments).into_iter().collect::<Vec<_>>(),
        };
        let may_be_option = options_ended || !item.head().is_empty() || is_choice(schema, item);
        for value in values {
            if let Err(fault) = whole(name, &value) {
                faults.push(fault);
            } else if value.starts_with('-') && !may_be_option {
                faults.push(format!(
                    "{name} begins with -, and its program could take it for an option"
                ));
            }
            argv.push(value);
        }
    }
    if faults.is_empty() { Ok(argv) } else { Err(faults) }
}

/// Whether an item is an argument alone whose values the author has listed.
fn is_choice(schema: &Json, item: &Text) -> bool {
    let property = |name| schema.get("properties").and_then(|all| all.get(name));
    item.whole()
        .and_then(property)
        .is_some_and(|property| property.get("enum").is_some() || property.get("const").is_some())
}

fn whole(name: &str, value: &str) -> Result<(), String> {
    if value.contains('\0') {
        return Err(format!(
            "{name} holds a zero byte, which no argument of a program can"
        ));
    }
    if value.len() > MAX_ARGUMENT {
        return Err(format!(
            "{name} has {} bytes; an argument of a program takes {MAX_ARGUMENT}",
            value.len()
        ));
    }
    Ok(())
}

fn of_http(
    http: &Http,
    arguments: &Map<String, Json>,
    secret: &dyn Fn(&str) -> Option<Secret>,
) -> Result<Call, String> {
    let mut url = places::url(&http.url, arguments)?;
    let query = places::pairs(&http.query, arguments);
    if !query.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&query);
    }
    let mut headers = Vec::new();
    for (name, text) in &http.headers {
        let filled = text
            .fill_with(arguments, secret)
            .map_err(|name| format!("the secret {name} has no value"))?;
        let Some(filled) = filled else { continue };
        // RFC 9110, 5.5, without what is obsolete: a line break would begin another header.
        if filled.text.expose().bytes().any(|b| !(b' '..=b'~').contains(&b)) {
            let who = text.arguments().next().unwrap_or("its secret");
            return Err(format!(
                "{who} has a character that the header {name} can't carry: it takes printable ASCII on one line"
            ));
        }
        headers.push((name.clone(), filled.text, filled.is_secret));
    }
    let body = match &http.body {
        Body::None => None,
        Body::Json(node) => {
            let value = node.fill(arguments).unwrap_or(Json::Null);
            Some(("application/json", value.to_string().into_bytes()))
        }
        Body::Form(pairs) => Some((
            "application/x-www-form-urlencoded",
            places::pairs(pairs, arguments).into_bytes(),
        )),
        Body::Text(text) => Some((
            "text/plain; charset=utf-8",
            text.fill(arguments).unwrap_or_default().into_bytes(),
        )),
    };
    Ok(Call::Http(HttpCall {
        method: http.method.clone(),
        url,
        headers,
        body,
        private: http.private,
    }))
}
