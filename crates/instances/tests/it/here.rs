//! What the tests start, and where.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Secret;
use base::names::ServerName;
use catalog::plan::{Container, Limits};
use engine::credentials::Credentials;
use engine::guard::{DaemonPlace, Guard, Policy, Surroundings};
use engine::{ApiVersion, Endpoint, Engine};
use instances::{Grace, Instances, Options, Running, Start, Stdio};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Daemon, IMAGE, Scope};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

/// The example `relay`, which is built with the tests, as what leads containers to their proxy.
pub(crate) fn relay() -> instances::Relay {
    let own = std::env::current_exe().unwrap();
    let program = own
        .parent()
        .and_then(std::path::Path::parent)
        .unwrap()
        .join("examples/relay");
    // The libraries are those of the tests themselves: both come from one build.
    let maps = fs_err::read_to_string("/proc/self/maps").unwrap();
    instances::Relay::new(&program, &maps).unwrap()
}

/// Instances whose objects bear a scope's label, so that a test that fails leaves nothing.
pub(crate) struct Rig {
    pub(crate) scope: Scope,
    pub(crate) instances: Instances,
    pub(crate) state: TempDir,
    /// In memory.
    pub(crate) run: TempDir,
}

impl Rig {
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, Policy::default(), |_| {}).await
    }

    pub(crate) async fn with(name: &str, policy: Policy, change: impl FnOnce(&mut Options)) -> Self {
        Self::on(Scope::new(name), policy, change).await
    }

    pub(crate) async fn on(scope: Scope, policy: Policy, change: impl FnOnce(&mut Options)) -> Self {
        testkit::image_on(scope.daemon()).await;
        let state = tempfile::tempdir().unwrap();
        let run = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut options = options(scope.daemon(), policy, &state, &run);
        options.labels = BTreeMap::from([(Scope::KEY.to_owned(), scope.value().to_owned())]);
        change(&mut options);
        Self {
            instances: Instances::open(options).unwrap(),
            scope,
            state,
            run,
        }
    }

    /// Starts a shell script as a server.
    pub(crate) async fn start(&self, script: &str) -> Running {
        self.try_start(&shell(script)).await.unwrap()
    }

    pub(crate) async fn try_start(&self, container: &Container) -> Result<Running, instances::Error> {
        self.start_with(container, None).await
    }

    pub(crate) async fn start_with(
        &self,
        container: &Container,
        stderr: Option<mpsc::Sender<String>>,
    ) -> Result<Running, instances::Error> {
        // What a server makes through its socket belongs to whoever shares it: here to nobody but this test.
        self.start_as(container, self.scope.value(), stderr).await
    }

    /// The same for whom `share` names.
    pub(crate) async fn start_shared(
        &self,
        container: &Container,
        share: &str,
    ) -> Result<Running, instances::Error> {
        self.start_as(container, share, None).await
    }

    async fn start_as(
        &self,
        container: &Container,
        share: &str,
        stderr: Option<mpsc::Sender<String>>,
    ) -> Result<Running, instances::Error> {
        let server = server();
        let start = Start {
            server: &server,
            container,
            share,
            secrets: &secrets,
            stderr,
            progress: None,
        };
        self.instances.start(start).await
    }

    /// The containers of this test, as the engine lists them.
    pub(crate) async fn containers(&self) -> Vec<Value> {
        let filter = format!(
            "%7B%22label%22%3A%5B%22{}%22%5D%7D",
            self.scope.label().replace('=', "%3D")
        );
        let path = format!("/containers/json?all=1&filters={filter}");
        let answer = self.scope.daemon().get(&path).await.ok().json();
        answer.as_array().cloned().unwrap_or_default()
    }

    pub(crate) async fn inspect(&self, running: &Running) -> Value {
        let path = format!("/containers/{}/json", running.id());
        self.scope.daemon().get(&path).await.ok().json()
    }

    /// Ends everything; a test that ends well leaves nothing.
    pub(crate) async fn finish(self) {
        assert!(self.instances.close(Duration::from_secs(30)).await, "all is gone");
        assert_eq!(
            fs_err::read_dir(self.run.path()).unwrap().count(),
            0,
            "no file is left"
        );
        let left = self.containers().await;
        assert!(left.is_empty(), "left behind: {left:?}");
        self.scope.finish().await;
    }
}

pub(crate) fn options(daemon: &Daemon, policy: Policy, state: &TempDir, run: &TempDir) -> Options {
    let surroundings = Surroundings {
        daemon: DaemonPlace::Local,
        ..Surroundings::default()
    };
    let engine = Engine::open(engine::Options {
        endpoint: Endpoint::parse(&daemon.endpoint()).unwrap(),
        api_version: ApiVersion::Auto,
        timeout: Duration::from_mins(1),
        guard: Guard::new(policy, surroundings),
        credentials: Credentials::default(),
    });
    Options {
        engine: engine.unwrap(),
        state: state.path().to_owned(),
        run: run.path().to_owned(),
        memory: run.path().to_owned(),
        grace: Grace {
            input: Duration::from_secs(1),
            signal: Duration::from_secs(1),
        },
        reached: None,
        relay: None,
        signature: None,
        labels: BTreeMap::new(),
    }
}

pub(crate) fn server() -> ServerName {
    ServerName::parse("fake").unwrap()
}

/// The secrets that exist.
pub(crate) fn secrets(name: &str) -> Option<Secret> {
    (name == "fake.token").then(|| Secret::new("s3cr3t-value"))
}

/// A container that runs a shell script.
pub(crate) fn shell(script: &str) -> Container {
    Container {
        image: IMAGE.to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        limits: Limits {
            memory: 64 << 20,
            cpus: 1.0,
            pids: 32,
        },
        ..Container::default()
    }
}

/// A server's pipes, line by line.
pub(crate) struct Lines(pub(crate) BufReader<Stdio>);

impl Lines {
    pub(crate) fn of(running: &mut Running) -> Self {
        Self(BufReader::new(running.take_stdio().expect("the pipes, once")))
    }

    pub(crate) async fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line; empty at the end.
    pub(crate) async fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) async fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

/// What a script prints, read to its end.
pub(crate) async fn printed(rig: &Rig, container: &Container) -> String {
    let mut running = rig.try_start(container).await.unwrap();
    let text = Lines::of(&mut running).rest().await;
    running.stop().await;
    text
}
