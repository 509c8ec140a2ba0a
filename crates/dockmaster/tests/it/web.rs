//! What is particular to HTTP: who is let in, the token, the status.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};
use testkit::{McpClient, OwnChild};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::harness::Dockmaster;

const VERSION: &str = "2025-11-25";

/// A gateway that serves HTTP on a free port, unless the arguments name one; killed when it is dropped.
pub(crate) struct Web {
    pub(crate) authority: String,
    /// What it says on standard error, read as it comes so that it never waits.
    lines: mpsc::Receiver<String>,
    _reading: JoinSet<()>,
    child: OwnChild,
    /// Last: a gateway that still runs when its folder goes would make its state anew.
    pub(crate) dockmaster: Dockmaster,
}

impl Web {
    pub(crate) async fn start(dockmaster: Dockmaster, arguments: &[&str]) -> Self {
        let port: &[&str] = if arguments.contains(&"--port") {
            &[]
        } else {
            &["--port", "0"]
        };
        let all = [&["gateway", "run", "--transport", "http"], port, arguments].concat();
        let mut command = Command::from(dockmaster.command(&all));
        let mut child = OwnChild(command.stderr(Stdio::piped()).spawn().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let (told, mut lines) = mpsc::channel(64);
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                // Lines for which nobody asks.
                drop(told.try_send(line));
            }
        });
        let line = lines.recv().await.unwrap_or_default();
        let authority = line
            .trim()
            .strip_prefix("listening at http://")
            .and_then(|rest| rest.strip_suffix("/mcp"));
        let authority = authority
            .unwrap_or_else(|| panic!("the gateway says {line:?}"))
            .to_owned();
        Self {
            dockmaster,
            authority,
            child,
            lines,
            _reading: reading,
        }
    }

    pub(crate) fn token(&self) -> String {
        fs_err::read_to_string(self.dockmaster.file("token"))
            .unwrap()
            .trim()
            .to_owned()
    }

    pub(crate) fn client(&self) -> McpClient {
        self.client_at(None)
    }

    /// Of this profile.
    pub(crate) fn client_at(&self, profile: Option<&str>) -> McpClient {
        let path = profile.map_or("/mcp".to_owned(), |name| format!("/mcp/profile/{name}"));
        McpClient::http(&self.authority, &path, Some(&self.token()))
    }

    /// Tells it to stop, and waits for its end.
    pub(crate) async fn stop(mut self) -> Dockmaster {
        assert!(crate::actors::signal("-TERM", self.pid()));
        let ended = tokio::time::timeout(testkit::PATIENCE, self.child.wait());
        assert!(ended.await.unwrap().unwrap().success());
        self.dockmaster
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(mut self) -> Dockmaster {
        self.child.kill().await.unwrap();
        self.dockmaster
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    fn port(&self) -> &str {
        self.authority.rsplit_once(':').unwrap().1
    }

    async fn told(&mut self) -> String {
        self.lines.recv().await.unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_generated_once_and_private() {
    let mut web = Web::start(Dockmaster::new(), &[]).await;
    let token = web.token();
    assert_eq!(token.len(), 43);
    let mode = fs_err::metadata(web.dockmaster.file("token"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(web.told().await.contains("the bearer token is in ~/dm/token"));
    web.child.kill().await.unwrap();
    let again = Web::start(web.dockmaster, &[]).await;
    assert_eq!(again.token(), token);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in() {
    let web = Web::start(Dockmaster::new(), &[]).await;
    let bearer = format!("Bearer {}", web.token());
    let client = web.client();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    for (headers, status) in [
        (vec![], 401),
        (vec![("authorization", "Bearer wrong-wrong-wrong-wrong")], 401),
        (
            vec![("authorization", bearer.as_str()), ("host", "evil.example")],
            403,
        ),
        (
            vec![
                ("authorization", bearer.as_str()),
                ("origin", "https://evil.example"),
            ],
            403,
        ),
    ] {
        let both = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        let headers: Vec<_> = headers.into_iter().chain(both).collect();
        let answer = client.exchange("POST", &headers, &body).await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
    }
    assert!(web.dockmaster.run(&["audit", "list"]).stdout().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn status() {
    let web = Web::start(Dockmaster::new(), &[]).await;
    let client = web.client();
    client.initialize(VERSION).await;
    client.call("list_containers", json!({})).await.ok();
    let ended = web
        .dockmaster
        .run(&["gateway", "status", "--json", "--port", web.port()]);
    let status: Value = serde_json::from_str(&ended.stdout()).unwrap();
    assert_eq!(status["calls"], 1, "{status}");
    assert_eq!(status["servers"][0]["name"], "docker");
    let shown = web.dockmaster.run(&["gateway", "status", "--port", web.port()]);
    assert!(
        shown.stdout().contains("\ndocker  idle"),
        "{}",
        shown.transcript()
    );
    let stranger = web.dockmaster.run_with(
        &["gateway", "status", "--port", web.port()],
        &[("DOCKMASTER_TOKEN", "not-the-token-of-this-gateway")],
    );
    assert_eq!(stranger.code(), 1, "{}", stranger.transcript());
    let nobody = Dockmaster::new().run(&["gateway", "status", "--port", "9"]);
    assert_eq!(nobody.code(), 69, "{}", nobody.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_not_listen_at() {
    let web = Web::start(Dockmaster::new(), &[]).await;
    let taken = Dockmaster::new().run(&["gateway", "run", "--transport", "http", "--port", web.port()]);
    assert_eq!(taken.code(), 69, "{}", taken.transcript());
    assert!(taken.stderr().contains("--port"), "{}", taken.stderr());
    let open = Dockmaster::new().run(&[
        "gateway",
        "run",
        "--transport",
        "http",
        "--port",
        "0",
        "--host",
        "0.0.0.0",
    ]);
    assert_eq!(open.code(), 78, "{}", open.transcript());
    assert!(open.stderr().contains("hosts"), "{}", open.stderr());
    let short = Dockmaster::new().run_with(
        &["gateway", "run", "--transport", "http", "--port", "0"],
        &[("DOCKMASTER_TOKEN", "short")],
    );
    assert_eq!(short.code(), 78, "{}", short.transcript());
    assert!(short.stderr().contains("DOCKMASTER_TOKEN"), "{}", short.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_printed_when_asked_for() {
    let mut web = Web::start(Dockmaster::new(), &["--print-client"]).await;
    let token = web.token();
    let mut text = String::new();
    while !text.contains("Bearer") {
        let line = web.told().await;
        assert!(!line.is_empty(), "it ended: {text}");
        text.push_str(&line);
    }
    assert!(text.contains(&token) && text.contains(&web.authority), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_and_its_calls() {
    let mut web = Web::start(Dockmaster::new(), &[]).await;
    let client = web.client();
    client.initialize(VERSION).await;
    let pid = web.child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-s", "TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let ended = tokio::time::timeout(testkit::PATIENCE, web.child.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(ended.success(), "{ended}");
}
