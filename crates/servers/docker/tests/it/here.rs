//! The server under test, joined to a client by a stream in memory.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use docker_server::{DockerServer, Elsewhere, Options, Toolset};
use engine::credentials::Credentials;
use engine::guard::{DaemonPlace, Guard, Mode, Policy, Root, Surroundings};
use engine::{ApiVersion, Endpoint, Engine};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use testkit::{Daemon, McpClient, Scope, ToolAnswer};
use tokio::task::JoinSet;

/// A server and its client. The guard is what a user has who named no exception but `root`.
pub(crate) struct Server {
    pub(crate) client: McpClient,
    tasks: JoinSet<()>,
}

/// How a server is to be.
pub(crate) struct Setup {
    pub(crate) toolset: Toolset,
    pub(crate) answer_tokens: usize,
    pub(crate) mode: Mode,
    /// A folder of the host that may be read and written.
    pub(crate) root: Option<std::path::PathBuf>,
    pub(crate) endpoint: String,
    pub(crate) timeout: Duration,
    pub(crate) scope_label: Option<String>,
    /// Whether the guard lets containers have GPUs.
    pub(crate) gpus: bool,
    /// Further hosts.
    pub(crate) elsewhere: Option<Arc<dyn Elsewhere>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            toolset: Toolset::Full,
            answer_tokens: 8_000,
            mode: Mode::Guarded,
            root: None,
            endpoint: Daemon::here().endpoint(),
            timeout: Duration::from_mins(1),
            scope_label: None,
            gpus: false,
            elsewhere: None,
        }
    }
}

impl Setup {
    /// A server in whose client a session of the elder era has begun.
    pub(crate) async fn start(self) -> Server {
        let server = self.join();
        server.client.initialize("2025-11-25").await;
        server
    }

    /// A server to which nothing was said yet.
    pub(crate) fn join(self) -> Server {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (reader, writer) = tokio::io::split(near);
        let server = DockerServer::new(self.options());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { server.serve(far).await.unwrap() });
        Server {
            client: McpClient::over(reader, writer),
            tasks,
        }
    }

    pub(crate) fn options(mut self) -> Options {
        let elsewhere = self.elsewhere.take();
        let roots = self
            .root
            .iter()
            .map(|path| Root {
                path: path.clone(),
                write: true,
            })
            .collect();
        let policy = Policy {
            mode: self.mode,
            roots,
            gpus: self.gpus,
            ..Policy::default()
        };
        let surroundings = Surroundings {
            daemon: DaemonPlace::Local,
            ..Surroundings::default()
        };
        let engine = Engine::open(engine::Options {
            endpoint: Endpoint::parse(&self.endpoint).unwrap(),
            api_version: ApiVersion::Auto,
            timeout: self.timeout,
            guard: Guard::new(policy, surroundings),
            credentials: Credentials::default(),
        })
        .unwrap();
        Options {
            toolset: self.toolset,
            answer_tokens: self.answer_tokens,
            scope_label: self.scope_label,
            elsewhere,
            ..Options::new(engine)
        }
    }
}

/// The usual server: all tools listed, the guard at its defaults.
pub(crate) async fn server() -> Server {
    Setup::default().start().await
}

/// A server that may use this folder of the host.
pub(crate) async fn server_with_root(root: &Path) -> Server {
    Setup {
        root: Some(root.to_owned()),
        ..Setup::default()
    }
    .start()
    .await
}

impl Server {
    /// Calls a tool and gives its text; panics when it fails.
    #[track_caller]
    pub(crate) fn ok(&self, tool: &str, arguments: Value) -> impl Future<Output = String> {
        let call = self.client.call(tool, arguments);
        async move { call.await.ok().text() }
    }

    /// Calls a tool that must fail, and gives the words of its error.
    pub(crate) async fn fails(&self, tool: &str, arguments: Value) -> String {
        self.client.call(tool, arguments).await.failure()
    }

    /// Calls a tool with a progress token.
    pub(crate) async fn with_progress(&self, tool: &str, arguments: Value) -> ToolAnswer {
        let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": "p" } });
        ToolAnswer(self.client.request("tools/call", params).await.unwrap())
    }

    /// Ends the session and waits until the server has ended too.
    pub(crate) async fn end(mut self) {
        drop(self.client);
        self.tasks.join_next().await.unwrap().unwrap();
    }
}

/// The arguments of `create_container` for a container of this scope that runs `command`.
pub(crate) async fn settings(scope: &Scope, what: &str, command: &[&str]) -> Value {
    json!({
        "image": testkit::image().await,
        "name": scope.name(what),
        "command": command,
        "labels": scope.labels(),
        "stop_timeout": 1,
    })
}

/// `one` with the members of `more`.
pub(crate) fn with(mut one: Value, more: Value) -> Value {
    if let Value::Object(more) = more {
        for (key, value) in more {
            one[key] = value;
        }
    }
    one
}
