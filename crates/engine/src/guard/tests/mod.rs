//! The guard as a whole, against a scripted engine: every rule on every endpoint that can carry it.
//!
//! [`check`] also holds every refusal to its word: it writes the line that the refusal names into the policy and
//! asks again, until the request passes.
#![cfg(unix)]

mod bodies;
mod bridges;
mod containers;
mod exec;
mod images;
mod modes;
mod mounts;
mod networks;
mod places;
mod scope;
mod spellings;
mod swarm;
mod volumes;
mod words;

use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use toml::Table;

use super::*;

/// An engine that knows these objects and no others.
#[derive(Default)]
struct Known(Vec<(Object, Result<Value, LookupError>)>);

impl Lookup for Known {
    fn look_up<'a>(&'a self, object: &'a Object) -> Answer<'a> {
        let found = self.0.iter().find(|(own, _)| own == object);
        let answer = found.map_or(Err(LookupError::NotFound), |(_, state)| state.clone());
        Box::pin(std::future::ready(answer))
    }
}

fn known(objects: impl IntoIterator<Item = (Object, Value)>) -> Known {
    Known(
        objects
            .into_iter()
            .map(|(object, state)| (object, Ok(state)))
            .collect(),
    )
}

fn container(name: &str) -> Object {
    Object::Container(name.to_owned())
}

fn volume(name: &str) -> Object {
    Object::Volume(name.to_owned())
}

fn network(name: &str) -> Object {
    Object::Network(name.to_owned())
}

/// The state of a container that was created with this host configuration and got these mounts.
fn state(host: &Value, mounts: &Value) -> Value {
    json!({
        "Id": "c0ffee", "Name": "/web",
        "Config": {"Labels": {}},
        "HostConfig": host, "Mounts": mounts,
        "NetworkSettings": {"Networks": {"bridge": {}}},
    })
}

/// A request.
#[derive(Clone, Debug)]
struct Ask {
    method: Method,
    target: String,
    headers: HeaderMap,
    text: Option<Vec<u8>>,
    stream: bool,
}

fn ask(method: Method, target: impl Into<String>) -> Ask {
    Ask {
        method,
        target: target.into(),
        headers: HeaderMap::new(),
        text: None,
        stream: false,
    }
}

fn get(target: impl Into<String>) -> Ask {
    ask(Method::GET, target)
}

fn post(target: impl Into<String>) -> Ask {
    ask(Method::POST, target)
}

fn delete(target: impl Into<String>) -> Ask {
    ask(Method::DELETE, target)
}

impl Ask {
    fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    fn text(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.text = Some(body.into());
        self.header("content-type", "application/json")
    }

    fn stream(mut self) -> Self {
        self.stream = true;
        self.header("content-type", "application/x-tar")
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers
            .append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// What the guard says.
    fn judged(
        &self,
        policy: &Policy,
        surroundings: &Surroundings,
        known: &Known,
    ) -> Result<Verdict, Refusal> {
        let guard = Guard::new(policy.clone(), surroundings.clone());
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let body = match &self.text {
            _ if self.stream => Body::Stream,
            Some(text) => Body::Whole(text),
            None => Body::Empty,
        };
        let call = Call {
            method: &self.method,
            path,
            query,
            headers: &self.headers,
            body,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(guard.judge(&call, known))
    }
}

/// `POST /containers/create` of an ordinary container with this host configuration.
fn create(host: &Value) -> Ask {
    post("/containers/create?name=web").json(&json!({"Image": "busybox", "HostConfig": host}))
}

fn policy(text: &str) -> Policy {
    toml::from_str(text).unwrap()
}

fn local() -> Surroundings {
    Surroundings {
        host: "local".to_owned(),
        file: Some(PathBuf::from("/conf/dockmaster.toml")),
        daemon: DaemonPlace::Local,
        ..Surroundings::default()
    }
}

/// Asks under a policy. `wanted` is the rule that refuses, if one does.
fn check(text: &str, ask: &Ask, wanted: Option<Rule>) {
    check_with(text, ask, &Known::default(), wanted);
}

fn check_with(text: &str, ask: &Ask, known: &Known, wanted: Option<Rule>) {
    check_at(text, &local(), ask, known, wanted);
}

fn check_at(text: &str, surroundings: &Surroundings, ask: &Ask, known: &Known, wanted: Option<Rule>) {
    let got = ask.judged(&policy(text), surroundings, known);
    assert_eq!(
        got.as_ref().err().map(|refusal| refusal.rule),
        wanted,
        "{ask:?} under {text:?}: {got:?}"
    );
    if let Err(refusal) = got {
        keeps_its_word(text, surroundings, ask, known, refusal);
    }
}

/// Follows the lines that refusals name until nothing is refused, or nothing would allow it.
fn keeps_its_word(text: &str, surroundings: &Surroundings, ask: &Ask, known: &Known, mut refusal: Refusal) {
    let mut table: Table = text.parse().unwrap();
    let mut mode = Mode::Guarded;
    for _ in 0..12 {
        let Some(allow) = &refusal.allow else {
            return;
        };
        let (place, line) = allow.split_once("] ").unwrap();
        let line: Table = line.parse().unwrap_or_else(|error| panic!("{allow}: {error}"));
        match place {
            "[hosts.local" => mode = line["mode"].clone().try_into().unwrap(),
            "[hosts.local.guard" => merge(&mut table, line, refusal.rule),
            other => panic!("{other}"),
        }
        let mut policy: Policy = table
            .clone()
            .try_into()
            .unwrap_or_else(|error| panic!("{allow}: {error}"));
        policy.mode = mode;
        match ask.judged(&policy, surroundings, known) {
            Ok(_) => return,
            Err(next) => {
                assert_ne!(
                    (&next.allow, &next.what),
                    (&refusal.allow, &refusal.what),
                    "the line has no effect: {next}"
                );
                refusal = next;
            }
        }
    }
    panic!("no end: {refusal}");
}

/// Does what a person would do with the line: adds to lists, and replaces a root by its other form.
fn merge(table: &mut Table, line: Table, rule: Rule) {
    for (key, value) in line {
        match (table.get_mut(&key), value) {
            (Some(_), _) if rule == Rule::Scope => drop(table.remove(&key)),
            (Some(toml::Value::Array(old)), toml::Value::Array(new)) => {
                let path = |root: &toml::Value| root.get("path").cloned();
                old.retain(|root| path(root).is_none() || !new.iter().any(|new| path(new) == path(root)));
                old.extend(new);
            }
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// Asks under a policy; no line of configuration may be named.
fn check_never(text: &str, ask: &Ask, known: &Known, wanted: Rule) {
    let refusal = ask.judged(&policy(text), &local(), known).unwrap_err();
    assert_eq!(
        (refusal.rule, &refusal.allow),
        (wanted, &None),
        "{ask:?}: {refusal}"
    );
}
