//! Servers for tests: their calls as a gateway makes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::names::ServerName;
use catalog::plan::{Limits, Network, Root};
use engine::credentials::Credentials;
use engine::guard::{DaemonPlace, Guard, Policy, Surroundings};
use engine::{ApiVersion, Endpoint, Engine};
use instances::{Grace, Instances};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use server_kit::Service;
use shell_server::rules::{Rule, Rules, Scripts};
use shell_server::runner::Runner;
use shell_server::{Containers, Options, Place, ShellServer};
use tempfile::TempDir;
use testkit::{IMAGE, Scope};

pub(crate) fn free() -> Rules {
    Rules {
        scripts: Scripts::Free,
        ..Rules::default()
    }
}

pub(crate) fn allow(rules: &[&str]) -> Rules {
    Rules {
        allow: Some(rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect()),
        ..Rules::default()
    }
}

pub(crate) fn server(runner: Arc<dyn Runner>, rules: Rules, roots: Vec<Root>) -> ShellServer {
    let variables = rules.allow.is_some().then(|| vec!["APP_*".to_owned()]);
    ShellServer::new(Options {
        here: Some(Place { runner, roots }),
        elsewhere: Vec::new(),
        rules,
        variables,
        timeout: Duration::from_mins(1),
        answer_tokens: 4_000,
    })
}

pub(crate) fn on_host(rules: Rules) -> ShellServer {
    server(Arc::new(crate::host::host()), rules, Vec::new())
}

/// What a tool answers, and whether it failed.
pub(crate) async fn call(server: &ShellServer, tool: &str, arguments: Value) -> (String, bool) {
    let params = json!({ "name": tool, "arguments": arguments }).to_string();
    let answer = server
        .answer(&RawValue::from_string(params).unwrap())
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(answer.get()).unwrap();
    let text = answer["content"][0]["text"].as_str().unwrap().to_owned();
    (text, answer["isError"] == true)
}

/// The same, of a call that has to succeed; without the frame of untrusted text.
pub(crate) async fn said(server: &ShellServer, tool: &str, arguments: Value) -> String {
    let (text, failed) = call(server, tool, arguments).await;
    assert!(!failed, "{text}");
    unframed(&text)
}

pub(crate) async fn failed(server: &ShellServer, tool: &str, arguments: Value) -> String {
    let (text, failed) = call(server, tool, arguments).await;
    assert!(failed, "{text}");
    unframed(&text)
}

/// Without frames and times, which differ.
fn unframed(text: &str) -> String {
    let is_frame =
        |line: &&str| !(line.starts_with("[untrusted") || line.len() == 10 && line.starts_with('['));
    let lines: Vec<&str> = text.lines().filter(is_frame).collect();
    let text = lines.join("\n");
    match text.split_once("; took ") {
        Some((before, after)) => {
            let rest = after.split_once(" s").map_or("", |(_, rest)| rest);
            format!("{before}{rest}")
        }
        None => text,
    }
}

/// Containers on the engine under test.
pub(crate) struct Rig {
    pub(crate) scope: Scope,
    pub(crate) instances: Instances,
    pub(crate) folder: TempDir,
    _state: TempDir,
    _run: TempDir,
}

impl Rig {
    pub(crate) async fn new(name: &str) -> Self {
        let scope = Scope::new(name);
        testkit::image_on(scope.daemon()).await;
        let (state, run) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir_in("/dev/shm").unwrap(),
        );
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let policy = Policy {
            roots: vec![engine::guard::Root {
                path: folder.path().to_owned(),
                write: true,
            }],
            ..Policy::default()
        };
        let surroundings = Surroundings {
            daemon: DaemonPlace::Local,
            ..Surroundings::default()
        };
        let engine = Engine::open(engine::Options {
            endpoint: Endpoint::parse(&scope.daemon().endpoint()).unwrap(),
            api_version: ApiVersion::Auto,
            timeout: Duration::from_mins(1),
            guard: Guard::new(policy, surroundings),
            credentials: Credentials::default(),
        });
        let instances = Instances::open(instances::Options {
            engine: engine.unwrap(),
            state: state.path().to_owned(),
            run: run.path().to_owned(),
            memory: run.path().to_owned(),
            grace: Grace::default(),
            reached: None,
            relay: None,
            signature: None,
            labels: BTreeMap::from([(Scope::KEY.to_owned(), scope.value().to_owned())]),
        });
        Self {
            scope,
            instances: instances.unwrap(),
            folder,
            _state: state,
            _run: run,
        }
    }

    pub(crate) fn root(&self, write: bool) -> Root {
        Root {
            path: self.folder.path().to_owned(),
            write,
        }
    }

    pub(crate) fn server(&self, rules: Rules, roots: Vec<Root>) -> ShellServer {
        let runner = Containers {
            instances: self.instances.clone(),
            server: ServerName::parse("shell").unwrap(),
            share: "test".to_owned(),
            image: IMAGE.to_owned(),
            roots: roots.clone(),
            network: Network::None,
            limits: Limits {
                memory: 64 << 20,
                cpus: 1.0,
                pids: 64,
            },
            user: None,
            env: Vec::new(),
        };
        server(Arc::new(runner), rules, roots)
    }

    pub(crate) async fn containers(&self) -> Vec<Value> {
        let label = self.scope.label().replace('=', "%3D");
        let path = format!("/containers/json?all=1&filters=%7B%22label%22%3A%5B%22{label}%22%5D%7D");
        let answer = self.scope.daemon().get(&path).await.ok().json();
        answer.as_array().cloned().unwrap_or_default()
    }

    /// Ends everything; a test that ends well leaves nothing.
    pub(crate) async fn finish(self, server: ShellServer) {
        server.core().close().await;
        assert!(self.instances.close(Duration::from_secs(30)).await, "all is gone");
        let left = self.containers().await;
        assert!(left.is_empty(), "left behind: {left:?}");
        self.scope.finish().await;
    }
}
